"""Chains of layers as one differentiable call: the operators of `kernels`, connected to autograd."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from . import kernels, reference


class LayerArguments(NamedTuple):
    """What the operators read of one layer.

    Attributes:
        weight: (n_edges,) in edge order.
        bias: (n_out,) or None.
        wiring: the first four tensors of the layer's Plan, which forward and backward read.
        by_input: the next four, which only backward reads; may be empty if no gradient is needed.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    wiring: reference.Tensors
    by_input: reference.Tensors


def apply_layers(layers: Sequence[LayerArguments], x: torch.Tensor, *, relu: bool) -> torch.Tensor:
    """Apply layers one after the other, with a ReLU between them, in one operator call.

    Args:
        layers: at least one.
        x: (batch, n_in).
        relu: whether a ReLU follows the last layer too.

    Raises:
        TypeError: if x and the weights differ in dtype.

    Example:
        >>> from prewired import SparseLinear, generators
        >>> a, b = (SparseLinear(generators.rotating(6, 6, fan_in=2)) for _ in range(2))
        >>> x = torch.randn(3, 6)
        >>> torch.testing.assert_close(apply_layers([a.arguments(), b.arguments()], x, relu=False), b(a(x).relu()))
    """
    parameters, wiring, by_input = [], [], []
    for layer in layers:
        parameters += (layer.weight, layer.bias)
        wiring += layer.wiring
        by_input += layer.by_input
    x, *parameters = cast_alike(x, parameters)
    if not (x.is_contiguous() or x.t().is_contiguous()):
        x = x.contiguous()
    parameters = [x.new_empty(0) if p is None else p.contiguous() for p in parameters]
    kernel = kernels.KERNELS["sparse" if kernels.runs_natively(x) and not wiring[0].is_meta else "reference"]
    if torch.is_grad_enabled() and (x.requires_grad or any(p.requires_grad for p in parameters)):
        return _Chain.apply(x, kernel, relu, wiring, by_input, *parameters)
    return kernel.forward(x, wiring, parameters, relu, False)[0]


def cast_alike(x: torch.Tensor, parameters: Sequence[torch.Tensor | None]) -> tuple[Any, ...]:
    """Return x and the parameters, cast to the type of autocast if autocast is on.

    Raises:
        TypeError: if autocast is off and x and the parameters differ in dtype.
    """
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
    """The chain of `apply_layers` as an autograd function."""

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
        y, *inputs = kernel.forward(x, wiring, parameters, relu, True)
        ctx.save_for_backward(y if relu else x.new_empty(0), *parameters, *inputs)
        ctx.arguments = kernel, relu, wiring, by_input
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        kernel, relu, wiring, by_input = ctx.arguments
        y, *tensors = ctx.saved_tensors
        n = 2 * len(wiring) // reference.PER_LAYER
        parameters, inputs = tensors[:n], tensors[n:]
        needs_x, *needs_parameters = ctx.needs_input_grad[:1] + ctx.needs_input_grad[5:]
        g = grads[0]
        if not (g.is_contiguous() or g.t().is_contiguous()):
            g = g.contiguous()
        needs_weights = n > 2 or needs_parameters[0]
        values = kernel.backward(g, y, inputs, wiring, by_input, parameters, relu, needs_x, needs_weights)
        needs = (needs_x, *needs_parameters)
        grad_x, *grad_parameters = (value if need else None for value, need in zip(values, needs, strict=True))
        return grad_x, None, None, None, None, *grad_parameters


class DenseWeights(torch.autograd.Function):
    """The weights of a layer as a matrix (n_out, n_in); the backward pass reads the matrix's gradient at the edges."""

    @staticmethod
    def forward(ctx: Any, weight: torch.Tensor, starts: Any, indices: Any, mask: Any, n_in: int) -> torch.Tensor:
        """Return the matrix (n_out, n_in) of the weights (n_edges,)."""
        ctx.wiring = starts, indices, mask
        return kernels.scatter_weights(starts, indices, mask, weight, n_in)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the gradient of the weights (n_edges,)."""
        starts, indices, mask = ctx.wiring
        return kernels.gather_weights(starts, indices, mask, grads[0].contiguous()), None, None, None, None
