"""Random graphs in which every single degree is given."""

from collections.abc import Sequence

import numpy as np

from ..random_bits import RandomBits
from ..topology import csr_from_cells
from ._internal.edge_swaps import Rows, configuration, untangle
from ._internal.registry import Edges, family
from .random import complement

_ROUNDS = 500
_SWEEPS = 32


@family
def degree_sequence(n_in: int, n_out: int, *, fan_ins: Sequence[int], fan_outs: Sequence[int], seed: int) -> Edges:
    """A random graph in which every single degree is given.

    Stubs are matched at random (the configuration model) and parallel edges removed by double-edge swaps, which keep
    every degree; above one half of all edges the complement is drawn. So the graph is nearly, not exactly, uniform
    among those with its degrees. Sequences that leave so little freedom that 500 rounds of swaps do not end are met by
    Ryser's graph (1957) instead, which exists whenever any does, shuffled by 32 sweeps of swaps.
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
    return drawn(_degrees("fan_ins", fan_ins, n_out), _degrees("fan_outs", fan_outs, n_in), seed, "degree_sequence")


def drawn(fan_ins: np.ndarray, fan_outs: np.ndarray, seed: int, label: str) -> Edges:
    """A random simple graph with these degrees; see `degree_sequence`."""
    _check_graphical(fan_ins, fan_outs)
    n_in, n_out, bits = len(fan_outs), len(fan_ins), RandomBits(seed, label)
    if 2 * fan_ins.sum() > n_in * n_out:
        return complement(n_in, *_peeled(n_in - fan_ins, n_out - fan_outs, bits))
    return _peeled(fan_ins, fan_outs, bits)


def _peeled(fan_ins: np.ndarray, fan_outs: np.ndarray, bits: RandomBits) -> Edges:
    """Vertices joined to everything are settled first: swaps would hardly find their last edges."""
    n_in, n_out = len(fan_outs), len(fan_ins)
    everywhere = fan_outs == n_out
    greedy = ~everywhere.all() & (fan_ins == n_in)
    if not (everywhere.any() or greedy.any()):
        return _matched(fan_ins, fan_outs, bits)
    outs, ins = np.flatnonzero(~greedy), np.flatnonzero(~everywhere)
    indptr, inner = _matched(fan_ins[outs] - everywhere.sum(), fan_outs[ins] - greedy.sum(), bits)
    cells = [
        outs[np.repeat(np.arange(len(outs)), np.diff(indptr))] * n_in + ins[inner],
        (outs[:, None] * n_in + np.flatnonzero(everywhere)).reshape(-1),
        (np.flatnonzero(greedy)[:, None] * n_in + np.arange(n_in)).reshape(-1),
    ]
    return csr_from_cells(n_in, n_out, np.sort(np.concatenate(cells)))


def _matched(fan_ins: np.ndarray, fan_outs: np.ndarray, bits: RandomBits) -> Edges:
    rows = configuration(len(fan_outs), fan_ins, fan_outs, bits)
    if not untangle(rows, bits, _ROUNDS):
        rows = _ryser(fan_ins, fan_outs)
        half = len(rows.inputs) // 2
        for _ in range(_SWEEPS):
            order = bits.permutation(len(rows.inputs))
            rows.swap(order[:half], order[-half:])
    return rows.edges()


def _ryser(fan_ins: np.ndarray, fan_outs: np.ndarray) -> Rows:
    """The outputs, largest fan-in first, each read the inputs that have most edges left; O(edges).

    Inputs stand in descending order of edges left; where the last ones taken are tied, those at the end of the tie are
    taken, which keeps the order.
    """
    indptr, inputs = np.append(0, np.cumsum(fan_ins)), np.empty(fan_ins.sum(), np.int32)
    order = np.argsort(-fan_outs, kind="stable")
    owed = -fan_outs[order]
    for output in np.argsort(-fan_ins, kind="stable"):
        if k := fan_ins[output]:
            tie, end = (int(np.searchsorted(owed, owed[k - 1], side=side)) for side in ("left", "right"))
            first, last = slice(0, tie), slice(end - k + tie, end)
            inputs[indptr[output] : indptr[output + 1]] = np.append(order[first], order[last])
            owed[first] += 1
            owed[last] += 1
    return Rows(len(fan_outs), indptr, inputs)


def _check_graphical(fan_ins: np.ndarray, fan_outs: np.ndarray) -> None:
    """The theorem of Gale and Ryser: the k largest fan-ins never exceed the sum of min(fan_out, k)."""
    if fan_ins.sum() != fan_outs.sum():
        raise ValueError(
            f"expected fan_ins and fan_outs with the same sum, got {fan_ins.sum()} and {fan_outs.sum()}; "
            "change one side"
        )
    at_least = np.bincount(np.minimum(fan_outs, len(fan_ins)), minlength=len(fan_ins) + 1)[::-1].cumsum()[::-1]
    wanted, room = np.cumsum(-np.sort(-fan_ins)), np.cumsum(at_least[1:])
    short = np.flatnonzero(wanted > room)
    if len(short) or fan_outs.max() > len(fan_ins):
        k = int(short[0]) + 1 if len(short) else 1
        raise ValueError(
            f"expected degrees that a simple graph can have, got {k} outputs that want {wanted[k - 1]} edges where the "
            f"fan-outs leave room for {room[k - 1]}; make the largest degrees smaller"
        )


def _degrees(name: str, values: Sequence[int], n: int) -> np.ndarray:
    degrees = np.asarray(values)
    if degrees.shape != (n,) or not np.issubdtype(degrees.dtype, np.integer) or (degrees < 0).any():
        raise ValueError(f"expected {name} as {n} integers >= 0, got {np.array2string(degrees, threshold=8)}")
    return degrees.astype(np.int64)
