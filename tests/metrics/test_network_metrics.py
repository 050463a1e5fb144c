from functools import reduce
from itertools import pairwise, product

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from prewired import Topology, generators
from prewired.metrics import paths, reachability
from prewired.metrics._internal import flows

# Small chains of masks, dead units and empty layers among them
sizes = st.lists(st.integers(1, 5), min_size=2, max_size=5)
chains = sizes.flatmap(lambda ns: st.tuples(*(hnp.arrays(bool, (b, a)) for a, b in pairwise(ns))))
full = st.sampled_from([1, 2, 3, 100])
weights = st.sampled_from([-2.0, -0.5, 0.0, 1.0, 3.0])


def as_network(masks):
    return [Topology.from_mask(mask) for mask in masks]


def count_paths(layers):
    """The matrix of path numbers (n_out, n_in) in Python's own integers, which do not overflow."""
    matrices = [t.biadjacency().toarray().astype(int).astype(object) for t in layers]
    return reduce(lambda p, b: b @ p, matrices)


def every_path(layers):
    """All paths, each as its edges (output, input, number), by brute force: every choice of one edge in each layer."""
    outputs = [np.repeat(np.arange(t.n_out), t.fan_in) for t in layers]
    edges = [zip(o, t.indices, range(t.n_edges), strict=True) for o, t in zip(outputs, layers, strict=True)]
    for chosen in product(*edges):
        if all(a[0] == b[1] for a, b in pairwise(chosen)):
            yield chosen


def participation(p):
    """(sum p)**2 / sum p**2 of each row, 0 for a row of zeros."""
    return np.array([row.sum() ** 2 / (row**2).sum() if row.any() else 0.0 for row in p.astype(float)])


def block_means(matrix, resolution):
    blocks = [min(n, resolution) for n in matrix.shape]
    rows, columns = (
        np.split(np.arange(n), np.arange(1, b) * n // b) for n, b in zip(matrix.shape, blocks, strict=True)
    )
    return np.array([[matrix[np.ix_(r, c)].mean() for c in columns] for r in rows])


def check_against_references(layers, resolution):
    p, found = count_paths(layers).astype(float), list(every_path(layers))
    units = {(0, int(e[0][1])) for e in found} | {(k + 1, int(e[0])) for path in found for k, e in enumerate(path)}
    assert p.sum() == len(found)
    np.testing.assert_allclose(
        paths.log_paths(layers), np.log10(len(found)) if found else -np.inf, rtol=1e-12, atol=1e-12
    )
    expected = {
        paths.path_cv: p.std() / p.mean() if found else 0.0,
        paths.effective_receptive_field: participation(p).mean(),
        reachability.receptive_field: (p > 0).sum(axis=1).mean(),
        reachability.reachable_share: (p > 0).mean(),
        reachability.unreachable_inputs: (p.sum(axis=0) == 0).sum(),
        reachability.unreachable_outputs: (p.sum(axis=1) == 0).sum(),
        reachability.effective_nodes: len(units),
        reachability.effective_edges: len({(k, int(e[2])) for path in found for k, e in enumerate(path)}),
        reachability.dead_hidden_units: sum(t.n_out for t in layers[:-1]) - sum(0 < k < len(layers) for k, _ in units),
    }
    for metric, value in expected.items():
        got = metric(layers)
        assert isinstance(got, float)
        np.testing.assert_allclose(got, value, rtol=1e-10, atol=1e-10, err_msg=metric.__name__)
    means = block_means(p / p.mean() if found else p, resolution)
    np.testing.assert_allclose(paths.path_counts(layers, resolution), means, rtol=1e-10, atol=1e-10)


@given(chains, full)
@settings(max_examples=30, deadline=None)
def test_every_metric_on_any_small_chain(masks, resolution):
    check_against_references(as_network(masks), resolution)


@given(chains, full)
@settings(max_examples=20, deadline=None)
def test_nothing_depends_on_the_size_of_the_parts_worked_on_at_once(masks, resolution):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flows, "_EDGES_AT_ONCE", 3)
        patch.setattr(flows, "_CELLS_AT_ONCE", 7)
        check_against_references(as_network(masks), resolution)


@given(chains)
@settings(max_examples=20, deadline=None)
def test_reachability_by_networkx(masks):
    layers = as_network(masks)
    graph = nx.DiGraph()
    for k, t in enumerate(layers):
        graph.add_nodes_from([(k, i) for i in range(t.n_in)] + [(k + 1, j) for j in range(t.n_out)])
        graph.add_edges_from(((k, i), (k + 1, j)) for j, i in zip(*np.nonzero(masks[k]), strict=True))
    inputs = [(0, i) for i in range(layers[0].n_in)]
    outputs = [(len(layers), j) for j in range(layers[-1].n_out)]
    joined = [[j in nx.descendants(graph, i) for j in outputs] for i in inputs]
    assert reachability.reachable_share(layers) == pytest.approx(np.mean(joined))
    above = set(inputs).union(*(nx.descendants(graph, i) for i in inputs))
    below = set(outputs).union(*(nx.ancestors(graph, j) for j in outputs))
    assert reachability.effective_nodes(layers) == len(above & below)
    assert reachability.effective_edges(layers) == sum(a in above and b in below for a, b in graph.edges)
    count = sum(len(list(nx.all_simple_paths(graph, i, j))) for i in inputs for j in outputs)
    assert 10 ** paths.log_paths(layers) == pytest.approx(count)


# The path kernel


def with_weights(masks):
    return st.tuples(st.just(masks), st.tuples(*(hnp.arrays(float, int(m.sum()), elements=weights) for m in masks)))


@given(chains.flatmap(with_weights))
@settings(max_examples=20, deadline=None)
def test_the_path_kernel_by_every_path(chain):
    layers, ws = as_network(chain[0]), chain[1]
    expected = 0.0
    for path in every_path(layers):
        factors = np.array([w[e[2]] for w, e in zip(ws, path, strict=True)])
        expected += sum(np.delete(factors, k).prod() ** 2 for k in range(len(factors)))
    assert paths.path_kernel_trace(layers, ws) == pytest.approx(expected, rel=1e-10, abs=1e-12)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(paths.log_path_kernel_trace(layers, ws), np.log10(expected), rtol=1e-9, atol=1e-10)
    ones = len(layers) * count_paths(layers).sum()
    assert paths.path_kernel_trace(layers) == pytest.approx(ones)


def wired_layers(widths, fan_in, family="erdos_renyi", seed=0):
    seeds = [{"seed": seed + k} if generators.takes_seed(family) else {} for k in range(len(widths) - 1)]
    return [
        generators.make(family, n_in=a, n_out=b, fan_in=fan_in, **drawn)
        for (a, b), drawn in zip(pairwise(widths), seeds, strict=True)
    ]


def test_the_path_kernel_by_autograd():
    """Twice: as the Jacobian of all path values, and as the gradient of the network of squares."""
    layers = wired_layers([5, 6, 4, 3], fan_in=2)
    torch.manual_seed(0)
    ws = [torch.randn(t.n_edges, dtype=torch.float64) for t in layers]
    every = [[e[2] for e in path] for path in every_path(layers)]

    def path_values(*ws):
        return torch.stack([torch.stack([w[e] for w, e in zip(ws, path, strict=True)]).prod() for path in every])

    jacobians = torch.autograd.functional.jacobian(path_values, tuple(ws))
    got = paths.path_kernel_trace(layers, [w.numpy() for w in ws])
    assert got == pytest.approx(sum(float((j**2).sum()) for j in jacobians))

    squares = [(w**2).requires_grad_() for w in ws]
    x = torch.ones(layers[0].n_in, 1, dtype=torch.float64)
    for t, s in zip(layers, squares, strict=True):
        rows = torch.from_numpy(np.repeat(np.arange(t.n_out), t.fan_in))
        x = torch.zeros(t.n_out, 1, dtype=torch.float64).index_add(0, rows, s[:, None] * x[t.indices.astype(int)])
    x.sum().backward()
    assert got == pytest.approx(sum(float(s.grad.sum()) for s in squares))


def test_the_path_kernel_of_deep_networks():
    layers, scale = [generators.dense(4, 4)] * 900, [np.full(16, 1e-3)] * 900
    assert paths.path_kernel_trace(layers) == np.inf
    assert paths.path_kernel_trace(layers, scale) == 0
    expected = np.log10(900) + 901 * np.log10(4) - 6 * 899
    assert paths.log_path_kernel_trace(layers, scale) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("ws", "message"),
    [
        ([[1.0, 1.0]], r"expected weights of shapes \[\(2,\), \(1,\)\]"),
        ([[1.0, 1.0], [[1.0]]], r"got \[\(2,\), \(1, 1\)\]"),
        ([[1.0, np.nan], [1.0]], "finite"),
    ],
)
def test_weights_that_do_not_fit_are_refused(ws, message):
    with pytest.raises(ValueError, match=message):
        paths.path_kernel_trace([Topology.from_mask([[1], [1]]), Topology.from_mask([[1, 0]])], ws)


# Closed forms


@pytest.mark.parametrize(
    ("name", "values", "paths_per_pair"),
    [
        ("butterfly", {"sizes": [64] * 7}, 1),
        ("butterfly", {"sizes": [81] * 5, "fan_in": 3}, 1),
        ("benes", {"sizes": [32] * 10}, 16),
        ("de_bruijn_tower", {"sizes": [125] * 4}, 1),
        ("de_bruijn_tower", {"sizes": [16] * 6}, 2),
        ("radix_net", {"sizes": [12, 6, 18], "radices": [[2, 3]]}, 1),
        ("radix_net", {"sizes": [256] * 3}, 1),
        ("grouped_shuffle", {"sizes": [256] * 3, "fan_in": 16}, 1),
        ("grouped_shuffle", {"sizes": [6, 8, 4]}, 2),
    ],
)
def test_families_that_join_every_pair_alike(name, values, paths_per_pair):
    layers = generators.make_network(name, **values)
    n_in, n_out = layers[0].n_in, layers[-1].n_out
    assert paths.path_cv(layers) == pytest.approx(0, abs=1e-12)
    assert reachability.reachable_share(layers) == 1
    assert reachability.receptive_field(layers) == n_in
    assert paths.effective_receptive_field(layers) == pytest.approx(n_in)
    assert paths.log_paths(layers) == pytest.approx(np.log10(n_in * n_out * paths_per_pair))
    np.testing.assert_allclose(paths.path_counts(layers, 7), 1)
    assert reachability.effective_edges(layers) == sum(t.n_edges for t in layers)
    assert reachability.unreachable_inputs(layers) == reachability.dead_hidden_units(layers) == 0


@pytest.mark.parametrize(("n", "d"), [(256, 16), (512, 5)])
def test_two_bands_make_a_triangle(n, d):
    """An output has 1, 2, ..., d, ..., 2, 1 paths from 2d - 1 neighbouring inputs; their squares sum to d(2d^2+1)/3."""
    layers = [generators.rotating(n, n, fan_in=d)] * 2
    squares = d * (2 * d**2 + 1) / 3
    assert paths.path_cv(layers) == pytest.approx(np.sqrt(n * squares / d**4 - 1))
    assert reachability.receptive_field(layers) == 2 * d - 1
    assert paths.effective_receptive_field(layers) == pytest.approx(d**4 / squares)


@pytest.mark.parametrize("widths", [[30, 50], [50, 30]])
def test_one_layer_is_its_topology(widths):
    (t,) = layers = wired_layers(widths, fan_in=3)
    assert paths.path_cv(layers) == pytest.approx(np.sqrt(1 / t.density - 1))
    assert reachability.reachable_share(layers) == pytest.approx(t.density)
    assert reachability.receptive_field(layers) == pytest.approx(t.fan_in.mean())
    assert paths.effective_receptive_field(layers) == pytest.approx(t.fan_in.mean())
    assert reachability.unreachable_inputs(layers) == (t.fan_out == 0).sum()
    np.testing.assert_allclose(paths.path_counts(layers) * t.density, t.biadjacency().toarray(), atol=1e-12)


@given(chains)
@settings(max_examples=20, deadline=None)
def test_the_effective_field_is_within_the_field(masks):
    layers = as_network(masks)
    assert paths.effective_receptive_field(layers) <= reachability.receptive_field(layers) + 1e-12


# Depth


def test_more_paths_than_a_float_can_hold():
    layers = wired_layers([12] * 401, fan_in=5)
    p = count_paths(layers)
    total = p.sum()
    assert total > 10**260
    digits = str(total)
    assert paths.log_paths(layers) == pytest.approx(np.log10(float(digits[:15])) + len(digits) - 15, rel=1e-13)
    shares = np.array([[float(one * 10**30 // total) / 1e30 for one in row] for row in p])
    np.testing.assert_allclose(paths.path_cv(layers), shares.std() / shares.mean(), rtol=1e-9)
    np.testing.assert_allclose(paths.effective_receptive_field(layers), participation(shares).mean(), rtol=1e-9)
    np.testing.assert_allclose(paths.path_counts(layers), shares / shares.mean(), rtol=1e-9)


def side_by_side(a, b):
    """Two networks of equal depth with their own inputs and outputs."""
    return [
        Topology.from_mask(np.block([[x, np.zeros((len(x), y.shape[1]))], [np.zeros((len(y), x.shape[1])), y]]))
        for x, y in zip(a, b, strict=True)
    ]


def test_parts_with_numbers_of_paths_that_no_float_holds_together():
    """One part multiplies its paths in the first half of the layers and the other in the second: both have 10**701."""
    many, one = [np.ones((10, 10))] * 700, [np.eye(10)] * 700
    layers = side_by_side(many + one, one + many)
    assert paths.log_paths(layers) == pytest.approx(np.log10(2) + 701, rel=1e-12)
    np.testing.assert_allclose(paths.path_cv(layers), 1, rtol=1e-9)
    assert reachability.receptive_field(layers) == pytest.approx(10)
    np.testing.assert_allclose(paths.effective_receptive_field(layers), 10, rtol=1e-9)


def test_a_part_that_leads_nowhere_does_not_drown_the_others():
    nowhere = [np.ones((10, 10))] * 400 + [np.zeros((10, 10))]
    layers = side_by_side(nowhere, [np.eye(3)] * 401)
    assert paths.log_paths(layers) == pytest.approx(np.log10(3))
    assert reachability.unreachable_inputs(layers) == reachability.unreachable_outputs(layers) == 10
    assert reachability.dead_hidden_units(layers) == 4000
    assert paths.effective_receptive_field(layers) == pytest.approx(3 / 13)


# Estimates, where counting would take too long


@pytest.fixture
def sampling(monkeypatch):
    """As little work as the estimators allow: 64 random vectors or outputs."""
    monkeypatch.setattr(reachability, "_WORK", 0)
    monkeypatch.setattr(paths, "_WORK", 0)


NETWORKS = {
    "random": wired_layers([90, 120, 100], fan_in=4),
    "dead units": wired_layers([200, 80, 150], fan_in=1),
    "band": wired_layers([100, 100, 100, 100], fan_in=3, family="rotating"),
    "one path": [Topology.from_edges(100, 100, [(3, 4)]), Topology.from_edges(100, 100, [(4, 5)])],
    "no path": [Topology.from_edges(100, 100, [(3, 4)]), Topology.from_edges(100, 100, [(5, 5)])],
    "even": generators.make_network("radix_net", sizes=[256] * 3),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_bounds_of_estimates_hold_the_exact_values(name, sampling):
    layers = NETWORKS[name]
    p = count_paths(layers).astype(float)
    exact = {
        paths.path_cv: p.std() / p.mean() if p.any() else 0,
        paths.effective_receptive_field: participation(p).mean(),
        reachability.receptive_field: (p > 0).sum(axis=1).mean(),
        reachability.reachable_share: (p > 0).mean(),
    }
    for metric, value in exact.items():
        found = metric(layers, explain=True)
        assert found.low - 1e-12 <= value <= found.high + 1e-12, metric.__name__
        assert found.low <= found.value <= found.high
        assert found.confidence == (1 if metric is paths.path_cv and not p.any() else 0.99)
        assert found == metric(layers, explain=True)
        assert found.value == metric(layers)


@pytest.mark.parametrize("name", ["random", "dead units", "band"])
def test_estimates_settle_at_the_exact_values(name, monkeypatch):
    layers = NETWORKS[name]
    exact = paths.path_cv(layers), paths.effective_receptive_field(layers), reachability.receptive_field(layers)
    estimate = paths._estimate_cv(layers, 20_000, None)
    assert estimate.value == pytest.approx(exact[0], rel=0.01)
    assert estimate.high - estimate.low < 0.1 * exact[0]
    monkeypatch.setattr(paths, "_count_affordable_vectors", lambda layers: layers[-1].n_out - 1)
    assert paths.effective_receptive_field(layers) == pytest.approx(exact[1], rel=0.1)
    monkeypatch.setattr(reachability, "_WORK", flows.count_operations(layers))
    assert reachability.receptive_field(layers) == pytest.approx(exact[2], rel=0.2)


def test_a_sample_that_missed_the_few_large_values_allows_for_them():
    tops = np.repeat([1.0, 1000.0], [990, 10])
    found = flows.bound_sampled_mean(np.ones(100), tops, "drawing")
    assert (found.low, found.value) == (1, 1)
    assert found.high == tops.mean()
    many = flows.bound_sampled_mean(np.ones(10**6), tops, "drawing")
    assert many.high == pytest.approx(1 + 7 * 1000 * np.log(400) / (3 * (10**6 - 1)))
    spread = flows.bound_sampled_mean(np.tile([0.0, 2.0], 500), np.full(10, 3.0), "drawing")
    radius = np.sqrt(2 * (1000 / 999) * np.log(400) / 1000) + 7 * 3 * np.log(400) / (3 * 999)
    assert (spread.low, spread.value) == pytest.approx((1, 1))
    assert spread.high == pytest.approx(1 + radius)


def test_an_estimate_of_an_even_network_is_exact(sampling):
    found = paths.path_cv(NETWORKS["even"], explain=True)
    assert "random vectors" in found.method
    assert found.high < 1e-12


def test_what_is_counted_says_so():
    for metric in (
        paths.path_cv,
        paths.effective_receptive_field,
        reachability.receptive_field,
        reachability.reachable_share,
    ):
        found = metric(NETWORKS["random"], explain=True)
        assert found.low == found.high
        assert (found.certificate, found.confidence) == ("exact count", 1)


@pytest.mark.parametrize("exact", [True, False])
def test_progress_comes_to_its_end(exact, monkeypatch):
    monkeypatch.setattr(flows, "_CELLS_AT_ONCE", 1000)
    if not exact:
        monkeypatch.setattr(reachability, "_WORK", 0)
        monkeypatch.setattr(paths, "_WORK", 0)
    for metric in (
        paths.path_cv,
        paths.effective_receptive_field,
        reachability.receptive_field,
        reachability.reachable_share,
    ):
        steps = []
        metric(NETWORKS["random"], progress=lambda done, total, steps=steps: steps.append((done, total)))
        assert steps == sorted(steps)
        assert steps[-1][0] == steps[-1][1]


def test_a_hundred_thousand_units(monkeypatch):
    monkeypatch.setattr(reachability, "_WORK", 1 << 23)
    monkeypatch.setattr(paths, "_WORK", 1 << 26)
    n, d = 100_000, 8
    layers = wired_layers([n] * 3, fan_in=d, family="biregular")
    assert paths.log_paths(layers) == pytest.approx(np.log10(n * d**2))
    assert reachability.effective_edges(layers) == 2 * n * d
    found = reachability.receptive_field(layers, explain=True)
    assert found.value == pytest.approx(d**2, abs=0.1)
    assert d**2 - 5 < found.low < found.value < found.high == d**2
    # Nearly all of the n d^2 paths join pairs of their own, so that a share d^2 / n of the pairs has one path
    assert paths.path_cv(layers) == pytest.approx(np.sqrt(n / d**2 - 1), rel=0.05)
    np.testing.assert_allclose(paths.path_counts(layers, 4), 1, atol=0.02)


# Lists that are no network


@pytest.mark.parametrize(
    ("topologies", "message"),
    [
        ([], "at least one Topology and nothing else, got none"),
        ([generators.dense(2, 3), None], "got Topology, NoneType"),
        (generators.dense(2, 3), "got a Topology; put it in a list"),
        ([generators.dense(2, 3), generators.dense(2, 3)], "layer 1 to read the 3 outputs of layer 0, got n_in=2"),
    ],
)
def test_lists_that_are_no_network_are_refused(topologies, message):
    every = [
        *(
            reachability.dead_hidden_units,
            reachability.effective_edges,
            reachability.effective_nodes,
            reachability.reachable_share,
        ),
        *(
            reachability.receptive_field,
            reachability.unreachable_inputs,
            reachability.unreachable_outputs,
            paths.path_kernel_trace,
        ),
        *(paths.effective_receptive_field, paths.log_path_kernel_trace, paths.log_paths, paths.path_counts),
        paths.path_cv,
    ]
    for metric in every:
        with pytest.raises(ValueError, match=message):
            metric(topologies)


@pytest.mark.parametrize("resolution", [0, -1, 2.5, True, "64"])
def test_resolutions_that_are_none_are_refused(resolution):
    with pytest.raises(ValueError, match="resolution >= 1"):
        paths.path_counts([generators.dense(2, 3)], resolution)
