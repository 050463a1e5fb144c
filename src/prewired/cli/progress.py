"""How far a study is: a bar with an estimate on a terminal, elsewhere a line now and then. Both go to stderr."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..study.running.eta import Step

SECONDS_BETWEEN_LINES = 20


@contextmanager
def study_progress() -> Iterator[Callable[[Step], None]]:
    """What a study is to call with its steps."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _plain()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.table import Column

    # the description and the bar share what the count and the estimate leave of the terminal's width
    description = TextColumn("{task.description}", table_column=Column(ratio=3, no_wrap=True, overflow="ellipsis"))
    shown = (description, BarColumn(None, table_column=Column(ratio=1)), MofNCompleteColumn())
    with Progress(*shown, TextColumn("{task.fields[left]}"), console=console, expand=True) as bar:
        task = bar.add_task("looking at the data", total=None, left="")

        def show(step: Step) -> None:
            text = step.phase if step.task is None else f"{step.phase}: {step.task}"
            bar.update(task, description=text, total=step.total, completed=step.done, left=time_left(step.left))

        yield show


@contextmanager
def counted(what: str) -> Iterator[Callable[[int, int], None]]:
    """What a loop is to call with (done, in all); a bar on a terminal, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total: None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _plain() -> Callable[[Step], None]:
    """A line for the first result of each phase, for the last, and every so many seconds."""
    last = -math.inf

    def show(step: Step) -> None:
        nonlocal last
        due = time.monotonic() - last > SECONDS_BETWEEN_LINES or step.done in (1, step.total)
        if step.payload is None or not due:
            return
        last = time.monotonic()
        run = step.payload.get("run", {})
        value = run.get("test_score", math.nan)  # NaN where the test data was not looked at, or the training failed
        score = "" if math.isnan(value) else f" {run['score_name']} {value:.4f}"
        left = time_left(step.left)
        line = f"{step.phase} [{step.done}/{step.total}] {step.task}{score and ':' + score}{left and ', ' + left}"
        print(line, file=sys.stderr, flush=True)

    return show


def time_left(seconds: float | None) -> str:
    """The estimate as text, empty where there is none.

    Example:
        >>> time_left(600), time_left(None), time_left(0.0)
        ('about 10 min left', '', '')
    """
    return f"about {duration(seconds)} left" if seconds else ""


def duration(seconds: float) -> str:
    """Seconds, minutes or hours.

    Example:
        >>> [duration(seconds) for seconds in (1.2, 99, 600, 7200)]
        ['2 s', '99 s', '10 min', '2.0 h']
    """
    if seconds < 100:
        return f"{math.ceil(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
