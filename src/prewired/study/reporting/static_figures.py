"""The page's figures as PNG files: matplotlib draws the traces, axes and colours that a figure describes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...plots.style import add_legend, escape, make_panels, picture
from .page import resolve
from .page.family_styles import SYMBOLS

if TYPE_CHECKING:
    from .page import Figure

STATIC_COLOURS = {"ink": "black", "muted": "#777777", "accent": "#2B4C9B", "surface": "white"}  # the page's, on paper
STATIC_MARKERS = {symbol: marker for marker, symbol in SYMBOLS.items()} | {"star": "*", "diamond-tall": "d"}
DASHES = {"solid": "-", "dash": "--"}
LEAST_DRAWN = 1e-100
POINTS = 0.75  # per pixel, in which a figure gives the sizes of its markers


@picture
def draw_views(
    figure: Figure,
    views: Mapping[str, Mapping[str, str]],
    title: str = "",
    share_y: bool = False,
    leave_out: Collection[str] = (),
) -> Any:
    """Draw a figure of the page as a picture, a panel for each view.

    Args:
        figure: of which the spec is drawn.
        views: title of the panel -> the options that are chosen, by the labels of their choices; the first option of
            every other choice is taken.
        title: of the whole picture.
        share_y: whether all panels have one vertical axis.
        leave_out: names of traces that are not drawn.
        path: the picture to write, .png, .svg or .pdf.
    """
    first = {choice.label: choice.options[0] for choice in figure.choices}
    size = (6.4, 4.4) if len(views) == 1 else (3.5, 3.4)
    drawing, axes = make_panels(len(views), *size, share_y=share_y)
    for axis, (name, chosen) in zip(axes, views.items(), strict=True):
        spec = resolve(figure.spec, {**first, **chosen})
        traces = [trace for trace in spec["data"] if trace["name"] not in leave_out]
        for place, trace in enumerate(traces):
            _draw_trace(axis, trace, place)
        _set_horizontal_axis(axis, spec["layout"]["xaxis"], traces)
        if spec["layout"]["yaxis"].get("rangemode") == "tozero":
            axis.set_ylim(bottom=0)
        axis.ticklabel_format(axis="y", useOffset=False)
        axis.set_title(name)
        drawing.supxlabel(spec["layout"]["xaxis"]["title"]["text"])
        drawing.supylabel(spec["layout"]["yaxis"]["title"]["text"])
    if title:
        drawing.suptitle(escape(title), size=12)
    add_legend(drawing, axes)
    return drawing


def _draw_trace(axis: Any, trace: Mapping[str, Any], place: int) -> None:
    """Draw a trace of Plotly's type "scatter": a band, or a line, markers and their error bars."""
    line, marker, mode = trace.get("line", {}), trace.get("marker", {}), trace["mode"]
    x, y = _keep_drawable(trace["x"]), _keep_drawable(trace["y"])
    if trace.get("fill") == "toself":
        axis.fill(x, y, color=_choose_colour(trace["fillcolor"]), alpha=trace["opacity"], lw=0)
        return
    colour, bars = _choose_colour(marker.get("color") or line["color"]), trace.get("error_y")
    look = {
        "color": colour,
        "linestyle": DASHES[line.get("dash", "solid")] if "lines" in mode else "",
        "lw": line.get("width", 0),
        "drawstyle": "steps-post" if line.get("shape") == "hv" else "default",
    }
    if "markers" in mode:
        edge, symbol = marker.get("line", {}), marker["symbol"].removesuffix("-open")
        hollow = symbol != marker["symbol"]
        every = -(-len(trace["x"]) // marker.get("maxdisplayed", len(trace["x"])))
        look |= {
            "marker": STATIC_MARKERS[symbol],
            "ms": POINTS * marker["size"],
            "mfc": "none" if hollow else colour,
            "mec": colour if hollow else _choose_colour(edge["color"]),
            "mew": 1.0 if hollow else edge["width"] / 2,
            "markevery": (place % every, every),  # markers of neighbouring curves do not cover each other
        }
    if bars:
        look |= {"yerr": _keep_drawable(bars["array"]), "elinewidth": bars["thickness"], "capsize": bars["width"]}
    axis.errorbar(x, y, label=escape(trace["name"]), **look)


def _set_horizontal_axis(axis: Any, description: Mapping[str, Any], traces: Collection[Mapping[str, Any]]) -> None:
    """Give an axis the scale, the ticks and the range that the figure describes."""
    from matplotlib.ticker import MaxNLocator

    if description.get("type") == "log":
        axis.set_xscale("log")
        if "tickvals" in description:
            axis.set_xticks(description["tickvals"], description["ticktext"])
            axis.minorticks_off()
        if "range" in description:
            axis.set_xlim(*(10**end for end in description["range"]))
        return
    values = np.concatenate([_keep_drawable(trace["x"]) for trace in traces])
    are_whole = bool((values == np.round(values)).all())
    axis.xaxis.set_major_locator(MaxNLocator(nbins=6 if are_whole else 5, integer=are_whole, min_n_ticks=1))
    axis.ticklabel_format(axis="x", useOffset=False)
    if description.get("rangemode") == "tozero":
        axis.set_xlim(left=0)


def _keep_drawable(values: Any) -> np.ndarray:
    """Leave out the numbers between which matplotlib cannot place ticks: huge ones become NaN, tiny ones 0."""
    array = np.asarray(values, float)
    array = np.where(np.abs(array) < 1 / LEAST_DRAWN, array, np.nan)
    return np.where(np.abs(array) < LEAST_DRAWN, 0.0, array)


def _choose_colour(name: str) -> str:
    """Return the colour on paper of one of the page's names of colours, or the colour itself."""
    return STATIC_COLOURS.get(name, name)
