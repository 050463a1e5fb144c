"""Prepare rows for training: split them, turn categories into 0/1 features, standardise."""

import math

import numpy as np
import torch

from ...random_bits import RandomBits

MAX_CATEGORIES = 1000

Share = tuple[int, int]


def split(strata: np.ndarray, test: Share, val: Share, *, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Divide rows at random into train, val and test, with the same shares in every stratum.

    The rows are shuffled and grouped by stratum. Then rows are taken at equal distances: a part has exactly
    floor(share * n) rows, and in each stratum its number of rows differs from the share by less than one.

    Args:
        strata: (n,) integers, the class of each row; all equal for a split without strata.
        test: share of the rows for test as (numerator, denominator); (0, 1) for no test rows.
        val: share of the other rows for validation.
        seed: of the frozen random stream, label "data-split".

    Returns:
        The ascending row numbers of train, val and test; every row is in exactly one of them.

    Example:
        >>> train, val, test = split(np.array([0, 1] * 10), (1, 5), (1, 4), seed=0)
        >>> len(train), len(val), len(test)
        (12, 4, 4)
    """
    order = RandomBits(seed, "data-split").permutation(len(strata))
    order = order[np.argsort(strata[order], kind="stable")]
    is_test = _pick_share(len(order), test)
    train_and_val = order[~is_test]
    is_val = _pick_share(len(train_and_val), val)
    return np.sort(train_and_val[~is_val]), np.sort(train_and_val[is_val]), np.sort(order[is_test])


def _pick_share(n: int, share: Share) -> np.ndarray:
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
    """Return the rows of each part in float32, with mean 0 and standard deviation 1 over the first part.

    Args:
        x: (n, n_features) of uint8 (pixels) or float64.
        parts: row numbers; mean and deviation are computed from the first part alone.
        groups: number of equal slices of the features; the features of a slice share one mean and deviation.
        numeric: (n_features,) booleans; features that are not numeric are not changed.
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
    """Return mean and 1/deviation; the latter is 0 if all values are equal, NaN if float64 cannot hold it."""
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
    """Build one matrix from columns: numbers are copied, words become one 0/1 column per category.

    The categories are those of the training rows; a row with another word has zeros in all its 0/1 columns.
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
