"""sigma2 of a biregular graph with the same bits on every machine, so that a generator may decide by its value."""

import math

import numpy as np

from ...random_bits import RandomBits
from .portable_math import sum_pairwise

_FIRST_CHECK = 16
_MAX_STEPS = 20_000
_TOLERANCE = 1e-11


def second_singular_value(n_in: int, n_out: int, indices: np.ndarray) -> float:
    """Return sigma2 of the biadjacency matrix B of a biregular graph.

    The top singular vectors of a biregular graph are constant. Lanczos' iteration on B^T B (or B B^T, whichever is
    smaller), with the constant vector projected out, approaches the largest remaining eigenvalue from below. Old
    vectors are neither stored nor reorthogonalized: this yields repeated copies of eigenvalues, but no false ones
    (Paige, 1980). The iteration ends when half as many steps again change the value by less than 1 part in 10^11. Only
    elementwise operations and sums in a fixed order are used.

    Args:
        n_in, n_out: number of inputs and outputs.
        indices: (n_edges,) the inputs of every output in CSR order.

    Raises:
        RuntimeError: if the value still changes after 20,000 steps.

    Example:
        >>> round(second_singular_value(4, 4, np.array([0, 1, 1, 2, 2, 3, 0, 3])), 9)
        1.414213562
    """
    if min(n_in, n_out) == 1:
        return 0.0
    # Products with B and B^T: all degrees of a side are equal, so the neighbours of a side form a dense table.
    # Multiplying row by row of this table adds the terms in a fixed order, which SciPy's products do not promise.
    inputs = indices.reshape(n_out, -1).T
    outputs_by_input = np.argsort(indices, kind="stable") // len(inputs)
    outputs = outputs_by_input.reshape(n_in, -1).T
    first, second = (inputs, outputs) if n_in <= n_out else (outputs, inputs)
    n = min(n_in, n_out)
    v, previous, beta = _subtract_mean(RandomBits(0, "lanczos").fractions(n)), np.zeros(n), 0.0
    v = v / math.sqrt(sum_pairwise(v * v))
    alphas, betas, eigenvalue, next_check = [], [], -1.0, _FIRST_CHECK
    for step in range(1, _MAX_STEPS + 1):
        # The three-term recurrence: alphas and betas are the diagonals of the projected, tridiagonal matrix. The mean
        # is subtracted in every step, as rounding brings the constant vector back.
        w = _subtract_mean(_sum_neighbours(second, _sum_neighbours(first, v))) - beta * previous
        alphas.append(sum_pairwise(w * v))
        w = _subtract_mean(w - alphas[-1] * v)
        beta = math.sqrt(sum_pairwise(w * w))
        # A beta near zero means that the vectors so far span an invariant subspace: the eigenvalue is exact.
        exhausted = beta <= 1e-9 * len(inputs) * len(outputs)
        if step == next_check or exhausted:
            last, eigenvalue = eigenvalue, _largest_eigenvalue(alphas, betas, len(inputs) * len(outputs))
            if exhausted or abs(eigenvalue - last) <= _TOLERANCE * eigenvalue:
                return math.sqrt(eigenvalue)
            next_check += step // 2
        betas.append(beta)
        previous, v = v, w / beta
    raise RuntimeError(f"sigma2 of a graph of {n_in} x {n_out} did not settle in {_MAX_STEPS} Lanczos steps")


def _sum_neighbours(neighbours: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the sum of x over the neighbours of every vertex; neighbours is (degree, n)."""
    y = np.zeros(neighbours.shape[1])
    for vertices in neighbours:
        y += x[vertices]
    return y


def _subtract_mean(x: np.ndarray) -> np.ndarray:
    return x - sum_pairwise(x) / len(x)


def _largest_eigenvalue(alphas: list[float], betas: list[float], bound: float) -> float:
    """Return the largest eigenvalue in [0, bound] of a symmetric tridiagonal matrix, by bisection of Sturm's count."""
    low, high = 0.0, 1.01 * bound
    while low < (middle := (low + high) / 2) < high and high - low > 1e-15 * bound:
        low, high = (low, middle) if _all_below(alphas, betas, middle) else (middle, high)
    return (low + high) / 2


def _all_below(alphas: list[float], betas: list[float], x: float) -> bool:
    """Whether all eigenvalues are below x: all pivots of the elimination of T - x I are then negative (Sylvester)."""
    pivot = alphas[0] - x
    for alpha, beta in zip(alphas[1:], betas, strict=True):
        if pivot >= 0:
            return False
        pivot = alpha - x - beta * beta / pivot
    return pivot < 0
