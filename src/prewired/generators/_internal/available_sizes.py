"""Families that exist for some sizes only: which size is meant, and what is done where there is none.

A request (n_in, n_out, fan_in) either is a shape of the family, or is refused with the nearest shapes named, or, asked
with fit="nearest", is met by one rule, the same for all families: of the shapes that cover both sides, up to four times
the smallest such size, the one is taken that comes closest in size and in mean fan-in once it is cut to evenly spaced
inputs and outputs, those first whose mean fan-in is within a fifth of the one asked for. Then edges of the most read
inputs are dropped and edges to the least read inputs added until every output has exactly the fan-in asked for,
provided that at most a fifth of the edges change.

With fit="level" choice, cut and levelling are the same, whatever share of the edges changes, so that families can be
compared at one size and density. `share_changed` says the share: from about 0.6 on a graph is mostly not of the family
any more, since most of its edges were added, or most of the family's dropped.
"""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

from ..cutting import CHANGED, changed, check_fit, cut_edges, level, too_far
from .transforms import Edges


class Shape(NamedTuple):
    """A size that a family exists for: the sides, the (mean) fan-in, and the positional parameters that build it."""

    n_in: int
    n_out: int
    fan_in: float
    parameters: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.n_in} x {self.n_out} with fan_in={self.fan_in:g}"


def made(
    name: str,
    shapes: Callable[[int], Iterator[Shape]],
    build: Callable[..., Edges],
    n_in: int,
    n_out: int,
    fan_in: int | None,
    fit: str | None,
) -> Edges:
    """The edges of the shape that meets the request, or with a fit of the nearest, cut and levelled.

    Raises ValueError that names the nearest shapes, or the nearest fan-in that would fit.
    """
    check_fit(fit)
    here = [s for s in shapes(max(n_in, n_out)) if (s.n_in, s.n_out) == (n_in, n_out)]
    exact = [s for s in here if fan_in in (None, s.fan_in)]
    if len(exact) == 1:
        return build(*exact[0].parameters)
    if len(exact) > 1:
        raise ValueError(
            f"expected fan_in= among {_listed(s.fan_in for s in exact)}, which {name} has at {n_in} x {n_out}, got none"
        )
    if fit is None:
        raise ValueError(_refusal(name, shapes, n_in, n_out, fan_in, here))
    covering = _covering(shapes, n_in, n_out)
    nearest = _cut_to_size(covering, build, n_in, n_out)
    if fan_in is None:
        return nearest(None)
    if fit == "nearest" and (share := changed(nearest(fan_in), fan_in)) > CHANGED:
        means = [s.fan_in * n_in / s.n_in for s in covering]
        possible = (f for f in range(1, n_in + 1) if any(abs(mean - f) <= 1.01 * CHANGED * f for mean in means))
        others = sorted(possible, key=lambda f: ratio(f, fan_in))
        fits = next((f for f in others if changed(nearest(f), f) <= CHANGED), None)
        raise ValueError(too_far(name, fan_in, share, fits))
    return level(nearest(fan_in), n_in, fan_in)


def share_levelled(
    shapes: Callable[[int], Iterator[Shape]], build: Callable[..., Edges], n_in: int, n_out: int, fan_in: int
) -> float:
    """The share of edges that fit="level" changes."""
    return changed(_cut_to_size(_covering(shapes, n_in, n_out), build, n_in, n_out)(fan_in), fan_in)


def _cut_to_size(
    covering: list[Shape], build: Callable[..., Edges], n_in: int, n_out: int
) -> Callable[[int | None], Edges]:
    """A function of the fan-in asked for: the graph of the shape nearest to it, cut to size and not yet levelled."""

    @cache
    def cut_to_size(shape: Shape) -> Edges:
        return cut_edges(shape.n_in, shape.n_out, *build(*shape.parameters), n_in, n_out)

    return lambda fan_in: cut_to_size(min(covering, key=lambda s: _mismatch(s, n_in, n_out, fan_in)))


def _distance(shape: Shape, n_in: int, n_out: int, fan_in: int | None) -> Fraction:
    """How far a shape is from a request: the product of the ratios of sides and fan-ins, >= 1; exact, as ties occur."""
    return ratio(shape.n_in, n_in) * ratio(shape.n_out, n_out) * ratio(shape.fan_in, fan_in or shape.fan_in)


def _mismatch(shape: Shape, n_in: int, n_out: int, fan_in: int | None) -> tuple[bool, Fraction]:
    """How far a shape is from a request once cut to size: first whether its mean fan-in is too far to be levelled."""
    mean = Fraction(shape.fan_in) * n_in / shape.n_in
    mended = ratio(mean, fan_in or mean)
    return mended > 1 + CHANGED, ratio(shape.n_in, n_in) * ratio(shape.n_out, n_out) * mended


def ratio(a: float | Fraction, b: float | Fraction) -> Fraction:
    """a / b or b / a, whichever is at least 1; exact."""
    quotient = Fraction(a) / Fraction(b)
    return max(quotient, 1 / quotient)


def _covering(shapes: Callable[[int], Iterator[Shape]], n_in: int, n_out: int) -> list[Shape]:
    """The shapes that are at least as large on both sides, up to four times the size of the smallest of them."""
    limit = largest = max(n_in, n_out)
    while not (found := [s for s in shapes(limit) if s.n_in >= n_in and s.n_out >= n_out]):
        limit *= 2
        if limit > 1024 * largest + 4096:
            raise ValueError(f"expected sides that a graph of the family can cover, got {n_in} x {n_out}")
    smallest = min(max(s.n_in, s.n_out) for s in found)
    return [s for s in shapes(4 * smallest) if s.n_in >= n_in and s.n_out >= n_out]


def _refusal(
    name: str,
    shapes: Callable[[int], Iterator[Shape]],
    n_in: int,
    n_out: int,
    fan_in: int | None,
    here: list[Shape],
) -> str:
    asked = f"{n_in} x {n_out}" + ("" if fan_in is None else f" with fan_in={fan_in}")
    if here:
        return (
            f"expected fan_in {_listed(s.fan_in for s in here)}, all that {name} has at {n_in} x {n_out}, got "
            f'fan_in={fan_in}; leave fan_in out, or ask for fit="nearest"'
        )

    def nearest(candidates: Iterable[Shape]) -> list[str]:
        return [str(s) for s in sorted(candidates, key=lambda s: _distance(s, n_in, n_out, fan_in))[:1]]

    smaller = nearest(s for s in shapes(max(n_in, n_out)) if s.n_in <= n_in and s.n_out <= n_out)
    larger = nearest(_covering(shapes, n_in, n_out))
    return (
        f"expected sizes for which {name} exists, nearest {' and '.join([*smaller, *larger])}; got {asked}; take one "
        f'of those, or ask for fit="nearest"'
    )


def _listed(fan_ins: Iterable[float]) -> str:
    return ", ".join(f"{fan_in:g}" for fan_in in sorted(fan_ins))
