"""How fast sparse layers are on this machine beside dense ones: break-even densities, and a table of speedups."""

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import torch
from torch import nn

from .. import generators
from ..ops.machine import threads_set_to
from ..ops.timing import TURN_SECONDS, pass_through_layer, time_in_turns
from .linear import SparseLinear

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 512)
WIDTHS = (64, 128, 256, 512, 1024, 2048)
_FINEST = 1.15
"""The search for a break-even stops when its bounds are so close, as a ratio."""

Cell = tuple[int, bool, int, int]


def grid() -> list[Cell]:
    """What `cell` measures for a whole table: threads (one, and as many as torch uses), training, batch, width."""
    return list(product(sorted({1, torch.get_num_threads()}), (False, True), BATCHES, WIDTHS))


def cell(threads: int, training: bool, batch: int, width: int) -> dict[str, Any]:
    """One entry of a crossover table: the break-even density of a square layer.

    Args:
        threads: of torch.
        training: forward and backward, or forward alone.
        batch, width: of the layer that is timed.

    Example:
        >>> 0 < cell(1, False, 8, 16)["density"] <= 1
        True
    """
    with threads_set_to(threads):
        density = _break_even(width, batch, training)
    return {"threads": threads, "training": training, "batch": batch, "width": width, "density": round(density, 3)}


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
                    calls = {"dense": pass_through_layer(nn.Linear(width, width), batch, training=training)}
                    calls["sparse"] = pass_through_layer(layer, batch, training=training)
                    timings = time_in_turns(calls, rounds=9, turn_seconds=TURN_SECONDS)
                    row[name] = timings["dense"].median / timings["sparse"].median
                row["kernel"] = layer.kernel_for(batch, training=True)
            yield row


def _break_even(width: int, batch: int, training: bool) -> float:
    """By bisection: the density at which a sparse layer takes as long as one run by way of a dense matrix."""
    low, high = 0.02, 1.0
    while high > _FINEST * low:
        middle = math.sqrt(low * high)
        topology = generators.constant_fan_in(width, width, fan_in=max(1, round(middle * width)), seed=0)
        calls = {
            kernel: pass_through_layer(SparseLinear(topology, kernel=kernel), batch, training=training)
            for kernel in ("sparse", "dense")
        }
        timings = time_in_turns(calls, rounds=5, turn_seconds=TURN_SECONDS)
        if timings["sparse"].median < timings["dense"].median:
            low = middle
        else:
            high = middle
    return math.sqrt(low * high) if low > 0.02 else low
