"""Metrics of distances: the number of edges on a shortest path between two units, of the same side or of both.

Breadth-first searches run from many units at the same time. Each unit has a bit string, in words of 64 bits: bit s says
whether search s has reached the unit. One level of all searches is the bitwise or of the neighbours' bit strings. (As
in Then et al., "The more the merrier: efficient multi-source graph traversal", 2014.)
"""

from collections.abc import Iterator
from math import inf, log, sqrt
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from ..random_bits import RandomBits
from ..topology import Topology
from ._internal.chunks import concatenate_ranges, split_by_cost
from .degrees import connected_components, label_units
from .measurement import Measurement, Progress, explainable

_BUDGET = 2**31  # read at most so many words in all searches: some seconds
_LEVEL = 2**15  # the fixed cost of a level, however little it reads, in words
_SAMPLES = 1024
_BATCH = 256  # search from so many units at the same time
_GATHER = 2**20  # gather so many words at a time
_CONFIDENCE = 0.99


@explainable
def diameter(t: Topology, *, certify: bool, progress: Progress | None) -> Measurement:
    """Largest distance of two units, inputs or outputs, in [1, n_in + n_out - 1]; infinite for a disconnected graph.

    One dead unit makes the diameter infinite, and so does a graph without edges. 1 for a single edge, 2 for any other
    dense graph, at least 2 otherwise. It is at least about log(n) / log(degree) for n units; random graphs come close
    to that.

    Exact if searching from all units reads at most 2^31 words, which is about edges * (n_in + n_out) / 64 * levels: up
    to some 15,000 units a side at fan-in 32, less in long bands. For larger graphs searches start from up to 1024 units
    drawn with a fixed seed, fewer if there are many levels. The value is then the largest distance seen, a lower bound.
    The upper bound is twice the smallest eccentricity, because any two units are connected through that unit. Both
    bounds are certain.

    Time: seconds; half a minute for 1,000,000 x 1,000,000 at fan-in 32, and minutes for more than 100,000 levels.
    Memory: a few times that of the edges. `mean_path_length` comes from the same searches.


    Args:
        t: the topology.
        explain: return a Measurement, with bounds, method and certificate.
        progress: called with the batches of searches done and the number of batches.

    Example:
        >>> from prewired import generators
        >>> diameter(generators.projective_plane(7, 7, fan_in=3)), diameter(generators.grouped(8, 8, fan_in=4))
        (3.0, inf)
    """
    if connected_components(t) > 1:
        return Measurement(inf, inf, inf, "counting components", "exact count")
    return _measure_distances(t, progress).diameter


@explainable
def mean_path_length(t: Topology, *, certify: bool, progress: Progress | None) -> Measurement:
    """Mean distance over all ordered pairs of different units that are connected, inputs and outputs alike.

    In [1, diameter]. Pairs in different components do not count, so a graph of small components has a small value; 0 if
    no two units are connected. 1 for a single edge; the dense graph has the mean of its distances 1 and 2.

    Exact if `diameter` is. For larger graphs the value is an estimate from up to 1024 units, drawn with a fixed seed:
    each is the first unit of a random connected pair, and the value is the mean of their mean distances to the other
    units. The bounds hold with probability 0.99 over the draw, whatever the distances are, by the empirical Bernstein
    inequality (Maurer and Pontil, "Empirical Bernstein bounds and sample variance penalization", 2009); the error is
    usually far smaller. Arguments and cost as of `diameter`.


    Example:
        >>> from prewired import generators
        >>> mean_path_length(generators.rotating(4, 4, fan_in=1)), mean_path_length(generators.dense(1, 2))
        (1.0, 1.3333333333333333)
    """
    return _measure_distances(t, progress).mean


class _Distances(NamedTuple):
    """Both metrics; the diameter is the largest distance of two connected units."""

    diameter: Measurement
    mean: Measurement


class _Side(NamedTuple):
    """The neighbours, on the other side, of the units of one side.

    Attributes:
        indptr, indices: the neighbours of unit k are indices[indptr[k]:indptr[k + 1]].
        degrees: their number.
    """

    indptr: np.ndarray
    indices: np.ndarray
    degrees: np.ndarray


class _Graph(NamedTuple):
    """A bipartite graph.

    Attributes:
        sides: inputs and outputs.
        labels: for each side the component of every unit.
        sizes: for each side the number of units in the component of every unit.
    """

    sides: tuple[_Side, _Side]
    labels: tuple[np.ndarray, np.ndarray]
    sizes: tuple[np.ndarray, np.ndarray]


_CACHE: WeakKeyDictionary[Topology, _Distances] = WeakKeyDictionary()


def _measure_distances(t: Topology, progress: Progress | None) -> _Distances:
    """Both metrics, which come from the same searches; stored as long as the topology exists."""
    if t not in _CACHE:
        _CACHE[t] = _search(t, progress)
    return _CACHE[t]


def _search(t: Topology, progress: Progress | None) -> _Distances:
    """Both metrics, from all units if the budget allows that, else from a sample."""
    if t.n_edges == 0:
        return _Distances(Measurement.from_count(0.0), Measurement.from_count(0.0))
    labels = label_units(t)[1:]
    sizes = np.bincount(np.concatenate(labels))
    transposed = t.transpose()
    sides = (
        _Side(transposed.indptr, transposed.indices, transposed.fan_in),
        _Side(t.indptr, t.indices, t.fan_in),
    )
    graph = _Graph(sides, labels, (sizes[labels[0]], sizes[labels[1]]))
    return _search_from_all(graph, progress) or _search_from_sample(graph, progress)


def _search_from_all(graph: _Graph, progress: Progress | None) -> _Distances | None:
    """Both metrics exactly, or None if that reads more words than the budget."""
    inputs = graph.sides[0]
    # Each search reads every edge of its component at least once, for 64 searches in one word: a lower bound of the
    # words to read that needs no search.
    if int(inputs.degrees @ graph.sizes[0]) > 64 * _BUDGET:
        return None
    batches = []
    for k, (side, labels) in enumerate(zip(graph.sides, graph.labels, strict=True)):
        # Units of the same component, and in bands those of close numbers, belong in one batch: their searches then
        # read the same words.
        order = np.argsort(labels, kind="stable")
        order = order[side.degrees[order] > 0]
        batches += [(k, order[start : start + _BATCH]) for start in range(0, len(order), _BATCH)]
    words_read = total = longest = 0
    for n_batches, (k, units) in enumerate(batches, 1):
        for level, (words, arrivals) in enumerate(_iterate_levels(graph, k, units), 1):
            words_read += words
            if words_read > _BUDGET:
                return None
            total += level * int(np.bitwise_count(arrivals).sum())
            longest = max(longest, level)
        # Give up early: the batches done so far predict the words that all batches will read.
        if words_read * len(batches) > _BUDGET * n_batches:
            return None
        if progress is not None:
            progress(n_batches, len(batches))
    mean = total / int(sum((sizes - 1).sum() for sizes in graph.sizes))
    return _Distances(*(Measurement(x, x, x, "breadth-first search", "exact count") for x in (float(longest), mean)))


def _search_from_sample(graph: _Graph, progress: Progress | None) -> _Distances:
    """Estimates of both metrics, with bounds, from searches from a random sample of units."""
    n, farthest_bound = _sample_size(graph)
    # The mean is over ordered pairs, so a unit is drawn in proportion to the number of units it is connected to. Then
    # the mean of the mean distances of the units drawn has the mean over pairs as its expectation.
    pairs = np.cumsum(np.concatenate(graph.sizes) - 1)
    sample = RandomBits(0, "distances").integers(int(pairs[-1]), n)
    units = np.sort(np.searchsorted(pairs, sample, side="right"))
    n_in = len(graph.sizes[0])
    parts = (units[units < n_in], units[units >= n_in] - n_in)
    batches = [(k, part[start : start + 64]) for k, part in enumerate(parts) for start in range(0, len(part), 64)]
    means, eccentricities = [], [farthest_bound / 2]
    for n_batches, (k, part) in enumerate(batches, 1):
        sums, farthest = _sum_distances(graph, k, part)
        means.extend(sums / (graph.sizes[k][part] - 1))
        eccentricities.extend(farthest)
        if progress is not None:
            progress(n_batches, len(batches))
    # The inequality of Maurer and Pontil for n values in [1, most]: the second term allows for large values that the
    # sample missed.
    mean, odds = float(np.mean(means)), log(4 / (1 - _CONFIDENCE))
    error = sqrt(2 * np.var(means, ddof=1) * odds / n) + 7 * (farthest_bound - 1) * odds / (3 * (n - 1))
    method, longest = f"breadth-first search from {n} units", float(max(eccentricities))
    certificate = "largest eccentricity of the sample below, twice the smallest above"
    return _Distances(
        Measurement(longest, longest, 2.0 * float(min(eccentricities)), method, certificate),
        Measurement(
            mean,
            max(mean - error, 1.0),
            min(mean + error, farthest_bound),
            method,
            "empirical Bernstein bound",
            _CONFIDENCE,
        ),
    )


def _sample_size(graph: _Graph) -> tuple[int, float]:
    """The number of units to search from within the budget, and an upper bound of all distances.

    One search starts from a unit of every component at the same time: no distance is larger than twice its number of
    levels. The size must not depend on the sample, or the bounds would not hold.
    """
    inputs = graph.sides[0]
    units = np.unique(graph.labels[0], return_index=True)[1]
    words = [words for words, _ in _iterate_levels(graph, 0, units[inputs.degrees[units] > 0], together=True)]
    # Two extremes bound the cost: no two searches read the same words (`apart`), or 64 searches always do (`aligned`).
    apart, aligned = _BUDGET // sum(words), 64 * (_BUDGET // (len(words) * (len(inputs.indices) + _LEVEL)))
    return min(max(apart, aligned, 2), _SAMPLES), 2.0 * len(words)


def _sum_distances(graph: _Graph, k: int, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each of at most 64 units of side k the sum of its distances and its largest distance in its component."""
    sums, farthest = np.zeros(64, np.int64), np.zeros(64, np.int64)
    for level, (_, arrivals) in enumerate(_iterate_levels(graph, k, units), 1):
        bits = np.unpackbits(arrivals.astype("<u8").view(np.uint8), bitorder="little").reshape(-1, 64)
        counts = bits.sum(axis=0, dtype=np.int64)
        sums += level * counts
        farthest[counts > 0] = level
    return sums[: len(units)], farthest[: len(units)]


def _iterate_levels(
    graph: _Graph, k: int, units: np.ndarray, together: bool = False
) -> Iterator[tuple[int, np.ndarray]]:
    """Search from units of side k and yield each level, from 1 on.

    Args:
        graph: the graph.
        k: the side, 0 for inputs.
        units: where the searches start.
        together: run one search from all units instead of one search from each.

    Yields:
        The number of words read, and the words (n, ceil(searches / 64)) of the n units reached for the first time by
        some search: bit s is set if search s reaches the unit at this level.
    """
    numbers = np.zeros(len(units), np.int64) if together else np.arange(len(units))
    bits = np.zeros((len(units), int(numbers[-1]) // 64 + 1), np.uint64)
    bits[np.arange(len(units)), numbers // 64] = np.uint64(1) << (numbers % 64).astype(np.uint64)
    all_bits, width = np.bitwise_or.reduce(bits), bits.shape[1]
    visitors = [np.zeros((len(side.degrees), width), np.uint64) for side in graph.sides]
    np.bitwise_or.at(visitors[k], units, bits)
    active = np.unique(units)
    # The graph is bipartite, so each level changes the side.
    while len(active):
        side, opposite, opposite_visitors = graph.sides[k], graph.sides[1 - k], visitors[1 - k]
        candidates, words = _find_next_units(side, opposite, active)
        # A unit that every search has reached cannot be reached again.
        candidates = candidates[(opposite_visitors[candidates] != all_bits).any(axis=1)]
        words += width * int(opposite.degrees[candidates].sum()) + _LEVEL
        # Reading all that the neighbours have seen is enough, and simpler than only their last level: what they had
        # seen before was passed on before, so it is removed again.
        arrivals = _merge_words(opposite, candidates, visitors[k]) & ~opposite_visitors[candidates]
        has_arrivals = arrivals.any(axis=1)
        active, arrivals = candidates[has_arrivals], arrivals[has_arrivals]
        opposite_visitors[active] |= arrivals
        k = 1 - k
        if len(active):
            yield words, arrivals


def _find_next_units(side: _Side, opposite: _Side, active: np.ndarray) -> tuple[np.ndarray, int]:
    """The units of the other side that may have an active neighbour, and the number of edges read to find them."""
    reads = int(side.degrees[active].sum())
    # With many active units nearly every unit of the other side is a neighbour: taking all is then cheaper.
    if 4 * reads > len(side.indices):
        return np.flatnonzero(opposite.degrees), 0
    is_neighbour = np.zeros(len(opposite.degrees), bool)
    is_neighbour[side.indices[concatenate_ranges(side.indptr[active], side.degrees[active])]] = True
    return np.flatnonzero(is_neighbour), reads


def _merge_words(side: _Side, units: np.ndarray, words: np.ndarray) -> np.ndarray:
    """For each of the units, none of which is dead, the bitwise or of the words of its neighbours."""
    unions = np.empty((len(units), words.shape[1]), np.uint64)
    for start, stop in split_by_cost(side.degrees[units], _GATHER // words.shape[1]):
        part = units[start:stop]
        lengths = side.degrees[part]
        neighbours = words.take(side.indices[concatenate_ranges(side.indptr[part], lengths)], axis=0)
        unions[start:stop] = np.bitwise_or.reduceat(neighbours, np.cumsum(lengths) - lengths)
    return unions
