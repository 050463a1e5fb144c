"""Describe a wiring for a file by its recipe or a code of its edges, and build a wiring from its description."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from .. import generators
from ..topology import Names, Recipe, Topology
from . import rice_code
from .recipe_cost import Budget, asks_for_edges

_SHORT_RECIPE = 1024
"""A recipe may have this many characters, or one per edge: a longer one takes more space than the code of the edges."""


def describe_wiring(t: Topology, indices: bool, budget: Budget) -> tuple[dict[str, Any], np.ndarray | None]:
    """Describe a wiring; returns the description, and the code of the edges if no recipe gives the wiring.

    Raises:
        ValueError: if the wiring has too many units for the edges in the file.
    """
    if not budget.pays_for_sides(t.n_in, t.n_out):
        raise ValueError(
            f"expected fewer units in layers of so few edges, together at most {budget.size:,}, got {t}; leave out "
            "units without edges"
        )
    description: dict[str, Any] = {"n_in": t.n_in, "n_out": t.n_out, "n_edges": t.n_edges, "digest": t.digest}
    if t.names is not None:
        description["names"] = t.names
    recipe = None if indices else _usable_recipe(t, budget)
    if recipe is not None:
        return {**description, "recipe": json.loads(recipe)}, None
    k, code = rice_code.encode(t)
    return {**description, "gaps": k}, code


def count_edges(name: str, description: Mapping[str, Any], values: torch.Tensor | None) -> int:
    """Return the number of edges in a description.

    Raises:
        ValueError: if there are more edges than values in the file (one element holds at most two).
    """
    n_edges = description["n_edges"]
    if not isinstance(n_edges, int) or values is None or not 0 <= n_edges <= 2 * values.numel():
        raise ValueError(f"layer {name} cannot have {n_edges!r} edges")
    return n_edges


def build_wiring(name: str, description: Mapping[str, Any], code: torch.Tensor | None, budget: Budget) -> Topology:
    """Build the topology of a description.

    Raises:
        ValueError: if the description is wrong, costs more than the file may, or differs from its digest.
    """
    n_in, n_out, n_edges = sides = description["n_in"], description["n_out"], description["n_edges"]
    if not all(isinstance(side, int) for side in sides) or not budget.pays_for_sides(n_in, n_out):
        raise ValueError(f"layer {name} cannot have {n_in!r} inputs and {n_out!r} outputs")
    if code is not None:
        if code.dtype != torch.uint8 or code.ndim != 1 or not isinstance(description["gaps"], int):
            raise ValueError(f"the edges of layer {name} are no bytes")
        t = rice_code.decode(n_in, n_out, n_edges, description["gaps"], code.numpy())
    else:
        recipe = Recipe.from_json(json.dumps(description["recipe"]))
        if not asks_for_edges(recipe, n_edges) or not budget.pays_for(recipe):
            raise ValueError(f"the recipe of layer {name} asks for more than {n_edges} edges need")
        t = generators.from_recipe(recipe)
    if (t.n_in, t.n_out, t.n_edges) != sides:
        raise ValueError(f"layer {name} is to have {n_in} inputs, {n_out} outputs and {n_edges} edges, but gets {t}")
    if t.digest != description["digest"]:
        raise ValueError(
            f"the wiring of layer {name} has digest {t.digest[:12]}, expected {description['digest'][:12]}"
        )
    names = Names(*map(tuple, description["names"])) if "names" in description else None
    return Topology(t.n_in, t.n_out, t.indptr, t.indices, t.recipe, names)


def _usable_recipe(t: Topology, budget: Budget) -> str | None:
    """The recipe as JSON, if it is short, cheap to run, and gives the same wiring; else None.

    A recipe that a user wrote by hand may give another wiring.
    """
    if t.recipe is None:
        return None
    try:
        recipe_text = t.recipe.to_json()
        recipe = Recipe.from_json(recipe_text)
        fits = (
            len(recipe_text) <= max(_SHORT_RECIPE, t.n_edges)
            and asks_for_edges(recipe, t.n_edges)
            and budget.pays_for(recipe)
        )
        return recipe_text if fits and generators.from_recipe(recipe) == t else None
    except (ValueError, TypeError, AttributeError, ArithmeticError, LookupError):
        return None
