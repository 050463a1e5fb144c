"""Spectral metrics of a network: those of the product of the biadjacency matrices of its layers."""

import math
import sys
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ..topology import Topology
from ._internal.flows import check_network
from ._internal.leading_pair import LeadingPair
from ._internal.leading_singular_values import find_leading_pair
from .measurement import Measurement, Progress, explainable
from .spectrum import compute_gap, compute_relative_gap, normalize_biadjacency


@explainable
def product_spectral_gap(topologies: Sequence[Topology], *, certify: bool, progress: Progress | None) -> Measurement:
    """sigma1 - sigma2 of the product B_L ... B_1 of the biadjacency matrices of a network's layers, >= 0.

    Entry (output, input) of the product is the number of paths, so this is the gap of the whole network. The product is
    formed only if it has at most 300,000 cells; else vectors are sent through the layers, O(edges) each. Layers whose
    own gap is zero may have a product with the largest possible gap, such as the layers of `radix_net`. A gap above
    1.8e308, the largest float, is infinite; `relative_product_spectral_gap` and `log_paths` are not.

    Args:
        topologies: the layers of the network, inputs first.
        explain, progress: as of `spectral_gap`.

    Raises:
        ValueError: if the topologies are not a network: each layer must read as many units as the layer before has.
        RuntimeError: if an iteration does not converge.

    Example:
        >>> from prewired import generators
        >>> round(product_spectral_gap(generators.butterfly([16, 16, 16], fan_in=4)), 6)
        16.0
    """
    gap = compute_gap(_measure_product_pair(topologies, False, certify, progress))
    factor = -sum(_find_exponents(check_network(topologies)))
    with np.errstate(over="ignore"):
        value, low, high = (float(np.ldexp(x, factor)) for x in (gap.value, gap.low, gap.high))
    return gap._replace(value=value, low=min(low, sys.float_info.max), high=high)


@explainable
def relative_product_spectral_gap(
    topologies: Sequence[Topology], *, certify: bool, progress: Progress | None
) -> Measurement:
    """1 - sigma2 / sigma1 of the product B_L ... B_1 of a network's layers, in [0, 1]; 0 without paths.

    Arguments, cost and errors as of `product_spectral_gap`.

    Example:
        >>> from prewired import generators
        >>> layer = generators.butterfly_stage(16, 16, stage=0, radix=4)
        >>> round(relative_product_spectral_gap([layer, layer]), 6)
        0.0
    """
    return compute_relative_gap(_measure_product_pair(topologies, False, certify, progress))


@explainable
def normalized_product_spectral_gap(
    topologies: Sequence[Topology], *, certify: bool, progress: Progress | None
) -> Measurement:
    """1 - sigma2 / sigma1 of the product of the layers' D_out^-1/2 B D_in^-1/2, in [0, 1]; 0 without paths.

    Arguments, cost and errors as of `product_spectral_gap`.

    Example:
        >>> from prewired import generators
        >>> round(normalized_product_spectral_gap(generators.butterfly([16, 16, 16], fan_in=4)), 6)
        1.0
    """
    return compute_relative_gap(_measure_product_pair(topologies, True, certify, progress))


def _measure_product_pair(
    topologies: Sequence[Topology], normalized: bool, certify: bool, progress: Progress | None
) -> LeadingPair:
    """sigma1 and sigma2 of the product of the layers, stored as long as the first layer exists."""
    first, *later = check_network(topologies)
    cache = _CACHE.setdefault(first, {})
    # The key has digests: a topology in it could be the first layer again, which would keep itself in the cache.
    key = tuple(t.digest for t in later), normalized, certify
    if key not in cache:
        layers = first, *later
        matrices = [normalize_biadjacency(t) for t in layers] if normalized else _scale_biadjacencies(layers)
        cache[key] = find_leading_pair(matrices, certify=certify, progress=progress)
    return cache[key]


def _scale_biadjacencies(layers: Sequence[Topology]) -> list[Any]:
    """The biadjacency matrices, times powers of two in a network so deep that its product would overflow."""
    pairs = [(t.biadjacency(), exponent) for t, exponent in zip(layers, _find_exponents(layers), strict=True)]
    return [matrix * 2.0**exponent if exponent else matrix for matrix, exponent in pairs]


def _find_exponents(layers: Sequence[Topology]) -> list[int]:
    """The exponents of the powers of two that bring the product's sigma1 near 1; zeros if no float can overflow.

    A power of two changes no digit of a float, so the scaled product has the digits of the product.
    """
    # ||B||_2 <= sqrt(||B||_1 ||B||_inf), the largest fan-out and the largest fan-in.
    squares = (max(int(t.fan_in.max()), 1) * max(int(t.fan_out.max()), 1) for t in layers)
    if sum(map(math.log2, squares)) / 2 < _LARGEST_EXPONENT:
        return [0] * len(layers)
    # What the layers do to a vector of ones is what they do to the singular vector of sigma1, which is positive too.
    exponents, x = list[int](), np.ones(layers[0].n_in)
    for t in layers:
        y = t.biadjacency() @ x
        exponents.append(-round(math.log2(np.linalg.norm(y) / np.linalg.norm(x))) if y.any() else 0)
        x = y / max(y.max(), 1.0)
    return exponents


_LARGEST_EXPONENT = 1000
"""Scale the layers if sigma1 of their product may be above 2**1000; 2**1024 overflows."""

_CACHE: WeakKeyDictionary[Topology, dict[Any, LeadingPair]] = WeakKeyDictionary()
"""The results for the networks that begin with a layer, as long as that layer exists."""
