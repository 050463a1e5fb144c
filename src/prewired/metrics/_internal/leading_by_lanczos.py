"""The two largest singular values of a large connected block by Lanczos iterations."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..measurement import Measurement, Progress
from . import inertia
from .connected_blocks import Block, count_dense_cells
from .lanczos import FAILURE, Ritz, find_largest_eigenvalue
from .leading_pair import CHOLESKY, EPSILON, PERRON, RANDOM_START, LeadingPair, root_or_zero
from .operators import Operator, make_gram

_PRODUCTS = 1e9  # form B^T B by a sparse product up to this many multiplications; a dense product is faster beyond
_MARGIN = 1e-10  # relative to sigma1^2: with less, rounding hides from Cholesky that a matrix is positive definite
_EXACT = 1e-12  # accept a guess as the vector of sigma1 if its relative residual is below this


def solve_by_lanczos(f: Operator, block: Block, certify: bool, vectors: bool, progress: Progress | None) -> LeadingPair:
    """sigma1 and sigma2 of a connected block as square roots of the largest eigenvalues of G = B^T B or B B^T.

    Args:
        f: the map x -> B x of the whole chain.
        block: its matrices, a guess of the vector of sigma1, and an upper bound of sigma1.
        certify: try to prove the upper bound of sigma2 by a dense Cholesky factorisation.
        vectors: also give the singular vectors of sigma2.
        progress: called during the iterations.
    """
    # Step 1: the smaller of the two Gram matrices has the same nonzero eigenvalues and shorter vectors.
    n, apply, on_inputs = make_gram(f)
    rounding_unit = _bound_rounding(block.matrices)

    # Step 2: the vector of sigma1. Where degrees are constant the guess is that vector, which its residual shows.
    # Elsewhere an iteration finds it; the Perron vector is positive, so absolute values only remove rounding errors.
    top = block.guess if on_inputs else f.apply(block.guess)
    top, square, residual, image = _compute_rayleigh(apply, top)
    method = "known vector"
    if residual > _EXACT * square:
        ritz = find_largest_eigenvalue(apply, n, block.bound**2, rounding=rounding_unit, vector=True, progress=progress)
        assert ritz.vector is not None
        top, square, residual, image = _compute_rayleigh(apply, np.abs(ritz.vector))
        method = f"Lanczos, {ritz.steps} steps"

    # Step 3: sigma2^2 is the largest eigenvalue on the space orthogonal to that vector.
    second = find_largest_eigenvalue(
        apply, n, square, rounding=rounding_unit, without=top, vector=vectors, progress=progress
    )
    rounding = rounding_unit * square * math.sqrt(second.steps)

    # Step 4: bounds of sigma2, although `top` is only an approximate eigenvector. From above: the largest eigenvalue of
    # G on the space orthogonal to any vector is at least sigma2^2 (Cauchy's interlacing), so the upper bound of the
    # iteration holds for sigma2^2 too. From below: by the minimax principle sigma2^2 is at least the smaller eigenvalue
    # of G on the plane of `top` and the vector v of step 3. There G is [[square, c], [c, value]] with |c| <= residual,
    # and the smaller eigenvalue of this matrix is at least value - leak.
    apart = square - second.value
    leak = math.hypot(apart / 2, residual) - apart / 2
    low, high, certificate, confidence = second.value - leak - rounding, second.upper, RANDOM_START, 1 - FAILURE
    # With `certify` a factorisation replaces the probability: first at a number just above the value, which gives the
    # tightest bound, then at the probable upper bound.
    close = second.value + _MARGIN * square
    for above in (close, max(close, second.upper)) if certify and n <= inertia.MOST_DENSE_ROWS else ():
        matrix = _form_dense_gram(block.matrices, on_inputs)
        if matrix is None:
            break
        proven, error = inertia.prove_below(matrix, above, top, square)
        if proven:
            high, certificate, confidence = above + error + rounding, CHOLESKY, 1.0
            break
    value = max(second.value, 0.0)
    sigma2 = Measurement(
        math.sqrt(value),
        root_or_zero(low),
        root_or_zero(high),
        f"Lanczos, {second.steps} steps",
        certificate,
        confidence,
    )

    # Step 5: bounds of sigma1. A Rayleigh quotient is never above sigma1^2. From above sigma1^2 is bounded by
    # max (G x)_i / x_i for a positive x (Collatz and Wielandt; units without an edge are left out), and by
    # square + residual^2 / (square - sigma2^2) (Kato and Temple); the smaller one counts.
    live = (top > 0) | (image > 0)
    with np.errstate(divide="ignore"):
        quotient = float((image[live] / top[live]).max())
    excess = residual**2 / (square - high) if square > high else math.inf
    above = min(quotient, square + excess) + rounding
    sigma1 = Measurement(math.sqrt(square), root_or_zero(square - rounding), root_or_zero(above), method, PERRON)
    if second.vector is None:
        return LeadingPair(sigma1, sigma2)
    left, right = _complete_vectors(f, second, on_inputs)
    return LeadingPair(sigma1, sigma2, left, right)


def _compute_rayleigh(apply: Any, x: np.ndarray) -> tuple[np.ndarray, float, float, np.ndarray]:
    """x scaled to length 1, its Rayleigh quotient x'Gx, the residual |Gx - (x'Gx) x|, and Gx."""
    x = x / np.linalg.norm(x)
    image = apply(x)
    value = float(x @ image)
    return x, value, float(np.linalg.norm(image - value * x)), image


def _complete_vectors(f: Operator, ritz: Ritz, on_inputs: bool) -> tuple[np.ndarray, np.ndarray]:
    """The left and the right singular vector, from the vector on the smaller side: B v = sigma u, B^T u = sigma v."""
    assert ritz.vector is not None
    partner = (f.apply if on_inputs else f.apply_transpose)(ritz.vector)
    length = float(np.linalg.norm(partner))
    partner = partner / length if length > 0 else partner
    return (partner, ritz.vector) if on_inputs else (ritz.vector, partner)


def _form_dense_gram(matrices: Sequence[Any], on_inputs: bool) -> np.ndarray | None:
    """B^T B or B B^T as a dense matrix; None if that takes too long or too much memory."""
    lengths = np.diff(matrices[0].indptr) if on_inputs else np.bincount(matrices[0].indices)
    if len(matrices) == 1 and float(lengths @ lengths) <= _PRODUCTS:
        m = matrices[0]
        return (m.T @ m if on_inputs else m @ m.T).toarray()
    if count_dense_cells(matrices) > inertia.MOST_DENSE_ROWS**2:
        return None
    product = matrices[0].toarray()
    for m in matrices[1:]:
        product = m @ product
    return product.T @ product if on_inputs else product @ product.T


def _bound_rounding(matrices: Sequence[Any]) -> float:
    """The rounding error of x -> Gx for |x| = 1, relative to sigma1^2.

    The error of a sum grows with the number of terms. All entries are >= 0, so no cancellation makes it larger.
    """
    longest = sum(int(np.diff(m.indptr).max()) + int(np.bincount(m.indices).max()) for m in matrices)
    return (16 + longest / 2) * EPSILON
