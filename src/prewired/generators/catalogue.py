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


class FamilyEntry(NamedTuple):
    """One entry of the catalogue of families.

    Attributes:
        name: of the family.
        layers: "one" or "several".
        random: whether another seed gives another graph.
        sizes: for which sizes the family exists, in words.
        summary: the first line of its docstring.
        reference: the paper or book of the definition or theorem; empty for none.
    """

    name: str
    layers: str
    random: bool
    sizes: str
    summary: str
    reference: str


def list_entries() -> list[FamilyEntry]:
    """List the entries of all families; families of one layer come first.

    Example:
        >>> next(entry for entry in list_entries() if entry.name == "erdos_renyi")[:4]
        ('erdos_renyi', 'one', True, 'any sizes')
    """
    return [describe_family(name) for name in (*GENERATORS, *NETWORK_FAMILIES)]


def describe_family(name: str) -> FamilyEntry:
    """Return the entry of a family; raises ValueError if no family has this name."""
    text = inspect.getdoc(lookup(name)) or ""
    summary = text.partition("\n")[0]
    layers = "several" if name in NETWORK_FAMILIES else "one"
    return FamilyEntry(name, layers, takes_seed(name), describe_sizes(name), summary, find_reference(text))


def describe_sizes(name: str) -> str:
    """Say for which sizes a family exists.

    The text is the sentence of the docstring that starts with "Exists for". For a family of several layers the text is
    the first sentence of the docstring, after the colon. Without such a sentence, the text lists the smallest shapes of
    a family that exists for some sizes only, and is "any sizes" for others.
    """
    text = " ".join((inspect.getdoc(lookup(name)) or "").split())
    if sentence := re.search(r"\bExists for (.*?)\.(?= [A-Z]|$)", text):
        return f"{sentence[1]}." if sentence[1].endswith("..") else sentence[1]
    if name in NETWORK_FAMILIES:
        return re.split(r"\.(?= [A-Z]|$)", text)[0].partition(": ")[2]
    if name in AVAILABLE_SIZES:
        shapes = islice(AVAILABLE_SIZES[name](_LARGEST), _SHOWN)
        listed = (f"{shape.n_in} -> {shape.n_out} (fan-in {shape.fan_in})" for shape in shapes)
        return ", ".join([*listed, "..."])
    return "any sizes"


def find_reference(text: str) -> str:
    """Find the first source that a docstring names: text in parentheses with a year, or a name before them.

    Example:
        >>> find_reference("A graph of Erdos and Renyi (1959), which (see below) is random (Someone, 2020).")
        'Erdos and Renyi (1959)'
    """
    text = " ".join(text.split())
    name = r"[A-Z][\w-]+"
    by_author = rf"{name}(?:(?:, | and | et al\. ?){name})*(?: et al\.)? \((?:{_YEAR}|arXiv [\d.]+)\)"
    in_parentheses = rf"\((?:after )?((?:[A-Z]|de )[^()]*\b{_YEAR}\b[^()]*)\)"
    match = re.search(rf"{by_author}|{in_parentheses}", text)
    return (match[1] or match[0]) if match else ""


def format_signature(name: str) -> str:
    """Write how a family is called: its name and parameters, optional parameters in brackets.

    Example:
        >>> format_signature("rotating")
        'rotating  n_in n_out [fan_in] [density]'
    """
    sides = ["sizes"] if name in NETWORK_FAMILIES else ["n_in", "n_out"]
    options = [p.name if p.default is p.empty else f"[{p.name}]" for p in parameters(name).values()]
    return f"{name}  {' '.join([*sides, *options])}"
