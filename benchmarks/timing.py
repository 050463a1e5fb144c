"""Threads of the benchmarks, the length of a turn, and how a timing is recorded."""

import torch
from threadpoolctl import threadpool_limits

from prewired.ops.timing import Timing

TURN_SECONDS = 0.004
"""Seconds of a turn: short calls are repeated."""
THREADS = (1, 2)


def set_threads(n: int) -> None:
    """Run torch, and every OpenMP or BLAS that a peer has loaded, on n threads."""
    torch.set_num_threads(n)
    threadpool_limits(n)


def record(timing: Timing, base: Timing) -> dict[str, float]:
    """A timing for the JSON file, in four digits, with its speed as a multiple of the base's: base time / its time."""
    seconds = {"seconds": timing.median, "low": timing.low, "high": timing.high, "ratio": base.median / timing.median}
    return {**{name: float(f"{value:.4g}") for name, value in seconds.items()}, "samples": timing.turns}
