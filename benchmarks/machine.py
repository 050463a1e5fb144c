"""What the figures were measured on."""

import datetime
import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path

import torch

from prewired.ops import kernels
from prewired.ops.machine import processor

PACKAGES = ("torch", "numpy", "scipy", "mkl", "sparseprop", "sparselab", "networkx", "igraph", "onnx", "onnxruntime")


def describe() -> dict[str, str]:
    """The machine, the software and the moment, as name: text."""
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "prewired": _commit(),
        "processor": processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "instruction set": f"{kernels.instruction_set()} (prewired), {torch.backends.cpu.get_cpu_capability()} (torch)",
        "caches": _caches() or "unknown",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "packages": ", ".join(f"{name} {version}" for name in PACKAGES if (version := _version(name))),
    }


def busy(seconds: float = 1.0) -> str:
    """The share of the processor's time that others take while this process sleeps, such as 3 %."""
    before = _processor_times()
    time.sleep(seconds)
    total, idle = (after - start for after, start in zip(_processor_times(), before, strict=True))
    return f"{100 * (1 - idle / total):.0f} %" if total else "unknown"


def _processor_times() -> tuple[int, int]:
    """All ticks so far, and the idle ones among them; zeros where the system does not say."""
    stat = Path("/proc/stat")
    ticks = [int(tick) for tick in stat.read_text().split("\n")[0].split()[1:]] if stat.exists() else []
    return sum(ticks), sum(ticks[3:5])


def _caches() -> str:
    """Such as: L1 Data 32K, L2 Unified 512K; of the first core."""
    folders = sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"))
    described = [[(folder / part).read_text().strip() for part in ("level", "type", "size")] for folder in folders]
    return ", ".join(f"L{level} {kind} {size}" for level, kind, size in described)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _commit() -> str:
    """The version and the commit of prewired, with a + where its sources differ from that commit."""
    commit = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--", "src", "csrc", "setup.py")
    return f"{_version('prewired')} {commit}{'+' if changed else ''}".strip()


def _git(*arguments: str) -> str:
    root = Path(__file__).parents[1]
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False).stdout.strip()
