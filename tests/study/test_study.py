"""The study: what it runs, what it stores, and that no stop of any kind makes it repeat or lose a finished result."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import asdict, replace

import numpy as np
import pytest
from torch import nn

from prewired import generators
from prewired.nn import count_parameters, mlp, narrow_sizes, wire
from prewired.ops.plan_arrays import compute_arrays
from prewired.study import StudyConfig, StudyPlan, load, reporting, run
from prewired.study.nets import Net, list_nets
from prewired.study.running import database, perform
from prewired.study.running.eta import estimate_work
from prewired.study.running.perform import count_bytes
from prewired.study.running.task_table import TaskTable
from prewired.study.statistics import DENSE, DENSE_NARROW
from prewired.study.tasks import GRAPHS, RATES, RUNS, GraphTask, list_runs
from prewired.topology import Recipe
from prewired.training import data

CONFIG = StudyConfig(
    "digits", ("biregular", "rotating"), (0.1, 0.3), graph_seeds=2, hidden=(24, 20), epochs=1, timing=False
)
N_RUNS = 1 + 2 * (1 + 2 + 1)  # dense; for each density a narrow dense, two random graphs, one rotating graph
N_GRAPHS = 2 * (2 + 1)
SIZES = (64, 24, 20, 10)


def stored(folder, table="runs"):
    with sqlite3.connect(f"file:{folder / database.DATABASE_NAME}?mode=ro", uri=True) as connection:
        return connection.execute(f"SELECT id, key, payload, finished FROM {table} ORDER BY id").fetchall()


def plain(result):
    """A study to be compared, in which a NaN is like another."""
    return database.to_canonical_json(asdict(result))


@pytest.fixture(scope="module")
def finished(finished_study):
    assert finished_study[1].config == CONFIG
    return finished_study


@pytest.fixture
def done(finished, tmp_path):
    """A copy of the folder of the finished study, and its results."""
    shutil.copy(finished[0] / database.DATABASE_NAME, tmp_path)
    return tmp_path, finished[1]


# What is run


def test_grid_has_each_distinct_run_once_and_balanced():
    nets = list_nets(CONFIG, {"digits": SIZES})
    narrow = [net.sizes for net in nets if net.family == DENSE_NARROW]
    jobs = list_runs(CONFIG, nets, dict.fromkeys(nets, 0.01))
    assert len(jobs) == len(set(jobs)) == N_RUNS
    assert jobs[0].net == Net("digits", DENSE, "", "fan_in", None, SIZES)
    assert [(job.net.family, job.net.density, job.net.sizes) for job in jobs[1:7]] == [
        *((DENSE_NARROW, density, sizes) for density, sizes in zip((0.1, 0.3), narrow, strict=True)),
        *((family, density, SIZES) for density in (0.1, 0.3) for family in ("biregular", "rotating")),
    ]
    assert [job.graph_seed for job in jobs] == [None] * 3 + [0, None, 0, None, 1, 1]
    assert {(job.train_seed, job.learning_rate, job.tuning) for job in jobs} == {(0, 0.01, False)}
    more = list_runs(replace(CONFIG, train_seeds=2), nets, dict.fromkeys(nets, 0.01))
    assert more[:N_RUNS] == jobs
    assert more[N_RUNS:] == [replace(job, train_seed=1) for job in jobs]


def test_a_study_then_more_of_it(done):
    folder, result = done
    first = stored(folder)
    assert len(result.rows) == result.n_runs == len(first) == N_RUNS
    assert len(stored(folder, "graphs")) == N_GRAPHS
    wider = replace(CONFIG, families=("fibonacci", *CONFIG.families), train_seeds=2, graph_seeds=3)
    more = run(wider, folder)
    assert stored(folder)[:N_RUNS] == first
    assert len(more.rows) == len(stored(folder)) == 2 * (1 + 2 * (1 + 1 + 3 + 1))
    assert len(stored(folder, "graphs")) == 2 * (1 + 3 + 1)
    same = run(CONFIG, folder, progress=pytest.fail)  # nothing is done
    assert plain(same) == plain(result)
    assert same.digest == result.digest


def test_dense_references(finished):
    rows = finished[1].rows
    dense, narrow = rows[0], [row for row in rows if row.family == DENSE_NARROW]
    assert dense.run.n_parameters == 64 * 24 + 24 + 24 * 20 + 20 + 20 * 10 + 10
    assert dense.n_bytes == 4 * dense.run.n_parameters
    assert (dense.metrics, dense.layers, dense.digests) == ({}, (), ())
    assert [row.density for row in narrow] == [0.1, 0.3]
    for row in narrow:
        sparse = next(r for r in rows if r.family == "rotating" and r.density == row.density)
        assert 0.9 * sparse.run.n_parameters < row.run.n_parameters <= sparse.run.n_parameters
        assert row.sizes == tuple(narrow_sizes([64, 24, 20, 10], sparse.run.n_parameters))


@pytest.mark.parametrize("change", [{}, {"budget": "erdos_renyi"}, {"densities": (), "edges": (252, 756)}])
def test_the_narrow_reference_is_the_same_whichever_family_comes_first(finished, tmp_path, change):
    families = ("biregular", "rotating", "fibonacci", "erdos_renyi")
    narrow = []
    for k in range(4):
        config = replace(CONFIG, families=families[k:] + families[:k], **change)
        connection = database.open_store(tmp_path / str(k))
        for graphs in (False, True):  # before and after the graphs are there
            table = TaskTable(StudyPlan.build(config, finished[1].facts), connection)
            for task in table.list_missing(GRAPHS) if graphs else ():
                table.add(task, perform.perform(task, config, pytest.fail, pytest.fail))
            table.apply_graphs()
            narrow.append([task.net.sizes for task in table.plan.runs if task.net.family == DENSE_NARROW])
        connection.close()
    assert len(narrow[0]) == 2
    assert narrow == [narrow[0]] * 8


def test_training_seeds_change_the_weights_and_graph_seeds_the_graphs(tmp_path):
    rows = run(replace(CONFIG, train_seeds=2, batch_size=5000), tmp_path).rows
    dense = [row.run.train_loss[0] for row in rows if row.family == DENSE]  # one batch: the loss of the initial weights
    assert abs(dense[0] - dense[1]) > 1e-4
    sparse = [row.run.train_loss[0] for row in rows if row.family == "rotating" and row.density == 0.1]
    assert len(sparse) == 2
    assert abs(sparse[0] - sparse[1]) > 1e-4
    cell = [row for row in rows if row.family == "biregular" and row.density == 0.1]
    assert len({(row.graph_seed, row.digests) for row in cell}) == len({row.digests for row in cell}) == 2


# What is stored


def test_what_is_stored_of_a_run(finished):
    folder, result = finished
    key, payload = next((json.loads(k), json.loads(p)) for _, k, p, _ in stored(folder) if '"rotating"' in k)
    assert (key["data"]["task"], key["sizes"], key["train_seed"]) == ("classification", [64, 24, 20, 10], 0)
    assert "momentum" not in key["training"]
    assert [layer["n_edges"] for layer in payload["layers"]] == [24 * 6, 20 * 2]
    assert payload["n_parameters"] == 24 * 6 + 24 + 20 * 2 + 20 + 20 * 10 + 10
    assert payload["bytes"] >= 4 * payload["n_parameters"]
    assert payload["started"] <= payload["finished"]
    row = next(row for row in result.rows if row.family == "rotating")
    assert row.run.test_score == payload["run"]["test_score"]
    assert row.start == {name: tuple(values) for name, values in payload["start"].items()}
    assert [len(values) for values in row.start.values()] == [3, 3]
    assert (row.sizes, row.learning_rate, row.control, row.init) == (SIZES, 1e-3, "", "fan_in")


def test_what_is_stored_of_graphs(finished):
    folder, result = finished
    payload = next(json.loads(p) for _, k, p, _ in stored(folder, "graphs") if '"rotating"' in k)
    row = next(row for row in result.rows if row.family == "rotating")
    assert [layer["digest"] for layer in payload["layers"]] == list(row.digests)
    for name in ("spectral_gap", "normalized_spectral_gap", "fan_out_cv"):
        values = [layer["metrics"][name] for layer in payload["layers"]]
        assert [layer[name] for layer in row.layers] == values
        assert row.metrics[name] == pytest.approx(np.mean(values))
    assert row.metrics["path_cv"] == payload["network"]["path_cv"]
    made = [generators.from_recipe(Recipe.from_json(result.recipes[d])) for d in row.digests]
    assert [t.digest for t in made] == list(row.digests)
    assert [t.n_edges for t in made] == [layer["n_edges"] for layer in payload["layers"]]


@pytest.mark.parametrize("families", [("rotating", "fibonacci"), ("fibonacci", "rotating")])
def test_a_graph_of_two_families_has_the_recipe_of_the_first(tmp_path, families):
    """With 2 of 24 inputs each both are the same band."""
    config = replace(CONFIG, families=families, densities=(0.1,))
    result = run(config, tmp_path)
    second = [row.digests[1] for row in result.rows if row.digests]
    assert second[0] == second[1]
    assert json.loads(result.recipes[second[0]])["family"] == families[0]


def test_the_dead_share_counts_units_of_both_sides(tmp_path):
    config = replace(CONFIG, families=("erdos_renyi",), densities=(0.1,), graph_seeds=1)
    row = run(config, tmp_path).rows[2]
    for layer, (n_in, n_out) in zip(row.layers, ((64, 24), (24, 20)), strict=True):
        assert layer["dead_share"] == (layer["dead_inputs"] + layer["dead_outputs"]) / (n_in + n_out)
    assert row.metrics["dead_share"] == pytest.approx(np.mean([layer["dead_share"] for layer in row.layers]))
    assert row.metrics["dead_share"] > 0


def test_bytes_count_index_tensors_and_buffers():
    net = mlp([64, 24, 10], family="biregular", density=0.5, seed=0)
    held = sum(p.nbytes for p in (*net.parameters(), *compute_arrays(net[0].topology)))
    assert count_bytes(net) == held > 4 * count_parameters(net)
    norm = nn.BatchNorm1d(10)
    assert count_bytes(nn.Sequential(*net, norm)) == held + 4 * 4 * 10 + 8


def test_a_graph_is_measured_once(done, monkeypatch):
    monkeypatch.setattr(perform.metrics, "measure", pytest.fail)
    monkeypatch.setattr(perform.metrics, "measure_network", pytest.fail)
    assert len(run(replace(CONFIG, train_seeds=2), done[0]).rows) == 2 * N_RUNS


def test_momentum_makes_other_runs_only_with_sgd(tmp_path):
    small = replace(CONFIG, families=("rotating",), densities=(0.3,))
    run(small, tmp_path)
    run(replace(small, momentum=0.5), tmp_path, progress=pytest.fail)
    for momentum in (0.5, 0.9):
        run(replace(small, optimizer="sgd", momentum=momentum), tmp_path)
    assert len(stored(tmp_path)) == 3 * 3
    run(replace(small, patience=1), tmp_path)
    assert len(stored(tmp_path)) == 4 * 3
    assert len(stored(tmp_path, "graphs")) == 1


def test_other_data_under_the_same_name_are_other_runs(done, monkeypatch):
    digits = data.load("digits")
    monkeypatch.setattr(perform.data, "load", lambda name, **_: replace(digits, x_test=digits.x_test + 1))
    run(CONFIG, done[0])
    assert len(stored(done[0])) == 2 * N_RUNS
    assert len(stored(done[0], "graphs")) == N_GRAPHS


def test_a_users_file_is_known_by_its_content(tmp_path):
    path = tmp_path / "mine.npz"
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 16)).astype(np.float32)
    np.savez(path, x=x, y=x[:, 0] + 0.1 * rng.normal(size=120))
    config = StudyConfig(str(path), ("rotating",), (0.5,), graph_seeds=1, hidden=(8, 8), epochs=2, timing=False)
    result = run(config, tmp_path / "study")
    assert result.rows[0].run.score_name == "r2"
    text = reporting.format_markdown(reporting.analyse_study(result))
    assert "R2" in text
    assert "accuracy" not in text
    moved = path.rename(tmp_path / "other.npz")
    run(replace(config, data=(str(moved),)), tmp_path / "study", progress=pytest.fail)
    np.savez(path, x=x, y=x[:, 1])
    run(config, tmp_path / "study")
    assert len(stored(tmp_path / "study")) == 2 * len(result.rows)
    path.unlink()
    assert load(tmp_path / "study").config == config, "a report needs no data"


# What is refused


def test_every_family_has_the_same_edges_and_an_unequal_one_is_named(monkeypatch, tmp_path):
    def unequal(sizes, *, family, density, seed):
        shrink = 0.5 if family == "rotating" else 1
        return WIRE(sizes, family=family, density=density * shrink, seed=seed)

    monkeypatch.setattr("prewired.study.wiring.wire", unequal)
    message = r"rotating at density 0\.1: expected \[.*\] edges per layer as biregular has"
    with pytest.raises(ValueError, match=message):
        run(CONFIG, tmp_path)
    assert stored(tmp_path) == []
    run(replace(CONFIG, families=("biregular",)), tmp_path)
    message = r"biregular at density 0\.1: expected \[.*\] edges per layer as rotating has"
    with pytest.raises(ValueError, match=message):  # also against what is there already
        run(replace(CONFIG, families=("rotating", "biregular")), tmp_path)


def moon(sizes, *, family, density, seed):
    if family == "rotating" and density == 0.3:
        raise ValueError("expected the moon")
    return WIRE(sizes, family=family, density=density, seed=seed)


WIRE = wire


def test_an_impossible_cell_is_found_before_any_training(monkeypatch, tmp_path):
    monkeypatch.setattr("prewired.study.wiring.wire", moon)
    with pytest.raises(ValueError, match=r"^rotating at density 0\.3: expected the moon$"):
        run(CONFIG, tmp_path)
    assert stored(tmp_path) == []
    assert load(tmp_path).rows == ()


def test_impossible_cells_may_be_left_out_and_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr("prewired.study.wiring.wire", moon)
    config = replace(CONFIG, skip_impossible=True, controls=("permuted",))
    result = run(config, tmp_path)
    assert {(row.family, row.density) for row in result.rows} == {
        (DENSE, None),
        *((family, density) for density in (0.1, 0.3) for family in (DENSE_NARROW, "biregular")),
        ("rotating", 0.1),
    }
    assert result.impossible == ("rotating at density 0.3: expected the moon",)
    assert result.n_runs == len(result.rows) == 1 + 2 + 2 * 2 * 2 + 1 + 2
    assert (
        "Left out, for there is no such graph: rotating at density 0.3: expected the moon."
        in reporting.format_markdown(reporting.analyse_study(result))
    )
    assert plain(load(tmp_path)) == plain(result)


def test_densities_that_round_to_the_same_graphs_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"got 0\.1 and 0\.101, both with 6, 2 inputs per output; leave one out"):
        run(replace(CONFIG, densities=(0.1, 0.101)), tmp_path)
    with pytest.raises(ValueError, match=r"at least one input per output, got density=0\.01 of n_in=24"):
        run(replace(CONFIG, densities=(0.01,)), tmp_path)
    with pytest.raises(ValueError, match=r"got 0\.1 and 0\.101, both with \d, \d inputs per output; leave one out"):
        run(replace(CONFIG, densities=(0.1, 0.101), budget="erdos_renyi"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_budget_may_tell_densities_apart(tmp_path):
    """0.1 and 0.0945 are both 6 and 2 inputs of 64 and 24 by density, but not by a budget."""
    with pytest.raises(ValueError, match="both with 6, 2 inputs"):
        run(replace(CONFIG, densities=(0.0945, 0.1)), tmp_path / "one")
    both = replace(CONFIG, families=("rotating",), densities=(0.0945, 0.1), budget="erdos_renyi")
    digests = {row.digests for row in run(both, tmp_path / "two").rows if row.digests}
    assert len(digests) == 2


def test_a_family_that_takes_no_density_says_what_it_takes(tmp_path):
    config = replace(CONFIG, families=("biregular", "toeplitz:offsets=[0,1,2]"))
    with pytest.raises(
        ValueError, match=r"^toeplitz:offsets=\[0,1,2\] at density 0\.1: .*follow from offsets= alone; leave"
    ):
        run(config, tmp_path)
    assert stored(tmp_path) == []


def test_exact_families_join_a_study_at_one_density_by_levelling(tmp_path):
    families = tuple(f"{family}:fit=level" for family in ("projective_plane", "margulis", "de_bruijn_tower"))
    config = replace(CONFIG, families=("biregular", *families), densities=(0.25,), graph_seeds=1)
    rows = run(config, tmp_path).rows
    assert [row.label for row in rows[2:]] == list(config.families)
    assert {row.run.n_parameters for row in rows[2:]} == {24 * 16 + 24 + 20 * 6 + 20 + 210}
    with pytest.raises(ValueError, match=r'margulis:fit=nearest at density 0\.25: .*fit="level" accepts any share'):
        run(replace(config, families=("margulis:fit=nearest",)), tmp_path)


def test_a_family_of_random_edges_is_refused_as_soon_as_its_graphs_differ(tmp_path):
    with pytest.raises(ValueError, match=r"erdos_renyi_p at density 0\.1: expected"):
        run(replace(CONFIG, families=("erdos_renyi_p",)), tmp_path)


@pytest.mark.parametrize(
    ("table", "payload"),
    [
        ("runs", '{"layers": [], "run": {"moon": 1}}'),
        ("runs", '{"run": 3}'),
        ("runs", "[1]"),
        ("graphs", '{"layers": [3]}'),
        ("graphs", '{"layers": [{}], "network": {}}'),
        ("graphs", '{"moon": 1}'),
    ],
)
def test_a_foreign_row_is_one_line_with_path_and_remedy(done, table, payload):
    with sqlite3.connect(done[0] / database.DATABASE_NAME) as connection:
        connection.execute(f"UPDATE {table} SET payload = ? WHERE id = 4", (payload,))
    for again in (lambda: run(CONFIG, done[0]), lambda: load(done[0])):
        with pytest.raises(ValueError, match=r"got .*runs\.sqlite \(.*\); choose another folder"):
            again()


# Stopping and going on


@pytest.mark.parametrize(("phase", "after"), [(GRAPHS, 2), (RUNS, 1), (RUNS, 3), (RUNS, N_RUNS)])
def test_an_interruption_says_how_to_go_on_and_nothing_shows_of_it(finished, tmp_path, phase, after):
    def interrupt(step):
        if step.payload and (step.phase, step.done) == (phase, after):
            raise KeyboardInterrupt

    n = after if phase == RUNS else 0
    with pytest.raises(KeyboardInterrupt, match=f"{n} of {N_RUNS} runs are stored; run the same command again"):
        run(CONFIG, tmp_path, progress=interrupt)
    before = stored(tmp_path), stored(tmp_path, "graphs")
    assert [len(rows) for rows in before] == [n, 2 if phase == GRAPHS else N_GRAPHS]
    partial = load(tmp_path)
    assert (len(partial.rows), partial.n_runs) == (n, N_RUNS)
    again = run(CONFIG, tmp_path)
    assert again.digest == finished[1].digest
    assert stored(tmp_path)[:n] == before[0]
    assert stored(tmp_path, "graphs")[: len(before[1])] == before[1]


def test_an_epoch_that_is_interrupted_is_not_stored(tmp_path):
    def interrupt(step):
        if step.phase == RUNS and step.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=f"0 of {N_RUNS} runs are stored"):
        run(replace(CONFIG, epochs=2), tmp_path, progress=interrupt)


def test_steps_move_within_a_task_and_the_estimate_is_of_the_whole_study(monkeypatch, tmp_path):
    steps, seconds, left = [], [0.0], []
    monkeypatch.setattr("prewired.study.running.eta.time.monotonic", lambda: seconds[0])
    config = replace(CONFIG, epochs=3)

    def progress(step):
        steps.append(step)
        seconds[0] = (
            sum(estimate_work(s.task, config) for s in steps if s.payload) * 10
        )  # if costs were tenths of seconds
        left.append(step.seconds_left)

    run(config, tmp_path, progress=progress)
    results = [step for step in steps if step.payload]
    assert [(step.phase, step.done, step.total) for step in results] == [
        *((GRAPHS, k, N_GRAPHS) for k in range(1, N_GRAPHS + 1)),
        *((RUNS, k, N_RUNS) for k in range(1, N_RUNS + 1)),
    ]
    of_runs = [step for step in steps if step.phase == RUNS]
    assert [step.epoch for step in of_runs] == [1, 2, 3, 3] * N_RUNS
    assert [step.done for step in of_runs] == [k for run in range(N_RUNS) for k in (run, run, run, run + 1)]
    assert all(isinstance(step.task, GraphTask) == (step.phase == GRAPHS) for step in steps)
    total = 10 * sum(estimate_work(step.task, config) for step in results)
    at = len(steps) - 4  # the last run has three epochs and its result to come; the time is that of all others
    np.testing.assert_allclose(left[at - 1] / (total - 10 * estimate_work(results[-1].task, config)), 0, atol=1)
    assert left[-1] == pytest.approx(0)
    assert all(value is not None and value >= 0 for value in left)


def start(folder):
    command = "study --data digits --family biregular rotating --density 0.1 0.3 --hidden 24 20 --epochs 4"
    words = [sys.executable, "-m", "prewired", *command.split(), "--graph-seeds", "2"]
    words += ["--workers", "1", "--no-timing", "-o", str(folder)]
    return subprocess.Popen(
        words,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job's children ignore it
    )


def wait_for_runs(folder, n, process):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if len(stored(folder)) >= n:
                return
        except sqlite3.OperationalError:  # not made yet
            pass
        time.sleep(0.01)
    pytest.fail(f"no {n} runs in time: {process.stderr.read()}")


@pytest.mark.parametrize("is_killed_first", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_killed_and_interrupted_studies_go_on_without_repeating_a_run(done, is_killed_first):
    tmp_path, _ = done
    with sqlite3.connect(tmp_path / database.DATABASE_NAME) as connection:
        connection.execute("DELETE FROM runs")  # the graphs are there
    if is_killed_first:
        killed = start(tmp_path)
        wait_for_runs(tmp_path, 2, killed)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
    after_kill = stored(tmp_path)
    assert 2 * is_killed_first <= len(after_kill) < N_RUNS

    interrupted = start(tmp_path)
    wait_for_runs(tmp_path, len(after_kill) + 2, interrupted)
    interrupted.send_signal(signal.SIGINT)
    _, errors = interrupted.communicate()
    after_interruption = stored(tmp_path)
    assert interrupted.returncode == 130
    line = f"interrupted: {len(after_interruption)} of {N_RUNS} runs are stored; run the same command again to go on"
    assert errors.splitlines()[-1] == line

    assert len(run(replace(CONFIG, epochs=4), tmp_path).rows) == N_RUNS
    everything = stored(tmp_path)
    assert everything[: len(after_kill)] == after_kill
    assert everything[: len(after_interruption)] == after_interruption
    assert len({key for _, key, _, _ in everything}) == len(everything) == N_RUNS


def test_the_digest_is_of_what_came_out(finished):
    result = finished[1]
    first, *others = result.rows
    slower = replace(first, run=replace(first.run, seconds=(99.0,)), machine="another", versions="later")
    assert replace(result, rows=(*others, slower)).digest == result.digest
    for change in (
        {"run": replace(first.run, test_score=first.run.test_score + 1e-6)},
        {"run": replace(first.run, val_score=(0.5,))},
        {"train_seed": 1},
        {"init": "n_in"},
    ):
        assert replace(result, rows=(replace(first, **change), *others)).digest != result.digest
    assert replace(result, rows=tuple(others)).digest != result.digest


# The time of a training step


def test_steps_are_timed_last_once_and_only_if_asked(tmp_path):
    config = replace(CONFIG, families=("rotating",), densities=(0.3,))
    steps = []
    assert run(config, tmp_path, progress=steps.append).timings == ()
    assert {step.phase for step in steps} == {GRAPHS, RUNS}
    steps.clear()
    result = run(replace(config, timing=True), tmp_path, progress=steps.append)
    assert {(step.phase, step.task, step.payload) for step in steps} == {("timing", None, None)}
    assert [timing.what for timing in result.timings][:3] == [DENSE, DENSE_NARROW, "rotating"]
    assert load(tmp_path).timings == result.timings
    assert run(replace(config, timing=True), tmp_path, progress=pytest.fail).timings == result.timings


# What is read


def test_what_is_loaded_is_what_a_study_returned(done):
    folder, result = done
    (folder / database.DATABASE_NAME).chmod(0o444)
    assert plain(load(folder)) == plain(result)
    assert load(folder).recipes == result.recipes
    assert len(result.recipes) == len({digest for row in result.rows for digest in row.digests})


def test_the_grid_of_a_folder_is_the_one_it_was_last_asked_for(done):
    folder, result = done
    run(replace(CONFIG, families=("rotating",), densities=(0.3,)), folder)
    assert {row.family for row in load(folder).rows} == {DENSE, DENSE_NARROW, "rotating"}
    run(CONFIG, folder, progress=pytest.fail)
    assert plain(load(folder)) == plain(result)


def test_an_older_store_is_refused_but_gone_on_with(tmp_path):
    with sqlite3.connect(tmp_path / database.DATABASE_NAME) as connection:
        connection.execute(f"PRAGMA application_id = {database.APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        connection.execute(
            "CREATE TABLE runs (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, payload TEXT NOT NULL, "
            "finished TEXT NOT NULL)"
        )
        key = {"version": 1, "family": "rotating", "density": 0.3}
        connection.execute("INSERT INTO runs VALUES (1, ?, '{\"run\": {}}', 'then')", (json.dumps(key),))
    connection.close()
    with pytest.raises(ValueError, match=r"expected a study of this version in .*, got an older one; run it again"):
        load(tmp_path)
    small = replace(CONFIG, families=("rotating",), densities=(0.3,))
    result = run(small, tmp_path)
    assert len(stored(tmp_path)) == 1 + len(result.rows) == 1 + 3
    assert plain(load(tmp_path)) == plain(result)


def test_there_is_nothing_to_load(tmp_path):
    with pytest.raises(OSError, match=r"runs\.sqlite"):
        load(tmp_path / "moon")


def test_runs_that_fail_are_listed_and_in_no_mean(monkeypatch, tmp_path):
    def explode(net, loaded, how, **options):
        if how.seed == 1 and any(hasattr(layer, "topology") for layer in net):
            raise FloatingPointError("the loss stopped being finite in epoch 1")
        return train(net, loaded, how, **options)

    train = perform.train
    monkeypatch.setattr(perform, "train", explode)
    config = replace(CONFIG, families=("rotating",), train_seeds=2)
    result = run(config, tmp_path)
    assert result.failed == tuple(
        f"digits, rotating, {density}, seed 1: the loss stopped being finite in epoch 1" for density in ("10 %", "30 %")
    )
    assert (len(result.rows), result.n_runs) == (6 + 2, 10)
    assert {row.train_seed for row in result.rows if row.family == "rotating"} == {0}
    run(config, tmp_path, progress=pytest.fail)  # a run that failed is not tried again
    assert plain(load(tmp_path)) == plain(result)
    text = reporting.format_markdown(reporting.analyse_study(result))
    assert f"Failed, and in no mean: {result.failed[0]}." in text
    assert "Not finished" not in text
    assert RATES not in {json.loads(key).get("phase") for _, key, _, _ in stored(tmp_path)}
