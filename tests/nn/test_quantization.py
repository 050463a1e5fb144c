"""Weights in fewer bits: what is rounded, how far, and that nothing else changes."""

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune

import prewired as pw
from prewired import SparseLinear, Topology, generators
from prewired.nn.integer_weights import pack_int4, unpack_int4
from prewired.nn.quantization import LARGEST, QUANTIZED_KINDS, QuantizedLinear, quantize

UNEQUAL = Topology.from_edges(7, 4, [(0, 0), (1, 0), (6, 0), (2, 2), (5, 3), (6, 3)])


def layers():
    torch.manual_seed(0)
    return {
        "sparse": SparseLinear(generators.biregular(30, 20, fan_in=6, seed=0)),
        "unequal fan-ins, one of them 0": SparseLinear(UNEQUAL),
        "odd number of edges, no bias": SparseLinear(generators.rotating(5, 3, fan_in=3), bias=False),
        "dense": nn.Linear(11, 7),
        "double": SparseLinear(UNEQUAL).double(),
    }


def matrix(layer):
    """The weights of a quantised layer as a dense matrix."""
    if layer.topology is None:
        return layer.weight
    dense = torch.zeros(layer.out_features, layer.in_features)
    rows = torch.from_numpy(np.repeat(np.arange(layer.out_features), layer.topology.fan_in))
    return dense.index_put((rows, torch.tensor(layer.topology.indices).long()), layer.weight)


@pytest.mark.parametrize("kind", QUANTIZED_KINDS)
@pytest.mark.parametrize("name", layers())
def test_a_layer_computes_with_its_rounded_weights(kind, name):
    layer = quantize(layers()[name], kind)
    x = torch.randn(6, 2, layer.in_features)
    y = layer(x)
    bias = None if layer.bias is None else layer.bias.float()
    torch.testing.assert_close(y, nn.functional.linear(x, matrix(layer), bias))
    assert y.shape == (6, 2, layer.out_features)
    torch.testing.assert_close(layer(x[0, 0]), y[0, 0])


@pytest.mark.parametrize("name", layers())
def test_floats_are_rounded_to_the_nearest(name):
    layer = layers()[name]
    for kind, dtype in (("float16", torch.float16), ("bfloat16", torch.bfloat16)):
        rounded = quantize(layer, kind)
        assert torch.equal(rounded.weight, layer.weight.to(dtype).float())
        assert layer.bias is None or torch.equal(rounded.bias, layer.bias.to(dtype))


@pytest.mark.parametrize("kind", LARGEST)
@pytest.mark.parametrize("name", layers())
def test_integers_are_the_nearest_and_their_scale_is_no_worse_than_the_plain_one(kind, name):
    """Against rounding by the largest weight of a row, written down anew here."""
    layer, top = layers()[name], LARGEST[kind]
    rounded = quantize(layer, kind)
    fan_in = np.full(11, 11)[:7] if name == "dense" else layer.topology.fan_in
    weight = layer.weight.detach().double().numpy().reshape(-1)
    scale = rounded.scale.double().numpy()
    of_edges = np.repeat(scale, fan_in)
    integers = rounded.integers.numpy()
    assert np.abs(integers).max() <= top
    inside = np.abs(weight) <= (top + 0.5) * of_edges
    assert inside.any()
    assert (np.abs(weight - integers * of_edges)[inside] <= of_edges[inside] / 2 * (1 + 1e-12)).all()
    assert (np.abs(integers)[~inside] == top).all()
    starts = np.concatenate([[0], np.cumsum(fan_in)])
    for row in range(len(fan_in)):
        w = weight[starts[row] : starts[row + 1]]
        if len(w):
            plain = float(torch.tensor(np.abs(w).max() / top).bfloat16())
            error = np.square(w - integers[starts[row] : starts[row + 1]] * scale[row]).sum()
            assert error <= np.square(w - np.rint(w / plain).clip(-top, top) * plain).sum() * (1 + 1e-9)


@pytest.mark.parametrize(("kind", "most"), [("int8", 0.006), ("int4", 0.12)])
def test_the_error_is_that_of_so_many_bits(kind, most):
    layer = SparseLinear(generators.biregular(1000, 500, fan_in=50, seed=0))
    nn.init.normal_(layer.weight)
    error = (quantize(layer, kind).weight - layer.weight).square().mean().sqrt()
    assert most / 4 < error < most


@given(st.lists(st.integers(-8, 7), max_size=9))
@settings(deadline=None)
def test_nibbles_come_back(integers):
    given_ = torch.tensor(integers, dtype=torch.int8)
    assert pack_int4(given_).numel() == -(-len(integers) // 2)
    assert torch.equal(unpack_int4(pack_int4(given_), len(integers)), given_)


def test_the_first_of_two_nibbles_is_in_the_low_bits():
    assert pack_int4(torch.tensor([1, -8, 7], dtype=torch.int8)).tolist() == [0x81, 0x07]


def test_a_row_of_zeros_stays_one():
    layer = SparseLinear(UNEQUAL)
    with torch.no_grad():
        layer.weight[:3] = 0
    for kind in LARGEST:
        rounded = quantize(layer, kind)
        assert torch.equal(rounded.weight[:3], torch.zeros(3))
        assert torch.isfinite(rounded(torch.ones(1, 7))).all()


def test_a_network_is_copied_and_its_other_modules_stay():
    shared = nn.Linear(20, 20)
    net = nn.Sequential(layers()["sparse"], nn.BatchNorm1d(20), nn.ReLU(), shared, nn.Sequential(shared, nn.Dropout()))
    before = copy.deepcopy(net.state_dict())
    rounded = quantize(net.eval(), "int8")
    assert [type(module) for module in rounded][:3] == [QuantizedLinear, nn.BatchNorm1d, nn.ReLU]
    assert rounded[3] is rounded[4][0]
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert all(p.requires_grad for p in net.parameters())
    assert not any(p.requires_grad for p in rounded.parameters())
    x = torch.randn(4, 30)
    torch.testing.assert_close(rounded(x), net(x), rtol=0.1, atol=0.05)


def test_state_dict_copies_pickles_and_devices():
    rounded = quantize(layers()["sparse"], "int4")
    x = torch.randn(3, 30)
    for other in (copy.deepcopy(rounded), pickle.loads(pickle.dumps(rounded))):
        assert torch.equal(other(x), rounded(x))
    assert {"n_in", "indptr", "indices"} < rounded.state_dict().keys()
    fresh = quantize(SparseLinear(rounded.topology), "int4")
    fresh.load_state_dict(rounded.state_dict())
    assert torch.equal(fresh(x), rounded(x))
    other = quantize(SparseLinear(generators.biregular(30, 20, fan_in=6, seed=1)), "int4")
    with pytest.raises(RuntimeError, match="expected the wiring"):
        other.load_state_dict(rounded.state_dict())
    away = copy.deepcopy(rounded).to("meta").to_empty(device="cpu")
    away.load_state_dict(rounded.state_dict())
    assert torch.equal(away(x), rounded(x))


@pytest.mark.parametrize("kind", QUANTIZED_KINDS)
@pytest.mark.parametrize("cast", ["double", "half", "bfloat16", "float"])
def test_casts_leave_a_layer_as_it_is(kind, cast):
    rounded = quantize(layers()["sparse"], kind)
    other = getattr(copy.deepcopy(rounded), cast)()
    assert torch.equal(other.weight, rounded.weight)
    assert [t.dtype for t in other.state_dict().values()] == [t.dtype for t in rounded.state_dict().values()]
    with pytest.raises(TypeError, match=r"expected x in torch.float32, .* use x.float\(\)"):
        rounded(torch.ones(1, 30).double())


def test_all_of_a_double_network_becomes_single():
    net = nn.Sequential(layers()["sparse"], nn.BatchNorm1d(20), nn.Linear(20, 3)).double().eval()
    rounded = quantize(net, "bfloat16")
    assert rounded[1].weight.dtype == torch.float32
    x = torch.randn(4, 30)
    torch.testing.assert_close(rounded(x), net(x.double()).float(), rtol=0.02, atol=0.02)


def test_modes_are_kept():
    net = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Linear(3, 3)).eval())
    assert [module.training for module in quantize(net, "int8").modules()] == [m.training for m in net.modules()]


def test_modules_that_count_as_false_are_searched_too():
    class Empty(nn.Sequential):
        def __len__(self):
            return 0

    net = nn.ModuleDict({"a": Empty(nn.Linear(3, 3))})
    assert type(next(quantize(net, "int8")["a"].children())) is QuantizedLinear


def test_the_scale_is_searched():
    """Clipping the largest weights of a row is better for the rest than a scale by the largest weight."""
    torch.manual_seed(0)
    layer = SparseLinear(generators.biregular(400, 300, fan_in=50, seed=0))
    nn.init.normal_(layer.weight)
    weight = layer.weight.detach().view(300, 50)
    plain = weight.abs().amax(1, keepdim=True) / 7
    error = (weight - (weight / plain).round() * plain).square().mean()
    assert (quantize(layer, "int4").weight - layer.weight).square().mean() < 0.9 * error


def test_a_gradient_is_refused_rather_than_lost():
    rounded = quantize(layers()["sparse"], "int8")
    x = torch.randn(3, 30, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"no gradients through a quantised layer; .*no_grad"):
        rounded(x)
    with torch.no_grad():
        assert rounded(x).shape == (3, 20)


@pytest.mark.parametrize(
    ("make", "kind", "error"),
    [
        (lambda: nn.Linear(2, 2), "int5", "expected a kind among float16, bfloat16, int8, int4, got 'int5'"),
        (lambda: nn.ReLU(), "int8", "expected a network with SparseLinear or nn.Linear layers, got ReLU"),
        (lambda: filled(1e6), "float16", "fit in torch.float16, got one of 1e.06; take bfloat16"),
        (lambda: filled(float("nan")), "int8", "expected finite weights, got NaN"),
        (lambda: quantize(nn.Linear(2, 2), "int8"), "int4", "got QuantizedLinear"),
        (lambda: filled(0.5, bias=1e39), "float16", "expected biases that fit in torch.float16, got one of 1e.39"),
        (lambda: filled(0.5, bias=1e39), "int8", "biases that fit in torch.bfloat16, got one of 1e.39; make them"),
        (lambda: nn.Linear(2, 2, device="meta"), "int8", "got some on the meta device"),
        (lambda: hooked(), "int8", "expected layers without hooks"),
        (lambda: prune.l1_unstructured(nn.Linear(3, 3), "weight", 2), "int8", "make pruning or a parametrisation perm"),
    ],
)
def test_what_cannot_be_quantised(make, kind, error):
    with pytest.raises(ValueError, match=error):
        quantize(make(), kind)


def filled(value, bias=0.0):
    layer = nn.Linear(2, 2, dtype=torch.float64)
    nn.init.constant_(layer.weight, value)
    nn.init.constant_(layer.bias, bias)
    return layer


def hooked():
    layer = nn.Linear(2, 2)
    layer.register_forward_hook(lambda *_: None)
    return layer


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "int3"},
        {"values": torch.zeros(11, dtype=torch.int8)},
        {"values": torch.zeros(12)},
        {"scale": None},
        {"scale": torch.ones(4)},
        {"bias": torch.zeros(5)},
    ],
)
def test_parts_that_do_not_fit(changes):
    parts = {
        "kind": "int8",
        "values": torch.zeros(12, dtype=torch.int8),
        "scale": torch.ones(4, dtype=torch.bfloat16),
        "bias": torch.zeros(4),
    }
    QuantizedLinear(**parts, wiring=(3, 4))
    with pytest.raises(ValueError, match="expected"):
        QuantizedLinear(**parts | changes, wiring=(3, 4))


def test_accuracy_on_real_digits():
    """Each kind on a trained network: half precision and int8 change next to nothing, int4 little."""
    digits = pw.data.load("digits")
    net = pw.nn.mlp([64, 128, 64, 10], family="biregular", density=0.2, seed=0)
    run = pw.train(net, digits, pw.TrainConfig(epochs=30))
    lost = {
        kind: run.test_score - pw.training.evaluate(quantize(net, kind), digits, digits.x_test, digits.y_test)[1]
        for kind in QUANTIZED_KINDS
    }
    assert run.test_score > 0.9
    assert lost["float16"] <= 0.003
    assert lost["bfloat16"] <= 0.006
    assert lost["int8"] <= 0.006
    assert lost["int4"] <= 0.03
