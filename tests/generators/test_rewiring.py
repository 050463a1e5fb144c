"""Rewiring and controls: what is kept, what is reached, and that recipes rebuild it."""

from collections import Counter
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prewired import Topology, generators, metrics
from prewired.generators import from_recipe, permute_inputs, rewire, shuffle_edges, shuffle_within_layer, swap_edges
from prewired.topology import Recipe

BAND = generators.rotating(128, 128, fan_in=8)
RANDOM = generators.biregular(128, 128, fan_in=8, seed=0)
IRREGULAR = generators.erdos_renyi(90, 60, fan_in=6, seed=0)
OPERATIONS = {
    "shuffle_edges": (shuffle_edges, {}),
    "permute_inputs": (permute_inputs, {}),
    "shuffle_within_layer": (shuffle_within_layer, {}),
    "swap_edges": (swap_edges, {"proposals": 500}),
    "swap_edges toward a band": (swap_edges, {"proposals": 500, "toward": "band"}),
}
DIGESTS = {
    "permute_inputs": "33fd3556736096c23eb5e0087932e1866129b84238d4e5d2b7c1e994337e8494",
    "shuffle_edges": "0e61d2e36fb2f183bed767542ce9a48e10ebc65bd88ec9fe25156525a2f5cfc7",
    "shuffle_within_layer": "a6c5e3fa9576552369d094bd65614e2e4646d5fd70512a9b17e654b673ffb069",
    "swap_edges": "709e84a48c6b0b0bbcd78acb616c860567b088e15c62470ab744922904630d90",
    "swap_edges toward a band": "1db9cd71ef0c585c3d71f7edc4d47367f5e118d3c76de5faddf536d8ed535747",
}


def same_degrees(a, b):
    return np.array_equal(a.fan_in, b.fan_in) and np.array_equal(a.fan_out, b.fan_out)


@st.composite
def topologies(draw):
    n_in, n_out = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    cells = draw(st.lists(st.booleans(), min_size=n_in * n_out, max_size=n_in * n_out))
    return Topology.from_mask(np.array(cells).reshape(n_out, n_in))


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_keep_the_battery_s_promises(name):
    operation, options = OPERATIONS[name]
    made = operation(RANDOM, **options, seed=5)
    assert made == operation(RANDOM, **options, seed=5)
    assert len({operation(RANDOM, **options, seed=seed) for seed in range(5)} | {RANDOM}) == 6
    again = from_recipe(Recipe.from_json(made.recipe.to_json()))
    assert (again, again.recipe) == (made, made.recipe)
    twice = operation(made, **options, seed=6)
    assert from_recipe(Recipe.from_json(twice.recipe.to_json())) == twice
    bare = Topology(RANDOM.n_in, RANDOM.n_out, RANDOM.indptr, RANDOM.indices)
    assert operation(bare, **options, seed=5) == made
    assert operation(bare, **options, seed=5).recipe is None
    with pytest.raises(ValueError, match="seed >= 0"):
        operation(RANDOM, **options, seed=-1)


@pytest.mark.parametrize("name", OPERATIONS)
def test_golden_digests(name):
    operation, options = OPERATIONS[name]
    assert operation(IRREGULAR, **options, seed=11).digest == DIGESTS[name]


@given(t=topologies(), seed=st.integers(0, 99), data=st.data())
@settings(max_examples=20, deadline=None)
def test_what_each_operation_keeps(t, seed, data):
    toward = data.draw(st.sampled_from(["random", "band"]))
    assert same_degrees(shuffle_edges(t, seed=seed), t)
    assert same_degrees(swap_edges(t, proposals=data.draw(st.integers(0, 50)), toward=toward, seed=seed), t)
    assert shuffle_within_layer(t, seed=seed).n_edges == t.n_edges
    permuted = permute_inputs(t, seed=seed)
    assert Counter(map(tuple, permuted.biadjacency().toarray().T)) == Counter(map(tuple, t.biadjacency().toarray().T))


def test_permuted_inputs_keep_the_spectrum_and_lose_the_locality():
    permuted = permute_inputs(BAND, seed=0)
    expected = np.linalg.svd(BAND.biadjacency().toarray(), compute_uv=False)
    np.testing.assert_allclose(np.linalg.svd(permuted.biadjacency().toarray(), compute_uv=False), expected, atol=1e-9)
    assert np.median(np.abs(np.diff(permuted.indices))) > 5 * np.median(np.abs(np.diff(BAND.indices)))


def test_shuffled_edges_are_uniform_among_the_graphs_with_their_degrees():
    # the 4 x 4 matrices with row and column sums 2: there are 90
    counts = Counter(shuffle_edges(generators.rotating(4, 4, fan_in=2), seed=seed) for seed in range(900))
    assert len(counts) == 90
    chi_square = sum((count - 10) ** 2 / 10 for count in counts.values())
    assert chi_square < 147  # 89 degrees of freedom: 1 in 10,000
    # and the 5 with row and column sums 2, 1, 1
    start = Topology.from_mask([[1, 1, 0], [1, 0, 0], [0, 0, 1]])
    counts = Counter(shuffle_edges(start, seed=seed) for seed in range(500))
    assert len(counts) == 5
    assert min(counts.values()) > 65


def test_shuffled_cells_are_uniform():
    start = generators.rotating(4, 2, fan_in=1)
    counts = Counter(shuffle_within_layer(start, seed=seed) for seed in range(900))
    assert len(counts) == comb(8, 2)
    assert min(counts.values()) > 12


def test_a_shuffled_band_is_as_good_as_random():
    assert metrics.relative_spectral_gap(BAND) < 0.02
    assert metrics.relative_spectral_gap(shuffle_edges(BAND, seed=0)) > 0.3


@pytest.mark.parametrize("toward", ["random", "band"])
def test_the_walk_is_one_sequence_however_long(toward):
    from prewired.generators.swap_walk import Walk

    walk = Walk(RANDOM, toward, 3)
    for proposals in (0, 1, 63, 64, 65, 700, 1300):
        expected = swap_edges(RANDOM, proposals=proposals, toward=toward, seed=3)
        assert Topology(128, 128, *walk.edges_at(proposals)) == expected


def test_a_proposal_swaps_two_edges_at_most():
    for proposals in range(60):
        before, after = (
            swap_edges(RANDOM, proposals=n, seed=0).biadjacency().toarray() for n in (proposals, proposals + 1)
        )
        assert np.abs(after - before).sum() in (0, 4)


def test_toward_a_band_the_gap_falls():
    walked = [swap_edges(RANDOM, proposals=n * RANDOM.n_edges, toward="band", seed=0) for n in (1, 4, 16, 64)]
    gaps = [metrics.relative_spectral_gap(t) for t in walked]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 0.05


@pytest.mark.parametrize("t", [BAND, RANDOM, IRREGULAR, generators.grouped(64, 64, fan_in=8)], ids=repr)
@pytest.mark.parametrize("gap", [0.04, 0.27])
def test_a_wanted_gap_is_reached_at_the_same_degrees(t, gap):
    found, reached = rewire(t, gap=gap, seed=1)
    assert abs(reached - gap) <= 0.002
    assert same_degrees(found, t)
    assert metrics.relative_spectral_gap(found) == pytest.approx(reached, abs=1e-9)
    assert from_recipe(Recipe.from_json(found.recipe.to_json())) == found


def test_from_above_random_the_walk_goes_toward_random():
    plane = generators.projective_plane(57, 57, fan_in=8)
    found, reached = rewire(plane, gap=0.45, seed=0)
    assert metrics.relative_spectral_gap(plane) == pytest.approx(1 - 7**0.5 / 8)
    assert abs(reached - 0.45) <= 0.002
    assert dict(found.recipe.parameters)["toward"] == "random"


def test_between_a_plane_and_its_neighbours_the_error_names_both():
    plane = generators.projective_plane(57, 57, fan_in=8)
    others = {swap_edges(plane, proposals=1, seed=seed) for seed in range(100)} - {plane}
    best = max(metrics.relative_spectral_gap(t) for t in others)
    assert best < 0.6  # all but one singular value of the plane are equal, and one swap raises the largest
    with pytest.raises(RuntimeError, match=rf"got 0\.669281086 and, one swap on, {best:.9g} as the nearest"):
        rewire(plane, gap=0.62, seed=0)


@pytest.mark.parametrize("wanted", [0.2, 1.5])
def test_a_wanted_algebraic_connectivity_is_reached(wanted):
    found, reached = rewire(BAND, algebraic_connectivity=wanted, seed=0)
    assert abs(reached - wanted) <= 0.002 * 8
    assert metrics.algebraic_connectivity(found) == pytest.approx(reached, abs=1e-9)
    assert same_degrees(found, BAND)


def test_what_is_so_already_is_left_as_it_is():
    gap = metrics.relative_spectral_gap(RANDOM)
    assert rewire(RANDOM, gap=gap, seed=0) == (RANDOM, gap)


def test_out_of_reach_names_the_range():
    small = generators.biregular(32, 32, fan_in=6, seed=0)
    with pytest.raises(ValueError, match=r"expected gap at most 0\.3\d+, .* got gap=0\.9"):
        rewire(small, gap=0.9, seed=0)
    with pytest.raises(ValueError, match="expected algebraic_connectivity at most"):
        rewire(small, algebraic_connectivity=5.0, seed=0)
    with pytest.raises(ValueError, match=r"expected gap from 0\.0\d+ to 0\.3\d+, .* got gap=0;"):
        rewire(small, gap=0.0, tolerance=1e-5, seed=0)
    with pytest.raises(ValueError, match="from 1 to 1"):
        rewire(generators.dense(8, 8), gap=0.5, seed=0)


def test_a_gap_above_the_random_one_is_refused_without_a_walk_to_the_band(monkeypatch):
    measured = []
    gap = metrics.relative_spectral_gap
    monkeypatch.setattr(metrics, "relative_spectral_gap", lambda t: measured.append(t) or gap(t))
    with pytest.raises(ValueError, match="at most"):
        rewire(BAND, gap=0.9, seed=0)
    assert measured == [BAND, swap_edges(BAND, proposals=8 * BAND.n_edges, seed=0)]


@pytest.mark.parametrize(("toward", "wanted"), [("random", 0.2), ("band", 0.2)])
def test_the_recipe_is_that_of_the_swaps_which_were_found(toward, wanted):
    start = BAND if toward == "random" else RANDOM
    found = rewire(start, gap=wanted, seed=2).topology
    made = {**dict(found.recipe.parameters), "t": start}
    assert made["toward"] == toward
    assert (swap_edges(**made), swap_edges(**made).recipe) == (found, found.recipe)
    bare = Topology(start.n_in, start.n_out, start.indptr, start.indices)
    assert (rewire(bare, gap=wanted, seed=2).topology, rewire(bare, gap=wanted, seed=2).topology.recipe) == (
        found,
        None,
    )


def test_names_stay_with_a_rewired_graph():
    names = [f"i{k}" for k in range(128)], [f"o{k}" for k in range(128)]
    named = Topology(128, 128, BAND.indptr, BAND.indices, names=names)
    assert rewire(named, gap=0.2, seed=0).topology.names == named.names


def test_a_gap_that_cannot_be_measured_says_so(monkeypatch):
    def unsettled(t):
        raise RuntimeError("the iteration did not settle")

    monkeypatch.setattr(metrics, "relative_spectral_gap", unsettled)
    with pytest.raises(
        RuntimeError, match=r"can be computed on the way to gap=0\.2, got .*: the iteration did not settle"
    ):
        rewire(BAND, gap=0.2, seed=0)


def test_a_gap_between_two_neighbouring_graphs_is_an_error():
    with pytest.raises(RuntimeError, match=r"within 1e-09 of 0\.25"):
        rewire(generators.rotating(32, 32, fan_in=8), gap=0.25, tolerance=1e-9, seed=0)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({}, "got neither"),
        ({"gap": 0.1, "algebraic_connectivity": 1.0}, "got both"),
        ({"gap": 1.5}, "0 <= gap <= 1"),
        ({"gap": float("nan")}, "0 <= gap <= 1"),
        ({"gap": "wide"}, "0 <= gap <= 1, got gap='wide'"),
        ({"algebraic_connectivity": -1.0}, "0 <= algebraic_connectivity <= "),
        ({"gap": 0.1, "keep": "edges"}, 'keep="degrees"'),
        ({"gap": 0.1, "tolerance": 0.0}, "0 < tolerance <= 1"),
        ({"gap": 0.1, "seed": -1}, "seed >= 0"),
    ],
)
def test_impossible_wishes_are_refused(wish, message):
    with pytest.raises(ValueError, match=message):
        rewire(BAND, **{"seed": 0, **wish})


@pytest.mark.parametrize(
    ("options", "message"),
    [({"proposals": -1}, "proposals >= 0"), ({"proposals": 1.5}, "proposals >= 0"), ({"toward": "moon"}, "toward=")],
)
def test_impossible_swaps_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        swap_edges(BAND, **{"proposals": 1, "seed": 0, **options})
