"""The rows of a study by setting, density, family and graph, and the numbers that a figure needs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ...statistics import REFERENCES, mean_and_sd
from ...statistics.study_rows import group_by

if TYPE_CHECKING:
    from ...statistics import Row

SETTING, DENSITY = "Setting", "Density"


def describe_row_setting(row: Row) -> str:
    """Describe the setting of a row: data set, control and initial weights. Settings are never compared.

    Example:
        >>> from types import SimpleNamespace
        >>> describe_row_setting(SimpleNamespace(data="mnist", control="permuted", init="n_in"))
        'mnist, permuted, init n_in'
    """
    parts = [row.data, row.control, "" if row.init == "fan_in" else f"init {row.init}"]
    return ", ".join(part for part in parts if part)


def is_sparse(row: Row) -> bool:
    """Whether a row is not one of the dense references."""
    return row.family not in REFERENCES


def group_sparse_rows(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The sparse rows of each setting, those without a control first.

    Raises:
        ValueError: if there is none.
    """
    sparse = sorted((row for row in rows if is_sparse(row)), key=lambda row: (row.data, row.init, row.control))
    if not sparse:
        raise ValueError("expected rows of sparse families, got none; run a study first")
    return group_by(sparse, describe_row_setting)


def select_references(rows: Sequence[Row], setting_rows: Sequence[Row]) -> list[Row]:
    """The dense rows to compare a setting with: those of its data and control, or of its data where it has none."""
    first = setting_rows[0]
    dense = [row for row in rows if not is_sparse(row) and row.data == first.data]
    return [row for row in dense if row.control == first.control] or [row for row in dense if not row.control]


def list_densities_of_rows(rows: Iterable[Row]) -> list[float]:
    """The densities of the rows, ascending."""
    return sorted({row.density for row in rows if row.density is not None})


def identify_graph(row: Row) -> tuple[Any, ...]:
    """Return what the rows of one graph, trained with several seeds, have in common."""
    return row.family, row.density, row.graph_seed, row.digests


def average_known(values: Iterable[float | None]) -> float:
    """Return the mean of the values that are neither None nor NaN; NaN without any."""
    return mean_and_sd(_leave_out_unknown(values))[0]


def compute_sd_of_known(values: Iterable[float | None]) -> float:
    """Return the standard deviation, with n - 1, of the values that are neither None nor NaN; NaN for fewer than 2."""
    return mean_and_sd(_leave_out_unknown(values))[1]


def _leave_out_unknown(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None and not math.isnan(value)]


def is_accuracy(rows: Sequence[Row]) -> bool:
    """Return whether the scores are accuracies, which are shown in percent, or R2."""
    return rows[0].run.score_name == "accuracy"


def choose_scale(rows: Sequence[Row]) -> float:
    """Return the factor that scores are shown with: 100 for accuracies, else 1."""
    return 100.0 if is_accuracy(rows) else 1.0


def label_score(rows: Sequence[Row], split: str) -> str:
    """Return the title of an axis of scores."""
    return f"{split} accuracy [%]" if is_accuracy(rows) else f"{split} R²"
