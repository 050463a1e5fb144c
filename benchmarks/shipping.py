"""Trained networks as files: bytes and test accuracy of each kind, and time per image of each way to run one."""

import ctypes
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import nn

import prewired as pw
from prewired import compression, export
from prewired.export.c_file import compiler
from prewired.export.onnx_file import session
from prewired.training import evaluate

from .timing import record, set_threads, take_turns

ROUNDS, MINUTES = 21, 12
SIZES, DENSITY, EPOCHS, SEEDS = (784, 1000, 1000, 10), 0.05, 10, (0, 1, 2)
FAMILIES = ("biregular", "grouped")
BATCHES = (1, 64)
TOLERANCE = 1e-5
DENSE = "torch, dense"
FLAGS = {"C": ("-O3",), "C, -march=native": ("-O3", "-march=native")}


def run(rounds: int, quick: bool) -> dict[str, Any]:
    """Records of files and of times; the data are MNIST."""
    set_threads(1)
    data = pw.data.load("mnist")
    seeds, epochs = (SEEDS[:1], 1) if quick else (SEEDS, EPOCHS)
    with tempfile.TemporaryDirectory() as folder:
        files = [one for seed in seeds for one in _files(data, seed, epochs, Path(folder))]
        times, agreed = [], {}
        for family in FAMILIES:
            print(f"shipping: times, {family}", flush=True)
            calls, agreed[family] = _ways(family, data, Path(folder))
            for batch in BATCHES:
                timed = take_turns({name: call(batch) for name, call in calls.items()}, rounds)
                records = ((name, record(timing, timed[DENSE])) for name, timing in timed.items())
                times += [{"family": family, "batch": batch, "way": name, **one} for name, one in records]
    about = {"sizes": SIZES, "density": DENSITY, "epochs": epochs, "n_images": len(data.x_test), "difference": agreed}
    return {**about, "files": files, "times": times}


def _files(data: pw.data.Data, seed: int, epochs: int, folder: Path) -> list[dict[str, Any]]:
    """Bytes and test accuracy of one dense and one sparse network, both trained, in each kind of file."""
    nets = {}
    for family in ("dense", "biregular"):
        print(f"shipping: training, {family}, seed {seed}", flush=True)
        density = None if family == "dense" else DENSITY
        nets[family] = net = pw.networks.mlp(SIZES, family=family, density=density, seed=seed)
        pw.train(net, data, pw.TrainConfig(epochs=epochs, seed=seed))
    dense, sparse = nets.values()
    plain, path = folder / "plain.safetensors", folder / "net.safetensors"
    safetensors.torch.save_file(sparse.state_dict(), plain)
    rows = [_row("sparse, float32, int32 indices", plain, sparse, data)]
    kept = {
        "dense, float32": (dense, False),
        "dense, int8": (pw.quantize(dense, "int8"), False),
        "sparse, float32, edges coded": (sparse, True),
        "sparse, float32, recipes": (sparse, False),
        **{f"sparse, {kind}, recipes": (pw.quantize(sparse, kind), False) for kind in compression.KINDS},
    }
    for name, (net, indices) in kept.items():
        pw.save(net, path, indices=indices)
        rows.append(_row(name, path, pw.load(path), data))
    return [{"seed": seed, **row} for row in rows]


def _row(name: str, path: Path, net: nn.Module, data: pw.data.Data) -> dict[str, Any]:
    """A file, and the test accuracy of the network that came out of it."""
    size = {"file": name, "bytes": path.stat().st_size, "weights": _bytes(net)}
    return {**size, "accuracy": round(evaluate(net, data, data.x_test, data.y_test)[1], 4)}


def _bytes(net: nn.Module) -> int:
    """Of the weights alone."""
    wiring = ("n_in", "indptr", "indices")
    state = net.state_dict().items()
    return sum(t.numel() * t.element_size() for name, t in state if name.rpartition(".")[2] not in wiring)


def _ways(
    family: str, data: pw.data.Data, folder: Path
) -> tuple[dict[str, Callable[[int], Callable[[], Any]]], dict[str, float]]:
    """Each way to run a network: batch -> call; and the largest difference from torch, relative, on all test images."""
    net = pw.networks.mlp(SIZES, family=family, density=DENSITY, seed=0)
    dense = nn.Sequential(*(_dense(layer) if isinstance(layer, pw.SparseLinear) else layer for layer in net))
    ways: dict[str, Callable[[np.ndarray], Any]] = {DENSE: _torch(dense), "prewired": _torch(net)}
    ways["onnxruntime, dense"] = _onnx(net, folder, "dense", 1)
    for form in ("sparse", "packed", "gather", "gather_batch", "blocks"):
        if form != "blocks" or family == "grouped":
            ways[f"onnxruntime, {form}"] = _onnx(net, folder, form, 1)
    for batch in BATCHES:
        ways[f"onnxruntime, auto for {batch}"] = _onnx(net, folder, "auto", batch)
    if compiler():
        ways |= {name: _c(net, folder, flags) for name, flags in FLAGS.items()}
        ways["C, int8"] = _c(pw.quantize(net, "int8"), folder, ("-O3",))
    images = data.x_test.numpy()
    with torch.no_grad():
        expected = net(data.x_test).numpy()
    differences = {}
    for name, way in ways.items():
        got = np.concatenate([way(images[at : at + 64]) for at in range(0, len(images), 64)])
        differences[name] = float(np.abs(got - expected).max() / np.abs(expected).max())
        if "int8" not in name and differences[name] > TOLERANCE:
            raise RuntimeError(f"{name} differs from prewired by {differences[name]:.2g}")
    rows = {batch: np.ascontiguousarray(images[:batch]) for batch in BATCHES}
    return {name: lambda batch, way=way: lambda: way(rows[batch]) for name, way in ways.items()}, differences


def _dense(layer: pw.SparseLinear) -> nn.Linear:
    dense = nn.Linear(layer.in_features, layer.out_features)
    with torch.no_grad():
        dense.weight.copy_(layer.to_dense())
        dense.bias.copy_(layer.bias)
    return dense


def _torch(net: nn.Module) -> Callable[[np.ndarray], Any]:
    @torch.inference_mode()
    def call(x: np.ndarray) -> np.ndarray:
        return net(torch.from_numpy(x)).numpy()

    return call


def _onnx(net: nn.Module, folder: Path, form: str, batch: int) -> Callable[[np.ndarray], Any]:
    export.onnx(net, folder / "net.onnx", form=form, batch=batch)
    one = session((folder / "net.onnx").read_bytes())
    return lambda x: one.run(None, {"x": x})[0]


def _c(net: nn.Module, folder: Path, flags: tuple[str, ...]) -> Callable[[np.ndarray], Any]:
    """The function of the C file, called through ctypes."""
    export.c(net, folder / "net.c", name="net")
    library = Path(tempfile.mkdtemp(dir=folder)) / "net.so"
    subprocess.run([compiler(), *flags, "-shared", "-fPIC", folder / "net.c", "-o", library, "-lm"], check=True)
    function, pointer = ctypes.CDLL(library).net_batch, ctypes.c_void_p

    def call(x: np.ndarray) -> np.ndarray:
        y = np.empty((len(x), SIZES[-1]), np.float32)
        function(pointer(x.ctypes.data), pointer(y.ctypes.data), len(x))
        return y

    return call
