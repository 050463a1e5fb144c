"""The picture of a training: the tracked metrics of its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .style import COLOURS, MARKERS, add_legend, make_panels, picture

if TYPE_CHECKING:
    from ..training.run import Run


@picture
def tracked(run: Run) -> Any:
    """Draw the tracked metrics of a training over the epochs: a panel per metric, a line per layer.

    Args:
        run: the result of `train(..., track=...)`.
        path: the picture to write, .png, .svg or .pdf.

    Raises:
        ValueError: if the run has no tracked metrics.
    """
    from matplotlib.ticker import MaxNLocator

    if not run.tracked:
        raise ValueError("expected a run with tracked metrics, got none; train with track=, see WEIGHTED_METRICS")
    figure, axes = make_panels(len(run.tracked), width=3.6, height=3.2)
    for axis, (name, values) in zip(axes, run.tracked.items(), strict=True):
        marker_step = max(1, len(values) // 8)
        for index, layer in enumerate(zip(*values, strict=True)):
            axis.plot(
                range(len(values)),
                layer,
                color=COLOURS[index % len(COLOURS)],
                marker=MARKERS[index % len(MARKERS)],
                markevery=(index % marker_step, marker_step),
                ms=5,
                lw=1.5,
                label=f"layer {index + 1}",
            )
        axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
        axis.ticklabel_format(axis="y", useOffset=False)
        axis.set_title(name.replace("_", " "))
    figure.supxlabel("epoch (0: before training)")
    add_legend(figure, axes)
    return figure
