"""Cuts of a graph: sets of units that few edges connect to the rest."""

from typing import NamedTuple

import numpy as np

from ..topology import Topology
from ._internal.leading_singular_values import find_leading_pair
from .degrees import connected_components, label_units
from .laplacian import normalized_algebraic_connectivity
from .measurement import Measurement, Progress, explainable
from .spectrum import normalize_biadjacency


class Cut(NamedTuple):
    """A set of units, and how few edges connect it to the rest.

    Attributes:
        conductance: edges between the set and the rest / the smaller of the degree sums of the set and of the rest.
        inputs: (n_in,) bool, which inputs are in the set.
        outputs: (n_out,) bool, which outputs are in the set.
    """

    conductance: float
    inputs: np.ndarray
    outputs: np.ndarray


def sweep_cut(t: Topology, *, progress: Progress | None = None) -> Cut:
    """The best cut along the second eigenvector of the normalized Laplacian.

    Vertices are ordered by the eigenvector divided by the square root of their degrees. The best of the n - 1 cuts of
    that order has a conductance of at most sqrt(2 lambda2) (Cheeger's inequality; Chung, "Spectral Graph Theory", 1997,
    chapter 2). In a disconnected graph a component, or a dead unit, is a cut of conductance 0. Cost: that of the
    vector, and O(edges).


    Raises:
        ValueError: for a graph without edges, whose cuts have no conductance.

    Example:
        >>> from prewired import generators
        >>> cut = sweep_cut(Topology.from_mask([[1, 1, 0, 0], [1, 1, 0, 0], [0, 1, 1, 1], [0, 0, 1, 1]]))
        >>> cut.inputs, round(cut.conductance, 3)
        (array([ True,  True, False, False]), 0.111)
    """
    if t.n_edges == 0:
        raise ValueError("expected a graph with edges, got none; no cut of it has a conductance")
    count, inputs, outputs = label_units(t)
    if count > 1:
        part = outputs[np.flatnonzero(t.fan_in)[0]]
        return Cut(0.0, inputs == part, outputs == part)
    # All cuts in O(edges): an edge crosses the cuts between the ranks of its two ends, so it opens at the lower rank
    # and
    # closes at the higher one, and a cumulative sum counts the open edges.
    order = np.argsort(_compute_sweep_values(t, progress), kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    degrees = np.concatenate([t.fan_out, t.fan_in])
    first = rank[t.indices]
    second = np.repeat(rank[t.n_in :], t.fan_in)
    openings = np.bincount(np.minimum(first, second), minlength=len(order))
    closings = np.bincount(np.maximum(first, second), minlength=len(order))
    crossing = np.cumsum(openings - closings)[:-1]
    volume = np.cumsum(degrees[order])[:-1]
    conductances = crossing / np.minimum(volume, 2 * t.n_edges - volume)
    best = int(conductances.argmin())
    inside = rank <= best
    # Give the side with the smaller degree sum.
    if 2 * volume[best] > 2 * t.n_edges:
        inside = ~inside
    return Cut(float(conductances[best]), inside[: t.n_in], inside[t.n_in :])


@explainable
def conductance(t: Topology, *, certify: bool, progress: Progress | None) -> Measurement:
    """The smallest conductance h of a cut, from above: that of `sweep_cut`, in [0, 1]; 0 if disconnected or empty.

    The bounds are Cheeger's: lambda2 / 2 <= h <= the cut of the sweep <= sqrt(2 lambda2), with lambda2 the normalized
    algebraic connectivity. The value is the upper bound, because finding h is NP-hard. Cost as of `fiedler_vector`.


    Example:
        >>> from prewired import generators
        >>> h = conductance(generators.rotating(40, 40, fan_in=4), explain=True)
        >>> h.low <= h.value == h.high
        True
    """
    if t.n_edges == 0 or connected_components(t) > 1:
        return Measurement(0.0, 0.0, 0.0, "counting components", "exact count")
    value = sweep_cut(t, progress=progress).conductance
    if not certify:
        return Measurement.from_count(value)
    lambda2 = normalized_algebraic_connectivity(t, explain=True, progress=progress)
    low = min(lambda2.low / 2, value)
    return Measurement(
        value, low, value, "sweep along the Fiedler vector", f"Cheeger; {lambda2.certificate}", lambda2.confidence
    )


def _compute_sweep_values(t: Topology, progress: Progress | None) -> np.ndarray:
    """D^-1/2 times the second eigenvector of the normalized Laplacian of a connected graph, inputs first.

    That eigenvector consists of the right and the left singular vector of sigma2 of D_out^-1/2 B D_in^-1/2.
    """
    pair = find_leading_pair([normalize_biadjacency(t)], guess=np.sqrt(t.fan_out), vectors=True, progress=progress)
    # With a single row or column there is no second vector, and every order of the units is as good.
    if pair.left is None or pair.right is None:
        return np.arange(t.n_in + t.n_out, dtype=float)
    return np.concatenate([pair.right / np.sqrt(t.fan_out), pair.left / np.sqrt(t.fan_in)])
