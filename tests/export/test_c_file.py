"""C files: compiled as strictly as can be, run, and compared with torch."""

import ctypes
import re
import shutil
import subprocess

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

from prewired import SparseLinear, Topology, generators
from prewired.export.c_file import c_code, writer
from prewired.export.c_file.input_access import find_wiring, n_bytes, to_smallest_type
from prewired.export.c_file.writer import c
from prewired.export.layer_chain import ACTIVATIONS, list_layers
from prewired.nn import mlp
from prewired.nn.quantization import QUANTIZED_KINDS, quantize
from prewired.training import data

STRICT = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-O1"]
CC = writer.compiler()
needs_cc = pytest.mark.skipif(CC is None, reason="no C compiler")
POINTER = ctypes.POINTER(ctypes.c_float)


@pytest.fixture
def trusted(monkeypatch):
    """Files are not verified when they are written: the test does it."""
    monkeypatch.setattr(writer, "compiler", lambda: None)


def compiled(path, *flags):
    library = path.with_suffix(".so")
    subprocess.run([str(CC), *STRICT, *flags, "-shared", "-fPIC", path, "-o", library, "-lm"], check=True)
    return ctypes.CDLL(str(library))


def run(library, name, x, n_out):
    """The outputs of the batch function, and those of the function for one sample."""
    many, one = (np.full((len(x), n_out), np.nan, np.float32) for _ in range(2))
    getattr(library, f"{name}_batch")(x.ctypes.data_as(POINTER), many.ctypes.data_as(POINTER), len(x))
    for row, y in zip(x, one, strict=True):
        getattr(library, name)(row.ctypes.data_as(POINTER), y.ctypes.data_as(POINTER))
    return many, one


def check(net, path, *, batches=(37,), flags=(), **options):
    """Write, compile and run a network; what was written."""
    done = c(net, path, **options)
    n_in, n_out = list_layers(net)[0].n_in, list_layers(net)[-1].n_out
    library = compiled(path, *flags)
    for batch in batches:
        x = np.random.default_rng(batch).standard_normal((batch, n_in)).astype(np.float32)
        with torch.no_grad():
            expected = net.eval()(torch.from_numpy(x)).numpy()
        for got in run(library, path.stem, x, n_out):
            assert_allclose(got, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max(initial=1e-3))
    return done


def randomly(net):
    """The network with every parameter drawn anew, biases too."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * 0.3)
    return net


def sparse(topology, **options):
    return randomly(SparseLinear(topology, **options))


WITH_EMPTY_ROWS = Topology(700, 5, [0, 0, 3, 4, 4, 7], [0, 299, 699, 254, 0, 255, 511])
WIRINGS = {
    "a rotating window": (generators.rotating(20, 30, fan_in=7), "rule", 0),
    "offsets": (generators.circulant(30, 20, offsets=[0, 1, 5, 12]), "rule", 4),
    "offsets, drawn": (generators.random_circulant(300, 40, fan_in=9, seed=0), "rule", 9),
    "a shifted rule": (generators.circulant(30, 30, offsets=[25, 26, 27]), "rule", 0),
    "blocks": (generators.grouped(20, 10, fan_in=4), "rule", 10),
    "one input each": (generators.constant_fan_in(9, 20, fan_in=1, seed=0), "rule", 20),
    "gaps": (generators.biregular(1000, 100, fan_in=50, seed=0), "gaps", None),
    "gaps beyond 254": (WITH_EMPTY_ROWS, "gaps", 5 + 10),
    "gaps, fan-ins that differ": (generators.erdos_renyi(60, 40, n_edges=150, seed=0), None, 40 + 150),
    "a table": (generators.biregular(40, 30, fan_in=4, seed=0), "table", 120),
    "a wide table": (generators.biregular(4000, 20, fan_in=4, seed=0), "table", 160),
    "every input": (generators.dense(12, 5), "none", 0),
    "no edge": (Topology(3, 2, [0, 0, 0], []), None, None),
}


@needs_cc
@pytest.mark.parametrize("name", WIRINGS)
def test_every_wiring_computes_what_torch_does(name, tmp_path, trusted):
    topology, way, n = WIRINGS[name]
    done = check(sparse(topology), tmp_path / "net.c", batches=(1, 37))
    assert way is None or done.wirings == (way,)
    assert n is None or done.indices == n


@needs_cc
@pytest.mark.parametrize("indices", ["gaps", "table"])
def test_a_way_can_be_asked_for(indices, tmp_path, trusted):
    net = nn.Sequential(sparse(generators.rotating(600, 20, fan_in=5)), nn.Linear(20, 3))
    assert check(net, tmp_path / "net.c", indices=indices).wirings == (indices, "none")


@needs_cc
def test_a_rule_counts_beyond_32_bits(tmp_path, trusted):
    n_in, n_out = 1_000_000, 5000  # the last outputs multiply to more than 2**32
    net = sparse(Topology(n_in, n_out, np.arange(n_out + 1), np.arange(n_out) * 200))
    assert check(net, tmp_path / "net.c", batches=(1,), flags=["-DNET_TILE=1"]).wirings == ("rule",)


def test_rules_are_found_in_the_edges_alone():
    for topology in (
        generators.rotating(784, 1000, fan_in=39),
        generators.fibonacci(90, 50, fan_in=8),
        generators.grouped(784, 100, fan_in=39),
        generators.shuffle(64, 64, fan_in=8),
        generators.banded(50, 50, fan_in=5),
    ):
        bare = Topology(topology.n_in, topology.n_out, topology.indptr, topology.indices)
        (layer,) = list_layers(SparseLinear(bare))
        found = find_wiring(layer, "rule")
        j = np.arange(bare.n_out)
        bases = found.tables.get("bases", (j * bare.n_in // bare.n_out + found.shift) % bare.n_in)
        offsets = found.tables.get("offsets", np.arange(found.fan_in))
        read = (bases[:, None].astype(int) + offsets) % bare.n_in
        assert_array_equal(read.reshape(-1), bare.indices[found.order])
        assert n_bytes(found) < bare.n_edges / 3


def test_one_edge_elsewhere_is_no_rule():
    inputs = (np.arange(50)[:, None] + np.array([0, 1, 4])) % 50
    inputs[30] = 29, 31, 34
    moved = Topology.from_edges(50, 50, [(i, j) for j, row in enumerate(inputs) for i in row])
    (layer,) = list_layers(SparseLinear(moved))
    with pytest.raises(ValueError, match=r"expected outputs that all read translates .*got layer layer.*take indices="):
        find_wiring(layer, "rule")
    assert find_wiring(layer, "auto").way == "table"


def test_gaps_are_taken_only_where_they_are_smaller():
    (layer,) = list_layers(SparseLinear(generators.biregular(70_000, 10, fan_in=3, seed=0)))
    assert find_wiring(layer, "auto").way == "table"
    assert find_wiring(layer, "auto").tables["inputs"].dtype == np.uint32
    assert to_smallest_type(np.array([255])).dtype == np.uint8
    assert to_smallest_type(np.array([256])).dtype == np.uint16


@needs_cc
@pytest.mark.parametrize("kind", QUANTIZED_KINDS)
@pytest.mark.parametrize("family", ["rotating", "biregular"])
def test_quantised_networks_compute_what_quantised_layers_do(kind, family, tmp_path, trusted):
    net = randomly(mlp([31, 21, 5], family=family, fan_in=7, seed=0))
    done = check(quantize(net, kind), tmp_path / "net.c", batches=(5,))
    weights = {"int8": 147 + 105, "int4": 74 + 53}.get(kind, 2 * (147 + 105))
    assert done.weights == weights + 26 * 2 * (2 if kind in ("int8", "int4") else 1)  # biases, and scales


@needs_cc
def test_every_half_is_decoded_exactly(tmp_path, trusted):
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    values = halves[np.isfinite(halves)].astype(np.float32)
    net = SparseLinear(Topology(1, len(values), np.arange(len(values) + 1), np.zeros(len(values), int)), bias=False)
    with torch.no_grad():
        net.weight.copy_(torch.from_numpy(values))
    assert c(net, tmp_path / "net.c").weights == 2 * len(values)
    assert "net_float16(" in (tmp_path / "net.c").read_text()
    many, _ = run(compiled(tmp_path / "net.c"), "net", np.ones((1, 1), np.float32), len(values))
    assert_array_equal(many[0], values)


@needs_cc
def test_every_kind_of_float_is_written_exactly(tmp_path, trusted):
    bits = np.random.default_rng(0).integers(0, 2**32, 4000, dtype=np.uint32).view(np.float32)
    values = np.append(bits[np.isfinite(bits)], np.array([1e-45, 3.4028235e38, -0.0, 1, 16777215, 1e10], np.float32))
    n = len(values)
    net = SparseLinear(Topology(1, n, np.arange(n + 1), np.zeros(n, int)), bias=False)
    with torch.no_grad():
        net.weight.copy_(torch.from_numpy(values))
    assert c(net, tmp_path / "net.c").weights == 4 * n
    many, _ = run(compiled(tmp_path / "net.c"), "net", np.ones((1, 1), np.float32), n)
    assert_array_equal(many[0], values)


@needs_cc
@pytest.mark.parametrize(
    "activation",
    [*(kind() for kind in ACTIVATIONS), nn.LeakyReLU(0.2), nn.LeakyReLU(-2), nn.ELU(1.5), nn.GELU("tanh")],
    ids=str,
)
def test_every_activation_is_torchs(activation, tmp_path, trusted):
    net = nn.Sequential(SparseLinear(generators.rotating(1, 1, fan_in=1), bias=False), activation)
    nn.init.ones_(net[0].weight)
    c(net, tmp_path / "net.c")
    x = np.concatenate([np.linspace(-12, 12, 97), [0, 100, -100]]).astype(np.float32)[:, None]
    many, one = run(compiled(tmp_path / "net.c"), "net", x, 1)
    with torch.no_grad():
        assert_allclose(many, activation(torch.from_numpy(x)).numpy(), rtol=1e-5, atol=1e-6)
    assert_allclose(one, many, rtol=1e-6, atol=1e-7)


@needs_cc
@pytest.mark.parametrize("tile", [None, 1, 16])
def test_every_batch_and_every_tile(tile, tmp_path, trusted):
    net = nn.Sequential(
        *randomly(mlp([24, 40, 17], family="biregular", fan_in=6, dense_output=False)),
        nn.BatchNorm1d(17),
        nn.GELU(),
        randomly(nn.Linear(17, 33, bias=False)),
    )
    net[3].running_mean.normal_()
    net[3].running_var.uniform_(0.5, 2)
    flags = [] if tile is None else [f"-DNET_TILE={tile}"]
    check(net, tmp_path / "net.c", batches=(0, 1, 4, 5, 16, 31, 32, 33, 67), flags=flags)


@needs_cc
def test_a_file_takes_the_memory_it_says_and_allocates_nothing(tmp_path):
    net = randomly(mlp([30, 41, 52, 10], family="rotating", fan_in=6))
    done = c(net, tmp_path / "net.c")
    assert re.fullmatch(r"by cc, largest difference \d\.\de-0[78] of the scale of the outputs", done.verified)
    assert done.source == (tmp_path / "net.c").stat().st_size
    assert done.ram == 4 * c_code.TILE * (52 + 41)
    assert done.ram_single == 4 * (52 + 41)
    assert done.weights == sum(4 * p.numel() for p in net.parameters())
    assert (done.indices, done.wirings) == (0, ("rule", "rule", "none"))
    for tile, ram in ((c_code.TILE, done.ram), (1, done.ram_single)):
        thing = tmp_path / "net.o"
        subprocess.run(
            [str(CC), *STRICT, "-Os", f"-DNET_TILE={tile}", "-c", tmp_path / "net.c", "-o", thing], check=True
        )
        sizes = subprocess.run(["size", "-A", thing], check=True, capture_output=True, text=True).stdout
        bss = int(re.findall(r"\.bss\s+(\d+)", sizes)[0])
        assert ram <= bss <= ram + 64  # alignment
        assert not re.findall(r"\.data\s+[1-9]", sizes)
        symbols = subprocess.run(["nm", "-u", thing], check=True, capture_output=True, text=True).stdout.split()
        assert {*symbols} - {"U"} <= {"memset", "memcpy", "__stack_chk_fail", "_GLOBAL_OFFSET_TABLE_"}


@needs_cc
def test_a_file_is_c_plus_plus_too_and_a_program(tmp_path):
    net = randomly(mlp([7, 6, 3], family="biregular", fan_in=2, activation=nn.GELU))
    c(quantize(net, "int4"), tmp_path / "net.c")
    if shutil.which("g++"):
        flags = ["-std=c++11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", "c++"]
        subprocess.run(["g++", *flags, tmp_path / "net.c"], check=True)
    program = tmp_path / "net"
    subprocess.run([str(CC), *STRICT, "-D", "NET_MAIN", tmp_path / "net.c", "-o", program, "-lm"], check=True)
    x = torch.randn(150, 7)
    out = subprocess.run([program], input=x.numpy().tobytes(), capture_output=True, check=True).stdout
    expected = quantize(net, "int4")(x)
    assert_allclose(np.frombuffer(out, np.float32).reshape(150, 3), expected.numpy(), rtol=1e-5, atol=1e-5)
    broken = subprocess.run([program], input=x.numpy().tobytes()[:-4], capture_output=True)
    assert (broken.returncode, len(broken.stdout)) == (1, 149 * 12)
    assert b"expected whole samples of 7 float32 values" in broken.stderr


def test_what_cannot_be_written_is_told_and_leaves_the_file_as_it_was(tmp_path):
    net = mlp([8, 6, 2], family="biregular", fan_in=3)
    path = tmp_path / "net.c"
    path.write_text("before")
    with pytest.raises(ValueError, match="expected indices to be one of auto, rule, gaps, table, got 'none'"):
        c(net, path, indices="none")
    with pytest.raises(ValueError, match=r"expected outputs that all read translates .*got layer 0, .*biregular"):
        c(net, path, indices="rule")
    with pytest.raises(ValueError, match="expected linear layers"):
        c(nn.Conv1d(1, 1, 1), path)
    with pytest.raises(FileNotFoundError, match="expected a folder"):
        c(net, tmp_path / "nowhere" / "net.c")
    assert [one.name for one in tmp_path.iterdir()] == ["net.c"]
    assert path.read_text() == "before"


@pytest.mark.parametrize(
    "name",
    [
        *(
            "1st",
            "a-b",
            "",
            "int",
            "main",
            "é",
            "_net",
            "x",
            3,
            "size_t",
            "tanh",
            "expf",
            "sinl",
            "j0",
            "malloc",
            "free",
        ),
        *("printf", "memcpy", "strlen", "exit", "rand", "abs", "puts", "toupper", "time", "write", "linux"),
    ],
)
def test_names_that_c_uses_are_refused(name, tmp_path):
    with pytest.raises(ValueError, match=r"expected a name .* that C and its library do not use, .*; pass name='net'"):
        c(nn.Linear(2, 2), tmp_path / "net.c", name=name)


@needs_cc
def test_paths_without_an_ending_and_names_like_those_of_c(tmp_path):
    for name in ("A_b2", "printer"):
        assert c(nn.Linear(2, 2), tmp_path / name).verified.startswith("by ")


CRASHES = "int main(void) { volatile int *p = 0; return *p; }\n"
LOOPS = "int main(void) { for (;;) { } }\n"


@needs_cc
@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, r"expected net in C to give what the network does, .*; report it .*, or take prewired.export.program"),
        ("int", r"expected C that .* compiles and that runs, got .*error.*; try another name="),
        (CRASHES, r"expected C that .* compiles and that runs, got .*SIGSEGV.*; nothing was written; try"),
        (LOOPS, r"expected C that .* compiles and that runs, got .*timed out after 0.2 seconds; nothing was written"),
    ],
)
def test_a_wrong_program_is_no_file(source, message, tmp_path, monkeypatch):
    def wrong(name, found, wirings):
        if source is not None:
            return c_code.CCode(source, 0, 0, 0, 0)
        return c_code.generate_code(name, [*found[:-1], found[-1]._replace(weight=found[-1].weight * 1.001)], wirings)

    path = tmp_path / "net.c"
    path.write_text("before")
    monkeypatch.setattr(writer, "generate_code", wrong)
    monkeypatch.setattr(writer, "LIMIT", 0.2)
    with pytest.raises(RuntimeError, match=message) as raised:
        c(mlp([8, 6, 2], family="biregular", fan_in=3), path)
    assert "\n" not in str(raised.value)
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("net.c", "before")]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'xcrun: error: license' >&2; exit 69", "xcrun: error: license"),
        ("exit 0", "No such file"),
        ('while [ "$1" != -o ]; do shift; done; echo > "$2"', "Permission denied"),
    ],
)
def test_a_compiler_that_does_not_work_is_none(script, reason, tmp_path, monkeypatch):
    cc = tmp_path / "cc"
    cc.write_text(f"#!/bin/sh\n{script}\n")
    cc.chmod(0o755)
    monkeypatch.setattr(writer, "compiler", lambda: str(cc))
    done = c(nn.Linear(2, 2), tmp_path / "net.c")
    assert done.verified.startswith(f"not verified: {cc} makes no programs here, ")
    assert reason in done.verified
    assert f"\n{done.verified}" in str(done)


def test_without_a_compiler_it_is_said(tmp_path, trusted):
    done = c(mlp([8, 6, 2], family="rotating", fan_in=3), tmp_path / "net.c")
    assert done.verified == "not verified: no C compiler found"


def test_the_head_tells_what_it_is_and_cannot_end_early(tmp_path, trusted):
    topology = generators.rotating(8, 6, fan_in=3)
    odd = Topology(4, 2, [0, 1, 2], [0, 3], topology.recipe.make("odd", name="*/ int /* é"))
    c(nn.Sequential(sparse(topology), nn.ReLU(), randomly(nn.Linear(6, 4)), sparse(odd)), tmp_path / "my_net.c")
    head, rest = (tmp_path / "my_net.c").read_text().split("*/", 1)
    for part in ("my_net: a neural network of 8 inputs and 2 outputs", topology.digest, "rotating(n_in=8,", "relu"):
        assert part in head
    assert rest.startswith("\n#include <stddef.h>")
    assert "odd(name='* / int / * ?')" in head


@needs_cc
def test_double_weights_and_training_mode_are_as_in_evaluation(tmp_path):
    net = nn.Sequential(sparse(generators.rotating(8, 6, fan_in=3)), nn.BatchNorm1d(6), nn.Dropout(0.5)).double()
    c(net, tmp_path / "net.c")
    assert net.training
    assert net[0].weight.dtype == torch.float64


@needs_cc
def test_real_images_give_torchs_outputs(tmp_path, trusted, real_data):
    x = data.load("mnist", root=real_data("mnist")).x_test[:300].contiguous()
    for family, kind in (("biregular", "int8"), ("rotating", None)):
        net = mlp([784, 200, 10], family=family, density=0.05, seed=0)
        net, name = quantize(net, kind) if kind else net, family
        c(net, tmp_path / f"{name}.c")
        with torch.no_grad():
            expected = net(x).numpy()
        for got in run(compiled(tmp_path / f"{name}.c"), name, x.numpy(), 10):
            assert np.abs(got - expected).max() <= 1e-5 * np.abs(expected).max()


CLASHES = [
    "NULL",
    "FILE",
    "errno",
    "EOF",
    "NAN",
    "assert",
    "INFINITY",
    "M_PI",
    "BUFSIZ",
    "pid_t",
    "wait",
    "x",
    "n",
    "int",
]


@pytest.mark.parametrize("name", CLASHES)
def test_a_file_called_like_a_name_of_c_gets_another_function(name, tmp_path):
    file = c(nn.Linear(2, 2), tmp_path / f"{name}.c")
    assert f"void net_{name}(const float *x, float *y)" in file.path.read_text()
    if writer.compiler():
        assert file.verified.startswith("by ")
    with pytest.raises(ValueError, match=r"pass name='net'"):
        c(nn.Linear(2, 2), tmp_path / "net.c", name=name)


@needs_cc
@pytest.mark.parametrize("name", [*CLASHES, "net", "classify", "Net2", "my-net.v2", "1st"])
def test_names_live_with_all_headers(name, tmp_path):
    file = c(nn.Linear(2, 2), tmp_path / f"{name}.c")
    headers = (
        "assert complex ctype errno float inttypes limits locale math setjmp signal stdarg stdbool stddef stdint stdio"
    )
    words = [writer.compiler(), "-std=gnu99", "-Werror", "-fsyntax-only"]
    includes = [
        part for header in f"{headers} stdlib string time unistd".split() for part in ("-include", f"{header}.h")
    ]
    result = subprocess.run([*words, *includes, "-xc", str(file.path)], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
