"""Networks on disk: round trips, and files that are not what they should be."""

import hashlib
import json
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune

import prewired as pw
from prewired import SparseLinear, Topology, checkpoint, generators
from prewired.checkpoint import module_descriptions, rice_code
from prewired.checkpoint.file import _checksum
from prewired.io import named_units
from prewired.nn import count_parameters, mlp, quantization
from prewired.topology import Recipe

GOLDEN = Path(__file__).parent / "golden"
PATTERN = Topology.from_edges(6, 5, [(0, 0), (5, 0), (3, 2), (1, 4), (2, 4)])


def small_mlp(**changes):
    return mlp([12, 10, 8, 3], **{"family": "biregular", "fan_in": 4, "seed": 3, **changes})


def named():
    t = Topology.from_edges(2, 2, [(0, 0), (1, 0), (1, 1)])
    return SparseLinear(Topology(2, 2, t.indptr, t.indices, names=named_units.Names(("tp53", "ä"), ("p", "q"))))


NETWORKS = {
    "an mlp": small_mlp,
    "sparse outputs": lambda: small_mlp(dense_output=False, activation=nn.Tanh),
    "several layers": lambda: mlp([16, 16, 16, 4], family="butterfly", fan_in=4),
    "a control": lambda: SparseLinear(generators.permute_inputs(generators.rotating(6, 4, fan_in=2), seed=1)),
    "double": lambda: small_mlp().double(),
    "bfloat16": lambda: small_mlp().bfloat16(),
    "one layer without recipe or bias": lambda: SparseLinear(PATTERN, bias=False, kernel="sparse"),
    "no edges": lambda: SparseLinear(Topology.from_edges(3, 2, [])),
    "names of units": named,
    "nested": lambda: nn.Sequential(
        OrderedDict(
            first=nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.GELU("tanh")), second=SparseLinear(PATTERN)
        )
    ).eval(),
    **{kind: lambda kind=kind: quantization.quantize(small_mlp(), kind) for kind in quantization.QUANTIZED_KINDS},
    "quantised pattern": lambda: quantization.quantize(nn.Sequential(SparseLinear(PATTERN), nn.LeakyReLU(0.3)), "int4"),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


def same(a, b):
    one, other = a.state_dict(), b.state_dict()
    assert [*one] == [*other]
    for name, tensor in one.items():
        assert tensor.dtype == other[name].dtype
        assert torch.equal(tensor, other[name])


@pytest.mark.parametrize("indices", [False, True])
@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_a_round_trip_is_equal_bit_for_bit(make, indices, path):
    net = make()
    pw.save(net, path, indices=indices)
    state = torch.get_rng_state()
    again = pw.load(path)
    assert torch.equal(torch.get_rng_state(), state)
    same(net, again)
    assert repr(again).replace(" at ", "") == repr(net).replace(" at ", "") or indices
    assert [m.training for m in again.modules()] == [m.training for m in net.modules()]
    assert [p.requires_grad for p in again.parameters()] == [p.requires_grad for p in net.parameters()]
    width = next(m.in_features for m in net.modules() if hasattr(m, "in_features"))
    dtype = next((p.dtype for p in net.parameters()), torch.float32)
    x = torch.randn(5, width, dtype=dtype)
    with torch.no_grad():
        assert torch.equal(again.eval()(x), net.eval()(x))
    for a, b in zip(net.modules(), again.modules(), strict=True):
        if getattr(a, "topology", None) is not None:
            assert b.topology.names == a.topology.names
            assert b.topology.recipe == (None if indices else a.topology.recipe)


def test_a_loaded_network_trains_on(path):
    pw.save(small_mlp(), path)
    nets = small_mlp(), pw.load(path)
    x = torch.randn(8, 12)
    for net in nets:
        optimizer = torch.optim.Adam(net.parameters())
        for _ in range(3):
            optimizer.zero_grad()
            net(x).square().sum().backward()
            optimizer.step()
    same(*nets)


def test_a_recipe_takes_less_than_a_hundredth_of_the_weights(path):
    net = mlp([784, 1000, 1000, 10], family="biregular", density=0.05, seed=0)
    weights = 4 * count_parameters(net)
    pw.save(net, path)
    assert weights < path.stat().st_size < 1.01 * weights
    pw.save(net, path, indices=True)
    assert 1.01 * weights < path.stat().st_size < weights + 89_000 * 6 / 8 + 4000


class Own(nn.Module):
    """A network of a class the format does not know, one of whose layers appears twice."""

    def __init__(self, seed=0, width=4):
        super().__init__()
        self.sparse = SparseLinear(generators.biregular(20, 20, fan_in=3, seed=seed))
        self.again = self.sparse
        self.recurrent = nn.LSTM(20, width)


def test_any_module_is_loaded_into_one_of_its_class(path):
    net, other = Own(), Own()
    pw.save(net, path)
    assert pw.load(path, into=other) is other
    same(net, other)
    assert checkpoint.read(path).topologies["sparse"].recipe == net.sparse.topology.recipe
    with pytest.raises(ValueError, match=r"got the tensors of another; .*into=net"):
        pw.load(path)


def test_into_a_module_without_memory(path):
    pw.save(Own(), path)
    with pytest.raises(ValueError, match=r"for meta; give it memory with to_empty\(\)"):
        pw.load(path, into=Own().to("meta"))


def buffered():
    net = nn.Sequential(nn.Linear(3, 3))
    net.register_buffer("mean", torch.zeros(3))
    return net


def tied():
    layer = SparseLinear(generators.rotating(6, 6, fan_in=2))
    return nn.Sequential(layer, nn.ReLU(), layer)


def tied_parameter():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    net[1].weight = net[0].weight
    return net


def hooked():
    net = nn.Sequential(nn.Linear(3, 3))
    net.register_forward_hook(lambda module, x, y: 2 * y)
    return net


INTO_ONLY = {
    "a hook": hooked,
    "an argument that is no number": lambda: nn.Sequential(nn.Linear(3, 3), nn.LeakyReLU(torch.ones(2)[:1].numpy())),
    "pruned": lambda: nn.Sequential(prune.l1_unstructured(nn.Linear(3, 3), "weight", 2)),
    "weight norm": lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 3))),
    "a buffer of a sequence": buffered,
    "tied": tied,
    "a tied parameter": tied_parameter,
    "a subclass": lambda: nn.Sequential(type("Mine", (nn.Linear,), {})(3, 3)),
}


@pytest.mark.parametrize("make", INTO_ONLY.values(), ids=INTO_ONLY)
def test_what_would_come_back_as_something_else_needs_a_module(make, path):
    net, other = make(), make()
    pw.save(net, path)
    with pytest.raises(ValueError, match="into=net"):
        pw.load(path)
    same(net, pw.load(path, into=other))


PLAIN = [
    nn.BatchNorm1d(6, eps=1e-3, momentum=0.3),
    nn.BatchNorm1d(6, affine=False, momentum=None),
    nn.BatchNorm1d(6, track_running_stats=False),
    nn.Dropout(0.25),
    nn.ELU(0.5),
    nn.Flatten(0, -1),
    nn.GELU("tanh"),
    nn.Identity(),
    nn.LayerNorm(6, eps=1e-3),
    nn.LayerNorm([2, 3], elementwise_affine=False),
    nn.LayerNorm(6, bias=False),
    nn.LeakyReLU(0.3),
    nn.LogSoftmax(0),
    nn.ReLU(),
    nn.SiLU(),
    nn.Sigmoid(),
    nn.Softmax(0),
    nn.Softplus(2.0, 10.0),
    nn.Tanh(),
]


def test_every_known_module_is_tried():
    assert {type(module).__name__ for module in PLAIN} == {*module_descriptions.TORCH_MODULES}


@pytest.mark.parametrize("module", PLAIN, ids=repr)
def test_known_modules_come_back_with_their_arguments(module, path):
    net = nn.Sequential(nn.Linear(6, 6), module, nn.Sequential())
    net[0].weight.requires_grad_(False)
    net[1].eval()
    pw.save(net, path)
    again = pw.load(path)
    assert repr(again) == repr(net)
    assert {k: v for k, v in vars(again[1]).items() if k[0] != "_"} == {
        k: v for k, v in vars(module).items() if k[0] != "_"
    }
    assert [m.training for m in again.modules()] == [m.training for m in net.modules()]
    assert [p.requires_grad for p in again.parameters()] == [p.requires_grad for p in net.parameters()]
    same(net, again)


def test_arguments_that_come_from_numpy(path):
    parts = nn.BatchNorm1d(np.int64(4)), nn.LayerNorm(np.int64(4)), nn.LeakyReLU(torch.tensor(0.25))
    pw.save(nn.Sequential(nn.Linear(4, 4), *parts), path)
    again = pw.load(path)
    assert (again[1].num_features, again[2].normalized_shape, again[3].negative_slope) == (4, (4,), 0.25)


def test_a_shared_activation_is_no_tie(path):
    relu = nn.ReLU()
    net = nn.Sequential(nn.Linear(3, 3), relu, nn.Linear(3, 3), relu).eval()
    pw.save(net, path)
    again = pw.load(path)
    assert repr(again) == repr(net)
    assert not any(module.training for module in again.modules())


def test_loading_on_another_default_device(path):
    pw.save(small_mlp(), path)
    with torch.device("meta"):
        net = pw.load(path)
    same(net, small_mlp())


@pytest.mark.parametrize(
    ("into", "error"),
    [
        (lambda: Own(seed=1), "expected the wiring .* in layer sparse"),
        (lambda: Own(width=5), r"expected recurrent.weight_ih_l0 as \(torch.float32, \(20, 20\)\)"),
        (lambda: Own().double(), r"expected .* as \(torch.float64, .* got \(torch.float32"),
        (small_mlp, "got another set: 0.bias: it has no such tensor"),
        (lambda: nn.Module(), "again.bias: it has it, the network has not"),
    ],
)
def test_a_module_that_does_not_fit_stays_as_it_was(into, error, path):
    pw.save(Own(), path)
    net = into()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(ValueError, match=error):
        pw.load(path, into=net)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())


def test_what_cannot_be_saved(path):
    class Odd(nn.Module):
        def get_extra_state(self):
            return {"a": 1}

    with pytest.raises(
        ValueError, match="expected dense tensors with values in the state_dict, got _extra_state, dict"
    ):
        pw.save(Odd(), path)
    with pytest.raises(ValueError, match="expected fewer units in layers of so few edges"):
        pw.save(_wide(), path)
    with pytest.raises(ValueError, match=r"expected dense tensors with values in the state_dict, got 0.weight, meta"):
        pw.save(small_mlp().to("meta"), path)
    renamed = small_mlp()
    renamed.register_state_dict_post_hook(lambda net, state, *_: state.update(w=state.pop("0.weight")))
    with pytest.raises(ValueError, match="expected weights and wiring of sparse layers under their own names"):
        pw.save(renamed, path)
    taken = SparseLinear(PATTERN)
    taken.register_buffer("gaps", torch.ones(1))
    with pytest.raises(ValueError, match="under their own names"):
        pw.save(taken, path)
    with pytest.raises(FileNotFoundError, match="which does not exist"):
        pw.save(small_mlp(), path.parent / "none" / "net")
    assert [*path.parent.iterdir()] == []


def _wide():
    layer = SparseLinear(Topology.from_edges(3, 2, [(0, 0)]))
    layer._topology = Topology(2**25, 1, [0, 1], [0])  # its index arrays would fill the memory
    return layer


def test_an_interrupted_save_leaves_the_file_that_was_there(path, monkeypatch):
    net = small_mlp()
    pw.save(net, path)

    def interrupted(part, path):
        assert part.exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pw.save(small_mlp(seed=9), path)
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    same(net, pw.load(path))


def test_a_recipe_that_does_not_rebuild_the_graph_is_not_stored(path):
    t = generators.rotating(8, 8, fan_in=2)
    lies = Topology(8, 8, t.indptr, t.indices, Recipe.make("rotating", n_in=8, n_out=8, fan_in=3))
    broken = Topology(8, 8, t.indptr, t.indices, Recipe.make("rotating", n_in=8, n_out=8, width=2))
    longer = generators.circulant(3000, 2, offsets=[*range(0, 3000, 3)])
    for one in (lies, broken, longer):
        pw.save(SparseLinear(one), path)
        (layer,) = json.loads(checkpoint.read(path).metadata["layers"]).values()
        assert "gaps" in layer
        assert "recipe" not in layer
        assert pw.load(path).topology == one


# The code of the edges.


@st.composite
def patterns(draw):
    n_in, n_out = draw(st.integers(1, 40)), draw(st.integers(1, 12))
    cells = sorted(draw(st.sets(st.integers(0, n_in * n_out - 1), max_size=60)))
    return Topology.from_edges(n_in, n_out, [(cell % n_in, cell // n_in) for cell in cells])


@given(patterns())
@settings(max_examples=150, deadline=None)
def test_codes_of_edges_are_decoded(t):
    assert rice_code.decode(t.n_in, t.n_out, t.n_edges, *rice_code.encode(t)) == t


def test_codes_of_large_and_of_special_graphs():
    for t in (
        generators.erdos_renyi(5000, 5000, n_edges=400_000, seed=0),  # more than a chunk
        Topology(2**31 - 1, 2**20, [0] * 2**20 + [1], [2**31 - 2]),  # one huge gap
        generators.dense(9, 7),
    ):
        k, code = rice_code.encode(t)
        assert rice_code.decode(t.n_in, t.n_out, t.n_edges, k, code) == t
    assert rice_code.encode(generators.dense(8, 8))[0] == 0
    assert len(rice_code.encode(generators.dense(8, 8))[1]) == 8


@pytest.mark.parametrize("density", [0.5, 0.1, 0.01])
def test_a_code_takes_little_more_than_the_entropy(density):
    t = generators.erdos_renyi(1000, 1000, density=density, seed=0)
    entropy = -density * np.log2(density) - (1 - density) * np.log2(1 - density)
    assert 8 * len(rice_code.encode(t)[1]) < 1.05 * entropy * 10**6


# Files that are not what they should be.


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The bytes of sound files: a float network with a recipe and with edges, an int4 one."""
    at = tmp_path_factory.mktemp("sound") / "net"
    contents = []
    for net, indices in (
        (small_mlp(), False),
        (small_mlp(), True),
        (quantization.quantize(small_mlp(), "int4"), False),
    ):
        pw.save(net, at, indices=indices)
        contents.append(at.read_bytes())
    return contents


def resealed(content, path, change):
    """A file with metadata and tensors changed, sealed again as a malicious writer would."""
    path.write_bytes(content)
    with safetensors.safe_open(path, "pt") as file:
        about = file.metadata()
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    del about["seal"]
    about = {key: value if key == "format" else json.loads(value) for key, value in about.items()}
    change(about, tensors)
    about = {key: value if key == "format" else json.dumps(value) for key, value in about.items()}
    about["seal"] = _checksum(about, tensors)
    safetensors.torch.save_file(tensors, path, about)


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        pw.load(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="is a folder"):
        pw.load(tmp_path)


def test_files_of_others(path):
    pw.io.save_topology(PATTERN, path)
    topology = path.read_bytes()
    foreign = safetensors.torch.save({"a": torch.ones(3)})
    pickled = path.with_name("pickle")
    torch.save(small_mlp(), pickled)
    for content in (b"", b"hello", topology, foreign, pickled.read_bytes()):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is not a sound prewired network"):
            pw.load(path)


def test_a_later_version(path, sound):
    path.write_bytes(sound[0].replace(b"prewired model 1", b"prewired model 2"))
    with pytest.raises(ValueError, match="its format is 'prewired model 2', expected 'prewired model 1'"):
        pw.load(path)


def test_every_truncation(path, sound):
    for content in sound:
        for length in range(0, len(content), 7):
            path.write_bytes(content[:length])
            with pytest.raises(ValueError, match="is not a sound prewired network"):
                pw.load(path)


def problem(path):
    """What is wrong with a file; None if a network comes out of it."""
    try:
        pw.load(path)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize("n_examples", [300, pytest.param(50_000, marks=pytest.mark.slow)])
def test_damage_never_passes(n_examples, tmp_path_factory, sound):
    path = tmp_path_factory.mktemp("damage") / "net"
    edit = st.tuples(st.integers(0, 10**6), st.integers(1, 255))

    @given(which=st.integers(0, 2), edits=st.lists(edit, min_size=1, max_size=4))
    @settings(max_examples=n_examples, deadline=None)
    def check(which, edits):
        content = bytearray(sound[which])
        for at, value in edits:
            content[at % len(content)] ^= value
        path.write_bytes(content)
        found = problem(path)
        if found is None:  # bytes that mean nothing: the network is the one that was written
            damaged = pw.load(path)
            path.write_bytes(sound[which])
            same(damaged, pw.load(path))
        else:
            assert "is not a sound prewired network" in found

    check()


def at_layer(key, value):
    def change(about, tensors):
        about["layers"]["0"][key] = value

    return change


def at_recipe(**changes):
    def change(about, tensors):
        about["layers"]["0"]["recipe"] |= changes

    return change


def replaced(recipe, **changes):
    def change(about, tensors):
        about["layers"]["0"] |= {"recipe": recipe, **changes}

    return change


def swapped(about, tensors):
    layers = about["layers"]
    layers["0"], layers["2"] = layers["2"], layers["0"]


def swapped_square(about, tensors):
    """Two layers of one shape: only their digests tell them apart."""
    recipes = [about["layers"][name]["recipe"] for name in ("0", "2")]
    about["layers"]["0"]["recipe"], about["layers"]["2"]["recipe"] = recipes[::-1]


def swapped_names(about, tensors):
    for name in ("weight", "bias"):
        tensors[f"0.{name}"], tensors[f"4.{name}"] = tensors[f"4.{name}"], tensors[f"0.{name}"]


def many_wide_layers(about, tensors):
    t = Topology(1, 2**23, np.zeros(2**23 + 1, np.int64), [])
    layer = {"n_in": 1, "n_out": 2**23, "n_edges": 0, "digest": t.digest, "gaps": 0}
    for k in range(3):
        about["layers"][f"wide{k}"] = layer
        tensors |= {f"wide{k}.weight": torch.zeros(0), f"wide{k}.gaps": torch.zeros(0, dtype=torch.uint8)}


def module_more(**description):
    return lambda about, tensors: about["network"]["modules"].update(z=description)


def dense_quantized(n_in, n_out):
    def change(about, tensors):
        tensors["z.values"] = torch.zeros(4, dtype=torch.float16)
        about["state"].append("z.values")
        sides = {"n_in": n_in, "n_out": n_out}
        about["network"]["modules"]["z"] = {"type": "QuantizedLinear", "kind": "float16", **sides}

    return change


def slow(family, **parameters):
    given = {"fan_in": 8} if not {"density", "n_edges"} & parameters.keys() else {}
    return replaced({"family": family, "n_in": 10**5, "n_out": 10**5, **given} | parameters)


HUGE = {"family": "dense", "n_in": 2**31 - 1, "n_out": 2**31 - 1}
HOSTILE = {
    "a wrong digest": (at_layer("digest", "0" * 64), "has digest .*, expected 000000000000"),
    "a changed seed": (at_recipe(seed=4), "the wiring of layer 0 has digest"),
    "another family": (at_recipe(family="constant_fan_in"), "the wiring of layer 0 has digest"),
    "swapped layers": (swapped, "cannot have|has digest|size mismatch"),
    "swapped tensors": (swapped_names, "cannot have|size mismatch|unpack"),
    "no such family": (at_recipe(family="os.system"), "expected a family among"),
    "no recipe": (at_layer("recipe", "rm"), "expected a recipe such as"),
    **{
        f"a large {family}": (slow(family, **sides, seed=0), "asks for more than 40 edges need")
        for family, sides in {
            "barabasi_albert": {"n_in": 5600, "n_out": 5600, "density": 0.5},
            "biregular": {"n_in": 5600, "n_out": 5600, "density": 0.5},
            "peg": {"n_in": 30_000, "n_out": 30_000, "n_edges": 130_000},
            "erdos_renyi": {"n_in": 4000, "n_out": 4000, "density": 0.9},
            "ramanujan": {"n_in": 20_000, "n_out": 20_000, "fan_in": 100},
        }.items()
    },
    "a huge graph": (replaced(HUGE), "asks for more than 40 edges need"),
    "a huge graph in a small one": (replaced({"family": "cut", "t": HUGE, "n_in": 12, "n_out": 10}), "asks for more"),
    "a huge product": (
        replaced(
            {
                "family": "kronecker",
                **{side: {"family": "dense", "n_in": 2000, "n_out": 2000} for side in ("left", "right")},
            }
        ),
        "asks for more",
    ),
    "a huge lift": (
        replaced(
            {"family": "block_lift", "t": {"family": "dense", "n_in": 99, "n_out": 99}, "rows": 9999, "cols": 9999}
        ),
        "asks for more",
    ),
    "endless swaps": (
        replaced(
            {"family": "swap_edges", "t": {"family": "dense", "n_in": 2, "n_out": 2}, "proposals": 10**15, "seed": 0}
        ),
        "asks for more",
    ),
    "a fan-in that is no number": (at_recipe(fan_in=float("nan")), "asks for more|expected|cannot"),
    "a density without end": (replaced({**HUGE, "family": "erdos_renyi", "density": 1e-3, "seed": 0}), "asks for more"),
    "wide sides": (at_layer("n_out", 2**40), "cannot have 12 inputs"),
    "other sides": (at_layer("n_in", 13), "layer 0 is to have 13 inputs, 10 outputs and 40 edges, but gets"),
    "many edges": (at_layer("n_edges", 2**40), "layer 0 cannot have 1099511627776 edges"),
    "deep": (replaced(json.loads('{"family": "cut", "t": ' * 200 + "1" + "}" * 200)), "asks for more"),
    "no layer": (lambda about, tensors: about["layers"].pop("0"), "0.n_in"),
    "a layer more": (lambda about, tensors: about["layers"].update(x=about["layers"]["0"]), "cannot have"),
    "a module more": (lambda about, tensors: about["network"]["modules"].update(z={"type": "Linear"}), "z.weight"),
    "an unknown module": (lambda about, tensors: about["network"]["modules"].update(z={"type": "eval"}), "'eval'"),
    "a huge module": (
        module_more(type="LayerNorm", normalized_shape=2**28, eps=1, elementwise_affine=True, bias=True),
        "z.w",
    ),
    "a module elsewhere": (
        module_more(type="LayerNorm", normalized_shape=2**28, device="cpu"),
        "expected normalized_shape, eps",
    ),
    "no sides": (dense_quantized(-2, -2), "expected n_in and n_out"),
    "endless sides": (dense_quantized(float("inf"), 1), "expected n_in and n_out"),
    "many wide layers": (many_wide_layers, "layer wide1 cannot have 1 inputs"),
    "the best of many": (slow("lift", best_of=10**7, seed=0), "asks for more"),
    "a huge plane cut to size": (slow("projective_plane", fit="level"), "asks for more"),
    "slow edges": (slow("peg", seed=0), "asks for more"),
    "slow degrees": (slow("power_law", fan_in=80, seed=0), "asks for more"),
    "tries that are not named": (slow("ramanujan", seed=0), "asks for more"),
    "a tensor more": (lambda about, tensors: tensors.update(more=torch.ones(1)), "tensors that it does not name: more"),
    "a tensor less": (lambda about, tensors: tensors.pop("0.weight"), "cannot have"),
    "another shape": (lambda about, tensors: tensors.update({"0.bias": torch.ones(11)}), "size mismatch"),
    "no text": (lambda about, tensors: about.update(layers=[1]), "makes no sense"),
    "no network": (lambda about, tensors: about.update(network=3), "makes no sense"),
}


@pytest.mark.parametrize(("change", "error"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_files(change, error, path, sound):
    resealed(sound[0], path, change)
    with pytest.raises(ValueError, match=rf"is not a sound prewired network.*({error})"):
        pw.load(path)


def test_layers_of_one_shape_are_not_exchanged(path):
    net = mlp([10, 10, 10, 3], family="biregular", fan_in=3, seed=0)
    pw.save(net, path)
    resealed(path.read_bytes(), path, swapped_square)
    with pytest.raises(ValueError, match="the wiring of layer 0 has digest"):
        pw.load(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda about, tensors: tensors.update({"0.gaps": torch.ones(9, dtype=torch.uint8)}),
        lambda about, tensors: tensors.update({"0.gaps": torch.zeros(0, dtype=torch.uint8)}),
        lambda about, tensors: tensors.update({"0.gaps": torch.ones(2, 2, dtype=torch.uint8)}),
        lambda about, tensors: tensors.update({"0.gaps": tensors["0.gaps"].float()}),
        lambda about, tensors: tensors["0.gaps"].add_(1),
        at_layer("gaps", 63),
        at_layer("gaps", -1),
        at_layer("gaps", "x"),
        at_layer("gaps", 10**9),
    ],
)
def test_edges_that_are_none(change, path, sound):
    resealed(sound[1], path, change)
    with pytest.raises(ValueError, match="is not a sound prewired network"):
        pw.load(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(value, path=()):
    """The paths to everything in nested dicts and lists."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in items:
        yield from places(one, (*path, key))


@pytest.mark.parametrize("n_examples", [300, pytest.param(20_000, marks=pytest.mark.slow)])
def test_whatever_a_description_says_there_are_only_clean_errors(n_examples, tmp_path_factory, sound):
    """The metadata are changed anywhere, to anything, and sealed again."""
    path = tmp_path_factory.mktemp("hostile") / "net"

    @given(st.data())
    @settings(max_examples=n_examples, deadline=None)
    def check(data):
        which = data.draw(st.integers(0, 2))

        def change(about, tensors):
            del about["format"]
            key, *steps = data.draw(st.sampled_from([place for place in places(about) if place]))
            within = about
            for step in steps:
                within, key = within[key], step
            if data.draw(st.integers(0, 9)):
                within[key] = data.draw(JSON)
            else:
                del within[key]
            about["format"] = "prewired model 1"

        resealed(sound[which], path, change)
        found = problem(path)
        assert found is None or "is not a sound prewired network" in found or "network of known modules" in found

    check()


# Files of earlier versions, and readers of other programs.


@pytest.mark.parametrize("name", ["recipes", "edges", "int8", "int4", "float16"])
def test_golden_files(name):
    """Written once by this format's first version; the outputs were written down with them."""
    net = pw.load(GOLDEN / f"{name}.safetensors")
    expected = json.loads((GOLDEN / "outputs.json").read_text())[name]
    x = torch.arange(24.0).reshape(2, 12) / 8 - 1
    with torch.no_grad():
        np.testing.assert_allclose(net(x).numpy(), expected, rtol=1e-5, atol=1e-6)


def test_a_reader_that_knows_nothing_but_the_specification():
    """The wiring and weights of tests/golden/edges.safetensors, read with struct and json."""
    content = (GOLDEN / "edges.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    about = header.pop("__metadata__")

    def raw(name):
        start, end = header[name]["data_offsets"]
        return data[start:end]

    def bits(octets):
        return [octet >> k & 1 for octet in octets for k in range(8)]

    sealed = json.dumps({k: v for k, v in about.items() if k != "seal"}, sort_keys=True).encode()
    types = {"F32": "float32", "U8": "uint8"}
    for name in sorted(header):
        sealed += json.dumps([name, types[header[name]["dtype"]], header[name]["shape"]]).encode() + raw(name)
    assert hashlib.sha256(sealed).hexdigest() == about["seal"]
    net = pw.load(GOLDEN / "edges.safetensors")
    for name, layer in json.loads(about["layers"]).items():
        k, n_in, n_edges = layer["gaps"], layer["n_in"], layer["n_edges"]
        n_low = -(-n_edges * k // 8)
        low, unary = bits(raw(f"{name}.gaps")[:n_low]), iter(bits(raw(f"{name}.gaps")[n_low:]))
        cell, cells = -1, []
        for edge in range(n_edges):
            high = 0
            while not next(unary):
                high += 1
            cell += 1 + (high << k) + sum(low[edge * k + b] << b for b in range(k))
            cells.append(cell)
        t = net.get_submodule(name).topology
        assert [(cell % n_in, cell // n_in) for cell in cells] == [
            (int(i), j) for j in range(t.n_out) for i in t.indices[t.indptr[j] : t.indptr[j + 1]]
        ]
        assert t.digest == layer["digest"]
        assert np.frombuffer(raw(f"{name}.weight"), "<f4").tolist() == net.get_submodule(name).weight.tolist()
