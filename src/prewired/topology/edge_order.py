"""The order of the edges: by output, and by input within an output (CSR)."""

import numpy as np

_CHUNK = 1 << 18


def csr_from_cells(n_in: int, n_out: int, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """indptr and indices of the edges whose cell numbers output * n_in + input are given, sorted."""
    indptr = np.searchsorted(cells, np.arange(n_out + 1) * n_in)
    indices = np.empty(len(cells), np.int32)
    for start in range(0, len(cells), _CHUNK):
        indices[start : start + _CHUNK] = cells[start : start + _CHUNK] % n_in
    return indptr, indices
