"""sigma2 of a biregular graph with the same bits on every machine, so that a generator may decide by it."""

import math

import numpy as np

from ...random_bits import RandomBits
from .portable_math import total

_FIRST_CHECK = 16
_MAX_STEPS = 20_000
_SETTLED = 1e-11


def second_singular_value(n_in: int, n_out: int, indices: np.ndarray) -> float:
    """sigma2 of the biadjacency matrix B of a biregular graph, given the inputs of every output in CSR order.

    The top singular vectors are constant and taken out; on what is left Lanczos' iteration on B^T B (or B B^T, the
    smaller) approaches the largest eigenvalue from below, without storing or reorthogonalizing vectors: that brings
    copies of eigenvalues that have been found, but none that is false (Paige, 1980). It ends when half as many steps
    again move the value by less than 1 part in 10^11. Only elementwise operations and sums in a fixed order are used.

    Raises:
        RuntimeError: if 20,000 steps do not settle it.

    Example:
        >>> round(second_singular_value(4, 4, np.array([0, 1, 1, 2, 2, 3, 0, 3])), 9)
        1.414213562
    """
    if min(n_in, n_out) == 1:
        return 0.0
    reads = indices.reshape(n_out, -1).T
    by_input = np.argsort(indices, kind="stable") // len(reads)
    read_by = by_input.reshape(n_in, -1).T
    there, back = (reads, read_by) if n_in <= n_out else (read_by, reads)
    n = min(n_in, n_out)
    v, before, beta = _centred(RandomBits(0, "lanczos").fractions(n)), np.zeros(n), 0.0
    v = v / math.sqrt(total(v * v))
    alphas, betas, squared, check = [], [], -1.0, _FIRST_CHECK
    for step in range(1, _MAX_STEPS + 1):
        w = _centred(_gathered(back, _gathered(there, v))) - beta * before
        alphas.append(total(w * v))
        w = _centred(w - alphas[-1] * v)
        beta = math.sqrt(total(w * w))
        exhausted = beta <= 1e-9 * len(reads) * len(read_by)
        if step == check or exhausted:
            last, squared = squared, _largest_eigenvalue(alphas, betas, len(reads) * len(read_by))
            if exhausted or abs(squared - last) <= _SETTLED * squared:
                return math.sqrt(squared)
            check += step // 2
        betas.append(beta)
        before, v = v, w / beta
    raise RuntimeError(f"sigma2 of a graph of {n_in} x {n_out} did not settle in {_MAX_STEPS} Lanczos steps")


def _gathered(neighbours: np.ndarray, x: np.ndarray) -> np.ndarray:
    y = np.zeros(neighbours.shape[1])
    for column in neighbours:
        y += x[column]
    return y


def _centred(x: np.ndarray) -> np.ndarray:
    return x - total(x) / len(x)


def _largest_eigenvalue(alphas: list[float], betas: list[float], bound: float) -> float:
    """The largest eigenvalue in [0, bound] of a symmetric tridiagonal matrix, by bisection of Sturm's count."""
    low, high = 0.0, 1.01 * bound
    while low < (middle := (low + high) / 2) < high and high - low > 1e-15 * bound:
        low, high = (low, middle) if _all_below(alphas, betas, middle) else (middle, high)
    return (low + high) / 2


def _all_below(alphas: list[float], betas: list[float], x: float) -> bool:
    pivot = alphas[0] - x
    for alpha, beta in zip(alphas[1:], betas, strict=True):
        if pivot >= 0:
            return False
        pivot = alpha - x - beta * beta / pivot
    return pivot < 0
