"""Scores and training speed of every family by density."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ...statistics import DENSE, DENSE_NARROW, TARGET_SHARE, percent, target_score
from ...statistics.study_rows import group_by
from ..number_format import format_number
from ..table import Table
from . import row_groups
from .blocks import Figure
from .family_styles import choose_styles, order_families
from .figure_spec import pick
from .row_groups import SETTING, average_known, compute_sd_of_known
from .trace_parts import (
    AXIS_PAD,
    METHOD,
    build_axis,
    build_band,
    build_choices,
    build_curve,
    build_density_axis,
    build_hover,
    build_reference_curve,
    spread_apart,
)

if TYPE_CHECKING:
    from ...statistics import Row

MEASURE = "Measure"
Value = Callable[["Row"], float | None]


def draw_score_by_density(rows: Sequence[Row]) -> Figure:
    """The test score of every family against density, with the dense nets.

    Args:
        rows: the finished runs.

    Returns:
        The figure.

    Raises:
        ValueError: if no row is of a sparse family.

    Example:
        >>> draw_score_by_density([])
        Traceback (most recent call last):
        ...
        ValueError: expected rows of sparse families, got none; run a study first
    """
    settings = row_groups.group_sparse_rows(rows)
    labels = pick(
        SETTING, {name: row_groups.label_score(setting_rows, "test") for name, setting_rows in settings.items()}
    )

    def test(setting_rows: Sequence[Row]) -> Value:
        factor = row_groups.choose_scale(setting_rows)
        return lambda row: factor * row.run.test_score

    tables = [_list_lines(name, rows, setting_rows, test(setting_rows)) for name, setting_rows in settings.items()]
    traces = {name: _build_traces(rows, setting_rows, test(setting_rows)) for name, setting_rows in settings.items()}
    layout = {
        "xaxis": pick(
            SETTING,
            {name: build_density_axis(row_groups.list_densities_of_rows(own)) for name, own in settings.items()},
        ),
        "yaxis": build_axis(labels),
    }
    return Figure(
        "Score by density",
        f"A line is a family: the mean over its graphs, with one standard deviation over them. {METHOD} "
        "The level line is the dense net of equal width, its band one standard deviation over training seeds; the "
        "dashed curve is the dense net of equal parameters.",
        {"data": pick(SETTING, traces), "layout": layout},
        _build_density_table("Mean test score, and sd over graphs", tables, row_groups.list_densities_of_rows(rows)),
        build_choices({SETTING: list(settings)}),
    )


def draw_speed_by_density(rows: Sequence[Row]) -> Figure:
    """Draw the time that each family trains until it has 95 % of the dense net's final validation score.

    Args:
        rows: the finished runs.

    Returns:
        The figure, in epochs and in seconds of training.

    Raises:
        ValueError: if no row is of a sparse family.

    Example:
        >>> draw_speed_by_density([])
        Traceback (most recent call last):
        ...
        ValueError: expected rows of sparse families, got none; run a study first
    """
    settings = row_groups.group_sparse_rows(rows)
    target = {
        name: target_score(row_groups.select_references(rows, setting_rows)) for name, setting_rows in settings.items()
    }
    share = percent(TARGET_SHARE)
    measures: dict[str, Callable[[Sequence[Row]], Value]] = {
        "epochs": lambda setting_rows: (
            lambda row: row.run.epochs_to(target[row_groups.describe_row_setting(setting_rows[0])])
        ),
        "seconds of training": lambda setting_rows: (
            lambda row: row.run.seconds_to(target[row_groups.describe_row_setting(setting_rows[0])])
        ),
    }
    traces, tables = {}, []
    for name, setting_rows in settings.items():
        traces[name] = pick(
            MEASURE, {m: _build_traces(rows, setting_rows, of(setting_rows)) for m, of in measures.items()}
        )
        tables += [_list_lines(f"{name}, {m}", rows, setting_rows, of(setting_rows)) for m, of in measures.items()]
    layout = {
        "xaxis": pick(
            SETTING,
            {name: build_density_axis(row_groups.list_densities_of_rows(own)) for name, own in settings.items()},
        ),
        "yaxis": build_axis(pick(MEASURE, {m: f"{m} to {share} of dense" for m in measures}), rangemode="tozero"),
    }
    return Figure(
        f"Training until {share} of the dense score",
        f"How long it takes to {share} of the final validation score of the dense net of equal width: the "
        "mean over the graphs of a family that get there. Lower is faster.",
        {"data": pick(SETTING, traces), "layout": layout},
        _build_density_table(
            f"Mean time to {share} of the dense score, and sd", tables, row_groups.list_densities_of_rows(rows)
        ),
        build_choices({MEASURE: list(measures), SETTING: list(settings)}),
    )


def _build_traces(rows: Sequence[Row], setting_rows: Sequence[Row], value: Value) -> list[dict[str, Any]]:
    """A line per family and for each of the dense nets."""
    look = choose_styles(row.family for row in rows if row_groups.is_sparse(row))
    densities, by_family = (
        row_groups.list_densities_of_rows(setting_rows),
        group_by(setting_rows, lambda row: row.family),
    )
    dense = group_by(row_groups.select_references(rows, setting_rows), lambda row: row.family)
    traces = []
    if DENSE in dense:
        ends = [densities[0] * 10**-AXIS_PAD, densities[-1] * 10**AXIS_PAD]
        values = [value(row) for row in dense[DENSE]]
        mean, spread = average_known(values), compute_sd_of_known(values)
        traces += [] if math.isnan(spread) else [build_band(DENSE, ends, mean - spread, mean + spread)]
        traces.append(build_reference_curve(DENSE, ends, [mean] * 2))
    if DENSE_NARROW in dense:
        x, y, _, _ = _compute_means(dense[DENSE_NARROW], value)
        traces.append(build_reference_curve(DENSE_NARROW, x, y))
    for place, family in enumerate(order_families(by_family)):
        x, y, spread, texts = _compute_means(by_family[family], value)
        x = [density * spread_apart(densities, place, len(by_family)) for density in x]
        bars = {"type": "data", "array": spread, "thickness": 1, "width": 2}
        template = build_hover(family, "%{text}", "%{y:.4~r}")
        more = {"error_y": bars} if not all(map(math.isnan, spread)) else {}
        traces.append(build_curve(family, look[family], x, y, template, text=texts, **more))
    return traces


def _compute_means(rows: Sequence[Row], value: Value) -> tuple[list[float], list[float], list[float], list[str]]:
    """Per density: it, the mean over graphs, the sd over graphs, and how many."""
    columns = []
    for density in row_groups.list_densities_of_rows(rows):
        graphs = group_by((row for row in rows if row.density == density), row_groups.identify_graph).values()
        means = [average_known(value(row) for row in graph) for graph in graphs]
        n = len(means)
        text = f"{percent(density)}, {n} graph{'' if n == 1 else 's'}"
        columns.append((density, average_known(means), compute_sd_of_known(means), text))
    x, y, spread, texts = (list(column) for column in zip(*columns, strict=True))
    return x, y, spread, texts


def _list_lines(name: str, rows: Sequence[Row], setting_rows: Sequence[Row], value: Value) -> list[tuple[str, ...]]:
    """A line of texts per family, with a cell for each density of the rows."""
    dense, lines = row_groups.select_references(rows, setting_rows), []
    by_family = group_by([*dense, *setting_rows], lambda row: row.family)
    for family in [
        *(ref for ref in (DENSE, DENSE_NARROW) if ref in by_family),
        *order_families(row.family for row in setting_rows),
    ]:
        if family == DENSE:
            text = format_number(average_known(value(row) for row in by_family[family]))
            cells = [text for _ in row_groups.list_densities_of_rows(rows)]
        else:
            x, y, spread, _ = _compute_means(by_family[family], value)
            by_density = {d: _format_mean(mean, sd) for d, mean, sd in zip(x, y, spread, strict=True)}
            cells = [by_density.get(density, "-") for density in row_groups.list_densities_of_rows(rows)]
        lines.append((family, name, *cells))
    return lines


def _format_mean(mean: float, sd: float) -> str:
    return format_number(mean) + ("" if math.isnan(sd) else f" (sd {sd:.2g})")


def _build_density_table(title: str, parts: Sequence[Sequence[tuple[str, ...]]], densities: Sequence[float]) -> Table:
    head = ("family", "setting", *(percent(density) for density in densities))
    return Table(title, head, tuple(line for part in parts for line in part))
