"""The pictures of topologies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..metrics import leading_singular_values, random_matrix
from ..metrics.paths import log_paths
from ..metrics.paths import path_counts as count_paths
from ..topology import Topology
from .style import COLOURS, add_legend, check_topologies, escape, make_panels, picture

SHARES = (0, 0.05, 0.1, 0.25, 0.5, 1)
FAINT = 0.05  # if no pixel has a larger share, the darkest shade stands for the largest share instead of 1
BARS, LAW, SIGMA1, SIGMA2 = COLOURS[5], COLOURS[0], COLOURS[1], COLOURS[2]


@picture
def biadjacency(topologies: Mapping[str, Topology], title: str) -> Any:
    """Draw biadjacency matrices side by side; each pixel is the share of possible edges present in its block.

    Args:
        topologies: title -> topology; a single topology is drawn larger.
        title: the title of the whole picture.
        path: the picture to write, .png, .svg or .pdf.
    """
    from matplotlib.colors import PowerNorm

    is_single = len(check_topologies(topologies)) == 1
    figure, axes = make_panels(len(topologies), *((5.0, 5.2) if is_single else (2.7, 3.0)))
    shares = [block_shares(topology, resolution=480 if is_single else 160) for topology in topologies.values()]
    max_share = max(share.max() for share in shares)
    has_full_scale = max_share >= FAINT or max_share == 0
    image, norm = None, PowerNorm(0.5, vmin=0, vmax=1 if has_full_scale else max_share)
    for axis, share, (name, topology) in zip(axes, shares, topologies.items(), strict=True):
        image = _draw_matrix(axis, share, topology.n_in, topology.n_out, norm)
        axis.set_title(escape(name))
    figure.supxlabel("input")
    figure.supylabel("output")
    figure.suptitle(escape(title), size=12)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, aspect=30, ticks=SHARES if has_full_scale else None)
    bar.set_label("share of edges present in a pixel")
    return figure


@picture
def path_counts(topologies: Sequence[Topology]) -> Any:
    """Draw the number of paths from each block of inputs to each block of outputs, divided by the mean number.

    If all blocks have equally many paths, the picture has one shade.

    Args:
        topologies: the layers of the network, inputs first.
        path: the picture to write, .png, .svg or .pdf.
    """
    from matplotlib.colors import PowerNorm

    counts = count_paths(topologies, 160)
    figure, (axis,) = make_panels(1, 5.0, 5.2)
    norm = PowerNorm(0.5, vmin=0, vmax=max(2.0, counts.max()))
    image = _draw_matrix(axis, counts, topologies[0].n_in, topologies[-1].n_out, norm)
    axis.set_xlabel("input")
    axis.set_ylabel("output")
    exponent = log_paths(topologies)
    total = f"$10^{{{exponent:.2f}}}$ paths" if np.isfinite(exponent) else "no path"
    axis.set_title(f"{' -> '.join(map(str, _list_sizes(topologies)))}, {total}")
    bar = figure.colorbar(image, ax=axis, shrink=0.8, aspect=30)
    bar.set_label("paths of a pair / mean of all pairs")
    return figure


@picture
def singular_values(topologies: Topology | Mapping[str, Topology]) -> Any:
    """Draw a histogram of the singular values of the biadjacency, and the law of random biregular graphs over it.

    For graphs too large for `metrics.random_matrix.singular_values`, the histogram is estimated by
    `metrics.random_matrix.singular_value_density`. The law, `metrics.random_matrix.biregular_law`, is that of the mean
    degrees and the density of the graph; it is left out where no law exists. Bars much higher than the law are cut
    off, and a text says which share of the values they hold.

    Args:
        topologies: one topology, or title -> topology.
        path: the picture to write, .png, .svg or .pdf.
    """
    topology_by_title = check_topologies({"": topologies} if isinstance(topologies, Topology) else topologies)
    figure, axes = make_panels(len(topology_by_title), *((5.6, 4.2) if len(topology_by_title) == 1 else (3.6, 3.2)))
    for axis, (name, topology) in zip(axes, topology_by_title.items(), strict=True):
        _draw_spectrum(axis, topology)
        sigma1, sigma2 = leading_singular_values(topology)
        axis.set_title(f"{escape(name)}\n$\\sigma_1$ = {sigma1:.4g}, $\\sigma_2$ = {sigma2:.4g}".strip())
    figure.supxlabel("singular value")
    figure.supylabel("density")
    add_legend(figure, axes)
    return figure


@picture
def degrees(topologies: Mapping[str, Topology]) -> Any:
    """Draw histograms of the fan-ins and of the fan-outs, a row of two panels for each topology.

    Args:
        topologies: title -> topology.
        path: the picture to write, .png, .svg or .pdf.
    """
    figure, axes = make_panels(
        2 * len(check_topologies(topologies)), 4.0, 2.4 if len(topologies) == 1 else 2.0, columns=2
    )
    sides = [
        (f"{escape(name)} {side}".strip(), units, counts)
        for name, topology in topologies.items()
        for side, units, counts in (("fan-in", "outputs", topology.fan_in), ("fan-out", "inputs", topology.fan_out))
    ]
    for axis, (title, units, counts) in zip(axes, sides, strict=True):
        _draw_degrees(axis, counts)
        low, high = counts.min(), counts.max()
        axis.set_title(f"{title} {low:,}" + ("" if low == high else f" to {high:,}, mean {counts.mean():.4g}"))
        axis.set_ylabel(units)
    figure.supxlabel("degree")
    return figure


def block_shares(topology: Topology, resolution: int = 160) -> np.ndarray:
    """Average the biadjacency over blocks of equal size: (rows, columns) in [0, 1], at most `resolution` each.

    The time is O(n_edges).

    Example:
        >>> from prewired.generators import grouped
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


def _list_sizes(topologies: Sequence[Topology]) -> list[int]:
    return [topologies[0].n_in, *(topology.n_out for topology in topologies)]


def _draw_matrix(axis: Any, values: np.ndarray, n_in: int, n_out: int, norm: Any) -> Any:
    """Draw a matrix; its axes count inputs and outputs, whatever the resolution of the matrix."""
    image = axis.imshow(
        values, cmap="Blues", norm=norm, extent=(0, n_in, n_out, 0), interpolation="nearest", aspect="auto"
    )
    axis.grid(False)
    axis.locator_params(nbins=4, integer=True)
    _shorten_numbers(axis, n_in, n_out)
    return image


def _draw_spectrum(axis: Any, topology: Topology) -> None:
    """Draw the bars, the law and the marks of one panel.

    sigma1 does not belong to the law and usually lies far to the right.
    """
    sigma1, sigma2 = leading_singular_values(topology)
    fan_in, fan_out = topology.n_edges / topology.n_out, topology.n_edges / topology.n_in
    try:
        low, high = random_matrix.bulk(fan_in, fan_out, density=topology.density)
    except ValueError:
        low = high = 0.0
    inner_edge = max(high, sigma2) or sigma1 or 1.0
    axis_end = 1.25 * inner_edge if sigma1 > 1.5 * inner_edge else 1.1 * max(inner_edge, sigma1)
    n_values = min(topology.n_in, topology.n_out)
    bin_edges = np.linspace(0.0, axis_end, min(max(n_values // 8, 20), 50) + 1)
    if topology.n_in * topology.n_out <= random_matrix.MOST_CELLS_OF_SVD:
        bars = np.histogram(random_matrix.singular_values(topology), bin_edges)[0] / (n_values * np.diff(bin_edges))
    else:
        bars, _ = random_matrix.singular_value_density(topology, bin_edges)
    axis.bar(bin_edges[:-1], bars, np.diff(bin_edges), align="edge", color=BARS, label="singular values")
    axis.set_xlim(0.0, axis_end)
    if high:
        x = low + (high - low) * (0.5 - 0.5 * np.cos(np.linspace(0.0, np.pi, 1001)[1:-1]))  # dense at both ends
        curve = random_matrix.biregular_law(x, fan_in, fan_out, density=topology.density)
        axis.plot(x, curve, color=LAW, lw=1.6, label="random biregular graph")
        _cut_off(axis, bin_edges, bars, 2.0 * np.quantile(curve, 0.75))
    axis.axvline(sigma2, color=SIGMA2, ls="--", lw=1.4, label="$\\sigma_2$")
    if sigma1 <= axis_end:
        axis.axvline(sigma1, color=SIGMA1, ls="-.", lw=1.4, label="$\\sigma_1$")
    else:
        arrow = {"xy": (1.0, 0.9), "xytext": (0.85, 0.9), "xycoords": "axes fraction", "va": "center"}
        axis.annotate("$\\sigma_1$", **arrow, color=SIGMA1, arrowprops={"arrowstyle": "->", "color": SIGMA1})


def _cut_off(axis: Any, bin_edges: np.ndarray, bars: np.ndarray, height: float) -> None:
    """Cut off bars above a height, and write beside each group of them the share of values that the group holds."""
    axis.set_ylim(0.0, min(height, axis.get_ylim()[1]))
    bounds = np.flatnonzero(np.diff(bars > height, prepend=False, append=False))
    for start, end in bounds.reshape(-1, 2):
        share = (bars * np.diff(bin_edges))[start:end].sum()
        is_left_half = 2 * start < len(bars)  # then the text is written to the right of the bars
        position = {
            "xy": (bin_edges[end if is_left_half else start], 0.97 * height),
            "xytext": (3 if is_left_half else -3, 0),
        }
        alignment = {"ha": "left" if is_left_half else "right", "va": "top", "textcoords": "offset points"}
        axis.annotate(f"{100 * share:.2g} %", **position, **alignment, size=9)


def _draw_degrees(axis: Any, counts: np.ndarray) -> None:
    """Draw at most 60 bars of equal width for whole degrees; the counts are logarithmic if a few units are hubs."""
    low, high = int(counts.min()), int(counts.max())
    width = -(-(high - low + 1) // 60)
    axis.hist(counts, np.arange(low, high + width + 1, width) - 0.5, color=BARS, ec="white", lw=0.5)
    margin = max(6 - (high - low) / 2, 1.0, (high - low) / 20)
    axis.set_xlim(max(low - margin, -0.75), high + margin)
    axis.locator_params(axis="x", nbins=8 if high < 10_000 else 3, integer=True)
    axis.locator_params(axis="y", nbins=6, integer=True)
    axis.ticklabel_format(useOffset=False, style="plain")
    _shorten_numbers(axis, high - low, len(counts))
    if high > 4 * max(counts.mean(), 1):
        axis.set_yscale("log")


def _shorten_numbers(axis: Any, x: int, y: int) -> None:
    """Write 50 k instead of 50000 along an axis of large numbers."""
    from matplotlib.ticker import EngFormatter

    for ticks, reach in ((axis.xaxis, x), (axis.yaxis, y)):
        if reach >= 20_000:
            ticks.set_major_formatter(EngFormatter(sep=" "))
