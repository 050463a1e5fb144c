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
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse

from . import inertia
from .bounded_pair import COMPLETE, EPSILON, FACTORISED, LAPACK, SYMMETRY, Leading, bounded_pair
from .connected_blocks import Block, connected_blocks, largest_dense_cells
from .leading_by_lanczos import leading_by_lanczos
from .measurement import Measurement, Progress
from .operators import chained, operator
from .symmetric_spectra import spectrum_by_symmetry

DENSE_CELLS = 300_000
"""Entries of a matrix up to which all its singular values are computed."""
_LEVELS, _SHARE = 30, 0.1  # a matrix is tried as a band if so many steps from a unit reach less than this share
_SMALL = 1e-100


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
        error = 8 * EPSILON * math.log2(2 * max(matrices[0].shape)) * float(spectrum.values[0])
        return bounded_pair(spectrum.values, error, f"closed form: {spectrum.symmetry}", SYMMETRY)
    first = second = zero
    left = right = None
    confidence = 1.0
    for block in connected_blocks(matrices, guess):
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


def _of_block(block: Block, certify: bool, vectors: bool, progress: Progress | None) -> Leading:
    matrices = block.matrices
    if not _SMALL < block.bound < 1 / _SMALL:  # squares would leave the range of numbers
        unit = block.bound ** (1 / len(matrices))
        found = _of_block(Block([m / unit for m in matrices], block.guess, 1.0), certify, vectors, progress)
        first, second = (m.mapped(lambda value: value * block.bound) for m in found[:2])
        return found._replace(first=first, second=second)
    n_out, n_in = matrices[-1].shape[0], matrices[0].shape[1]
    if len(matrices) == 1 and not vectors and _is_complete(matrices[0]):
        return _of_complete(matrices[0])
    if min(n_in, n_out) == 1:
        return _of_vector(matrices)
    if n_in * n_out <= DENSE_CELLS and largest_dense_cells(matrices) <= 10 * DENSE_CELLS:
        return _by_lapack(matrices, vectors)
    transposed = [m.T.tocsr() for m in matrices]
    if len(matrices) == 1 and reaches_little(matrices[0], transposed[0]):
        found = _by_band(block, transposed[0], vectors)
        if found is not None:
            return found
    f = chained([operator(m, back) for m, back in zip(matrices, transposed, strict=True)])
    return leading_by_lanczos(f, block, certify, vectors, progress)


def _of_complete(m: Any) -> Leading:
    value = float(np.linalg.norm(m.data))
    return bounded_pair([value], 4 * EPSILON * value, "closed form: complete", COMPLETE)


def _is_complete(m: Any) -> bool:
    """Whether each row with an entry has one in each column with an entry, all equal."""
    if m.nnz == 0:
        return False
    rows, columns = (np.count_nonzero(counts) for counts in (np.diff(m.indptr), np.bincount(m.indices)))
    return m.nnz == rows * columns and bool((m.data == m.data[0]).all())


def _of_vector(matrices: Sequence[Any]) -> Leading:
    """Of a product with a single row or column."""
    x = np.ones(1)
    for m in matrices if matrices[0].shape[1] == 1 else [m.T for m in reversed(matrices)]:
        x = m @ x
    value = float(np.linalg.norm(x))
    relative = EPSILON * (len(x) + sum(m.nnz / max(min(m.shape), 1) + 1 for m in matrices))
    return bounded_pair([value], relative * value, "length of a vector", COMPLETE)


def _by_lapack(matrices: Sequence[Any], vectors: bool) -> Leading:
    product = matrices[0].toarray()
    for m in matrices[1:]:
        product = m @ product
    rounding = sum(float(np.diff(m.indptr).max()) for m in matrices[1:])
    relative = (max(product.shape) + rounding) * EPSILON
    if not vectors:
        values = np.linalg.svd(product, compute_uv=False)
        return bounded_pair(values, relative * float(values[0]), "dense SVD", LAPACK)
    u, values, vt = np.linalg.svd(product, full_matrices=False)
    pair = bounded_pair(values, relative * float(values[0]), "dense SVD", LAPACK)
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


def _by_band(block: Block, transposed: Any, vectors: bool) -> Leading | None:
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
