"""A wiring as a file holds it: its recipe or, where none rebuilds it, its edges in few bits; and its digest."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from .. import generators
from ..topology import Names, Recipe, Topology
from . import rice_code
from .recipe_cost import Budget

_SHORT = 1024
"""Characters that any recipe may have; more only up to one an edge, about what the edges themselves would take."""


def described(t: Topology, indices: bool, budget: Budget) -> tuple[dict[str, Any], np.ndarray | None]:
    """What a file says of a wiring, and the code of its edges where no recipe rebuilds it.

    Raises:
        ValueError: if it has too many units for the edges in the file.
    """
    if not budget.pays_for_sides(t.n_in, t.n_out):
        raise ValueError(
            f"expected fewer units in layers of so few edges, together at most {budget.size:,}, got {t}; leave out "
            "units without edges"
        )
    about: dict[str, Any] = {"n_in": t.n_in, "n_out": t.n_out, "n_edges": t.n_edges, "digest": t.digest}
    if t.names is not None:
        about["names"] = t.names
    recipe = None if indices else _recipe(t, budget)
    if recipe is not None:
        return {**about, "recipe": json.loads(recipe)}, None
    k, code = rice_code.encode(t)
    return {**about, "gaps": k}, code


def n_edges_of(name: str, about: Mapping[str, Any], values: torch.Tensor | None) -> int:
    """The number of edges that a file claims for a layer, each of which has a value in the file.

    Raises:
        ValueError: if there are more than values, two in a byte at most.
    """
    n_edges = about["n_edges"]
    if not isinstance(n_edges, int) or values is None or not 0 <= n_edges <= 2 * values.numel():
        raise ValueError(f"layer {name} cannot have {n_edges!r} edges")
    return n_edges


def rebuilt(name: str, about: Mapping[str, Any], code: torch.Tensor | None, budget: Budget) -> Topology:
    """The topology that a file tells of."""
    n_in, n_out, n_edges = sides = about["n_in"], about["n_out"], about["n_edges"]
    if not all(isinstance(side, int) for side in sides) or not budget.pays_for_sides(n_in, n_out):
        raise ValueError(f"layer {name} cannot have {n_in!r} inputs and {n_out!r} outputs")
    if code is not None:
        if code.dtype != torch.uint8 or code.ndim != 1 or not isinstance(about["gaps"], int):
            raise ValueError(f"the edges of layer {name} are no bytes")
        t = rice_code.decode(n_in, n_out, n_edges, about["gaps"], code.numpy())
    else:
        recipe = Recipe.from_json(json.dumps(about["recipe"]))
        if not budget.pays_for(recipe):
            raise ValueError(f"the recipe of layer {name} asks for more than {n_edges} edges need")
        t = generators.from_recipe(recipe)
    if (t.n_in, t.n_out, t.n_edges) != sides:
        raise ValueError(f"layer {name} is to have {n_in} inputs, {n_out} outputs and {n_edges} edges, but gets {t}")
    if t.digest != about["digest"]:
        raise ValueError(f"the wiring of layer {name} has digest {t.digest[:12]}, expected {about['digest'][:12]}")
    names = Names(*map(tuple, about["names"])) if "names" in about else None
    return Topology(t.n_in, t.n_out, t.indptr, t.indices, t.recipe, names)


def _recipe(t: Topology, budget: Budget) -> str | None:
    """The recipe as a file holds it, if it is short, not too costly, and gives the graph, which one by hand may not."""
    if t.recipe is None:
        return None
    try:
        text = t.recipe.to_json()
        recipe = Recipe.from_json(text)
        fits = len(text) <= max(_SHORT, t.n_edges) and budget.pays_for(recipe)
        return text if fits and generators.from_recipe(recipe) == t else None
    except (ValueError, TypeError, AttributeError, ArithmeticError, LookupError):
        return None
