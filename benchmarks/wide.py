"""Layers that no dense matrix could hold: seconds and peak memory of a full Adam step, each in a fresh process."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch

from prewired import SparseLinear, generators
from prewired.ops.timing import time_in_turns

from .contenders import difference, edges, feature_major
from .memory import forget_peak_memory, peak_memory
from .timing import THREADS, TURN_SECONDS, set_threads

ROUNDS, MINUTES = 7, 3
SLOW = 2.0  # seconds, see time_in_turns


class Wide(NamedTuple):
    """A square layer, the family that wires it, and what it is trained on."""

    family: str
    width: int
    fan_in: int
    batch: int
    layout: str = "row-major"


CASES = {
    "65,536 random": Wide("biregular", 65_536, 64, 128),
    "65,536 random, feature-major": Wide("biregular", 65_536, 64, 128, "feature-major"),
    "65,536 local": Wide("rotating", 65_536, 64, 128),
    "65,536 local, feature-major": Wide("rotating", 65_536, 64, 128, "feature-major"),
    "1,000,000 random": Wide("constant_fan_in", 1_000_000, 32, 16),
    "1,000,000 local": Wide("rotating", 1_000_000, 32, 16),
}
QUICK = {"4,096 random": Wide("biregular", 4096, 64, 128), "4,096 local": Wide("rotating", 4096, 64, 128)}


def run(rounds: int, quick: bool) -> dict[str, Any]:
    """A record for each case: what its process reports."""
    records = []
    for name, case in (QUICK if quick else CASES).items():
        print(f"wide: {name}", flush=True)
        command = [sys.executable, "-m", f"{__package__}.wide", json.dumps(case), str(rounds)]
        root = Path(__file__).parents[1]
        done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, check=True)
        records.append({"name": name, **case._asdict(), **json.loads(done.stdout)})
    return {"records": records}


def measure(case: Wide, rounds: int) -> dict[str, Any]:
    """Build the layer, check it, time its step; peak memory in bytes, and what is resident after the import."""
    imported = peak_memory()
    start = time.perf_counter()
    seed = {"seed": 0} if generators.takes_seed(case.family) else {}
    topology = generators.make(case.family, n_in=case.width, n_out=case.width, fan_in=case.fan_in, **seed)
    generated = time.perf_counter()
    layer = SparseLinear(topology)
    built = time.perf_counter()
    build_peak = peak_memory()
    lay = feature_major if case.layout == "feature-major" else torch.Tensor.contiguous
    x, g = (lay(torch.randn(case.batch, case.width)) for _ in range(2))
    optimiser = torch.optim.Adam(layer.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        x.grad = None
        optimiser.zero_grad()
        layer(x).backward(g)
        optimiser.step()

    _check(layer, x.requires_grad_(), g)
    forget_peak_memory()
    seconds = {"generator": generated - start, "layer": built - generated}
    for threads in THREADS:
        set_threads(threads)
        seconds[f"step, threads={threads}"] = time_in_turns(
            {"step": step}, rounds=rounds, turn_seconds=TURN_SECONDS, slow=SLOW
        )["step"].median
    return {
        "edges": topology.n_edges,
        "seconds": {name: float(f"{value:.4g}") for name, value in seconds.items()},
        "bytes": {"import": imported, "build": build_peak, "step": peak_memory()},
    }


def _check(layer: SparseLinear, x: torch.Tensor, g: torch.Tensor) -> None:
    """Compare outputs and gradients with sums over the edges of a few outputs and inputs; raises RuntimeError."""
    x.grad = None
    y = layer(x)
    y.backward(g)
    outputs, inputs = edges(layer.topology)
    weight, x_, y, grad = layer.weight.detach(), x.detach(), y.detach(), x.grad
    for unit in (0, 12, layer.in_features - 1):
        out, into = (outputs == unit).nonzero()[:, 0], (inputs == unit).nonzero()[:, 0]
        pairs = {
            "output": (y[:, unit], x_[:, inputs[out]] @ weight[out] + layer.bias.detach()[unit]),
            "gradient of the input": (grad[:, unit], g[:, outputs[into]] @ weight[into]),
            "gradient of the weights": (layer.weight.grad[out], x_[:, inputs[out]].t() @ g[:, unit]),
        }
        for name, (found, expected) in pairs.items():
            if problem := difference(found, expected):
                raise RuntimeError(f"wrong {name} at unit {unit}: {problem}")


if __name__ == "__main__":
    print(json.dumps(measure(Wide(*json.loads(sys.argv[1])), int(sys.argv[2]))))
