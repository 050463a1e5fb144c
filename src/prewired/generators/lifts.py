"""Random biregular families that are built from permutations, or drawn until they are Ramanujan."""

import math

import numpy as np

from ..random_bits import RandomBits
from ._internal import sizes
from ._internal.costs import CostRule, Request, bound_steps
from ._internal.edge_swaps import Rows, untangle
from ._internal.portable_lanczos import second_singular_value
from ._internal.registry import Edges, family
from .random import complement, draw_near_biregular

_MAX_ROUNDS = 10_000
_CERTAIN = 1 - 1e-9


def _bound_draws(request: Request, edges: float, count: str) -> float:
    """Bound the steps of drawing as many graphs as the parameter `count` says, with Lanczos' iteration on each."""
    return max(1, request.magnitude(count)) * bound_steps(request, edges, per_edge=16)


@family
def permutations(n_in: int, n_out: int, *, fan_in: int | None = None, density: float | None = None, seed: int) -> Edges:
    """A union of disjoint random permutations: the edges of one colour join all vertices in pairs.

    For n_in = n_out there are fan_in permutations. If one side is a multiple of the other, the larger side is cut into
    parts as large as the smaller, and each part is joined to the smaller side by permutations of its own. So the graph
    is biregular. If two permutations have an edge in common, this edge trades places with random edges of its colour.
    Above one half of all edges the complement is drawn, which is such a union as well (Koenig, 1916).
    Exists for sides of which one is a multiple of the other.

    Args:
        n_in, n_out: number of inputs and outputs; one a multiple of the other.
        fan_in: inputs per output, 1..n_in; a multiple of n_in / n_out if that is more than 1.
        density: share of edges instead of fan_in, in (0, 1]; fan_in is then density * n_in, rounded.
        seed: integer >= 0.

    Returns:
        A biregular Topology.

    Raises:
        ValueError: if no side divides the other, if fan_in does not fit, or the request is impossible.

    Example:
        >>> t = permutations(6, 18, fan_in=2, seed=0)
        >>> set(t.fan_in.tolist()), set(t.fan_out.tolist())
        ({2}, {6})
    """
    width = sizes.resolve_fan_in(n_in, fan_in, density)
    size = min(n_in, n_out)
    if max(n_in, n_out) % size:
        low = max(n_in, n_out) // size * size
        raise ValueError(
            f"expected one side to be a multiple of the other, got n_in={n_in} and n_out={n_out}; the nearest "
            f"multiples of {size} are {low} and {low + size}"
        )
    parts = n_in // size
    sizes.check_multiple("fan_in", width, parts, n_in)
    dense = 2 * width > n_in
    each = (n_in - width) // parts if dense else width // parts
    bits = RandomBits(seed, "permutations")
    colours = each * parts
    matchings = bits.permutations(n_out // size * colours, size).reshape(n_out // size, each, parts, size)
    inputs = (matchings + np.arange(parts)[:, None] * size).transpose(0, 3, 1, 2).astype(np.int32).reshape(-1)
    rows = Rows(n_in, np.arange(n_out + 1) * colours, inputs)

    def of_the_same_colour(edges: np.ndarray) -> np.ndarray:
        outputs = edges // colours
        return (outputs // size * size + bits.integers(size, len(edges))) * colours + edges % colours

    if not untangle(rows, bits, _MAX_ROUNDS, of_the_same_colour):
        raise RuntimeError(f"permutations still collide after {_MAX_ROUNDS} rounds of swaps; try another seed")
    return complement(n_in, *rows.to_csr()) if dense else rows.to_csr()


@family(cost=CostRule(steps=lambda request, edges: _bound_draws(request, edges, "best_of")))
def lift(
    n_in: int, n_out: int, *, fan_in: int | None = None, density: float | None = None, best_of: int = 1, seed: int
) -> Edges:
    """A random r-lift of the complete bipartite graph: each of its edges becomes a random matching of r copies.

    With r = n_in / fan_in, the inputs are r copies of fan_in vertices, the outputs r copies of n_out / r vertices, and
    every output reads one copy of each input vertex. Random lifts are nearly Ramanujan, and some 2-lift always is as
    good as a biregular graph can be (Marcus, Spielman and Srivastava, "Interlacing families I", 2013, arXiv 1304.4132),
    so with `best_of` several lifts are drawn, and the lift with the smallest sigma2 is returned. The arithmetic of
    sigma2 is the same on every machine. Exists for n_in a multiple of fan_in and n_out a multiple of n_in / fan_in.

    Args:
        n_in, n_out: number of inputs and outputs; n_out a multiple of n_in / fan_in.
        fan_in: inputs per output, a divisor of n_in.
        density: share of edges instead of fan_in, in (0, 1]; fan_in is then density * n_in, rounded.
        best_of: how many lifts are drawn, at least 1.
        seed: integer >= 0.

    Returns:
        A biregular Topology.

    Raises:
        ValueError: if fan_in does not go with the sizes, naming the nearest that fit, or the request is impossible.

    Example:
        >>> t = lift(12, 8, fan_in=3, best_of=4, seed=0)
        >>> set(t.fan_in.tolist()), set(t.fan_out.tolist())
        ({3}, {2})
    """
    width = sizes.resolve_fan_in(n_in, fan_in, density)
    _check_count("best_of", best_of)
    if n_in % width or n_out % (n_in // width):
        fits = [n_in // r for r in range(1, n_in + 1) if n_in % r == 0 and n_out % r == 0]
        raise ValueError(
            f"expected a fan_in that divides n_in={n_in} with n_in / fan_in dividing n_out={n_out}, got fan_in="
            f"{width}; the nearest are {sizes.format_nearest(fits, width)}"
        )
    copies, bits = n_in // width, RandomBits(seed, "lift")
    candidates = [_draw_lift(width, n_out // copies, copies, bits) for _ in range(best_of)]
    if best_of > 1:
        candidates = [min(candidates, key=lambda indices: second_singular_value(n_in, n_out, indices))]
    return np.arange(n_out + 1, dtype=np.int64) * width, candidates[0]


@family(cost=CostRule(steps=lambda request, edges: _bound_draws(request, edges, "tries")))
def ramanujan(
    n_in: int, n_out: int, *, fan_in: int | None = None, density: float | None = None, tries: int = 100, seed: int
) -> Edges:
    """A random biregular graph that is verified to be Ramanujan: sigma2 <= sqrt(fan_in - 1) + sqrt(fan_out - 1).

    Graphs are drawn as by `biregular` until a graph keeps the bound, as most do. sigma2 is computed to 1 part in 10^9,
    in arithmetic that is the same on every machine. A graph whose sigma2 is closer to the bound than that is rejected.
    Exists for n_out * fan_in a multiple of n_in.

    Args:
        n_in, n_out: number of inputs and outputs; n_out * fan_in a multiple of n_in.
        fan_in: inputs per output, 1..n_in; fan-ins and fan-outs at least 2 unless the graph is complete.
        density: share of edges instead of fan_in, in (0, 1]; fan_in is then density * n_in, rounded.
        tries: how many graphs are drawn at most.
        seed: integer >= 0.

    Returns:
        A biregular Topology that is Ramanujan.

    Raises:
        ValueError: if no biregular graph of this kind exists, naming the nearest fan_in that fits.
        RuntimeError: if none of the graphs drawn keeps the bound.

    Example:
        >>> t = ramanujan(60, 40, fan_in=6, seed=0)
        >>> bool(np.linalg.svd(t.biadjacency().toarray())[1][1] <= 5**0.5 + 3**0.5)
        True
    """
    width = sizes.resolve_fan_in(n_in, fan_in, density)
    _check_count("tries", tries)
    sizes.check_multiple("fan_in", width, n_in // math.gcd(n_in, n_out), n_in)
    height = n_out * width // n_in
    if min(width, height) < 2 and width < n_in:
        raise ValueError(
            f"expected fan_in >= 2 and fan_out >= 2, got {width} and {height}: a graph of stars keeps no bound; raise "
            "fan_in or density"
        )
    bits, bound = RandomBits(seed, "ramanujan"), (width - 1) ** 0.5 + (height - 1) ** 0.5
    for _ in range(tries):
        indptr, indices = draw_near_biregular(n_in, n_out, n_out * width, bits)
        if second_singular_value(n_in, n_out, indices) <= bound * _CERTAIN:
            return indptr, indices
    raise RuntimeError(
        f"none of {tries} random biregular graphs between {n_in} inputs and {n_out} outputs with fan_in={width} is "
        "Ramanujan; raise tries or take another seed"
    )


def _draw_lift(n_left: int, n_right: int, copies: int, bits: RandomBits) -> np.ndarray:
    """Draw the indices of a random lift of the complete graph between n_left inputs and n_right outputs."""
    matchings = bits.permutations(n_right * n_left, copies).reshape(n_right, n_left, copies).transpose(0, 2, 1)
    return (matchings + np.arange(n_left) * copies).astype(np.int32).reshape(-1)


def _check_count(name: str, value: int) -> None:
    """Raise ValueError unless the value is an integer >= 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"expected an integer {name} >= 1, got {name}={value!r}")
