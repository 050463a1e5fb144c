"""Interleaved timing: the contenders take turns, so that a slow moment of the machine meets all of them."""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import torch
from threadpoolctl import threadpool_limits

AT_LEAST = 0.004  # seconds a sample lasts: short calls are repeated
THREADS = (1, 2)
WARMING = 0.02  # seconds from which on a call needs no untimed one before its sample

Key = TypeVar("Key")


class Timing(NamedTuple):
    """Seconds per call: the median and the quartiles of the samples."""

    seconds: float
    low: float
    high: float
    samples: int


def set_threads(n: int) -> None:
    """Run torch, and every OpenMP or BLAS that a peer has loaded, on n threads."""
    torch.set_num_threads(n)
    threadpool_limits(n)


def take_turns(
    calls: Mapping[Key, Callable[[], Any]], rounds: int, *, slow: float = 0.5, settle: float = 0.0
) -> dict[Key, Timing]:
    """Time the calls in turn, `rounds` samples each, after warming each of them up.

    Args:
        calls: what to time.
        rounds: samples per call.
        slow: a call that takes longer than this many seconds is not taken again: its warm call is its only sample.
        settle: seconds to sleep before each sample, so that threads of another OpenMP runtime stop spinning.
    """
    warm = {key: _warm(call, settle) for key, call in calls.items()}
    samples: dict[Key, list[float]] = {key: [seconds] if seconds > slow else [] for key, seconds in warm.items()}
    for _ in range(rounds):
        for key, call in calls.items():
            if warm[key] > slow:
                continue
            time.sleep(settle)
            if warm[key] < WARMING:
                call()
            samples[key].append(_sample(call, math.ceil(AT_LEAST / warm[key])))
    return {key: _timing(values) for key, values in samples.items()}


def record(timing: Timing, base: Timing) -> dict[str, float]:
    """A timing for the JSON file, in four digits, with its speed as a multiple of the base's: base time / its time."""
    seconds = {name: float(f"{value:.4g}") for name, value in timing._asdict().items() if name != "samples"}
    return {**seconds, "samples": timing.samples, "ratio": float(f"{base.seconds / timing.seconds:.4g}")}


def _warm(call: Callable[[], Any], settle: float) -> float:
    time.sleep(settle)
    call()
    seconds = _sample(call, 1)
    return seconds if seconds > WARMING else _sample(call, 3)


def _sample(call: Callable[[], Any], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def _timing(samples: list[float]) -> Timing:
    low, median, high = statistics.quantiles(samples, n=4, method="inclusive") if len(samples) > 1 else samples * 3
    return Timing(median, low, high, len(samples))
