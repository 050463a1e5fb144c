"""A report as files: Markdown, CSV, Parquet and JSON."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...io.atomic_write import replacing_files
from ..running.database import replace_non_finite
from ..statistics import TARGET_SHARE, Row, compute_quartiles
from .all_tables import build_tables
from .report_data import Report, list_machines, list_versions
from .sentences import describe_findings
from .table import Table

SHARES_OF_DENSE = (0.9, 0.95, 0.99, 1.0)  # of its validation score: how many epochs and seconds a run takes to each
NAMES = ("table.md", "results.csv", "results.parquet", "summary.json")


def write_tables(report: Report, folder: str | Path) -> list[Path]:
    """Write table.md, results.csv (a line per run), the same as results.parquet, and summary.json into the folder.

    Args:
        report: the report.
        folder: where to write them.

    Returns:
        The paths; that of the Parquet file only where pyarrow is installed.
    """
    with replacing_files(folder) as part:
        paths = _write_files(report, part)
    return [Path(folder) / path.name for path in paths]


def _write_files(report: Report, folder: Path) -> list[Path]:
    (folder / "table.md").write_text(format_markdown(report), encoding="utf-8")
    lines = [_build_line(report, row) for row in report.study.rows]
    names = list(dict.fromkeys(name for line in lines for name in line))
    with (folder / "results.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows({name: _guard(value) for name, value in line.items()} for line in lines)
    written = [folder / "table.md", folder / "results.csv", folder / "summary.json"]
    (folder / "summary.json").write_text(
        json.dumps(replace_non_finite(_build_summary(report)), indent=1) + "\n", encoding="utf-8"
    )
    if find_spec("pyarrow") is not None:
        import pyarrow
        import pyarrow.parquet

        columns = {name: [line.get(name) for line in lines] for name in names}
        pyarrow.parquet.write_table(pyarrow.table(columns), folder / "results.parquet")
        written.append(folder / "results.parquet")
    return written


def _guard(value: Any) -> Any:
    """Put an apostrophe before a text that a spreadsheet would take for a formula; numbers stay."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def format_markdown(report: Report) -> str:
    """The whole report as Markdown."""
    study = report.study
    names = ", ".join(study.facts[name].name for name in study.config.data)
    parts = [f"# Study on {names}", "\n".join(describe_setup(report))]
    parts += ["## Findings", "\n".join(f"- {sentence}" for sentence in describe_findings(report))]
    for table in build_tables(report):
        parts += [f"## {table.title}", _format_tables(table), *table.notes]
    return "\n\n".join(parts) + "\n"


def describe_setup(report: Report) -> list[str]:
    """Return lines that describe how the study was run."""
    study, config = report.study, report.study.config
    hidden = " - ".join(map(str, config.hidden))
    rates = (
        f"learning rates chosen among {', '.join(f'{rate:g}' for rate in config.learning_rates)}"
        if config.learning_rates
        else f"learning rate {config.learning_rate:g}"
    )
    stop = f", stopped after {config.patience} without a lower validation loss" if config.patience else ""
    rows = f", {config.train_rows:,} rows of training" if config.train_rows else ""
    return [
        f"Hidden layers {hidden}, at most {config.epochs} epochs{stop}, batch {config.batch_size}, "
        f"{config.optimizer}, {rates}{rows}; graph seeds: {config.graph_seeds}, training seeds: {config.train_seeds}"
        + (f", of dense nets {config.reference_seeds}." if config.reference_seeds else "."),
        f"Machine: {'; '.join(list_machines(study.rows))}. Versions: {'; '.join(list_versions(study.rows))}.",
        f"{len(study.rows)} of {study.n_runs} runs. Digest of the results: {study.digest[:16]}.",
    ]


def _format_tables(table: Table) -> str:
    rule = ["---", *["---:"] * (len(table.header) - 1)]
    lines = ([cell.replace("|", "\\|").replace("\n", " ") for cell in cells] for cells in (table.header, *table.lines))
    first, *others = ("| " + " | ".join(cells) + " |" for cells in lines)
    return "\n".join([first, "| " + " | ".join(rule) + " |", *others])


def _build_summary(report: Report) -> dict[str, Any]:
    study, analysis = report.study, report.analysis
    return {
        "config": study.config.to_dict(),
        "facts": {name: asdict(facts) for name, facts in study.facts.items()},
        "digest": study.digest,
        "n_runs": study.n_runs,
        "failed": study.failed,
        "impossible": study.impossible,
        "score": study.rows[0].run.score_name,
        "machines": list_machines(study.rows),
        "versions": list_versions(study.rows),
        "findings": describe_findings(report),
        "table": [asdict(summary) for summary in report.summaries],
        "pooled": [asdict(item) for item in analysis.pooled],
        "cells": [asdict(item) for item in analysis.cells],
        "generalisation": [asdict(item) for item in analysis.generalisation],
        "reliability": [asdict(item) for item in analysis.reliability],
        "contrasts": [asdict(item) for item in analysis.contrasts],
        "timings": [asdict(item) for item in study.timings],
        "learning_rates": [
            {"net": str(item.net), "chosen": item.chosen, "scores": {f"{r:g}": s for r, s in item.scores.items()}}
            for item in study.rate_choices
        ],
    }


def _build_line(report: Report, row: Row) -> dict[str, Any]:
    """A run as a line of results.csv."""
    run = row.run
    dense = report.targets[row.data] / TARGET_SHARE
    thresholds = {round(100 * share): share * dense for share in SHARES_OF_DENSE}
    score = run.score_name
    start = {f"start_{name}_{k}": value for name, values in row.start.items() for k, value in enumerate(values, 1)}
    layers = {f"layer{k}_{name}": value for k, layer in enumerate(row.layers, 1) for name, value in layer.items()}
    return {
        "data": row.data,
        "family": row.family,
        "control": row.control,
        "init": row.init,
        "density": row.density,
        "graph_seed": row.graph_seed,
        "train_seed": row.train_seed,
        "sizes": "-".join(map(str, row.sizes)),
        "learning_rate": row.learning_rate,
        f"test_{score}": run.test_score,
        "test_loss": run.test_loss,
        f"val_{score}": run.chosen_score,
        "chosen_epoch": run.chosen_epoch,
        "epochs": len(run.val_score),
        "area": run.area,
        **{f"epochs_to_{share}": run.epochs_to(reached) for share, reached in thresholds.items()},
        **{f"seconds_to_{share}": run.seconds_to(reached) for share, reached in thresholds.items()},
        "parameters": run.n_parameters,
        "bytes": row.n_bytes,
        **dict(zip(("seconds_q1", "seconds_per_epoch", "seconds_q3"), compute_quartiles(run.seconds), strict=True)),
        "machine": row.machine,
        "versions": row.versions,
        "digests": " ".join(digest[:12] for digest in row.digests),
        "val_curve": " ".join(f"{value:.5g}" for value in run.val_score),
        **start,
        **{f"metric_{name}": value for name, value in row.metrics.items()},
        **layers,
    }
