"""How fast sparse layers are on this machine beside dense ones: break-even densities, and a table of speedups."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

import torch
from torch import nn

from . import crossover, generators
from .layers import SparseLinear

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 512)
WIDTHS = (64, 128, 256, 512, 1024, 2048)
_FINEST = 1.15
"""The search for a break-even stops when its bounds are so close, as a ratio."""


def measure_crossover(
    threads: tuple[int, ...] | None = None,
    *,
    batches: tuple[int, ...] = BATCHES,
    widths: tuple[int, ...] = WIDTHS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[dict[str, Any]]:
    """The break-even density for each number of threads, forward alone and with backward, batch and width.

    Takes a few minutes; `crossover.save` keeps the result.

    Args:
        threads: numbers of threads; one and as many as torch uses, if not given.
        batches, widths: of the square layers that are timed.
        progress: called with (cells done, cells in all).

    Example:
        >>> [cell["batch"] for cell in measure_crossover((1,), batches=(8,), widths=(16,))]
        [8, 8]
    """
    threads = threads or tuple(sorted({1, torch.get_num_threads()}))
    grid = list(product(threads, (False, True), batches, widths))
    cells = []
    for done, (n_threads, training, batch, width) in enumerate(grid):
        progress(done, len(grid))
        with threads_set_to(n_threads):
            density = _break_even(width, batch, training)
        cells.append(
            {"threads": n_threads, "training": training, "batch": batch, "width": width, "density": round(density, 3)}
        )
    progress(len(grid), len(grid))
    return cells


def speedups(
    densities: tuple[float, ...] = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0), *, batch: int = 128, width: int = 1024
) -> Iterator[dict[str, Any]]:
    """The time of nn.Linear over that of SparseLinear, by threads and density, forward and with backward."""
    for n_threads in sorted({1, torch.get_num_threads()}):
        for density in densities:
            layer = SparseLinear(generators.constant_fan_in(width, width, density=density, seed=0))
            row: dict[str, Any] = {"threads": n_threads, "density": density}
            with threads_set_to(n_threads):
                for training, name in ((False, "forward"), (True, "forward and backward")):
                    calls = {"dense": crossover.one_pass(nn.Linear(width, width), batch, training=training)}
                    calls["sparse"] = crossover.one_pass(layer, batch, training=training)
                    seconds = crossover.interleaved(calls, rounds=9)
                    row[name] = seconds["dense"] / seconds["sparse"]
                row["kernel"] = layer.kernel_for(batch, training=True)
            yield row


@contextmanager
def threads_set_to(n: int) -> Iterator[None]:
    """Have torch use so many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _break_even(width: int, batch: int, training: bool) -> float:
    """By bisection: the density at which a sparse layer takes as long as one run by way of a dense matrix."""
    low, high = 0.02, 1.0
    while high > _FINEST * low:
        middle = math.sqrt(low * high)
        topology = generators.constant_fan_in(width, width, fan_in=max(1, round(middle * width)), seed=0)
        calls = {
            kernel: crossover.one_pass(SparseLinear(topology, kernel=kernel), batch, training=training)
            for kernel in ("sparse", "dense")
        }
        seconds = crossover.interleaved(calls)
        if seconds["sparse"] < seconds["dense"]:
            low = middle
        else:
            high = middle
    return math.sqrt(low * high) if low > 0.02 else low
