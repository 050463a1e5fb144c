"""Training a network on a data set: one visible loop that records what happened."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from . import generators
from .data import Data
from .metrics import WEIGHTED_METRICS
from .nn.linear import SparseLinear
from .nn.mlp import count_parameters
from .random_bits import RandomBits
from .topology import Topology

Layer = SparseLinear | nn.Linear
_EVALUATION_BATCH = 2048


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Args:
        epochs: passes over the training data, at least 1.
        batch_size: rows per step; the last, smaller batch of an epoch is used too.
        learning_rate: > 0, constant.
        optimizer: "adam" (decoupled weight decay when there is any) or "sgd".
        momentum: of sgd, in [0, 1).
        weight_decay: >= 0.
        seed: of the order of the training rows; the initial weights belong to the network.
        patience: stop after so many epochs in a row without a lower validation loss, and go back to the weights of the
            epoch that had the lowest; without it the weights of the last epoch stay.

    Raises:
        ValueError: if a value is out of range.

    Example:
        >>> TrainConfig(epochs=3).optimizer
        'adam'
    """

    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 1e-3
    optimizer: str = "adam"
    momentum: float = 0.9
    weight_decay: float = 0.0
    seed: int = 0
    patience: int | None = None

    def __post_init__(self) -> None:
        patience = self.patience
        checks = {
            "epochs": ("an integer epochs >= 1", isinstance(self.epochs, int) and self.epochs >= 1),
            "batch_size": ("an integer batch_size >= 1", isinstance(self.batch_size, int) and self.batch_size >= 1),
            "seed": ("an integer seed >= 0", isinstance(self.seed, int) and self.seed >= 0),
            "learning_rate": ("learning_rate > 0", self.learning_rate > 0),
            "optimizer": ('optimizer "adam" or "sgd"', self.optimizer in ("adam", "sgd")),
            "momentum": ("0 <= momentum < 1", 0 <= self.momentum < 1),
            "weight_decay": ("weight_decay >= 0", self.weight_decay >= 0),
            "patience": ("an integer patience >= 1", patience is None or (isinstance(patience, int) and patience >= 1)),
        }
        for name, (wanted, holds) in checks.items():
            if not holds:
                raise ValueError(f"expected {wanted}, got {name}={getattr(self, name)!r}")


@dataclass(frozen=True)
class Run:
    """What happened in one training.

    `val_score` and `test_score` are the accuracy in [0, 1] (classification) or R^2 (regression), as `score_name` says.
    All tuples have one entry per epoch; `seconds` is training time only, without evaluation. `chosen_epoch` is the one,
    counted from 1, whose weights the network has in the end: the last, or the best one where it was stopped early. The
    test data is looked at once, with these weights, or not at all (NaN). `tracked` has, for each metric that was
    followed, its values before training and after every epoch, each time one per layer.
    """

    config: TrainConfig
    score_name: str
    n_parameters: int
    train_loss: tuple[float, ...] = field(repr=False)
    val_loss: tuple[float, ...] = field(repr=False)
    val_score: tuple[float, ...] = field(repr=False)
    seconds: tuple[float, ...] = field(repr=False)
    test_loss: float
    test_score: float
    chosen_epoch: int
    tracked: dict[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict, repr=False, hash=False)

    @property
    def chosen_score(self) -> float:
        """The validation score of the weights that the network has in the end."""
        return self.val_score[self.chosen_epoch - 1]

    @property
    def area(self) -> float:
        """Area under the curve of the validation score: its mean over all epochs of the config.

        After an early stop the score counts as that of the chosen epoch.
        """
        held = self.config.epochs - len(self.val_score)
        return (sum(self.val_score) + held * self.chosen_score) / self.config.epochs

    def epochs_to(self, score: float) -> int | None:
        """Epochs until the validation score first reached `score`; None if it never did."""
        return next((k for k, reached in enumerate(self.val_score, 1) if reached >= score), None)

    def seconds_to(self, score: float) -> float | None:
        """Seconds of training until the validation score first reached `score`; None if it never did."""
        epochs = self.epochs_to(score)
        return None if epochs is None else sum(self.seconds[:epochs])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON can hold them; without `tracked` where nothing was."""
        values = asdict(self)
        return values if self.tracked else {name: value for name, value in values.items() if name != "tracked"}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`, also after a passage through JSON."""
        plain = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        tracked = {name: tuple(map(tuple, epochs)) for name, epochs in values.get("tracked", {}).items()}
        return cls(**{**plain, "config": TrainConfig(**values["config"]), "tracked": tracked})


def train(
    net: nn.Module,
    data: Data,
    config: TrainConfig = TrainConfig(),
    *,
    progress: Callable[[int, int], None] | None = None,
    track: Iterable[str] = (),
    test: bool = True,
) -> Run:
    """Train a network in place.

    Cross-entropy for classification, mean squared error for regression. The same network, data, config and number of
    threads give the same run, seconds aside.

    Args:
        net: maps (batch, data.n_features) to (batch, data.n_outputs).
        data: what `data.load` returns.
        config: how to train.
        progress: called after every epoch with (epochs done, epochs in all).
        track: names in metrics.WEIGHTED_METRICS, to be computed before training and after every epoch for each
            SparseLinear and each nn.Linear, which is a complete graph; NaN where an iteration does not settle. They
            change nothing else in the run.
        test: whether to look at the test data, once, at the end; not while a choice is still to be made by validation.

    Returns:
        The Run.

    Raises:
        ValueError: if the network's output has another shape, for an unknown name to track, or if there is no layer to
            follow.
        FloatingPointError: if a loss stops being finite.

    Example:
        >>> from prewired import data
        >>> from prewired.nn import mlp
        >>> digits = data.load("digits")
        >>> net = mlp([64, 64, 10], family="biregular", density=0.5, seed=0)
        >>> run = train(net, digits, TrainConfig(epochs=3, learning_rate=1e-2))
        >>> run.test_score > 0.8
        True
        >>> run = train(net, digits, TrainConfig(epochs=3), track=["stable_rank"])
        >>> len(run.tracked["stable_rank"]), len(run.tracked["stable_rank"][0])
        (4, 2)
    """
    loss_between = loss_of(data.task)
    check_fit(net, data)
    tracked: dict[str, list[tuple[float, ...]]] = {name: [] for name in track}
    layers = _layers_to_track(net, tracked) if tracked else []
    _follow(tracked, layers)
    optimizer = optimizer_of(net, config)
    order = RandomBits(config.seed, "training order")
    chosen, kept = 0, list[torch.Tensor]()
    history: dict[str, list[float]] = {"train_loss": [], "val_loss": [], "val_score": [], "seconds": []}
    for epoch in range(1, config.epochs + 1):
        net.train()
        rows = torch.from_numpy(order.permutation(len(data.x_train)))
        total = torch.zeros(())
        start = time.perf_counter()
        for batch in rows.split(config.batch_size):
            optimizer.zero_grad()
            loss = loss_between(net(data.x_train[batch]), data.y_train[batch])
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(batch)
        history["seconds"].append(time.perf_counter() - start)
        history["train_loss"].append(float(total) / len(rows))
        val_loss, val_score = evaluate(net, data, data.x_val, data.y_val)
        history["val_loss"].append(val_loss)
        history["val_score"].append(val_score)
        if not math.isfinite(history["train_loss"][-1] + val_loss):
            raise FloatingPointError(
                f"the loss stopped being finite in epoch {epoch} (training {history['train_loss'][-1]}, validation "
                f"{val_loss}); lower learning_rate={config.learning_rate}"
            )
        _follow(tracked, layers)
        if progress is not None:
            progress(epoch, config.epochs)
        if config.patience is not None:
            if history["val_loss"].index(min(history["val_loss"])) == epoch - 1:
                chosen, kept = epoch, [tensor.detach().clone() for tensor in _state(net)]
            elif epoch - chosen >= config.patience:
                break
    if config.patience is None:
        chosen = len(history["val_loss"])
    else:
        _restore(net, kept)
    test_loss, test_score = evaluate(net, data, data.x_test, data.y_test) if test else (math.nan, math.nan)
    curves = {name: tuple(values) for name, values in history.items()}
    score_name = "accuracy" if data.task == "classification" else "r2"
    return Run(
        config,
        score_name,
        count_parameters(net),
        **curves,
        test_loss=test_loss,
        test_score=test_score,
        chosen_epoch=chosen,
        tracked={name: tuple(values) for name, values in tracked.items()},
    )


def _state(net: nn.Module) -> list[torch.Tensor]:
    """What training changes: the parameters, and running means and the like."""
    return [*net.parameters(), *(buffer for buffer in net.buffers() if buffer.is_floating_point())]


@torch.no_grad()
def _restore(net: nn.Module, kept: list[torch.Tensor]) -> None:
    for tensor, value in zip(_state(net), kept, strict=True):
        tensor.copy_(value)


def loss_of(task: str) -> Callable[..., torch.Tensor]:
    """The loss of a task: cross-entropy for "classification", else the mean squared error."""
    return functional.cross_entropy if task == "classification" else functional.mse_loss


@torch.inference_mode()
def evaluate(net: nn.Module, data: Data, x: torch.Tensor, y: torch.Tensor) -> tuple[float, float]:
    """Mean loss and score of a network on rows of a data set; the score is accuracy, or R^2 for regression.

    Example:
        >>> from prewired import data
        >>> digits = data.load("digits")
        >>> loss, accuracy = evaluate(nn.Linear(64, 10), digits, digits.x_val, digits.y_val)
        >>> 0 <= accuracy <= 1
        True
    """
    net.eval()
    output = torch.cat([net(part) for part in x.split(_EVALUATION_BATCH)])
    if data.task == "classification":
        loss = functional.cross_entropy(output, y)
        return float(loss), float((output.argmax(1) == y).double().mean())
    loss = functional.mse_loss(output, y)
    return float(loss), 1.0 - float(loss) / max(float(y.var(correction=0)), 1e-12)


@torch.inference_mode()
def check_fit(net: nn.Module, data: Data) -> None:
    """Raise a ValueError unless the network takes the rows of a data set and gives what it has for targets."""
    net.eval()
    shape = tuple(net(data.x_train[:2]).shape)
    if shape != (2, data.n_outputs):
        raise ValueError(
            f"expected a network from {data.n_features} inputs to {data.n_outputs} outputs for {data.name}, got "
            f"{shape[1:]} outputs; make the last size {data.n_outputs}"
        )


def _layers_to_track(net: nn.Module, names: Iterable[str]) -> list[tuple[Topology, Layer]]:
    """The layers with a matrix of weights, in the network's order, each with its wiring."""
    for name in names:
        if name not in WEIGHTED_METRICS:
            raise ValueError(f"expected metrics to track among {', '.join(WEIGHTED_METRICS)}, got {name!r}")
    layers = [layer for layer in net.modules() if isinstance(layer, Layer)]
    if not layers:
        raise ValueError(
            f"expected a network with a SparseLinear or nn.Linear to track, got {type(net).__name__} without one; "
            "leave track= out"
        )
    return [(_wiring(layer), layer) for layer in layers]


def _wiring(layer: Layer) -> Topology:
    if isinstance(layer, SparseLinear):
        return layer.topology
    return generators.dense(layer.in_features, layer.out_features)


def _follow(tracked: dict[str, list[tuple[float, ...]]], layers: list[tuple[Topology, Layer]]) -> None:
    """Append the metrics of the weights as they are now."""
    weights = [layer.weight.detach().cpu().double().reshape(-1).numpy() for _, layer in layers]
    for name, values in tracked.items():
        values.append(tuple(_measured(name, t, w) for (t, _), w in zip(layers, weights, strict=True)))


def _measured(name: str, t: Topology, weights: np.ndarray) -> float:
    """The metric, NaN where an iteration does not settle: that must not end a training."""
    try:
        return WEIGHTED_METRICS[name](t, weights)
    except RuntimeError:
        return math.nan


def optimizer_of(net: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimizer of a config, fused."""
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            net.parameters(),
            config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            fused=True,
        )
    return torch.optim.AdamW(net.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True)
