"""The store of a study: an SQLite file. Each result is a committed row, safe even if the process is killed."""

from __future__ import annotations

import json
import math
import platform
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from ..._version import __version__

DATABASE_NAME = "runs.sqlite"
APPLICATION_ID = 0x70776472  # "pwdr", in the header of the file
FORMAT_VERSION = 2  # version 1 had no tables of graphs and notes
TABLES = ("runs", "graphs")
WRITABLE = "choose a folder that can be written to, and run one study at a time in it"
REPORT_FILES = (
    "results.csv",
    "results.parquet",
    "table.md",
    "summary.json",
    "report.html",
    "*.png",
)  # written beside the store

Connection = sqlite3.Connection


def to_canonical_json(value: object) -> str:
    """Write a value as strict JSON with sorted keys and no spaces; numbers that are not finite become null.

    Example:
        >>> to_canonical_json({"b": float("nan"), "a": (1, 2.5)})
        '{"a":[1,2.5],"b":null}'
    """
    return json.dumps(replace_non_finite(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def replace_non_finite(value: Any) -> Any:
    """Replace each number that is not finite by None, in nested dicts and lists."""
    if isinstance(value, Mapping):
        return {str(name): replace_non_finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [replace_non_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def open_store(folder: str | Path) -> Connection:
    """Open the store in a study's folder; create the folder and the store if they do not exist.

    Raises:
        ValueError: if the file is no study store or has a newer format, or if the folder has no store but files that a
            report would overwrite.
        OSError: if the store cannot be opened or created.
    """
    path = Path(folder) / DATABASE_NAME
    report_files = (
        [] if path.exists() else sorted(file.name for name in REPORT_FILES for file in path.parent.glob(name))
    )
    if report_files:
        raise ValueError(
            f"expected a new folder or that of a study, got {folder} with {report_files[0]} and no {DATABASE_NAME}; "
            "choose another folder"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"cannot make the folder {folder}: {error.strerror}; {WRITABLE}") from error
    with _explain_errors(path):
        connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    return _check_or_close(_check_or_create, connection, path)


def open_to_read(folder: str | Path) -> Connection:
    """Open the store of a study for reading only; the study may be running, and the file may be read-only.

    Raises:
        ValueError: if the file is no study store or has a newer format.
        OSError: if the folder has no store, or the store cannot be opened.
    """
    path = Path(folder) / DATABASE_NAME
    if not path.exists():
        raise OSError(
            f"expected a study in {folder}, got no {DATABASE_NAME} there; correct the folder, or run the study first"
        )
    with _explain_errors(path):
        # Not mode=ro: if a process was killed while it wrote, SQLite must roll its half-written change back first.
        # Where the system allows no writing, mode=rw opens the file for reading.
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=30)
        connection.execute("PRAGMA query_only = ON")
    return _check_or_close(_check, connection, path)


def _check_or_close(check: Callable[[Connection, Path], None], connection: Connection, path: Path) -> Connection:
    try:
        with _explain_errors(path):
            check(connection, path)
    except (OSError, ValueError):
        connection.close()
        raise
    return connection


@contextmanager
def _explain_errors(path: str | Path) -> Iterator[None]:
    """Raise SQLite's errors as OSError (locked, read-only, disk full) or ValueError (damaged), with path and remedy."""
    try:
        yield
    except sqlite3.OperationalError as error:
        code = getattr(error, "sqlite_errorname", "")
        if code in ("", "SQLITE_ERROR"):  # text that is no UTF-8, or tables that are not those of a store
            raise _damaged(path, error) from error
        remedy = "make room on the disk and run again; all results so far are stored" if "FULL" in code else WRITABLE
        raise OSError(f"cannot use {path}: {error}; {remedy}") from error
    except (sqlite3.DatabaseError, TypeError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise _damaged(path, error) from error


def _damaged(path: str | Path, error: object) -> ValueError:
    return ValueError(
        f"expected a study store, got {path} ({' '.join(str(error).split())}); choose another folder, or move that "
        "file away and run again"
    )


@contextmanager
def explain_damage(folder: str | Path) -> Iterator[None]:
    """Raise ValueError, with folder and remedy, if what a store holds is not what a study writes.

    Args:
        folder: the folder of the study, or the file of its store.
    """
    try:
        yield
    except (AttributeError, LookupError, TypeError, ArithmeticError, RecursionError) as error:
        raise _damaged(folder, f"a row that no study wrote: {error!r:.200}") from error
    except ValueError as error:
        if str(folder) in str(error):
            raise
        raise _damaged(folder, error) from error


def find_path(connection: Connection) -> str:
    """Find the path of a store's file."""
    return connection.execute("PRAGMA database_list").fetchone()[2]


def _check_or_create(connection: Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    n_tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application_id == 0 and n_tables == 0:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    else:
        _check(connection, path)
    for table in TABLES:
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {table} "
            "(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, payload TEXT NOT NULL, finished TEXT NOT NULL)"
        )
    connection.execute("CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
    connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
    connection.execute("COMMIT")


def _check(connection: Connection, path: Path) -> None:
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application_id != APPLICATION_ID:
        raise ValueError(f"expected a study store, got another database in {path}; choose another folder")
    if version > FORMAT_VERSION:
        raise ValueError(
            f"expected a study store of format {FORMAT_VERSION} or older, got format {version} in {path}; "
            "update prewired"
        )


def add_result(connection: Connection, key: str, payload: Mapping[str, Any], table: str = "runs") -> None:
    """Store a result, unless the key already has a result. The row is on disk when this function returns.

    Args:
        connection: to the store.
        key: all that determines the result, as canonical JSON.
        payload: the result; `payload["finished"]` is the time at which the task ended.
        table: "runs" or "graphs".

    Raises:
        ValueError: if the file is damaged.
        OSError: if the file cannot be written.
    """
    with _explain_errors(find_path(connection)):
        connection.execute(
            f"INSERT INTO {_check_table(table)} (key, payload, finished) VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING",
            (key, json.dumps(replace_non_finite(payload), allow_nan=False), payload["finished"]),
        )


def read_results(connection: Connection, table: str = "runs") -> dict[str, dict[str, Any]]:
    """Read all results of a table: key as canonical JSON -> payload, in the order of storing.

    Raises:
        ValueError: if the file is damaged.
    """
    with _explain_errors(find_path(connection)):
        _check_table(table)
        if _is_older(connection) and not _has_table(connection, table):
            return {}
        rows = connection.execute(f"SELECT key, payload FROM {table} ORDER BY id")
        return {_check_kind(key, str): _check_kind(json.loads(payload), dict) for key, payload in rows}


def write_note(connection: Connection, name: str, value: Mapping[str, Any]) -> None:
    """Store a value under a name, instead of the last value. The value is on disk when this function returns.

    Raises:
        ValueError: if the file is damaged.
        OSError: if the file cannot be written.
    """
    with _explain_errors(find_path(connection)):
        connection.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, json.dumps(replace_non_finite(value))))


def read_note(connection: Connection, name: str) -> dict[str, Any] | None:
    """Read the value that `write_note` stored under a name, None if the name has no value.

    Raises:
        ValueError: if the file is damaged.
    """
    with _explain_errors(find_path(connection)):
        if _is_older(connection) and not _has_table(connection, "notes"):
            return None
        row = connection.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return None if row is None else _check_kind(json.loads(row[0]), dict)


def _check_kind(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"expected {kind.__name__} in a row, got {value!r:.80}")
    return value


def _is_older(connection: Connection) -> bool:
    """Whether the store may lack the tables that version 1 did not have."""
    return connection.execute("PRAGMA user_version").fetchone()[0] < FORMAT_VERSION


def _has_table(connection: Connection, table: str) -> bool:
    cursor = connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
    return cursor.fetchone()[0] == 1


def _check_table(table: str) -> str:
    if table not in TABLES:
        raise ValueError(f"expected a table among {', '.join(TABLES)}, got {table!r}")
    return table


def read_versions() -> dict[str, str]:
    """List the versions of the packages on which results depend; each result stores them."""
    packages = {name: metadata.version(name) for name in ("torch", "numpy")}
    return {"python": platform.python_version(), **packages, "prewired": __version__}
