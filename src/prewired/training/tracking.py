"""Metrics of the weights, followed during a training."""

import math
from collections.abc import Iterable

import numpy as np
from torch import nn

from .. import generators
from ..metrics import WEIGHTED_METRICS
from ..nn.linear import SparseLinear
from ..topology import Topology

Layer = SparseLinear | nn.Linear


def layers_to_track(net: nn.Module, names: Iterable[str]) -> list[tuple[Topology, Layer]]:
    """The layers with a matrix of weights, in the network's order, each with its wiring."""
    for name in names:
        if name not in WEIGHTED_METRICS:
            raise ValueError(f"expected metrics to track among {', '.join(WEIGHTED_METRICS)}, got {name!r}")
    layers = [layer for layer in net.modules() if isinstance(layer, Layer)]
    if not layers:
        raise ValueError(
            f"expected a network with a SparseLinear or nn.Linear to track, got {type(net).__name__} without one; "
            "leave track= out"
        )
    return [(_wiring(layer), layer) for layer in layers]


def _wiring(layer: Layer) -> Topology:
    if isinstance(layer, SparseLinear):
        return layer.topology
    return generators.dense(layer.in_features, layer.out_features)


def follow(tracked: dict[str, list[tuple[float, ...]]], layers: list[tuple[Topology, Layer]]) -> None:
    """Append the metrics of the weights as they are now."""
    weights = [layer.weight.detach().cpu().double().reshape(-1).numpy() for _, layer in layers]
    for name, values in tracked.items():
        values.append(tuple(_measured(name, t, w) for (t, _), w in zip(layers, weights, strict=True)))


def _measured(name: str, t: Topology, weights: np.ndarray) -> float:
    """The metric, NaN where an iteration does not settle: that must not end a training."""
    try:
        return WEIGHTED_METRICS[name](t, weights)
    except RuntimeError:
        return math.nan
