"""ONNX files: every form of every family against torch, what they weigh, and what is refused."""

import copy
import json

import numpy as np
import pytest
import torch
from torch import nn

from prewired import SparseLinear, Topology, generators
from prewired.export.layer_chain import ACTIVATIONS, list_layers
from prewired.export.onnx_file import forms, graph, writer
from prewired.export.onnx_file.forms import FORMS
from prewired.export.onnx_file.graph import OnnxGraph
from prewired.export.onnx_file.writer import onnx, session
from prewired.nn import mlp
from prewired.nn.quantization import QUANTIZED_KINDS, quantize
from prewired.training import data

onnx_package = pytest.importorskip("onnx", reason="needs onnx")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")

AS_DENSE = {"dense", "sparse", "packed"}
GATHERS = {"gather", "gather_batch"}
EVERY_FOURTH_NOT = np.arange(30)[:, None] % 4 > 0
FAMILIES = {
    "biregular": (generators.biregular(24, 30, fan_in=5, seed=0), GATHERS),
    "many parts": (generators.biregular(300, 400, fan_in=50, seed=0), GATHERS),
    "few edges": (generators.erdos_renyi(40, 30, n_edges=50, seed=3), set()),
    "empty rows": (
        Topology.from_mask(generators.biregular(24, 30, fan_in=5, seed=0).biadjacency().toarray() * EVERY_FOURTH_NOT),
        GATHERS,
    ),
    "two fan-ins": (
        Topology.from_mask(np.arange(120) < np.tile([[10], [10], [10], [100]], (100, 1))),
        {"gather_batch"},
    ),
    "nearly equal rows": (generators.erdos_renyi(400, 300, n_edges=16000, seed=0), GATHERS),
    "one row of many": (Topology.from_mask(np.vstack([np.ones((1, 50)), np.eye(49, 50)])), set()),
    "grouped": (generators.grouped(24, 30, fan_in=4), {*GATHERS, "blocks"}),
    "overlapping groups": (generators.grouped(25, 31, fan_in=4), {*GATHERS, "blocks"}),
    "wide groups": (generators.grouped(700, 30, fan_in=35), {*GATHERS, "blocks"}),
    "block_lift": (generators.block_lift(generators.biregular(6, 5, fan_in=2, seed=0), 3, 4), {*GATHERS, "blocks"}),
    "butterfly": (generators.butterfly_stage(32, 32, fan_in=2, stage=2), {*GATHERS, "blocks"}),
    "full": (generators.dense(7, 5), {*GATHERS, "blocks"}),
    "one edge": (Topology(3, 1, [0, 1], [1]), GATHERS),
    "far cells": (Topology.from_edges(300, 400, [(0, 0), (299, 0), (255, 1), (10, 250), (299, 399)]), set()),
    "no edge": (Topology(3, 2, [0, 0, 0], []), set()),
}
each_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def outputs(path, x):
    return session(str(path)).run(None, {"x": x})[0]


def agree(path, net, x):
    """Whether a file gives what the network does, to 1e-5 of the largest output."""
    with torch.no_grad():
        expected = net.eval()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(outputs(path, x), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def batch_of(rows, n_in, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, n_in), np.float32)


def matrix_of(t, weight):
    dense = np.zeros((t.n_out, t.n_in))
    dense[np.repeat(np.arange(t.n_out), t.fan_in), t.indices] = weight
    return dense


@pytest.mark.parametrize("form", FORMS)
@each_family
def test_a_form_gives_the_product_or_says_why_not(family, form, tmp_path):
    t, applicable = FAMILIES[family]
    layer, path = SparseLinear(t), tmp_path / "net.onnx"
    if form not in AS_DENSE | applicable:
        with pytest.raises(ValueError, match=rf"layer layer can take, got {form} \({form}: .*; take form='auto'"):
            onnx(layer, path, form=form)
        assert not list(tmp_path.iterdir())
        return
    assert [taken.form for taken in onnx(layer, path, form=form).layers] == [form]
    onnx_package.checker.check_model(onnx_package.load(path), full_check=form != "sparse")
    x = batch_of(6, t.n_in)
    expected = x @ matrix_of(t, layer.weight.detach().numpy()).T + layer.bias.detach().numpy()
    np.testing.assert_allclose(outputs(path, x), expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_allclose(outputs(path, x[:1]), expected[:1], rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", QUANTIZED_KINDS)
def test_a_quantised_layer_stays_small_and_gives_its_rounded_weights(kind, form, tmp_path):
    t = generators.grouped(105, 41, fan_in=15)
    net = nn.Sequential(SparseLinear(t), nn.ReLU(), nn.Linear(41, 7))
    small = quantize(net, kind)
    path, whole = tmp_path / "net.onnx", tmp_path / "whole.onnx"
    written, before = onnx(small, path, form=form).bytes, onnx(net, whole, form=form).bytes
    cells = 105 * 41 if form == "dense" else t.n_edges
    saved = {"float16": 2, "bfloat16": 2, "int8": 3, "int4": 3.5}[
        "int8" if (kind, form) == ("int4", "sparse") else kind
    ]
    scales = 4 * (41 + 7) if kind.startswith("int") else 0
    assert before - written > saved * (cells + 41 * 7) - 300 - scales - 1800 * (kind == "int4")
    agree(path, small, batch_of(5, 105))
    assert np.abs(outputs(path, x := batch_of(5, 105)) - outputs(whole, x)).max() > 1e-5


def test_int4_takes_half_a_byte_a_weight(tmp_path):
    t = generators.biregular(999, 333, fan_in=99, seed=0)
    n = onnx(quantize(SparseLinear(t), "int4"), tmp_path / "net.onnx", form="packed").bytes
    assert n < 1.5 * t.n_edges + 4 * 2 * t.n_out + 3000


@pytest.mark.parametrize("without_bias", [False, True])
@pytest.mark.parametrize("form", ["dense", "gather", "gather_batch", "blocks"])
def test_layers_follow_each_other_with_and_without_bias(form, without_bias, tmp_path):
    wirings = generators.grouped(24, 30, fan_in=4), generators.grouped(30, 20, fan_in=5)
    first, second = (SparseLinear(t, bias=not without_bias) for t in wirings)
    net = nn.Sequential(first, nn.Tanh(), second, nn.ReLU(), nn.Linear(20, 3, bias=not without_bias))
    exported = onnx(net, tmp_path / "net.onnx", form=form)
    assert [(layer.layer, layer.form) for layer in exported.layers] == [("0", form), ("2", form), ("4", "dense")]
    agree(exported.path, net, batch_of(3, 24))


def test_gather_batch_with_a_dense_layer_of_half_precision(tmp_path):
    net = mlp([24, 30, 5], family="biregular", fan_in=4, seed=0).to(torch.bfloat16)
    onnx(net, tmp_path / "net.onnx", form="gather_batch")
    agree(tmp_path / "net.onnx", copy.deepcopy(net).float(), batch_of(3, 24))


@pytest.mark.parametrize(
    "activation",
    [*(kind() for kind in ACTIVATIONS), nn.LeakyReLU(0.3), nn.ELU(0.5), nn.GELU(approximate="tanh")],
    ids=str,
)
def test_activations(activation, tmp_path):
    net = nn.Sequential(SparseLinear(generators.rotating(9, 9, fan_in=3)), activation)
    onnx(net, tmp_path / "net.onnx", form="gather")
    agree(tmp_path / "net.onnx", net, 3 * batch_of(20, 9))


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_batch_normalisation_goes_into_the_weights(kind, tmp_path):
    net = nn.Sequential(
        SparseLinear(generators.biregular(12, 8, fan_in=3, seed=0)), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)
    )
    net(3 * torch.randn(50, 12) + 1)
    net.train()
    net = net if kind == "float32" else quantize(net, kind)
    onnx(net, tmp_path / "net.onnx", form="gather")
    assert net.training, "the network is left in its mode"
    assert "BatchNormalization" not in {node.op_type for node in onnx_package.load(tmp_path / "net.onnx").graph.node}
    agree(tmp_path / "net.onnx", net, batch_of(7, 12))


def test_files_are_ordered_as_promised_at_five_percent(tmp_path):
    net = mlp([784, 1000, 10], family="biregular", density=0.05, seed=0)
    n = {form: onnx(net, tmp_path / "net.onnx", form=form).bytes for form in ("dense", "sparse", "packed", "gather")}
    n_edges, rest = net[0].topology.n_edges, 4 * (1000 + 10 * 1000 + 10)
    assert n["dense"] > 4 * 784 * 1000
    assert 12 * n_edges < n["sparse"] - rest < 12.1 * n_edges
    assert 5 * n_edges < n["packed"] - rest < 5.1 * n_edges
    assert 5 * n_edges < n["gather"] - rest < 5.2 * n_edges
    blocks = onnx(mlp([800, 1000, 10], family="grouped", density=0.05), tmp_path / "net.onnx", form="blocks")
    assert blocks.bytes - rest < 4.05 * 40 * 1000


def test_packed_takes_two_bytes_a_gap_where_one_would_need_too_many(tmp_path):
    t = generators.biregular(2000, 1000, fan_in=2, seed=0)
    n = onnx(SparseLinear(t, bias=False), tmp_path / "net.onnx", form="packed").bytes
    assert 6 * t.n_edges < n < 6 * t.n_edges + 1500


def test_cells_of_zero_between_far_edges_are_cells_of_their_own():
    far = np.cumsum([0, 255, 256, 1, 510, 511, 1200, 2])
    layer = list_layers(SparseLinear(Topology.from_edges(4000, 1, [(cell, 0) for cell in far])))[0]
    gaps, values = forms._gaps(layer, 255)
    assert gaps.max() == 255
    cells = np.cumsum(gaps)
    assert (np.diff(cells) > 0).all()
    np.testing.assert_array_equal(cells[values != 0], far)
    assert len(cells) == len(far) + 1 + 1 + 2 + 4


def test_auto_takes_a_form_that_is_fast_and_small(tmp_path):
    net = mlp([240, 240, 240, 10], family="grouped", fan_in=12)
    exported = onnx(net, tmp_path / "net.onnx", batch=np.int64(4))
    for layer in exported.layers[:2]:
        assert {*layer.bytes} == {*FORMS}
        assert {*layer.seconds} == {"packed", "gather", "gather_batch", "blocks"}
        assert layer.seconds[layer.form] <= 1.1 * min(layer.seconds.values())
        assert not layer.reasons
    assert exported.layers[-1].form == "dense"
    assert exported.bytes == exported.path.stat().st_size
    agree(exported.path, net, batch_of(5, 240))
    text = str(exported)
    assert f"{exported.bytes:,} bytes" in text
    assert f"  blocks: {exported.layers[0].bytes['blocks']:,} bytes, " in text
    assert f"  dense: {exported.layers[0].bytes['dense']:,} bytes, once loaded the same as packed\n" in text


def test_auto_prefers_the_smaller_of_equally_fast_forms(tmp_path, monkeypatch):
    times = {"packed": 1.0, "gather": 1.09, "gather_batch": 1.11}
    monkeypatch.setattr(writer, "_time_forms", lambda layer, forms, batch: {name: times[name] for name in forms})
    layer = SparseLinear(generators.biregular(100, 100, fan_in=10, seed=0))
    taken = onnx(layer, tmp_path / "net.onnx").layers[0]
    smaller = min(("packed", "gather"), key=taken.bytes.get)
    assert taken.form == smaller
    assert taken.seconds == times
    assert taken.reasons == {"blocks": "few of its outputs have the same inputs"}
    times["gather_batch"] = 0.5
    assert onnx(layer, tmp_path / "net.onnx").layers[0].form == "gather_batch"


def test_of_forms_that_are_one_once_loaded_the_smallest_is_timed(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        writer, "_time_forms", lambda layer, forms, batch: asked.append(forms) or dict.fromkeys(forms, 1)
    )
    full, thin = SparseLinear(generators.dense(9, 9)), SparseLinear(generators.biregular(99, 99, fan_in=3, seed=0))
    for layer in (full, thin):
        onnx(layer, tmp_path / "net.onnx")
    assert [[form for form in asked_forms if form in forms.SAME_WHEN_LOADED] for asked_forms in asked] == [
        ["dense"],
        ["packed"],
    ]


def test_smallest_is_the_smallest_and_measures_nothing(tmp_path):
    net = mlp([240, 240, 10], family="grouped", fan_in=12)
    taken = onnx(net, tmp_path / "net.onnx", form="smallest").layers[0]
    assert taken.form == min(taken.bytes, key=lambda form: taken.bytes[form]) == "blocks"
    assert taken.seconds == {}


def test_a_batch_too_large_to_gather_is_not_tried(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "MOST_DENSE_ELEMENTS", 10_000)
    layer = SparseLinear(generators.biregular(100, 100, fan_in=10, seed=0))
    taken = onnx(layer, tmp_path / "net.onnx", batch=11).layers[0]
    assert "gather" not in taken.seconds
    assert "a batch of 11 would take" in taken.reasons["gather"]


def test_the_file_says_what_it_holds(tmp_path):
    net = mlp([12, 8, 2], family="biregular", fan_in=3, seed=0)
    onnx(quantize(net, "int8"), tmp_path / "net.onnx", form="gather")
    model = onnx_package.load(tmp_path / "net.onnx")
    assert (model.producer_name, model.producer_version) == ("prewired", "0.1.0")
    about = {prop.key: json.loads(prop.value) for prop in model.metadata_props}
    t = net[0].topology
    wiring = {"digest": t.digest, "recipe": t.recipe.to_json()}
    assert about["layer 0"] == {"form": "gather", "kind": "int8", **wiring}
    assert about["layer 2"] == {"form": "dense", "kind": "int8"}
    x, y = model.graph.input[0], model.graph.output[0]
    assert (x.name, y.name) == ("x", "y")
    assert [dim.dim_param or dim.dim_value for dim in x.type.tensor_type.shape.dim] == ["batch", 12]


@pytest.mark.parametrize("form", FORMS)
def test_a_wrong_weight_is_caught_and_the_earlier_file_kept(form, tmp_path, monkeypatch):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"earlier")

    def wrong(net):
        found = list_layers(net)
        weight = found[0].weight.copy()
        weight[77] += 1e-3
        return [found[0]._replace(weight=weight), *found[1:]]

    net = mlp([60, 40, 3], family="grouped", fan_in=6)
    monkeypatch.setattr(writer, "list_layers", wrong)
    with pytest.raises(RuntimeError, match=r"expected onnxruntime to give .*nothing was written.* take another form="):
        onnx(net, path, form=form)
    assert path.read_bytes() == b"earlier"
    assert [*tmp_path.iterdir()] == [path]
    monkeypatch.undo()
    onnx(net, path, form=form)
    agree(path, net, batch_of(3, 60))


def test_an_output_that_is_not_a_number_is_caught(tmp_path):
    layer = SparseLinear(generators.rotating(8, 8, fan_in=4))
    nn.init.constant_(layer.weight, 3e38)
    with pytest.raises(RuntimeError, match="nothing was written"):
        onnx(layer, tmp_path / "net.onnx", form="dense")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"form": "csr"}, "one of auto, smallest, dense, sparse, packed, gather, gather_batch, blocks, got 'csr'"),
        ({"batch": 0}, "batch >= 1, got 0"),
        ({"batch": True}, "batch >= 1, got True"),
        ({"batch": 2.0}, "batch >= 1, got 2.0"),
        ({"form": ""}, "one of auto, smallest, .*, got ''"),
        ({"form": "blocks"}, "layer 0 can take, got blocks .*few of its outputs have the same inputs"),
    ],
)
def test_arguments_are_checked(arguments, message, tmp_path):
    net = mlp([12, 8, 2], family="biregular", fan_in=3, seed=0)
    with pytest.raises(ValueError, match=message):
        onnx(net, tmp_path / "net.onnx", **arguments)


def test_a_missing_folder_and_a_missing_package(tmp_path, monkeypatch):
    net = nn.Linear(2, 2)
    with pytest.raises(FileNotFoundError, match="check the path"):
        onnx(net, tmp_path / "nowhere" / "net.onnx")
    monkeypatch.setattr(writer, "find_spec", lambda package: None)
    with pytest.raises(ImportError, match=r"pip install 'prewired\[export\]'"):
        onnx(net, tmp_path / "net.onnx")


def test_a_dense_matrix_out_of_reach_leaves_the_other_forms(tmp_path, monkeypatch):
    monkeypatch.setattr(forms, "MOST_DENSE_ELEMENTS", 999)
    layer = SparseLinear(generators.biregular(40, 25, fan_in=4, seed=0))
    taken = onnx(layer, tmp_path / "net.onnx").layers[0]
    assert {*taken.seconds} == GATHERS
    assert taken.reasons["packed"] == "its dense matrix would take 0.0 GB"
    with pytest.raises(ValueError, match=r"got packed .*dense matrix would take 0.0 GB.*; take form=.auto."):
        onnx(layer, tmp_path / "net.onnx", form="packed")
    with pytest.raises(ValueError, match=r"got auto .*take prewired.export.c or prewired.export.program"):
        onnx(SparseLinear(generators.erdos_renyi(99, 99, n_edges=30, seed=0)), tmp_path / "net.onnx")
    with pytest.raises(ValueError, match=r"got dense .*0.0 GB\); take prewired.export.c or prewired.export.program"):
        onnx(nn.Linear(40, 25), tmp_path / "net.onnx")


def test_a_file_beyond_two_gigabytes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(graph, "LARGEST_FILE", 40_000)
    net = nn.Sequential(nn.Linear(90, 90), nn.Linear(90, 90))
    with pytest.raises(ValueError, match=r"at most 0\.0 GB.*form='smallest', or quantise"):
        onnx(net, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_constants_are_computed_when_the_file_is_loaded(tmp_path):
    """What runs has no trace of how the weights were kept."""
    import onnxruntime

    net = quantize(mlp([60, 60, 60, 3], family="grouped", fan_in=6), "int4")
    runs = {
        "packed": {"FusedGemm", "Gemm"},
        "gather": {
            *("Shape", "Concat", "Expand", "GatherElements", "Reshape", "Mul", "ReduceSum", "Add", "Relu", "Gemm")
        },
        "blocks": {"Transpose", "Reshape", "MatMul", "Add", "Relu", "Gemm"},
    }
    for form, expected in runs.items():
        onnx(net, tmp_path / "net.onnx", form=form)
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
        options.log_severity_level = 3
        onnxruntime.InferenceSession(str(tmp_path / "net.onnx"), options, providers=["CPUExecutionProvider"])
        assert {node.op_type for node in onnx_package.load(tmp_path / "optimised.onnx").graph.node} <= expected


def test_mnist_images(tmp_path, real_data):
    images = data.load("mnist", root=real_data("mnist")).x_test[:256]
    net = mlp([784, 300, 100, 10], family="biregular", density=0.05, seed=0)
    x = np.ascontiguousarray(images.reshape(len(images), -1), np.float32)
    for form in ("dense", "packed", "gather", "gather_batch"):
        onnx(net, tmp_path / "net.onnx", form=form)
        agree(tmp_path / "net.onnx", net, x)


def test_an_odd_number_of_nibbles_comes_back():
    from onnx.reference import ReferenceEvaluator

    for n in (1, 2, 7):
        values = np.random.default_rng(n).integers(-7, 8, n).astype(np.int8)
        graph = OnnxGraph()
        graph.floats(values, "int4")
        made = onnx_package.helper.make_graph(
            graph.nodes, "nibbles", [], [onnx_package.ValueInfoProto(name=graph.nodes[-1].output[0])], graph.constants
        )
        opset = [onnx_package.helper.make_opsetid("", writer.OPSET)]
        got = ReferenceEvaluator(onnx_package.helper.make_model(made, opset_imports=opset)).run(None, {})[0]
        np.testing.assert_array_equal(got, values)
