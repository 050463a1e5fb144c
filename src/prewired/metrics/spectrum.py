"""Spectral metrics of the biadjacency matrix B, with bounds: gaps and the Ramanujan ratio.

How the values are found, and what their bounds rest on: `leading.py`.
"""

import math
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ..topology import Topology
from ._internal.bounded_pair import Leading
from ._internal.leading_singular_values import leading
from ._internal.measurement import Measurement, Progress, explained
from .degrees import connected_components


@explained
def spectral_gap(t: Topology, *, certify: bool, progress: Progress | None) -> Measurement:
    """sigma1 - sigma2 of the biadjacency matrix, >= 0; sigma2 = 0 when B has a single row or column.

    Zero for a graph whose two leading components have the same sigma1; sigma1 for the dense graph; 0 without edges. At
    most sqrt(fan_in * fan_out) on a biregular graph, whose sigma1 that is. Cost: closed forms O(edges), a dense SVD up
    to 300,000 cells, else some hundred products with B and its transpose (on expanders), each O(edges).

    Args:
        t: the topology.
        explain: give a Measurement, with bounds, method and what the bounds rest on; this may factorise a matrix.
        progress: called with the steps done and an estimate of the steps in all, as a long iteration goes on.

    Returns:
        The value, or with explain=True the Measurement.

    Raises:
        RuntimeError: if an iteration does not settle.

    Example:
        >>> from prewired import generators
        >>> round(spectral_gap(generators.dense(4, 9)), 9)
        6.0
        >>> spectral_gap(generators.rotating(512, 512, fan_in=16), explain=True).method
        'closed form: ring of 512'
    """
    return difference(leading_of(t, certify=certify, progress=progress))


@explained
def relative_spectral_gap(t: Topology, *, certify: bool, progress: Progress | None) -> Measurement:
    """1 - sigma2 / sigma1 of the biadjacency matrix, in [0, 1]; 0 for a graph without edges.

    Arguments, cost and errors as of `spectral_gap`.

    Example:
        >>> from prewired import generators
        >>> round(relative_spectral_gap(generators.rotating(512, 512, fan_in=16)), 4)
        0.0016
    """
    return relative(leading_of(t, certify=certify, progress=progress))


@explained
def normalized_spectral_gap(t: Topology, *, certify: bool, progress: Progress | None) -> Measurement:
    """1 - sigma2 of D_out^-1/2 B D_in^-1/2, whose sigma1 is 1, in [0, 1]; 0 for a graph without edges.

    D_out and D_in are the diagonal matrices of fan-ins and fan-outs; rows and columns of dead units stay zero. This is
    the comparable form where degrees vary, and zero exactly when two components have edges. Equal to the relative gap
    of a biregular graph. Arguments, cost and errors as of `spectral_gap`.

    Example:
        >>> from prewired import generators
        >>> round(normalized_spectral_gap(generators.dense(4, 9)), 9)
        1.0
    """
    return relative(leading_of(t, normalized=True, certify=certify, progress=progress))


@explained
def ramanujan_ratio(t: Topology, *, certify: bool, progress: Progress | None) -> Measurement:
    """sigma2 / (sqrt(fan_in - 1) + sqrt(fan_out - 1)), mean degrees where they vary; at most 1 for a Ramanujan graph.

    The bound is the spectral radius of the universal cover of a biregular graph, below which sigma2 cannot stay as the
    graph grows (Feng and Li, "Spectra of hypergraphs and applications", 1996). Where the bound is 0 (degrees of at most
    one) the ratio is 0 if sigma2 = 0 and infinite otherwise. At densities above 0.1 compare sigma2 with a random
    graph's instead, `random_ratio`. Arguments, cost and errors as of `spectral_gap`.

    Example:
        >>> from prewired import generators
        >>> 0.9 < ramanujan_ratio(generators.biregular(256, 256, fan_in=8, seed=0)) < 1.1
        True
    """
    fan_in, fan_out = t.n_edges / t.n_out, t.n_edges / t.n_in
    bound = math.sqrt(max(fan_in - 1, 0.0)) + math.sqrt(max(fan_out - 1, 0.0))
    sigma2 = leading_of(t, certify=certify, progress=progress).second
    if bound == 0.0:
        return sigma2.mapped(lambda sigma: math.inf if sigma else 0.0)
    return sigma2.mapped(lambda sigma: sigma / bound)


def leading_singular_values(t: Topology, *, normalized: bool = False) -> tuple[float, float]:
    """sigma1 and sigma2 of B, or of D_out^-1/2 B D_in^-1/2, over all components; missing values are 0.

    Example:
        >>> from prewired import generators
        >>> leading_singular_values(generators.rotating(3, 3, fan_in=1))
        (1.0, 1.0)
    """
    found = leading_of(t, normalized=normalized)
    return found.first.value, found.second.value


def leading_of(
    t: Topology, *, normalized: bool = False, certify: bool = False, progress: Progress | None = None
) -> Leading:
    """sigma1 and sigma2 with their bounds, remembered as long as the topology lives."""
    if not isinstance(t, Topology):
        raise TypeError(
            f"expected a Topology, got {type(t).__name__}; for the layers of a network take product_spectral_gap"
        )
    known = _KNOWN.setdefault(t, {})
    key = normalized, certify
    if key not in known:
        known[key] = known.get((normalized, True)) or _leading_of(t, normalized, certify, progress)
    return known[key]


_KNOWN: WeakKeyDictionary[Topology, dict[tuple[bool, bool], Leading]] = WeakKeyDictionary()


def _leading_of(t: Topology, normalized: bool, certify: bool, progress: Progress | None) -> Leading:
    if not normalized:
        found = leading([t.biadjacency()], certify=certify, progress=progress)
        if t.n_edges == 0 or not is_biregular(t):
            return found
        sigma1 = math.sqrt(float(t.fan_in[0]) * float(t.fan_out[0]))
        first = Measurement(sigma1, math.nextafter(sigma1, 0), math.nextafter(sigma1, math.inf), "biregular", "exact")
        return found._replace(first=first)
    if t.n_edges == 0 or components_with_edges(t) > 1:
        value = float(t.n_edges > 0)
        one = Measurement(value, value, value, "counting components", "exact count")
        return Leading(one, one)
    if is_biregular(t):
        plain = leading_of(t, certify=certify, progress=progress)
        sigma1 = math.sqrt(float(t.fan_in[0]) * float(t.fan_out[0]))
        one = Measurement(1.0, 1.0, 1.0, "known vector", "exact")
        return Leading(one, plain.second.mapped(lambda sigma: sigma / sigma1))
    found = leading([normalized_biadjacency(t)], guess=np.sqrt(t.fan_out), certify=certify, progress=progress)
    second = found.second._replace(value=min(found.second.value, 1.0), high=min(found.second.high, 1.0))
    return Leading(Measurement(1.0, 1.0, 1.0, "known vector", "exact"), second)


def normalized_biadjacency(t: Topology) -> Any:
    """D_out^-1/2 B D_in^-1/2 as a CSR array (n_out, n_in); rows and columns of dead units stay zero."""
    by_output, by_input = (np.maximum(degrees, 1) ** -0.5 for degrees in (t.fan_in, t.fan_out))
    b = t.biadjacency()
    b.data = np.repeat(by_output, t.fan_in) * by_input[t.indices]
    return b


def is_biregular(t: Topology) -> bool:
    """Whether all fan-ins are equal and all fan-outs are.

    Example:
        >>> from prewired import generators
        >>> is_biregular(generators.rotating(6, 4, fan_in=3)), is_biregular(generators.rotating(5, 4, fan_in=3))
        (True, False)
    """
    return bool((t.fan_in == t.fan_in[0]).all() and (t.fan_out == t.fan_out[0]).all())


def components_with_edges(t: Topology) -> int:
    """Number of connected components that are more than a unit."""
    dead = np.count_nonzero(t.fan_in == 0) + np.count_nonzero(t.fan_out == 0)
    return int(connected_components(t) - dead)


def difference(found: Leading) -> Measurement:
    """sigma1 - sigma2."""
    first, second = found.first, found.second
    return second._replace(
        value=max(first.value - second.value, 0.0),
        low=max(first.low - second.high, 0.0),
        high=max(first.high - second.low, 0.0),
    )


def relative(found: Leading) -> Measurement:
    """1 - sigma2 / sigma1, 0 where sigma1 is 0."""
    first, second = found.first, found.second
    if first.value == 0.0:
        return Measurement.counted(0.0)
    return second._replace(
        value=min(max(1.0 - second.value / first.value, 0.0), 1.0),
        low=max(1.0 - second.high / first.low, 0.0) if first.low > 0 else 0.0,
        high=min(max(1.0 - second.low / first.high, 0.0), 1.0),
    )
