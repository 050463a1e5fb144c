"""Random graphs in which every single degree is given."""

from collections.abc import Sequence

import numpy as np

from ..random_bits import RandomBits
from ..topology import csr_from_cells
from ._internal.edge_swaps import Rows, match_stubs, untangle
from ._internal.registry import Edges, family
from .random import complement

_ROUNDS = 500
_SWEEPS = 32


@family
def degree_sequence(n_in: int, n_out: int, *, fan_ins: Sequence[int], fan_outs: Sequence[int], seed: int) -> Edges:
    """A random graph in which every single degree is given.

    Stubs are matched at random (the configuration model) and parallel edges removed by double-edge swaps, which keep
    every degree; above one half of all edges the complement is drawn. So the graph is nearly, not exactly, uniform
    among those with its degrees. If parallel edges are left after 500 rounds of swaps, because the degrees leave little
    freedom, Ryser's graph (1957) is built instead and shuffled by 32 sweeps of swaps. It exists if any graph does.
    Exists for all degrees that a simple graph can have.

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_ins: the fan-in of every output, n_out integers.
        fan_outs: the fan-out of every input, n_in integers with the same sum.
        seed: integer >= 0.

    Returns:
        A simple Topology with exactly these degrees.

    Raises:
        ValueError: if no simple graph has these degrees (Gale and Ryser, 1957).

    Example:
        >>> t = degree_sequence(4, 3, fan_ins=[3, 1, 2], fan_outs=[2, 1, 1, 2], seed=0)
        >>> t.fan_in.tolist(), t.fan_out.tolist()
        ([3, 1, 2], [2, 1, 1, 2])
    """
    return draw_graph(
        _check_degrees("fan_ins", fan_ins, n_out), _check_degrees("fan_outs", fan_outs, n_in), seed, "degree_sequence"
    )


def draw_graph(fan_ins: np.ndarray, fan_outs: np.ndarray, seed: int, label: str) -> Edges:
    """Draw a random simple graph with these degrees; see `degree_sequence`."""
    _check_graphical(fan_ins, fan_outs)
    n_in, n_out, bits = len(fan_outs), len(fan_ins), RandomBits(seed, label)
    # In a graph more than half full almost every swap meets a taken cell. Its complement has room.
    if 2 * fan_ins.sum() > n_in * n_out:
        return complement(n_in, *_settle_full_vertices(n_in - fan_ins, n_out - fan_outs, bits))
    return _settle_full_vertices(fan_ins, fan_outs, bits)


def _settle_full_vertices(fan_ins: np.ndarray, fan_outs: np.ndarray, bits: RandomBits) -> Edges:
    """Draw a graph in which the vertices that are joined to every vertex of the other side are settled first.

    Random matching and swaps would hardly find the last edges of such vertices. Their edges are known: the rest of the
    graph has these vertices removed, and the degrees of all others lowered accordingly (peeling).
    """
    n_in, n_out = len(fan_outs), len(fan_ins)
    everywhere = fan_outs == n_out
    greedy = ~everywhere.all() & (fan_ins == n_in)
    if not (everywhere.any() or greedy.any()):
        return _match_degrees(fan_ins, fan_outs, bits)
    outs, ins = np.flatnonzero(~greedy), np.flatnonzero(~everywhere)
    indptr, inner = _match_degrees(fan_ins[outs] - everywhere.sum(), fan_outs[ins] - greedy.sum(), bits)
    cells = [
        outs[np.repeat(np.arange(len(outs)), np.diff(indptr))] * n_in + ins[inner],
        (outs[:, None] * n_in + np.flatnonzero(everywhere)).reshape(-1),
        (np.flatnonzero(greedy)[:, None] * n_in + np.arange(n_in)).reshape(-1),
    ]
    return csr_from_cells(n_in, n_out, np.sort(np.concatenate(cells)))


def _match_degrees(fan_ins: np.ndarray, fan_outs: np.ndarray, bits: RandomBits) -> Edges:
    """Draw a simple graph: match stubs and untangle; if that fails, shuffle Ryser's graph."""
    rows = match_stubs(len(fan_outs), fan_ins, fan_outs, bits)
    if not untangle(rows, bits, _ROUNDS):
        rows = _build_ryser_graph(fan_ins, fan_outs)
        half = len(rows.inputs) // 2
        for _ in range(_SWEEPS):
            # Disjoint random pairs: every edge is proposed once per sweep.
            order = bits.permutation(len(rows.inputs))
            rows.swap(order[:half], order[-half:])
    return rows.to_csr()


def _build_ryser_graph(fan_ins: np.ndarray, fan_outs: np.ndarray) -> Rows:
    """Build a graph with these degrees greedily; O(edges).

    The outputs come in descending order of fan-in. Each reads the inputs that have most edges left. Ryser proved that
    this never gets stuck if a graph with these degrees exists.
    """
    indptr, inputs = np.append(0, np.cumsum(fan_ins)), np.empty(fan_ins.sum(), np.int32)
    order = np.argsort(-fan_outs, kind="stable")
    owed = -fan_outs[order]  # minus the edges left of each input, ascending
    for output in np.argsort(-fan_ins, kind="stable"):
        if k := fan_ins[output]:
            # Of the inputs that tie for the last places, the last ones are taken. So the array stays sorted when their
            # edges are counted, and no new sort is needed.
            tie, end = (int(np.searchsorted(owed, owed[k - 1], side=side)) for side in ("left", "right"))
            first, last = slice(0, tie), slice(end - k + tie, end)
            inputs[indptr[output] : indptr[output + 1]] = np.append(order[first], order[last])
            owed[first] += 1
            owed[last] += 1
    return Rows(len(fan_outs), indptr, inputs)


def _check_graphical(fan_ins: np.ndarray, fan_outs: np.ndarray) -> None:
    """Raise ValueError unless a simple graph has these degrees.

    Theorem of Gale and Ryser: there is a graph if and only if, for every k, the k largest fan-ins sum to at most the
    sum of min(fan_out, k) over all inputs, and both sides have the same sum.
    """
    if fan_ins.sum() != fan_outs.sum():
        raise ValueError(
            f"expected fan_ins and fan_outs with the same sum, got {fan_ins.sum()} and {fan_outs.sum()}; "
            "change one side"
        )
    at_least = np.bincount(np.minimum(fan_outs, len(fan_ins)), minlength=len(fan_ins) + 1)[::-1].cumsum()[::-1]
    # at_least[k] is the number of inputs with fan-out >= k; summing up to k gives the sum of min(fan_out, k).
    demand, room = np.cumsum(-np.sort(-fan_ins)), np.cumsum(at_least[1:])
    short = np.flatnonzero(demand > room)
    if len(short) or fan_outs.max() > len(fan_ins):
        k = int(short[0]) + 1 if len(short) else 1
        raise ValueError(
            f"expected degrees that a simple graph can have, got {k} outputs that want {demand[k - 1]} edges where the "
            f"fan-outs leave room for {room[k - 1]}; make the largest degrees smaller"
        )


def _check_degrees(name: str, values: Sequence[int], n: int) -> np.ndarray:
    """Return the degrees as int64; raises ValueError unless they are n integers >= 0."""
    degrees = np.asarray(values)
    if degrees.shape != (n,) or not np.issubdtype(degrees.dtype, np.integer) or (degrees < 0).any():
        raise ValueError(f"expected {name} as {n} integers >= 0, got {np.array2string(degrees, threshold=8)}")
    return degrees.astype(np.int64)
