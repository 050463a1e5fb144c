"""Chains of layers as one differentiable call: the operators of `kernels`, connected to autograd.

A first derivative costs one call forward and one backward. Every other derivative (second and higher, forward mode,
torch.func) goes layer by layer through `contraction`, which can be differentiated any number of times.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.autograd import forward_ad

from . import batching, flops, kernels
from .contraction import INPUT, OUTPUT, WEIGHT, LayerWiring, contract, make_dense
from .dense_kernel import DENSE_KERNEL
from .plan import Plan

if kernels.NATIVE:
    _VMAP_RULES = batching.register_vmap_rules()
    flops.register_flop_formulas()


class LayerArguments(NamedTuple):
    """What the operators read of one layer.

    Attributes:
        weight: (n_edges,) in edge order.
        bias: (n_out,) or None.
        plan: the wiring.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    plan: Plan


def apply_layers(layers: Sequence[LayerArguments], x: torch.Tensor, *, relu: bool, dense: bool = False) -> torch.Tensor:
    """Apply layers one after the other, with a ReLU between them, in one operator call.

    Args:
        layers: at least one.
        x: (batch, n_in).
        relu: whether a ReLU follows the last layer too.
        dense: whether to run the dense kernel, which takes one layer.

    Raises:
        TypeError: if x and the weights differ in dtype, or are complex.
        RuntimeError: under torch.jit.trace.

    Example:
        >>> from prewired import SparseLinear, generators
        >>> a, b = (SparseLinear(generators.rotating(6, 6, fan_in=2)) for _ in range(2))
        >>> x = torch.randn(3, 6)
        >>> torch.testing.assert_close(apply_layers([a.arguments(), b.arguments()], x, relu=False), b(a(x).relu()))
    """
    plans = [layer.plan for layer in layers]
    x, *parameters = cast_alike(x, [p for layer in layers for p in (layer.weight, layer.bias)])
    if not (x.is_contiguous() or x.t().is_contiguous()):
        x = x.contiguous()
    parameters = [x.new_empty(0) if p is None else p.contiguous() for p in parameters]
    kernel = DENSE_KERNEL if dense else _choose_kernel(x)
    if torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0:
        return _run_layer_by_layer([LayerWiring(kernel, plan) for plan in plans], parameters, x, relu)[-1]
    if torch.compiler.is_exporting() and kernel is kernels.KERNELS["sparse"]:
        return kernels.forward_program(x, plans, parameters, relu)
    if torch.is_grad_enabled() and (x.requires_grad or any(p.requires_grad for p in parameters)):
        return _Chain.apply(x, kernel, relu, plans, *parameters)
    return kernel.forward(x, plans, parameters, relu, False)[0]


def _choose_kernel(x: torch.Tensor) -> kernels.Kernel:
    """The compiled operators if they take x, or if x has no values; else the reference."""
    if kernels.runs_natively(x):
        return kernels.KERNELS["sparse"]
    if x.is_complex():
        raise TypeError(f"expected real numbers, got {x.dtype}; give the real and the imaginary part as two inputs")
    return kernels.KERNELS["sparse" if x.is_meta and kernels.NATIVE else "reference"]


def check_call(x: Any) -> None:
    """Refuse an input that is not a tensor, as under torch.fx.symbolic_trace, and a call under torch.jit.trace.

    Raises:
        TypeError: if x is not a tensor.
        RuntimeError: under torch.jit.trace, which would record the kernel, and perhaps the weights, of one call.
    """
    if not isinstance(x, torch.Tensor):
        remedy = "use torch.as_tensor(x)"
        if isinstance(x, torch.fx.Proxy):
            remedy = "use torch.export.export, or a torch.fx.Tracer that takes prewired's layers for leaves"
        raise TypeError(f"expected x to be a tensor, got a {type(x).__name__}; {remedy}")
    if torch._C._get_tracing_state() is not None:
        raise RuntimeError(
            "expected a call outside torch.jit.trace, which cannot record a sparse layer; use torch.export.export or "
            "prewired.export.program"
        )


def refuse_scripting(layer: torch.nn.Module) -> None:
    """Refuse torch.jit.script, which cannot compile the choice of a kernel.

    Raises:
        RuntimeError: always.
    """
    raise RuntimeError(
        f"expected a module that torch.jit.script can compile, got a {type(layer).__name__}; use torch.export.export "
        "or prewired.export.program"
    )


def is_transformed() -> bool:
    """Whether torch.func or forward-mode differentiation is at work."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def cast_alike(x: torch.Tensor, parameters: Sequence[torch.Tensor | None]) -> tuple[Any, ...]:
    """Return x and the parameters, cast to the type of autocast if autocast is on.

    Raises:
        TypeError: if autocast is off and x and the parameters differ in dtype.
    """
    device = "cpu" if x.is_cpu else x.device.type
    if not x.is_meta and torch.is_autocast_enabled(device) and x.dtype != torch.float64:
        dtype = torch.get_autocast_dtype(device)
        return tuple(p if p is None else p.to(dtype) for p in (x, *parameters))
    dtype = x.dtype
    for p in parameters:
        if p is not None and p.dtype != dtype:
            raise TypeError(f"expected x in {p.dtype}, the weights' dtype, got {dtype}; use x.to() or layer.to()")
    return x, *parameters


def _run_layer_by_layer(
    wirings: Sequence[LayerWiring], parameters: Sequence[torch.Tensor], x: torch.Tensor, relu: bool
) -> list[torch.Tensor]:
    """Return x and the output of each layer, all differentiable."""
    values = [x]
    for k, wiring in enumerate(wirings):
        weight, bias = parameters[2 * k : 2 * k + 2]
        y = contract(wiring, OUTPUT, weight, values[-1])
        y = y + bias if bias.numel() else y
        values.append(y.relu() if relu or k + 1 < len(wirings) else y)
    return values


class _Chain(torch.autograd.Function):
    """The chain of `apply_layers` as an autograd function.

    It has no setup_context, with which a call of a small network would take twice as long.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        kernel: kernels.Kernel,
        relu: bool,
        plans: Sequence[Plan],
        *parameters: torch.Tensor,
    ) -> torch.Tensor:
        y, *inputs = kernel.forward(x, plans, parameters, relu, True)
        # Only a second derivative reads x itself: the operators have their own copy of x in `inputs`.
        ctx.save_for_backward(y if relu else x.new_empty(0), x, *parameters, *inputs)
        ctx.arguments = kernel, relu, plans
        return y

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        kernel, relu, plans = ctx.arguments
        y, x, *tensors = ctx.saved_tensors
        n = 2 * len(plans)
        parameters, inputs = tensors[:n], tensors[n:]
        needs = needs_x, *needs_parameters = ctx.needs_input_grad[:1] + ctx.needs_input_grad[4:]
        g = grads[0]
        if not torch.compiler.is_compiling() and (torch.is_grad_enabled() or is_transformed()):
            wirings = [LayerWiring(kernel, plan) for plan in plans]
            values = _differentiate_layer_by_layer(wirings, parameters, x, relu, g, needs)
        else:
            needs_weights = n > 2 or needs_parameters[0]
            g = make_dense(g)
            values = kernel.backward(g, y, inputs, plans, parameters, relu, needs_x, needs_weights)
        grad_x, *grad_parameters = (value if need else None for value, need in zip(values, needs, strict=True))
        return grad_x, None, None, None, *grad_parameters


def _differentiate_layer_by_layer(
    wirings: Sequence[LayerWiring],
    parameters: Sequence[torch.Tensor],
    x: torch.Tensor,
    relu: bool,
    g: torch.Tensor,
    needs: Sequence[bool],
) -> list[torch.Tensor | None]:
    """The gradients of x and of the parameters as differentiable functions of x, the parameters and g."""
    values = _run_layer_by_layer(wirings, parameters, x, relu)
    grads: list[torch.Tensor | None] = []
    for k in reversed(range(len(wirings))):
        if relu or k + 1 < len(wirings):
            g = torch.where(values[k + 1] <= 0, 0, g)
        _, needs_weight, needs_bias = needs[0], *needs[1 + 2 * k : 3 + 2 * k]
        grads.append(g.sum(0) if needs_bias else None)
        grads.append(contract(wirings[k], WEIGHT, values[k], g) if needs_weight else None)
        if any(needs[: 1 + 2 * k]):
            g = contract(wirings[k], INPUT, g, parameters[2 * k])
    return [g if needs[0] else None, *reversed(grads)]
