"""Confidence intervals of rank correlations by a bootstrap that draws whole families, then graphs inside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ...random_bits import RandomBits
from .rank_correlations import Values, round_values, select_complete_cases

STRONGEST = 0.999  # a rho of 1 has no Fisher z; it counts as this
FEWEST = 3  # families, of which an interval can say something
_TINY = 1e-9


@dataclass(frozen=True)
class Interval:
    """A correlation with its confidence interval, over families."""

    value: float
    low: float
    high: float
    standard_error: float  # of Fisher's z
    p_value: float  # of no correlation, two-sided
    n_families: int


def bootstrap(
    x: Values,
    y: Values,
    families: Sequence[str],
    given: Sequence[Values] = (),
    *,
    n_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Spearman's rho, or the partial one, with an interval that holds for other families of the same kind.

    The standard error of Fisher's z is the spread of the samples that `draw_replicates` returns, corrected by
    `compute_variance_correction`. The interval is z plus and minus the standard error times Student's t, with one
    degree of freedom less than there are families.

    Args:
        x, y: n values each, of n graphs.
        families: n names.
        given: columns of n values each, for the partial correlation.
        n_resamples: bootstrap samples.
        level: how often the interval should contain the true value.
        seed: of the draws.

    Returns:
        The interval; NaN with fewer than two families or where rho is not defined in half of the samples.

    Raises:
        ValueError: for different lengths.

    Example:
        >>> result = bootstrap([1, 2, 3, 4, 5, 6, 7, 8], [2, 1, 4, 3, 6, 8, 5, 7], ["a", "b", "c", "d"] * 2)
        >>> result.value > 0.8, result.low < result.value < result.high, result.n_families
        (True, True, 4)

    Source: Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8; Cameron, Gelbach and
        Miller, "Bootstrap-based improvements for inference with clustered errors", 2008 (few clusters).
    """
    drawn = draw_replicates(x, y, families, given, n_resamples=n_resamples, seed=seed)
    return compute_interval(*estimate_correlation(x, y, families, given), drawn, level=level)


def compute_interval(value: float, n_families: int, drawn: np.ndarray, *, level: float = 0.95) -> Interval:
    """The interval around a value whose replicates are known; see `bootstrap`.

    Args:
        value: the correlation.
        n_families: families it rests on.
        drawn: replicates on Fisher's scale, NaN where one is not defined.
        level: how often the interval should contain the true value.

    Example:
        >>> result = compute_interval(0.5, 10, np.array([0.4, 0.5, 0.6, 0.7]))
        >>> round(result.low, 2), round(result.high, 2)
        (0.24, 0.69)
    """
    from scipy.stats import t

    defined = drawn[~np.isnan(drawn)]
    unknown = Interval(value, math.nan, math.nan, math.nan, math.nan, n_families)
    if math.isnan(value) or n_families < FEWEST or 2 * len(defined) < len(drawn) or len(defined) < 2:
        return unknown
    z, error = compute_fisher_z(value), math.sqrt(defined.var(ddof=1) * compute_variance_correction(n_families))
    if error < 1e-9:  # all samples say the same, as they do of a perfect ranking; that is not certainty
        return unknown
    # Student's t instead of a normal: with few families the spread of the replicates is itself uncertain.
    reach = float(t.ppf((1 + level) / 2, n_families - 1)) * error
    p_value = float(2 * t.sf(abs(z) / error, n_families - 1))
    return Interval(value, math.tanh(z - reach), math.tanh(z + reach), error, p_value, n_families)


def draw_replicates(
    x: Values,
    y: Values,
    families: Sequence[str],
    given: Sequence[Values] = (),
    *,
    n_resamples: int = 2000,
    seed: int = 0,
    population: Sequence[str] = (),
) -> np.ndarray:
    """Fisher's z of bootstrap samples: families drawn with replacement, then the graphs of each with replacement.

    Calls with the same seed and population draw the same families, and the same graphs of families of the same size,
    so that the covariance of several correlations over the same families can be read from their replicates.

    Args:
        x, y, families, given, n_resamples, seed: as for `bootstrap`.
        population: names of all families there are to draw from; those of `families` where it is empty.

    Returns:
        (n_resamples,) values, NaN where the correlation of a sample is not defined.

    Example:
        >>> draw_replicates([1, 2, 3, 4], [1, 2, 4, 3], ["a", "a", "b", "b"], n_resamples=3).shape
        (3,)
    """
    a, b, names, *columns = select_complete_cases(x, y, families, *given)
    everyone = tuple(sorted(set(population) | set(names.tolist())))
    counts = _draw_counts(tuple(names.tolist()), everyone, n_resamples, seed)
    return compute_fisher_z(_correlate_samples([a, b, *columns], counts))


def estimate_correlation(
    x: Values, y: Values, families: Sequence[str], given: Sequence[Values] = ()
) -> tuple[float, int]:
    """The (partial) rank correlation itself and the number of families it rests on.

    Example:
        >>> estimate_correlation([1, 2, 3], [1, 2, 3], ["a", "b", "b"])
        (1.0, 2)
    """
    a, b, names, *columns = select_complete_cases(x, y, families, *given)
    value = float(_correlate_samples([a, b, *columns], np.ones((1, len(a)), int))[0]) if len(a) else math.nan
    return round(value, 15), len(set(names.tolist()))


def compute_variance_correction(n_families: int) -> float:
    """G / (G - 1): by how much a bootstrap of G families makes variances too small, as any sample's own variance is.

    Example:
        >>> compute_variance_correction(5)
        1.25
    """
    return n_families / (n_families - 1)


def compute_fisher_z(rho: Any) -> Any:
    """Fisher's z, the scale on which correlations have an even spread; a rho of 1 counts as 0.999.

    Example:
        >>> round(float(compute_fisher_z(0.5)), 3), round(float(compute_fisher_z(1.0)), 3)
        (0.549, 3.8)
    """
    return np.arctanh(np.clip(rho, -STRONGEST, STRONGEST))


@lru_cache(maxsize=32)
def _draw_counts(names: tuple[str, ...], everyone: tuple[str, ...], n_resamples: int, seed: int) -> np.ndarray:
    """How often each graph is in each sample, (n_resamples, n)."""
    rows, n = np.arange(n_resamples), len(everyone)
    # Whole families are drawn, because graphs of one family resemble each other and are not independent.
    drawn = RandomBits(seed, "families").integers(max(n, 1), n_resamples * n).reshape(n_resamples, n)
    times = (drawn[:, :, None] == np.arange(n)).sum(axis=1)
    counts = np.zeros((n_resamples, len(names)), np.int32)
    for place, family in enumerate(everyone):
        members = [i for i, name in enumerate(names) if name == family]
        size = len(members)
        if size:  # then graphs inside the family, with a stream of its own: all cells draw the same ones
            row = np.repeat(rows, size * times[:, place])
            which = RandomBits(seed, f"graphs of {family}").integers(size, len(row))
            counts[:, members] = np.bincount(row * size + which, minlength=n_resamples * size).reshape(-1, size)
    return counts


def _correlate_samples(columns: Sequence[np.ndarray], counts: np.ndarray) -> np.ndarray:
    """The rank correlation of the first two columns given the others, in each sample of counts (n_samples, n)."""
    # Counts as weights: a sample that holds a graph twice is correlated without being written out.
    total = counts.sum(axis=1, keepdims=True)
    weights = counts / np.maximum(total, 1)
    ranks = np.stack([_rank_samples(column, counts) for column in columns], axis=1)
    ranks -= ranks @ weights[:, :, None]
    cov = (ranks * weights[:, None, :]) @ ranks.transpose(0, 2, 1)
    # The Schur complement is the covariance of what is left of the first two columns after regression on the others;
    # the pseudo-inverse bears columns that determine each other, which repeats in a sample can cause.
    given = cov[:, 2:, 2:]
    left = cov[:, :2, :2] - cov[:, :2, 2:] @ np.linalg.pinv(given, rcond=_TINY, hermitian=True) @ cov[:, 2:, :2]
    variances = np.diagonal(left, axis1=1, axis2=2)
    spread = np.maximum(np.diagonal(cov, axis1=1, axis2=2)[:, :2], 1.0)  # of a constant it is rounding only
    defined = (variances > _TINY * spread).all(axis=1)
    scale = np.sqrt(np.where(defined, variances[:, 0] * variances[:, 1], 1.0))
    return np.where(defined, left[:, 0, 1] / scale, np.nan)


def _rank_samples(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The ranks that the values have in each sample, ties at their mean, (n_samples, n)."""
    _, level = np.unique(round_values(values), return_inverse=True)
    order = np.argsort(level, kind="stable")
    starts = np.flatnonzero(np.diff(level[order], prepend=-1))
    sizes = np.add.reduceat(counts[:, order], starts, axis=1)
    return (np.cumsum(sizes, axis=1) - (sizes - 1) / 2)[:, level]
