"""What a study found: tables and sentences, printed, and written beside its runs as files and as a page."""

from .all_tables import build_tables
from .html_page import write_page
from .report_data import LEVEL, MARGINS, PRIMARY_METRIC, TESTED, Report, analyse_study
from .report_pictures import draw_pictures
from .sentences import describe_findings
from .table_files import format_markdown, write_tables
from .terminal_report import print_report

__all__ = [
    "LEVEL",
    "MARGINS",
    "PRIMARY_METRIC",
    "TESTED",
    "Report",
    "analyse_study",
    "build_tables",
    "describe_findings",
    "draw_pictures",
    "format_markdown",
    "print_report",
    "write_page",
    "write_tables",
]
