"""The statistics on simulated studies, where the truth is known: an effect, none, and one that only looks like one."""

import math
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from prewired.random_bits import RandomBits
from prewired.study.statistics.analysis import analyse
from prewired.study.statistics.bootstrap_intervals import bootstrap, compute_interval, draw_replicates
from prewired.study.statistics.equivalence import compare_means, compare_slope
from prewired.study.statistics.pooling import pool, pool_families
from prewired.study.statistics.rank_correlations import adjust_by_holm, family_spearman, partial_spearman, spearman
from prewired.study.statistics.regression import fit_quadratic, leave_one_family_out
from prewired.study.statistics.reliability import disattenuate, estimate_reliability
from prewired.study.statistics.study_rows import Cell, Graph

N_FAMILIES, EACH = 12, 8
FAMILIES = [f"family {number:02d}" for number in range(N_FAMILIES) for _ in range(EACH)]
N = len(FAMILIES)


def normal(rng, share=0.0):
    """A standard normal value per graph, of whose variance families explain a share."""
    between, within = np.repeat(rng.normal(size=N_FAMILIES), EACH), rng.normal(size=N)
    return math.sqrt(share) * between + math.sqrt(1 - share) * within


def rate(events):
    return float(np.mean(list(events)))


# rank correlations


def test_partial_of_one_covariate_is_the_recursive_formula():
    x, y, z = np.random.default_rng(0).normal(size=(3, 40)) + np.linspace(0, 2, 40)
    xy, xz, yz = stats.spearmanr(x, y)[0], stats.spearmanr(x, z)[0], stats.spearmanr(y, z)[0]
    expected = (xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2))
    found = partial_spearman(x, y, [z])
    assert found.rho == pytest.approx(expected, abs=1e-12)
    t = expected * math.sqrt(37 / (1 - expected**2))
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(t), 37), abs=0.02)


def test_partial_of_two_covariates_is_the_recursive_formula_twice():
    x, y, z, w = np.random.default_rng(1).normal(size=(4, 30)) + np.linspace(0, 2, 30)
    given_z = [partial_spearman(*pair, [z]).rho for pair in ((x, y), (x, w), (y, w))]
    expected = (given_z[0] - given_z[1] * given_z[2]) / math.sqrt((1 - given_z[1] ** 2) * (1 - given_z[2] ** 2))
    assert partial_spearman(x, y, [z, w]).rho == pytest.approx(expected, abs=1e-12)


def test_partial_p_of_few_graphs_counts_every_permutation_of_the_residuals():
    x, y, z = [2, 1, 4, 3, 6, 5], [1, 3, 2, 6, 4, 5], [1, 2, 3, 4, 6, 5]
    design = np.column_stack([np.ones(6), z])
    away = np.eye(6) - design @ np.linalg.pinv(design)
    a, b = away @ x, away @ y
    null = [np.corrcoef(a, away @ b[list(order)])[0, 1] for order in permutations(range(6))]
    expected = np.mean(np.abs(null) >= abs(np.corrcoef(a, b)[0, 1]) - 1e-12)
    assert partial_spearman(x, y, [z]).p_value == pytest.approx(expected, abs=1e-12)


def test_columns_that_say_nothing_new_change_nothing():
    x, y, z = np.random.default_rng(2).normal(size=(3, 20))
    expected = partial_spearman(x, y, [z])
    again = partial_spearman(x, y, [np.full(20, 3.0), z, 2 * z + 1])
    assert (again.rho, again.p_value) == (pytest.approx(expected.rho, abs=1e-12), expected.p_value)
    assert partial_spearman(x, y, []) == spearman(x, y)


@pytest.mark.parametrize(
    ("x", "given", "n"),
    [
        ([1, 2, 3, 4, 5], [[2, 4, 6, 8, 10]], 5),  # determined
        ([1, 2, 3, 5, 4], [[1, 3, 2, 5, 4], [2, 1, 4, 3, 5], [5, 1, 2, 3, 4]], 5),  # no degrees of freedom
        ([1, math.nan, math.nan, 4, math.nan], [[1, 2, 3, 4, 5]], 2),
        ([7, 7, 7, 7, 7], [[1, 2, 3, 4, 5]], 5),
    ],
)
def test_no_partial_without_anything_left(x, given, n):
    found = partial_spearman(x, [3, 1, 2, 5, 4], given)
    assert math.isnan(found.rho)
    assert math.isnan(found.p_value)
    assert found.n == n


@pytest.mark.slow
def test_a_covariate_that_drives_both_is_taken_out_and_a_true_effect_stays():
    rng = np.random.default_rng(3)
    plain, partial, effect = [], [], []
    for _ in range(40):
        z = rng.normal(size=60)
        x, y = z + rng.normal(size=60), z + rng.normal(size=60)
        plain.append(spearman(x, y).p_value < 0.05)
        found = partial_spearman(x, y, [z])
        partial.append((found.rho, found.p_value < 0.05))
        effect.append(partial_spearman(x, y + x, [z]).p_value < 0.05)
    assert rate(plain) > 0.9
    assert abs(np.mean([rho for rho, _ in partial])) < 0.06
    assert rate(significant for _, significant in partial) <= 0.15
    assert rate(effect) > 0.9


@pytest.mark.slow
def test_family_means_do_not_take_resemblance_for_evidence():
    rng = np.random.default_rng(4)
    pairs = [(normal(rng, 0.9), normal(rng, 0.9)) for _ in range(100)]
    naive = rate(spearman(x, y).p_value < 0.05 for x, y in pairs)
    honest = rate(family_spearman(x, y, FAMILIES).p_value < 0.05 for x, y in pairs)
    assert naive > 0.3
    assert 0.01 <= honest <= 0.1


def test_partial_and_family_means_of_one_study_each():
    """What the simulations above count over many studies, on one of them."""
    rng = np.random.default_rng(3)
    z = rng.normal(size=60)
    x, y = z + rng.normal(size=60), z + rng.normal(size=60)
    assert spearman(x, y).p_value < 0.05 < partial_spearman(x, y, [z]).p_value
    assert partial_spearman(x, y + x, [z]).p_value < 0.05
    x, y = normal(rng, 0.9), normal(rng, 0.9)
    found = family_spearman(x, y, FAMILIES)
    assert found.n == N_FAMILIES
    assert found.p_value > spearman(x, y).p_value


def test_family_means_by_hand():
    x, y = [1, 2, 3, 4, 4, 7, 6], [8, 7, 9, 1, 2, 3, math.nan]
    assert family_spearman(x, y, list("aaabbcd")) == spearman([2, 4, 7], [8, 1.5, 3])


# intervals


def test_interval_of_independent_graphs_is_fishers():
    rng = np.random.default_rng(5)
    x = rng.normal(size=N)
    y = 0.6 * x + rng.normal(size=N)
    found = bootstrap(x, y, [f"{graph:03d}" for graph in range(N)])
    assert found.value == pytest.approx(stats.spearmanr(x, y)[0], abs=1e-12)
    assert found.standard_error == pytest.approx(1.03 / math.sqrt(N - 3), rel=0.2)
    assert found.low < found.value < found.high
    assert found.n_families == N


def test_interval_is_students_on_fishers_scale():
    drawn = np.array([0.1, 0.4, 0.8, math.nan])
    error = math.sqrt((1 / 9 + 1 / 900 + 121 / 900) / 2 * 5 / 4)  # around their mean, 13/30
    reach = stats.t.ppf(0.95, 4) * error
    found = compute_interval(0.5, 5, drawn, level=0.9)
    z = math.atanh(0.5)
    assert (found.low, found.high) == pytest.approx((math.tanh(z - reach), math.tanh(z + reach)))
    assert found.p_value == pytest.approx(2 * stats.t.sf(z / error, 4))


@pytest.mark.slow
def test_interval_holds_the_truth_when_families_resemble_each_other():
    rng = np.random.default_rng(6)
    found = [bootstrap(normal(rng, 0.9), normal(rng, 0.9), FAMILIES, n_resamples=300) for _ in range(150)]
    assert rate(one.low < 0 < one.high for one in found) >= 0.9
    assert rate(abs(one.value) > 1.96 / math.sqrt(N - 3) for one in found) > 0.3  # what the graphs alone would say


def test_interval_of_one_study_is_wider_than_that_of_independent_graphs():
    rng = np.random.default_rng(6)
    found = bootstrap(normal(rng, 0.9), normal(rng, 0.9), FAMILIES, n_resamples=300)
    assert found.low < found.value < found.high
    assert found.standard_error > 1.5 / math.sqrt(N - 3)


def test_interval_of_a_partial_correlation():
    rng = np.random.default_rng(7)
    z = normal(rng)
    x, y = z + normal(rng), z + normal(rng)
    plain, partial = bootstrap(x, y, FAMILIES), bootstrap(x, y, FAMILIES, [z, 3 * z])
    assert partial.value == pytest.approx(partial_spearman(x, y, [z]).rho, abs=1e-12)
    assert plain.low > 0 > partial.low
    assert partial.high > 0


def test_ranks_in_a_sample_with_repeats_are_those_of_the_sample_written_out():
    x, y, z = np.round(np.random.default_rng(8).normal(size=(3, 10)), 1)
    names = list("aabbbccdde")
    population = sorted(set(names))
    drawn = RandomBits(3, "families").integers(5, 5).tolist()  # one sample: the first five draws
    graphs = []
    for place in range(5):
        members = [i for i, name in enumerate(names) if name == population[place]]
        times = drawn.count(place)
        which = RandomBits(3, f"graphs of {population[place]}").integers(len(members), times * len(members))
        graphs += [members[i] for i in which]
    expected = partial_spearman(x[graphs], y[graphs], [z[graphs]]).rho
    found = draw_replicates(x, y, names, [z], n_resamples=1, seed=3)
    assert math.tanh(found[0]) == pytest.approx(expected, abs=1e-9)


def test_replicates_of_two_cells_go_together_where_families_do():
    rng = np.random.default_rng(9)
    x, y = normal(rng, 0.9), normal(rng, 0.9)
    one, again, other = (
        draw_replicates(x, y, FAMILIES),
        draw_replicates(x + normal(rng) / 9, y, FAMILIES),
        normal(rng, 0.9),
    )
    assert np.corrcoef(one, again)[0, 1] > 0.8
    assert abs(np.corrcoef(one, draw_replicates(other, normal(rng, 0.9), FAMILIES))[0, 1]) < 0.6
    assert (one == draw_replicates(x, y, FAMILIES)).all()


@pytest.mark.parametrize("names", [["a"] * 6, ["a", "b"] * 3])
def test_no_interval_without_families_or_variation(names):
    x = [1, 2, 3, 4, 5, 6] if len(set(names)) == 1 else [1] * 6
    found = bootstrap(x, [2, 1, 4, 3, 6, 5], names, n_resamples=50)
    assert math.isnan(found.low)
    assert math.isnan(found.p_value)


def test_a_perfect_correlation_has_no_interval_for_all_its_samples_are_perfect():
    found = bootstrap(range(12), range(12), list("abcd") * 3, n_resamples=100)
    assert found.value == 1.0
    assert math.isnan(found.low)
    assert math.isnan(found.p_value)


def test_two_families_say_nothing_of_others():
    x, y = [1, 2, 3, 4, 5, 6], [1, 3, 2, 5, 4, 6]
    assert math.isnan(bootstrap(x, y, list("aabbab"), n_resamples=100).low)
    assert not math.isnan(bootstrap(x, y, list("aabbcc"), n_resamples=100).low)


def test_nothing_is_no_interval():
    assert math.isnan(compute_interval(0.5, 5, np.full(10, math.nan)).low)


def test_interval_of_nothing():
    found = bootstrap([math.nan] * 3, [1, 2, 3], ["a", "b", "c"], n_resamples=10)
    assert math.isnan(found.value)
    assert found.n_families == 0


# pooling


def test_pool_by_hand():
    z, v = np.array([0.1, 0.5, 0.9, 0.3]), np.array([0.01, 0.02, 0.02, 0.01])
    tau2 = 0.0  # Paule-Mandel by bisection: Q(tau2) = k - 1
    low, high = 0.0, 10.0
    for _ in range(200):
        tau2 = (low + high) / 2
        w = 1 / (v + tau2)
        q = (w * (z - (w * z).sum() / w.sum()) ** 2).sum()
        low, high = (tau2, high) if q > 3 else (low, tau2)
    w = 1 / (v + tau2)
    mean = (w * z).sum() / w.sum()
    error = math.sqrt((w * (z - mean) ** 2).sum() / 3 / w.sum())
    found = pool(np.tanh(z), v)
    assert found.tau2 == pytest.approx(tau2, rel=1e-3)
    assert found.effect == pytest.approx(math.tanh(mean), rel=1e-4)
    reach = stats.t.ppf(0.975, 3) * error
    assert (found.low, found.high) == pytest.approx((math.tanh(mean - reach), math.tanh(mean + reach)), rel=1e-3)
    assert found.p_value == pytest.approx(2 * stats.t.sf(mean / error, 3), rel=1e-3)
    w = 1 / v
    q = (w * (z - (w * z).sum() / w.sum()) ** 2).sum()
    assert found.i2 == pytest.approx((q - 3) / q)


def test_pool_of_cells_that_agree_is_no_more_certain_than_they_are():
    found = pool([0.4, 0.4, 0.4], [0.03, 0.03, 0.03])
    assert (found.effect, found.tau2, found.i2) == (pytest.approx(0.4), 0.0, 0.0)
    reach = stats.t.ppf(0.975, 2) * 0.1
    assert found.low == pytest.approx(math.tanh(math.atanh(0.4) - reach))


def test_pool_of_copies_of_one_cell_is_that_cell():
    alone = pool([0.4], [[0.03]], n_families=12)
    copies = pool([0.4] * 5, np.full((5, 5), 0.03), n_families=12)
    assert (copies.low, copies.high, copies.p_value) == pytest.approx((alone.low, alone.high, alone.p_value))
    assert pool([0.4] * 5, np.full(5, 0.03)).low > alone.low  # taken as independent, they say more


def test_pool_leaves_out_what_is_not_there_and_takes_perfect_cells_with_care():
    assert pool([0.5, math.nan, 0.3], [0.01, 0.02, 0.01]) == pool([0.5, 0.3], [0.01, 0.01])
    perfect = pool([1.0, 0.9, 0.95], [0.0, 0.05, 0.05])
    assert 0.9 < perfect.effect < 1
    assert not math.isnan(perfect.low)
    assert math.isnan(pool([], []).effect)
    assert math.isnan(pool([0.3], [0.1]).low)
    with pytest.raises(ValueError, match="expected 2 variances"):
        pool([0.1, 0.2], [0.1])


def test_a_family_counts_once_over_all_cells():
    x, y = [1, 2, 3, 4, 9], [2, 1, 3, 4, 0]
    names, cells = list("abcde"), [0] * 5
    once = pool_families(x, y, names, cells)
    thrice = pool_families(
        x * 3, [v + shift for shift in (0, 10, 20) for v in y], names * 3, [0] * 5 + [1] * 5 + [2] * 5
    )
    assert thrice == once == spearman(x, y)


def test_places_of_a_family_are_averaged_over_the_cells_that_have_it():
    x, y = [1, 2, 3, 900, 700, 800, 600], [5, 4, 6, 1, 9, 2, 3]
    names, cells = list("abcabcd"), [0, 0, 0, 1, 1, 1, 1]
    places_x = [(1 / 4 + 4 / 5) / 2, (2 / 4 + 2 / 5) / 2, (3 / 4 + 3 / 5) / 2, 1 / 5]
    places_y = [(2 / 4 + 1 / 5) / 2, (1 / 4 + 4 / 5) / 2, (3 / 4 + 2 / 5) / 2, 3 / 5]
    assert pool_families(x, y, names, cells) == spearman(places_x, places_y)


@pytest.mark.slow
def test_pooled_families_are_right_where_cells_share_them():
    rng = np.random.default_rng(10)
    found = []
    for _ in range(150):
        x, y = normal(rng, 0.9), normal(rng, 0.9)
        xs, ys = (np.concatenate([v + 0.3 * normal(rng) for _ in range(4)]) for v in (x, y))
        found.append(pool_families(xs, ys, FAMILIES * 4, np.repeat(range(4), N).tolist()).p_value < 0.05)
    assert 0.01 <= rate(found) <= 0.1


def test_pooled_families_of_one_study():
    rng = np.random.default_rng(10)
    x = normal(rng, 0.9)
    xs, ys = (np.concatenate([v + 0.3 * normal(rng) for _ in range(4)]) for v in (x, x))
    found = pool_families(xs, ys, FAMILIES * 4, np.repeat(range(4), N).tolist())
    assert found.n == N_FAMILIES
    assert found.rho > 0.8


# reliability


def test_reliability_is_that_of_a_hand_made_analysis_of_variance():
    ratings = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])
    found = estimate_reliability(ratings)  # Shrout and Fleiss, 1979, table 2: ICC(1,1) = .17, ICC(1,4) = .44
    assert (round(found.single, 2), round(found.mean, 2)) == (0.17, 0.44)
    ratio = stats.f_oneway(*ratings).statistic
    assert found.mean == pytest.approx(1 - 1 / ratio)
    assert found.low == pytest.approx(1 - stats.f.ppf(0.975, 5, 18) / ratio)
    assert found.high == pytest.approx(1 - stats.f.ppf(0.025, 5, 18) / ratio)


@pytest.mark.parametrize("truth", [0.0, 0.6, 0.9])
def test_reliability_of_unequal_numbers_of_trainings(truth):
    rng = np.random.default_rng(11)
    graphs = math.sqrt(truth) * rng.normal(size=600)
    scores = [graph + math.sqrt(1 - truth) * rng.normal(size=2 + i % 3) for i, graph in enumerate(graphs)]
    found = estimate_reliability(scores)
    assert found.single == pytest.approx(truth, abs=0.06)
    assert found.mean == pytest.approx(truth * 3 / (1 + 2 * truth), abs=0.09)
    assert found.low < found.mean < found.high
    assert 2.5 < found.n_seeds < 3


def test_reliability_inside_families_forgets_their_means():
    rng = np.random.default_rng(12)
    graphs = 5 * np.repeat(rng.normal(size=40), 10) + rng.normal(size=400)
    scores = [graph + rng.normal(size=3) for graph in graphs]
    assert estimate_reliability(scores).single > 0.9
    inside = estimate_reliability(scores, [f"{i // 10}" for i in range(400)])
    assert inside.single == pytest.approx(0.5, abs=0.06)
    assert math.isnan(estimate_reliability(scores, [str(i) for i in range(400)]).mean)


def test_no_reliability_of_single_trainings_or_single_graphs():
    assert math.isnan(estimate_reliability([[1.0], [2.0], [3.0]]).mean)
    assert math.isnan(estimate_reliability([[1.0, 2.0]]).mean)
    assert math.isnan(estimate_reliability([]).mean)
    assert estimate_reliability([[1.0, 1.0], [2.0, 2.0]]).single == 1.0
    with pytest.raises(ValueError, match="1 for 2 graphs"):
        estimate_reliability([[1.0], [2.0]], ["a"])


def test_disattenuation_gives_back_the_correlation_without_noise():
    rng = np.random.default_rng(13)
    x = rng.normal(size=2000)
    truth = 0.7 * x + math.sqrt(1 - 0.49) * rng.normal(size=2000)
    scores = truth[:, None] + 2 * rng.normal(size=(2000, 4))
    rho = float(np.corrcoef(x, scores.mean(axis=1))[0, 1])
    assert rho < 0.6
    assert disattenuate(rho, estimate_reliability(scores).mean) == pytest.approx(0.7, abs=0.05)
    assert math.isnan(disattenuate(0.3, -0.1))


# shape


def test_a_sweet_spot_is_found_and_a_line_is_none():
    rng = np.random.default_rng(14)
    x = normal(rng, 0.5)
    hill = fit_quadratic(3 * x + 10, -((x - 0.5) ** 2) + 0.3 * normal(rng, 0.5), FAMILIES)
    assert hill.square < 0
    assert hill.high < 0
    assert hill.p_value < 0.001
    assert hill.turning_point == pytest.approx(11.5, abs=0.6)
    assert hill.inside
    lines = [fit_quadratic(v := normal(rng, 0.5), v + normal(rng, 0.5), FAMILIES) for _ in range(100)]
    assert rate(line.p_value < 0.05 for line in lines) <= 0.12
    assert rate(line.low < 0 < line.high for line in lines) >= 0.88


def test_quadratic_is_least_squares():
    x = np.arange(12.0)
    y = 1 - 2 * x + 0.5 * x**2 + np.tile([0.1, -0.2, 0.1], 4)
    expected = np.polyfit((x - x.mean()) / x.std(), y, 2)
    found = fit_quadratic(x, y, list("abcd") * 3)
    assert (found.square, found.linear) == pytest.approx(tuple(expected[:2]))


@pytest.mark.parametrize(
    ("x", "names"),
    [
        ([1, 2] * 6, list("abcd") * 3),
        ([5] * 12, list("abcd") * 3),
        (range(12), ["a"] * 12),
        ([0] * 9 + [1, 2, 3], ["a"] * 9 + ["b"] * 3),
    ],
)
def test_no_square_without_three_values_or_of_one_family_alone(x, names):
    found = fit_quadratic(x, [float(v % 5) for v in range(12)], names)
    assert math.isnan(found.p_value)
    assert math.isnan(found.low)


def test_families_left_out_are_predicted_only_from_what_holds_for_them():
    rng = np.random.default_rng(15)
    x, density = normal(rng, 0.5), np.tile([0.1, 0.2], N // 2)
    noise = 0.5 * normal(rng)
    real = leave_one_family_out(density * 20 + x + noise, density, x, FAMILIES)
    assert real.r2_density > 0.3
    assert real.r2_with_metric > real.r2_density + 0.2
    assert real.r2_beyond_density == pytest.approx(0.8, abs=0.12)
    levels = leave_one_family_out(density * 20 + x + noise, density, x + 900 * density, FAMILIES)
    assert levels.r2_with_metric == pytest.approx(real.r2_with_metric)  # it counts how a graph stands in its density
    constant = leave_one_family_out(density * 20 + x + noise, density, 0.1 + 1e-16 * x, FAMILIES)
    assert constant.r2_beyond_density == pytest.approx(0, abs=1e-12)
    nothing = leave_one_family_out(density * 20 + noise, density, x, FAMILIES)
    assert nothing.r2_beyond_density < 0.02
    alike = [leave_one_family_out(normal(rng, 0.99), density, normal(rng, 0.99), FAMILIES) for _ in range(15)]
    assert np.mean([one.r2_beyond_density for one in alike]) < 0.02  # though families differ in both
    assert math.isnan(leave_one_family_out([1, 2], [1, 1], [1, 2], ["a", "b"]).r2_density)


def test_leave_one_family_out_by_hand():
    rng = np.random.default_rng(16)
    x, y, names = rng.normal(size=12), rng.normal(size=12), np.array(list("abc") * 4)
    errors = np.zeros((2, 12))
    for name in "abc":
        out = names == name
        errors[0, out] = y[out] - y[~out].mean()
        errors[1, out] = y[out] - np.polyval(np.polyfit(x[~out], y[~out], 2), x[out])
    found = leave_one_family_out(y, [0.1] * 12, x, names)
    assert found.r2_density == pytest.approx(0, abs=1e-12)
    assert found.r2_with_metric == pytest.approx(1 - (errors[1] ** 2).sum() / (errors[0] ** 2).sum())


# equivalence


def test_equivalent_means_are_two_one_sided_welch_tests():
    rng = np.random.default_rng(17)
    a, b = rng.normal(0.3, 1, 12), rng.normal(0, 2, 20)
    found = compare_means(a, b, 1.5)
    expected = max(
        stats.ttest_ind(a + 1.5, b, equal_var=False, alternative="greater").pvalue,
        stats.ttest_ind(a - 1.5, b, equal_var=False, alternative="less").pvalue,
    )
    both = stats.ttest_ind(a, b, equal_var=False)
    assert found.p_value == pytest.approx(expected)
    assert found.p_zero == pytest.approx(both.pvalue)
    assert compare_means(b, a, 1.5).p_value == pytest.approx(expected)
    assert (found.low, found.high) == pytest.approx(tuple(both.confidence_interval(0.9)))


@pytest.mark.parametrize(
    ("shift", "spread", "verdict"),
    [(0.0, 0.1, "equivalent"), (2.0, 0.1, "different"), (0.0, 9.0, "undecided"), (0.5, 0.01, "equivalent")],
)
def test_verdicts(shift, spread, verdict):
    a = [shift - spread, shift, shift + spread] * 3
    b = [-spread, 0, spread] * 3
    found = compare_means(a, b, 1.0)
    assert (found.verdict, found.equivalent) == (verdict, verdict == "equivalent")


def test_nothing_is_claimed_of_one_graph_or_without_spread():
    assert compare_means([1.0], [1.0, 1.1], 0.2).verdict == "undecided"
    assert compare_means([1.0, 1.0], [1.0, 1.0], 0.2).verdict == "undecided"
    assert compare_slope([1, 2, 3, 4], [1, 2, 3, 5], ["a"] * 4, 9).verdict == "undecided"
    assert compare_slope([1, 1, 1, 1], [1, 2, 3, 5], list("abcd"), 9).verdict == "undecided"
    for margin in (0, -1, math.nan):
        with pytest.raises(ValueError, match="expected a margin > 0"):
            compare_means([1, 2], [1, 2], margin)


@pytest.mark.slow
def test_equivalence_is_rarely_claimed_of_an_effect_at_the_margin():
    rng = np.random.default_rng(18)
    found = {0.0: [], 1.0: []}
    for _ in range(100):
        x, noise = normal(rng, 0.5), 0.6 * normal(rng, 0.3)
        span = np.quantile(x, 0.9) - np.quantile(x, 0.1)
        for effect, verdicts in found.items():
            verdicts.append(compare_slope(x, effect * x / span + noise, FAMILIES, 1.0).verdict)
    assert found[1.0].count("equivalent") <= 11
    assert found[0.0].count("equivalent") >= 80
    assert found[0.0].count("different") <= 10


def test_equivalence_of_one_study_without_and_with_an_effect():
    rng = np.random.default_rng(18)
    x, noise = normal(rng, 0.5), 0.2 * normal(rng, 0.3)
    span = np.quantile(x, 0.9) - np.quantile(x, 0.1)
    assert compare_slope(x, noise, FAMILIES, 1.0).equivalent
    assert not compare_slope(x, x / span + noise, FAMILIES, 1.0).equivalent


def test_slope_is_the_line_between_the_percentiles():
    rng = np.random.default_rng(19)
    x = rng.exponential(size=N)
    y = 2 * x + rng.normal(size=N)
    slope = stats.linregress(x, y).slope
    found = compare_slope(x, y, FAMILIES, 1.0)
    assert found.difference == pytest.approx(slope * (np.quantile(x, 0.9) - np.quantile(x, 0.1)))
    # by hand: least squares without each family in turn, times (G - 1) / G
    without = [
        stats.linregress(x[keep], y[keep]).slope for f in range(N_FAMILIES) if (keep := np.arange(N) // EACH != f).any()
    ]
    error = math.sqrt((N_FAMILIES - 1) / N_FAMILIES * sum((one - slope) ** 2 for one in without))
    reach = stats.t.ppf(0.95, N_FAMILIES - 1) * error * found.difference / slope
    assert (found.low, found.high) == pytest.approx((found.difference - reach, found.difference + reach))


# the whole analysis

METRICS = ("normalized_spectral_gap", "fan_in_cv", "noise", "constant", "absent")


def make_graphs(rng, effect, confounded=0.0, n_cells=3):
    graphs = []
    for number in range(n_cells):
        degrees, noise = normal(rng, 0.5), normal(rng, 0.5)
        gap = normal(rng, 0.3) + confounded * degrees
        scores = 0.9 + effect * gap + 0.004 * confounded * degrees + 0.001 * normal(rng, 0.3)
        for i, family in enumerate(FAMILIES):
            seeds = tuple((scores[i] + 0.001 * rng.normal(size=3)).tolist())
            metrics = {METRICS[0]: gap[i], "fan_in_cv": degrees[i], "noise": noise[i], "constant": 1.0}
            name = "biregular" if i < EACH else f"{family}:rung={i % 2}"
            graphs.append(
                Graph(Cell("data", 0.1 * (number + 1)), name, float(np.mean(seeds)), seeds, metrics, (str(i),))
            )
    return graphs


@pytest.fixture(scope="module")
def found():
    return analyse(make_graphs(np.random.default_rng(20), 0.004), METRICS, n_resamples=400)


def test_analysis_finds_the_effect_and_nothing_else(found):
    (primary,) = found.primary
    assert primary.pooled.rho.low > 0.5
    assert primary.pooled.holm_p < 0.02  # of three cells: t with two degrees of freedom
    assert primary.pooled.by_family.n == N_FAMILIES
    assert (primary.n_different, len(primary.cells)) == (3, 3)
    noise = next(finding for finding in found.pooled if finding.metric == "noise")
    assert noise.rho.low < 0 < noise.rho.high
    gain = {finding.metric: finding.generalisation.r2_beyond_density for finding in found.generalisation}
    assert gain["normalized_spectral_gap"] > 0.5 > 0.1 > gain["noise"]
    assert len(found.generalisation) == len(METRICS)  # over all densities of the one data set
    assert all(one.overall.mean > 0.9 for one in found.reliability)


def test_analysis_adjusts_over_cells_and_metrics(found):
    assert [f.holm_p for f in found.cells] == pytest.approx(
        adjust_by_holm([f.correlation.p_value for f in found.cells]), nan_ok=True
    )
    assert [f.holm_p for f in found.pooled] == pytest.approx(
        adjust_by_holm([f.rho.p_value for f in found.pooled]), nan_ok=True
    )
    clustered = adjust_by_holm([finding.interval.p_value for finding in found.cells])
    assert [finding.holm_p_clustered for finding in found.cells] == pytest.approx(clustered, nan_ok=True)
    assert len(found.cells) == 3 * len(METRICS)
    for finding in found.cells:
        if finding.metric in ("constant", "absent"):
            assert math.isnan(finding.holm_p)
            assert finding.slope.verdict == "undecided"


def test_rungs_of_a_ladder_are_one_cluster_but_families_of_their_own_beside_the_reference(found):
    assert found.cells[0].interval.n_families == N_FAMILIES
    assert len(found.contrasts) == 3 * 2 * (N_FAMILIES - 1)
    assert {(one.reference, one.n_graphs, one.n_reference) for one in found.contrasts} == {("biregular", 4, 8)}
    graphs = make_graphs(np.random.default_rng(20), 0.004, n_cells=1)
    by_rung = analyse(graphs, METRICS[:1], cluster=lambda graph: graph.family, n_resamples=50)
    assert by_rung.cells[0].interval.n_families == 2 * N_FAMILIES - 1


def test_analysis_sees_through_a_confounder():
    graphs = make_graphs(np.random.default_rng(21), 0.0, confounded=1.0)
    found = analyse(graphs, METRICS, n_resamples=400)
    (primary,) = found.primary
    assert primary.pooled.rho.low > 0.2
    assert primary.pooled.partial.low < 0 < primary.pooled.partial.high
    assert abs(primary.pooled.partial.effect) < 0.25
    assert primary.n_equivalent == 0
    degrees = next(finding for finding in found.pooled if finding.metric == "fan_in_cv")
    assert degrees.partial == degrees.rho  # a metric is not given itself


def test_families_are_compared_inside_cells_whatever_cells_lack_them():
    graphs = make_graphs(np.random.default_rng(25), 0.004)
    graphs = [
        replace(graph, score=graph.score + 9 * graph.cell.density)
        for i, graph in enumerate(graphs)
        if graph.cell.density < 0.15 or i % N // EACH % 3
    ]
    gap, density = (
        [key(graph) for graph in graphs] for key in (lambda g: g.metrics[METRICS[0]], lambda g: g.cell.density)
    )
    names = [graph.family.partition(":")[0] for graph in graphs]
    expected = pool_families(gap, [graph.score for graph in graphs], names, density)
    (primary,) = analyse(graphs, METRICS[:1], n_resamples=50).primary
    assert (
        primary.pooled.by_family
        == expected
        != pool_families(gap, [graph.score for graph in graphs], names, [0] * len(gap))
    )
    assert primary.pooled.rho.effect > 0.5


def test_a_null_result_can_be_claimed():
    graphs = make_graphs(np.random.default_rng(22), 0.0)
    (primary,) = analyse(graphs, METRICS, n_resamples=400).primary
    assert primary.n_equivalent == 3
    assert primary.pooled.rho.low < 0 < primary.pooled.rho.high


def test_analysis_of_next_to_nothing():
    graphs = make_graphs(np.random.default_rng(23), 0.0, n_cells=1)
    for few in (graphs[:1], graphs[:3], graphs[: EACH + 1], [graphs[0], graphs[0]]):
        found = analyse(few, METRICS, n_resamples=20)
        assert len(found.cells) == len(METRICS)
        assert found.primary[0].n_undecided == 1
    assert analyse([], METRICS).primary == ()
    with pytest.raises(ValueError, match="expected the primary metric"):
        analyse(graphs, ["noise"])


@pytest.mark.slow
def test_settings_are_kept_apart():
    graphs = make_graphs(np.random.default_rng(24), 0.004, n_cells=1)
    cell = Cell("data", 0.1, "permuted")
    both = graphs + [Graph(cell, g.family, -g.score, g.scores, g.metrics, g.digests) for g in graphs]
    found = analyse(both, METRICS[:2], n_resamples=50)
    alone = analyse(graphs, METRICS[:2], n_resamples=50)
    assert [finding.control for finding in found.pooled] == ["", "", "permuted", "permuted"]
    assert found.cells[:2] == alone.cells
    assert found.cells[2].correlation.rho == pytest.approx(-found.cells[0].correlation.rho)
    own, one = found.cells[0].interval, found.pooled[0].rho  # one cell pooled is that cell
    assert (one.effect, one.low, one.high) == pytest.approx((own.value, own.low, own.high))
    assert one.p_value <= own.p_value == pytest.approx(found.cells[0].correlation.p_value)
