"""Choose how the C code of a layer finds the inputs of an output: by a rule, from gaps, or from a table of indices."""

from typing import NamedTuple

import numpy as np

from ...topology import Topology
from ..layer_chain import Layer

WAYS = ("rule", "gaps", "table")


class Wiring(NamedTuple):
    """The wiring of a layer in its C code.

    Attributes:
        way: "none" for a dense layer, or one of WAYS. "rule": every output reads the same list of offsets from its own
            base. "gaps": about one byte per edge, the number of inputs skipped since the previous edge. "table": one
            index per edge.
        order: (n_edges,) the edges in the order in which the code reads their weights.
        fan_in: of every output; -1 if the outputs differ.
        tables: name -> array in the smallest type; the names are fan_ins, offsets, bases, inputs and gaps.
        shift: for a rule without bases: the base of output j is input (floor(j * n_in / n_out) + shift) mod n_in.
        wraps: for a rule: whether base plus offset may exceed the last input and continue at the first.
    """

    way: str
    order: np.ndarray
    fan_in: int
    tables: dict[str, np.ndarray]
    shift: int = 0
    wraps: bool = False


def find_wiring(layer: Layer, indices: str) -> Wiring:
    """Find the wiring of a layer in one of WAYS, or with "auto" in the way of fewest bytes; dense layers have "none".

    Raises:
        ValueError: if indices="rule" and the layer follows no rule.

    Example:
        >>> from prewired import generators
        >>> from prewired.nn.linear import SparseLinear
        >>> from prewired.export.layer_chain import list_layers
        >>> (layer,) = list_layers(SparseLinear(generators.circulant(9, 9, offsets=[0, 1, 2, 4])))
        >>> find_wiring(layer, "auto").tables
        {'offsets': array([0, 1, 2, 4], dtype=uint8)}
    """
    t = layer.topology
    if t is None or t.n_edges == t.n_in * t.n_out:
        return Wiring("none", np.arange(layer.n_in * layer.n_out), layer.n_in, {})
    if indices == "rule":
        rule = _find_rule(t)
        if rule is None:
            raise ValueError(
                f"expected outputs that all read translates of one list of inputs for indices='rule', got layer "
                f"{layer.name}, {t}; take indices='auto', which keeps its wiring in the fewest bytes"
            )
        return rule
    if indices != "auto":
        return _index_table(t) if indices == "table" else _gap_table(t)
    gaps_are_small = _count_gap_bytes(t) < t.n_edges * t.indices.itemsize
    options = [_find_rule(t), _index_table(t), _gap_table(t) if gaps_are_small else None]
    return min((option for option in options if option is not None), key=n_bytes)


def n_bytes(wiring: Wiring) -> int:
    """Bytes of all tables."""
    return sum(table.nbytes for table in wiring.tables.values())


def _find_rule(t: Topology) -> Wiring | None:
    """Find a rule that all edges follow; None if there is none. The recipe is not used."""
    fan_in = t.n_edges // t.n_out
    if fan_in == 0 or (t.fan_in != fan_in).any():
        return None
    inputs = t.indices.reshape(t.n_out, fan_in).astype(np.int64)
    gaps = _cyclic_gaps(inputs[0], t.n_in)
    start = int(inputs[0, (np.argmax(gaps) + 1) % fan_in])  # behind the largest gap, so that a window is 0, 1, 2, ...
    offsets = np.sort((inputs[0] - start) % t.n_in)
    bases, tables = (np.arange(t.n_out) * t.n_in // t.n_out + start) % t.n_in, {}
    if not _match_rule(inputs, bases, offsets, t.n_in).all():
        bases = _find_bases(inputs, offsets, t.n_in)
        if bases is None:
            return None
        tables = {"bases": to_smallest_type(bases)}
    if offsets[-1] >= fan_in:
        tables["offsets"] = to_smallest_type(offsets)
    order = np.argsort((inputs - bases[:, None]) % t.n_in, axis=1) + np.arange(t.n_out)[:, None] * fan_in
    wraps = bool(bases.max() + offsets[-1] >= t.n_in)
    return Wiring("rule", order.reshape(-1), fan_in, tables, 0 if "bases" in tables else start, wraps)


def _find_bases(inputs: np.ndarray, offsets: np.ndarray, n_in: int) -> np.ndarray | None:
    """Find the base of each output, (n_out,); None if an output does not read the offsets from any base."""
    gaps = np.sort(_cyclic_gaps(inputs, n_in))
    if (gaps != gaps[0]).any():
        return None
    bases = np.full(len(inputs), -1)
    for offset in offsets:  # the first input of an output is its base plus one of the offsets, mod n_in
        unmatched = np.flatnonzero(bases < 0)
        candidates = (inputs[unmatched, 0] - offset) % n_in
        matches = _match_rule(inputs[unmatched], candidates, offsets, n_in)
        bases[unmatched[matches]] = candidates[matches]
    return None if (bases < 0).any() else bases


def _cyclic_gaps(inputs: np.ndarray, n_in: int) -> np.ndarray:
    return np.diff(inputs, axis=-1, append=inputs[..., :1] + n_in)


def _match_rule(inputs: np.ndarray, bases: np.ndarray, offsets: np.ndarray, n_in: int) -> np.ndarray:
    """Whether each row of inputs equals its base plus the offsets, mod n_in."""
    return (np.sort((inputs - bases[:, None]) % n_in, axis=1) == offsets).all(axis=1)


def _index_table(t: Topology) -> Wiring:
    return _edge_by_edge(t, "table", {"inputs": to_smallest_type(t.indices)})


def _gap_table(t: Topology) -> Wiring:
    """Store the number of inputs skipped before each edge in bytes; 255 means that the next byte continues the gap."""
    skips = _count_skipped(t)
    gaps = np.full(_count_gap_bytes(t), 255, np.uint8)
    gaps[np.cumsum(skips // 255 + 1) - 1] = skips % 255
    return _edge_by_edge(t, "gaps", {"gaps": gaps})


def _count_gap_bytes(t: Topology) -> int:
    return int((_count_skipped(t) // 255 + 1).sum())


def _count_skipped(t: Topology) -> np.ndarray:
    """The number of inputs skipped before each edge, (n_edges,), counted from the output's previous edge."""
    skips = np.diff(t.indices, prepend=-1) - 1
    starts = t.indptr[:-1][t.fan_in > 0]
    skips[starts] = t.indices[starts]
    return skips


def _edge_by_edge(t: Topology, way: str, tables: dict[str, np.ndarray]) -> Wiring:
    constant = len({*t.fan_in.tolist()}) == 1
    fan_ins = {} if constant else {"fan_ins": to_smallest_type(t.fan_in)}
    return Wiring(way, np.arange(t.n_edges), int(t.fan_in[0]) if constant else -1, fan_ins | tables)


def to_smallest_type(values: np.ndarray) -> np.ndarray:
    """Convert integers >= 0 to the unsigned type of fewest bytes."""
    return values.astype(np.min_scalar_type(values.max(initial=0)))
