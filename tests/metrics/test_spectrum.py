import json
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from prewired import Topology, generators, metrics
from prewired.metrics import laplacian, spectrum
from prewired.metrics._internal import lanczos, leading_singular_values

masks = hnp.arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7)))
REQUESTS = [  # of every family two of the requests in its golden digests, if large only the first
    (family, json.loads(request))
    for family, requests in json.loads((Path(__file__).parents[1] / "golden.json").read_text()).items()
    for k, request in enumerate(sorted(requests, key=len)[:2])
    if k == 0 or json.loads(request).get("n_in", 0) < 500
]
HEAWOOD = Topology.from_edges(7, 7, [((i + d) % 7, i) for i in range(7) for d in (0, 1, 3)])


def as_networkx(t):
    return nx.bipartite.from_biadjacency_matrix(scipy.sparse.csr_matrix(t.biadjacency()))


def disjoint(*graphs):
    return Topology.from_biadjacency(scipy.sparse.block_diag([t.biadjacency() for t in graphs]))


@pytest.fixture
def sparse_solvers(monkeypatch):
    """Send even small graphs through the Lanczos iteration."""
    monkeypatch.setattr(leading_singular_values, "DENSE_CELLS", 0)
    monkeypatch.setattr(laplacian, "DENSE_VERTICES", 0)
    spectrum._CACHE.clear()
    yield
    spectrum._CACHE.clear()


def check_against_references(t):
    """Degrees and spectra against networkx or dense numpy."""
    b, graph = t.biadjacency().toarray(), as_networkx(t)
    values = np.append(np.linalg.svd(b, compute_uv=False), 0.0)
    in_degree, out_degree = b.sum(1), b.sum(0)
    scale = [np.where(d > 0, np.maximum(d, 1) ** -0.5, 0) for d in (in_degree, out_degree)]
    normalized = np.append(np.linalg.svd(scale[0][:, None] * b * scale[1], compute_uv=False), 0.0)
    bound = sum(np.sqrt(max(d.mean() - 1, 0)) for d in (in_degree, out_degree))
    laplacian = np.sort(nx.laplacian_spectrum(graph))
    normalized_laplacian = np.sort(nx.normalized_laplacian_spectrum(graph))
    expected = {
        "density": b.mean(),
        "fan_in_min": in_degree.min(),
        "fan_in_max": in_degree.max(),
        "fan_in_cv": in_degree.std() / in_degree.mean() if b.any() else 0,
        "fan_out_min": out_degree.min(),
        "fan_out_max": out_degree.max(),
        "fan_out_cv": out_degree.std() / out_degree.mean() if b.any() else 0,
        "dead_inputs": (out_degree == 0).sum(),
        "dead_outputs": (in_degree == 0).sum(),
        "connected_components": nx.number_connected_components(graph),
        "spectral_gap": values[0] - values[1],
        "relative_spectral_gap": 1 - values[1] / values[0] if b.any() else 0,
        "normalized_spectral_gap": 1 - normalized[1] if b.any() else 0,
        "ramanujan_ratio": values[1] / bound if bound else (np.inf if values[1] > 1e-9 else 0),
        "algebraic_connectivity": laplacian[1],
        "normalized_algebraic_connectivity": normalized_laplacian[1],
    }
    got = metrics.measure(t, expected)
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, atol=2e-7, rtol=1e-7, err_msg=name)


@given(masks)
@settings(max_examples=40, deadline=None)
def test_every_metric_on_any_small_graph(mask):
    check_against_references(Topology.from_mask(mask))


@pytest.mark.parametrize(("family", "request_"), REQUESTS, ids=str)
def test_every_metric_on_every_family(family, request_, sparse_solvers):
    check_against_references(generators.make(family, **request_))


@pytest.mark.parametrize("family", ["biregular", "constant_fan_in", "erdos_renyi", "fibonacci", "grouped", "rotating"])
@pytest.mark.parametrize("size", [(40, 40), (30, 50)])
def test_every_metric_on_square_and_on_wide_graphs(family, size, sparse_solvers):
    seed = {"seed": 1} if generators.takes_seed(family) else {}
    check_against_references(generators.make(family, n_in=size[0], n_out=size[1], fan_in=6, **seed))


# Closed forms


@pytest.mark.parametrize(("n_in", "n_out"), [(1, 1), (1, 5), (4, 9), (9, 4), (600, 510)])
def test_the_dense_graph(n_in, n_out):
    got = metrics.measure(generators.dense(n_in, n_out))
    np.testing.assert_allclose(got["spectral_gap"], np.sqrt(n_in * n_out))
    np.testing.assert_allclose(got["normalized_spectral_gap"], 1)
    np.testing.assert_allclose(got["algebraic_connectivity"], 2 if n_in == n_out == 1 else min(n_in, n_out))
    assert got["ramanujan_ratio"] == 0


@pytest.mark.parametrize("n", [2, 5, 3000])
def test_a_perfect_matching(n):
    got = metrics.measure(generators.rotating(n, n, fan_in=1))
    assert got["connected_components"] == n
    for name in ("spectral_gap", "normalized_spectral_gap", "algebraic_connectivity"):
        assert got[name] == 0, name
    assert got["ramanujan_ratio"] == np.inf


@pytest.mark.parametrize(("n", "d"), [(12, 4), (512, 16), (4096, 64)])
def test_a_circulant_band_by_the_dirichlet_kernel(n, d):
    k = np.arange(1, n)
    sigma2 = np.abs(np.sin(np.pi * k * d / n) / np.sin(np.pi * k / n)).max()
    t = generators.rotating(n, n, fan_in=d)
    np.testing.assert_allclose(metrics.spectral_gap(t), d - sigma2, rtol=1e-8)
    np.testing.assert_allclose(metrics.relative_spectral_gap(t), 1 - sigma2 / d, rtol=1e-8)
    np.testing.assert_allclose(metrics.algebraic_connectivity(t), d - sigma2, rtol=1e-8)


def test_any_circulant_by_the_fourier_transform():
    t = generators.fibonacci(512, 512, fan_in=16)
    row = np.zeros(512)
    row[t.indices[:16]] = 1
    values = np.sort(np.abs(np.fft.fft(row)))[::-1]
    np.testing.assert_allclose(metrics.leading_singular_values(t), values[:2], rtol=1e-10)
    np.testing.assert_allclose(metrics.relative_spectral_gap(t), 0.334, atol=5e-4)


def test_the_heawood_graph():
    got = metrics.measure(HEAWOOD)
    np.testing.assert_allclose(got["spectral_gap"], 3 - np.sqrt(2))
    np.testing.assert_allclose(got["algebraic_connectivity"], 3 - np.sqrt(2))
    np.testing.assert_allclose(got["normalized_spectral_gap"], 1 - np.sqrt(2) / 3)
    np.testing.assert_allclose(got["ramanujan_ratio"], 0.5)


@pytest.mark.parametrize("q", [3, 23])
def test_projective_planes(q):
    """PG(2, q): sigma1 = q + 1, sigma2 = sqrt(q)."""
    points = np.array([(1, y, z) for y in range(q) for z in range(q)] + [(0, 1, z) for z in range(q)] + [(0, 0, 1)])
    t = Topology.from_mask(points @ points.T % q == 0)
    np.testing.assert_allclose(metrics.leading_singular_values(t), (q + 1, np.sqrt(q)), rtol=1e-9)


def test_disjoint_unions_take_the_two_largest_of_all():
    two = disjoint(HEAWOOD, HEAWOOD)
    assert metrics.connected_components(two) == 2
    np.testing.assert_allclose(metrics.leading_singular_values(two), (3, 3))
    assert metrics.algebraic_connectivity(two) == 0
    other = disjoint(generators.dense(2, 2), HEAWOOD, Topology(1, 1, [0, 0], []), generators.dense(1, 4))
    np.testing.assert_allclose(metrics.leading_singular_values(other), (3, 2))
    np.testing.assert_allclose(metrics.leading_singular_values(other, normalized=True), (1, 1))


def test_the_component_with_the_largest_bound_is_visited_first():
    single = generators.dense(1, 1)
    t = disjoint(single, single, single, generators.dense(2, 2), HEAWOOD)
    np.testing.assert_allclose(metrics.leading_singular_values(t), (3, 2))


def test_many_components_cost_no_more_than_few():
    t = generators.grouped(30_000, 60_000, fan_in=2)
    assert metrics.normalized_spectral_gap(t) == 0
    assert metrics.measure(t)["connected_components"] == 15_000


def test_grouped_has_as_many_components_as_groups():
    got = metrics.measure(generators.grouped(60, 90, fan_in=10))
    assert got["connected_components"] == 6
    assert got["relative_spectral_gap"] < 1e-12


def test_a_graph_without_edges():
    got = metrics.measure(Topology(3, 2, [0, 0, 0], []))
    assert got["connected_components"] == 5
    assert got["dead_inputs"] == 3
    assert got["dead_outputs"] == 2
    undefined = {name: value for name, value in got.items() if not np.isfinite(value)}
    np.testing.assert_equal(undefined, {"rbgp_gap": np.nan, "imdb": np.nan, "girth": np.inf, "diameter": np.inf})


# Theorems


@given(seed=st.integers(0, 10**6), shape=st.sampled_from([(12, 12, 4), (12, 8, 3), (10, 20, 3), (60, 90, 8)]))
@settings(max_examples=20, deadline=None)
def test_on_biregular_graphs_gap_and_connectivity_are_one_variable(seed, shape):
    n_in, n_out, fan_in = shape
    t = generators.biregular(n_in, n_out, fan_in=fan_in, seed=seed)
    fan_out = n_out * fan_in // n_in
    sigma1, sigma2 = metrics.leading_singular_values(t)
    np.testing.assert_allclose(sigma1, np.sqrt(fan_in * fan_out))
    expected = (fan_in + fan_out - np.sqrt((fan_in - fan_out) ** 2 + 4 * sigma2**2)) / 2
    np.testing.assert_allclose(metrics.algebraic_connectivity(t), expected, atol=1e-9)
    np.testing.assert_allclose(metrics.normalized_spectral_gap(t), 1 - sigma2 / sigma1, atol=1e-9)


@given(masks)
@settings(max_examples=20, deadline=None)
def test_transposing_changes_no_spectrum(mask):
    t = Topology.from_mask(mask)
    for name in ("spectral_gap", "normalized_spectral_gap", "ramanujan_ratio", "algebraic_connectivity"):
        np.testing.assert_allclose(metrics.METRICS[name](t), metrics.METRICS[name](t.transpose()), atol=1e-7)


@pytest.mark.parametrize("n_in", [4096, 5000])
def test_large_random_graphs_by_sparse_solvers(n_in):
    t = generators.biregular(n_in, 4096, fan_in=64, seed=0)
    b = t.biadjacency()
    expected = np.sort(scipy.sparse.linalg.svds(b, 2, return_singular_vectors=False, rng=np.random.default_rng(0)))
    np.testing.assert_allclose(metrics.leading_singular_values(t)[::-1], expected, rtol=1e-8)
    if n_in == 4096:
        np.testing.assert_allclose(metrics.algebraic_connectivity(t), 64 - expected[0], rtol=1e-8)
    assert 0.97 < metrics.ramanujan_ratio(t) < 1.01


def test_a_wide_graph_needs_no_dense_matrix():
    t = generators.biregular(40, 100_000, fan_in=4, seed=0)
    gram = (t.biadjacency().T @ t.biadjacency()).toarray()
    expected = np.sqrt(np.linalg.eigvalsh(gram)[-2:])
    np.testing.assert_allclose(metrics.leading_singular_values(t)[::-1], expected, rtol=1e-9)


def test_a_spectrum_that_does_not_settle_is_an_error_with_a_remedy(monkeypatch, sparse_solvers):
    monkeypatch.setattr(lanczos, "MAX_STEPS", 30)
    with pytest.raises(RuntimeError, match="measure a smaller graph"):
        metrics.spectral_gap(generators.erdos_renyi(300, 300, fan_in=9, seed=0))
