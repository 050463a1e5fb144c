"""The families of a study as texts: a name, its parameters, and a family for each layer."""

from __future__ import annotations

import json
from typing import Any

from .. import generators

RESERVED = ("n_in", "n_out", "sizes", "density", "fan_in", "n_edges", "budget", "seed", "dense_output", "family")


def parse_family(text: str) -> tuple[str, dict[str, Any]]:
    """The name of a family and its own parameters, from "name" or "name:parameter=value:...", values in JSON or words.

    Raises:
        ValueError: if the family is unknown, a part is not parameter=value, or it is set twice or by the study itself.

    Example:
        >>> parse_family("butterfly:fit=nearest")
        ('butterfly', {'fit': 'nearest'})
    """
    name, *parts = text.split(":")
    generators.lookup(name)
    parameters: dict[str, Any] = {}
    for part in parts:
        parameter, equals, value = part.partition("=")
        if not equals or parameter in parameters or parameter in RESERVED:
            raise ValueError(
                f"expected {name}:parameter=value with one of its own parameters, each once, got {part!r} in {text!r}; "
                f"{', '.join(RESERVED)} are set elsewhere"
            )
        try:
            parameters[parameter] = json.loads(value)
        except json.JSONDecodeError:
            parameters[parameter] = value
        except RecursionError:
            raise ValueError(f"expected a value of {parameter} in {name}, got {value:.40}...; shorten it") from None
    if unknown := sorted(set(parameters) - generators.parameters(name).keys()):
        own = sorted(generators.parameters(name).keys() - set(RESERVED))
        choices = f"among {', '.join(own)}" if own else "of its own: it has none"
        raise ValueError(f"expected parameters of {name} {choices}; got {', '.join(unknown)}")
    return name, parameters


def canonical_family(text: str) -> str:
    """Write a family of a study in its canonical form.

    Example:
        >>> canonical_family("swap_ladder:swaps=0.10"), canonical_family("butterfly:fit=nearest")
        ('swap_ladder:swaps=0.1', 'butterfly:fit=nearest')
    """
    parts = []
    for name, parameters in parse_families(text):
        values = {key: value if isinstance(value, str) else json.dumps(value) for key, value in parameters.items()}
        parts.append(":".join([name, *(f"{key}={value.replace(' ', '')}" for key, value in values.items())]))
    return "+".join(parts)


def parse_families(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Parse the family of each layer that has one of its own: "a+b" is a for the first layer, b for the rest.

    Raises:
        ValueError: as `parse_family` does, and where one of several families is itself of several layers.

    Example:
        >>> [name for name, _ in parse_families("window2d+biregular")]
        ['window2d', 'biregular']
    """
    parsed = [parse_family(part) for part in text.split("+")]
    for name, _ in parsed if len(parsed) > 1 else ():
        if name in generators.NETWORK_FAMILIES:
            raise ValueError(f"expected families of single layers in {text!r}, got {name}, which is of several layers")
    return parsed
