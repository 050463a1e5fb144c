"""Data sets, published or a user's own, split once and for all and standardised: `load(name) -> Data`."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch

from .arrays import read_npz
from .preparation import one_hot, split, standardise
from .published import DATASETS
from .tabular import Raw, listing, read_csv

Task = Literal["classification", "regression"]

MAX_CLASSES = 20
MIN_ROWS = 10
MIN_ROWS_PER_CLASS = 3


@dataclass(frozen=True, eq=False)
class Data:
    """A data set ready to train on: split in three, standardised with the statistics of the training part.

    Attributes:
        name: of the data set, or of the file.
        task: "classification" or "regression".
        x_train, x_val, x_test: float32 (N, n_features).
        y_train, y_val, y_test: int64 (N,) class indices, or float32 (N, 1), standardised, for regression.
        classes: names of the classes; empty for regression.
        feature_names: one for each feature.
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
        """Number of features of a row."""
        return self.x_train.shape[1]

    @property
    def n_outputs(self) -> int:
        """Outputs a network needs: one for each class, or one for regression."""
        return len(self.classes) or 1


def load(
    name: str | os.PathLike,
    *,
    root: str | os.PathLike | None = None,
    target: str | None = None,
    task: str | None = None,
    seed: int = 0,
) -> Data:
    """Load a data set by name, or a user's own file by path, ready to train on.

    Names: digits, mnist, fashion_mnist, cifar10, adult. Files: `.npz` with x (rows, features) or (rows, ...) and
    y (rows,), maybe also x_test and y_test (other arrays are ignored); `.csv` with a header, UTF-8, commas.

    Columns: a CSV column is numeric if at least half of its cells are numbers, else each of its words in the
    training part becomes a 0/1 feature (other words: zeros in all of them).

    Task, unless given: classification if the target is words, booleans or integers with at most 20 different values;
    regression if it is fractions or many floats. More than 20 different integers, or at most 20 different whole
    numbers stored as floats, could be either: an error that asks for `task`.

    Split, stratified by class: 60/20/20 train/val/test; where a test set is given, it stays the test set and
    20 % (published sets: 10 %) of the other rows are for validation. Only `seed` and the rows decide it.

    Standardised to mean 0 and standard deviation 1 over the training part: per numeric feature; all pixels of
    an image share one mean and deviation (with several channels, as in cifar10: per channel). A feature that
    is constant in training becomes 0 everywhere; 0/1 features of categories stay 0/1.

    Args:
        name: a known name, or the path of an `.npz` or `.csv` file.
        root: folder that holds the published sets' folders (mnist, fashion-mnist, cifar10, adult). Default:
            the environment variable PREWIRED_DATA, else they are fetched once into the per-user cache.
        target: name of the column to predict; required for `.csv`, meaningless elsewhere.
        task: "classification" or "regression", where the target leaves it open.
        seed: decides the split.

    Returns:
        Data, with float32 features of shape (N, n_features).

    Raises:
        ValueError: unknown name, or a file that is not as it should be (which file, column and line).
        FileNotFoundError: no such file, or a file is missing in the data root.
        ConnectionError: a data set could not be fetched.
        ImportError: the extra `prewired[study]` is needed and missing.

    Example:
        >>> data = load("digits")
        >>> data.x_train.shape, data.n_outputs, data.image_shape
        (torch.Size([1079, 64]), 10, (1, 8, 8))
    """
    raw = _read(name, root, target)
    where = str(name)
    y, classes = _targets(raw, where, task)
    n_own = len(y) - raw.n_test
    if raw.n_test:
        test_share, val_share = (0, 1), (1, 10) if where in DATASETS else (1, 5)
    else:
        test_share, val_share = (1, 5), (1, 4)
    strata = y[:n_own] if classes else np.zeros(n_own, dtype=np.int64)
    _check_size(strata, classes, where)
    train, val, test = split(strata, test_share, val_share, seed=seed)
    parts = (train, val, test if len(test) else np.arange(n_own, len(y)))
    if not classes and np.ptp(y[train]) == 0:
        raise ValueError(
            f"{where}: expected different targets in the training part, got only {y[train[0]]}; add other rows"
        )
    if isinstance(raw.x, dict):
        x, names, numeric = one_hot(raw.x, train, where)
    else:
        x, numeric = raw.x, np.ones(raw.x.shape[1], dtype=bool)
        names = tuple(f"{'pixel' if raw.image_shape else 'x'}{i}" for i in range(x.shape[1]))
    groups = raw.groups or x.shape[1]
    xs = standardise(x, parts, groups=groups, numeric=numeric, names=names, where=where)
    if classes:
        ys = [torch.from_numpy(y[rows]) for rows in parts]
    else:
        ys = standardise(y[:, None], parts, groups=1, numeric=np.array([True]), names=("y",), where=where)
    x_train, x_val, x_test = xs
    y_train, y_val, y_test = ys
    return Data(
        raw.name,
        "classification" if classes else "regression",
        *(x_train, y_train, x_val, y_val, x_test, y_test),
        classes,
        names,
        raw.note,
        raw.image_shape,
    )


def _read(name: str | os.PathLike, root: str | os.PathLike | None, target: str | None) -> Raw:
    suffix = Path(name).suffix.lower()
    if str(name) not in DATASETS and suffix not in (".npz", ".csv"):
        raise ValueError(
            f"expected one of the data sets {', '.join(DATASETS)}, or the path of an .npz or .csv file, "
            f"got {str(name)!r}; correct the name or convert the file"
        )
    if target is not None and suffix != ".csv":
        raise ValueError(f"expected target= only with a .csv file, got target={target!r} with {name}; leave it out")
    if str(name) in DATASETS:
        return DATASETS[str(name)](root)
    path = Path(name)
    if not path.is_file():
        raise FileNotFoundError(f"expected a file at {path}, got none there; correct the path")
    return read_csv(path, target) if suffix == ".csv" else read_npz(path)


def _targets(raw: Raw, where: str, task: str | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class indices and the names of the classes, or numbers and no names for regression."""
    if task not in (None, *get_args(Task)):
        raise ValueError(f"expected task= one of {', '.join(get_args(Task))}, got {task!r}; correct it")
    own = raw.y[: len(raw.y) - raw.n_test]
    values = np.unique(own)
    numbers = raw.y.dtype.kind in "fiu" and not raw.classes
    whole = not numbers or bool((values == np.floor(values)).all())
    if not numbers and task == "regression":
        raise ValueError(f"{where}: expected task=classification for its classes, got task=regression; leave it out")
    if not whole and task == "classification":
        raise ValueError(f"{where}: expected integers or words as classes, got fractions; leave task= out")
    if raw.classes:
        return raw.y.astype(np.int64), raw.classes
    if len(values) < 2:
        raise ValueError(f"{where}: expected at least two different targets, got only {listing(values)}; add others")
    if task is None and numbers and whole and (raw.y.dtype.kind == "f") == (len(values) <= MAX_CLASSES):
        raise ValueError(
            f"{where}: expected targets that show the task, got {len(values):,} different "
            f"{'floats' if raw.y.dtype.kind == 'f' else 'integers'} ({listing(values)}); "
            "say which it is with task=classification or task=regression (--task on the command line)"
        )
    if numbers and (task == "regression" or (task is None and raw.y.dtype.kind == "f")):
        return raw.y.astype(np.float64), ()
    unseen = np.setdiff1d(raw.y, values)
    if len(unseen):
        raise ValueError(
            f"{where}: expected in the test targets only the classes of training, {listing(values)}, "
            f"got also {listing(unseen)}; correct or leave out those rows"
        )
    return np.searchsorted(values, raw.y), tuple(str(value) for value in values)


def _check_size(strata: np.ndarray, classes: tuple[str, ...], where: str) -> None:
    if len(strata) < MIN_ROWS:
        raise ValueError(f"{where}: expected at least {MIN_ROWS} rows to split, got {len(strata)}; add rows")
    labels, counts = np.unique(strata, return_counts=True)
    if classes and counts.min() < MIN_ROWS_PER_CLASS:
        rare = [classes[label] for label in labels[counts < MIN_ROWS_PER_CLASS]]
        raise ValueError(
            f"{where}: expected at least {MIN_ROWS_PER_CLASS} rows of each class to split, got fewer of "
            f"{listing(rare)}; add rows, or merge or leave out such classes"
        )
