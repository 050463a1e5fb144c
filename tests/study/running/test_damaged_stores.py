"""Stores that a kill or a disk has damaged, and folders that hold none: one clear line, or the study goes on."""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from prewired import study
from prewired.cli.app import main
from prewired.study import StudyConfig
from prewired.study.running import database

CONFIG = StudyConfig(
    "digits", ["biregular"], [0.2], graph_seeds=2, hidden=[8, 8], epochs=2, learning_rates=[0.01, 0.1], timing=False
)
WRONG = [None, "x", 3, -1, 1.5, True, [], {}, [[]], {"a": 1}, "2026-13-01T00:00:00", 10**400]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    study.run(CONFIG, folder)
    return folder


@pytest.fixture
def folder(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "study")
    return tmp_path / "study"


def leaves(value, path=()):
    """The paths to all values in nested dicts and lists, the value itself among them."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from leaves(item, (*path, name))


def replaced(value, path, new):
    if not path:
        return new
    copy = json.loads(json.dumps(value))
    at = copy
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = new
    return copy


def read(folder):
    """Read a study as `status` and `load` do; errors must be clear and name the folder."""
    for call in (study.status, study.load):
        message = str(folder)
        try:
            call(folder)
        except RuntimeError as error:
            message = f"{folder}: {error}"
        except (ValueError, OSError) as error:
            message = str(error)
        assert str(folder) in message
        assert "\n" not in message
        assert len(message) < 1000


def mutate(folder, n, seed):
    """Replace n random values in notes and payloads, one at a time, and read the study each time."""
    rng = random.Random(seed)
    path = folder / database.DATABASE_NAME
    with sqlite3.connect(path) as connection:
        rows = [
            (table, column, where, name, json.loads(text))
            for table, column, where in (
                ("notes", "value", "name"),
                ("runs", "payload", "key"),
                ("graphs", "payload", "key"),
            )
            for name, text in connection.execute(f"SELECT {where}, {column} FROM {table}")
        ]
    for _ in range(n):
        table, column, where, name, value = rng.choice(rows)
        new = json.dumps(replaced(value, rng.choice([*leaves(value)]), rng.choice(WRONG)))
        with sqlite3.connect(path) as connection:
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE {where} = ?", (new, name))
        read(folder)
        with sqlite3.connect(path) as connection:
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE {where} = ?", (json.dumps(value), name))


def test_damaged_notes_and_payloads_are_one_line(folder):
    mutate(folder, 150, 0)


@pytest.mark.slow
def test_many_damaged_notes_and_payloads_are_one_line(folder):
    mutate(folder, 3000, 1)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "null", "3", '"x"', "\udcff"])
@pytest.mark.parametrize("place", ["notes SET value", "runs SET payload", "graphs SET payload"])
def test_text_that_is_no_json_object_is_one_line(folder, place, text):
    with sqlite3.connect(folder / database.DATABASE_NAME) as connection:
        connection.execute(f"UPDATE {place} = CAST(? AS TEXT)", (text.encode("utf-8", "surrogateescape"),))
    for call in (study.status, study.load):
        with pytest.raises(ValueError, match=r"expected a study store, got .* or move that file away and run again$"):
            call(folder)


@pytest.mark.parametrize("table", ["notes", "runs", "graphs"])
def test_a_missing_table_is_one_line(folder, table):
    with sqlite3.connect(folder / database.DATABASE_NAME) as connection:
        connection.execute(f"DROP TABLE {table}")
    for call in (study.status, study.load):
        with pytest.raises(ValueError, match=rf"no such table: {table}\); choose another folder"):
            call(folder)


@pytest.mark.parametrize("damage", ["truncated", "garbage", "header", "application", "text", "empty"])
def test_a_damaged_file_is_one_line(capsys, folder, damage):
    path = folder / database.DATABASE_NAME
    content = bytearray(path.read_bytes())
    if damage == "application":
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA application_id = 77")
    else:
        rest = bytes(random.Random(0).randbytes(len(content) - 100))
        changes = {
            "truncated": content[: len(content) // 2],
            "garbage": bytes(content[:100]) + rest,
            "header": b"SQLite format 4" + bytes(content[15:]),
            "text": b"my diary\n" * 1000,
            "empty": b"",
        }
        path.write_bytes(changes[damage])
    for verb in ("status", "report", "measure"):
        code = main([verb, str(folder)])
        _, err = capsys.readouterr()
        assert code == 2
        assert err.count("\n") == 1
        assert str(folder) in err
        assert "choose another folder" in err


def test_folders_without_a_study(capsys, tmp_path):
    (tmp_path / "file").touch()
    for name, state in (("missing", "does not exist"), ("file", "is a file")):
        assert main(["status", str(tmp_path / name)]) == 2
        assert f"got '{tmp_path / name}', which {state}; check the path" in capsys.readouterr().err
    assert main(["status", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path}: not begun\nthe folder holds no study\n"


KILLED_WHILE_WRITING = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE runs SET payload = payload || ?", (" " * 100_000,))
connection.execute("UPDATE graphs SET payload = payload || ?", (" " * 100_000,))
os._exit(9)
"""


def test_a_half_written_change_is_rolled_back(capsys, folder):
    path = folder / database.DATABASE_NAME
    digest = study.load(folder).digest
    for verb in ("status", "report", "measure"):
        subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(path)], check=False)
        assert path.with_name(f"{path.name}-journal").stat().st_size > 0
        assert main([verb, str(folder), *(["--metric", "density"] if verb == "measure" else [])]) == 0
    capsys.readouterr()
    assert study.load(folder).digest == digest


def test_reading_writes_nothing(folder):
    connection = database.open_to_read(folder)
    with pytest.raises(OSError, match="readonly"):
        database.write_note(connection, "state", {})
    connection.close()


def test_a_full_disk_has_its_own_remedy(tmp_path):
    connection = database.open_store(tmp_path)
    connection.execute("PRAGMA max_page_count = 1")
    row = {"finished": "2026-01-01", "x": "y" * 100_000}
    with pytest.raises(OSError, match="full; make room on the disk and run again; all results so far are stored"):
        database.add_result(connection, "k", row)
    connection.close()


def start(folder, workers):
    words = [
        "study",
        "--data",
        "digits",
        "--family",
        "biregular",
        "rotating",
        "--density",
        "0.1",
        "0.3",
        "--hidden",
        "8",
    ]
    words += ["--epochs", "1", "--graph-seeds", "15", "--train-seeds", "2", "--no-timing", "-o", str(folder)]
    return subprocess.Popen(
        [sys.executable, "-m", "prewired", *words, "--workers", str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def stored(folder):
    connection = database.open_to_read(folder)
    rows = connection.execute("SELECT key, payload FROM runs ORDER BY id").fetchall()
    connection.close()
    return rows


def kill_often(folder, workers, n, seed):
    """Kill a study n times at random moments; after each kill it can be read at once, and has kept its runs."""
    rng, before, kills = random.Random(seed), [], 0
    while kills < n:
        process = start(folder, workers)
        while process.poll() is None and not (folder / database.DATABASE_NAME).exists():
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 1.5))
        process.kill()
        process.communicate()
        kills += 1
        status = study.status(folder)
        assert status.state in ("not begun", "stopped", "finished")
        rows = stored(folder)
        assert rows[: len(before)] == before
        assert len({key for key, _ in rows}) == len(rows)
        if status.config is not None:
            assert len(study.load(folder).rows) == len(rows)
        if rows and kills % 5 == 0:
            study.report(folder)
        before = rows
        if status.state == "finished":
            shutil.rmtree(folder)
            before = []


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_hundred_kills_lose_and_repeat_nothing(tmp_path, workers):
    kill_often(tmp_path / "study", workers, 100, workers)


def test_kills_lose_and_repeat_nothing(tmp_path):
    kill_often(tmp_path / "study", 1, 2, 0)


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), pytest.param("SIGHUP", 129, marks=pytest.mark.slow)])
def test_other_signals_end_a_study_like_an_interrupt(tmp_path, name, code):
    folder = tmp_path / "study"
    process = start(folder, 2)
    while process.poll() is None and not (folder / database.DATABASE_NAME).exists():
        time.sleep(0.02)
    time.sleep(0.5)
    os.killpg(process.pid, getattr(signal, name))
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert err.splitlines()[-1] == (
        f"interrupted: {len(stored(folder))} of 70 runs are stored; run the same command again to go on"
    )
    assert study.status(folder).process is None
