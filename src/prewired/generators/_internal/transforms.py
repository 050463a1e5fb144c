"""The decorator of functions that build a topology from topologies."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import numpy as np

from ...topology import Names, Recipe, Topology
from .costs import CostRule, register_cost

Edges = tuple[np.ndarray, np.ndarray]
"""indptr and indices, see Topology."""
Parts = tuple[int, int, np.ndarray, np.ndarray]
"""n_in, n_out, indptr and indices, see Topology."""

Arguments = ParamSpec("Arguments")
TRANSFORMS: dict[str, Callable[..., Topology]] = {}
_USUAL_COST = CostRule()


def keep_names(t: Topology, *_: object, **__: object) -> Names | None:
    """Return the names of t, for a transform whose result has the same inputs and outputs in the same order."""
    return t.names


def transform(
    *, names: Callable[..., Names | None] | None, cost: CostRule = _USUAL_COST
) -> Callable[[Callable[Arguments, Parts]], Callable[Arguments, Topology]]:
    """Turn a function of topologies that returns the parts of a graph into a registered function -> Topology.

    The result has a recipe, which contains the recipes of the topologies, if all of them have one.

    Args:
        names: the function of the same arguments that gives the names of the result; `keep_names` if the units are
            those of t; None if the units are new and have no names.
        cost: how edges and time follow from the parameters and the sizes of the topologies, see `family`. State it if
            the result has more edges than the largest of them, or takes longer than one step per edge.
    """

    def decorate(parts: Callable[Arguments, Parts]) -> Callable[Arguments, Topology]:
        name = parts.__name__
        signature = inspect.signature(parts)

        @wraps(parts)
        def build(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Topology:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            values = {k: v.item() if isinstance(v, np.generic) else v for k, v in bound.arguments.items()}
            bound.arguments.update(values)
            sides_and_edges = parts(*bound.args, **bound.kwargs)
            parameters = {k: v.recipe if isinstance(v, Topology) else v for k, v in values.items()}
            has_recipe = all(v.recipe is not None for v in values.values() if isinstance(v, Topology))
            recipe = Recipe.make(name, **parameters) if has_recipe else None
            return Topology(*sides_and_edges, recipe, names and names(*bound.args, **bound.kwargs))

        build.__signature__ = signature.replace(return_annotation=Topology)  # pyright: ignore[reportAttributeAccessIssue]
        register_cost(name, cost, signature)
        TRANSFORMS[name] = build
        return build

    return decorate
