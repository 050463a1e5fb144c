"""Accuracy against a metric, a point per graph, with the picture and the numbers of the graph that is pointed at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...statistics import PRIMARY_METRIC, REFERENCES, percent
from ...statistics.study_rows import group_by
from ..number_format import format_number, format_score, spell_metric
from ..table import Table
from . import row_groups
from .blocks import Cards, Figure, LayerPicture
from .family_styles import Look, choose_styles, order_families
from .figure_spec import pick
from .row_groups import DENSITY, SETTING, average_known, compute_sd_of_known
from .thumbnails import encode_png
from .trace_parts import METHOD, build_axis, build_choices, build_hover, build_markers, build_reference_curve

if TYPE_CHECKING:
    from ...statistics import Row

METRIC = "Metric"
_KEY = 12  # letters of a digest


def draw_score_by_metric(rows: Sequence[Row], pictures: Mapping[str, np.ndarray], recipes: Mapping[str, str]) -> Figure:
    """The test score of every graph against a metric that the reader chooses, in one density and setting.

    Args:
        rows: the finished runs.
        pictures: digest -> what `thumbnail` makes of the topology; a graph without one has no picture.
        recipes: digest -> how the topology was made.

    Returns:
        The figure; its cards have the pictures, recipes, metrics and scores of the graphs.

    Raises:
        ValueError: if no row is of a sparse family or none has a metric.

    Example:
        >>> draw_score_by_metric([], {}, {})
        Traceback (most recent call last):
        ...
        ValueError: expected rows of sparse families, got none; run a study first
    """
    settings = row_groups.group_sparse_rows(rows)
    graphs = [
        graph
        for setting_rows in settings.values()
        for graph in group_by(setting_rows, row_groups.identify_graph).values()
    ]
    metrics = _list_metrics(graphs)
    place = {id(graph[0]): k for k, graph in enumerate(graphs)}
    look = choose_styles(row.family for row in rows if row_groups.is_sparse(row))
    data, labels = {}, {}
    for name, setting_rows in settings.items():
        cells = {
            percent(d): [row for row in setting_rows if row.density == d]
            for d in row_groups.list_densities_of_rows(setting_rows)
        }
        dense = row_groups.select_references(rows, setting_rows)
        data[name] = pick(
            DENSITY,
            {
                d: [*_build_levels(dense, cell, metrics), *_build_traces(cell, metrics, look, place)]
                for d, cell in cells.items()
            },
        )
        labels[name] = row_groups.label_score(setting_rows, "test")
    x_title = pick(METRIC, {spell_metric(metric): spell_metric(metric) for metric in metrics})
    spec = {
        "data": pick(SETTING, data),
        "layout": {"xaxis": build_axis(x_title), "yaxis": build_axis(pick(SETTING, labels))},
    }
    result = [percent(d) for d in row_groups.list_densities_of_rows(row for graph in graphs for row in graph)]
    options = {METRIC: [spell_metric(metric) for metric in metrics], DENSITY: result, SETTING: list(settings)}
    return Figure(
        "Score of every graph against a metric",
        f"A point is a graph; its bar is one standard deviation over training seeds. {METHOD} "
        "Metrics of layers are means over the sparse layers. "
        "Point at one, or move along them with the slider, to see its wiring; click to keep it for comparison.",
        spec,
        _build_table(graphs, metrics, len(settings) > 1),
        build_choices(options),
        _build_cards(graphs, metrics, pictures, recipes),
    )


def _list_metrics(graphs: Sequence[Sequence[Row]]) -> list[str]:
    """The metrics that the graphs have, the primary one first, then by name."""
    names = {metric for graph in graphs for metric in graph[0].metrics}
    if not names:
        raise ValueError("expected rows with metrics, got none; measure the graphs of the study")
    return sorted(names, key=lambda name: (name != PRIMARY_METRIC, name))


def _build_traces(
    cell: Sequence[Row], metrics: Sequence[str], look: Mapping[str, Look], place: Mapping[int, int]
) -> Any:
    """A trace per family."""
    by_family = group_by(cell, lambda row: row.family)
    traces, factor = [], row_groups.choose_scale(cell)
    for family in order_families(by_family):
        graphs = list(group_by(by_family[family], row_groups.identify_graph).values())
        spreads = [factor * compute_sd_of_known(row.run.test_score for row in graph) for graph in graphs]
        bars = {"type": "data", "array": spreads, "thickness": 1, "width": 0, "color": look[family].colour}
        values = {spell_metric(m): [graph[0].metrics.get(m, math.nan) for graph in graphs] for m in metrics}
        trace = {
            "type": "scatter",
            "mode": "markers",
            "name": family,
            "x": pick(METRIC, values),
            "y": [factor * average_known(row.run.test_score for row in graph) for graph in graphs],
            "customdata": [place[id(graph[0])] for graph in graphs],
            "marker": build_markers(look[family]),
            "hovertemplate": build_hover(family, "%{x:.4~g}, %{y:.4~r}"),
        }
        traces.append(trace if all(map(math.isnan, spreads)) else {**trace, "error_y": bars})
    return traces


def _build_levels(dense: Sequence[Row], cell: Sequence[Row], metrics: Sequence[str]) -> list[dict[str, Any]]:
    """The scores of the dense nets, as level lines over the range of the metric."""
    values = {metric: [row.metrics.get(metric, math.nan) for row in cell] for metric in metrics}
    there = {metric: [value for value in of if not math.isnan(value)] or [math.nan] for metric, of in values.items()}
    x = pick(METRIC, {spell_metric(metric): [min(of), max(of)] for metric, of in there.items()})
    nets = group_by((row for row in dense if row.density in (None, cell[0].density)), lambda row: row.family)
    scores = {
        name: row_groups.choose_scale(cell) * average_known(row.run.test_score for row in net)
        for name, net in nets.items()
    }
    return [build_reference_curve(name, x, [scores[name]] * 2) for name in REFERENCES if name in scores]


def _build_cards(
    graphs: Sequence[Sequence[Row]],
    metrics: Sequence[str],
    pictures: Mapping[str, np.ndarray],
    recipes: Mapping[str, str],
) -> Cards:
    store = {}
    for digest, row, k in {d: (d, graph[0], k) for graph in graphs for k, d in enumerate(graph[0].digests)}.values():
        size = f"{row.sizes[k]} to {row.sizes[k + 1]}" if len(row.sizes) > k + 1 else ""
        recipe = recipes.get(digest, "")
        caption = "\n".join(text for text in (size, recipe, f"digest {digest[:_KEY]}") if text)
        store[digest[:_KEY]] = LayerPicture(encode_png(pictures[digest]) if digest in pictures else b"", caption)
    return Cards(
        tuple(graph[0].family for graph in graphs),
        ("density", "setting", "test score", "scores by seed", "graph seed", *(spell_metric(m) for m in metrics)),
        tuple(_collect_facts(graph, metrics) for graph in graphs),
        tuple(tuple(digest[:_KEY] for digest in graph[0].digests) for graph in graphs),
        store,
    )


def _collect_facts(graph: Sequence[Row], metrics: Sequence[str]) -> tuple[str, ...]:
    first, scores = graph[0], [row.run.test_score for row in graph]
    by_seed = (
        ", ".join(format_score(score, row_groups.is_accuracy(graph)) for score in scores) if len(scores) > 1 else ""
    )
    return (
        percent(first.density or math.nan),
        row_groups.describe_row_setting(first),
        format_score(average_known(scores), row_groups.is_accuracy(graph)),
        by_seed,
        "" if first.graph_seed is None else str(first.graph_seed),
        *(format_number(first.metrics.get(metric)) for metric in metrics),
    )


def _build_table(graphs: Sequence[Sequence[Row]], metrics: Sequence[str], several: bool) -> Table:
    lines = []
    for graph in graphs:
        first, scores = graph[0], [row.run.test_score for row in graph]
        lines.append(
            (
                first.family,
                *((row_groups.describe_row_setting(first),) if several else ()),
                percent(first.density or math.nan),
                "-" if first.graph_seed is None else str(first.graph_seed),
                format_score(average_known(scores), row_groups.is_accuracy(graph)),
                format_score(compute_sd_of_known(scores), row_groups.is_accuracy(graph)),
                str(len(scores)),
                *(format_number(first.metrics.get(metric)) for metric in metrics),
            )
        )
    head = ("family", *(("setting",) if several else ()), "density", "graph seed", "test score", "sd", "runs")
    notes = ("sd: over the training seeds of a graph.",)
    return Table("Scores and metrics of every graph", (*head, *map(spell_metric, metrics)), tuple(lines), notes)
