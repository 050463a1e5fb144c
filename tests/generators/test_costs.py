"""Costs of recipes: every family states or inherits a rule, and rules bound the graphs."""

import json
import math
from pathlib import Path

import pytest

from prewired import generators
from prewired.generators import GENERATORS, TRANSFORMS, estimate_cost
from prewired.generators._internal import costs
from prewired.topology import Recipe

GOLDEN = json.loads((Path(__file__).parents[1] / "golden.json").read_text())
SMALL = Recipe.make("rotating", n_in=8, n_out=8, fan_in=2)  # 16 edges, size 16 + 8 + 8 + 2 = 34, 16 + 2 * 18 = 52 steps


def test_every_family_and_transform_has_a_rule():
    assert set(costs._RULES) == {*GENERATORS, *TRANSFORMS}


def test_a_recipe_bounds_the_edges_of_its_graph():
    for family, requests in GOLDEN.items():
        for request in requests:
            t = generators.make(family, **json.loads(request))
            size, steps = estimate_cost(t.recipe)
            assert t.n_in + t.n_out + (0.8 if family == "erdos_renyi_p" else 1) * t.n_edges <= size, t
            assert steps >= t.n_edges or family == "peg"


@pytest.mark.parametrize(
    ("recipe", "edges", "steps"),
    [
        (SMALL, 16, 52),
        (Recipe.make("rotating", n_in=8, n_out=8, density=0.5), 32, 32 + 2 * 16.5),
        (Recipe.make("biregular", n_in=8, n_out=8, n_edges=20, seed=9), 20, 20 + 2 * 36),
        (Recipe.make("toeplitz", n_in=8, n_out=9, offsets=[-1, 0, 5]), 3 * 9, 3 * 9 + 2 * (8 + 9 + 3 + 5)),
        (Recipe.make("circulant", n_in=8, n_out=8, offsets="strided", density=0.5), 32, 32 + 2 * 16.5),
        (Recipe.make("circulant", n_in=9, n_out=8, offsets="difference_set"), 8 * 4, 8 * 4 + 2 * 17),
        (Recipe.make("dense", n_in=8, n_out=9), 72, 72 + 2 * 17),
        (Recipe.make("radix", n_in=8, n_out=4, radices=[2, 2], position=1), 4 * 8 / 2, 4 * 8 / 2 + 2 * 17),
        (Recipe.make("kautz", n_in=6, n_out=6), 36, 36 + 2 * 12 + 64 * 6),
        (Recipe.make("kautz", n_in=6, n_out=6, fan_in=2), 12, 12 + 2 * 14 + 64 * 6),
        (Recipe.make("kautz", n_in=6, n_out=6, fan_in=2, fit="level"), 36, 36 + 2 * 14 + 64 * 6),
        (Recipe.make("power_law", n_in=8, n_out=8, fan_in=2, seed=0), 16, 256 * 52),
        (Recipe.make("lift", n_in=8, n_out=8, fan_in=2, seed=0), 16, 16 * 52),
        (Recipe.make("lift", n_in=8, n_out=8, fan_in=2, best_of=3, seed=0), 16, 3 * 16 * 58),
        (Recipe.make("ramanujan", n_in=8, n_out=8, fan_in=2, seed=0), 16, 100 * 16 * 52),
        (Recipe.make("ramanujan", n_in=8, n_out=8, fan_in=2, tries=2, seed=0), 16, 2 * 16 * 56),
        (Recipe.make("peg", n_in=8, n_out=8, fan_in=2, seed=0), 16, 4),
        (Recipe.make("permute_inputs", t=SMALL, seed=0), 34 + 34, 34 + 52),
        (Recipe.make("shuffle_edges", t=SMALL, seed=0), 34 + 34, 256 * 34 + 52),
        (Recipe.make("swap_edges", t=SMALL, proposals=5, seed=0), 34 + 34, 16 * (34 + 10) + 52),
        (Recipe.make("kronecker", left=SMALL, right=SMALL), 34 * 34 + 68, 34 * 34 + 104),
        (Recipe.make("block_lift", t=SMALL, rows=2, cols=3), 6 * 34 + 34, 6 * 34 + 2 * 5 + 52),
        (Recipe.make("unheard_of", n_in=8, n_out=8), 64, 64 + 2 * 16),
    ],
)
def test_costs_are_those_of_the_rules(recipe, edges, steps):
    parameters = {name: value for name, value in recipe.parameters if name != "seed"}
    magnitudes = sum(costs.get_magnitude(value) for value in parameters.values())
    assert estimate_cost(recipe) == (edges + magnitudes, steps)


def test_parameters_of_any_kind_have_a_cost():
    for value in (
        -3,
        True,
        "text",
        None,
        (),
        ("a", 2),
        ((5,), 7),
        -(10**300),
        10**400,
        (10**400, 2),
        math.inf,
        math.nan,
    ):
        for family in {*GENERATORS, *TRANSFORMS}:
            recipe = Recipe(family, (("n_in", value), ("n_out", 4), ("fan_in", value), ("tries", value)))
            assert all(isinstance(number, float | int) for number in estimate_cost(recipe))
