"""Read a user's text table into `RawData`; an error names the file, the line and the column."""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from ...io.text_table import check_comment_is_no_header, read_table
from .number_cells import find_dressed_number, parse_number
from .raw_data import RawData, is_missing, list_names


def parse_column(
    cells: tuple[str, ...], name: str, path: Path, lines: list[int], *, decimal: str = ".", categorical: bool = False
) -> np.ndarray:
    """Return a column as numbers (float64) if at least half of its cells are numbers, else as words.

    Args:
        cells: the cells of the column.
        name: of the column, for messages.
        path: of the file, for messages.
        lines: the line of each cell, for messages.
        decimal: the sign before the fraction of a number.
        categorical: whether the cells are words, whatever they look like.

    Raises:
        ValueError: if a cell is missing, is no number among numbers, or is a number in another dress, such as 1,234.
    """

    def cell_error(row: int, expected: str, remedy: str = "correct the cell or leave the row out") -> ValueError:
        return ValueError(
            f"{path}, line {lines[row]}, column {name!r}: expected {expected}, got {cells[row]!r}; {remedy}"
        )

    for row, cell in enumerate(cells):
        if is_missing(cell):
            raise cell_error(row, "a value")
    if categorical:
        return np.array(cells)
    numbers = [parse_number(cell, decimal) for cell in cells]
    n_numbers = len(cells) - numbers.count(None)
    if 2 * n_numbers < len(cells):
        dressed = find_dressed_number(cells, n_numbers, decimal)
        if dressed is not None:
            remedy = (
                "write plain numbers, or load the file with decimal=',' if that is the decimal sign, or with "
                f"categorical=[{name!r}] if the cells are words (--decimal, --categorical of prewired train)"
            )
            raise cell_error(dressed, "numbers such as 1234.5, or words", remedy)
        return np.array(cells)
    if n_numbers < len(cells):
        raise cell_error(numbers.index(None), f"a number as in {n_numbers:,} of the {len(cells):,} rows")
    values = np.array(numbers, dtype=np.float64)
    if not np.isfinite(values).all():
        raise cell_error(int(np.argmin(np.isfinite(values))), "a finite number")
    return values


def parse_columns(
    header: list[str],
    rows: list[list[str]],
    path: Path,
    lines: list[int],
    *,
    decimal: str = ".",
    categorical: Collection[str] = (),
) -> dict[str, np.ndarray]:
    """Parse the columns of a table, by name: numbers where all cells are numbers, else texts."""
    by_name = zip(header, zip(*rows, strict=True), strict=True)
    return {
        name: parse_column(cells, name, path, lines, decimal=decimal, categorical=name in categorical)
        for name, cells in by_name
    }


def read_csv(path: Path, target: str | None, *, decimal: str = ".", categorical: Collection[str] = ()) -> RawData:
    """Read a text table with a header.

    Args:
        path: the file, in UTF-8 or UTF-16, with commas, semicolons or tabs; may be compressed with gzip.
        target: the column to predict.
        decimal: the sign before the fraction of a number, "." or ",".
        categorical: the columns whose cells are words, whatever they look like.
    """
    table = read_table(path)
    check_comment_is_no_header(table)
    header, rows, lines = table.rows[0], table.rows[1:], table.lines[1:]
    if not rows:
        raise ValueError(f"{path}: expected a header and rows of data, got no rows of data; check the file")
    if "" in header:
        raise ValueError(
            f"{path}: expected a name for every column, got none for column {header.index('') + 1}; "
            "name it or leave it out (in pandas: to_csv(index=False))"
        )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise ValueError(f"{path}: expected different column names, got {list_names(twice)} twice; rename one")
    if target not in header:
        raise ValueError(
            f"{path}: expected target= one of the columns {list_names(header)}, got {target!r}; "
            "name the column to predict (the first line must be the header)"
        )
    if len(header) < 2:
        raise ValueError(f"{path}: expected columns beside the target, got only {target!r}; add features")
    if strange := [name for name in categorical if name not in header]:
        raise ValueError(
            f"{path}: expected categorical= columns of {list_names(header)}, got {list_names(strange)}; correct them"
        )
    x = parse_columns(header, rows, path, lines, decimal=decimal, categorical=categorical)
    y = x.pop(target)
    position = header.index(target)
    texts = np.array([row[position] for row in rows])
    is_whole = y.dtype.kind == "f" and all(text.lstrip("+-").isdecimal() for text in texts)
    if is_whole and np.abs(y).max() < 2**53:
        y = y.astype(np.int64)
    return RawData(path.name, x, y, y_texts=texts)
