"""Where a study is done: processes that are killed or interrupted lose nothing, repeat nothing and leave nothing."""

import json
import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from prewired.study import StudyConfig, StudyPlan, inline, load, processes, run
from prewired.study.nets import Net
from prewired.study.running import database, engines
from prewired.study.running.engines import count_processors
from prewired.study.running.perform import gather_facts
from prewired.study.tasks import RUNS, TrainingTask

N_RUNS = 4  # dense, narrow dense, two graphs
SCRIPT = """
import sys
from functools import partial
from prewired.study import StudyConfig, processes, run

if __name__ == "__main__":
    try:
        run(StudyConfig.from_dict({config}), sys.argv[1], engine=partial(processes, workers=int(sys.argv[2])))
    except KeyboardInterrupt as interruption:
        sys.exit(f"interrupted: {{interruption}}")
"""


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(800, 20, generator=generator).numpy()
    path = tmp_path_factory.mktemp("data") / "linear.npz"
    np.savez(path, x=x, y=(x[:, :3].sum(1) > 0).astype(int))
    return StudyConfig(
        str(path), ["biregular"], [0.2], graph_seeds=2, hidden=[20, 20], epochs=6, batch_size=4, timing=False
    )


@pytest.fixture(scope="module")
def undisturbed(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    run(config, folder)
    return folder


@pytest.fixture
def begun(undisturbed, tmp_path):
    """A study whose graphs are measured and whose runs are not begun."""
    shutil.copy(undisturbed / database.DATABASE_NAME, tmp_path)
    with sqlite3.connect(tmp_path / database.DATABASE_NAME) as connection:
        connection.execute("DELETE FROM runs")
    return tmp_path


@pytest.fixture(scope="module")
def plan(config):
    return StudyPlan.build(config, gather_facts(config))


@pytest.fixture(scope="module")
def jobs(config):
    net = Net(config.data[0], "dense", "", "fan_in", None, (20, 8, 2))
    return [TrainingTask(net, None, seed, 1e-3) for seed in range(2)]


def stored(folder):
    """Every result in the order in which it was stored, but for when and where it was made."""
    with sqlite3.connect(f"file:{folder / database.DATABASE_NAME}?mode=ro", uri=True) as connection:
        found = connection.execute("SELECT key, payload FROM runs ORDER BY id").fetchall()
    results = {key: json.loads(payload) for key, payload in found}
    assert len(results) == len(found)
    for payload in results.values():
        del payload["started"], payload["finished"], payload["run"]["seconds"]
    return results


class Deadly(TrainingTask):
    """A task that kills whatever process unpacks it."""

    def __reduce__(self):
        return signal.raise_signal, (signal.SIGKILL,)


class Late(TrainingTask):
    """A task that halts the process which is the first to unpack it."""

    def __reduce__(self):
        if "sent" in vars(self):
            return TrainingTask, tuple(getattr(self, field.name) for field in fields(TrainingTask))
        vars(self)["sent"] = True
        return time.sleep, (600,)


def like(job, kind):
    return kind(*(getattr(job, field.name) for field in fields(TrainingTask)))


def ignore_epoch(task, epoch):
    pass


each_number_of_workers = pytest.mark.parametrize("n_workers", [1, pytest.param(2, marks=pytest.mark.slow)])


@each_number_of_workers
def test_killed_workers_are_replaced_and_nothing_shows_of_it(config, begun, undisturbed, monkeypatch, n_workers):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    steps, killed, environments = [], [], []

    def progress(step):
        steps.append((step.task, step.epoch))
        if not killed:
            killed.append(step.task)
            for process in multiprocessing.active_children():
                environments.append(Path(f"/proc/{process.pid}/environ").read_text().split("\0"))
                os.kill(process.pid, signal.SIGKILL)

    found = run(config, begun, engine=partial(processes, workers=n_workers), progress=progress)
    assert steps.count((killed[0], 1)) == 2  # begun again
    assert stored(begun) == stored(undisturbed)
    assert len(found.rows) == N_RUNS
    assert multiprocessing.active_children() == []
    assert len(environments) == n_workers
    assert all("OMP_NUM_THREADS=1" in variables for variables in environments)
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert all(row.machine.endswith(", 1 thread") for row in found.rows)


def test_a_deadly_task_is_given_up_and_the_others_are_done(plan, jobs, monkeypatch):
    monkeypatch.setattr(engines, "ATTEMPTS", 2)
    results = []
    with pytest.raises(RuntimeError, match=r"linear.npz, dense, seed 0: its process died 2 times, .* by signal 9; all"):
        results.extend(processes(plan, [like(jobs[0], Deadly), jobs[1]], ignore_epoch, workers=1))
    assert [task for task, _ in results] == jobs[1:]
    assert multiprocessing.active_children() == []


def test_several_deadly_tasks_stop_a_study(plan, jobs, monkeypatch):
    monkeypatch.setattr(engines, "ATTEMPTS", 1)
    with pytest.raises(RuntimeError, match="seed 0: its process died"):
        next(processes(plan, [like(jobs[0], Deadly), jobs[1]], ignore_epoch, workers=1))


@pytest.mark.slow
def test_an_idle_worker_that_is_killed_is_not_the_next_tasks_fault(plan, jobs, monkeypatch):
    monkeypatch.setattr(engines, "ATTEMPTS", 2)
    late = like(jobs[1], Late)
    results = processes(plan, [late, jobs[0]], ignore_epoch, workers=2)
    assert next(results)[0] == jobs[0]
    for process in multiprocessing.active_children():  # one is idle, the other halted
        process.kill()
        process.join()
    assert [task for task, _ in results] == [late]


@pytest.mark.slow
def test_no_more_workers_than_tasks(plan, jobs):
    seen = []
    tell = lambda *_: seen.append(len(multiprocessing.active_children()))  # noqa: E731
    ((task, payload),) = processes(plan, jobs[:1], tell, workers=9)
    assert set(seen) == {1}
    ((same, expected),) = inline(plan, jobs[:1], ignore_epoch)
    assert (task, payload["run"]["train_loss"]) == (same, expected["run"]["train_loss"])


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"workers": 1, "threads": 0}])
def test_there_is_at_least_one_worker_with_one_thread(plan, jobs, wrong):
    with pytest.raises(ValueError, match="expected at least one worker"):
        next(processes(plan, jobs, ignore_epoch, **wrong))


def test_an_impossible_cell_is_named_and_nothing_runs_on(config, tmp_path):
    config = replace(config, families=("butterfly",))
    with pytest.raises(ValueError, match=r"butterfly at density 0\.2: ") as caught:
        run(config, tmp_path, engine=partial(processes, workers=2))
    assert "in perform" in caught.value.__notes__[0]  # where it arose, in the worker
    assert multiprocessing.active_children() == []
    assert stored(tmp_path) == {}


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        ("PRAGMA max_page_count = 1", "disk is full; make room on the disk"),
        pytest.param("PRAGMA query_only = 1", "readonly", marks=pytest.mark.slow),
    ],
)
def test_a_disk_that_can_no_longer_be_written_to_stops_a_study(config, begun, monkeypatch, trouble, message):
    connections, open_store = [], database.open_store
    monkeypatch.setattr(database, "open_store", lambda folder: connections.append(open_store(folder)) or connections[0])
    before = []

    def progress(step):
        if step.payload is not None and not before:
            before.append(step.task)
            connections[0].execute(trouble)

    with pytest.raises(OSError, match=message):
        run(replace(config, train_seeds=9, epochs=1), begun, engine=partial(processes, workers=1), progress=progress)
    assert multiprocessing.active_children() == []
    assert 1 <= len(stored(begun)) < 9 * N_RUNS


def test_a_worker_that_cannot_start_is_an_error_at_once(plan, jobs, monkeypatch):
    monkeypatch.setattr(engines, "serve", sys.exit)  # called with three arguments it fails
    with pytest.raises(RuntimeError, match=r"expected a worker process to start, got exit code 1; .*__main__"):
        list(processes(plan, jobs, ignore_epoch, workers=1))
    assert multiprocessing.active_children() == []


@pytest.fixture
def start():
    """Starts a script with a folder, as the first of a group of processes."""
    started = []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}

    def start(script, folder, *arguments):
        command = [sys.executable, script, folder, *arguments]
        process = subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=environment,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job's children ignore it
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def children(pid):
    """The processes that were started by one."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            state, parent, *_ = stat.read_text().rpartition(")")[2].split()
            if int(parent) == pid and state != "Z":
                found.append(int(stat.parent.name))
    return found


def command(pid):
    return Path(f"/proc/{pid}/cmdline").read_text()


def hears(pid, number):
    """Whether a signal reaches a process: it is neither ignored nor blocked."""
    lines = [line.partition(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    masks = [int(value, 16) for name, _, value in lines if name in ("SigIgn", "SigBlk")]
    assert len(masks) == 2
    return not any(mask >> (number - 1) & 1 for mask in masks)


def gone(workers):
    return not any(Path(f"/proc/{pid}").exists() for pid in workers)


def wait_until(true, seconds=60.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@each_number_of_workers
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_interrupted_and_killed_studies_leave_no_process_and_go_on(
    start, config, begun, undisturbed, tmp_path, n_workers
):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(config=config.to_dict()))

    interrupted = start(script, begun, str(n_workers))
    wait_until(lambda: len(children(interrupted.pid)) > n_workers)  # workers, starting, and a tracker of resources
    workers = children(interrupted.pid)
    assert [hears(pid, signal.SIGINT) for pid in workers if "spawn_main" in command(pid)] == [False] * n_workers
    os.killpg(interrupted.pid, signal.SIGINT)
    assert interrupted.communicate(timeout=20)[1] == (
        "interrupted: 0 of 4 runs are stored; run the same command again to go on\n"
    )
    wait_until(lambda: gone(workers), 5)

    killed = start(script, begun, str(n_workers))
    wait_until(lambda: len(stored(begun)) >= 1)
    workers = children(killed.pid)
    assert len(workers) > n_workers
    killed.kill()
    assert killed.communicate(timeout=20)[1] == ""
    wait_until(lambda: gone(workers), 5)

    kept = list(stored(begun))
    assert 1 <= len(kept) < N_RUNS
    assert len(load(begun).rows) == len(kept)
    steps = []
    run(config, begun, progress=steps.append)
    assert sum(step.payload is not None for step in steps) == N_RUNS - len(kept)
    assert {step.phase for step in steps} == {RUNS}
    assert list(stored(begun))[: len(kept)] == kept
    assert stored(begun) == stored(undisturbed)


HALTED = """
import sys
from prewired.study import StudyConfig, StudyPlan, processes
from prewired.study.nets import Net
from prewired.study.tasks import Facts, TrainingTask

class Halting(TrainingTask):
    def __reduce__(self):
        return exec, (f"import time; open({sys.argv[1] + '/halted'!r}, 'w').close(); time.sleep(600)",)

if __name__ == "__main__":
    net = Net("digits", "dense", "", "fan_in", None, (64, 8, 10))
    facts = {"digits": Facts("digits", "", 64, 10, {})}
    plan = StudyPlan.build(StudyConfig("digits", ["biregular"], [0.1]), facts)
    list(processes(plan, [Halting(net, None, 0, 1e-3)], print, workers=1))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_a_worker_that_says_nothing_ends_with_its_parent_too(start, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(HALTED)
    killed = start(script, tmp_path)
    wait_until((tmp_path / "halted").exists)
    workers = children(killed.pid)
    killed.kill()
    killed.communicate(timeout=20)
    wait_until(lambda: gone(workers))


def test_processors_are_those_of_the_control_group(tmp_path):
    own = tmp_path / "cgroup"
    own.write_text("1:cpu:/old\n0::/a/b\n")
    folder = tmp_path / "root" / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "cpu.max").write_text("max 100000\n")
    assert engines._read_quota(own, tmp_path / "root", 64) == 64
    (folder.parent / "cpu.max").write_text("350000 100000\n")
    assert engines._read_quota(own, tmp_path / "root", 64) == 3.5
    assert engines._read_quota(own, tmp_path / "root", 2) == 2
    assert engines._read_quota(tmp_path / "none", tmp_path / "root", 2) == 2
    assert count_processors() >= 1
