"""NaN and infinities reach the same results on every kernel, batch and number of threads (1.16).

The right result is the sum over the edges alone, as `expected_layer` computes it.
"""

import math

import pytest
import torch

import prewired as pw
from prewired import SparseLinear, Topology, generators
from prewired.nn import mlp

GRAPHS = {
    "random": generators.biregular(24, 16, fan_in=9, seed=0),
    "groups": generators.grouped(24, 16, fan_in=6),
    "half full": generators.erdos_renyi(24, 16, density=0.5, seed=0),
    "complete": generators.dense(24, 16),
}
KERNELS = ("sparse", "dense")
BATCHES = (1, 2, 5, 8, 33, 64)
BAD = (math.inf, -math.inf, math.nan)


def expected_layer(layer, x):
    """Each output as the sum over its edges, in double."""
    t = layer.topology
    weight, bias, x = layer.weight.detach().double(), layer.bias.detach().double(), x.detach().double()
    terms = x[:, torch.tensor(t.indices, dtype=torch.int64)] * weight
    rows = torch.tensor(t.fan_in).long()
    columns = [part.sum(1) for part in terms.split(rows.tolist(), dim=1)]
    return torch.stack(columns, 1) + bias


def assert_alike(found, expected):
    """The same finite numbers up to rounding, and NaN and each infinity in the same places."""
    torch.testing.assert_close(found.double(), expected.double(), rtol=1e-4, atol=1e-4, equal_nan=True)


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("graph", GRAPHS)
def test_a_value_that_is_not_finite_reaches_only_the_outputs_that_read_it(graph, kernel, batch, grad):
    for bad in BAD:
        layer = SparseLinear(GRAPHS[graph], kernel=kernel)
        x = torch.randn(batch, 24)
        x[batch // 2, 7] = bad
        with torch.set_grad_enabled(grad):
            assert_alike(layer(x).detach(), expected_layer(layer, x))
        with torch.no_grad():
            layer.weight[5] = bad
        with torch.set_grad_enabled(grad):
            assert_alike(layer(x).detach(), expected_layer(layer, x))
            layer.double()
            assert_alike(layer(x.double()).detach(), expected_layer(layer, x))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("graph", GRAPHS)
def test_gradients_that_are_not_finite_pass_along_the_edges_alone(graph, batch, kernel):
    t = GRAPHS[graph]
    for bad in BAD:
        layer = SparseLinear(t, kernel=kernel)
        x, g = torch.randn(batch, 24, requires_grad=True), torch.randn(batch, 16)
        g[batch - 1, 3] = bad
        layer(x).backward(g)
        rows = torch.arange(16).repeat_interleave(torch.tensor(t.fan_in).long())
        columns = torch.tensor(t.indices, dtype=torch.int64)
        terms = g[:, rows] * layer.weight.detach()
        assert_alike(x.grad, torch.zeros(batch, 24).index_add_(1, columns, terms))
        assert_alike(layer.weight.grad, (g[:, rows] * x.detach()[:, columns]).sum(0))
        assert_alike(layer.bias.grad, g.sum(0))


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("place", ["weight", "bias", "input"])
def test_what_pads_a_batch_reaches_no_gradient(place, batch):
    """With an infinite weight or bias, hidden values of the rows that pad a batch would be NaN or infinite."""
    for bad in BAD:
        torch.manual_seed(0)
        net = mlp([24, 16, 16, 10], family="biregular", fan_in=4, seed=0)
        x = torch.randn(batch, 24)
        with torch.no_grad():
            if place == "input":
                x[0, 3] = bad
            else:
                getattr(net[0], place)[5] = bad
        found = torch.autograd.grad(net(x).sum(), list(net.parameters()))
        expected = torch.autograd.grad(torch.nn.Sequential(*net)(x).sum(), list(net.parameters()))
        rows = [torch.autograd.grad(net(row[None]).sum(), list(net.parameters())) for row in x]
        for one, other, parts in zip(found, expected, zip(*rows, strict=True), strict=True):
            assert_alike(one, other)
            assert_alike(one, sum(parts))


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "int8", "int4"])
def test_quantised_layers_too(kind):
    t = GRAPHS["half full"]
    layer = pw.quantize(SparseLinear(t), kind)
    for batch in BATCHES:
        x = torch.randn(batch, 24)
        x[0, 7] = math.inf
        y = layer(x)
        reads = torch.tensor(t.biadjacency().toarray()[:, 7] > 0)
        assert not y[0, reads].isfinite().any()
        assert y[0, ~reads].isfinite().all()
        assert y[1:].isfinite().all()


def test_an_edge_of_weight_zero_is_an_edge():
    """Zero times infinity is NaN where there is an edge, on every kernel."""
    t = Topology.from_edges(4, 2, [(0, 0), (1, 0), (2, 1), (3, 1)])
    for kernel in KERNELS:
        layer = SparseLinear(t, kernel=kernel)
        with torch.no_grad():
            layer.weight[0] = 0
        for batch in BATCHES:
            x = torch.zeros(batch, 4)
            x[:, 0] = math.inf
            y = layer(x)
            assert y[:, 0].isnan().all()
            assert y[:, 1].isfinite().all()
