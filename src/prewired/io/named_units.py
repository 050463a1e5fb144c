"""Topologies whose units have names: built from pairs of names, described, and aligned with a data set."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

import numpy as np

from ..topology import Names, Topology

Edge = tuple[str, str]


def from_named_edges(
    edges: Iterable[Edge],
    *,
    inputs: Iterable[str] | None = None,
    outputs: Iterable[str] | None = None,
    drop_unknown: bool = False,
) -> Topology:
    """Build a topology from pairs (name of an input, name of an output).

    Args:
        edges: the pairs, each once, in any order.
        inputs, outputs: all names of a side in order, such as the columns of a data set; units without an
            edge are kept. If not given, the names that occur, in the order of their first edge.
        drop_unknown: leave out edges with a name that is not in inputs or outputs; otherwise they raise a ValueError.

    Returns:
        A Topology with names.

    Raises:
        ValueError: for an unknown name, a repeated edge or name, an empty name, or no edges at all.

    Example:
        >>> t = from_named_edges([("TP53", "apoptosis"), ("MYC", "growth"), ("TP53", "growth")])
        >>> t.names.inputs, t.fan_in
        (('TP53', 'MYC'), array([1, 2]))
    """
    places_and_edges = ((f"edge {k}", edge) for k, edge in enumerate(edges))
    return build_from_edges(places_and_edges, inputs, outputs, drop_unknown)


def attach_names(t: Topology, inputs: Iterable[str], outputs: Iterable[str]) -> Topology:
    """Return the same graph with these names; raises ValueError unless there is one distinct name for each unit.

    Example:
        >>> attach_names(Topology(2, 1, [0, 1], [1]), ["left", "right"], ["turn"]).names.outputs
        ('turn',)
    """
    return replace(t, names=Names(tuple(number_names("input", inputs)), tuple(number_names("output", outputs))))


def align(t: Topology, inputs: Iterable[str]) -> Topology:
    """Return the same wiring with its inputs in another order, such as that of a data set's `feature_names`.

    Raises:
        ValueError: if t has no names, or `inputs` differs from the names of its inputs in more than the order.

    Example:
        >>> t = from_named_edges([("MYC", "growth"), ("TP53", "apoptosis")])
        >>> align(t, ["TP53", "MYC"]).indices
        array([1, 0], dtype=int32)
    """
    names = _get_names(t)
    numbers = number_names("input", inputs)
    for name in names.inputs:
        if name not in numbers:
            raise ValueError(
                f"expected inputs with all names of the topology, got none called {_format_unknown(name, numbers)}"
            )
    own = set(names.inputs)
    if extra := [name for name in numbers if name not in own]:
        raise ValueError(
            f"expected the {t.n_in} inputs of the topology, got also {_format_names(extra)}; "
            "make the topology with inputs= all of them, and they stay unread"
        )
    source = np.array([numbers[name] for name in names.inputs])[t.indices]
    pairs = np.stack([source, np.repeat(np.arange(t.n_out), t.fan_in)], axis=1)
    return attach_names(Topology.from_edges(t.n_in, t.n_out, pairs), numbers, names.outputs)


def describe(t: Topology, most: int = 3) -> dict[str, str]:
    """Return the lines of a report on a topology with names: its hubs, and the units without an edge.

    Example:
        >>> describe(from_named_edges([("TP53", "apoptosis"), ("TP53", "growth")], inputs=["MYC", "TP53"]))
        {'most read inputs': 'TP53 (2)', 'widest outputs': 'apoptosis (1), growth (1)', 'unread inputs': 'MYC'}
    """
    names = _get_names(t)
    lines = {
        "most read inputs": _format_hubs(names.inputs, t.fan_out, most),
        "widest outputs": _format_hubs(names.outputs, t.fan_in, most),
        "unread inputs": _format_names([names.inputs[k] for k in np.flatnonzero(t.fan_out == 0)], most),
        "outputs without inputs": _format_names([names.outputs[k] for k in np.flatnonzero(t.fan_in == 0)], most),
    }
    return {title: text for title, text in lines.items() if text}


def build_from_edges(
    edges: Iterable[tuple[str, Any]], inputs: Iterable[str] | None, outputs: Iterable[str] | None, drop_unknown: bool
) -> Topology:
    """Build a topology from pairs (place, edge); error messages name the place where the edge was read."""
    sides = [
        ("input", inputs is None, number_names("input", inputs)),
        ("output", outputs is None, number_names("output", outputs)),
    ]
    first_places: dict[tuple[int, ...], str] = {}
    for where, edge in edges:
        check_edge(where, edge)
        is_allowed = [is_open or name in numbers for name, (_, is_open, numbers) in zip(edge, sides, strict=True)]
        if drop_unknown and not all(is_allowed):
            continue
        for name, good, (side, _, numbers) in zip(edge, is_allowed, sides, strict=True):
            if not good:
                raise ValueError(
                    f"{where}: expected one of the {len(numbers)} {side}s given, got "
                    f"{_format_unknown(name, numbers)}; correct it, or leave such edges out with drop_unknown=True"
                )
        pair = tuple(numbers.setdefault(name, len(numbers)) for name, (_, _, numbers) in zip(edge, sides, strict=True))
        if pair in first_places:
            raise ValueError(
                f"{where}: expected each edge once, got {tuple(edge)} again after {first_places[pair]}; drop one"
            )
        first_places[pair] = where
    if not first_places:
        raise ValueError("expected at least one edge, got none; check the names against inputs= and outputs=")
    names = Names(*(tuple(numbers) for _, _, numbers in sides))
    return attach_names(Topology.from_edges(len(names.inputs), len(names.outputs), list(first_places)), *names)


def check_edge(where: str, edge: Any) -> None:
    """Raise ValueError unless an edge is a pair of texts that are not empty."""
    if not isinstance(edge, Sequence) or isinstance(edge, str) or len(edge) != 2 or not all(map(_is_name, edge)):
        raise ValueError(f"{where}: expected the names of an input and of an output, got {edge!r}; fill in both")


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def number_names(side: str, names: Iterable[str] | None) -> dict[str, int]:
    """Return the number of each name of a side, in order; raises ValueError unless the names are distinct texts."""
    if isinstance(names, str):
        raise ValueError(f"expected a list of {side} names, got the text {names!r}; put the names into a list")
    numbers: dict[str, int] = {}
    for name in () if names is None else names:
        if not _is_name(name) or name in numbers:
            wrong = f"{name!r} twice" if _is_name(name) else repr(name)
            raise ValueError(f"expected {side} names to be distinct texts, got {wrong}; rename or merge them")
        numbers[str(name)] = len(numbers)
    return numbers


def _get_names(t: Topology) -> Names:
    if t.names is None:
        raise ValueError("expected a topology with names, got one without; add names with prewired.io.attach_names")
    return t.names


def _format_unknown(name: str, names: Iterable[str]) -> str:
    close = get_close_matches(name, list(names), n=1)
    return f"{name!r} (nearest: {close[0]!r})" if close else repr(name)


def _format_names(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _format_hubs(names: Sequence[str], degrees: np.ndarray, most: int) -> str:
    order = np.argsort(-degrees, kind="stable")[:most]
    return ", ".join(f"{names[k]} ({degrees[k]})" for k in order if degrees[k])
