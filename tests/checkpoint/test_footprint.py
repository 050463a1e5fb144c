"""Sizes: against counts written down by hand, and against what Python and the disk say."""

import json

import pytest
import torch
from torch import nn

import prewired as pw
from prewired import SparseLinear, Topology, generators
from prewired.nn import mlp
from prewired.ops.plan_arrays import compute_arrays


def small_mlp(**changes):
    return mlp([100, 60, 40, 10], **{"family": "biregular", "fan_in": 10, "seed": 0, **changes})


EDGES, BIASES = (600, 400), 60 + 40
PARAMETERS = sum(EDGES) + BIASES + 40 * 10 + 10


def test_what_a_network_trains_with():
    report = pw.sizes(small_mlp(), batch=32)
    net, dense = report.net, report.dense
    assert net.weights == net.gradients == 4 * PARAMETERS
    assert net.optimizer == 2 * 4 * PARAMETERS + 6 * 4  # two moments, and a count of steps each
    n_dense = 101 * 60 + 61 * 40 + 41 * 10
    assert dense.weights == dense.gradients == 4 * n_dense
    assert dense.optimizer == 8 * n_dense + 6 * 4
    assert dense.indices == 0
    assert pw.sizes(small_mlp(), optimizer="sgd").net.optimizer == 4 * PARAMETERS


def test_operations_are_counted_as_they_run():
    report = pw.sizes(small_mlp(), batch=32)
    edges = [*EDGES, 400]
    assert report.net.forward_flops == 2 * 32 * sum(edges)
    assert report.net.training_flops == 2 * 32 * (3 * sum(edges) - edges[0])  # no gradient of the network's input
    cells = [100 * 60, 60 * 40, 400]
    assert report.dense.forward_flops == 2 * 32 * sum(cells)
    assert report.dense.training_flops == 2 * 32 * (3 * sum(cells) - cells[0])


def test_a_layer_that_runs_as_a_dense_one_is_counted_as_one():
    t = generators.biregular(100, 60, density=0.5, seed=0)
    sparse, dense = (pw.sizes(SparseLinear(t, kernel=kernel), batch=64).net for kernel in ("sparse", "dense"))
    assert sparse.forward_flops == 2 * 64 * 3000
    assert dense.forward_flops == 2 * 64 * 6000


def test_what_is_kept_for_backward():
    """Of a dense layer its input; of a dense network inputs and what the ReLUs put out."""
    assert pw.sizes(nn.Linear(20, 10), batch=8).net.activations == 4 * 8 * 20
    report = pw.sizes(small_mlp(family="dense", fan_in=None), batch=8)
    assert report.net.activations == report.dense.activations == 4 * 8 * (100 + 60 + 40)
    sparse = pw.sizes(small_mlp(), batch=8).net.activations
    assert sparse >= 4 * 8 * (100 + 60 + 40)


def test_the_wiring_in_memory():
    layer = SparseLinear(Topology.from_edges(5, 3, [(0, 0), (4, 2)]))
    t = layer.topology
    tensors = sum(array.nbytes for array in compute_arrays(t))
    assert pw.sizes(layer).net.indices == tensors + t.indptr.nbytes + t.indices.nbytes
    assert tensors >= 3 * 4 * 2  # by output, by input, and from one to the other


def test_files_are_as_long_as_they_say(tmp_path):
    net = small_mlp()
    report = pw.sizes(net)
    pw.save(net, tmp_path / "net")
    assert report.net.file == (tmp_path / "net").stat().st_size
    pw.save(net, tmp_path / "net", indices=True)
    assert report.net.file_with_edges == (tmp_path / "net").stat().st_size
    assert report.dense.file is None


def test_layers():
    layers = pw.sizes(small_mlp()).layers
    assert [(n_in, n_out, edges, weights) for n_in, n_out, edges, weights, _ in layers.values()] == [
        (100, 60, 600, 4 * 660),
        (60, 40, 400, 4 * 440),
        (40, 10, 400, 4 * 410),
    ]
    assert list(layers) == ["0", "2", "4"]


def test_quantised_networks_have_nothing_to_train():
    report = pw.sizes(pw.quantize(small_mlp(), "int8"))
    assert report.net.weights == 1400 + 2 * 110 + 2 * 110  # integers, scales, biases
    assert report.net.gradients is report.net.optimizer is report.net.activations is report.net.training_flops is None
    assert report.dense.weights == 4 * (101 * 60 + 61 * 40 + 41 * 10)
    assert report.net.forward_flops == 2 * 128 * 1400
    assert "gradients" not in str(report)


def test_other_modules_and_inputs():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(7, 16)
            self.layer = SparseLinear(generators.rotating(16, 16, fan_in=2))

        def forward(self, tokens):
            return self.layer(self.layer(self.embed(tokens)))

    report = pw.sizes(Twice(), example=torch.zeros(5, 3, dtype=torch.long))
    assert report.batch == 5
    assert report.net.forward_flops == 2 * 2 * 15 * 32
    assert report.dense.forward_flops == 2 * 2 * 15 * 256
    with pytest.raises(ValueError, match=r"no .*linear layer.*example=|got none; pass example="):
        pw.sizes(nn.Embedding(3, 3))


def test_a_dense_twin_beyond_all_memory():
    net = SparseLinear(generators.rotating(200_000, 200_000, fan_in=2))
    report = pw.sizes(net, batch=2)
    assert report.dense.weights == 4 * (200_000**2 + 200_000)
    assert report.dense.optimizer > 2 * report.dense.weights - 1
    assert report.net.weights == 4 * 600_000


def test_the_network_stays_as_it_is():
    net = nn.Sequential(SparseLinear(generators.rotating(8, 8, fan_in=2)), nn.BatchNorm1d(8), nn.Dropout())
    before, state = {k: v.clone() for k, v in net.state_dict().items()}, torch.get_rng_state()
    pw.sizes(net)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
    assert net.training


def test_types_without_compiled_operators_are_counted_as_float32():
    half, single = (pw.sizes(net, batch=8) for net in (small_mlp().half(), small_mlp()))
    assert half.net.forward_flops == single.net.forward_flops
    assert half.net.training_flops == single.net.training_flops
    assert half.net.weights == single.net.weights / 2
    assert half.dense.forward_flops == single.dense.forward_flops


def test_frozen_layers_are_frozen_in_the_dense_twin_too():
    net = small_mlp()
    net[0].requires_grad_(False)
    report = pw.sizes(net, batch=8)
    assert report.dense.gradients == 4 * (61 * 40 + 41 * 10)
    assert report.dense.training_flops == 2 * 8 * (6000 + 2 * 2400 + 3 * 400)
    net.requires_grad_(False)
    assert pw.sizes(net).net.gradients is None


def test_a_network_in_evaluation_mode_is_measured_as_it_trains():
    net = nn.Sequential(nn.Linear(20, 10), nn.Dropout(0.5), nn.Linear(10, 5))
    assert pw.sizes(net.eval()).net.activations == pw.sizes(net.train()).net.activations
    assert pw.sizes(net.train()).net.activations > 4 * 128 * (20 + 10)


def test_a_topology_of_two_layers_is_there_once():
    t = generators.rotating(50, 50, fan_in=5)
    one, two = (pw.sizes(nn.Sequential(*(SparseLinear(t) for _ in range(n)))).net.indices for n in (1, 2))
    assert two == 2 * one - t.indptr.nbytes - t.indices.nbytes


def test_under_no_grad_and_with_an_input_that_wants_gradients():
    expected = pw.sizes(small_mlp(), batch=4)
    with torch.no_grad():
        assert pw.sizes(small_mlp(), batch=4) == expected
    assert pw.sizes(small_mlp(), example=torch.ones(4, 100, requires_grad=True)) == expected


class Pair(nn.Linear):
    def forward(self, x):
        return super().forward(x), x


@pytest.mark.parametrize(
    ("net", "options"),
    [
        (lambda: Pair(3, 3), {}),
        (lambda: nn.Linear(3, 3), {"example": torch.ones(2, 4)}),
        (lambda: nn.Sequential(nn.Embedding(3, 3), nn.Linear(3, 3)), {}),
    ],
)
def test_networks_that_are_fed_something_else(net, options):
    with pytest.raises(ValueError, match=r"expected a network that gives a tensor for a batch of inputs, .* example="):
        pw.sizes(net(), **options)


def test_double_and_frozen_parameters():
    net = small_mlp().double()
    net[0].requires_grad_(False)
    report = pw.sizes(net)
    assert report.net.weights == 8 * PARAMETERS
    assert report.net.gradients == 8 * (PARAMETERS - 660)
    assert report.dense.weights == 8 * (101 * 60 + 61 * 40 + 41 * 10)


@pytest.mark.parametrize("batch", [0, -1, 2.5, True])
def test_batches_that_are_none(batch):
    with pytest.raises(ValueError, match="expected an integer batch >= 1"):
        pw.sizes(small_mlp(), batch=batch)


def test_unknown_optimisers():
    with pytest.raises(ValueError, match="expected an optimizer among adam, sgd, got 'lbfgs'"):
        pw.sizes(small_mlp(), optimizer="lbfgs")


def test_the_table_and_json():
    report = pw.sizes(small_mlp(), batch=32)
    text = str(report)
    assert f"{4 * PARAMETERS:,}" in text
    assert "kept for backward, batch of 32" in text
    assert all(len(line) < 100 for line in text.splitlines())
    parsed = json.loads(report.to_json())
    assert parsed["net"]["weights"] == 4 * PARAMETERS
    assert parsed["layers"]["0"][:3] == [100, 60, 600]
