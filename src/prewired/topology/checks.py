"""What the arrays of a topology must satisfy."""

from typing import Any

import numpy as np

_MAX_SIDE = 2**31 - 1


def checked_side(name: str, value: Any) -> int:
    """Return a side of a topology as an int; raise a ValueError unless it is an integer in range."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or not 1 <= value <= _MAX_SIDE:
        raise ValueError(f"expected an integer 1 <= {name} <= {_MAX_SIDE}, got {name}={value!r}")
    return int(value)


def frozen_array(name: str, values: Any, dtype: type) -> np.ndarray:
    """A read-only copy that nobody else holds."""
    given = np.asarray(values)
    if given.ndim != 1 or not (np.issubdtype(given.dtype, np.integer) or given.size == 0):
        raise ValueError(
            f"expected {name} as a one-dimensional integer array, got {given.dtype} of shape {given.shape}"
        )
    if given.size and not np.iinfo(dtype).min <= given.min() <= given.max() <= np.iinfo(dtype).max:
        raise ValueError(f"expected {name} to fit in {np.dtype(dtype)}, got a value of {given.min()} or {given.max()}")
    own = np.array(given, dtype)
    own.setflags(write=False)
    return own


def check_edges(n_in: int, n_out: int, indptr: np.ndarray, indices: np.ndarray) -> None:
    """Raise a ValueError unless indptr and indices are the edges of a graph of these sides."""
    if len(indptr) != n_out + 1:
        raise ValueError(f"expected indptr of length n_out + 1 = {n_out + 1}, got {len(indptr)}")
    if indptr[0] != 0 or indptr[-1] != len(indices) or (np.diff(indptr) < 0).any():
        raise ValueError(
            f"expected indptr to rise from 0 to len(indices) = {len(indices)} without falling, got "
            f"indptr[0]={indptr[0]}, indptr[-1]={indptr[-1]}"
        )
    if len(indices) and not 0 <= indices.min() <= indices.max() < n_in:
        raise ValueError(f"expected 0 <= indices < n_in = {n_in}, got indices from {indices.min()} to {indices.max()}")
    rises = indices[1:] > indices[:-1]
    rises[(starts := indptr[1:-1])[(starts > 0) & (starts < len(indices))] - 1] = True
    if not rises.all():
        at = int((~rises).argmax()) + 1
        output = int(np.searchsorted(indptr, at, side="right")) - 1
        raise ValueError(
            f"expected strictly increasing inputs within each output, got {indices[at - 1]} then {indices[at]} at "
            f"output {output}; use Topology.from_edges for unsorted edges"
        )
