"""What a study found: tables and sentences, printed, and written beside its runs as files and as a page."""

from .analysed import LEVEL, MARGIN, PRIMARY_METRIC, TESTED, Report, analyse
from .files import markdown, write
from .pages import write_page
from .pictures import draw
from .sentences import sentences
from .tables import tables
from .terminal import show

__all__ = [
    "LEVEL",
    "MARGIN",
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
