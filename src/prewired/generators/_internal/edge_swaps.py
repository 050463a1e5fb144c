"""Double-edge swaps, which keep every degree, on edges that are stored output by output."""

from collections.abc import Callable

import numpy as np

from ...random_bits import RandomBits
from .multigraph import CellCounts, SortedInputs, edges_of

_CHUNK = 1 << 18
_EXTRA_SWAPS = 16
_CELLS_PER_EDGE = 8
"""Counts of all cells are kept if there are at most so many cells per edge (64 bytes per edge)."""


class Rows:
    """A bipartite multigraph whose edges trade inputs: edge e joins the output whose row holds e to `inputs[e]`.

    The order of the edges never changes, so edge numbers stay valid. Beside the edges, a `CellCounts` or a
    `SortedInputs` answers whether a cell is free. Rows have state, as a random stream has: a generator builds them,
    swaps, and returns the sorted rows.

    Args:
        n_in: number of inputs.
        indptr: (n_out + 1,) where each output's edges start.
        inputs: (n_edges,) int32; the array is not copied, and swaps change it.

    Example:
        >>> rows = Rows(2, np.array([0, 1, 2]), np.array([0, 1], np.int32))
        >>> rows.swap(np.array([0]), np.array([1]))
        array([ True])
        >>> rows.to_csr()
        (array([0, 1, 2]), array([1, 0], dtype=int32))
    """

    def __init__(self, n_in: int, indptr: np.ndarray, inputs: np.ndarray) -> None:
        self.n_in, self.indptr, self.inputs = n_in, indptr, inputs
        is_dense = n_in * (len(indptr) - 1) <= _CELLS_PER_EDGE * len(inputs)
        self._cells = CellCounts(n_in, indptr, inputs) if is_dense else SortedInputs(n_in, indptr, inputs)

    def to_csr(self) -> tuple[np.ndarray, np.ndarray]:
        """Return indptr and sorted indices, if no edges are parallel."""
        return self.indptr, self._cells.sorted_inputs()

    def swap(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Swap pairs of edges at once: (o, i), (p, j) -> (o, j), (p, i), if both new cells are free.

        A swap that shares an edge or a new cell with an earlier swap of the same call is left undecided.

        Args:
            first, second: (n_swaps,) the edges of each pair.

        Returns:
            (n_swaps,) bool: which pairs are decided: swapped, or refused because a new cell is taken. The others may be
            proposed again.
        """
        o, p, i, j = self._outputs(first), self._outputs(second), self.inputs[first], self.inputs[second]
        is_free = (self._cells.count_edges(o, j) == 0) & (self._cells.count_edges(p, i) == 0)
        # Swaps that share nothing do not influence each other. So doing them at once equals doing them one by one.
        is_independent = self._is_independent(first, second)
        is_independent &= self._is_independent(o * self.n_in + j, p * self.n_in + i)
        accepted = is_free & is_independent
        o, p, i, j = o[accepted], p[accepted], i[accepted], j[accepted]
        self.inputs[first[accepted]], self.inputs[second[accepted]] = j, i
        self._cells.move_edges(np.concatenate([o, p]), np.concatenate([i, j]), np.concatenate([j, i]))
        return is_independent | ~is_free

    def find_parallel(self) -> np.ndarray:
        """Return all edges that repeat an earlier edge of the same cell, sorted by output, then input."""
        edges, local = edges_of(self.indptr, self._cells.outputs_to_check())
        cells = local * self.n_in + self.inputs[edges]
        order = np.argsort(cells, kind="stable")
        return edges[order[1:][cells[order[1:]] == cells[order[:-1]]]]

    def select_parallel(self, edges: np.ndarray) -> np.ndarray:
        """Return the edges among those given whose cell holds more than one edge."""
        return edges[self._cells.count_edges(self._outputs(edges), self.inputs[edges]) > 1]

    def _outputs(self, edges: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.indptr, edges, side="right") - 1

    def _is_independent(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return for each pair (a[k], b[k]) whether its values differ, and neither occurs in an earlier pair."""
        is_first = self._cells.is_first(np.stack([a, b], axis=1).reshape(-1))
        return is_first[0::2] & is_first[1::2]


def match_stubs(n_in: int, fan_ins: np.ndarray, fan_outs: np.ndarray, bits: RandomBits) -> Rows:
    """Draw a multigraph with these degrees from the configuration model; edges may be parallel.

    Every vertex has as many stubs (half edges) as its degree says. Each stub of an output meets a random stub of an
    input. All matchings of stubs are equally likely, so all simple graphs are, too.
    """
    indptr = np.append(0, np.cumsum(fan_ins))
    stubs = np.repeat(np.arange(n_in, dtype=np.int32), fan_outs)
    order = bits.permutation(len(stubs))
    # The int32 inputs overwrite the int64 order from its start. The part that is overwritten has been read already.
    inputs = order.view(np.int32)[: len(stubs)]
    for start in range(0, len(stubs), _CHUNK):
        inputs[start : start + _CHUNK] = stubs[order[start : start + _CHUNK]]
    del stubs  # before the copy, to keep the peak of memory low
    inputs = inputs.copy()
    del order
    return Rows(n_in, indptr, inputs)


def untangle(
    rows: Rows, bits: RandomBits, max_rounds: int, draw_partners: Callable[[np.ndarray], np.ndarray] | None = None
) -> bool:
    """Remove parallel edges by swaps with random partners; return False if some are left after so many rounds.

    Throwing the whole graph away and drawing again would give exactly uniform graphs. But the probability that a random
    matching has no parallel edges falls fast as the degrees grow, so this might never end. Swaps keep all degrees
    and remove each parallel edge in few rounds; the result is nearly uniform.

    Args:
        rows: the multigraph; swaps change it.
        bits: where partners are drawn from.
        max_rounds: rounds of swaps.
        draw_partners: first edges -> second edges of the swaps; by default all edges are equally likely.
    """
    n_edges = len(rows.inputs)
    parallel = rows.find_parallel()
    for _ in range(max_rounds):
        if len(parallel) == 0:
            return True
        # The parallel edges alone may have no partner that helps. A few swaps of random edges change the graph
        # around them until they have one.
        first = np.concatenate([parallel, bits.integers(n_edges, _EXTRA_SWAPS)])
        rows.swap(first, bits.integers(n_edges, len(first)) if draw_partners is None else draw_partners(first))
        parallel = rows.select_parallel(parallel)  # swaps only fill free cells, so no new parallel edges appear
    return len(parallel) == 0
