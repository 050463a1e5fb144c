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
    correlate,
    mean_and_sd,
    percent,
    summarise,
    target_score,
)
from .store import finite
from .study import Study, wire

if TYPE_CHECKING:
    from rich.console import Console

LEVEL = 0.05  # of Holm-adjusted p-values
PRIMARY_METRIC = "normalized_spectral_gap"  # chosen before any figure was seen
PICTURE_METRICS = (PRIMARY_METRIC, "algebraic_connectivity")


@dataclass(frozen=True)
class Table:
    """A titled table of texts; the first column is left-aligned; a gap follows the lines numbered in `breaks`."""

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    breaks: tuple[int, ...] = ()


def write(study: Study, folder: str | Path) -> None:
    """Write table.md, results.csv (a line per run) and summary.json into the folder."""
    folder = Path(folder)
    (folder / "table.md").write_text(markdown(study), encoding="utf-8")
    _write_csv(study, folder / "results.csv")
    summary = {
        "config": asdict(study.config),
        "data": study.data_name,
        "note": study.note,
        "sizes": study.sizes,
        "score": study.rows[0].run.score_name,
        "machines": _machines(study),
        "table": [asdict(summary) for summary in _sorted(summarise(study.rows))],
        "correlations": [asdict(finding) for finding in correlate(study.rows)],
        "findings": sentences(study),
    }
    (folder / "summary.json").write_text(json.dumps(finite(summary), indent=1) + "\n", encoding="utf-8")


def draw(study: Study, folder: str | Path) -> list[Path]:
    """Draw the pictures of a study into the folder and return their paths."""
    from . import plots

    folder, rows, config = Path(folder), study.rows, study.config
    density = sorted(config.densities)[len(config.densities) // 2]
    first_layers = {family: wire(family, density, study.sizes, 0)[0] for family in config.families}
    return [
        plots.score_by_density(rows, path=folder / "score_by_density.png"),
        *(plots.score_by_metric(rows, metric, path=folder / f"score_by_{metric}.png") for metric in PICTURE_METRICS),
        plots.training_curves(rows, path=folder / "training_curves.png"),
        plots.biadjacency(first_layers, path=folder / "biadjacency.png"),
    ]


def show(study: Study, console: Console) -> None:
    """Print the tables and the sentences."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable

    for table in (results_table(study), correlation_table(study)):
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
    for sentence in sentences(study):
        console.print(f"- {sentence}", highlight=False)


def _print_whole(rich_table: Any, console: Console) -> None:
    """Print a table at its full width: a narrow terminal then wraps its lines, but no digit is cut off."""
    width = console.width
    console.width = max(width, console.measure(rich_table, options=console.options.update(width=1000)).maximum)
    console.print(rich_table)
    console.width = width


def markdown(study: Study) -> str:
    """The whole report as Markdown."""
    config = study.config
    setup = [
        f"{' - '.join(map(str, study.sizes))}, {config.epochs} epochs, batch {config.batch_size}, {config.optimizer} "
        f"at learning rate {config.learning_rate:g}; graph seeds: {config.graph_seeds}, "
        f"training seeds: {config.train_seeds}.",
        f"Machine: {'; '.join(_machines(study))}.",
    ]
    parts = [f"# Study on {study.data_name}", "\n".join(setup)]
    for table in (results_table(study), correlation_table(study)):
        rule = ["---", *["---:"] * (len(table.header) - 1)]
        lines = ["| " + " | ".join(cells).replace("\n", " ") + " |" for cells in (table.header, rule, *table.lines)]
        parts += [f"## {table.title}", "\n".join(lines), *table.notes]
    parts += ["## Findings", "\n".join(f"- {sentence}" for sentence in sentences(study))]
    return "\n\n".join(parts) + "\n"


def results_table(study: Study) -> Table:
    """A line for each family at each density, and for the dense references."""
    summaries = _sorted(summarise(study.rows))
    name, several_seeds = _score_name(study), study.config.train_seeds > 1
    unit = "\n[%]" if _is_accuracy(study) else ""
    header = ("family", "density", "graphs", f"{name}{unit}", "sd", *(["sd\n(seeds)"] if several_seeds else []))
    header += ("params", "bytes", "epochs\nto 95 %", "s/epoch", "vs\ndense", "norm.\ngap", "alg.\nconn.")
    breaks = [i for i, (a, b) in enumerate(pairwise(summaries)) if a.density != b.density]
    target = target_score(study.rows)
    notes = [
        f"{name}: on the test data, mean over graphs; sd: over graphs"
        + ("; sd (seeds): over the training seeds of a graph." if several_seeds else "."),
        f"epochs to 95 %: not defined, the dense net ends without a positive validation {name}."
        if math.isnan(target)
        else f"epochs to 95 %: until validation {name} is 95 % of the dense net's final one, {_score(study, target)}.",
        "vs dense: median seconds per epoch over those of the dense net of equal width. dense narrow: as many "
        "parameters as the sparse nets of that density.",
    ]
    if len(_machines(study)) > 1:
        notes.append(
            f"Seconds come from {len(_machines(study))} machines or numbers of threads: {'; '.join(_machines(study))}."
        )
    if study.note:
        notes.append(f"Data: {study.note}.")
    lines = tuple(_results_line(study, summary, several_seeds) for summary in summaries)
    return Table(f"Results on {study.data_name}", header, lines, tuple(notes), tuple(breaks))


def _results_line(study: Study, summary: Summary, several_seeds: bool) -> tuple[str, ...]:
    epochs, n_epochs = summary.epochs_to_target, study.config.epochs
    reached = "-" if math.isnan(epochs) else f">{n_epochs}" if math.isinf(epochs) else f"{epochs:.2g}"
    return (
        summary.label,
        "-" if summary.density is None else percent(summary.density),
        str(summary.n_graphs) if summary.label not in REFERENCES else "-",
        _score(study, summary.score, unit=False),
        _score(study, summary.score_sd, unit=False),
        *([_score(study, summary.seed_sd, unit=False)] if several_seeds else []),
        f"{summary.n_parameters:,}",
        _bytes(summary.n_bytes),
        reached,
        f"{summary.seconds:.3g}",
        "-" if math.isnan(summary.ratio) else f"{summary.ratio:.2f}x",
        *(_number(summary.metrics.get(metric, math.nan)) for metric in PICTURE_METRICS),
    )


def correlation_table(study: Study) -> Table:
    """Spearman's rho of the test score with each metric that varies, a column per density."""
    findings = correlate(study.rows)
    densities = sorted(dict.fromkeys(finding.density for finding in findings))
    metrics = list(dict.fromkeys(finding.metric for finding in findings))
    cells = {(finding.metric, finding.density): finding for finding in findings}
    n = {d: max(cells[metric, d].correlation.n for metric in metrics) for d in densities}
    varying = [metric for metric in metrics if any(_is_test(cells[metric, d]) for d in densities)]
    left_out = [metric for metric in metrics if metric not in varying]
    lines = tuple((metric, *(_finding_text(cells[metric, d], n[d]) for d in densities)) for metric in varying)
    n_tests = sum(_is_test(finding) for finding in findings)
    notes = (
        [f"rho, p (p adjusted by Holm for all {n_tests} tests here); * where the adjusted p is below {LEVEL:g}."]
        if lines
        else []
    )
    if left_out:
        notes.append(f"Left out, no ranking possible (constant, or fewer than 3 graphs): {', '.join(left_out)}.")
    header = ("metric", *(f"{percent(d)}\n({n[d]} graphs)" for d in densities))
    return Table(f"Spearman correlation of test {_score_name(study)} with each metric", header, lines, tuple(notes))


def sentences(study: Study) -> list[str]:
    """What was found, in plain words, with what cannot be said."""
    return [_best_sentence(study), _speed_sentence(study), _correlation_sentence(study), _caveat(study)]


def _best_sentence(study: Study) -> str:
    summaries = _sorted(summarise(study.rows))
    dense = next(summary for summary in summaries if summary.label == DENSE)
    parts = []
    for density in sorted(study.config.densities):
        cell = [summary for summary in summaries if summary.density == density]
        sparse = [summary for summary in cell if summary.label != DENSE_NARROW]
        best, worst = max(sparse, key=lambda s: s.score), min(sparse, key=lambda s: s.score)
        narrow = next(summary for summary in cell if summary.label == DENSE_NARROW)
        last = f", {worst.label} last ({_score(study, worst.score)})" if len(sparse) > 1 else ""
        lead = "is first" if len(sparse) > 1 else "has"
        parts.append(
            f"at {percent(density)} {best.label} {lead} ({_score(study, best.score)}){last}, "
            f"the dense net of as many parameters has {_score(study, narrow.score)}"
        )
    sd, _ = mean_and_sd(s.score_sd for s in summaries if s.label not in REFERENCES and not math.isnan(s.score_sd))
    spread = "" if math.isnan(sd) else f" Graphs of one family at one density differ by {_score(study, sd)} (mean sd)."
    return f"Test {_score_name(study)}, dense {_score(study, dense.score)}: {'; '.join(parts)}.{spread}"


def _speed_sentence(study: Study) -> str:
    sparse = [s for s in summarise(study.rows) if s.label not in REFERENCES and not math.isnan(s.ratio)]
    if not sparse:
        return "The dense net was not timed on the machine of the sparse ones, so speed is not compared."
    parts = []
    for density in sorted(study.config.densities):
        ratios = [summary.ratio for summary in sparse if summary.density == density]
        if ratios:
            low, high = min(ratios), max(ratios)
            parts.append(f"{low:.2f}x" + (f" to {high:.2f}x" if high > low else "") + f" at {percent(density)}")
    return f"An epoch took {', '.join(parts)} of the dense net's time."


def _correlation_sentence(study: Study) -> str:
    tests = [finding for finding in correlate(study.rows) if _is_test(finding)]
    if not tests:
        return "No correlation can be computed: fewer than 3 graphs in each density, or nothing varies."
    name, n = _score_name(study), max(finding.correlation.n for finding in tests)
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
            f"No correlation of {name} with a metric can be claimed at this sample size (at most {n} graphs in a "
            f"density, {len(tests)} tests): the smallest p is {_p(first.correlation.p_value)} before and "
            f"{_p(first.holm_p)} after Holm's adjustment ({first.metric} at {percent(first.density)}).{primary}"
        )
    listed = ", ".join(f"{finding.metric} {_at(finding)}" for finding in claims[:4])
    more = f" and {len(claims) - 4} more" if len(claims) > 4 else ""
    return f"After Holm's adjustment for {len(tests)} tests {name} goes with {listed}{more}.{primary}"


def _caveat(study: Study) -> str:
    families = len(study.config.families)
    kinds = f"{families} families" if families > 1 else "one family"
    text = f"The graphs come from {kinds}; those of one family resemble each other and count for less than their number"
    if study.config.train_seeds == 1:
        text += "; with one training seed per graph, differences between graphs include the noise of training"
    return text + "; a correlation is not a cause."


def _write_csv(study: Study, path: Path) -> None:
    score, target = study.rows[0].run.score_name, target_score(study.rows)
    metrics = list(dict.fromkeys(metric for row in study.rows for metric in row.metrics))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        head = ["family", "density", "graph_seed", "train_seed", "sizes", f"test_{score}", "test_loss", f"val_{score}"]
        head += ["parameters", "bytes", "epochs_to_95", "seconds_per_epoch", "machine", "digests"]
        writer.writerow(head + metrics)
        writer.writerows(_csv_line(row, target, metrics) for row in study.rows)


def _csv_line(row: Row, target: float, metrics: Sequence[str]) -> list[Any]:
    run = row.run
    line = [row.label, row.density, row.graph_seed, row.train_seed, "-".join(map(str, row.sizes))]
    line += [run.test_score, run.test_loss, run.val_score[-1], run.n_parameters, row.n_bytes, run.epochs_to(target)]
    line += [mean_and_sd(run.seconds)[0], row.machine, " ".join(digest[:12] for digest in row.digests)]
    return line + [row.metrics.get(metric) for metric in metrics]


def _sorted(summaries: Sequence[Summary]) -> list[Summary]:
    return sorted(summaries, key=lambda summary: summary.density or 0.0)


def _machines(study: Study) -> list[str]:
    return list(dict.fromkeys(row.machine for row in study.rows))


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
