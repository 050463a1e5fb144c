"""Tables in text files: lines of cells between commas, semicolons or tabs."""

import csv
from dataclasses import dataclass
from pathlib import Path

from .text_file import read_text, split_lines

SEPARATORS = {"\t": "tab", ",": "comma", ";": "semicolon"}


@dataclass(frozen=True)
class TextTable:
    """The cells of a table, as written but for white space around them.

    Attributes:
        path: the file.
        rows: the cells of each line; blank lines are left out.
        lines: the number of the line of each row, from 1.
        comments: the comment lines above the first row, with their numbers.
        separator: between the cells.
    """

    path: Path
    rows: list[list[str]]
    lines: list[int]
    comments: list[tuple[int, str]]
    separator: str

    def name_place(self, row: int) -> str:
        """Return where a row was read, for messages."""
        return f"{self.path}, line {self.lines[row]}"


def read_table(path: str | Path, *, comment: str | None = None) -> TextTable:
    """Read a table: one row per line, its cells between tabs, commas or semicolons.

    The separator is the tab if the first row has a tab; otherwise the comma or the semicolon, whichever the first row
    has. A first row with both is refused, unless the other sign stands between quotes.

    Between tabs a quote is a character like any other. Between commas and semicolons, quotes may stand around a cell,
    which lets the cell have the separator. A cell never runs over the end of its line, so that a lost quote cannot
    swallow rows.

    Args:
        path: the file, in UTF-8, or in UTF-16 with a byte order mark; may be compressed with gzip.
        comment: lines that start with this text are left out; "" for no such lines. If not given, lines that start
            with # are left out above the first row, and refused below.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is no text, is empty, or has a row with more or fewer cells than the first.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(f"{folder}/sets.tsv").write_text("gene\\tpathway\\nMYC\\tgrowth\\n")
        ...     read_table(f"{folder}/sets.tsv").rows
        [['gene', 'pathway'], ['MYC', 'growth']]
    """
    return parse_table(read_text(path), Path(path), comment=comment)


def parse_table(text: str, path: Path, *, comment: str | None = None) -> TextTable:
    """Return the table in a text, as `read_table` does; `path` is for messages."""
    rows: list[list[str]] = []
    numbers: list[int] = []
    comments: list[tuple[int, str]] = []
    separator = ","
    for number, line in enumerate(split_lines(text), 1):
        if not line.strip(" "):
            continue
        where = f"{path}, line {number}"
        if comment != "" and line.startswith(comment or "#"):
            if rows and comment is None:
                raise ValueError(
                    f"{where}: expected a row, got a line that starts with #, {_shorten(line)}; delete the line, put "
                    'quotes around the cell (CSV), or say with comment="#" or comment="" whether it is a comment'
                )
            if not rows:
                comments.append((number, line))
            continue
        if not rows:
            separator = _choose_separator(line, where)
        cells = split_cells(line, separator, where)
        if rows and len(cells) != len(rows[0]):
            raise ValueError(
                f"{where}: expected {len(rows[0])} cells as in the header or the first row, got {len(cells)} "
                f"(separated by a {SEPARATORS[separator]}): {_shorten(line)}; correct the line"
            )
        rows.append(cells)
        numbers.append(number)
    if not rows:
        raise ValueError(f"{path}: expected a table, got no rows; check the file")
    return TextTable(path, rows, numbers, comments, separator)


def check_comment_is_no_header(table: TextTable) -> None:
    """Raise ValueError if the last comment looks like the names of the columns: then the first row is no header."""
    if not table.comments:
        return
    number, line = table.comments[-1]
    if len(line.split(table.separator)) == len(table.rows[0]) > 1 and number + 1 == table.lines[0]:
        raise ValueError(
            f"{table.path}, line {number}: expected a comment, got as many cells as in line {number + 1}; delete the "
            "sign # if this line has the names of the columns, else put an empty line below"
        )


def split_cells(line: str, separator: str, where: str) -> list[str]:
    """Return the cells of a line, without the white space around them; raises ValueError if a quote stays open."""
    if separator == "\t":
        return [cell.strip() for cell in line.split("\t")]
    try:
        (cells,) = csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True)
    except csv.Error as error:
        raise ValueError(
            f"{where}: expected cells separated by a {SEPARATORS[separator]}, each on one line, got {error}: "
            f"{_shorten(line)}; correct the quotes, and write a cell on one line"
        ) from None
    return [cell.strip() for cell in cells]


def _choose_separator(line: str, where: str) -> str:
    if "\t" in line:
        return "\t"
    usable = [separator for separator in ",;" if _separates(line, separator)]
    if len(usable) > 1:
        raise ValueError(
            f"{where}: expected one separator, got commas and semicolons in {_shorten(line)}; put quotes around cells "
            "that contain the other sign, or separate the cells by tabs"
        )
    return usable[0] if usable else ","


def _separates(line: str, separator: str) -> bool:
    try:
        return len(split_cells(line, separator, "")) > 1
    except ValueError:
        return False


def _shorten(line: str) -> str:
    return repr(line if len(line) <= 60 else line[:57] + "...")
