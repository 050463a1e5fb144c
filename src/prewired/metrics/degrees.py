"""Metrics that count: degrees, units without an edge, components. O(n_in + n_out + n_edges)."""

import numpy as np
import scipy.sparse

from ..topology import Topology


def density(t: Topology) -> float:
    """Share of the n_in * n_out possible edges that is present, in [0, 1].

    Example:
        >>> from prewired import generators
        >>> density(generators.rotating(8, 8, fan_in=2))
        0.25
    """
    return t.density


def fan_in_min(t: Topology) -> float:
    """Smallest number of inputs an output reads."""
    return float(t.fan_in.min())


def fan_in_max(t: Topology) -> float:
    """Largest number of inputs an output reads."""
    return float(t.fan_in.max())


def fan_in_cv(t: Topology) -> float:
    """Coefficient of variation of the fan-ins, standard deviation / mean, >= 0; 0 for a graph without edges."""
    return _cv(t.fan_in)


def fan_out_min(t: Topology) -> float:
    """Smallest number of outputs an input feeds."""
    return float(t.fan_out.min())


def fan_out_max(t: Topology) -> float:
    """Largest number of outputs an input feeds."""
    return float(t.fan_out.max())


def fan_out_cv(t: Topology) -> float:
    """Coefficient of variation of the fan-outs, standard deviation / mean, >= 0; 0 for a graph without edges."""
    return _cv(t.fan_out)


def dead_inputs(t: Topology) -> float:
    """Number of inputs that feed no output."""
    return float((t.fan_out == 0).sum())


def dead_outputs(t: Topology) -> float:
    """Number of outputs that read no input."""
    return float((t.fan_in == 0).sum())


def connected_components(t: Topology) -> float:
    """Number of connected components of the bipartite graph, each dead unit one of its own.

    Example:
        >>> from prewired import generators
        >>> connected_components(generators.grouped(8, 8, fan_in=2))
        4.0
    """
    return float(component_labels(t)[0])


def component_labels(t: Topology) -> tuple[int, np.ndarray, np.ndarray]:
    """Number of components, the component of every input (n_in,) and of every output (n_out,)."""
    outputs = np.repeat(np.arange(t.n_out), t.fan_in) + t.n_in
    n = t.n_in + t.n_out
    graph = scipy.sparse.coo_array((np.ones(t.n_edges, np.int8), (outputs, t.indices)), shape=(n, n))
    count, labels = scipy.sparse.csgraph.connected_components(graph, directed=False)
    return int(count), labels[: t.n_in], labels[t.n_in :]


def _cv(degrees: np.ndarray) -> float:
    mean = degrees.mean()
    return float(degrees.std() / mean) if mean else 0.0
