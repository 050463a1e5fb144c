"""Chains: layers one after the other as one differentiable call, the two operators of `kernels` tied into autograd."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from . import kernels, reference


class LayerArguments(NamedTuple):
    """A layer in a chain: its parameters, and what forward and backward read of its Plan."""

    weight: torch.Tensor
    bias: torch.Tensor | None
    wiring: reference.Tensors
    by_input: reference.Tensors


def apply_layers(links: Sequence[LayerArguments], x: torch.Tensor, *, relu: bool) -> torch.Tensor:
    """Apply layers one after the other, with a ReLU between them and, if asked for, behind them: in one operator call.

    Args:
        links: at least one.
        x: (batch, n_in).
        relu: whether a ReLU follows the last layer.

    Raises:
        TypeError: if x and the weights differ in dtype.

    Example:
        >>> from prewired import SparseLinear, generators
        >>> a, b = (SparseLinear(generators.rotating(6, 6, fan_in=2)) for _ in range(2))
        >>> x = torch.randn(3, 6)
        >>> torch.testing.assert_close(apply_layers([a.arguments(), b.arguments()], x, relu=False), b(a(x).relu()))
    """
    parameters, wiring, by_input = [], [], []
    for weight, bias, one, other in links:
        parameters += (weight, bias)
        wiring += one
        by_input += other
    x, *parameters = in_one_type(x, parameters)
    if not (x.is_contiguous() or x.t().is_contiguous()):
        x = x.contiguous()
    parameters = [x.new_empty(0) if p is None else p.contiguous() for p in parameters]
    kernel = kernels.KERNELS["sparse" if kernels.runs_natively(x) and not wiring[0].is_meta else "reference"]
    if torch.is_grad_enabled() and (x.requires_grad or any(p.requires_grad for p in parameters)):
        return _Chain.apply(x, kernel, relu, wiring, by_input, *parameters)
    return kernel.forward(x, wiring, parameters, relu, False)[0]


def in_one_type(x: torch.Tensor, parameters: Sequence[torch.Tensor | None]) -> tuple[Any, ...]:
    """x and the parameters as they are, or in autocast's type where that is on."""
    device = "cpu" if x.is_cpu else x.device.type
    if torch.is_autocast_enabled(device) and x.dtype != torch.float64:
        dtype = torch.get_autocast_dtype(device)
        return tuple(p if p is None else p.to(dtype) for p in (x, *parameters))
    dtype = x.dtype
    for p in parameters:
        if p is not None and p.dtype != dtype:
            raise TypeError(f"expected x in {p.dtype}, the weights' dtype, got {dtype}; use x.to() or layer.to()")
    return x, *parameters


class _Chain(torch.autograd.Function):
    """The links of `apply_layers`: two operators, and what goes from one to the other."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        kernel: kernels.Kernel,
        relu: bool,
        wiring: reference.Tensors,
        by_input: reference.Tensors,
        *parameters: torch.Tensor,
    ) -> torch.Tensor:
        y, *kept = kernel.forward(x, wiring, parameters, relu, True)
        ctx.save_for_backward(y if relu else x.new_empty(0), *parameters, *kept)
        ctx.rest = kernel, relu, wiring, by_input
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        kernel, relu, wiring, by_input = ctx.rest
        y, *saved = ctx.saved_tensors
        n = 2 * len(wiring) // reference.PER_LAYER
        needs_x, *needed = ctx.needs_input_grad[:1] + ctx.needs_input_grad[5:]
        g = grads[0]
        if not (g.is_contiguous() or g.t().is_contiguous()):
            g = g.contiguous()
        found = kernel.backward(g, y, saved[n:], wiring, by_input, saved[:n], relu, needs_x, n > 2 or needed[0])
        wanted = [grad if needs else None for grad, needs in zip(found, (needs_x, *needed), strict=True)]
        return wanted[0], None, None, None, None, *wanted[1:]


class Scattered(torch.autograd.Function):
    """The weights of a layer as a matrix (n_out, n_in); backward, the gradient of the matrix at the edges."""

    @staticmethod
    def forward(ctx: Any, weight: torch.Tensor, starts: Any, indices: Any, mask: Any, n_in: int) -> torch.Tensor:
        """Return the matrix (n_out, n_in) of the weights (n_edges,)."""
        ctx.wiring = starts, indices, mask
        return kernels.scattered(starts, indices, mask, weight, n_in)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the gradient of the weights (n_edges,)."""
        starts, indices, mask = ctx.wiring
        return kernels.gathered(starts, indices, mask, grads[0].contiguous()), None, None, None, None
