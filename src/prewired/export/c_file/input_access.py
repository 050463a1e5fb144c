"""How a layer written in C finds the inputs of its outputs: by a rule, from gaps, or from a table of indices."""

from typing import NamedTuple

import numpy as np

from ...topology import Topology
from ..layers import Layer

WAYS = ("rule", "gaps", "table")


class Wiring(NamedTuple):
    """The wiring of a layer as its C code has it.

    Attributes:
        way: "none" of a dense layer, or one of WAYS: "rule", where every output reads translates of one list of
            offsets; "gaps", about a byte an edge: the inputs skipped since the edge before; "table", an index an edge.
        order: (n_edges,) the edges in the order in which the code reads their weights.
        fan_in: of every output, or -1 where they differ.
        tables: what the file holds, each in the fewest bytes: fan_ins, offsets, bases, inputs, gaps.
        shift: of a rule without bases: output j starts at input (floor(j * n_in / n_out) + shift) mod n_in.
        wraps: of a rule: whether an input may lie beyond the last, and so at the beginning.
    """

    way: str
    order: np.ndarray
    fan_in: int
    tables: dict[str, np.ndarray]
    shift: int = 0
    wraps: bool = False


def wiring(layer: Layer, indices: str) -> Wiring:
    """The wiring of a layer, in the way asked for, or with "auto" in the way of fewest bytes; dense ones need none.

    Raises:
        ValueError: if a rule is asked for and there is none.

    Example:
        >>> from prewired import generators
        >>> from prewired.nn.linear import SparseLinear
        >>> from prewired.export.layers import layers
        >>> (layer,) = layers(SparseLinear(generators.circulant(9, 9, offsets=[0, 1, 2, 4])))
        >>> wiring(layer, "auto").tables
        {'offsets': array([0, 1, 2, 4], dtype=uint8)}
    """
    t = layer.topology
    if t is None or t.n_edges == t.n_in * t.n_out:
        return Wiring("none", np.arange(layer.n_in * layer.n_out), layer.n_in, {})
    if indices == "rule":
        found = _rule(t)
        if found is None:
            raise ValueError(
                f"expected outputs that all read translates of one list of inputs for indices='rule', got layer "
                f"{layer.name}, {t}; take indices='auto', which keeps its wiring in the fewest bytes"
            )
        return found
    if indices != "auto":
        return _table(t) if indices == "table" else _gaps(t)
    found = [_rule(t), _table(t), _gaps(t) if _bytes_of_gaps(t) < t.n_edges * t.indices.itemsize else None]
    return min((one for one in found if one is not None), key=n_bytes)


def n_bytes(wiring: Wiring) -> int:
    """Bytes of the tables."""
    return sum(table.nbytes for table in wiring.tables.values())


def _rule(t: Topology) -> Wiring | None:
    """The rule that all edges follow, or None; found in the edges, whatever the recipe says."""
    fan_in = t.n_edges // t.n_out
    if fan_in == 0 or (t.fan_in != fan_in).any():
        return None
    inputs = t.indices.reshape(t.n_out, fan_in).astype(np.int64)
    gaps = _cyclic_gaps(inputs[0], t.n_in)
    start = int(inputs[0, (np.argmax(gaps) + 1) % fan_in])  # behind the largest gap, so that a window is 0, 1, 2, ...
    offsets = np.sort((inputs[0] - start) % t.n_in)
    bases, stored = (np.arange(t.n_out) * t.n_in // t.n_out + start) % t.n_in, {}
    if not _follow(inputs, bases, offsets, t.n_in).all():
        bases = _bases(inputs, offsets, t.n_in)
        if bases is None:
            return None
        stored = {"bases": smallest(bases)}
    if offsets[-1] >= fan_in:
        stored["offsets"] = smallest(offsets)
    order = np.argsort((inputs - bases[:, None]) % t.n_in, axis=1) + np.arange(t.n_out)[:, None] * fan_in
    wraps = bool(bases.max() + offsets[-1] >= t.n_in)
    return Wiring("rule", order.reshape(-1), fan_in, stored, 0 if "bases" in stored else start, wraps)


def _bases(inputs: np.ndarray, offsets: np.ndarray, n_in: int) -> np.ndarray | None:
    """Where the offsets start for each output, or None where some output reads anything else."""
    gaps = np.sort(_cyclic_gaps(inputs, n_in))
    if (gaps != gaps[0]).any():
        return None
    bases = np.full(len(inputs), -1)
    for offset in offsets:  # the first input of an output is its base and one of the offsets
        left = np.flatnonzero(bases < 0)
        tried = (inputs[left, 0] - offset) % n_in
        good = _follow(inputs[left], tried, offsets, n_in)
        bases[left[good]] = tried[good]
    return None if (bases < 0).any() else bases


def _cyclic_gaps(inputs: np.ndarray, n_in: int) -> np.ndarray:
    return np.diff(inputs, axis=-1, append=inputs[..., :1] + n_in)


def _follow(inputs: np.ndarray, bases: np.ndarray, offsets: np.ndarray, n_in: int) -> np.ndarray:
    """Whether each row of inputs is its base and the offsets, mod n_in."""
    return (np.sort((inputs - bases[:, None]) % n_in, axis=1) == offsets).all(axis=1)


def _table(t: Topology) -> Wiring:
    return _listed(t, "table", {"inputs": smallest(t.indices)})


def _gaps(t: Topology) -> Wiring:
    """Bytes that add up to the inputs skipped, where 255 says that the next byte belongs to the same gap."""
    skipped = _skipped(t)
    gaps = np.full(_bytes_of_gaps(t), 255, np.uint8)
    gaps[np.cumsum(skipped // 255 + 1) - 1] = skipped % 255
    return _listed(t, "gaps", {"gaps": gaps})


def _bytes_of_gaps(t: Topology) -> int:
    return int((_skipped(t) // 255 + 1).sum())


def _skipped(t: Topology) -> np.ndarray:
    """(n_edges,) the inputs between an edge and the one before at the same output, or the first input."""
    skipped = np.diff(t.indices, prepend=-1) - 1
    starts = t.indptr[:-1][t.fan_in > 0]
    skipped[starts] = t.indices[starts]
    return skipped


def _listed(t: Topology, way: str, tables: dict[str, np.ndarray]) -> Wiring:
    constant = len({*t.fan_in.tolist()}) == 1
    fan_ins = {} if constant else {"fan_ins": smallest(t.fan_in)}
    return Wiring(way, np.arange(t.n_edges), int(t.fan_in[0]) if constant else -1, fan_ins | tables)


def smallest(values: np.ndarray) -> np.ndarray:
    """Integers of at least 0 in the unsigned type of fewest bytes."""
    return values.astype(np.min_scalar_type(values.max(initial=0)))
