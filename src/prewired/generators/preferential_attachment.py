"""Preferential attachment: vertices with many edges get more."""

import numpy as np

from ..random_bits import RandomBits
from ..topology import csr_from_cells
from ._internal import sizes
from ._internal.registry import Edges, family

_ROUNDS = 32


@family
def barabasi_albert(
    n_in: int,
    n_out: int,
    *,
    fan_in: int | None = None,
    density: float | None = None,
    n_edges: int | None = None,
    seed: int,
) -> Edges:
    """Bipartite preferential attachment: scale-free degrees on both sides, with an exponent near 3.

    Inputs and outputs arrive in turn, spread evenly over time, and each brings its share of the edges (shares differ by
    at most one). Every edge leads to a vertex of the other side with probability in proportion to its degree, by taking
    that end of an earlier edge drawn at random (after Barabasi and Albert, "Emergence of scaling in random networks",
    Science 286, 1999; in O(edges) as Batagelj and Brandes, 2005). Parallel edges are replaced by new edges, both ends
    in proportion to degree. Those that are left after 32 rounds, in dense graphs, go to uniformly random empty cells.
    Finally the vertices of each side are numbered at random.

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in: mean number of inputs per output: exactly n_out * fan_in edges.
        density: share of edges instead of fan_in, in (0, 1]: exactly round(density * n_in * n_out) edges.
        n_edges: number of edges instead of fan_in.
        seed: integer >= 0.

    Returns:
        A Topology with exactly that many edges.

    Raises:
        ValueError: if the request is impossible, or not exactly one of fan_in, density and n_edges is given.

    Example:
        >>> t = barabasi_albert(100, 100, fan_in=4, seed=0)
        >>> t.n_edges, t.fan_in.max() > 12, t.fan_out.max() > 12
        (400, np.True_, np.True_)
    """
    n_edges = sizes.edge_count(n_in, n_out, fan_in, density, n_edges)
    bits = RandomBits(seed, "barabasi_albert")
    outputs, inputs = _attach_edges(n_in, n_out, n_edges, bits)
    cells = _sort_distinct(outputs * n_in + inputs)
    for _ in range(_ROUNDS):
        if not (missing := n_edges - len(cells)):
            break
        again = outputs[bits.integers(n_edges, missing)] * n_in + inputs[bits.integers(n_edges, missing)]
        again = _sort_distinct(again)
        at = np.searchsorted(cells, again)
        fresh = np.append(cells, -1)[at] != again
        cells = np.insert(cells, at[fresh], again[fresh])
    holes = bits.sample(n_in * n_out - len(cells), n_edges - len(cells))
    cells = np.append(cells, holes + np.searchsorted(cells - np.arange(len(cells)), holes, side="right"))
    outputs, inputs = np.divmod(cells, n_in)
    cells = bits.permutation(n_out)[outputs] * n_in + bits.permutation(n_in)[inputs]
    return csr_from_cells(n_in, n_out, np.sort(cells))


def _attach_edges(n_in: int, n_out: int, n_edges: int, bits: RandomBits) -> tuple[np.ndarray, np.ndarray]:
    """Return outputs and inputs of the edges by arrival, perhaps parallel; edge 0 joins output 0 to input 0."""
    arrivals = np.concatenate([np.arange(1, n_in) * n_out, np.arange(1, n_out) * n_in])  # time 0 to n_in * n_out
    is_output = np.repeat([False, True], [n_in - 1, n_out - 1])
    number = np.concatenate([np.arange(1, n_in), np.arange(1, n_out)])
    order = np.argsort(arrivals, kind="stable")
    shares = sizes.split_evenly(len(order), n_edges - 1, bits) if len(order) else order
    by_output = np.append(True, np.repeat(is_output[order], shares))
    source = np.append(0, np.repeat(number[order], shares))
    start = 1 + np.cumsum(shares) - shares
    earlier = np.append(0, bits.integers_below(np.repeat(start, shares)))
    # The end of an earlier edge on the other side: if the earlier edge came from the same side, its far end was itself
    # chosen as the end of a still earlier edge. So follow the chain until an edge from the other side, or edge 0.
    ends = earlier.copy()
    going = np.flatnonzero((by_output[ends] == by_output) & (ends > 0))
    while len(going):
        ends[going] = earlier[ends[going]]
        going = going[(by_output[ends[going]] == by_output[going]) & (ends[going] > 0)]
    target = np.where(by_output[ends] != by_output, source[ends], 0)
    return np.where(by_output, source, target), np.where(by_output, target, source)


def _sort_distinct(cells: np.ndarray) -> np.ndarray:
    cells = np.sort(cells)
    return cells[np.append(True, cells[1:] != cells[:-1])[: len(cells)]]
