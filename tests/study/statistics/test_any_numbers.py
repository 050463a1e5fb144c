"""Every statistic, for numbers of any size, missing ones and few of them: a result, or a clear ValueError."""

import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prewired.study.statistics import (
    adjust_by_holm,
    bootstrap,
    compare_means,
    compare_slope,
    compute_quartiles,
    estimate_reliability,
    family_spearman,
    fit_quadratic,
    leave_one_family_out,
    mean_and_sd,
    partial_spearman,
    percent,
    pool,
    spearman,
)
from prewired.study.statistics.bootstrap_intervals import compute_interval, compute_variance_correction
from prewired.study.statistics.pooling import pool_families
from prewired.study.statistics.reliability import disattenuate

NAN, INF = math.nan, math.inf
LARGEST, LEAST = 1.7976931348623157e308, 5e-324
SPECIAL = (NAN, 0.0, -0.0, 0.1, 0.1 + 1.4e-17, 0.3, -0.3, 0.5, 1.0, 1e-300, LEAST, 1e300, LARGEST, -LARGEST, INF, -INF)
NUMBERS = st.sampled_from(SPECIAL) | st.floats() | st.floats(0, 1) | st.integers(0, 3).map(float)
FAMILIES = st.sampled_from("abcd")


def columns(*kinds, most=10):
    """Lists of one length, a tuple of them."""
    rows = st.lists(st.tuples(*kinds), max_size=most)
    return rows.map(lambda rows: tuple([row[k] for row in rows] for k in range(len(kinds))))


def is_share(value, least=0.0):
    return math.isnan(value) or least <= value <= 1


def is_ordered(*values):
    return any(map(math.isnan, values)) or list(values) == sorted(values)


@given(columns(NUMBERS, NUMBERS, NUMBERS, FAMILIES))
def test_any_rank_correlation(parts):
    x, y, z, families = parts
    for result in (
        spearman(x, y),
        partial_spearman(x, y, [z]),
        family_spearman(x, y, families),
        pool_families(x, y, families, [round(value) if math.isfinite(value) else 0 for value in z]),
    ):
        assert is_share(result.rho, -1)
        assert is_share(result.p_value)
        assert math.isnan(result.rho) == math.isnan(result.p_value)
        assert 0 <= result.n <= len(x)


@given(columns(NUMBERS, NUMBERS, NUMBERS, FAMILIES), st.integers(0, 30))
def test_any_bootstrap(parts, n_resamples):
    x, y, z, families = parts
    for covariates in ((), (z,), (x, z)):
        result = bootstrap(x, y, families, covariates, n_resamples=n_resamples)
        assert is_share(result.value, -1)
        assert is_share(result.p_value)
        assert is_ordered(result.low, result.value, result.high) or abs(result.value) > 0.999
        assert result.n_families <= 4


@given(st.floats(-1, 1) | st.just(NAN), st.integers(0, 5), st.lists(st.sampled_from([NAN, 0.0, 0.1, 3.8]), max_size=5))
def test_any_interval(value, n_families, replicates):
    result = compute_interval(value, n_families, np.array(replicates))
    assert is_share(result.p_value)
    assert is_ordered(result.low, result.high)


def check_equivalence(result, *scores):
    assert is_share(result.p_value)
    assert is_share(result.p_zero)
    assert is_ordered(result.low, result.difference, result.high)
    assert not any(map(math.isinf, (result.difference, result.low, result.high)))
    finite = [score for column in scores for score in column if math.isfinite(score)]
    if not finite or max(finite) - min(finite) <= 1e-12 * max(map(abs, finite)):
        assert result.verdict == "undecided"


@given(st.lists(NUMBERS, max_size=6), st.lists(NUMBERS, max_size=6), st.sampled_from([LEAST, 0.002, 1e300]))
def test_any_two_means(a, b, margin):
    check_equivalence(compare_means(a, b, margin), a, b)


@given(columns(NUMBERS, NUMBERS, FAMILIES), st.sampled_from([LEAST, 0.002, 1e300]))
def test_any_slope(parts, margin):
    x, y, families = parts
    check_equivalence(compare_slope(x, y, families, margin), y)


@given(columns(NUMBERS, NUMBERS, FAMILIES))
def test_any_parabola(parts):
    result = fit_quadratic(*parts)
    assert is_share(result.p_value)
    assert is_ordered(result.low, result.square, result.high)
    assert not any(isinstance(value, float) and math.isinf(value) for value in astuple(result))


@given(columns(NUMBERS, NUMBERS, NUMBERS, FAMILIES))
def test_any_generalisation(parts):
    y, density, x, families = parts
    result = leave_one_family_out(y, density, x, families)
    assert all(math.isnan(r2) or r2 <= 1 for r2 in astuple(result)[:3])


@given(st.lists(st.tuples(st.lists(NUMBERS, max_size=4), FAMILIES), max_size=6), st.booleans())
def test_any_reliability(groups, within):
    scores, families = [scores for scores, _ in groups], [family for _, family in groups]
    result = estimate_reliability(scores, families if within else None)
    for share in (result.single, result.mean, result.low, result.high):
        assert math.isnan(share) or share <= 1
    assert is_ordered(result.low, result.mean, result.high)
    assert not math.isinf(disattenuate(0.5, result.mean))


@given(columns(NUMBERS, NUMBERS, most=6), st.none() | st.integers(0, 5))
def test_any_pool(parts, n_families):
    effects, variances = parts
    try:
        result = pool(effects, variances, n_families=n_families)
    except ValueError as error:
        assert str(error).startswith("expected correlations in [-1, 1]")  # noqa: PT017
        return
    check_pooled(result)


@given(st.integers(0, 5), st.integers(0, 2**32 - 1), st.sampled_from([1e-9, 0.01, 1.0, 1e5]), st.integers(1, 5))
def test_any_pool_with_a_covariance(k, seed, size, n_families):
    random = np.random.default_rng(seed)
    factors = size * random.choice([-1, 0, 1, 1e-8], (k, 2))
    effects = random.choice([-1, -0.1, 0, 0.1, 0.5, 1, NAN], k)
    check_pooled(pool(effects, factors @ factors.T, n_families=n_families))


def check_pooled(result):
    assert is_share(result.effect, -1)
    assert is_share(result.p_value)
    assert is_ordered(result.low, result.effect, result.high)


@pytest.mark.parametrize("size", [0.3, 1.0, 0.01])
def test_cells_that_cancel_each_other_out_are_pooled(size):
    """Two cells with opposite errors have a mean without error over families; the interval over cells holds."""
    covariance = [[size, -size], [-size, size]]
    result = pool([0.1, -0.1], covariance, n_families=3)
    assert (result.effect, result.p_value) == (0.0, 1.0)
    assert result.low < 0 < result.high
    assert pool([0.2, 0.1], covariance, n_families=3).p_value > 0.05


@pytest.mark.parametrize("effects", [[1.5], [-2.0, 0.1], [0.1, INF]])
def test_correlations_out_of_range_are_refused(effects):
    if all(map(math.isfinite, effects)):
        with pytest.raises(ValueError, match=r"expected correlations in \[-1, 1\]"):
            pool(effects, [0.1] * len(effects))
    else:
        assert pool(effects, [0.1] * len(effects)).n == 1


def test_a_covariance_without_a_number_is_refused():
    with pytest.raises(ValueError, match="expected a finite covariance"):
        pool([0.1, 0.2], [[0.1, NAN], [NAN, 0.1]], n_families=3)
    assert pool([0.1, NAN], [[0.1, NAN], [NAN, 0.1]], n_families=3).n == 1


@pytest.mark.parametrize("score", [0.1, 0.3, 0.7, 1 / 3, 0.987, 1e-300, 1e300])
@pytest.mark.parametrize("n", [2, 3, 5, 7])
def test_equal_scores_have_no_spread_but_rounding(score, n):
    """The variance of [0.1, 0.1, 0.1] is 1e-34, which is no certainty."""
    assert compare_means([score] * n, [score] * 3, 0.002).verdict == "undecided"
    assert compare_means([score] * n, [score * (1 + 1e-15)] * 3, 0.002).verdict == "undecided"
    assert compare_means([score] * n, [score / 2] * 3, 0.002).verdict == "undecided"
    assert math.isnan(estimate_reliability([[score] * n, [score * (1 + 2e-16)] * n]).mean)
    x, families = list(range(2 * n)), ["a", "b"] * n
    assert compare_slope(x, [score] * 2 * n, families, 0.002).verdict == "undecided"
    assert math.isnan(fit_quadratic(x, [score] * 2 * n, families).p_value)
    assert math.isnan(leave_one_family_out([score] * 8, [0.1] * 8, list(range(8)), list("abcdabcd")).r2_beyond_density)


def test_scores_on_a_line_leave_no_error_to_judge_by():
    x = [1, 2, 3, 4, 5, 6, 7, 8]
    assert compare_slope(x, [0.1 * value for value in x], list("abcdabcd"), 0.002).verdict == "undecided"


@given(st.lists(NUMBERS, max_size=8))
def test_any_mean_and_quartiles(values):
    mean, sd = mean_and_sd(values)
    assert math.isnan(sd) or sd >= 0
    assert not any(map(math.isinf, (mean, sd, *compute_quartiles(values))))
    assert is_ordered(*compute_quartiles(values))
    assert all("nan" not in percent(value) for value in values)


@pytest.mark.parametrize("power", [-1000, -500, 0, 500, 1000])
def test_a_power_of_two_changes_no_digit(power):
    scale = 2.0**power
    x, y = [0.1, 0.4, 0.35, 0.8, 0.9, 0.25], [0.5, 0.55, 0.61, 0.7, 0.68, 0.59]
    scaled, families = [scale * value for value in y], list("abcabc")
    assert mean_and_sd(scaled) == tuple(scale * value for value in mean_and_sd(y))
    assert compute_quartiles(scaled) == tuple(scale * value for value in compute_quartiles(y))
    assert estimate_reliability([scaled[:3], scaled[3:]]) == estimate_reliability([y[:3], y[3:]])
    means = compare_means(scaled[:3], scaled[3:], scale * 0.02), compare_means(y[:3], y[3:], 0.02)
    assert means[0].p_value == means[1].p_value
    assert means[0].low == scale * means[1].low
    assert compare_slope(x, scaled, families, scale * 0.02).p_value == compare_slope(x, y, families, 0.02).p_value
    assert fit_quadratic(x, scaled, families).p_value == fit_quadratic(x, y, families).p_value


@settings(max_examples=10, deadline=None)  # statsmodels collects all garbage at every call
@given(st.lists(st.floats(0, 1) | st.just(NAN), max_size=8))
def test_any_adjustment(p_values):
    adjusted = adjust_by_holm(p_values)
    assert all(math.isnan(p) or p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))


def test_one_family_has_no_variance_to_correct():
    assert math.isnan(compute_variance_correction(1))
