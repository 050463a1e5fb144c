"""The verbs that generate and draw graphs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any

from cyclopts import Parameter

from .. import generators, plots
from ..io import atomic_write, topology_file
from ..io.claimed_sizes import check_memory
from ..topology import Topology
from .options import Family, Output, Settings, nearest, need_packages

NUMBERS = ("n_in", "n_out", "fan_in", "density", "n_edges", "seed")
"""Parameters whose values are numbers and nothing else."""


def generate(family: Family, /, *parameters: Settings, output: Output | None = None) -> None:
    """Generate one topology, or those of a family of several layers, and save them.

    The layers of a family of several layers go to files with a number before the suffix.

    For example:
      prewired generate biregular n_in=784 n_out=1024 density=0.05 seed=0 -o hidden.topology
      prewired generate butterfly sizes=64,64,64 -o net.topology

    Args:
        family: Name of a family, see `prewired families`.
        parameters: Parameters of the family, such as n_in=784 density=0.05, or sizes=64,64,64 for several layers.
        output: File to write, such as hidden.topology.
    """
    if output:
        atomic_write.check_suffix(output, ".topology")
        atomic_write.check_destination(output)
    topologies = generate_layers(family, parameters)
    for k, topology in enumerate(topologies):
        if output:
            numbered = output.with_suffix(f".{k}{output.suffix}")
            topology_file.save_topology(topology, numbered if len(topologies) > 1 else output)
        print(topology)


def draw(source: Annotated[Family, Parameter(name="FILE|FAMILY")], /, *parameters: Settings, output: Output) -> None:
    """Draw the biadjacency matrix of a saved topology or of a family.

    For example:
      prewired draw hidden.topology -o hidden.png
      prewired draw rotating n_in=40 n_out=30 fan_in=5 -o rotating.svg

    Args:
        source: File such as hidden.topology, or name of a family.
        parameters: Parameters of the family, as for `prewired generate`.
        output: Picture to write: .png, .svg or .pdf.
    """
    need_packages("matplotlib")
    atomic_write.check_destination(output, inputs=(source,))
    if parameters or is_family(source):
        topologies = generate_layers(source, parameters)
    else:
        topologies = [topology_file.load_topology(source)]
    panels = {f"layer {k}": topology for k, topology in enumerate(topologies, 1)}
    if len(topologies) == 1:
        panels = {_title(topologies[0]): topologies[0]}
    print(plots.biadjacency(panels, source, path=output))


def is_family(name: str) -> bool:
    """Whether a family of one or of several layers has this name."""
    return name in generators.GENERATORS or name in generators.NETWORK_FAMILIES


def generate_layers(family: str, words: Sequence[str]) -> list[Topology]:
    """Call a family with its NAME=VALUE words; a family of one layer gives a list of one topology."""
    values = _parameters(family, words)
    check_memory(f"a graph of the family {family} with {' '.join(words)}", _least_bytes(family, values))
    if family in generators.NETWORK_FAMILIES:
        return generators.make_network(family, **values)
    return [generators.make(family, **values)]


def _least_bytes(family: str, values: Mapping[str, Any]) -> float:
    """A lower estimate of the memory of a graph, from the parameters that are numbers."""
    numbers = {name: abs(value) for name, value in values.items() if isinstance(value, int | float)}
    n_in, n_out = numbers.get("n_in", 0), numbers.get("n_out", 0)
    share = 1.0 if family == "dense" else min(1.0, numbers.get("density", 0.0))
    return 8 * (n_in + n_out) + 4 * max(share * n_in * n_out, numbers.get("fan_in", 0) * n_out)


def _title(topology: Topology) -> str:
    return f"{topology.n_in} -> {topology.n_out}, {topology.n_edges:,} edges"


def _parameters(family: str, words: Sequence[str]) -> dict[str, Any]:
    """Parse NAME=VALUE words; an unknown name raises ValueError that lists the family's parameters."""
    sides = ("sizes",) if family in generators.NETWORK_FAMILIES else ("n_in", "n_out")
    names = (*sides, *generators.parameters(family))
    values: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise ValueError(f"expected NAME=VALUE, got {word!r}; {family} takes {', '.join(names)}")
        if name not in names:
            raise ValueError(f"expected one of {', '.join(names)} for {family}, got {name!r}{nearest(name, names)}")
        if name in values:
            raise ValueError(f"expected {name} once, got it twice; leave one out")
        values[name] = _parse_value(name, text)
    return values


def _parse_value(name: str, text: str) -> Any:
    """Parse a number; parameters that are not in NUMBERS may also be a list (64,64 or [64,64]) or a word."""
    for number in (int, float):
        with suppress(ValueError):
            if "_" not in text:  # grouped digits such as 1_000 are for Python's own source
                return number(text)
    if name in NUMBERS and not text.startswith("["):
        raise ValueError(f"expected a number for {name}, got {text!r}")
    for json_text in (text, f"[{text}]") if "," in text else (text,):
        with suppress(json.JSONDecodeError, RecursionError):
            return json.loads(json_text)
    return text
