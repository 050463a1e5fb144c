"""Metrics of a topology: plain functions Topology -> float."""

from collections.abc import Callable

from ..topology import Topology
from .degrees import (
    connected_components,
    dead_inputs,
    dead_outputs,
    density,
    fan_in_cv,
    fan_in_max,
    fan_in_min,
    fan_out_cv,
    fan_out_max,
    fan_out_min,
)
from .spectrum import (
    algebraic_connectivity,
    leading_singular_values,
    normalized_algebraic_connectivity,
    normalized_spectral_gap,
    ramanujan_ratio,
    relative_spectral_gap,
    spectral_gap,
)

METRICS: dict[str, Callable[[Topology], float]] = {
    metric.__name__: metric
    for metric in (
        density,
        fan_in_min,
        fan_in_max,
        fan_in_cv,
        fan_out_min,
        fan_out_max,
        fan_out_cv,
        dead_inputs,
        dead_outputs,
        connected_components,
        spectral_gap,
        relative_spectral_gap,
        normalized_spectral_gap,
        ramanujan_ratio,
        algebraic_connectivity,
        normalized_algebraic_connectivity,
    )
}


def measure(t: Topology) -> dict[str, float]:
    """Every metric of a topology, by name.

    Args:
        t: the topology.

    Returns:
        A dict from the names in METRICS to floats.

    Raises:
        RuntimeError: if an eigenvalue of a very large graph does not settle.

    Example:
        >>> from prewired import generators
        >>> measure(generators.grouped(8, 8, fan_in=2))["connected_components"]
        4.0
    """
    return {name: metric(t) for name, metric in METRICS.items()}


__all__ = [
    "METRICS",
    "algebraic_connectivity",
    "connected_components",
    "dead_inputs",
    "dead_outputs",
    "density",
    "fan_in_cv",
    "fan_in_max",
    "fan_in_min",
    "fan_out_cv",
    "fan_out_max",
    "fan_out_min",
    "leading_singular_values",
    "measure",
    "normalized_algebraic_connectivity",
    "normalized_spectral_gap",
    "ramanujan_ratio",
    "relative_spectral_gap",
    "spectral_gap",
]
