"""Rank correlations with p-values by permutation, and Holm's adjustment for several tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from typing import Any

import numpy as np

from ...random_bits import RandomBits

EXACT = 8  # up to so many pairs all pairings are counted
N_PAIRINGS = 40_320  # = 8!, the number of pairings drawn at random for more
_ROWS = 4096  # pairings at a time
_TINY = 1e-9

Values = Sequence[float] | np.ndarray  # one for each graph


@dataclass(frozen=True)
class Correlation:
    """A rank correlation, its two-sided p-value and the number of pairs it rests on."""

    rho: float
    p_value: float
    n: int


def spearman(x: Values, y: Values) -> Correlation:
    """Spearman's rank correlation, its p-value by permutation: exact for up to 8 pairs, never 0 for more.

    Values that differ by less than 1e-9 of the largest magnitude count as ties, so that the rounding of an eigensolver
    makes no ranks. Pairs with a NaN are left out. The p-value takes the pairs as exchangeable, so it is too small where
    graphs of one family resemble each other; see `family_spearman`.

    Args:
        x, y: as many values each.

    Returns:
        The correlation; rho and p_value are NaN when fewer than 3 pairs are left or one side is constant.

    Raises:
        ValueError: for different lengths.

    Example:
        >>> spearman([1, 2, 3, 4], [1, 4, 9, 16])
        Correlation(rho=1.0, p_value=0.08333333333333333, n=4)

    Source: Spearman, "The proof and measurement of association between two things", 1904.
    """
    return partial_spearman(x, y, ())


def partial_spearman(x: Values, y: Values, given: Sequence[Values]) -> Correlation:
    """Spearman's rho of x and y after what the ranks of `given` say about either is taken away.

    x, y and every column of `given` are turned to ranks, those of x and y are regressed on those of `given`, and the
    residuals are correlated. For the p-value the residuals of y are permuted and regressed anew each time. Columns of
    `given` that are constant, or that the others determine, change nothing. Ties and NaN as in `spearman`.

    Args:
        x, y: n values each.
        given: columns of n values each; none of them makes it Spearman's rho.

    Returns:
        The partial correlation; NaN when fewer than 2 degrees of freedom are left for the residuals, or when `given`
        determines x or y.

    Raises:
        ValueError: for different lengths.

    Example:
        >>> z = [1, 2, 3, 4, 5, 6]
        >>> x, y = [2, 1, 4, 3, 6, 5], [1, 3, 2, 5, 4, 6]
        >>> round(spearman(x, y).rho, 3), round(partial_spearman(x, y, [z]).rho, 3)
        (0.486, -0.955)

    Source: Freedman and Lane, "A nonstochastic interpretation of reported significance levels", 1983 (the p-value).
    """
    a, b, *columns = select_complete_cases(x, y, *given)
    n = len(a)
    if n < 3:
        return Correlation(math.nan, math.nan, n)
    # Centred ranks: a regression on them needs no constant.
    a, b, *columns = (rank_values(column) - (n + 1) / 2 for column in (a, b, *columns))
    basis = _find_basis(columns, n)
    # What is left of x and y after projection on the span of the ranks of `given`.
    rest_a, rest_b = (column - basis @ (basis.T @ column) for column in (a, b))
    determined = any(rest @ rest <= _TINY * (all_ @ all_) for rest, all_ in ((rest_a, a), (rest_b, b)))
    if determined or n < basis.shape[1] + 3:
        return Correlation(math.nan, math.nan, n)
    rho = rest_a @ rest_b / math.sqrt((rest_a @ rest_a) * (rest_b @ rest_b))
    return Correlation(round(float(rho), 15), _compute_p_value(rest_a, rest_b, basis), n)


def family_spearman(x: Values, y: Values, families: Sequence[str]) -> Correlation:
    """Spearman's rho of the family means: a few points only, but ones that do not copy each other.

    Graphs of one family resemble each other, so their number says little about other families. Here a family is one
    point; the p-value is right however much its graphs resemble each other, and the price is power.

    Args:
        x, y: n values each, of n graphs.
        families: n names.

    Returns:
        The correlation, with n the number of families.

    Raises:
        ValueError: for different lengths.

    Example:
        >>> family_spearman([1, 2, 5, 6, 9, 9], [3, 1, 6, 5, 7, 9], ["a", "a", "b", "b", "c", "c"])
        Correlation(rho=1.0, p_value=0.3333333333333333, n=3)

    Source: the means analysis of clustered data: Donner and Klar, "Design and Analysis of Cluster Randomization
        Trials", 2000.
    """
    a, b, names = select_complete_cases(x, y, families)
    _, family = np.unique(names, return_inverse=True)
    size = np.bincount(family)
    return spearman(np.bincount(family, a) / size, np.bincount(family, b) / size)


def select_complete_cases(*columns: Any) -> list[np.ndarray]:
    """The columns as arrays, without the places where any of them is NaN.

    Raises:
        ValueError: for different lengths.

    Example:
        >>> [column.tolist() for column in select_complete_cases([1.0, float("nan"), 3.0], ["a", "b", "c"])]
        [[1.0, 3.0], ['a', 'c']]
    """
    lengths = [len(column) for column in columns]
    if len(set(lengths)) > 1:
        raise ValueError(f"expected columns of one length, got {' and '.join(map(str, lengths))}; a value per graph")
    arrays = [np.asarray(column) for column in columns]
    arrays = [array if array.dtype.kind in "US" else array.astype(float) for array in arrays]
    there = np.all([array == array for array in arrays], axis=0)
    return [array[there] for array in arrays]


def rank_values(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties at their mean; values within 1e-9 of the largest magnitude of each other are ties.

    Example:
        >>> rank_values(np.array([0.3, 0.1, 0.1 + 1e-15])).tolist()
        [3.0, 1.5, 1.5]
    """
    from scipy.stats import rankdata

    return rankdata(round_values(values))


def round_values(values: np.ndarray) -> np.ndarray:
    """The values to 9 digits of the largest finite magnitude, in units of it."""
    scale = np.abs(values[np.isfinite(values)]).max(initial=0.0) or 1.0
    return np.round(values / scale, 9)


def adjust_by_holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment of p-values for testing all of them; NaN stays NaN and counts as no test.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6 (1979).

    Example:
        >>> adjust_by_holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    from statsmodels.stats.multitest import multipletests

    adjusted = np.array(p_values, float)
    is_test = ~np.isnan(adjusted)
    if is_test.any():
        adjusted[is_test] = multipletests(adjusted[is_test], method="holm")[1]
    return adjusted.tolist()


def _find_basis(columns: Sequence[np.ndarray], n: int) -> np.ndarray:
    """An orthonormal basis of the span of centred columns, (n, rank)."""
    lengths = [float(np.linalg.norm(column)) for column in columns]
    unit = [column / length for column, length in zip(columns, lengths, strict=True) if length > 0]
    if not unit:
        return np.empty((n, 0))
    left, values, _ = np.linalg.svd(np.stack(unit, axis=1), full_matrices=False)
    return left[:, values > _TINY]


def _compute_p_value(a: np.ndarray, b: np.ndarray, basis: np.ndarray) -> float:
    """The share of pairings whose correlation is as strong; a and b are residuals, at right angles to the basis."""
    n = len(a)
    columns, length = np.column_stack([a, basis]), b @ b
    # A pairing as strong as the observed one must not be missed by rounding: the threshold is a little lower.
    as_strong, observed = 0, abs(a @ b) / math.sqrt(length) - _TINY * math.sqrt(a @ a)
    pairings = _list_pairings(n)
    for start in range(0, len(pairings), _ROWS):
        # Freedman and Lane: permute the residuals of y, regress them anew on `given`, correlate what is left with x.
        products = b[pairings[start : start + _ROWS]] @ columns
        left = np.maximum(length - (products[:, 1:] ** 2).sum(axis=1), _TINY * length)
        as_strong += int(np.count_nonzero(np.abs(products[:, 0]) >= observed * np.sqrt(left)))
    # Of randomly drawn pairings the observed one counts as one more, so that p is never 0 and not too small.
    return as_strong / len(pairings) if n <= EXACT else (as_strong + 1) / (len(pairings) + 1)


@lru_cache(maxsize=4)
def _list_pairings(n: int) -> np.ndarray:
    """All permutations of n things, or N_PAIRINGS random ones, a row each."""
    if n <= EXACT:
        return np.array(list(permutations(range(n))), np.int32)
    bits = RandomBits(0, f"pairings of {n}")
    parts = [bits.permutations(min(_ROWS, N_PAIRINGS - start), n) for start in range(0, N_PAIRINGS, _ROWS)]
    return np.concatenate([part.astype(np.int32) for part in parts])
