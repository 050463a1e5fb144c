"""One measurement in a process of its own, with bounded time and memory."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from .memory import forget_peak_memory, peak_memory

ONCE = 20.0  # seconds
SPARE = 0.85  # share of the machine's memory a process may take


def in_process(module: str, case: Any, library: str, limit: float) -> dict[str, Any]:
    """What `python -m module CASE LIBRARY` prints as JSON; or the problem that it met, in a few words."""
    command = [sys.executable, "-m", module, json.dumps(case), library]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False, timeout=limit
        )
    except subprocess.TimeoutExpired:
        return {"problem": f"over {limit:g} s"}
    if done.returncode == 0:
        return json.loads(done.stdout)
    last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    if "No module named" in last:
        return {"problem": "not installed"}
    out_of_memory = "emory" in last or done.returncode < 0
    return {"problem": "out of memory" if out_of_memory else last}


def in_processes(module: str, case: Any, library: str, limit: float, rounds: int) -> dict[str, Any]:
    """What the first of some processes found, with the medians of seconds and bytes; or the problem that one met.

    What takes longer than ONCE is measured once.
    """
    found: list[dict[str, Any]] = []
    while len(found) < rounds and not (found and found[0]["seconds"] > ONCE):
        done = in_process(module, case, library, limit)
        if "problem" in done:
            return done
        found.append(done)
    seconds, memory = (median(one[name] or 0 for one in found) for name in ("seconds", "bytes"))
    return {**found[0], "seconds": float(f"{seconds:.3g}"), "bytes": int(memory), "samples": len(found)}


def bound_memory() -> None:
    """Let this process fail before the machine swaps."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    resource.setrlimit(resource.RLIMIT_AS, (int(SPARE * total), resource.RLIM_INFINITY))


def measured(work: Callable[[], Any]) -> tuple[Any, dict[str, Any]]:
    """What the work returns; and its seconds, and the peak of the memory above what was resident before, in bytes."""
    forget_peak_memory()
    before = peak_memory()
    start = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    peak = peak_memory()
    return result, {"seconds": seconds, "bytes": peak and before and peak - before}
