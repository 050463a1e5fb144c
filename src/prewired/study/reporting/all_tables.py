"""All tables of a report."""

from __future__ import annotations

import math

from .control_effects import build_control_table
from .correlation_tables import build_contrast_table, build_correlation_table, build_pooled_table
from .dense_comparison import build_dense_comparison
from .detail_tables import build_primary_table, build_signals_table
from .number_format import format_count, format_score
from .report_data import Report
from .result_table import build_result_table
from .speed_tables import build_speed_table, build_time_to_target_table
from .table import Table


def build_tables(report: Report) -> list[Table]:
    """All tables that have a line."""
    result = [build_result_table(report, data) for data in report.study.config.data]
    result += [build_dense_comparison(report), build_speed_table(report), build_time_to_target_table(report)]
    result += [build_control_table(report)]
    for control, init in report.settings:
        result += [build_pooled_table(report, control, init), build_correlation_table(report, control, init)]
    result += [
        build_primary_table(report),
        build_contrast_table(report),
        build_tuning_table(report),
        build_signals_table(report),
    ]
    return [table for table in result if table.lines]


def build_tuning_table(report: Report) -> Table:
    """The choice of learning rates: validation scores of each, per net."""
    tuned = report.study.rate_choices
    rates = sorted({rate for item in tuned for rate in item.scores})
    lines = tuple(
        (
            str(item.net),
            f"{item.chosen:g}",
            *(format_score(item.scores.get(rate, math.nan), report.is_accuracy, unit=False) for rate in rates),
        )
        for item in tuned
    )
    edge = sum(item.at_the_edge for item in tuned)
    note = (
        f"Validation {report.score_name} of trainings with seeds, and random graphs, used nowhere else, "
        f"{format_count(report.study.config.tune_seeds, 'training')} for each rate. "
        f"In {edge} of {format_count(len(tuned), 'net')} the smallest or the largest was the best."
    )
    return Table("Learning rates", ("net", "chosen", *(f"{rate:g}" for rate in rates)), lines, (note,) if lines else ())
