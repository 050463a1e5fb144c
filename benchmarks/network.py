"""A whole training step of a 784-1000-1000-10 MLP in the plain PyTorch loop, fused optimisers on both sides."""

import copy
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn

from prewired import SparseLinear
from prewired.nn import mlp, wire
from prewired.ops.timing import time_in_turns

from . import peers
from .contenders import difference
from .timing import THREADS, TURN_SECONDS, record, set_threads

ROUNDS, MINUTES = 21, 2
SIZES, BATCH, N_BATCHES = (784, 1000, 1000, 10), 128, 8
DENSITIES = (0.01, 0.05, 0.1, 0.2)
DROP_INS = ("masked dense", "SparseProp", "SparseLab")  # torch CSR, the slowest, is in the layer part
TOLERANCE = 1e-3  # a ReLU may fall on the other side of zero
OPTIMISERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=1e-3, momentum=0.9, fused=True),
    "Adam": lambda parameters: torch.optim.Adam(parameters, lr=1e-4, fused=True),
}
Batch = tuple[torch.Tensor, torch.Tensor]


class Net(NamedTuple):
    """A network and all its linear layers."""

    module: nn.Module
    layers: list[peers.DropIn]


def run(rounds: int, quick: bool) -> dict[str, Any]:
    """A record for each contender, optimiser, density and thread count, and one for each contender not timed."""
    torch.manual_seed(0)
    batches = [(torch.randn(BATCH, SIZES[0]), torch.randint(0, SIZES[-1], (BATCH,))) for _ in range(N_BATCHES)]
    _nets(0.5, batches[0])  # loads every peer, so that set_threads reaches all of their libraries
    records, problems = [], []
    for threads in THREADS:
        set_threads(threads)
        for density in (0.1,) if quick else DENSITIES:
            print(f"network: threads={threads}, {100 * density:g} %", flush=True)
            steps = {}
            for optimiser, make in OPTIMISERS.items():
                fit, unfit = _nets(density, batches[0])
                steps |= {(name, optimiser): _step(net, make(net.parameters()), batches) for name, net in fit.items()}
            cell = {"threads": threads, "density": density}
            problems += [{**cell, "contender": name, "problem": problem} for name, problem in unfit.items()]
            records += [{**cell, **found} for found in _timed(steps, rounds)]
    return {"sizes": SIZES, "batch": BATCH, "problems": problems, "records": records}


def _step(net: nn.Module, optimiser: torch.optim.Optimizer, batches: list[Batch]) -> Callable[[], None]:
    turn = itertools.cycle(batches)

    def step() -> None:
        x, target = next(turn)
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(net(x), target)
        loss.backward()
        optimiser.step()

    return step


def _timed(steps: dict[tuple[str, str], Callable[[], None]], rounds: int) -> list[dict[str, Any]]:
    timings = time_in_turns(steps, rounds=rounds, turn_seconds=TURN_SECONDS, pause=peers.SETTLE)
    return [
        {"contender": name, "optimiser": optimiser, **record(timing, timings[peers.DENSE, optimiser])}
        for (name, optimiser), timing in timings.items()
    ]


def _nets(density: float, batch: Batch) -> tuple[dict[str, nn.Module], dict[str, str]]:
    """Networks of the same weights that give the same logits and gradients, and what is the matter with the others."""
    topologies = wire(SIZES, family="biregular", density=density, seed=0)
    sparse = mlp(SIZES, topologies=topologies, init_seed=0)
    layers = [layer for layer in sparse.modules() if isinstance(layer, SparseLinear)]
    dense = mlp(SIZES, family="dense", init_seed=0)
    *linears, output = [layer for layer in dense.modules() if isinstance(layer, nn.Linear)]
    output.load_state_dict(sparse[-1].state_dict())
    with torch.no_grad():
        for layer, linear in zip(layers, linears, strict=True):
            linear.weight.copy_(layer.to_dense())

    def built(name: str) -> Net:
        if name == peers.ROW_MAJOR:
            hidden = [peers.DropIn(layer, lambda layer=layer: layer.weight.grad) for layer in layers]
            return _net(sparse, hidden)
        hidden = [peers.DROP_INS[name](*pair) for pair in zip(linears, topologies, strict=True)]
        return _net(dense if name == peers.DENSE else _chain(hidden, output), hidden)

    expected = _results(built(peers.DENSE), batch)
    fit, unfit = peers.sorted_out(
        (peers.DENSE, peers.ROW_MAJOR, *DROP_INS), built, lambda net: _complaint(_results(net, batch), expected)
    )
    return {name: net.module for name, net in fit.items()}, unfit


def _chain(hidden: list[peers.DropIn], output: nn.Linear) -> nn.Sequential:
    return nn.Sequential(*(part for layer in hidden for part in (layer.module, nn.ReLU())), copy.deepcopy(output))


def _net(module: nn.Sequential, hidden: list[peers.DropIn]) -> Net:
    output = module[-1]
    return Net(module, [*hidden, peers.DropIn(output, lambda: output.weight.grad)])


def _results(net: Net, batch: Batch) -> dict[str, torch.Tensor]:
    x, target = batch
    net.module.zero_grad()
    logits = net.module(x)
    nn.functional.cross_entropy(logits, target).backward()
    found = {"logits": logits.detach()}
    for k, (layer, edge_gradient) in enumerate(net.layers, start=1):
        found[f"gradient of the weights of layer {k}"] = edge_gradient().clone()
        found[f"gradient of the bias of layer {k}"] = layer.get_parameter("bias").grad.clone()
    return found


def _complaint(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> str:
    for name, value in found.items():
        if problem := difference(value, expected[name], TOLERANCE):
            return f"wrong {name}: {problem}"
    return ""
