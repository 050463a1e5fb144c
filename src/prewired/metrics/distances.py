"""Metrics of distances: the number of edges on a shortest path between two units, on either side.

Breadth-first searches go from many units at a time: bit s of a unit's words says whether search s has reached it, and
one step of all searches is the bitwise or of the neighbours' words. (As in Then et al., "The more the merrier:
efficient multi-source graph traversal", 2014.)
"""

from collections.abc import Iterator
from math import inf, log, sqrt
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from ..random_bits import RandomBits
from ..topology import Topology
from ._internal.measurement import Measurement, Progress, explained
from .degrees import component_labels, connected_components, even_chunks, ranges

_BUDGET = 2**31
_LEVEL = 2**15  # what a level costs however little it reads, in words
_SAMPLES = 1024
_BATCH = 256
_GATHER = 2**20
_CONFIDENCE = 0.99


@explained
def diameter(t: Topology, *, certify: bool, progress: Progress | None) -> Measurement:
    """Largest distance of two units, inputs or outputs, in [1, n_in + n_out - 1]; infinite for a disconnected graph.

    So one dead unit makes it infinite, as does a graph without edges. 1 for a single edge, at least 2 otherwise: two
    for a dense graph. No less than about log(n) / log(degree) for n units, which random graphs come close to.

    Exact where searching from all units takes at most 2^31 words read, about edges * (n_in + n_out) / 64 * levels:
    up to some 15,000 units a side at fan-in 32, less in long bands. Beyond, searches start from up to 1024 units drawn
    with a fixed seed, fewer the more levels there are, and the value is the largest distance seen, a lower bound; the
    upper one is twice the smallest eccentricity, since any two units are connected through that unit. Both are certain.

    Time: seconds; half a minute for 1,000,000 x 1,000,000 at fan-in 32, and minutes where there are more than 100,000
    levels. Memory: a few times that of the edges. `mean_path_length` comes from the same searches.

    Args:
        t: the topology.
        explain: give a Measurement, with bounds, method and what the bounds rest on.
        progress: called with the batches of searches done and how many there are in all.

    Example:
        >>> from prewired import generators
        >>> diameter(generators.projective_plane(7, 7, fan_in=3)), diameter(generators.grouped(8, 8, fan_in=4))
        (3.0, inf)
    """
    if connected_components(t) > 1:
        return Measurement(inf, inf, inf, "counting components", "exact count")
    return _distances(t, progress).diameter


@explained
def mean_path_length(t: Topology, *, certify: bool, progress: Progress | None) -> Measurement:
    """Mean distance over all ordered pairs of different units that are connected, inputs and outputs alike.

    In [1, diameter]; pairs of different components count neither above nor below the line, so small components make it
    small; 0 if no two units are connected. 1 for a single edge; for the dense graph the mean of its ones and twos.

    Exact where `diameter` is. Beyond it is an estimate: the mean over up to 1024 units, drawn with a fixed seed as the
    first of a random connected pair, of their mean distance to the others. The bounds hold with probability 0.99 over
    the draw, by the empirical Bernstein inequality (Maurer and Pontil, "Empirical Bernstein bounds and sample variance
    penalization", 2009), whatever the distances are; the true value is usually far closer. Arguments and cost as of
    `diameter`.

    Example:
        >>> from prewired import generators
        >>> mean_path_length(generators.rotating(4, 4, fan_in=1)), mean_path_length(generators.dense(1, 2))
        (1.0, 1.3333333333333333)
    """
    return _distances(t, progress).mean


class _Distances(NamedTuple):
    """Both metrics; the diameter is the largest distance of connected units."""

    diameter: Measurement
    mean: Measurement


class _Side(NamedTuple):
    """The neighbours of each unit of one side, on the other: those of unit k are indices[indptr[k]:indptr[k + 1]]."""

    indptr: np.ndarray
    indices: np.ndarray
    degrees: np.ndarray


class _Graph(NamedTuple):
    """Inputs and outputs, and for every unit of each side how many units there are in its component."""

    sides: tuple[_Side, _Side]
    labels: tuple[np.ndarray, np.ndarray]
    sizes: tuple[np.ndarray, np.ndarray]


_KNOWN: WeakKeyDictionary[Topology, _Distances] = WeakKeyDictionary()


def _distances(t: Topology, progress: Progress | None) -> _Distances:
    """Both metrics come from the same searches and are remembered as long as the topology lives."""
    if t not in _KNOWN:
        _KNOWN[t] = _searched(t, progress)
    return _KNOWN[t]


def _searched(t: Topology, progress: Progress | None) -> _Distances:
    if t.n_edges == 0:
        return _Distances(Measurement.counted(0.0), Measurement.counted(0.0))
    labels = component_labels(t)[1:]
    sizes = np.bincount(np.concatenate(labels))
    flipped = t.transpose()
    sides = (
        _Side(flipped.indptr, flipped.indices, flipped.fan_in),
        _Side(t.indptr, t.indices, t.fan_in),
    )
    graph = _Graph(sides, labels, (sizes[labels[0]], sizes[labels[1]]))
    return _from_all(graph, progress) or _from_some(graph, progress)


def _from_all(graph: _Graph, progress: Progress | None) -> _Distances | None:
    """Exact, or None where that would take more words than the budget has."""
    inputs = graph.sides[0]
    if int(inputs.degrees @ graph.sizes[0]) > 64 * _BUDGET:  # each search reads every edge of its component once
        return None
    batches = []
    for k, (side, labels) in enumerate(zip(graph.sides, graph.labels, strict=True)):
        order = np.argsort(labels, kind="stable")
        order = order[side.degrees[order] > 0]
        batches += [(k, order[start : start + _BATCH]) for start in range(0, len(order), _BATCH)]
    spent = total = longest = 0
    for done, (k, units) in enumerate(batches, 1):
        for level, (words, reached) in enumerate(_levels(graph, k, units), 1):
            spent += words
            if spent > _BUDGET:
                return None
            total += level * int(np.bitwise_count(reached).sum())
            longest = max(longest, level)
        if spent * len(batches) > _BUDGET * done:
            return None
        if progress is not None:
            progress(done, len(batches))
    mean = total / int(sum((sizes - 1).sum() for sizes in graph.sizes))
    return _Distances(*(Measurement(x, x, x, "breadth-first search", "exact count") for x in (float(longest), mean)))


def _from_some(graph: _Graph, progress: Progress | None) -> _Distances:
    n, most = _sample_size(graph)
    others = np.cumsum(np.concatenate(graph.sizes) - 1)
    drawn = RandomBits(0, "distances").integers(int(others[-1]), n)
    units = np.sort(np.searchsorted(others, drawn, side="right"))
    n_in = len(graph.sizes[0])
    parts = (units[units < n_in], units[units >= n_in] - n_in)
    batches = [(k, part[start : start + 64]) for k, part in enumerate(parts) for start in range(0, len(part), 64)]
    means, eccentricities = [], [most / 2]
    for done, (k, part) in enumerate(batches, 1):
        sums, farthest = _by_search(graph, k, part)
        means.extend(sums / (graph.sizes[k][part] - 1))
        eccentricities.extend(farthest)
        if progress is not None:
            progress(done, len(batches))
    mean, surprise = float(np.mean(means)), log(4 / (1 - _CONFIDENCE))
    error = sqrt(2 * np.var(means, ddof=1) * surprise / n) + 7 * (most - 1) * surprise / (3 * (n - 1))
    method, longest = f"breadth-first search from {n} units", float(max(eccentricities))
    certificate = "the largest eccentricity seen, and twice the smallest"
    return _Distances(
        Measurement(longest, longest, 2.0 * float(min(eccentricities)), method, certificate),
        Measurement(
            mean, max(mean - error, 1.0), min(mean + error, most), method, "empirical Bernstein bound", _CONFIDENCE
        ),
    )


def _sample_size(graph: _Graph) -> tuple[int, float]:
    """From how many units the budget allows to search, and a bound of all distances.

    One search starts from a unit of every component at once: no distance is above twice its number of levels. The size
    does not depend on the draw, or the bounds would not hold.
    """
    inputs = graph.sides[0]
    units = np.unique(graph.labels[0], return_index=True)[1]
    words = [words for words, _ in _levels(graph, 0, units[inputs.degrees[units] > 0], together=True)]
    # As many as there is budget for if no two searches meet, or if 64 always read the same words.
    apart, aligned = _BUDGET // sum(words), 64 * (_BUDGET // (len(words) * (len(inputs.indices) + _LEVEL)))
    return min(max(apart, aligned, 2), _SAMPLES), 2.0 * len(words)


def _by_search(graph: _Graph, k: int, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each of at most 64 units of side k the sum of its distances and the largest one, within its component."""
    sums, farthest = np.zeros(64, np.int64), np.zeros(64, np.int64)
    for level, (_, reached) in enumerate(_levels(graph, k, units), 1):
        bits = np.unpackbits(reached.astype("<u8").view(np.uint8), bitorder="little").reshape(-1, 64)
        counts = bits.sum(axis=0, dtype=np.int64)
        sums += level * counts
        farthest[counts > 0] = level
    return sums[: len(units)], farthest[: len(units)]


def _levels(graph: _Graph, k: int, units: np.ndarray, together: bool = False) -> Iterator[tuple[int, np.ndarray]]:
    """Searches from units of side k, one for each or one from all `together`, level by level from 1 on.

    Yields the number of words read, and the words (n, ceil(searches / 64)) of units reached for the first time by some.
    """
    numbers = np.zeros(len(units), np.int64) if together else np.arange(len(units))
    bits = np.zeros((len(units), int(numbers[-1]) // 64 + 1), np.uint64)
    bits[np.arange(len(units)), numbers // 64] = np.uint64(1) << (numbers % 64).astype(np.uint64)
    everyone, width = np.bitwise_or.reduce(bits), bits.shape[1]
    seen = [np.zeros((len(side.degrees), width), np.uint64) for side in graph.sides]
    np.bitwise_or.at(seen[k], units, bits)
    active = np.unique(units)
    while len(active):
        side, other, known = graph.sides[k], graph.sides[1 - k], seen[1 - k]
        near, words = _near(side, other, active)
        near = near[(known[near] != everyone).any(axis=1)]
        words += width * int(other.degrees[near].sum()) + _LEVEL
        # What was seen before the last level has been passed on before: it adds nothing new.
        reached = _joined(other, near, seen[k]) & ~known[near]
        new = reached.any(axis=1)
        active, reached = near[new], reached[new]
        known[active] |= reached
        k = 1 - k
        if len(active):
            yield words, reached


def _near(side: _Side, other: _Side, active: np.ndarray) -> tuple[np.ndarray, int]:
    """The units of the other side with an active neighbour, and perhaps more; and how many edges were read for that."""
    reads = int(side.degrees[active].sum())
    if 4 * reads > len(side.indices):
        return np.flatnonzero(other.degrees), 0
    touched = np.zeros(len(other.degrees), bool)
    touched[side.indices[ranges(side.indptr[active], side.degrees[active])]] = True
    return np.flatnonzero(touched), reads


def _joined(side: _Side, units: np.ndarray, words: np.ndarray) -> np.ndarray:
    """For each of the units, none of which is dead, the bitwise or of its neighbours' words."""
    joined = np.empty((len(units), words.shape[1]), np.uint64)
    for start, stop in even_chunks(side.degrees[units], _GATHER // words.shape[1]):
        part = units[start:stop]
        lengths = side.degrees[part]
        neighbours = words.take(side.indices[ranges(side.indptr[part], lengths)], axis=0)
        joined[start:stop] = np.bitwise_or.reduceat(neighbours, np.cumsum(lengths) - lengths)
    return joined
