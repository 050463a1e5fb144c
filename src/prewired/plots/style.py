"""The common style of all pictures: colours, markers, fonts, panels, legends, saving."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

from ..generators import GENERATORS, NETWORK_FAMILIES
from ..topology import Topology

# The Okabe-Ito colours without yellow, and two of Paul Tol's muted colours: distinct with any colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#999933")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
KINDS = (".png", ".svg", ".pdf")
FIRST = ("erdos_renyi", "constant_fan_in", "biregular", "rotating", "fibonacci", "grouped")
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


def picture(draw: Callable[..., Any]) -> Callable[..., Path]:
    """Turn a function that draws a figure into a function that saves the figure in the common style.

    The new function has one more argument, `path`, and returns the path.
    """

    @wraps(draw)
    def save(*args: Any, path: str | Path) -> Path:
        import matplotlib

        kind = Path(path).suffix.lower()
        if kind not in KINDS:
            raise ValueError(f"expected a picture ending in {', '.join(KINDS)}, got {str(path)!r}")
        with matplotlib.rc_context(LOOK), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # a box stands for such a letter
            draw(*args).savefig(path, format=kind[1:])
        return Path(path)

    drawn = signature(draw)
    path = Parameter("path", Parameter.KEYWORD_ONLY, annotation="str | Path")
    save.__signature__ = drawn.replace(  # pyright: ignore[reportAttributeAccessIssue]
        parameters=[*drawn.parameters.values(), path], return_annotation="Path"
    )
    return save


def check_topologies(topologies: Any) -> Mapping[str, Topology]:
    """Return the topologies of a picture by their titles.

    Raises:
        TypeError: if they are no mapping of texts to topologies.
        ValueError: if there are none.
    """
    if not isinstance(topologies, Mapping) or not all(isinstance(t, Topology) for t in topologies.values()):
        raise TypeError(f"expected titles and topologies, got {type(topologies).__name__}; write {{'title': topology}}")
    if not topologies:
        raise ValueError("expected at least one topology to draw, got none; write {'title': topology}")
    return topologies


def escape(text: str) -> str:
    """Escape the dollar signs of a name, between which matplotlib would read a formula.

    Control characters become blanks, but for line breaks.

    Example:
        >>> print(escape("us$.csv"))
        us\\$.csv
    """
    return "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text).replace("$", "\\$")


def style(family: str) -> tuple[str, str]:
    """Return the colour and the marker of a family, which are the same in every picture.

    They follow from the place of the family in the registry. A variant, such as "rotating, permuted", looks like its
    family. The six families that are compared most come first, so that no two of them share a colour.
    """
    for variant in (", permuted", ", shuffled", ", init n_in"):
        family = family.removesuffix(variant)
    names = [name for name in dict.fromkeys((*FIRST, *GENERATORS, *NETWORK_FAMILIES)) if name != "dense"]
    index = names.index(family) if family in names else len(names) + sum(family.encode())
    return COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]


def make_panels(
    n: int, width: float, height: float, share_y: bool = False, columns: int | None = None
) -> tuple[Any, list[Any]]:
    """Make a figure of n panels, at most 3 in a row (4 if n > 6), with room for a legend at the right."""
    from matplotlib.figure import Figure

    columns = columns or (2 if n == 4 else min(n, 3 if n <= 6 else 4))
    n_rows = math.ceil(n / columns)
    figure = Figure(figsize=(width * columns + 2.2, height * n_rows + 0.4), layout="constrained")
    axes = list(figure.subplots(n_rows, columns, squeeze=False, sharey=share_y).flat)
    for spare_axis in axes[n:]:
        spare_axis.remove()
    return figure, axes[:n]


def add_legend(figure: Any, axes: Sequence[Any]) -> None:
    """Add one legend for all panels, to the right of them."""
    entries = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(list(entries.values()), list(entries), loc="outside right upper")
