"""The study: what it runs, what it stores, and that no stop of any kind makes it repeat or lose a finished run."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from prewired import data, networks, report, store
from prewired import study as study_module
from prewired.statistics import DENSE, DENSE_NARROW
from prewired.study import StudyConfig, grid, module_bytes, study

CONFIG = StudyConfig("digits", ("biregular", "rotating"), (0.1, 0.3), graph_seeds=2, hidden=(24, 20), epochs=1)
N_RUNS = 1 + 2 * (1 + 2 + 1)  # dense; for each density a narrow dense, two random graphs, one rotating graph


def stored(folder):
    with sqlite3.connect(folder / store.FILE_NAME) as connection:
        return connection.execute("SELECT id, key, payload, finished FROM runs ORDER BY id").fetchall()


def test_grid_has_each_distinct_run_once_and_balanced():
    jobs = grid(CONFIG, (64, 24, 20, 10))
    assert len(jobs) == len(set(jobs)) == N_RUNS
    assert jobs[0].label == DENSE
    assert [(job.label, job.density) for job in jobs[1:7]] == [
        *((DENSE_NARROW, density) for density in (0.1, 0.3)),
        *((family, density) for density in (0.1, 0.3) for family in ("biregular", "rotating")),
    ]
    assert [job.graph_seed for job in jobs[7:]] == [1, 1]


def test_a_study_then_more_of_it(tmp_path):
    result = study(CONFIG, tmp_path)
    first = stored(tmp_path)
    assert len(result.rows) == len(first) == N_RUNS
    wider = replace(CONFIG, families=("fibonacci", *CONFIG.families), train_seeds=2, graph_seeds=3)
    more = study(wider, tmp_path)
    assert stored(tmp_path)[:N_RUNS] == first
    assert len(more.rows) == len(stored(tmp_path)) == 2 * (1 + 2 * (1 + 1 + 3 + 1))
    same = study(CONFIG, tmp_path, progress=pytest.fail)  # nothing is trained
    assert same.rows == result.rows


def test_what_is_stored_of_a_run(tmp_path):
    result = study(CONFIG, tmp_path)
    key, payload = next((json.loads(k), json.loads(p)) for _, k, p, _ in stored(tmp_path) if '"rotating"' in k)
    assert (key["data"], key["sizes"], key["train_seed"]) == ({"name": "digits"}, [64, 24, 20, 10], 0)
    assert [layer["n_edges"] for layer in payload["layers"]] == [24 * 6, 20 * 2]
    assert payload["n_parameters"] == 24 * 6 + 24 + 20 * 2 + 20 + 20 * 10 + 10
    assert payload["bytes"] >= 4 * payload["n_parameters"]
    assert payload["started"] <= payload["finished"]
    row = next(row for row in result.rows if row.label == "rotating")
    gaps = [layer["metrics"]["spectral_gap"] for layer in payload["layers"]]
    assert row.metrics["spectral_gap"] == pytest.approx(np.mean(gaps))
    assert row.run.test_score == payload["run"]["test_score"]


def test_dense_references(tmp_path):
    rows = study(CONFIG, tmp_path).rows
    dense, narrow = rows[0], [row for row in rows if row.label == DENSE_NARROW]
    assert dense.run.n_parameters == 64 * 24 + 24 + 24 * 20 + 20 + 20 * 10 + 10
    assert dense.n_bytes == 4 * dense.run.n_parameters
    for row in narrow:
        sparse = next(r for r in rows if r.label == "rotating" and r.density == row.density)
        assert row.run.n_parameters <= sparse.run.n_parameters
        assert row.sizes[0] == 64
        assert row.sizes[-1] == 10


def test_every_family_has_the_same_edges_and_an_unequal_one_is_named(monkeypatch, tmp_path):
    def unequal(sizes, *, family, density, seed):
        shrink = 0.5 if family == "rotating" else 1
        return wire(sizes, family=family, density=density * shrink, seed=seed)

    wire = networks.wire
    monkeypatch.setattr(networks, "wire", unequal)
    message = r"rotating at density 0\.1: expected \[.*\] edges per layer as biregular has"
    with pytest.raises(ValueError, match=message):
        study(CONFIG, tmp_path)
    assert stored(tmp_path) == []
    study(replace(CONFIG, families=("biregular",)), tmp_path)
    with pytest.raises(ValueError, match=message):  # also against what is there already
        study(replace(CONFIG, families=("rotating", *CONFIG.families)), tmp_path)


def test_an_impossible_cell_is_found_before_any_training(monkeypatch, tmp_path):
    def impossible(sizes, *, family, density, seed):
        if family == "rotating" and density == 0.3:
            raise ValueError("expected the moon")
        return wire(sizes, family=family, density=density, seed=seed)

    wire = networks.wire
    monkeypatch.setattr(networks, "wire", impossible)
    with pytest.raises(ValueError, match=r"^rotating at density 0\.3: expected the moon$"):
        study(CONFIG, tmp_path)
    assert stored(tmp_path) == []


def test_an_interruption_says_how_to_go_on(tmp_path):
    def interrupt(step):
        if step.runs_stored == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=f"3 of {N_RUNS} runs are stored; run the same command again"):
        study(CONFIG, tmp_path, progress=interrupt)
    assert len(stored(tmp_path)) == 3


def test_steps_move_within_a_run(tmp_path):
    steps = []
    study(replace(CONFIG, epochs=2), tmp_path, progress=steps.append)
    done = [step.epochs_done for step in steps]
    assert done == sorted(done)
    assert (done[0], done[-1], steps[0].n_epochs) == (1, 2 * N_RUNS, 2 * N_RUNS)
    assert [step.runs_stored for step in steps if step.run] == list(range(1, N_RUNS + 1))


LONGER = replace(CONFIG, graph_seeds=4, hidden=(64, 64), epochs=3)


def start(folder):
    command = "study --data digits --family biregular rotating --density 0.1 0.3 --hidden 64 64 --epochs 3"
    words = [sys.executable, "-m", "prewired", *command.split(), "--graph-seeds", "4", "-o", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_runs(folder, n, process):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if len(stored(folder)) >= n:
                return
        except sqlite3.OperationalError:  # not made yet
            pass
        time.sleep(0.01)
    pytest.fail(f"no {n} runs in time: {process.stderr.read()}")


def test_killed_and_interrupted_studies_go_on_without_repeating_a_run(tmp_path):
    n_runs = 1 + 2 * (1 + 4 + 1)
    killed = start(tmp_path)
    wait_for_runs(tmp_path, 2, killed)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    after_kill = stored(tmp_path)
    assert 2 <= len(after_kill) < n_runs

    interrupted = start(tmp_path)
    wait_for_runs(tmp_path, len(after_kill) + 2, interrupted)
    interrupted.send_signal(signal.SIGINT)
    _, errors = interrupted.communicate()
    after_interruption = stored(tmp_path)
    assert interrupted.returncode == 130
    line = f"interrupted: {len(after_interruption)} of {n_runs} runs are stored; run the same command again to go on"
    assert errors.splitlines()[-1] == line

    assert len(study(LONGER, tmp_path).rows) == n_runs
    finished = stored(tmp_path)
    assert finished[: len(after_kill)] == after_kill
    assert finished[: len(after_interruption)] == after_interruption
    assert len({key for _, key, _, _ in finished}) == len(finished) == n_runs


def test_a_users_file_is_known_by_its_content(tmp_path):
    path = tmp_path / "mine.npz"
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 16)).astype(np.float32)
    np.savez(path, x=x, y=x[:, 0] + 0.1 * rng.normal(size=120))
    config = StudyConfig(str(path), ("rotating",), (0.5,), graph_seeds=1, hidden=(8, 8), epochs=2)
    result = study(config, tmp_path / "study")
    assert result.rows[0].run.score_name == "r2"
    assert "R2" in report.markdown(result)
    assert "accuracy" not in report.markdown(result)
    moved = path.rename(tmp_path / "folder.npz").rename(path)
    study(replace(config, data=str(moved)), tmp_path / "study", progress=pytest.fail)
    np.savez(path, x=x, y=x[:, 1])
    study(config, tmp_path / "study")
    assert len(stored(tmp_path / "study")) == 2 * len(result.rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"families": ()}, "at least one of families"),
        ({"families": ("biregular", "moon")}, "moon"),
        ({"families": ("dense",)}, "leave it out"),
        ({"densities": (0.1, 5.0)}, "0 < density <= 1, got 5"),
        ({"densities": (float("nan"),)}, "got nan"),
        ({"graph_seeds": 0}, "graph_seeds of at least 1"),
        ({"hidden": (10, 0)}, "hidden of at least 1"),
        ({"epochs": 0}, "epochs"),
    ],
)
def test_impossible_configurations(change, message):
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **change)


def test_report_files(tmp_path):
    result = study(replace(CONFIG, graph_seeds=3, train_seeds=2), tmp_path)
    report.write(result, tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text(), parse_constant=pytest.fail)
    assert [(line["label"], line["density"]) for line in summary["table"]] == [
        (DENSE, None),
        *((label, density) for density in (0.1, 0.3) for label in (DENSE_NARROW, "biregular", "rotating")),
    ]
    assert {finding["density"] for finding in summary["correlations"]} == {0.1, 0.3}
    assert all(finding["correlation"]["n"] == 4 for finding in summary["correlations"])
    lines = (tmp_path / "results.csv").read_text().splitlines()
    assert len(lines) == 1 + len(result.rows)
    assert lines[0].startswith("family,density,graph_seed,train_seed")
    table = (tmp_path / "table.md").read_text()
    assert "| biregular | 10 % | 3 |" in table
    assert "No correlation of accuracy with a metric can be claimed" in table


def test_bytes_count_buffers(tmp_path):
    loaded = data.load("digits")
    net = networks.mlp([loaded.n_features, 24, 10], family="biregular", density=0.5, seed=0)
    held = sum(t.numel() * t.element_size() for t in (*net.parameters(), *net.buffers()))
    assert module_bytes(net) == held > 4 * networks.count_parameters(net)


def test_metrics_of_known_graphs_are_not_computed_again(monkeypatch, tmp_path):
    study(CONFIG, tmp_path)
    monkeypatch.setattr(study_module.metrics, "measure", pytest.fail)
    assert len(study(replace(CONFIG, train_seeds=2), tmp_path).rows) == 2 * N_RUNS


def test_training_seeds_change_the_weights_and_graph_seeds_the_graphs(tmp_path):
    rows = study(replace(CONFIG, train_seeds=2, batch_size=5000), tmp_path).rows
    dense = [row.run.train_loss[0] for row in rows if row.label == DENSE]  # one batch: the loss of the initial weights
    assert abs(dense[0] - dense[1]) > 1e-4
    cell = [row for row in rows if row.label == "biregular" and row.density == 0.1]
    assert len({(row.graph_seed, row.digests) for row in cell}) == len({row.digests for row in cell}) == 2
