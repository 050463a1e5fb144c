"""Numbers as people read them."""

from __future__ import annotations

import math

from ..statistics import Equivalence, Pooled


def format_score(value: float, is_accuracy: bool, unit: bool = True) -> str:
    """A score, in percent where it is an accuracy.

    Example:
        >>> format_score(0.9512, True), format_score(0.9512, False)
        ('95.12 %', '0.9512')
    """
    if not math.isfinite(value):
        return "-"
    return f"{100 * value:.2f}{' %' if unit else ''}" if is_accuracy else format_decimals(value, 4)


def format_decimals(value: float, n_decimals: int, sign: str = "") -> str:
    """A number with so many decimals, in three digits where it is huge.

    Example:
        >>> format_decimals(0.5, 3), format_decimals(-1.5e300, 3), format_decimals(float("nan"), 3)
        ('0.500', '-1.5e+300', '-')
    """
    if not math.isfinite(value):
        return "-"
    return f"{value:{sign}.{n_decimals}f}" if abs(value) < 1e6 else f"{value:{sign}.3g}"


def format_difference(value: float, is_accuracy: bool) -> str:
    """A difference of scores with its sign, in percentage points where they are accuracies.

    Example:
        >>> format_difference(-0.0012, True)
        '-0.12'
    """
    if not math.isfinite(value):
        return "-"
    return f"{100 * value:+.2f}" if is_accuracy else format_decimals(value, 4, "+")


def format_equivalence(comparison: Equivalence, is_accuracy: bool) -> str:
    """Return a difference of scores with its 90 % interval, in percentage points where they are accuracies."""
    numbers = comparison.difference, comparison.low, comparison.high
    value, low, high = (format_difference(number, is_accuracy) for number in numbers)
    return f"{value} [{low}, {high}]"


def format_interval(value: float, low: float, high: float) -> str:
    """A correlation with its interval.

    Example:
        >>> format_interval(0.5, 0.1, 0.8)
        '+0.50 [+0.10, +0.80]'
    """
    if not math.isfinite(value):
        return "-"
    return f"{value:+.2f}" if not math.isfinite(low + high) else f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"


def format_pooled(result: Pooled) -> str:
    """A pooled correlation with its interval."""
    return format_interval(result.effect, result.low, result.high)


def format_bytes(n: int) -> str:
    """A number of bytes.

    Example:
        >>> format_bytes(1_500_000), format_bytes(204)
        ('1.50 MB', '0.2 kB')
    """
    return f"{n / 1e6:.2f} MB" if n >= 1e6 else f"{n / 1e3:.1f} kB"


def format_metric(value: float) -> str:
    """A metric in three digits.

    Example:
        >>> format_metric(0.12345), format_metric(float("nan"))
        ('0.123', '-')
    """
    if not math.isfinite(value):
        return "-"
    value = round(value, 6) + 0.0
    return f"{value:.3g}" if value >= 0.1 else f"{value:.2g}"


def format_number(value: float | None) -> str:
    """Return a number in four digits, a hyphen for none.

    Example:
        >>> format_number(0.123456), format_number(12), format_number(None)
        ('0.1235', '12', '-')
    """
    return "-" if value is None or not math.isfinite(value) else f"{round(value, 9):.4g}"


def format_p(p_value: float) -> str:
    """A p-value in two digits.

    Example:
        >>> format_p(0.041), format_p(0.0001), format_p(float("nan"))
        ('0.041', '<0.001', '-')
    """
    if not math.isfinite(p_value):
        return "-"
    return "<0.001" if p_value < 0.001 else f"{p_value:.2g}"


def format_count(n: int, noun: str) -> str:
    """A number of things.

    Example:
        >>> format_count(1, "graph"), format_count(2, "graph")
        ('1 graph', '2 graphs')
    """
    return f"{n:,} {noun}{'s' if n != 1 else ''}"


def describe_setting(control: str, init: str) -> str:
    """Describe the control and the initial weights of families, in words.

    Example:
        >>> describe_setting("", "fan_in"), describe_setting("permuted", "fan_in"), describe_setting("", "n_in")
        ('as they are', 'with permuted inputs', 'with initial weights as if dense')
    """
    if init != "fan_in":
        return "with initial weights as if dense"
    return {"": "as they are", "permuted": "with permuted inputs", "shuffled": "with edges shuffled in their layers"}[
        control
    ]


def spell_metric(metric: str) -> str:
    """Return the name of a metric as people read it.

    Example:
        >>> spell_metric("fan_in_cv")
        'fan in cv'
    """
    return metric.replace("_", " ")
