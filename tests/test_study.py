"""The study: what it runs, what it stores, and that no stop of any kind makes it repeat or lose a finished run."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import asdict, replace

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
    assert (key["data"]["task"], key["sizes"], key["train_seed"]) == ("classification", [64, 24, 20, 10], 0)
    assert "momentum" not in key["training"]
    assert [layer["n_edges"] for layer in payload["layers"]] == [24 * 6, 20 * 2]
    assert payload["n_parameters"] == 24 * 6 + 24 + 20 * 2 + 20 + 20 * 10 + 10
    assert payload["bytes"] >= 4 * payload["n_parameters"]
    assert payload["started"] <= payload["finished"]
    row = next(row for row in result.rows if row.label == "rotating")
    gaps = [layer["metrics"]["spectral_gap"] for layer in payload["layers"]]
    assert row.metrics["spectral_gap"] == pytest.approx(np.mean(gaps))
    assert row.run.test_score == payload["run"]["test_score"]


def test_numbers_of_numpy_are_those_of_python():
    config = replace(CONFIG, densities=(np.float32(0.25),), hidden=(np.int64(24), np.int64(20)))
    assert store.canonical_json(asdict(config)) == store.canonical_json(
        asdict(replace(CONFIG, densities=(0.25,), hidden=(24, 20)))
    )
    edges = replace(CONFIG, densities=(), edges=tuple(np.array([100, 200])))
    assert edges == replace(CONFIG, densities=(), edges=(100, 200))


def test_dense_references(tmp_path):
    rows = study(CONFIG, tmp_path).rows
    dense, narrow = rows[0], [row for row in rows if row.label == DENSE_NARROW]
    assert dense.run.n_parameters == 64 * 24 + 24 + 24 * 20 + 20 + 20 * 10 + 10
    assert dense.n_bytes == 4 * dense.run.n_parameters
    assert [row.density for row in narrow] == [0.1, 0.3]
    for row in narrow:
        sparse = next(r for r in rows if r.label == "rotating" and r.density == row.density)
        assert 0.9 * sparse.run.n_parameters < row.run.n_parameters <= sparse.run.n_parameters
        assert row.sizes == tuple(networks.narrow_sizes([64, 24, 20, 10], sparse.run.n_parameters))


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
    assert (done[0], done[-1], steps[0].n_epochs) == (0, 2 * N_RUNS, 2 * N_RUNS)
    assert [step.runs_stored for step in steps if step.run] == list(range(1, N_RUNS + 1))


LONGER = replace(CONFIG, graph_seeds=4, hidden=(64, 64), epochs=3)


def start(folder):
    command = "study --data digits --family biregular rotating --density 0.1 0.3 --hidden 64 64 --epochs 3"
    words = [sys.executable, "-m", "prewired", *command.split(), "--graph-seeds", "4", "-o", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        words,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job's children ignore it
    )


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
    text = report.markdown(report.analyse(result))
    assert "R2" in text
    assert "accuracy" not in text
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
        ({"densities": (0.1, 5.0)}, "0 < density <= 1, got density=5.0"),
        ({"densities": (float("nan"),)}, "got density=nan"),
        ({"densities": ("half",)}, "0 < density <= 1, got density='half'"),
        ({"densities": 0.1}, "densities as a list, got 0.1"),
        ({"densities": (), "edges": 100}, "edges as a list, got 100"),
        ({"families": "biregular"}, "families as a list, got 'biregular'"),
        ({"densities": (), "edges": (100, 0)}, "edges as integers >= 1, got 0"),
        ({"densities": (), "edges": (True,)}, "edges as integers >= 1, got True"),
        ({"densities": (), "edges": (0.1,)}, "got 0.1; a share of the edges goes in densities"),
        ({"densities": (), "edges": ("many",)}, "edges as integers >= 1, got 'many'"),
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
    report.write(report.analyse(result), tmp_path)
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
    sparse = [row.run.train_loss[0] for row in rows if row.label == "rotating" and row.density == 0.1]
    assert len(sparse) == 2
    assert abs(sparse[0] - sparse[1]) > 1e-4
    cell = [row for row in rows if row.label == "biregular" and row.density == 0.1]
    assert len({(row.graph_seed, row.digests) for row in cell}) == len({row.digests for row in cell}) == 2


def test_other_data_under_the_same_name_are_other_runs(monkeypatch, tmp_path):
    digits = data.load("digits")
    study(CONFIG, tmp_path)
    monkeypatch.setattr(study_module.data, "load", lambda name, **_: replace(digits, x_test=digits.x_test + 1))
    study(CONFIG, tmp_path)
    assert len(stored(tmp_path)) == 2 * N_RUNS


def test_momentum_makes_other_runs_only_with_sgd(tmp_path):
    small = replace(CONFIG, families=("rotating",), densities=(0.3,))
    study(small, tmp_path)
    study(replace(small, momentum=0.5), tmp_path, progress=pytest.fail)
    for momentum in (0.5, 0.9):
        study(replace(small, optimizer="sgd", momentum=momentum), tmp_path)
    assert len(stored(tmp_path)) == 3 * 3


def test_densities_that_round_to_the_same_graphs_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"got 0\.1 and 0\.101, both with 6, 2 inputs per output; leave one out"):
        study(replace(CONFIG, densities=(0.1, 0.101)), tmp_path)
    with pytest.raises(ValueError, match=r"at least one input per output, got density=0\.01 of n_in=24"):
        study(replace(CONFIG, densities=(0.01,)), tmp_path)
    with pytest.raises(ValueError, match=r"got 0\.1 and 0\.101, both with \d, \d inputs per output; leave one out"):
        study(replace(CONFIG, densities=(0.1, 0.101), budget="erdos_renyi"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_budget_may_tell_densities_apart(tmp_path):
    """0.1 and 0.12 are both 6 and 2 inputs of 64 and 24 by density, but not by a budget."""
    with pytest.raises(ValueError, match="both with 6, 2 inputs"):
        study(replace(CONFIG, densities=(0.0945, 0.1), epochs=1), tmp_path / "one")
    both = replace(CONFIG, families=("rotating",), densities=(0.0945, 0.1), budget="erdos_renyi")
    digests = {row.digests for row in study(both, tmp_path / "two").rows if row.digests}
    assert len(digests) == 2


def test_a_family_that_takes_no_density_says_what_it_takes(tmp_path):
    config = replace(CONFIG, families=("biregular", "toeplitz:offsets=[0,1,2]"))
    with pytest.raises(
        ValueError, match=r"^toeplitz:offsets=\[0,1,2\] at density 0\.1: .*follow from offsets= alone; leave"
    ):
        study(config, tmp_path)
    assert stored(tmp_path) == []


def test_exact_families_join_a_study_at_one_density_by_levelling(tmp_path):
    families = tuple(f"{family}:fit=level" for family in ("projective_plane", "margulis", "de_bruijn_tower"))
    config = replace(CONFIG, families=("biregular", *families), densities=(0.25,), graph_seeds=1)
    rows = study(config, tmp_path).rows
    assert [row.label for row in rows[2:]] == list(config.families)
    assert {row.run.n_parameters for row in rows[2:]} == {24 * 16 + 24 + 20 * 6 + 20 + 210}
    with pytest.raises(ValueError, match=r'margulis:fit=nearest at density 0\.25: .*fit="level" accepts any share'):
        study(replace(config, families=("margulis:fit=nearest",)), tmp_path)


def test_the_narrow_reference_is_the_same_whichever_family_comes_first():
    families = ("projective_plane:fit=level", "biregular", "rotating", "de_bruijn_tower:fit=level")
    jobs = [grid(replace(CONFIG, families=families[k:] + families[:k]), (64, 24, 20, 10)) for k in range(4)]
    narrow = [[job.sizes for job in one if job.label == DENSE_NARROW] for one in jobs]
    assert narrow == [narrow[0]] * 4


def test_a_family_of_random_edges_is_refused_as_soon_as_its_graphs_differ(tmp_path):
    with pytest.raises(ValueError, match=r"erdos_renyi_p at density 0\.1: expected"):
        study(replace(CONFIG, families=("erdos_renyi_p",)), tmp_path)


def test_a_warm_up_comes_first_and_leaves_nothing(monkeypatch, tmp_path):
    calls = []

    def recorded(net, loaded, config, **options):
        calls.append((networks.count_parameters(net), len(loaded.x_train), config.epochs))
        return train(net, loaded, config, **options)

    train = study_module.train
    monkeypatch.setattr(study_module, "train", recorded)
    config = replace(CONFIG, batch_size=8, epochs=2)
    result = study(config, tmp_path)
    dense = result.rows[0].run.n_parameters
    assert calls[:2] == [(dense, 8 * study_module.WARM_UP_BATCHES, 1), (dense, 1079, 2)]
    assert len(calls) == 1 + N_RUNS == 1 + len(stored(tmp_path))
    study(config, tmp_path)
    assert len(calls) == 1 + N_RUNS


def test_a_foreign_row_is_one_line_with_path_and_remedy(tmp_path):
    study(CONFIG, tmp_path)
    with sqlite3.connect(tmp_path / store.FILE_NAME) as connection:
        connection.execute("""UPDATE runs SET payload = '{"layers": [], "run": {"moon": 1}}' WHERE id = 2""")
    with pytest.raises(ValueError, match=r"runs\.sqlite, got another row .*; choose another folder"):
        study(CONFIG, tmp_path)
