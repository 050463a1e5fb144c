"""Edge budgets: divide a number of edges among the layers of a network.

A layer is given by its shape: (n_in, n_out), or (n_in, n_out, height, width) for a convolution. All arithmetic uses
integers and fractions, so a budget is the same on every machine.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from math import prod

from ..generators._internal.sizes import check_density

Shape = tuple[int, ...]


def uniform(layers: Sequence[Shape], n_edges: int, *, steps: Sequence[int] | None = None) -> list[int]:
    """Give every layer the same density.

    Args:
        layers: the shape of each layer, (n_in, n_out) or (n_in, n_out, height, width).
        n_edges: edges of all layers together.
        steps: for each layer a number that must divide its edges, such as n_out if all fan-ins are equal.

    Returns:
        The edges of each layer, rounded by the largest remainder: at least one step (1 without steps), at most the size
        of the layer. They sum to n_edges, or close to n_edges if no multiples of the steps sum to it.

    Raises:
        ValueError: if n_edges is less than one step per layer, or more than the sizes of all layers together.

    Example:
        >>> uniform([(784, 100), (100, 100)], 8840)
        [7840, 1000]
    """
    return _divide(layers, [Fraction(prod(shape)) for shape in layers], n_edges, steps)


def by_units(layers: Sequence[Shape], n_edges: int, *, steps: Sequence[int] | None = None) -> list[int]:
    """Divide the edges in proportion to n_in + n_out, so that wide layers are sparser.

    A layer that would exceed its size becomes dense, and the other layers share the rest. The weight of a convolution
    is (n_in + n_out) * height * width. Mocanu et al., "Scalable training of artificial neural networks with adaptive
    sparse connectivity inspired by network science", Nature Communications 9, 2018.

    Arguments, result and errors as in `uniform`.

    Example:
        >>> by_units([(800, 100), (100, 100)], 11_000)
        [9000, 2000]
    """
    return _divide(layers, [Fraction(sum(shape[:2]) * prod(shape[2:])) for shape in layers], n_edges, steps)


def erk(layers: Sequence[Shape], n_edges: int, *, steps: Sequence[int] | None = None) -> list[int]:
    """Divide the edges in proportion to n_in + n_out + height + width (Erdos-Renyi-Kernel).

    Linear layers alone get what `by_units` gives. Evci et al., "Rigging the lottery: making all tickets winners",
    ICML 2020, arXiv 1911.11134.

    Arguments, result and errors as in `uniform`.

    Example:
        >>> erk([(16, 32, 3, 3), (32, 64, 3, 3)], 1560)
        [540, 1020]
    """
    return _divide(layers, [Fraction(sum(shape)) for shape in layers], n_edges, steps)


def by_density(
    layers: Sequence[Shape],
    densities: Sequence[float],
    n_edges: int | None = None,
    *,
    steps: Sequence[int] | None = None,
) -> list[int]:
    """Give each layer its own density; with n_edges, divide n_edges in the same proportions.

    Arguments, result and errors as in `uniform`.

    Example:
        >>> by_density([(10, 10), (10, 5)], [0.1, 0.5])
        [10, 25]
    """
    if len(densities) != len(layers):
        raise ValueError(f"expected a density for each of {len(layers)} layers, got {len(densities)}")
    shares = [Fraction(check_density(density)) for density in densities]
    weights = [share * prod(shape) for share, shape in zip(shares, layers, strict=True)]
    return _divide(layers, weights, round(sum(weights)) if n_edges is None else n_edges, steps)


BUDGETS: dict[str, Callable[..., list[int]]] = {"uniform": uniform, "erdos_renyi": by_units, "erk": erk}


def divide_edges(
    layers: Sequence[Shape],
    rule: str | Sequence[float],
    n_edges: int | None,
    *,
    steps: Sequence[int] | None = None,
) -> list[int]:
    """Divide edges by a rule: a name in BUDGETS, or a density for each layer.

    Example:
        >>> divide_edges([(8, 8), (8, 8)], "uniform", 7), divide_edges([(8, 8), (8, 8)], [0.25, 0.5], None)
        ([4, 3], [16, 32])
    """
    if not isinstance(rule, str):
        return by_density(layers, rule, n_edges, steps=steps)
    if rule not in BUDGETS:
        raise ValueError(f"expected a budget among {', '.join(BUDGETS)}, or a density per layer; got {rule!r}")
    if n_edges is None:
        raise ValueError(
            f"expected the number of edges that budget {rule!r} divides, got none; give density= or n_edges="
        )
    return BUDGETS[rule](layers, n_edges, steps=steps)


def layer_shapes(sizes: Sequence[int]) -> list[Shape]:
    """The shapes of the layers of a network with these numbers of units.

    Example:
        >>> layer_shapes([784, 100, 10])
        [(784, 100), (100, 10)]
    """
    return list(pairwise(sizes))


def _divide(
    layers: Sequence[Shape], weights: Sequence[Fraction], n_edges: int, steps: Sequence[int] | None
) -> list[int]:
    """Divide n_edges in proportion to the weights, at most the size of each layer, in whole steps."""
    steps = [1] * len(layers) if steps is None else steps
    capacity = [prod(shape) // step * step for shape, step in zip(layers, steps, strict=True)]
    if isinstance(n_edges, bool) or not isinstance(n_edges, int) or not sum(steps) <= n_edges <= sum(capacity):
        raise ValueError(
            f"expected an integer {sum(steps)} <= n_edges <= {sum(capacity)}, at least one edge or one per output and "
            f"at most the size of every layer, got n_edges={n_edges!r}"
        )
    shares = _shares(weights, n_edges, steps, capacity)
    edges = [int(share // step) * step for share, step in zip(shares, steps, strict=True)]
    remaining = n_edges - sum(edges)
    # Largest remainder first; equal remainders go to the earlier layer, so that the result is unique.
    by_remainder = sorted(range(len(layers)), key=lambda k: ((edges[k] - shares[k]) / steps[k], k))
    for k in by_remainder:
        if edges[k] < capacity[k] and 2 * remaining >= steps[k]:
            edges[k] += steps[k]
            remaining -= steps[k]
    return edges


def _shares(weights: Sequence[Fraction], n_edges: int, lower: Sequence[int], upper: Sequence[int]) -> list[Fraction]:
    """Find the scale for which min(max(scale * weight, lower), upper) sums to n_edges; return these fractions."""

    def clip(scale: Fraction) -> list[Fraction]:
        return [
            min(max(scale * weight, Fraction(low)), Fraction(high))
            for weight, low, high in zip(weights, lower, upper, strict=True)
        ]

    # The sum is a piecewise linear, rising function of the scale: find the piece, then interpolate exactly.
    bends = sorted({Fraction(b) / w for w, *bounds in zip(weights, lower, upper, strict=True) for b in bounds})
    above = next(scale for scale in bends if sum(clip(scale)) >= n_edges)
    below = max((scale for scale in bends if scale < above), default=above)
    at_below, at_above = clip(below), clip(above)
    start, end = Fraction(sum(at_below)), Fraction(sum(at_above))
    part = (n_edges - start) / (end - start) if end > start else Fraction(0)
    return [a + part * (b - a) for a, b in zip(at_below, at_above, strict=True)]
