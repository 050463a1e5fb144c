"""The layers that exporters write, for every exporter at once; and what they refuse alike."""

import importlib.util

import numpy as np
import pytest
import torch
from torch import nn

from prewired import SparseLinear, Topology, export, generators
from prewired.export.c_file import writer
from prewired.export.layer_chain import ACTIVATIONS, flatten, list_layers
from prewired.nn import mlp
from prewired.nn.quantization import QUANTIZED_KINDS, quantize

EXPORTERS = {"c": (export.c, "net.c"), "onnx": (export.onnx, "net.onnx"), "program": (export.program, "net.pt2")}
CHAINS = ("c", "onnx")


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture(params=EXPORTERS)
def write(request, tmp_path):
    """An exporter of its own path; it verifies what it writes."""
    if request.param == "c" and writer.compiler() is None:
        pytest.skip("no C compiler")
    if request.param == "onnx" and not all(map(importlib.util.find_spec, ("onnx", "onnxruntime"))):
        pytest.skip("needs onnx and onnxruntime")
    exporter, name = EXPORTERS[request.param]
    return lambda net, **options: exporter(net, tmp_path / name, **options)


def sparse(n=8, seed=0):
    return SparseLinear(generators.biregular(n, n, fan_in=3, seed=seed))


def test_a_module_may_appear_twice(write):
    relu, tied = nn.ReLU(), sparse()
    net = nn.Sequential(tied, relu, nn.Sequential(sparse(seed=1), relu), tied, relu, nn.Linear(8, 2))
    assert [(one.name, one.activation) for one in list_layers(net)] == [
        ("0", "relu"),
        ("2.0", "relu"),
        ("3", "relu"),
        ("5", ""),
    ]
    assert np.array_equal(list_layers(net)[2].weight, list_layers(net)[0].weight)
    write(net)


def test_an_empty_place_is_none():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    net._modules["1"] = None
    assert [name for name, _ in flatten(net)] == ["0", "2"]


def test_modules_that_work_in_place(write):
    write(
        nn.Sequential(sparse(), nn.ReLU(inplace=True), nn.Dropout(inplace=True), nn.Linear(8, 2), nn.ELU(inplace=True))
    )


def normalised(kind=nn.BatchNorm1d, **options):
    """A normalisation, and one behind the last layer, with statistics, weights and biases of any sign."""
    net = nn.Sequential(sparse(), kind(8, **options), nn.ReLU(), nn.Linear(8, 4), kind(4, **options)).eval()
    with torch.no_grad():
        for norm in (net[1], net[4]):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.2, 3)
            if norm.affine:
                norm.weight.uniform_(-2, 2)
                norm.bias.normal_()
        nn.init.normal_(net[0].bias)
    return net


@pytest.mark.parametrize("kind", ["float32", *QUANTIZED_KINDS])
def test_batch_normalisation_of_any_weights(kind, write):
    net = normalised()
    assert (net[1].weight < 0).any()
    write(net if kind == "float32" else quantize(net, kind))


def test_other_batch_normalisations():
    for net in (normalised(affine=False), normalised(nn.SyncBatchNorm), normalised().double()):
        x = torch.randn(9, 8, dtype=net[0].weight.dtype)
        with torch.no_grad():
            expected = net(x).double().numpy()
        y = x.double().numpy()
        for layer in list_layers(net):
            dense = np.zeros((layer.n_out, layer.n_in))
            t = layer.topology
            rows = np.repeat(np.arange(layer.n_out), layer.n_in if t is None else t.fan_in)
            dense[rows, np.tile(np.arange(layer.n_in), layer.n_out) if t is None else t.indices] = layer.weight
            y = y @ dense.T + layer.bias
            y = np.maximum(y, 0) if layer.activation else y
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_the_default_type_does_not_matter(write):
    net = mlp([8, 6, 2], family="biregular", fan_in=3, seed=0)
    small = quantize(net, "int8")
    try:
        torch.set_default_dtype(torch.float64)
        write(net)
        write(small)
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_random_numbers_of_torch_go_on_as_before(write):
    net = quantize(nn.Sequential(sparse(), nn.Linear(8, 2)), "int8")
    before = torch.get_rng_state()
    write(net)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_place_is_looked_at_before_the_network(write, tmp_path):
    for name in ("net.c", "net.onnx", "net.pt2"):
        (tmp_path / name).mkdir()
    with pytest.raises(IsADirectoryError, match=r"expected a file to write, got .*which is a folder; check the path"):
        write("no network")


def test_only_modules_with_numbers(write):
    for one in ("net", nn.Linear(2, 2).state_dict(), None):
        with pytest.raises(TypeError, match=r"expected an nn.Module, got \w+; prewired.load reads"):
            write(one)
    with torch.device("meta"):
        net = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="on the meta device; load its weights first"):
        write(net)


def scaled(value):
    """A layer without edges, and so without weights that could show it."""
    layer = quantize(SparseLinear(Topology(3, 2, [0, 0, 0], [])), "int8")
    layer.scale.fill_(value)
    return layer


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Sequential(nn.Linear(2, 2), nn.LeakyReLU(float("nan"))), "finite numbers in layer 0, .*train it again"),
        (nn.Sequential(nn.Linear(2, 2), nn.ELU(float("inf"))), "finite numbers in layer 0"),
        (scaled(float("inf")), "finite numbers in layer layer"),
        (nn.Linear(2, 2).double().requires_grad_(False).apply(lambda m: m.weight.mul_(1e300)), "finite numbers"),
        (nn.Sequential(nn.ReLU(), nn.Linear(2, 2)), r"got ReLU\(\) in front of the first layer; .*export.program"),
        (nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.BatchNorm1d(2)), r"got BatchNorm1d.* behind layer 0; .*program"),
        (nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, track_running_stats=False)), "track_running_stats=True"),
        (nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(3)), "expected 2 features behind layer 0, .*width of the layer"),
        (nn.Sequential(nn.Linear(2, 2), nn.Linear(3, 2)), "layer 1 to read 2 features, got n_in=3; make it as wide"),
        (nn.Sequential(nn.Dropout()), "at least one linear layer, got none; prewired.export.program"),
    ],
)
def test_what_is_no_chain_is_told_with_a_remedy(net, message):
    with pytest.raises(ValueError, match=message):
        list_layers(net)


def test_every_activation_has_its_name():
    net = nn.Sequential(*[m for kind in ACTIVATIONS for m in (nn.Linear(2, 2), kind())])
    assert [layer.activation for layer in list_layers(net)] == list(ACTIVATIONS.values())
