"""A study on a Ray cluster, of whose two nodes one dies meanwhile."""

import json
import signal
import sqlite3
import subprocess
import sys
from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from prewired.study import StudyConfig, StudyPlan, cluster, inline, load, run
from prewired.study.nets import Net
from prewired.study.running import database, ray_engine
from prewired.study.running.perform import gather_facts
from prewired.study.tasks import RUNS, TrainingTask

LOOPBACK_ONLY = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",  # else a token is written into the home folder
}
SMALL = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
N_RUNS = 10  # 2 seeds x (dense, narrow dense, 3 families)


@pytest.fixture(scope="module")
def nodes():
    """A cluster of one node, and its address."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in LOOPBACK_ONLY.items():
            patch.setenv(name, value)
        pytest.importorskip("ray", reason="the extra prewired[ray]")
        from ray.cluster_utils import Cluster

        handler = signal.getsignal(signal.SIGTERM)
        cluster = Cluster(initialize_head=True, head_node_args=SMALL)
        yield cluster, cluster.address
        cluster.shutdown()
        signal.signal(signal.SIGTERM, handler)  # Ray's ends the process


@pytest.fixture(scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def config(tmp_path):
    x = torch.randn(600, 20, generator=torch.Generator().manual_seed(0)).numpy()
    path = tmp_path / "linear.npz"
    np.savez(path, x=x, y=(x[:, :3].sum(1) > 0).astype(int))
    families = ["biregular", "swap_ladder:swaps=0.5", "biregular+biregular"]
    return StudyConfig(
        str(path), families, [0.2], graph_seeds=1, train_seeds=2, hidden=[20, 20], epochs=4, batch_size=4, timing=False
    )


@pytest.fixture
def plan(config):
    return StudyPlan.build(config, gather_facts(config))


@pytest.fixture
def jobs(config):
    net = Net(config.data[0], "dense", "", "fan_in", None, (20, 8, 2))
    return [TrainingTask(net, None, seed, 1e-3) for seed in range(9)]


class Deadly(TrainingTask):
    """A task that kills whatever process unpacks it."""

    def __reduce__(self):
        return signal.raise_signal, (signal.SIGKILL,)


def no_epoch(task, epoch):
    pytest.fail("Ray reports no epochs")


def stored(folder):
    """Every result in the order in which it was stored, but for when it was made."""
    with sqlite3.connect(f"file:{folder / database.DATABASE_NAME}?mode=ro", uri=True) as connection:
        found = connection.execute("SELECT key, payload FROM runs ORDER BY id").fetchall()
    results = {key: json.loads(payload) for key, payload in found}
    assert len(results) == len(found)
    for payload in results.values():
        del payload["started"], payload["finished"], payload["run"]["seconds"]
    return results


@pytest.mark.slow
def test_a_node_dies_and_nothing_shows_of_it(nodes, one_thread, config, tmp_path):
    both, address = nodes
    second = both.add_node(**SMALL)
    run(config, tmp_path / "undisturbed")
    steps = []

    def progress(step):
        steps.append(step)
        if step.phase == RUNS and step.done == 4:
            assert len(load(tmp_path / "ray").rows) == 4  # they are in the store as they come
            Path(config.data[0]).unlink()  # no worker reads the file
            both.remove_node(second, allow_graceful=False)

    found = run(config, tmp_path / "ray", engine=partial(cluster, address=address), progress=progress)
    assert len(found.rows) == N_RUNS
    assert stored(tmp_path / "ray") == stored(tmp_path / "undisturbed")
    assert sum(step.phase == RUNS for step in steps) == N_RUNS
    assert all(row.machine.endswith(", 1 thread") for row in found.rows)


def test_a_deadly_task_is_given_up(nodes, plan, jobs, monkeypatch):
    monkeypatch.setattr(ray_engine, "ATTEMPTS", 1)
    deadly = Deadly(*(getattr(jobs[0], field.name) for field in fields(TrainingTask)))
    with pytest.raises(
        RuntimeError, match=r"linear.npz, dense, seed 0: its worker died more than 1 times .*; all other"
    ):
        list(cluster(plan, [deadly], no_epoch, address=nodes[1]))


def test_an_error_of_a_task_is_that_of_the_study(nodes, config, tmp_path):
    config = StudyConfig(**{**config.to_dict(), "families": ["butterfly"]})
    with pytest.raises(ValueError, match=r"butterfly at density 0\.2: "):
        run(config, tmp_path, engine=partial(cluster, address=nodes[1]))


@pytest.mark.slow
def test_a_connection_is_closed_by_whom_opened_it(nodes, one_thread, plan, jobs):
    import ray

    results = cluster(plan, jobs, no_epoch, address=nodes[1])
    task, payload = next(results)
    assert ray.is_initialized()
    results.close()
    assert not ray.is_initialized()
    ((_, expected),) = inline(plan, [task], lambda *_: None)
    assert payload["run"]["train_loss"] == expected["run"]["train_loss"]
    with ray.init(nodes[1], log_to_driver=False, logging_level="error"):
        next(cluster(plan, jobs, no_epoch, address=nodes[1]))
        assert ray.is_initialized()


@pytest.mark.slow
def test_another_version_on_a_node_is_named(nodes, plan, jobs, monkeypatch):
    monkeypatch.setattr(ray_engine, "_describe_version", lambda: "prewired 99")
    with pytest.raises(RuntimeError, match=r"expected prewired 99 on every node of the cluster, got prewired \d.*on "):
        next(cluster(plan, jobs, no_epoch, address=nodes[1]))


def test_a_node_without_prewired_or_with_another_version_is_named(nodes):
    from ray import cloudpickle

    code = """
import pickle, sys
from ray import cloudpickle
sys.modules["prewired"] = None
print(pickle.load(sys.stdin.buffer)(b"", {}, 1, "prewired 99"))
"""
    function = ray_engine._make_node_function()
    assert "expected prewired 99 on every node of the cluster, got prewired " in str(
        function(b"", {}, 1, "prewired 99")[1]
    )
    sent = cloudpickle.dumps(function)
    done = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=True)
    assert b"expected prewired 99 on every node of the cluster, got none (No module named" in done.stdout


def test_too_many_threads(nodes, plan, jobs):
    with pytest.raises(ValueError, match="expected threads of 1 to 1, the processors of the largest node, got 2"):
        next(cluster(plan, jobs, no_epoch, address=nodes[1], threads=2))


def test_no_cluster(nodes, plan, jobs):
    with pytest.raises(OSError, match=r"a Ray cluster at the address 127\.0\.0\.1:1234, got .*; start one"):
        next(cluster(plan, jobs, no_epoch, address="127.0.0.1:1234"))


def test_ray_is_an_extra(plan, jobs, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"expected the package ray, got none .*; pip install 'prewired\[ray\]'"):
        next(cluster(plan, jobs, no_epoch, address="auto"))
