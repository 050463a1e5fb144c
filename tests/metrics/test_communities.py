from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from prewired import Topology, generators
from prewired.metrics import communities
from prewired.metrics.communities import barber_modularity, modularity

masks = st.integers(1, 4).flatmap(lambda m: st.integers(1, 8 - m).flatmap(lambda n: hnp.arrays(bool, (m, n))))


def divisions(n):
    """All ways to divide n things, as labels: (Bell number, n)."""
    found = np.zeros((1, 1), int)
    for _ in range(n - 1):
        counts = found.max(1) + 2
        found = np.column_stack([np.repeat(found, counts, axis=0), np.concatenate([np.arange(k) for k in counts])])
    return found


DIVISIONS = {n: divisions(n) for n in range(2, 9)}


def dense_modularity(mask, input_labels, output_labels):
    edges = mask.sum()
    surplus = mask / edges - np.outer(mask.sum(1), mask.sum(0)) / edges**2
    return float((surplus * (np.asarray(output_labels)[:, None] == np.asarray(input_labels))).sum())


def largest_modularity(mask):
    m, n = mask.shape
    edges = mask.sum()
    surplus = mask / edges - np.outer(mask.sum(1), mask.sum(0)) / edges**2
    labels = DIVISIONS[m + n]
    together = labels[:, :m, None] == labels[:, None, m:]
    return (together * surplus).sum((1, 2)).max()


def test_the_reference_knows_the_bell_numbers():
    assert [len(DIVISIONS[n]) for n in range(2, 9)] == [2, 5, 15, 52, 203, 877, 4140]


@given(masks)
@settings(max_examples=40, deadline=None)
def test_never_above_the_maximum_and_never_below_zero(mask):
    found = modularity(Topology.from_mask(mask))
    assert 0 <= found < 1
    bounds = modularity(Topology.from_mask(mask), explain=True)
    if mask.any():
        assert found == bounds.value == bounds.low
        assert found <= largest_modularity(mask) + 1e-12 <= bounds.high + 2e-12
    else:
        assert found == bounds.high == 0


def test_mostly_the_maximum_and_never_far_below_on_small_graphs():
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(60):
        mask = rng.random((rng.integers(2, 5), 4)) < rng.uniform(0.2, 0.8)
        if mask.any() and (largest := largest_modularity(mask)) > 1e-9:
            shares.append(modularity(Topology.from_mask(mask)) / largest)
    assert len(shares) > 40
    assert np.mean(np.array(shares) > 1 - 1e-9) > 0.95
    assert min(shares) > 0.9


@given(masks, st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_the_formula_is_that_of_dense_matrices(mask, random):
    m, n = mask.shape
    inputs, outputs = ([random.choice([0, 3, 7]) for _ in range(k)] for k in (n, m))
    got = barber_modularity(Topology.from_mask(mask), inputs, outputs)
    np.testing.assert_allclose(got, dense_modularity(mask, inputs, outputs) if mask.any() else 0, atol=1e-12)
    np.testing.assert_allclose(barber_modularity(Topology.from_mask(mask.T), outputs, inputs), got, atol=1e-12)


# Closed forms


@pytest.mark.parametrize(("n_in", "n_out", "fan_in"), [(8, 8, 2), (60, 90, 10), (30, 30, 1), (2000, 1000, 4)])
def test_equal_blocks(n_in, n_out, fan_in):
    g = n_in // fan_in
    np.testing.assert_allclose(modularity(generators.grouped(n_in, n_out, fan_in=fan_in)), 1 - 1 / g)


def test_equal_blocks_in_any_order():
    t = generators.grouped(60, 90, fan_in=10)
    rng = np.random.default_rng(0)
    shuffled = t.biadjacency()[rng.permutation(90)][:, rng.permutation(60)]
    np.testing.assert_allclose(modularity(Topology.from_biadjacency(shuffled)), 1 - 1 / 6)


def test_unequal_blocks_and_dead_units():
    blocks = [generators.dense(3, 5), Topology(2, 1, [0, 0], []), generators.dense(4, 4), generators.dense(1, 2)]
    t = Topology.from_biadjacency(scipy.sparse.block_diag([b.biadjacency() for b in blocks]))
    np.testing.assert_allclose(modularity(t), 1 - (15**2 + 16**2 + 2**2) / 33**2)


@pytest.mark.parametrize(("n_in", "n_out"), [(1, 1), (1, 7), (7, 1), (40, 30)])
def test_the_dense_graph_has_none(n_in, n_out):
    assert modularity(generators.dense(n_in, n_out)) == 0


def test_without_edges():
    t = Topology(3, 2, [0, 0, 0], [])
    assert modularity(t) == barber_modularity(t, [0, 1, 2], [0, 1]) == 0


@pytest.mark.parametrize("n", [3, 8, 50])
def test_one_row_or_column_has_none(n):
    for t in (Topology.from_mask(np.arange(n)[None] % 3 > 0), Topology.from_mask(np.arange(n)[:, None] % 3 > 0)):
        assert modularity(t) == 0


# What the search finds


@pytest.mark.parametrize("sizes", [(200, 200, 8), (150, 400, 5)])
def test_planted_communities_are_found(sizes):
    n_in, n_out, k = sizes
    rng = np.random.default_rng(1)
    inputs, outputs = rng.integers(0, k, n_in), rng.integers(0, k, n_out)
    t = Topology.from_mask(rng.random((n_out, n_in)) < np.where(outputs[:, None] == inputs, 0.4, 0.02))
    assert modularity(t) >= barber_modularity(t, inputs, outputs) > 0.5


def test_a_band_is_divided_at_least_as_well_as_into_equal_pieces():
    t = generators.rotating(512, 512, fan_in=16)
    pieces = [barber_modularity(t, np.arange(512) * k // 512, np.arange(512) * k // 512) for k in (4, 8, 12, 16)]
    assert modularity(t) > max(pieces) - 0.01


@pytest.mark.parametrize("steps", [1, 100])
def test_at_least_what_the_components_give(steps, monkeypatch):
    monkeypatch.setattr(communities, "_MAX_STEPS", steps)
    parts = [generators.erdos_renyi(12, 12, density=0.3, seed=seed).biadjacency() for seed in range(60)]
    t = Topology.from_biadjacency(scipy.sparse.block_diag(parts))
    _, inputs, outputs = communities.label_units(t)
    assert modularity(t) >= barber_modularity(t, inputs, outputs)


def test_best_responses_say_what_they_reach():
    t = generators.erdos_renyi(40, 50, density=0.1, seed=0)
    b = t.biadjacency().astype(np.int32)
    inputs = np.arange(40) % 6
    outputs, reached = communities._assign_rows(b, inputs)
    np.testing.assert_allclose(reached / t.n_edges**2, barber_modularity(t, inputs, outputs))
    for j in range(50):
        for k in range(6):
            moved = outputs.copy()
            moved[j] = k
            assert barber_modularity(t, inputs, moved) <= barber_modularity(t, inputs, outputs) + 1e-12


def test_merging_never_lowers_and_ends_where_no_pair_gains():
    t = generators.erdos_renyi(40, 50, density=0.1, seed=0)
    inputs, outputs = np.arange(40), np.arange(50) + 40
    values = [barber_modularity(t, inputs, outputs)]
    b = t.biadjacency().astype(np.int32)
    while len(values) < 90 and (merged := communities._merge_partners(b, inputs, outputs)) is not None:
        inputs, outputs = merged
        values.append(barber_modularity(t, inputs, outputs))
    assert 2 < len(values) < 90
    assert all(after > before for before, after in pairwise(values))
    used = np.unique(np.concatenate([inputs, outputs]))
    for a in used:
        for c in used[used > a]:
            together = [np.where(labels == a, c, labels) for labels in (inputs, outputs)]
            assert barber_modularity(t, *together) <= values[-1] + 1e-12


def test_chunks_change_nothing(monkeypatch):
    t = generators.power_law(80, 60, density=0.1, seed=0)
    whole = modularity(t)
    monkeypatch.setattr(communities, "_CHUNK", 7)
    assert modularity(t) == whole


def test_labels_must_be_one_for_each_unit():
    with pytest.raises(ValueError, match="expected 4 input labels and 2 output labels"):
        barber_modularity(generators.dense(4, 2), [0, 0], [0, 0, 0, 0])
