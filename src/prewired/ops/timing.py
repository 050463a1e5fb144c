"""The stopwatch: calls take turns while they are timed, so that a busy moment of the machine meets all of them."""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import torch

WARM = 0.02
"""Seconds of a call beyond which its turn needs no untimed call first."""

TURN_SECONDS = 0.002
"""Seconds of a turn, where alternatives are compared while a user waits."""

Key = TypeVar("Key")


class Timing(NamedTuple):
    """Seconds per call: the median and the quartiles over the turns of a call."""

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
    """Time several calls: each is warmed up, then in every round each call has one turn of several repeats.

    Args:
        calls: what to time, by name.
        rounds: number of turns of each call, at least 1.
        turn_seconds: seconds that a turn lasts, by as many repeats as that takes.
        most_calls: largest number of repeats in a turn; unlimited if not given.
        slow: a call that takes longer than so many seconds is timed once, when it is warmed up.
        pause: seconds to sleep before each turn, so that the threads of another OpenMP runtime stop spinning.
        after_round: called after each round with the number of rounds done.

    Returns:
        The quartiles over the turns of the mean seconds of a call.

    Raises:
        ValueError: if there are no rounds, or no calls in a turn.

    Example:
        >>> sorted(time_in_turns({"a": lambda: None, "b": lambda: None}, rounds=3, turn_seconds=1e-4))
        ['a', 'b']
    """
    if rounds < 1 or (most_calls is not None and most_calls < 1):
        raise ValueError(
            f"expected at least one round of at least one call, got rounds={rounds}, most_calls={most_calls}"
        )
    warm = {key: _seconds_when_warm(call, pause) for key, call in calls.items()}
    turns: dict[Key, list[float]] = {key: [seconds] if seconds > slow else [] for key, seconds in warm.items()}
    for done in range(1, rounds + 1):
        for key, call in calls.items():
            if warm[key] > slow:
                continue
            time.sleep(pause)
            if warm[key] < WARM:
                call()  # brings the call's data back into the caches, which the other calls have used meanwhile
            repeats = math.ceil(turn_seconds / warm[key])
            turns[key].append(_mean_seconds(call, repeats if most_calls is None else min(most_calls, repeats)))
        if after_round is not None:
            after_round(done)
    return {key: _quartiles(seconds) for key, seconds in turns.items()}


def pass_through_layer(layer: Any, batch: int, *, training: bool) -> Callable[[], object]:
    """A call that runs a layer on random row-major activations, as data comes; in training with all its gradients.

    Args:
        layer: an nn.Module with in_features and out_features.
        batch: rows of the activations.
        training: whether to run backward too.
    """
    dtype = next(layer.parameters()).dtype
    x = torch.randn(batch, int(layer.in_features), dtype=dtype, requires_grad=training)
    g = torch.randn(batch, int(layer.out_features), dtype=dtype)
    wanted = [x, *layer.parameters()]

    def forward() -> object:
        with torch.no_grad():
            return layer(x)

    def forward_and_backward() -> object:
        return torch.autograd.grad(layer(x), wanted, g)

    return forward_and_backward if training else forward


def _seconds_when_warm(call: Callable[[], object], pause: float) -> float:
    """The seconds of a call after a first one; a short call is repeated, since one measurement of it is noise."""
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
