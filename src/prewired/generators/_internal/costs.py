"""What building a graph costs, estimated from the recipe alone, before anything is built.

A recipe may come from a file that somebody else wrote. A few bytes such as n_in=10**9 could then ask for more memory
than there is. So every family states a `CostRule`, which bounds the edges and the time of its graphs.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ...topology import Recipe

_LARGEST_INTEGER = 2**1023
"""Integers above are no floats."""


class Cost(NamedTuple):
    """An upper bound of the cost of a recipe; numbers are floats, as they may be huge or infinite.

    Attributes:
        size: units and edges, of the graph and of all graphs that it is built from.
        steps: elementary steps; a step takes about as long as placing one random edge, some 0.1 microseconds.
    """

    size: float
    steps: float


def get_magnitude(value: Any) -> float:
    """The absolute value of a number; of a list its length plus its largest magnitude; 0 of anything else."""
    if isinstance(value, tuple):
        return len(value) + max(map(get_magnitude, value), default=0)
    if not isinstance(value, int | float):
        return 0
    return abs(float(value)) if not abs(value) > _LARGEST_INTEGER else math.inf


@dataclass(frozen=True)
class Request:
    """The parameters of a recipe, as cost rules read them: each as a magnitude, whatever its type.

    Attributes:
        parameters: by name, without the seed and without inner recipes.
        defaults: the family's own values of the parameters that the recipe may leave out.
        inner_sizes: the `Cost.size` of each inner recipe, those of the topologies that a transform starts from.
    """

    parameters: Mapping[str, Any]
    defaults: Mapping[str, Any]
    inner_sizes: tuple[float, ...] = ()

    @property
    def magnitudes(self) -> list[float]:
        """The magnitude of every parameter that the recipe names."""
        return [get_magnitude(value) for value in self.parameters.values()]

    @property
    def sides(self) -> tuple[float, float]:
        """n_in and n_out."""
        return self.magnitude("n_in"), self.magnitude("n_out")

    def magnitude(self, name: str) -> float:
        """The magnitude of one parameter, or of its default."""
        return get_magnitude(self.parameters.get(name, self.defaults.get(name)))


def bound_edges(request: Request) -> float:
    """The number of edges that n_edges, fan_in, offsets or density ask for; without these, that of a dense graph."""
    values = request.parameters
    if "n_edges" in values:
        return request.magnitude("n_edges")
    for per_output in ("fan_in", "offsets"):
        value = values.get(per_output)
        if per_output in values and not isinstance(value, str):  # the name of a set of offsets says no number
            fan_in = len(value) if isinstance(value, tuple) else request.magnitude(per_output)
            return fan_in * max(request.sides)
    return math.prod(request.sides) * (request.magnitude("density") if "density" in values else 1)


def bound_steps(request: Request, edges: float, *, per_edge: float = 1) -> float:
    """So many steps per edge, and for twice the sum of the parameters, which is at least the number of units."""
    units = sum(request.magnitudes)
    return per_edge * (edges + units + units)


def bound_edges_before_cut(request: Request) -> float:
    """As `bound_edges`; with fit= the larger graph that the result is cut from counts, and may be dense."""
    return math.prod(request.sides) if "fit" in request.parameters else bound_edges(request)


def bound_steps_of_search(request: Request, edges: float) -> float:
    """As `bound_steps`, and the search: the available sizes are tried one after the other."""
    return bound_steps(request, edges) + 64 * max(request.sides)


def multiply_sizes(request: Request) -> float:
    """The edges of a product of graphs: as many as the product of everything that the recipe names."""
    return math.prod(max(1, factor) for factor in (*request.magnitudes, *request.inner_sizes))


@dataclass(frozen=True)
class CostRule:
    """The rule by which the cost of a family follows from the parameters of a recipe.

    Both functions must give upper bounds, quickly, and without an exception for parameters of any kind and size. By
    default the edges are those asked for, and every edge takes one step.

    Attributes:
        edges: request -> number of edges.
        steps: (request, edges) -> number of steps.

    Example:
        >>> rule = CostRule(steps=lambda request, edges: edges * request.magnitude("tries"))
        >>> rule.steps(Request({"tries": 3}, {}), 100.0)
        300.0
    """

    edges: Callable[[Request], float] = bound_edges
    steps: Callable[[Request, float], float] = bound_steps


_RULES: dict[str, CostRule] = {}
_DEFAULTS: dict[str, dict[str, Any]] = {}
"""Of the same families and transforms: the values of parameters that a recipe may leave out."""


def register_cost(name: str, rule: CostRule, signature: inspect.Signature) -> None:
    """Keep the cost rule of a family or transform; `family` and `transform` call this."""
    _RULES[name] = rule
    _DEFAULTS[name] = {p.name: p.default for p in signature.parameters.values() if p.default is not p.empty}


def estimate_cost(recipe: Recipe) -> Cost:
    """Bound the cost of building the graph of a recipe, inner recipes included; nothing is built or checked.

    Example:
        >>> estimate_cost(Recipe.make("dense", n_in=300, n_out=200))
        Cost(size=60500.0, steps=61000.0)
        >>> estimate_cost(Recipe.make("peg", n_in=300, n_out=200, n_edges=6400, seed=0)).steps
        640000.0
    """
    inner = [estimate_cost(value) for _, value in recipe.parameters if isinstance(value, Recipe)]
    own = {name: value for name, value in recipe.parameters if not isinstance(value, Recipe) and name != "seed"}
    request = Request(own, _DEFAULTS.get(recipe.family, {}), tuple(cost.size for cost in inner))
    rule = _RULES.get(recipe.family, CostRule())  # an unknown family is refused later, when it is built
    edges = max([rule.edges(request), *request.inner_sizes])
    size = edges + sum(request.magnitudes)
    steps = rule.steps(request, edges)
    return Cost(size + sum(cost.size for cost in inner), steps + sum(cost.steps for cost in inner))
