"""The budget of a network file: how much work and memory the recipes in the file may ask for."""

from .. import generators
from ..topology import Recipe

LEAST_SIZE = 2**24
"""Units and edges that the recipes of any file may ask for."""
LEAST_STEPS = 2**28
"""Elementary steps that the recipes of any file may ask for: about half a minute."""
PER_EDGE = 16
"""A file of more edges may ask for so many units, edges and steps per edge: each edge has a value in the file, so
memory and time stay in proportion to the length of the file."""


class Budget:
    """The units, edges and steps that are left for the wirings of one file.

    A budget has state: what one wiring takes is no longer there for the next. `save` spends what `load` will spend,
    and more where a recipe turns out to be wrong. So whatever is saved can be loaded.

    Args:
        n_edges: edges of all wirings of the file together.

    Example:
        >>> budget = Budget(n_edges=40)
        >>> budget.pays_for(Recipe.make("dense", n_in=8, n_out=5))
        True
        >>> budget.pays_for(Recipe.make("dense", n_in=10**6, n_out=10**6))
        False
    """

    def __init__(self, n_edges: int) -> None:
        self.size = max(LEAST_SIZE, PER_EDGE * n_edges)
        self.steps = max(LEAST_STEPS, PER_EDGE * n_edges)

    def pays_for_sides(self, n_in: int, n_out: int) -> bool:
        """Spend n_in + n_out units; False, and nothing is spent, if so many are not left."""
        return n_in > 0 and n_out > 0 and self._spend(generators.Cost(n_in + n_out, 0))

    def pays_for(self, recipe: Recipe) -> bool:
        """Spend what building the graph of a recipe may cost; False, and nothing is spent, if that is not left."""
        return self._spend(generators.estimate_cost(recipe))

    def _spend(self, cost: generators.Cost) -> bool:
        if not (cost.size <= self.size and cost.steps <= self.steps):  # written so that a cost of NaN is refused
            return False
        self.size -= cost.size
        self.steps -= cost.steps
        return True


def asks_for_edges(recipe: Recipe, n_edges: int) -> bool:
    """Whether a recipe may give so many edges; False if its parameters ask for far more.

    A file of one edge could otherwise ask for a graph of millions of edges, within the least budget of every file.
    Only parameters that say a number of edges are looked at. A family may round this number down, to a quarter at most.

    Example:
        >>> asks_for_edges(Recipe.make("peg", n_in=30_000, n_out=30_000, n_edges=120_000, seed=0), 1)
        False
    """
    values = {name: value for name, value in recipe.parameters if isinstance(value, int | float)}
    if "fit" in dict(recipe.parameters) or not {"n_in", "n_out"} <= values.keys():
        return True
    n_in, n_out = values["n_in"], values["n_out"]
    requests = {
        "n_edges": values.get("n_edges", 0),
        "fan_in": values.get("fan_in", 0) * n_out,
        "density": values.get("density", 0) * n_in * n_out,
        "dense": n_in * n_out if recipe.family == "dense" else 0,
    }
    return not max(requests.values()) > 4 * n_edges + 64
