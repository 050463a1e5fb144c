"""Lanczos' iteration for the largest eigenvalue, with an upper bound that holds with a stated probability.

Three vectors of memory: nothing is stored and nothing reorthogonalised. That brings copies of eigenvalues that have
been found, but none that is false (Paige, "Accuracy and effectiveness of the Lanczos algorithm for the symmetric
eigenproblem", Linear Algebra Appl. 34, 1980).

A residual proves that some eigenvalue is near, not that it is the largest. The bound used here does: the k-th Lanczos
vector is P_k(A) q_0 with the k-th orthonormal polynomial P_k of the process, and has length 1. So the part c of the
start q_0 in the direction of an eigenvector with eigenvalue x obeys c |P_k(x)| <= 1. Where P_k(x) is huge, c must be
tiny, and under a start that is uniform on the sphere of dimension n that is improbable: P(c <= e) <= e sqrt(2n/pi).
P_k grows above its largest root, so the x at which P_k(x) = 1/e is an upper bound of all eigenvalues, with that
probability. After convergence it is about residual / probability above the value found. The start is drawn from a
fixed seed, independently of any graph, so measuring again adds no evidence. (Probabilistic bounds from the degree
alone: Kuczynski and Wozniakowski, SIAM J. Matrix Anal. Appl. 13, 1992; ours uses what the process saw.)
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh_tridiagonal

from ...random_bits import RandomBits
from .measurement import Progress

FAILURE = 1e-6
"""The probability with which an upper bound may fail."""
TOLERANCE = 1e-8
"""Distance of the upper bound from the value, relative to the value, at which the iteration ends."""
MAX_STEPS = 40_000
_SAFETY = 10.0  # rounding errors must not make a lucky start look improbable
_DISTANCES = np.logspace(-15, 1, 241)
_EPSILON = np.finfo(float).eps
_FIRST_CHECK = 12
_BETWEEN_CHECKS = 1.12

Map = Callable[[np.ndarray], np.ndarray]


class Ritz(NamedTuple):
    """What an iteration found.

    Attributes:
        value: the largest eigenvalue, from below.
        upper: all eigenvalues are below this, but with probability FAILURE.
        residual: the length of A x - value x, so that some eigenvalue is so near.
        steps: how many there were.
        vector: the eigenvector (n,), of length 1, if it was asked for.
    """

    value: float
    upper: float
    residual: float
    steps: int
    vector: np.ndarray | None


def largest_eigenvalue(
    apply: Map,
    n: int,
    scale: float,
    *,
    rounding: float = 16 * float(np.finfo(float).eps),
    without: np.ndarray | None = None,
    vector: bool = False,
    tolerance: float = TOLERANCE,
    progress: Progress | None = None,
) -> Ritz:
    """The largest eigenvalue of a symmetric map on R^n, or on what is orthogonal to a vector.

    Args:
        apply: the map, x (n,) -> (n,).
        n: the dimension.
        scale: about the largest absolute eigenvalue of the map, above 0.
        rounding: the length of the error of apply(x) for an x of length 1, relative to the scale.
        without: (n,), of length 1; the space is what is orthogonal to it.
        vector: also find the eigenvector, by running the iteration once more.
        tolerance: distance of the upper bound from the value, relative to the value, at which it ends.
        progress: called with the steps done and an estimate of the steps in all.

    Raises:
        RuntimeError: if the bound does not settle in MAX_STEPS steps.

    Example:
        >>> found = largest_eigenvalue(lambda x: np.arange(5.0) * x, 5, 4.0)
        >>> round(found.value, 9), found.upper - found.value < 1e-6
        (4.0, True)
    """
    project = _projection(without)
    start = project(_gaussian(n))
    diagonal, beside = np.empty(MAX_STEPS), np.empty(MAX_STEPS)
    steps, found = 0, None
    check, history = _FIRST_CHECK, []
    for _, alpha, beta in _process(apply, start, project):
        diagonal[steps], beside[steps] = alpha, beta
        steps += 1
        ended = beta <= 4 * _EPSILON * scale * math.sqrt(steps)
        if ended or steps >= check or steps in (n, MAX_STEPS):
            floor = rounding * scale * math.sqrt(steps)
            found = _ritz(diagonal[:steps], beside[:steps], n, scale, floor)
            excess = (found.upper - found.value) / max(abs(found.value), _EPSILON * scale)
            history.append((steps, math.log(max(excess, 1e-300))))
            if progress is not None:
                progress(steps, _expected(history, math.log(tolerance)))
            if ended or excess <= tolerance or found.upper - found.value <= 2 * floor:
                break
            if steps == MAX_STEPS:
                raise RuntimeError(
                    f"the Lanczos iteration did not settle on {n} dimensions in {MAX_STEPS} steps: the leading values "
                    "lie too close together, as they do in large graphs near a grid; measure a smaller graph of the "
                    "same family"
                )
            check = int(_BETWEEN_CHECKS * steps) + 4
    assert found is not None
    if not vector:
        return found
    _, weights = _largest_of_tridiagonal(diagonal[:steps], beside[:steps])
    x = np.zeros(n)
    for (q, _, _), weight in zip(_process(apply, start, project), weights, strict=False):
        x += weight * q
    x = project(x)
    return found._replace(vector=x / np.linalg.norm(x))


def _process(apply: Map, start: np.ndarray, project: Map) -> Iterator[tuple[np.ndarray, float, float]]:
    """Each Lanczos vector with its two coefficients: the diagonal one, and the one that joins it to the next."""
    before, q, beta = np.zeros_like(start), start / np.linalg.norm(start), 0.0
    while True:
        w = apply(q)
        w -= beta * before
        alpha = float(w @ q)
        w -= alpha * q
        w = project(w)
        beta = float(np.linalg.norm(w))
        yield q, alpha, beta
        before, q = q, w / (beta or 1.0)


def _projection(without: np.ndarray | None) -> Map:
    if without is None:
        return lambda x: x

    def project(x: np.ndarray) -> np.ndarray:
        x -= (x @ without) * without
        return x

    return project


def _gaussian(n: int) -> np.ndarray:
    """Normal numbers, whose direction is uniform on the sphere (Box and Muller, 1958)."""
    bits = RandomBits(0, "lanczos start")
    radius = np.sqrt(-2.0 * np.log1p(-bits.fractions(n)))
    return radius * np.cos(2.0 * np.pi * bits.fractions(n))


def _ritz(diagonal: np.ndarray, beside: np.ndarray, n: int, scale: float, floor: float) -> Ritz:
    steps = len(diagonal)
    value, weights = _largest_of_tridiagonal(diagonal, beside)
    limit = _SAFETY * math.sqrt(2 * n / math.pi) / FAILURE
    upper = value + max(_first_beyond(diagonal, beside, value, scale, limit), floor)
    return Ritz(value, upper, float(beside[-1] * abs(weights[-1])), steps, None)


def _largest_of_tridiagonal(diagonal: np.ndarray, beside: np.ndarray) -> tuple[float, np.ndarray]:
    steps = len(diagonal)
    if steps == 1:
        return float(diagonal[0]), np.ones(1)
    last = (steps - 1, steps - 1)
    values, vectors = eigh_tridiagonal(diagonal, beside[:-1], select="i", select_range=last)
    return float(values[0]), vectors[:, 0]


def _first_beyond(diagonal: np.ndarray, beside: np.ndarray, root: float, scale: float, limit: float) -> float:
    """How far above the largest root some orthonormal polynomial of the process exceeds a limit; inf if none does."""
    distances = scale * _DISTANCES
    x, passed = root + distances, np.zeros(len(distances), bool)
    before, p, beta = np.zeros_like(x), np.ones_like(x), 0.0
    for alpha, following in zip(diagonal.tolist(), beside.tolist(), strict=True):
        before, p = p, ((x - alpha) * p - beta * before) / max(following, _EPSILON * scale)
        beta = following
        beyond = p > limit
        if beyond.any():
            passed |= beyond
            before[beyond], p[beyond] = 0.0, 1.0  # decided; kept from overflowing
    return float(distances[passed.argmax()]) if passed.any() else math.inf


def _expected(history: list[tuple[int, float]], goal: float) -> int | None:
    """Steps until the logarithm of the excess reaches the goal, by the line through the last third of the checks."""
    usable = [(steps, log) for steps, log in history if math.isfinite(log)]
    if len(usable) < 6:
        return None
    (first, high), (last, low) = usable[-max(len(usable) // 3, 2)], usable[-1]
    slope = (low - high) / (last - first)
    return min(MAX_STEPS, last + math.ceil((goal - low) / slope)) if slope < 0 else None
