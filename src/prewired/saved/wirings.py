"""A wiring as a file holds it: its recipe or, where none rebuilds it, its edges in few bits; and its digest."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from .. import generators
from ..topology import Names, Recipe, Topology
from . import gaps

_ROOM = 2**24
"""Edges, units or steps that rebuilding any wiring may take; more only in proportion to its edges, which are there."""
_PER_EDGE = 16
_SHORT = 1024
_PRODUCTS = ("kronecker", "block_lift")
"""Operations whose graph is as large as the product of what they are made of."""


def described(t: Topology, indices: bool) -> tuple[dict[str, Any], np.ndarray | None]:
    """What a file says of a wiring, and the code of its edges where no recipe rebuilds it."""
    if max(t.n_in, t.n_out) > _limit(t.n_edges):
        raise ValueError(
            f"expected sides of at most {_limit(t.n_edges):,} units for {t.n_edges:,} edges, got {t}; cut unused units"
        )
    about: dict[str, Any] = {"n_in": t.n_in, "n_out": t.n_out, "n_edges": t.n_edges, "digest": t.digest}
    if t.names is not None:
        about["names"] = t.names
    if not indices and t.recipe is not None and _cost(t.recipe) <= _limit(t.n_edges) and _rebuilds(t):
        recipe = t.recipe.to_json()
        if len(recipe) <= max(_SHORT, t.n_edges):  # a longer one is likely to take more than the edges
            return {**about, "recipe": json.loads(recipe)}, None
    k, code = gaps.encode(t)
    return {**about, "gaps": k}, code


def rebuilt(name: str, about: Mapping[str, Any], code: torch.Tensor | None, most: int) -> Topology:
    """The topology that a file tells of; `most` bounds the edges, since each has a value in the file."""
    n_in, n_out, n_edges = (int(about[key]) for key in ("n_in", "n_out", "n_edges"))
    if not 0 <= n_edges <= most or not 0 < max(n_in, n_out) <= _limit(n_edges):
        raise ValueError(f"layer {name} cannot have {n_in} inputs, {n_out} outputs and {n_edges} edges")
    if code is not None:
        if code.dtype != torch.uint8 or code.ndim != 1:
            raise ValueError(f"the edges of layer {name} are no bytes")
        t = gaps.decode(n_in, n_out, n_edges, int(about["gaps"]), code.numpy())
    else:
        recipe = Recipe.from_json(json.dumps(about["recipe"]))
        if not _cost(recipe) <= _limit(n_edges):
            raise ValueError(f"the recipe of layer {name} asks for more than {n_edges} edges need")
        t = generators.from_recipe(recipe)
    if (t.n_in, t.n_out, t.n_edges) != (n_in, n_out, n_edges):
        raise ValueError(f"layer {name} is to have {n_in} inputs, {n_out} outputs and {n_edges} edges, but gets {t}")
    if t.digest != about["digest"]:
        raise ValueError(f"the wiring of layer {name} has digest {t.digest[:12]}, expected {about['digest'][:12]}")
    names = Names(*map(tuple, about["names"])) if "names" in about else None
    return Topology(t.n_in, t.n_out, t.indptr, t.indices, t.recipe, names)


def _limit(n_edges: int) -> int:
    return max(_ROOM, _PER_EDGE * n_edges)


def _cost(recipe: Recipe) -> float:
    """A bound of the work a recipe asks for: its edges, or more, and all its counts but seeds; inner recipes too."""
    given = dict(recipe.parameters)
    sides = [abs(given[side]) for side in ("n_in", "n_out") if isinstance(given.get(side), int)]
    edges = abs(float(sides[0])) * sides[1] if len(sides) == 2 else 0.0
    if isinstance(given.get("n_edges"), int):
        edges = given["n_edges"]
    elif isinstance(given.get("fan_in"), int) and sides:
        edges = given["fan_in"] * sides[-1]
    elif isinstance(given.get("density"), float):
        edges *= given["density"]
    counts = [_count(value) for name, value in recipe.parameters if name != "seed"]
    return math.prod(max(count, 1) for count in counts) if recipe.family in _PRODUCTS else abs(edges) + sum(counts)


def _count(value: Any) -> float:
    if isinstance(value, Recipe):
        return _cost(value)
    if isinstance(value, tuple):
        return len(value) + max(map(_count, value), default=0)
    return abs(float(value)) if isinstance(value, int | float) else 0


def _rebuilds(t: Topology) -> bool:
    """Whether the recipe gives the graph, as it does unless somebody made one by hand."""
    try:
        return t.recipe is not None and generators.from_recipe(t.recipe) == t
    except (ValueError, TypeError):
        return False
