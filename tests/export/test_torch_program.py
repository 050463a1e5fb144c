"""Programs of torch.export and AOTInductor packages: written here, run in another process."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import prewired
from prewired import SparseLinear, generators
from prewired.export.torch_program import load_program, package, program
from prewired.nn import mlp
from prewired.nn.quantization import quantize
from prewired.ops.plan_arrays import compute_arrays

ELSEWHERE = """
import sys, torch, prewired.export
assert not {"onnx", "onnxruntime", "sklearn", "pooch", "matplotlib"} & {*sys.modules}, "registering needs no extras"
kind, path, at = sys.argv[1:]
load = prewired.export.load_program if kind == "program" else torch._inductor.aoti_load_package
for k, path in enumerate(path.split(",")):
    one = load(path)
    pairs = torch.load(f"{at}{k}")
    with torch.no_grad():
        torch.testing.assert_close([one(x) for x, _ in pairs], [y for _, y in pairs])
print("the same")
"""


@pytest.fixture(autouse=True)
def afresh():
    """Nothing compiled in a test before."""
    torch._dynamo.reset()


def mixed(dtype=torch.float32):
    """Sparse and dense layers, a batch normalisation with statistics, and another activation."""
    net = nn.Sequential(
        SparseLinear(generators.biregular(24, 32, fan_in=4, seed=0)),
        nn.BatchNorm1d(32),
        nn.GELU(),
        SparseLinear(generators.rotating(32, 20, fan_in=9), kernel="dense"),
        nn.ReLU(),
        nn.Linear(20, 5),
    ).to(dtype)
    net(torch.randn(50, 24, dtype=dtype))
    return net


def small_mlp():
    return mlp([24, 32, 40, 5], family="biregular", fan_in=4, seed=0)


def same_elsewhere(kind, paths, nets, inputs, tmp_path):
    """Files give in a new process what the networks give here."""
    for k, (net, rows) in enumerate(zip(nets, inputs, strict=True)):
        with torch.no_grad():
            torch.save([(x, net.eval()(x)) for x in rows], f"{tmp_path}/pairs{k}")
    words = [kind, ",".join(map(str, paths)), f"{tmp_path}/pairs"]
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", ELSEWHERE, *words], capture_output=True, text=True)
    assert done.stdout == "the same\n", done.stderr


def test_programs_run_in_another_process(tmp_path):
    nets = [small_mlp(), mixed(torch.float64), quantize(small_mlp(), "int4")]
    paths = [program(net, tmp_path / f"net{k}.pt2") for k, net in enumerate(nets)]
    kinds = [torch.float32, torch.float64, torch.float32]
    inputs = [[torch.randn(batch, 24, dtype=kind) for batch in (1, 2, 33)] for kind in kinds]
    same_elsewhere("program", paths, nets, inputs, tmp_path)


def test_a_program_holds_what_it_reads_and_no_example(tmp_path):
    net = mlp([300, 200, 5], family="biregular", fan_in=40, seed=0)
    path = program(net, tmp_path / "net.pt2", example=torch.full((64, 300), 0.125))
    exported = torch.export.load(path)
    read = {node.name for node in exported.graph.find_nodes(op="placeholder") if node.users}
    assert {one.arg.name for one in exported.graph_signature.input_specs} == read
    assert {"0.weight", "2.bias"} <= exported.state_dict.keys()
    wiring = compute_arrays(net[0].topology)
    for name, is_there in {"starts": True, "indices": True, "indices_by_input": False, "mask": False}.items():
        assert is_there == any(
            np.array_equal(getattr(wiring, name), c) for c in exported.constants.values() if c.numel()
        )
    with zipfile.ZipFile(path) as file:
        content = b"".join(map(file.read, file.namelist()))
        sizes = {one.filename: one.file_size for one in file.infolist()}
    assert all(name.startswith("net/") for name in sizes)
    for place in (".py", *(str(Path(module.__file__).parent) for module in (prewired, torch)), str(tmp_path)):
        assert place.encode() not in content
    assert sum(sizes.values()) < 200 * 40 * 8 + 64 * 300 * 4  # not even the rest is as large as the example


def test_the_network_stays_as_it_was_and_a_batch_may_be_fixed(tmp_path):
    net = mixed().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    loaded = torch.export.load(program(net, tmp_path / "net.pt2", batch=1)).module()
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    x = torch.randn(1, 24)
    torch.testing.assert_close(loaded(x), net.eval()(x))
    with pytest.raises(RuntimeError, match="to be equal to 1, but got 2"):
        loaded(torch.randn(2, 24))


def test_any_module_goes_with_an_example(tmp_path):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = nn.Conv1d(2, 3, 3, padding=1)
            self.sparse = SparseLinear(generators.biregular(24, 6, fan_in=4, seed=0))

        def forward(self, x):
            return self.sparse(self.convolution(x).flatten(1)).softmax(-1), x.shape[0]

    net = Net()
    loaded = torch.export.load(program(net, tmp_path / "net.pt2", example=torch.randn(1, 2, 8))).module()
    x = torch.randn(9, 2, 8)
    torch.testing.assert_close(loaded(x), net(x))


def test_a_program_is_for_inference(tmp_path):
    net = mlp([12, 8, 8, 2], family="biregular", fan_in=3, seed=0)
    loaded = torch.export.load(program(net, tmp_path / "net.pt2")).module()
    assert all(p.requires_grad for p in net.parameters())
    assert not any(p.requires_grad for p in loaded.parameters())
    assert not loaded(torch.randn(3, 12)).requires_grad


def test_a_program_keeps_what_a_module_does_to_its_input(tmp_path):
    class Doubling(nn.Linear):
        def forward(self, x):
            return super().forward(x.mul_(2))

    example = torch.ones(2, 3)
    loaded = torch.export.load(program(net := Doubling(3, 2), tmp_path / "net.pt2", example=example)).module()
    assert (example == 1).all()
    torch.testing.assert_close(loaded(torch.ones(4, 3)), net(torch.ones(4, 3)))


class AtLeastTwo(nn.Linear):
    def forward(self, x):
        torch._check(x.shape[0] > 1)
        return super().forward(x)


class Branching(nn.Linear):
    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else x


class Noisy(nn.Linear):
    def forward(self, x):
        return super().forward(x) + torch.rand_like(x[:, :5])


def fails(*_, **__):
    raise OSError("no g++\nand more")


def test_what_cannot_be_exported_is_told(tmp_path, monkeypatch):
    path = tmp_path / "net.pt2"
    path.write_text("before")
    with pytest.raises(ValueError, match=r"expected a network that torch.export takes, got .*; give an input"):
        program(Branching(4, 4), path)
    with pytest.raises(ValueError, match=r"expected a network that torch.export takes, got .*; give an input"):
        program(nn.Linear(4, 4), path, example=torch.randn(3, 5))
    with pytest.raises(ValueError, match=r"expected a path that ends in .pt2, .*net.onnx"):
        program(small_mlp(), tmp_path / "net.onnx")
    with pytest.raises(ValueError, match="expected example=, an input of the network"):
        program(nn.Conv1d(2, 3, 3), path)
    with pytest.raises(ValueError, match="expected an integer batch >= 1, got 0"):
        program(small_mlp(), path, batch=0)
    with pytest.raises(ValueError, match=r"expected example of shape \(batch, ...\), at least one row, got \(0, 24\)"):
        program(small_mlp(), path, example=torch.empty(0, 24))
    with pytest.raises(
        ValueError, match=r"expected a network that takes a batch of 1, got .*; give the size as batch="
    ):
        program(AtLeastTwo(4, 4), path)
    with pytest.raises(FileNotFoundError, match="expected a folder"):
        program(small_mlp(), tmp_path / "nowhere" / "net.pt2")
    with pytest.raises(
        RuntimeError, match=r"expected the program to give what .* in a batch of 64; .*try another example="
    ):
        program(Noisy(24, 5), path)
    monkeypatch.setattr(torch._inductor, "aoti_compile_and_package", fails)
    with pytest.raises(RuntimeError, match=r"expected a network and a C\+\+ compiler .*OSError: no g\+\+; .*program"):
        package(small_mlp(), path)
    assert [one.name for one in tmp_path.iterdir()] == ["net.pt2"]
    assert path.read_text() == "before"


@pytest.mark.slow
def test_packages_run_in_another_process(tmp_path):
    nets = [mlp(), quantize(small_mlp(), "int8"), mixed(torch.float64)]
    paths = [package(net, tmp_path / f"net{k}.pt2") for k, net in enumerate(nets)]
    kinds = [torch.float32, torch.float32, torch.float64]
    inputs = [[torch.randn(batch, 24, dtype=kind) for batch in (1, 2, 33)] for kind in kinds]
    same_elsewhere("package", paths, nets, inputs, tmp_path)


def test_a_program_that_is_not_there_cannot_be_loaded(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected a program in a file, got .*none\.pt2"):
        load_program(tmp_path / "none.pt2")


# A child process for each wing, after torch is imported once.
REGISTERED = """
import importlib, os, sys, torch
for wing in sys.argv[1:]:
    if not os.fork():
        importlib.import_module(f"prewired.{wing}")
        torch.ops.prewired.forward
        assert "onnx" not in sys.modules
        print(wing, flush=True)
        os._exit(0)
    assert os.wait()[1] == 0, wing
"""


def test_each_wing_with_layers_registers_the_operators():
    wings = ["export", "nn", "ops"]
    done = subprocess.run([sys.executable, "-c", REGISTERED, *wings], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == wings


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("write", [program, package])
def test_weights_that_are_not_finite_are_refused(write, value, tmp_path):
    """Fault 1.19."""
    for place in ("weight", "bias"):
        net = small_mlp()
        with torch.no_grad():
            getattr(net[0], place).view(-1)[0] = value
        with pytest.raises(ValueError, match=rf"expected finite numbers in 0\.{place}, got NaN or infinity"):
            write(net, tmp_path / "net.pt2")
    norm = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
    norm[1].running_var[0] = value
    with pytest.raises(ValueError, match=r"1\.running_var"):
        write(norm, tmp_path / "net.pt2")
    assert not [*tmp_path.iterdir()]


def edit_constants(path, change):
    """Change the index tensors of a program in its file; returns how many changed."""
    exported = torch.export.load(path)
    lists = [
        c
        for c in exported.constants.values()
        if isinstance(c, torch.Tensor) and c.numel() and not c.is_floating_point()
    ]
    for c in lists:
        change(c)
    torch.export.save(exported, path)
    return len(lists)


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("density", [0.1, 0.6])
@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.fill_(torch.iinfo(c.dtype).max),
        lambda c: c.fill_(-1),
        lambda c: c.add_(1),
        lambda c: c.copy_(c.flip(0).clone()),
    ],
    ids=["large", "negative", "shifted", "reversed"],
)
def test_programs_with_edited_index_tensors_end_in_an_exception(change, density, batch, tmp_path):
    net = mlp([64, 48, 32, 10], family="erdos_renyi", density=density, seed=0)
    path = program(net, tmp_path / "net.pt2")
    assert edit_constants(path, change) >= 2
    with pytest.raises(RuntimeError, match="expected"):
        load_program(path)(torch.randn(batch, 64))
