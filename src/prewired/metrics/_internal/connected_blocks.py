"""The connected parts of a chain of matrices: the spectrum is found part by part."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

from .operators import components


class Block(NamedTuple):
    """A connected part of a chain: its matrices, inputs first; a guess of the vector of sigma1; sigma1's bound."""

    matrices: list[Any]
    guess: np.ndarray
    bound: float


def connected_blocks(matrices: Sequence[Any], guess: np.ndarray | None) -> Iterator[Block]:
    """The connected parts that join inputs to outputs, largest bound of sigma1 first.

    The bound is the product of sqrt(max row sum * max column sum) over the matrices. Units on no way from an input to
    an output are in no part, where that parts the rest; elsewhere they stay and change nothing.
    """
    alive = _alive(matrices)
    count, labels = _components(matrices, alive)
    parts = list(np.unique(labels[0][alive[0]])) if count > 1 else [0] * bool(alive[0].any())
    bounds = np.ones(count)
    for k, m in enumerate(matrices):
        by_row, by_column = np.zeros(count), np.zeros(count)
        np.maximum.at(by_row, labels[k + 1], m.sum(axis=1))
        np.maximum.at(by_column, labels[k], m.sum(axis=0))
        bounds *= np.sqrt(by_row) * np.sqrt(by_column)
    start = alive[0].astype(float) if guess is None else np.where(alive[0], guess, 0.0)
    if len(parts) == 1:
        yield Block(list(matrices), start, float(bounds[parts[0]]))
        return
    members = [np.argsort(label, kind="stable") for label in labels]
    first = [np.append(0, np.cumsum(np.bincount(label, minlength=count))) for label in labels]
    for k in sorted(parts, key=lambda k: -bounds[k]):
        units = [order[begin[k] : begin[k + 1]] for order, begin in zip(members, first, strict=True)]
        cut = [m[units[layer + 1]][:, units[layer]] for layer, m in enumerate(matrices)]
        yield Block(cut, start[units[0]], float(bounds[k]))


def _alive(matrices: Sequence[Any]) -> list[np.ndarray]:
    """For every layer of units which are on a way from an input to an output."""
    reached = [np.ones(matrices[0].shape[1], bool)]
    for m in matrices:
        reached.append(m @ reached[-1].astype(float) > 0)
    reaching = [np.ones(matrices[-1].shape[0], bool)]
    for m in reversed(matrices):
        reaching.append(m.T @ reaching[-1].astype(float) > 0)
    return [a & b for a, b in zip(reached, reversed(reaching), strict=True)]


def _components(matrices: Sequence[Any], alive: Sequence[np.ndarray]) -> tuple[int, list[np.ndarray]]:
    """Their number, and for every layer of units the component of each, by the edges whose two ends are alive."""
    if len(matrices) == 1:
        count, *labels = components(matrices[0].indptr, matrices[0].indices, matrices[0].shape[1])
        return count, labels
    starts = np.append(0, np.cumsum([len(units) for units in alive]))
    sides: list[list[np.ndarray]] = [[], []]
    for k, m in enumerate(matrices):
        rows = np.repeat(np.arange(m.shape[0]), np.diff(m.indptr))
        kept = alive[k][m.indices] & alive[k + 1][rows]
        sides[0].append(rows[kept] + starts[k + 1])
        sides[1].append(m.indices[kept] + starts[k])
    rows, columns = (np.concatenate(side) for side in sides)
    graph = scipy.sparse.coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(starts[-1], starts[-1]))
    count, labels = scipy.sparse.csgraph.connected_components(graph, directed=False)
    return int(count), [labels[a:b] for a, b in pairwise(starts)]


def largest_dense_cells(matrices: Sequence[Any]) -> int:
    """Entries of the largest dense matrix on the way to the product."""
    return matrices[0].shape[1] * max(m.shape[0] for m in matrices)
