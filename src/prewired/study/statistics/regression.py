"""Regressions: the shape of a relation, and its predictions for left-out families."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .magnitude import TINY, has_spread, keep_finite, scale_values
from .rank_correlations import Values, round_values, select_complete_cases


@dataclass(frozen=True)
class Quadratic:
    """A parabola through the scores. A sweet spot has a negative square, and a turning point between the graphs."""

    linear: float  # in units of y per standard deviation of x
    square: float  # in units of y per squared standard deviation of x
    low: float  # 95 % interval of square
    high: float
    p_value: float  # of square being 0
    n: int
    turning_point: float  # in units of x
    inside: bool  # whether at least a tenth of the graphs lie on each side of the turning point


@dataclass(frozen=True)
class Generalisation:
    """The prediction of the scores of a family from the other families."""

    r2_density: float  # predicted from the density alone
    r2_with_metric: float  # predicted from the density, the metric and its square
    r2_beyond_density: float  # share of the squared error of r2_density that the metric removes
    n_families: int


@dataclass(frozen=True)
class Fit:
    """A least-squares fit, with standard errors that are right even if graphs of one family resemble each other."""

    slopes: np.ndarray
    errors: np.ndarray
    df: int


def fit_quadratic(x: Values, y: Values, families: Sequence[str]) -> Quadratic:
    """Fit y = a + linear u + square u^2, with u the standardised x, and test whether the square is 0.

    Args:
        x, y: n values each, of n graphs.
        families: n names, the clusters.

    Returns:
        The fit. The interval and p are NaN if the square cannot be fitted without one of the families, or if the
        parabola leaves nothing but rounding errors.

    Raises:
        ValueError: for different lengths.

    Example:
        >>> x = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
        >>> result = fit_quadratic(x, [-((v - 6) ** 2) + v % 2 for v in x], ["a", "b", "c", "d"] * 3)
        >>> result.square < 0, round(result.turning_point, 1), result.inside
        (True, 6.0, True)

    Source: MacKinnon, Nielsen and Webb, "Cluster-robust inference", 2023 (CRV3); Lind and Mehlum, "With or without U?",
        2010 (a parabola needs its turning point inside the data).
    """
    from scipy.stats import t

    a, b, names = select_complete_cases(x, y, families)
    n, nan = len(a), math.nan
    if n < 4 or len(np.unique(round_values(a))) < 3:
        return Quadratic(nan, nan, nan, nan, nan, n, nan, False)
    (a, scale_x), (b, scale) = scale_values(a), scale_values(b)
    # Standardised, because u and u^2 are much less correlated than x and x^2 of a metric far from 0.
    mean, sd = a.mean(), a.std()
    u = (a - mean) / sd
    fit = fit_with_clusters(b, np.column_stack([u, u**2]), names)
    linear, square = fit.slopes.tolist()
    turning_point = float(mean - sd * linear / (2 * square)) if abs(square) > TINY else nan
    is_inside = bool(np.quantile(a, 0.1) <= turning_point <= np.quantile(a, 0.9))
    error = float(fit.errors[1])
    if not error > TINY or not has_spread(b):  # an error of rounding is no measure of certainty
        error = nan
    reach = float(t.ppf(0.975, fit.df)) * error
    p_value = float(2 * t.sf(abs(square) / error, fit.df))
    low, high = keep_finite(scale * (square - reach)), keep_finite(scale * (square + reach))
    linear, square = keep_finite(scale * linear), keep_finite(scale * square)
    return Quadratic(linear, square, low, high, p_value, n, keep_finite(scale_x * turning_point), is_inside)


def leave_one_family_out(y: Values, density: Values, x: Values, families: Sequence[str]) -> Generalisation:
    """Predict the scores of each family from the other families, with and without a metric and its square.

    The metric is standardised inside each density, so that one slope serves all densities. Separate slopes per density
    would be more parameters than a dozen families can determine.

    Args:
        y, density, x: n values each, of n graphs.
        families: n names; each is left out once.

    Returns:
        R2 = 1 - squared error / squared error of the mean score of the other families. R2 is negative if the
        prediction is worse than this mean. NaN with fewer than 3 families, or if the scores differ only by rounding.

    Raises:
        ValueError: for different lengths.

    Example:
        >>> x = [1, 2, 3, 4, 5, 6, 7, 8]
        >>> result = leave_one_family_out([2 * v for v in x], [0.1] * 8, x, ["a", "b", "c", "d"] * 2)
        >>> round(result.r2_with_metric, 3), result.r2_density
        (1.0, 0.0)

    Source: Roberts et al., "Cross-validation strategies for data with ... hierarchical ... structure", 2017.
    """
    from sklearn.dummy import DummyRegressor
    from sklearn.linear_model import LinearRegression
    from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

    scores, densities, values, names = select_complete_cases(y, density, x, families)
    n_families = len(np.unique(names))
    if n_families < 3:
        return Generalisation(math.nan, math.nan, math.nan, n_families)
    scores, _ = scale_values(scores)
    _, cell = np.unique(densities, return_inverse=True)
    dummies = np.eye(cell.max() + 1)[cell]
    u, values = np.zeros(len(values)), round_values(values)
    for in_cell in dummies.T.astype(bool):
        if np.ptp(values[in_cell]) > 0:
            u[in_cell] = (values[in_cell] - values[in_cell].mean()) / values[in_cell].std()

    def squared_error(model: Any, design: np.ndarray) -> float:
        prediction = cross_val_predict(model, design, scores, groups=names, cv=LeaveOneGroupOut())
        return float(((scores - prediction) ** 2).sum())

    by_mean = squared_error(DummyRegressor(), dummies)
    by_density = squared_error(LinearRegression(), dummies)
    by_metric = squared_error(LinearRegression(), np.column_stack([dummies, u, u**2]))
    rounding = TINY**2 * len(scores)
    if by_mean <= rounding:
        return Generalisation(math.nan, math.nan, math.nan, n_families)
    beyond = 1 - by_metric / by_density if by_density > rounding else math.nan
    return Generalisation(1 - by_density / by_mean, 1 - by_metric / by_mean, beyond, n_families)


def fit_with_clusters(y: np.ndarray, columns: np.ndarray, families: np.ndarray) -> Fit:
    """Fit least squares with a constant; the standard errors come from leaving out one family at a time (CRV3).

    Args:
        y: (n,) values.
        columns: (n, k), without the constant.
        families: (n,) names of G families.

    Returns:
        Slopes, their standard errors, and G - 1 degrees of freedom for Student's t. The errors are NaN if a slope
        cannot be fitted without one of the families.

    Example:
        >>> x = np.array([1.0, 2, 3, 4, 5, 6])
        >>> fit = fit_with_clusters(2 * x, x[:, None], np.array(["a", "b", "c"] * 2))
        >>> round(float(fit.slopes[0]), 6), fit.df
        (2.0, 2)
    """
    import statsmodels.api as sm

    _, family = np.unique(families, return_inverse=True)
    n_families, k = int(family.max(initial=-1)) + 1, columns.shape[1]
    design = np.column_stack([np.ones(len(y)), columns])
    fit = sm.OLS(y, design).fit()
    fit_without_errors = Fit(fit.params[1:], np.full(k, math.nan), n_families - 1)
    if n_families < 2:
        return fit_without_errors
    try:
        robust = fit.get_robustcov_results("cluster-crv3", groups=family, use_t=True)
    except ValueError:  # a slope cannot be fitted without one of the families
        return fit_without_errors
    return Fit(fit.params[1:], robust.bse[1:], n_families - 1)
