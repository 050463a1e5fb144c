"""Lanczos' iteration for the largest eigenvalue of a symmetric map A, with an upper bound that may fail rarely.

The iteration. From a start vector q_0 it builds orthonormal vectors q_0, q_1, ... by

    beta_k q_(k+1) = A q_k - alpha_k q_k - beta_(k-1) q_(k-1),    alpha_k = q_k' A q_k.

In this basis A is the tridiagonal matrix T with alpha on the diagonal and beta beside it. The largest eigenvalue of T
(a Ritz value) approaches the largest eigenvalue of A from below. Only three vectors are in memory: none is stored and
none reorthogonalised. Rounding then produces copies of eigenvalues that have converged, but no false eigenvalues
(Paige, "Accuracy and effectiveness of the Lanczos algorithm for the symmetric eigenproblem", Linear Algebra Appl. 34,
1980).

The upper bound. A residual proves that some eigenvalue is near, not that this eigenvalue is the largest: a start
without any part along the largest eigenvector would never find it. The bound used here says how improbable that is.

1. The recurrence gives q_k = P_k(A) q_0 with polynomials P_k of degree k, and q_k has length 1.
2. Let c be the part of q_0 along an eigenvector with eigenvalue x. The part of q_k along that vector is c P_k(x), so
   |c P_k(x)| <= 1. Where P_k(x) is huge, c must be tiny.
3. If q_0 is uniform on the unit sphere of dimension n, a tiny c is improbable: P(|c| <= e) <= e sqrt(2n/pi).
4. P_k grows above its largest root. So all eigenvalues are below the x at which P_k(x) = 1/e, except with that
   probability. After convergence this x is about residual / probability above the Ritz value.

What the probability means. It is over the start, with A fixed, that the one event |c| <= e occurs for the largest
eigenvalue. This event does not depend on the step at which the iteration ends, so the checks add nothing to it.
(Kuczynski and Wozniakowski, "Estimating the largest eigenvalue by the power and Lanczos algorithms with a random
start", SIAM J. Matrix Anal. Appl. 13, 1992, have such bounds from the number of steps alone; the bound here uses the
coefficients of the run itself.)

Therefore A must not depend on the start. If A is a matrix without the vector t that an earlier run found, t is a
function of the earlier start: if two largest eigenvalues are almost equal, t lies along the part of that start in the
plane of both eigenvectors. The same start then has nothing left in this plane, and a second run would miss the second
eigenvalue with certainty. So each run on the same matrix has a stream of random numbers of its own. Given t, the part
of an independent start that is orthogonal to t is uniform on the sphere of that space.

Rounding. A rounding error f_k in step k changes c to c - z, where z sums the parts of all f_k along the eigenvector
with falling weights. The density of c is largest at 0, so P(|c - z| <= e) <= P(|c| <= e) for every z that does not
depend on c: errors that are unrelated to c make no failure more probable. _SAFETY covers that the computed q_k do not
have length 1 exactly. An invariant space is an exception: there beta_k q_(k+1) is nothing but rounding errors, so
beta_k is raised by their length.

The streams are fixed and independent of any graph. So measuring the same graph again gives the same result and no
additional evidence.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh_tridiagonal

from ...random_bits import RandomBits
from ..measurement import Progress

FAILURE = 1e-6
"""The probability with which an upper bound may fail."""
TOLERANCE = 1e-8
"""End the iteration once (upper bound - value) / value is at most this."""
MAX_STEPS = 40_000
_SAFETY = 10.0  # rounding errors must not make a lucky start look improbable
_DISTANCES = np.logspace(-15, 1, 241)  # above the Ritz value, relative to the scale: candidates for the upper bound
_EPSILON = float(np.finfo(float).eps)
_SHORT_REST = 1e-4  # project a vector twice if at most this share of it is left
_FIRST_CHECK = 12
_BETWEEN_CHECKS = 1.12

Map = Callable[[np.ndarray], np.ndarray]


class Ritz(NamedTuple):
    """The result of an iteration.

    Attributes:
        value: a lower bound of the largest eigenvalue, and after convergence its value.
        upper: all eigenvalues are at most this, except with probability FAILURE.
        residual: the length of A x - value x; some eigenvalue is within this distance of the value.
        steps: the number of products with A.
        vector: the eigenvector (n,), of length 1, if requested.
    """

    value: float
    upper: float
    residual: float
    steps: int
    vector: np.ndarray | None


def find_largest_eigenvalue(
    apply: Map,
    n: int,
    scale: float,
    *,
    rounding: float = 16 * float(np.finfo(float).eps),
    without: np.ndarray | None = None,
    stream: int = 0,
    vector: bool = False,
    tolerance: float = TOLERANCE,
    progress: Progress | None = None,
) -> Ritz:
    """Compute the largest eigenvalue of a symmetric map on R^n, or on the space orthogonal to a given vector.

    Args:
        apply: the map, x (n,) -> (n,).
        n: the dimension.
        scale: the approximate largest absolute eigenvalue of the map, above 0.
        rounding: the length of the error of apply(x) for an x of length 1, relative to the scale.
        without: (n,), of length 1; only vectors orthogonal to it count.
        stream: the number of the random stream of the start. Runs on one matrix need different streams, see above.
        vector: also compute the eigenvector, by running the iteration a second time.
        tolerance: end once the upper bound is this close to the value, relative to the value.
        progress: called with the steps done and an estimate of the steps in all.

    Raises:
        RuntimeError: if the bound does not converge in MAX_STEPS steps.

    Example:
        >>> ritz = find_largest_eigenvalue(lambda x: np.arange(5.0) * x, 5, 4.0)
        >>> round(ritz.value, 9), ritz.upper - ritz.value < 1e-6
        (4.0, True)
    """
    project = _make_projection(without)
    start = project(_draw_gaussian(n, stream))
    diagonal, beside = np.empty(MAX_STEPS), np.empty(MAX_STEPS)
    steps, ritz, noise = 0, None, rounding * scale
    check, history = _FIRST_CHECK, []
    for _, alpha, beta in _iterate(apply, start, project):
        diagonal[steps], beside[steps] = alpha, beta
        steps += 1
        # beta = 0 means that the vectors span an invariant space: the eigenvalues of T are exact and no step follows.
        is_invariant = beta <= 4 * _EPSILON * scale * math.sqrt(steps)
        # The eigenvalues of T cost O(steps), so checks are spaced geometrically and cost less than the products.
        if is_invariant or steps >= check or steps in (n, MAX_STEPS):
            ritz = _bound_largest(diagonal[:steps], beside[:steps], n, scale, noise)
            excess = (ritz.upper - ritz.value) / max(abs(ritz.value), _EPSILON * scale)
            history.append((steps, math.log(max(excess, 1e-300))))
            if progress is not None:
                progress(steps, _predict_steps(history, math.log(tolerance)))
            if is_invariant or excess <= tolerance or ritz.upper - ritz.value <= 2 * _bound_noise(noise, steps):
                break
            if steps == MAX_STEPS:
                raise RuntimeError(
                    f"expected the Lanczos iteration to converge, got no convergence on {n} dimensions in {MAX_STEPS} "
                    "steps: the leading values lie too close together, as in large graphs similar to a grid; measure a "
                    "smaller graph of the same family"
                )
            check = int(_BETWEEN_CHECKS * steps) + 4
    assert ritz is not None
    if not vector:
        return ritz
    # The eigenvector of A is the combination of the q_k with the entries of the eigenvector of T. The q_k were not
    # stored, so the same iteration produces them again.
    _, weights = _solve_tridiagonal(diagonal[:steps], beside[:steps])
    x = np.zeros(n)
    for (q, _, _), weight in zip(_iterate(apply, start, project), weights, strict=False):
        x += weight * q
    x = project(x)
    return ritz._replace(vector=x / np.linalg.norm(x))


def _iterate(apply: Map, start: np.ndarray, project: Map) -> Iterator[tuple[np.ndarray, float, float]]:
    """Yield each Lanczos vector q_k with its coefficients alpha_k and beta_k."""
    before, q, beta = np.zeros_like(start), start / np.linalg.norm(start), 0.0
    while True:
        w = apply(q)
        w -= beta * before
        alpha = float(w @ q)
        w -= alpha * q
        w = project(w)  # rounding brings the excluded vector back, and it would grow fastest
        beta = float(np.linalg.norm(w))
        yield q, alpha, beta
        before, q = q, w / (beta or 1.0)


def _make_projection(without: np.ndarray | None) -> Map:
    """The map, in place, to the space orthogonal to a vector of length 1."""
    if without is None:
        return lambda x: x

    def project(x: np.ndarray) -> np.ndarray:
        part = x @ without
        x -= part * without
        # The rounding errors of a long part are no small part of a short rest, which would not be orthogonal.
        if np.linalg.norm(x) < _SHORT_REST * abs(part):
            x -= (x @ without) * without
        return x

    return project


def _draw_gaussian(n: int, stream: int) -> np.ndarray:
    """n normal numbers, whose direction is uniform on the sphere (Box and Muller, 1958)."""
    bits = RandomBits(stream, "lanczos start")
    radius = np.sqrt(-2.0 * np.log1p(-bits.fractions(n)))
    return radius * np.cos(2.0 * np.pi * bits.fractions(n))


def _bound_largest(diagonal: np.ndarray, beside: np.ndarray, n: int, scale: float, noise: float) -> Ritz:
    """The largest Ritz value of T and the upper bound of the largest eigenvalue of A, see the head of this file.

    Args:
        diagonal, beside: (steps,), alpha and beta.
        n: the dimension of A.
        scale: the approximate largest absolute eigenvalue of A.
        noise: the length of the rounding error of a product with A.
    """
    steps = len(diagonal)
    value, weights = _solve_tridiagonal(diagonal, beside)
    # e = FAILURE / sqrt(2n/pi) makes the probability of step 3 equal to FAILURE.
    limit = _SAFETY * math.sqrt(2 * n / math.pi) / FAILURE
    # No bound can be closer than the rounding errors; farther away, beta raised by the noise only lowers P_k.
    distances = np.maximum(scale * _DISTANCES, _bound_noise(noise, steps))
    upper = value + _find_bound_distance(diagonal, beside + noise, value, distances, limit)
    # |A x - value x| = beta_last |last entry of the eigenvector of T|: only the last q_k leaves the space spanned.
    return Ritz(value, upper, float(beside[-1] * abs(weights[-1])), steps, None)


def _bound_noise(noise: float, steps: int) -> float:
    """The error of a Ritz value: rounding errors of independent steps add up like their square root."""
    return noise * max(2.0, math.sqrt(steps))


def _solve_tridiagonal(diagonal: np.ndarray, beside: np.ndarray) -> tuple[float, np.ndarray]:
    """The largest eigenvalue of T and its eigenvector (steps,)."""
    steps = len(diagonal)
    if steps == 1:
        return float(diagonal[0]), np.ones(1)
    last = (steps - 1, steps - 1)
    values, vectors = eigh_tridiagonal(diagonal, beside[:-1], select="i", select_range=last)
    return float(values[0]), vectors[:, 0]


def _find_bound_distance(
    diagonal: np.ndarray, beside: np.ndarray, value: float, distances: np.ndarray, limit: float
) -> float:
    """The least of some distances above the Ritz value at which some P_k exceeds a limit; infinite if none does.

    The recurrence of the vectors is also that of the polynomials: beta_k P_(k+1)(x) = (x - alpha_k) P_k(x) -
    beta_(k-1) P_(k-1)(x). It runs on all distances at once.

    Args:
        diagonal, beside: (steps,), alpha and beta.
        value: the largest Ritz value.
        distances: (m,), ascending.
        limit: the limit.
    """
    x, is_above = value + distances, np.zeros(len(distances), bool)
    before, p, beta = np.zeros_like(x), np.ones_like(x), 0.0
    for alpha, next_beta in zip(diagonal.tolist(), beside.tolist(), strict=True):
        before, p = p, ((x - alpha) * p - beta * before) / next_beta
        beta = next_beta
        beyond = p > limit
        if beyond.any():
            is_above |= beyond
            before[beyond], p[beyond] = 0.0, 1.0  # these distances are decided: reset them so that they cannot overflow
    return float(distances[is_above.argmax()]) if is_above.any() else math.inf


def _predict_steps(history: list[tuple[int, float]], goal: float) -> int | None:
    """Steps until the logarithm of the excess reaches the goal; None before six checks.

    The excess falls geometrically, so its logarithm is near a line; the last third of the checks determines the line.
    """
    usable = [(steps, log) for steps, log in history if math.isfinite(log)]
    if len(usable) < 6:
        return None
    (first, high), (last, low) = usable[-max(len(usable) // 3, 2)], usable[-1]
    slope = (low - high) / (last - first)
    return min(MAX_STEPS, last + math.ceil((goal - low) / slope)) if slope < 0 else None
