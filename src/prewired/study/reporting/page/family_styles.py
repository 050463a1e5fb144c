"""How a family looks in the page's plots: as in the pictures of `plots`, and never like another family."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, product

from ....plots import COLOURS, style
from ...statistics import base_family

SYMBOLS = {
    "o": "circle",
    "s": "square",
    "^": "triangle-up",
    "D": "diamond",
    "v": "triangle-down",
    "P": "cross",
    "X": "x",
    "<": "triangle-left",
    ">": "triangle-right",
}
RUNGS = ("#2B4C9B", "#6A4FB0", "#B0479B", "#DD5A63", "#E89A3C")  # of a family that is there with several parameters


@dataclass(frozen=True)
class Look:
    """A colour, and one of Plotly's symbols."""

    colour: str
    symbol: str


def choose_styles(families: Iterable[str]) -> dict[str, Look]:
    """The look of each family, the same whatever their order.

    A family that is there with several parameters, such as "swap_ladder:swaps=0.1" and others, has one symbol and a
    colour for each, from blue to orange in the order of their numbers.

    Args:
        families: their texts.

    Returns:
        Family -> look; no two are alike as long as there are fewer than 145.

    Example:
        >>> choose_styles(["biregular", "swap_ladder:swaps=0", "swap_ladder:swaps=1"])["swap_ladder:swaps=0"].colour
        '#2B4C9B'
    """
    texts = sorted(set(families), key=_compute_sort_key)
    variants: dict[str, list[str]] = {}
    for text in texts:
        variants.setdefault(base_family(text), []).append(text)
    result: dict[str, Look] = {}
    for name, of_name in variants.items():
        if len(of_name) == 1:
            result[of_name[0]] = _find_free(name, set(result.values()))
        else:
            result |= _space_shades(name, of_name, set(result.values()))
    return result


def order_families(families: Iterable[str]) -> list[str]:
    """Each family once, by name, its numbers by value.

    Example:
        >>> order_families(["swap_ladder:swaps=10", "swap_ladder:swaps=2.5", "biregular"])
        ['biregular', 'swap_ladder:swaps=2.5', 'swap_ladder:swaps=10']
    """
    return sorted(set(families), key=_compute_sort_key)


def _compute_sort_key(text: str) -> list[tuple[int, float, str]]:
    parts = re.split(r"(\d+(?:\.\d+)?(?:e[-+]?\d+)?)", text)
    return [(1, float(part), "") if place % 2 else (0, 0.0, part) for place, part in enumerate(parts)]


def _choose_symbols(name: str) -> list[str]:
    """The family's own symbol and then the others."""
    own = SYMBOLS[style(name)[1]]
    return [own, *(symbol for symbol in SYMBOLS.values() if symbol != own)]


def _space_shades(name: str, texts: list[str], taken: set[Look]) -> dict[str, Look]:
    """A colour for each rung, with the first symbol that no other ladder has in these colours."""
    colours = [_blend(place / (len(texts) - 1)) for place in range(len(texts))]
    ladders = ([Look(colour, symbol) for colour in colours] for symbol in _choose_symbols(name))
    rungs = next((rungs for rungs in ladders if not taken & set(rungs)), [Look(c, "circle-open") for c in colours])
    return dict(zip(texts, rungs, strict=True))


def _find_free(name: str, taken: set[Look]) -> Look:
    """The family's own look, or the next that nobody has: another symbol, then another colour, then hollow ones."""
    colour, symbols = style(name)[0], _choose_symbols(name)
    colours = [colour, *(other for other in COLOURS if other != colour)]
    solid = product(colours, symbols)
    hollow = ((c, f"{symbol}-open") for c, symbol in product(colours, symbols))
    candidates = (Look(*pair) for pair in chain(solid, hollow))
    return next((look for look in candidates if look not in taken), Look(colour, symbols[0]))


def _blend(place: float) -> str:
    """The colour at a place in [0, 1] of the rungs."""
    position = place * (len(RUNGS) - 1)
    k = min(int(position), len(RUNGS) - 2)
    low, high = (tuple(bytes.fromhex(colour[1:])) for colour in RUNGS[k : k + 2])
    mixed = (round(a + (position - k) * (b - a)) for a, b in zip(low, high, strict=True))
    return "#" + "".join(f"{value:02X}" for value in mixed)
