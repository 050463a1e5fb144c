"""The products of one sparse layer as one trilinear form, which can be differentiated any number of times.

A layer of weights w maps x to y. With g, the gradient of y, T(w, x, g) is the sum of w[e] * x[b, input of e] *
g[b, output of e] over the edges e and the rows b. The derivative of T by g is the product x W^T, the derivative by x is
g W, and the derivative by w is the gradient of the weights. T is linear in each argument, so the derivatives of these
three functions are the same three functions: one autograd function is enough for every order and for both modes.
"""

# pyright: reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false

from typing import Any, NamedTuple

import torch

from . import kernels, reference
from .plan import Plan

WEIGHT, INPUT, OUTPUT = range(3)
"""The arguments of T, in cyclic order: of argument k, the next two are (k + 1) % 3 and (k + 2) % 3."""


class LayerWiring(NamedTuple):
    """The plan of one layer, and the kernel that reads it."""

    kernel: kernels.Kernel
    plan: Plan

    def differentiate(self, slot: int, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """The derivative of T by argument `slot`; a and b are the next two arguments in cyclic order."""
        kernel, plans = self.kernel, [self.plan]
        empty = a.new_empty(0)
        if slot == OUTPUT:
            return kernel.forward(make_dense(b), plans, [a, empty], False, False)[0]
        if slot == INPUT:
            return kernel.backward(make_dense(a), empty, [empty], plans, [b, empty], False, True, False)[0]
        inputs, weight = kernel.keep_input(make_dense(a)), a.new_zeros(self.plan.n_edges)
        return kernel.backward(make_dense(b), empty, [inputs], plans, [weight, empty], False, False, True)[1]


def contract(wiring: LayerWiring, slot: int, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The derivative of T by argument `slot`, differentiable; a and b are the next two arguments in cyclic order."""
    if torch.compiler.is_compiling() or _is_forward_mode_nested():
        return _contract_plainly(wiring, slot, a, b)
    return Contraction.apply(wiring, slot, a, b)


def _is_forward_mode_nested() -> bool:
    """Whether torch.func.jvp runs inside torch.func.jvp, where torch loses tangents of autograd functions."""
    stack = torch._C._functorch.get_interpreter_stack() or ()
    return sum(interpreter.key() == torch._C._functorch.TransformType.Jvp for interpreter in stack) > 1


def _contract_plainly(wiring: LayerWiring, slot: int, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Compute `contract` with operations of torch alone; takes n_edges * batch memory."""
    outputs, inputs = wiring.plan.edges_on(a.device)
    wide_a, wide_b = reference.widen(a), reference.widen(b)
    if slot == WEIGHT:
        return (wide_a[:, inputs] * wide_b[:, outputs]).sum(0).to(a.dtype)
    if slot == OUTPUT:
        terms, targets, n = wide_b[:, inputs] * wide_a, outputs, wiring.plan.n_out
    else:
        terms, targets, n = wide_a[:, outputs] * wide_b, inputs, wiring.plan.n_in
    return terms.new_zeros(terms.shape[0], n).index_add(1, targets, terms).to(a.dtype)


def make_dense(x: torch.Tensor) -> torch.Tensor:
    """Return x, or a contiguous copy unless x or its transpose is contiguous."""
    return x if x.is_contiguous() or x.t().is_contiguous() else x.contiguous()


class Contraction(torch.autograd.Function):
    """The derivative of T by one argument, as a differentiable function of the other two."""

    @staticmethod
    def forward(wiring: LayerWiring, slot: int, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Return the derivative by argument `slot`; a and b are the next two arguments in cyclic order."""
        return wiring.differentiate(slot, a.contiguous() if a.ndim == 1 else a, b.contiguous() if b.ndim == 1 else b)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Save the arguments for both modes."""
        ctx.wiring, ctx.slot, *arguments = inputs
        ctx.save_for_backward(*arguments)
        ctx.save_for_forward(*arguments)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        """The derivatives of T by the other arguments, with the incoming gradient in place of argument `slot`."""
        (a, b), (g,) = ctx.saved_tensors, grads
        grad_a = contract(ctx.wiring, (ctx.slot + 1) % 3, b, g) if ctx.needs_input_grad[2] else None
        grad_b = contract(ctx.wiring, (ctx.slot + 2) % 3, g, a) if ctx.needs_input_grad[3] else None
        return None, None, grad_a, grad_b

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        """The product rule."""
        (a, b), (_, _, tangent_a, tangent_b) = ctx.saved_tensors, tangents
        terms = [(tangent_a, b)] * (tangent_a is not None) + [(a, tangent_b)] * (tangent_b is not None)
        first, *rest = (contract(ctx.wiring, ctx.slot, *term) for term in terms)
        return sum(rest, first)

    @staticmethod
    def vmap(info: Any, in_dims: Any, wiring: LayerWiring, slot: int, a: torch.Tensor, b: torch.Tensor) -> Any:
        """Fold the new dimension into the batch if all of it shares the weights; else go through it one by one."""
        a, b = (x if dim is None else x.movedim(dim, 0) for x, dim in zip((a, b), in_dims[2:], strict=True))
        batched = [dim is not None for dim in in_dims[2:]]
        if slot != WEIGHT and not batched[slot == INPUT]:
            a, b = (x.flatten(0, 1) if fold else x for x, fold in zip((a, b), batched, strict=True))
            y = contract(wiring, slot, a, b)
            return y.unflatten(0, (info.batch_size, len(y) // max(info.batch_size, 1))), 0
        if slot == WEIGHT and a.shape[-2] == 1:
            # The gradients of single rows, as in vmap(grad(...)): one product for each edge and row.
            outputs, inputs = wiring.plan.edges_on(a.device)
            return a[..., 0, :].index_select(-1, inputs) * b[..., 0, :].index_select(-1, outputs), 0
        pairs = zip(
            *(x if many else [x] * info.batch_size for x, many in zip((a, b), batched, strict=True)), strict=True
        )
        return torch.stack([contract(wiring, slot, *pair) for pair in pairs]), 0
