"""The pictures of a study, and of topologies, as files; a family has the same colour and marker in all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .generators import GENERATORS, STAGES
from .statistics import DENSE, DENSE_NARROW, Finding, Row, by_graph, mean_and_sd, percent

if TYPE_CHECKING:
    from .topology import Topology

# Okabe-Ito without its yellow, filled up from Paul Tol's muted set: told apart with any colour vision
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#999933")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
KINDS = (".png", ".svg", ".pdf")
FIRST = ("erdos_renyi", "constant_fan_in", "biregular", "rotating", "fibonacci", "grouped")
REFERENCE_STYLES = {DENSE: ("black", "*", "-"), DENSE_NARROW: ("#777777", "d", "--")}
LOOK: dict[Any, Any] = {
    "font.size": 11,
    "axes.titlesize": 11,
    "figure.labelsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e5e5",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.dpi": 150,
    "savefig.dpi": 150,
}


def _picture(draw: Callable[..., Any]) -> Callable[..., Path]:
    """Give a drawing function its look and save the figure it returns under `path`, its last argument."""

    @wraps(draw)
    def save(*args: Any, path: str | Path) -> Path:
        import matplotlib

        kind = Path(path).suffix.lower()
        if kind not in KINDS:
            raise ValueError(f"expected a picture ending in {', '.join(KINDS)}, got {str(path)!r}")
        with matplotlib.rc_context(LOOK):
            draw(*args).savefig(path, format=kind[1:])
        return Path(path)

    return save


@_picture
def score_by_density(rows: Sequence[Row]) -> Any:
    """Test score against density: a line per family with the spread over graphs, dense references as horizontal lines.

    Args:
        rows: the finished runs.
        path: the PNG to write.
    """
    graphs = by_graph(rows)
    densities = sorted({graph.density for graph in graphs if graph.density is not None})
    labels = _labels(rows)
    figure, axes = _panels(1, width=6.4, height=4.4)
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


@_picture
def score_by_metric(rows: Sequence[Row], metric: str, findings: Sequence[Finding]) -> Any:
    """Test score against one metric, a point per graph and a panel per density, with Spearman's rho in its title.

    Args:
        rows: the finished runs.
        metric: a name from METRICS.
        findings: of the same rows.
        path: the PNG to write.
    """
    graphs = [graph for graph in by_graph(rows) if metric in graph.metrics]
    densities = sorted({graph.density for graph in graphs if graph.density is not None})
    figure, axes = _panels(len(densities), width=3.3, height=3.3)
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
        found = next(f.correlation for f in findings if (f.density, f.metric) == (density, metric))
        verdict = (
            "no ranking possible" if math.isnan(found.rho) else f"$\\rho$ = {found.rho:+.2f}, {p_text(found.p_value)}"
        )
        axis.set_title(f"density {percent(density)}\n{verdict}, n = {found.n}")
    figure.supxlabel(metric.replace("_", " ") + " (mean over layers)")
    figure.supylabel(_score_label(rows, "test"))
    _shared_legend(figure, axes)
    return figure


@_picture
def training_curves(rows: Sequence[Row]) -> Any:
    """Validation score after each epoch, mean over the runs of a family, a panel per density.

    Args:
        rows: the finished runs.
        path: the PNG to write.
    """
    from matplotlib.ticker import MaxNLocator

    densities = sorted({row.density for row in rows if row.density is not None})
    figure, axes = _panels(len(densities), width=3.6, height=3.4, share_y=True)
    for axis, density in zip(axes, densities, strict=True):
        cell = [row for row in rows if row.label == DENSE or row.density == density]
        for place, label in enumerate(dict.fromkeys(row.label for row in cell)):
            curve = _scale(rows) * np.mean([row.run.val_score for row in cell if row.label == label], axis=0)
            colour, marker, line = REFERENCE_STYLES.get(label, (*style(label), "-"))
            every = max(1, len(curve) // 8)
            epochs = range(1, len(curve) + 1)
            marked = (place % every, every)
            axis.plot(epochs, curve, line, color=colour, marker=marker, ms=5, markevery=marked, lw=1.5, label=label)
        axis.set_xlim(0.5, len(cell[0].run.val_score) + 0.5)
        axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
        axis.set_title(f"density {percent(density)}")
    figure.supxlabel("epoch")
    figure.supylabel(_score_label(rows, "validation"))
    _shared_legend(figure, axes)
    return figure


@_picture
def biadjacency(topologies: Mapping[str, Topology], title: str) -> Any:
    """Biadjacency matrices side by side, or one, larger; each pixel is the share of edges present in its block.

    Args:
        topologies: title -> topology.
        title: of the whole picture.
        path: the picture to write, .png, .svg or .pdf.
    """
    from matplotlib.colors import PowerNorm

    alone = len(topologies) == 1
    figure, axes = _panels(len(topologies), *((5.0, 5.2) if alone else (2.7, 3.0)))
    image, norm = None, PowerNorm(0.5, vmin=0, vmax=1)
    for axis, (name, topology) in zip(axes, topologies.items(), strict=True):
        extent = (0, topology.n_in, topology.n_out, 0)
        picture = block_shares(topology, resolution=480 if alone else 160)
        image = axis.imshow(picture, cmap="Blues", norm=norm, extent=extent, interpolation="nearest", aspect="auto")
        axis.set_title(name)
        axis.grid(False)
        axis.locator_params(nbins=4)
    figure.supxlabel("input")
    figure.supylabel("output")
    figure.suptitle(title, size=12)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, aspect=30, ticks=[0, 0.05, 0.1, 0.25, 0.5, 1])
    bar.set_label("share of edges present in a pixel")
    return figure


def block_shares(topology: Topology, resolution: int = 160) -> np.ndarray:
    """The biadjacency averaged over equal blocks, at most `resolution` a side: (rows, columns) in [0, 1], O(n_edges).

    Example:
        >>> from .generators import grouped
        >>> block_shares(grouped(4, 4, fan_in=2), resolution=2)
        array([[1., 0.],
               [0., 1.]])
    """
    rows, columns = min(topology.n_out, resolution), min(topology.n_in, resolution)
    row_of = np.arange(topology.n_out) * rows // topology.n_out
    column_of = np.arange(topology.n_in) * columns // topology.n_in
    counts = np.zeros((rows, columns))
    np.add.at(counts, (np.repeat(row_of, topology.fan_in), column_of[topology.indices]), 1)
    return counts / np.outer(np.bincount(row_of), np.bincount(column_of))


def style(family: str) -> tuple[str, str]:
    """The colour and the marker of a family, by its place in the registry, the same in every picture.

    The six that are compared most come first, so that no two of them share a colour.
    """
    names = [name for name in dict.fromkeys((*FIRST, *GENERATORS, *STAGES)) if name != DENSE]
    place = names.index(family) if family in names else len(names) + sum(family.encode())
    return COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]


def p_text(p_value: float) -> str:
    """A p-value in two digits, such as p = 0.04 or p < 0.001."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.2g}"


def _panels(n: int, width: float, height: float, share_y: bool = False) -> tuple[Any, list[Any]]:
    """A figure of n panels in rows of at most 3 (4 when there are more than 6), with room for a legend at the right."""
    from matplotlib.figure import Figure

    columns = 2 if n == 4 else min(n, 3 if n <= 6 else 4)
    lines = math.ceil(n / columns)
    figure = Figure(figsize=(width * columns + 2.2, height * lines + 0.4), layout="constrained")
    axes = list(figure.subplots(lines, columns, squeeze=False, sharey=share_y).flat)
    for unused in axes[n:]:
        unused.remove()
    return figure, axes[:n]


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


def _shared_legend(figure: Any, axes: Sequence[Any]) -> None:
    """One legend for all panels, outside of them."""
    entries = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(list(entries.values()), list(entries), loc="outside right upper")
