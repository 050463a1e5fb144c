"""The progress of a study, and an estimate of the time that remains."""

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
from ..nets import count_dense_edges, is_reference
from ..tasks import PHASES, GraphTask, Task
from .engines import OnEpoch
from .task_table import TaskTable

# Rough seconds of the parts of a study. Only their ratios matter, because the time so far gives the scale.
_PER_GRAPH, _PER_ROW, _PER_ROW_AND_WEIGHT = 1.0, 7e-6, 7e-11
_TYPICAL_ROWS = 50_000
TIMING = "timing"


@dataclass(frozen=True)
class Step:
    """The progress of a study after an epoch of a training, or (with `payload`) after a result was stored."""

    phase: str  # a name in PHASES, or TIMING
    task: Task | None  # None while training steps are timed
    epoch: int  # finished epochs of this task
    done: int  # stored results of this phase
    total: int  # tasks of this phase
    seconds_left: float | None  # seconds to the end of the study, None while unknown
    payload: Mapping[str, Any] | None = None


Progress = Callable[[Step], None]


class Eta:
    """Counts finished work, estimates the remaining time, and calls `progress` with every step.

    Args:
        table: the tasks of the study.
        progress: called with every step.
    """

    def __init__(self, table: TaskTable, progress: Progress | None) -> None:
        self._table, self._config, self._progress = table, table.plan.config, progress
        self._counts = {phase: table.count(phase) for phase in PHASES}
        self._total_work = sum(
            estimate_work(task, self._config) for phase in PHASES for task in table.list_missing(phase)
        )
        self._start, self._finished_work = time.monotonic(), 0.0
        self._partial_work: dict[Task, float] = {}

    def begin(self, phase: str) -> OnEpoch:
        """Begin a phase, and return the function that its engine calls after each epoch of a task."""
        self._counts[phase] = self._table.count(phase)  # results of the previous phase may have changed the tasks

        def on_epoch(task: Task, epoch: int) -> None:
            self._partial_work[task] = estimate_work(task, self._config) * epoch / count_epochs(task, self._config)
            self._report(phase, task, epoch, None)

        return on_epoch

    def add_result(self, phase: str, task: Task, payload: Mapping[str, Any]) -> None:
        """Count a stored result."""
        self._partial_work.pop(task, None)
        self._finished_work += estimate_work(task, self._config)
        done, total = self._counts[phase]
        self._counts[phase] = done + 1, total
        self._report(phase, task, count_epochs(task, self._config), payload)

    def report_timing(self, done: int, total: int) -> None:
        """Report the timing of training steps: turns done, turns in all."""
        if self._progress is not None:
            self._progress(Step(TIMING, None, 0, done, total, None))

    def describe_state(self, phase: str) -> dict[str, Any]:
        """Return the note from which `prewired status` describes a running study."""
        return {
            "phase": phase,
            "counts": self._counts,
            "left": self._estimate_seconds_left(),
            "process": os.getpid(),
            "host": platform.node(),
            "command": sys.orig_argv,
            "folder": str(Path.cwd()),  # the folder in which the command was typed
            "store": self._table.path,
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def _estimate_seconds_left(self) -> float | None:
        finished_work = self._finished_work + sum(self._partial_work.values())
        return (
            (time.monotonic() - self._start) * (self._total_work - finished_work) / finished_work
            if finished_work
            else None
        )

    def _report(self, phase: str, task: Task, epoch: int, payload: Mapping[str, Any] | None) -> None:
        if self._progress is not None:
            done, total = self._counts[phase]
            self._progress(Step(phase, task, epoch, done, total, self._estimate_seconds_left(), payload))


def count_epochs(task: Task, config: StudyConfig) -> int:
    """Count the epochs of a task, at least 1."""
    if isinstance(task, GraphTask):
        return 1
    return config.training(task.train_seed, task.learning_rate, tuning=task.tuning).epochs


def estimate_work(task: Task, config: StudyConfig) -> float:
    """Estimate the work of a task in an arbitrary unit that is proportional to seconds."""
    if isinstance(task, GraphTask):
        return _PER_GRAPH
    sizes = task.net.sizes
    dense = sum(a * b for a, b in pairwise(sizes))
    weights = (
        dense if is_reference(task.net) else (task.net.density or 1) * count_dense_edges(sizes) + sizes[-1] * sizes[-2]
    )
    rows = config.train_rows or _TYPICAL_ROWS
    return count_epochs(task, config) * rows * (_PER_ROW + _PER_ROW_AND_WEIGHT * weights)
