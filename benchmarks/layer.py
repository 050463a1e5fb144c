"""One layer, forward and forward+backward, at densities from 0.5 % to 100 %: this package, nn.Linear and the peers."""

from typing import Any

from prewired.ops.timing import time_in_turns

from . import mkl, peers
from .contenders import make_case
from .timing import THREADS, TURN_SECONDS, record, set_threads

ROUNDS, MINUTES = 21, 4
BATCH, WIDTH = 128, 1024
DENSITIES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
FORWARD, STEP = "forward", "forward+backward"


def run(rounds: int, quick: bool) -> dict[str, Any]:
    """A record for each contender, pass, density and thread count, and one for each contender that is not timed."""
    peers.contenders(make_case(16, 16, 0.5))  # loads every peer, so that set_threads reaches all of their libraries
    records, problems = [], []
    for threads in THREADS:
        set_threads(threads)
        for density in (0.01, 0.1, 1.0) if quick else DENSITIES:
            print(f"layer: threads={threads}, {100 * density:g} %", flush=True)
            fit, unfit = peers.contenders(make_case(WIDTH, BATCH, density))
            cell = {"threads": threads, "density": density}
            problems += [{**cell, "contender": name, "problem": problem} for name, problem in unfit.items()]
            records += [{**cell, **found} for found in _timed(fit, rounds)]
    return {"batch": BATCH, "width": WIDTH, "mkl": mkl.code_path(), "problems": problems, "records": records}


def _timed(fit: dict[str, peers.Contender], rounds: int) -> list[dict[str, Any]]:
    calls = {(name, FORWARD): contender.forward for name, contender in fit.items()}
    calls |= {(name, STEP): contender.step for name, contender in fit.items() if contender.step}
    timings = time_in_turns(calls, rounds=rounds, turn_seconds=TURN_SECONDS, pause=peers.SETTLE)
    return [
        {"contender": name, "pass": what, **record(timing, timings[peers.DENSE, what])}
        for (name, what), timing in timings.items()
    ]
