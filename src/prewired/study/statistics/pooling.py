"""Pooling: one correlation from the correlations of many cells."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .bootstrap_intervals import compute_fisher_z
from .magnitude import keep_finite, scale_values
from .rank_correlations import Correlation, Values, rank_values, select_complete_cases, spearman

_LEAST = 1e-4  # no variance of a z is smaller: that would take 10,000 graphs


@dataclass(frozen=True)
class Pooled:
    """The mean correlation over cells, with its interval."""

    effect: float
    low: float
    high: float
    p_value: float
    tau2: float  # variance of the true z between cells
    i2: float  # share of the variance of z over the cells that is not chance
    n: int  # number of cells


def pool(effects: Values, variances: Any, *, n_families: int | None = None, level: float = 0.95) -> Pooled:
    """Pool correlations by a random-effects meta-analysis of Fisher's z, with Hartung and Knapp's interval.

    Cells that share their families are not independent: a family that is lucky in one cell is lucky in all cells. For
    such cells give the covariance of the z instead of their variances, and `n_families`. The result is then the wider
    of two intervals: Hartung and Knapp's over cells, and the interval over families. The variance between cells is
    estimated by Paule and Mandel. The Hartung-Knapp variance is raised to the ordinary variance if it is smaller, as
    it can be by chance with few cells.

    Args:
        effects: correlations of k cells; NaN values are left out.
        variances: variances of their Fisher z, (k,), for independent cells; or their covariance, (k, k).
        n_families: number of families behind a covariance; it sets the degrees of freedom of the interval over
            families.
        level: the probability that the interval contains the true mean.

    Returns:
        The mean correlation. For a single cell its own interval, if n_families is given; NaN without cells.

    Raises:
        ValueError: if the shapes do not match, a correlation lies outside [-1, 1], a variance is below 0, or a
            covariance of two defined correlations is not finite.

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
    has_covariance = spread.ndim == 2
    covariance = spread if has_covariance else np.diag(spread)
    is_defined = np.isfinite(rho) & np.isfinite(np.diagonal(covariance))
    if (np.abs(rho[is_defined]) > 1).any() or (np.diagonal(covariance)[is_defined] < 0).any():
        raise ValueError("expected correlations in [-1, 1] and variances >= 0, got others; NaN marks a missing one")
    # The spread of Fisher's z does not depend on the correlation, so variances of different cells are comparable.
    z, covariance = compute_fisher_z(rho[is_defined]), covariance[np.ix_(is_defined, is_defined)]
    if not np.isfinite(covariance).all():
        raise ValueError("expected a finite covariance of every two defined correlations, got another; correct it")
    # A cell with almost no variance would take all the weight, so the variance is at least that of 10,000 graphs.
    covariance = covariance + np.diag(np.maximum(_LEAST - np.diagonal(covariance), 0))
    k, variance = len(z), np.diagonal(covariance)
    if k == 0:
        return Pooled(math.nan, math.nan, math.nan, math.nan, math.nan, math.nan, 0)
    if k == 1:  # nothing to pool: the error of the only cell, with one degree of freedom less than families
        errors = [] if n_families is None else [(math.sqrt(variance[0]), n_families - 1)]
        return _combine_errors(float(z[0]), errors, math.nan, math.nan, 1, level)
    with np.errstate(divide="ignore"):  # where all cells agree exactly
        # Paule and Mandel's tau2 is the variance between cells that explains the observed spread of the cells.
        result: Any = combine_effects(z, variance, method_re="pm", use_t=True)
    # Few cells can agree too well by chance, so the larger of Hartung-Knapp's and the ordinary variance is used.
    error = math.sqrt(max(result.var_hksj_re, result.sd_eff_w_re**2))
    errors = [(error, k - 1)]
    if has_covariance and n_families is not None:
        # Cells share their families, so the variance of the weighted mean includes the covariances between cells.
        weights = np.asarray(result.weights_rel_re)
        over_families = weights @ (covariance + result.tau2 * np.eye(k)) @ weights
        errors.append((math.sqrt(max(over_families, 0.0)), n_families - 1))
    return _combine_errors(
        float(result.mean_effect_re), errors, float(result.tau2), max(0.0, float(result.i2)), k, level
    )


def _combine_errors(z: float, errors: list[tuple[float, int]], tau2: float, i2: float, k: int, level: float) -> Pooled:
    """Return the widest interval and the largest p-value of several (standard error, degrees of freedom)."""
    from scipy.stats import t

    # Cells that cancel each other out leave an error of 0, which is no certainty, and never the widest interval.
    errors = [(error, df) for error, df in errors if error > 0 and df > 0]
    reach = max((float(t.ppf((1 + level) / 2, df)) * error for error, df in errors), default=math.nan)
    p_value = max((float(2 * t.sf(abs(z) / error, df)) for error, df in errors), default=math.nan)
    return Pooled(math.tanh(z), math.tanh(z - reach), math.tanh(z + reach), p_value, keep_finite(tau2), i2, k)


def pool_families(x: Values, y: Values, families: Sequence[str], cells: Sequence[Hashable]) -> Correlation:
    """Compute Spearman's rho with one point per family over all cells.

    In each cell the families are ranked by their means; the point of a family is its mean rank over the cells. Each
    family counts once, so the p-value is right even though cells share families; the price is power.

    Args:
        x, y: n values each, of n graphs.
        families: n names.
        cells: the cell of each graph; families are ranked inside each cell.

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
    points: dict[str, list[tuple[float, float]]] = {}
    for cell_index in np.unique(cell):
        # Ranks are scaled to (0, 1), so that cells with different numbers of families can be averaged.
        cell_families, family = np.unique(names[cell == cell_index], return_inverse=True)
        size = np.bincount(family)
        columns = (scale_values(column[cell == cell_index])[0] for column in (a, b))
        u, v = (rank_values(np.bincount(family, column) / size) / (len(cell_families) + 1) for column in columns)
        for name, point in zip(cell_families, zip(u, v, strict=True), strict=True):
            points.setdefault(name, []).append(point)
    # One point per family: a family that occurs in several cells is counted once.
    means = np.array([np.mean(family_points, axis=0) for family_points in points.values()]).reshape(-1, 2)
    return spearman(*means.T)
