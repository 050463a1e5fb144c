"""What a study found: tables and sentences, printed, and written beside its runs as files and as a page."""

from .all_tables import tables
from .html_page import write_page
from .report_data import LEVEL, MARGINS, PRIMARY_METRIC, TESTED, Report, analyse
from .report_pictures import draw
from .sentences import sentences
from .table_files import markdown, write
from .terminal_report import show

__all__ = [
    "LEVEL",
    "MARGINS",
    "PRIMARY_METRIC",
    "TESTED",
    "Report",
    "analyse",
    "draw",
    "markdown",
    "sentences",
    "show",
    "tables",
    "write",
    "write_page",
]
