"""What can be said of speed."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ...nn.reference_layers import COMPARATORS
from ..running.step_timing import StepTiming, choose_carrier
from ..statistics import DENSE, DENSE_NARROW, REFERENCES, percent
from .report_data import Report
from .speed_tables import (
    Summaries,
    all_reach_target,
    collect_family_timings,
    find_seconds_of_dense,
    find_seconds_to_target,
    find_summary,
    format_ratio,
    group_summaries,
    group_timings,
)

_FEW = 3  # families that a sentence names


def describe_speed(report: Report) -> str:
    """Describe the speed: from steps timed by themselves or, if there are none, from the epochs of the runs."""
    result = group_timings(report.study.timings)
    if not result:
        return _describe_speed_of_runs(report)
    several = len(report.study.config.data) > 1
    summaries = group_summaries(report)
    parts, reached = [], []
    for (data, density), timed in result.items():
        where = f"at {percent(density)}{f' on {data}' if several else ''}"
        if collect_family_timings(timed):
            parts.append(f"{where} {_format_speed(timed)}{_describe_beside(timed)}")
            reached += _describe_reached(summaries, timed, where)
    if not parts:
        return _describe_speed_of_runs(report)
    text = f"Timed by itself, a training step is, against one of the dense net of equal width, {'; '.join(parts)}."
    if not reached:
        return text
    goal = f"95 % of the dense net's validation {report.score_name}, counting epochs at the speed of these steps"
    return f"{text} To {goal}, less time than by the dense net is taken by {'; by '.join(reached)}."


def _format_speed(timed: Mapping[str, StepTiming]) -> str:
    """Describe how many times as fast as the dense net the families are, and which are equally fast."""
    dense, sparse = timed[DENSE], collect_family_timings(timed)
    same = [timing.what for timing in sparse if timing.ms[0] <= dense.ms[2] and dense.ms[0] <= timing.ms[2]]
    if len(same) == len(sparse):
        return "about as fast"
    ratios = sorted(dense.ms[1] / timing.ms[1] for timing in sparse)
    text = " to ".join(dict.fromkeys(format_ratio(ratio) for ratio in (ratios[0], ratios[-1]))) + " as fast"
    names = ", ".join(same) if len(same) <= _FEW else f"{len(same)} families"
    return f"{text}, not told apart: {names}" if same else text


def _describe_beside(timed: Mapping[str, StepTiming]) -> str:
    """The dense net of equal parameters and the comparators, in brackets."""
    dense = timed[DENSE].ms[1]
    named = [what for what in (DENSE_NARROW, *COMPARATORS) if what in timed and not timed[what].problem]
    texts = [f"{what} {format_ratio(dense / timed[what].ms[1])}" for what in named]
    return f" ({', '.join(texts)})" if texts else ""


def _describe_reached(summaries: Summaries, timed: Mapping[str, StepTiming], where: str) -> list[str]:
    """Count the families that come to the target sooner than the dense net, and say how much sooner the median is."""
    dense = find_seconds_of_dense(summaries, timed)
    ran = [timing.what for timing in collect_family_timings(timed) if find_summary(summaries, timing) is not None]
    if math.isnan(dense) or not ran:
        return []
    there = [
        what
        for what in ran
        if (summary := find_summary(summaries, timed[what])) is not None and all_reach_target(summary)
    ]
    seconds = {what: find_seconds_to_target(summaries, timed[what]) for what in there}
    sooner = sum(value < dense for value in seconds.values())
    usual = choose_carrier(ran)
    times_of_usual = f" ({usual} {format_ratio(seconds[usual] / dense)} of its time)" if usual in seconds else ""
    return [f"{sooner} of {len(ran)} families {where}{times_of_usual}"]


def _describe_speed_of_runs(report: Report) -> str:
    """From the seconds of the runs' epochs, which may have shared the machine."""
    timed = [s for s in report.summaries if s.label not in REFERENCES and not math.isnan(s.ratio)]
    if not timed:
        return "The dense net was not timed on the machine of the sparse ones, so speed is not compared."
    parts = []
    for density in sorted({summary.density or 0.0 for summary in timed}):
        cell = [summary for summary in timed if summary.density == density]
        ratios = sorted(summary.ratio for summary in cell if not summary.as_fast)
        as_fast = list(dict.fromkeys(summary.label for summary in cell if summary.as_fast))
        spread = " to ".join(dict.fromkeys(f"{ratio:.2f}x" for ratio in (*ratios[:1], *ratios[-1:])))
        texts = [f"{spread} of the dense net's time"] if ratios else []
        if as_fast:  # the quartile ranges overlap
            names = f" ({', '.join(as_fast)})" if ratios else ""
            texts.append(f"about as long as the dense net's{names}")
        parts.append(f"{' or '.join(texts)} at {percent(density)}")
    return f"An epoch takes {'; '.join(parts)}."
