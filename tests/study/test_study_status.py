"""What a study's folder tells of how far it is."""

import json
import os
import platform
import shutil
import sqlite3
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from prewired.study import StudyConfig, run
from prewired.study.running import database
from prewired.study.study_status import FINISHED, NOT_BEGUN, OLDER, RUNNING, STOPPED, describe_status, status
from prewired.study.tasks import RUNS

CONFIG = StudyConfig("digits", ["biregular", "rotating"], [0.2], graph_seeds=2, hidden=[16, 16], epochs=1, timing=False)
N_RUNS = 5


def stop_after(n):
    def progress(step):
        if step.phase == RUNS and step.payload is not None and step.done == n:
            raise KeyboardInterrupt

    return progress


@pytest.fixture(scope="module")
def stopped_study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.raises(KeyboardInterrupt, match="2 of 5 runs are stored"):
        run(CONFIG, folder, progress=stop_after(2))
    return folder


@pytest.fixture
def stopped(stopped_study, tmp_path):
    """A copy of a study that was stopped after 2 of 5 runs."""
    shutil.copy(stopped_study / database.DATABASE_NAME, tmp_path)
    return tmp_path


def change_state(folder, /, **changes):
    """Write of a study what it writes itself, but for these changes."""
    with sqlite3.connect(folder / database.DATABASE_NAME) as connection:
        state = {**database.read_note(connection, "state"), **changes}
        database.write_note(connection, "state", state)


def now(**later):
    return (datetime.now(UTC) + timedelta(**later)).isoformat(timespec="seconds")


def test_not_begun(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"which does not exist; check the path$"):
        status(tmp_path / "nowhere")
    assert status(tmp_path).state == NOT_BEGUN
    database.open_store(tmp_path).close()
    assert status(tmp_path).state == NOT_BEGUN
    assert describe_status(status(tmp_path)) == [f"{tmp_path}: not begun", "the folder holds no study"]


def test_finished(finished_study):
    found = status(finished_study[0])
    assert (found.state, found.seconds_left, found.process) == (FINISHED, 0.0, None)
    assert found.config == finished_study[1].config
    assert found.counts == {"graphs": (6, 6), "learning rates": (0, 0), "runs": (9, 9)}
    assert found.began <= found.last <= datetime.now(UTC)
    said = "\n".join(describe_status(found))
    assert "runs: 9 of 9\n" in said
    assert (
        "config: data digits; families biregular, rotating; densities 0.1, 0.3; graph seeds 2; training seeds 1\n"
        in said
    )
    assert "learning rates" not in said
    assert "go on" not in said


def test_as_the_study_itself_sees_it(tmp_path):
    seen = []
    run(CONFIG, tmp_path, progress=lambda step: seen.append((step, status(tmp_path))))
    assert {found.state for _, found in seen} == {RUNNING}
    assert seen[0][1].seconds_left is None  # nothing is known at first
    for step, found in seen:
        if step.payload is not None:
            assert found.counts[step.phase][0] == step.done  # its result is on disk when it is told of
    assert status(tmp_path).state == FINISHED


def test_stopped(stopped):
    found = status(stopped)
    assert (found.state, found.counts[RUNS]) == (STOPPED, (2, N_RUNS))
    assert found.seconds_left > 0
    assert describe_status(found)[-1].startswith("to go on: ")


def test_killed(stopped):
    change_state(stopped, process=os.getpid())  # as if it ran
    assert status(stopped).state == RUNNING
    child = os.fork() if hasattr(os, "fork") else pytest.skip("no fork")
    if child == 0:
        os._exit(0)
    change_state(stopped, process=child)
    if sys.platform == "linux":
        while "Z" not in Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]:
            pass
        assert status(stopped).state == STOPPED  # dead, though nobody has asked for its exit code
    os.waitpid(child, 0)
    assert status(stopped).state == STOPPED


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_another_process_with_the_number_of_a_killed_one(stopped):
    change_state(stopped, process=os.getpid(), when=now(days=-365))
    with sqlite3.connect(stopped / database.DATABASE_NAME) as connection:
        database.write_note(connection, "asked", {**database.read_note(connection, "asked"), "when": now(days=-365)})
    assert status(stopped).state == STOPPED


def test_on_another_machine_the_last_result_tells(stopped):
    change_state(stopped, process=1, host="elsewhere")
    found = status(stopped)
    assert found.state == RUNNING
    assert "runs on elsewhere, about" in describe_status(found)[-1]
    with sqlite3.connect(stopped / database.DATABASE_NAME) as connection:
        database.write_note(connection, "asked", {**database.read_note(connection, "asked"), "when": now(hours=-2)})
    change_state(stopped, process=1, host="elsewhere", when=now(hours=-1))
    assert status(stopped).state == STOPPED


def test_the_time_left_goes_down_while_it_runs(stopped):
    with sqlite3.connect(stopped / database.DATABASE_NAME) as connection:
        database.write_note(connection, "asked", {**database.read_note(connection, "asked"), "when": now(hours=-2)})
    change_state(stopped, process=os.getpid(), host=platform.node(), left=100.0, when=now(seconds=-30))
    assert 60 <= status(stopped).seconds_left <= 70
    change_state(stopped, left=10.0)
    assert status(stopped).seconds_left == 0


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["bin/python", "env/bin/prewired", "study", "my grid.toml"], "prewired study 'my grid.toml'"),
        (["python", "-m", "prewired", "study", "a.toml"], "prewired study a.toml"),
        (["python3", "script.py", "out"], "python3 script.py out"),
        (["python3", "-c", "import prewired"], "run the same command again"),
        (["python3"], "python3"),
    ],
)
def test_the_command_to_go_on_with(stopped, monkeypatch, typed, said):
    monkeypatch.chdir(stopped)
    change_state(stopped, command=typed, folder=str(stopped), store=str(stopped / database.DATABASE_NAME))
    assert describe_status(status(stopped))[-1] == f"to go on: {said}"
    change_state(stopped, folder="/else where")
    expected = said if "-c" in typed else f"cd '/else where' && {said}"
    assert describe_status(status(stopped))[-1] == f"to go on: {expected}"


def test_the_command_of_a_folder_that_was_moved(stopped):
    note = f", with -o {stopped} for the folder that was moved or copied"
    assert describe_status(status(stopped))[-1].endswith(note)


def test_failed_and_impossible(tmp_path):
    config = StudyConfig(
        "digits", ["biregular", "butterfly"], [0.2], graph_seeds=1, hidden=[16, 16], epochs=1, timing=False
    )
    config = StudyConfig(**{**config.to_dict(), "learning_rate": 1e30, "optimizer": "sgd", "skip_impossible": True})
    run(config, tmp_path)
    found = status(tmp_path)
    assert found.state == FINISHED
    assert found.failed == found.counts[RUNS][0] > 0
    assert len(found.impossible) == 1
    assert "butterfly at density 0.2" in found.impossible[0]
    said = "\n".join(describe_status(found))
    assert f"{found.failed} failed" in said
    assert "left out: butterfly" in said


def test_no_learning_rate_was_good(tmp_path):
    config = StudyConfig(
        "digits", ["rotating"], [0.2], hidden=[16, 16], epochs=1, learning_rates=[1e30, 1e31], timing=False
    )
    config = StudyConfig(**{**config.to_dict(), "optimizer": "sgd"})
    with pytest.raises(RuntimeError, match="add smaller ones"):
        run(config, tmp_path)
    found = status(tmp_path)
    assert (found.state, RUNS in found.counts) == (STOPPED, False)
    assert "add smaller ones" in describe_status(found)[-1]


def test_of_an_older_version(tmp_path):
    with sqlite3.connect(tmp_path / database.DATABASE_NAME) as connection:
        connection.executescript(
            f"PRAGMA application_id = {database.APPLICATION_ID}; PRAGMA user_version = 1;"
            "CREATE TABLE runs (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, payload TEXT NOT NULL, finished TEXT)"
        )
        connection.execute("INSERT INTO runs VALUES (1, '{}', '{}', '')")
    before = (tmp_path / database.DATABASE_NAME).read_bytes()
    found = status(tmp_path)
    assert found.state == OLDER
    assert "begins anew" in describe_status(found)[-1]
    assert (tmp_path / database.DATABASE_NAME).read_bytes() == before


def test_of_another_kind(tmp_path):
    (tmp_path / database.DATABASE_NAME).write_text(json.dumps("my diary") * 100)
    with pytest.raises(ValueError, match="expected a study store"):
        status(tmp_path)
