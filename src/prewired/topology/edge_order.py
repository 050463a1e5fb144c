"""The order of the edges: by output, and by input within an output (CSR)."""

import numpy as np

_CHUNK = 1 << 18


def csr_from_cells(n_in: int, n_out: int, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return indptr (n_out + 1,) and indices (n_edges,) int32 of the edges with these cells.

    The cell of an edge is output * n_in + input; cells are sorted, (n_edges,) int64.
    """
    indptr = np.searchsorted(cells, np.arange(n_out + 1) * n_in)
    indices = np.empty(len(cells), np.int32)
    for start in range(0, len(cells), _CHUNK):  # in pieces, so that no second int64 array of all edges is needed
        indices[start : start + _CHUNK] = cells[start : start + _CHUNK] % n_in
    return indptr, indices
