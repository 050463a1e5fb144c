"""The statistics of a study, on data whose answer is known."""

import math
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from prewired.study.statistics import (
    Cell,
    Row,
    adjust_by_holm,
    analyse,
    collect_graphs,
    find_coinciding_families,
    mean_and_sd,
    spearman,
    summarise,
    target_score,
)
from prewired.training.loop import Run, TrainConfig


def make_run(score, val_scores=(0.5, 0.9), seconds=(2.0, 1.0), n_parameters=100, chosen_epoch=None, epochs=None):
    losses = (0.1,) * len(val_scores)
    return Run(
        TrainConfig(epochs=epochs or len(val_scores)),
        "accuracy",
        n_parameters,
        train_loss=losses,
        val_loss=losses,
        val_score=val_scores,
        seconds=seconds,
        test_loss=0.1,
        test_score=score,
        chosen_epoch=chosen_epoch or len(val_scores),
    )


def make_row(family, density, graph_seed, score, train_seed=0, digest=None, **more):
    names = ("data", "control", "init", "machine", "metrics", "learning_rate")
    given = {"data": "d", "control": "", "init": "fan_in", "machine": "m"}
    given |= {name: more.pop(name) for name in names if name in more}
    digests = () if family.startswith("dense") else (digest or f"{family} {density} {graph_seed}",)
    run = make_run(score, **more)
    return Row(
        family=family,
        density=density,
        graph_seed=graph_seed,
        train_seed=train_seed,
        run=run,
        n_bytes=400,
        digests=digests,
        **given,
    )


def test_mean_and_sd_of_one_and_of_several():
    mean, sd = mean_and_sd([0.5])
    assert mean == 0.5
    assert math.isnan(sd)
    assert mean_and_sd([1, 2, 3, 4]) == (2.5, pytest.approx(math.sqrt(5 / 3)))


@pytest.mark.parametrize(("y", "rho"), [([1, 8, 27, 64, 125], 1.0), ([5, 4, 3, 2, 1], -1.0)])
def test_spearman_of_monotone_data_is_exact(y, rho):
    found = spearman([1, 2, 3, 4, 5], y)
    assert (found.rho, found.n) == (rho, 5)
    assert found.p_value == pytest.approx(2 / math.factorial(5))  # the order itself and its reverse


def test_spearman_with_ties_agrees_with_scipy():
    x, y = [1, 2, 2, 3, 4, 4, 4, 5, 6, 7, 7, 9], [2, 1, 3, 3, 3, 6, 5, 5, 8, 8, 7, 1]
    expected = stats.spearmanr(x, y)
    found = spearman(x, y)
    assert found.rho == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue, rel=0.05)  # t distribution against permutations
    assert spearman(x, y) == found


def test_p_of_many_pairs_is_never_zero():
    assert spearman(range(40), range(40)).p_value == 1 / 40_321  # 8! pairings drawn, and the one found


def test_exact_p_agrees_with_counting_all_pairings():
    x, y = [1, 2, 2, 4, 5], [2, 1, 4, 3, 5]
    rho = spearman(x, y).rho
    as_strong = [abs(stats.spearmanr(pairing, y).statistic) >= abs(rho) - 1e-12 for pairing in permutations(x)]
    assert len(as_strong) == 120
    assert spearman(x, y).p_value == pytest.approx(np.mean(as_strong), abs=1e-12)


def test_p_values_are_uniform_when_there_is_nothing():
    rng = np.random.default_rng(1)
    p = [spearman(rng.normal(size=7).tolist(), rng.normal(size=7).tolist()).p_value for _ in range(150)]
    assert 0.02 <= np.mean(np.array(p) < 0.05) <= 0.09


@pytest.mark.parametrize(
    ("x", "y", "n"),
    [([1, 2], [1, 2], 2), ([3, 3, 3, 3], [1, 2, 3, 4], 4), ([1, 2, 3], [5, 5, 5], 3), ([1, 2, math.nan], [1, 2, 3], 2)],
)
def test_no_correlation_without_variation_or_pairs(x, y, n):
    found = spearman(x, y)
    assert math.isnan(found.rho)
    assert math.isnan(found.p_value)
    assert found.n == n


def test_rounding_noise_is_a_tie():
    noise = [0.3 + k * 1e-15 for k in (0, 3, 1, 2)]
    assert math.isnan(spearman(noise, [1, 2, 3, 4]).rho)


def test_spearman_refuses_different_lengths():
    with pytest.raises(ValueError, match="3 and 2"):
        spearman([1, 2, 3], [1, 2])


@settings(deadline=None, max_examples=20)  # the first call imports statsmodels
@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_lowers_and_keeps_the_order(p_values):
    adjusted = adjust_by_holm(p_values)
    assert all(p <= a <= 1 for p, a in zip(p_values, adjusted, strict=True))
    assert [adjusted[i] for i in np.argsort(p_values, kind="stable")] == sorted(adjusted)


def test_holm_by_hand_and_nan_is_no_test():
    np.testing.assert_allclose(adjust_by_holm([0.04, math.nan, 0.01]), [0.04, math.nan, 0.02])


def cells(rows, metric="gap"):
    """(density, rho, n) of each cell, as a whole analysis has it."""
    found = analyse(collect_graphs(rows), [metric], primary=metric, n_resamples=20).cells
    return [(one.cell.density, one.correlation.rho, one.correlation.n) for one in found]


def test_the_unit_is_the_graph_not_the_run():
    rows = [
        make_row("biregular", 0.1, graph, 0.9 + graph / 100 + seed / 1000, seed, metrics={"gap": graph})
        for graph in range(3)
        for seed in range(2)
    ]
    found = collect_graphs(rows)
    np.testing.assert_allclose([graph.score for graph in found], [0.9005, 0.9105, 0.9205])
    np.testing.assert_allclose([graph.scores for graph in found], [[0.9, 0.901], [0.91, 0.911], [0.92, 0.921]])
    assert {(graph.cell, graph.family) for graph in found} == {(Cell("d", 0.1, "", "fan_in"), "biregular")}
    assert [(graph.metrics, graph.digests) for graph in found] == [
        ({"gap": g}, (f"biregular 0.1 {g}",)) for g in range(3)
    ]
    assert cells(rows) == [(0.1, 1.0, 3)]


def test_the_same_graph_of_two_families_counts_once():
    rows = [make_row("biregular", 0.1, g, 0.9 + g / 100, metrics={"gap": g}, digest=str(g)) for g in range(3)]
    rows.append(make_row("rotating", 0.1, None, 0.8, train_seed=1, metrics={"gap": 1}, digest="1"))
    found = collect_graphs(rows)
    assert [(graph.family, round(graph.score, 9)) for graph in found] == [
        ("biregular", 0.9),
        ("biregular", 0.855),
        ("biregular", 0.92),
    ]
    assert cells(rows) == [(0.1, 0.5, 3)]  # scores 0.9, (0.91 + 0.8) / 2, 0.92: ranks 2, 1, 3
    assert find_coinciding_families(rows) == [(0.1, ("biregular", "rotating"))]
    assert find_coinciding_families(rows[:3]) == []
    copies = [replace(row, family="rotating") for row in rows[:3]]
    assert [graph.scores for graph in collect_graphs([*rows[:3], *copies])] == [(0.9,), (0.91,), (0.92,)], (
        "the same trainings"
    )
    complete = [make_row("biregular", 1.0, g, 0.9, metrics={"gap": 1}, digest="same") for g in range(3)]
    assert [(summary.n_graphs, summary.n_runs) for summary in summarise(complete)] == [(1, 3)]


def test_correlation_is_inside_each_density_and_without_dense_nets():
    rows = [make_row("dense", None, None, 0.99), make_row("dense narrow", 0.1, None, 0.99)]
    for density, slope in ((0.1, 1), (0.2, -1)):
        rows += [make_row("biregular", density, g, density + slope * g / 100, metrics={"gap": g}) for g in range(4)]
    assert cells(rows) == [(0.1, 1.0, 4), (0.2, -1.0, 4)]
    found = analyse(collect_graphs(rows), ["gap"], primary="gap", n_resamples=20).cells
    assert [one.holm_p for one in found] == pytest.approx([1 / 6, 1 / 6])


def test_the_same_graph_is_another_one_in_another_cell():
    settings = [{}, {"control": "permuted"}, {"init": "n_in"}, {"data": "e"}, {"density": 0.2}]
    rows = [make_row(*("biregular", 0.1, 0, 0.9), digest="same") for _ in settings]
    rows = [replace(row, **change) for row, change in zip(rows, settings, strict=True)]
    assert [graph.cell for graph in collect_graphs(rows)] == [
        Cell("d", 0.1),
        Cell("d", 0.1, control="permuted"),
        Cell("d", 0.1, init="n_in"),
        Cell("e", 0.1),
        Cell("d", 0.2),
    ]
    assert [str(graph.cell) for graph in collect_graphs(rows)] == [
        "d, 10 %",
        "d, 10 %, permuted",
        "d, 10 %, init n_in",
        "e, 10 %",
        "d, 20 %",
    ]
    assert [row.label for row in rows[:3]] == ["biregular", "biregular, permuted", "biregular, init n_in"]
    summaries = summarise(rows)
    assert [(s.data, s.label, s.density, s.n_runs) for s in summaries] == [
        ("d", "biregular", 0.1, 1),
        ("d", "biregular, permuted", 0.1, 1),
        ("d", "biregular, init n_in", 0.1, 1),
        ("d", "biregular", 0.2, 1),
        ("e", "biregular", 0.1, 1),
    ]


def test_variants_of_one_graph_do_not_coincide_with_each_other():
    rows = [make_row("biregular", 0.1, 0, 0.9, digest="same", init=init) for init in ("fan_in", "n_in")]
    assert find_coinciding_families(rows) == []


def test_summary_of_a_cell():
    rows = [
        make_row("dense", None, None, 0.99, val_scores=(0.8, 1.0), seconds=(4.0, 4.0)),
        make_row("biregular", 0.1, 0, 0.9, val_scores=(0.95, 0.97), seconds=(1.0, 3.0), metrics={"gap": 1.0}),
        make_row("biregular", 0.1, 1, 0.8, val_scores=(0.5, 0.96), seconds=(2.0, 2.0), metrics={"gap": 2.0}),
    ]
    assert target_score(rows) == pytest.approx(0.95)
    dense, sparse = summarise(rows)
    assert (dense.ratio, dense.epochs_to_target) == (1.0, 2.0)
    assert (sparse.score, sparse.score_sd) == (pytest.approx(0.85), pytest.approx(0.1 / math.sqrt(2)))
    assert (sparse.n_graphs, sparse.epochs_to_target, sparse.n_reached) == (2, 1.5, 2)
    assert (sparse.seconds, sparse.ratio) == ((1.75, 2.0, 2.25), 0.5)
    assert (dense.as_fast, sparse.as_fast) == (True, False)
    assert sparse.metrics == {"gap": 1.5}


def test_a_run_that_never_gets_there_and_a_machine_without_a_reference():
    rows = [
        make_row("dense", None, None, 0.99, val_scores=(0.8, 1.0)),
        make_row("biregular", 0.1, 0, 0.9, val_scores=(0.5, 0.6), machine="another"),
    ]
    summary = summarise(rows)[1]
    assert math.isnan(summary.epochs_to_target)
    assert summary.n_reached == 0
    assert math.isnan(summary.ratio)
    assert not summary.as_fast


def test_no_target_when_the_reference_is_worth_nothing():
    assert math.isnan(target_score([make_row("dense", None, None, -0.1, val_scores=(-0.2,), seconds=(1.0,))]))


def test_targets_and_ratios_are_those_of_the_same_data():
    rows = []
    for data, reached, dense_seconds in (("d", 1.0, 4.0), ("e", 0.5, 8.0)):
        seconds = {"seconds": (dense_seconds, dense_seconds)}
        rows.append(make_row("dense", None, None, 0.9, data=data, val_scores=(0.1, reached), **seconds))
        rows.append(make_row("rotating", 0.1, None, 0.8, data=data, val_scores=(0.48, 0.96), seconds=(2.0, 2.0)))
    first, second = (summary for summary in summarise(rows) if summary.label == "rotating")
    assert (first.epochs_to_target, first.ratio) == (2.0, 0.5)
    assert (second.epochs_to_target, second.ratio) == (1.0, 0.25)


def test_a_run_that_was_stopped_early_counts_with_its_chosen_epoch():
    stopped = make_row("dense", None, None, 0.9, val_scores=(0.8, 0.6), chosen_epoch=1, epochs=4, learning_rate=0.02)
    assert target_score([stopped]) == pytest.approx(0.95 * 0.8)
    (summary,) = summarise([stopped, replace(stopped, run=make_run(0.7, (0.5, 0.5, 0.5, 0.5), epochs=4))])
    assert summary.area == pytest.approx(((0.8 + 0.6 + 0.8 + 0.8) / 4 + 0.5) / 2)
    assert summary.learning_rate == 0.02
