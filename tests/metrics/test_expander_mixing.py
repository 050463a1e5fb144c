import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from prewired import Topology, generators
from prewired.metrics import expander_mixing, leading_singular_values
from prewired.metrics.expander_mixing import mixing_deviation

masks = hnp.arrays(bool, st.tuples(st.integers(1, 6), st.integers(1, 6)))


def subsets(n):
    """All sets but the empty one, as rows of 0 and 1."""
    return np.arange(1, 2**n)[:, None] >> np.arange(n) & 1


def deviations(matrix):
    """sum of the matrix over S and T, over sqrt(|S| |T|), for all S and T."""
    outputs, inputs = (subsets(n) for n in matrix.shape)
    return np.abs(outputs @ matrix @ inputs.T) / np.sqrt(np.outer(outputs.sum(1), inputs.sum(1)))


@pytest.fixture(params=["spectral norm", "other bounds"])
def bounds(request, monkeypatch):
    if request.param == "other bounds":
        monkeypatch.setattr(expander_mixing, "_NORM_CELLS", 0)


@pytest.mark.parametrize("dense_cells", [0, 10**6])
@given(mask=masks)
@settings(max_examples=40, deadline=None)
def test_the_maximum_over_all_sets_is_within_the_bounds(dense_cells, mask):
    largest = deviations(mask - mask.mean()).max()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(expander_mixing, "_NORM_CELLS", dense_cells)
        found = mixing_deviation(Topology.from_mask(mask), explain=True)
    assert 0 <= found.low == found.value <= largest + 1e-12
    assert largest <= found.high + 1e-12
    assert found.value >= max(mask.mean() * (not mask.all()), (1 - mask.mean()) * mask.any()) - 1e-12  # single cells


def test_the_search_mostly_finds_the_maximum_of_small_graphs():
    rng = np.random.default_rng(0)
    hits = []
    for _ in range(80):
        mask = rng.random(rng.integers(2, 8, 2)) < rng.uniform(0.1, 0.9)
        largest = deviations(mask - mask.mean()).max()
        hits.append(mixing_deviation(Topology.from_mask(mask)) > largest - 1e-9)
    assert np.mean(hits) > 0.95


@given(masks)
@settings(max_examples=30, deadline=None)
def test_what_varying_degrees_add_is_bounded(mask):
    if mask.any():
        surplus = np.outer(mask.sum(1), mask.sum(0)) / mask.sum() - mask.mean()
        assert deviations(surplus).max() <= expander_mixing._bound_degree_deviation(Topology.from_mask(mask)) + 1e-12


def test_constant_degrees_add_nothing():
    t = generators.biregular(40, 60, fan_in=8, seed=0)
    np.testing.assert_allclose(expander_mixing._bound_degree_deviation(t), 0, atol=1e-12)


# Closed forms


@pytest.mark.parametrize("n", [2, 3, 20, 400])
def test_a_matching_meets_the_mixing_lemma(n):
    """S and T the ends of one edge: 1 - 1/n, where the lemma has equality."""
    found = mixing_deviation(generators.rotating(n, n, fan_in=1), explain=True)
    np.testing.assert_allclose([found.value, found.high], 1 - 1 / n)
    assert found.low <= found.high


@pytest.mark.parametrize(("g", "width"), [(2, 4), (5, 3), (16, 10)])
def test_blocks(g, width):
    """One block: (w^2 - w^2 / g) / w."""
    t = generators.grouped(g * width, g * width, fan_in=width)
    np.testing.assert_allclose(mixing_deviation(t), width * (1 - 1 / g))


@pytest.mark.parametrize(("n", "k"), [(9, 2), (9, 7), (30, 12)])
def test_one_row_and_one_column(n, k):
    """All inputs that are read, or all that are not."""
    mask = np.arange(n)[None] < k
    for t in (Topology.from_mask(mask), Topology.from_mask(mask.T)):
        found = mixing_deviation(t, explain=True)
        np.testing.assert_allclose(found.value, max(np.sqrt(k) * (1 - k / n), np.sqrt(n - k) * k / n))
        assert found.value <= found.high


@pytest.mark.parametrize("t", [generators.dense(1, 1), generators.dense(5, 9), Topology(3, 2, [0, 0, 0], [])], ids=repr)
def test_dense_and_empty(t, bounds):
    found = mixing_deviation(t, explain=True)
    assert found.value == found.low == 0
    np.testing.assert_allclose(found.high, 0, atol=1e-12)


def test_dead_units_count():
    mask = np.zeros((4, 5), bool)
    mask[:2, :2] = True
    found = mixing_deviation(Topology.from_mask(mask), explain=True)
    np.testing.assert_allclose(found.value, (4 - 16 / 20) / 2)
    assert found.value <= found.high


# Bounds


@pytest.mark.parametrize("t", [generators.biregular(60, 90, fan_in=6, seed=0), generators.rotating(80, 80, fan_in=10)])
def test_on_biregular_graphs_the_bound_is_sigma2(t, bounds):
    found = mixing_deviation(t, explain=True)
    sharper = np.sqrt((1 - 1 / t.n_in) * (1 - 1 / t.n_out))
    np.testing.assert_allclose(found.high, leading_singular_values(t)[1] * sharper, rtol=1e-7)
    assert found.value <= found.high
    assert found.certificate.startswith("two sets below, expander mixing lemma; ")


@pytest.mark.parametrize("family", ["erdos_renyi", "constant_fan_in", "barabasi_albert", "power_law"])
def test_the_bounds_of_irregular_graphs(family, bounds):
    t = generators.make(family, n_in=200, n_out=150, density=0.2, seed=0)
    norms = [np.linalg.norm(t.biadjacency().toarray() - d, 2) for d in (t.density, 0)]
    found = mixing_deviation(t, explain=True)
    assert found.value <= norms[0] * (1 + 1e-9)
    assert found.value <= found.high <= norms[1] * (1 + 1e-8)
    if expander_mixing._NORM_CELLS:
        np.testing.assert_allclose(found.high, min(norms), rtol=1e-8)


def test_sigma1_is_beaten_where_degrees_vary_little(monkeypatch):
    monkeypatch.setattr(expander_mixing, "_NORM_CELLS", 0)
    t = generators.constant_fan_in(400, 400, fan_in=100, seed=0)
    found = mixing_deviation(t, explain=True)
    assert found.high < 0.6 * leading_singular_values(t)[0]
    assert found.certificate.startswith("two sets below, expander mixing lemma for varying degrees; ")


def test_it_is_the_same_each_time_and_progress_is_told():
    t, told = generators.erdos_renyi(50, 70, density=0.1, seed=0), []
    first = mixing_deviation(t, progress=lambda done, total: told.append((done, total)))
    assert first == mixing_deviation(t)
    assert told == [(k, 11) for k in range(1, 12)]
