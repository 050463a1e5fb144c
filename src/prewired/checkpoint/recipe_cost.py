"""What rebuilding the wirings of one file may cost, by what the file itself holds."""

import math
from typing import Any

from .. import generators
from ..topology import Recipe

ROOM = 2**24
"""Units and edges that any file may ask for; more only in proportion to its edges, each of which has a value in it."""
PER_EDGE = 16
STEPS = 2**28
"""The same for work, in edges drawn, of which a second has some ten million."""
_PRODUCTS = ("kronecker", "block_lift")
"""Operations whose graph is as large as the product of what they are made of."""
_SLOW = {"lift": 16, "power_law": 256, "ramanujan": 16, "shuffle_edges": 256, "swap_edges": 16}
"""Steps an edge, where they are many."""
_SEVERAL = ("best_of", "tries")
"""Parameters that say how many graphs are made, of which one is taken."""


class Budget:
    """The units, edges and steps that are left for the wirings of a file.

    It has state: what one wiring takes the next does not have. `save` spends what `load` will, and more for a recipe
    that turns out to be wrong, so that whatever is saved can be loaded.

    Args:
        n_edges: of all wirings of the file.

    Example:
        >>> budget = Budget(n_edges=40)
        >>> budget.pays_for(Recipe.make("dense", n_in=8, n_out=5))
        True
        >>> budget.pays_for(Recipe.make("dense", n_in=10**6, n_out=10**6))
        False
    """

    def __init__(self, n_edges: int) -> None:
        self.room = max(ROOM, PER_EDGE * n_edges)
        self.steps = max(STEPS, PER_EDGE * n_edges)

    def pays_for_sides(self, n_in: int, n_out: int) -> bool:
        """Take that many units; False if they are not left."""
        return n_in > 0 and n_out > 0 and self._take(n_in + n_out, 0)

    def pays_for(self, recipe: Recipe) -> bool:
        """Take what making the graph of a recipe may cost; False, and nothing is taken, if that is not left."""
        return self._take(*_cost(recipe))

    def _take(self, room: float, steps: float) -> bool:
        if not (room <= self.room and steps <= self.steps):  # nor if they are NaN
            return False
        self.room -= room
        self.steps -= steps
        return True


def _cost(recipe: Recipe) -> tuple[float, float]:
    """Bounds of the units and edges that a recipe asks for, and of the steps; those of inner recipes included."""
    inner = [_cost(value) for _, value in recipe.parameters if isinstance(value, Recipe)]
    own = {name: value for name, value in recipe.parameters if not isinstance(value, Recipe) and name != "seed"}
    counts = [_largest(value) for value in own.values()]
    edges = max([_edges(recipe.family, own), *(room for room, _ in inner)])
    if recipe.family in _PRODUCTS:
        edges = math.prod(max(1, count) for count in (*counts, *(room for room, _ in inner)))
    room = edges + sum(counts)
    steps = (room + sum(counts)) * _SLOW.get(recipe.family, 1)
    if recipe.family == "peg":
        steps = edges**2 / 64
    elif recipe.family in generators.AVAILABLE_SIZES:  # the sizes it exists for are tried one after the other
        steps += 64 * _sides(own)[0]
    for name in _SEVERAL:
        steps *= max(1, _largest(own.get(name, _usual(recipe.family, name))))
    return room + sum(room for room, _ in inner), steps + sum(steps for _, steps in inner)


def _edges(family: str, given: dict[str, Any]) -> float:
    """The edges of a recipe's graph, or more."""
    widest, cells = _sides(given)
    if family in generators.AVAILABLE_SIZES and "fit" in given:  # of the graph that it is cut from
        return cells
    if "n_edges" in given:
        return _largest(given["n_edges"])
    for each in ("fan_in", "offsets"):
        if each in given:
            n = len(given[each]) if isinstance(given[each], tuple) else _largest(given[each])
            return n * widest
    if family == "radix" and isinstance(given.get("radices"), tuple):
        return _largest(given["radices"]) * widest
    return cells * (_largest(given["density"]) if "density" in given else 1)


def _usual(family: str, name: str) -> Any:
    """The value of a parameter that a recipe leaves out; 1 where the family has none of that name."""
    known = generators.parameters(family) if family in generators.GENERATORS else {}
    return known[name].default if name in known else 1


def _sides(given: dict[str, Any]) -> tuple[float, float]:
    """The larger side, and the product of both."""
    sides = [_largest(given.get(side, 0)) for side in ("n_in", "n_out")]
    return max(sides), math.prod(sides)


def _largest(value: Any) -> float:
    """The largest magnitude in a parameter, and as much more as it is long; 0 of a text."""
    if isinstance(value, tuple):
        return len(value) + max(map(_largest, value), default=0)
    return abs(float(value)) if isinstance(value, int | float) else 0
