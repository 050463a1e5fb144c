"""A table of texts, whatever it is shown on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A titled table of texts whose first column names its lines.

    Args:
        title: of the whole table.
        header: a name for each column; a newline in a name breaks the line where there is room for two.
        lines: a text for each column.
        notes: sentences below the table.
        breaks: numbers of the lines after which a terminal shows a gap.

    Raises:
        ValueError: for a line that is not as long as the header.

    Example:
        >>> Table("Scores", ("family", "accuracy"), (("biregular", "89.2 %"),)).notes
        ()
    """

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    breaks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for line in self.lines:
            if len(line) != len(self.header):
                raise ValueError(f"expected {len(self.header)} cells as in the header, got {len(line)}: {line}")
