"""Load a data set, published or a user's own: read, split and standardise it."""

import os
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from .csv_file import read_csv
from .data_set import Data, Task, number_features
from .npz_file import read_npz
from .preparation import one_hot, split, standardise
from .published_sets import DATASETS
from .raw_data import RawData, list_names

TABLE_SUFFIXES = (".csv", ".tsv", ".txt")
MAX_CLASSES = 20
MIN_ROWS = 10
MIN_ROWS_PER_CLASS = 3


def load(
    name: str | os.PathLike,
    *,
    root: str | os.PathLike | None = None,
    target: str | None = None,
    task: str | None = None,
    decimal: str = ".",
    categorical: Collection[str] = (),
    seed: int = 0,
) -> Data:
    """Load a data set by name, or a user's own file by path, ready to train on.

    Names: digits, mnist, fashion_mnist, cifar10, adult. Files: `.npz` with x (rows, features) or (rows, ...) and
    y (rows,), optionally x_test and y_test (other arrays are ignored); tables in text, `.csv`, `.tsv` or `.txt`, with
    a header, cells between commas, semicolons or tabs, also compressed with gzip (`.csv.gz`).

    Columns: a column of a table is numeric if at least half of its cells are numbers. In any other column, each word
    of the training part becomes a 0/1 feature; a row with another word has zeros in all of them. A column of numbers
    in another dress (1,234 or 5 % or 2024-01-31) is refused, so that they are not taken for words.

    Task, if not given: classification if the target has words, booleans or at most 20 different integers; regression
    if the target has fractions, or more than 20 different floats. With more than 20 different integers, or at most 20
    different whole numbers stored as floats, an error asks for `task`.

    Split, stratified by class: 60/20/20 train/val/test. If the data come with a test set, that is the test set, and
    20 % (published sets: 10 %) of the other rows are for validation. The split depends on `seed` and the rows alone.

    Standardisation: each numeric feature has mean 0 and standard deviation 1 over the training part. All pixels of an
    image share one mean and deviation, in images of several channels one per channel. A feature that is constant in
    the training part becomes 0 everywhere. 0/1 features of categories stay 0/1.

    Args:
        name: a name from above, or the path of an `.npz` file or of a table.
        root: folder that holds the folders of the published sets (mnist, fashion-mnist, cifar10, adult). Default:
            the environment variable PREWIRED_DATA, else the sets are fetched once into the per-user cache.
        target: name of the column to predict; for tables only, and required there.
        task: "classification" or "regression", if the target does not determine it.
        decimal: the sign before the fraction of a number in a table, "." or ",".
        categorical: columns of a table whose cells are words even if they look like numbers, such as codes.
        seed: determines the split.

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
    raw = _read_raw_data(name, root, target, decimal, categorical)
    where = str(name)
    y, classes = _encode_targets(raw, where, task)
    n_own = len(y) - raw.n_test
    if raw.n_test:
        test_share, val_share = (0, 1), (1, 10) if where in DATASETS else (1, 5)
    else:
        test_share, val_share = (1, 5), (1, 4)
    strata = y[:n_own] if classes else np.zeros(n_own, dtype=np.int64)
    _check_size(strata, classes, where)
    train, val, test = split(strata, test_share, val_share, seed=seed)
    parts = (train, val, test if len(test) else np.arange(n_own, len(y)))
    for part, rows in zip(("training", "validation", "test"), () if classes else parts, strict=False):
        if np.ptp(y[rows]) == 0:  # R^2 would divide by their variance
            raise ValueError(
                f"{where}: expected different targets in the {part} part, got only {y[rows[0]]}; add other rows"
            )
    if isinstance(raw.x, dict):
        x, names, numeric = one_hot(raw.x, train, where)
    else:
        x, numeric = raw.x, np.ones(raw.x.shape[1], dtype=bool)
        names = number_features("pixel" if raw.image_shape else "x", range(x.shape[1]))
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


def _read_raw_data(
    name: str | os.PathLike,
    root: str | os.PathLike | None,
    target: str | None,
    decimal: str,
    categorical: Collection[str],
) -> RawData:
    if not isinstance(name, str | os.PathLike):
        raise TypeError(
            f"expected the name of a data set or the path of a file, got {type(name).__name__}; write arrays with "
            "numpy.savez('mine.npz', x=x, y=y), or a frame with frame.to_csv('mine.csv', index=False)"
        )
    path = Path(name)
    suffix = path.with_suffix("").suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
    is_table = suffix in TABLE_SUFFIXES
    if str(name) not in DATASETS and not is_table and path.suffix.lower() != ".npz":
        raise ValueError(
            f"expected one of the data sets {', '.join(DATASETS)}, or the path of an .npz file or of a table "
            f"({', '.join(TABLE_SUFFIXES)}, also .gz), got {str(name)!r}; {_suggest_remedy(str(name))}"
        )
    if not is_table and (target is not None or decimal != "." or categorical):
        options = {"target": target, "decimal": None if decimal == "." else decimal, "categorical": categorical}
        wrong = ", ".join(f"{option}={value!r}" for option, value in options.items() if value)
        raise ValueError(f"expected {wrong} only with a table such as a .csv file, got {name}; leave it out")
    if str(name) in DATASETS:
        return DATASETS[str(name)](root)
    if not path.is_file():
        raise FileNotFoundError(f"expected a file at {path}, got none there; correct the path")
    if not is_table:
        return read_npz(path)
    if decimal not in (".", ","):
        raise ValueError(f"expected decimal= '.' or ',', got {decimal!r}")
    if isinstance(categorical, str):
        raise ValueError(f"expected categorical= as a list of columns, got the text {categorical!r}; write a list")
    return read_csv(path, target, decimal=decimal, categorical=categorical)


def _suggest_remedy(name: str) -> str:
    close = get_close_matches(name, DATASETS, 1)
    return f"did you mean {close[0]!r}?" if close else "correct the name or convert the file"


def _encode_targets(raw: RawData, where: str, task: str | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return class indices and the names of the classes; for regression, numbers and no names."""
    if task not in (None, *get_args(Task)):
        raise ValueError(f"expected task= one of {', '.join(get_args(Task))}, got {task!r}; correct it")
    own = raw.y[: len(raw.y) - raw.n_test]
    values = np.unique(own)
    numbers = raw.y.dtype.kind in "fiu" and not raw.classes
    is_whole = not numbers or bool((values == np.floor(values)).all())
    if not numbers and task == "regression":
        raise ValueError(f"{where}: expected task=classification for its classes, got task=regression; leave it out")
    if not is_whole and task == "classification":
        raise ValueError(f"{where}: expected integers or words as classes, got fractions; leave task= out")
    if raw.classes:
        return raw.y.astype(np.int64), raw.classes
    if len(values) < 2:
        raise ValueError(f"{where}: expected at least two different targets, got only {list_names(values)}; add others")
    if task is None and numbers and is_whole and (raw.y.dtype.kind == "f") == (len(values) <= MAX_CLASSES):
        raise ValueError(
            f"{where}: expected targets that show the task, got {len(values):,} different "
            f"{'floats' if raw.y.dtype.kind == 'f' else 'integers'} ({list_names(values)}); "
            "say which it is with task=classification or task=regression (--task on the command line)"
        )
    if numbers and (task == "regression" or (task is None and raw.y.dtype.kind == "f")):
        return raw.y.astype(np.float64), ()
    unseen = np.setdiff1d(raw.y, values)
    if len(unseen):
        raise ValueError(
            f"{where}: expected in the test targets only the classes of training, {list_names(values)}, "
            f"got also {list_names(unseen)}; correct or leave out those rows"
        )
    return np.searchsorted(values, raw.y), _name_classes(raw, values, where)


def _name_classes(raw: RawData, values: np.ndarray, where: str) -> tuple[str, ...]:
    """Return the name of each class, as written in the file; raises ValueError if a class is written in two ways."""
    if raw.y_texts is None:
        return tuple(str(value) for value in values)
    names = []
    for value in values:
        texts = np.unique(raw.y_texts[raw.y == value])
        if len(texts) > 1:
            raise ValueError(
                f"{where}: expected one way to write each class, got {list_names(texts)} for one number; write them "
                "alike, or make the column one of words with categorical= (--categorical)"
            )
        names.append(str(texts[0]))
    return tuple(names)


def _check_size(strata: np.ndarray, classes: tuple[str, ...], where: str) -> None:
    if len(strata) < MIN_ROWS:
        raise ValueError(f"{where}: expected at least {MIN_ROWS} rows to split, got {len(strata)}; add rows")
    labels, counts = np.unique(strata, return_counts=True)
    if classes and counts.min() < MIN_ROWS_PER_CLASS:
        rare = [classes[label] for label in labels[counts < MIN_ROWS_PER_CLASS]]
        raise ValueError(
            f"{where}: expected at least {MIN_ROWS_PER_CLASS} rows of each class to split, got fewer of "
            f"{list_names(rare)}; add rows, or merge or leave out such classes"
        )
