"""Data: a data set ready to train on."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch

Task = Literal["classification", "regression"]


@dataclass(frozen=True, eq=False)
class Data:
    """A data set ready to train on: split in three, standardised with the statistics of the training part.

    Attributes:
        name: of the data set, or of the file.
        task: "classification" or "regression".
        x_train, x_val, x_test: float32 (N, n_features).
        y_train, y_val, y_test: int64 (N,) class indices, or float32 (N, 1), standardised, for regression.
        classes: names of the classes; empty for regression.
        feature_names: one for each feature; features of arrays are called x0, x1, ... or pixel0, pixel1, ...
        note: a remark to print with every figure made from these data, or "".
        image_shape: (channels, height, width) of a row of x, or None.
    """

    name: str
    task: Task
    x_train: torch.Tensor = field(repr=False)
    y_train: torch.Tensor = field(repr=False)
    x_val: torch.Tensor = field(repr=False)
    y_val: torch.Tensor = field(repr=False)
    x_test: torch.Tensor = field(repr=False)
    y_test: torch.Tensor = field(repr=False)
    classes: tuple[str, ...] = ()
    feature_names: tuple[str, ...] = field(default=(), repr=False)
    note: str = ""
    image_shape: tuple[int, ...] | None = None

    @property
    def n_features(self) -> int:
        """Number of inputs of a network for this data."""
        return self.x_train.shape[1]

    @property
    def has_feature_names(self) -> bool:
        """Whether the features have names of their own, from the header of a table."""
        numbers = range(len(self.feature_names))
        return not any(self.feature_names == number_features(kind, numbers) for kind in ("x", "pixel"))

    @property
    def n_outputs(self) -> int:
        """Outputs a network needs: one for each class, or one for regression."""
        return len(self.classes) or 1


def check_part(data: Data, part: str) -> None:
    """Check the rows and targets of one part, which need not come from `load`.

    Args:
        data: the data set.
        part: "train", "val" or "test".

    Raises:
        ValueError: if rows are not finite numbers, or targets are not one per row and of the kind the task needs.

    Example:
        >>> check_part(Data("mine", "regression", *[torch.zeros(8, 1)] * 6), "train")
        >>> check_part(Data("mine", "regression", *[torch.zeros(8, 1), torch.zeros(8)] * 3), "val")
        Traceback (most recent call last):
        ...
        ValueError: mine: expected y_val as torch.float32 of shape (8, 1), got torch.float32 of shape (8,); convert it
    """
    if data.task not in get_args(Task):
        raise ValueError(
            f"{data.name}: expected a task among {', '.join(get_args(Task))}, got {data.task!r}; correct it"
        )
    x, y = getattr(data, f"x_{part}"), getattr(data, f"y_{part}")
    for name, values in (f"x_{part}", x), (f"y_{part}", y):
        if not isinstance(values, torch.Tensor) or values.ndim == 0 or not len(values):
            got = f"shape {tuple(values.shape)}" if isinstance(values, torch.Tensor) else type(values).__name__
            raise ValueError(f"{data.name}: expected {name} as a tensor of at least one row, got {got}; correct it")
    if not x.is_floating_point() or not all(extreme.isfinite() for extreme in x.aminmax()):
        raise ValueError(
            f"{data.name}: expected finite floats in x_{part}, got {x.dtype}"
            f"{' with NaN or infinity' if x.is_floating_point() else ''}; correct or leave out such rows"
        )
    is_classes = data.task == "classification"
    dtype, shape = (torch.int64, (len(x),)) if is_classes else (x.dtype, (len(x), data.n_outputs))
    if y.dtype != dtype or y.shape != shape:
        raise ValueError(
            f"{data.name}: expected y_{part} as {dtype} of shape {shape}, got {y.dtype} of shape {tuple(y.shape)}; "
            "convert it"
        )
    low, high = (float(extreme) for extreme in y.aminmax())
    if is_classes and not 0 <= low <= high < len(data.classes):
        raise ValueError(
            f"{data.name}: expected classes from 0 to {len(data.classes) - 1} in y_{part}, got {low:g} to {high:g}; "
            "number the classes as data.classes names them"
        )
    if not math.isfinite(low + high):
        raise ValueError(f"{data.name}: expected finite targets in y_{part}, got {low:g} to {high:g}; correct them")


def number_features(kind: str, numbers: Iterable[int]) -> tuple[str, ...]:
    """Return the names of features that have none of their own, such as x0 and x1, or pixel0 and pixel1."""
    return tuple(f"{kind}{k}" for k in numbers)
