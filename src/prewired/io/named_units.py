"""Topologies whose units have names: read from tables such as gene -> pathway, and aligned with a data set."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from ..topology import Names, Topology

Edge = tuple[str, str]


def from_named_edges(
    edges: Iterable[Edge],
    *,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
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
    return _build(((f"edge {k}", edge) for k, edge in enumerate(edges)), inputs, outputs, drop_unknown)


def from_table(
    path: str | Path,
    *,
    columns: tuple[str, str] | None = None,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    drop_unknown: bool = False,
) -> Topology:
    """Read a topology from a table of edges: a CSV or TSV file with a header and one line per edge.

    The separator is the tab if the header contains a tab, otherwise the comma.

    Args:
        path: the file, in UTF-8.
        columns: the headers of the columns with the names of the input and of the output; the first two if not given.
        inputs, outputs, drop_unknown: as in `from_named_edges`.

    Returns:
        A Topology with names.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: as `from_named_edges`, naming the line; also for a table without these columns.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(f"{folder}/sets.tsv").write_text("gene\\tpathway\\nTP53\\tapoptosis\\nMYC\\tgrowth\\n")
        ...     from_table(f"{folder}/sets.tsv").names
        Names(inputs=('TP53', 'MYC'), outputs=('apoptosis', 'growth'))
    """
    return _build(_read_edges(Path(path), columns), inputs, outputs, drop_unknown)


def attach_names(t: Topology, inputs: Sequence[str], outputs: Sequence[str]) -> Topology:
    """Return the same graph with these names; raises ValueError unless there is one distinct name for each unit.

    Example:
        >>> attach_names(Topology(2, 1, [0, 1], [1]), ["left", "right"], ["turn"]).names.outputs
        ('turn',)
    """
    return replace(t, names=Names(tuple(inputs), tuple(outputs)))


def align(t: Topology, inputs: Sequence[str]) -> Topology:
    """Return the same wiring with its inputs in another order, such as that of a data set's `feature_names`.

    Raises:
        ValueError: if t has no names, or `inputs` differs from the names of its inputs in more than the order.

    Example:
        >>> t = from_named_edges([("MYC", "growth"), ("TP53", "apoptosis")])
        >>> align(t, ["TP53", "MYC"]).indices
        array([1, 0], dtype=int32)
    """
    names = _get_names(t)
    place = _number_names("input", inputs)
    for name in names.inputs:
        if name not in place:
            raise ValueError(
                f"expected inputs with all names of the topology, got none called {_format_unknown(name, place)}"
            )
    if extra := [name for name in inputs if name not in set(names.inputs)]:
        raise ValueError(
            f"expected the {t.n_in} inputs of the topology, got also {_format_names(extra)}; "
            "make the topology with inputs= all of them, and they stay unread"
        )
    source = np.array([place[name] for name in names.inputs])[t.indices]
    pairs = np.stack([source, np.repeat(np.arange(t.n_out), t.fan_in)], axis=1)
    return attach_names(Topology.from_edges(t.n_in, t.n_out, pairs), inputs, names.outputs)


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


def _build(
    edges: Iterable[tuple[str, Edge]], inputs: Sequence[str] | None, outputs: Sequence[str] | None, drop_unknown: bool
) -> Topology:
    """Build the topology from pairs (place, edge); error messages name the place where the edge was read."""
    sides = [
        ("input", inputs, _number_names("input", inputs or ())),
        ("output", outputs, _number_names("output", outputs or ())),
    ]
    first: dict[tuple[int, ...], str] = {}
    for where, edge in edges:
        if not all(isinstance(name, str) and name for name in edge) or len(edge) != 2:
            raise ValueError(f"{where}: expected the names of an input and of an output, got {edge!r}; fill in both")
        is_known = [names is None or name in place for name, (_, names, place) in zip(edge, sides, strict=True)]
        if drop_unknown and not all(is_known):
            continue
        for name, good, (side, _, place) in zip(edge, is_known, sides, strict=True):
            if not good:
                raise ValueError(
                    f"{where}: expected one of the {len(place)} {side}s given, got {_format_unknown(name, place)}; "
                    "correct it, or leave such edges out with drop_unknown=True"
                )
        pair = tuple(place.setdefault(name, len(place)) for name, (_, _, place) in zip(edge, sides, strict=True))
        if pair in first:
            raise ValueError(f"{where}: expected each edge once, got {edge} again after {first[pair]}; drop one")
        first[pair] = where
    if not first:
        raise ValueError("expected at least one edge, got none; check the names against inputs= and outputs=")
    names = Names(*(tuple(place) for _, _, place in sides))
    return attach_names(Topology.from_edges(len(names.inputs), len(names.outputs), list(first)), *names)


def _read_edges(path: Path, columns: tuple[str, str] | None) -> Iterator[tuple[str, Edge]]:
    """Yield each edge of a table, with the file and the number of the line."""
    if not path.is_file():
        raise FileNotFoundError(f"expected a table of edges, got {str(path)!r}, which is no file")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            rows = csv.reader(file, delimiter="\t" if "\t" in first else ",")
            header = [title.strip() for title in next(rows, [])]
            if len(header) < 2:
                raise ValueError(f"{path}: expected a header with at least two columns, got {header}")
            titles = header[:2] if columns is None else list(columns)
            for title in titles:
                if header.count(title) != 1:
                    raise ValueError(f"{path}: expected one column {title!r}, got the columns {', '.join(header)}")
            places = [header.index(title) for title in titles]
            for row in rows:
                if not any(cell.strip() for cell in row):
                    continue
                where = f"{path}, line {rows.line_num}"
                if len(row) != len(header):
                    raise ValueError(f"{where}: expected {len(header)} columns as in the header, got {len(row)}")
                yield where, (row[places[0]].strip(), row[places[1]].strip())
    except UnicodeDecodeError:
        raise ValueError(f"{path}: expected text in UTF-8, got other bytes; save the table as UTF-8") from None


def _number_names(side: str, names: Sequence[str]) -> dict[str, int]:
    places: dict[str, int] = {}
    for name in names:
        if not isinstance(name, str) or not name or name in places:
            wrong = f"{name!r} twice" if name in places else repr(name)
            raise ValueError(f"expected {side} names to be distinct texts, got {wrong}; rename or merge them")
        places[name] = len(places)
    return places


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
