"""The two largest singular values of a large connected block by Lanczos iterations."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..measurement import Measurement, Progress
from . import inertia
from .connected_blocks import Block, count_dense_cells
from .lanczos import Ritz, find_largest_eigenvalue
from .leading_pair import RESIDUAL, LeadingPair, root_or_zero
from .next_eigenvalue import TOP_STREAM, find_next_eigenvalue
from .operators import Operator, bound_rounding, make_gram

_PRODUCTS = 1e9  # form B^T B by a sparse product up to this many multiplications; a dense product is faster beyond
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
    rounding_unit = bound_rounding(block.matrices)

    # Step 2: the vector of sigma1. Where degrees are constant the guess is that vector, which its residual shows.
    # Elsewhere an iteration finds it; the Perron vector is positive, so absolute values only remove rounding errors.
    # No bound below rests on this run: if it missed sigma1, `top` would be a bad vector and the bounds wide.
    top = block.guess if on_inputs else f.apply(block.guess)
    top, square, residual = _compute_rayleigh(apply, top)
    method = "known vector"
    if residual > _EXACT * square:
        ritz = find_largest_eigenvalue(
            apply, n, block.bound**2, rounding=rounding_unit, stream=TOP_STREAM, vector=True, progress=progress
        )
        assert ritz.vector is not None
        top, square, residual = _compute_rayleigh(apply, np.abs(ritz.vector))
        method = f"Lanczos, {ritz.steps} steps"
    residual += rounding_unit * square

    # Step 3: sigma2^2 is the largest eigenvalue on the space orthogonal to that vector.
    second, high, certificate, confidence = find_next_eigenvalue(
        apply,
        top,
        square,
        residual=residual,
        rounding=rounding_unit,
        limit=block.bound**2 * (1 + rounding_unit),
        form_dense=(lambda: _form_dense_gram(block.matrices, on_inputs)) if certify else None,
        vector=vectors,
        progress=progress,
    )
    rounding = rounding_unit * square * math.sqrt(second.steps)

    # Step 4: the lower bound of sigma2, although `top` is only an approximate eigenvector. By the minimax principle
    # sigma2^2 is at least the smaller eigenvalue of G on the plane of `top` and the vector v of step 3. There G is
    # [[square, c], [c, value]] with |c| <= residual, and the smaller eigenvalue of this matrix is at least value -
    # leak, with the leak of the two numbers. This also holds where sigma1 and sigma2 are almost equal.
    value = max(second.value, 0.0)
    low = second.value - _compute_leak(square - second.value, residual) - rounding
    sigma2 = Measurement(
        math.sqrt(value),
        root_or_zero(low),
        max(root_or_zero(high), math.sqrt(value)),
        f"Lanczos, {second.steps} steps",
        certificate,
        confidence,
    )

    # Step 5: bounds of sigma1. A Rayleigh quotient is never above sigma1^2. From above: `high` bounds u'Gu for all unit
    # vectors u orthogonal to `top`. So at a unit vector a top + b u the quadratic form is at most a^2 square + 2 a b
    # residual + b^2 high, and sigma1^2 is at most the larger eigenvalue of [[square, residual], [residual, high]].
    above = square + _compute_leak(square - high, residual) + rounding
    sigma1 = Measurement(
        math.sqrt(square),
        root_or_zero(square - rounding),
        root_or_zero(above),
        method,
        f"{RESIDUAL}; {certificate}",
        confidence,
    )
    if second.vector is None:
        return LeadingPair(sigma1, sigma2)
    left, right = _complete_vectors(f, second, on_inputs)
    return LeadingPair(sigma1, sigma2, left, right)


def _compute_rayleigh(apply: Any, x: np.ndarray) -> tuple[np.ndarray, float, float]:
    """x scaled to length 1, its Rayleigh quotient x'Gx, and the residual |Gx - (x'Gx) x|."""
    x = x / np.linalg.norm(x)
    image = apply(x)
    value = float(x @ image)
    return x, value, float(np.linalg.norm(image - value * x))


def _compute_leak(apart: float, residual: float) -> float:
    """The larger eigenvalue of [[p, residual], [residual, p - apart]] minus p, which is p - apart minus the smaller."""
    return math.hypot(apart / 2, residual) - apart / 2


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
