"""A study as a page: one HTML file with text, tables and plots that opens offline."""

from ..table import Table
from . import figures
from .blocks import Block, Bullets, Cards, Choice, Code, Figure, Heading, LayerPicture, Paragraph
from .document import write_document
from .figure_spec import pick, resolve
from .thumbnails import draw_thumbnail

__all__ = [
    "Block",
    "Bullets",
    "Cards",
    "Choice",
    "Code",
    "Figure",
    "Heading",
    "LayerPicture",
    "Paragraph",
    "Table",
    "draw_thumbnail",
    "figures",
    "pick",
    "resolve",
    "write_document",
]
