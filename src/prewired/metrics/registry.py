"""The registries of metrics by name, and the functions that measure several metrics at once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from inspect import signature
from typing import Any, Literal, overload

from ..topology import Topology
from ._internal.flows import check_network
from .communities import modularity
from .cuts import conductance
from .cycles import four_cycle_ratio, four_cycles, girth, latapy_clustering, robins_alexander_clustering
from .degrees import (
    connected_components,
    dead_inputs,
    dead_outputs,
    density,
    duplicate_inputs,
    duplicate_outputs,
    fan_in_cv,
    fan_in_gini,
    fan_in_max,
    fan_in_min,
    fan_out_cv,
    fan_out_gini,
    fan_out_max,
    fan_out_min,
)
from .distances import diameter, mean_path_length
from .expander_bounds import imdb, narc, perron_difference, ramanujan_difference, random_ratio, rbgp_gap
from .expander_mixing import mixing_deviation
from .laplacian import algebraic_connectivity, normalized_algebraic_connectivity
from .measurement import Measurement
from .paths import effective_receptive_field, log_paths, path_cv
from .product_spectrum import normalized_product_spectral_gap, product_spectral_gap, relative_product_spectral_gap
from .reachability import (
    dead_hidden_units,
    effective_edges,
    effective_nodes,
    reachable_share,
    receptive_field,
    unreachable_inputs,
    unreachable_outputs,
)
from .scatter import scatter
from .spectrum import normalized_spectral_gap, ramanujan_ratio, relative_spectral_gap, spectral_gap
from .weighted import effective_rank, relative_weighted_spectral_gap, stable_rank, weighted_spectral_gap

NamedProgress = Callable[[str, int, int | None], None]
"""A function that is called with the name of a metric, the steps done and the steps in all, None until estimated."""
METRICS: dict[str, Callable[..., float]] = {
    metric.__name__: metric
    for metric in (
        density,
        fan_in_min,
        fan_in_max,
        fan_in_cv,
        fan_in_gini,
        fan_out_min,
        fan_out_max,
        fan_out_cv,
        fan_out_gini,
        dead_inputs,
        dead_outputs,
        duplicate_inputs,
        duplicate_outputs,
        connected_components,
        spectral_gap,
        relative_spectral_gap,
        normalized_spectral_gap,
        ramanujan_ratio,
        ramanujan_difference,
        perron_difference,
        random_ratio,
        rbgp_gap,
        imdb,
        narc,
        algebraic_connectivity,
        normalized_algebraic_connectivity,
        conductance,
        mixing_deviation,
        four_cycles,
        four_cycle_ratio,
        girth,
        latapy_clustering,
        robins_alexander_clustering,
        diameter,
        mean_path_length,
        modularity,
        scatter,
    )
}
"""Metrics of a topology."""
NETWORK_METRICS: dict[str, Callable[..., float]] = {
    metric.__name__: metric
    for metric in (
        log_paths,
        path_cv,
        reachable_share,
        receptive_field,
        effective_receptive_field,
        unreachable_inputs,
        unreachable_outputs,
        dead_hidden_units,
        effective_nodes,
        effective_edges,
        product_spectral_gap,
        relative_product_spectral_gap,
        normalized_product_spectral_gap,
    )
}
"""Metrics of a network: a list of topologies, inputs first."""
WEIGHTED_METRICS: dict[str, Callable[..., float]] = {
    metric.__name__: metric
    for metric in (weighted_spectral_gap, relative_weighted_spectral_gap, effective_rank, stable_rank)
}
"""Metrics of a topology and the weights of its edges, (n_edges,)."""


@overload
def measure(
    t: Topology,
    names: Iterable[str] | None = ...,
    *,
    explain: Literal[False] = ...,
    progress: NamedProgress | None = ...,
) -> dict[str, float]: ...


@overload
def measure(
    t: Topology, names: Iterable[str] | None = ..., *, explain: Literal[True], progress: NamedProgress | None = ...
) -> dict[str, Measurement]: ...


def measure(
    t: Topology, names: Iterable[str] | None = None, *, explain: bool = False, progress: NamedProgress | None = None
) -> dict[str, float] | dict[str, Measurement]:
    """Measure metrics of a topology, by name.

    Args:
        t: the topology.
        names: the metrics to measure, in this order; all of METRICS if not given.
        explain: return Measurements, with bounds, method and certificate, instead of floats.
        progress: called with the name of the current metric, the steps done in it and the steps in all, None until
            they can be estimated.

    Returns:
        A dict from the names to floats or Measurements.

    Raises:
        ValueError: for an unknown name.
        TypeError: if `t` is no Topology.
        RuntimeError: if an iteration on a very large graph does not converge.

    Example:
        >>> from prewired import generators
        >>> measure(generators.grouped(8, 8, fan_in=2), ["connected_components", "density"])
        {'connected_components': 4.0, 'density': 0.25}
    """
    if not isinstance(t, Topology):
        raise TypeError(
            f"expected a Topology, got {type(t).__name__}; take layer.topology of a layer, Topology.from_mask of a "
            "mask, or measure_network for several layers"
        )
    return _measure_each(METRICS, t, names, explain, progress)


@overload
def measure_network(
    topologies: Sequence[Topology],
    names: Iterable[str] | None = ...,
    *,
    explain: Literal[False] = ...,
    progress: NamedProgress | None = ...,
) -> dict[str, float]: ...


@overload
def measure_network(
    topologies: Sequence[Topology],
    names: Iterable[str] | None = ...,
    *,
    explain: Literal[True],
    progress: NamedProgress | None = ...,
) -> dict[str, Measurement]: ...


def measure_network(
    topologies: Sequence[Topology],
    names: Iterable[str] | None = None,
    *,
    explain: bool = False,
    progress: NamedProgress | None = None,
) -> dict[str, float] | dict[str, Measurement]:
    """Measure metrics of a whole network, by name.

    Args:
        topologies: the layers of the network, inputs first.
        names: the metrics to measure, in this order; all of NETWORK_METRICS if not given.
        explain, progress: as of `measure`.

    Returns:
        A dict from the names to floats or Measurements.

    Raises:
        ValueError: for an unknown name, or if the topologies are not a network.
        RuntimeError: if an iteration on a very large network does not converge.

    Example:
        >>> from prewired import generators
        >>> measure_network(generators.butterfly([16, 16, 16], fan_in=4), ["reachable_share", "effective_edges"])
        {'reachable_share': 1.0, 'effective_edges': 128.0}
    """
    return _measure_each(NETWORK_METRICS, check_network(topologies), names, explain, progress)


def _measure_each(
    registry: Mapping[str, Callable[..., Any]],
    subject: Any,
    names: Iterable[str] | None,
    explain: bool,
    progress: NamedProgress | None,
) -> dict[str, Any]:
    """Measure metrics of a registry on a subject: a topology or a list of topologies."""
    if isinstance(names, str):
        raise ValueError(f"expected names as a list, got {names!r}; put it in brackets")
    results: dict[str, Any] = {}
    for name in registry if names is None else names:
        if name not in registry:
            raise ValueError(f"expected metrics among {', '.join(registry)}, got {name!r}")
        if progress is not None:
            progress(name, 0, None)
        metric = registry[name]
        if "explain" in signature(metric).parameters:
            results[name] = metric(subject, explain=explain, progress=progress and partial(progress, name))
        else:
            value = float(metric(subject))
            results[name] = Measurement.from_count(value) if explain else value
    return results
