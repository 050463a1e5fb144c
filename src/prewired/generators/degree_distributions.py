"""Random families whose degrees follow a distribution: power law, lognormal, or a profile along a side."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from ..random_bits import RandomBits
from ._internal import sizes
from ._internal.costs import CostRule, bound_steps
from ._internal.portable_math import exp, log, normal_quantiles
from ._internal.registry import Edges, family
from .degree_sequence import draw_graph


@family(cost=CostRule(steps=partial(bound_steps, per_edge=256)))
def power_law(
    n_in: int,
    n_out: int,
    *,
    fan_in: int | None = None,
    density: float | None = None,
    n_edges: int | None = None,
    exponent: float = 2.5,
    sides: str = "inputs",
    seed: int,
) -> Edges:
    """Degrees follow a power law: a share of about k^(1 - exponent) of the vertices of a side has k edges or more.

    The degrees are the quantiles of a Pareto distribution, w_k = ((k + 1/2) / n)^(-1 / (exponent - 1)), scaled and
    rounded to the wanted sum, none below 1 (where there are as many edges as vertices) and none above the other side.
    They are the same for every seed; which vertex has which, and the graph, are random as in `degree_sequence`.

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in: mean number of inputs per output: exactly n_out * fan_in edges.
        density: share of edges instead of fan_in, in (0, 1]: exactly round(density * n_in * n_out) edges.
        n_edges: number of edges instead of fan_in.
        exponent: of the degree distribution, from 1.05 to 100; the smaller, the larger the hubs.
        sides: whose degrees vary: "inputs", "outputs" or "both"; the degrees of the other side are near-equal.
        seed: integer >= 0.

    Returns:
        A Topology with exactly that many edges.

    Raises:
        ValueError: if the request is impossible, also where both sides have hubs too large for each other.

    Example:
        >>> t = power_law(100, 50, fan_in=8, seed=0)
        >>> sorted(t.fan_out.tolist())[-4:], set(t.fan_in.tolist())
        ([14, 17, 24, 50], {8})
    """
    sizes.check_real("exponent", exponent, 1.05, 100, "2.5 is usual")
    n_edges = sizes.edge_count(n_in, n_out, fan_in, density, n_edges)
    slope = 1 / (exponent - 1)

    def weights(n: int) -> np.ndarray:
        return exp(-slope * log((np.arange(n) + 0.5) / n))

    return _draw_with_weights(n_in, n_out, n_edges, weights, sides, seed, "power_law")


@family
def lognormal(
    n_in: int,
    n_out: int,
    *,
    fan_in: int | None = None,
    density: float | None = None,
    n_edges: int | None = None,
    spread: float = 1.0,
    sides: str = "inputs",
    seed: int,
) -> Edges:
    """Degrees are lognormal: hubs, but no heavy tail. The coefficient of variation is about sqrt(exp(spread^2) - 1).

    The degrees are the quantiles of exp(spread * N(0, 1)), scaled and rounded to the wanted sum, none below 1 (where
    there are as many edges as vertices) and none above the other side. They are the same for every seed; which vertex
    has which, and the graph, are random as in `degree_sequence`.

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in: mean number of inputs per output: exactly n_out * fan_in edges.
        density: share of edges instead of fan_in, in (0, 1]: exactly round(density * n_in * n_out) edges.
        n_edges: number of edges instead of fan_in.
        spread: standard deviation of the logarithm of the degrees, from 0 to 20; 0 is near-biregular.
        sides: whose degrees vary: "inputs", "outputs" or "both"; the degrees of the other side are near-equal.
        seed: integer >= 0.

    Returns:
        A Topology with exactly that many edges.

    Raises:
        ValueError: if the request is impossible, also where both sides have hubs too large for each other.

    Example:
        >>> t = lognormal(100, 50, fan_in=8, seed=0)
        >>> sorted(t.fan_out.tolist())[-4:], set(t.fan_in.tolist())
        ([15, 17, 21, 32], {8})
    """
    sizes.check_real("spread", spread, 0, 20, "1.0 is usual")
    n_edges = sizes.edge_count(n_in, n_out, fan_in, density, n_edges)
    return _draw_with_weights(
        n_in, n_out, n_edges, lambda n: exp(spread * normal_quantiles(n)[::-1]), sides, seed, "lognormal"
    )


@family
def profile(
    n_in: int,
    n_out: int,
    *,
    fan_in: int | None = None,
    density: float | None = None,
    n_edges: int | None = None,
    inputs: Sequence[float] = (1.0, 3.0, 1.0),
    outputs: Sequence[float] = (1.0,),
    seed: int,
) -> Edges:
    """Degrees follow a profile along each side: the place of a vertex decides how many edges it has.

    A profile is a piecewise linear curve through values at equal distances from the first vertex to the last: (1, 3, 1)
    gives the middle three times as many edges as the ends, (1,) all the same, (1, 2) a ramp. Degrees are the curve
    scaled and rounded to the wanted sum, none above the other side; the graph is random as in `degree_sequence`. The
    definition is ours, after the profiled sparse networks of the literature; it suits inputs with a geometry, whose
    middle may matter most.

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in: mean number of inputs per output: exactly n_out * fan_in edges.
        density: share of edges instead of fan_in, in (0, 1]: exactly round(density * n_in * n_out) edges.
        n_edges: number of edges instead of fan_in.
        inputs: profile of the fan-outs, positive numbers.
        outputs: profile of the fan-ins, positive numbers.
        seed: integer >= 0.

    Returns:
        A Topology with exactly that many edges.

    Raises:
        ValueError: if the request is impossible, also where the two profiles are too steep for each other.

    Example:
        >>> profile(8, 6, fan_in=4, inputs=(1, 3), seed=0).fan_out.tolist()
        [2, 2, 2, 3, 3, 4, 4, 4]
    """
    n_edges = sizes.edge_count(n_in, n_out, fan_in, density, n_edges)
    fan_outs = apportion(_interpolate("inputs", inputs, n_in), n_edges, n_out)
    fan_ins = apportion(_interpolate("outputs", outputs, n_out), n_edges, n_in)
    return draw_graph(fan_ins, fan_outs, seed, "profile")


def apportion(weights: np.ndarray, total: int, cap: int) -> np.ndarray:
    """Return integers near a multiple of the weights with the sum `total`, each at most `cap`, if possible at least 1.

    The integers are the weights times a scale, rounded. The scale is bisected to the last bit. If this bit changes
    several integers at once, the first of them get the remainder.
    """
    least = 1 if total >= len(weights) else 0

    def scaled(by: float) -> np.ndarray:
        return np.clip(np.floor(np.minimum(weights * by, cap) + 0.5), least, cap).astype(np.int64)

    low, high = 0.0, 2.0 * cap / float(weights.min())
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if scaled(middle).sum() <= total else (low, middle)
    degrees = scaled(low)
    more = np.flatnonzero(scaled(high) > degrees)
    degrees[more[: total - degrees.sum()]] += 1
    return degrees


def _draw_with_weights(
    n_in: int, n_out: int, n_edges: int, weights: Callable[[int], np.ndarray], sides: str, seed: int, label: str
) -> Edges:
    """Draw a graph with degrees near `weights(n)`, in random order, on the named sides, and near-equal elsewhere."""
    if sides not in ("inputs", "outputs", "both"):
        raise ValueError(f'expected sides "inputs", "outputs" or "both", got sides={sides!r}')
    bits = RandomBits(seed, f"{label} degrees")

    def degrees(side: str, n: int, cap: int) -> np.ndarray:
        if sides not in (side, "both"):
            return sizes.split_evenly(n, n_edges, bits)
        return apportion(weights(n), n_edges, cap)[bits.permutation(n)]

    fan_ins, fan_outs = degrees("outputs", n_out, n_in), degrees("inputs", n_in, n_out)
    return draw_graph(fan_ins, fan_outs, seed, label)


def _interpolate(name: str, values: Sequence[float], n: int) -> np.ndarray:
    """Return the values of a piecewise linear curve at the middles of n equal parts."""
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise ValueError(f"expected {name} as positive numbers, such as (1, 3, 1), got {name}={values!r}")
    for k, value in enumerate(values):
        sizes.check_real(f"{name}[{k}]", value, 1e-100, 1e100, "a profile is positive, such as (1, 3, 1)")
    knots = np.asarray(values, np.float64)
    at = (np.arange(n) + 0.5) / n * (len(knots) - 1)
    before = np.minimum(at.astype(np.int64), max(len(knots) - 2, 0))
    after = np.minimum(before + 1, len(knots) - 1)
    return knots[before] + (at - before) * (knots[after] - knots[before])
