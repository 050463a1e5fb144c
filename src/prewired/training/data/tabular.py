"""A user's own CSV file, read into a `Raw`; every way such a file can be wrong gives one clear line."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, eq=False)
class Raw:
    """What a file holds, before it is split, encoded and standardised.

    Attributes:
        name: of the data set, or of the file.
        x: features: an array (n, n_features), or columns (n,) of numbers or words by name.
        y: (n,) targets: class indices if `classes` is given, else whatever the file holds.
        n_test: the last n_test rows are the given test set; 0: there is none.
        classes: the names of the classes where the publisher fixed them, else empty.
        image_shape: (channels, height, width), or None.
        groups: number of equal slices of the features that share one mean and sd; None: each feature its own.
        note: a remark to print with every figure made from these data, or "".
    """

    name: str
    x: np.ndarray | dict[str, np.ndarray]
    y: np.ndarray
    n_test: int = 0
    classes: tuple[str, ...] = ()
    image_shape: tuple[int, ...] | None = None
    groups: int | None = None
    note: str = ""


def listing(names) -> str:
    """At most twenty names in one line."""
    names = list(names)
    rest = f" and {len(names) - 20:,} more" if len(names) > 20 else ""
    return ", ".join(repr(str(name)) for name in names[:20]) + rest


def decode(content: bytes, path: Path) -> str:
    """Return the text of a UTF-8 file; raise a ValueError that names the line if the file is of another encoding."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}, line {line}: expected UTF-8 text, got the byte 0x{error.object[error.start]:02x}; "
            "save the file as UTF-8"
        ) from None


def parse(text: str, path: Path, header: list[str] | None = None) -> tuple[list[str], list[list[str]], list[int]]:
    """Column names, rows of stripped cells, and the line each row ends on; blank lines are skipped."""
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


def is_missing(cell: str) -> bool:
    """Return whether a cell is empty or says "nan"."""
    return cell == "" or cell.lower() == "nan"


def number(cell: str) -> float | None:
    """The number a cell holds, or None. Python's digit grouping (1_000) is no number in a data file."""
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def column(cells: tuple[str, ...], name: str, path: Path, lines: list[int]) -> np.ndarray:
    """One column as numbers (float64) if at least half of its cells are numbers, else as words."""

    def wrong(row: int, expected: str) -> ValueError:
        return ValueError(
            f"{path}, line {lines[row]}, column {name!r}: expected {expected}, got {cells[row]!r}; "
            "correct the cell or leave the row out"
        )

    for row, cell in enumerate(cells):
        if is_missing(cell):
            raise wrong(row, "a value")
    numbers = [number(cell) for cell in cells]
    n_numbers = len(cells) - numbers.count(None)
    if 2 * n_numbers < len(cells):
        return np.array(cells)
    if n_numbers < len(cells):
        raise wrong(numbers.index(None), f"a number as in {n_numbers:,} of the {len(cells):,} rows")
    values = np.array(numbers, dtype=np.float64)
    if not np.isfinite(values).all():
        raise wrong(int(np.argmin(np.isfinite(values))), "a finite number")
    return values


def columns(header: list[str], rows: list[list[str]], path: Path, lines: list[int]) -> dict[str, np.ndarray]:
    """Return each column of a table by its name, as numbers where its cells are numbers."""
    by_name = zip(header, zip(*rows, strict=True), strict=True)
    return {name: column(cells, name, path, lines) for name, cells in by_name}


def read_csv(path: Path, target: str | None) -> Raw:
    """A CSV file: UTF-8, commas, a header, one column of it the target."""
    header, rows, lines = parse(decode(path.read_bytes(), path), path)
    if "" in header:
        raise ValueError(
            f"{path}: expected a name for every column, got none for column {header.index('') + 1}; "
            "name it or leave it out (in pandas: to_csv(index=False))"
        )
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise ValueError(f"{path}: expected different column names, got {listing(twice)} twice; rename one")
    if target not in header:
        raise ValueError(
            f"{path}: expected target= one of the columns {listing(header)}, got {target!r}; "
            "name the column to predict (the first line must be the header)"
        )
    if len(header) < 2:
        raise ValueError(f"{path}: expected columns beside the target, got only {target!r}; add features")
    x = columns(header, rows, path, lines)
    y = x.pop(target)
    position = header.index(target)
    whole = all(row[position].lstrip("+-").isdecimal() for row in rows)
    if whole and np.abs(y).max() < 2**53:
        y = y.astype(np.int64)
    return Raw(path.name, x, y)
