"""Numbers in the cells of a text table, and numbers in another dress, which are refused."""

import re
from collections.abc import Sequence

_DIGITS = r"(?:\d{1,3}(?:[.,]\d{3})+(?:[.,]\d+)?|\d+[.,]?\d*|[.,]\d+)(?:[eE][+-]?\d+)?"
_NUMBER = re.compile(rf"[+-]?{_DIGITS}-?")
_WITH_UNIT = re.compile(rf"[+-]?{_DIGITS} ?([a-zA-Z\u00b0\u00b5\u03bc/]+)")
_REMOVED = " \u00a0\u2009\u202f'\u2019_%\u2030$\u00a3\u20ac\u00a5\u20b9"
"""Separators of thousands, per cent and per mille, currencies."""
_MINUS_SIGNS = "\u2212\u2012\u2013"
_ORNAMENTS = str.maketrans({**dict.fromkeys(_REMOVED, ""), **dict.fromkeys(_MINUS_SIGNS, "-")})

_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DATE = re.compile(
    rf"\d{{1,4}}[-/.]\d{{1,2}}[-/.]\d{{1,4}}(?:[ T]\d{{1,2}}:\d{{2}}.*)?"
    rf"|\d{{1,2}}:\d{{2}}(?::\d{{2}}(?:\.\d+)?)?(?: ?[ap]m)?"
    rf"|\d{{1,2}}[ .-]*(?:{_MONTHS})[a-z]*[ .,-]*\d{{2,4}}|(?:{_MONTHS})[a-z]*[ .-]+\d{{1,2}}(?:,? +\d{{2,4}})?",
    re.IGNORECASE,
)
MIN_VALUES_WITH_UNIT = 10
"""A column of words such as 5km and 10km is taken for numbers if it has at least this many different words."""


def parse_number(cell: str, decimal: str = ".") -> float | None:
    """Return the number in a cell, or None; 1_000, which Python reads as a number, is no number in a data file.

    Example:
        >>> parse_number("0.5"), parse_number("0,5"), parse_number("0,5", ","), parse_number("1_000")
        (0.5, None, 0.5, None)
    """
    if "_" in cell:
        return None
    if decimal != ".":
        if "." in cell:
            return None
        cell = cell.replace(decimal, ".")
    try:
        return float(cell)
    except ValueError:
        return None


def is_dressed_number(cell: str) -> bool:
    """Whether a text that is no number is one for people: 1,234.5 or 0,5 or 5 % or $5 or (5) or 2024-01-31 or 12:30.

    Example:
        >>> [is_dressed_number(cell) for cell in ("0,5", "1 234", "-3%", "2024-01-31", "red", "A1", "10-20")]
        [True, True, True, True, False, False, False]
    """
    if cell.startswith("(") and cell.endswith(")"):  # bookkeepers' way to write a loss
        cell = cell[1:-1]
    plain = cell.translate(_ORNAMENTS)
    return bool(_NUMBER.fullmatch(plain) or _DATE.fullmatch(cell))


def find_dressed_number(cells: Sequence[str], n_numbers: int, decimal: str = ".") -> int | None:
    """Return the first cell of a column that is a number in another dress, if the column is one of numbers.

    A column is one of numbers if numbers and numbers in another dress are at least half of the cells, or if all cells
    are numbers with the same unit.

    Args:
        cells: a column of words.
        n_numbers: how many of the cells are plain numbers.
        decimal: the sign before the fraction of a plain number.
    """
    dressed = [row for row, cell in enumerate(cells) if is_dressed_number(cell) and parse_number(cell, decimal) is None]
    if dressed and 2 * (n_numbers + len(dressed)) >= len(cells):
        return dressed[0]
    matches = [_WITH_UNIT.fullmatch(cell) for cell in cells]
    units = {match[1] if match else "" for match in matches}
    if len(units) == 1 and "" not in units and len(set(cells)) >= MIN_VALUES_WITH_UNIT:
        return 0
    return None
