"""The Fiedler vector and cuts; the eigenvalues themselves are in test_metrics.py and test_bounds.py."""

import networkx as nx
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from prewired import Topology, generators, metrics
from prewired.metrics import laplacian
from prewired.metrics._internal import leading_pair, leading_singular_values

masks = hnp.arrays(bool, st.tuples(st.integers(1, 6), st.integers(1, 6)))
GRAPHS = {
    "path": Topology.from_mask([[1, 0, 0], [1, 1, 0], [0, 1, 1]]),
    "wide": generators.erdos_renyi(40, 15, density=0.3, seed=1),
    "biregular": generators.biregular(60, 40, fan_in=6, seed=0),
    "dense": generators.dense(4, 9),
    "band": generators.banded(9000, 6000, fan_in=4),
    "large": generators.biregular(1500, 1500, fan_in=6, seed=0),
    "irregular": generators.constant_fan_in(900, 1200, fan_in=9, seed=0),
}


def adjacency(t):
    b = t.biadjacency()
    return scipy.sparse.csr_array(scipy.sparse.block_array([[None, b.T], [b, None]]))


@pytest.mark.parametrize("name", GRAPHS)
def test_the_fiedler_vector(name):
    t = GRAPHS[name]
    a = adjacency(t)
    vector, value = metrics.fiedler_vector(t), metrics.algebraic_connectivity(t)
    image = a.sum(1) * vector - a @ vector
    np.testing.assert_allclose(image, value * vector, atol=1e-5 * max(value, 1e-3))
    np.testing.assert_allclose([np.linalg.norm(vector), vector.sum()], [1, 0], atol=1e-6)
    assert vector[np.abs(vector) > (1 - 1e-6) * np.abs(vector).max()][0] > 0


def test_the_fiedler_vector_of_a_disconnected_graph_is_refused():
    with pytest.raises(ValueError, match="expected a connected graph, got 4 components"):
        metrics.fiedler_vector(generators.grouped(8, 8, fan_in=2))


@pytest.mark.parametrize("name", [pytest.param("large", marks=pytest.mark.slow), "irregular", "band"])
def test_algebraic_connectivity_of_larger_graphs(name):
    t = GRAPHS[name]
    found = metrics.algebraic_connectivity(t, explain=True)
    a = adjacency(t)
    matrix = (scipy.sparse.diags_array(a.sum(1)) - a).tocsc()
    values = np.sort(scipy.sparse.linalg.eigsh(matrix, 2, sigma=-1e-3, return_eigenvectors=False))
    np.testing.assert_allclose(found.value, values[1], rtol=1e-7)
    assert found.low - 1e-10 <= values[1] <= found.high + 1e-10
    assert found.certificate == {"band": leading_pair.FACTORISED}.get(name, leading_pair.CHOLESKY)


def smallest_conductance(a):
    """Over all cuts, by trying each."""
    n, degrees = len(a), a.sum(0)
    inside = (np.arange(1, 2 ** (n - 1))[:, None] >> np.arange(n)) & 1  # the last vertex outside
    volume = inside @ degrees
    inner = np.einsum("si,ij,sj->s", inside, a, inside)
    least = np.minimum(volume, degrees.sum() - volume)
    with np.errstate(invalid="ignore"):
        return np.nanmin((volume - inner) / np.where(least > 0, least, np.nan))


@given(masks)
@settings(max_examples=30, deadline=None)
def test_cheegers_bounds_hold_on_any_small_graph(mask):
    t = Topology.from_mask(mask)
    found = metrics.conductance(t, explain=True)
    assert found.low <= found.value == found.high
    if t.n_edges == 0:
        assert found.value == 0
        with pytest.raises(ValueError, match="expected a graph with edges, got none"):
            metrics.sweep_cut(t)
        return
    cut = metrics.sweep_cut(t)
    a, inside = adjacency(t).toarray(), np.concatenate([cut.inputs, cut.outputs])
    assert cut.conductance == found.value
    np.testing.assert_allclose(cut.conductance, of_cut(a, inside), atol=1e-12)
    if metrics.connected_components(t) > 1:
        assert cut.conductance == 0
        return
    smallest = smallest_conductance(a)
    lambda2 = metrics.normalized_algebraic_connectivity(t)
    assert found.low - 1e-12 <= smallest <= cut.conductance + 1e-12
    assert cut.conductance <= np.sqrt(2 * lambda2) + 1e-12


def of_cut(a, inside):
    graph = nx.from_numpy_array(a)
    return nx.conductance(graph, np.flatnonzero(inside).tolist()) if a[inside].any() and a[~inside].any() else 0.0


def test_the_sweep_finds_a_planted_cut(monkeypatch):
    left, right = generators.biregular(60, 60, fan_in=6, seed=0), generators.biregular(80, 80, fan_in=6, seed=1)
    b = scipy.sparse.block_diag([left.biadjacency(), right.biadjacency()]).tolil()
    b[0, 100] = b[70, 3] = 1
    t = Topology.from_biadjacency(b)
    for cells in (leading_singular_values.DENSE_CELLS, 0):
        monkeypatch.setattr(leading_singular_values, "DENSE_CELLS", cells)
        cut = metrics.sweep_cut(t)
        assert cut.inputs.tolist() == [True] * 60 + [False] * 80
        assert cut.outputs.tolist() == [True] * 60 + [False] * 80
        np.testing.assert_allclose(cut.conductance, 2 / (2 * 360 + 2))


def test_the_laplacian_of_networkx():
    t = GRAPHS["wide"]
    graph = nx.bipartite.from_biadjacency_matrix(scipy.sparse.csr_matrix(t.biadjacency().T))
    np.testing.assert_allclose(laplacian.build_laplacian(t).toarray(), nx.laplacian_matrix(graph).toarray())
