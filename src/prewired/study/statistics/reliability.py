"""Reliability of scores: how much of the variance lies between graphs, and how much is noise of training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .magnitude import TINY, scale_values
from .rank_correlations import Values


@dataclass(frozen=True)
class Reliability:
    """The share of the variance of scores that lies between graphs."""

    single: float  # of a graph's score in one training: ICC(1,1)
    mean: float  # of a graph's mean score over its trainings: ICC(1,k)
    low: float  # 95 % interval of mean
    high: float
    n_graphs: int
    n_seeds: float  # trainings per graph; for unequal numbers the effective mean of the analysis of variance


def estimate_reliability(scores: Sequence[Values], families: Sequence[str] | None = None) -> Reliability:
    """Estimate the intraclass correlation by a one-way analysis of variance: graphs are classes, trainings members.

    A negative estimate means zero. With `families` the estimate is for differences between graphs of one family: the
    mean of each family is subtracted first, and costs one degree of freedom.

    Args:
        scores: the scores of each graph, one per training; the number of trainings may differ.
        families: a name for each graph.

    Returns:
        The reliability, exact for equal numbers of trainings. NaN if no graph has two trainings, if there is only
        one graph (with families: only one graph in each family), or if the scores differ only by rounding. Scores
        that are not finite are left out.

    Raises:
        ValueError: if the number of families is not the number of graphs.

    Example:
        >>> result = estimate_reliability([[0.90, 0.91], [0.80, 0.81], [0.70, 0.72]])
        >>> round(result.single, 3), round(result.mean, 3), result.n_graphs, result.n_seeds
        (0.99, 0.995, 3, 2.0)

    Source: Shrout and Fleiss, "Intraclass correlations", 1979; McGraw and Wong, 1996 (the interval).
    """
    from scipy.stats import f

    values = [np.asarray(group, float) for group in scores]
    values = [group[np.isfinite(group)] for group in values]
    names = np.zeros(len(values), int) if families is None else np.asarray(families)
    if len(names) != len(values):
        raise ValueError(f"expected a family per graph, got {len(names)} for {len(values)} graphs; one name each")
    names = names[[len(group) > 0 for group in values]]
    values = [group for group in values if len(group)]
    _, scale = scale_values(np.concatenate([*values, []]))
    values = [group / scale for group in values]
    sizes, means = np.array([len(group) for group in values]), np.array([group.mean() for group in values])
    n, between, effective = len(values), 0.0, float(sizes.sum())
    # Graphs with more trainings have more precise means, so each graph is weighted by its number of trainings.
    for name in np.unique(names):
        size, mean = sizes[names == name], means[names == name]
        between += float((size * (mean - np.average(mean, weights=size)) ** 2).sum())
        effective -= float((size**2).sum() / size.sum())
    df_between, df_within = n - len(np.unique(names)), int(sizes.sum()) - n
    if df_between < 1 or df_within < 1:
        return Reliability(math.nan, math.nan, math.nan, math.nan, n, math.nan)
    # With unequal numbers of trainings the effective number per graph is a little below their mean.
    k, between = effective / df_between, between / df_between
    within = sum(float(((group - group.mean()) ** 2).sum()) for group in values) / df_within
    between, within = (variance if variance > TINY**2 else 0.0 for variance in (between, within))
    if between <= 0 and within <= 0:
        return Reliability(math.nan, math.nan, math.nan, math.nan, n, k)
    ratio = between / within if within > 0 else math.inf
    low, high = (
        _compute_mean_reliability(ratio / float(f.ppf(share, df_between, df_within))) for share in (0.975, 0.025)
    )
    single = 1.0 if math.isinf(ratio) else (ratio - 1) / (ratio + k - 1) if ratio + k > 1 else -math.inf
    return Reliability(single, _compute_mean_reliability(ratio), low, high, n, k)


def disattenuate(rho: float, reliability: float) -> float:
    """Correct a correlation for the noise of training: rho / sqrt(reliability).

    The result may exceed 1, because both numbers are estimates.

    Args:
        rho: correlation of a metric, which has no noise, with mean scores.
        reliability: reliability of the mean scores.

    Returns:
        The corrected correlation; NaN if the reliability is not above 0.

    Example:
        >>> disattenuate(0.4, 0.64)
        0.5

    Source: Spearman, "The proof and measurement of association between two things", 1904.
    """
    return rho / math.sqrt(reliability) if reliability > 0 else math.nan


def _compute_mean_reliability(ratio: float) -> float:
    """Compute the reliability of mean scores, ICC(1,k), from the ratio of mean squares between and within graphs."""
    return 1 - 1 / ratio if ratio > 0 else -math.inf
