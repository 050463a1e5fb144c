"""How strong signals are before training: activations forward, gradients backward."""

import torch
from torch import nn

from ..nn.linear import SparseLinear
from .data import Data
from .evaluation import loss_of

_ROWS = 512


def signals(net: nn.Module, data: Data) -> dict[str, list[float]]:
    """Root mean squares through the layers of a network as it is, on the first rows of the training data.

    A mask-blind start shows here: activations that shrink from layer to layer, and gradients with them.

    Args:
        net: maps (batch, data.n_features) to (batch, data.n_outputs); its gradients are left empty.
        data: the first 512 rows of its training part are used, without dropout and the like.

    Returns:
        "activation_rms", of each SparseLinear's and nn.Linear's output before what follows it, and "gradient_norm",
        the 2-norm of the gradient of its weights, in the network's order.

    Example:
        >>> from prewired import data
        >>> from prewired.nn import mlp
        >>> found = signals(mlp([64, 32, 10], family="dense"), data.load("digits"))
        >>> len(found["activation_rms"]), len(found["gradient_norm"])
        (2, 2)
    """
    layers = [layer for layer in net.modules() if isinstance(layer, SparseLinear | nn.Linear)]
    strengths: list[float] = []
    hooks = [layer.register_forward_hook(lambda _, __, y: strengths.append(_rms(y))) for layer in layers]
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
    return {"activation_rms": strengths, "gradient_norm": gradients}


def _rms(y: torch.Tensor) -> float:
    return float(y.detach().square().mean().sqrt())
