"""The two largest singular values of a nonnegative sparse matrix, or of a product of such, with certain bounds.

Three decisions keep them right. Singular values are those of the matrix itself: the square adjacency of the bipartite
graph has every one of them twice, as +sigma and -sigma, so its second largest absolute eigenvalue is sigma1 again. The
spectrum is found component by component: inside a connected one sigma1 is simple and its vector positive (Perron and
Frobenius), so it is known where degrees are constant, checked by its residual, and can be taken out. And that a value
is the second is not concluded from a residual, which only says that some singular value is near, but from one of:
closed forms, the backward error of LAPACK (all values at once), inertia by factorisation, or Lanczos' process from a
random start with a stated probability.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

from . import inertia
from .closed_forms import spectrum_by_symmetry
from .lanczos import FAILURE, Ritz, largest_eigenvalue
from .measurement import Measurement, Progress
from .operators import Operator, chained, components, gram, operator

DENSE_CELLS = 300_000
"""Entries of a matrix up to which all its singular values are computed."""
_EPSILON = float(np.finfo(float).eps)
_LEVELS, _SHARE = 30, 0.1  # a matrix is tried as a band if so many steps from a unit reach less than this share
_SMALL = 1e-100
_PRODUCTS = 1e9  # multiplications of a sparse product; beyond, a dense one is faster
_MARGIN = 1e-10  # relative to sigma1^2, within which a factorisation would not see that a matrix is definite
_EXACT = 1e-12  # relative residual of a guess up to which it is the vector of sigma1
COMPLETE = "closed form, every edge checked"
LAPACK = "backward error of LAPACK's SVD"
SYMMETRY = "closed form, symmetry checked on every edge"
FACTORISED = "inertia by sparse factorisation"
CHOLESKY = "inertia by dense Cholesky factorisation"
PERRON = "Perron-Frobenius: a positive vector and its residual"
RANDOM_START = f"random start: a larger value is missed with a probability below {FAILURE:g}"


class Leading(NamedTuple):
    """The largest two singular values, and the vectors of the second where they were asked for.

    Attributes:
        first, second: sigma1 and sigma2; 0 where there is none.
        left, right: (n_out,) and (n_in,), of length 1, the singular vectors of sigma2.
    """

    first: Measurement
    second: Measurement
    left: np.ndarray | None = None
    right: np.ndarray | None = None


class _Block(NamedTuple):
    """A connected part of a chain: its matrices, inputs first; a guess of the vector of sigma1; sigma1's bound."""

    matrices: list[Any]
    guess: np.ndarray
    bound: float


def leading(
    matrices: Sequence[Any],
    *,
    guess: np.ndarray | None = None,
    certify: bool = False,
    vectors: bool = False,
    progress: Progress | None = None,
) -> Leading:
    """sigma1 and sigma2 of a nonnegative sparse matrix, or of the product of several, over all components.

    Args:
        matrices: CSR arrays (n_out, n_in), the one that is applied first first.
        guess: (n_in,), about the right singular vector of sigma1 on every component; equal entries if not given.
        certify: spend the time of a factorisation on a bound that is certain, where that is affordable.
        vectors: also find the vectors of sigma2; for connected graphs only.
        progress: called as a long iteration goes on.

    Raises:
        RuntimeError: if an iteration does not settle.

    Example:
        >>> found = leading([scipy.sparse.csr_array(np.ones((4, 9)))])
        >>> found.first.value, found.second.value
        (6.0, 0.0)
    """
    zero = Measurement.counted(0.0)
    single = len(matrices) == 1 and not vectors
    if single and _is_complete(matrices[0]):
        return _of_complete(matrices[0])
    if single and (spectrum := spectrum_by_symmetry(matrices[0])) is not None:
        error = 8 * _EPSILON * math.log2(2 * max(matrices[0].shape)) * float(spectrum.values[0])
        return _pair(spectrum.values, error, f"closed form: {spectrum.symmetry}", SYMMETRY)
    first = second = zero
    left = right = None
    confidence = 1.0
    for block in _blocks(matrices, guess):
        if block.bound <= second.value * (1 + 1e-12):
            first, second = (m._replace(high=max(m.high, block.bound * (1 + 1e-15))) for m in (first, second))
            break
        found = _of_block(block, certify, vectors, progress)
        left, right = found.left, found.right
        confidence -= 1.0 - found.second.confidence  # each of them may fail
        first, second = _largest_two([found.first, found.second, first, second])
    return Leading(first._replace(confidence=confidence), second._replace(confidence=confidence), left, right)


def _largest_two(values: list[Measurement]) -> list[Measurement]:
    """The two largest: each bound is an order statistic of the bounds, since these are monotone."""
    by_value = sorted(values, key=lambda m: -m.value)[:2]
    lows, highs = (sorted((getattr(m, name) for m in values), reverse=True) for name in ("low", "high"))
    return [m._replace(low=lows[k], high=highs[k]) for k, m in enumerate(by_value)]


def _blocks(matrices: Sequence[Any], guess: np.ndarray | None) -> Iterator[_Block]:
    """The connected parts that join inputs to outputs, largest bound of sigma1 first.

    The bound is the product of sqrt(max row sum * max column sum) over the matrices. Units on no way from an input to
    an output are in no part, where that parts the rest; elsewhere they stay and change nothing.
    """
    alive = _alive(matrices)
    count, labels = _components(matrices, alive)
    parts = list(np.unique(labels[0][alive[0]])) if count > 1 else [0] * bool(alive[0].any())
    bounds = np.ones(count)
    for k, m in enumerate(matrices):
        by_row, by_column = np.zeros(count), np.zeros(count)
        np.maximum.at(by_row, labels[k + 1], m.sum(axis=1))
        np.maximum.at(by_column, labels[k], m.sum(axis=0))
        bounds *= np.sqrt(by_row) * np.sqrt(by_column)
    start = alive[0].astype(float) if guess is None else np.where(alive[0], guess, 0.0)
    if len(parts) == 1:
        yield _Block(list(matrices), start, float(bounds[parts[0]]))
        return
    members = [np.argsort(label, kind="stable") for label in labels]
    first = [np.append(0, np.cumsum(np.bincount(label, minlength=count))) for label in labels]
    for k in sorted(parts, key=lambda k: -bounds[k]):
        units = [order[begin[k] : begin[k + 1]] for order, begin in zip(members, first, strict=True)]
        cut = [m[units[layer + 1]][:, units[layer]] for layer, m in enumerate(matrices)]
        yield _Block(cut, start[units[0]], float(bounds[k]))


def _alive(matrices: Sequence[Any]) -> list[np.ndarray]:
    """For every layer of units which are on a way from an input to an output."""
    reached = [np.ones(matrices[0].shape[1], bool)]
    for m in matrices:
        reached.append(m @ reached[-1].astype(float) > 0)
    reaching = [np.ones(matrices[-1].shape[0], bool)]
    for m in reversed(matrices):
        reaching.append(m.T @ reaching[-1].astype(float) > 0)
    return [a & b for a, b in zip(reached, reversed(reaching), strict=True)]


def _components(matrices: Sequence[Any], alive: Sequence[np.ndarray]) -> tuple[int, list[np.ndarray]]:
    """Their number, and for every layer of units the component of each, by the edges whose two ends are alive."""
    if len(matrices) == 1:
        count, *labels = components(matrices[0].indptr, matrices[0].indices, matrices[0].shape[1])
        return count, labels
    starts = np.append(0, np.cumsum([len(units) for units in alive]))
    sides: list[list[np.ndarray]] = [[], []]
    for k, m in enumerate(matrices):
        rows = np.repeat(np.arange(m.shape[0]), np.diff(m.indptr))
        kept = alive[k][m.indices] & alive[k + 1][rows]
        sides[0].append(rows[kept] + starts[k + 1])
        sides[1].append(m.indices[kept] + starts[k])
    rows, columns = (np.concatenate(side) for side in sides)
    graph = scipy.sparse.coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(starts[-1], starts[-1]))
    count, labels = scipy.sparse.csgraph.connected_components(graph, directed=False)
    return int(count), [labels[a:b] for a, b in pairwise(starts)]


def _of_block(block: _Block, certify: bool, vectors: bool, progress: Progress | None) -> Leading:
    matrices = block.matrices
    if not _SMALL < block.bound < 1 / _SMALL:  # squares would leave the range of numbers
        unit = block.bound ** (1 / len(matrices))
        found = _of_block(_Block([m / unit for m in matrices], block.guess, 1.0), certify, vectors, progress)
        first, second = (m.mapped(lambda value: value * block.bound) for m in found[:2])
        return found._replace(first=first, second=second)
    n_out, n_in = matrices[-1].shape[0], matrices[0].shape[1]
    if len(matrices) == 1 and not vectors and _is_complete(matrices[0]):
        return _of_complete(matrices[0])
    if min(n_in, n_out) == 1:
        return _of_vector(matrices)
    if n_in * n_out <= DENSE_CELLS and _cells(matrices) <= 10 * DENSE_CELLS:
        return _by_lapack(matrices, vectors)
    transposed = [m.T.tocsr() for m in matrices]
    if len(matrices) == 1 and reaches_little(matrices[0], transposed[0]):
        found = _by_band(block, transposed[0], vectors)
        if found is not None:
            return found
    f = chained([operator(m, back) for m, back in zip(matrices, transposed, strict=True)])
    return _by_lanczos(f, block, certify, vectors, progress)


def _of_complete(m: Any) -> Leading:
    value = float(np.linalg.norm(m.data))
    return _pair([value], 4 * _EPSILON * value, "closed form: complete", COMPLETE)


def _is_complete(m: Any) -> bool:
    """Whether each row with an entry has one in each column with an entry, all equal."""
    if m.nnz == 0:
        return False
    rows, columns = (np.count_nonzero(counts) for counts in (np.diff(m.indptr), np.bincount(m.indices)))
    return m.nnz == rows * columns and bool((m.data == m.data[0]).all())


def _cells(matrices: Sequence[Any]) -> int:
    """Entries of the largest dense matrix on the way to the product."""
    return matrices[0].shape[1] * max(m.shape[0] for m in matrices)


def _of_vector(matrices: Sequence[Any]) -> Leading:
    """Of a product with a single row or column."""
    x = np.ones(1)
    for m in matrices if matrices[0].shape[1] == 1 else [m.T for m in reversed(matrices)]:
        x = m @ x
    value = float(np.linalg.norm(x))
    relative = _EPSILON * (len(x) + sum(m.nnz / max(min(m.shape), 1) + 1 for m in matrices))
    return _pair([value], relative * value, "length of a vector", COMPLETE)


def _by_lapack(matrices: Sequence[Any], vectors: bool) -> Leading:
    product = matrices[0].toarray()
    for m in matrices[1:]:
        product = m @ product
    rounding = sum(float(np.diff(m.indptr).max()) for m in matrices[1:])
    relative = (max(product.shape) + rounding) * _EPSILON
    if not vectors:
        values = np.linalg.svd(product, compute_uv=False)
        return _pair(values, relative * float(values[0]), "dense SVD", LAPACK)
    u, values, vt = np.linalg.svd(product, full_matrices=False)
    pair = _pair(values, relative * float(values[0]), "dense SVD", LAPACK)
    return pair._replace(left=u[:, 1], right=vt[1])


def reaches_little(m: Any, transposed: Any) -> bool:
    """Whether some steps from the first output reach few units, as in a long band."""
    seen = [np.zeros(m.shape[0], bool), np.zeros(m.shape[1], bool)]
    frontier = np.flatnonzero(np.diff(m.indptr))[:1]
    seen[0][frontier] = True
    reached = 0
    for level in range(_LEVELS):
        from_outputs = level % 2 == 0
        neighbours = np.unique((m if from_outputs else transposed)[frontier].indices)
        there = seen[1] if from_outputs else seen[0]
        frontier = neighbours[~there[neighbours]]
        there[frontier] = True
        reached += len(frontier)
        if reached > _SHARE * sum(m.shape):
            return False
    return len(frontier) > 0


def _by_band(block: _Block, transposed: Any, vectors: bool) -> Leading | None:
    """By factorisation of [[0, B^T], [B, 0]], whose eigenvalues are the singular values and their negatives."""
    (m,), guess = block.matrices, block.guess
    adjacency = scipy.sparse.csr_array(scipy.sparse.block_array([[None, transposed], [m, None]]))
    band = inertia.as_band(adjacency)
    if band is None:
        return None
    image = transposed @ (m @ guess)
    live = image > 0  # Collatz and Wielandt: sigma1^2 is between the mean and the largest of these quotients
    low, bound = float(np.sqrt(guess @ image / (guess @ guess))), float(np.sqrt((image[live] / guess[live]).max()))
    found = inertia.largest_of_band(band, bound * (1 + 1e-7), 2)
    if found is None:
        bound = inertia.shift_above(band, low, bound * (1 + 1e-7))
        found = inertia.largest_of_band(band, bound * (1 + 1e-9), 2)
    if found is None:
        return None
    bounded = []
    for place, value in enumerate(float(v) for v in found[0]):
        low, high = inertia.bracket(band, value, place, bound)
        if not low <= value <= high:
            return None
        bounded.append(Measurement(value, low, high, f"shift and invert, band of {band.width}", FACTORISED))
    pair = Leading(bounded[0], bounded[1])
    if not vectors:
        return pair
    x = found[1][:, 1] * math.sqrt(2.0)
    return pair._replace(left=x[m.shape[1] :], right=x[: m.shape[1]])


def _by_lanczos(f: Operator, block: _Block, certify: bool, vectors: bool, progress: Progress | None) -> Leading:
    """On the smaller of B^T B and B B^T, the vector of sigma1 taken out."""
    n, apply, on_inputs = gram(f)
    relative = _rounding(block.matrices)
    top = block.guess if on_inputs else f.there(block.guess)
    top, square, residual, image = _rayleigh(apply, top)
    method = "known vector"
    if residual > _EXACT * square:
        searched = largest_eigenvalue(apply, n, block.bound**2, rounding=relative, vector=True, progress=progress)
        assert searched.vector is not None
        top, square, residual, image = _rayleigh(apply, np.abs(searched.vector))
        method = f"Lanczos, {searched.steps} steps"
    second = largest_eigenvalue(apply, n, square, rounding=relative, without=top, vector=vectors, progress=progress)
    rounding = relative * square * math.sqrt(second.steps)
    # an approximate vector of sigma1 taken out leaves at least sigma2^2 (Cauchy), and at most this more
    apart = square - second.value
    leak = math.hypot(apart / 2, residual) - apart / 2
    low, high, basis, confidence = second.value - leak - rounding, second.upper, RANDOM_START, 1 - FAILURE
    close = second.value + _MARGIN * square
    for above in (close, max(close, second.upper)) if certify and n <= inertia.DENSE_LIMIT else ():
        matrix = _dense_gram(block.matrices, on_inputs)
        if matrix is None:
            break
        proven, error = inertia.is_below(matrix, above, top, square)
        if proven:
            high, basis, confidence = above + error + rounding, CHOLESKY, 1.0
            break
    value = max(second.value, 0.0)
    sigma2 = Measurement(math.sqrt(value), _root(low), _root(high), f"Lanczos, {second.steps} steps", basis, confidence)
    live = (top > 0) | (image > 0)  # the rest are units without an edge
    with np.errstate(divide="ignore"):
        quotient = float((image[live] / top[live]).max())  # >= sigma1^2 (Collatz and Wielandt)
    beyond = residual**2 / (square - high) if square > high else math.inf  # Kato and Temple
    above = min(quotient, square + beyond) + rounding
    sigma1 = Measurement(math.sqrt(square), _root(square - rounding), _root(above), method, PERRON)
    if second.vector is None:
        return Leading(sigma1, sigma2)
    left, right = _both_sides(f, second, on_inputs)
    return Leading(sigma1, sigma2, left, right)


def _rayleigh(apply: Any, x: np.ndarray) -> tuple[np.ndarray, float, float, np.ndarray]:
    """x of length 1, its Rayleigh quotient, the residual, and its image."""
    x = x / np.linalg.norm(x)
    image = apply(x)
    value = float(x @ image)
    return x, value, float(np.linalg.norm(image - value * x)), image


def _both_sides(f: Operator, found: Ritz, on_inputs: bool) -> tuple[np.ndarray, np.ndarray]:
    """The left and the right singular vector, from the one on the smaller side."""
    assert found.vector is not None
    other = (f.there if on_inputs else f.back)(found.vector)
    length = float(np.linalg.norm(other))
    other = other / length if length > 0 else other
    return (other, found.vector) if on_inputs else (found.vector, other)


def _dense_gram(matrices: Sequence[Any], on_inputs: bool) -> np.ndarray | None:
    """B^T B or B B^T as a dense matrix; None where that takes too long or too much memory."""
    lengths = np.diff(matrices[0].indptr) if on_inputs else np.bincount(matrices[0].indices)
    if len(matrices) == 1 and float(lengths @ lengths) <= _PRODUCTS:
        m = matrices[0]
        return (m.T @ m if on_inputs else m @ m.T).toarray()
    if _cells(matrices) > inertia.DENSE_LIMIT**2:
        return None
    product = matrices[0].toarray()
    for m in matrices[1:]:
        product = m @ product
    return product.T @ product if on_inputs else product @ product.T


def _rounding(matrices: Sequence[Any]) -> float:
    """What the sums of a product with the matrices and back can be off by, relative to sigma1^2, as all are >= 0."""
    longest = sum(int(np.diff(m.indptr).max()) + int(np.bincount(m.indices).max()) for m in matrices)
    return (16 + longest / 2) * _EPSILON


def _pair(values: Any, error: float, method: str, basis: str) -> Leading:
    """Of all singular values, descending, each to an absolute error; a missing one is 0."""
    first, second = (_around(float(value), error, method, basis) for value in (*values[:2], 0.0)[:2])
    return Leading(first, second if len(values) > 1 else second._replace(high=0.0))


def _around(value: float, error: float, method: str, basis: str) -> Measurement:
    return Measurement(value, max(value - error, 0.0), value + error, method, basis)


def _root(square: float) -> float:
    return math.sqrt(max(square, 0.0))
