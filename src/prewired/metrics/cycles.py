"""Metrics of short cycles: how many there are, how long the shortest is, how much neighbours share neighbours."""

from collections.abc import Iterator
from math import comb, inf, perm
from typing import Any, Literal, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import scipy.sparse

from ..topology import Topology
from ._internal.chunks import concatenate_ranges, split_by_cost
from .degrees import label_units

_WEDGES = 1 << 16  # sort so many wedges at a time: they fit the caches, and sorting is most of the work
_WALKS = 1 << 22  # store at most about so many walks at a time
_ROOTS = 1 << 13  # search from so many roots at a time
_PRODUCT_CELLS = 1 << 26
_ROW_CELLS = 1 << 23


def four_cycles(t: Topology) -> float:
    """Number of cycles of four edges: over all pairs of outputs, the number of pairs of inputs that both outputs read.

    c4 = sum over pairs of outputs of C(s, 2), with s the number of inputs that the pair shares. An integer, exact up to
    2^53, in [0, C(n_in, 2) C(n_out, 2)]. Zero without edges, in a forest, and if no two outputs share two inputs.

    Time grows with the wedges (pairs of edges with an end in common) of the side that has fewer: the smaller of
    sum C(fan_in, 2) and sum C(fan_out, 2). Dense graphs are counted by matrix products. Memory: that of the edges
    and some 200 MB. A graph of 1,000,000 x 1,000,000 at fan-in 32 takes half a minute.

    Without 4-cycles no two units share two neighbours, so the edges are spread as far as possible (Reiman, "Ueber ein
    Problem von K. Zarankiewicz", Acta Math. Acad. Sci. Hungar. 9, 1958).

    Example:
        >>> from prewired import generators
        >>> four_cycles(generators.dense(3, 4))
        18.0
    """
    if t not in _CACHE:
        fewer = t if _count_wedges(t.fan_out) <= _count_wedges(t.fan_in) else t.transpose()
        pairs_of_pairs = (int((pairs.shared * (pairs.shared - 1) // 2).sum()) for pairs in _find_sharing_pairs(fewer))
        _CACHE[t] = float(sum(pairs_of_pairs))
    return _CACHE[t]


_CACHE: WeakKeyDictionary[Topology, float] = WeakKeyDictionary()
"""The number of 4-cycles of each topology that still exists: three metrics need this number."""


def four_cycle_ratio(t: Topology) -> float:
    """`four_cycles` divided by the number expected if the same number of edges were placed at random; >= 0.

    The expected number is C(n_in, 2) C(n_out, 2) p4. Here p4 = E (E-1) (E-2) (E-3) / (N (N-1) (N-2) (N-3)) is the
    probability that four given cells of the N = n_in n_out have an edge if E of the N cells have one; it is about
    density^4. So the mean over all graphs of this size, those of `erdos_renyi`, is 1, and the dense graph has 1. There
    is no upper limit. Zero where the expected number is zero: fewer than four edges, a single input or a single output.
    Cost: that of `four_cycles`.

    Example:
        >>> from prewired import generators
        >>> four_cycle_ratio(generators.dense(3, 4)), four_cycle_ratio(generators.projective_plane(7, 7, fan_in=3))
        (1.0, 0.0)
    """
    expected = comb(t.n_in, 2) * comb(t.n_out, 2) * perm(t.n_edges, 4)
    return four_cycles(t) * perm(t.n_in * t.n_out, 4) / expected if expected else 0.0


def girth(t: Topology) -> float:
    """Length of the shortest cycle: 4, 6, 8, ..., or infinity for a forest and for a graph without edges.

    Exact. From each root all walks that never turn back are followed at the same time. Two of them that meet after m
    steps close a cycle of at most 2m edges; from a root on a shortest cycle they meet after exactly half its length.
    Every cycle visits both sides, and a cycle in a component that is more than a cycle passes a vertex of degree three.
    So the roots are the inputs, the outputs or the vertices of degree three, whichever are fewest.

    Time: at most the number of roots times the edges within girth / 2 - 1 steps of a root; O(n_edges) once a 4-cycle is
    found. Memory: that of the edges and some 300 MB.

    Among biregular graphs the generalized polygons have the largest girth (Tutte, "A family of cubical graphs", Proc.
    Cambridge Philos. Soc. 43, 1947).

    Example:
        >>> from prewired import generators
        >>> girth(generators.rotating(5, 5, fan_in=2)), girth(generators.rotating(5, 5, fan_in=1))
        (10.0, inf)
    """
    # Components that are single cycles have no vertex of degree three; their lengths are counted, not searched.
    shortest, is_searched = _measure_simple_cycles(t)
    by_output = scipy.sparse.csr_array((np.ones(t.n_edges, np.int32), t.indices, t.indptr), shape=(t.n_out, t.n_in))
    sides = _Side(by_output, t.fan_in), _Side(by_output.T.tocsr(), t.fan_out)
    two, three = (
        [np.flatnonzero(inside & (side.degrees >= minimum)) for side, inside in zip(sides, is_searched, strict=True)]
        for minimum in (2, 3)
    )
    empty = np.empty(0, np.int64)
    choices = [(two[0], empty), (empty, two[1]), (three[0], three[1])]
    roots = min(choices, key=lambda choice: len(choice[0]) + len(choice[1]))
    for side, opposite, units in ((*sides, roots[0]), (*reversed(sides), roots[1])):
        for start in range(0, len(units), _ROOTS):
            shortest = _search_cycles(side, opposite, units[start : start + _ROOTS], shortest)
    return shortest


def latapy_clustering(t: Topology, *, mode: Literal["dot", "min", "max"] = "dot") -> float:
    """Mean overlap of the neighbours of two units that share a neighbour, averaged over all units, in [0, 1].

    For two units u, v of the same side with a common neighbour, the overlap is c(u, v) = |N(u) & N(v)| / |N(u) | N(v)|
    in mode "dot". Modes "min" and "max" divide by the smaller or the larger of the two degrees instead. A unit's
    coefficient is the mean of c over all such v, and 0 if there is none; the metric is the mean over inputs and outputs
    together. 1 for the dense graph with at least two units on each side, 0 without edges. Equal to the average of
    networkx's `bipartite.clustering`.

    Time grows with the wedges of both sides, sum C(fan_in, 2) + sum C(fan_out, 2): minutes for 1,000,000 x 1,000,000
    at fan-in 32, but long if a unit has a million edges. Memory: that of the edges and some 200 MB.
    (Latapy, Magnien and Del Vecchio, "Basic notions for the analysis of large two-mode networks", 2008.)


    Raises:
        ValueError: for another mode.

    Example:
        >>> from prewired import generators
        >>> latapy_clustering(generators.grouped(8, 8, fan_in=2))
        1.0
        >>> round(latapy_clustering(generators.rotating(5, 5, fan_in=2)), 9)
        0.333333333
    """
    if mode not in ("dot", "min", "max"):
        raise ValueError(f'expected a mode among "dot", "min" and "max", got {mode!r}; "dot" is the default')
    return float(sum(_compute_coefficients(side, mode).sum() for side in (t, t.transpose())) / (t.n_in + t.n_out))


def robins_alexander_clustering(t: Topology) -> float:
    """Share of the paths of three edges that a fourth edge closes to a cycle, in [0, 1]: 4 c4 / l3.

    c4 is `four_cycles`; each such cycle contains four paths of three edges. l3 = sum over edges of (fan_in - 1)
    (fan_out - 1) is the number of such paths. 1 for the dense graph with at least two units on each side; 0 if there is
    no such path, as in stars, matchings and without edges. Cost: that of `four_cycles`. (Robins and Alexander, "Small
    worlds among interlocking directors", 2004.)

    Example:
        >>> from prewired import generators
        >>> robins_alexander_clustering(generators.dense(3, 4))
        1.0
    """
    at_inputs = np.bincount(t.indices, np.repeat(t.fan_in - 1, t.fan_in), minlength=t.n_in)
    paths = float(at_inputs @ (t.fan_out - 1))
    return 4.0 * four_cycles(t) / paths if paths else 0.0


class _Pairs(NamedTuple):
    """Pairs of outputs that share an input.

    Attributes:
        first, second: (pairs,) int64, the outputs of each pair, first < second.
        shared: (pairs,) int64, the number of inputs that both read.
    """

    first: np.ndarray
    second: np.ndarray
    shared: np.ndarray


def _count_wedges(degrees: np.ndarray) -> int:
    """The number of pairs of edges that end in the same unit."""
    return int((degrees * (degrees - 1) // 2).sum())


def _find_sharing_pairs(t: Topology) -> Iterator[_Pairs]:
    """Yield all pairs of outputs that share an input, each once, in non-empty batches ordered by the first output."""
    # Entry (j, k) of B B^T is the number of inputs that outputs j and k share. An entry of a dense matrix product costs
    # far less than sorting a wedge, so products win in dense graphs. Single precision counts exactly up to 2^24.
    small = t.n_in * t.n_out <= _PRODUCT_CELLS and t.n_in <= 1 << 24
    products = small and t.n_out**2 * (t.n_in + 256) < 512 * _count_wedges(t.fan_out)
    return (pairs for pairs in (_find_by_products(t) if products else _find_by_wedges(t)) if len(pairs.first))


def _find_by_products(t: Topology) -> Iterator[_Pairs]:
    """Count shared inputs as entries of B B^T, some rows at a time, above the diagonal only."""
    b = t.biadjacency().astype(np.float32).toarray()
    rows = max(_ROW_CELLS // t.n_out, 1)
    for start in range(0, t.n_out, rows):
        overlaps = np.triu(b[start : start + rows] @ b[start:].T, 1)
        first, second = np.nonzero(overlaps)
        yield _Pairs(first + start, second + start, overlaps[first, second].astype(np.int64))


def _find_by_wedges(t: Topology) -> Iterator[_Pairs]:
    """Sort the wedges of some outputs at a time; each wedge is a pair of outputs, and equal pairs are counted."""
    # Sort the edges by input: the outputs of each input become a list, and `place` says where each edge is in it.
    edges = np.arange(t.n_edges, dtype=np.int32 if t.n_edges < 2**31 else np.int64)
    by_input: Any = scipy.sparse.csr_array((edges, t.indices, t.indptr), shape=(t.n_out, t.n_in)).tocsc()
    place = np.empty_like(edges)
    place[by_input.data] = edges
    outputs, ends = by_input.indices, by_input.indptr[1:]
    del by_input
    # The partners of an output at an input are the outputs after it in the list of that input, so each pair comes once
    # per shared input. until[j] is the number of wedges of the outputs before j.
    until = np.append(0, np.cumsum(ends[t.indices] - place - 1))[t.indptr]
    for start, stop in split_by_cost(np.diff(until), _WEDGES):
        chunk = slice(t.indptr[start], t.indptr[stop])
        rows = np.repeat(np.arange(stop - start) * t.n_out, np.diff(until[start : stop + 1]))
        keys = rows + outputs[concatenate_ranges(place[chunk] + 1, ends[t.indices[chunk]] - place[chunk] - 1)]
        # A wedge is the single number (first - start) * n_out + second. After sorting, equal pairs are one run, whose
        # length is the number of shared inputs. The smallest integer type sorts fastest.
        keys = np.sort(keys.astype(np.min_scalar_type((stop - start) * t.n_out)))
        last = np.flatnonzero(np.append(keys[1:] != keys[:-1], True)[: len(keys)])
        first, second = np.divmod(keys[last], keys.dtype.type(t.n_out))
        yield _Pairs(first.astype(np.int64) + start, second.astype(np.int64), np.diff(last, prepend=-1))


def _compute_coefficients(t: Topology, mode: str) -> np.ndarray:
    """Latapy's clustering coefficient of every output, (n_out,)."""
    total, partners = np.zeros(t.n_out), np.zeros(t.n_out)
    for first, second, shared in _find_sharing_pairs(t):
        a, b = t.fan_in[first], t.fan_in[second]
        if mode == "dot":
            share = shared / (a + b - shared)
        else:
            share = shared / (np.minimum(a, b) if mode == "min" else np.maximum(a, b))
        # The first outputs of a batch are a narrow range, so `bincount` sums them faster than `add.at`.
        low = first[0]
        sums = np.bincount(first - low, share)
        total[low : low + len(sums)] += sums
        partners[low : low + len(sums)] += np.bincount(first - low)
        np.add.at(total, second, share)
        np.add.at(partners, second, 1.0)
    return total / np.maximum(partners, 1)


class _Side(NamedTuple):
    """One side of the graph.

    Attributes:
        matrix: CSR, a row for each unit of this side, a column for each unit of the other side.
        degrees: the number of edges of each unit.
    """

    matrix: Any
    degrees: np.ndarray


def _measure_simple_cycles(t: Topology) -> tuple[float, tuple[np.ndarray, np.ndarray]]:
    """The shortest component that is a single cycle, and the units that the search must cover.

    Returns:
        The number of edges of that component, infinity if there is none; and which outputs (n_out,) and which inputs
        (n_in,) lie in a component that has a cycle but is not a single cycle.
    """
    count, input_labels, output_labels = label_units(t)
    units = np.bincount(input_labels, minlength=count) + np.bincount(output_labels, minlength=count)
    edges = np.bincount(output_labels, t.fan_in, minlength=count)
    branched = np.zeros(count, bool)
    branched[output_labels[t.fan_in > 2]] = True
    branched[input_labels[t.fan_out > 2]] = True
    # A connected component with fewer edges than units is a tree, and one whose degrees are all two is a single cycle.
    simple = (edges == units) & ~branched
    is_searched = (edges >= units) & branched
    return float(min(units[simple], default=inf)), (is_searched[output_labels], is_searched[input_labels])


def _search_cycles(side: _Side, opposite: _Side, roots: np.ndarray, shortest: float) -> float:
    """The least of `shortest` and the lengths of the cycles through roots, which are rows of `side`.

    walks[r, v] is the number of walks of m steps from root r to v that never turn back. A step multiplies by the
    adjacency matrix and subtracts the walks that turn back. A walk that turns back at step m + 1 ends where it was
    after m - 1 steps. For each walk of m - 1 steps there are (degree of its end - 1) of them: one for each edge except
    the edge by which that walk arrived. (At m = 1 the end is the root, and all its edges count.) As long as all entries
    are 0 or 1 the graph around the roots is a tree. A 2 after m steps means that two walks meet, which closes a cycle
    of at most 2m edges.
    """
    n = len(roots)
    start = scipy.sparse.csr_array((np.ones(n, np.int32), roots, np.arange(n + 1)), shape=(n, side.matrix.shape[0]))
    tasks = [(1, start, side.matrix[roots])]
    while tasks:
        m, before, walks = tasks.pop()
        # The next step finds cycles of 2 (m + 1) edges at the earliest.
        if 2 * (m + 1) >= shortest:
            continue
        ends, turns = (opposite, side) if m % 2 else (side, opposite)
        n = walks.shape[0]
        # Too many walks for the memory: continue with each half of the roots by itself.
        if n > 1 and ends.degrees[walks.indices].sum() > _WALKS:
            tasks += [(m, before[n // 2 :], walks[n // 2 :]), (m, before[: n // 2], walks[: n // 2])]
            continue
        other_edges = (turns.degrees - (m > 1)).astype(np.int32)
        back = scipy.sparse.csr_array((other_edges[before.indices], before.indices, before.indptr), shape=before.shape)
        after = scipy.sparse.csr_array(walks @ ends.matrix - back)
        if after.nnz and after.data.max() > 1:
            shortest = 2.0 * (m + 1)
        elif after.nnz:
            tasks.append((m + 1, walks, after))
    return shortest
