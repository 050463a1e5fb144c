import copy
import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from prewired import Topology
from prewired.topology import Recipe

masks = hnp.arrays(bool, st.tuples(st.integers(1, 8), st.integers(1, 8)))


@given(masks)
def test_every_way_in_gives_the_same_graph(mask):
    t = Topology.from_mask(mask)
    outputs, inputs = np.nonzero(mask)
    edges = np.stack([inputs, outputs], axis=1)[::-1]
    assert Topology.from_edges(mask.shape[1], mask.shape[0], edges) == t
    assert Topology.from_biadjacency(scipy.sparse.coo_array(mask.astype(float))) == t
    assert Topology.from_mask(torch.tensor(mask)) == t
    np.testing.assert_array_equal(t.biadjacency().toarray(), mask)
    np.testing.assert_array_equal(t.fan_in, mask.sum(1))
    np.testing.assert_array_equal(t.fan_out, mask.sum(0))
    assert t.n_edges == mask.sum()
    assert t.density == mask.mean()


@given(masks)
def test_transpose_reverses_every_edge(mask):
    t = Topology.from_mask(mask)
    np.testing.assert_array_equal(t.transpose().biadjacency().toarray(), mask.T)
    assert t.transpose().transpose() == t


@given(masks, masks)
def test_equality_hash_and_digest_follow_the_content(a, b):
    s, t = Topology.from_mask(a), Topology.from_mask(b)
    same = a.shape == b.shape and bool((a == b).all())
    assert (s == t) == same == (s.digest == t.digest)
    assert not same or hash(s) == hash(t)
    assert s != "a string"


def test_the_digest_is_frozen():
    assert (
        Topology(3, 2, [0, 2, 3], [0, 2, 1]).digest
        == "07c700ef9f33c7851e919fdf0dfb297b8f421646beef138a2c8909c4afa45c6b"
    )


def test_equality_ignores_the_recipe():
    assert Topology(1, 1, [0, 1], [0], Recipe.make("dense")) == Topology(1, 1, [0, 1], [0])


def test_nothing_can_be_changed():
    source = np.array([0, 1])
    t = Topology(2, 2, [0, 1, 2], source)
    source[0] = 1
    early = np.array([0, 1], np.int32)
    view = early[:]
    early.setflags(write=False)
    frozen = Topology(2, 2, np.array([0, 1, 2]), early)
    view[0] = 1
    assert frozen == t
    for each in (t, pickle.loads(pickle.dumps(t)), copy.deepcopy(t), copy.copy(t)):
        assert each.indices.tolist() == [0, 1]
        assert each == t
        for array in (each.indptr, each.indices, each.fan_in, each.fan_out):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1
            with pytest.raises(ValueError, match="WRITEABLE"):
                array.setflags(write=True)
    with pytest.raises(FrozenInstanceError):
        t.n_in = 3


@pytest.mark.parametrize(
    ("n_in", "n_out", "indptr", "indices", "message"),
    [
        (0, 1, [0, 0], [], "1 <= n_in"),
        (2.0, 1, [0, 0], [], "1 <= n_in"),
        (True, 1, [0, 0], [], "1 <= n_in"),
        (2, 2**31, [0, 0], [], "1 <= n_out"),
        (2, 2, [0, 1], [0], "length n_out \\+ 1 = 3, got 2"),
        (2, 2, [1, 1, 2], [0, 1], "rise from 0"),
        (2, 2, [0, 1, 1], [0, 1], "rise from 0"),
        (2, 2, [0, 2, 1], [0], "rise from 0"),
        (2, 2, [0, 1, 2], [0, 2], "0 <= indices < n_in = 2, got indices from 0 to 2"),
        (2, 2, [0, 1, 2], [-1, 0], "0 <= indices"),
        (3, 2, [0, 1, 3], [0, 2, 1], "got 2 then 1 at output 1"),
        (3, 2, [0, 2, 3], [1, 1, 0], "got 1 then 1 at output 0"),
        (3, 2, [0, 1, 2], [0.0, 1.0], "one-dimensional integer array"),
        (3, 2, [0, 1, 2], [[0], [1]], "one-dimensional integer array"),
        (3, 2, [0, 1, 2], [0, 2**40], "fit in int32"),
    ],
)
def test_a_graph_that_is_none_is_refused(n_in, n_out, indptr, indices, message):
    with pytest.raises(ValueError, match=message):
        Topology(n_in, n_out, indptr, indices)


def test_inputs_may_fall_from_one_output_to_the_next():
    assert Topology(3, 4, [0, 0, 2, 2, 3], [1, 2, 0]).fan_in.tolist() == [0, 2, 0, 1]


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([(0, 0), (0, 0)], "each edge once, got \\(0, 0\\)"),
        ([(0, 0), (2, 0)], "edge 1 = \\(2, 0\\)"),
        ([(0, -1)], "edge 0 = \\(0, -1\\)"),
        ([(0, 1, 2)], "shape \\(n_edges, 2\\)"),
        ([(0.5, 1.0)], "integer pairs"),
    ],
)
def test_bad_edges_are_refused(edges, message):
    with pytest.raises(ValueError, match=message):
        Topology.from_edges(2, 3, edges)


def test_unsigned_edges_are_edges():
    assert Topology.from_edges(2, 3, np.array([[1, 2]], np.uint64)).indices.tolist() == [1]


def test_bad_matrices_are_refused():
    with pytest.raises(ValueError, match="got NaN"):
        Topology.from_mask([[0.0, float("nan")]])
    with pytest.raises(ValueError, match="got shape \\(3,\\)"):
        Topology.from_biadjacency(scipy.sparse.coo_array(np.ones(3)))
    with pytest.raises(ValueError, match="use from_mask"):
        Topology.from_biadjacency(np.eye(2))
    with pytest.raises(ValueError, match="shape \\(n_out, n_in\\)"):
        Topology.from_mask(np.ones(3))


def test_memory_is_of_the_edges_not_of_the_matrix():
    side = 2**31 - 1
    t = Topology.from_edges(side, 2, [(side - 1, 0), (5, 1)])
    assert t.n_edges == 2
    assert t.indices.tolist() == [side - 1, 5]


def test_repr_says_size_density_and_recipe():
    t = Topology(4, 2, [0, 1, 2], [0, 1], Recipe.make("rotating", n_in=4, n_out=2, fan_in=1))
    assert repr(t) == "Topology(4 -> 2, 2 edges, density 25%, rotating(n_in=4, n_out=2, fan_in=1))"


def test_recipes_go_through_json():
    recipe = Recipe.make("biregular", n_in=3, density=0.5, seed=2**70, fan_in=None)
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert repr(recipe) == f"biregular(n_in=3, density=0.5, seed={2**70})"
    for bad in ("[]", "{}", '{"family": 3}', "nonsense"):
        with pytest.raises(ValueError):  # noqa: PT011
            Recipe.from_json(bad)
