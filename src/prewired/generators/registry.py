"""The decorator that makes a function a family: checks its edges, stamps the recipe, registers the name."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import numpy as np

from ..topology import Recipe, Topology

Edges = tuple[np.ndarray, np.ndarray]
"""indptr and indices, see Topology."""

P = ParamSpec("P")
GENERATORS: dict[str, Callable[..., Topology]] = {}


def family(edges: Callable[P, Edges]) -> Callable[P, Topology]:
    """Turn a function that returns the edges of a graph into a registered generator of topologies."""
    name = edges.__name__
    signature = inspect.signature(edges)

    @wraps(edges)
    def generator(*args: P.args, **kwargs: P.kwargs) -> Topology:
        bound = signature.bind(*args, **kwargs)
        given = {name: v.item() if isinstance(v, np.generic) else v for name, v in bound.arguments.items()}
        _check_sides(given)
        bound.arguments.update(given)
        indptr, indices = edges(*bound.args, **bound.kwargs)
        return Topology(given["n_in"], given["n_out"], indptr, indices, Recipe.make(name, **given))

    generator.__signature__ = signature.replace(return_annotation=Topology)  # pyright: ignore[reportAttributeAccessIssue]
    GENERATORS[name] = generator
    return generator


def parameters(name: str) -> dict[str, inspect.Parameter]:
    """The keyword parameters of a family, by name; raises ValueError on an unknown family."""
    signature = inspect.signature(generator(name))
    return {k: p for k, p in signature.parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}


def takes_seed(name: str) -> bool:
    """Whether the family is random, so that another seed gives another graph."""
    return "seed" in parameters(name)


def generator(name: str) -> Callable[..., Topology]:
    """The generator of that name; raises ValueError that lists the known ones."""
    if name not in GENERATORS:
        raise ValueError(f"expected a family among {', '.join(sorted(GENERATORS))}; got {name!r}")
    return GENERATORS[name]


def make(name: str, **values: object) -> Topology:
    """Call a family by name, as the command line and a recipe do.

    Raises:
        ValueError: if the family or a parameter is unknown, or a required one is missing.

    Example:
        >>> make("rotating", n_in=4, n_out=4, fan_in=2).n_edges
        8
    """
    function = generator(name)
    try:
        inspect.signature(function).bind(**values)
    except TypeError as error:
        known = ", ".join(["n_in", "n_out", *parameters(name)])
        raise ValueError(f"{name}: {error}; it takes {known}") from None
    return function(**values)


def from_recipe(recipe: Recipe) -> Topology:
    """The graph that a recipe describes, bit for bit the one it was stamped on.

    Example:
        >>> t = make("erdos_renyi", n_in=9, n_out=7, density=0.3, seed=1)
        >>> from_recipe(t.recipe) == t
        True
    """
    return make(recipe.family, **dict(recipe.parameters))


def _check_sides(given: dict[str, object]) -> None:
    for name in ("n_in", "n_out"):
        value = given[name]
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**31:
            raise ValueError(f"expected an integer 1 <= {name} < 2**31, got {name}={value!r}")
