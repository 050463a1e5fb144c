"""The parts that the page's plots are put together from: choices, traces, axes, lines of reference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ...statistics import DENSE, DENSE_NARROW, percent
from .blocks import Choice
from .family_styles import Look

if TYPE_CHECKING:
    from ...statistics import Row

REFERENCE_LINES = {DENSE: ("ink", "solid"), DENSE_NARROW: ("muted", "dash")}
AXIS_PAD = 0.12  # on each side of the densities, in powers of ten
METHOD = "Each graph counts once, with the mean over its training seeds."


def build_choices(options: Mapping[str, Sequence[str]]) -> tuple[Choice, ...]:
    """The choices that have more than one option."""
    return tuple(Choice(label, tuple(texts)) for label, texts in options.items() if len(texts) > 1)


def build_hover(name: str, *lines: str) -> str:
    """Return the text beside a point; the name is shown as it is, whatever it contains."""
    return "<br>".join((f"<b>{escape(name, quote=False).replace('%{', '%&#123;')}</b>", *lines)) + "<extra></extra>"


def build_axis(title: Any, **more: Any) -> dict[str, Any]:
    """An axis with a title."""
    return {"title": {"text": title}, **more}


def build_density_axis(densities: Sequence[float]) -> dict[str, Any]:
    """A logarithmic axis with a tick at each density that has room for one."""
    labelled = (
        [d for k, d in enumerate(densities) if k == 0 or math.log(d / densities[k - 1]) > 0.2]
        if len(densities) > 8
        else densities
    )
    ends = [math.log10(densities[0]) - AXIS_PAD, math.log10(densities[-1]) + AXIS_PAD]
    ticks = {"tickmode": "array", "tickvals": list(labelled), "ticktext": [percent(density) for density in labelled]}
    return build_axis("density of the sparse layers (log scale)", type="log", range=ends, **ticks)


def spread_apart(densities: Sequence[float], place: int, n: int) -> float:
    """Return the factor of the density of the family at this place of n, so that error bars stand side by side.

    Example:
        >>> spread_apart([0.1, 0.2], 1, 3), spread_apart([0.1], 0, 1)
        (1.0, 1.0)
    """
    nearest = min((b / a for a, b in pairwise(densities)), default=2.0)
    return (min(nearest, 2.0) ** (0.3 / max(n - 1, 1))) ** (place - (n - 1) / 2)


def build_markers(look: Look, size: int = 9) -> dict[str, Any]:
    """Markers of this look, with a thin edge that parts them where they overlap."""
    edge = {} if look.symbol.endswith("-open") else {"line": {"width": 0.8, "color": "surface"}}
    return {"color": look.colour, "symbol": look.symbol, "size": size, **edge}


def build_curve(name: str, look: Look, x: Any, y: Any, template: str, **more: Any) -> dict[str, Any]:
    """A line with markers, of a family."""
    line = {"color": look.colour, "width": 1.6}
    base = {"type": "scatter", "mode": "lines+markers", "name": name, "x": x, "y": y}
    return {**base, "marker": build_markers(look, 8), "line": line, "hovertemplate": template, **more}


def build_band(name: str, x: Sequence[float], low: float, high: float) -> dict[str, Any]:
    """A faint level band from low to high, of a dense net; the trace of the same name after the band has the legend."""
    (left, right), colour = x, REFERENCE_LINES[name][0]
    corners = {"x": [left, right, right, left], "y": [low, low, high, high]}
    fill = {"fill": "toself", "fillcolor": colour, "line": {"width": 0, "color": colour}, "opacity": 0.08}
    return {"type": "scatter", "mode": "lines", "name": name, **corners, **fill, "hoverinfo": "skip"}


def build_reference_curve(name: str, x: Any, y: Any) -> dict[str, Any]:
    """A line without markers, of a dense net."""
    colour, dash = REFERENCE_LINES[name]
    line = {"color": colour, "dash": dash, "width": 2}
    base = {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": y}
    return {**base, "line": line, "hovertemplate": build_hover(name, "%{y:.4~r}")}


def spread_over_epochs(row: Row) -> float:
    """The median seconds of an epoch."""
    ordered = sorted(row.run.seconds)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
