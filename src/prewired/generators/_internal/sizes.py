"""Edge counts and fan-ins from fan_in=, density= or n_edges=, and checks of numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...random_bits import RandomBits


def edge_count(n_in: int, n_out: int, fan_in: int | None, density: float | None, n_edges: int | None = None) -> int:
    """Return n_edges, or n_out * fan_in, or density * n_in * n_out rounded to the nearest integer (half to even).

    Raises ValueError unless exactly one of the three is given and the graph has between 1 and n_in * n_out edges.
    """
    if n_edges is None and density is None:
        return n_out * resolve_fan_in(n_in, fan_in, None)
    _check_alone(fan_in=fan_in, density=density, n_edges=n_edges)
    if n_edges is not None:
        _check_integer("n_edges", n_edges)
        if not 0 < n_edges <= n_in * n_out:
            raise ValueError(
                f"expected 0 < n_edges <= n_in * n_out, got n_edges={n_edges} with {n_in} x {n_out} = {n_in * n_out}; "
                "lower n_edges or widen a side"
            )
        return int(n_edges)
    edges = round(check_density(density) * n_in * n_out)
    if edges == 0:
        raise ValueError(
            f"expected at least one edge, got density={density} of {n_in} x {n_out}; "
            f"use density >= {1 / (n_in * n_out):.3g}"
        )
    return edges


def split_evenly(n: int, total: int, bits: RandomBits) -> np.ndarray:
    """Return `n` integers that differ by at most one and sum to `total`; which of them are larger is random."""
    degrees = np.full(n, total // n)
    degrees[bits.permutation(n)[: total % n]] += 1
    return degrees


def resolve_fan_in(n_in: int, fan_in: int | None, density: float | None) -> int:
    """Return fan_in, or density * n_in rounded to the nearest integer (half to even): the fan-in of every output.

    Raises ValueError unless exactly one of the two is given and 0 < fan_in <= n_in.
    """
    if density is not None:
        _check_alone(fan_in=fan_in, density=density)
        if round(check_density(density) * n_in) == 0:
            raise ValueError(
                f"expected at least one input per output, got density={density} of n_in={n_in}; "
                f"use density >= {1 / n_in:.3g}"
            )
        return round(density * n_in)
    if fan_in is None:
        raise ValueError("expected fan_in= or density=, got neither; for example density=0.1")
    _check_integer("fan_in", fan_in)
    if not 0 < fan_in <= n_in:
        raise ValueError(
            f"expected 0 < fan_in <= n_in, got fan_in={fan_in} with n_in={n_in}; lower fan_in or widen the input"
        )
    return int(fan_in)


def check_multiple(name: str, value: int, unit: int, most: int) -> None:
    """Raise ValueError, with the nearest multiples in 1..most, unless `value` is a multiple of `unit`."""
    if value % unit:
        raise ValueError(
            f"expected {name} to be a multiple of {unit}, got {name}={value}; the nearest are "
            f"{format_nearest(range(unit, most + 1, unit), value)}"
        )


def format_nearest(choices: Sequence[int], value: int) -> str:
    """Return the largest choice below the value and the smallest above, as words of a message."""
    below, above = [k for k in choices if k < value], [k for k in choices if k > value]
    return " and ".join(str(k) for k in [*sorted(below)[-1:], *sorted(above)[:1]])


def _check_alone(**requests: float | None) -> None:
    values = {name: value for name, value in requests.items() if value is not None}
    if len(values) > 1:
        names = ", ".join(f"{name}={value!r}" for name, value in values.items())
        choices = " or ".join(f"{name}=" for name in requests)
        raise ValueError(f"expected {choices}, got {'both' if len(values) == 2 else 'all'} ({names}); give only one")


def _check_integer(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValueError(f"expected an integer {name}, got {name}={value!r}; use density= for a share")


def check_density(density: Any) -> float:
    """Return the density; raises ValueError unless the density is a number in (0, 1]."""
    return check_real("density", density, 0, 1, "density is the share of edges present", above=True)


def check_real(name: str, value: Any, low: float, high: float, remedy: str, *, above: bool = False) -> float:
    """Return the value as a float; raises ValueError, which ends with the remedy, if the value is no number in range.

    The range is [low, high], or (low, high] with above=True.
    """
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not number or not low <= value <= high or (above and value == low):
        least = f"{low:g} {'<' if above else '<='} {name}"
        raise ValueError(f"expected a number {least} <= {high:g}, got {name}={value!r}; {remedy}")
    return float(value)
