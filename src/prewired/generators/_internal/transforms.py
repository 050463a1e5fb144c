"""The decorator of functions that make a topology from topologies: stamps a recipe that holds theirs, and the names."""

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

P = ParamSpec("P")
TRANSFORMS: dict[str, Callable[..., Topology]] = {}
_USUAL_COST = CostRule()


def kept(t: Topology, *_: object, **__: object) -> Names | None:
    """The names after an operation that leaves every input and every output in its place."""
    return t.names


def transform(
    *, names: Callable[..., Names | None] | None, cost: CostRule = _USUAL_COST
) -> Callable[[Callable[P, Parts]], Callable[P, Topology]]:
    """Turn a function of topologies that returns the parts of a graph into a registered one that returns a Topology.

    The result has a recipe where every topology it was made from has one.

    Args:
        names: the names of the result, from the same arguments; `kept` where the units are those of t, None where they
            are new and have none.
        cost: how edges and time follow from the parameters and the sizes of the topologies, see `family`. State it if
            the result has more edges than the largest of them, or takes longer than one step per edge.
    """

    def decorate(parts: Callable[P, Parts]) -> Callable[P, Topology]:
        name = parts.__name__
        signature = inspect.signature(parts)

        @wraps(parts)
        def make(*args: P.args, **kwargs: P.kwargs) -> Topology:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            values = bound.arguments
            given = {k: v.item() if isinstance(v, np.generic) else v for k, v in values.items()}
            bound.arguments.update(given)
            made = parts(*bound.args, **bound.kwargs)
            known = {k: v.recipe if isinstance(v, Topology) else v for k, v in given.items()}
            unknown = any(isinstance(v, Topology) and v.recipe is None for v in given.values())
            recipe = None if unknown else Recipe.make(name, **known)
            return Topology(*made, recipe, names and names(*bound.args, **bound.kwargs))

        make.__signature__ = signature.replace(return_annotation=Topology)  # pyright: ignore[reportAttributeAccessIssue]
        register_cost(name, cost, signature)
        TRANSFORMS[name] = make
        return make

    return decorate
