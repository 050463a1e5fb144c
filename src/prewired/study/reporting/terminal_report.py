"""A report on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .correlation_tables import build_pooled_table
from .dense_comparison import build_dense_comparison
from .report_data import Report
from .result_table import build_result_table
from .sentences import describe_findings

if TYPE_CHECKING:
    from rich.console import Console


def print_report(report: Report, console: Console) -> None:
    """Print the main tables and the sentences; the files have all tables."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable

    main = [build_result_table(report, data) for data in report.study.config.data]
    main += [build_pooled_table(report, control, init) for control, init in report.settings]
    for table in [*main, build_dense_comparison(report)]:
        if not table.lines:
            continue
        rich_table = RichTable(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        for place, name in enumerate(table.header):
            rich_table.add_column(name, justify="right" if place else "left", no_wrap=True)
        for place, line in enumerate(table.lines):
            rich_table.add_row(*line, end_section=place in table.breaks)
        console.print(table.title, style="bold", highlight=False)
        _print_wide_table(rich_table, console)
        for note in table.notes:
            console.print(note, style="dim", highlight=False)
        console.print()
    for sentence in describe_findings(report):
        console.print(f"- {sentence}", highlight=False)


def _print_wide_table(rich_table: Any, console: Console) -> None:
    """Print a table at its full width: a narrow terminal then wraps its lines, but no digit is cut off."""
    width = console.width
    console.width = max(width, console.measure(rich_table, options=console.options.update(width=1000)).maximum)
    console.print(rich_table)
    console.width = width
