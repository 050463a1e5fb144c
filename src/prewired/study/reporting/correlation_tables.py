"""What the score goes with: tables of metrics and of families."""

from __future__ import annotations

import math

from ..statistics import CellFinding, percent
from .number_format import (
    describe_setting,
    format_count,
    format_difference,
    format_equivalence,
    format_interval,
    format_p,
    format_pooled,
)
from .report_data import LEVEL, Report
from .table import Table


def build_pooled_table(report: Report, control: str, init: str) -> Table:
    """A line per metric: what it says over all cells of one setting."""
    result = [
        finding
        for finding in report.analysis.pooled
        if (finding.control, finding.init) == (control, init) and finding.n_cells
    ]
    generalisation = {
        metric: [
            finding.generalisation.r2_beyond_density
            for finding in report.analysis.generalisation
            if (finding.metric, finding.control, finding.init) == (metric, control, init)
        ]
        for metric in (finding.metric for finding in result)
    }
    slopes = {
        finding.metric: [
            cell.slope.verdict
            for cell in report.analysis.cells
            if (cell.metric, cell.cell.control, cell.cell.init) == (finding.metric, control, init)
        ]
        for finding in result
    }
    lines = tuple(
        (
            finding.metric,
            str(finding.n_cells),
            format_pooled(finding.rho),
            f"{format_p(finding.rho.p_value)} ({format_p(finding.holm_p)}){' *' if finding.holm_p < LEVEL else ''}",
            f"{format_interval(finding.by_family.rho, math.nan, math.nan)}, p {format_p(finding.by_family.p_value)}",
            format_pooled(finding.partial),
            " / ".join(str(slopes[finding.metric].count(v)) for v in ("equivalent", "different", "undecided")),
            ", ".join(map(_format_r2, generalisation[finding.metric])),
        )
        for finding in result
    )
    header = ("metric", "cells", "pooled rho", "p (Holm)", "of family means", "partial rho", "slope")
    header += ("R2 beyond density",)
    margin = format_difference(report.analysis.margin, report.is_accuracy).lstrip("+")
    notes = (
        f"pooled rho: Spearman correlation with test {report.score_name} over graphs, by random effects over cells, "
        "with 95 % intervals by resampling families; * where p after Holm's adjustment over metrics is below "
        f"{LEVEL:g}. of family means: a point per family, p by permutation. partial rho: given "
        f"{', '.join(report.analysis.controls_for)}. slope: in how many cells the difference of {report.score_name} "
        f"between the metric's 10th and 90th percentile is equivalent to none (smaller than {margin}) / different "
        "from none / undecided. R2 beyond density: share of the squared error of families left out that the metric "
        "takes away, per data set; negative where it makes the prediction worse.",
    )
    title = f"Each metric over all cells, families {describe_setting(control, init)}"
    return Table(title, header, lines, notes if lines else ())


def build_correlation_table(report: Report, control: str, init: str) -> Table:
    """Spearman's rho of the test score with each metric that varies, a column per cell."""
    findings = [
        finding for finding in report.analysis.cells if (finding.cell.control, finding.cell.init) == (control, init)
    ]
    cells = list(dict.fromkeys(finding.cell for finding in findings))
    metrics = list(dict.fromkeys(finding.metric for finding in findings))
    known = {(finding.metric, finding.cell): finding for finding in findings}
    n = {cell: max(known[metric, cell].correlation.n for metric in metrics) for cell in cells}
    varying = [metric for metric in metrics if any(is_test(known[metric, cell]) for cell in cells)]
    left_out = [metric for metric in metrics if metric not in varying]
    lines = tuple((metric, *(_format_finding(known[metric, cell], n[cell]) for cell in cells)) for metric in varying)
    n_tests = sum(not math.isnan(finding.interval.p_value) for finding in findings)
    notes = [
        "rho over graphs [95 % interval by resampling families], p of it (adjusted by Holm for "
        f"{format_count(n_tests, 'test')}); * where the adjusted p is below {LEVEL:g}. Without an interval there "
        "are too few families to say anything of others, and p is that of these graphs, as if they were independent."
    ]
    if left_out:
        notes.append(f"Left out, no ranking possible (constant, or fewer than 3 graphs): {', '.join(left_out)}.")
    several = len(report.study.config.data) > 1
    names = (f"{cell.data}, {percent(cell.density)}" if several else percent(cell.density) for cell in cells)
    header = ("metric", *(f"{name}\n({format_count(n[c], 'graph')})" for name, c in zip(names, cells, strict=True)))
    title = (
        f"Spearman correlation of test {report.score_name} with each metric, families {describe_setting(control, init)}"
    )
    return Table(title, header, lines, tuple(notes) if lines else ())


def _format_r2(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:+.2f}" if value >= -1 else "<-1"


def is_test(finding: CellFinding) -> bool:
    """Whether a correlation could be computed."""
    return not math.isnan(finding.correlation.p_value)


def _format_finding(finding: CellFinding, n: int) -> str:
    if not is_test(finding):
        return "-"
    result, spread = finding.correlation, finding.interval
    fewer = f", n = {result.n}" if result.n < n else ""
    star = " *" if finding.holm_p_clustered < LEVEL else ""
    text = format_interval(result.rho, spread.low, spread.high)
    if math.isnan(spread.p_value):
        return f"{text}, {format_p(result.p_value)}{fewer}"
    return f"{text}, {format_p(spread.p_value)} ({format_p(finding.holm_p_clustered)}){fewer}{star}"


def build_contrast_table(report: Report) -> Table:
    """Each family of several graphs against the reference family, in each cell."""
    contrasts, accuracy = report.analysis.contrasts, report.is_accuracy
    lines = tuple(
        (
            finding.family,
            str(finding.cell),
            finding.reference,
            format_equivalence(finding.equivalence, accuracy),
            finding.equivalence.verdict,
            f"{format_p(finding.equivalence.p_zero)} ({format_p(finding.holm_p)})",
        )
        for finding in contrasts
        if not math.isnan(finding.equivalence.difference)
    )
    unit = " [points]" if accuracy else ""
    header = ("family", "cell", "against", f"difference{unit}", "verdict", "p (Holm)")
    margin = format_difference(report.analysis.margin, accuracy).lstrip("+")
    note = (
        "Difference of the means over graphs with its 90 % interval (Welch); equivalent: both ends are within "
        f"{margin}, by two one-sided tests; p of no difference at all, adjusted by Holm over the lines of a setting. "
        "Verdicts are of each line alone: of many lines one in twenty differs by chance."
    )
    return Table("Families against each other", header, lines, (note,) if lines else ())
