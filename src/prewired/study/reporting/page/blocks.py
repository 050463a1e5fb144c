"""What a page is made of: plain values, in the order in which they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..table import Table
from .figure_spec import check


@dataclass(frozen=True)
class Heading:
    """A heading; those of level 2 open a section and stand in the table of contents, with those of level 3.

    Raises:
        ValueError: for a level outside of 2 to 4.

    Example:
        >>> Heading("Results").level
        2
    """

    text: str
    level: int = 2

    def __post_init__(self) -> None:
        if not 2 <= self.level <= 4:
            raise ValueError(f"expected 2 <= level <= 4, got level={self.level}; the page's title is its only level 1")


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; what stands between backticks is set as code."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list without an order; backticks as in a paragraph."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Code:
    """Lines to be copied, such as a command."""

    text: str


@dataclass(frozen=True)
class Choice:
    """A select above a plot; the first option is chosen at the start."""

    label: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class LayerPicture:
    """A layer as a card shows it: a small PNG file of its biadjacency (empty for none) and a caption."""

    png: bytes = field(repr=False)
    caption: str


@dataclass(frozen=True)
class Cards:
    """Texts that appear when the reader points at a point of a plot; a trace names its cards in `customdata`.

    Args:
        titles: one per card.
        names: of the facts, the same for all cards.
        facts: per card, a text for each name; an empty one or a hyphen is left out.
        layers: per card, the keys of its layers.
        store: key -> layer; a layer of many cards, or of cards of several figures, is in the page once.
    """

    titles: tuple[str, ...]
    names: tuple[str, ...]
    facts: tuple[tuple[str, ...], ...]
    layers: tuple[tuple[str, ...], ...]
    store: Mapping[str, LayerPicture] = field(repr=False)


@dataclass(frozen=True)
class Figure:
    """A plot, with its numbers as a table for whoever cannot see it.

    Args:
        title: a short one.
        description: what the plot shows, in words; it also names the plot to screen readers.
        spec: a Plotly figure, {"data": [...], "layout": {...}}; values that depend on choices are made by
            `figure_spec.pick`. The colours "ink", "muted", "accent" and "surface" are those of the page; others are
            kept legible in both its themes.
        table: the same numbers.
        choices: the selects above the plot.
        cards: what is shown of its points, if anything.

    Raises:
        ValueError: if the spec depends on a choice or an option that is not there.

    Example:
        >>> table = Table("Squares", ("x", "square"), (("1", "1"), ("2", "4")))
        >>> Figure("Squares", "A parabola.", {"data": [{"x": [1, 2], "y": [1, 4]}]}, table).choices
        ()
    """

    title: str
    description: str
    spec: Mapping[str, Any] = field(repr=False)
    table: Table = field(repr=False)
    choices: tuple[Choice, ...] = ()
    cards: Cards | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check(self.spec, {choice.label: choice.options for choice in self.choices})


Block = Heading | Paragraph | Bullets | Code | Table | Figure
