"""The connected blocks of a chain of matrices.

The singular values of a block diagonal matrix are those of its blocks, so the spectrum is computed block by block.
Inside a connected block sigma1 is simple and its singular vectors are positive (Perron and Frobenius).
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

from .operators import label_components

_LOOSE = 10.0  # replace a bound that is this many times as large as a better one


class Block(NamedTuple):
    """A connected block of a chain of matrices.

    Attributes:
        matrices: CSR arrays, the layer that reads the inputs first.
        guess: (inputs of the block,), an approximate right singular vector of sigma1.
        bound: an upper bound of sigma1 of the product of the matrices.
    """

    matrices: list[Any]
    guess: np.ndarray
    bound: float


def split_into_blocks(matrices: Sequence[Any], guess: np.ndarray | None) -> Iterator[Block]:
    """Yield the connected blocks that join inputs to outputs, the largest bound of sigma1 first.

    Units on no path from an input to an output belong to no block. If the whole chain is a single block, such units
    stay in its matrices, where they change no singular value.

    Args:
        matrices: CSR arrays (n_out, n_in) with entries >= 0, the layer that reads the inputs first.
        guess: (n_in,), an approximate right singular vector of sigma1 on each block; equal entries if None.
    """
    live = _find_live_units(matrices)
    count, labels = _label_chain(matrices, live)
    numbers = list(np.unique(labels[0][live[0]])) if count > 1 else [0] * bool(live[0].any())
    # ||M||_2 <= sqrt(||M||_1 ||M||_inf), the square root of the largest column sum times the largest row sum. Norms
    # are submultiplicative, so the product over the layers bounds sigma1 of the chain.
    bounds, rounding = np.ones(count), 1.0
    for k, m in enumerate(matrices):
        by_row, by_column = np.zeros(count), np.zeros(count)
        np.maximum.at(by_row, labels[k + 1], m.sum(axis=1))
        np.maximum.at(by_column, labels[k], m.sum(axis=0))
        # A sum of k numbers >= 0 has a relative error of at most k eps; a bound that is rounded down would be none.
        longest = max(int(np.diff(m.indptr).max(initial=0)), int(np.bincount(m.indices, minlength=1).max()))
        with np.errstate(over="ignore"):
            bounds *= np.sqrt(by_row) * np.sqrt(by_column) * (1 + (longest + 4) * np.finfo(float).eps)
        rounding *= 1 + (longest + 4) * np.finfo(float).eps
    if len(matrices) > 1:
        tighter = _bound_by_paths(matrices, labels, count) * rounding
        bounds = np.where(bounds > _LOOSE * tighter, tighter, bounds)
    start = live[0].astype(float) if guess is None else np.where(live[0], guess, 0.0)
    if len(numbers) == 1:
        yield Block(list(matrices), start, float(bounds[numbers[0]]))
        return
    # One stable sort of the labels lists the units of all blocks, so cutting out many blocks costs O(edges) in all.
    members = [np.argsort(label, kind="stable") for label in labels]
    first = [np.append(0, np.cumsum(np.bincount(label, minlength=count))) for label in labels]
    # The largest bound comes first: the caller stops as soon as no later block can hold sigma1 or sigma2.
    for k in sorted(numbers, key=lambda k: -bounds[k]):
        units = [order[begin[k] : begin[k + 1]] for order, begin in zip(members, first, strict=True)]
        cut = [m[units[layer + 1]][:, units[layer]] for layer, m in enumerate(matrices)]
        yield Block(cut, start[units[0]], float(bounds[k]))


def _bound_by_paths(matrices: Sequence[Any], labels: Sequence[np.ndarray], count: int) -> np.ndarray:
    """Upper bounds of sigma1 of each block, from the norms of the product itself.

    Its row and column sums are the product times ones. In a chain of uneven layers they are far smaller than the
    product of the layers' norms, which may exceed sigma1^2 by more than 1 / eps: the iteration takes such a bound for
    the scale of the matrix, and everything else for noise.
    """
    rows, columns = np.ones(matrices[0].shape[1]), np.ones(matrices[-1].shape[0])
    for m in matrices:
        rows = m @ rows
    for m in reversed(matrices):
        columns = m.T @ columns
    by_row, by_column = np.zeros(count), np.zeros(count)
    np.maximum.at(by_row, labels[-1], rows)
    np.maximum.at(by_column, labels[0], columns)
    return np.sqrt(by_row) * np.sqrt(by_column)


def count_dense_cells(matrices: Sequence[Any]) -> int:
    """Number of entries of the largest dense matrix that forming the product from the inputs on needs."""
    return matrices[0].shape[1] * max(m.shape[0] for m in matrices)


def _find_live_units(matrices: Sequence[Any]) -> list[np.ndarray]:
    """For every layer of units a boolean array: which units are on a path from an input to an output."""
    from_inputs = [np.ones(matrices[0].shape[1], bool)]
    for m in matrices:
        from_inputs.append(m @ from_inputs[-1].astype(float) > 0)
    to_outputs = [np.ones(matrices[-1].shape[0], bool)]
    for m in reversed(matrices):
        to_outputs.append(m.T @ to_outputs[-1].astype(float) > 0)
    return [a & b for a, b in zip(from_inputs, reversed(to_outputs), strict=True)]


def _label_chain(matrices: Sequence[Any], live: Sequence[np.ndarray]) -> tuple[int, list[np.ndarray]]:
    """The number of components and, for every layer of units, the component of each unit.

    In a chain of several matrices only edges between two live units connect: an edge to a unit on no path must not
    join two blocks whose product is block diagonal.
    """
    if len(matrices) == 1:
        count, *labels = label_components(matrices[0].indptr, matrices[0].indices, matrices[0].shape[1])
        return count, labels
    starts = np.append(0, np.cumsum([len(units) for units in live]))
    sides: list[list[np.ndarray]] = [[], []]
    for k, m in enumerate(matrices):
        rows = np.repeat(np.arange(m.shape[0]), np.diff(m.indptr))
        on_path = live[k][m.indices] & live[k + 1][rows]
        sides[0].append(rows[on_path] + starts[k + 1])
        sides[1].append(m.indices[on_path] + starts[k])
    rows, columns = (np.concatenate(side) for side in sides)
    graph = scipy.sparse.coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(starts[-1], starts[-1]))
    count, labels = scipy.sparse.csgraph.connected_components(graph, directed=False)
    return int(count), [labels[a:b] for a, b in pairwise(starts)]
