"""The reference of every operator in plain PyTorch: slow, for any device, and what the kernels are tested against."""

from collections.abc import Sequence

import torch

Tensors = Sequence[torch.Tensor]


def forward_reference(x, plans, parameters, relu, keep_inputs):
    """Compute `kernels.forward` in plain PyTorch; takes n_edges * batch memory a layer."""
    inputs = []
    for k, plan in enumerate(plans):
        outputs_of_edges, inputs_of_edges = plan.edges_on(x.device)
        weight, bias = parameters[2 * k : 2 * k + 2]
        inputs.append(x)
        terms = widen(weight)[:, None] * widen(x.t())[inputs_of_edges]
        y = terms.new_zeros(plan.n_out, x.shape[0]).index_add_(0, outputs_of_edges, terms)
        if bias.numel():
            y += widen(bias)[:, None]
        x = (y.relu() if relu or k + 1 < len(plans) else y).to(x.dtype).t()
    return [_feature_major(x), *(inputs if keep_inputs else ())]


def backward_reference(g, y, inputs, plans, parameters, relu, needs_x, needs_weights):
    """Compute `kernels.backward` in plain PyTorch; takes n_edges * batch memory a layer."""
    empty = g.new_empty(0)
    grads = []
    if relu:
        g = torch.where(y <= 0, 0, g)
    for k, plan in reversed(list(enumerate(plans))):
        outputs_of_edges, inputs_of_edges = plan.edges_on(g.device)
        weight, bias = parameters[2 * k : 2 * k + 2]
        g_out = widen(g.t())
        grads.append(g_out.sum(1).to(g.dtype) if bias.numel() else empty)
        products = (g_out[outputs_of_edges] * widen(inputs[k].t())[inputs_of_edges]).sum(1) if needs_weights else empty
        grads.append(products.to(g.dtype))
        if k or needs_x:
            terms = widen(weight)[:, None] * g_out[outputs_of_edges]
            g_in = g_out.new_zeros(plan.n_in, g.shape[0]).index_add_(0, inputs_of_edges, terms)
            g = (torch.where(inputs[k] <= 0, 0, g_in.t()) if k else g_in.t()).to(g.dtype)
    return [_feature_major(g) if needs_x else empty, *reversed(grads)]


def keep_input_reference(x):
    """Return x: `backward_reference` reads any layout."""
    return x


def scatter_weights_reference(plan, values):
    """Compute `kernels.scatter_weights` in plain PyTorch; differentiable."""
    return values.new_zeros(plan.n_out, plan.n_in).index_put(plan.edges_on(values.device), values)


def gather_weights_reference(plan, dense):
    """Compute `kernels.gather_weights` in plain PyTorch."""
    return dense[plan.edges_on(dense.device)]


def widen(values: torch.Tensor) -> torch.Tensor:
    """The values in the type of the computation: float32 for half precision."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def _feature_major(x: torch.Tensor) -> torch.Tensor:
    """A copy of x, not a view, with strides (1, batch)."""
    return torch.empty_strided(x.shape, (1, x.shape[0]), dtype=x.dtype, device=x.device).copy_(x)
