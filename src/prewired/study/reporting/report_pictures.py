"""The pictures of a report, as PNG files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from ... import plots
from ...generators import from_recipe
from ...topology import Recipe, Topology
from ..statistics import REFERENCES, Cell, Row, percent
from .number_format import spell_metric
from .page import figures, row_groups
from .page.metric_figure import METRIC
from .page.row_groups import DENSITY, SETTING
from .report_data import PRIMARY_METRIC, Report, list_densities_of_data
from .static_figures import draw_views

PICTURE_METRICS = (PRIMARY_METRIC, "algebraic_connectivity")


def draw_pictures(report: Report, folder: str | Path) -> list[Path]:
    """Draw the pictures of a study into the folder and return their paths.

    Scores by density and by two metrics and curves of training, of each data set and each control, are the page's
    figures. The last picture shows the first layer of each family at the middle density.
    """
    folder, rows, paths = Path(folder), report.study.rows, []
    if any(map(row_groups.is_sparse, rows)):
        by_density, curves = figures.draw_score_by_density(rows), figures.draw_training_curves(rows)
        by_metric = figures.draw_score_by_metric(rows, {}, {})
        for name, setting_rows in row_groups.group_sparse_rows(rows).items():
            end = _format_ending(report, setting_rows[0])
            densities = row_groups.list_densities_of_rows(setting_rows)
            setting = {SETTING: name}
            views = {f"density {percent(d)}": {**setting, DENSITY: percent(d)} for d in densities}
            paths.append(draw_views(by_density, {"": setting}, name, path=folder / f"score_by_density{end}"))
            for metric in (metric for metric in PICTURE_METRICS if any(metric in row.metrics for row in setting_rows)):
                of_metric = {
                    f"{title}\n{_format_correlation(report, setting_rows[0], metric, density)}": {
                        **view,
                        METRIC: spell_metric(metric),
                    }
                    for (title, view), density in zip(views.items(), densities, strict=True)
                }
                path = folder / f"score_by_{metric}{end}"
                paths.append(draw_views(by_metric, of_metric, name, False, REFERENCES, path=path))
            paths.append(draw_views(curves, views, name, True, path=folder / f"training_curves{end}"))
    first = _list_first_layers(report)
    if first:
        paths.append(plots.biadjacency(first, _format_title(first), path=folder / "biadjacency.png"))
    return paths


def _format_ending(report: Report, row: Row) -> str:
    """Return the end of the file names of a setting: its data set where there are several, its control or weights."""
    names = report.study.config.data
    parts = [_name_data(names, row.data)] if len(names) > 1 else []
    parts += [part for part in (row.control, row.init) if part not in ("", "fan_in")]
    return "".join(f"_{part}" for part in parts) + ".png"


def _name_data(names: Sequence[str], name: str) -> str:
    """Return the name of a data set in file names, with its number if another data set has the same name.

    Example:
        >>> [_name_data(["a/x.npz", "b/x.npz", "y.csv"], name) for name in ("a/x.npz", "b/x.npz", "y.csv")]
        ['x_1', 'x_2', 'y']
    """
    stem = Path(name).stem
    same_stem = [other for other in names if Path(other).stem == stem]
    return stem if len(same_stem) == 1 else f"{stem}_{same_stem.index(name) + 1}"


def _format_correlation(report: Report, row: Row, metric: str, density: float) -> str:
    """Return Spearman's rho of one metric in the cell of this setting and density, as a text."""
    cell = Cell(row.data, density, row.control, row.init)
    rho, n = next(
        (finding.correlation.rho, finding.correlation.n)
        for finding in report.analysis.cells
        if (finding.metric, finding.cell) == (metric, cell)
    )
    return ("no ranking possible" if math.isnan(rho) else f"$\\rho$ = {rho:+.2f}") + f", n = {n}"


def _list_first_layers(report: Report) -> dict[str, Topology]:
    """The first layer of each family, as it is, at the middle density of the first data set."""
    data = report.study.config.data[0]
    middle = list_densities_of_data(report.study)[data]
    density = middle[len(middle) // 2]
    result: dict[str, Topology] = {}
    for row in report.study.rows:
        if row.digests and row.data == data and row.density == density and row.label == row.family:
            recipe = report.study.recipes.get(row.digests[0])
            if row.family not in result and recipe is not None:
                result[row.family] = from_recipe(Recipe.from_json(recipe))
    return result


def _format_title(first_layers: dict[str, Topology]) -> str:
    first = next(iter(first_layers.values()))
    size = f"{first.n_in} inputs, {first.n_out} outputs"
    return f"First sparse layer: {size}\ndensity {percent(first.density)}"
