"""Budgets: a total divided among layers, exactly; and networks and studies that are wired by one."""

from fractions import Fraction
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prewired.nn import edge_budgets, fan_ins, mlp, wire
from prewired.nn.edge_budgets import BUDGETS

SIZES = [784, 1000, 500, 10]
LAYERS = edge_budgets.layer_shapes(SIZES)
SHAPES = st.one_of(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 3), st.integers(1, 3)),
)


@pytest.mark.parametrize("rule", BUDGETS)
@given(layers=st.lists(SHAPES, min_size=1, max_size=6), data=st.data())
@settings(max_examples=150, deadline=None)
def test_the_total_is_exact_and_every_layer_has_room(rule, layers, data):
    n_edges = data.draw(st.integers(len(layers), sum(map(prod, layers))))
    edges = edge_budgets.divide_edges(layers, rule, n_edges)
    assert sum(edges) == n_edges
    assert all(1 <= n <= prod(shape) for n, shape in zip(edges, layers, strict=True))


WEIGHTS = {"uniform": prod, "erdos_renyi": lambda s: sum(s[:2]) * prod(s[2:]), "erk": sum}


@pytest.mark.parametrize("rule", BUDGETS)
@given(layers=st.lists(SHAPES, min_size=2, max_size=5), data=st.data())
@settings(max_examples=150, deadline=None)
def test_layers_between_their_bounds_get_shares_of_one_scale(rule, layers, data):
    """The definition: edges = scale * weight within a rounding, but for layers that are full or have a single edge."""
    n_edges = data.draw(st.integers(len(layers), sum(map(prod, layers))))
    edges = edge_budgets.divide_edges(layers, rule, n_edges)
    inner = [(n, WEIGHTS[rule](s)) for n, s in zip(edges, layers, strict=True) if 1 < n < prod(s)]
    low = max((Fraction(n - 1, w) for n, w in inner), default=Fraction(0))
    high = min((Fraction(n + 1, w) for n, w in inner), default=low)
    assert low <= high
    for n, shape in zip(edges, layers, strict=True):
        if inner and n == prod(shape) > 1:
            assert high * WEIGHTS[rule](shape) >= n - 1
        if inner and n == 1 < prod(shape):
            assert low * WEIGHTS[rule](shape) <= 2


def test_erdos_renyi_is_the_published_rule():
    """Mocanu's density epsilon * (n_in + n_out) / (n_in * n_out), at the epsilon of this total."""
    assert edge_budgets.by_units(LAYERS[:2], 20 * 3284) == [20 * 1784, 20 * 1500]
    assert 21 * 510 > 5000  # the output layer has no room for its share, is dense, and the others share the rest
    assert edge_budgets.by_units(LAYERS, 21 * 3284 + 5000) == [21 * 1784, 21 * 1500, 5000]


def test_erk_counts_the_kernel_and_without_one_is_erdos_renyi():
    assert edge_budgets.erk(LAYERS, 50_001) == edge_budgets.by_units(LAYERS, 50_001)
    assert edge_budgets.erk([(16, 32, 3, 3), (32, 64, 3, 3)], 3 * (54 + 102)) == [3 * 54, 3 * 102]


def test_the_largest_remainder_wins_and_ties_go_to_the_first():
    assert edge_budgets.uniform([(10, 10)] * 3, 100) == [34, 33, 33]
    assert edge_budgets.uniform([(10, 10), (10, 30), (10, 10)], 9) == [2, 5, 2]
    assert edge_budgets.uniform([(10, 7), (10, 6)], 10) == [5, 5]


def test_given_densities_round_once():
    layers = [(10, 1)] * 4
    assert edge_budgets.by_density(layers, [0.125] * 4) == [2, 1, 1, 1]
    assert edge_budgets.by_density(layers, [0.1, 0.2, 0.3, 0.4], 20) == [2, 4, 6, 8]
    assert edge_budgets.by_density([(100, 10), (10, 10)], [1.0, 0.37]) == [1000, 37]
    assert edge_budgets.by_density([(10, 10), (4, 4)], [np.float32(0.5), np.int64(1)]) == [50, 16]


@given(layers=st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=5), data=st.data())
@settings(max_examples=150, deadline=None)
def test_steps_are_whole_fan_ins_near_the_total(layers, data):
    steps = [b for _, b in layers]
    n_edges = data.draw(st.integers(sum(steps), sum(map(prod, layers))))
    edges = edge_budgets.by_units(layers, n_edges, steps=steps)
    assert all(n % b == 0 and b <= n <= a * b for n, (a, b) in zip(edges, layers, strict=True))
    assert abs(sum(edges) - n_edges) <= max(steps)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: edge_budgets.uniform([(3, 3), (3, 3)], 1), "2 <= n_edges <= 18"),
        (lambda: edge_budgets.uniform([(3, 3), (3, 3)], 19), "2 <= n_edges <= 18"),
        (lambda: edge_budgets.uniform([(3, 3)], 4.0), "expected an integer"),
        (lambda: edge_budgets.uniform([(3, 3)], True), "expected an integer"),
        (lambda: edge_budgets.by_density([(3, 3)], [0.5, 0.5]), "a density for each of 1 layers, got 2"),
        (lambda: edge_budgets.by_density([(3, 3)], [1.5]), "0 < density <= 1"),
        (lambda: edge_budgets.divide_edges([(3, 3)], "erks", 4), "among uniform, erdos_renyi, erk"),
        (lambda: edge_budgets.divide_edges([(3, 3)], "erk", None), "give density= or n_edges="),
    ],
)
def test_impossible_budgets_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Networks


@pytest.mark.parametrize("n_edges", [4_001, 50_003, 400_000, 784_000 + 500_000])
@pytest.mark.parametrize("budget", [None, *BUDGETS, [0.3, 0.1]])
def test_a_network_has_exactly_the_edges_asked_for(budget, n_edges):
    layers = wire(SIZES, family="erdos_renyi", n_edges=n_edges, budget=budget)
    assert sum(t.n_edges for t in layers) == n_edges
    assert [t.n_edges for t in layers] == edge_budgets.divide_edges(LAYERS[:2], budget or "uniform", n_edges)


def test_a_density_with_a_budget_gives_all_families_the_same_whole_fan_ins():
    asked = {"density": 0.1, "budget": "erdos_renyi", "seed": 0}
    wired = [wire(SIZES, family=f, **asked) for f in ("rotating", "biregular", "erdos_renyi")]
    edges = [[t.n_edges for t in layers] for layers in wired]
    assert edges == [edges[0]] * 3
    assert [n % b for n, b in zip(edges[0], SIZES[1:], strict=False)] == [0, 0]
    assert abs(sum(edges[0]) - 128_400) <= 250


def test_given_densities_wire_a_network():
    layers = wire([64, 32, 32, 10], family="rotating", budget=[0.25, 0.5])
    assert [t.n_edges for t in layers] == [512, 512]
    net = mlp([64, 32, 32, 10], family="rotating", budget=[0.25, 0.5])
    assert net[2].topology == layers[1]


def test_families_of_one_fan_in_say_which_totals_they_can_have():
    assert [t.n_edges for t in wire([64, 32, 32, 10], family="rotating", n_edges=640)] == [416, 224]
    with pytest.raises(
        ValueError, match=r"n_edges that rotating can have.*got n_edges=650; take 640.*such as biregular"
    ):
        wire([64, 32, 32, 10], family="rotating", n_edges=650)


@pytest.mark.parametrize(
    "asked",
    [
        {"n_edges": 64, "density": 0.5},
        {"n_edges": 64, "fan_in": 2},
        {"budget": "erk", "fan_in": 2},
    ],
)
def test_two_requests_at_once_are_refused(asked):
    with pytest.raises(ValueError, match="expected n_edges= alone, or density= or n_edges= with a budget"):
        wire([64, 32, 32, 10], family="biregular", **asked)
    with pytest.raises(ValueError, match="with family=dense"):
        mlp([64, 32, 32, 10], family="dense", **asked)


@pytest.mark.parametrize(
    ("family", "own"),
    [("toeplitz", "offsets="), ("radix", "radices=, position="), ("degree_sequence", "fan_ins=, fan_outs=")],
)
@pytest.mark.parametrize("asked", [{"density": 0.5}, {"fan_in": 2}, {"n_edges": 64}, {"density": 0.5, "budget": "erk"}])
def test_families_whose_edges_follow_from_their_parameters_say_so(family, own, asked):
    with pytest.raises(ValueError, match=f"got {family}, whose edges follow from {own} alone; leave density"):
        mlp([64, 32, 10], family=family, **asked)


def test_families_whose_edges_follow_from_their_parameters_make_networks():
    layers = wire([64, 32, 32, 10], family="toeplitz", offsets=[0, 1])
    assert [t.n_edges for t in layers] == [64, 63]


def test_the_fan_ins_of_a_density_are_those_of_the_wiring():
    for budget in (None, "uniform", "erdos_renyi", [0.05, 0.2]):
        asked = {"budget": budget} if isinstance(budget, list) else {"density": 0.1, "budget": budget}
        wired = wire(SIZES, family="rotating", **asked)
        assert [t.fan_in[0] for t in wired] == fan_ins(LAYERS[:2], asked.get("density"), budget)


def test_layers_of_all_families_have_equally_many_edges_where_asked():
    wired = [
        wire([784, 1000, 1000, 10], family=family, n_edges=100_000, seed=0, whole_fan_ins=True)
        for family in ("biregular", "rotating")
    ]
    assert [[t.n_edges for t in layers] for layers in wired] == [[44_000, 56_000]] * 2


def test_a_random_number_of_edges_is_not_exact():
    with pytest.raises(ValueError, match=r"exactly n_edges=96, got erdos_renyi_p with 85; take .* erdos_renyi"):
        wire([64, 32, 10], family="erdos_renyi_p", n_edges=96)
