"""The verbs of the command line that make, list and draw graphs."""

from __future__ import annotations

import argparse
import inspect
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..topology import Topology

NUMBERS = ("n_in", "n_out", "fan_in", "density", "n_edges", "seed")  # parameters that are nothing else


def generate(arguments: argparse.Namespace) -> None:
    """`prewired generate FAMILY NAME=VALUE ... -o FILE`; of several layers each has its number before FILE's suffix."""
    from ..io import topology_file

    output, topologies = arguments.output, made(arguments.family, arguments.parameters)
    for k, topology in enumerate(topologies):
        if output:
            numbered = output.with_suffix(f".{k}{output.suffix}")
            topology_file.save_topology(topology, numbered if len(topologies) > 1 else output)
        print(topology)


def families(arguments: argparse.Namespace) -> None:
    """`prewired families [FAMILY]`."""
    from .. import generators
    from ..generators import catalogue

    if arguments.family:
        page = inspect.getdoc(generators.lookup(arguments.family))
        print(f"{catalogue.signature(arguments.family)}\n\n{page}")
        return
    rows = catalogue.rows()
    width = max(len(row.name) for row in rows)
    for row in rows:
        several = "several layers; " if row.layers == "several" else ""
        print(f"{row.name:<{width}}  {'random' if row.random else '      '}  {several}exists for {row.sizes}")
        print(f"    {row.summary}")


def draw(arguments: argparse.Namespace) -> None:
    """`prewired draw FILE|FAMILY NAME=VALUE ... -o PICTURE`."""
    from .. import generators, plots
    from ..io import topology_file

    if arguments.parameters or arguments.what in (*generators.GENERATORS, *generators.NETWORK_FAMILIES):
        topologies = made(arguments.what, arguments.parameters)
    else:
        topologies = [topology_file.load_topology(arguments.what)]
    panels = {f"layer {k}": topology for k, topology in enumerate(topologies, 1)}
    if len(topologies) == 1:
        panels = {_title(topologies[0]): topologies[0]}
    print(plots.biadjacency(panels, arguments.what, path=arguments.output))


def _title(t: Topology) -> str:
    return f"{t.n_in} -> {t.n_out}, {t.n_edges:,} edges"


def made(family: str, words: Sequence[str]) -> list[Topology]:
    """The topology of a family with its NAME=VALUE words, or those of a family of several layers."""
    from .. import generators

    values = _parameters(family, words)
    if family in generators.NETWORK_FAMILIES:
        return generators.make_network(family, **values)
    return [generators.make(family, **values)]


def _parameters(family: str, texts: Sequence[str]) -> dict[str, Any]:
    """The name=value words of `generate` as values; a name the family does not have lists those it has."""
    from .. import generators

    sides = ("sizes",) if family in generators.NETWORK_FAMILIES else ("n_in", "n_out")
    known = (*sides, *generators.parameters(family))
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"expected NAME=VALUE, got {text!r}; {family} takes {', '.join(known)}")
        if name not in known:
            raise ValueError(f"expected one of {', '.join(known)} for {family}, got {name!r}")
        if name in values:
            raise ValueError(f"expected {name} once, got it twice; leave one out")
        values[name] = _parse_value(name, value)
    return values


def _parse_value(name: str, text: str) -> Any:
    """A number; for parameters that need not be one also a list or a word."""
    for number in (int, float):
        with suppress(ValueError):
            if "_" not in text:  # digit grouping is for Python's own source
                return number(text)
    if name in NUMBERS and not text.startswith("["):
        raise ValueError(f"expected a number for {name}, got {text!r}")
    with suppress(json.JSONDecodeError):
        return json.loads(text)
    return text
