"""The status of a study, read from the store alone: config, progress, whether it runs, how to continue."""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from .config import StudyConfig
from .running import database, step_timing
from .running.task_table import TaskTable, read_request
from .stored_values import NUMBER, TEXT, check_fields
from .tasks import GRAPHS, RATES, RUNS

NOT_BEGUN, RUNNING, STOPPED, FINISHED, OLDER = "not begun", "running", "stopped", "finished", "of an older version"
# A process on another machine cannot be checked. Such a study counts as running if its last sign of life is at most
# _START seconds, plus _GAPS times the median gap between its last _RECENT results, ago.
_GAPS, _RECENT, _START = 5, 20, 60.0
_NONE = type(None)
_KINDS_OF_NOTE = {"process": (_NONE, int), "left": (_NONE, *NUMBER)}
_KINDS_OF_NOTE |= dict.fromkeys(("folder", "host", "store", "when"), TEXT)


@dataclass(frozen=True)
class Status:
    """The progress of a study; times are in UTC.

    Args:
        folder: the folder of the study.
        state: "not begun", "running", "stopped", "finished" or "of an older version".
        config: the config of the last call, None before any call.
        counts: phase -> (results stored, tasks in all).
        failed: number of runs whose loss stopped being finite.
        impossible: the reasons why nets are left out, with skip_impossible.
        began: when the study began.
        last: when the last result was stored.
        seconds_left: seconds to the end, None while unknown; for a stopped study, seconds from when it continues.
        host: the machine on which the study runs or last ran.
        process: the process id on this machine, None if the process ended by itself.
        command: the command that last started the study, "" if unknown.
        is_moved: whether the store was in another folder when the study last ran, so that the command names that one.
        trouble: the reason why the study cannot continue, "" if it can.
    """

    folder: str
    state: str
    config: StudyConfig | None = None
    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    failed: int = 0
    impossible: tuple[str, ...] = ()
    began: datetime | None = None
    last: datetime | None = None
    seconds_left: float | None = None
    host: str = ""
    process: int | None = None
    command: str = ""
    is_moved: bool = False
    trouble: str = ""


def status(folder: str | Path) -> Status:
    """Read the status of a study, which may be running on this or on another machine. The data are not needed.

    Args:
        folder: the folder of the study.

    Raises:
        ValueError: if the folder holds another or a damaged database.
        FileNotFoundError: if there is no such folder.
        OSError: if the store cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     status(folder).state
        'not begun'
    """
    folder_name = str(folder)
    if not Path(folder).is_dir():
        state = "is a file" if Path(folder).exists() else "does not exist"
        raise FileNotFoundError(f"expected the folder of a study, got {folder_name!r}, which {state}; check the path")
    if not (Path(folder) / database.DATABASE_NAME).exists():
        return Status(folder_name, NOT_BEGUN)
    with database.explain_damage(folder):
        return _read_status(folder_name)


def _read_status(folder_name: str) -> Status:
    connection = database.open_to_read(folder_name)
    try:
        request = read_request(connection)
        note = database.read_note(connection, "state") or {}
        if request is None:
            has_results = any(database.read_results(connection, table) for table in database.TABLES)
            return Status(folder_name, OLDER if has_results else NOT_BEGUN)
        table = TaskTable(request[0], connection)
        trouble = _choose_rates(table)
        with database.explain_damage(database.find_path(connection)):
            untimed = table.plan.config.timing and not step_timing.read_timings(connection, table.plan)
            check_fields({**dict.fromkeys(_KINDS_OF_NOTE, ""), "process": 0, "left": 0.0, **note}, _KINDS_OF_NOTE)
            return _describe_table(folder_name, table, datetime.fromisoformat(request[1]), note, trouble, untimed)
    finally:
        connection.close()


def _describe_table(
    folder_name: str, table: TaskTable, requested: datetime, note: Mapping[str, Any], trouble: str, untimed: bool
) -> Status:
    """Describe the progress of a study by its tasks and by the note of its last process."""
    phases = (GRAPHS, RATES) if trouble else (GRAPHS, RATES, RUNS)
    counts = {phase: table.count(phase) for phase in phases}
    payloads = [payload for phase in phases for payload in table.list_payloads(phase)]
    finished = sorted(_read_times(payloads, "finished"))
    last_sign_of_life = max(requested, datetime.fromisoformat(note["when"])) if note.get("when") else requested
    now = datetime.now(UTC)
    state, seconds_left = STOPPED, note.get("left")
    if _is_running(note, last_sign_of_life, finished, now):
        state, seconds_left = (
            RUNNING,
            seconds_left and max(0.0, seconds_left - (now - last_sign_of_life).total_seconds()),
        )
    elif not trouble and not untimed and all(done == total for done, total in counts.values()):
        state, seconds_left = FINISHED, 0.0
    return Status(
        folder_name,
        state,
        table.plan.config,
        counts,
        failed=sum("failed" in payload for payload in table.list_payloads(RUNS)) if RUNS in phases else 0,
        impossible=tuple(dict.fromkeys(table.plan.impossible.values())),
        began=min([requested, *_read_times(payloads, "started")]),
        last=finished[-1] if finished else None,
        seconds_left=seconds_left,
        host=note.get("host", ""),
        process=note.get("process"),
        command=_rebuild_command(note),
        is_moved=Path(note.get("store", table.path)).resolve() != Path(table.path).resolve(),
        trouble=trouble,
    )


def describe_status(status: Status) -> list[str]:
    """Describe a status in lines of text.

    Example:
        >>> describe_status(Status("study", NOT_BEGUN))
        ['study: not begun', 'the folder holds no study']
    """
    lines = [f"{status.folder}: {status.state}"]
    if status.state == NOT_BEGUN:
        lines.append("the folder holds no study")
    if status.state == OLDER:
        lines.append("its results are not counted by this version, which begins anew in the same folder")
    if status.config is not None:
        lines.append(f"config: {_describe_config(status.config)}")
    for phase, (done, total) in status.counts.items():
        failed = f", {status.failed} failed: their loss stopped being finite" if phase == RUNS and status.failed else ""
        if total:
            lines.append(f"{phase}: {done} of {total}{failed}")
    lines += [f"left out: {reason}" for reason in status.impossible]
    if status.began is not None:
        last = f", last result {_format_time(status.last)}" if status.last else ", no result so far"
        lines.append(f"begun {_format_time(status.began)}{last}")
    time_left = "an unknown time" if status.seconds_left is None else f"about {_format_duration(status.seconds_left)}"
    if status.state == RUNNING:
        lines.append(f"runs on {status.host or 'a machine unknown'}, {time_left} left")
    if status.state == STOPPED:
        lines.append(f"last ran on {status.host or 'a machine unknown'}, {time_left} left once it goes on")
        moved = (
            f", with -o {shlex.quote(status.folder)} for the folder that was moved or copied" if status.is_moved else ""
        )
        lines.append(status.trouble or f"to go on: {status.command or 'run the same command again'}{moved}")
    return lines


def _choose_rates(table: TaskTable) -> str:
    """Choose the learning rates as far as possible; return the reason why the study cannot continue, "" if it can."""
    try:
        table.choose_rates()
    except RuntimeError as error:  # no learning rate gave a finite loss
        return str(error)
    return ""


def _is_running(note: Mapping[str, Any], last_sign: datetime, finished: Sequence[datetime], now: datetime) -> bool:
    """Return whether a study runs: by its process if this is on this machine, otherwise by its last results."""
    process = note.get("process")
    if process is None:
        return False
    if note["host"] == platform.node() and os.name == "posix":
        return _is_alive(process, last_sign)
    recent = finished[-_RECENT:]
    gap = median((b - a).total_seconds() for a, b in pairwise(recent)) if len(recent) > 1 else 0.0
    return now - last_sign < timedelta(seconds=_START + _GAPS * gap)


def _is_alive(process: int, last_sign: datetime) -> bool:
    """Return whether a process of this machine still runs, and its number does not belong to a later process."""
    try:
        os.kill(process, 0)
        state, *fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    except FileNotFoundError:  # not every system has /proc
        return not Path("/proc/self/stat").exists()
    start_time = int(boot.split()[1]) + int(fields[18]) / os.sysconf("SC_CLK_TCK")
    return state not in "ZX" and start_time < last_sign.timestamp() + _START


def _rebuild_command(note: Mapping[str, Any]) -> str:
    words = note.get("command") or ["-c"]
    if "-c" in words[:2]:
        return ""
    positions = [k for k, word in enumerate(words[1:3], 1) if Path(word).name == "prewired"]
    typed = shlex.join(["prewired", *words[positions[0] + 1 :]] if positions else words)
    return typed if note["folder"] == str(Path.cwd()) else f"cd {shlex.quote(note['folder'])} && {typed}"


def _describe_config(config: StudyConfig) -> str:
    lists = {
        "data": config.data,
        "families": config.families,
        "densities": config.densities,
        "edges": config.edges,
        "controls": config.controls,
        "inits": config.inits,
        "learning rates": config.learning_rates,
    }
    parts = [f"{name} {', '.join(map(str, values))}" for name, values in lists.items() if values]
    return "; ".join([*parts, f"graph seeds {config.graph_seeds}", f"training seeds {config.train_seeds}"])


def _read_times(payloads: Sequence[Mapping[str, Any]], name: str) -> list[datetime]:
    return [datetime.fromisoformat(payload[name]) for payload in payloads]


def _format_time(time: datetime) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S}"


def _format_duration(seconds: float) -> str:
    """Format a duration for people.

    Example:
        >>> _format_duration(40), _format_duration(600), _format_duration(9000), _format_duration(200_000)
        ('40 s', '10 min', '2.5 h', '2.3 days')
    """
    for limit, size, text in ((100, 1, "{:.0f} s"), (6000, 60, "{:.0f} min"), (172_800, 3600, "{:.1f} h")):
        if seconds < limit:
            return text.format(seconds / size)
    return f"{seconds / 86_400:.1f} days"
