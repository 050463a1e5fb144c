"""Plan: what a kernel needs to know of a topology, computed once per layer."""

from typing import NamedTuple

import torch

from .topology import Topology


class Plan(NamedTuple):
    """The edges by output and, for the transposed product, by input.

    `by_input[k]` is the position, in the order by output, of the k-th edge in the order by input.
    """

    indptr: torch.Tensor
    """(n_out + 1,) int64: where each output's edges start."""
    indices: torch.Tensor
    """(n_edges,) int32: the input of each edge, ordered by output."""
    indptr_by_input: torch.Tensor
    """(n_in + 1,) int64: where each input's edges start."""
    indices_by_input: torch.Tensor
    """(n_edges,) int32: the output of each edge, ordered by input."""
    by_input: torch.Tensor
    """(n_edges,) int32: the permutation between the two orders."""


def plan(t: Topology) -> Plan:
    """The plan of a topology; O(n_edges) memory. Edges beyond 2**31 - 1 raise ValueError.

    Example:
        >>> from prewired import generators
        >>> plan(generators.rotating(3, 3, fan_in=2)).indices_by_input.tolist()
        [0, 2, 0, 1, 1, 2]
    """
    if t.n_edges >= 2**31:
        raise ValueError(f"expected fewer than 2**31 edges in one layer, got {t.n_edges:,}; split the layer")
    indices = torch.tensor(t.indices)
    by_input = torch.argsort(indices, stable=True).to(torch.int32)
    outputs = torch.repeat_interleave(torch.arange(t.n_out, dtype=torch.int32), torch.tensor(t.fan_in))
    indptr_by_input = torch.zeros(t.n_in + 1, dtype=torch.int64)
    torch.cumsum(torch.tensor(t.fan_out), 0, out=indptr_by_input[1:])
    return Plan(torch.tensor(t.indptr), indices, indptr_by_input, outputs[by_input], by_input)
