"""The stopwatch: calls are timed in turns, so that a busy moment of the machine slows all of them."""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import torch

WARM = 0.02
"""A call of fewer seconds is run once, untimed, before its turn."""

TURN_SECONDS = 0.002
"""Seconds of a turn when a user waits for the comparison."""

Key = TypeVar("Key")


class Timing(NamedTuple):
    """Seconds per call: the median and the quartiles over the turns."""

    low: float
    median: float
    high: float
    turns: int


def time_in_turns(
    calls: Mapping[Key, Callable[[], object]],
    *,
    rounds: int,
    turn_seconds: float,
    most_calls: int | None = None,
    slow: float = 0.5,
    pause: float = 0.0,
    after_round: Callable[[int], None] | None = None,
) -> dict[Key, Timing]:
    """Time several calls: warm each up, then in every round repeat each call for one turn.

    Args:
        calls: what to time, by name.
        rounds: number of turns of each call, at least 1.
        turn_seconds: seconds of a turn; a call is repeated until they have passed.
        most_calls: largest number of repeats in a turn; unlimited if not given.
        slow: a call of more seconds than this is timed only once, during the warm-up.
        pause: seconds to sleep before each turn, so that the threads of another OpenMP runtime stop spinning.
        after_round: called after each round with the number of rounds done.

    Returns:
        For each call the quartiles, over its turns, of the mean seconds per repeat.

    Raises:
        ValueError: if rounds or most_calls is less than 1.

    Example:
        >>> sorted(time_in_turns({"a": lambda: None, "b": lambda: None}, rounds=3, turn_seconds=1e-4))
        ['a', 'b']
    """
    if rounds < 1 or (most_calls is not None and most_calls < 1):
        raise ValueError(
            f"expected at least one round of at least one call, got rounds={rounds}, most_calls={most_calls}"
        )
    seconds_warm = {key: _seconds_when_warm(call, pause) for key, call in calls.items()}
    turns: dict[Key, list[float]] = {key: [seconds] if seconds > slow else [] for key, seconds in seconds_warm.items()}
    for rounds_done in range(1, rounds + 1):
        for key, call in calls.items():
            if seconds_warm[key] > slow:
                continue
            time.sleep(pause)
            if seconds_warm[key] < WARM:
                call()  # brings the call's data back into the caches, which the other calls have used meanwhile
            repeats = math.ceil(turn_seconds / seconds_warm[key])
            turns[key].append(_mean_seconds(call, repeats if most_calls is None else min(most_calls, repeats)))
        if after_round is not None:
            after_round(rounds_done)
    return {key: _quartiles(seconds) for key, seconds in turns.items()}


def pass_through_layer(layer: Any, batch: int, *, training: bool) -> Callable[[], object]:
    """Return a function that runs a layer once on random row-major activations.

    Args:
        layer: an nn.Module with in_features and out_features.
        batch: rows of the activations.
        training: whether to compute the gradients of the input and of all parameters too.
    """
    dtype = next(layer.parameters()).dtype
    x = torch.randn(batch, int(layer.in_features), dtype=dtype, requires_grad=training)
    g = torch.randn(batch, int(layer.out_features), dtype=dtype)
    tensors = [x, *layer.parameters()]

    def forward() -> object:
        with torch.no_grad():
            return layer(x)

    def forward_and_backward() -> object:
        return torch.autograd.grad(layer(x), tensors, g)

    return forward_and_backward if training else forward


def _seconds_when_warm(call: Callable[[], object], pause: float) -> float:
    """Time a call after a first untimed call; a short call is timed three times, since one measurement is noise."""
    time.sleep(pause)
    call()
    seconds = _mean_seconds(call, 1)
    return max(seconds if seconds > WARM else _mean_seconds(call, 3), 1e-9)


def _mean_seconds(call: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def _quartiles(seconds: list[float]) -> Timing:
    low, median, high = statistics.quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else seconds * 3
    return Timing(low, median, high, len(seconds))
