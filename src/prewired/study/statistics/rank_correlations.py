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
from .magnitude import TINY, scale_values

EXACT = 8  # with at most this many pairs, all pairings are counted
N_PAIRINGS = 40_320  # = 8!, the number of random pairings if there are more pairs
_ROWS = 4096  # pairings at a time, to bound the memory

Values = Sequence[float] | np.ndarray  # a value per graph


@dataclass(frozen=True)
class Correlation:
    """A rank correlation, its two-sided p-value and the number of pairs."""

    rho: float
    p_value: float
    n: int


def spearman(x: Values, y: Values) -> Correlation:
    """Compute Spearman's rank correlation and its p-value by permutation: exact up to 8 pairs, never 0 for more.

    Values that differ by less than 1e-9 of the largest magnitude count as ties, because rounding errors of an
    eigensolver must not decide ranks. Pairs with a NaN or an infinity are left out. The p-value assumes that pairs are
    exchangeable, so it is too small if graphs of one family resemble each other; see `family_spearman`.

    Args:
        x, y: n values each.

    Returns:
        The correlation; rho and p_value are NaN if fewer than 3 pairs are left or x or y is constant.

    Raises:
        ValueError: for different lengths.

    Example:
        >>> spearman([1, 2, 3, 4], [1, 4, 9, 16])
        Correlation(rho=1.0, p_value=0.08333333333333333, n=4)

    Source: Spearman, "The proof and measurement of association between two things", 1904.
    """
    return partial_spearman(x, y, ())


def partial_spearman(x: Values, y: Values, covariates: Sequence[Values]) -> Correlation:
    """Compute the partial rank correlation: Spearman's rho of x and y after regression on the covariates.

    x, y and the covariates are turned to ranks. The ranks of x and y are regressed on the ranks of the covariates, and
    the residuals are correlated. For the p-value the residuals of y are permuted and regressed again each time.
    Covariates that are constant or linearly dependent change nothing. Ties and NaN as in `spearman`.

    Args:
        x, y: n values each.
        covariates: columns of n values each; without columns the result is Spearman's rho.

    Returns:
        The partial correlation; NaN if fewer than 2 degrees of freedom are left for the residuals, or if the
        covariates determine x or y.

    Raises:
        ValueError: for different lengths.

    Example:
        >>> z = [1, 2, 3, 4, 5, 6]
        >>> x, y = [2, 1, 4, 3, 6, 5], [1, 3, 2, 5, 4, 6]
        >>> round(spearman(x, y).rho, 3), round(partial_spearman(x, y, [z]).rho, 3)
        (0.486, -0.955)

    Source: Freedman and Lane, "A nonstochastic interpretation of reported significance levels", 1983 (the p-value).
    """
    a, b, *columns = select_complete_cases(x, y, *covariates)
    n = len(a)
    if n < 3:
        return Correlation(math.nan, math.nan, n)
    # Ranks are centred, so that a regression on them needs no constant.
    a, b, *columns = (rank_values(column) - (n + 1) / 2 for column in (a, b, *columns))
    basis = _find_basis(columns, n)
    # The residuals are what a projection on the span of the covariates' ranks leaves of x and y.
    residual_a, residual_b = (column - basis @ (basis.T @ column) for column in (a, b))
    is_determined = any(
        residual @ residual <= TINY * (column @ column) for residual, column in ((residual_a, a), (residual_b, b))
    )
    if is_determined or n < basis.shape[1] + 3:
        return Correlation(math.nan, math.nan, n)
    rho = residual_a @ residual_b / math.sqrt((residual_a @ residual_a) * (residual_b @ residual_b))
    return Correlation(round(float(rho), 15), _compute_p_value(residual_a, residual_b, basis), n)


def family_spearman(x: Values, y: Values, families: Sequence[str]) -> Correlation:
    """Compute Spearman's rho of the family means, one point per family.

    Graphs of one family resemble each other, so more graphs of a family say little about other families. With one
    point per family the p-value is right however much the graphs resemble each other; the price is power.

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
    return spearman(*(np.bincount(family, scale_values(column)[0]) / size for column in (a, b)))


def select_complete_cases(*columns: Any) -> list[np.ndarray]:
    """Turn columns into arrays, without the entries at which any column is not finite.

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
    is_complete = np.all([np.isfinite(array) for array in arrays if array.dtype.kind == "f"], axis=0)
    return [array[is_complete] for array in arrays]


def rank_values(values: np.ndarray) -> np.ndarray:
    """Rank values from 1, with ties at their mean rank; differences below 1e-9 of the largest magnitude are ties.

    Example:
        >>> rank_values(np.array([0.3, 0.1, 0.1 + 1e-15])).tolist()
        [3.0, 1.5, 1.5]
    """
    from scipy.stats import rankdata

    return rankdata(round_values(values))


def round_values(values: np.ndarray) -> np.ndarray:
    """Divide values by the largest magnitude, and round to 9 decimals."""
    scale = np.abs(values).max(initial=0.0) or 1.0
    return np.round(values / scale, 9)


def adjust_by_holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for the number of tests by Holm's step-down method; a NaN stays NaN and counts as no test.

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
    """Find an orthonormal basis of the span of centred columns, (n, rank)."""
    # Unit columns make the threshold relative; singular values below it belong to linearly dependent columns.
    lengths = [float(np.linalg.norm(column)) for column in columns]
    unit = [column / length for column, length in zip(columns, lengths, strict=True) if length > 0]
    if not unit:
        return np.empty((n, 0))
    basis, values, _ = np.linalg.svd(np.stack(unit, axis=1), full_matrices=False)
    return basis[:, values > TINY]


def _compute_p_value(a: np.ndarray, b: np.ndarray, basis: np.ndarray) -> float:
    """Compute the share of pairings whose correlation is as strong; a and b are residuals, orthogonal to the basis."""
    n = len(a)
    columns, length = np.column_stack([a, basis]), b @ b
    # The threshold is a little lower, so that rounding does not exclude pairings as strong as the observed pairing.
    as_strong, observed = 0, abs(a @ b) / math.sqrt(length) - TINY * math.sqrt(a @ a)
    pairings = _list_pairings(n)
    for start in range(0, len(pairings), _ROWS):
        # Freedman and Lane: permute the residuals of y, regress them again on the covariates, correlate with x.
        # The basis is orthonormal, so the regression only subtracts squared products from the squared length.
        products = b[pairings[start : start + _ROWS]] @ columns
        residual_squares = np.maximum(length - (products[:, 1:] ** 2).sum(axis=1), TINY * length)
        as_strong += int(np.count_nonzero(np.abs(products[:, 0]) >= observed * np.sqrt(residual_squares)))
    # With random pairings the observed pairing counts as one more: otherwise p could be 0, and would be too small.
    return as_strong / len(pairings) if n <= EXACT else (as_strong + 1) / (len(pairings) + 1)


@lru_cache(maxsize=4)
def _list_pairings(n: int) -> np.ndarray:
    """List all permutations of n items, or N_PAIRINGS random permutations, one per row."""
    if n <= EXACT:
        return np.array(list(permutations(range(n))), np.int32)
    bits = RandomBits(0, f"pairings of {n}")
    parts = [bits.permutations(min(_ROWS, N_PAIRINGS - start), n) for start in range(0, N_PAIRINGS, _ROWS)]
    return np.concatenate([part.astype(np.int32) for part in parts])
