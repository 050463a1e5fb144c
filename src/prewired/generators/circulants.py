"""Circulant graphs: every output reads the inputs at the same offsets from its own place on a ring."""

from collections.abc import Callable, Sequence

import numpy as np

from ..random_bits import RandomBits
from ._internal.costs import CostRule, Request, bound_edges
from ._internal.finite_fields import field, prime_powers
from ._internal.registry import Edges, family
from ._internal.sizes import resolve_fan_in
from .structured import list_fibonacci_offsets, rotate_offsets


def _bound_edges(request: Request) -> float:
    """Bound the edges as `bound_edges` does; the fan-in of a difference set without fan_in= follows from n_in."""
    values = request.parameters
    if values.get("offsets") == "difference_set" and "fan_in" not in values and "density" not in values:
        n_in, n_out = request.sides
        return n_out * (n_in**0.5 + 1)
    return bound_edges(request)


@family(cost=CostRule(edges=_bound_edges))
def circulant(
    n_in: int,
    n_out: int,
    *,
    fan_in: int | None = None,
    density: float | None = None,
    offsets: str | Sequence[int] = "strided",
) -> Edges:
    """Output j reads the inputs floor(j * n_in / n_out) + s mod n_in for all s of a set of offsets.

    For n_in = n_out = n the singular values are |sum of exp(2 pi i k s / n) over s|, k = 0..n-1, a Fourier transform of
    the offsets (Davis, "Circulant matrices", 1979). The offsets are a list, or a name:

    - "rotating": 0, 1, 2, ..., as in the family of that name: almost no gap.
    - "strided": floor(t * n_in / fan_in), t = 0..fan_in-1, evenly spread: no gap where fan_in divides n_in.
    - "fibonacci": 0, 1, 2, 3, 5, 8, ... mod n_in, as in the family of that name.
    - "powers_of_two": 0, 1, 2, 4, 8, ... mod n_in: all scales, as in dilated convolutions.
    - "difference_set": every difference but 0 mod n_in exactly once (Singer, 1938), which is the projective plane
      graph: sigma2 = sqrt(fan_in - 1). Only for n_in = q**2 + q + 1 and fan_in = q + 1, q a power of a prime.

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in: inputs per output, 1..n_in; may be left out if the offsets determine the fan-in.
        density: share of edges instead of fan_in, in (0, 1]; fan_in is then density * n_in, rounded.
        offsets: a name, or distinct integers mod n_in.

    Returns:
        A Topology with exactly n_out * fan_in edges.

    Raises:
        ValueError: if the request is impossible, or there are fewer than fan_in such offsets.

    Example:
        >>> circulant(13, 13, offsets=[0, 1, 3, 9]) == circulant(13, 13, fan_in=4, offsets="difference_set")
        True
    """
    if isinstance(offsets, str):
        if offsets not in OFFSETS:
            raise ValueError(
                f"expected offsets as a list of integers or a name among {', '.join(OFFSETS)}, got {offsets!r}; "
                "random_circulant has random ones"
            )
        if offsets == "difference_set" and fan_in is None and density is None:
            fan_in = round(n_in**0.5 + 0.5)
        return rotate_offsets(n_in, n_out, OFFSETS[offsets](n_in, resolve_fan_in(n_in, fan_in, density)))
    listed = isinstance(offsets, Sequence) and len(offsets) > 0
    if not listed or not all(isinstance(s, int) and not isinstance(s, bool) for s in offsets):
        raise ValueError(f"expected offsets as a list of integers, at least one, got offsets={offsets!r}")
    if len({s % n_in for s in offsets}) < len(offsets):
        raise ValueError(
            f"expected offsets distinct modulo n_in={n_in}, got {list(offsets)}; leave the repeated ones out"
        )
    if (fan_in is not None or density is not None) and resolve_fan_in(n_in, fan_in, density) != len(offsets):
        raise ValueError(
            f"expected as many offsets as fan_in, got {len(offsets)} offsets; leave fan_in and density out"
        )
    return rotate_offsets(n_in, n_out, np.array(offsets))


@family
def random_circulant(
    n_in: int, n_out: int, *, fan_in: int | None = None, density: float | None = None, seed: int
) -> Edges:
    """A `circulant` graph whose offsets are drawn uniformly among all sets of that size.

    The graph has the symmetry of a circulant and no other structure. At a fixed fan-in the gap of any circulant
    vanishes as n grows (Alon and Roichman, "Random Cayley graphs and expanders", 1994). At n = 512 and fan_in = 16 the
    relative gap is about 0.41; a random biregular graph has 0.52.

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in: inputs per output, 1..n_in.
        density: share of edges instead of fan_in, in (0, 1]; fan_in is then density * n_in, rounded.
        seed: integer >= 0.

    Returns:
        A Topology with exactly n_out * fan_in edges.

    Raises:
        ValueError: if the request is impossible, or not exactly one of fan_in and density is given.

    Example:
        >>> t = random_circulant(100, 100, fan_in=5, seed=0)
        >>> set(t.fan_in.tolist()), set(t.fan_out.tolist())
        ({5}, {5})
    """
    width = resolve_fan_in(n_in, fan_in, density)
    return rotate_offsets(n_in, n_out, RandomBits(seed, "random_circulant").sample(n_in, width))


def _rotating(n_in: int, fan_in: int) -> np.ndarray:
    return np.arange(fan_in)


def _strided(n_in: int, fan_in: int) -> np.ndarray:
    return np.arange(fan_in) * n_in // fan_in


def _powers_of_two(n_in: int, fan_in: int) -> np.ndarray:
    offsets = {0: None}
    power = 1 % n_in
    while len(offsets) < fan_in:
        if power in offsets:
            raise ValueError(
                f"expected fan_in <= {len(offsets)}, the number of distinct powers of two modulo n_in={n_in} and zero, "
                f"got fan_in={fan_in}; lower fan_in or choose other offsets"
            )
        offsets[power] = None
        power = 2 * power % n_in
    return np.fromiter(offsets, np.int64)


def _difference_set(n_in: int, fan_in: int) -> np.ndarray:
    """Singer's: the powers of x without a term in x**2, in the field of q**3 elements up to factors of that of q."""
    q = fan_in - 1
    orders = prime_powers(2 * round(n_in**0.5) + 4)
    if q not in orders or n_in != q * q + q + 1:
        near = sorted(orders, key=lambda q: abs(q * q + q + 1 - n_in))[:2]
        sizes = " and ".join(f"n_in={q * q + q + 1} with fan_in={q + 1}" for q in sorted(near))
        raise ValueError(
            f"expected n_in = q**2 + q + 1 and fan_in = q + 1, q a power of a prime, for a difference set, got "
            f"n_in={n_in} and fan_in={fan_in}; the nearest are {sizes}"
        )
    candidates = (_without_square(q, np.array([low % q, low // q % q, low // q**2])) for low in range(1, q**3))
    return np.array(next(powers for powers in candidates if len(powers) == fan_in))


def _without_square(q: int, low: np.ndarray) -> list[int]:
    """The k <= q**2 + q for which x**k has no term in x**2 modulo x**3 + low; none if a smaller power is a number."""
    f = field(q)
    minus_low, element, powers = f.negative(low), np.array([1, 0, 0]), []
    for k in range(q * q + q + 1):
        if k and not element[1:].any():
            return []
        if element[2] == 0:
            powers.append(k)
        element = f.add(np.array([0, *element[:2]]), f.multiply(element[2], minus_low))
    return powers


OFFSETS: dict[str, Callable[[int, int], np.ndarray]] = {
    "rotating": _rotating,
    "strided": _strided,
    "fibonacci": list_fibonacci_offsets,
    "powers_of_two": _powers_of_two,
    "difference_set": _difference_set,
}
