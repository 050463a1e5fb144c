"""Singular values, their law in random biregular graphs, and their density in large graphs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from prewired import Topology, generators
from prewired.metrics.random_matrix import (
    MOST_CELLS_OF_SVD,
    biregular_law,
    bulk,
    singular_value_density,
    singular_values,
)
from prewired.random_bits import RandomBits

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=7))


def moments(fan_in, fan_out, density=0.0):
    """The integrals of f, x^2 f and x^4 f, by a substitution that has no singular ends."""
    low, high = bulk(fan_in, fan_out, density=density)
    angle = (np.arange(200_000) + 0.5) / 200_000 * np.pi
    x = np.sqrt((low**2 + high**2) / 2 + (high**2 - low**2) / 2 * np.cos(angle))
    weights = np.pi * (high**2 - low**2) / 2 * np.sin(angle) / (2 * x)
    return [(x**k * biregular_law(x, fan_in, fan_out, density=density) * weights).mean() for k in (0, 2, 4)]


def cumulated(t, n_bins=60):
    """The edges of bins over all singular values, and the share of the values below each of them."""
    values = singular_values(t)
    edges = np.linspace(0, values[0] * 1.001, n_bins + 1)
    return edges, np.array([(values < edge).mean() for edge in edges])


@given(MASKS)
@settings(max_examples=30, deadline=None)
def test_singular_values_are_the_roots_of_the_gram_matrix(mask):
    t, b = Topology.from_mask(mask), mask.astype(float)
    found = singular_values(t)
    assert found.shape == (min(mask.shape),)
    assert (np.diff(found) <= 0).all()
    gram = b @ b.T if len(b) <= b.shape[1] else b.T @ b
    np.testing.assert_allclose(found**2, np.linalg.eigvalsh(gram)[::-1], atol=1e-9)


def test_singular_values_in_closed_form():
    np.testing.assert_allclose(singular_values(generators.dense(4, 9)), [6, 0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(singular_values(generators.grouped(12, 8, fan_in=3)), [6**0.5] * 4 + [0] * 4, atol=1e-7)
    circulant = generators.rotating(50, 50, fan_in=4)
    angles = np.abs(1 - np.exp(4j * 2 * np.pi * np.arange(1, 50) / 50)) / np.abs(
        1 - np.exp(2j * np.pi * np.arange(1, 50) / 50)
    )
    np.testing.assert_allclose(singular_values(circulant), np.sort([4, *angles])[::-1], atol=1e-9)
    projective = singular_values(generators.projective_plane(13, 13, fan_in=4))
    np.testing.assert_allclose(projective, [4] + [3**0.5] * 12, atol=1e-9)


def test_graphs_too_large_for_a_dense_matrix_are_refused():
    with pytest.raises(ValueError, match="use singular_value_density"):
        singular_values(Topology.from_edges(MOST_CELLS_OF_SVD, 2, [(0, 0)]))


@pytest.mark.parametrize(("fan_in", "fan_out"), [(2, 2), (3, 3), (2.5, 2.5), (8, 4), (2, 30), (1.5, 4), (100, 30)])
def test_the_law_counts_closed_walks_of_a_tree(fan_in, fan_out):
    most, least = max(fan_in, fan_out), min(fan_in, fan_out)
    np.testing.assert_allclose(moments(fan_in, fan_out), [1, most, most * (most + least - 1)], rtol=1e-6)
    np.testing.assert_allclose(
        moments(fan_in, fan_out, 0.3), [1, most * 0.7, most * (most + least - 1) * 0.49], rtol=1e-6
    )
    x = np.linspace(0, 20, 50)
    np.testing.assert_array_equal(biregular_law(x, fan_in, fan_out), biregular_law(x, fan_out, fan_in))


def test_the_law_of_equal_degrees_is_that_of_kesten_and_mckay():
    x = np.linspace(0, 2 * 4**0.5, 100, endpoint=False)
    expected = 5 / np.pi * np.sqrt(16 - x**2) / (25 - x**2)
    np.testing.assert_allclose(biregular_law(x, 5, 5), expected)
    assert biregular_law([-1.0, 4.0, 5.0], 5, 5).tolist() == [0, 0, 0]
    assert biregular_law(1.0, 5, 5).shape == ()


def test_the_law_of_large_degrees_is_that_of_marchenko_and_pastur():
    n_in, n_out, density = 40_000, 10_000, 0.25
    variance = density * (1 - density)
    low, high = variance**0.5 * (200 - 100), variance**0.5 * (200 + 100)
    assert bulk(density * n_in, density * n_out, density=density) == pytest.approx((low, high), rel=1e-3)
    x = np.linspace(low * 1.05, high * 0.95, 50)
    expected = np.sqrt((high**2 - x**2) * (x**2 - low**2)) / (np.pi * variance * n_out * x)
    found = biregular_law(x, density * n_in, density * n_out, density=density)
    np.testing.assert_allclose(found, expected, rtol=0.01)


@pytest.mark.parametrize(
    ("n_in", "n_out", "fan_in"), [(600, 600, 3), (600, 600, 60), (600, 600, 300), (400, 600, 20), (600, 300, 12)]
)
def test_random_biregular_graphs_follow_the_law(n_in, n_out, fan_in):
    t = generators.biregular(n_in, n_out, fan_in=fan_in, seed=1)
    x = np.sort(singular_values(t)[1:])
    fine = np.linspace(0, x[-1] * 1.2, 20_001)
    f = biregular_law((fine[1:] + fine[:-1]) / 2, fan_in, t.n_edges / n_in, density=t.density)
    law = np.interp(x, fine[1:], np.cumsum(f) * fine[1])
    assert np.abs(law - (np.arange(len(x)) + 0.5) / len(x)).max() < 0.015


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((1, 9), r"got 1 and 9"),
        ((1.5, 2.5), r"\(fan_in - 1\)\(fan_out - 1\) >= 1"),
        ((0.2, 0.3), "got 0.2 and 0.3"),
    ],
)
def test_degrees_without_a_law_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        bulk(*values)
    with pytest.raises(ValueError, match=message):
        biregular_law(1.0, *values)


def test_a_complete_graph_has_no_law():
    with pytest.raises(ValueError, match="got density=1"):
        bulk(5, 5, density=1.0)


@pytest.mark.parametrize(
    "t",
    [
        generators.biregular(900, 700, fan_in=9, seed=0),
        generators.erdos_renyi(700, 900, fan_in=2, seed=0),
        generators.rotating(800, 800, fan_in=20),
        generators.power_law(700, 700, fan_in=6, seed=0),
        generators.grouped(700, 700, fan_in=7),
        generators.dense(50, 60),
        generators.rotating(64, 64, fan_in=1),
    ],
    ids=lambda t: t.recipe.family,
)
def test_the_density_is_that_of_all_singular_values(t):
    edges, expected = cumulated(t)
    for graph in (t, t.transpose()):
        found, same = singular_value_density(graph, edges)
        np.testing.assert_array_equal(same, edges)
        cumulated_found = np.cumsum(found * np.diff(edges))
        # within 1.5 % of the values, and at a place where many are alike, half a bin beside it
        assert (cumulated_found >= expected[:-1] - 0.015).all()
        assert (cumulated_found[:-1] <= expected[2:] + 0.015).all()
        assert cumulated_found[-1] == pytest.approx(1)


@given(MASKS, st.integers(1, 9))
@settings(max_examples=20, deadline=None)
def test_small_graphs_have_a_density_too(mask, steps):
    t = Topology.from_mask(mask)
    found, edges = singular_value_density(t, 10, steps=steps)
    assert (found >= 0).all()
    assert (found * np.diff(edges)).sum() == pytest.approx(1)
    assert edges[-1] == 1.0 if t.n_edges == 0 else edges[-1] <= singular_values(t)[0] * (1 + 1e-9)


def test_the_quadrature_is_exact_for_polynomials():
    """With 2 steps nodes and weights integrate cubics in sigma^2, here from one vector of signs."""
    t = generators.biregular(40, 40, fan_in=4, seed=0)
    edges = np.linspace(0, 4.2, 4001)
    found, _ = singular_value_density(t, edges, steps=40, probes=1)
    bits = np.unpackbits(RandomBits(0, "lanczos quadrature").words(1).view(np.uint8))[:40]
    v = t.biadjacency() @ (bits * 2.0 - 1.0)
    w = t.biadjacency().T @ v
    middles = (edges[1:] + edges[:-1]) / 2
    for power, expected in ((2, v @ v / 40), (4, w @ w / 40)):
        assert (found * np.diff(edges) * middles**power).sum() == pytest.approx(expected, rel=2e-3)


def test_progress_and_repetition():
    t = generators.biregular(300, 300, fan_in=5, seed=0)
    seen = []
    first, _ = singular_value_density(t, 20, steps=7, progress=lambda k, n: seen.append((k, n)))
    assert seen == [(k, 7) for k in range(1, 8)]
    again, _ = singular_value_density(t, 20, steps=7)
    np.testing.assert_array_equal(first, again)
