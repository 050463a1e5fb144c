import itertools
from math import comb, inf

import networkx as nx
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from prewired import Topology, generators
from prewired.metrics import cycles

masks = hnp.arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7)))
sparse_masks = hnp.arrays(
    bool, st.tuples(st.integers(2, 12), st.integers(2, 12)), elements=st.sampled_from([True] + 5 * [False])
)
EMPTY = Topology(3, 2, [0, 0, 0], [])
HEAWOOD = Topology.from_edges(7, 7, [((i + d) % 7, i) for i in range(7) for d in (0, 1, 3)])


def as_networkx(t):
    return nx.bipartite.from_biadjacency_matrix(scipy.sparse.csr_matrix(t.biadjacency()))


def disjoint(*graphs):
    return Topology.from_biadjacency(scipy.sparse.block_diag([t.biadjacency() for t in graphs]))


def count_four_cycles(mask):
    return sum(comb(int((a & b).sum()), 2) for a, b in itertools.combinations(mask, 2))


def random_tree(bits, n_in, n_out):
    """A bipartite tree: every unit after the first of each side is hung on an earlier one of the other side."""
    edges = [(0, 0)]
    edges += [(k, int(bits.integers(0, min(k, n_out)))) for k in range(1, n_in)]
    edges += [(int(bits.integers(0, min(k, n_in))), k) for k in range(1, n_out)]
    return Topology.from_edges(n_in, n_out, edges)


def check_against_references(t):
    graph, mask = as_networkx(t), t.biadjacency().toarray() > 0
    c4 = count_four_cycles(mask)
    assert cycles.four_cycles(t) == c4
    assert cycles.girth(t) == nx.girth(graph)
    for mode in ("dot", "min", "max"):
        expected = np.mean(list(nx.bipartite.latapy_clustering(graph, mode=mode).values()))
        np.testing.assert_allclose(cycles.latapy_clustering(t, mode=mode), expected, atol=1e-13)
    expected = nx.bipartite.robins_alexander_clustering(graph)
    np.testing.assert_allclose(cycles.robins_alexander_clustering(t), expected, atol=1e-13)


@given(mask=masks, dense_cells=st.sampled_from([0, 1 << 26]), wedges=st.integers(1, 9), cells=st.integers(1, 20))
@settings(max_examples=50, deadline=None)
def test_any_small_graph(mask, dense_cells, wedges, cells):
    with pytest.MonkeyPatch.context() as patch:  # both ways of counting, in small batches
        patch.setattr(cycles, "_PRODUCT_CELLS", dense_cells)
        patch.setattr(cycles, "_WEDGES", wedges)
        patch.setattr(cycles, "_ROW_CELLS", cells)
        check_against_references(Topology.from_mask(mask))


@given(mask=sparse_masks, walks=st.integers(1, 30), roots=st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_the_girth_of_any_sparse_graph(mask, walks, roots):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cycles, "_WALKS", walks)
        patch.setattr(cycles, "_ROOTS", roots)
        t = Topology.from_mask(mask)
        assert cycles.girth(t) == cycles.girth(t.transpose()) == nx.girth(as_networkx(t))


@pytest.mark.parametrize("family", ["biregular", "erdos_renyi", "fibonacci", "grouped", "rotating"])
@pytest.mark.parametrize(("n_in", "n_out", "fan_in"), [(40, 40, 6), (30, 50, 3), (70, 20, 2)])
def test_families(family, n_in, n_out, fan_in):
    seed = {"seed": 1} if generators.takes_seed(family) else {}
    check_against_references(generators.make(family, n_in=n_in, n_out=n_out, fan_in=fan_in, **seed))


# Closed forms


@pytest.mark.parametrize(("n_in", "n_out"), [(1, 1), (1, 6), (2, 2), (5, 3), (300, 400)])
def test_the_dense_graph(n_in, n_out):
    t = generators.dense(n_in, n_out)
    squares = n_in > 1 and n_out > 1
    assert cycles.four_cycles(t) == comb(n_in, 2) * comb(n_out, 2)
    assert cycles.girth(t) == (4 if squares else inf)
    assert cycles.four_cycle_ratio(t) == squares
    assert cycles.robins_alexander_clustering(t) == squares
    np.testing.assert_allclose(cycles.latapy_clustering(t), 1 if squares else n_in * n_out > 1 and 6 / 7)


@pytest.mark.parametrize(
    ("family", "n", "girth"),
    [
        ("projective_plane", 7, 6),
        ("projective_plane", 133, 6),
        ("generalized_quadrangle", 15, 8),
        ("generalized_quadrangle", 156, 8),
        ("generalized_hexagon", 63, 12),
        ("generalized_hexagon", 364, 12),
    ],
)
def test_generalized_polygons(family, n, girth):
    """In one of order (q, q) two collinear points share one of the 2 (q + 1) - 1 lines on one of them."""
    t = generators.make(family, n_in=n, n_out=n)
    assert cycles.girth(t) == girth
    assert cycles.four_cycles(t) == cycles.four_cycle_ratio(t) == cycles.robins_alexander_clustering(t) == 0
    np.testing.assert_allclose(cycles.latapy_clustering(t), 1 / (2 * t.fan_in[0] - 1))


def test_the_heawood_graph():
    assert cycles.girth(HEAWOOD) == 6
    assert cycles.four_cycles(HEAWOOD) == 0


@pytest.mark.parametrize("n", [2, 3, 4, 5, 100, 50_000])
def test_even_cycles(n):
    t = generators.rotating(n, n, fan_in=2)
    assert cycles.girth(t) == 2 * n
    assert cycles.four_cycles(t) == (n == 2)
    assert cycles.robins_alexander_clustering(t) == (n == 2)


@pytest.mark.parametrize("n", [5, 100])
def test_a_long_cycle_with_a_tail_and_one_with_a_chord(n):
    around = [(k, k) for k in range(n)] + [(k, (k + 1) % n) for k in range(n)]
    assert cycles.girth(Topology.from_edges(n + 1, n, [*around, (n, 0)])) == 2 * n
    half = n // 2  # input 0 and output `half` are 2 * half - 1 edges apart one way
    assert cycles.girth(Topology.from_edges(n, n, [*around, (0, half)])) == 2 * half


def test_the_shortest_of_several_components():
    ring, tree = generators.rotating(4, 4, fan_in=2), generators.dense(1, 3)
    assert cycles.girth(disjoint(ring, HEAWOOD, tree, EMPTY)) == 6
    assert cycles.girth(disjoint(generators.dense(2, 2), HEAWOOD)) == 4
    assert cycles.girth(disjoint(tree, ring)) == 8
    assert cycles.four_cycles(disjoint(generators.dense(3, 4), HEAWOOD, generators.dense(2, 2))) == 19


@pytest.mark.parametrize(("n_in", "n_out", "seed"), [(1, 1, 0), (1, 9, 0), (20, 30, 1), (500, 300, 2)])
def test_trees(n_in, n_out, seed):
    t = random_tree(np.random.default_rng(seed), n_in, n_out)
    assert nx.is_tree(as_networkx(t))
    assert cycles.girth(t) == inf
    assert cycles.four_cycles(t) == cycles.four_cycle_ratio(t) == cycles.robins_alexander_clustering(t) == 0


def test_a_graph_without_edges_and_a_matching():
    for t in (EMPTY, generators.rotating(6, 6, fan_in=1)):
        assert cycles.girth(t) == inf
        assert cycles.four_cycles(t) == cycles.four_cycle_ratio(t) == 0
        assert cycles.latapy_clustering(t) == cycles.robins_alexander_clustering(t) == 0


@pytest.mark.parametrize(("n_in", "n_out", "n_edges"), [(3, 3, 4), (3, 3, 6), (2, 4, 5), (4, 3, 7), (3, 3, 9)])
def test_the_ratio_is_one_on_average_over_all_graphs_with_so_many_edges(n_in, n_out, n_edges):
    ratios = []
    for cells in itertools.combinations(range(n_in * n_out), n_edges):
        mask = np.zeros(n_in * n_out, bool)
        mask[list(cells)] = True
        ratios.append(cycles.four_cycle_ratio(Topology.from_mask(mask.reshape(n_out, n_in))))
    np.testing.assert_allclose(np.mean(ratios), 1)


def test_the_ratio_is_about_one_for_random_graphs_and_large_for_bands():
    assert 0.9 < cycles.four_cycle_ratio(generators.erdos_renyi(500, 500, density=0.03, seed=0)) < 1.1
    assert cycles.four_cycle_ratio(generators.rotating(500, 500, fan_in=15)) > 10


def test_four_cycles_of_a_band():
    """Rows at distance k share d - k inputs."""
    n, d = 5000, 7
    assert cycles.four_cycles(generators.rotating(n, n, fan_in=d)) == n * sum(comb(d - k, 2) for k in range(1, d))


@pytest.mark.parametrize("density", [0.02, 0.3])
def test_four_cycles_of_a_larger_graph_by_the_trace(density):
    t = generators.erdos_renyi(600, 900, density=density, seed=0)
    b = t.biadjacency().toarray()
    overlaps = b.T @ b
    closed = (overlaps**2).sum()  # closed walks of four steps from inputs, of which some go back on themselves
    back = (t.fan_in**2).sum() + (t.fan_out**2).sum() - t.n_edges
    assert cycles.four_cycles(t) == (closed - back) / 4


def test_a_star_is_counted_from_its_centre():
    assert cycles.four_cycles(generators.dense(1, 1_000_000)) == 0
    assert cycles.girth(generators.dense(1_000_000, 1)) == inf
    assert cycles.four_cycles(generators.dense(2, 100_000)) == comb(100_000, 2)


def test_an_unknown_mode():
    with pytest.raises(ValueError, match=r'expected a mode among "dot", "min" and "max", got'):
        cycles.latapy_clustering(HEAWOOD, mode="mean")  # pyright: ignore[reportArgumentType]
