"""The reference of every operator in plain PyTorch: slow, for any device, and what the kernels are tested against."""

from collections.abc import Iterator, Sequence

import torch

PER_LAYER = 4
"""Index tensors of a layer that an operator reads."""
Tensors = Sequence[torch.Tensor]


def forward_reference(x, wiring, parameters, relu, keep_inputs):
    """Compute `kernels.forward` in plain PyTorch; takes n_edges * batch memory a layer."""
    inputs = []
    for k, last in numbered_layers(wiring):
        starts, indices = wiring[PER_LAYER * k : PER_LAYER * k + 2]
        weight, bias = parameters[2 * k : 2 * k + 2]
        inputs.append(x)
        terms = widen(weight)[:, None] * widen(x.t())[indices]
        y = terms.new_zeros(row_count(starts), x.shape[0]).index_add_(0, row_of_each_edge(starts, len(indices)), terms)
        if bias.numel():
            y += widen(bias)[:, None]
        x = (y.relu() if relu or not last else y).to(x.dtype).t()
    return [_feature_major(x), *(inputs if keep_inputs else ())]


def backward_reference(g, y, inputs, wiring, by_input, parameters, relu, needs_x, needs_weights):
    """Compute `kernels.backward` in plain PyTorch; takes n_edges * batch memory a layer."""
    empty = g.new_empty(0)
    grads = []
    if relu:
        g = torch.where(y <= 0, 0, g)
    for k, _ in reversed(list(numbered_layers(wiring))):
        starts, indices = wiring[PER_LAYER * k : PER_LAYER * k + 2]
        weight, bias = parameters[2 * k : 2 * k + 2]
        rows, g_out, n_in = row_of_each_edge(starts, len(indices)), widen(g.t()), row_count(by_input[PER_LAYER * k])
        grads.append(g_out.sum(1).to(g.dtype) if bias.numel() else empty)
        grads.append((g_out[rows] * widen(inputs[k].t())[indices]).sum(1).to(g.dtype) if needs_weights else empty)
        if k or needs_x:
            terms = widen(weight)[:, None] * g_out[rows]
            g_in = g_out.new_zeros(n_in, g.shape[0]).index_add_(0, indices.long(), terms)
            g = (torch.where(inputs[k] <= 0, 0, g_in.t()) if k else g_in.t()).to(g.dtype)
    return [_feature_major(g) if needs_x else empty, *reversed(grads)]


def scatter_weights_reference(starts, indices, mask, values, n_in):
    """Compute `kernels.scatter_weights` in plain PyTorch; differentiable."""
    return values.new_zeros(row_count(starts), n_in).index_put(
        (row_of_each_edge(starts, len(indices)), indices.long()), values
    )


def gather_weights_reference(starts, indices, mask, dense):
    """Compute `kernels.gather_weights` in plain PyTorch."""
    return dense[row_of_each_edge(starts, len(indices)), indices.long()]


def numbered_layers(wiring: Tensors) -> Iterator[tuple[int, bool]]:
    """The number of each layer, and whether it is the last."""
    n = len(wiring) // PER_LAYER
    return ((k, k == n - 1) for k in range(n))


def row_count(starts: torch.Tensor) -> int:
    """The number of rows that `Plan.starts` or `Plan.starts_by_input` describes."""
    return starts.shape[0] - 1 if starts.ndim == 1 else starts.shape[1]


def row_of_each_edge(starts: torch.Tensor, n_edges: int) -> torch.Tensor:
    """The output of each edge, (n_edges,) int64."""
    fan_in = starts.diff() if starts.ndim == 1 else starts[-1] - starts[0]
    return torch.arange(len(fan_in), device=starts.device).repeat_interleave(fan_in, output_size=n_edges)


def widen(values: torch.Tensor) -> torch.Tensor:
    """The values in the type of the computation: float32 for half precision."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def _feature_major(x: torch.Tensor) -> torch.Tensor:
    """A copy of x, not a view, with strides (1, batch)."""
    return torch.empty_strided(x.shape, (1, x.shape[0]), dtype=x.dtype, device=x.device).copy_(x)
