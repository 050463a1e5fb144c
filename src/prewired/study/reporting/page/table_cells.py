"""The cells of tables: what they sort by, and their HTML."""

from __future__ import annotations

import re
from html import escape

_UNITS = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "k": 1e3, "M": 1e6, "us": 1e-6, "ms": 1e-3, "min": 60, "h": 3600}
_NUMBER = re.compile(
    r"\s*[<>≤≥~]?\s*(?P<number>[-+\u2212]?(?:\d[\d,]*)?\.?\d+(?:[eE][-+]?\d+)?)"
    rf"(?:\s*(?P<unit>{'|'.join(_UNITS)}|x|s|B))?(?=$|[\s%([,;±/*])"
)
ABSENT = ("", "-", "nan")


def find_sort_value(text: str) -> float | None:
    """The number that a cell starts with, in its base unit; None if it does not start with one.

    Example:
        >>> texts = ("89.21 %", "1.2 MB", "-0.52 [-0.31, 0.68]", ">10", "1,024", "2.5x", "-")
        >>> [find_sort_value(text) for text in texts]
        [89.21, 1200000.0, -0.52, 10.0, 1024.0, 2.5, None]
    """
    result = _NUMBER.match(text)
    if not result:
        return None
    return float(result["number"].replace(",", "").replace("\u2212", "-")) * _UNITS.get(result["unit"], 1.0)


def find_numeric_columns(lines: tuple[tuple[str, ...], ...]) -> list[bool]:
    """Of each column, whether all its texts that are there start with a number, and one at least does.

    Example:
        >>> find_numeric_columns((("biregular", "0.1", "-"), ("grouped", "-", "-")))
        [False, True, False]
    """

    def numeric(column: tuple[str, ...]) -> bool:
        there = [text for text in column if text.strip() not in ABSENT]
        return bool(there) and all(find_sort_value(text) is not None for text in there)

    return [numeric(column) for column in zip(*lines, strict=True)]


def write_cell(text: str, *, first: bool, numeric: bool) -> str:
    """The HTML of a table cell; the first of a line is its header; `data-n` is the number that a numeric one sorts by.

    Example:
        >>> write_cell("<b>", first=True, numeric=False)
        '<th scope="row">&lt;b&gt;</th>'
        >>> write_cell("1.2 MB", first=False, numeric=True), write_cell("-", first=False, numeric=True)
        ('<td class="n" data-n="1200000">1.2 MB</td>', '<td class="n">-</td>')
    """
    value = find_sort_value(text) if numeric else None
    marks = (' class="n"' if numeric else "") + ("" if value is None else f' data-n="{value:.15g}"')
    return f'<th scope="row"{marks}>{escape(text)}</th>' if first else f"<td{marks}>{escape(text)}</td>"
