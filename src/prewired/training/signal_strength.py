"""Measure how strong signals are before training: activations forward, gradients backward."""

import torch
from torch import nn

from ..nn.linear import SparseLinear
from .data import Data
from .evaluation import loss_of

_ROWS = 512


def measure_signals(net: nn.Module, data: Data) -> dict[str, list[float]]:
    """Measure activations and gradients in each layer of a network, on the first rows of the training data.

    Initial weights that ignore the mask show here: activations and gradients shrink from layer to layer.

    Args:
        net: maps (batch, data.n_features) to (batch, data.n_outputs); afterwards its parameters have no gradients.
        data: the first 512 rows of the training part are used, in evaluation mode (no dropout).

    Returns:
        For each SparseLinear and nn.Linear, in the network's order: "activation_rms", the root mean square of its
        output, and "gradient_norm", the 2-norm of the gradient of its weights.

    Example:
        >>> from prewired import data
        >>> from prewired.nn import mlp
        >>> signals = measure_signals(mlp([64, 32, 10], family="dense"), data.load("digits"))
        >>> len(signals["activation_rms"]), len(signals["gradient_norm"])
        (2, 2)
    """
    layers = [layer for layer in net.modules() if isinstance(layer, SparseLinear | nn.Linear)]
    rms: list[float] = []
    hooks = [layer.register_forward_hook(lambda _, __, y: rms.append(_rms(y))) for layer in layers]
    was_training = net.training
    net.eval()
    try:
        loss_of(data.task)(net(data.x_train[:_ROWS]), data.y_train[:_ROWS]).backward()
    finally:
        for hook in hooks:
            hook.remove()
        net.train(was_training)
    gradients = [float(layer.weight.grad.norm()) for layer in layers if layer.weight.grad is not None]
    net.zero_grad()
    return {"activation_rms": rms, "gradient_norm": gradients}


def _rms(y: torch.Tensor) -> float:
    return float(y.detach().square().mean().sqrt())
