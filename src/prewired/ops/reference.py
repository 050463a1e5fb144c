"""The reference of every operator in plain PyTorch: slow, on any device, and what the kernels are tested against."""

from collections.abc import Iterator, Sequence

import torch

PER_LAYER = 4
Tensors = Sequence[torch.Tensor]


def forward_reference(x, wiring, parameters, relu, keep):
    """What `forward` computes, in plain PyTorch; takes n_edges * batch memory a layer."""
    kept = []
    for k, last in numbered_layers(wiring):
        starts, indices = wiring[PER_LAYER * k : PER_LAYER * k + 2]
        weight, bias = parameters[2 * k : 2 * k + 2]
        kept.append(x)
        terms = _wide(weight)[:, None] * _wide(x.t())[indices]
        y = terms.new_zeros(row_count(starts), x.shape[0]).index_add_(0, _rows(starts), terms)
        if bias.numel():
            y += _wide(bias)[:, None]
        x = (y.relu() if relu or not last else y).to(x.dtype).t()
    return [_feature_major(x), *(kept if keep else ())]


def backward_reference(g, y, kept, wiring, by_input, parameters, relu, needs_x, needs_weights):
    """What `backward` computes, in plain PyTorch; takes n_edges * batch memory a layer."""
    none = g.new_empty(0)
    grads = []
    if relu:
        g = torch.where(y <= 0, 0, g)
    for k, _ in reversed(list(numbered_layers(wiring))):
        starts, indices = wiring[PER_LAYER * k : PER_LAYER * k + 2]
        weight, bias = parameters[2 * k : 2 * k + 2]
        rows, wide, n_in = _rows(starts), _wide(g.t()), row_count(by_input[PER_LAYER * k])
        grads.append(wide.sum(1).to(g.dtype) if bias.numel() else none)
        grads.append((wide[rows] * _wide(kept[k].t())[indices]).sum(1).to(g.dtype) if needs_weights else none)
        if k or needs_x:
            down = wide.new_zeros(n_in, g.shape[0]).index_add_(0, indices.long(), _wide(weight)[:, None] * wide[rows])
            g = (torch.where(kept[k] <= 0, 0, down.t()) if k else down.t()).to(g.dtype)
    return [_feature_major(g) if needs_x else none, *reversed(grads)]


def scattered_reference(starts, indices, mask, values, n_in):
    """What `scattered` computes, in plain PyTorch; differentiable."""
    return values.new_zeros(row_count(starts), n_in).index_put((_rows(starts), indices.long()), values)


def gathered_reference(starts, indices, mask, dense):
    """What `gathered` computes, in plain PyTorch."""
    return dense[_rows(starts), indices.long()]


def numbered_layers(wiring: Tensors) -> Iterator[tuple[int, bool]]:
    """The number of each layer, and whether it is the last."""
    n = len(wiring) // PER_LAYER
    return ((k, k == n - 1) for k in range(n))


def _wide(values: torch.Tensor) -> torch.Tensor:
    """In the type that values are computed in."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def _feature_major(x: torch.Tensor) -> torch.Tensor:
    """A tensor of its own (no view) with strides (1, batch)."""
    return torch.empty_strided(x.shape, (1, x.shape[0]), dtype=x.dtype, device=x.device).copy_(x)


def row_count(starts: torch.Tensor) -> int:
    """Return the number of outputs, from the starts of the rows."""
    return starts.shape[0] - 1 if starts.ndim == 1 else starts.shape[1]


def _rows(starts: torch.Tensor) -> torch.Tensor:
    """The row of each edge."""
    fan_in = starts.diff() if starts.ndim == 1 else starts[-1] - starts[0]
    return torch.repeat_interleave(torch.arange(len(fan_in), device=starts.device), fan_in)
