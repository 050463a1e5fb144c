"""Metrics of weighted edges: against dense NumPy, closed forms, and what they promise of every matrix."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from prewired import SparseLinear, Topology, generators, metrics
from prewired.metrics import weighted

METRICS = {
    metric.__name__: metric
    for metric in (
        weighted.weighted_spectral_gap,
        weighted.relative_weighted_spectral_gap,
        weighted.effective_rank,
        weighted.stable_rank,
    )
}
each_metric = pytest.mark.parametrize("name", METRICS)
sides = st.integers(1, 7)
matrices = st.tuples(sides, sides).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(bool, shape),
        hnp.arrays(float, shape, elements=st.sampled_from([0.0, 1.0, -1.0, 0.5, -2.0, 3.25, 1e-3])),
    )
)


def references(w):
    """The metrics of a dense matrix by their definitions."""
    positive = np.append(np.linalg.svd(np.abs(w), compute_uv=False), 0.0)
    values = np.linalg.svd(w, compute_uv=False)
    if not w.any():
        return dict.fromkeys(METRICS, 0.0)
    p = values / values.sum()
    entropy = -sum(x * np.log(x) for x in p if x > 1e-300)
    return {
        "weighted_spectral_gap": positive[0] - positive[1],
        "relative_weighted_spectral_gap": 1 - positive[1] / positive[0],
        "effective_rank": np.exp(entropy),
        "stable_rank": (w**2).sum() / values[0] ** 2,
    }


def check(t, weights, rtol=1e-9):
    w = np.zeros((t.n_out, t.n_in))
    rows = np.repeat(np.arange(t.n_out), t.fan_in)
    w[rows, t.indices] = weights
    for name, expected in references(w).items():
        got = METRICS[name](t, weights)
        assert isinstance(got, float)
        np.testing.assert_allclose(got, expected, rtol=rtol, atol=1e-12 * max(1.0, np.abs(w).max()), err_msg=name)


@given(matrices)
@settings(max_examples=50, deadline=None)
def test_any_small_matrix_against_dense_numpy(pair):
    mask, w = pair
    check(Topology.from_mask(mask), w[mask])


@given(matrices)
@settings(max_examples=30, deadline=None)
def test_ranges_whatever_the_matrix(pair):
    mask, w = pair
    t, weights = Topology.from_mask(mask), w[mask]
    got = {name: metric(t, weights) for name, metric in METRICS.items()}
    if not weights.any():
        assert set(got.values()) == {0.0}
        return
    assert 0 <= got["weighted_spectral_gap"] <= np.linalg.norm(weights) * (1 + 1e-12)
    assert 0 <= got["relative_weighted_spectral_gap"] <= 1
    assert 1 <= got["effective_rank"] <= min(t.n_in, t.n_out)
    assert 1 <= got["stable_rank"] <= min(t.n_in, t.n_out)


FAMILIES = {
    "biregular": generators.biregular(600, 520, fan_in=20, seed=0),
    "two components": generators.grouped(560, 560, fan_in=280),
    "ring": generators.rotating(551, 551, fan_in=9),
    "dense": generators.dense(1000, 310),
    "one output": generators.dense(400_000, 1),
    "few outputs": generators.biregular(40_000, 12, fan_in=10_000, seed=0),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_matrices_too_large_for_dense_numpy_inside(name):
    t = FAMILIES[name]
    assert t.n_in * t.n_out > 300_000
    weights = np.random.default_rng(1).standard_normal(t.n_edges)
    weights[::7] = 0
    check(t, weights, rtol=1e-6)


def test_weights_of_one_give_the_metrics_of_the_topology():
    for t in (FAMILIES["ring"], FAMILIES["biregular"], generators.grouped(24, 24, fan_in=6)):
        ones = np.ones(t.n_edges)
        np.testing.assert_allclose(
            weighted.weighted_spectral_gap(t, -ones), metrics.spectral_gap(t), rtol=1e-7, atol=1e-9
        )
        np.testing.assert_allclose(
            weighted.relative_weighted_spectral_gap(t, 2 * ones), metrics.relative_spectral_gap(t), rtol=1e-7, atol=1e-9
        )


def test_a_diagonal_matrix_by_hand():
    t = generators.rotating(4, 4, fan_in=1)
    weights = [4.0, -2.0, 1.0, 1.0]
    np.testing.assert_allclose(weighted.weighted_spectral_gap(t, weights), 2)
    np.testing.assert_allclose(weighted.relative_weighted_spectral_gap(t, weights), 0.5)
    np.testing.assert_allclose(weighted.effective_rank(t, weights), 2**1.75)  # shares 1/2, 1/4, 1/8, 1/8
    np.testing.assert_allclose(weighted.stable_rank(t, weights), 22 / 16)


@pytest.mark.parametrize("n", [1, 2, 30])
def test_equal_singular_values_count_as_whole_dimensions(n):
    eye = generators.rotating(n, n, fan_in=1)
    signs = np.where(np.arange(n) % 2, -0.3, 0.3)
    np.testing.assert_allclose(weighted.effective_rank(eye, signs), n)
    np.testing.assert_allclose(weighted.stable_rank(eye, signs), n)
    np.testing.assert_allclose(weighted.weighted_spectral_gap(eye, signs), 0.3 if n == 1 else 0, atol=1e-15)


def test_a_matrix_of_rank_one():
    t, x, y = generators.dense(5, 3), np.array([1.0, -2, 3, 0, 5]), np.array([2.0, -1, 4])
    weights = np.outer(y, x).reshape(-1)
    size = np.linalg.norm(x) * np.linalg.norm(y)
    np.testing.assert_allclose(weighted.weighted_spectral_gap(t, weights), size)
    np.testing.assert_allclose(weighted.relative_weighted_spectral_gap(t, weights), 1)
    np.testing.assert_allclose(weighted.effective_rank(t, weights), 1, rtol=1e-12)
    np.testing.assert_allclose(weighted.stable_rank(t, weights), 1, rtol=1e-12)


def test_signs_matter_to_the_ranks_and_not_to_the_gaps():
    """Of a Hadamard matrix all singular values are sqrt(n); of its absolute values there is one, n."""
    h = np.array([[1.0]])
    for _ in range(4):
        h = np.block([[h, h], [h, -h]])
    t = generators.dense(16, 16)
    np.testing.assert_allclose(weighted.effective_rank(t, h.reshape(-1)), 16)
    np.testing.assert_allclose(weighted.stable_rank(t, h.reshape(-1)), 16)
    np.testing.assert_allclose(weighted.weighted_spectral_gap(t, h.reshape(-1)), 16)
    np.testing.assert_allclose(weighted.effective_rank(t, abs(h).reshape(-1)), 1, rtol=1e-12)


def test_a_graph_with_random_signs():
    """sigma1 is near 2 sqrt(fan_in - 1), the edge of its limit law, so the stable rank is known."""
    t = generators.biregular(4000, 4000, fan_in=32, seed=0)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], t.n_edges)
    np.testing.assert_allclose(weighted.stable_rank(t, signs), 4000 * 32 / (4 * 31), rtol=0.02)


@each_metric
def test_edges_of_weight_zero_are_as_none(name):
    t = generators.biregular(12, 9, fan_in=4, seed=0)
    weights = np.random.default_rng(0).standard_normal(t.n_edges)
    weights[[0, 1, 2, 3, 8, 20]] = 0
    rows = np.repeat(np.arange(t.n_out), t.fan_in)
    fewer = Topology.from_edges(12, 9, np.stack([t.indices, rows], axis=1)[weights != 0])
    np.testing.assert_allclose(METRICS[name](t, weights), METRICS[name](fewer, weights[weights != 0]), rtol=1e-12)


@each_metric
@pytest.mark.parametrize("t", [Topology(3, 2, [0, 0, 0], []), Topology(1, 1, [0, 0], []), generators.dense(3, 2)])
def test_nothing_is_zero(name, t):
    assert METRICS[name](t, np.zeros(t.n_edges)) == 0.0


@each_metric
@pytest.mark.parametrize("factor", [1e-200, 1e200, 5e-324, 1e308])
def test_no_size_of_the_weights_is_too_much(name, factor):
    t = generators.dense(2, 1)
    got = METRICS[name](t, [0.0, -factor])
    assert got == (factor if name == "weighted_spectral_gap" else 1.0)


@each_metric
def test_the_weights_stay_as_they_were(name):
    t = generators.biregular(12, 9, fan_in=4, seed=0)
    weights = np.random.default_rng(0).standard_normal(t.n_edges)
    weights[3] = 0
    before = weights.copy()
    METRICS[name](t, weights)
    np.testing.assert_array_equal(weights, before)


@each_metric
def test_a_layers_weights_as_they_are(name):
    layer = SparseLinear(generators.biregular(12, 9, fan_in=4, seed=0))
    expected = references(layer.to_dense().detach().double().numpy())[name]
    np.testing.assert_allclose(METRICS[name](layer.topology, layer.weight.detach()), expected, rtol=1e-9)
    assert METRICS[name](layer.topology, layer.weight.tolist()) == METRICS[name](layer.topology, layer.weight.detach())
    half = layer.weight.detach().half()
    assert METRICS[name](layer.topology, half) == METRICS[name](layer.topology, half.to(torch.float64))


@each_metric
def test_weights_of_another_shape_are_refused(name):
    t = generators.biregular(8, 4, fan_in=2, seed=0)
    for weights, shape in ((np.ones(7), r"\(7,\)"), (np.ones((4, 8)), r"\(4, 8\)"), (1.0, r"\(\)")):
        with pytest.raises(ValueError, match=rf"expected weights of shape \(8,\).*got {shape}; take a SparseLinear's"):
            METRICS[name](t, weights)


@each_metric
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused(name, bad):
    t = generators.biregular(8, 4, fan_in=2, seed=0)
    weights = np.ones(8)
    weights[[2, 5]] = bad
    with pytest.raises(ValueError, match=f"got {bad} at edge 2, 2 of 8 not finite; measure .* lower learning rate"):
        METRICS[name](t, weights)


def test_all_singular_values_of_a_wide_layer_are_refused_with_a_remedy():
    t = generators.rotating(4096, 4097, fan_in=2)
    with pytest.raises(ValueError, match=r"at most 16,777,216 pairs .*, got 16,781,312; take stable_rank"):
        weighted.effective_rank(t, np.ones(t.n_edges))
    assert weighted.stable_rank(t, np.ones(t.n_edges)) > 1


def test_weights_of_a_layer_as_they_are():
    layer = SparseLinear(generators.biregular(6, 6, fan_in=2, seed=0))
    expected = metrics.stable_rank(layer.topology, layer.weight.detach().double().numpy())
    assert metrics.stable_rank(layer.topology, layer.weight) == expected
    half = layer.weight.detach().bfloat16()
    assert metrics.stable_rank(layer.topology, half) == metrics.stable_rank(layer.topology, half.double().numpy())


@pytest.mark.parametrize("weights", [np.ones(12) * 1j, ["1"] * 12, [10**400] * 12, object()])
def test_weights_that_are_no_real_numbers(weights):
    with pytest.raises(ValueError, match="weights as real numbers, got"):
        metrics.stable_rank(generators.biregular(6, 6, fan_in=2, seed=0), weights)
