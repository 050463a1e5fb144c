"""Where the edges of a multigraph lie: how many each cell holds, kept while edges trade inputs.

Two ways of one meaning, for `swaps.Rows`: a table of all cells where a good part of them is taken, sorted rows
elsewhere, which take memory of the edges alone.
"""

import numpy as np

_CHUNK = 1 << 18


class Table:
    """Counts of all cells, output * n_in + input."""

    def __init__(self, n_in: int, indptr: np.ndarray, inputs: np.ndarray) -> None:
        self.n_in, n_out = n_in, len(indptr) - 1
        cells = np.repeat(np.arange(n_out), np.diff(indptr)) * n_in + inputs
        self._counts = np.bincount(cells, minlength=n_in * n_out).astype(np.int32)
        self._earliest = np.empty_like(self._counts)

    def copies(self, outputs: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """How many edges each cell holds."""
        return self._counts[outputs * self.n_in + inputs]

    def crowded(self) -> np.ndarray:
        """The outputs that have parallel edges, sorted."""
        return np.unique(np.flatnonzero(self._counts > 1) // self.n_in)

    def change(self, outputs: np.ndarray, old: np.ndarray, new: np.ndarray) -> None:
        """Edges of these outputs leave the old inputs for the new ones."""
        np.subtract.at(self._counts, outputs * self.n_in + old, 1)
        np.add.at(self._counts, outputs * self.n_in + new, 1)

    def first(self, values: np.ndarray) -> np.ndarray:
        """Which of the values, edges or cells, have not occurred before."""
        order = np.arange(len(values), dtype=np.int32)
        self._earliest[values[::-1]] = order[::-1]
        return self._earliest[values] == order

    def ranked(self) -> np.ndarray:
        """The inputs of every output, sorted, when no edges are parallel."""
        return (np.flatnonzero(self._counts) % self.n_in).astype(np.int32)


class SortedRows:
    """The inputs of every output, sorted."""

    def __init__(self, n_in: int, indptr: np.ndarray, inputs: np.ndarray) -> None:
        self.n_in, self._indptr, self._ranked = n_in, indptr, inputs.copy()
        n_out = len(indptr) - 1
        step = max(1, _CHUNK * n_out // max(len(inputs), 1))
        for start in range(0, n_out, step):
            edges, cells = self._cells(np.arange(start, min(start + step, n_out)))
            self._rank(edges, cells)

    def copies(self, outputs: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """How many edges each cell holds, counted up to two."""
        low, end = self._indptr[outputs], self._indptr[outputs + 1]
        high, last = end.copy(), len(self._ranked) - 1
        while (open_ := low < high).any():
            middle = (low + high) >> 1
            below = open_ & (self._ranked[np.minimum(middle, last)] < inputs)
            low = np.where(below, middle + 1, low)
            high = np.where(open_ & ~below, middle, high)
        one = (low < end) & (self._ranked[np.minimum(low, last)] == inputs)
        two = one & (low + 1 < end) & (self._ranked[np.minimum(low + 1, last)] == inputs)
        return one.astype(np.int8) + two

    def crowded(self) -> np.ndarray:
        """The outputs that have parallel edges, sorted; at times others."""
        again = np.flatnonzero(self._ranked[1:] == self._ranked[:-1])
        return np.unique(np.searchsorted(self._indptr, again, side="right") - 1)

    def change(self, outputs: np.ndarray, old: np.ndarray, new: np.ndarray) -> None:
        """Edges of these outputs leave the old inputs for the new ones."""
        rows, local = np.unique(outputs, return_inverse=True)
        edges, cells = self._cells(rows)
        gone = np.sort(local * self.n_in + old)
        copy = np.arange(len(gone)) - np.searchsorted(gone, gone)
        cells[np.searchsorted(cells, gone) + copy] = local * self.n_in + new
        self._rank(edges, cells)

    def first(self, values: np.ndarray) -> np.ndarray:
        """Which of the values, edges or cells, have not occurred before."""
        fresh = np.zeros(len(values), bool)
        fresh[np.unique(values, return_index=True)[1]] = True
        return fresh

    def ranked(self) -> np.ndarray:
        """The inputs of every output, sorted."""
        return self._ranked

    def _cells(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The places of some rows, and their cells as if there were no other rows."""
        edges, local = edges_of(self._indptr, rows)
        return edges, local * self.n_in + self._ranked[edges]

    def _rank(self, edges: np.ndarray, cells: np.ndarray) -> None:
        cells.sort()
        cells %= self.n_in
        self._ranked[edges] = cells


def edges_of(indptr: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The edges of some rows, and for each edge which of these rows it belongs to."""
    starts = indptr[rows]
    sizes = indptr[rows + 1] - starts
    local = np.repeat(np.arange(len(rows)), sizes)
    return np.repeat(starts - np.cumsum(sizes) + sizes, sizes) + np.arange(len(local)), local
