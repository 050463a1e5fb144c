"""Trained networks as files: bytes and test accuracy of each kind."""

import tempfile
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import nn

import prewired as pw
from prewired.nn import quantization
from prewired.nn.sparse_module import WIRING
from prewired.training.evaluation import evaluate

from .timing import set_threads

ROUNDS, MINUTES = 3, 10  # a round is a seed
SIZES, DENSITY, EPOCHS = (784, 1000, 1000, 10), 0.05, 10


def run(rounds: int, quick: bool) -> dict[str, Any]:
    """A record for each kind of file and seed; the data are MNIST."""
    set_threads(1)
    data, epochs = pw.data.load("mnist"), 1 if quick else EPOCHS
    with tempfile.TemporaryDirectory() as folder:
        records = [row for seed in range(rounds) for row in _files(data, seed, epochs, Path(folder))]
    return {"sizes": SIZES, "density": DENSITY, "epochs": epochs, "n_images": len(data.x_test), "records": records}


def _files(data: pw.data.Data, seed: int, epochs: int, folder: Path) -> list[dict[str, Any]]:
    """Bytes and test accuracy of one dense and one sparse network, both trained, in each kind of file."""
    nets = {}
    for family in ("dense", "biregular"):
        print(f"files: training, {family}, seed {seed}", flush=True)
        density = None if family == "dense" else DENSITY
        nets[family] = net = pw.nn.mlp(SIZES, family=family, density=density, seed=seed)
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
        **{f"sparse, {kind}, recipes": (pw.quantize(sparse, kind), False) for kind in quantization.QUANTIZED_KINDS},
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
    state = net.state_dict().items()
    return sum(t.numel() * t.element_size() for name, t in state if name.rpartition(".")[2] not in WIRING)
