"""The two largest singular values of a nonnegative sparse matrix, or of a product of such matrices, with bounds.

Three decisions keep the values right.

1. The singular values of the matrix itself are computed. The adjacency matrix of the bipartite graph has each of them
   twice, as +sigma and -sigma, so its second largest absolute eigenvalue would be sigma1 again.
2. The spectrum is computed block by block. Inside a connected block sigma1 is simple and its singular vectors are
   positive (Perron and Frobenius). So the vector of sigma1 is known where degrees are constant, is checked by its
   residual elsewhere, and can be removed before sigma2 is computed.
3. A residual proves only that some singular value is near, not that this value is the second largest. The proof is
   one of: a closed form; the backward error of LAPACK, which computes all values at once; inertia by factorisation
   (`inertia.py`); a Lanczos iteration from a random start with a stated probability of failure (`lanczos.py`).

`find_leading_pair` tries these methods from the cheapest certain one to the probabilistic one.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..measurement import Measurement, Progress
from .connected_blocks import Block, count_dense_cells, split_into_blocks
from .leading_by_band import is_bandlike, solve_by_band
from .leading_by_lanczos import solve_by_lanczos
from .leading_pair import COMPLETE, EPSILON, LAPACK, SYMMETRY, LeadingPair, enclose_pair
from .operators import compose, make_operator
from .symmetric_spectra import find_symmetric_spectrum

DENSE_CELLS = 300_000
"""Compute all singular values of a matrix if it has at most this many entries: LAPACK then takes under a second."""
_SMALL = 1e-70


def find_leading_pair(
    matrices: Sequence[Any],
    *,
    guess: np.ndarray | None = None,
    certify: bool = False,
    vectors: bool = False,
    progress: Progress | None = None,
) -> LeadingPair:
    """Compute sigma1 and sigma2 of a nonnegative sparse matrix, or of a product of several, over all components.

    Args:
        matrices: CSR arrays (n_out, n_in), the layer that reads the inputs first.
        guess: (n_in,), an approximate right singular vector of sigma1 on every component; equal entries if not given.
        certify: spend the time of a factorisation on a certain bound, if the matrix is small enough for that.
        vectors: also compute the singular vectors of sigma2; for connected graphs only.
        progress: called during a long iteration.

    Raises:
        RuntimeError: if an iteration does not converge.

    Example:
        >>> import scipy.sparse
        >>> pair = find_leading_pair([scipy.sparse.csr_array(np.ones((4, 9)))])
        >>> pair.first.value, pair.second.value
        (6.0, 0.0)
    """
    zero = Measurement.from_count(0.0)
    single = len(matrices) == 1 and not vectors
    # Closed forms come first, on the whole matrix: they are cheap, and a symmetry may exchange components.
    if single and _is_complete(matrices[0]):
        return _solve_complete(matrices[0])
    if single and (spectrum := find_symmetric_spectrum(matrices[0])) is not None:
        # A Fourier transform of length n has a relative error of a few eps log2(n).
        # The SVD of a small matrix adds at most its side times eps; no small matrix has more than n_orbits rows.
        n_orbits = max(matrices[0].shape) // spectrum.order
        error = (8 * math.log2(2 * max(matrices[0].shape)) + n_orbits) * EPSILON * float(spectrum.values[0])
        return enclose_pair(spectrum.values, error, f"closed form: {spectrum.symmetry}", SYMMETRY)
    first = second = zero
    left = right = None
    doubts: list[Measurement] = []
    for block in split_into_blocks(matrices, guess):
        # Blocks come with falling bounds of sigma1. Once the bound is below sigma2, no later block changes the result,
        # except that the upper bounds must cover the blocks that were not computed.
        if block.bound <= second.value * (1 + 1e-12):
            first, second = (m._replace(high=max(m.high, block.bound)) for m in (first, second))
            break
        pair = _solve_block(block, certify, vectors, progress)
        left, right = pair.left, pair.right
        if pair.second.confidence < 1.0:
            doubts.append(pair.second)
        first, second = _select_largest_two([pair.first, pair.second, first, second])
    first, second = (_share_doubts(m, doubts) for m in (first, second))
    return LeadingPair(first, second, left, right)


def _share_doubts(m: Measurement, doubts: list[Measurement]) -> Measurement:
    """The same with the certificate and the confidence of all blocks whose bounds may fail.

    The bounds come from all blocks. They fail if any block fails, so the probabilities add up (union bound).
    """
    certificates = dict.fromkeys(
        [m.certificate, *(d.certificate for d in doubts if d.certificate not in m.certificate)]
    )
    return m._replace(
        certificate="; ".join(certificates), confidence=1.0 - sum(1.0 - d.confidence for d in doubts) if doubts else 1.0
    )


def _select_largest_two(values: list[Measurement]) -> list[Measurement]:
    """The two largest of several values, with their bounds.

    The k-th largest number is a monotone function of all numbers. So the k-th largest lower bound is a lower bound of
    the k-th largest value, and the same holds for upper bounds.
    """
    by_value = sorted(values, key=lambda m: -m.value)[:2]
    lows, highs = (sorted((getattr(m, name) for m in values), reverse=True) for name in ("low", "high"))
    return [m._replace(low=lows[k], high=highs[k]) for k, m in enumerate(by_value)]


def _solve_block(block: Block, certify: bool, vectors: bool, progress: Progress | None) -> LeadingPair:
    """sigma1 and sigma2 of a connected block by the first method that applies."""
    matrices = block.matrices
    # The methods work with fourth powers, which would overflow or underflow here: scale the matrices to sigma1 <= 1.
    if not _SMALL < block.bound < 1 / _SMALL:
        unit = block.bound ** (1 / len(matrices))
        pair = _solve_block(Block([m / unit for m in matrices], block.guess, 1.0), certify, vectors, progress)
        first, second = (m.map(lambda value: value * block.bound) for m in pair[:2])
        return pair._replace(first=first, second=second)
    n_out, n_in = matrices[-1].shape[0], matrices[0].shape[1]
    if len(matrices) == 1 and not vectors and _is_complete(matrices[0]):
        return _solve_complete(matrices[0])
    if min(n_in, n_out) == 1:
        return _solve_vector(matrices)
    # Forming the product also costs memory for every intermediate matrix, hence the second condition.
    if n_in * n_out <= DENSE_CELLS and count_dense_cells(matrices) <= 10 * DENSE_CELLS:
        return _solve_dense(matrices, vectors)
    transposed = [m.T.tocsr() for m in matrices]
    # Long bands have many singular values close to sigma1: an iteration would converge slowly, but a factorisation of
    # a narrow band is cheap.
    if len(matrices) == 1 and is_bandlike(matrices[0], transposed[0]):
        pair = solve_by_band(block, transposed[0], vectors)
        if pair is not None:
            return pair
    f = compose([make_operator(m, back) for m, back in zip(matrices, transposed, strict=True)])
    return solve_by_lanczos(f, block, certify, vectors, progress)


def _is_complete(m: Any) -> bool:
    """Whether each row with an entry has an entry in each column with an entry, and all entries are equal."""
    if m.nnz == 0:
        return False
    rows, columns = (np.count_nonzero(counts) for counts in (np.diff(m.indptr), np.bincount(m.indices)))
    return m.nnz == rows * columns and bool((m.data == m.data[0]).all())


def _solve_complete(m: Any) -> LeadingPair:
    """sigma1 of a complete block, a matrix of rank one with nnz equal entries: its Frobenius norm."""
    value = float(m.data[0]) * math.sqrt(m.nnz)
    return enclose_pair([value], 4 * EPSILON * value, "closed form: complete", COMPLETE)


def _solve_vector(matrices: Sequence[Any]) -> LeadingPair:
    """sigma1 of a product with a single row or column: the length of that vector."""
    x = np.ones(1)
    for m in matrices if matrices[0].shape[1] == 1 else [m.T for m in reversed(matrices)]:
        x = m @ x
    value = float(np.linalg.norm(x))
    # All terms are >= 0, so a sum of k terms has a relative error of at most about k eps, and errors of layers add up.
    error = EPSILON * (len(x) + sum(m.nnz / max(min(m.shape), 1) + 1 for m in matrices))
    return enclose_pair([value], error * value, "length of a vector", COMPLETE)


def _solve_dense(matrices: Sequence[Any], vectors: bool) -> LeadingPair:
    """sigma1 and sigma2 of the product as a dense matrix, by LAPACK's singular value decomposition."""
    product = matrices[0].toarray()
    for m in matrices[1:]:
        product = m @ product
    # The SVD is backward stable: the values are those of a matrix within max(shape) eps sigma1 of the given one, and
    # no singular value moves further than the matrix does (Weyl). Each layer's sums add the rounding of their length.
    rounding = sum(float(np.diff(m.indptr).max()) for m in matrices[1:])
    error = (max(product.shape) + rounding) * EPSILON
    if not vectors:
        values = np.linalg.svd(product, compute_uv=False)
        return enclose_pair(values, error * float(values[0]), "dense SVD", LAPACK)
    u, values, vt = np.linalg.svd(product, full_matrices=False)
    pair = enclose_pair(values, error * float(values[0]), "dense SVD", LAPACK)
    return pair._replace(left=u[:, 1], right=vt[1])
