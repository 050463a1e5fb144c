"""Metrics of short cycles: how many, how short the shortest, how far neighbours share their neighbours."""

from collections.abc import Iterator
from math import comb, inf, perm
from typing import Any, Literal, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import scipy.sparse

from ..topology import Topology
from .degrees import component_labels, even_chunks, ranges

_WEDGES = 1 << 16  # small enough for the caches: sorting is most of the work
_WALKS = 1 << 22
_ROOTS = 1 << 13
_DENSE_CELLS = 1 << 26
_ROW_CELLS = 1 << 23


def four_cycles(t: Topology) -> float:
    """Number of cycles of four edges: pairs of outputs times the pairs of inputs that both read.

    c4 = sum over pairs of outputs of C(s, 2), s the number of inputs they share; an integer, exact up to 2^53, in
    [0, C(n_in, 2) C(n_out, 2)]. Zero without edges, in a forest and wherever no two outputs share two inputs.

    Time grows with the wedges, pairs of edges with an end in common, of the side that has fewer: the smaller one of
    sum C(fan_in, 2) and sum C(fan_out, 2). Dense graphs are counted by matrix products. Memory: that of the edges
    and some 200 MB; 1,000,000 x 1,000,000 at fan-in 32 takes half a minute.

    Without 4-cycles no two units share two neighbours: edges cannot be spread more (Reiman, "Ueber ein Problem von K.
    Zarankiewicz", Acta Math. Acad. Sci. Hungar. 9, 1958).

    Example:
        >>> from prewired import generators
        >>> four_cycles(generators.dense(3, 4))
        18.0
    """
    if t not in _COUNTED:
        fewer = t if _wedges(t.fan_out) <= _wedges(t.fan_in) else t.transpose()
        pairs_of_pairs = (int((pairs.shared * (pairs.shared - 1) // 2).sum()) for pairs in _sharing_pairs(fewer))
        _COUNTED[t] = float(sum(pairs_of_pairs))
    return _COUNTED[t]


_COUNTED: WeakKeyDictionary[Topology, float] = WeakKeyDictionary()
"""The 4-cycles of graphs that are alive: three metrics ask for them."""


def four_cycle_ratio(t: Topology) -> float:
    """`four_cycles` over the number expected if the same number of edges were put in at random.

    Expected are C(n_in, 2) C(n_out, 2) p4, where p4 = E (E-1) (E-2) (E-3) / (N (N-1) (N-2) (N-3)) is the probability
    that four given places of the N = n_in n_out have an edge when E of them do; about density^4. So the mean over all
    graphs of this size, those of `erdos_renyi`, is 1; it is 1 for the dense graph. At least 0, no upper limit. Zero
    where nothing is expected: fewer than four edges, a single input or a single output. Cost: that of `four_cycles`.

    Example:
        >>> from prewired import generators
        >>> four_cycle_ratio(generators.dense(3, 4)), four_cycle_ratio(generators.projective_plane(7, 7, fan_in=3))
        (1.0, 0.0)
    """
    expected = comb(t.n_in, 2) * comb(t.n_out, 2) * perm(t.n_edges, 4)
    return four_cycles(t) * perm(t.n_in * t.n_out, 4) / expected if expected else 0.0


def girth(t: Topology) -> float:
    """Length of the shortest cycle: 4, 6, 8, ..., or infinity for a forest (so also for a graph without edges).

    Exact. From each root go all walks that never turn back at once; two of them that meet after m steps close a cycle
    of at most 2m edges, and from a root on a shortest cycle no fewer steps do. Every cycle visits both sides, and in a
    component that is more than a cycle it passes a vertex of degree three, so the roots are the inputs, the outputs or
    those vertices, whichever are fewest.

    Time: at most the number of roots times the edges within girth / 2 - 1 steps of one, O(n_edges) once a 4-cycle is
    found. Memory: that of the edges and some 300 MB.

    (Tutte, "A family of cubical graphs", Proc. Cambridge Philos. Soc. 43, 1947; of biregular graphs the generalized
    polygons have the largest.)

    Example:
        >>> from prewired import generators
        >>> girth(generators.rotating(5, 5, fan_in=2)), girth(generators.rotating(5, 5, fan_in=1))
        (10.0, inf)
    """
    best, searched = _lone_cycles(t)
    by_output = scipy.sparse.csr_array((np.ones(t.n_edges, np.int32), t.indices, t.indptr), shape=(t.n_out, t.n_in))
    sides = _Side(by_output, t.fan_in), _Side(by_output.T.tocsr(), t.fan_out)
    two, three = (
        [np.flatnonzero(inside & (side.degrees >= least)) for side, inside in zip(sides, searched, strict=True)]
        for least in (2, 3)
    )
    none = np.empty(0, np.int64)
    choices = [(two[0], none), (none, two[1]), (three[0], three[1])]
    roots = min(choices, key=lambda choice: len(choice[0]) + len(choice[1]))
    for here, there, these in ((*sides, roots[0]), (*reversed(sides), roots[1])):
        for start in range(0, len(these), _ROOTS):
            best = _shortest(here, there, these[start : start + _ROOTS], best)
    return best


def latapy_clustering(t: Topology, *, mode: Literal["dot", "min", "max"] = "dot") -> float:
    """Mean over all units of how far each shares its neighbours with those that it shares any with, in [0, 1].

    For two units u, v of one side with a common neighbour, c(u, v) = |N(u) & N(v)| / |N(u) | N(v)| (mode "dot"), or
    over the smaller ("min") or larger ("max") of the two degrees. A unit's coefficient is the mean of c over all such
    v, 0 if it has none; the metric is the mean over inputs and outputs together. 1 for the dense graph (two units at
    least on each side), 0 without edges. As networkx's `bipartite.clustering`, averaged.

    Time grows with the wedges of both sides, sum C(fan_in, 2) + sum C(fan_out, 2): minutes for 1,000,000 x 1,000,000
    at fan-in 32, but long where one unit has a million edges. Memory: that of the edges and some 200 MB.
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
        raise ValueError(f'expected a mode among "dot", "min" and "max", got {mode!r}; "dot" is the usual')
    return float(sum(_coefficients(side, mode).sum() for side in (t, t.transpose())) / (t.n_in + t.n_out))


def robins_alexander_clustering(t: Topology) -> float:
    """Share of the paths of three edges that a fourth edge closes, in [0, 1]: 4 c4 / l3.

    c4 is `four_cycles`, each of which holds four such paths, and l3 = sum over edges of (fan_in - 1) (fan_out - 1) the
    number of paths. 1 for the dense graph (two units at least on each side); 0 where there is no such path, as in
    stars, matchings and without edges. Cost: that of `four_cycles`. (Robins and Alexander, "Small worlds among
    interlocking directors", 2004.)

    Example:
        >>> from prewired import generators
        >>> robins_alexander_clustering(generators.dense(3, 4))
        1.0
    """
    at_inputs = np.bincount(t.indices, np.repeat(t.fan_in - 1, t.fan_in), minlength=t.n_in)
    paths = float(at_inputs @ (t.fan_out - 1))
    return 4.0 * four_cycles(t) / paths if paths else 0.0


class _Pairs(NamedTuple):
    """Pairs of outputs, first < second, and how many inputs each pair shares; all int64."""

    first: np.ndarray
    second: np.ndarray
    shared: np.ndarray


def _wedges(degrees: np.ndarray) -> int:
    return int((degrees * (degrees - 1) // 2).sum())


def _sharing_pairs(t: Topology) -> Iterator[_Pairs]:
    """All pairs of outputs that share an input, each once, in batches by the first of the pair, none empty."""
    # A cell of a matrix product costs far less than a wedge. Single precision counts exactly up to 2^24.
    small = t.n_in * t.n_out <= _DENSE_CELLS and t.n_in <= 1 << 24
    products = small and t.n_out**2 * (t.n_in + 256) < 512 * _wedges(t.fan_out)
    return (pairs for pairs in (_by_products(t) if products else _by_wedges(t)) if len(pairs.first))


def _by_products(t: Topology) -> Iterator[_Pairs]:
    b = t.biadjacency().astype(np.float32).toarray()
    rows = max(_ROW_CELLS // t.n_out, 1)
    for start in range(0, t.n_out, rows):
        overlaps = np.triu(b[start : start + rows] @ b[start:].T, 1)
        first, second = np.nonzero(overlaps)
        yield _Pairs(first + start, second + start, overlaps[first, second].astype(np.int64))


def _by_wedges(t: Topology) -> Iterator[_Pairs]:
    """Sort the wedges of some outputs at a time: each is a pair of outputs, and equal pairs are counted."""
    edges = np.arange(t.n_edges, dtype=np.int32 if t.n_edges < 2**31 else np.int64)
    by_input: Any = scipy.sparse.csr_array((edges, t.indices, t.indptr), shape=(t.n_out, t.n_in)).tocsc()
    place = np.empty_like(edges)
    place[by_input.data] = edges
    outputs, ends = by_input.indices, by_input.indptr[1:]
    del by_input
    # An output's partners at an input are the outputs after it in the input's list: so each pair comes once.
    until = np.append(0, np.cumsum(ends[t.indices] - place - 1))[t.indptr]
    for start, stop in even_chunks(np.diff(until), _WEDGES):
        mine = slice(t.indptr[start], t.indptr[stop])
        rows = np.repeat(np.arange(stop - start) * t.n_out, np.diff(until[start : stop + 1]))
        keys = rows + outputs[ranges(place[mine] + 1, ends[t.indices[mine]] - place[mine] - 1)]
        keys = np.sort(keys.astype(np.min_scalar_type((stop - start) * t.n_out)))
        last = np.flatnonzero(np.append(keys[1:] != keys[:-1], True)[: len(keys)])
        first, second = np.divmod(keys[last], keys.dtype.type(t.n_out))
        yield _Pairs(first.astype(np.int64) + start, second.astype(np.int64), np.diff(last, prepend=-1))


def _coefficients(t: Topology, mode: str) -> np.ndarray:
    """Latapy's clustering coefficient of every output, (n_out,)."""
    total, partners = np.zeros(t.n_out), np.zeros(t.n_out)
    for first, second, shared in _sharing_pairs(t):
        one, other = t.fan_in[first], t.fan_in[second]
        if mode == "dot":
            share = shared / (one + other - shared)
        else:
            share = shared / (np.minimum(one, other) if mode == "min" else np.maximum(one, other))
        low = first[0]
        here = np.bincount(first - low, share)
        total[low : low + len(here)] += here
        partners[low : low + len(here)] += np.bincount(first - low)
        np.add.at(total, second, share)
        np.add.at(partners, second, 1.0)
    return total / np.maximum(partners, 1)


class _Side(NamedTuple):
    """The biadjacency matrix with a row for each unit of one side, and their degrees."""

    matrix: Any
    degrees: np.ndarray


def _lone_cycles(t: Topology) -> tuple[float, tuple[np.ndarray, np.ndarray]]:
    """Length of the shortest component that is a cycle and nothing else, infinity if there is none.

    And which outputs, which inputs lie in a component that has cycles and is more than one.
    """
    count, input_labels, output_labels = component_labels(t)
    units = np.bincount(input_labels, minlength=count) + np.bincount(output_labels, minlength=count)
    edges = np.bincount(output_labels, t.fan_in, minlength=count)
    branched = np.zeros(count, bool)
    branched[output_labels[t.fan_in > 2]] = True
    branched[input_labels[t.fan_out > 2]] = True
    lone = (edges == units) & ~branched
    searched = (edges >= units) & branched
    return float(min(units[lone], default=inf)), (searched[output_labels], searched[input_labels])


def _shortest(here: _Side, there: _Side, roots: np.ndarray, best: float) -> float:
    """The least of `best` and the lengths of the cycles through roots, which are rows of `here`.

    walks[r, v] = number of walks of m steps from root r to v that never turn back. A step multiplies by the adjacency
    matrix and takes away the walks that turn back, which are those of m - 1 steps times the other edges of their end.
    While all are 0 or 1 the surroundings of the roots are trees; a 2 at m steps is a cycle of at most 2m edges.
    """
    n = len(roots)
    start = scipy.sparse.csr_array((np.ones(n, np.int32), roots, np.arange(n + 1)), shape=(n, here.matrix.shape[0]))
    waiting = [(1, start, here.matrix[roots])]
    while waiting:
        m, before, walks = waiting.pop()
        if 2 * (m + 1) >= best:
            continue
        side, turn = (there, here) if m % 2 else (here, there)
        n = walks.shape[0]
        if n > 1 and side.degrees[walks.indices].sum() > _WALKS:
            waiting += [(m, before[n // 2 :], walks[n // 2 :]), (m, before[: n // 2], walks[: n // 2])]
            continue
        others = (turn.degrees - (m > 1)).astype(np.int32)
        back = scipy.sparse.csr_array((others[before.indices], before.indices, before.indptr), shape=before.shape)
        after = scipy.sparse.csr_array(walks @ side.matrix - back)
        if after.nnz and after.data.max() > 1:
            best = 2.0 * (m + 1)
        elif after.nnz:
            waiting.append((m + 1, walks, after))
    return best
