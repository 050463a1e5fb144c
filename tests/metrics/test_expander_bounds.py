import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from prewired import Topology, generators
from prewired.metrics import expander_bounds

masks = hnp.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))
thick = st.tuples(st.integers(3, 9), st.integers(3, 9)).flatmap(  # degrees that IMDB takes
    lambda shape: hnp.arrays(bool, shape, elements=st.sampled_from([True, True, True, False]))
)
EMPTY = Topology(3, 2, [0, 0, 0], [])
HEAWOOD = Topology.from_edges(7, 7, [((i + d) % 7, i) for i in range(7) for d in (0, 1, 3)])


def disjoint(*graphs):
    return Topology.from_biadjacency(scipy.sparse.block_diag([t.biadjacency() for t in graphs]))


def two_values(matrix):
    return np.append(np.linalg.svd(np.asarray(matrix, float), compute_uv=False), 0.0)[:2].round(12)


def bound_of(fan_in, fan_out):
    return np.sqrt(max(fan_in - 1, 0)) + np.sqrt(max(fan_out - 1, 0))


def over(value, bound):
    return value / bound if bound else (1.0 if value == 0 else -np.inf)


def differences_of_classes(mask):
    """Of every class of inputs that IMDB takes: bound - sigma2, and the bound."""
    for fan_out in set(mask.sum(0)):
        part = mask[:, mask.sum(0) == fan_out]
        part = part[part.any(1)]
        if part.shape[1] >= 3 and fan_out >= 3 and part.sum(1).mean() >= 3:
            bound = bound_of(part.sum(1).mean(), fan_out)
            yield bound - two_values(part)[1], bound


def check_against_dense_numpy(mask):
    t = Topology.from_mask(mask)
    n_out, n_in = mask.shape
    edges = mask.sum()
    sigma1, sigma2 = two_values(mask)
    bound = bound_of(edges / n_out, edges / n_in)
    perron = 2 * np.sqrt(max(sigma1 - 1, 0))
    density = edges / mask.size
    expected = np.sqrt(edges / n_out * (1 - density)) + np.sqrt(edges / n_in * (1 - density))
    alive = mask.any(0).sum() * mask.any(1).sum()
    mean_fan_out = edges / max(mask.any(0).sum(), 1)
    coefficient = (sigma2**2 / 4 + 1) * np.sqrt(alive) - abs(2 * edges - mean_fan_out / n_out * alive)
    regular = len(set(mask.sum(0))) == len(set(mask.sum(1))) == 1 and edges > 0
    classes = list(differences_of_classes(mask))
    got_and_expected = {
        "ramanujan_difference": (expander_bounds.ramanujan_difference(t), bound - sigma2),
        "relative": (expander_bounds.ramanujan_difference(t, relative=True), over(bound - sigma2, bound)),
        "perron_difference": (expander_bounds.perron_difference(t), perron - sigma2),
        "perron, relative": (expander_bounds.perron_difference(t, relative=True), over(perron - sigma2, perron)),
        "random_ratio": (expander_bounds.random_ratio(t), sigma2 / expected if expected else 0),
        "narc": (expander_bounds.narc(t), coefficient / mask.size),
        "imdb": (expander_bounds.imdb(t), np.mean([d for d, _ in classes]) if classes else np.nan),
        "imdb, relative": (
            expander_bounds.imdb(t, relative=True),
            np.mean([d / b for d, b in classes]) if classes else np.nan,
        ),
    }
    if sigma1 <= 2 or sigma1 > 2.01:
        gap = (sigma1 - sigma2) / (sigma1 - 2 * np.sqrt(sigma1 - 1)) if sigma1 > 2 else np.nan
        got_and_expected["rbgp_gap"] = expander_bounds.rbgp_gap(t), gap
    for name, (got, wanted) in got_and_expected.items():
        assert type(got) is float, name
        np.testing.assert_allclose(got, wanted, atol=1e-6, rtol=1e-6, err_msg=name)
    assert expander_bounds.is_ramanujan(t) is bool(regular and sigma2 <= bound + 1e-7)


@given(masks)
@settings(max_examples=50, deadline=None)
def test_every_score_on_any_small_graph(mask):
    check_against_dense_numpy(mask)


@given(thick)
@settings(max_examples=50, deadline=None)
def test_every_score_on_small_graphs_of_larger_degrees(mask):
    check_against_dense_numpy(mask)


@pytest.mark.parametrize("seed", range(6))
def test_every_score_on_biregular_graphs(seed):
    check_against_dense_numpy(generators.biregular(12, 8, fan_in=6, seed=seed).biadjacency().toarray() > 0)


# Closed forms


@pytest.mark.parametrize(  # the tables that the authors of IMDB and NaRC published, for dense layers of VGG16
    ("n_in", "n_out", "difference", "perron", "coefficient"),
    [
        (27, 64, 13.036273, 12.738795, -0.975944),
        (576, 64, 31.916412, 27.640550, -0.994792),
        (576, 128, 35.248555, 32.895535, -0.996317),
        (1152, 128, 45.195819, 39.140770, -0.997396),
        (4096, 10, 66.992187, 28.382094, -0.995059),
    ],
)
def test_published_values_of_dense_layers(n_in, n_out, difference, perron, coefficient):
    t = generators.dense(n_in, n_out)
    np.testing.assert_allclose(expander_bounds.ramanujan_difference(t), difference, rtol=2e-6)
    np.testing.assert_allclose(expander_bounds.perron_difference(t), perron, rtol=2e-6)
    np.testing.assert_allclose(expander_bounds.narc(t), coefficient, atol=1e-6)
    np.testing.assert_allclose(expander_bounds.imdb(t), difference, rtol=2e-6)
    assert expander_bounds.imdb(t, relative=True) == expander_bounds.ramanujan_difference(t, relative=True) == 1
    assert expander_bounds.random_ratio(t) == 0


def test_the_heawood_graph():
    """sigma1 = 3, sigma2 = sqrt(2), both degrees 3."""
    root = np.sqrt(2)
    np.testing.assert_allclose(expander_bounds.ramanujan_difference(HEAWOOD), root)
    np.testing.assert_allclose(expander_bounds.ramanujan_difference(HEAWOOD, relative=True), 0.5)
    np.testing.assert_allclose(expander_bounds.perron_difference(HEAWOOD), root)
    np.testing.assert_allclose(expander_bounds.imdb(HEAWOOD), root)
    np.testing.assert_allclose(expander_bounds.rbgp_gap(HEAWOOD), (3 - root) / (3 - 2 * root))
    np.testing.assert_allclose(expander_bounds.random_ratio(HEAWOOD), root / (2 * np.sqrt(3 * 4 / 7)))
    np.testing.assert_allclose(expander_bounds.narc(HEAWOOD), (1.5 * 7 - 21) / 49)


@pytest.mark.parametrize(
    "t",
    [
        HEAWOOD,
        generators.projective_plane(91, 91, fan_in=10),
        generators.array_code(35, 49, fan_in=5),
        generators.lps(1092, 1092, fan_in=6),
        generators.dense(5, 8),
        generators.dense(1, 1),
        generators.rotating(50, 50, fan_in=2),
        disjoint(generators.rotating(4, 4, fan_in=2), generators.rotating(3, 3, fan_in=2)),
    ],
    ids=repr,
)
def test_ramanujan_graphs(t):
    assert expander_bounds.is_ramanujan(t)
    assert expander_bounds.ramanujan_difference(t) > -1e-9


@pytest.mark.parametrize(
    "t",
    [
        EMPTY,
        generators.rotating(2, 2, fan_in=1),
        generators.rotating(64, 64, fan_in=4),
        generators.grouped(12, 12, fan_in=4),
        disjoint(HEAWOOD, HEAWOOD),
        Topology.from_mask([[1, 1], [0, 1]]),
    ],
    ids=repr,
)
def test_graphs_that_are_not_ramanujan(t):
    assert not expander_bounds.is_ramanujan(t)


@pytest.mark.parametrize("t", [HEAWOOD, generators.lps(1092, 1092, fan_in=6), generators.rotating(64, 64, fan_in=4)])
def test_with_equal_degrees_a_gap_of_one_is_the_ramanujan_bound(t):
    assert (
        (expander_bounds.rbgp_gap(t) >= 1)
        == expander_bounds.is_ramanujan(t)
        == (expander_bounds.perron_difference(t) >= 0)
    )
    np.testing.assert_allclose(expander_bounds.perron_difference(t), expander_bounds.ramanujan_difference(t), rtol=1e-9)


@pytest.mark.parametrize("density", [0.1, 0.3, 0.5, 0.9])
def test_random_graphs_have_a_random_ratio_of_one_at_every_density(density):
    ratio = expander_bounds.random_ratio(generators.erdos_renyi(300, 500, density=density, seed=0))
    np.testing.assert_allclose(ratio, 1, atol=0.05)


def test_imdb_is_a_mean_over_classes_of_inputs():
    thin, thick, pair = generators.dense(5, 4), generators.dense(3, 6), generators.dense(2, 9)
    dead = Topology(1, 2, [0, 0, 0], [])
    terms = np.sqrt(3) + 2, np.sqrt(5) + np.sqrt(2)
    np.testing.assert_allclose(expander_bounds.imdb(disjoint(thin, dead, thick, pair)), np.mean(terms))
    np.testing.assert_allclose(expander_bounds.imdb(disjoint(thin, pair)), terms[0])
    assert np.isnan(expander_bounds.imdb(disjoint(pair, dead)))


def test_without_edges():
    assert expander_bounds.ramanujan_difference(EMPTY) == expander_bounds.perron_difference(EMPTY) == 0
    assert (
        expander_bounds.ramanujan_difference(EMPTY, relative=True)
        == expander_bounds.perron_difference(EMPTY, relative=True)
        == 1
    )
    assert expander_bounds.random_ratio(EMPTY) == expander_bounds.narc(EMPTY) == 0
    assert np.isnan(expander_bounds.rbgp_gap(EMPTY))
    assert np.isnan(expander_bounds.imdb(EMPTY))


def test_a_matching():
    t = generators.rotating(9, 9, fan_in=1)
    assert expander_bounds.ramanujan_difference(t) == expander_bounds.perron_difference(t) == -1
    assert (
        expander_bounds.ramanujan_difference(t, relative=True)
        == expander_bounds.perron_difference(t, relative=True)
        == -np.inf
    )
    assert np.isnan(expander_bounds.rbgp_gap(t))
    np.testing.assert_allclose(expander_bounds.random_ratio(t), 1 / (2 * np.sqrt(8 / 9)))


def test_a_cycle_has_no_rbgp_gap():
    assert np.isnan(expander_bounds.rbgp_gap(generators.rotating(1500, 1500, fan_in=2)))
