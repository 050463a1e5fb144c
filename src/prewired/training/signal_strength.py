"""Measure how strong signals are before training: activations forward, gradients backward."""

import math

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
        For each SparseLinear and nn.Linear, in the order of net.modules(): "activation_rms", the root mean square of
        its outputs, and "gradient_norm", the 2-norm of the gradient of its weights. The value is NaN for a layer that
        is not used or, for the gradient, not trained.

    Example:
        >>> from prewired import data
        >>> from prewired.nn import mlp
        >>> signals = measure_signals(mlp([64, 32, 10], family="dense"), data.load("digits"))
        >>> len(signals["activation_rms"]), len(signals["gradient_norm"])
        (2, 2)
    """
    layers = [layer for layer in net.modules() if isinstance(layer, SparseLinear | nn.Linear)]
    mean_squares: dict[nn.Module, list[torch.Tensor]] = {layer: [] for layer in layers}
    hooks = [
        layer.register_forward_hook(lambda layer, _, y: mean_squares[layer].append(y.detach().square().mean()))
        for layer in layers
    ]
    was_training = net.training
    net.eval()
    net.zero_grad()
    try:
        loss_of(data.task)(net(data.x_train[:_ROWS]), data.y_train[:_ROWS]).backward()
    finally:
        for hook in hooks:
            hook.remove()
        net.train(was_training)
    # A layer that the network calls several times counts with all its calls.
    rms = [float(torch.stack(calls).mean().sqrt()) if calls else math.nan for calls in mean_squares.values()]
    norms = [math.nan if layer.weight.grad is None else float(layer.weight.grad.norm()) for layer in layers]
    net.zero_grad()
    return {"activation_rms": rms, "gradient_norm": norms}
