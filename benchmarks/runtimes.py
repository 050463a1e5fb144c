"""Time per image of each way to run one network: torch, prewired, onnxruntime with each form, C."""

import ctypes
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

import prewired as pw
from prewired import export
from prewired.export.c_file.writer import compiler
from prewired.export.onnx_file.forms import FORMS
from prewired.export.onnx_file.writer import session
from prewired.ops.timing import time_in_turns

from .files import DENSITY, SIZES
from .timing import TURN_SECONDS, record, set_threads

ROUNDS, MINUTES = 41, 2
FAMILIES = ("biregular", "grouped")
BATCHES = (1, 64)
TOLERANCE = 1e-5
DENSE = "torch, dense"
FLAGS = {"C, -O3": ("-O3",), "C, -O3 -march=native": ("-O3", "-march=native")}
OWN, OWN_INT8 = "prewired", "prewired, int8"
REFERENCES = {"C, int8, -O3": OWN_INT8}
"""What a way is compared with, if not with prewired."""


class Way(NamedTuple):
    """A way to run a network."""

    run: Callable[[np.ndarray], np.ndarray]
    """From a batch to its outputs."""
    bytes: int
    """Of the network's file; of a C file, once it is compiled."""


def run(rounds: int, quick: bool) -> dict[str, Any]:
    """A record for each family, batch and way; every way is compared on all test images of MNIST before it is timed."""
    set_threads(1)
    data = pw.data.load("mnist")
    images = data.x_test.numpy()
    records, differences = [], {}
    for family in FAMILIES:
        print(f"runtimes: {family}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            net = pw.nn.mlp(SIZES, family=family, density=DENSITY, seed=0)
            pw.train(net, data, pw.TrainConfig(epochs=1))
            ways = _ways(net, Path(folder))
            differences[family] = _differences(ways, images)
            for batch in BATCHES:
                x = np.ascontiguousarray(images[:batch])
                timed = time_in_turns(
                    {name: partial(way.run, x) for name, way in ways.items()}, rounds=rounds, turn_seconds=TURN_SECONDS
                )
                own = {"family": family, "batch": batch}
                sized = {name: {"way": name, "bytes": way.bytes} for name, way in ways.items()}
                records += [{**own, **sized[name], **record(timing, timed[DENSE])} for name, timing in timed.items()]
    about = {"sizes": SIZES, "density": DENSITY, "n_images": len(images), "library": _library()}
    return {**about, "differences": differences, "records": records}


def _library() -> int:
    """Bytes of onnxruntime's own library."""
    folder = Path(find_spec("onnxruntime").origin).parent / "capi"
    return max(path.stat().st_size for path in folder.iterdir())


def _ways(net: nn.Module, folder: Path) -> dict[str, Way]:
    """Each way to run a network, from a batch in NumPy to its outputs."""
    dense = nn.Sequential(*(_dense(layer) if isinstance(layer, pw.SparseLinear) else layer for layer in net))
    rounded = pw.quantize(net, "int8")
    nets = {DENSE: dense, OWN: net, OWN_INT8: rounded}
    ways = {name: _torch(one, folder) for name, one in nets.items()}
    for form in FORMS:
        with suppress(ValueError):  # no such form for this wiring
            ways[f"onnxruntime, {form}"] = _onnx(net, folder, form, 1)[0]
    for batch in BATCHES:
        way, taken = _onnx(net, folder, "auto", batch)
        ways[f"onnxruntime, auto for {batch}: {', '.join(taken)}"] = way
    if compiler():
        ways |= {name: _c(net, folder, flags) for name, flags in FLAGS.items()}
        ways["C, int8, -O3"] = _c(rounded, folder, ("-O3",))
    return ways


def _differences(ways: dict[str, Way], images: np.ndarray) -> dict[str, float]:
    """The largest difference in any output from prewired, relative to the largest; raises if it is too large.

    C in int8 is compared with prewired in int8, and that with prewired, which it need not resemble to the last digit.
    """

    def outputs(way: Way) -> np.ndarray:
        return np.concatenate([way.run(images[at : at + 64]) for at in range(0, len(images), 64)])

    got = {name: outputs(way) for name, way in ways.items()}
    found = {}
    for name in ways:
        expected = got[REFERENCES.get(name, OWN)]
        found[name] = float(f"{np.abs(got[name] - expected).max() / np.abs(expected).max():.2g}")
        if name != OWN_INT8 and found[name] > TOLERANCE:
            raise RuntimeError(f"{name} differs by {found[name]}")
    return found


def _dense(layer: pw.SparseLinear) -> nn.Linear:
    dense = nn.Linear(layer.in_features, layer.out_features)
    with torch.no_grad():
        dense.weight.copy_(layer.to_dense())
        dense.bias.copy_(layer.bias)
    return dense


def _torch(net: nn.Module, folder: Path) -> Way:
    pw.save(net, folder / "net")

    @torch.inference_mode()
    def call(x: np.ndarray) -> np.ndarray:
        return net(torch.from_numpy(x)).numpy()

    return Way(call, (folder / "net").stat().st_size)


def _onnx(net: nn.Module, folder: Path, form: str, batch: int) -> tuple[Way, list[str]]:
    """The session of an ONNX file, and the form that each layer has in it."""
    exported = export.onnx(net, folder / "net.onnx", form=form, batch=batch)
    one = session(exported.path.read_bytes())
    forms = [layer.form for layer in exported.layers]
    return Way(lambda x: one.run(None, {"x": x})[0], exported.bytes), forms


def _c(net: nn.Module, folder: Path, flags: tuple[str, ...]) -> Way:
    """The function of the C file, called through ctypes."""
    export.c(net, folder / "net.c", name="net")
    library = Path(tempfile.mkdtemp(dir=folder)) / "net.so"
    subprocess.run([compiler(), *flags, "-c", folder / "net.c", "-o", folder / "net.o"], check=True)
    subprocess.run([compiler(), *flags, "-shared", "-fPIC", folder / "net.c", "-o", library, "-lm"], check=True)
    function, pointer = ctypes.CDLL(library).net_batch, ctypes.c_void_p

    def call(x: np.ndarray) -> np.ndarray:
        y = np.empty((len(x), SIZES[-1]), np.float32)
        function(pointer(x.ctypes.data), pointer(y.ctypes.data), len(x))
        return y

    return Way(call, (folder / "net.o").stat().st_size)
