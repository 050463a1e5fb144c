"""Multilayer perceptrons of sparse layers."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from ..random_bits import derive_seed
from ..topology import Topology
from . import init
from .linear import SparseLinear
from .sequential import Sequential
from .wiring import check_sizes, wire

SCALES = ("fan_in", "n_in")
"""The choices of the divisor of the initial weights' variance, see `mlp`."""


def mlp(
    sizes: Sequence[int],
    *,
    family: str | None = None,
    density: float | None = None,
    fan_in: int | None = None,
    n_edges: int | None = None,
    budget: str | Sequence[float] | None = None,
    seed: int = 0,
    topologies: Sequence[Topology] | None = None,
    init_seed: int | None = None,
    dense_output: bool = True,
    activation: Callable[[], nn.Module] = nn.ReLU,
    scale: str = "fan_in",
    **parameters: Any,
) -> Sequential:
    """Build a multilayer perceptron: sparse hidden layers, an activation after each, and a dense output layer.

    Hidden weights are drawn from N(0, 2 / fan_in) with the fan-in of each output, weights of the output layer from
    N(0, 1 / fan_in). Biases start at zero. The dense reference, family="dense", consists of nn.Linear layers with the
    same initialisation.

    Args:
        sizes: units per layer, inputs first and outputs last.
        family, density, fan_in, n_edges, budget, seed: how to wire the layers, see `wire`.
        topologies: instead of a family, one topology for each sparse layer, inputs first.
        init_seed: seed of the initial weights; default `seed`. torch's global generator is not changed.
        dense_output: whether the last layer is an nn.Linear rather than a sparse layer.
        activation: called once for each hidden layer.
        scale: "fan_in", or "n_in" to draw the weights of sparse layers from N(0, 2 / n_in), as if a dense network were
            initialised and then masked. These weights are too small; a study can measure the cost.
        **parameters: further parameters of the family, such as fit="nearest".

    Returns:
        A Sequential, which is an nn.Sequential, from (..., sizes[0]) to (..., sizes[-1]).

    Raises:
        ValueError: if the wiring is impossible or does not fit the sizes.

    Example:
        >>> mlp([64, 32, 10], family="biregular", density=0.25, seed=0)(torch.randn(5, 64)).shape
        torch.Size([5, 10])
    """
    if (family is None) == (topologies is None):
        raise ValueError("expected family= or topologies=, exactly one of the two")
    check_sizes(sizes)
    if scale not in SCALES:
        raise ValueError(f"expected scale to be one of {', '.join(SCALES)}, got {scale!r}")
    request = {"density": density, "fan_in": fan_in, "n_edges": n_edges, "budget": budget, **parameters}
    conflicts = [name for name, value in request.items() if value is not None]
    if (family == "dense" or topologies is not None) and conflicts:
        source = "family=dense" if family else "topologies="
        raise ValueError(f"expected no density= or fan_in= with {source}, got {conflicts[0]}=; drop it")
    n_sparse = len(sizes) - 1 - dense_output
    if family == "dense":
        layer_topologies: list[Topology | None] = [None] * n_sparse
    elif topologies is None:
        layer_topologies = [*wire(sizes, family=str(family), seed=seed, dense_output=dense_output, **request)]
    else:
        layer_topologies = [*topologies]
    _check_fit(sizes, layer_topologies, n_sparse)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed if init_seed is None else init_seed, "weights"))
        return _build(sizes, layer_topologies, activation, scale)


def narrow_sizes(sizes: Sequence[int], n_parameters: int) -> list[int]:
    """Scale all hidden widths by one factor, so that the dense network has at most n_parameters.

    Returns the widest such network; if even one unit per hidden layer is too many, returns one unit per hidden layer.

    Example:
        >>> narrow_sizes([784, 1000, 1000, 10], 190_010)
        [784, 192, 192, 10]
    """

    def scale_hidden_sizes(scale: float) -> list[int]:
        return [sizes[0], *(max(1, round(width * scale)) for width in sizes[1:-1]), sizes[-1]]

    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if sum((a + 1) * b for a, b in pairwise(scale_hidden_sizes(middle))) <= n_parameters:
            low = middle
        else:
            high = middle
    return scale_hidden_sizes(low)


def count_parameters(net: nn.Module) -> int:
    """Number of parameters, weights and biases.

    Example:
        >>> count_parameters(nn.Linear(3, 2))
        8
    """
    return sum(p.numel() for p in net.parameters())


def _check_fit(sizes: Sequence[int], layer_topologies: Sequence[Topology | None], n_sparse: int) -> None:
    if len(layer_topologies) != n_sparse:
        raise ValueError(f"expected {n_sparse} topologies for sizes {list(sizes)}, got {len(layer_topologies)}")
    for k, (t, a, b) in enumerate(zip(layer_topologies, sizes, sizes[1:], strict=False)):
        if t is not None and (t.n_in, t.n_out) != (a, b):
            raise ValueError(f"expected topology {k} to be {a} -> {b}, got {t.n_in} -> {t.n_out}")
    for k, (before, after) in enumerate(pairwise(layer_topologies)):
        if before is None or after is None or before.names is None or after.names is None:
            continue
        for own, other in zip(before.names.outputs, after.names.inputs, strict=True):
            if own != other:
                raise ValueError(
                    f"expected the inputs of topology {k + 1} named as the outputs of topology {k}, got {other!r} for "
                    f"{own!r}; put them in order with prewired.io.align"
                )


def _build(
    sizes: Sequence[int], layer_topologies: Sequence[Topology | None], activation: Callable[[], nn.Module], scale: str
) -> Sequential:
    layers: list[nn.Module] = []
    n_layers = len(sizes) - 1
    for k, (a, b) in enumerate(pairwise(sizes)):
        topology = layer_topologies[k] if k < len(layer_topologies) else None
        layer = nn.Linear(a, b) if topology is None else SparseLinear(topology)
        last = k == n_layers - 1
        if isinstance(layer, SparseLinear):
            gain = 1.0 if last else 2**0.5
            if scale == "fan_in":
                init.kaiming_normal_(layer.weight, layer.topology, gain=gain)
            else:
                nn.init.normal_(layer.weight, std=gain * a**-0.5)
        else:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear" if last else "relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
        layers.append(layer)
        if not last:
            layers.append(activation())
    return Sequential(*layers)
