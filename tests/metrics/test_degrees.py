import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from prewired import Topology, generators
from prewired.metrics import degrees
from prewired.metrics._internal import chunks

masks = hnp.arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7)))
EMPTY = Topology(3, 2, [0, 0, 0], [])


def gini(values):
    """By the definition: all ordered pairs."""
    differences = np.abs(np.subtract.outer(values, values)).mean()
    return differences / (2 * np.mean(values)) if np.any(values) else 0


def duplicates(rows):
    alive = [tuple(row) for row in rows if row.any()]
    return len(alive) - len(set(alive))


@given(masks)
@settings(max_examples=50, deadline=None)
def test_any_small_graph(mask):
    t = Topology.from_mask(mask)
    np.testing.assert_allclose(degrees.fan_in_gini(t), gini(mask.sum(1)), atol=1e-14)
    np.testing.assert_allclose(degrees.fan_out_gini(t), gini(mask.sum(0)), atol=1e-14)
    assert degrees.duplicate_outputs(t) == duplicates(mask)
    assert degrees.duplicate_inputs(t) == duplicates(mask.T)


@given(
    rows=st.lists(st.integers(0, 9), min_size=1, max_size=40),
    distinct=hnp.arrays(bool, (10, 6)),
    chunk=st.integers(1, 9),
)
@settings(max_examples=30, deadline=None)
def test_duplicates_among_many_repeated_rows(rows, distinct, chunk):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(degrees, "_CHUNK", chunk)
        t = Topology.from_mask(distinct[rows])
        assert degrees.duplicate_outputs(t) == duplicates(distinct[rows])
        assert degrees.duplicate_inputs(t.transpose()) == duplicates(distinct[rows])


def test_neighbourhoods_with_one_hash_are_told_apart(monkeypatch):
    used = []

    class Colliding(degrees.RandomBits):
        def __init__(self, seed, label):
            super().__init__(seed, label)
            used.append(seed)

        def words(self, n):
            return np.zeros(n, np.uint64) if used[-1] < 2 else super().words(n)

    monkeypatch.setattr(degrees, "RandomBits", Colliding)
    t = Topology.from_mask(np.array([[1, 1, 0], [0, 1, 1], [1, 1, 0], [0, 1, 1], [1, 0, 1]]))
    assert degrees.duplicate_outputs(t) == 2
    assert used == [0, 1, 2]


@pytest.mark.parametrize(("n_in", "n_out"), [(1, 1), (1, 4), (5, 3), (40, 1)])
def test_in_a_dense_graph_all_units_but_one_are_duplicates(n_in, n_out):
    t = generators.dense(n_in, n_out)
    assert (degrees.duplicate_inputs(t), degrees.duplicate_outputs(t)) == (n_in - 1, n_out - 1)
    assert degrees.fan_in_gini(t) == degrees.fan_out_gini(t) == 0


def test_one_output_with_every_edge_is_the_most_unequal():
    t = Topology(4, 10, [0] + [4] * 10, [0, 1, 2, 3])
    np.testing.assert_allclose(degrees.fan_in_gini(t), 0.9)
    np.testing.assert_allclose(degrees.fan_in_cv(t), 3)
    assert degrees.duplicate_inputs(t) == 3
    assert degrees.duplicate_outputs(t) == 0  # the dead ones count as dead


def test_a_graph_without_edges():
    for metric in (degrees.fan_in_gini, degrees.fan_out_gini, degrees.duplicate_inputs, degrees.duplicate_outputs):
        assert metric(EMPTY) == 0
    assert (degrees.dead_inputs(EMPTY), degrees.dead_outputs(EMPTY)) == (3, 2)


def test_grouped_and_matched_graphs():
    t = generators.grouped(60, 90, fan_in=10)  # six groups of 10 inputs and 15 outputs
    assert (degrees.duplicate_inputs(t), degrees.duplicate_outputs(t)) == (54, 84)
    assert degrees.duplicate_outputs(generators.rotating(50, 50, fan_in=1)) == 0


def test_gini_of_an_arithmetic_progression():
    n = 100  # (n + 1) / (3 n) of 1..n less the part that the mean takes: (n - 1) / (3 n)
    t = Topology.from_mask(np.tri(n, dtype=bool))
    np.testing.assert_allclose(degrees.fan_in_gini(t), (n - 1) / (3 * n))
    np.testing.assert_allclose(degrees.fan_out_gini(t), (n - 1) / (3 * n))


@given(costs=st.lists(st.integers(0, 20), max_size=30), limit=st.integers(1, 30))
def test_chunks_cover_everything_within_the_limit(costs, limit):
    parts = chunks.split_by_cost(np.array(costs, np.int64), limit)
    assert list(itertools.chain.from_iterable(range(*part) for part in parts)) == list(range(len(costs)))
    assert all(stop - start == 1 or sum(costs[start:stop]) <= limit for start, stop in parts)


def test_ranges():
    assert chunks.concatenate_ranges(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]
