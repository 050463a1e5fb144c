"""How long sparse nets train beside dense ones: a step, and the way to 95 % of the dense net's validation score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from ...nn.reference_layers import COMPARATORS
from ..running.step_timing import StepTiming, choose_carrier
from ..statistics import DENSE, DENSE_NARROW, REFERENCES, Summary, percent
from .report_data import Report
from .table import Table

Summaries = Mapping[tuple[str, float | None, str], Summary]
TimedCells = dict[tuple[str, float], dict[str, StepTiming]]


def build_speed_table(report: Report) -> Table:
    """A line per data set and density: milliseconds per training step, and how many times as fast as the dense net."""
    result = group_timings(report.study.timings)
    usual = choose_carrier(report.study.config.families)
    others = (usual, DENSE_NARROW, *COMPARATORS)
    lines = tuple(_build_line(data, density, timed, others) for (data, density), timed in result.items())
    header = ("cell", "dense\n[ms]", "slowest\nfamily", "median\nfamily", "fastest\nfamily")
    header += tuple(name.replace(" ", "\n") for name in others)
    return Table("Time of a training step", header, lines, tuple(_list_notes(report, result)))


def build_time_to_target_table(report: Report) -> Table:
    """A line per net: epochs to 95 % of the dense net's validation score, at the speed of its steps in seconds."""
    summaries = group_summaries(report)
    lines, places = [], []
    for (data, density), timed in group_timings(report.study.timings).items():
        for what in (what for what in timed if what not in COMPARATORS and not timed[what].problem):
            summary, timing = find_summary(summaries, timed[what]), timed[what]
            if summary is None:
                continue
            mine, dense = find_seconds_to_target(summaries, timing), find_seconds_of_dense(summaries, timed)
            places.append((data, density))
            lines.append(
                (
                    what,
                    f"{data}, {percent(density)}",
                    timing.kernel or "-",
                    _format_epochs(summary),
                    f"{timing.steps_per_epoch:,}",
                    f"{timing.ms[1]:.3g}",
                    f"{mine:.3g}" if summary.n_reached else "-",
                    format_ratio(dense / mine) if all_reach_target(summary) else "-",
                )
            )
    header = ("net", "cell", "kernel", "epochs\nto 95 %", "steps\nper epoch", "ms\nper step", "seconds\nto 95 %")
    note = (
        f"Epochs to 95 % of the dense net's validation {report.score_name}, a mean over the runs that get there, with "
        "their share where some do not; seconds: epochs, times steps per epoch, times the time of a step by itself. "
        "as fast as dense: the dense net's seconds over its own, where all runs get there."
    )
    breaks = tuple(i for i, (a, b) in enumerate(pairwise(places)) if a != b)
    return Table("Time to 95 %", (*header, "as fast\nas dense"), tuple(lines), (note,) if lines else (), breaks)


def group_timings(timings: Sequence[StepTiming]) -> TimedCells:
    """The timings that are compared with each other: (data, density) -> name -> timing, where the dense net has one.

    Example:
        >>> group_timings([])
        {}
    """
    result: TimedCells = {}
    for timing in timings:
        result.setdefault((timing.data, timing.density), {})[timing.what] = timing
    return {cell: timed for cell, timed in result.items() if DENSE in timed and not timed[DENSE].problem}


def collect_family_timings(timed: Mapping[str, StepTiming]) -> list[StepTiming]:
    """The timings of the study's families among those of a cell."""
    names = [what for what, timing in timed.items() if what not in (*REFERENCES, *COMPARATORS) and not timing.problem]
    return [timed[what] for what in names]


def find_seconds_to_target(summaries: Summaries, timing: StepTiming) -> float:
    """Seconds of training until 95 % of the dense net's validation score; NaN where no run gets there.

    Args:
        summaries: by data, density and label.
        timing: of the net's steps.
    """
    summary = find_summary(summaries, timing)
    return math.nan if summary is None else summary.epochs_to_target * timing.steps_per_epoch * timing.ms[1] / 1e3


def find_seconds_of_dense(summaries: Summaries, timed: Mapping[str, StepTiming]) -> float:
    """Those of the dense net beside which a cell was timed; NaN where not all of its runs get there."""
    summary = find_summary(summaries, timed[DENSE])
    return (
        math.nan
        if summary is None or not all_reach_target(summary)
        else find_seconds_to_target(summaries, timed[DENSE])
    )


def group_summaries(report: Report) -> Summaries:
    """The summaries by data, density and label."""
    return {(summary.data, summary.density, summary.label): summary for summary in report.summaries}


def find_summary(summaries: Summaries, timing: StepTiming) -> Summary | None:
    """Return the summary of the runs of a timed net; None if no run is finished."""
    density = None if timing.what == DENSE else timing.density
    return summaries.get((timing.data, density, timing.what))


def all_reach_target(summary: Summary) -> bool:
    """Whether all runs of a net come to the target."""
    return summary.n_reached == summary.n_runs


def _format_epochs(summary: Summary) -> str:
    if not summary.n_reached:
        return "-"
    return f"{summary.epochs_to_target:.1f}" + (
        "" if all_reach_target(summary) else f" ({summary.n_reached}/{summary.n_runs})"
    )


def _build_line(data: str, density: float, timed: Mapping[str, StepTiming], others: Sequence[str]) -> tuple[str, ...]:
    dense = timed[DENSE].ms[1]
    ms = [timing.ms[1] for timing in collect_family_timings(timed)] or [math.nan]

    def format_time(value: float) -> str:
        return "-" if math.isnan(value) else f"{value:.3g} ({format_ratio(dense / value)})"

    spread = [format_time(value) for value in (max(ms), float(np.median(ms)), min(ms))]
    beside = [format_time(timed[what].ms[1]) if what in timed else "-" for what in others]
    return f"{data}, {percent(density)}", f"{dense:.3g}", *spread, *beside


def _list_notes(report: Report, result: TimedCells) -> list[str]:
    timings = [timing for timed in result.values() for timing in timed.values() if not timing.problem]
    if not timings:
        return []
    config = report.study.config
    spread = float(np.median([(timing.ms[2] - timing.ms[0]) / timing.ms[1] for timing in timings]))
    graphs = dict.fromkeys(
        choose_carrier([summary.what for summary in collect_family_timings(timed)])
        for timed in result.values()
        if collect_family_timings(timed)
    )
    notes = [
        f"Milliseconds of a whole training step (rows drawn, forward, loss, backward, fused {config.optimizer}; batch "
        f"{config.batch_size}) and, in brackets, those of the dense net of equal width over them: above 1x is faster. "
        "Timed after the runs, with nothing else of the study running; the nets of a line took turns on "
        f"{'; '.join(dict.fromkeys(timing.machine for timing in timings))}. Medians over the turns; the range between "
        f"their quartiles is {percent(spread)} of the median, in the middle of all nets.",
    ]
    if graphs:
        notes.append(f"{', '.join(COMPARATORS)}: the graph of {' or '.join(graphs)}, run without this package.")
    left_out: dict[str, list[str]] = {}
    for (data, density), timed in result.items():
        for what in (what for what, timing in timed.items() if timing.problem):
            left_out.setdefault(f"{what} ({timed[what].problem})", []).append(f"{data}, {percent(density)}")
    return notes + [f"Not timed: {what} at {'; '.join(where)}." for what, where in left_out.items()]


def format_ratio(ratio: float) -> str:
    """Return a ratio of two times as a text, such as 2.5x.

    Example:
        >>> format_ratio(2.5), format_ratio(float("nan"))
        ('2.50x', '-')
    """
    return "-" if math.isnan(ratio) else f"{ratio:.2f}x"
