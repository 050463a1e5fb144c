"""Compute metrics of the weights during a training."""

import math
from collections.abc import Iterable

import numpy as np
from torch import nn

from .. import generators
from ..metrics import WEIGHTED_METRICS
from ..nn.linear import SparseLinear
from ..topology import Topology

Layer = SparseLinear | nn.Linear


def find_tracked_layers(net: nn.Module, names: Iterable[str]) -> list[tuple[Topology, Layer]]:
    """Return the linear layers in the network's order, each with its topology.

    Raises:
        ValueError: if a name is unknown or there is no linear layer.
    """
    for name in names:
        if name not in WEIGHTED_METRICS:
            raise ValueError(f"expected metrics to track among {', '.join(WEIGHTED_METRICS)}, got {name!r}")
    layers = [layer for layer in net.modules() if isinstance(layer, Layer)]
    if not layers:
        raise ValueError(
            f"expected a network with a SparseLinear or nn.Linear to track, got {type(net).__name__} without one; "
            "leave track= out"
        )
    return [(_topology_of(layer), layer) for layer in layers]


def _topology_of(layer: Layer) -> Topology:
    if isinstance(layer, SparseLinear):
        return layer.topology
    return generators.dense(layer.in_features, layer.out_features)


def record_metrics(tracked: dict[str, list[tuple[float, ...]]], layers: list[tuple[Topology, Layer]]) -> None:
    """Append the metrics of the current weights."""
    weights = [layer.weight.detach().cpu().double().reshape(-1).numpy() for _, layer in layers]
    for name, values in tracked.items():
        values.append(tuple(_measure(name, t, w) for (t, _), w in zip(layers, weights, strict=True)))


def _measure(name: str, t: Topology, weights: np.ndarray) -> float:
    """Compute the metric; NaN if an iteration does not converge, because that must not end a training."""
    try:
        return WEIGHTED_METRICS[name](t, weights)
    except RuntimeError:
        return math.nan
