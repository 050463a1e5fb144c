"""The main table of a report: families, densities and dense references."""

from __future__ import annotations

import math
from itertools import pairwise

from ..nets import compute_fan_ins
from ..statistics import REFERENCES, Summary, find_coinciding_families, percent
from .number_format import format_bytes, format_count, format_decimals, format_metric, format_score
from .report_data import PRIMARY_METRIC, Report, list_machines, list_versions, list_widths
from .table import Table

NOTICEABLE = 0.005  # a realised density this much off the requested one, relative to it, is told
SHOWN_METRICS = (PRIMARY_METRIC, "algebraic_connectivity", "normalized_product_spectral_gap")


def build_result_table(report: Report, data: str) -> Table:
    """A line for each family at each density, and for the dense references."""
    summaries = [summary for summary in report.summaries if summary.data == data]
    several_seeds = report.study.config.train_seeds > 1
    unit = "\n[%]" if report.is_accuracy else ""
    header = ("family", "density", "graphs", f"{report.score_name}{unit}", "sd")
    header += ("sd\n(seeds)",) if several_seeds else ()
    header += ("params", "bytes", "epochs\nto 95 %", "area", "rate", "s/epoch", "vs\ndense")
    header += ("norm.\ngap", "alg.\nconn.", "product\ngap")
    breaks = [i for i, (a, b) in enumerate(pairwise(summaries)) if a.density != b.density]
    lines = tuple(_build_line(report, summary, several_seeds) for summary in summaries)
    title = f"Results on {report.study.facts[data].name}"
    return Table(title, header, lines, tuple(_list_notes(report, data)), tuple(breaks))


def _build_line(report: Report, summary: Summary, several_seeds: bool) -> tuple[str, ...]:
    accuracy = report.is_accuracy
    return (
        summary.label,
        "-" if summary.density is None else percent(summary.density),
        str(summary.n_graphs) if summary.label not in REFERENCES else "-",
        format_score(summary.score, accuracy, unit=False),
        format_score(summary.score_sd, accuracy, unit=False),
        *([format_score(summary.seed_sd, accuracy, unit=False)] if several_seeds else []),
        f"{summary.n_parameters:,}",
        format_bytes(summary.n_bytes),
        _format_epochs(summary, report.study.config.epochs),
        format_decimals(summary.area, 3),
        f"{summary.learning_rate:.2g}",
        "-" if math.isnan(summary.seconds[1]) else f"{summary.seconds[1]:.3g}",
        "-" if math.isnan(summary.ratio) else f"{summary.ratio:.2f}x",
        *(format_metric(summary.metrics.get(metric, math.nan)) for metric in SHOWN_METRICS),
    )


def _format_epochs(summary: Summary, n_epochs: int) -> str:
    if not summary.n_reached:
        return f">{n_epochs}"
    share = f" ({summary.n_reached}/{summary.n_runs})" if summary.n_reached < summary.n_runs else ""
    return f"{summary.epochs_to_target:.1f}{share}"


def _list_notes(report: Report, data: str) -> list[str]:
    study, config, name = report.study, report.study.config, report.score_name
    rows = [row for row in study.rows if row.data == data]
    target = report.targets[data]
    notes = [
        f"{name}: on the test data, mean over graphs; sd: over graphs"
        + ("; sd (seeds): over the training seeds of a graph" if config.train_seeds > 1 else "")
        + (", in percentage points." if report.is_accuracy else "."),
        f"epochs to 95 %: not defined, the dense net ends without a positive validation {name}."
        if math.isnan(target)
        else f"epochs to 95 %: until validation {name} is 95 % of the dense net's, "
        f"{format_score(target, report.is_accuracy)}; mean over the runs that "
        "get there, with their share where some do not. area: mean of the validation "
        f"{name} over {format_count(config.epochs, 'epoch')}.",
        "vs dense: median seconds per epoch over those of the dense net of equal width. dense narrow: at most as many "
        "parameters as the sparse nets of that density.",
    ]
    if study.n_runs > len(study.rows) + len(study.failed):
        notes.append(f"Not finished: {len(study.rows)} of {study.n_runs} runs are there.")
    units = list_widths(study, data)
    realised = [
        f"{percent(density)} is {fan_in} of {n_in} ({percent(fan_in / n_in)})"
        for density in sorted(() if config.budget or config.edges else config.densities)
        for n_in, fan_in in dict(zip(units, compute_fan_ins(density, units), strict=False)).items()
        if abs(fan_in / n_in - density) >= NOTICEABLE * density
    ]
    if config.edges:
        notes.append(f"Every sparse net has exactly {' or '.join(f'{n:,}' for n in sorted(config.edges))} edges.")
    if config.budget:
        notes.append(f"The edges are divided among the layers by the budget {config.budget}.")
    if realised:
        notes.append(f"Densities as realised, in inputs per output: {'; '.join(realised)}.")
    notes += [
        f"At {percent(density)} {' and '.join(families)} make the same graphs; these count once in correlations."
        for density, families in find_coinciding_families(rows)
    ]
    notes += [f"Left out, for there is no such graph: {why}." for why in study.impossible]
    notes += [f"Failed, and in no mean: {line}." for line in study.failed]
    if len(machines := list_machines(rows)) > 1:
        notes.append(f"Seconds come from {len(machines)} machines or numbers of threads: {'; '.join(machines)}.")
    if len(list_versions(rows)) > 1:
        notes.append(f"Runs come from {len(list_versions(rows))} versions: {'; '.join(list_versions(rows))}.")
    if study.facts[data].note:
        notes.append(f"Data: {study.facts[data].note}.")
    return notes
