"""train: the training loop, which returns a Run."""

import math
import time
from collections.abc import Callable, Iterable

import torch
from torch import nn

from ..nn.mlp import count_parameters
from ..random_bits import RandomBits
from .config import TrainConfig
from .data import Data
from .data.data_set import check_part
from .evaluation import check_fit, evaluate, loss_of
from .run import Run
from .tracking import find_tracked_layers, record_metrics


def train(
    net: nn.Module,
    data: Data,
    config: TrainConfig = TrainConfig(),
    *,
    progress: Callable[[int, int], None] | None = None,
    track: Iterable[str] = (),
    test: bool = True,
) -> Run:
    """Train a network in place. If training is interrupted, the network keeps what it has learnt so far.

    With `patience` that is the state of the best epoch so far, otherwise the last state. The loss is cross-entropy for
    classification, mean squared error for regression. The same network, data, config and number of threads give the
    same Run, apart from its seconds.

    Args:
        net: maps (batch, data.n_features) to (batch, data.n_outputs).
        data: a data set, from `data.load`.
        config: how to train.
        progress: called after every epoch with (epochs done, total epochs).
        track: names in metrics.WEIGHTED_METRICS, computed before training and after every epoch for each SparseLinear
            and each nn.Linear (a complete graph). The value is NaN if an iteration does not converge. Tracking changes
            nothing else in the run.
        test: whether to evaluate the test data once, at the end; False while settings are still chosen by validation.

    Returns:
        A Run: losses, scores and seconds of every epoch.

    Raises:
        ValueError: if the network's output has another shape or nothing in the network can be trained, the data are no
            finite numbers of the documented shapes, a name in `track` is unknown, or there is no layer to track.
        TypeError: if an argument is of another type.
        FloatingPointError: if a loss becomes NaN or infinite.

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
    check_fit(net, data)
    for part in ("train", "val", "test") if test else ("train", "val"):
        check_part(data, part)
    if not isinstance(config, TrainConfig):
        raise TypeError(f"expected a TrainConfig, got {config!r:.80}; write TrainConfig(epochs=...)")
    if not torch.is_grad_enabled() or not any(parameter.requires_grad for parameter in net.parameters()):
        raise ValueError(
            "expected gradients and a network with parameters that take them, got none; leave torch.no_grad out, and "
            "train a network before it is quantised or frozen"
        )
    loss_function = loss_of(data.task)
    tracked: dict[str, list[tuple[float, ...]]] = {name: [] for name in track}
    layers = find_tracked_layers(net, tracked) if tracked else []
    record_metrics(tracked, layers)
    optimizer = optimizer_of(net, config)
    row_order = RandomBits(config.seed, "training order")
    chosen_epoch, best_state = 0, list[torch.Tensor]()
    history: dict[str, list[float]] = {"train_loss": [], "val_loss": [], "val_score": [], "seconds": []}
    try:
        for epoch in range(1, config.epochs + 1):
            net.train()
            rows = torch.from_numpy(row_order.permutation(len(data.x_train)))
            loss_sum = torch.zeros(())
            start = time.perf_counter()
            for batch in rows.split(config.batch_size):
                optimizer.zero_grad()
                loss = loss_function(net(data.x_train[batch]), data.y_train[batch])
                loss.backward()
                optimizer.step()
                loss_sum += loss.detach() * len(batch)
            history["seconds"].append(time.perf_counter() - start)
            history["train_loss"].append(float(loss_sum) / len(rows))
            val_loss, val_score = evaluate(net, data, data.x_val, data.y_val)
            history["val_loss"].append(val_loss)
            history["val_score"].append(val_score)
            if not math.isfinite(history["train_loss"][-1] + val_loss):
                raise FloatingPointError(
                    f"the loss stopped being finite in epoch {epoch} (training {history['train_loss'][-1]}, validation "
                    f"{val_loss}); lower learning_rate={config.learning_rate}"
                )
            record_metrics(tracked, layers)
            if progress is not None:
                progress(epoch, config.epochs)
            if config.patience is not None:
                if history["val_loss"].index(min(history["val_loss"])) == epoch - 1:
                    chosen_epoch, best_state = epoch, [tensor.detach().clone() for tensor in _training_state(net)]
                elif epoch - chosen_epoch >= config.patience:
                    break
    except BaseException:  # an interrupt too: what was reached so far must not be lost
        if best_state:
            _restore(net, best_state)
        raise
    if config.patience is None:
        chosen_epoch = len(history["val_loss"])
    else:
        _restore(net, best_state)
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
        chosen_epoch=chosen_epoch,
        tracked={name: tuple(values) for name, values in tracked.items()},
    )


def _training_state(net: nn.Module) -> list[torch.Tensor]:
    """The tensors that training changes: parameters, and floating-point buffers such as running means."""
    return [*net.parameters(), *(buffer for buffer in net.buffers() if buffer.is_floating_point())]


@torch.no_grad()
def _restore(net: nn.Module, best_state: list[torch.Tensor]) -> None:
    for tensor, value in zip(_training_state(net), best_state, strict=True):
        tensor.copy_(value)


def optimizer_of(net: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Create the optimizer that a config names, SGD or AdamW, in torch's fused implementation."""
    if config.optimizer == "sgd":
        return torch.optim.SGD(
            net.parameters(),
            config.learning_rate,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            fused=True,
        )
    return torch.optim.AdamW(net.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True)
