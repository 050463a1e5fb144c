"""Progress of long work: a bar on a terminal, elsewhere a line now and then. Both go to stderr."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

from ..study.running.eta import Step

SECONDS_BETWEEN_LINES = 20


@contextmanager
def study_progress() -> Iterator[Callable[[Step], None]]:
    """Show the steps of a study; the context is the function to call with each step."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _print_lines()
        return
    with _progress(console, TextColumn("{task.fields[left]}"), transient=False) as bar:
        task = bar.add_task("looking at the data", total=None, left="")

        def show(step: Step) -> None:
            text = step.phase if step.task is None else f"{step.phase}: {step.task}"
            bar.update(task, description=text, total=step.total, completed=step.done, left=time_left(step.seconds_left))

        yield show


@contextmanager
def measure_progress(n_tasks: int) -> Iterator[Callable[..., None]]:
    """Show measurements on a terminal.

    The context is the function to call with the number of a task, its title, its metric, its steps so far and the
    expected steps.
    """
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    with _progress(Console(stderr=True), TimeElapsedColumn(), transient=True) as bar:
        task = bar.add_task("", total=n_tasks)

        def show(place: int, title: str, name: str, steps: int, expected: int | None) -> None:
            total = f" of about {expected:,}" if expected is not None and steps <= expected else ""
            step = f", step {steps:,}{total}" if steps else ""
            bar.update(task, completed=place, description=f"{title}: {name}{step}")

        yield show


@contextmanager
def loop_progress(text: str) -> Iterator[Callable[[int, int], None]]:
    """Show a loop on a terminal; the context is the function to call with the passes done and the total passes."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda n_done, total: None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(text, total=None)
        yield lambda n_done, total: bar.update(task, completed=n_done, total=total)


def _progress(console: Console, last: ProgressColumn, *, transient: bool) -> Progress:
    """Description, bar, count and a last column; description and bar share the width that the others leave."""
    wide = Column(ratio=3, no_wrap=True, overflow="ellipsis")
    description = TextColumn("{task.description}", markup=False, table_column=wide)
    columns = (description, BarColumn(None, table_column=Column(ratio=1)), MofNCompleteColumn(), last)
    return Progress(*columns, console=console, expand=True, transient=transient)


def _print_lines() -> Callable[[Step], None]:
    """Print a line for the first result of each phase, for the last, and every SECONDS_BETWEEN_LINES."""
    last = -math.inf

    def show(step: Step) -> None:
        nonlocal last
        due = time.monotonic() - last > SECONDS_BETWEEN_LINES or step.done in (1, step.total)
        if step.payload is None or not due:
            return
        last = time.monotonic()
        run = step.payload.get("run", {})
        value = run.get("test_score", math.nan)  # NaN if the test data was not looked at, or the training failed
        score = "" if math.isnan(value) else f" {run['score_name']} {value:.4f}"
        remaining = time_left(step.seconds_left)
        score, remaining = score and f":{score}", remaining and f", {remaining}"
        line = f"{step.phase} [{step.done}/{step.total}] {step.task}{score}{remaining}"
        print(line, file=sys.stderr, flush=True)

    return show


def time_left(seconds: float | None) -> str:
    """An estimate as text, empty if there is none.

    Example:
        >>> time_left(600), time_left(None), time_left(0.0)
        ('about 10 min left', '', '')
    """
    return f"about {duration(seconds)} left" if seconds else ""


def duration(seconds: float) -> str:
    """A duration in seconds, minutes or hours.

    Example:
        >>> [duration(seconds) for seconds in (1.2, 99, 600, 7200)]
        ['2 s', '99 s', '10 min', '2.0 h']
    """
    if seconds < 100:
        return f"{math.ceil(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
