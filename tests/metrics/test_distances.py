from math import inf

import networkx as nx
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from prewired import Topology, generators
from prewired.metrics import distances

masks = hnp.arrays(
    bool, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([True, False, False])
)
EMPTY = Topology(3, 2, [0, 0, 0], [])
HEAWOOD = Topology.from_edges(7, 7, [((i + d) % 7, i) for i in range(7) for d in (0, 1, 3)])


def disjoint(*graphs):
    return Topology.from_biadjacency(scipy.sparse.block_diag([t.biadjacency() for t in graphs]))


def by_powers(t):
    """All distances from powers of the dense adjacency matrix; infinite between components."""
    b = t.biadjacency().toarray()
    n = t.n_in + t.n_out
    adjacency = np.block([[np.eye(t.n_in), b.T], [b, np.eye(t.n_out)]]) > 0
    found, within = np.full((n, n), inf), np.eye(n, dtype=bool)
    for steps in range(n):
        new = within & np.isinf(found)
        if not new.any():
            break
        found[new] = steps
        within = (within.astype(np.float32) @ adjacency.astype(np.float32)) > 0
    return found


def mean_of(found):
    pairs = np.isfinite(found) & (found > 0)
    return found[pairs].mean() if pairs.any() else 0


def check_against_references(t):
    found = by_powers(t)
    assert distances.diameter(t) == found.max()
    np.testing.assert_allclose(distances.mean_path_length(t), mean_of(found), rtol=1e-14)
    for metric in (distances.diameter, distances.mean_path_length):
        explained = metric(t, explain=True)
        assert explained.low == explained.value == explained.high == metric(t)
        assert explained.certificate == "exact count"


@given(mask=masks, batch=st.sampled_from([1, 3, 64, 256]), gather=st.sampled_from([8, 2**20]))
@settings(max_examples=50, deadline=None)
def test_any_small_graph(mask, batch, gather):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distances, "_BATCH", batch)
        patch.setattr(distances, "_GATHER", gather)
        distances._CACHE.clear()
        check_against_references(Topology.from_mask(mask))


@pytest.mark.parametrize("family", ["biregular", "erdos_renyi", "fibonacci", "grouped", "rotating"])
@pytest.mark.parametrize(("n_in", "n_out", "fan_in"), [(40, 40, 6), (130, 150, 3), (300, 20, 2)])
def test_families(family, n_in, n_out, fan_in):
    seed = {"seed": 1} if generators.takes_seed(family) else {}
    check_against_references(generators.make(family, n_in=n_in, n_out=n_out, fan_in=fan_in, **seed))


def test_a_larger_graph_by_scipy():
    t = generators.erdos_renyi(900, 700, density=0.01, seed=3)
    b = t.biadjacency()
    found = scipy.sparse.csgraph.shortest_path(
        scipy.sparse.csr_array(scipy.sparse.block_array([[None, b.T], [b, None]])), unweighted=True
    )
    assert distances.diameter(t) == found.max()
    np.testing.assert_allclose(distances.mean_path_length(t), mean_of(found), rtol=1e-13)


def test_a_larger_graph_by_networkx():
    t = generators.biregular(200, 100, fan_in=6, seed=0)
    graph = nx.bipartite.from_biadjacency_matrix(scipy.sparse.csr_matrix(t.biadjacency()))
    assert distances.diameter(t) == nx.diameter(graph)
    np.testing.assert_allclose(distances.mean_path_length(t), nx.average_shortest_path_length(graph))


# Closed forms


@pytest.mark.parametrize(("n_in", "n_out"), [(1, 1), (1, 7), (4, 9), (200, 300)])
def test_the_dense_graph(n_in, n_out):
    t = generators.dense(n_in, n_out)
    n = n_in + n_out
    assert distances.diameter(t) == (1 if n == 2 else 2)
    twos = n_in * (n_in - 1) + n_out * (n_out - 1)
    np.testing.assert_allclose(distances.mean_path_length(t), (2 * n_in * n_out + 2 * twos) / (n * (n - 1)))


@pytest.mark.parametrize("n", [2, 3, 8, 301])
def test_even_cycles(n):
    t = generators.rotating(n, n, fan_in=2)
    assert distances.diameter(t) == n
    np.testing.assert_allclose(distances.mean_path_length(t), n * n / (2 * n - 1))


@pytest.mark.parametrize("n", [1, 2, 40])
def test_paths(n):
    t = Topology.from_edges(n, n, [(k, k) for k in range(n)] + [(k + 1, k) for k in range(n - 1)])
    assert distances.diameter(t) == 2 * n - 1
    np.testing.assert_allclose(distances.mean_path_length(t), (2 * n + 1) / 3)


@pytest.mark.parametrize(
    ("family", "n", "q", "gonality"),
    [
        ("projective_plane", 7, 2, 3),
        ("projective_plane", 133, 11, 3),
        ("generalized_quadrangle", 156, 5, 4),
        ("generalized_hexagon", 364, 3, 6),
    ],
)
def test_generalized_polygons(family, n, q, gonality):
    """(q + 1) q^(m - 1) units are m edges away, and q^(m - 1) where m is the gonality, the diameter."""
    t = generators.make(family, n_in=n, n_out=n)
    away = np.array([(q + 1) * q ** (m - 1) for m in range(1, gonality)] + [q ** (gonality - 1)])
    assert away.sum() == 2 * n - 1
    assert distances.diameter(t) == gonality
    np.testing.assert_allclose(distances.mean_path_length(t), away @ np.arange(1, gonality + 1) / away.sum())


def test_disconnected_graphs():
    two = disjoint(HEAWOOD, generators.dense(2, 3), EMPTY, generators.dense(1, 1))
    pairs = np.array([14 * 13, 5 * 4, 2])
    means = [(3 + 2 * 6 + 3 * 4) / 13, (6 + 2 * (1 + 3)) / 10, 1]
    assert distances.diameter(two) == inf
    np.testing.assert_allclose(distances.mean_path_length(two), pairs @ means / pairs.sum())
    assert distances.diameter(EMPTY) == inf
    assert distances.mean_path_length(EMPTY) == 0
    assert distances.mean_path_length(EMPTY, explain=True).error == 0


def test_many_components_cost_no_more_than_few():
    t = generators.permute_inputs(generators.grouped(20_000, 20_000, fan_in=4), seed=0)
    assert distances.mean_path_length(t) == pytest.approx((4 + 2 * 3) / 7)
    assert distances.diameter(t) == inf


# Samples


def sampled(t):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distances, "_search_from_all", lambda graph, progress: None)
        return distances._search(t, None)


@given(mask=masks, samples=st.integers(2, 200))
@settings(max_examples=30, deadline=None)
def test_the_bounds_of_samples_hold_on_any_small_graph(mask, samples):
    t = Topology.from_mask(mask)
    found = by_powers(t)
    longest = found[np.isfinite(found)].max()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distances, "_SAMPLES", samples)
        diameter, mean = sampled(t)
    if np.isfinite(found).all():
        assert diameter.value == diameter.low <= longest <= diameter.high
        assert diameter.confidence == 1
    assert mean.low - 1e-12 <= mean_of(found) <= mean.high + 1e-12
    assert mean.low <= mean.value <= mean.high


def test_the_mean_of_a_sample_is_not_biased_by_the_sizes_of_components():
    path = Topology.from_edges(9, 9, [(k, k) for k in range(9)] + [(k + 1, k) for k in range(8)])
    t = disjoint(path, HEAWOOD, generators.dense(2, 3), EMPTY, generators.dense(1, 1), generators.dense(1, 40))
    found = by_powers(t)
    per_unit = np.where(np.isfinite(found), found, 0).sum(1)
    others = np.isfinite(found).sum(1) - 1
    per_unit = per_unit[others > 0] / others[others > 0]
    weights = others[others > 0] / others.sum()
    true = per_unit @ weights
    spread = np.sqrt((per_unit - true) ** 2 @ weights / distances._SAMPLES)
    mean = sampled(t).mean
    assert 0 < abs(mean.value - true) < 4 * spread
    assert mean.confidence == 0.99
    assert mean.low < true < mean.high


def test_where_all_units_are_alike_a_sample_is_exact():
    t = generators.generalized_quadrangle(156, 156, fan_in=6)
    diameter, mean = sampled(t)
    assert (diameter.low, diameter.high) == (4, 8)
    np.testing.assert_allclose(mean.value, distances.mean_path_length(t))
    assert mean.low < mean.value < mean.high


@pytest.mark.parametrize("budget", [0, 12_000, 60_000])
def test_what_does_not_fit_the_budget_is_sampled(monkeypatch, budget):
    t = generators.biregular(300, 300, fan_in=4, seed=0)
    exact = distances._search(t, None)
    monkeypatch.setattr(distances, "_BUDGET", budget)
    monkeypatch.setattr(distances, "_LEVEL", 0)
    monkeypatch.setattr(distances, "_BATCH", 64)
    diameter, mean = distances._search(t, None)
    assert "units" in diameter.method
    assert diameter.low <= exact.diameter.value <= diameter.high
    assert mean.low <= exact.mean.value <= mean.high
    assert distances._search(t, None) == (diameter, mean)


def test_the_search_from_all_stops_early_where_it_does_not_fit_the_budget(monkeypatch):
    read, levels = [], distances._iterate_levels

    def counted(*arguments, **options):
        for words, reached in levels(*arguments, **options):
            read.append(words)
            yield words, reached

    def words_read(budget):
        monkeypatch.setattr(distances, "_BUDGET", budget)
        monkeypatch.setattr(distances, "_search_from_sample", lambda graph, progress: "some")
        read.clear()
        return distances._search(t, None), sum(read)

    monkeypatch.setattr(distances, "_iterate_levels", counted)
    monkeypatch.setattr(distances, "_LEVEL", 0)
    monkeypatch.setattr(distances, "_BATCH", 64)
    t = generators.biregular(640, 640, fan_in=8, seed=0)  # 20 batches
    found, everything = words_read(2**31)
    assert found.diameter.value == 6
    assert words_read(everything + everything // 5)[0] == found
    found, spent = words_read(everything * 2 // 3)
    assert found == "some"
    assert 0 < spent < everything / 10  # one batch tells
    monkeypatch.setattr(distances, "_BATCH", 1280)
    found, spent = words_read(everything // 3)
    assert found == "some"
    assert 0 < spent < everything * 0.45  # within the first of two batches
    found, spent = words_read(t.n_edges * 1280 // 64 - 1)
    assert (found, spent) == ("some", 0)  # the least there is to read is too much


def test_the_bounds_of_a_sampled_diameter_are_certain_and_the_best_of_what_was_seen():
    n = 40
    path = Topology.from_edges(n, n, [(k, k) for k in range(n)] + [(k + 1, k) for k in range(n - 1)])
    diameter, _ = sampled(path)  # each unit is drawn with near certainty
    assert (diameter.value, diameter.low, diameter.high) == (2 * n - 1, 2 * n - 1, 2 * n)


def test_a_band_stays_exact_since_neighbours_are_searched_from_together(monkeypatch):
    monkeypatch.setattr(distances, "_BUDGET", 2**28)
    monkeypatch.setattr(distances, "_LEVEL", 0)
    t = generators.rotating(2048, 2048, fan_in=8)
    measurement = distances.diameter(t, explain=True)
    assert measurement.value == 294 == -(-2047 // 7) + 1
    assert t.n_edges * (t.n_in + t.n_out) // 64 * 294 > distances._BUDGET  # what reading every edge would take
    assert measurement.certificate == "exact count"


@pytest.mark.parametrize("budget", [0, 2**31])
def test_progress_counts_batches(monkeypatch, budget):
    monkeypatch.setattr(distances, "_BUDGET", budget)
    monkeypatch.setattr(distances, "_SAMPLES", 300)
    calls = []
    distances._search(generators.biregular(400, 300, fan_in=4, seed=0), lambda *step: calls.append(step))
    total = len(calls)
    assert calls == [(done, total) for done in range(1, total + 1)]


def test_both_metrics_come_from_one_search():
    calls = []
    t = generators.biregular(123, 77, fan_in=4, seed=0)
    distances.mean_path_length(t, progress=lambda *step: calls.append(step))
    assert calls
    calls.clear()
    distances.diameter(t, progress=lambda *step: calls.append(step))
    assert not calls
