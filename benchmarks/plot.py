"""The picture docs/benchmarks.png: speed over nn.Linear against density, with the break-even marked."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

from prewired.plots import COLOURS, LOOK, MARKERS

from .layer import FORWARD, STEP
from .peers import FEATURE_MAJOR, NAMES, ROW_MAJOR

THREADS = 1
OWN = (ROW_MAJOR, FEATURE_MAJOR)
STYLES = dict(zip(NAMES[1:], zip(COLOURS, MARKERS, strict=False), strict=True))


def speedups(part: dict[str, Any], path: Path) -> None:
    """Draw the layer's forward and forward+backward on one thread, this package's lines thick."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(LOOK):
        figure = Figure(figsize=(12, 5), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        for axis, what in zip(axes, (FORWARD, STEP), strict=True):
            _panel(axis, part["records"], what)
        figure.suptitle(f"{part['batch']} x {part['width']} x {part['width']}, float32, one thread")
        figure.supxlabel("density [%] (log scale)")
        axes[0].set_ylabel("time of nn.Linear / time (log scale)")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper")
        figure.savefig(path, format="png")


def break_even(curve: list[tuple[float, float]]) -> float | None:
    """The density where the curve (density, ratio) first falls to 1, interpolated in logarithms; None if nowhere.

    Example:
        >>> break_even([(0.1, 4.0), (0.4, 0.25)])
        0.2
    """
    for (d, ratio), (next_d, next_ratio) in pairwise(curve):
        if ratio > 1 >= next_ratio:
            share = math.log(ratio) / math.log(ratio / next_ratio)
            return round(d * (next_d / d) ** share, 12)
    return None


def _panel(axis: Any, records: list[dict[str, Any]], what: str) -> None:
    chosen = [record for record in records if (record["threads"], record["pass"]) == (THREADS, what)]
    densities = sorted({record["density"] for record in chosen})
    axis.axhline(1, color="black", lw=1.3, label="nn.Linear (break-even)")
    for name, (colour, marker) in STYLES.items():
        curve = sorted((record["density"], record["ratio"]) for record in chosen if record["contender"] == name)
        if curve:
            width = 2.4 if name in OWN else 1.1
            axis.plot(*zip(*curve, strict=True), color=colour, marker=marker, ms=5, lw=width, label=name)
            if name in OWN:
                _mark(axis, name, break_even(curve), colour)
    axis.set(xscale="log", yscale="log", ylim=(0.05, 100), title=what)
    axis.set_xticks(densities, [f"{100 * density:g}" for density in densities])
    axis.set_yticks(ticks := (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100), [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()


def _mark(axis: Any, name: str, density: float | None, colour: str) -> None:
    """A ring where the curve meets the break-even, and its density in the upper right corner."""
    text = "nowhere on this grid" if density is None else f"{100 * density:.2g} %"
    if density is not None:
        axis.plot(density, 1, marker="o", ms=12, mfc="none", mec=colour, mew=1.8)
    note = f"break-even of {name}: {text}"
    height = 0.97 - 0.06 * OWN.index(name)
    axis.text(0.98, height, note, color=colour, ha="right", va="top", transform=axis.transAxes)
