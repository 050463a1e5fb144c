"""Tests of equivalence: whether a difference is smaller than a margin. They can show that there is no effect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .magnitude import TINY, has_spread, keep_finite, scale_values
from .rank_correlations import Values, select_complete_cases
from .regression import fit_with_clusters

EQUIVALENCE_LEVEL = 0.05


@dataclass(frozen=True)
class Equivalence:
    """A difference that was tested against a margin.

    The verdict is "equivalent" if the 90 % interval lies inside the margin (two one-sided tests at 5 %). Otherwise it
    is "different" if the difference is not zero at 5 %. Otherwise it is "undecided": too few graphs or too much noise.
    """

    difference: float
    low: float  # 90 % interval
    high: float
    p_value: float  # of a difference at least as large as the margin
    margin: float
    equivalent: bool
    p_zero: float  # of no difference, two-sided
    verdict: str


def compare_means(a: Values, b: Values, margin: float) -> Equivalence:
    """Compare the mean scores of two families by two one-sided Welch t-tests against the margin.

    Args:
        a, b: the scores of each family, one per graph.
        margin: the largest difference that does not matter, in units of the scores.

    Returns:
        The difference of the means, a minus b; "undecided" with fewer than two graphs on a side, or if the scores
        have no spread but rounding errors. Scores that are not finite are left out.

    Raises:
        ValueError: for a margin that is not above 0.

    Example:
        >>> result = compare_means([0.901, 0.900, 0.902], [0.900, 0.901, 0.901], 0.005)
        >>> result.verdict, round(result.p_value, 4)
        ('equivalent', 0.0024)

    Source: Schuirmann, "A comparison of the two one-sided tests procedure", 1987; Welch, 1947.
    """
    from statsmodels.stats.weightstats import CompareMeans

    _check(margin)
    (scores_a,), (scores_b,) = select_complete_cases(a), select_complete_cases(b)
    scores, scale = scale_values(np.concatenate([scores_a, scores_b]))
    scores_a, scores_b = scores[: len(scores_a)], scores[len(scores_a) :]
    difference = float(scores_a.mean() - scores_b.mean()) if len(scores_a) and len(scores_b) else math.nan
    # Without any spread there is no standard error to judge by.
    if min(len(scores_a), len(scores_b)) < 2 or max(np.ptp(scores_a), np.ptp(scores_b)) <= TINY:
        return _judge(difference, math.nan, math.nan, margin, scale)
    welch: Any = CompareMeans.from_data(scores_a, scores_b)
    return _judge(difference, float(welch.std_meandiff_separatevar), float(welch.dof_satt()), margin, scale)


def compare_slope(x: Values, y: Values, families: Sequence[str], margin: float) -> Equivalence:
    """Compare the fitted scores at the 90th and the 10th percentile of a metric.

    The scores are fitted by a line; the difference between the two percentiles is the effect of the metric.

    Args:
        x, y: n values each, of n graphs.
        families: n names, the clusters.
        margin: the largest difference that does not matter, in units of y.

    Returns:
        The difference y(90th percentile) - y(10th percentile); "undecided" if no line can be fitted
        without one of the families, or if the line leaves nothing but rounding errors.

    Raises:
        ValueError: for a margin that is not above 0, or different lengths.

    Example:
        >>> result = compare_slope([1, 2, 3, 4, 5, 6, 7, 8], [5, 4, 5, 4, 5, 4, 5, 4], list("abcdabcd"), 10)
        >>> round(result.difference, 2), result.verdict
        (-0.27, 'equivalent')

    Source: as for `compare_means`; MacKinnon, Nielsen and Webb, "Cluster-robust inference", 2023 (CRV3).
    """
    _check(margin)
    a, b, names = select_complete_cases(x, y, families)
    if len(a) < 3 or not has_spread(a):
        return _judge(math.nan, math.nan, math.nan, margin, 1.0)
    (a, _), (b, scale) = scale_values(a), scale_values(b)
    # Percentiles instead of the extremes, so that a single unusual graph does not set the span.
    low, high = np.quantile(a, [0.1, 0.9])
    span = float(high - low)
    # Standardised, because metrics of very different magnitudes would make the fit ill-conditioned.
    fit = fit_with_clusters(b, (a - a.mean())[:, None] / a.std(), names)
    n_sds = span / float(a.std())
    error = n_sds * float(fit.errors[0]) if has_spread(b) else math.nan
    return _judge(n_sds * float(fit.slopes[0]), error, fit.df, margin, scale)


def _check(margin: float) -> None:
    if not margin > 0:
        raise ValueError(f"expected a margin > 0, got {margin}; it is the largest difference that does not matter")


def _judge(difference: float, error: float, df: float, margin: float, scale: float) -> Equivalence:
    """Judge a difference and its standard error, both divided by the scale, the magnitude of the scores."""
    from scipy.stats import t

    if not error > TINY or not df > 0:  # a smaller error is one of rounding, which is no measure of certainty
        difference = keep_finite(scale * difference)
        return Equivalence(difference, math.nan, math.nan, math.nan, margin, False, math.nan, "undecided")
    # Two one-sided tests at 5 % are the same as a 90 % interval inside the margin, so the interval has 5 % each side.
    reach = float(t.ppf(1 - EQUIVALENCE_LEVEL, df)) * error
    p_value = float(t.sf((margin / scale - abs(difference)) / error, df))
    p_zero = float(2 * t.sf(abs(difference) / error, df))
    verdict = (
        "equivalent" if p_value < EQUIVALENCE_LEVEL else "different" if p_zero < EQUIVALENCE_LEVEL else "undecided"
    )
    low, high = keep_finite(scale * (difference - reach)), keep_finite(scale * (difference + reach))
    difference = keep_finite(scale * difference)
    return Equivalence(difference, low, high, p_value, margin, verdict == "equivalent", p_zero, verdict)
