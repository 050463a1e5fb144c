"""A study as a page: one HTML file with text, tables and plots that opens offline."""

from ..table import Table
from . import figures
from .blocks import Block, Bullets, Cards, Choice, Code, Figure, Heading, LayerPicture, Paragraph
from .document import html
from .figure_spec import pick, resolve
from .thumbnails import thumbnail

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
    "figures",
    "html",
    "pick",
    "resolve",
    "thumbnail",
]
