"""What a net costs against what it reaches, and which nets no other one beats in both."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...statistics import DENSE, DENSE_NARROW, percent
from ...statistics.study_rows import group_by, mean_test_score
from ..number_format import format_number, format_score
from ..table import Table
from . import row_groups
from .blocks import Figure
from .family_styles import Look, choose_styles, order_families
from .figure_spec import pick
from .row_groups import SETTING, average_known
from .trace_parts import REFERENCE_LINES, build_axis, build_choices, build_hover, build_markers, spread_over_epochs

if TYPE_CHECKING:
    from ...statistics import Row

COST = "Cost"
COSTS: dict[str, Callable[[Row], float]] = {
    "parameters": lambda row: row.run.n_parameters,
    "bytes": lambda row: row.n_bytes,
    "seconds per epoch": spread_over_epochs,
}
Net = tuple[str, float | None]  # family and density


def draw_cost_frontier(rows: Sequence[Row]) -> Figure:
    """The mean test score of each family and density against its cost, with the front of those that are not beaten.

    Args:
        rows: the finished runs.

    Returns:
        The figure; the costs are parameters, bytes, and seconds per epoch.

    Raises:
        ValueError: if no row is of a sparse family.

    Example:
        >>> draw_cost_frontier([])
        Traceback (most recent call last):
        ...
        ValueError: expected rows of sparse families, got none; run a study first
    """
    settings = row_groups.group_sparse_rows(rows)
    look = choose_styles(row.family for row in rows if row_groups.is_sparse(row))
    data, labels, lines = {}, {}, []
    for name, setting_rows in settings.items():
        nets = group_by(
            [*row_groups.select_references(rows, setting_rows), *setting_rows], lambda row: (row.family, row.density)
        )
        data[name] = [*_build_front_traces(nets), *_build_traces(nets, look)]
        labels[name] = row_groups.label_score(setting_rows, "test")
        lines += _list_lines(name, nets)
    ticks = {"type": "log", "dtick": "D2", "tickformat": ",.4~r"}
    layout = {
        "xaxis": build_axis(pick(COST, {c: f"{c} (log scale)" for c in COSTS}), **ticks),
        "yaxis": build_axis(pick(SETTING, labels)),
    }
    head = ("net", "setting", "density", "test score", *COSTS, "on the front of")
    return Figure(
        "What accuracy costs",
        "A point is a family at one density, the mean over its runs; the stepped line joins those that no other net "
        "beats in both score and cost. Seconds compare only runs of one machine.",
        {"data": pick(SETTING, data), "layout": layout},
        Table("Costs and scores", head, tuple(lines)),
        build_choices({COST: list(COSTS), SETTING: list(settings)}),
    )


def find_pareto_front(costs: Sequence[float], scores: Sequence[float]) -> list[int]:
    """The places of the points that no other point beats: none costs as little or less and scores as much or more.

    Args:
        costs: one per point; less is better.
        scores: one per point; more is better. Points with a NaN are left out.

    Returns:
        Places by ascending cost; of equal points the first.

    Example:
        >>> find_pareto_front([1, 2, 3, 4], [0.5, 0.4, 0.7, 0.7])
        [0, 2]
    """
    candidates = (k for k in range(len(costs)) if not math.isnan(costs[k]) and not math.isnan(scores[k]))
    best, front = -math.inf, []
    for k in sorted(candidates, key=lambda k: (costs[k], -scores[k])):
        if scores[k] > best:
            best = scores[k]
            front.append(k)
    return front


def _find_front(nets: Mapping[Net, Sequence[Row]], cost: str) -> list[tuple[Net, float, float]]:
    names, costs = list(nets), [average_known(COSTS[cost](row) for row in rows) for rows in nets.values()]
    scores = [mean_test_score(rows) for rows in nets.values()]
    return [(names[k], costs[k], scores[k]) for k in find_pareto_front(costs, scores)]


def _build_front_traces(nets: Mapping[Net, Sequence[Row]]) -> list[dict[str, Any]]:
    """The front, of each cost."""
    factor = row_groups.choose_scale(next(iter(nets.values())))
    fronts = {cost: _find_front(nets, cost) for cost in COSTS}
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "Pareto front",
            "x": pick(COST, {cost: [x for _, x, _ in front] for cost, front in fronts.items()}),
            "y": pick(COST, {cost: [factor * y for _, _, y in front] for cost, front in fronts.items()}),
            "line": {"shape": "hv", "color": "accent", "width": 2},
            "hoverinfo": "skip",
        }
    ]


def _build_traces(nets: Mapping[Net, Sequence[Row]], look: Mapping[str, Look]) -> list[dict[str, Any]]:
    """A trace per family, with a point per density."""
    names = {family for family, _ in nets}
    traces = []
    for family in [
        *(ref for ref in (DENSE, DENSE_NARROW) if ref in names),
        *order_families(names - {DENSE, DENSE_NARROW}),
    ]:
        of_family = {density: rows for (name, density), rows in nets.items() if name == family}
        x = {cost: [average_known(map(of, rows)) for rows in of_family.values()] for cost, of in COSTS.items()}
        dense_styles = {
            DENSE: Look("ink", "star"),
            DENSE_NARROW: Look(REFERENCE_LINES[DENSE_NARROW][0], "diamond-tall"),
        }
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": family,
                "x": pick(COST, x),
                "y": [row_groups.choose_scale(rows) * mean_test_score(rows) for rows in of_family.values()],
                "text": ["equal width" if d is None else percent(d) for d in of_family],
                "marker": build_markers(dense_styles.get(family) or look[family], 12 if family in dense_styles else 9),
                "hovertemplate": build_hover(family, "%{text}", "%{x:,.4~r}, %{y:.4~r}"),
            }
        )
    return traces


def _list_lines(name: str, nets: Mapping[Net, Sequence[Row]]) -> list[tuple[str, ...]]:
    fronts = {cost: {net for net, _, _ in _find_front(nets, cost)} for cost in COSTS}
    return [
        (
            net[0],
            name,
            "-" if net[1] is None else percent(net[1]),
            format_score(mean_test_score(rows), row_groups.is_accuracy(rows)),
            f"{average_known(row.run.n_parameters for row in rows):,.0f}",
            f"{average_known(row.n_bytes for row in rows):,.0f}",
            format_number(average_known(map(spread_over_epochs, rows))),
            ", ".join(cost for cost in COSTS if net in fronts[cost]) or "-",
        )
        for net, rows in nets.items()
    ]
