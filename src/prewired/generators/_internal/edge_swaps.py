"""Double-edge swaps, which keep every degree, on edges that lie output by output."""

from collections.abc import Callable

import numpy as np

from ...random_bits import RandomBits
from .multigraph import SortedRows, Table, edges_of

_CHUNK = 1 << 18
_SHAKEN = 16
_TABLE = 8


class Rows:
    """A bipartite multigraph whose edges trade inputs: edge e joins the output whose row holds e to `inputs[e]`.

    Beside the edges, in an order that never changes, stand their cells, in which to look. It has state, as a random
    stream has; generators make one, swap, and return the sorted rows.

    Args:
        n_in: number of inputs.
        indptr: (n_out + 1,) where each output's edges start.
        inputs: (n_edges,) int32, taken over and changed in place.

    Example:
        >>> rows = Rows(2, np.array([0, 1, 2]), np.array([0, 1], np.int32))
        >>> rows.swap(np.array([0]), np.array([1]))
        array([ True])
        >>> rows.edges()
        (array([0, 1, 2]), array([1, 0], dtype=int32))
    """

    def __init__(self, n_in: int, indptr: np.ndarray, inputs: np.ndarray) -> None:
        self.n_in, self.indptr, self.inputs = n_in, indptr, inputs
        full = n_in * (len(indptr) - 1) <= _TABLE * len(inputs)
        self._cells = Table(n_in, indptr, inputs) if full else SortedRows(n_in, indptr, inputs)

    def edges(self) -> tuple[np.ndarray, np.ndarray]:
        """indptr and sorted indices, when no edges are parallel."""
        return self.indptr, self._cells.ranked()

    def swap(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Swap pairs of edges at once: (o, i), (p, j) -> (o, j), (p, i) where both new cells are free.

        A swap that shares an edge or a new cell with an earlier one of the same call waits. Returns which pairs are
        decided: swapped, or refused because a new cell is taken; the others may be proposed again.
        """
        o, p, i, j = self._outputs(first), self._outputs(second), self.inputs[first], self.inputs[second]
        free = (self._cells.copies(o, j) == 0) & (self._cells.copies(p, i) == 0)
        alone = self._alone(first, second) & self._alone(o * self.n_in + j, p * self.n_in + i)
        kept = free & alone
        o, p, i, j = o[kept], p[kept], i[kept], j[kept]
        self.inputs[first[kept]], self.inputs[second[kept]] = j, i
        self._cells.change(np.concatenate([o, p]), np.concatenate([i, j]), np.concatenate([j, i]))
        return alone | ~free

    def parallel(self) -> np.ndarray:
        """All edges that repeat an earlier one, sorted by output, then input."""
        edges, local = edges_of(self.indptr, self._cells.crowded())
        cells = local * self.n_in + self.inputs[edges]
        order = np.argsort(cells, kind="stable")
        return edges[order[1:][cells[order[1:]] == cells[order[:-1]]]]

    def repeated(self, edges: np.ndarray) -> np.ndarray:
        """Those of the given edges whose cell holds more than one edge."""
        return edges[self._cells.copies(self._outputs(edges), self.inputs[edges]) > 1]

    def _outputs(self, edges: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.indptr, edges, side="right") - 1

    def _alone(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """For each pair (a[k], b[k]) whether neither value occurs in an earlier pair or twice in this one."""
        fresh = self._cells.first(np.stack([a, b], axis=1).reshape(-1))
        return fresh[0::2] & fresh[1::2]


def configuration(n_in: int, fan_ins: np.ndarray, fan_outs: np.ndarray, bits: RandomBits) -> Rows:
    """The configuration model: every stub of an output meets a random stub of an input; edges may be parallel."""
    indptr = np.append(0, np.cumsum(fan_ins))
    stubs = np.repeat(np.arange(n_in, dtype=np.int32), fan_outs)
    order = bits.permutation(len(stubs))
    inputs = order.view(np.int32)[: len(stubs)]  # in the memory of what has been read
    for start in range(0, len(stubs), _CHUNK):
        inputs[start : start + _CHUNK] = stubs[order[start : start + _CHUNK]]
    del stubs
    inputs = inputs.copy()
    del order
    return Rows(n_in, indptr, inputs)


def untangle(
    rows: Rows, bits: RandomBits, max_rounds: int, partners: Callable[[np.ndarray], np.ndarray] | None = None
) -> bool:
    """Remove parallel edges by swaps with random partners; False if some are left after so many rounds.

    Swaps are proposed for every parallel edge and a few others drawn at random, which keep the search moving where the
    parallel edges alone are stuck. `partners` draws the second edge of each swap, by default among all edges.
    """
    n_edges = len(rows.inputs)
    parallel = rows.parallel()
    for _ in range(max_rounds):
        if len(parallel) == 0:
            return True
        first = np.concatenate([parallel, bits.integers(n_edges, _SHAKEN)])
        rows.swap(first, bits.integers(n_edges, len(first)) if partners is None else partners(first))
        parallel = rows.repeated(parallel)
    return len(parallel) == 0
