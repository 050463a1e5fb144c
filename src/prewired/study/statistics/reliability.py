"""How much of the differences between graphs is theirs, and how much the noise of training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .rank_correlations import Values


@dataclass(frozen=True)
class Reliability:
    """The share of the variance of scores that lies between graphs."""

    single: float  # of a graph's score in one training: ICC(1,1)
    mean: float  # of a graph's mean score over its trainings: ICC(1,k)
    low: float  # 95 % interval of mean
    high: float
    n_graphs: int
    n_seeds: float  # trainings per graph, on the average that counts for unequal numbers


def estimate_reliability(scores: Sequence[Values], families: Sequence[str] | None = None) -> Reliability:
    """Intraclass correlation by a one-way analysis of variance: graphs are the classes, trainings their members.

    It may come out negative, which means nothing but zero. With `families` it is that of differences between graphs of
    one family: each family's own mean is taken away first, with its degree of freedom.

    Args:
        scores: for each graph those of its trainings; as many as there are.
        families: a name for each graph.

    Returns:
        The reliability, exact for equal numbers of trainings; NaN where no graph has two trainings or there is one
        graph only (with families: one in each).

    Raises:
        ValueError: for another number of families than of graphs.

    Example:
        >>> result = estimate_reliability([[0.90, 0.91], [0.80, 0.81], [0.70, 0.72]])
        >>> round(result.single, 3), round(result.mean, 3), result.n_graphs, result.n_seeds
        (0.99, 0.995, 3, 2.0)

    Source: Shrout and Fleiss, "Intraclass correlations", 1979; McGraw and Wong, 1996 (the interval).
    """
    from scipy.stats import f

    values = [np.asarray(group, float) for group in scores]
    values = [group[~np.isnan(group)] for group in values]
    names = np.zeros(len(values), int) if families is None else np.asarray(families)
    if len(names) != len(values):
        raise ValueError(f"expected a family per graph, got {len(names)} for {len(values)} graphs; one name each")
    names = names[[len(group) > 0 for group in values]]
    values = [group for group in values if len(group)]
    sizes, means = np.array([len(group) for group in values]), np.array([group.mean() for group in values])
    n, between, effective = len(values), 0.0, float(sizes.sum())
    for name in np.unique(names):
        size, mean = sizes[names == name], means[names == name]
        between += float((size * (mean - np.average(mean, weights=size)) ** 2).sum())
        effective -= float((size**2).sum() / size.sum())
    df_between, df_within = n - len(np.unique(names)), int(sizes.sum()) - n
    if df_between < 1 or df_within < 1:
        return Reliability(math.nan, math.nan, math.nan, math.nan, n, math.nan)
    k, between = effective / df_between, between / df_between
    within = sum(float(((group - group.mean()) ** 2).sum()) for group in values) / df_within
    if between <= 0 and within <= 0:
        return Reliability(math.nan, math.nan, math.nan, math.nan, n, k)
    ratio = between / within if within > 0 else math.inf
    low, high = (
        _compute_mean_reliability(ratio / float(f.ppf(share, df_between, df_within))) for share in (0.975, 0.025)
    )
    single = 1.0 if math.isinf(ratio) else (ratio - 1) / (ratio + k - 1)
    return Reliability(single, _compute_mean_reliability(ratio), low, high, n, k)


def disattenuate(rho: float, reliability: float) -> float:
    """The correlation that graphs would show without the noise of training: rho / sqrt(reliability).

    It may exceed 1: both numbers are estimates.

    Args:
        rho: correlation of a metric, which has no noise, with mean scores.
        reliability: of those mean scores.

    Returns:
        The corrected correlation, NaN for a reliability that is not above 0.

    Example:
        >>> disattenuate(0.4, 0.64)
        0.5

    Source: Spearman, "The proof and measurement of association between two things", 1904.
    """
    return rho / math.sqrt(reliability) if reliability > 0 else math.nan


def _compute_mean_reliability(ratio: float) -> float:
    return 1 - 1 / ratio if ratio > 0 else -math.inf
