"""How far a study is, from its store alone: what was asked, what is done, whether it runs, how to go on."""

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

from .config import StudyConfig, from_dict
from .results import Facts
from .running import database, step_timing
from .running.task_table import PHASES, RUNS, Ledger

NOT_BEGUN, RUNNING, STOPPED, FINISHED, OLDER = "not begun", "running", "stopped", "finished", "of an older version"
_GAPS, _RECENT = 5, 20  # on another machine a study runs if its last result is at most that many gaps between recent
_START = 60.0  # ones old, and this many seconds


@dataclass(frozen=True)
class Status:
    """How far a study is; times are in UTC."""

    folder: str
    state: str  # one of the five above
    config: StudyConfig | None = None
    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # phase -> (results stored, tasks in all)
    failed: int = 0  # runs whose loss stopped being finite
    impossible: tuple[str, ...] = ()  # why nets are left out, with skip_impossible
    began: datetime | None = None
    last: datetime | None = None  # when the last result came
    left: float | None = None  # seconds to the end, None while unknown; of a stopped study, once it goes on
    host: str = ""  # where it runs or last ran
    process: int | None = None  # there, None where it ended by itself
    command: str = ""  # by which it was last started, where that is known
    trouble: str = ""  # why it cannot go on


def status(folder: str | Path) -> Status:
    """How far a study is, which may be running meanwhile, here or elsewhere. The data are not needed.

    Args:
        folder: of the study.

    Raises:
        ValueError: if another database is in the folder, or a damaged one.
        OSError: if the store cannot be read.

    Example:
        >>> status("a folder that is not there").state
        'not begun'
    """
    where = str(folder)
    if not (Path(folder) / database.FILE_NAME).exists():
        return Status(where, NOT_BEGUN)
    connection = database.open_to_read(folder)
    try:
        asked, noted = database.noted(connection, "asked"), database.noted(connection, "state") or {}
        results = {**database.load(connection, "graphs"), **database.load(connection, "runs")}
        if asked is None:
            return Status(where, OLDER if results else NOT_BEGUN)
        config = from_dict(asked["config"], where)
        ledger = Ledger(config, {name: Facts(**values) for name, values in asked["facts"].items()}, connection)
        untimed = config.timing and not step_timing.kept(connection, config, ledger.nets())
    finally:
        connection.close()
    keys, trouble = _keys(ledger)
    payloads = [results[key] for phase in keys.values() for key in phase if key in results]
    counts = {phase: (sum(key in results for key in asked_for), len(asked_for)) for phase, asked_for in keys.items()}
    finished = sorted(datetime.fromisoformat(payload["finished"]) for payload in payloads)
    heard = datetime.fromisoformat(max(asked["when"], noted.get("when", "")))
    now = datetime.now(UTC)
    state, left = STOPPED, noted.get("left")
    if _runs(noted, heard, finished, now):
        state, left = RUNNING, left and max(0.0, left - (now - heard).total_seconds())
    elif not trouble and not untimed and all(done == total for done, total in counts.values()):
        state, left = FINISHED, 0.0
    return Status(
        where,
        state,
        config,
        counts,
        failed=sum("failed" in results[key] for key in keys.get(RUNS, ()) if key in results),
        impossible=tuple(dict.fromkeys(ledger.impossible().values())),
        began=min([datetime.fromisoformat(asked["when"]), *_times(payloads, "started")]),
        last=finished[-1] if finished else None,
        left=left,
        host=noted.get("host", ""),
        process=noted.get("process"),
        command=_command(noted),
        trouble=trouble,
    )


def lines(found: Status) -> list[str]:
    """A status in words.

    Example:
        >>> lines(Status("study", NOT_BEGUN))
        ['study: not begun']
    """
    said = [f"{found.folder}: {found.state}"]
    if found.state == OLDER:
        said.append("its results are not counted by this version, which begins anew in the same folder")
    if found.config is not None:
        said.append(f"asked: {_asked(found.config)}")
    for phase, (done, total) in found.counts.items():
        failed = f", {found.failed} failed: their loss stopped being finite" if phase == RUNS and found.failed else ""
        if total:
            said.append(f"{phase}: {done} of {total}{failed}")
    said += [f"left out: {reason}" for reason in found.impossible]
    if found.began is not None:
        last = f", last result {_local(found.last)}" if found.last else ", no result so far"
        said.append(f"begun {_local(found.began)}{last}")
    left = "an unknown time" if found.left is None else f"about {_span(found.left)}"
    if found.state == RUNNING:
        said.append(f"runs on {found.host or 'a machine unknown'}, {left} left")
    if found.state == STOPPED:
        said.append(f"last ran on {found.host or 'a machine unknown'}, {left} left once it goes on")
        said.append(found.trouble or f"to go on: {found.command or 'run the same command again'}")
    return said


def _keys(ledger: Ledger) -> tuple[dict[str, list[str]], str]:
    """The keys of every phase, and why there are no further ones."""
    keys = {}
    try:
        for phase in PHASES:
            keys[phase] = list(ledger.tasks(phase))
    except RuntimeError as error:  # no learning rate was good
        return keys, str(error)
    return keys, ""


def _runs(noted: Mapping[str, Any], heard: datetime, finished: Sequence[datetime], now: datetime) -> bool:
    """Whether a study runs that was last heard of then: by its process if that is here, else by its last results."""
    process = noted.get("process")
    if process is None:
        return False
    if noted["host"] == platform.node() and os.name == "posix":
        return _alive(process, heard)
    recent = finished[-_RECENT:]
    gap = median((b - a).total_seconds() for a, b in pairwise(recent)) if len(recent) > 1 else 0.0
    return now - heard < timedelta(seconds=_START + _GAPS * gap)


def _alive(process: int, heard: datetime) -> bool:
    """Whether a process of this machine that was heard of then is still there, and no later one has its number."""
    try:
        os.kill(process, 0)
        state, *rest = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    except FileNotFoundError:  # not every system has /proc
        return not Path("/proc/self/stat").exists()
    begun = int(boot.split()[1]) + int(rest[18]) / os.sysconf("SC_CLK_TCK")
    return state not in "ZX" and begun < heard.timestamp() + _START


def _command(noted: Mapping[str, Any]) -> str:
    words = noted.get("command") or ["-c"]
    if "-c" in words[:2]:
        return ""
    named = [k for k, word in enumerate(words[1:3], 1) if Path(word).name == "prewired"]
    typed = shlex.join(["prewired", *words[named[0] + 1 :]] if named else words)
    return typed if noted["folder"] == str(Path.cwd()) else f"cd {shlex.quote(noted['folder'])} && {typed}"


def _asked(config: StudyConfig) -> str:
    many = {
        "data": config.data,
        "families": config.families,
        "densities": config.densities,
        "edges": config.edges,
        "controls": config.controls,
        "inits": config.inits,
        "learning rates": config.learning_rates,
    }
    listed = [f"{name} {', '.join(map(str, values))}" for name, values in many.items() if values]
    return "; ".join([*listed, f"graph seeds {config.graph_seeds}", f"training seeds {config.train_seeds}"])


def _times(payloads: Sequence[Mapping[str, Any]], name: str) -> list[datetime]:
    return [datetime.fromisoformat(payload[name]) for payload in payloads]


def _local(time: datetime) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S}"


def _span(seconds: float) -> str:
    """A time as people say it.

    Example:
        >>> _span(40), _span(600), _span(9000), _span(200_000)
        ('40 s', '10 min', '2.5 h', '2.3 days')
    """
    for most, size, text in ((100, 1, "{:.0f} s"), (6000, 60, "{:.0f} min"), (172_800, 3600, "{:.1f} h")):
        if seconds < most:
            return text.format(seconds / size)
    return f"{seconds / 86_400:.1f} days"
