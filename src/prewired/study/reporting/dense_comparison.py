"""Sparse against dense, at equal width and at equal parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..statistics import DENSE, DENSE_NARROW, Equivalence, Row, compare_means, mean_and_sd, percent
from ..statistics.study_rows import group_by, mean_test_score
from .number_format import format_equivalence, format_score
from .report_data import Report, list_densities_of_data
from .table import Table

CHOSEN, FIXED = "best by validation", "biregular"


def build_dense_comparison(report: Report) -> Table:
    """A line per density and data set: the family that validation chooses, and random biregular, against dense nets."""
    lines = []
    for data, shares in list_densities_of_data(report.study).items():
        rows = [row for row in report.study.rows if row.data == data]
        dense = [row for row in rows if row.family == DENSE]
        for density in shares:
            inside = [row for row in rows if row.density == density]
            narrow = [row for row in inside if row.family == DENSE_NARROW]
            sparse = [row for row in inside if row.digests and not row.control and row.init == "fan_in"]
            for how, chosen in (CHOSEN, choose_best_by_validation(sparse)), (FIXED, select_family(sparse, FIXED)):
                if chosen and narrow and dense:
                    label = chosen[0].label if how == CHOSEN else how
                    lines.append(
                        (
                            f"{data}, {percent(density)}",
                            how,
                            label,
                            format_score(mean_test_score(chosen), report.is_accuracy),
                            format_score(mean_test_score(narrow), report.is_accuracy),
                            _format_comparison(compare_with_dense(chosen, narrow, report), report),
                            format_score(mean_test_score(dense), report.is_accuracy),
                            _format_comparison(compare_with_dense(chosen, dense, report), report),
                        )
                    )
    header = ("cell", "chosen", "family", "sparse", "equal parameters", "difference", "equal width", "difference ")
    note = (
        f"Test {report.score_name}, means over graphs or training seeds. Differences with 90 % intervals (Welch) and "
        "verdicts against the margin. The family is chosen by its mean validation score, so that the test data has no "
        f"say{_describe_tuning(report)}. An interval of 90 % may leave out zero where the verdict, at 5 %, does not. "
        "The best by validation is the luckiest, too, and all graphs are trained with the same seeds: both make its "
        "interval too narrow."
    )
    return Table("Sparse against dense", header, tuple(lines), (note,) if lines else ())


def _describe_tuning(report: Report) -> str:
    return "; dense nets had the same choice of learning rates" if report.study.config.learning_rates else ""


def choose_best_by_validation(sparse: Sequence[Row]) -> list[Row]:
    """The rows of the family with the highest mean validation score; [] if no family has one."""
    scores = [
        (mean_and_sd(row.run.chosen_score for row in rows)[0], rows)
        for rows in group_by(sparse, lambda row: row.label).values()
    ]
    return max((item for item in scores if not math.isnan(item[0])), key=lambda item: item[0], default=(0.0, []))[1]


def select_family(sparse: Sequence[Row], family: str) -> list[Row]:
    """The rows of one family."""
    return [row for row in sparse if row.family == family]


def compare_with_dense(chosen: Sequence[Row], others: Sequence[Row], report: Report) -> Equivalence:
    """The difference of the mean test scores; the unit is the graph, or the training where there is one graph."""
    return compare_means(list_scores_of_units(chosen), list_scores_of_units(others), report.analysis.margin)


def list_scores_of_units(rows: Sequence[Row]) -> list[float]:
    """The mean test score of every graph, or the score of every training where there is a single graph."""
    graphs = list(group_by(rows, lambda row: row.digests).values())
    if len(graphs) == 1:
        return [row.run.test_score for row in rows]
    return [mean_test_score(graph) for graph in graphs]


def _format_comparison(comparison: Equivalence, report: Report) -> str:
    return f"{format_equivalence(comparison, report.is_accuracy)}, {comparison.verdict}"
