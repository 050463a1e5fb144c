"""What a study found: tables and sentences, printed and written beside its runs."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .statistics import (
    DENSE,
    DENSE_NARROW,
    REFERENCES,
    Finding,
    Row,
    Summary,
    coinciding,
    correlate,
    percent,
    quartiles,
    summarise,
    target_score,
)
from .store import finite
from .study import Study, fan_ins, wire

if TYPE_CHECKING:
    from rich.console import Console

LEVEL = 0.05  # of Holm-adjusted p-values
PRIMARY_METRIC = "normalized_spectral_gap"  # chosen before any figure was seen
PICTURE_METRICS = (PRIMARY_METRIC, "algebraic_connectivity")
NOTICEABLE = 0.005  # a realised density this much off the requested one, relative to it, is told


@dataclass(frozen=True)
class Report:
    """A study and what it says in numbers, computed once."""

    study: Study
    target: float
    summaries: tuple[Summary, ...]  # by density
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Table:
    """A titled table of texts; the first column is left-aligned; a gap follows the lines numbered in `breaks`."""

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    breaks: tuple[int, ...] = ()


def analyse(study: Study) -> Report:
    """Compute the numbers of a report."""
    summaries = sorted(summarise(study.rows), key=lambda summary: summary.density or 0.0)
    return Report(study, target_score(study.rows), tuple(summaries), tuple(correlate(study.rows)))


def write(report: Report, folder: str | Path) -> None:
    """Write table.md, results.csv (a line per run) and summary.json into the folder."""
    folder, study = Path(folder), report.study
    (folder / "table.md").write_text(markdown(report), encoding="utf-8")
    _write_csv(report, folder / "results.csv")
    summary = {
        "config": asdict(study.config),
        "data": study.data_name,
        "note": study.note,
        "sizes": study.sizes,
        "score": study.rows[0].run.score_name,
        "machines": _machines(study),
        "versions": _versions(study),
        "table": [asdict(summary) for summary in report.summaries],
        "correlations": [asdict(finding) for finding in report.findings],
        "findings": sentences(report),
    }
    (folder / "summary.json").write_text(json.dumps(finite(summary), indent=1) + "\n", encoding="utf-8")


def draw(report: Report, folder: str | Path) -> list[Path]:
    """Draw the pictures of a study into the folder and return their paths."""
    from . import plots

    folder, rows, config = Path(folder), report.study.rows, report.study.config
    sizes = report.study.sizes
    density = sorted(config.shares(sizes))[len(config.shares(sizes)) // 2]
    first_layers = {family: wire(config, family, density, sizes, 0)[0] for family in config.families}
    return [
        plots.score_by_density(rows, path=folder / "score_by_density.png"),
        *(
            plots.score_by_metric(rows, metric, report.findings, path=folder / f"score_by_{metric}.png")
            for metric in PICTURE_METRICS
        ),
        plots.training_curves(rows, path=folder / "training_curves.png"),
        plots.biadjacency(first_layers, _title(first_layers), path=folder / "biadjacency.png"),
    ]


def _title(first_layers: dict[str, Any]) -> str:
    first = next(iter(first_layers.values()))
    size = f"{first.n_in} inputs, {first.n_out} outputs"
    return f"First sparse layer: {size}\ndensity {percent(first.density)}"


def show(report: Report, console: Console) -> None:
    """Print the tables and the sentences."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable

    for table in (results_table(report), correlation_table(report)):
        rich_table = RichTable(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        for place, name in enumerate(table.header):
            rich_table.add_column(name, justify="right" if place else "left", no_wrap=True)
        for place, line in enumerate(table.lines):
            rich_table.add_row(*line, end_section=place in table.breaks)
        console.print(table.title, style="bold", highlight=False)
        if table.lines:
            _print_whole(rich_table, console)
        for note in table.notes:
            console.print(note, style="dim", highlight=False)
        console.print()
    for sentence in sentences(report):
        console.print(f"- {sentence}", highlight=False)


def _print_whole(rich_table: Any, console: Console) -> None:
    """Print a table at its full width: a narrow terminal then wraps its lines, but no digit is cut off."""
    width = console.width
    console.width = max(width, console.measure(rich_table, options=console.options.update(width=1000)).maximum)
    console.print(rich_table)
    console.width = width


def markdown(report: Report) -> str:
    """The whole report as Markdown."""
    study, config = report.study, report.study.config
    setup = [
        f"{' - '.join(map(str, study.sizes))}, {config.epochs} epochs, batch {config.batch_size}, {config.optimizer} "
        f"at learning rate {config.learning_rate:g}; graph seeds: {config.graph_seeds}, "
        f"training seeds: {config.train_seeds}.",
        f"Machine: {'; '.join(_machines(study))}. Versions: {'; '.join(_versions(study))}.",
    ]
    parts = [f"# Study on {study.data_name}", "\n".join(setup)]
    for table in (results_table(report), correlation_table(report)):
        rule = ["---", *["---:"] * (len(table.header) - 1)]
        lines = ["| " + " | ".join(cells).replace("\n", " ") + " |" for cells in (table.header, rule, *table.lines)]
        parts += [f"## {table.title}", *(["\n".join(lines)] if table.lines else []), *table.notes]
    parts += ["## Findings", "\n".join(f"- {sentence}" for sentence in sentences(report))]
    return "\n\n".join(parts) + "\n"


def results_table(report: Report) -> Table:
    """A line for each family at each density, and for the dense references."""
    study, summaries = report.study, report.summaries
    name, several_seeds = _score_name(study), study.config.train_seeds > 1
    unit = "\n[%]" if _is_accuracy(study) else ""
    header = ("family", "density", "graphs", f"{name}{unit}", "sd", *(["sd\n(seeds)"] if several_seeds else []))
    header += ("params", "bytes", "epochs\nto 95 %", "s/epoch", "vs\ndense", "norm.\ngap", "alg.\nconn.")
    breaks = [i for i, (a, b) in enumerate(pairwise(summaries)) if a.density != b.density]
    lines = tuple(_results_line(study, summary, several_seeds) for summary in summaries)
    return Table(f"Results on {study.data_name}", header, lines, tuple(_results_notes(report)), tuple(breaks))


def _results_notes(report: Report) -> list[str]:
    study, name = report.study, _score_name(report.study)
    notes = [
        f"{name}: on the test data, mean over graphs; sd: over graphs"
        + ("; sd (seeds): over the training seeds of a graph" if study.config.train_seeds > 1 else "")
        + (", in percentage points." if _is_accuracy(study) else "."),
        f"epochs to 95 %: not defined, the dense net ends without a positive validation {name}."
        if math.isnan(report.target)
        else f"epochs to 95 %: until validation {name} is 95 % of the dense net's final one, "
        f"{_score(study, report.target)}; mean over the runs that get there, with their share where some do not.",
        "vs dense: median seconds per epoch over those of the dense net of equal width. dense narrow: at most as many "
        "parameters as the sparse nets of that density.",
    ]
    realised = [
        f"{percent(density)} is {fan_in} of {n_in} ({percent(fan_in / n_in)})"
        for density in sorted(() if study.config.budget else study.config.densities)
        for n_in, fan_in in dict(zip(study.sizes, fan_ins(density, study.sizes), strict=False)).items()
        if abs(fan_in / n_in - density) >= NOTICEABLE * density
    ]
    if study.config.edges:
        notes.append(f"Every sparse net has exactly {' or '.join(f'{n:,}' for n in sorted(study.config.edges))} edges.")
    if study.config.budget:
        notes.append(f"The edges are divided among the layers by the budget {study.config.budget}.")
    if realised:
        notes.append(f"Densities as realised, in inputs per output: {'; '.join(realised)}.")
    notes += [
        f"At {percent(density)} {' and '.join(families)} make the same graphs; these count once in correlations."
        for density, families in coinciding(study.rows)
    ]
    if len(_machines(study)) > 1:
        notes.append(
            f"Seconds come from {len(_machines(study))} machines or numbers of threads: {'; '.join(_machines(study))}."
        )
    if len(_versions(study)) > 1:
        notes.append(f"Runs come from {len(_versions(study))} versions: {'; '.join(_versions(study))}.")
    if study.note:
        notes.append(f"Data: {study.note}.")
    return notes


def _results_line(study: Study, summary: Summary, several_seeds: bool) -> tuple[str, ...]:
    return (
        summary.label,
        "-" if summary.density is None else percent(summary.density),
        str(summary.n_graphs) if summary.label not in REFERENCES else "-",
        _score(study, summary.score, unit=False),
        _score(study, summary.score_sd, unit=False),
        *([_score(study, summary.seed_sd, unit=False)] if several_seeds else []),
        f"{summary.n_parameters:,}",
        _bytes(summary.n_bytes),
        _epochs(summary, study.config.epochs),
        f"{summary.seconds[1]:.3g}",
        "-" if math.isnan(summary.ratio) else f"{summary.ratio:.2f}x",
        *(_number(summary.metrics.get(metric, math.nan)) for metric in PICTURE_METRICS),
    )


def _epochs(summary: Summary, n_epochs: int) -> str:
    if not summary.n_reached:
        return f">{n_epochs}"
    share = f" ({summary.n_reached}/{summary.n_runs})" if summary.n_reached < summary.n_runs else ""
    return f"{summary.epochs_to_target:.1f}{share}"


def correlation_table(report: Report) -> Table:
    """Spearman's rho of the test score with each metric that varies, a column per density."""
    findings = report.findings
    densities = sorted(dict.fromkeys(finding.density for finding in findings))
    metrics = list(dict.fromkeys(finding.metric for finding in findings))
    cells = {(finding.metric, finding.density): finding for finding in findings}
    n = {d: max(cells[metric, d].correlation.n for metric in metrics) for d in densities}
    varying = [metric for metric in metrics if any(_is_test(cells[metric, d]) for d in densities)]
    left_out = [metric for metric in metrics if metric not in varying]
    lines = tuple((metric, *(_finding_text(cells[metric, d], n[d]) for d in densities)) for metric in varying)
    n_tests = sum(_is_test(finding) for finding in findings)
    notes = (
        [f"rho, p (p adjusted by Holm for {_count(n_tests, 'test')}); * where the adjusted p is below {LEVEL:g}."]
        if lines
        else []
    )
    if left_out:
        notes.append(f"Left out, no ranking possible (constant, or fewer than 3 graphs): {', '.join(left_out)}.")
    header = ("metric", *(f"{percent(d)}\n({_count(n[d], 'graph')})" for d in densities))
    title = f"Spearman correlation of test {_score_name(report.study)} with each metric"
    return Table(title, header, lines, tuple(notes))


def sentences(report: Report) -> list[str]:
    """What was found, in plain words, with what cannot be said."""
    return [_best_sentence(report), _speed_sentence(report), _correlation_sentence(report), _caveat(report.study)]


def _best_sentence(report: Report) -> str:
    study, summaries = report.study, report.summaries
    dense = next(summary for summary in summaries if summary.label == DENSE)
    parts = []
    for density in sorted(study.config.shares(study.sizes)):
        cell = [summary for summary in summaries if summary.density == density]
        narrow = next(summary for summary in cell if summary.label == DENSE_NARROW)
        sparse = sorted((s for s in cell if s.label != DENSE_NARROW), key=lambda s: -s.score)
        parts.append(f"at {percent(density)} {_ranking(study, sparse)}, dense narrow {_score(study, narrow.score)}")
    return f"Test {_score_name(study)}: dense {_score(study, dense.score)}; {'; '.join(parts)}."


def _ranking(study: Study, sparse: Sequence[Summary]) -> str:
    """The families of a density, best first, in words that the spread of their scores allows."""

    def told(summary: Summary) -> str:
        sd, graphs = _score(study, summary.score_sd, unit=False), _count(summary.n_graphs, "graph")
        return f"{_score(study, summary.score)} ({'' if math.isnan(summary.score_sd) else f'sd {sd}, '}{graphs})"

    first, second, last = sparse[0], sparse[min(1, len(sparse) - 1)], sparse[-1]
    if first is last:
        return f"{first.label} has {told(first)}"
    known = [sd for s in (first, second) for sd in (s.score_sd, s.seed_sd) if not math.isnan(sd)]
    if not known or first.score - second.score < max(known):
        return f"the best are not separated: {first.label} {told(first)}, {second.label} {told(second)}"
    return f"{first.label} has the highest mean, {told(first)}, {last.label} the lowest, {told(last)}"


def _speed_sentence(report: Report) -> str:
    timed = [s for s in report.summaries if s.label not in REFERENCES and not math.isnan(s.ratio)]
    if not timed:
        return "The dense net was not timed on the machine of the sparse ones, so speed is not compared."
    parts = []
    for density in dict.fromkeys(summary.density or 0.0 for summary in timed):
        cell = [summary for summary in timed if summary.density == density]
        ratios = sorted(summary.ratio for summary in cell if not summary.as_fast)
        as_fast = [summary.label for summary in cell if summary.as_fast]
        spread = " to ".join(dict.fromkeys(f"{ratio:.2f}x" for ratio in (*ratios[:1], *ratios[-1:])))
        texts = [f"{spread} of the dense net's time"] if ratios else []
        if as_fast:  # the quartile ranges overlap
            names = f" ({', '.join(as_fast)})" if ratios else ""
            texts.append(f"about as long as the dense net's{names}")
        parts.append(f"{' or '.join(texts)} at {percent(density)}")
    return f"An epoch takes {'; '.join(parts)}."


def _correlation_sentence(report: Report) -> str:
    tests = [finding for finding in report.findings if _is_test(finding)]
    if not tests:
        return "No correlation can be computed: fewer than 3 graphs in each density, or nothing varies."
    name, n = _score_name(report.study), max(finding.correlation.n for finding in tests)
    primary = "; ".join(
        f"{_at(finding)} (unadjusted p {_p(finding.correlation.p_value)})"
        for finding in tests
        if finding.metric == PRIMARY_METRIC
    )
    primary = f" The metric chosen beforehand, the normalized spectral gap: {primary or 'no ranking possible'}."
    strongest = sorted(tests, key=lambda finding: (finding.holm_p, finding.correlation.p_value))
    claims = [finding for finding in strongest if finding.holm_p < LEVEL]
    if not claims:
        first = strongest[0]
        return (
            f"No correlation of {name} with a metric can be claimed at this sample size (at most "
            f"{_count(n, 'graph')} in a density, {_count(len(tests), 'test')}): the smallest p is "
            f"{_p(first.correlation.p_value)} before and {_p(first.holm_p)} after Holm's adjustment "
            f"({first.metric} at {percent(first.density)}).{primary}"
        )
    listed = ", ".join(f"{finding.metric} {_at(finding)}" for finding in claims[:4])
    more = f" and {len(claims) - 4} more" if len(claims) > 4 else ""
    return f"After Holm's adjustment for {_count(len(tests), 'test')} {name} goes with {listed}{more}.{primary}"


def _caveat(study: Study) -> str:
    families = len(study.config.families)
    kinds = f"{families} families" if families > 1 else "one family"
    text = f"The graphs come from {kinds}; those of one family resemble each other and count for less than their number"
    if study.config.train_seeds == 1:
        text += "; with one training seed per graph, differences between graphs include the noise of training"
    return text + "; a correlation is not a cause."


def _write_csv(report: Report, path: Path) -> None:
    rows = report.study.rows
    score = rows[0].run.score_name
    metrics = list(dict.fromkeys(metric for row in rows for metric in row.metrics))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        head = ["family", "density", "graph_seed", "train_seed", "sizes", f"test_{score}", "test_loss", f"val_{score}"]
        head += ["parameters", "bytes", "epochs_to_95", "seconds_q1", "seconds_per_epoch", "seconds_q3"]
        head += ["machine", "versions", "digests"]
        writer.writerow(head + [f"metric_{metric}" for metric in metrics])
        writer.writerows(_csv_line(row, report.target, metrics) for row in rows)


def _csv_line(row: Row, target: float, metrics: Sequence[str]) -> list[Any]:
    run = row.run
    line = [row.label, row.density, row.graph_seed, row.train_seed, "-".join(map(str, row.sizes))]
    line += [run.test_score, run.test_loss, run.val_score[-1], run.n_parameters, row.n_bytes, run.epochs_to(target)]
    line += [*quartiles(run.seconds), row.machine, row.versions, " ".join(digest[:12] for digest in row.digests)]
    return line + [row.metrics.get(metric) for metric in metrics]


def _machines(study: Study) -> list[str]:
    return list(dict.fromkeys(row.machine for row in study.rows))


def _versions(study: Study) -> list[str]:
    return list(dict.fromkeys(row.versions for row in study.rows))


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' if n != 1 else ''}"


def _is_test(finding: Finding) -> bool:
    return not math.isnan(finding.correlation.p_value)


def _at(finding: Finding) -> str:
    return f"{finding.correlation.rho:+.2f} at {percent(finding.density)}"


def _finding_text(finding: Finding, n: int) -> str:
    if not _is_test(finding):
        return "-"
    found = finding.correlation
    fewer = f", n = {found.n}" if found.n < n else ""
    return (
        f"{found.rho:+.2f}, {_p(found.p_value)} ({_p(finding.holm_p)}){fewer}{' *' if finding.holm_p < LEVEL else ''}"
    )


def _p(p_value: float) -> str:
    return "<0.001" if p_value < 0.001 else f"{p_value:.2g}"


def _is_accuracy(study: Study) -> bool:
    return study.rows[0].run.score_name == "accuracy"


def _score_name(study: Study) -> str:
    return "accuracy" if _is_accuracy(study) else "R2"


def _score(study: Study, value: float, unit: bool = True) -> str:
    if math.isnan(value):
        return "-"
    return f"{100 * value:.2f}{' %' if unit else ''}" if _is_accuracy(study) else f"{value:.4f}"


def _bytes(n: int) -> str:
    return f"{n / 1e6:.2f} MB" if n >= 1e6 else f"{n / 1e3:.1f} kB"


def _number(value: float) -> str:
    if math.isnan(value):
        return "-"
    value = round(value, 6) + 0.0
    return f"{value:.3g}" if value >= 0.1 else f"{value:.2g}"
