"""Sequential: an nn.Sequential that runs neighbouring sparse layers as one operator."""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import nn
from torch.nn.modules.module import _has_any_global_hook

from .. import generators
from ..ops.autograd import LayerArguments, apply_layers, check_call
from ..ops.plan import Plan, get_plan
from .linear import SparseLinear

CHAIN_OUTPUT_LIMIT = 64
"""A dense layer behind sparse layers joins their chain up to this many outputs: a product for so few is slow anyway."""


class Sequential(nn.Sequential):
    """An nn.Sequential that runs neighbouring sparse layers, with a ReLU between them, as one operator.

    The results are the same as those of nn.Sequential, with fewer calls forward and backward: at low density a call
    costs more than its arithmetic. Layers with hooks, with another activation between them, or with the dense kernel
    are called one by one.

    Example:
        >>> from prewired.nn import mlp
        >>> net = mlp([8, 8, 8, 2], family="biregular", fan_in=2, seed=0)
        >>> x = torch.randn(3, 8)
        >>> torch.testing.assert_close(net(x), nn.Sequential(*net)(x))
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the output of the last module; neighbouring sparse layers run in one call."""
        check_call(x)
        modules = list(self)
        start = 0
        while start < len(modules):
            chain, relu, end = _collect_chain(modules, start, x) if x.ndim == 2 else ([], False, start)
            x = apply_layers(chain, x, relu=relu) if len(chain) > 1 else modules[start](x)
            start = end if len(chain) > 1 else start + 1
        return x


def _collect_chain(modules: Sequence[nn.Module], start: int, x: torch.Tensor) -> tuple[list[LayerArguments], bool, int]:
    """Collect the layers from `start` that can run as one chain.

    Returns the layers, whether a ReLU follows the last layer, and the position behind the chain.
    """
    chain: list[LayerArguments] = []
    width, relu = x.shape[-1], True
    while relu and start < len(modules):
        layer = modules[start]
        if not isinstance(layer, SparseLinear | nn.Linear) or layer.in_features != width or not _is_plain(layer):
            break
        if isinstance(layer, SparseLinear):
            if layer.kernel_for(x.shape[0], training=torch.is_grad_enabled()) != "sparse":
                break
            chain.append(layer.arguments())
        elif chain and layer.out_features <= CHAIN_OUTPUT_LIMIT and not torch.compiler.is_compiling():
            plan = _get_complete_plan(width, layer.out_features)
            chain.append(LayerArguments(layer.weight.reshape(-1), layer.bias, plan))
        else:
            break
        width = layer.out_features
        relu = start + 1 < len(modules) and isinstance(modules[start + 1], nn.ReLU) and _is_plain(modules[start + 1])
        start += 1 + relu
    return chain, relu, start


@lru_cache(maxsize=64)
def _get_complete_plan(n_in: int, n_out: int) -> Plan:
    """The plan of a dense layer."""
    return get_plan(generators.dense(n_in, n_out))


def _is_plain(module: nn.Module) -> bool:
    """Whether calling the module only runs its forward: no derived class, no hooks."""
    hooks = module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    return type(module) in (SparseLinear, nn.Linear, nn.ReLU) and not hooks and not _has_any_global_hook()
