"""The pictures of a study: its scores by density and by metric, and the curves of its trainings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ...plots.style import panels, picture, shared_legend, style
from ..statistics import DENSE, DENSE_NARROW, Correlation, Row, mean_and_sd, percent
from ..statistics.study_rows import groups

REFERENCE_STYLES = {DENSE: ("black", "*", "-"), DENSE_NARROW: ("#777777", "d", "--")}
"""Colour, marker and line of the dense references."""


@dataclass(frozen=True)
class Drawn:
    """The runs of one graph of a family, or of a dense net, averaged over training seeds."""

    label: str
    density: float | None
    score: float
    score_sd: float
    metrics: Mapping[str, float]


def _graphs(rows: Sequence[Row]) -> list[Drawn]:
    """The graphs of each family, also where another family makes the same."""
    found = []
    for group in groups(rows, lambda row: (row.label, row.density, row.digests)):
        score, sd = mean_and_sd(row.run.test_score for row in group)
        found.append(Drawn(group[0].label, group[0].density, score, sd, group[0].metrics))
    return found


@picture
def score_by_density(rows: Sequence[Row]) -> Any:
    """Test score against density: a line per family with the spread over graphs, dense references as horizontal lines.

    Args:
        rows: the finished runs.
        path: the PNG to write.
    """
    graphs = _graphs(rows)
    densities = sorted({graph.density for graph in graphs if graph.density is not None})
    labels = _labels(rows)
    figure, axes = panels(1, width=6.4, height=4.4)
    axis = axes[0]
    _dense_lines(axis, graphs, densities, _scale(rows))
    step = _dodge(densities, len(labels))
    for place, label in enumerate(labels):
        cells = [(d, [g.score for g in graphs if g.label == label and g.density == d]) for d in densities]
        cells = [(d, *mean_and_sd(scores)) for d, scores in cells if scores]
        x = [density * step ** (place - (len(labels) - 1) / 2) for density, _, _ in cells]
        y = [_scale(rows) * mean for _, mean, _ in cells]
        spread = [_scale(rows) * sd for _, _, sd in cells]  # no bar where it is NaN
        colour, marker = style(label)
        axis.errorbar(
            x, y, yerr=spread, color=colour, marker=marker, ms=6, lw=1.5, elinewidth=1, capsize=3, label=label
        )
    axis.set_xscale("log")
    axis.set_xticks(densities, [percent(density) for density in densities])
    axis.minorticks_off()
    axis.set_xlim(densities[0] / 1.5, densities[-1] * 1.5)
    axis.set_xlabel("density of the sparse layers (log scale)")
    axis.set_ylabel(_score_label(rows, "test"))
    figure.legend(loc="outside right upper")
    return figure


@picture
def score_by_metric(rows: Sequence[Row], metric: str, correlations: Mapping[float, Correlation]) -> Any:
    """Test score against one metric, a point per graph and a panel per density, with Spearman's rho in its title.

    Args:
        rows: the finished runs.
        metric: a name from METRICS.
        correlations: density -> Spearman's rho of its graphs.
        path: the PNG to write.
    """
    graphs = [graph for graph in _graphs(rows) if metric in graph.metrics]
    densities = sorted({graph.density for graph in graphs if graph.density is not None})
    figure, axes = panels(len(densities), width=3.3, height=3.3)
    for axis, density in zip(axes, densities, strict=True):
        cell = [graph for graph in graphs if graph.density == density]
        for label in dict.fromkeys(graph.label for graph in cell):
            points = [(g.metrics[metric], _scale(rows) * g.score) for g in cell if g.label == label]
            colour, marker = style(label)
            x, y = zip(*points, strict=True)
            axis.plot(x, y, linestyle="", color=colour, marker=marker, ms=8, mec="white", mew=0.4, label=label)
        axis.margins(0.08)
        axis.locator_params(axis="x", nbins=5)
        axis.ticklabel_format(useOffset=False)
        found = correlations[density]
        verdict = "no ranking possible" if math.isnan(found.rho) else f"$\\rho$ = {found.rho:+.2f}"
        axis.set_title(f"density {percent(density)}\n{verdict}, n = {found.n}")
    figure.supxlabel(metric.replace("_", " ") + " (mean over layers)")
    figure.supylabel(_score_label(rows, "test"))
    shared_legend(figure, axes)
    return figure


@picture
def training_curves(rows: Sequence[Row]) -> Any:
    """Validation score after each epoch, mean over the runs of a family, a panel per density.

    Args:
        rows: the finished runs.
        path: the PNG to write.
    """
    from matplotlib.ticker import MaxNLocator

    densities = sorted({row.density for row in rows if row.density is not None})
    figure, axes = panels(len(densities), width=3.6, height=3.4, share_y=True)
    for axis, density in zip(axes, densities, strict=True):
        cell = [row for row in rows if row.label == DENSE or row.density == density]
        for place, label in enumerate(dict.fromkeys(row.label for row in cell)):
            curve = _scale(rows) * _mean_curve([row for row in cell if row.label == label])
            colour, marker, line = REFERENCE_STYLES.get(label, (*style(label), "-"))
            every = max(1, len(curve) // 8)
            epochs = range(1, len(curve) + 1)
            marked = (place % every, every)
            axis.plot(epochs, curve, line, color=colour, marker=marker, ms=5, markevery=marked, lw=1.5, label=label)
        axis.set_xlim(0.5, max(len(row.run.val_score) for row in cell) + 0.5)
        axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
        axis.set_title(f"density {percent(density)}")
    figure.supxlabel("epoch")
    figure.supylabel(_score_label(rows, "validation"))
    shared_legend(figure, axes)
    return figure


def _mean_curve(rows: Sequence[Row]) -> np.ndarray:
    """Mean validation score per epoch; a run that was stopped early keeps the score of its chosen epoch."""
    longest = max(len(row.run.val_score) for row in rows)
    held = [(*row.run.val_score, *[row.run.chosen_score] * (longest - len(row.run.val_score))) for row in rows]
    return np.mean(held, axis=0)


def _dense_lines(axis: Any, graphs: Sequence[Any], densities: Sequence[float], scale: float) -> None:
    for graph in graphs:
        if graph.label == DENSE:
            axis.axhline(scale * graph.score, color="black", lw=1.3, label=DENSE)
            if not math.isnan(graph.score_sd):
                low, high = graph.score - graph.score_sd, graph.score + graph.score_sd
                axis.axhspan(scale * low, scale * high, color="black", alpha=0.08, lw=0)
    narrow = {graph.density: scale * graph.score for graph in graphs if graph.label == DENSE_NARROW}
    if narrow:
        x = [density for density in densities if density in narrow]
        colour, marker, line = REFERENCE_STYLES[DENSE_NARROW]
        axis.plot(
            x, [narrow[density] for density in x], line, color=colour, marker=marker, ms=7, lw=1.3, label=DENSE_NARROW
        )


def _dodge(densities: Sequence[float], n: int) -> float:
    """The factor between neighbouring families at one density, so that their error bars stand side by side."""
    nearest = min((b / a for a, b in pairwise(densities)), default=2.0)
    return min(nearest, 2.0) ** (0.3 / max(n - 1, 1))


def _labels(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.label for row in rows if row.label not in REFERENCE_STYLES))


def _scale(rows: Sequence[Row]) -> float:
    return 100.0 if rows[0].run.score_name == "accuracy" else 1.0


def _score_label(rows: Sequence[Row], split: str) -> str:
    return f"{split} accuracy [%]" if rows[0].run.score_name == "accuracy" else f"{split} R²"
