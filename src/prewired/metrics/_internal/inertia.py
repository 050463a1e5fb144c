"""Proofs by factorisation: how many eigenvalues of a symmetric matrix lie above a number s.

By Sylvester's law of inertia, if M - s I = L D L^T with L unit lower triangular and D diagonal, then M has as many
eigenvalues above s as D has positive entries. A computed factorisation has an error E: M - s I = L D L^T + E. By Weyl's
inequality no eigenvalue moves further than |E|. So M has at most that many eigenvalues above s + |E|, and at least that
many above s - |E|. E is computed after the factorisation, so no assumption on its stability is needed.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh, splu

MOST_DENSE_ROWS = 6000
"""Largest dimension for a dense Cholesky factorisation: 36 million numbers, some seconds."""
SPARSE_WORK = 5e8
"""Largest n * bandwidth^2 for a sparse factorisation: some seconds each."""
SPARSE_MEMORY = 1e7
"""Largest n * bandwidth for a sparse factorisation: about a gigabyte."""
_RESTARTS = 20
_CLOSE = 1e-7
_DISTANCE = 1e-11  # count eigenvalues this far above and below a value, relative to the largest
_SOLVED = 1e-9  # tolerance for eigenvalues of the inverse; solving adds rounding errors of about this size
_EPSILON = float(np.finfo(float).eps)
_UNIT = _EPSILON / 2
_SYMMETRIC: dict[str, Any] = {"diag_pivot_thresh": 0.0, "options": {"SymmetricMode": True}}


class Band(NamedTuple):
    """A sparse symmetric matrix in an order of rows that makes it a band.

    Attributes:
        matrix: (n, n) CSC, rows and columns permuted.
        order: (n,); row k of `matrix` is row order[k] of the original matrix.
        width: largest distance of an entry from the diagonal.
    """

    matrix: Any
    order: np.ndarray
    width: int


def order_as_band(matrix: Any) -> Band | None:
    """Permute a connected symmetric matrix to a band by the order of Cuthill and McKee (1969); None if it is too wide.

    Too wide means that a factorisation would take more than SPARSE_WORK or SPARSE_MEMORY. Most such matrices are
    recognised in O(edges) before they are ordered: the n vertices are spread over the levels of a breadth-first search,
    and a level is about as wide as the band.
    """
    n = matrix.shape[0]
    width = n / _count_levels(matrix)
    if n * width**2 > SPARSE_WORK or n * width > SPARSE_MEMORY:
        return None
    order = scipy.sparse.csgraph.reverse_cuthill_mckee(matrix, symmetric_mode=True)
    permuted = matrix[order][:, order].tocoo()
    width = int(np.abs(permuted.row.astype(np.int64) - permuted.col).max(initial=0))
    if n * width**2 > SPARSE_WORK or n * width > SPARSE_MEMORY:
        return None
    return Band(permuted.tocsc(), order, width)


def _count_levels(matrix: Any) -> int:
    """The number of levels of a breadth-first search from a vertex of largest degree."""
    first = int(np.diff(matrix.indptr).argmax())
    order, before = scipy.sparse.csgraph.breadth_first_order(matrix, first, directed=False)
    depth, place = 1, 1
    position = np.empty(matrix.shape[0], np.int64)
    position[order] = np.arange(len(order))
    # Positions of the parents of all vertices, in the order of the search. They ascend, so a level ends where the
    # parents reach the start of that level, and a binary search per level replaces a loop over vertices.
    parents = position[before[order[1:]]]
    while place < len(order):
        end = 1 + int(np.searchsorted(parents, place))
        depth, place = depth + 1, end
    return depth


def find_largest(band: Band, above: float, k: int) -> tuple[np.ndarray, np.ndarray] | None:
    """The k largest eigenvalues (k,), descending, and their eigenvectors (n, k) in the original order of rows.

    Shift and invert: eigenvalues x of M become 1 / (x - above) for the inverse of M - above I. The largest x are next
    to the shift, so their images are far larger than all others, and an iteration converges in few steps even if the
    eigenvalues of M are close together.

    Args:
        band: the matrix M.
        above: a number slightly above its largest eigenvalue.
        k: the number of eigenvalues.

    Returns:
        Values and vectors, or None if the factorisation fails or the iteration does not converge.
    """
    n = band.matrix.shape[0]
    try:
        factors = splu(_subtract_shift(band.matrix, above), permc_spec="NATURAL", **_SYMMETRIC)
    except RuntimeError:  # a pivot is zero: the shift is an eigenvalue of a leading part
        return None
    solve: Any = eigsh  # the stubs of SciPy allow integer tolerances only
    inverse: Any = LinearOperator((n, n), matvec=factors.solve, dtype=np.float64)  # pyright: ignore
    start = np.cos(np.arange(n) * 0.61803) + 0.5
    try:
        _, vectors = solve(
            band.matrix, k, sigma=above, which="LM", OPinv=inverse, v0=start, tol=_SOLVED, maxiter=_RESTARTS
        )
    except ArpackNoConvergence:
        return None
    # Solving with a nearly singular matrix loses digits of the values. Rayleigh quotients on the space of the vectors
    # restore them: their error is the square of the error of the vectors.
    values, rotation = np.linalg.eigh(vectors.T @ (band.matrix @ vectors))
    vectors = (vectors @ rotation)[:, ::-1]
    original = np.empty_like(vectors)
    original[band.order] = vectors
    return values[::-1], original


def count_above(band: Band, s: float) -> tuple[int, float]:
    """Count the eigenvalues above s, and return the distance from s up to which the count is proven.

    Returns:
        (count, error): at most `count` eigenvalues are above s + error, at least `count` are above s - error. The error
        is infinite if the factorisation fails.
    """
    shifted = _subtract_shift(band.matrix, s)
    try:
        factors = splu(shifted, permc_spec="NATURAL", **_SYMMETRIC)
    except RuntimeError:  # a pivot is zero: s is an eigenvalue of a leading part
        return 0, math.inf
    n = shifted.shape[0]
    # Any pivoting would break the symmetry L D L^T, on which the law of inertia rests.
    if not (factors.perm_r == np.arange(n)).all() or not (factors.perm_c == np.arange(n)).all():
        return 0, math.inf
    pivots, lower = factors.U.diagonal(), factors.L
    # |E| is at most its largest row sum. E itself is computed with rounding errors, each at most (terms of a sum) times
    # the unit roundoff times |L| |D| |L^T|; a row of a band has few terms.
    residual = shifted - lower @ scipy.sparse.diags_array(pivots) @ lower.T
    magnitudes = abs(lower)
    row_sums = magnitudes @ (np.abs(pivots) * (magnitudes.T @ np.ones(n)))
    rounding = 2 * (band.width + 4) * _UNIT * float(row_sums.max())
    return int((pivots > 0).sum()), float(abs(residual).sum(axis=1).max()) + rounding


def bracket_eigenvalue(band: Band, value: float, rank: int, scale: float) -> tuple[float, float]:
    """Lower and upper bound of the eigenvalue of a given rank; infinite where nothing is proven.

    If at most `rank` eigenvalues are above a number, the eigenvalue of that rank is not above it; if more than `rank`
    are above a number, it is.

    Args:
        band: the matrix.
        value: the approximate eigenvalue.
        rank: how many eigenvalues are larger, 0 for the largest.
        scale: the approximate largest absolute eigenvalue.
    """
    distance = _DISTANCE * scale
    count, error = count_above(band, value + distance)
    high = value + distance + error if count <= rank else math.inf
    count, error = count_above(band, value - distance)
    low = value - distance - error if count > rank else -math.inf
    return low, high


def find_shift_above(band: Band, low: float, high: float) -> float:
    """A number close above the largest eigenvalue, by bisection: count the eigenvalues above the middle.

    Args:
        band: the matrix.
        low, high: numbers below and above the largest eigenvalue.
    """
    while high - low > _CLOSE * abs(high):
        middle = (low + high) / 2
        count, error = count_above(band, middle)
        if count == 0 and middle + error < high:
            high = middle + error
        else:
            low = middle
    return high


def prove_below(matrix: np.ndarray, s: float, top: np.ndarray, weight: float) -> tuple[bool, float]:
    """Try to prove that all eigenvalues of a dense symmetric matrix M except the largest are below s.

    1. If s I - M + weight top top^T is positive definite, then M - weight top top^T has all eigenvalues below s.
    2. Adding the rank-one part back lifts at most one eigenvalue above s (Weyl).
    3. Cholesky's factorisation succeeds only if the matrix is positive definite up to g / (1 - g) times its trace, with
       g = (n + 1) u and u the unit roundoff (Higham, "Accuracy and Stability of Numerical Algorithms", 2002, theorem
       10.7; Rump, BIT 46, 2006).

    Args:
        matrix: M, (n, n); overwritten.
        s: the number.
        top: (n,), the approximate eigenvector of the largest eigenvalue.
        weight: the approximate largest eigenvalue.

    Returns:
        (proven, error): if proven, all eigenvalues except the largest are below s + error.
    """
    n = len(top)
    forming = _bound_forming(top, float(np.abs(matrix).max()) + weight)
    np.negative(matrix, out=matrix)
    matrix += np.outer(weight * top, top)
    matrix[np.diag_indices(n)] += s
    trace = float(np.trace(matrix))
    g = (n + 1) * _UNIT
    # The first term is that of step 3, the second the rounding of forming the matrix.
    error = g / (1 - g) * trace + forming
    try:
        scipy.linalg.cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:
        return False, error
    return True, error


def bound_safe_margin(top: np.ndarray, scale: float) -> float:
    """Return how far s must be above the eigenvalues so that rounding cannot make Cholesky fail in `prove_below`.

    Cholesky's factorisation succeeds if the smallest eigenvalue is above n g / (1 - g) times the largest diagonal entry
    (Demmel, "On floating point errors in Cholesky", LAPACK Working Note 14, 1989). So a failure is a refutation.

    Args:
        top: (n,), as in `prove_below`.
        scale: all entries of M, s and the weight are at most this.
    """
    n = len(top)
    g = (n + 1) * _UNIT
    return 2 * n * g / (1 - g) * scale + _bound_forming(top, 2 * scale)


def _bound_forming(top: np.ndarray, largest: float) -> float:
    """The rounding errors of forming s I - M + weight top top^T from entries up to `largest`."""
    n = len(top)
    return 4 * n * _UNIT * largest * float(np.abs(top).max() ** 2 * n + 1)


def _subtract_shift(matrix: Any, s: float) -> Any:
    """M - s I, CSC."""
    return (matrix - s * scipy.sparse.eye_array(matrix.shape[0], format="csc")).tocsc()
