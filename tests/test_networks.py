from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from prewired import SparseLinear, generators, networks

WIRED = sorted(set(generators.GENERATORS) - {"dense"})


@pytest.mark.parametrize("family", WIRED)
def test_every_family_has_the_same_edges_per_layer(family):
    layers = networks.wire([784, 100, 60, 10], family=family, density=0.05, seed=0)
    assert [t.n_edges for t in layers] == [100 * 39, 60 * 5]


def test_layers_draw_different_graphs_from_one_seed():
    a, b, c = networks.wire([64, 64, 64, 64, 10], family="biregular", fan_in=8, seed=0)
    assert len({a, b, c}) == 3
    assert [a, b, c] == networks.wire([64, 64, 64, 64, 10], family="biregular", fan_in=8, seed=0)
    assert networks.wire([64, 64, 10], family="biregular", fan_in=8, seed=1)[0] != a


def test_a_density_that_leaves_no_input_is_refused():
    with pytest.raises(ValueError, match=r"at least one input per output, got density=0\.01 of n_in=10"):
        networks.wire([10, 20, 5], family="erdos_renyi", density=0.01, seed=0)


def test_mlp_is_sparse_but_for_its_output():
    net = networks.mlp([30, 20, 20, 4], family="biregular", density=0.2, seed=0)
    assert [type(m) for m in net] == [SparseLinear, nn.ReLU, SparseLinear, nn.ReLU, nn.Linear]
    assert networks.count_parameters(net) == 20 * 6 + 20 + 20 * 4 + 20 + 20 * 4 + 4
    assert net(torch.randn(3, 30)).shape == (3, 4)
    wired = networks.mlp([30, 20, 4], family="rotating", fan_in=5, dense_output=False, activation=nn.Tanh)
    assert [type(m) for m in wired] == [SparseLinear, nn.Tanh, SparseLinear]


def test_seeds_decide_wiring_and_weights_and_nothing_else_does():
    def weights(**seeds):
        net = networks.mlp([30, 20, 4], family="biregular", fan_in=6, **seeds)
        return net[0].topology.digest, net[0].weight.detach()

    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = weights(seed=0, init_seed=7)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    again, other_init, other_graph = weights(seed=0, init_seed=7), weights(seed=0, init_seed=8), weights(seed=1)
    assert again[0] == first[0]
    torch.testing.assert_close(again[1], first[1], rtol=0, atol=0)
    assert other_init[0] == first[0]
    assert not torch.equal(other_init[1], first[1])
    assert other_graph[0] != first[0]


@pytest.mark.parametrize("family", ["dense", "biregular", "erdos_renyi"])
def test_the_variance_passes_through_relu_layers(family):
    density = None if family == "dense" else 0.1
    net = networks.mlp([400] * 6 + [10], family=family, density=density, seed=0)
    hidden = net[:-2](torch.randn(500, 400))
    np.testing.assert_allclose(float(hidden.detach().var()), 2.0, rtol=0.3)
    assert all((m.bias == 0).all() for m in net if hasattr(m, "bias"))


def test_a_sparse_output_layer_starts_without_the_gain_of_a_relu():
    net = networks.mlp([400, 400, 400], family="biregular", density=0.2, seed=0, dense_output=False)
    np.testing.assert_allclose(float(net[0].weight.detach().var()) * 80, 2.0, rtol=0.05)
    np.testing.assert_allclose(float(net[2].weight.detach().var()) * 80, 1.0, rtol=0.05)


def test_any_integer_is_a_seed():
    assert networks.mlp([8, 4, 2], family="biregular", fan_in=2, seed=2**70)(torch.randn(1, 8)).shape == (1, 2)


def test_own_topologies():
    graphs = networks.wire([30, 20, 4], family="fibonacci", fan_in=5)
    net = networks.mlp([30, 20, 4], topologies=graphs)
    assert net[0].topology is graphs[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: networks.mlp([3, 2, 1]), "exactly one of the two"),
        (lambda: networks.mlp([3, 2, 1], family="dense", topologies=[]), "exactly one of the two"),
        (lambda: networks.mlp([3, 2, 1], topologies=[]), "expected 1 topologies"),
        (lambda: networks.mlp([3, 2, 1], topologies=[generators.dense(2, 3)]), "topology 0 to be 3 -> 2, got 2 -> 3"),
        (lambda: networks.mlp([3, 2, 1], family="bireg", density=0.5), "expected a family among biregular"),
        (lambda: networks.mlp([3, 2, 1], family="rotating"), "got neither"),
        (lambda: networks.mlp([3, 2, 1], family="rotating", density=0), "0 < density <= 1"),
        (lambda: networks.mlp([3, 2, 1], family="rotating", density=0.5, fan_in=1), "got both"),
        (lambda: networks.mlp([3, 2, 1], family="rotating", fan_in=4), "got fan_in=4 with n_in=3"),
        (lambda: networks.mlp([3], family="rotating", fan_in=4), "at least two integer sizes"),
        (lambda: networks.mlp([3, 2.5, 1], family="dense"), "at least two integer sizes"),
        (lambda: networks.mlp([3, 2, 1], family="dense", density=0.5), "no density= or fan_in= with family=dense"),
        (lambda: networks.mlp([3, 2, 1], topologies=[generators.dense(3, 2)], fan_in=2), "with topologies="),
        (lambda: networks.mlp([3, 2, 1], family="rotating", density="0.5"), "0 < density <= 1"),
        (lambda: networks.mlp([3, 1], family="nonsense", density=0.5), "expected a family among"),
        (lambda: networks.mlp([3, 0, 1], family="dense"), "at least two integer sizes >= 1"),
        (lambda: networks.mlp([3, 2, 1], family="dense", init_seed=-1), "seed >= 0"),
    ],
)
def test_impossible_networks_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("budget", [1, 5_000, 100_000, 1_796_009, 1_796_010, 10**9])
def test_narrow_sizes_are_the_widest_within_the_budget(budget):
    sizes = [784, 1000, 1000, 10]

    def parameters(width):
        return sum((a + 1) * b for a, b in pairwise([784, width, width, 10]))

    width = networks.narrow_sizes(sizes, budget)[1]
    assert networks.narrow_sizes(sizes, budget) == [784, width, width, 10]
    assert parameters(width) <= budget or width == 1
    assert parameters(width + 1) > budget or width == 1000
