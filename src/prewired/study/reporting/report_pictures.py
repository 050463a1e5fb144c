"""The pictures of a report, as PNG files."""

from __future__ import annotations

from pathlib import Path

from ... import plots
from ...generators import from_recipe
from ...topology import Recipe, Topology
from ..statistics import REFERENCES, percent
from . import study_plots
from .report_data import PRIMARY_METRIC, Report, densities

PICTURE_METRICS = (PRIMARY_METRIC, "algebraic_connectivity")


def draw(report: Report, folder: str | Path) -> list[Path]:
    """Draw the pictures of a study into the folder and return their paths.

    Scores by density and by two metrics and curves of training, of each data set and each control; and the first layer
    of each family at the middle density.
    """
    folder, config = Path(folder), report.study.config
    drawn = []
    for data in config.data:
        for control, init in report.settings:
            parts = ([data] if len(config.data) > 1 else []) + [
                part for part in (control, init) if part not in ("", "fan_in")
            ]
            end = "".join(f"_{Path(part).stem}" for part in parts) + ".png"
            rows = [
                row
                for row in report.study.rows
                if row.data == data and (row.family in REFERENCES or (row.control, row.init) == (control, init))
            ]
            if all(row.family in REFERENCES for row in rows):
                continue
            correlations = {
                (one.metric, one.cell.density): one.correlation
                for one in report.analysis.cells
                if (one.cell.data, one.cell.control, one.cell.init) == (data, control, init)
            }
            drawn.append(study_plots.score_by_density(rows, path=folder / f"score_by_density{end}"))
            for metric in PICTURE_METRICS:
                of_metric = {density: found for (name, density), found in correlations.items() if name == metric}
                drawn.append(
                    study_plots.score_by_metric(rows, metric, of_metric, path=folder / f"score_by_{metric}{end}")
                )
            drawn.append(study_plots.training_curves(rows, path=folder / f"training_curves{end}"))
    first = _first_layers(report)
    if first:
        drawn.append(plots.biadjacency(first, _title(first), path=folder / "biadjacency.png"))
    return drawn


def _first_layers(report: Report) -> dict[str, Topology]:
    """The first layer of each family, as it is, at the middle density of the first data set."""
    data = report.study.config.data[0]
    middle = densities(report.study)[data]
    density = middle[len(middle) // 2]
    found: dict[str, Topology] = {}
    for row in report.study.rows:
        if row.digests and row.data == data and row.density == density and row.label == row.family:
            recipe = report.study.recipes.get(row.digests[0])
            if row.family not in found and recipe is not None:
                found[row.family] = from_recipe(Recipe.from_json(recipe))
    return found


def _title(first_layers: dict[str, Topology]) -> str:
    first = next(iter(first_layers.values()))
    size = f"{first.n_in} inputs, {first.n_out} outputs"
    return f"First sparse layer: {size}\ndensity {percent(first.density)}"
