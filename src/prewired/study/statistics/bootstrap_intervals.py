"""Confidence intervals of rank correlations by a bootstrap that draws whole families, then graphs inside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ...random_bits import RandomBits
from .magnitude import TINY
from .rank_correlations import Values, round_values, select_complete_cases

STRONGEST = 0.999  # a rho of 1 has an infinite Fisher z; it counts as 0.999
FEWEST = 3  # families that an interval needs


@dataclass(frozen=True)
class Interval:
    """A correlation and its confidence interval over families."""

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
    covariates: Sequence[Values] = (),
    *,
    n_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Compute Spearman's rho, plain or partial, with an interval that holds for other families of the same kind.

    The standard error of Fisher's z is the spread of the samples that `draw_replicates` returns, corrected by
    `compute_variance_correction`. The interval is z plus and minus the standard error times Student's t, with one
    degree of freedom less than there are families.

    Args:
        x, y: n values each, of n graphs.
        families: n names.
        covariates: columns of n values each, for the partial correlation.
        n_resamples: number of bootstrap samples.
        level: the probability that the interval contains the true value.
        seed: seed of the draws.

    Returns:
        The interval; NaN with fewer than three families, or if rho is undefined in more than half of the samples.

    Raises:
        ValueError: for different lengths.

    Example:
        >>> result = bootstrap([1, 2, 3, 4, 5, 6, 7, 8], [2, 1, 4, 3, 6, 8, 5, 7], ["a", "b", "c", "d"] * 2)
        >>> result.value > 0.8, result.low < result.value < result.high, result.n_families
        (True, True, 4)

    Source: Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8; Cameron, Gelbach and
        Miller, "Bootstrap-based improvements for inference with clustered errors", 2008 (few clusters).
    """
    replicates = draw_replicates(x, y, families, covariates, n_resamples=n_resamples, seed=seed)
    return compute_interval(*estimate_correlation(x, y, families, covariates), replicates, level=level)


def compute_interval(value: float, n_families: int, replicates: np.ndarray, *, level: float = 0.95) -> Interval:
    """Compute the confidence interval of a correlation from its bootstrap replicates; see `bootstrap`.

    Args:
        value: the correlation.
        n_families: number of families behind the correlation.
        replicates: Fisher's z of each bootstrap sample, NaN where it is undefined.
        level: the probability that the interval contains the true value.

    Example:
        >>> result = compute_interval(0.5, 10, np.array([0.4, 0.5, 0.6, 0.7]))
        >>> round(result.low, 2), round(result.high, 2)
        (0.24, 0.69)
    """
    from scipy.stats import t

    defined = replicates[~np.isnan(replicates)]
    undefined_interval = Interval(value, math.nan, math.nan, math.nan, math.nan, n_families)
    if math.isnan(value) or n_families < FEWEST or 2 * len(defined) < len(replicates) or len(defined) < 2:
        return undefined_interval
    z, error = compute_fisher_z(value), math.sqrt(defined.var(ddof=1) * compute_variance_correction(n_families))
    if error < TINY:  # a perfect ranking is perfect in every sample; a spread of zero does not mean certainty
        return undefined_interval
    # Student's t instead of a normal: with few families the spread of the replicates is itself uncertain.
    reach = float(t.ppf((1 + level) / 2, n_families - 1)) * error
    p_value = float(2 * t.sf(abs(z) / error, n_families - 1))
    return Interval(value, math.tanh(z - reach), math.tanh(z + reach), error, p_value, n_families)


def draw_replicates(
    x: Values,
    y: Values,
    families: Sequence[str],
    covariates: Sequence[Values] = (),
    *,
    n_resamples: int = 2000,
    seed: int = 0,
    population: Sequence[str] = (),
) -> np.ndarray:
    """Draw bootstrap samples and return Fisher's z of each: first families, then graphs of each, with replacement.

    Calls with the same seed and population draw the same families, and the same graphs of families of the same size.
    So the covariance of several correlations over the same families follows from their replicates.

    Args:
        x, y, families, covariates, n_resamples, seed: as for `bootstrap`.
        population: names of all families to draw from; by default the names in `families`.

    Returns:
        (n_resamples,) values, NaN where the correlation of a sample is not defined.

    Example:
        >>> draw_replicates([1, 2, 3, 4], [1, 2, 4, 3], ["a", "a", "b", "b"], n_resamples=3).shape
        (3,)
    """
    a, b, names, *columns = select_complete_cases(x, y, families, *covariates)
    all_families = tuple(sorted(set(population) | set(names.tolist())))
    counts = _draw_counts(tuple(names.tolist()), all_families, n_resamples, seed)
    return compute_fisher_z(_correlate_samples([a, b, *columns], counts))


def estimate_correlation(
    x: Values, y: Values, families: Sequence[str], covariates: Sequence[Values] = ()
) -> tuple[float, int]:
    """Compute the (partial) rank correlation and the number of families behind it.

    Example:
        >>> estimate_correlation([1, 2, 3], [1, 2, 3], ["a", "b", "b"])
        (1.0, 2)
    """
    a, b, names, *columns = select_complete_cases(x, y, families, *covariates)
    value = float(_correlate_samples([a, b, *columns], np.ones((1, len(a)), int))[0]) if len(a) else math.nan
    return round(value, 15), len(set(names.tolist()))


def compute_variance_correction(n_families: int) -> float:
    """Return G / (G - 1), by which the variance over bootstrap samples of G families must be multiplied; NaN for one.

    The bootstrap varies around the mean of its own sample, so its variance is too small by (G - 1) / G.

    Example:
        >>> compute_variance_correction(5)
        1.25
    """
    return n_families / (n_families - 1) if n_families > 1 else math.nan


def compute_fisher_z(rho: Any) -> Any:
    """Transform correlations to Fisher's z, which has the same spread for every rho; a rho of 1 counts as 0.999.

    Example:
        >>> round(float(compute_fisher_z(0.5)), 3), round(float(compute_fisher_z(1.0)), 3)
        (0.549, 3.8)
    """
    return np.arctanh(np.clip(rho, -STRONGEST, STRONGEST))


@lru_cache(maxsize=32)
def _draw_counts(names: tuple[str, ...], all_families: tuple[str, ...], n_resamples: int, seed: int) -> np.ndarray:
    """Draw the bootstrap samples: how often each sample contains each graph, (n_resamples, n)."""
    rows, n = np.arange(n_resamples), len(all_families)
    # Whole families are drawn, because graphs of one family resemble each other and are not independent.
    draws = RandomBits(seed, "families").integers(max(n, 1), n_resamples * n).reshape(n_resamples, n)
    n_draws = (draws[:, :, None] == np.arange(n)).sum(axis=1)
    counts = np.zeros((n_resamples, len(names)), np.int32)
    for family_index, family in enumerate(all_families):
        members = [i for i, name in enumerate(names) if name == family]
        size = len(members)
        if size:  # each family has its own random stream, so that every cell draws the same graphs of the family
            row = np.repeat(rows, size * n_draws[:, family_index])
            member = RandomBits(seed, f"graphs of {family}").integers(size, len(row))
            counts[:, members] = np.bincount(row * size + member, minlength=n_resamples * size).reshape(-1, size)
    return counts


def _correlate_samples(columns: Sequence[np.ndarray], counts: np.ndarray) -> np.ndarray:
    """Correlate the ranks of the first two columns, given the others, in each sample of counts (n_samples, n)."""
    # Counts serve as weights, because writing out every sample would take much more memory.
    total = counts.sum(axis=1, keepdims=True)
    weights = counts / np.maximum(total, 1)
    # Ranks differ between samples, because ties and rank sums depend on which graphs a sample contains.
    ranks = np.stack([_rank_samples(column, counts) for column in columns], axis=1)
    ranks -= ranks @ weights[:, :, None]  # centred, so that the products below are covariances
    cov = (ranks * weights[:, None, :]) @ ranks.transpose(0, 2, 1)
    # The Schur complement is the covariance of the residuals of the first two columns after regression on the others.
    # A pseudo-inverse, because repeated graphs can make the columns of a sample linearly dependent.
    covariate_cov = cov[:, 2:, 2:]
    residual_cov = (
        cov[:, :2, :2] - cov[:, :2, 2:] @ np.linalg.pinv(covariate_cov, rcond=TINY, hermitian=True) @ cov[:, 2:, :2]
    )
    variances = np.diagonal(residual_cov, axis1=1, axis2=2)
    spread = np.maximum(np.diagonal(cov, axis1=1, axis2=2)[:, :2], 1.0)  # a constant column leaves only rounding error
    defined = (variances > TINY * spread).all(axis=1)
    scale = np.sqrt(np.where(defined, variances[:, 0] * variances[:, 1], 1.0))
    return np.where(defined, residual_cov[:, 0, 1] / scale, np.nan)


def _rank_samples(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Rank the values in each sample, with ties at their mean rank, (n_samples, n)."""
    _, level = np.unique(round_values(values), return_inverse=True)
    order = np.argsort(level, kind="stable")
    starts = np.flatnonzero(np.diff(level[order], prepend=-1))
    # Graphs with equal values form a level; their rank is the mean of the first and the last rank of the level.
    sizes = np.add.reduceat(counts[:, order], starts, axis=1)
    return (np.cumsum(sizes, axis=1) - (sizes - 1) / 2)[:, level]
