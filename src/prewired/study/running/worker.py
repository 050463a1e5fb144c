"""A worker process of a study: what it is given, what it sends back, and when it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.connection import Connection, wait

import torch

from ...training import data
from ..config import StudyConfig
from .tasks import Task, load_data, perform, source

_CHECKED = 5.0  # seconds between two looks whether the parent is still there, should the line to it be held by others


@dataclass(frozen=True)
class Setup:
    """What every worker needs beside its tasks."""

    config: StudyConfig
    sources: Mapping[str, Mapping[str, str]]  # what identifies the data, see `work.source`


def serve(link: Connection, setup: Setup, threads: int) -> None:
    """Do what comes through a line until it is closed; never outlive the parent.

    Args:
        link: tasks come in; out go ("ready", None), then for each task ("epoch", n), ..., ("done", payload) or
            ("error", exception).
        setup: the study.
        threads: of torch.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    threading.Thread(target=_die_with_parent, daemon=True).start()
    torch.set_num_threads(threads)

    def say(kind: str, value: object) -> None:
        try:
            link.send((kind, value))
        except OSError:  # nobody listens any more
            os._exit(1)

    load = loader(setup)
    say("ready", None)
    while True:
        try:
            task = link.recv()
        except (EOFError, OSError):
            return
        try:
            done = "done", perform(task, setup.config, load, lambda epoch: say("epoch", epoch))
        except Exception as error:
            done = "error", plain(error, task)
        say(*done)


def loader(setup: Setup) -> Callable[[str], data.Data]:
    """Loads each data set once, and sees that it is the one the study began with."""

    @lru_cache
    def load(name: str) -> data.Data:
        loaded = load_data(setup.config, name)
        if source(loaded) != setup.sources[name]:
            raise ValueError(f"expected the data set {name} as it was when the study began, got other data; run again")
        return loaded

    return load


def plain(error: Exception, task: Task) -> Exception:
    """The error as one that surely survives the way to another process: it names the task, and says where it arose.

    Example:
        >>> from prewired.study import Job, Net
        >>> plain(KeyError("x"), Job(Net("digits", "dense", "", "fan_in", None, (64, 8, 10)), None, 0, 1e-3))
        RuntimeError("digits, dense, seed 0: KeyError: 'x'")
    """
    known = (ValueError, RuntimeError, OSError, ImportError, MemoryError)
    kind = next((kind for kind in known if isinstance(error, kind)), RuntimeError)
    text = (
        str(error) if kind in (ValueError, RuntimeError) and type(error) is kind else f"{type(error).__name__}: {error}"
    )
    found = kind(text if task.net.family in text else f"{task}: {text}")
    found.add_note("".join(traceback.format_exception(error)))
    return found


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        while not wait([parent.sentinel], _CHECKED) and os.getppid() == parent.pid:
            pass
        os._exit(1)
