"""Checks of the sides and the arrays of a topology."""

from typing import Any

import numpy as np


def check_side(name: str, value: Any) -> int:
    """Return the number of units of a side; raises ValueError unless this is an integer in [1, 2**31)."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or not 1 <= value < 2**31:
        raise ValueError(f"expected an integer 1 <= {name} < 2**31, got {name}={value!r}")
    return int(value)


def freeze_array(name: str, values: Any, dtype: type) -> np.ndarray:
    """Return a copy of one-dimensional integers that stays read-only."""
    array = np.asarray(values)
    if array.ndim != 1 or not (np.issubdtype(array.dtype, np.integer) or array.size == 0):
        raise ValueError(
            f"expected {name} as a one-dimensional integer array, got {array.dtype} of shape {array.shape}"
        )
    if array.size and not np.iinfo(dtype).min <= array.min() <= array.max() <= np.iinfo(dtype).max:
        raise ValueError(f"expected {name} to fit in {np.dtype(dtype)}, got a value of {array.min()} or {array.max()}")
    return make_immutable(array.astype(dtype, copy=False))


def make_immutable(array: np.ndarray) -> np.ndarray:
    """Return a copy of an array whose values lie in a bytes object: NumPy refuses to make the copy writeable again."""
    return np.frombuffer(array.tobytes(), array.dtype)


def check_edges(n_in: int, n_out: int, indptr: np.ndarray, indices: np.ndarray) -> None:
    """Raise ValueError unless the arrays are CSR with strictly increasing inputs within each output."""
    if len(indptr) != n_out + 1:
        raise ValueError(f"expected indptr of length n_out + 1 = {n_out + 1}, got {len(indptr)}")
    if indptr[0] != 0 or indptr[-1] != len(indices) or (np.diff(indptr) < 0).any():
        raise ValueError(
            f"expected indptr to rise from 0 to len(indices) = {len(indices)} without falling, got "
            f"indptr[0]={indptr[0]}, indptr[-1]={indptr[-1]}"
        )
    if len(indices) and not 0 <= indices.min() <= indices.max() < n_in:
        raise ValueError(f"expected 0 <= indices < n_in = {n_in}, got indices from {indices.min()} to {indices.max()}")
    # Compare all neighbours at once. From the last edge of an output to the first edge of the next, indices may fall.
    rises = indices[1:] > indices[:-1]
    starts = indptr[1:-1]
    rises[starts[(starts > 0) & (starts < len(indices))] - 1] = True
    if not rises.all():
        at = int((~rises).argmax()) + 1
        output = int(np.searchsorted(indptr, at, side="right")) - 1
        raise ValueError(
            f"expected strictly increasing inputs within each output, got {indices[at - 1]} then {indices[at]} at "
            f"output {output}; use Topology.from_edges for unsorted edges"
        )
