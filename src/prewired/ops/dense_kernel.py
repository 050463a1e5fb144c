"""The dense kernel: a sparse layer as a product with a dense matrix, which pays at high density.

A dense product multiplies with the zeros between the edges too, and zero times infinity, or times NaN, is NaN. The
edges alone have no such products. So a result with a NaN is computed again by the loops over the edges: all kernels
then give the same values. Programs that a compiler traces do not look at their results.
"""

import torch
from torch._C._functorch import is_legacy_batchedtensor  # pyright: ignore[reportMissingImports]
from torch.nn import functional

from . import kernels, reference
from .plan import Plan


def forward_dense(x, plans, parameters, relu, keep_inputs):
    """Compute `kernels.forward` for one layer; y is row-major."""
    (plan,), (weight, bias) = plans, parameters
    y = apply_matrix(x, build_matrix(plan, weight), plan, weight, bias)
    return [y.relu() if relu else y, *([x] if keep_inputs else [])]


def backward_dense(g, y, inputs, plans, parameters, relu, needs_x, needs_weights):
    """Compute `kernels.backward` for one layer; the gradient of x is row-major."""
    (plan,), (weight, bias), empty = plans, parameters, g.new_empty(0)
    if relu:
        g = torch.where(y <= 0, 0, g)
    grad_x = grad_weight = empty
    if needs_x:
        grad_x = g @ build_matrix(plan, weight)
        if _is_wrong(grad_x, plan):
            grad_x = _loops(g).backward(g, y, [empty], plans, [weight, empty], False, True, False)[0]
    if needs_weights:
        products = g.t() @ inputs[0]
        grad_weight = products.reshape(-1) if plan.is_complete else _gather(plan, products.contiguous())
    return [grad_x, grad_weight, g.sum(0) if bias.numel() else empty]


def build_matrix(plan: Plan, weight: torch.Tensor) -> torch.Tensor:
    """The weights (n_edges,) as a matrix (n_out, n_in), zero where there is no edge; a view if every edge exists."""
    if plan.is_complete:
        return weight.view(plan.n_out, plan.n_in)
    if not kernels.runs_natively(weight):
        return reference.scatter_weights_reference(plan, weight)
    if torch.compiler.is_exporting():
        return kernels.scatter_weights_program(plan, weight)
    return kernels.scatter_weights(plan, weight)


def apply_matrix(
    x: torch.Tensor, matrix: torch.Tensor, plan: Plan, weight: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    """Apply a layer to x, (batch, n_in), given its matrix; an empty bias means no bias."""
    y = functional.linear(x, matrix, bias if bias.numel() else None)
    return _loops(x).forward(x, [plan], [weight, bias], False, False)[0] if _is_wrong(y, plan) else y


def _is_wrong(values: torch.Tensor, plan: Plan) -> bool:
    """Whether a product may have a NaN that the edges do not cause."""
    if plan.is_complete or values.is_meta or torch.compiler.is_compiling():
        return False
    # The older vmap, of torch.autograd, hides the values; the loops are right whatever they are.
    return is_legacy_batchedtensor(values) or bool(values.sum().isnan())


def _loops(x: torch.Tensor) -> kernels.Kernel:
    return kernels.KERNELS["sparse" if kernels.runs_natively(x) else "reference"]


def _gather(plan: Plan, matrix: torch.Tensor) -> torch.Tensor:
    gather = kernels.gather_weights if kernels.runs_natively(matrix) else reference.gather_weights_reference
    return gather(plan, matrix)


DENSE_KERNEL = kernels.Kernel(forward_dense, backward_dense, reference.keep_input_reference)
