"""The validation score during training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...statistics import DENSE, DENSE_NARROW, mean_and_sd, percent
from ...statistics.study_rows import group_by
from ..number_format import format_number, format_score
from ..table import Table
from . import row_groups
from .blocks import Figure
from .family_styles import Look, choose_styles, order_families
from .figure_spec import pick
from .row_groups import DENSITY, SETTING, average_known
from .trace_parts import build_axis, build_choices, build_curve, build_hover, build_reference_curve

if TYPE_CHECKING:
    from ...statistics import Row

HORIZONTAL = "Horizontal axis"
_COLUMNS = 12  # of epochs in a table


def draw_training_curves(rows: Sequence[Row]) -> Figure:
    """The validation score after every epoch, the mean over the runs of a family.

    Args:
        rows: the finished runs.

    Returns:
        The figure, against epochs and against seconds of training.

    Raises:
        ValueError: if no row is of a sparse family.

    Example:
        >>> draw_training_curves([])
        Traceback (most recent call last):
        ...
        ValueError: expected rows of sparse families, got none; run a study first
    """
    settings = row_groups.group_sparse_rows(rows)
    look = choose_styles(row.family for row in rows if row_groups.is_sparse(row))
    data, labels, lines = {}, {}, []
    shown = _choose_epochs(max(len(row.run.val_score) for row in rows))
    for name, setting_rows in settings.items():
        cells, labels[name] = {}, row_groups.label_score(setting_rows, "validation")
        for density in row_groups.list_densities_of_rows(setting_rows):
            dense = [row for row in row_groups.select_references(rows, setting_rows) if row.density in (None, density)]
            cell = group_by([*dense, *(row for row in setting_rows if row.density == density)], lambda row: row.family)
            names = [
                *(ref for ref in (DENSE, DENSE_NARROW) if ref in cell),
                *order_families(set(cell) - {DENSE, DENSE_NARROW}),
            ]
            cells[percent(density)] = [_build_trace(family, cell[family], look) for family in names]
            lines += [_build_line(family, name, density, cell[family], shown) for family in names]
        data[name] = pick(DENSITY, cells)
    x_title = pick(HORIZONTAL, {"epoch": "epoch", "seconds of training": "seconds of training"})
    head = ("family", "setting", "density", "s per epoch", *(f"epoch {epoch}" for epoch in shown))
    densities = [percent(density) for density in row_groups.list_densities_of_rows(rows)]
    options = {HORIZONTAL: ["epoch", "seconds of training"], DENSITY: densities, SETTING: list(settings)}
    return Figure(
        "Validation score during training",
        "A line is the mean over the runs of a family; one that was stopped early keeps its score. Seconds are those "
        "of training alone, without evaluation; they compare only runs of one machine.",
        {
            "data": pick(SETTING, data),
            "layout": {"xaxis": build_axis(x_title, rangemode="tozero"), "yaxis": build_axis(pick(SETTING, labels))},
        },
        Table("Mean validation score after an epoch", head, tuple(_pad(line, len(head)) for line in lines)),
        build_choices(options),
    )


def _build_trace(family: str, rows: Sequence[Row], look: Mapping[str, Look]) -> dict[str, Any]:
    y = [row_groups.choose_scale(rows) * score for score in _compute_mean_curve(rows)]
    n = len(y)
    seconds = np.cumsum(
        [average_known(row.run.seconds[k] for row in rows if k < len(row.run.seconds)) for k in range(n)]
    )
    x = pick(HORIZONTAL, {"epoch": list(range(1, n + 1)), "seconds of training": seconds})
    template = build_hover(family, "%{x:.4~g}, %{y:.4~r}")
    if family in (DENSE, DENSE_NARROW):
        return build_reference_curve(family, x, y)
    trace = build_curve(family, look[family], x, y, template)
    return {**trace, "marker": {**trace["marker"], "maxdisplayed": 10}}


def _compute_mean_curve(rows: Sequence[Row]) -> list[float]:
    """The mean validation score after every epoch; a run that was stopped early keeps its chosen score."""
    longest = max(len(row.run.val_score) for row in rows)
    held = [(*row.run.val_score, *[row.run.chosen_score] * (longest - len(row.run.val_score))) for row in rows]
    return [mean_and_sd(scores)[0] for scores in zip(*held, strict=True)]


def _choose_epochs(n_epochs: int) -> list[int]:
    """Up to 12 epochs, the first and the last among them."""
    return sorted({round(epoch) for epoch in np.linspace(1, n_epochs, min(n_epochs, _COLUMNS))})


def _build_line(family: str, name: str, density: float, rows: Sequence[Row], shown: Sequence[int]) -> tuple[str, ...]:
    mean = _compute_mean_curve(rows)
    texts = [format_score(mean[epoch - 1], row_groups.is_accuracy(rows)) for epoch in shown if epoch <= len(mean)]
    seconds = format_number(average_known(s for row in rows for s in row.run.seconds))
    return (family, name, percent(density), seconds, *texts)


def _pad(line: tuple[str, ...], width: int) -> tuple[str, ...]:
    return (*line, *["-"] * (width - len(line)))[:width]
