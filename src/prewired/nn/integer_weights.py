"""Weights as integers with a scale for each output: rounding, packing, and the way back."""

import torch
from torch.nn import functional

_CLIP_SHARES = torch.linspace(0.5, 1.02, 27)
"""Candidates for the largest representable weight of a row, as shares of the row's largest weight."""


def pack_int4(integers: torch.Tensor) -> torch.Tensor:
    """Pack integers from -8 to 7, (n,), into uint8, (ceil(n / 2),): two per byte, the first in the low four bits.

    Example:
        >>> pack_int4(torch.tensor([1, -1, 7], dtype=torch.int8))
        tensor([241,   7], dtype=torch.uint8)
    """
    nibbles = functional.pad(integers.to(torch.uint8) & 15, (0, len(integers) % 2)).view(-1, 2)
    return nibbles[:, 0] | nibbles[:, 1] << 4


def unpack_int4(values: torch.Tensor, n: int) -> torch.Tensor:
    """Unpack n integers, int8, that `pack_int4` packed."""
    pairs = values.view(torch.int8)  # signed, so that a shift to the right keeps the sign
    return torch.stack((pairs << 4 >> 4, pairs >> 4), dim=1).view(-1)[:n]


def dequantize(values: torch.Tensor, scale: torch.Tensor | None, fan_in: torch.Tensor, n_edges: int) -> torch.Tensor:
    """Compute the weights of a quantised layer, (n_edges,) float32, from its tensors and the fan-in of each output."""
    if scale is None:
        return values.float()
    integers = unpack_int4(values, n_edges) if values.dtype == torch.uint8 else values
    return integers.float() * scale.float().repeat_interleave(fan_in, output_size=n_edges)


def cast_to(values: torch.Tensor, dtype: torch.dtype, name: str) -> torch.Tensor:
    """Cast values to another type; raises a ValueError if a value becomes infinite."""
    rounded = values.to(dtype)
    if not torch.isfinite(rounded).all():
        remedy = "take bfloat16" if dtype == torch.float16 else "make them smaller"
        raise ValueError(f"expected {name} that fit in {dtype}, got one of {values.abs().max():.3g}; {remedy}")
    return rounded


def round_weights(weight: torch.Tensor, fan_in: torch.Tensor, largest: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Find the scale of each row, (n_out,) bfloat16, and the integers, (n_edges,) int8, of least squared error.

    A smaller scale rounds small weights better but clips the largest weights. So several shares of the largest weight
    are tried.
    """
    weight = weight.double()
    row = torch.repeat_interleave(torch.arange(len(fan_in), device=weight.device), fan_in)
    zeros = weight.new_zeros(len(fan_in))
    most = zeros.scatter_reduce(0, row, weight.abs(), "amax")
    best, least = zeros.bfloat16(), torch.full_like(zeros, torch.inf)

    def integers(scale: torch.Tensor) -> torch.Tensor:
        factor = scale.double()[row]
        return torch.where(factor > 0, weight / factor, 0).round().clamp(-largest, largest)

    for clip in _CLIP_SHARES.tolist():
        scale = cast_to(most * (clip / largest), torch.bfloat16, "weights")
        error = zeros.index_add(0, row, (weight - integers(scale) * scale.double()[row]).square())
        best, least = torch.where(error < least, scale, best), torch.minimum(error, least)
    return best, integers(best).to(torch.int8)
