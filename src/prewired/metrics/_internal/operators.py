"""Products of a sparse matrix with a vector, from either side, by the package's own row sums where they were built."""

import ctypes
import os
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

WORTH_THREADS = 1_000_000
"""Edges from which on a product is shared among threads, whose start costs some ten microseconds."""

Map = Callable[[np.ndarray], np.ndarray]


class Operator(NamedTuple):
    """A linear map and its transpose.

    Attributes:
        n_in, n_out: the lengths of what it takes and gives.
        there: x (n_in,) -> (n_out,).
        back: y (n_out,) -> (n_in,), the transposed map.
    """

    n_in: int
    n_out: int
    there: Map
    back: Map


def operator(matrix: Any, transposed: Any = None) -> Operator:
    """The map of a sparse matrix (n_out, n_in), stored by rows, and of its transpose, made here if it is not given.

    Example:
        >>> f = operator(scipy.sparse.csr_array([[1.0, 0.0, 2.0]]))
        >>> f.there(np.array([1.0, 1.0, 1.0])), f.back(np.array([3.0]))
        (array([3.]), array([3., 0., 6.]))
    """
    n_out, n_in = matrix.shape
    return Operator(n_in, n_out, _product(matrix), _product(matrix.T.tocsr() if transposed is None else transposed))


def chained(operators: Sequence[Operator]) -> Operator:
    """The maps one after the other, the first first; their product is never formed."""

    def there(x: np.ndarray) -> np.ndarray:
        for one in operators:
            x = one.there(x)
        return x

    def back(y: np.ndarray) -> np.ndarray:
        for one in reversed(operators):
            y = one.back(y)
        return y

    return operators[0] if len(operators) == 1 else Operator(operators[0].n_in, operators[-1].n_out, there, back)


def gram(f: Operator) -> tuple[int, Map, bool]:
    """f's transpose after f, or the other way round, on the smaller side: its size, the map, whether that is n_in."""
    if f.n_in <= f.n_out:
        return f.n_in, lambda x: f.back(f.there(x)), True
    return f.n_out, lambda y: f.there(f.back(y)), False


def _product(matrix: Any) -> Map:
    library = _library()
    if library is None:
        return lambda x: matrix @ x
    n_rows = matrix.shape[0]
    starts = np.ascontiguousarray(matrix.indptr, np.int64)
    indices = np.ascontiguousarray(matrix.indices, np.int32)
    values = None if (matrix.data == 1.0).all() else np.ascontiguousarray(matrix.data, np.float64)
    threads = n_threads() if len(indices) >= WORTH_THREADS else 1
    kept = [_address(starts), _address(indices), _address(values)]

    def product(x: np.ndarray) -> np.ndarray:
        x, y = np.ascontiguousarray(x, np.float64), np.empty(n_rows)
        library.prewired_sum_rows(*kept, _address(x), _address(y), n_rows, threads)
        return y

    product.holds = starts, indices, values  # pyright: ignore[reportFunctionMemberAccess]  # their memory is in use
    return product


def n_threads() -> int:
    """Threads that a large product takes: the processors of this process, or OMP_NUM_THREADS where that is less."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wish = os.environ.get("OMP_NUM_THREADS", "")
    return min(int(wish), processors) if wish.isdigit() and int(wish) > 0 else processors


def _address(array: np.ndarray | None) -> int | None:
    return None if array is None else array.ctypes.data


def components(starts: np.ndarray, indices: np.ndarray, n_in: int) -> tuple[int, np.ndarray, np.ndarray]:
    """Connected components of the graph of a matrix in CSR: their number, and the one of every column and every row.

    Example:
        >>> components(np.array([0, 1, 2, 2]), np.array([1, 0], np.int32), 2)
        (3, array([0, 1], dtype=int32), array([1, 0, 2], dtype=int32))
    """
    n_out = len(starts) - 1
    library = _library()
    if library is None or n_in + n_out >= 2**31:
        rows = np.repeat(np.arange(n_in, n_in + n_out), np.diff(starts))
        n = n_in + n_out
        graph = scipy.sparse.coo_array((np.ones(len(rows), np.int8), (rows, indices)), shape=(n, n))
        count, labels = scipy.sparse.csgraph.connected_components(graph, directed=False)
        return int(count), labels[:n_in], labels[n_in:]
    starts, indices = np.ascontiguousarray(starts, np.int64), np.ascontiguousarray(indices, np.int32)
    labels = np.empty(n_in + n_out, np.int32)
    count = library.prewired_components(_address(starts), _address(indices), _address(labels), n_out, n_in)
    return count, labels[:n_in], labels[n_in:]


@cache
def _library() -> Any:
    """The compiled functions; None where this build of the package has none."""
    found = find_spec(f"{__package__}._rows")
    if found is None or found.origin is None:
        return None
    library = ctypes.CDLL(found.origin)
    library.prewired_sum_rows.argtypes = [ctypes.c_void_p] * 5 + [ctypes.c_int64] * 2
    library.prewired_sum_rows.restype = None
    library.prewired_components.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_int64] * 2
    library.prewired_components.restype = ctypes.c_int64
    return library
