"""RawData: the content of a data file; and what the readers of such files share."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class RawData:
    """The content of a file, before it is split, encoded and standardised.

    Attributes:
        name: of the data set, or of the file.
        x: features: an array (n, n_features), or columns (n,), of numbers or words, by name.
        y: (n,) targets: class indices if `classes` is given, else the values in the file.
        n_test: the last n_test rows are the test set of the file; 0 if the file has no test set.
        classes: names of the classes if the publisher fixed them, else empty.
        image_shape: (channels, height, width), or None.
        groups: number of equal slices of the features that share one mean and sd; None if each feature has its own.
        y_texts: (n,) the targets as written in the file, or None if the file has no texts.
        note: a remark to print with every figure made from these data, or "".
    """

    name: str
    x: np.ndarray | dict[str, np.ndarray]
    y: np.ndarray
    n_test: int = 0
    classes: tuple[str, ...] = ()
    image_shape: tuple[int, ...] | None = None
    groups: int | None = None
    y_texts: np.ndarray | None = None
    note: str = ""


def list_names(names) -> str:
    """At most twenty names in one line."""
    names = list(names)
    suffix = f" and {len(names) - 20:,} more" if len(names) > 20 else ""
    return ", ".join(repr(str(name)) for name in names[:20]) + suffix


def is_missing(cell: str) -> bool:
    """Whether a cell of a table is empty or says nan."""
    return cell == "" or cell.lower() == "nan"
