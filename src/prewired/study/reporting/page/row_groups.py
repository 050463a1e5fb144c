"""The rows of a study by setting, density, family and graph, and their numbers as texts."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ...statistics import DENSE, DENSE_NARROW

if TYPE_CHECKING:
    from ...statistics import Row

Key = TypeVar("Key", bound=Hashable)
SETTING, DENSITY = "Setting", "Density"


def setting(row: Row) -> str:
    """Where a row belongs: its data set, its control and its initialisation, which are never compared with others.

    Example:
        >>> from types import SimpleNamespace
        >>> setting(SimpleNamespace(data="mnist", control="permuted", init="n_in"))
        'mnist, permuted, init n_in'
    """
    parts = [row.data, row.control, "" if row.init == "fan_in" else f"init {row.init}"]
    return ", ".join(part for part in parts if part)


def is_sparse(row: Row) -> bool:
    """Whether a row is not one of the dense references."""
    return row.family not in (DENSE, DENSE_NARROW)


def grouped(rows: Iterable[Row], key: Callable[[Row], Key]) -> dict[Key, list[Row]]:
    """Rows by key, in the order in which they come."""
    found: dict[Key, list[Row]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


def sparse_settings(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The sparse rows of each setting, those without a control first.

    Raises:
        ValueError: if there is none.
    """
    sparse = sorted((row for row in rows if is_sparse(row)), key=lambda row: (row.data, row.init, row.control))
    if not sparse:
        raise ValueError("expected rows of sparse families, got none; run a study first")
    return grouped(sparse, setting)


def references(rows: Sequence[Row], inside: Sequence[Row]) -> list[Row]:
    """The dense rows to compare a setting with: those of its data and control, or of its data where it has none."""
    first = inside[0]
    dense = [row for row in rows if not is_sparse(row) and row.data == first.data]
    return [row for row in dense if row.control == first.control] or [row for row in dense if not row.control]


def densities(rows: Iterable[Row]) -> list[float]:
    """The densities of the rows, ascending."""
    return sorted({row.density for row in rows if row.density is not None})


def graph_of(row: Row) -> tuple[Any, ...]:
    """What the rows of one graph, trained with several seeds, have in common."""
    return row.family, row.density, row.graph_seed, row.digests


def mean(values: Iterable[float | None]) -> float:
    """The mean of the values that are there, NaN for none."""
    there = [value for value in values if value is not None and not math.isnan(value)]
    return float(np.mean(there)) if there else math.nan


def sd(values: Iterable[float | None]) -> float:
    """Their standard deviation, with n - 1, NaN for fewer than two."""
    there = [value for value in values if value is not None and not math.isnan(value)]
    return float(np.std(there, ddof=1)) if len(there) > 1 else math.nan


def scale(rows: Sequence[Row]) -> float:
    """What scores are multiplied with to be shown: 100 for accuracies."""
    return 100.0 if rows[0].run.score_name == "accuracy" else 1.0


def score_label(rows: Sequence[Row], split: str) -> str:
    """The title of an axis of scores."""
    return f"{split} accuracy [%]" if rows[0].run.score_name == "accuracy" else f"{split} R²"


def score_text(rows: Sequence[Row], value: float) -> str:
    """A score of these rows as a text, a hyphen for NaN.

    Example:
        >>> from types import SimpleNamespace
        >>> score_text([SimpleNamespace(run=SimpleNamespace(score_name="accuracy"))], 0.89214)
        '89.21 %'
    """
    if math.isnan(value):
        return "-"
    return f"{100 * value:.2f} %" if scale(rows) == 100 else f"{value:.4f}"


def number_text(value: float | None) -> str:
    """A number in four digits, a hyphen for none.

    Example:
        >>> number_text(0.123456), number_text(12), number_text(None)
        ('0.1235', '12', '-')
    """
    return "-" if value is None or math.isnan(value) else f"{round(value, 9):.4g}"
