"""Spectral metrics of a whole network: of the product of its layers' biadjacency matrices."""

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from ..topology import Topology
from ._internal.bounded_pair import Leading
from ._internal.flows import check_network
from ._internal.leading_singular_values import leading
from ._internal.measurement import Measurement, Progress, explained
from .spectrum import difference, normalized_biadjacency, relative


@explained
def product_spectral_gap(t: Sequence[Topology], *, certify: bool, progress: Progress | None) -> Measurement:
    """sigma1 - sigma2 of the product B_L ... B_1 of the biadjacency matrices of a network's layers, >= 0.

    Entry (output, input) of the product is the number of paths, so this is the gap of the whole network. The product is
    formed only where it has up to 300,000 cells; elsewhere vectors go through the layers, O(edges) each time. Layers
    without any gap may have a product with the largest possible one, as those of `radix_net` have.

    Args:
        t: the topologies, inputs first.
        explain, progress: as of `spectral_gap`.

    Raises:
        ValueError: if they are not a network, see `check_network`.
        RuntimeError: if an iteration does not settle.

    Example:
        >>> from prewired import generators
        >>> round(product_spectral_gap(generators.butterfly([16, 16, 16], fan_in=4)), 6)
        16.0
    """
    return difference(_leading_of_product(t, False, certify, progress))


@explained
def relative_product_spectral_gap(t: Sequence[Topology], *, certify: bool, progress: Progress | None) -> Measurement:
    """1 - sigma2 / sigma1 of the product B_L ... B_1 of a network's layers, in [0, 1]; 0 where no path is.

    Arguments, cost and errors as of `product_spectral_gap`.

    Example:
        >>> from prewired import generators
        >>> layer = generators.butterfly_stage(16, 16, stage=0, radix=4)
        >>> round(relative_product_spectral_gap([layer, layer]), 6)
        0.0
    """
    return relative(_leading_of_product(t, False, certify, progress))


@explained
def normalized_product_spectral_gap(t: Sequence[Topology], *, certify: bool, progress: Progress | None) -> Measurement:
    """1 - sigma2 / sigma1 of the product of the layers' D_out^-1/2 B D_in^-1/2, in [0, 1]; 0 where no path is.

    Arguments, cost and errors as of `product_spectral_gap`.

    Example:
        >>> from prewired import generators
        >>> round(normalized_product_spectral_gap(generators.butterfly([16, 16, 16], fan_in=4)), 6)
        1.0
    """
    return relative(_leading_of_product(t, True, certify, progress))


def _leading_of_product(
    topologies: Sequence[Topology], normalized: bool, certify: bool, progress: Progress | None
) -> Leading:
    first, *others = check_network(topologies)
    known = _KNOWN.setdefault(first, {})
    key = tuple(t.digest for t in others), normalized, certify  # no topologies: one may be the first again
    if key not in known:
        matrix: Callable[[Topology], Any] = normalized_biadjacency if normalized else Topology.biadjacency
        known[key] = leading([matrix(t) for t in (first, *others)], certify=certify, progress=progress)
    return known[key]


_KNOWN: WeakKeyDictionary[Topology, dict[Any, Leading]] = WeakKeyDictionary()
"""What is known of the networks that begin with a layer, as long as that lives."""
