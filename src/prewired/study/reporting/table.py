"""A table of texts, whatever it is shown on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A titled table of texts; the first column is left-aligned; a gap follows the lines numbered in `breaks`."""

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    breaks: tuple[int, ...] = ()
