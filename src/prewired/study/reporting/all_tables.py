"""All tables of a report."""

from __future__ import annotations

import math

from .control_effects import control_table
from .correlation_tables import contrast_table, correlation_table, pooled_table
from .dense_comparison import reference_table
from .detail_tables import primary_table, signals_table
from .number_format import format_count, format_score
from .report_data import Report
from .result_table import results_table
from .speed_tables import speed_table, time_to_target_table
from .table import Table


def tables(report: Report) -> list[Table]:
    """All tables that have a line."""
    found = [results_table(report, data) for data in report.study.config.data]
    found += [reference_table(report), speed_table(report), time_to_target_table(report)]
    found += [control_table(report)]
    for control, init in report.settings:
        found += [pooled_table(report, control, init), correlation_table(report, control, init)]
    found += [primary_table(report), contrast_table(report), tuning_table(report), signals_table(report)]
    return [table for table in found if table.lines]


def tuning_table(report: Report) -> Table:
    """The choice of learning rates: validation scores of each, per net."""
    tuned = report.study.tuned
    rates = sorted({rate for one in tuned for rate in one.scores})
    lines = tuple(
        (
            str(one.net),
            f"{one.chosen:g}",
            *(format_score(one.scores.get(rate, math.nan), report.is_accuracy, unit=False) for rate in rates),
        )
        for one in tuned
    )
    edge = sum(one.at_the_edge for one in tuned)
    note = (
        f"Validation {report.score_name} of trainings with seeds, and random graphs, used nowhere else, "
        f"{format_count(report.study.config.tune_seeds, 'training')} for each rate. "
        f"In {edge} of {format_count(len(tuned), 'net')} the smallest or the largest was the best."
    )
    return Table("Learning rates", ("net", "chosen", *(f"{rate:g}" for rate in rates)), lines, (note,) if lines else ())
