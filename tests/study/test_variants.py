"""What a study compares besides families: layers of several families, controls, initial weights, rates, data sets."""

import json
import math
import sqlite3
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from prewired.metrics import spectrum
from prewired.nn import mlp
from prewired.random_bits import RandomBits
from prewired.study import StudyConfig, load, run
from prewired.study.nets import Net, list_graph_seeds
from prewired.study.results import choose_rate
from prewired.study.running import database, perform
from prewired.study.statistics import DENSE, DENSE_NARROW
from prewired.study.tasks import GRAPHS, RATES, RUNS, TUNING_SEED, Facts, TrainingTask, build_run_key
from prewired.study.wiring import wire_net
from prewired.training import data, loop

SIZES = (64, 36, 20, 10)
CONFIG = StudyConfig("digits", ("rotating",), (0.25,), graph_seeds=2, hidden=(36, 20), epochs=1, timing=False)


def net(family, *, control="", init="fan_in", density=0.25, sizes=SIZES):
    return Net("digits", family, control, init, density, sizes)


def stored(folder, table="runs"):
    with sqlite3.connect(f"file:{folder / database.DATABASE_NAME}?mode=ro", uri=True) as connection:
        return {key: json.loads(value) for key, value in connection.execute(f"SELECT key, payload FROM {table}")}


# A family for each layer


def test_each_layer_has_its_own_family_and_the_last_goes_on():
    made = wire_net(CONFIG, net("window2d+biregular", sizes=(64, 36, 20, 16, 10)), 3)
    whole = wire_net(CONFIG, net("window2d", sizes=(64, 36, 10)), 3)
    assert made[0] == whole[0]
    assert [t.recipe.family for t in made] == ["window2d", "biregular", "biregular"]
    assert [t.n_edges for t in made] == [36 * 16, 20 * 9, 16 * 5]
    assert made[1] == wire_net(CONFIG, net("rotating+biregular", sizes=(64, 36, 20, 16, 10)), 3)[1]
    assert made[1] != wire_net(CONFIG, net("window2d+biregular", sizes=(64, 36, 20, 16, 10)), 4)[1]
    alone = wire_net(CONFIG, net("biregular"), 3)
    assert wire_net(CONFIG, net("biregular+biregular"), 3) == alone


def test_families_per_layer_share_the_edges_of_a_budget():
    config = replace(CONFIG, budget="erdos_renyi")
    edges = [t.n_edges for t in wire_net(config, net("biregular"), 0)]
    assert edges != [t.n_edges for t in wire_net(CONFIG, net("biregular"), 0)]
    assert [t.n_edges for t in wire_net(config, net("rotating+biregular"), 0)] == edges


@pytest.mark.parametrize(
    ("family", "change", "message"),
    [
        ("rotating+rotating+biregular", {}, "at density 0.25: expected at most 2 families, .* got 3"),
        ("rotating+biregular", {"densities": (), "edges": (744,)}, "densities for a family per layer, got edges"),
        ("rotating+window2d:channels=7", {}, r"^rotating\+window2d:channels=7 at density 0\.25: "),
    ],
)
def test_layers_that_cannot_be_made(family, change, message):
    with pytest.raises(ValueError, match=message):
        wire_net(replace(CONFIG, **change), net(family), 0)


@pytest.mark.parametrize(
    ("family", "control", "seeds"),
    [
        ("rotating", "", [None]),
        ("rotating+fibonacci", "", [None]),
        ("rotating+biregular", "", [0, 1]),
        ("biregular", "", [0, 1]),
        ("rotating", "permuted", [0, 1]),
        ("rotating", "shuffled", [0, 1]),
        (DENSE_NARROW, "", [None]),
    ],
)
def test_there_are_as_many_graphs_as_there_is_randomness(family, control, seeds):
    assert list_graph_seeds(net(family, control=control), CONFIG) == seeds


# Controls


@pytest.mark.parametrize("family", ["rotating", "biregular", "window2d+biregular"])
def test_permuted_inputs_leave_the_spectrum_and_all_other_layers(family):
    plain, first, second = (
        wire_net(CONFIG, net(family, control=control), seed)
        for control, seed in (("", 1), ("permuted", 1), ("permuted", 2))
    )
    assert first[0] != plain[0]
    assert first[1:] == plain[1:]
    assert first[0] != second[0]
    assert first == wire_net(CONFIG, net(family, control="permuted"), 1)
    assert first[0].fan_in.tolist() == plain[0].fan_in.tolist()
    assert sorted(first[0].fan_out) == sorted(plain[0].fan_out)
    np.testing.assert_allclose(*(_spectrum(t) for t in (first[0], plain[0])), atol=1e-9)
    columns = [sorted(map(tuple, t[0].biadjacency().toarray().T.astype(int).tolist())) for t in (first, plain)]
    assert columns[0] == columns[1]


def _spectrum(t):
    return np.linalg.svd(t.biadjacency().toarray(), compute_uv=False)


def test_shuffled_edges_keep_only_their_number_in_each_layer():
    plain, first, second = (
        wire_net(CONFIG, net("rotating", control=control), seed)
        for control, seed in (("", 0), ("shuffled", 0), ("shuffled", 1))
    )
    assert [t.n_edges for t in first] == [t.n_edges for t in plain] == [36 * 16, 20 * 9]
    for a, b, c in zip(plain, first, second, strict=True):
        assert len({a, b, c}) == 3
        assert b.fan_in.std() > 0 == a.fan_in.std()
    square = net("rotating", control="shuffled", sizes=(36, 36, 36, 10))
    one, two = wire_net(CONFIG, square, 0)
    assert one != two, "each layer is shuffled in its own way"


@pytest.fixture(scope="module")
def varied(tmp_path_factory):
    folder = tmp_path_factory.mktemp("varied")
    return folder, run(replace(CONFIG, controls=("permuted", "shuffled"), inits=("n_in",)), folder)


def test_a_study_with_controls(varied):
    rows = [row for row in varied[1].rows if row.digests]
    assert [(row.label, row.graph_seed) for row in rows] == [
        ("rotating", None),
        ("rotating, permuted", 0),
        ("rotating, shuffled", 0),
        ("rotating, init n_in", None),
        ("rotating, permuted", 1),
        ("rotating, shuffled", 1),
    ]
    plain, *others = rows
    for row in others[:1]:
        assert row.metrics["normalized_spectral_gap"] == pytest.approx(plain.metrics["normalized_spectral_gap"])
        assert row.digests[1:] == plain.digests[1:]
    assert others[1].metrics["fan_in_cv"] > 0 == plain.metrics["fan_in_cv"]
    assert {row.run.n_parameters for row in rows} == {plain.run.n_parameters}


def test_initial_weights_as_if_dense_are_weaker_on_the_same_graphs(varied):
    """The first layer reads 16 of 64 inputs: half the root mean square, in both layers a quarter."""
    rows = {row.label: row for row in varied[1].rows}
    plain, blind = rows["rotating"], rows["rotating, init n_in"]
    assert (blind.digests, blind.metrics) == (plain.digests, plain.metrics)
    ratios = np.divide(blind.start["activation_rms"], plain.start["activation_rms"])
    np.testing.assert_allclose(ratios, [0.5, 0.25, 0.25], rtol=1e-4)
    assert len(stored(varied[0], "graphs")) == 1 + 2 * 2, "no graph of its own is measured for it"
    np.testing.assert_allclose(blind.start["activation_rms"][0], _first_rms("n_in"), rtol=1e-4)


def _first_rms(scale):
    digits = data.load("digits")
    made = mlp(list(SIZES), family="rotating", density=0.25, init_seed=0, scale=scale)
    return float(made[0](digits.x_train[:512]).square().mean().sqrt().detach())


# Learning rates

TUNED = replace(CONFIG, learning_rates=(1e-2, 1e-3, 1e-4), tune_epochs=2, epochs=3)


@pytest.fixture
def looks(monkeypatch):
    """(rows of the data that were evaluated, epochs of the training) of every look at the test data."""
    seen = []
    digits = data.load("digits")

    def spied(net, loaded, x, y):
        if x.shape == digits.x_test.shape and torch.equal(x, digits.x_test):
            seen.append(len(x))
        return evaluate(net, loaded, x, y)

    evaluate = loop.evaluate
    monkeypatch.setattr("prewired.training.loop.evaluate", spied)
    return seen


def test_learning_rates_are_chosen_by_validation_alone_with_an_equal_budget(looks, tmp_path):
    at = {}
    config = replace(TUNED, families=("rotating", "biregular"), train_seeds=2)

    def progress(step):
        if step.payload:
            at.setdefault(step.phase, []).append((step.task, step.payload, len(looks)))

    result = run(config, tmp_path, progress=progress)
    assert list(at) == [GRAPHS, RATES, RUNS]
    tunings = [(task, payload) for task, payload, _ in at[RATES]]
    nets = list(dict.fromkeys(task.net for task, _ in tunings))
    assert [n.family for n in nets] == [DENSE, DENSE_NARROW, "rotating", "biregular"]
    assert len(tunings) == len(nets) * 3
    for one in nets:  # equal budget
        assert [task.learning_rate for task, _ in tunings if task.net == one] == [1e-2, 1e-3, 1e-4]
    assert {task.train_seed for task, _ in tunings} == {TUNING_SEED}
    assert {(task.net.family, task.graph_seed) for task, _ in tunings} == {
        (DENSE, None), (DENSE_NARROW, None), ("rotating", None), ("biregular", TUNING_SEED)
    }  # fmt: skip
    assert {looked for _, _, looked in at[RATES]} == {0}, "the test data was looked at while tuning"
    assert {len(payload["run"]["val_score"]) for _, payload in tunings} == {2}
    assert all(math.isnan(payload["run"][name]) for _, payload in tunings for name in ("test_score", "test_loss"))
    assert len(looks) == len(at[RUNS]) == len(result.rows) == result.n_runs
    for one in nets:
        scores = {task.learning_rate: payload["run"]["val_score"][-1] for task, payload in tunings if task.net == one}
        (tuned,) = [tuned for tuned in result.rate_choices if tuned.net == one]
        assert tuned.scores == scores
        assert tuned.chosen == max(scores, key=lambda rate: (scores[rate], -rate))
        assert {row.learning_rate for row in result.rows if row.family == one.family} == {tuned.chosen}
        assert tuned.at_the_edge == (tuned.chosen != 1e-3)
    assert {row.run.config.epochs for row in result.rows} == {3}
    assert {row.run.config.learning_rate for row in result.rows} == {tuned.chosen for tuned in result.rate_choices}
    run(config, tmp_path, progress=pytest.fail)
    assert database.to_canonical_json(asdict(load(tmp_path))) == database.to_canonical_json(asdict(result))


def test_a_training_without_test_data_is_never_taken_for_a_run():
    facts = {"digits": Facts("digits", "", 64, 10, {"sha256": "x"})}
    job = TrainingTask(net("rotating"), None, 0, 1e-3)
    keys = [
        build_run_key(one, replace(CONFIG, learning_rates=(1e-2, 1e-3)), facts)
        for one in (job, replace(job, tuning=True))
    ]
    assert keys[0] != keys[1]


def test_each_control_and_init_has_the_same_choice(tmp_path):
    config = replace(TUNED, controls=("permuted",), inits=("n_in",), graph_seeds=1, tune_epochs=1, epochs=1)
    tuned = run(config, tmp_path).rate_choices
    assert [(one.net.family, one.net.control, one.net.init) for one in tuned] == [
        (DENSE, "", "fan_in"),
        (DENSE_NARROW, "", "fan_in"),
        ("rotating", "", "fan_in"),
        ("rotating", "permuted", "fan_in"),
        ("rotating", "", "n_in"),
    ]
    assert all(list(one.scores) == [1e-4, 1e-3, 1e-2] for one in tuned)


def test_a_rate_with_which_the_loss_explodes_is_not_chosen(tmp_path):
    config = replace(TUNED, learning_rates=(1e30, 1e-2), optimizer="sgd", epochs=1, tune_epochs=1)
    result = run(config, tmp_path)
    assert len(result.rows) == 3
    for one in result.rate_choices:
        assert (one.chosen, math.isnan(one.scores[1e30])) == (1e-2, True)
    assert result.failed == (), "what fails in tuning is no run that failed"
    assert sum("failed" in payload for payload in stored(tmp_path).values()) == 3


def test_no_rate_without_an_explosion_is_an_error_that_a_smaller_one_mends(tmp_path):
    config = replace(TUNED, learning_rates=(1e30, 1e35), optimizer="sgd", epochs=1, tune_epochs=1)
    for call in (lambda: run(config, tmp_path), lambda: run(config, tmp_path), lambda: load(tmp_path)):
        with pytest.raises(
            RuntimeError,
            match=r"^digits, dense: with every learning rate the loss .*; add smaller ones to learning_rates$",
        ):
            call()
    assert len(stored(tmp_path)) == 6
    more = run(replace(config, learning_rates=(1e30, 1e35, 1e-2)), tmp_path)
    assert {one.chosen for one in more.rate_choices} == {1e-2}
    assert len(stored(tmp_path)) == 6 + 3 + 3


def test_a_choice_rests_on_the_epoch_that_early_stopping_chose():
    def payload(scores, chosen):
        curves = {name: (0.5,) * len(scores) for name in ("train_loss", "val_loss", "seconds")}
        ends = {"test_loss": None, "test_score": None, "chosen_epoch": chosen}
        config = asdict(loop.TrainConfig(epochs=9, patience=2))
        return {
            "run": {
                "config": config,
                "score_name": "accuracy",
                "n_parameters": 1,
                "val_score": scores,
                **curves,
                **ends,
            }
        }

    rates = {0.1: [payload([0.9, 0.2], 2)], 0.3: [payload([0.5, 0.1], 1)], 0.2: [payload([0.5], 1)]}
    found = choose_rate(net("rotating"), rates)
    assert found.scores == {0.1: 0.2, 0.2: 0.5, 0.3: 0.5}
    assert found.chosen == 0.2, "of two that are equal the smaller"
    assert not found.at_the_edge
    several = choose_rate(
        net("rotating"), {**rates, 0.1: [payload([0.7], 1), payload([0.5], 1)], 0.4: [{"failed": "no"}]}
    )
    assert (several.chosen, several.scores[0.1]) == (0.1, pytest.approx(0.6)), "the mean of several trainings counts"


def test_a_study_interrupted_while_tuning_goes_on(tmp_path):
    config = replace(TUNED, learning_rates=(1e-2, 1e-3), epochs=1, tune_epochs=1)

    def interrupt(step):
        if step.phase == RATES and step.payload and step.done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="0 of 3 runs are stored"):
        run(config, tmp_path, progress=interrupt)
    partial = load(tmp_path)
    assert (partial.rows, partial.n_runs, len(partial.rate_choices)) == ((), 3, 1)
    result = run(config, tmp_path)
    assert result.digest == run(config, tmp_path.parent / f"{tmp_path.name}-undisturbed").digest
    assert len(stored(tmp_path)) == 6 + 3


def test_steps_of_a_study_that_grows_by_a_learning_rate_end_at_all_of_its_runs(tmp_path):
    config = replace(TUNED, learning_rates=(1e-4, 1e-3), epochs=1, tune_epochs=1)
    run(config, tmp_path)
    steps = []
    run(replace(config, learning_rates=(1e-4, 1e-3, 1e-2)), tmp_path, progress=steps.append)
    assert (steps[-1].phase, steps[-1].done, steps[-1].total) == (RUNS, 3, 3)


# Several data sets, and fewer rows


@pytest.fixture
def two(tmp_path):
    rng = np.random.default_rng(0)
    paths = []
    for name, width in (("a", 16), ("b", 25)):
        y = np.arange(150) % 3
        x = (rng.normal(size=(150, width)) + 3 * (y[:, None] == np.arange(width) % 3)).astype(np.float32)
        paths.append(tmp_path / f"{name}.npz")
        np.savez(paths[-1], x=x, y=y)
    return tuple(map(str, paths))


def test_several_data_sets_in_one_study(two, tmp_path):
    config = StudyConfig(
        two, ("rotating", "biregular"), (0.25,), graph_seeds=1, hidden=(12, 12), epochs=3, timing=False
    )
    result = run(config, tmp_path / "out")
    assert [row.data for row in result.rows] == [name for name in two for _ in range(4)]
    assert {(row.data, row.sizes) for row in result.rows if row.family != DENSE_NARROW} == {
        (two[0], (16, 12, 12, 3)),
        (two[1], (25, 12, 12, 3)),
    }
    assert {name: (facts.n_features, facts.n_outputs) for name, facts in result.facts.items()} == {
        two[0]: (16, 3),
        two[1]: (25, 3),
    }
    for k, name in enumerate(two):
        alone = run(replace(config, data=name), tmp_path / str(k))
        assert [row.run.val_score for row in alone.rows] == [
            row.run.val_score for row in result.rows if row.data == name
        ]


def test_edges_are_the_same_in_each_layer_of_each_data_set(two, tmp_path):
    families = ("biregular", "swap_ladder:swaps=0.5", "erdos_renyi")
    config = StudyConfig(two, families, edges=(144,), graph_seeds=2, hidden=(12, 12), epochs=1, timing=False)
    rows = [row for row in run(config, tmp_path / "out").rows if row.digests]
    assert {row.density for row in rows} == {144 / (16 * 12 + 12 * 12), 144 / (25 * 12 + 12 * 12)}
    layers = [tuple(layer["density"] for layer in row.layers) for row in rows]
    assert {row.run.n_parameters for row in rows} == {144 + 24 + 13 * 3}
    assert len({(row.data, densities) for row, densities in zip(rows, layers, strict=True)}) == 2


def test_training_rows_are_cut_in_nests_and_all_else_stays():
    whole = data.load("digits")
    small, large = (perform.load_data(replace(CONFIG, train_rows=n), "digits") for n in (100, 400))
    order = RandomBits(0, "train rows").permutation(len(whole.x_train))
    assert (len(small.x_train), len(large.x_train)) == (100, 400)
    for part in (small, large):
        rows = order[: len(part.x_train)]
        assert torch.equal(part.x_train, whole.x_train[rows])
        assert torch.equal(part.y_train, whole.y_train[rows])
        for name in ("x_val", "y_val", "x_test", "y_test"):
            assert torch.equal(getattr(part, name), getattr(whole, name))
    assert torch.equal(large.x_train[:100], small.x_train)
    assert perform.identify_data(small) != perform.identify_data(large) != perform.identify_data(whole)
    assert len({tuple(row) for row in small.x_train.tolist()}) == 100
    assert set(small.y_train.tolist()) == set(range(10))
    with pytest.raises(
        ValueError, match=r"train_rows of at most 1079, .* of digits, got 1080; lower it or leave it out"
    ):
        perform.load_data(replace(CONFIG, train_rows=1080), "digits")
    everything = perform.load_data(replace(CONFIG, train_rows=1079), "digits")
    torch.testing.assert_close(everything.x_train.sort(0).values, whole.x_train.sort(0).values)


def test_fewer_rows_are_other_runs_of_the_same_graphs(tmp_path):
    run(CONFIG, tmp_path)
    result = run(replace(CONFIG, train_rows=100), tmp_path)
    assert len(stored(tmp_path)) == 2 * len(result.rows)
    assert len(stored(tmp_path, "graphs")) == 1


def test_a_spectrum_is_measured_for_each_layer(varied):
    row = next(row for row in varied[1].rows if row.label == "rotating")
    for layer, t in zip(row.layers, wire_net(CONFIG, net("rotating"), None), strict=True):
        assert layer["spectral_gap"] == pytest.approx(spectrum.spectral_gap(t))


def test_tuning_with_several_trainings_takes_as_many_for_each_net(tmp_path):
    config = replace(TUNED, learning_rates=(1e-2, 1e-3), epochs=1, tune_epochs=1, tune_seeds=2)
    tunings = []
    run(config, tmp_path, progress=lambda step: step.phase == RATES and step.payload and tunings.append(step.task))
    assert {job.train_seed for job in tunings} == {TUNING_SEED, TUNING_SEED + 1}
    per_net = {job.net: sum(other.net == job.net for other in tunings) for job in tunings}
    assert set(per_net.values()) == {4}


def test_shuffled_layers_of_two_families_are_two_graphs():
    config = replace(CONFIG, families=("biregular", "rotating"), controls=("shuffled",))
    first, second = (
        wire_net(config, Net("digits", f, "shuffled", "fan_in", 0.25, (64, 12, 12, 10)), 0) for f in config.families
    )
    assert [t.n_edges for t in first] == [t.n_edges for t in second]
    assert first != second


def test_data_of_two_tasks_are_no_study(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 4))
    np.savez(tmp_path / "numbers.npz", x=x, y=x[:, 0] + 0.123)
    np.savez(tmp_path / "classes.npz", x=x, y=(x[:, 0] > 0).astype(int))
    data = (str(tmp_path / "numbers.npz"), str(tmp_path / "classes.npz"))
    with pytest.raises(
        ValueError, match=r"one task in a study, got .*regression.*classification; make a study of each"
    ):
        run(StudyConfig(data, ("rotating",), (0.5,), hidden=(4,), epochs=1), tmp_path / "out")
    assert not (tmp_path / "out").exists()
