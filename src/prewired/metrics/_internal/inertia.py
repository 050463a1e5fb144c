"""Proofs by factorisation: how many eigenvalues of a symmetric matrix lie above a number (Sylvester's law of inertia).

If M - s I = L D L^T + E with L unit lower triangular and D diagonal, then D has as many positive entries as L D L^T has
positive eigenvalues, and by Weyl's inequality M has at most that many above s + |E| and at least that many above
s - |E|. The factorisation's error E is computed afterwards, so no assumption on its stability is made.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh, splu

DENSE_LIMIT = 6000
"""Largest dimension for which a dense Cholesky factorisation is made: 36 million numbers, some seconds."""
SPARSE_WORK = 5e8
"""Largest n * bandwidth^2 for which a sparse factorisation is made, each some seconds."""
SPARSE_MEMORY = 1e7
"""Largest n * bandwidth: about a gigabyte."""
_RESTARTS = 20
_CLOSE = 1e-7
_DISTANCE = 1e-11  # at which eigenvalues are counted, relative to the largest
_SOLVED = 1e-9  # of the inverse's eigenvalues; the solutions behind them carry rounding errors of this size
_EPSILON = np.finfo(float).eps
_UNIT = _EPSILON / 2


class Band(NamedTuple):
    """A sparse symmetric matrix in an order that makes it a band.

    Attributes:
        matrix: (n, n), permuted.
        order: (n,) which row of the given matrix each row is.
        width: largest distance of an entry from the diagonal.
    """

    matrix: Any
    order: np.ndarray
    width: int


def as_band(matrix: Any) -> Band | None:
    """A connected symmetric matrix as a band, by the order of Cuthill and McKee (1969); None where it is not narrow.

    Narrow means that a factorisation is affordable. A search from one vertex finds most matrices too wide in O(edges):
    the levels of a breadth-first search are about as wide as any band.
    """
    n = matrix.shape[0]
    width = n / _depth(matrix)
    if n * width**2 > SPARSE_WORK or n * width > SPARSE_MEMORY:
        return None
    order = scipy.sparse.csgraph.reverse_cuthill_mckee(matrix, symmetric_mode=True)
    permuted = matrix[order][:, order].tocoo()
    width = int(np.abs(permuted.row.astype(np.int64) - permuted.col).max(initial=0))
    if n * width**2 > SPARSE_WORK or n * width > SPARSE_MEMORY:
        return None
    return Band(permuted.tocsc(), order, width)


def _depth(matrix: Any) -> int:
    """The number of levels of a breadth-first search from a vertex of largest degree."""
    first = int(np.diff(matrix.indptr).argmax())
    order, before = scipy.sparse.csgraph.breadth_first_order(matrix, first, directed=False)
    depth, place = 1, 1
    position = np.empty(matrix.shape[0], np.int64)
    position[order] = np.arange(len(order))
    parents = position[before[order[1:]]]  # of the vertices in the order of the search, themselves in that order
    while place < len(order):  # one level at a time: those whose parents stand before the level's start
        end = 1 + int(np.searchsorted(parents, place))
        depth, place = depth + 1, end
    return depth


def largest_of_band(band: Band, above: float, k: int) -> tuple[np.ndarray, np.ndarray] | None:
    """The k largest eigenvalues, descending, and their eigenvectors (n, k) in the given order, by shift and invert.

    None where they do not settle.

    Args:
        band: the matrix.
        above: a number a little above its largest eigenvalue.
        k: how many.
    """
    n = band.matrix.shape[0]
    factors = splu(_shifted(band.matrix, above), permc_spec="NATURAL", **_SYMMETRIC)
    solve: Any = eigsh  # its stubs know integer tolerances only
    inverse: Any = LinearOperator((n, n), matvec=factors.solve, dtype=np.float64)  # pyright: ignore
    start = np.cos(np.arange(n) * 0.61803) + 0.5
    try:
        _, vectors = solve(
            band.matrix, k, sigma=above, which="LM", OPinv=inverse, v0=start, tol=_SOLVED, maxiter=_RESTARTS
        )
    except ArpackNoConvergence:
        return None
    values, turned = np.linalg.eigh(vectors.T @ (band.matrix @ vectors))  # as exact as the square of the vectors' error
    vectors = (vectors @ turned)[:, ::-1]
    given = np.empty_like(vectors)
    given[band.order] = vectors
    return values[::-1], given


def count_above(band: Band, s: float) -> tuple[int, float]:
    """How many eigenvalues are above s, and the distance from s to which that is proven.

    Returns:
        (count, error): at most count eigenvalues are above s + error, at least count above s - error. The error is
        infinite where the factorisation broke down.
    """
    shifted = _shifted(band.matrix, s)
    try:
        factors = splu(shifted, permc_spec="NATURAL", **_SYMMETRIC)
    except RuntimeError:  # a pivot is zero: s is an eigenvalue of a leading part
        return 0, math.inf
    n = shifted.shape[0]
    if not (factors.perm_r == np.arange(n)).all() or not (factors.perm_c == np.arange(n)).all():
        return 0, math.inf
    pivots, lower = factors.U.diagonal(), factors.L
    rest = shifted - lower @ scipy.sparse.diags_array(pivots) @ lower.T
    magnitudes = abs(lower)
    computed = magnitudes @ (np.abs(pivots) * (magnitudes.T @ np.ones(n)))  # rows of |L| |D| |L^T|
    rounding = 2 * (band.width + 4) * _UNIT * float(computed.max())
    return int((pivots > 0).sum()), float(abs(rest).sum(axis=1).max()) + rounding


def bracket(band: Band, value: float, place: int, scale: float) -> tuple[float, float]:
    """Bounds of the eigenvalue in a place, 0 for the largest, near a value; infinite where nothing is proven.

    Args:
        band: the matrix.
        value: about the eigenvalue.
        place: how many eigenvalues are larger.
        scale: about the largest absolute eigenvalue.
    """
    distance = _DISTANCE * scale
    count, error = count_above(band, value + distance)
    high = value + distance + error if count <= place else math.inf
    count, error = count_above(band, value - distance)
    low = value - distance - error if count > place else -math.inf
    return low, high


def shift_above(band: Band, low: float, high: float) -> float:
    """A number close above the largest eigenvalue, by bisection between one below and one above it."""
    while high - low > _CLOSE * abs(high):
        middle = (low + high) / 2
        count, error = count_above(band, middle)
        if count == 0 and middle + error < high:
            high = middle + error
        else:
            low = middle
    return high


def is_below(matrix: np.ndarray, s: float, top: np.ndarray, weight: float) -> tuple[bool, float]:
    """Whether all eigenvalues of a dense symmetric matrix but one are below s, and the error of that statement.

    If s I - M + weight top top^T is positive definite then M without the rank-one part has all eigenvalues below s, and
    adding it back lifts at most one above (Weyl). The factorisation of Cholesky succeeds only if the matrix is positive
    definite up to g / (1 - g) times its trace, g = (n + 1) u (Higham, "Accuracy and Stability of Numerical Algorithms",
    2002, theorem 10.7; Rump, BIT 46, 2006).

    Args:
        matrix: (n, n); overwritten.
        s: the number.
        top: (n,), about the eigenvector of the largest eigenvalue.
        weight: about the largest eigenvalue.

    Returns:
        (proven, error): if proven, all eigenvalues but one are below s + error.
    """
    n = len(top)
    largest = float(np.abs(matrix).max()) + weight
    np.negative(matrix, out=matrix)
    matrix += np.outer(weight * top, top)
    matrix[np.diag_indices(n)] += s
    trace = float(np.trace(matrix))
    g = (n + 1) * _UNIT
    error = g / (1 - g) * trace + 4 * n * _UNIT * largest * float(np.abs(top).max() ** 2 * n + 1)
    try:
        scipy.linalg.cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:
        return False, error
    return True, error


_SYMMETRIC: dict[str, Any] = {"diag_pivot_thresh": 0.0, "options": {"SymmetricMode": True}}


def _shifted(matrix: Any, s: float) -> Any:
    return (matrix - s * scipy.sparse.eye_array(matrix.shape[0], format="csc")).tocsc()
