"""A worker process of a study: the process receives tasks, sends results, and ends with its parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Mapping
from functools import lru_cache
from multiprocessing.connection import Connection, wait

import torch

from ...io.stop_signals import STOP_SIGNALS
from ...training import data
from ..config import StudyConfig
from ..tasks import Task
from .perform import identify_data, load_data, perform

_PARENT_CHECK = 5.0  # seconds between two checks that the parent lives; its pipe may stay open in other processes

Sources = Mapping[str, Mapping[str, str]]  # data set -> what identifies it, see `identify_data`


def serve(link: Connection, config: StudyConfig, sources: Sources, threads: int) -> None:
    """Do the tasks that come through a pipe, until the pipe is closed or the parent process ends.

    Args:
        link: the pipe. Tasks come in. Out go ("ready", None), then for each task ("epoch", n), ..., and at last
            ("done", payload) or ("error", exception).
        config: the study.
        sources: what identifies the data sets.
        threads: number of torch's threads.
    """
    for number in STOP_SIGNALS:  # a terminal sends them to all processes; the parent decides what they mean
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    torch.set_num_threads(threads)

    def send(kind: str, value: object) -> None:
        try:
            link.send((kind, value))
        except OSError:  # the parent no longer listens
            os._exit(1)

    load = make_loader(config, sources)
    send("ready", None)
    while True:
        try:
            task = link.recv()
        except (EOFError, OSError):
            return
        try:
            result = "done", perform(task, config, load, lambda epoch: send("epoch", epoch))
        except Exception as error:
            result = "error", make_portable(error, task)
        send(*result)


def make_loader(config: StudyConfig, sources: Sources) -> Callable[[str], data.Data]:
    """Make a function that loads each data set once, and checks that the data have not changed during the study."""

    @lru_cache
    def load(name: str) -> data.Data:
        data_set = load_data(config, name)
        if identify_data(data_set) != sources[name]:
            raise ValueError(f"expected the data set {name} as it was when the study began, got other data; run again")
        return data_set

    return load


def make_portable(error: Exception, task: Task) -> Exception:
    """Make an error that can be sent to another process; it names the task, and its note has the traceback.

    Example:
        >>> from prewired.study.nets import Net
        >>> from prewired.study.tasks import TrainingTask
        >>> task = TrainingTask(Net("digits", "dense", "", "fan_in", None, (64, 8, 10)), None, 0, 1e-3)
        >>> make_portable(KeyError("x"), task)
        RuntimeError("digits, dense, seed 0: KeyError: 'x'")
    """
    portable_kinds = (ValueError, RuntimeError, OSError, ImportError, MemoryError)
    kind = next((kind for kind in portable_kinds if isinstance(error, kind)), RuntimeError)
    text = (
        str(error) if kind in (ValueError, RuntimeError) and type(error) is kind else f"{type(error).__name__}: {error}"
    )
    portable_error = kind(text if task.net.family in text else f"{task}: {text}")
    portable_error.add_note("".join(traceback.format_exception(error)))
    return portable_error


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        while not wait([parent.sentinel], _PARENT_CHECK) and os.getppid() == parent.pid:
            pass
        os._exit(1)
