"""Read a user's CSV file into `RawData`; an error names the file, the line and the column."""

import csv
import io
from pathlib import Path

import numpy as np

from .raw_data import RawData, is_missing, list_names


def decode_utf8(content: bytes, path: Path) -> str:
    """Decode the content of a file as UTF-8, with or without a byte order mark; raise ValueError otherwise."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}, line {line}: expected UTF-8 text, got the byte 0x{error.object[error.start]:02x}; "
            "save the file as UTF-8"
        ) from None


def parse_csv(text: str, path: Path, header: list[str] | None = None) -> tuple[list[str], list[list[str]], list[int]]:
    """Return the column names, the rows of stripped cells, and the line on which each row ends; skips blank lines."""
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        for cells in reader:
            row = [cell.strip() for cell in cells]
            if not any(row) and len(row) < 2:
                continue
            if header is None:
                header = row
            elif len(row) != len(header):
                raise ValueError(
                    f"{path}, line {reader.line_num}: expected {len(header)} cells as in the header, "
                    f"got {len(row)}; correct the line"
                )
            else:
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {reader.line_num}: expected comma-separated cells, got {error}; correct the line"
        ) from None
    if not rows:
        raise ValueError(f"{path}: expected a header and rows of data, got no rows of data; check the file")
    assert header is not None
    return header, rows, lines


def parse_number(cell: str) -> float | None:
    """Return the number in a cell, or None; 1_000, which Python reads as a number, is no number in a data file."""
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def parse_column(cells: tuple[str, ...], name: str, path: Path, lines: list[int]) -> np.ndarray:
    """Return a column as numbers (float64) if at least half of its cells are numbers, else as words."""

    def cell_error(row: int, expected: str) -> ValueError:
        return ValueError(
            f"{path}, line {lines[row]}, column {name!r}: expected {expected}, got {cells[row]!r}; "
            "correct the cell or leave the row out"
        )

    for row, cell in enumerate(cells):
        if is_missing(cell):
            raise cell_error(row, "a value")
    numbers = [parse_number(cell) for cell in cells]
    n_numbers = len(cells) - numbers.count(None)
    if 2 * n_numbers < len(cells):
        return np.array(cells)
    if n_numbers < len(cells):
        raise cell_error(numbers.index(None), f"a number as in {n_numbers:,} of the {len(cells):,} rows")
    values = np.array(numbers, dtype=np.float64)
    if not np.isfinite(values).all():
        raise cell_error(int(np.argmin(np.isfinite(values))), "a finite number")
    return values


def parse_columns(header: list[str], rows: list[list[str]], path: Path, lines: list[int]) -> dict[str, np.ndarray]:
    """Parse the columns of a table, by name: numbers where all cells are numbers, else texts."""
    by_name = zip(header, zip(*rows, strict=True), strict=True)
    return {name: parse_column(cells, name, path, lines) for name, cells in by_name}


def read_csv(path: Path, target: str | None) -> RawData:
    """Read a CSV file in UTF-8 with commas and a header; `target` names the column to predict."""
    header, rows, lines = parse_csv(decode_utf8(path.read_bytes(), path), path)
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
    x = parse_columns(header, rows, path, lines)
    y = x.pop(target)
    position = header.index(target)
    is_whole = all(row[position].lstrip("+-").isdecimal() for row in rows)
    if is_whole and np.abs(y).max() < 2**53:
        y = y.astype(np.int64)
    return RawData(path.name, x, y)
