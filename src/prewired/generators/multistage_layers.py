"""Layers of switching networks: each joins inputs and outputs whose numbers differ in few digits.

One such layer has no spectral gap, or hardly any. A few layers in a row join every input to every output, see
`multistage_networks.py`.
"""

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np

from ..topology import csr_from_cells
from ._internal.available_sizes import Shape
from ._internal.costs import CostRule, Request, get_magnitude
from ._internal.registry import Edges, family
from ._internal.sizes import resolve_fan_in
from .structured import edges_from_rows, list_grouped_inputs


def _list_powers(limit: int, least: int = 2) -> Iterator[tuple[int, int]]:
    """Every (radix, power) with radix >= 2, power >= least and radix**power <= limit, in the order of these powers."""
    pairs = []
    for power in range(least, limit.bit_length()):
        radix = 2
        while radix**power <= limit:
            pairs.append((radix, power))
            radix += 1
    return iter(sorted(pairs, key=lambda pair: (pair[0] ** pair[1], pair[0])))


def _butterfly_shapes(limit: int, *, stage: int = 0, radix: int = 2) -> Iterator[Shape]:
    for name, value, least in (("stage", stage, 0), ("radix", radix, 2)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"expected an integer {name} >= {least}, got {name}={value!r}")
    n = radix ** (stage + 1)
    while n <= limit:
        yield Shape(n, n, radix, (n,))
        n *= radix


@family(shapes=_butterfly_shapes)
def butterfly_stage(n: int, *, stage: int = 0, radix: int = 2) -> Edges:
    """One stage of a butterfly: output j reads the inputs whose number differs from j at most in one digit.

    The digit is that of radix**stage in the number written base radix; at radix 2 output j reads inputs j and
    j xor 2**stage, the pattern of one step of the fast Fourier transform (Cooley and Tukey, 1965). A stage is a
    disjoint union of complete graphs K(radix, radix), so it has no spectral gap; t different stages in a row,
    n = radix**t, join every input to every output by exactly one path. Exists for n_in = n_out = radix**t, t > stage.

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in, density: fan_in is radix; may be left out.
        fit: "nearest" or "level" to cut a larger graph to other sizes, see `share_changed`.
            Its fan-in is small for its size: at 1000 x 1000 and density 0.05 "level" adds 96 % of the edges, and
            little of the family is left.
        stage: which digit, 0 for the last.
        radix: base of the digits, at least 2.

    Returns:
        A biregular Topology with n_out * radix edges.

    Raises:
        ValueError: if there is no such graph; the message names the nearest sizes.

    Example:
        >>> butterfly_stage(4, 4, stage=1).biadjacency().toarray()
        array([[1., 0., 1., 0.],
               [0., 1., 0., 1.],
               [1., 0., 1., 0.],
               [0., 1., 0., 1.]])
    """
    outputs, place = np.arange(n), radix**stage
    without = outputs - outputs // place % radix * place
    return edges_from_rows(without[:, None] + np.arange(radix) * place)


def _flat_shapes(limit: int) -> Iterator[Shape]:
    yield from (Shape(2**t, 2**t, t + 1, (t,)) for t in range(1, limit.bit_length()))


@family(shapes=_flat_shapes)
def flat_butterfly(t: int) -> Edges:
    """All stages of a butterfly in one layer: output j reads input j and the inputs j xor 2**k, k = 0..t-1.

    The sum of the butterfly's factors instead of their product (Dao et al., "Pixelated butterfly", ICLR 2022, arXiv
    2112.00029): the identity plus the hypercube. Its singular values are |t + 1 - 2k|, so sigma2 = t - 1 for t >= 2.
    Exists for n_in = n_out = 2**t.

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in, density: fan_in is t + 1; may be left out.
        fit: "nearest" or "level" to cut a larger graph to other sizes, see `share_changed`.
            Its fan-in is small for its size: at 1000 x 1000 and density 0.05 "level" adds 78 % of the edges, and
            little of the family is left.

    Returns:
        A biregular Topology with n_out * (t + 1) edges.

    Raises:
        ValueError: if there is no such graph; the message names the nearest sizes.

    Example:
        >>> flat_butterfly(8, 8).indices[:4]
        array([0, 1, 2, 4], dtype=int32)
    """
    flips = np.concatenate([[0], 1 << np.arange(t)])
    return edges_from_rows(np.sort(np.arange(2**t)[:, None] ^ flips, axis=1))


def _de_bruijn_shapes(limit: int) -> Iterator[Shape]:
    yield from (Shape(d**t, d**t, d, (d, t)) for d, t in _list_powers(limit))


@family(shapes=_de_bruijn_shapes)
def de_bruijn(d: int, t: int) -> Edges:
    """The de Bruijn graph: input i feeds the outputs d * i + j mod n, j = 0..d-1, where n = d**t.

    In numbers of t digits base d the first digit leaves and a new last one comes (de Bruijn, "A combinatorial problem",
    1946). A layer is a disjoint union of complete graphs K(d, d); t layers in a row join every input to every output by
    exactly one path. Exists for n_in = n_out = d**t, t >= 2.

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in, density: fan_in is d; may be left out if n is a power in one way only.
        fit: "nearest" or "level" to cut a larger graph to other sizes, see `share_changed`.

    Returns:
        A biregular Topology with n_out * d edges.

    Raises:
        ValueError: if there is no such graph; the message names the nearest sizes.

    Example:
        >>> de_bruijn(8, 8).biadjacency().toarray()[:, 1]
        array([0., 0., 1., 1., 0., 0., 0., 0.])
    """
    n = d**t
    return edges_from_rows(np.arange(n)[:, None] // d + np.arange(d) * (n // d))


def _kautz_shapes(limit: int) -> Iterator[Shape]:
    words = ((d**t + d ** (t - 1), d, t) for d, t in _list_powers(limit))
    yield from (Shape(n, n, d, (d, t)) for n, d, t in sorted(words) if n <= limit)


@family(shapes=_kautz_shapes)
def kautz(d: int, t: int) -> Edges:
    """The Kautz graph: input i feeds the outputs -d * i - j mod n, j = 1..d, where n = d**t + d**(t-1).

    The de Bruijn graph on words in d + 1 letters without equal neighbours (Kautz, 1968; in numbers: Imase and Itoh,
    1981): more vertices at the same fan-in and diameter. A layer is a disjoint union of complete graphs K(d, d); from
    every input to every output runs exactly one path, over t layers or over t - 1. Exists for
    n_in = n_out = d**t + d**(t-1), t >= 2.

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in, density: fan_in is d; may be left out if n has this form in one way only.
        fit: "nearest" or "level" to cut a larger graph to other sizes, see `share_changed`.

    Returns:
        A biregular Topology with n_out * d edges.

    Raises:
        ValueError: if there is no such graph; the message names the nearest sizes.

    Example:
        >>> kautz(6, 6).biadjacency().toarray()[:, 0]
        array([0., 0., 0., 0., 1., 1.])
    """
    n = d**t + d ** (t - 1)
    inputs = np.arange(n)[:, None]
    outputs = (-d * inputs - np.arange(1, d + 1)) % n
    return csr_from_cells(n, n, np.sort((outputs * n + inputs).reshape(-1)))


@family
def shuffle(n_in: int, n_out: int, *, fan_in: int | None = None, density: float | None = None) -> Edges:
    """`grouped` after a riffle: the inputs are dealt out to the groups like cards, one after the other.

    With g = ceil(n_in / fan_in) groups, group b reads the inputs b, b + g, b + 2g, ..., as in ShuffleNet (Zhang et al.,
    CVPR 2018, arXiv 1707.01083). Where fan_in divides n_in the groups are disjoint and the layer has no spectral gap,
    but after a grouped layer it joins every input to every output. Otherwise neighbouring groups share inputs as in
    `grouped`.

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in: inputs per output, 1..n_in.
        density: share of edges instead of fan_in, in (0, 1]; fan_in is then density * n_in, rounded.

    Returns:
        A Topology with exactly n_out * fan_in edges.

    Raises:
        ValueError: if the request is impossible, or not exactly one of fan_in and density is given.

    Example:
        >>> shuffle(4, 4, fan_in=2).biadjacency().toarray()
        array([[1., 0., 1., 0.],
               [1., 0., 1., 0.],
               [0., 1., 0., 1.],
               [0., 1., 0., 1.]])
    """
    width = resolve_fan_in(n_in, fan_in, density)
    dealt = np.argsort(np.arange(n_in) % -(-n_in // width), kind="stable")
    return edges_from_rows(np.sort(dealt[list_grouped_inputs(n_in, n_out, width)], axis=1))


def _bound_radix_edges(request: Request) -> float:
    """A layer has the density radices[position] / N, where N is their product; the largest radix gives the bound."""
    radices = request.parameters.get("radices")
    factors = sorted(map(get_magnitude, radices))[:-1] if isinstance(radices, tuple) else []
    return prod(request.sides) / max(1, prod(factors))


@family(cost=CostRule(edges=_bound_radix_edges))
def radix(n_in: int, n_out: int, *, radices: Sequence[int], position: int) -> Edges:
    """One layer of a RadiX-Net: places on a ring joined at a stride, each place a block of units.

    The ring has N = radices[0] * radices[1] * ... places. Its output place o reads the places o + j * s mod N,
    j = 0..radices[position]-1, where s is the product of the radices before `position`; all units of a place are joined
    to all of the other. Layers of all positions in a row join every input to every output by equally many paths (Kepner
    and Robinett, "RadiX-Net: structured sparse matrices for deep neural networks", IPDPSW 2019, arXiv 1905.00416).
    Exists for n_in and n_out multiples of N.

    Args:
        n_in, n_out: number of inputs and outputs.
        radices: integers >= 2, one for each layer of the system.
        position: which of these layers it is, from 0.

    Returns:
        A biregular Topology with fan_in = radices[position] * n_in / N.

    Raises:
        ValueError: if a side is not a multiple of N, or the radices or the position are not as described.

    Example:
        >>> radix(8, 4, radices=[2, 2], position=1).biadjacency().toarray()
        array([[1., 1., 0., 0., 1., 1., 0., 0.],
               [0., 0., 1., 1., 0., 0., 1., 1.],
               [1., 1., 0., 0., 1., 1., 0., 0.],
               [0., 0., 1., 1., 0., 0., 1., 1.]])
    """
    if not isinstance(radices, Sequence) or not radices or not all(isinstance(r, int) and r >= 2 for r in radices):
        raise ValueError(f"expected radices as a list of integers >= 2, got radices={radices!r}")
    if type(position) is not int or not 0 <= position < len(radices):
        raise ValueError(f"expected 0 <= position < {len(radices)}, the number of radices, got position={position!r}")
    ring = prod(radices)
    if n_in % ring or n_out % ring:
        near = " x ".join(str(max(round(n / ring), 1) * ring) for n in (n_in, n_out))
        raise ValueError(
            f"expected n_in and n_out as multiples of {ring}, the product of the radices {list(radices)}, got "
            f"{n_in} x {n_out}; the nearest is {near}"
        )
    width_in, width_out = n_in // ring, n_out // ring
    stride = prod(radices[:position])
    places = np.sort((np.arange(ring)[:, None] + np.arange(radices[position]) * stride) % ring, axis=1)
    inputs = (places[:, :, None] * width_in + np.arange(width_in)).reshape(ring, -1)
    return edges_from_rows(np.repeat(inputs, width_out, axis=0))
