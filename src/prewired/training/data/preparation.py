"""From raw rows to what a network trains on: split, turn categories into 0/1 features, standardise."""

import math

import numpy as np
import torch

from ...random_bits import RandomBits

MAX_CATEGORIES = 1000

Share = tuple[int, int]


def split(strata: np.ndarray, test: Share, val: Share, *, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Divide rows at random into train, val and test so that each stratum is divided alike.

    The rows are shuffled and grouped by stratum, then every 1/share-th of them is taken: the parts have
    exactly floor(share * n) rows, and within each stratum the count is off by less than one from its share.

    Args:
        strata: (n,) integers, the class of each row (all equal: not stratified).
        test: share of the rows for test as (numerator, denominator); (0, 1): none.
        val: share of the other rows for validation.
        seed: of the frozen random stream, label "data-split".

    Returns:
        Row numbers of train, val and test, each ascending; together every row once.

    Example:
        >>> train, val, test = split(np.array([0, 1] * 10), (1, 5), (1, 4), seed=0)
        >>> len(train), len(val), len(test)
        (12, 4, 4)
    """
    order = RandomBits(seed, "data-split").permutation(len(strata))
    order = order[np.argsort(strata[order], kind="stable")]
    taken = _every(len(order), test)
    rest = order[~taken]
    taken_val = _every(len(rest), val)
    return np.sort(rest[~taken_val]), np.sort(rest[taken_val]), np.sort(order[taken])


def _every(n: int, share: Share) -> np.ndarray:
    return np.diff(np.arange(n + 1) * share[0] // share[1]) > 0


def standardise(
    x: np.ndarray,
    parts: tuple[np.ndarray, ...],
    *,
    groups: int,
    numeric: np.ndarray,
    names: tuple[str, ...],
    where: str,
) -> list[torch.Tensor]:
    """Rows of x for each part, float32, with mean 0 and standard deviation 1 over the first part.

    Args:
        x: (n, n_features) of uint8 (pixels) or float64.
        parts: row numbers; the statistics are those of the first part alone.
        groups: number of equal slices of the features; the features of a slice share one mean and deviation.
        numeric: (n_features,) booleans; the other features stay as they are.
        names: (n_features,) names of the features.
        where: the file, for messages.

    Returns:
        One tensor (rows of the part, n_features) for each part; a feature that is constant in the first is 0.

    Raises:
        ValueError: a feature has too wide or too narrow a range for float32.
    """
    dtype = np.float32 if x.dtype == np.uint8 else np.float64
    mean, factor = np.zeros(x.shape[1], dtype), np.ones(x.shape[1], dtype)
    first = x[parts[0]]
    for features in np.split(np.arange(x.shape[1]), groups):
        if numeric[features[0]]:
            mean[features], factor[features] = _mean_and_factor(first[:, features[0] : features[-1] + 1])
    tensors = []
    for rows in parts:
        values = x[rows].astype(dtype)
        with np.errstate(all="ignore"):
            values -= mean
            values *= factor
            values = values.astype(np.float32, copy=False)
        if dtype == np.float64 and not np.isfinite(values).all():
            feature = int(np.argmax(~np.isfinite(values).all(axis=0)))
            raise ValueError(
                f"{where}, {names[feature]!r}: expected values that float32 can hold once standardised, got too "
                "wide or too narrow a range; rescale it or leave it out"
            )
        tensors.append(torch.from_numpy(values))
    return tensors


def _mean_and_factor(values: np.ndarray) -> tuple[float, float]:
    """Mean and 1/deviation; 0 instead if all values are equal; NaN if float64 cannot hold it."""
    if (values == values[0, 0]).all():
        return float(values[0, 0]), 0.0
    if values.dtype == np.uint8:  # in integers: exact, and much faster
        total = int(values.sum(dtype=np.int64))
        squares = int(np.square(values, dtype=np.uint16).sum(dtype=np.int64))
        return total / values.size, values.size / math.sqrt(values.size * squares - total**2)
    with np.errstate(all="ignore"):
        deviation = values.std()
        return float(values.mean()), float(1 / deviation) if np.isfinite(deviation) else math.nan


def one_hot(
    table: dict[str, np.ndarray], train: np.ndarray, where: str
) -> tuple[np.ndarray, tuple[str, ...], np.ndarray]:
    """Columns as one matrix: a number column stays, a column of words gives one 0/1 column per category.

    The categories are those of the training rows; a row with any other word has zeros in all of them.
    Returns the matrix (n, n_features), the feature names, and which features are numbers.
    """
    blocks, names, numeric = [], [], []
    for name, values in table.items():
        if values.dtype.kind == "f":
            blocks.append(values[:, None])
            names.append(name)
            numeric.append(True)
            continue
        categories = np.unique(values[train])
        if len(categories) > MAX_CATEGORIES:
            raise ValueError(
                f"{where}, column {name!r}: expected numbers or at most {MAX_CATEGORIES:,} categories, "
                f"got {len(categories):,} different words; leave the column out"
            )
        nearest = np.searchsorted(categories, values).clip(max=len(categories) - 1)
        block = np.zeros((len(values), len(categories)))
        block[np.arange(len(values)), nearest] = categories[nearest] == values
        blocks.append(block)
        names.extend(f"{name}={category}" for category in categories)
        numeric.extend([False] * len(categories))
    return np.concatenate(blocks, axis=1), tuple(names), np.array(numeric)
