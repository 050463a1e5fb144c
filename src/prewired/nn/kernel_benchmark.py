"""Measure sparse layers against dense ones on this machine: break-even densities, and a table of speedups."""

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
_RESOLUTION = 1.15
"""The bisection stops when the ratio of its bounds is at most this."""

Setting = tuple[int, bool, int, int]


def table_settings() -> list[Setting]:
    """The arguments of `measure_break_even` for a whole table; threads are one, and as many as torch uses."""
    return list(product(sorted({1, torch.get_num_threads()}), (False, True), BATCHES, WIDTHS))


def measure_break_even(threads: int, training: bool, batch: int, width: int) -> dict[str, Any]:
    """Measure the break-even density of a square layer: one entry of the table of `kernel_choice`.

    Args:
        threads: number of threads of torch.
        training: whether to time forward and backward, rather than forward alone.
        batch: rows of x.
        width: inputs and outputs of the layer.

    Example:
        >>> 0 < measure_break_even(1, False, 8, 16)["density"] <= 1
        True
    """
    with threads_set_to(threads):
        density = _bisect_break_even(width, batch, training)
    return {"threads": threads, "training": training, "batch": batch, "width": width, "density": round(density, 3)}


def measure_speedups(
    densities: tuple[float, ...] = (0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0), *, batch: int = 128, width: int = 1024
) -> Iterator[dict[str, Any]]:
    """Measure the time of nn.Linear divided by that of SparseLinear, by threads and density, for both passes."""
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


def _bisect_break_even(width: int, batch: int, training: bool) -> float:
    """Find by bisection the density at which the loops over edges take as long as the dense matrix."""
    low, high = 0.02, 1.0
    # The middle is geometric because the table is interpolated in logarithms.

    while high > _RESOLUTION * low:
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
