"""An engine that does tasks on a Ray cluster, whose nodes may come and go. Results go into the local store."""

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

from ..._version import __version__
from ...training.data import Data
from ..plan import StudyPlan
from ..tasks import RUN_VERSION, Task, TrainingTask
from .engines import ATTEMPTS, STORED, OnEpoch, Result
from .perform import perform
from .worker import make_loader, make_portable

PER_PROCESSOR = 3  # tasks sent ahead per processor, so that no worker waits for its next task
_PATIENCE = 5.0  # seconds between two checks of the size of the cluster
_ALONE = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}  # the second: no other machines


def cluster(
    plan: StudyPlan, tasks: Sequence[Task], on_epoch: OnEpoch, *, address: str = "auto", threads: int = 1
) -> Iterator[Result]:
    """Do the tasks on a Ray cluster; if a node or a worker dies, its tasks are done elsewhere.

    Every node needs this version of prewired. The data are sent to each node once and kept in shared memory. Progress
    is reported with each result, not with each epoch. When this generator ends, for any reason, unfinished tasks are
    cancelled.

    Args:
        plan: the study.
        tasks: the tasks, in the order in which they are sent.
        on_epoch: not called.
        address: "auto" for the cluster of this machine, "host:port" of another cluster, "local" for a cluster that is
            started on this machine and ends with this call. An open connection is used, and stays open.
        threads: threads of torch and of the linear algebra for each task; Ray reserves as many processors.

    Yields:
        (task, payload) after each task, in any order.

    Raises:
        ImportError: if Ray is not installed.
        ValueError: if no node has `threads` processors.
        OSError: if there is no cluster at the address.
        RuntimeError: if a task's worker died more than ATTEMPTS times, or a node has another version of prewired.
        Exception: the error that a task raised.

    Example:
        >>> from functools import partial
        >>> engine = partial(cluster, address="auto")  # for run(config, folder, engine=engine)
    """
    ray = _import_ray(address)
    owns_connection = not ray.is_initialized()
    if owns_connection:
        _connect(ray, address)
    queue, failures = deque(tasks), list[str]()
    pending: dict[Any, Task] = {}
    try:
        _check_processors(ray, threads)
        remote = ray.remote(num_cpus=threads, max_retries=ATTEMPTS)(_make_node_function())
        load = make_loader(plan.config, plan.sources)
        arrays = {name: ray.put(_to_arrays(load(name))) for name in _list_data_sets(tasks)}
        while (queue or pending) and len(failures) < ATTEMPTS:
            processors = ray.cluster_resources().get("CPU", 1)
            while queue and len(pending) < max(1, PER_PROCESSOR * processors // threads):
                task = queue.popleft()
                pending[remote.remote(pickle.dumps((task, plan.config)), arrays, threads, _describe_version())] = task
            for reference in ray.wait(list(pending), timeout=_PATIENCE)[0]:
                task = pending.pop(reference)
                try:
                    kind, value = ray.get(reference)
                except ray.exceptions.RayError as error:
                    failures.append(f"{task}: its worker died more than {ATTEMPTS} times ({_read_first_line(error)})")
                    continue
                if kind == "error":
                    raise value
                yield task, value
        if failures:
            raise RuntimeError("; ".join([*failures, STORED]))
    finally:
        for reference in pending:
            with suppress(Exception):  # the cluster may no longer exist
                ray.cancel(reference, force=True)
        if owns_connection:
            ray.shutdown()


def perform_on_node(pickled: bytes, arrays: Mapping[str, Any], threads: int) -> tuple[str, Any]:
    """Do a task that was pickled with its config, on a node; return ("done", payload) or ("error", exception)."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)
    task, config = pickle.loads(pickled)
    try:
        return "done", perform(task, config, lambda name: _fetch_data(arrays[name]), lambda epoch: None)
    except Exception as error:
        return "error", make_portable(error, task)


def _make_node_function() -> Callable[..., tuple[str, Any]]:
    """Make the function that Ray copies to the nodes by value, so that a node without prewired can report this."""

    def run(pickled: bytes, arrays: Mapping[str, Any], threads: int, expected: str) -> tuple[str, Any]:
        import platform

        perform_on_node = None
        try:
            from .ray_engine import _describe_version, perform_on_node

            version = _describe_version()
        except ImportError as error:
            version = f"none ({error})"
        if perform_on_node is not None and version == expected:
            return perform_on_node(pickled, arrays, threads)
        text = f"expected {expected} on every node of the cluster, got {version} on {platform.node()}; install it there"
        return "error", RuntimeError(text)

    return run


def _describe_version() -> str:
    return f"prewired {__version__}, results of version {RUN_VERSION}"


def _import_ray(address: str) -> Any:
    if address == "local":
        for name, value in _ALONE.items():
            os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise ImportError(f"expected the package ray, got none ({error}); pip install 'prewired[ray]'") from error
    return ray


def _connect(ray: Any, address: str) -> None:
    options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": "error"}
    if address == "local":
        options["include_dashboard"] = False
    try:
        _check_listens(os.environ.get("RAY_ADDRESS", "auto") if address == "auto" else address)
        ray.init(**options)
    except (OSError, RuntimeError, ValueError, SystemExit) as error:  # Ray exits if what listens is no Ray
        raise OSError(
            f"expected a Ray cluster at the address {address}, got {_read_first_line(error)}; start one with "
            '`ray start --head`, give the host:port that it prints, or "local"'
        ) from error


def _check_listens(address: str) -> None:
    """Raise an OSError if nothing listens at host:port; Ray would try for minutes."""
    host, _, port = address.rpartition("//")[2].rpartition(":")
    if address not in ("auto", "local") and not (host and port.isdigit()):
        raise ValueError(f"the address {address!r}, which is not host:port")
    if port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()


def _check_processors(ray: Any, threads: int) -> None:
    max_processors = max((node["Resources"].get("CPU", 0) for node in ray.nodes() if node["Alive"]), default=0)
    if not 1 <= threads <= max_processors:
        raise ValueError(
            f"expected threads of 1 to {max_processors:g}, the processors of the largest node, got {threads}"
        )


def _list_data_sets(tasks: Sequence[Task]) -> list[str]:
    return list(dict.fromkeys(task.net.data for task in tasks if isinstance(task, TrainingTask)))


def _to_arrays(data: Data) -> dict[str, Any]:
    """Return the fields of a data set, with arrays for tensors: workers of a node share the memory of arrays."""
    values = {field.name: getattr(data, field.name) for field in fields(data)}
    return {name: value.numpy() if isinstance(value, torch.Tensor) else value for name, value in values.items()}


@lru_cache(maxsize=8)
def _fetch_data(reference: Any) -> Data:
    """Get a data set from the shared memory of the cluster, in a worker."""
    import ray

    values: dict[str, Any] = cast("Any", ray).get(reference)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")  # the tensors are only read
        tensors = {name: torch.from_numpy(value) for name, value in values.items() if isinstance(value, np.ndarray)}
    return Data(**{**values, **tensors})


def _read_first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
