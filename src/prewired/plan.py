"""Plan: what a kernel needs to know of a topology, computed once per layer."""

from typing import NamedTuple

import numpy as np
import torch

from .topology import Topology

PANEL = 96
"""Features in a panel: 96 blocks of 512 bytes of activations stay in the L1 cache while a panel is worked on."""
WORTH_A_PANEL = 8
"""Mean edges of a row inside a panel from which on reading the row's output again and again pays."""


class Plan(NamedTuple):
    """The edges by output and, for the transposed product, by input.

    Starts are (n_rows + 1,), as an indptr, where all features are one panel; otherwise (n_panels + 1, n_rows): panel p
    of a row starts at [p, row] and ends at [p + 1, row]. Edges stay in the order of the topology in both cases.
    """

    starts: torch.Tensor
    """int64: where the edges of each output start, panel by panel."""
    indices: torch.Tensor
    """(n_edges,) int32: the input of each edge, ordered by output."""
    starts_by_input: torch.Tensor
    """int64: where the edges of each input start, panel by panel."""
    indices_by_input: torch.Tensor
    """(n_edges,) int32: the output of each edge, ordered by input."""
    by_input: torch.Tensor
    """(n_edges,) int32: the position, in the order by output, of each edge in the order by input."""


def plan(t: Topology) -> Plan:
    """The plan of a topology; O(n_edges) memory.

    Raises:
        ValueError: for 2**31 edges or more.

    Example:
        >>> from prewired import generators
        >>> plan(generators.rotating(3, 3, fan_in=2)).indices_by_input.tolist()
        [0, 2, 0, 1, 1, 2]
    """
    if t.n_edges >= 2**31:
        raise ValueError(f"expected fewer than 2**31 edges in one layer, got {t.n_edges:,}; split the layer")
    by_input = np.argsort(t.indices, kind="stable").astype(np.int32)
    outputs = np.repeat(np.arange(t.n_out, dtype=np.int32), t.fan_in)[by_input]
    indptr_by_input = np.append(0, np.cumsum(t.fan_out))
    arrays = (
        panel_starts(t.indptr, t.indices, t.n_in),
        t.indices,
        panel_starts(indptr_by_input, outputs, t.n_out),
        outputs,
        by_input,
    )
    return Plan(*map(torch.tensor, arrays))


def panel_starts(indptr: np.ndarray, indices: np.ndarray, n_features: int) -> np.ndarray:
    """Starts as a Plan has them: the indptr itself, or where each panel of each row starts.

    Example:
        >>> panel_starts(np.array([0, 2, 3]), np.array([0, 4, 1]), 5)
        array([0, 2, 3])
    """
    n_rows, n_panels = len(indptr) - 1, -(-n_features // PANEL)
    if n_panels == 1 or len(indices) < WORTH_A_PANEL * n_panels * n_rows:
        return indptr
    rows = np.repeat(np.arange(n_rows), np.diff(indptr))
    counts = np.bincount(indices // PANEL * n_rows + rows, minlength=n_panels * n_rows).reshape(n_panels, n_rows)
    return np.vstack([indptr[:-1], indptr[:-1] + np.cumsum(counts, axis=0)])
