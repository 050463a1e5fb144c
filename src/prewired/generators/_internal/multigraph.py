"""How many parallel edges each cell (output, input) of a multigraph holds, while edges change their inputs.

`edge_swaps.Rows` asks this for every swap. Two classes answer the same questions. `CellCounts` keeps a count for every
cell, which is fast, and small enough if a good part of all cells holds edges. `SortedInputs` keeps the sorted inputs of
every output and searches them, which takes memory in proportion to the edges alone.
"""

import numpy as np

_CHUNK = 1 << 18


class CellCounts:
    """The number of edges of every cell output * n_in + input; O(n_in * n_out) memory."""

    def __init__(self, n_in: int, indptr: np.ndarray, inputs: np.ndarray) -> None:
        self.n_in, n_out = n_in, len(indptr) - 1
        cells = np.repeat(np.arange(n_out), np.diff(indptr)) * n_in + inputs
        self._counts = np.bincount(cells, minlength=n_in * n_out).astype(np.int32)
        self._earliest = np.empty_like(self._counts)

    def count_edges(self, outputs: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Return the number of edges in each cell (outputs[k], inputs[k])."""
        return self._counts[outputs * self.n_in + inputs]

    def outputs_to_check(self) -> np.ndarray:
        """Return the outputs that have parallel edges, sorted."""
        return np.unique(np.flatnonzero(self._counts > 1) // self.n_in)

    def move_edges(self, outputs: np.ndarray, old_inputs: np.ndarray, new_inputs: np.ndarray) -> None:
        """Move one edge of each output from its old input to its new input."""
        np.subtract.at(self._counts, outputs * self.n_in + old_inputs, 1)
        np.add.at(self._counts, outputs * self.n_in + new_inputs, 1)

    def is_first(self, values: np.ndarray) -> np.ndarray:
        """Return which values, edges or cells, have not occurred earlier in the array."""
        # Of several values written to one place the last write wins. So writing backwards keeps the earliest position.
        order = np.arange(len(values), dtype=np.int32)
        self._earliest[values[::-1]] = order[::-1]
        return self._earliest[values] == order

    def sorted_inputs(self) -> np.ndarray:
        """Return the inputs of every output, sorted, if no edges are parallel."""
        return (np.flatnonzero(self._counts) % self.n_in).astype(np.int32)


class SortedInputs:
    """The sorted inputs of every output; O(n_edges) memory."""

    def __init__(self, n_in: int, indptr: np.ndarray, inputs: np.ndarray) -> None:
        self.n_in, self._indptr, self._sorted = n_in, indptr, inputs.copy()
        n_out = len(indptr) - 1
        step = max(1, _CHUNK * n_out // max(len(inputs), 1))  # outputs per piece, of about _CHUNK edges
        for start in range(0, n_out, step):
            edges, cells = self._list_cells(np.arange(start, min(start + step, n_out)))
            self._store(edges, cells)

    def count_edges(self, outputs: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Return the number of edges in each cell (outputs[k], inputs[k]), where 2 means two or more."""
        # One binary search per cell, all at once: low moves to the first input of the output that is not smaller.
        low, end = self._indptr[outputs], self._indptr[outputs + 1]
        high, last = end.copy(), len(self._sorted) - 1
        while (is_open := low < high).any():
            middle = (low + high) >> 1
            below = is_open & (self._sorted[np.minimum(middle, last)] < inputs)
            low = np.where(below, middle + 1, low)
            high = np.where(is_open & ~below, middle, high)
        has_edge = (low < end) & (self._sorted[np.minimum(low, last)] == inputs)
        has_second = has_edge & (low + 1 < end) & (self._sorted[np.minimum(low + 1, last)] == inputs)
        return has_edge.astype(np.int8) + has_second

    def outputs_to_check(self) -> np.ndarray:
        """Return all outputs that have parallel edges, sorted, and perhaps some others."""
        # The last input of an output may equal the first input of the next: then that output is listed without need.
        repeats = np.flatnonzero(self._sorted[1:] == self._sorted[:-1])
        return np.unique(np.searchsorted(self._indptr, repeats, side="right") - 1)

    def move_edges(self, outputs: np.ndarray, old_inputs: np.ndarray, new_inputs: np.ndarray) -> None:
        """Move one edge of each output from its old input to its new input."""
        # Only the rows of these outputs are sorted again. As cells of a graph of these rows alone they stay in order.
        rows, local = np.unique(outputs, return_inverse=True)
        edges, cells = self._list_cells(rows)
        leaving = np.sort(local * self.n_in + old_inputs)
        # If several parallel edges leave one cell, each must overwrite another copy: the k-th takes the k-th copy.
        copy = np.arange(len(leaving)) - np.searchsorted(leaving, leaving)
        cells[np.searchsorted(cells, leaving) + copy] = local * self.n_in + new_inputs
        self._store(edges, cells)

    def is_first(self, values: np.ndarray) -> np.ndarray:
        """Return which values, edges or cells, have not occurred earlier in the array."""
        result = np.zeros(len(values), bool)
        result[np.unique(values, return_index=True)[1]] = True
        return result

    def sorted_inputs(self) -> np.ndarray:
        """Return the inputs of every output, sorted."""
        return self._sorted

    def _list_cells(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the edges of some outputs, and their cells in a graph that has these outputs only."""
        edges, local = edges_of(self._indptr, rows)
        return edges, local * self.n_in + self._sorted[edges]

    def _store(self, edges: np.ndarray, cells: np.ndarray) -> None:
        """Sort the cells of whole outputs, and write their inputs to the places of these edges."""
        cells.sort()
        cells %= self.n_in
        self._sorted[edges] = cells


def edges_of(indptr: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges of some outputs, and for each edge the index in `rows` of its output."""
    starts = indptr[rows]
    sizes = indptr[rows + 1] - starts
    local = np.repeat(np.arange(len(rows)), sizes)
    return np.repeat(starts - np.cumsum(sizes) + sizes, sizes) + np.arange(len(local)), local
