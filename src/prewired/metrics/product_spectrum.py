"""Spectral metrics of a network: those of the product of the biadjacency matrices of its layers."""

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

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
    own gap is zero may have a product with the largest possible gap, such as the layers of `radix_net`.


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
    return compute_gap(_measure_product_pair(topologies, False, certify, progress))


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
        matrix: Callable[[Topology], Any] = normalize_biadjacency if normalized else Topology.biadjacency
        cache[key] = find_leading_pair([matrix(t) for t in (first, *later)], certify=certify, progress=progress)
    return cache[key]


_CACHE: WeakKeyDictionary[Topology, dict[Any, LeadingPair]] = WeakKeyDictionary()
"""The results for the networks that begin with a layer, as long as that layer exists."""
