"""Tasks on a Ray cluster: nodes may come and go meanwhile; their results come back here, into the one store."""

from __future__ import annotations

import os
import pickle
import socket
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch

from ...training.data import Data
from ..grid import Job
from ..results import RUN_VERSION
from .engines import ATTEMPTS, STORED, Result, Told
from .tasks import Task, perform
from .worker import Setup, loader, plain

PER_PROCESSOR = 3  # tasks that are sent ahead, so that no worker waits for its next one
_PATIENCE = 5.0  # seconds between two looks at how large the cluster is by now
_ALONE = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # the latter: no other machines


def cluster(
    setup: Setup, tasks: Sequence[Task], told: Told, *, address: str = "auto", threads: int = 1
) -> Iterator[Result]:
    """Do the tasks on a Ray cluster; those of a node or a worker that dies are done elsewhere.

    Every node needs this version of prewired; the data are sent there once and held in shared memory. Epochs are not
    told: progress comes with each result. When this ends, in whatever way, what is still being done is cancelled.

    Args:
        setup: the study.
        tasks: in the order in which they are handed out.
        told: not called.
        address: "auto" for the cluster this machine belongs to, "host:port" of another, "local" for one that is started
            on this machine and ends with this call. A connection that is there already is used, and left open.
        threads: of torch and of the linear algebra for each task, and the processors that Ray sets aside for it.

    Yields:
        (task, payload) as each is done, in any order.

    Raises:
        ImportError: if Ray is not installed.
        ValueError: if no node has that many processors.
        OSError: if there is no cluster at the address.
        RuntimeError: if a task's worker died more than ATTEMPTS times, or a node has another version of prewired.
        Exception: what a task itself raised.

    Example:
        >>> from functools import partial
        >>> engine = partial(cluster, address="auto")  # for study(config, folder, engine=engine)
    """
    ray = _ray(address)
    connected = not ray.is_initialized()
    if connected:
        _connect(ray, address)
    waiting, given_up = deque(tasks), list[str]()
    sent: dict[Any, Task] = {}
    try:
        _check_processors(ray, threads)
        remote = ray.remote(num_cpus=threads, max_retries=ATTEMPTS)(_by_value())
        held = {name: ray.put(_arrays(loader(setup)(name))) for name in _needed(tasks)}
        while (waiting or sent) and len(given_up) < ATTEMPTS:
            processors = ray.cluster_resources().get("CPU", 1)
            while waiting and len(sent) < max(1, PER_PROCESSOR * processors // threads):
                task = waiting.popleft()
                sent[remote.remote(pickle.dumps((task, setup.config)), held, threads, _version())] = task
            for done in ray.wait(list(sent), timeout=_PATIENCE)[0]:
                task = sent.pop(done)
                try:
                    kind, value = ray.get(done)
                except ray.exceptions.RayError as error:
                    given_up.append(f"{task}: its worker died more than {ATTEMPTS} times ({_first_line(error)})")
                    continue
                if kind == "error":
                    raise value
                yield task, value
        if given_up:
            raise RuntimeError("; ".join([*given_up, STORED]))
    finally:
        for one in sent:
            with suppress(Exception):  # the cluster itself may be gone
                ray.cancel(one, force=True)
        if connected:
            ray.shutdown()


def here(task: bytes, held: Mapping[str, Any], threads: int) -> tuple[str, Any]:
    """On a node: do a task that was pickled with its config; ("done", payload), or ("error", what it raised)."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)
    what, config = pickle.loads(task)
    try:
        return "done", perform(what, config, lambda name: _fetched(held[name]), lambda epoch: None)
    except Exception as error:
        return "error", plain(error, what)


def _by_value() -> Callable[..., tuple[str, Any]]:
    """What Ray runs: a function that it copies to the nodes, so that one without prewired can say so."""

    def run(task: bytes, held: Mapping[str, Any], threads: int, expected: str) -> tuple[str, Any]:
        import platform

        here = None
        try:
            from .ray_engine import _version, here

            found = _version()
        except ImportError as error:
            found = f"none ({error})"
        if here is not None and found == expected:
            return here(task, held, threads)
        text = f"expected {expected} on every node of the cluster, got {found} on {platform.node()}; install it there"
        return "error", RuntimeError(text)

    return run


def _version() -> str:
    from ..._version import __version__

    return f"prewired {__version__}, results of version {RUN_VERSION}"


def _ray(address: str) -> Any:
    if address == "local":
        for name, value in _ALONE.items():
            os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise ImportError(f"expected the package ray, got none ({error}); pip install 'prewired[ray]'") from error
    return ray


def _connect(ray: Any, address: str) -> None:
    quiet: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": "error"}
    if address == "local":
        quiet["include_dashboard"] = False
    try:
        _check_listens(os.environ.get("RAY_ADDRESS", "auto") if address == "auto" else address)
        ray.init(**quiet)
    except (OSError, RuntimeError, ValueError) as error:
        raise OSError(
            f"expected a Ray cluster at the address {address}, got {_first_line(error)}; start one with `ray start "
            '--head`, give the host:port that it prints, or "local"'
        ) from error


def _check_listens(address: str) -> None:
    """OSError where nothing is at host:port, for which Ray would look for minutes."""
    host, _, port = address.rpartition("//")[2].rpartition(":")
    if port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()


def _check_processors(ray: Any, threads: int) -> None:
    most = max((node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]), default=0)
    if not 1 <= threads <= most:
        raise ValueError(f"expected threads of 1 to {most:g}, the processors of the largest node, got {threads}")


def _needed(tasks: Sequence[Task]) -> list[str]:
    return list(dict.fromkeys(task.net.data for task in tasks if isinstance(task, Job)))


def _arrays(data: Data) -> dict[str, Any]:
    """The fields of a data set with arrays for tensors: of arrays the workers of a node all see the same memory."""
    values = {field.name: getattr(data, field.name) for field in fields(data)}
    return {name: value.numpy() if isinstance(value, torch.Tensor) else value for name, value in values.items()}


@lru_cache(maxsize=8)
def _fetched(reference: Any) -> Data:
    """The data set that was put into the cluster, in this worker."""
    import ray

    values: dict[str, Any] = cast("Any", ray).get(reference)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")  # and nobody writes to it
        tensors = {name: torch.from_numpy(value) for name, value in values.items() if isinstance(value, np.ndarray)}
    return Data(**{**values, **tensors})


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
