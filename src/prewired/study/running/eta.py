"""How far a study is and how long it may still take."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..config import StudyConfig
from ..grid import is_reference, room
from .engines import Told
from .task_table import PHASES, Ledger
from .tasks import Graphs, Task

# Rough seconds, by which the parts of a study are weighed against each other; only their ratios count.
_PER_GRAPH, _PER_ROW, _PER_ROW_AND_WEIGHT = 1.0, 7e-6, 7e-11
_TYPICAL_ROWS = 50_000
TIMING = "timing"


@dataclass(frozen=True)
class Step:
    """Where a study stands: after each epoch of a training, and (with `payload`) when a result is stored."""

    phase: str  # one of PHASES, or TIMING
    task: Task | None  # None while training steps are timed
    epoch: int  # of this task
    done: int  # results of this phase that are stored
    total: int
    left: float | None  # seconds to the end of the study, None while unknown
    payload: Mapping[str, Any] | None = None


Progress = Callable[[Step], None]


class Clock:
    """Counts the work that is done, and calls `progress` with every step."""

    def __init__(self, ledger: Ledger, progress: Progress | None) -> None:
        self._ledger, self._config, self._progress = ledger, ledger.config, progress
        self._counts = {phase: ledger.count(phase) for phase in PHASES}
        self._todo = sum(cost(task, self._config) for phase in PHASES for task in ledger.missing(phase))
        self._start, self._done = time.monotonic(), 0.0
        self._under_way: dict[Task, float] = {}

    def told(self, phase: str) -> Told:
        """What an engine calls after each epoch of a task of a phase that begins."""
        self._counts[phase] = self._ledger.count(phase)  # what came out of the one before may have changed its tasks

        def told(task: Task, epoch: int) -> None:
            self._under_way[task] = cost(task, self._config) * epoch / epochs(task, self._config)
            self._tell(phase, task, epoch, None)

        return told

    def stored(self, phase: str, task: Task, payload: Mapping[str, Any]) -> None:
        """Take a result into account."""
        self._under_way.pop(task, None)
        self._done += cost(task, self._config)
        done, total = self._counts[phase]
        self._counts[phase] = done + 1, total
        self._tell(phase, task, epochs(task, self._config), payload)

    def timed(self, done: int, total: int) -> None:
        """What the timing of training steps calls with (turns taken, turns in all)."""
        if self._progress is not None:
            self._progress(Step(TIMING, None, 0, done, total, None))

    def state(self, phase: str) -> dict[str, Any]:
        """What `prewired status` shows of a study that is running."""
        return {
            "phase": phase,
            "counts": self._counts,
            "left": self._left(),
            "process": os.getpid(),
            "host": platform.node(),
            "command": sys.orig_argv,
            "folder": str(Path.cwd()),  # in which that was typed
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def _left(self) -> float | None:
        done = self._done + sum(self._under_way.values())
        return (time.monotonic() - self._start) * (self._todo - done) / done if done else None

    def _tell(self, phase: str, task: Task, epoch: int, payload: Mapping[str, Any] | None) -> None:
        if self._progress is not None:
            done, total = self._counts[phase]
            self._progress(Step(phase, task, epoch, done, total, self._left(), payload))


def epochs(task: Task, config: StudyConfig) -> int:
    """The epochs of a task, at least one."""
    if isinstance(task, Graphs):
        return 1
    return config.training(task.train_seed, task.learning_rate, tuning=task.tuning).epochs


def cost(task: Task, config: StudyConfig) -> float:
    """Roughly how long a task takes, in a unit of its own."""
    if isinstance(task, Graphs):
        return _PER_GRAPH
    sizes = task.net.sizes
    dense = sum(a * b for a, b in pairwise(sizes))
    weights = dense if is_reference(task.net) else (task.net.density or 1) * room(sizes) + sizes[-1] * sizes[-2]
    rows = config.train_rows or _TYPICAL_ROWS
    return epochs(task, config) * rows * (_PER_ROW + _PER_ROW_AND_WEIGHT * weights)
