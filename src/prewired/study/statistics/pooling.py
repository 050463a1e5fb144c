"""One correlation out of those of many cells."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .bootstrap_intervals import compute_fisher_z
from .rank_correlations import Correlation, Values, rank_values, select_complete_cases, spearman

_LEAST = 1e-4  # no variance of a z is smaller: that would take 10,000 graphs


@dataclass(frozen=True)
class Pooled:
    """The mean correlation over cells."""

    effect: float
    low: float
    high: float
    p_value: float
    tau2: float  # variance of the true z between cells
    i2: float  # share of the variance of the cells' z that is not chance
    n: int  # cells


def pool(effects: Values, variances: Any, *, n_families: int | None = None, level: float = 0.95) -> Pooled:
    """Random-effects meta-analysis of correlations, on Fisher's z, with Hartung and Knapp's interval.

    Cells that share their families are not independent: the same lucky family is lucky in all of them. So give the
    covariance of the z rather than their variances, with `n_families`: the interval is then the wider of Hartung and
    Knapp's, over cells, and of that over families. The spread between cells is by Paule and Mandel. The Hartung-Knapp
    variance is not let below the ordinary one, which it can be by chance with few cells.

    Args:
        effects: correlations of k cells; NaN ones are left out.
        variances: of their Fisher z, k of them for independent cells; or their covariance, (k, k).
        n_families: families behind a covariance; it sets the degrees of freedom of that interval.
        level: of the interval.

    Returns:
        The mean, transformed back. Of one cell its own interval, if n_families is given; NaN without any.

    Raises:
        ValueError: if the shapes do not go together.

    Example:
        >>> pooled = pool([0.5, 0.3, 0.4], [0.01, 0.02, 0.01])
        >>> round(pooled.effect, 3), round(pooled.low, 2), round(pooled.high, 2), pooled.n
        (0.422, 0.17, 0.62, 3)

    Source: Hartung and Knapp, "A refined method for the meta-analysis of controlled clinical trials", 2001; Paule and
        Mandel, 1982; Roever, Knapp and Friede, "Hartung-Knapp-Sidik-Jonkman approach and its modification", 2015.
    """
    from statsmodels.stats.meta_analysis import combine_effects

    rho, spread = np.asarray(effects, float), np.asarray(variances, float)
    k = len(rho)
    if spread.shape not in ((k,), (k, k)) or rho.ndim != 1:
        raise ValueError(f"expected {k} variances or a covariance ({k}, {k}), got shape {spread.shape}; one per effect")
    shared = spread.ndim == 2
    covariance = spread if shared else np.diag(spread)
    there = ~np.isnan(rho) & ~np.isnan(np.diagonal(covariance))
    # Fisher's z has an even spread whatever the correlation, so variances mean the same in every cell.
    z, covariance = compute_fisher_z(rho[there]), covariance[np.ix_(there, there)]
    # A cell that looks exact would take all the weight: no variance is let below that of 10,000 graphs.
    covariance = covariance + np.diag(np.maximum(_LEAST - np.diagonal(covariance), 0))
    k, variance = len(z), np.diagonal(covariance)
    if k == 0:
        return Pooled(math.nan, math.nan, math.nan, math.nan, math.nan, math.nan, 0)
    if k == 1:  # nothing to pool: the cell's own error, with a degree of freedom for each family but one
        errors = [] if n_families is None else [(math.sqrt(variance[0]), n_families - 1)]
        return _combine_errors(float(z[0]), errors, math.nan, math.nan, 1, level)
    with np.errstate(divide="ignore"):  # cells that agree exactly
        # Paule and Mandel's tau2 is the variance between cells that makes their spread about as large as it is.
        result: Any = combine_effects(z, variance, method_re="pm", use_t=True)
    # By chance few cells can agree too well, so Hartung and Knapp's variance is not let below the ordinary one.
    error = math.sqrt(max(result.var_hksj_re, result.sd_eff_w_re**2))
    errors = [(error, k - 1)]
    if shared and n_families is not None:
        # Cells share their families, so the pooled z also has the variance of its weighted sum over their covariance.
        weights = np.asarray(result.weights_rel_re)
        over_families = weights @ (covariance + result.tau2 * np.eye(k)) @ weights
        errors.append((math.sqrt(max(over_families, 0.0)), n_families - 1))
    return _combine_errors(
        float(result.mean_effect_re), errors, float(result.tau2), max(0.0, float(result.i2)), k, level
    )


def _combine_errors(z: float, errors: list[tuple[float, int]], tau2: float, i2: float, k: int, level: float) -> Pooled:
    """The widest interval and the largest p of several standard errors with their degrees of freedom."""
    from scipy.stats import t

    errors = [(error, df) for error, df in errors if df > 0]
    reach = max((float(t.ppf((1 + level) / 2, df)) * error for error, df in errors), default=math.nan)
    p_value = max((float(2 * t.sf(abs(z) / error, df)) for error, df in errors), default=math.nan)
    return Pooled(math.tanh(z), math.tanh(z - reach), math.tanh(z + reach), p_value, tau2, i2, k)


def pool_families(x: Values, y: Values, families: Sequence[str], cells: Sequence[Hashable]) -> Correlation:
    """Spearman's rho with one point per family over all cells: the mean place that its mean takes in each cell.

    The p-value is right whatever the cells share, because a family counts once; the price is power.

    Args:
        x, y: n values each, of n graphs.
        families: n names.
        cells: for each graph the cell that it is in; families are ranked inside each.

    Returns:
        The correlation, with n the number of families.

    Raises:
        ValueError: for different lengths.

    Example:
        >>> pool_families([1, 2, 3, 10, 20, 30], [4, 5, 6, 1, 2, 3], ["a", "b", "c"] * 2, [1, 1, 1, 2, 2, 2]).rho
        1.0

    Source: as for `rank_correlations.family_spearman`.
    """
    _, cell = np.unique(np.asarray(cells), return_inverse=True)
    a, b, names, cell = select_complete_cases(x, y, families, cell.tolist())
    places: dict[str, list[tuple[float, float]]] = {}
    for one in np.unique(cell):
        # A place in (0, 1) instead of a rank lets cells with different numbers of families be averaged.
        own, family = np.unique(names[cell == one], return_inverse=True)
        size = np.bincount(family)
        u, v = (rank_values(np.bincount(family, column[cell == one]) / size) / (len(own) + 1) for column in (a, b))
        for name, place in zip(own, zip(u, v, strict=True), strict=True):
            places.setdefault(name, []).append(place)
    # One point per family over all cells: what the cells share cannot be counted twice.
    means = np.array([np.mean(place, axis=0) for place in places.values()]).reshape(-1, 2)
    return spearman(*means.T)
