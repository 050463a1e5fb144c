"""Sequential: neighbouring sparse layers run as one operator."""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import nn
from torch.nn.modules.module import _has_any_global_hook

from .. import generators
from ..ops import reference
from ..ops.autograd import LayerArguments, apply_layers
from ..ops.plan import plan
from .linear import SparseLinear

THIN = 64
"""Outputs up to which a dense layer behind sparse ones runs as one of them: no matrix product for so few is fast."""


class Sequential(nn.Sequential):
    """nn.Sequential in which neighbouring sparse layers with a ReLU between them run as one operator.

    The same numbers, in fewer and bigger calls, forward and backward: at low density a call costs more than the work it
    starts. Layers with hooks, with another activation between them, or that run as dense ones are called one by one.

    Example:
        >>> from prewired.nn import mlp
        >>> net = mlp([8, 8, 8, 2], family="biregular", fan_in=2, seed=0)
        >>> x = torch.randn(3, 8)
        >>> torch.testing.assert_close(net(x), nn.Sequential(*net)(x))
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the output of the last module; neighbouring sparse layers run in one call."""
        modules = list(self)
        at = 0
        while at < len(modules):
            links, relu, end = _chain(modules, at, x) if x.ndim == 2 else ([], False, at)
            x = apply_layers(links, x, relu=relu) if len(links) > 1 else modules[at](x)
            at = end if len(links) > 1 else at + 1
        return x


def _chain(modules: Sequence[nn.Module], at: int, x: torch.Tensor) -> tuple[list[LayerArguments], bool, int]:
    """The layers from `at` on that can run as one, whether a ReLU follows the last, and where they end."""
    links: list[LayerArguments] = []
    width, relu = x.shape[-1], True
    while relu and at < len(modules):
        layer = modules[at]
        if not isinstance(layer, SparseLinear | nn.Linear) or layer.in_features != width or not _is_plain(layer):
            break
        if isinstance(layer, SparseLinear):
            if layer.kernel_for(x.shape[0], training=torch.is_grad_enabled()) != "sparse":
                break
            links.append(layer.arguments())
        elif links and layer.out_features <= THIN and not torch.compiler.is_compiling():
            links.append(
                LayerArguments(layer.weight.reshape(-1), layer.bias, *_complete_wiring(width, layer.out_features))
            )
        else:
            break
        width = layer.out_features
        relu = at + 1 < len(modules) and isinstance(modules[at + 1], nn.ReLU) and _is_plain(modules[at + 1])
        at += 1 + relu
    return links, relu, at


@lru_cache(maxsize=64)
def _complete_wiring(n_in: int, n_out: int) -> tuple[reference.Tensors, reference.Tensors]:
    """The wiring of a dense layer, in ordinary tensors wherever it is first asked for."""
    with torch.device("cpu"), torch.inference_mode(False):
        p = plan(generators.dense(n_in, n_out))
    return list(p[: reference.PER_LAYER]), list(p[reference.PER_LAYER : 2 * reference.PER_LAYER])


def _is_plain(module: nn.Module) -> bool:
    """Whether calling the module is no more than its known forward: of just that type, without hooks."""
    hooks = module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    return type(module) in (SparseLinear, nn.Linear, nn.ReLU) and not hooks and not _has_any_global_hook()
