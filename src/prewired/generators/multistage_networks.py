"""Families of several layers: lists of topologies whose product joins every input to every output equally often.

No single layer is an expander (most have no spectral gap at all), but the network is an expander: between any input and
any output run equally many paths. The exception is `lps_tower`: each of its layers is as good an expander as a regular
graph can be.
"""

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

from ._internal.multistage import Network, network_family
from ._internal.registry import AVAILABLE_SIZES

REACH = 4
"""Networks up to so many times as wide as the widest requested layer are considered."""


@network_family
def butterfly(sizes: tuple[int, ...]) -> Iterator[Network]:
    """Butterfly layers: all widths radix**t with 2 <= t <= the number of layers, and fan_in = radix.

    In layer k an output reads the inputs whose number differs from its own at most in digit k mod t, base radix: the
    pattern of the fast Fourier transform (Cooley and Tukey, 1965; as layers: Dao et al., "Learning fast algorithms for
    linear transforms using butterfly factorizations", ICML 2019, arXiv 1903.05895). The product of t layers in a row is
    the all-ones matrix: exactly one path from every input to every output.

    Args:
        sizes: units per layer, inputs first.
        fan_in, density: one of the two; fan_in is one number or one for each layer; without both, the sparsest network.
        fit: "nearest" or "level" to cut a larger network to other widths, see `share_changed`.

    Returns:
        One Topology per layer, each made by `butterfly_stage`.

    Raises:
        ValueError: if there is no such network; the message names the nearest.

    Example:
        >>> a, b = butterfly([16, 16, 16])
        >>> a.fan_in[0], (b.biadjacency() @ a.biadjacency()).toarray().min()
        (np.int64(4), np.float64(1.0))
    """
    n_layers = len(sizes) - 1
    for radix, power in _list_powers(sizes, n_layers):
        layers = [("butterfly_stage", {"stage": k % power, "radix": radix}) for k in range(n_layers)]
        yield _build_square(radix**power, radix, layers)


@network_family
def benes(sizes: tuple[int, ...]) -> Iterator[Network]:
    """Benes networks: all widths radix**t in exactly 2t - 1 layers, t >= 2, and fan_in = radix.

    Butterfly stages 0, 1, ..., t-1 and back, t-2, ..., 0: as switches they route every permutation (Benes,
    "Mathematical theory of connecting networks and telephone traffic", 1965). Every input reaches every output on
    radix**(t-1) paths.

    Args:
        sizes: units per layer, inputs first; 2t of them.
        fan_in, density: one of the two; fan_in is one number or one for each layer; without both, the sparsest network.
        fit: "nearest" or "level" to cut a larger network to other widths, see `share_changed`.

    Returns:
        One Topology per layer, each made by `butterfly_stage`.

    Raises:
        ValueError: if there is no such network; the message names the nearest.

    Example:
        >>> [t.recipe.parameters[2:] for t in benes([4, 4, 4, 4])]
        [(('stage', 0), ('radix', 2)), (('stage', 1), ('radix', 2)), (('stage', 0), ('radix', 2))]
    """
    n_layers = len(sizes) - 1
    half = n_layers // 2 + 1
    places = [*range(half), *reversed(range(half - 1))]
    for radix, power in _list_powers(sizes, half):
        if n_layers % 2 and power == half:
            yield _build_square(
                radix**power, radix, [("butterfly_stage", {"stage": k, "radix": radix}) for k in places]
            )


@network_family
def de_bruijn_tower(sizes: tuple[int, ...]) -> Iterator[Network]:
    """De Bruijn layers: all widths radix**t with 2 <= t <= the number of layers, and fan_in = radix.

    Every layer is the de Bruijn graph, in which unit i feeds the units radix * i + j mod n: the digits move up by one
    place and a new one comes in. After t layers all digits are new: exactly one path from every input to every output
    (de Bruijn, "A combinatorial problem", 1946).

    Args:
        sizes: units per layer, inputs first.
        fan_in, density: one of the two; fan_in is one number or one for each layer; without both, the sparsest network.
        fit: "nearest" or "level" to cut a larger network to other widths, see `share_changed`.

    Returns:
        One Topology per layer, each made by `de_bruijn`.

    Raises:
        ValueError: if there is no such network; the message names the nearest.

    Example:
        >>> a, b, c = de_bruijn_tower([8, 8, 8, 8])
        >>> (c.biadjacency() @ b.biadjacency() @ a.biadjacency()).toarray().max()
        np.float64(1.0)
    """
    n_layers = len(sizes) - 1
    for radix, power in _list_powers(sizes, n_layers):
        yield _build_square(radix**power, radix, [("de_bruijn", {"fan_in": radix})] * n_layers)


@network_family
def grouped_shuffle(sizes: tuple[int, ...]) -> Iterator[Network]:
    """Grouped layers with a shuffle between: first and last width a multiple of g, g * g dividing those between.

    Each layer is g separate blocks, as in grouped convolutions; before every layer but the first the units are dealt
    out to the groups like cards, as in ShuffleNet (Zhang et al., CVPR 2018, arXiv 1707.01083). The fan-in is n_in / g.
    Two layers in a row join every input to every output by equally many paths.

    Args:
        sizes: units per layer, inputs first; at least three.
        fan_in, density: one of the two; fan_in is one number or one for each layer; without both, the sparsest network.
        fit: "nearest" or "level" to cut a larger network to other widths, see `share_changed`.

    Returns:
        One Topology per layer, made by `grouped` and `shuffle`.

    Raises:
        ValueError: if there is no such network; the message names the nearest.

    Example:
        >>> a, b = grouped_shuffle([6, 8, 4])
        >>> (b.biadjacency() @ a.biadjacency()).toarray().min()
        np.float64(2.0)
    """
    n_layers = len(sizes) - 1
    for groups in range(2, _root(REACH * max(sizes), 2) + 1 if n_layers > 1 else 0):
        units = [groups, *[groups**2] * (n_layers - 1), groups]
        for widths in _round_to_multiples(sizes, units):
            fan_ins = tuple(width // groups for width in widths[:-1])
            first, *later = fan_ins
            layers = [("grouped", {"fan_in": first}), *(("shuffle", {"fan_in": fan_in}) for fan_in in later)]
            yield Network(widths, fan_ins, tuple(layers))


@network_family
def radix_net(sizes: tuple[int, ...], *, radices: Sequence[Sequence[int]] | None = None) -> Iterator[Network]:
    """RadiX-Nets: all widths multiples of N = r1 * ... * rs, the product of the radices of s >= 2 layers.

    On a ring of N places, layer i of a system of radices joins places that differ by a multiple of r1 * ... * r(i-1),
    ri of them; each place stands for a block of units. Systems follow one another and all have the product N; the last
    may have one that divides it. The number of paths from every input to every output is the same (Kepner and Robinett,
    "RadiX-Net: structured sparse matrices for deep neural networks", IPDPSW 2019, arXiv 1905.00416). The fan-in of
    layer i is ri * n_in / N.

    Args:
        sizes: units per layer, inputs first; at least three.
        fan_in, density: one of the two; fan_in is one number or one for each layer; without both, the sparsest network.
        fit: "nearest" or "level" to cut a larger network to other widths, see `share_changed`.
        radices: the systems, a list of lists with one radix for each layer; if not given, equal radices in the shortest
            systems that meet the request.

    Returns:
        One Topology per layer, each made by `radix`.

    Raises:
        ValueError: if there is no such network; the message names the nearest. If the radices are not as described.

    Example:
        >>> a, b = radix_net([12, 6, 18], radices=[[2, 3]])
        >>> a.fan_in[0], b.fan_in[0], (b.biadjacency() @ a.biadjacency()).toarray().min()
        (np.int64(4), np.int64(3), np.float64(1.0))
    """
    n_layers = len(sizes) - 1
    if radices is not None:
        choices = [_check_systems(radices, n_layers)]
    else:
        choices = [[[radix] * power] * (n_layers // power + 1) for radix, power in _list_powers(sizes, n_layers)]
    for systems in choices:
        ring = prod(systems[0])
        places = [(system, k) for system in systems for k in range(len(system))][:n_layers]
        for widths in _round_to_multiples(sizes, [ring] * (n_layers + 1)):
            fan_ins = tuple(a // ring * system[k] for a, (system, k) in zip(widths, places, strict=False))
            layers = [("radix", {"radices": _complete_system(system, ring), "position": k}) for system, k in places]
            yield Network(widths, fan_ins, tuple(layers))


@network_family
def lps_tower(sizes: tuple[int, ...]) -> Iterator[Network]:
    """Towers of Ramanujan graphs: all widths the number of vertices of a graph of Lubotzky, Phillips and Sarnak.

    Every layer is the same graph X(p, q), with fan_in = p + 1 and every singular value but the first at most 2 sqrt(p);
    so over k layers the second singular value of the product is at most (2 sqrt(p) / (p + 1))**k of the first, which is
    the fastest mixing that layers of this degree can promise (Lubotzky, Phillips and Sarnak, "Ramanujan graphs",
    Combinatorica 8, 1988).

    Args:
        sizes: units per layer, inputs first.
        fan_in, density: one of the two; fan_in is one number or one for each layer; without both, the sparsest network.
        fit: "nearest" or "level" to cut a larger network to other widths, see `share_changed`.

    Returns:
        One Topology per layer, each made by `lps`.

    Raises:
        ValueError: if there is no such network; the message names the nearest.

    Example:
        >>> [t.n_edges for t in lps_tower([1092, 1092, 1092], fan_in=6)]
        [6552, 6552]
    """
    n_layers = len(sizes) - 1
    for shape in AVAILABLE_SIZES["lps"](REACH * max(sizes)):
        fan_in = int(shape.fan_in)
        yield _build_square(shape.n_in, fan_in, [("lps", {"fan_in": fan_in})] * n_layers)


def _build_square(n: int, fan_in: int, layers: Sequence[tuple[str, dict[str, Any]]]) -> Network:
    return Network((n,) * (len(layers) + 1), (fan_in,) * len(layers), tuple(layers))


def _list_powers(sizes: tuple[int, ...], most: int) -> Iterator[tuple[int, int]]:
    """Every (radix, power), 2 <= power <= most, with radix**power within reach, the lowest powers first."""
    limit = REACH * max(sizes)
    for power in range(2, min(most, limit.bit_length()) + 1):
        for radix in range(2, _root(limit, power) + 1):
            yield radix, power


def _root(n: int, power: int) -> int:
    """Return the largest integer whose power is at most n."""
    root = round(n ** (1 / power)) + 1
    while root**power > n:
        root -= 1
    return root


def _round_to_multiples(sizes: tuple[int, ...], units: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the widths rounded up to multiples of their units, and rounded down."""
    up = tuple(-(-size // unit) * unit for size, unit in zip(sizes, units, strict=True))
    down = tuple(max(size // unit, 1) * unit for size, unit in zip(sizes, units, strict=True))
    return [up] if up == down else [up, down]


def _check_systems(radices: Sequence[Sequence[int]], n_layers: int) -> list[list[int]]:
    systems = [list(system) if isinstance(system, Sequence) else [] for system in radices]
    good = systems and all(systems) and all(isinstance(r, int) and r >= 2 for system in systems for r in system)
    products = [prod(system) for system in systems] if good else []
    if not good or sum(map(len, systems)) != n_layers or len(set(products[:-1])) > 1 or products[0] % products[-1]:
        raise ValueError(
            f"expected radices as a list of systems, {n_layers} integers >= 2 in all, of equal product but the last, "
            f"whose product divides it; got {radices}"
        )
    return systems


def _complete_system(system: list[int], ring: int) -> list[int]:
    """Return the radices, with one more if their product is a proper divisor of the ring."""
    return [*system, ring // prod(system)] if prod(system) < ring else system
