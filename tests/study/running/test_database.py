"""The store of finished runs."""

import json
import math
import sqlite3

import pytest

from prewired.study.running import database


def key(**parts):
    return database.to_canonical_json(parts)


def payload(value):
    return {"value": value, "finished": "2026-01-01T00:00:00.000+00:00"}


def test_what_is_added_is_there_after_reopening(tmp_path):
    connection = database.open_store(tmp_path / "new" / "folder")
    database.add_result(connection, key(seed=1, density=0.1), payload([1.5, math.nan]))
    connection.close()
    again = database.open_store(tmp_path / "new" / "folder")
    assert database.read_results(again) == {'{"density":0.1,"seed":1}': payload([1.5, None])}


def test_another_connection_sees_a_run_at_once(tmp_path):
    writer, reader = database.open_store(tmp_path), database.open_store(tmp_path)
    database.add_result(writer, key(seed=1), payload(1))
    assert len(database.read_results(reader)) == 1


def test_the_first_result_of_a_key_stays(tmp_path):
    connection = database.open_store(tmp_path)
    database.add_result(connection, key(a=1, b=2), payload("first"))
    database.add_result(connection, key(b=2, a=1), payload("second"))
    assert [p["value"] for p in database.read_results(connection).values()] == ["first"]


def test_canonical_json_is_strict():
    text = database.to_canonical_json({"x": [math.inf, -math.inf, math.nan], "n": (1, True, None)})
    assert json.loads(text, parse_constant=pytest.fail) == {"x": [None, None, None], "n": [1, True, None]}


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / database.DATABASE_NAME
    path.write_text("my diary, and rather a long one" * 100)
    with pytest.raises(ValueError, match="expected a study store"):
        database.open_store(tmp_path)
    assert path.read_text().startswith("my diary")


def test_another_database_is_refused(tmp_path):
    other = sqlite3.connect(tmp_path / database.DATABASE_NAME)
    other.execute("CREATE TABLE runs (id)")
    other.commit()
    with pytest.raises(ValueError, match="another database"):
        database.open_store(tmp_path)


def test_a_newer_format_is_refused(tmp_path):
    connection = database.open_store(tmp_path)
    connection.execute(f"PRAGMA user_version = {database.FORMAT_VERSION + 1}")
    connection.close()
    with pytest.raises(ValueError, match="update prewired"):
        database.open_store(tmp_path)


def test_an_empty_file_left_by_a_kill_is_taken_over(tmp_path):
    (tmp_path / database.DATABASE_NAME).touch()
    database.add_result(database.open_store(tmp_path), key(seed=1), payload(1))
    assert len(database.read_results(database.open_store(tmp_path))) == 1


def test_a_damaged_database_is_one_line(tmp_path):
    connection = database.open_store(tmp_path)
    for seed in range(50):
        database.add_result(connection, key(seed=seed), payload("x" * 500))
    connection.close()
    path = tmp_path / database.DATABASE_NAME
    content = bytearray(path.read_bytes())
    content[8192:-4096] = b"\xff" * (len(content) - 12288)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"runs\.sqlite .*move that file away"):
        database.read_results(database.open_store(tmp_path))


@pytest.mark.parametrize("text", ["no json", None, b"\xff\xfe"])
def test_a_row_that_is_no_json_is_one_line(tmp_path, text):
    connection = database.open_store(tmp_path)
    database.add_result(connection, key(seed=1), payload(1))
    connection.execute("CREATE TABLE other (id, key, payload, finished)")
    connection.execute("INSERT INTO other VALUES (1, 'k', ?, '')", (text,))
    connection.execute("DROP TABLE runs")
    connection.execute("ALTER TABLE other RENAME TO runs")
    with pytest.raises(ValueError, match=r"runs\.sqlite .*move that file away"):
        database.read_results(connection)


@pytest.mark.parametrize("name", ["results.csv", "table.md", "summary.json", "report.html", "holiday.png"])
def test_a_folder_with_other_results_is_refused_and_left_alone(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match=f"with {name} and no runs.sqlite; choose another folder"):
        database.open_store(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_that_is_a_file_is_an_os_error(tmp_path):
    (tmp_path / "study").touch()
    with pytest.raises(OSError, match=r"cannot make the folder .*study.*; choose a folder that can be written to"):
        database.open_store(tmp_path / "study")


def test_a_store_is_read_while_it_is_written(tmp_path):
    writing = database.open_store(tmp_path)
    database.add_result(writing, key(a=1), {"finished": "now", "x": 2})
    writing.execute("BEGIN IMMEDIATE")
    reading = database.open_to_read(tmp_path)
    assert database.read_results(reading) == {'{"a":1}': {"finished": "now", "x": 2}}
    with pytest.raises(OSError, match="readonly"):
        database.add_result(reading, key(a=2), {"finished": "now"})
    reading.close()
    writing.close()
    with pytest.raises(
        OSError, match=r"expected a study in .*elsewhere, got no runs\.sqlite there; correct the folder"
    ):
        database.open_to_read(tmp_path / "elsewhere")
    (tmp_path / database.DATABASE_NAME).write_bytes(b"no store")
    with pytest.raises(ValueError, match="expected a study store"):
        database.open_to_read(tmp_path)


def test_tables_are_apart_and_only_those_there_are(tmp_path):
    connection = database.open_store(tmp_path)
    database.add_result(connection, "k", payload(1))
    database.add_result(connection, "k", payload(2), "graphs")
    assert database.read_results(connection) == database.read_results(connection, "runs") == {"k": payload(1)}
    assert database.read_results(connection, "graphs") == {"k": payload(2)}
    for call in (
        lambda: database.read_results(connection, "notes"),
        lambda: database.add_result(connection, "k", payload(1), "notes; --"),
    ):
        with pytest.raises(ValueError, match="expected a table among runs, graphs, got 'notes"):
            call()
    connection.close()


def test_the_last_note_of_a_name_stays_and_is_there_after_reopening(tmp_path):
    connection = database.open_store(tmp_path)
    assert database.read_note(connection, "asked") is None
    database.write_note(connection, "asked", {"a": [1, math.nan]})
    database.write_note(connection, "state", {"k": "begun"})
    database.write_note(connection, "state", {"k": "done"})
    connection.close()
    again = database.open_to_read(tmp_path)
    assert (database.read_note(again, "asked"), database.read_note(again, "state")) == ({"a": [1, None]}, {"k": "done"})
    with pytest.raises(OSError, match="readonly"):
        database.write_note(again, "state", {"k": "changed"})
    again.close()


def old_store(folder):
    """A store as format 1 made it."""
    with sqlite3.connect(folder / database.DATABASE_NAME) as connection:
        connection.execute(f"PRAGMA application_id = {database.APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        connection.execute(
            "CREATE TABLE runs (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, payload TEXT NOT NULL, "
            "finished TEXT NOT NULL)"
        )
        connection.execute("INSERT INTO runs VALUES (1, 'k', '{\"x\": 2}', 'then')")
    connection.close()


def test_a_store_of_the_format_before_is_read_and_taken_over(tmp_path):
    old_store(tmp_path)
    reading = database.open_to_read(tmp_path)
    assert database.read_results(reading) == {"k": {"x": 2}}
    assert database.read_results(reading, "graphs") == {}
    assert database.read_note(reading, "asked") is None
    reading.close()
    writing = database.open_store(tmp_path)
    database.add_result(writing, "g", payload(3), "graphs")
    database.write_note(writing, "asked", 1)
    assert (database.read_results(writing), database.read_results(writing, "graphs")) == (
        {"k": {"x": 2}},
        {"g": payload(3)},
    )
    assert writing.execute("PRAGMA user_version").fetchone() == (database.FORMAT_VERSION,)
    writing.close()
