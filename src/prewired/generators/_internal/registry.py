"""The decorator that turns a function into a family, and the registry of all families."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from functools import partial, wraps
from typing import Any, ParamSpec, overload

import numpy as np

from ...topology import Recipe, Topology
from ...topology.checks import check_side
from .available_sizes import Shape, fit_to_size, measure_levelling
from .costs import CostRule, bound_edges_before_cut, bound_steps_of_search, register_cost
from .sizes import resolve_fan_in
from .transforms import TRANSFORMS, Edges

P = ParamSpec("P")
Shapes = Callable[..., Iterator[Shape]]
GENERATORS: dict[str, Callable[..., Topology]] = {}
NETWORK_FAMILIES: dict[str, Callable[..., list[Topology]]] = {}
"""Families of several layers; `network_family` registers them."""
AVAILABLE_SIZES: dict[str, Shapes] = {}
"""Families that exist for some sizes only: name -> shapes(limit), which yields the sizes up to the limit, ascending."""
_BUILDS: dict[str, Callable[..., Edges]] = {}
"""The same families: name -> the function from the parameters of a shape to its edges."""


@overload
def family(edges: Callable[P, Edges], /) -> Callable[P, Topology]: ...
@overload
def family(*, cost: CostRule) -> Callable[[Callable[P, Edges]], Callable[P, Topology]]: ...
@overload
def family(*, shapes: Shapes, cost: CostRule = ...) -> Callable[[Callable[..., Edges]], Callable[..., Topology]]: ...
def family(
    edges: Callable[..., Edges] | None = None, /, *, shapes: Shapes | None = None, cost: CostRule | None = None
) -> Any:
    """Turn a function that returns the edges of a graph into a registered generator of topologies.

    The generator checks the sides, calls the function, and returns a Topology that has its recipe. The name of the
    function becomes the name of the family in GENERATORS, in recipes, in the command line and in the gallery.

    Args:
        edges: the function (n_in, n_out, *, fan_in=, density=, ..., seed=) -> (indptr, indices). With shapes= it takes
            the positional parameters of a Shape instead, then keywords of its own.
        shapes: for a family that exists for some sizes only, the function (limit, **own keywords) that yields these
            sizes as Shapes, with sides up to the limit, in ascending order. The generator then takes
            (n_in, n_out, *, fan_in=, density=, fit=, **own keywords); `available_sizes.py` has the rules of fit=.
        cost: how the edges and the time of a graph follow from the parameters of its recipe. State it if a graph has
            more edges than n_edges, fan_in, offsets or density say, or takes longer than one step per edge. A step is
            the time of placing one random edge, about 0.1 microseconds. A network file is refused if the recipes in it
            cost too much, so a rule must give an upper bound.
    """
    if edges is not None:
        return _register(edges.__name__, edges, inspect.signature(edges), CostRule())

    def decorate(function: Callable[..., Edges]) -> Callable[..., Topology]:
        if shapes is None:
            return _register(function.__name__, function, inspect.signature(function), cost or CostRule())
        return _register_sizes(function, shapes, cost or CostRule(bound_edges_before_cut, bound_steps_of_search))

    return decorate


def _register_sizes(build: Callable[..., Edges], shapes: Shapes, cost: CostRule) -> Callable[..., Topology]:
    """Register a family that exists for some sizes only, and return its generator."""
    name = build.__name__

    @wraps(build)
    def edges(
        n_in: int,
        n_out: int,
        *,
        fan_in: int | None = None,
        density: float | None = None,
        fit: str | None = None,
        **own: Any,
    ) -> Edges:
        request = None if fan_in is None and density is None else resolve_fan_in(n_in, fan_in, density)
        return fit_to_size(name, partial(shapes, **own), partial(build, **own), n_in, n_out, request, fit)

    AVAILABLE_SIZES[name], _BUILDS[name] = shapes, build
    common = list(inspect.signature(edges, follow_wrapped=False).parameters.values())[:-1]
    own = [p for p in inspect.signature(build).parameters.values() if p.kind is p.KEYWORD_ONLY]
    return _register(name, edges, inspect.Signature([*common, *own]), cost)


def _register(
    name: str, edges: Callable[..., Edges], signature: inspect.Signature, cost: CostRule
) -> Callable[..., Topology]:
    """Register a family, and return its generator, which checks the sides and stamps the recipe."""

    @wraps(edges)
    def generator(*args: Any, **kwargs: Any) -> Topology:
        bound = signature.bind(*args, **kwargs)
        values = {name: to_python(value) for name, value in bound.arguments.items()}
        for side in ("n_in", "n_out"):
            check_side(side, values[side])
        bound.arguments.update(values)
        indptr, indices = edges(*bound.args, **bound.kwargs)
        return Topology(values["n_in"], values["n_out"], indptr, indices, Recipe.make(name, **values))

    generator.__signature__ = signature.replace(return_annotation=Topology)  # pyright: ignore[reportAttributeAccessIssue]
    register_cost(name, cost, signature)
    GENERATORS[name] = generator
    return generator


def parameters(name: str) -> dict[str, inspect.Parameter]:
    """Return the keyword parameters of a family, by name; raises ValueError on an unknown family."""
    signature = inspect.signature(lookup(name))
    return {k: p for k, p in signature.parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}


def takes_seed(name: str) -> bool:
    """Return whether the family is random: whether it takes a seed."""
    return "seed" in parameters(name)


def lookup(name: str) -> Callable[..., Topology | list[Topology]]:
    """Return the family of one or of several layers with this name; raises ValueError on an unknown name."""
    if name not in GENERATORS and name not in NETWORK_FAMILIES:
        nearest = _did_you_mean(name, [*GENERATORS, *NETWORK_FAMILIES])
        raise ValueError(
            f"expected a family among {', '.join(sorted(GENERATORS))}, or of several layers among "
            f"{', '.join(sorted(NETWORK_FAMILIES))}; got {name!r}{nearest}"
        )
    return GENERATORS[name] if name in GENERATORS else NETWORK_FAMILIES[name]


def get_family(name: str) -> Callable[..., Topology]:
    """Return the family of one layer with this name; raises ValueError on an unknown name."""
    if name not in GENERATORS:
        raise ValueError(
            f"expected a family among {', '.join(sorted(GENERATORS))}; got {name!r}{_did_you_mean(name, GENERATORS)}"
        )
    return GENERATORS[name]


def _did_you_mean(name: str, names: Iterable[str]) -> str:
    close = get_close_matches(name, names, 1) if isinstance(name, str) else ()
    return f"; did you mean {close[0]!r}?" if close else ""


def make(name: str, **values: object) -> Topology:
    """Call a family by name, as the command line and a recipe do.

    Raises:
        ValueError: if the family or a parameter is unknown, or a required one is missing.

    Example:
        >>> make("rotating", n_in=4, n_out=4, fan_in=2).n_edges
        8
    """
    return _call(name, get_family(name), values)


def from_recipe(recipe: Recipe) -> Topology:
    """Build the graph of a recipe: the same graph, bit for bit, as the one that has this recipe.

    The recipe of a transform such as `kronecker` contains the recipes of its topologies; these are built first.

    Raises:
        ValueError: if the family, the transform or a parameter is unknown, or a required one is missing.

    Example:
        >>> t = make("erdos_renyi", n_in=9, n_out=7, density=0.3, seed=1)
        >>> from_recipe(t.recipe) == t
        True
    """
    values = {k: from_recipe(v) if isinstance(v, Recipe) else v for k, v in recipe.parameters}
    if recipe.family in TRANSFORMS:
        return _call(recipe.family, TRANSFORMS[recipe.family], values)
    return make(recipe.family, **values)


def _call(name: str, function: Callable[..., Topology], values: dict[str, Any]) -> Topology:
    signature = inspect.signature(function)
    try:
        signature.bind(**values)
    except TypeError as error:
        raise ValueError(f"{name}: {error}; it takes {', '.join(signature.parameters)}") from None
    return function(**values)


def share_changed(
    name: str, n_in: int, n_out: int, *, fan_in: int | None = None, density: float | None = None, **own: Any
) -> float:
    """Return how far a graph with fit="level" is from its family: the share of edges that levelling drops or adds.

    Args:
        name: a family of one layer that exists for some sizes only, one of AVAILABLE_SIZES.
        n_in, n_out: number of inputs and outputs.
        fan_in, density: the requested fan-in; one of the two.
        **own: the family's own parameters.

    Returns:
        The number of edges that levelling drops or adds, divided by the n_out * fan_in edges of the result. It is 0 if
        the family has exactly such a graph, and at most 0.2 if fit="nearest" accepts the request. From about 0.6 on,
        most edges are no longer those of the family. The share exceeds 1 if more edges are dropped than remain.

    Raises:
        ValueError: for a family of another kind, or an impossible request.

    Example:
        >>> share_changed("projective_plane", 13, 13, fan_in=4)
        0.0
        >>> round(share_changed("projective_plane", 784, 1000, density=0.05), 2)
        0.37
    """
    if name not in AVAILABLE_SIZES:
        raise ValueError(
            f"expected a family for some sizes only, among {', '.join(sorted(AVAILABLE_SIZES))}; got {name!r}"
        )
    if unknown := own.keys() - parameters(name).keys() | own.keys() & {"fit"}:
        raise ValueError(f"expected parameters of {name} other than fit, got {', '.join(sorted(unknown))}")
    n_in, n_out = check_side("n_in", n_in), check_side("n_out", n_out)
    width = resolve_fan_in(n_in, fan_in, density)
    return measure_levelling(partial(AVAILABLE_SIZES[name], **own), partial(_BUILDS[name], **own), n_in, n_out, width)


def to_python(value: Any) -> Any:
    """Convert NumPy's scalars and arrays to Python's own numbers and tuples, and lists to tuples, for a recipe."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    return tuple(map(to_python, value)) if isinstance(value, list | tuple) else value
