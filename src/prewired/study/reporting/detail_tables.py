"""The metric chosen beforehand cell by cell, and the signals before training."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..statistics import CellFinding, Row, mean_and_sd, percent
from ..statistics.study_rows import group_by
from .number_format import format_difference, format_equivalence, format_interval, format_metric, format_p
from .report_data import Report
from .table import Table


def build_primary_table(report: Report) -> Table:
    """A line per cell: everything that is computed of the primary metric, and the reliability of the scores."""
    reliable = {finding.cell: finding for finding in report.analysis.reliability}
    lines = []
    for finding in (finding for primary in report.analysis.primary for finding in primary.cells):
        about, quadratic, by_family = reliable[finding.cell], finding.quadratic, finding.by_family
        lines.append(
            (
                str(finding.cell),
                str(finding.correlation.n),
                format_interval(finding.correlation.rho, finding.interval.low, finding.interval.high),
                f"{format_interval(by_family.rho, math.nan, math.nan)}, p {format_p(by_family.p_value)}",
                format_interval(finding.partial.rho, finding.partial_interval.low, finding.partial_interval.high),
                _format_slope(finding, report.is_accuracy),
                f"{format_difference(quadratic.square, report.is_accuracy)}, p {format_p(quadratic.p_value)}",
                format_metric(quadratic.turning_point) if quadratic.inside else "-",
                _format_share(about.overall.mean, about.overall.low, about.overall.high),
                _format_share(about.within_families.mean, math.nan, math.nan),
                format_interval(finding.disattenuated, math.nan, math.nan),
            )
        )
    header = ("cell", "graphs", "rho", "of family means", "partial rho", "change", "square", "turning point")
    header += ("reliability", "within families", "rho without noise")
    note = (
        f"change: of {report.score_name} from the metric's 10th to its 90th percentile, 90 % interval and verdict. "
        "square: of a parabola, per squared standard deviation of the metric; its turning point where graphs lie on "
        "both sides. reliability: share of the variance of graphs' mean scores that is not the noise of training, with "
        "its 95 % interval, over all graphs and between graphs of one family. rho without noise: rho over the square "
        "root of reliability."
    )
    title = f"The metric chosen beforehand, {report.analysis.primary[0].metric}, cell by cell" if lines else ""
    return Table(title, header, tuple(lines), (note,) if lines else ())


def build_signals_table(report: Report) -> Table:
    """A line per net: how strong activations and gradients were before training, layer by layer."""
    rows = [row for row in report.study.rows if row.start]
    deepest = max((len(row.start["activation_rms"]) for row in rows), default=0)
    lines = [
        (
            group[0].label,
            group[0].data,
            "-" if group[0].density is None else percent(group[0].density),
            *_format_signals(group, "activation_rms", deepest),
            *_format_signals(group, "gradient_norm", deepest),
        )
        for group in group_by(rows, lambda row: (row.data, row.label, row.density)).values()
    ]
    layers = range(1, deepest + 1)
    header = ("family", "data", "density", *(f"activation {k}" for k in layers), *(f"gradient {k}" for k in layers))
    note = (
        "Root mean square of each layer's output before its activation function, and norm of the gradient of its "
        "weights, on the first 512 rows of training before any step; means over runs."
    )
    return Table("Signals before training", header, tuple(lines), (note,) if lines else ())


def _format_slope(finding: CellFinding, is_accuracy: bool) -> str:
    return f"{format_equivalence(finding.slope, is_accuracy)}, {finding.slope.verdict}"


def _format_share(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return "-"
    if math.isnan(low):
        return _format_bound(value)
    return f"{_format_bound(value)} [{_format_bound(low)}, {_format_bound(high)}]"


def _format_bound(share: float) -> str:
    """Format a share that is below zero, without a bound, where the noise of training is all there is."""
    return f"{share:.2f}" if share >= -1 else "<-1"


def _format_signals(rows: Sequence[Row], name: str, n_layers: int) -> list[str]:
    values = [mean_and_sd(column)[0] for column in zip(*(row.start[name] for row in rows), strict=True)]
    return [*map(format_metric, values), *["-"] * (n_layers - len(values))]
