import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from prewired import Topology, generators
from prewired.metrics.scatter import scatter

masks = hnp.arrays(bool, st.tuples(st.integers(1, 8), st.integers(1, 8)))


def counted(mask, windows):
    """By the definition, window by window, in fractions."""
    n_out, n_in = mask.shape
    total = Fraction(0)
    for k in range(windows):
        columns = [i for i in range(n_in) if i * windows // n_in == k]
        ideal = Fraction(len(columns) * int(mask.sum()), mask.size)
        for row in mask:
            total += min(Fraction(1), Fraction(int(row[columns].sum())) / ideal) if ideal else 0
    return float(total / (n_out * windows))


@given(masks, st.integers(1, 8))
@settings(max_examples=50, deadline=None)
def test_any_small_graph(mask, windows):
    windows = min(windows, mask.shape[1])
    got = scatter(Topology.from_mask(mask), windows=windows)
    np.testing.assert_allclose(got, counted(mask, windows), rtol=1e-12)
    assert 0 <= got <= 1


@given(masks)
@settings(max_examples=30, deadline=None)
def test_windows_are_as_many_as_the_mean_fan_in(mask):
    windows = max(1, round(mask.sum() / mask.shape[0]))
    np.testing.assert_allclose(scatter(Topology.from_mask(mask)), counted(mask, windows), rtol=1e-12)


@pytest.mark.parametrize(("n", "fan_in"), [(64, 8), (64, 4), (1024, 16)])
def test_a_band_touches_one_window_or_two(n, fan_in):
    width = n // fan_in
    expected = (1 + (fan_in - 1) / width) / fan_in
    np.testing.assert_allclose(scatter(generators.rotating(n, n, fan_in=fan_in)), expected)


@pytest.mark.parametrize(("n", "fan_in"), [(64, 8), (64, 16), (100, 20)])
def test_a_block_covers_its_share_of_the_windows(n, fan_in):
    np.testing.assert_allclose(scatter(generators.grouped(n, n, fan_in=fan_in)), fan_in / n)


@pytest.mark.parametrize("fan_in", [1, 2, 8, 32])
def test_one_edge_in_each_window_is_one(fan_in):
    t = generators.n_of_m(64, 50, fan_in=fan_in, m=64 // fan_in, seed=0)
    assert scatter(t) == scatter(t, windows=1) == 1


def test_random_edges_hit_the_share_of_windows_that_chance_gives():
    """64 of 4096 inputs in 64 windows: a window of 64 stays empty with probability (1 - 1/64)^64 or so, 0.365."""
    np.testing.assert_allclose(scatter(generators.constant_fan_in(4096, 500, fan_in=64, seed=0)), 1 - 0.363, atol=0.005)


@pytest.mark.parametrize("windows", [None, 1, 3, 7])
def test_dense_and_empty(windows):
    np.testing.assert_allclose(scatter(generators.dense(7, 5), windows=windows), 1)
    assert scatter(Topology(7, 2, [0, 0, 0], []), windows=windows) == 0


def test_dead_outputs_count_with_nothing():
    assert scatter(Topology(4, 2, [0, 4, 4], [0, 1, 2, 3])) == 0.5


def test_one_row_or_column():
    assert scatter(Topology(6, 1, [0, 2], [0, 5])) == 1
    assert scatter(Topology(6, 1, [0, 2], [0, 1])) == 0.5
    np.testing.assert_allclose(scatter(Topology(1, 4, [0, 1, 1, 2, 2], [0, 0])), 0.5)


def test_chunks_change_nothing(monkeypatch):
    t = generators.power_law(80, 60, density=0.1, seed=0)
    whole = scatter(t)
    monkeypatch.setattr(sys.modules["prewired.metrics.scatter"], "_CHUNK", 7)
    np.testing.assert_allclose(scatter(t), whole, rtol=1e-12)


@pytest.mark.parametrize("windows", [0, 6, 2.0, True])
def test_other_numbers_of_windows_are_refused(windows):
    with pytest.raises(ValueError, match="expected an integer 1 <= windows <= n_in = 5"):
        scatter(generators.dense(5, 3), windows=windows)
