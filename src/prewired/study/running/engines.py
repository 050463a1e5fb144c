"""Engines that do tasks: in this process, or in worker processes, each of which may die without harm to others."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, cast

from ...io.stop_signals import delay_stop_signals
from ..plan import StudyPlan
from ..tasks import Task
from .perform import perform
from .worker import make_loader, serve

ATTEMPTS = 3  # attempts at a task whose process dies; also the number of failed tasks that stops the study
STORED = "all other results so far are stored; run again with fewer workers if memory is short"
_NO_START = (
    "expected a worker process to start, got exit code {code}; its own error stands above. "
    'A script that runs a study in processes does so under `if __name__ == "__main__":`'
)
OnEpoch = Callable[[Task, int], None]
Result = tuple[Task, dict[str, Any]]
Engine = Callable[[StudyPlan, Sequence[Task], OnEpoch], Iterator[Result]]


def inline(plan: StudyPlan, tasks: Sequence[Task], on_epoch: OnEpoch) -> Iterator[Result]:
    """Do the tasks in this process, in order, with torch's present number of threads.

    Args:
        plan: the study.
        tasks: the tasks, in the order in which to do them.
        on_epoch: called with a task and the number of finished epochs of this task.

    Yields:
        (task, payload) after each task.
    """
    load = make_loader(plan.config, plan.sources)
    for task in tasks:
        yield task, perform(task, plan.config, load, lambda epoch, task=task: on_epoch(task, epoch))


def processes(
    plan: StudyPlan, tasks: Sequence[Task], on_epoch: OnEpoch, *, workers: int, threads: int = 1
) -> Iterator[Result]:
    """Do the tasks in worker processes. A worker that dies is replaced, and its task is tried again after the others.

    A task fails if its process dies ATTEMPTS times; the other tasks are still done. When this generator ends, for any
    reason, its processes have ended too. The processes also end by themselves if this process is killed.

    Args:
        plan: the study.
        tasks: the tasks, in the order in which workers receive them.
        on_epoch: as in `inline`.
        workers: number of processes, >= 1; see `count_processors`.
        threads: threads of torch and of the linear algebra in each process.

    Yields:
        (task, payload) after each task, in any order.

    Raises:
        ValueError: if there is not at least one worker with one thread.
        RuntimeError: if a task failed: after all other tasks, or at once if ATTEMPTS tasks failed. Also if no process
            can start.
        Exception: the error that a task raised.
    """
    if workers < 1 or threads < 1:
        raise ValueError(f"expected at least one worker with one thread, got workers={workers}, threads={threads}")
    queue, deaths, failures = deque(tasks), Counter[Task](), list[str]()
    team: dict[Connection, BaseProcess] = {}  # pipe to a worker -> its process
    current_tasks: dict[Connection, Task] = {}
    started_links: set[Connection] = set()
    try:
        while (queue or current_tasks) and len(failures) < ATTEMPTS:
            while queue and len(current_tasks) < workers:
                link = _find_free_worker(team, current_tasks) or _start_worker(team, plan, threads)
                current_tasks[link] = queue.popleft()
                with suppress(OSError):  # the worker is dead; its end of the pipe says so in the next round
                    link.send(current_tasks[link])
            for link in cast("list[Connection]", wait(list(current_tasks))):
                kind, value = _receive(link)
                if kind == "ready":
                    started_links.add(link)
                elif kind == "epoch":
                    on_epoch(current_tasks[link], value)
                elif kind == "error":
                    raise value
                elif kind == "done":
                    yield current_tasks.pop(link), value
                else:
                    task, code = current_tasks.pop(link), _dismiss(team, link)
                    if link not in started_links and code > 0:
                        raise RuntimeError(_NO_START.format(code=code))
                    deaths[task] += 1
                    if deaths[task] < ATTEMPTS:
                        queue.append(task)
                    else:
                        failures.append(
                            f"{task}: its process died {ATTEMPTS} times, the last time {_describe_death(code)}"
                        )
        if failures:
            raise RuntimeError("; ".join([*failures, STORED]))
    finally:
        for process in team.values():
            process.kill()  # not terminate(): a halted process, or one that ignores the signal, would not end
        for link in list(team):
            _dismiss(team, link)


def count_processors() -> int:
    """Count the processors that this process may use: its affinity, or the limit of its control group if lower.

    Example:
        >>> 1 <= count_processors() <= (os.cpu_count() or 1)
        True
    """
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(processors, int(_read_quota(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"), processors))))


def _read_quota(cgroup_file: Path, root: Path, limit: float) -> float:
    """Read how many processors the control groups (version 2) allow a process, at most `limit`."""
    lines = cgroup_file.read_text().splitlines() if cgroup_file.exists() else []
    for path in [line.removeprefix("0::/") for line in lines if line.startswith("0::/")]:
        for folder in (root / path, *(root / path).parents):
            file = folder / "cpu.max"
            quota, period = file.read_text().split() if file.exists() else ("max", "1")
            limit = limit if quota == "max" else min(limit, int(quota) / int(period))
    return limit


def _receive(link: Connection) -> tuple[str, Any]:
    try:
        return link.recv()
    except (EOFError, OSError):
        return "died", None


def _describe_death(code: int) -> str:
    return f"by signal {-code}" if code < 0 else f"with exit code {code}"


def _find_free_worker(team: dict[Connection, BaseProcess], current_tasks: dict[Connection, Task]) -> Connection | None:
    """Find the pipe to a worker without a task, None if all have one; remove workers that died without a task."""
    for link in [link for link in team if link not in current_tasks]:
        if team[link].is_alive():
            return link
        _dismiss(team, link)
    return None


def _dismiss(team: dict[Connection, BaseProcess], link: Connection) -> int:
    """Remove a worker that has ended or is ending, and return its exit code."""
    process = team.pop(link)
    process.join()
    link.close()
    return process.exitcode or 0


def _start_worker(team: dict[Connection, BaseProcess], plan: StudyPlan, threads: int) -> Connection:
    context = multiprocessing.get_context("spawn")
    parent_end, child_end = context.Pipe()
    process = context.Process(target=serve, args=(child_end, plan.config, plan.sources, threads), daemon=True)
    resource_tracker.ensure_running()  # its start would let signals through
    with _set_library_threads(threads), delay_stop_signals():
        process.start()
        team[parent_end] = process
    child_end.close()
    return parent_end


@contextmanager
def _set_library_threads(threads: int) -> Iterator[None]:
    """Set the environment variables that OpenMP and NumPy's BLAS read when a process starts."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    previous_values = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, str(threads)))
    try:
        yield
    finally:
        for name, value in previous_values.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
