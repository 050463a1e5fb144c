"""The two largest singular values by Lanczos' process, the vector of the first taken out."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import inertia
from .bounded_pair import CHOLESKY, EPSILON, PERRON, RANDOM_START, Leading, root
from .connected_blocks import Block, largest_dense_cells
from .lanczos import FAILURE, Ritz, largest_eigenvalue
from .measurement import Measurement, Progress
from .operators import Operator, gram

_PRODUCTS = 1e9  # multiplications of a sparse product; beyond, a dense one is faster
_MARGIN = 1e-10  # relative to sigma1^2, within which a factorisation would not see that a matrix is definite
_EXACT = 1e-12  # relative residual of a guess up to which it is the vector of sigma1


def leading_by_lanczos(f: Operator, block: Block, certify: bool, vectors: bool, progress: Progress | None) -> Leading:
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
    low, high, certificate, confidence = second.value - leak - rounding, second.upper, RANDOM_START, 1 - FAILURE
    close = second.value + _MARGIN * square
    for above in (close, max(close, second.upper)) if certify and n <= inertia.DENSE_LIMIT else ():
        matrix = _dense_gram(block.matrices, on_inputs)
        if matrix is None:
            break
        proven, error = inertia.is_below(matrix, above, top, square)
        if proven:
            high, certificate, confidence = above + error + rounding, CHOLESKY, 1.0
            break
    value = max(second.value, 0.0)
    sigma2 = Measurement(
        math.sqrt(value), root(low), root(high), f"Lanczos, {second.steps} steps", certificate, confidence
    )
    live = (top > 0) | (image > 0)  # the rest are units without an edge
    with np.errstate(divide="ignore"):
        quotient = float((image[live] / top[live]).max())  # >= sigma1^2 (Collatz and Wielandt)
    beyond = residual**2 / (square - high) if square > high else math.inf  # Kato and Temple
    above = min(quotient, square + beyond) + rounding
    sigma1 = Measurement(math.sqrt(square), root(square - rounding), root(above), method, PERRON)
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
    if largest_dense_cells(matrices) > inertia.DENSE_LIMIT**2:
        return None
    product = matrices[0].toarray()
    for m in matrices[1:]:
        product = m @ product
    return product.T @ product if on_inputs else product @ product.T


def _rounding(matrices: Sequence[Any]) -> float:
    """What the sums of a product with the matrices and back can be off by, relative to sigma1^2, as all are >= 0."""
    longest = sum(int(np.diff(m.indptr).max()) + int(np.bincount(m.indices).max()) for m in matrices)
    return (16 + longest / 2) * EPSILON
