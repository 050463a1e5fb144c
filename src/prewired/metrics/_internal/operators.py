"""Products of a sparse matrix and its transpose with vectors, by the compiled row sums of this package if available."""

import ctypes
import os
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

WORTH_THREADS = 1_000_000
"""Share a product among threads if the matrix has at least this many edges: starting threads costs about 10 us."""

Map = Callable[[np.ndarray], np.ndarray]


class Operator(NamedTuple):
    """A linear map and its transpose.

    Attributes:
        n_in, n_out: the lengths of the vectors before and after the map.
        apply: x (n_in,) -> B x (n_out,).
        apply_transpose: y (n_out,) -> B^T y (n_in,).
    """

    n_in: int
    n_out: int
    apply: Map
    apply_transpose: Map


def make_operator(matrix: Any, transposed: Any = None) -> Operator:
    """Make the operator of a sparse matrix.

    Args:
        matrix: CSR array (n_out, n_in).
        transposed: its transpose, CSR; computed if not given. A product along the rows of the transpose is faster than
            one along the columns of the matrix, since every thread then writes its own entries.

    Example:
        >>> f = make_operator(scipy.sparse.csr_array([[1.0, 0.0, 2.0]]))
        >>> f.apply(np.array([1.0, 1.0, 1.0])), f.apply_transpose(np.array([3.0]))
        (array([3.]), array([3., 0., 6.]))
    """
    n_out, n_in = matrix.shape
    transposed = matrix.T.tocsr() if transposed is None else transposed
    return Operator(n_in, n_out, _make_product(matrix), _make_product(transposed))


def compose(operators: Sequence[Operator]) -> Operator:
    """Compose operators in the order given, without forming the product of their matrices.

    A product of sparse matrices is far denser than its factors; a vector passes all factors in O(edges).
    """

    def apply(x: np.ndarray) -> np.ndarray:
        for f in operators:
            x = f.apply(x)
        return x

    def apply_transpose(y: np.ndarray) -> np.ndarray:
        for f in reversed(operators):
            y = f.apply_transpose(y)
        return y

    if len(operators) == 1:
        return operators[0]
    return Operator(operators[0].n_in, operators[-1].n_out, apply, apply_transpose)


def make_gram(f: Operator) -> tuple[int, Map, bool]:
    """The Gram map x -> B^T B x or y -> B B^T y, whichever has the smaller dimension.

    Both have the same nonzero eigenvalues, the squares of the singular values of B.

    Returns:
        The dimension, the map, and whether it acts on inputs.
    """
    if f.n_in <= f.n_out:
        return f.n_in, lambda x: f.apply_transpose(f.apply(x)), True
    return f.n_out, lambda y: f.apply(f.apply_transpose(y)), False


def bound_rounding(matrices: Sequence[Any]) -> float:
    """The rounding error of x -> Gx for |x| = 1, with G the Gram map of a chain of matrices.

    The error of a sum grows with the number of its terms. So the error is at most this number times the squared norm of
    the product of the absolute values; if all entries are >= 0, this is sigma1^2.
    """
    longest = sum(int(np.diff(m.indptr).max()) + int(np.bincount(m.indices).max()) for m in matrices)
    return (16 + longest / 2) * float(np.finfo(float).eps)


def _make_product(matrix: Any) -> Map:
    """The map x -> matrix @ x for a CSR array."""
    library = _load_library()
    if library is None:
        return lambda x: matrix @ x
    n_rows = matrix.shape[0]
    starts = np.ascontiguousarray(matrix.indptr, np.int64)
    indices = np.ascontiguousarray(matrix.indices, np.int32)
    # A matrix of ones needs no values: the products only add, and read 4 instead of 12 bytes per edge.
    values = None if (matrix.data == 1.0).all() else np.ascontiguousarray(matrix.data, np.float64)
    threads = count_threads() if len(indices) >= WORTH_THREADS else 1
    addresses = [_get_address(starts), _get_address(indices), _get_address(values)]

    def product(x: np.ndarray) -> np.ndarray:
        x, y = np.ascontiguousarray(x, np.float64), np.empty(n_rows)
        library.prewired_sum_rows(*addresses, _get_address(x), _get_address(y), n_rows, threads)
        return y

    # The addresses do not keep the arrays alive; the function must.
    product.holds = starts, indices, values  # pyright: ignore[reportFunctionMemberAccess]
    return product


def count_threads() -> int:
    """Number of threads of a large product: the processors of this process, or OMP_NUM_THREADS if that is less."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wish = os.environ.get("OMP_NUM_THREADS", "")
    return min(int(wish), processors) if wish.isdigit() and int(wish) > 0 else processors


def _get_address(array: np.ndarray | None) -> int | None:
    return None if array is None else array.ctypes.data


def label_components(indptr: np.ndarray, indices: np.ndarray, n_in: int) -> tuple[int, np.ndarray, np.ndarray]:
    """Label the connected components of the bipartite graph of a CSR matrix (n_out, n_in).

    Returns:
        The number of components, the component of every column (n_in,) and of every row (n_out,).

    Example:
        >>> label_components(np.array([0, 1, 2, 2]), np.array([1, 0], np.int32), 2)
        (3, array([0, 1], dtype=int32), array([1, 0, 2], dtype=int32))
    """
    n_out = len(indptr) - 1
    library = _load_library()
    if library is None or n_in + n_out >= 2**31:
        rows = np.repeat(np.arange(n_in, n_in + n_out), np.diff(indptr))
        n = n_in + n_out
        graph = scipy.sparse.coo_array((np.ones(len(rows), np.int8), (rows, indices)), shape=(n, n))
        count, labels = scipy.sparse.csgraph.connected_components(graph, directed=False)
        return int(count), labels[:n_in], labels[n_in:]
    indptr, indices = np.ascontiguousarray(indptr, np.int64), np.ascontiguousarray(indices, np.int32)
    labels = np.empty(n_in + n_out, np.int32)
    count = library.prewired_components(_get_address(indptr), _get_address(indices), _get_address(labels), n_out, n_in)
    return count, labels[:n_in], labels[n_in:]


@cache
def _load_library() -> Any:
    """The compiled functions; None if this build of the package has none."""
    spec = find_spec(f"{__package__}._rows")
    if spec is None or spec.origin is None:
        return None
    library = ctypes.CDLL(spec.origin)
    library.prewired_sum_rows.argtypes = [ctypes.c_void_p] * 5 + [ctypes.c_int64] * 2
    library.prewired_sum_rows.restype = None
    library.prewired_components.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_int64] * 2
    library.prewired_components.restype = ctypes.c_int64
    return library
