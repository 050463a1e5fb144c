"""PlanArrays: the index arrays that the compiled kernels read, computed from a topology."""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from ..topology import Topology
from .kernels import block_bytes

PANEL = 28 * 1024 // block_bytes()
"""Features in a panel. The activations of a panel, for one block of the batch, fit into an L1 cache of 32 KB."""
WORTH_A_PANEL = 6 * 1024 // block_bytes()
"""Use panels only if rows have at least this many edges per panel: with fewer, re-reading partial sums costs more than
it saves."""
WORTH_GROUPING = 1.5
"""Group rows with equal neighbourhoods only if a group has at least this many rows on average."""

WORTH_A_MASK = 0.2
"""A layer has a mask if its density is at least this: such a layer may run as a dense layer, and the dense matrix is
built fastest from a mask."""
MOST_DENSE_ELEMENTS = 2**28
"""Largest number of elements of a dense matrix that replaces the loops over edges."""


class PlanArrays(NamedTuple):
    """The edges ordered by output and, for the transposed product, by input.

    With one panel, starts are an indptr (n_rows + 1,). With several panels, starts are (n_panels + 1, n_rows): panel p
    of a row starts at [p, row] and ends at [p + 1, row]. The edges keep the order of the topology in both cases. If
    enough rows share their neighbourhoods, `rows` lists rows with equal neighbourhoods side by side; otherwise `rows`
    is empty.
    """

    starts: np.ndarray
    """int64: where the edges of each output start, panel by panel."""
    indices: np.ndarray
    """(n_edges,) int32: the input of each edge, ordered by output."""
    rows: np.ndarray
    """(n_out,) int32: the outputs, those with the same inputs side by side; or (0,)."""
    groups: np.ndarray
    """(n_groups + 1,) int32: where each group starts in `rows`; or (0,)."""
    mask: np.ndarray
    """(n_out * ceil(n_in / 8),) uint8: a bit for each pair of output and input, lowest bit first; or (0,)."""
    starts_by_input: np.ndarray
    """(n_in + 1,) int64: where the edges of each input start."""
    indices_by_input: np.ndarray
    """(n_edges,) int32: the output of each edge, ordered by input."""
    by_input: np.ndarray
    """(n_edges,) int32: the position, in the order by output, of each edge in the order by input."""
    rows_by_input: np.ndarray
    """(n_in,) int32: the inputs, those with the same outputs side by side; or (0,)."""


FORWARD_ARRAYS = 4
"""The first so many arrays serve the forward pass; gradients and dense matrices need the others too."""


def compute_arrays(t: Topology) -> PlanArrays:
    """Compute the arrays of a topology; O(n_edges) memory.

    Raises:
        ValueError: for 2**31 edges or more.

    Example:
        >>> from prewired import generators
        >>> compute_arrays(generators.rotating(3, 3, fan_in=2)).indices_by_input
        array([0, 2, 0, 1, 1, 2], dtype=int32)
    """
    if t.n_edges >= 2**31:
        raise ValueError(f"expected fewer than 2**31 edges in one layer, got {t.n_edges:,}; split the layer")
    edge_numbers = sparse.csr_array((np.arange(t.n_edges, dtype=np.int32), t.indices, t.indptr), (t.n_out, t.n_in))
    transposed = edge_numbers.tocsc()
    indptr_by_input, outputs = transposed.indptr.astype(np.int64), transposed.indices.astype(np.int32, copy=False)
    starts = panel_starts(t.indptr, t.indices, t.n_in)
    rows, groups = neighbourhoods(t.indptr, t.indices)
    rows_by_input, _ = neighbourhoods(indptr_by_input, outputs)
    by_input = indptr_by_input, outputs, transposed.data, rows_by_input
    return PlanArrays(starts, t.indices, rows, groups, mask(t), *by_input)


def mask(t: Topology) -> np.ndarray:
    """Compute one bit for each pair of output and input, each output in whole bytes.

    The mask is empty if the layer never runs as a dense layer.

    Example:
        >>> from prewired import generators
        >>> mask(generators.rotating(4, 2, fan_in=2))
        array([ 3, 12], dtype=uint8)
    """
    if not WORTH_A_MASK <= t.density < 1 or t.n_in * t.n_out > MOST_DENSE_ELEMENTS:
        return np.empty(0, np.uint8)
    edges = sparse.csr_array((np.ones(t.n_edges, bool), t.indices, t.indptr), (t.n_out, t.n_in))
    return np.packbits(edges.toarray(), axis=1, bitorder="little").reshape(-1)


def panel_starts(indptr: np.ndarray, indices: np.ndarray, n_features: int) -> np.ndarray:
    """Compute `PlanArrays.starts`: the indptr itself, or where each panel of each row starts.

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


def neighbourhoods(indptr: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Order the rows so that rows with equal indices are side by side; return the order and where each group starts.

    Both are empty if too few rows share their indices (WORTH_GROUPING).

    Example:
        >>> neighbourhoods(np.array([0, 2, 4, 6, 8]), np.array([0, 1, 2, 3, 0, 1, 2, 3]))
        (array([0, 2, 1, 3], dtype=int32), array([0, 2, 4], dtype=int32))
    """
    empty = np.empty(0, np.int32)
    n_rows, sizes = len(indptr) - 1, np.diff(indptr)
    hashes = _row_hashes(indptr, indices)
    # Rows with equal indices have equal hashes, so the number of hashes bounds the number of groups from below.
    if n_rows < WORTH_GROUPING * (1 + np.count_nonzero(np.diff(np.sort(hashes)))):
        return empty, empty
    _, first, kind = np.unique(hashes, return_index=True, return_inverse=True)
    rows = np.argsort(first[kind], kind="stable")
    # Different rows may share a hash, so neighbours in the new order are compared index by index.
    equal = _equal_to_previous_row(rows, indptr, indices, sizes)
    groups = np.flatnonzero(np.append(~equal, True))
    if n_rows < WORTH_GROUPING * (len(groups) - 1):
        return empty, empty
    return rows.astype(np.int32), groups.astype(np.int32)


def _row_hashes(indptr: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Hash the indices of each row: the sum of the indices, each mixed as in SplitMix64."""
    values = indices.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        values = (values ^ (values >> np.uint64(shift))) * np.uint64(factor)
    # Differences of one running sum give the sum of every row, empty rows included.
    total = np.append(np.uint64(0), np.cumsum(values, dtype=np.uint64))
    return total[indptr[1:]] - total[indptr[:-1]]


def _equal_to_previous_row(rows: np.ndarray, indptr: np.ndarray, indices: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Whether each row, in the order of `rows`, has the same indices as the previous row."""
    # Only rows of equal length can be equal; their edges are compared pair by pair.
    equal = np.append(False, sizes[rows[1:]] == sizes[rows[:-1]])
    pairs = np.flatnonzero(equal)
    n = sizes[rows[pairs]]
    offsets = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
    edges, previous_edges = (np.repeat(indptr[rows[at]], n) + offsets for at in (pairs, pairs - 1))
    different = np.repeat(pairs, n)[indices[edges] != indices[previous_edges]]

    equal[different] = False
    return equal
