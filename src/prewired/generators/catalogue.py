"""The families in rows, for the command line and the gallery: what a docstring and the registry say about each."""

import inspect
import re
from itertools import islice
from typing import NamedTuple

from . import GENERATORS, NETWORK_FAMILIES, lookup, parameters, takes_seed
from ._internal.registry import AVAILABLE_SIZES

_SHOWN = 4
_LARGEST = 300
_YEAR = r"(?:1[789]|20)\d\d"


class Row(NamedTuple):
    """What one line of the catalogue says.

    Attributes:
        name: of the family.
        layers: "one" or "several".
        random: whether another seed gives another graph.
        sizes: for which sizes it exists.
        summary: the first line of its docstring.
        reference: the paper or book of the definition or theorem; empty for none.
    """

    name: str
    layers: str
    random: bool
    sizes: str
    summary: str
    reference: str


def rows() -> list[Row]:
    """All families, those of one layer first.

    Example:
        >>> next(row for row in rows() if row.name == "erdos_renyi")[:4]
        ('erdos_renyi', 'one', True, 'any sizes')
    """
    return [row(name) for name in (*GENERATORS, *NETWORK_FAMILIES)]


def row(name: str) -> Row:
    """The row of one family; raises ValueError on an unknown one."""
    text = inspect.getdoc(lookup(name)) or ""
    summary = text.partition("\n")[0]
    layers = "several" if name in NETWORK_FAMILIES else "one"
    return Row(name, layers, takes_seed(name), sizes(name), summary, reference(text))


def sizes(name: str) -> str:
    """For which sizes a family exists: a sentence of its docstring, or its smallest shapes, or any sizes.

    The sentence is the one that starts with "Exists for"; of families of several layers it is the docstring's first,
    after the colon.
    """
    text = " ".join((inspect.getdoc(lookup(name)) or "").split())
    if said := re.search(r"\bExists for (.*?)\.(?= [A-Z]|$)", text):
        return f"{said[1]}." if said[1].endswith("..") else said[1]
    if name in NETWORK_FAMILIES:
        return re.split(r"\.(?= [A-Z]|$)", text)[0].partition(": ")[2]
    if name in AVAILABLE_SIZES:
        shapes = islice(AVAILABLE_SIZES[name](_LARGEST), _SHOWN)
        listed = (f"{shape.n_in} -> {shape.n_out} (fan-in {shape.fan_in})" for shape in shapes)
        return ", ".join([*listed, "..."])
    return "any sizes"


def reference(text: str) -> str:
    """The first source that a docstring names: text in parentheses with a year, or a name before them.

    Example:
        >>> reference("A graph of Erdos and Renyi (1959), which (see below) is random (Someone, 2020).")
        'Erdos and Renyi (1959)'
    """
    text = " ".join(text.split())
    name = r"[A-Z][\w-]+"
    by_author = rf"{name}(?:(?:, | and | et al\. ?){name})*(?: et al\.)? \((?:{_YEAR}|arXiv [\d.]+)\)"
    in_parentheses = rf"\((?:after )?((?:[A-Z]|de )[^()]*\b{_YEAR}\b[^()]*)\)"
    found = re.search(rf"{by_author}|{in_parentheses}", text)
    return (found[1] or found[0]) if found else ""


def signature(name: str) -> str:
    """How a family is called, options in brackets.

    Example:
        >>> signature("rotating")
        'rotating  n_in n_out [fan_in] [density]'
    """
    sides = ["sizes"] if name in NETWORK_FAMILIES else ["n_in", "n_out"]
    options = [p.name if p.default is p.empty else f"[{p.name}]" for p in parameters(name).values()]
    return f"{name}  {' '.join([*sides, *options])}"
