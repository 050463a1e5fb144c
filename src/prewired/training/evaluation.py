"""Loss and score of a network on a data set."""

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from .data import Data
from .named_data import compare_names

_EVALUATION_BATCH = 2048


def loss_of(task: str) -> Callable[..., torch.Tensor]:
    """Return the loss of a task: cross-entropy for "classification", else the mean squared error."""
    return functional.cross_entropy if task == "classification" else functional.mse_loss


@torch.no_grad()  # not inference_mode: what a network builds at its first call must serve for training too
def evaluate(net: nn.Module, data: Data, x: torch.Tensor, y: torch.Tensor) -> tuple[float, float]:
    """Compute mean loss and score of a network on rows of a data set; the score is accuracy, or R^2 for regression.

    R^2 is NaN if all targets are equal, because it compares the loss with their variance.

    Example:
        >>> from prewired import data
        >>> digits = data.load("digits")
        >>> loss, accuracy = evaluate(nn.Linear(64, 10), digits, digits.x_val, digits.y_val)
        >>> 0 <= accuracy <= 1
        True
    """
    net.eval()
    output = torch.cat([net(rows) for rows in x.split(_EVALUATION_BATCH)])
    if data.task == "classification":
        loss = functional.cross_entropy(output, y)
        return float(loss), float((output.argmax(1) == y).double().mean())
    loss = functional.mse_loss(output, y)
    if y.min() == y.max():
        return float(loss), math.nan
    return float(loss), 1.0 - float(loss) / max(float(y.var(correction=0)), 1e-12)


@torch.no_grad()  # not inference_mode: what a network builds at its first call must serve for training too
def check_fit(net: nn.Module, data: Data) -> None:
    """Raise a ValueError unless the network maps rows of the data set to one output per target, in the order of names.

    Raises:
        TypeError: if `net` is no module, or `data` is no Data.
        ValueError: if the network gives another number of outputs, or names its units in another order than the data.
    """
    if not isinstance(data, Data):
        raise TypeError(
            f"expected data as prewired.data.load returns it, got {type(data).__name__}; write arrays with "
            "numpy.savez('mine.npz', x=x, y=y), or a frame with frame.to_csv('mine.csv', index=False), and load that"
        )
    if not isinstance(net, nn.Module):
        raise TypeError(
            f"expected a network as an nn.Module, got {net!r:.80}; make one, for example with prewired.nn.mlp"
        )
    compare_names(net, data)
    net.eval()
    rows = data.x_train[:2]
    shape = tuple(net(rows).shape)
    if shape != (len(rows), data.n_outputs):
        raise ValueError(
            f"expected a network from {data.n_features} inputs to {data.n_outputs} outputs for {data.name}, got "
            f"{shape[1:]} outputs; make the last size {data.n_outputs}"
        )
