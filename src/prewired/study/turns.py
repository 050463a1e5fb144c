"""Calls that take turns while they are timed, so that a busy moment of the machine meets them all."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from ..statistics import quartiles

SAMPLE = 0.06  # seconds that a turn lasts, where that does not take too many calls
WARM = 0.02  # seconds from which on a call needs no untimed one before its turn
SLOW = 0.5  # seconds from which on a call is timed once

Call = Callable[[], None]
Quartiles = tuple[float, float, float]


def take_turns(
    calls: Mapping[str, Call], *, rounds: int, most: int, after: Callable[[int], None] = lambda _: None
) -> dict[str, Quartiles]:
    """Time calls in turn: each is warmed up, then in every round each has one turn of several calls.

    Args:
        calls: what to time, by name.
        rounds: turns of each, >= 1.
        most: calls in a turn, at most; fewer where they take more than SAMPLE together.
        after: called after each round with the number of rounds done.

    Returns:
        Quartiles over the rounds of the mean seconds of a call; of a slow one, the one time that it took.

    Raises:
        ValueError: for fewer than one round or call.

    Example:
        >>> sorted(take_turns({"a": lambda: None, "b": lambda: None}, rounds=3, most=2))
        ['a', 'b']
    """
    if rounds < 1 or most < 1:
        raise ValueError(f"expected at least one round of at least one call, got rounds={rounds}, most={most}")
    warm = {}
    for name, call in calls.items():
        call()
        warm[name] = _mean_seconds(call, 1)
    samples = {name: [seconds] if seconds > SLOW else [] for name, seconds in warm.items()}
    for done in range(1, rounds + 1):
        for name, call in calls.items():
            if warm[name] > SLOW:
                continue
            if warm[name] < WARM:
                call()  # the others have taken the caches
            samples[name].append(_mean_seconds(call, min(most, math.ceil(SAMPLE / warm[name]))))
        after(done)
    return {name: quartiles(values) for name, values in samples.items()}


def _mean_seconds(call: Call, times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times
