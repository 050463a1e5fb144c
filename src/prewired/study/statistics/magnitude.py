"""What rounding errors and the range of numbers must not decide."""

from __future__ import annotations

import math

import numpy as np

TINY = 1e-9  # relative: anything below this is rounding error


def scale_values(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Divide finite values by a power of two, so that the largest magnitude lies in [1, 2); return both.

    A power of two changes no digit. The squares and sums of the result neither overflow nor vanish.

    Example:
        >>> scale_values(np.array([0.75, -6.0]))
        (array([ 0.1875, -1.5   ]), 4.0)
        >>> scale_values(np.zeros(1))
        (array([0.]), 1.0)
    """
    largest = float(np.abs(values).max(initial=0.0))
    scale = math.ldexp(1.0, math.frexp(largest)[1] - 1) if largest > 0 else 1.0
    return values / scale, scale


def has_spread(values: np.ndarray) -> bool:
    """Return whether finite values differ by more than rounding errors.

    Example:
        >>> has_spread(np.array([0.1, 0.1 + 1e-17])), has_spread(np.array([0.1, 0.2])), has_spread(np.array([0.1]))
        (False, True, False)
    """
    return len(values) > 0 and float(values.max()) - float(values.min()) > TINY * float(np.abs(values).max())


def keep_finite(value: float) -> float:
    """Return the value as a float; NaN, which means "cannot be computed", for an infinite value.

    Example:
        >>> keep_finite(0.5), keep_finite(float("inf"))
        (0.5, nan)
    """
    return float(value) if math.isfinite(value) else math.nan
