"""How many edges each layer of a network gets: a total, divided exactly.

A layer is its shape (n_in, n_out), with the sides of the kernel behind them for a convolution. All arithmetic is in
whole numbers and fractions, so a budget is the same on every machine.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from math import prod

from ..generators._internal.sizes import check_density

Shape = tuple[int, ...]


def uniform(layers: Sequence[Shape], n_edges: int, *, steps: Sequence[int] | None = None) -> list[int]:
    """The same density in every layer.

    Args:
        layers: the shape of each, (n_in, n_out) or (n_in, n_out, height, width).
        n_edges: edges over all layers.
        steps: a number for each layer of which its edges must be a multiple, such as n_out where all fan-ins are equal.

    Returns:
        The edges of each layer: they sum to n_edges, by the largest remainder, and each is at least 1 (one step) and
        at most the size of the layer. With steps the sum is n_edges or, where the steps do not add up to it, near.

    Raises:
        ValueError: if n_edges is less than one per layer (one step per layer) or more than there is room for.

    Example:
        >>> uniform([(784, 100), (100, 100)], 8840)
        [7840, 1000]
    """
    return _divide(layers, [Fraction(prod(shape)) for shape in layers], n_edges, steps)


def erdos_renyi(layers: Sequence[Shape], n_edges: int, *, steps: Sequence[int] | None = None) -> list[int]:
    """Edges in proportion to n_in + n_out, so that wide layers are sparser.

    A layer that would have more edges than room becomes dense and the others share the rest. As in Mocanu et al.,
    "Scalable training of artificial neural networks with adaptive sparse connectivity inspired by network science",
    Nature Communications 9, 2018. A convolution counts this once for each position of its kernel.

    Arguments, result and errors as in `uniform`.

    Example:
        >>> erdos_renyi([(800, 100), (100, 100)], 11_000)
        [9000, 2000]
    """
    return _divide(layers, [Fraction(sum(shape[:2]) * prod(shape[2:])) for shape in layers], n_edges, steps)


def erk(layers: Sequence[Shape], n_edges: int, *, steps: Sequence[int] | None = None) -> list[int]:
    """Erdos-Renyi-Kernel: edges in proportion to n_in + n_out + height + width; without kernels `erdos_renyi`.

    As in Evci et al., "Rigging the lottery: making all tickets winners", ICML 2020, arXiv 1911.11134.

    Arguments, result and errors as in `uniform`.

    Example:
        >>> erk([(16, 32, 3, 3), (32, 64, 3, 3)], 1560)
        [540, 1020]
    """
    return _divide(layers, [Fraction(sum(shape)) for shape in layers], n_edges, steps)


def given(
    layers: Sequence[Shape],
    densities: Sequence[float],
    n_edges: int | None = None,
    *,
    steps: Sequence[int] | None = None,
) -> list[int]:
    """A density for each layer: the sum of edges is rounded once; with n_edges that sum, in the same proportions.

    Arguments, result and errors as in `uniform`.

    Example:
        >>> given([(10, 10), (10, 5)], [0.1, 0.5])
        [10, 25]
    """
    if len(densities) != len(layers):
        raise ValueError(f"expected a density for each of {len(layers)} layers, got {len(densities)}")
    shares = [Fraction(check_density(density)) for density in densities]
    wanted = [share * prod(shape) for share, shape in zip(shares, layers, strict=True)]
    return _divide(layers, wanted, round(sum(wanted)) if n_edges is None else n_edges, steps)


BUDGETS: dict[str, Callable[..., list[int]]] = {"uniform": uniform, "erdos_renyi": erdos_renyi, "erk": erk}


def budget(
    layers: Sequence[Shape],
    rule: str | Sequence[float],
    n_edges: int | None,
    *,
    steps: Sequence[int] | None = None,
) -> list[int]:
    """The edges of each layer by the name of a rule in BUDGETS, or by given densities.

    Example:
        >>> budget([(8, 8), (8, 8)], "uniform", 7), budget([(8, 8), (8, 8)], [0.25, 0.5], None)
        ([4, 3], [16, 32])
    """
    if not isinstance(rule, str):
        return given(layers, rule, n_edges, steps=steps)
    if rule not in BUDGETS:
        raise ValueError(f"expected a budget among {', '.join(BUDGETS)}, or a density per layer; got {rule!r}")
    if n_edges is None:
        raise ValueError(
            f"expected the number of edges that budget {rule!r} divides, got none; give density= or n_edges="
        )
    return BUDGETS[rule](layers, n_edges, steps=steps)


def layer_shapes(sizes: Sequence[int]) -> list[Shape]:
    """The shapes of the layers between so many units.

    Example:
        >>> layer_shapes([784, 100, 10])
        [(784, 100), (100, 10)]
    """
    return list(pairwise(sizes))


def _divide(
    layers: Sequence[Shape], weights: Sequence[Fraction], n_edges: int, steps: Sequence[int] | None
) -> list[int]:
    """`n_edges` in proportion to the weights, within the room of every layer, in whole steps, by largest remainder."""
    steps = [1] * len(layers) if steps is None else steps
    room = [prod(shape) // step * step for shape, step in zip(layers, steps, strict=True)]
    if isinstance(n_edges, bool) or not isinstance(n_edges, int) or not sum(steps) <= n_edges <= sum(room):
        raise ValueError(
            f"expected an integer {sum(steps)} <= n_edges <= {sum(room)}, at least one edge or one per output and at "
            f"most the size of every layer, got n_edges={n_edges!r}"
        )
    shares = _shares(weights, n_edges, steps, room)
    edges = [int(share // step) * step for share, step in zip(shares, steps, strict=True)]
    left = n_edges - sum(edges)
    by_remainder = sorted(range(len(layers)), key=lambda k: ((edges[k] - shares[k]) / steps[k], k))
    for k in by_remainder:
        if edges[k] < room[k] and 2 * left >= steps[k]:
            edges[k] += steps[k]
            left -= steps[k]
    return edges


def _shares(weights: Sequence[Fraction], n_edges: int, least: Sequence[int], most: Sequence[int]) -> list[Fraction]:
    """Fractions that sum to n_edges: min(max(scale * weight, least), most) for the one scale that does it."""

    def clipped(scale: Fraction) -> list[Fraction]:
        return [
            min(max(scale * weight, Fraction(low)), Fraction(high))
            for weight, low, high in zip(weights, least, most, strict=True)
        ]

    bends = sorted({Fraction(b) / w for w, *bounds in zip(weights, least, most, strict=True) for b in bounds})
    above = next(scale for scale in bends if sum(clipped(scale)) >= n_edges)
    below = max((scale for scale in bends if scale < above), default=above)
    at_below, at_above = clipped(below), clipped(above)
    start, end = Fraction(sum(at_below)), Fraction(sum(at_above))
    part = (n_edges - start) / (end - start) if end > start else Fraction(0)
    return [a + part * (b - a) for a, b in zip(at_below, at_above, strict=True)]
