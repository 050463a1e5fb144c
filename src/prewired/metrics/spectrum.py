"""Spectral metrics of the biadjacency matrix B, with bounds: gaps and the Ramanujan ratio.

`_internal/leading_singular_values.py` explains how the values are computed and what proves the bounds.
"""

import math
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ..topology import Topology
from ._internal.leading_pair import LeadingPair
from ._internal.leading_singular_values import find_leading_pair
from .degrees import connected_components
from .measurement import Measurement, Progress, explainable


@explainable
def spectral_gap(t: Topology, *, certify: bool, progress: Progress | None) -> Measurement:
    """sigma1 - sigma2 of the biadjacency matrix, >= 0; sigma2 is 0 if the matrix has a single row or column.

    Zero for a graph whose two leading components have the same sigma1, and without edges; sigma1 for the dense graph.
    At most sqrt(fan_in * fan_out) on a biregular graph, which has sigma1 = sqrt(fan_in * fan_out).

    Cost: closed forms O(edges); a dense SVD up to 300,000 cells; else products with B and its transpose, O(edges) each,
    some hundred of them on expanders.


    Args:
        t: the topology.
        explain: return a Measurement, with bounds, method and certificate; this may factorise a matrix.
        progress: called during a long iteration with the steps done and an estimate of the steps in all.

    Returns:
        The value, or with explain=True the Measurement.

    Raises:
        RuntimeError: if an iteration does not converge.

    Example:
        >>> from prewired import generators
        >>> round(spectral_gap(generators.dense(4, 9)), 9)
        6.0
        >>> spectral_gap(generators.rotating(512, 512, fan_in=16), explain=True).method
        'closed form: ring of 512'
    """
    return compute_gap(measure_leading_pair(t, certify=certify, progress=progress))


@explainable
def relative_spectral_gap(t: Topology, *, certify: bool, progress: Progress | None) -> Measurement:
    """1 - sigma2 / sigma1 of the biadjacency matrix, in [0, 1]; 0 for a graph without edges.

    Arguments, cost and errors as of `spectral_gap`.

    Example:
        >>> from prewired import generators
        >>> round(relative_spectral_gap(generators.rotating(512, 512, fan_in=16)), 4)
        0.0016
    """
    return compute_relative_gap(measure_leading_pair(t, certify=certify, progress=progress))


@explainable
def normalized_spectral_gap(t: Topology, *, certify: bool, progress: Progress | None) -> Measurement:
    """1 - sigma2 of D_out^-1/2 B D_in^-1/2, whose sigma1 is 1, in [0, 1]; 0 for a graph without edges.

    D_out and D_in are the diagonal matrices of fan-ins and fan-outs; rows and columns of dead units stay zero. Use this
    gap to compare graphs whose degrees vary. It is zero exactly if at least two components have edges, and equals
    `relative_spectral_gap` on a biregular graph. Arguments, cost and errors as of `spectral_gap`.


    Example:
        >>> from prewired import generators
        >>> round(normalized_spectral_gap(generators.dense(4, 9)), 9)
        1.0
    """
    return compute_relative_gap(measure_leading_pair(t, normalized=True, certify=certify, progress=progress))


@explainable
def ramanujan_ratio(t: Topology, *, certify: bool, progress: Progress | None) -> Measurement:
    """sigma2 / (sqrt(fan_in - 1) + sqrt(fan_out - 1)), with mean degrees if they vary; at most 1 for a Ramanujan graph.

    The denominator is the spectral radius of the universal cover of a biregular graph: as a graph with these degrees
    grows, sigma2 cannot stay below it (Feng and Li, "Spectra of hypergraphs and applications", 1996). If the
    denominator is 0 (degrees of at most one) the ratio is 0 if sigma2 = 0 and infinite otherwise. At densities above
    0.1 use `random_ratio`, which compares sigma2 with that of a random graph. Arguments, cost and errors as of
    `spectral_gap`.


    Example:
        >>> from prewired import generators
        >>> 0.9 < ramanujan_ratio(generators.biregular(256, 256, fan_in=8, seed=0)) < 1.1
        True
    """
    fan_in, fan_out = t.n_edges / t.n_out, t.n_edges / t.n_in
    bound = math.sqrt(max(fan_in - 1, 0.0)) + math.sqrt(max(fan_out - 1, 0.0))
    sigma2 = measure_leading_pair(t, certify=certify, progress=progress).second
    if bound == 0.0:
        return sigma2.map(lambda sigma: math.inf if sigma else 0.0)
    return sigma2.map(lambda sigma: sigma / bound)


def leading_singular_values(t: Topology, *, normalized: bool = False) -> tuple[float, float]:
    """sigma1 and sigma2 of B, or of D_out^-1/2 B D_in^-1/2, over all components; missing values are 0.

    Example:
        >>> from prewired import generators
        >>> leading_singular_values(generators.rotating(3, 3, fan_in=1))
        (1.0, 1.0)
    """
    pair = measure_leading_pair(t, normalized=normalized)
    return pair.first.value, pair.second.value


def measure_leading_pair(
    t: Topology, *, normalized: bool = False, certify: bool = False, progress: Progress | None = None
) -> LeadingPair:
    """sigma1 and sigma2 with their bounds, stored as long as the topology exists."""
    if not isinstance(t, Topology):
        raise TypeError(
            f"expected a Topology, got {type(t).__name__}; for the layers of a network take product_spectral_gap"
        )
    cache = _CACHE.setdefault(t, {})
    key = normalized, certify
    if key not in cache:
        # A certified pair also answers a request without certificate.
        cache[key] = cache.get((normalized, True)) or _compute_leading_pair(t, normalized, certify, progress)
    return cache[key]


_CACHE: WeakKeyDictionary[Topology, dict[tuple[bool, bool], LeadingPair]] = WeakKeyDictionary()


def _compute_leading_pair(t: Topology, normalized: bool, certify: bool, progress: Progress | None) -> LeadingPair:
    """sigma1 and sigma2, with the values that are known in advance instead of computed ones."""
    if not normalized:
        pair = find_leading_pair([t.biadjacency()], certify=certify, progress=progress)
        if t.n_edges == 0 or not is_biregular(t):
            return pair
        # On a biregular graph the constant vectors are the singular vectors of sigma1 = sqrt(fan_in fan_out).
        sigma1 = math.sqrt(float(t.fan_in[0]) * float(t.fan_out[0]))
        first = Measurement(sigma1, math.nextafter(sigma1, 0), math.nextafter(sigma1, math.inf), "biregular", "exact")
        return pair._replace(first=first)
    # The normalized matrix has sigma1 = 1 in every component that has an edge.
    if t.n_edges == 0 or count_components_with_edges(t) > 1:
        value = float(t.n_edges > 0)
        measurement = Measurement(value, value, value, "counting components", "exact count")
        return LeadingPair(measurement, measurement)
    unit = Measurement(1.0, 1.0, 1.0, "known vector", "exact")
    if is_biregular(t):
        # Here the normalized matrix is B / sigma1.
        plain = measure_leading_pair(t, certify=certify, progress=progress)
        sigma1 = math.sqrt(float(t.fan_in[0]) * float(t.fan_out[0]))
        return LeadingPair(unit, plain.second.map(lambda sigma: sigma / sigma1))
    # The right singular vector of sigma1 = 1 has entries sqrt(fan_out).
    pair = find_leading_pair([normalize_biadjacency(t)], guess=np.sqrt(t.fan_out), certify=certify, progress=progress)
    second = pair.second._replace(value=min(pair.second.value, 1.0), high=min(pair.second.high, 1.0))
    return LeadingPair(unit, second)


def normalize_biadjacency(t: Topology) -> Any:
    """D_out^-1/2 B D_in^-1/2 as a CSR array (n_out, n_in); rows and columns of dead units stay zero."""
    by_output, by_input = (np.maximum(degrees, 1) ** -0.5 for degrees in (t.fan_in, t.fan_out))
    b = t.biadjacency()
    b.data = np.repeat(by_output, t.fan_in) * by_input[t.indices]
    return b


def is_biregular(t: Topology) -> bool:
    """Whether all fan-ins are equal and all fan-outs are equal.

    Example:
        >>> from prewired import generators
        >>> is_biregular(generators.rotating(6, 4, fan_in=3)), is_biregular(generators.rotating(5, 4, fan_in=3))
        (True, False)
    """
    return bool((t.fan_in == t.fan_in[0]).all() and (t.fan_out == t.fan_out[0]).all())


def count_components_with_edges(t: Topology) -> int:
    """The number of connected components that have an edge."""
    dead = np.count_nonzero(t.fan_in == 0) + np.count_nonzero(t.fan_out == 0)
    return int(connected_components(t) - dead)


def compute_gap(pair: LeadingPair) -> Measurement:
    """sigma1 - sigma2; the largest gap that the bounds allow has the largest sigma1 and the smallest sigma2."""
    first, second = pair.first, pair.second
    return second._replace(
        value=max(first.value - second.value, 0.0),
        low=max(first.low - second.high, 0.0),
        high=max(first.high - second.low, 0.0),
    )


def compute_relative_gap(pair: LeadingPair) -> Measurement:
    """1 - sigma2 / sigma1, and 0 if sigma1 is 0."""
    first, second = pair.first, pair.second
    if first.value == 0.0:
        return Measurement.from_count(0.0)
    return second._replace(
        value=min(max(1.0 - second.value / first.value, 0.0), 1.0),
        low=max(1.0 - second.high / first.low, 0.0) if first.low > 0 else 0.0,
        high=min(max(1.0 - second.low / first.high, 0.0), 1.0),
    )
