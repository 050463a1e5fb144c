"""What a control takes away: each family as it is against the same family with a control or other initial weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..statistics import Equivalence, Row, compare_means, mean_and_sd, percent
from ..statistics.study_rows import group_by
from .dense_comparison import list_scores_of_units
from .number_format import describe_setting, format_difference, format_equivalence
from .report_data import Report
from .table import Table


def build_control_table(report: Report) -> Table:
    """A line per family and cell: its mean score as it is minus that with the control, with interval and verdict."""
    lines = []
    for control, init in report.settings[1:]:
        for family, rows, others in _match_pairs(report, control, init):
            result = compare_means(list_scores_of_units(rows), list_scores_of_units(others), report.analysis.margin)
            density = percent(rows[0].density or 0.0)
            cells = (family, rows[0].data, density, describe_setting(control, init).removeprefix("with "))
            lines.append((*cells, _format_effect(result, report.is_accuracy), result.verdict))
    unit = " [points]" if report.is_accuracy else ""
    note = (
        f"Mean test {report.score_name} over graphs (over trainings where there is one graph) as it is, minus that of "
        "the variant, with its 90 % interval (Welch). What permuted inputs take away is owed to reading neighbouring "
        "inputs together; the spectra are the same."
    )
    header = ("family", "data", "density", "variant", f"as it is minus variant{unit}", "verdict")
    return Table("What a control takes away", header, tuple(lines), (note,) if lines else ())


def describe_controls(report: Report) -> list[str]:
    """For each variant the families that lose and gain most by it, and the mean over all."""
    texts = []
    for control, init in report.settings[1:]:
        lost = {}
        for family, rows, others in _match_pairs(report, control, init):
            lost.setdefault(family, []).append(
                mean_and_sd(list_scores_of_units(others))[0] - mean_and_sd(list_scores_of_units(rows))[0]
            )
        means = sorted((mean_and_sd(values)[0], family) for family, values in lost.items())
        if not means:
            continue
        accuracy = report.is_accuracy
        ends = [f"{family} by {format_difference(value, accuracy)}" for value, family in (means[0], means[-1])]
        mean = format_difference(mean_and_sd(value for value, _ in means)[0], accuracy)
        spread = f", {ends[0]} at one end and {ends[1]} at the other" if len(means) > 1 else ""
        points = " points" if accuracy else ""
        where = describe_setting(control, init)
        texts.append(
            f"{where[0].upper()}{where[1:]} instead of as it is, a family's mean {report.score_name} over all cells "
            f"changes by {mean}{points} on the average{spread}."
        )
    return texts


def _match_pairs(report: Report, control: str, init: str) -> list[tuple[str, Sequence[Row], Sequence[Row]]]:
    """(family, its rows as it is, its rows with the variant) in every cell that has both."""
    sparse = [row for row in report.study.rows if row.digests]
    result = []
    for group in group_by(sparse, lambda row: (row.data, row.density, row.family)).values():
        plain = [row for row in group if not row.control and row.init == "fan_in"]
        others = [row for row in group if (row.control, row.init) == (control, init)]
        if plain and others:
            result.append((group[0].family, plain, others))
    return result


def _format_effect(effect: Equivalence, is_accuracy: bool) -> str:
    if math.isnan(effect.low):
        return format_difference(effect.difference, is_accuracy)
    return format_equivalence(effect, is_accuracy)
