"""Data: a data set ready to train on."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

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


def number_features(kind: str, numbers: Iterable[int]) -> tuple[str, ...]:
    """Return the names of features that have none of their own, such as x0 and x1, or pixel0 and pixel1."""
    return tuple(f"{kind}{k}" for k in numbers)
