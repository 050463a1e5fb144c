"""Never below 0.95 of nn.Linear? This package's layer at many widths, batches and densities, row-major."""

from collections.abc import Callable
from typing import Any

import torch

from prewired.ops.timing import Timing, time_in_turns

from . import peers
from .contenders import Case, complaint, make_case, results, run_module
from .layer import DENSITIES, FORWARD, STEP
from .timing import THREADS, TURN_SECONDS, record, set_threads

ROUNDS, MINUTES = 7, 10
FLOOR, AGAIN = 0.95, 3  # cells below the floor are measured again, in so many times the rounds
SLOW = 5.0  # seconds, see time_in_turns
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)
GRID = {  # width: batches, densities
    64: (BATCHES, DENSITIES),
    256: (BATCHES, DENSITIES),
    1024: (BATCHES, DENSITIES),
    4096: ((1, 16, 128, 1024), (0.005, 0.05, 0.2, 0.5, 1.0)),
}
QUICK = {64: ((1, 128), (0.01, 1.0)), 256: ((1, 128), (0.01, 1.0))}
Key = tuple[float | None, str]  # density, None for nn.Linear; and the pass
Calls = dict[Key, Callable[[], Any]]


def run(rounds: int, quick: bool) -> dict[str, Any]:
    """A record for each width, batch, density, pass and thread count; raises RuntimeError where a result is wrong."""
    records = []
    for width, (batches, densities) in (QUICK if quick else GRID).items():
        cases = {density: make_case(width, 1, density) for density in densities}
        layers = {density: peers.prewired(case.linear, case.topology) for density, case in cases.items()}
        for batch in batches:
            print(f"sweep: width {width}, batch {batch}", flush=True)
            x, g = torch.randn(batch, width), torch.randn(batch, width)
            for threads in THREADS:
                set_threads(threads)
                calls = _calls({density: case._replace(x=x, g=g) for density, case in cases.items()}, layers)
                cell = {"threads": threads, "width": width, "batch": batch}
                records += [{**cell, **found} for found in _measured(calls, rounds)]
    return {"floor": FLOOR, "again": AGAIN, "records": records}


def _calls(cases: dict[float, Case], layers: dict[float, peers.DropIn]) -> Calls:
    calls: Calls = {}
    for density, case in cases.items():
        dense = run_module(*peers.dense(case.linear, case.topology), case)
        sparse = run_module(*layers[density], case)
        if problem := complaint(sparse, case, results(dense)):
            raise RuntimeError(f"{problem}, at density {density} and x of shape {tuple(case.x.shape)}")
        calls |= {(None, FORWARD): dense.forward, (None, STEP): dense.step}
        calls |= {(density, FORWARD): sparse.forward, (density, STEP): sparse.step}
    return calls


def _measured(calls: Calls, rounds: int) -> list[dict[str, Any]]:
    found = _records(time_in_turns(calls, rounds=rounds, turn_seconds=TURN_SECONDS, slow=SLOW))
    low = {key for key, values in found.items() if values["ratio"] < FLOOR}
    if low:
        chosen = {key: call for key, call in calls.items() if key in low or key[0] is None}
        again = _records(time_in_turns(chosen, rounds=AGAIN * rounds, turn_seconds=TURN_SECONDS, slow=SLOW))
        found |= {key: {**again[key], "first ratio": found[key]["ratio"]} for key in low}
    return [{"density": density, "pass": what, **values} for (density, what), values in found.items()]


def _records(timings: dict[Key, Timing]) -> dict[Key, dict[str, float]]:
    return {key: record(timing, timings[None, key[1]]) for key, timing in timings.items() if key[0] is not None}
