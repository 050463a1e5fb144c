"""Ranges of integers and chunks of bounded cost, for work that must not need memory for everything at once."""

from itertools import pairwise

import numpy as np


def concatenate_ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The integers starts[k], ..., starts[k] + lengths[k] - 1 for every k, one range after the other.

    Example:
        >>> concatenate_ranges(np.array([5, 0]), np.array([2, 3]))
        array([5, 6, 0, 1, 2])
    """
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))


def split_by_cost(costs: np.ndarray, limit: int) -> list[tuple[int, int]]:
    """Cut 0..len(costs) into intervals (start, stop) that cost at most `limit` or contain a single element.

    Example:
        >>> split_by_cost(np.array([2, 2, 9, 1]), 4)
        [(0, 2), (2, 3), (3, 4)]
    """
    total = np.append(0, np.cumsum(costs))
    cuts = [0]
    while cuts[-1] < len(costs):
        stop = int(np.searchsorted(total, total[cuts[-1]] + limit, side="right")) - 1
        cuts.append(max(stop, cuts[-1] + 1))
    return list(pairwise(cuts))
