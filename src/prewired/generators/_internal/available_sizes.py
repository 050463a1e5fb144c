"""Families that exist for some sizes only: which size a request means, and what fit= does where there is none.

A request is (n_in, n_out, fan_in). Without fit= the family must have exactly this Shape; otherwise a ValueError names
the nearest shapes.

With fit="nearest" one rule, the same for all families, meets the request:

1. Candidates are the shapes that cover both sides, up to four times the smallest such size.
2. Each candidate is cut to evenly spaced inputs and outputs. The candidate is taken that is then closest in size and in
   mean fan-in. Candidates whose mean fan-in is within a fifth of the requested fan-in come first.
3. Levelling: edges from the most read inputs are dropped, and edges from the least read inputs are added, until every
   output has exactly the requested fan-in. If more than a fifth of the edges change, a ValueError is raised instead.

With fit="level" steps 1 to 3 are the same, but any share of the edges may change. So families can be compared at one
size and density. `share_changed` gives the share. From about 0.6 on most edges of the graph are no longer those of the
family: most were added, or most of the family's edges were dropped.
"""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

from ..cutting import MAX_CHANGE, check_fit_mode, cut_edges, explain_excess, level, measure_change
from .transforms import Edges


class Shape(NamedTuple):
    """A size that a family exists for: the sides, the (mean) fan-in, and the positional parameters that build it."""

    n_in: int
    n_out: int
    fan_in: float
    parameters: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.n_in} x {self.n_out} with fan_in={self.fan_in:g}"


def fit_to_size(
    name: str,
    shapes: Callable[[int], Iterator[Shape]],
    build: Callable[..., Edges],
    n_in: int,
    n_out: int,
    fan_in: int | None,
    fit: str | None,
) -> Edges:
    """Build the shape that meets the request, or with fit= the nearest shape, cut and levelled.

    Args:
        name: of the family, for messages.
        shapes: limit -> the shapes with sides up to the limit.
        build: the parameters of a shape -> its edges.
        n_in, n_out, fan_in: the request; fan_in may be None.
        fit: "nearest", "level" or None.

    Raises:
        ValueError: if no shape meets the request, with the nearest shapes or the nearest fan-in that fits.
    """
    check_fit_mode(fit)
    same_size = [s for s in shapes(max(n_in, n_out)) if (s.n_in, s.n_out) == (n_in, n_out)]
    exact = [s for s in same_size if fan_in in (None, s.fan_in)]
    if len(exact) == 1:
        return build(*exact[0].parameters)
    if len(exact) > 1:
        raise ValueError(
            f"expected fan_in= among {_join(s.fan_in for s in exact)}, which {name} has at {n_in} x {n_out}, got none"
        )
    if fit is None:
        raise ValueError(_refusal(name, shapes, n_in, n_out, fan_in, same_size))
    covering = _covering_shapes(shapes, n_in, n_out)
    cut_nearest = _cutter(covering, build, n_in, n_out)
    if fan_in is None:
        return cut_nearest(None)
    if fit == "nearest" and (share := measure_change(cut_nearest(fan_in), fan_in)) > MAX_CHANGE:
        # Suggest the nearest fan-in that would fit. Only fan-ins near the mean fan-in of a candidate can, so only their
        # graphs are built.
        means = [s.fan_in * n_in / s.n_in for s in covering]
        possible = (f for f in range(1, n_in + 1) if any(abs(mean - f) <= 1.01 * MAX_CHANGE * f for mean in means))
        candidates = sorted(possible, key=lambda f: ratio(f, fan_in))
        suggestion = next((f for f in candidates if measure_change(cut_nearest(f), f) <= MAX_CHANGE), None)
        raise ValueError(explain_excess(name, fan_in, share, suggestion))
    return level(cut_nearest(fan_in), n_in, fan_in)


def measure_levelling(
    shapes: Callable[[int], Iterator[Shape]], build: Callable[..., Edges], n_in: int, n_out: int, fan_in: int
) -> float:
    """Return the share of edges that fit="level" changes, over the n_out * fan_in edges of the result."""
    cut_nearest = _cutter(_covering_shapes(shapes, n_in, n_out), build, n_in, n_out)
    return measure_change(cut_nearest(fan_in), fan_in)


def _cutter(covering: list[Shape], build: Callable[..., Edges], n_in: int, n_out: int) -> Callable[[int | None], Edges]:
    """Return a function fan_in -> the edges of the nearest shape, cut to size and not yet levelled."""

    @cache
    def cut_shape(shape: Shape) -> Edges:
        return cut_edges(shape.n_in, shape.n_out, *build(*shape.parameters), n_in, n_out)

    return lambda fan_in: cut_shape(min(covering, key=lambda s: _distance_after_cut(s, n_in, n_out, fan_in)))


def _distance(shape: Shape, n_in: int, n_out: int, fan_in: int | None) -> Fraction:
    """Return how far a shape is from a request: the product of the ratios of sides and fan-ins, >= 1.

    Fractions are exact. In floats, ties could fall differently on different machines.
    """
    return ratio(shape.n_in, n_in) * ratio(shape.n_out, n_out) * ratio(shape.fan_in, fan_in or shape.fan_in)


def _distance_after_cut(shape: Shape, n_in: int, n_out: int, fan_in: int | None) -> tuple[bool, Fraction]:
    """Return whether the mean fan-in of the shape, cut to size, is too far to be levelled; then the distance."""
    mean = Fraction(shape.fan_in) * n_in / shape.n_in
    fan_in_ratio = ratio(mean, fan_in or mean)
    return fan_in_ratio > 1 + MAX_CHANGE, ratio(shape.n_in, n_in) * ratio(shape.n_out, n_out) * fan_in_ratio


def ratio(a: float | Fraction, b: float | Fraction) -> Fraction:
    """Return a / b or b / a, whichever is at least 1; exact."""
    quotient = Fraction(a) / Fraction(b)
    return max(quotient, 1 / quotient)


def _covering_shapes(shapes: Callable[[int], Iterator[Shape]], n_in: int, n_out: int) -> list[Shape]:
    """Return the shapes that are at least as large on both sides, up to four times the size of the smallest."""
    limit = largest = max(n_in, n_out)
    while not (candidates := [s for s in shapes(limit) if s.n_in >= n_in and s.n_out >= n_out]):
        limit *= 2
        if limit > 1024 * largest + 4096:
            raise ValueError(f"expected sides that a graph of the family can cover, got {n_in} x {n_out}")
    smallest = min(max(s.n_in, s.n_out) for s in candidates)
    return [s for s in shapes(4 * smallest) if s.n_in >= n_in and s.n_out >= n_out]


def _refusal(
    name: str,
    shapes: Callable[[int], Iterator[Shape]],
    n_in: int,
    n_out: int,
    fan_in: int | None,
    same_size: list[Shape],
) -> str:
    """The message for a request that no shape meets; with the fan-ins at this size, or the nearest sizes."""
    request = f"{n_in} x {n_out}" + ("" if fan_in is None else f" with fan_in={fan_in}")
    if same_size:
        return (
            f"expected fan_in {_join(s.fan_in for s in same_size)}, all that {name} has at {n_in} x {n_out}, got "
            f'fan_in={fan_in}; leave fan_in out, or ask for fit="nearest"'
        )

    def format_nearest(candidates: Iterable[Shape]) -> list[str]:
        return [str(s) for s in sorted(candidates, key=lambda s: _distance(s, n_in, n_out, fan_in))[:1]]

    smaller = format_nearest(s for s in shapes(max(n_in, n_out)) if s.n_in <= n_in and s.n_out <= n_out)
    larger = format_nearest(_covering_shapes(shapes, n_in, n_out))
    return (
        f"expected sizes for which {name} exists, nearest {' and '.join([*smaller, *larger])}; got {request}; take one "
        f'of those, or ask for fit="nearest"'
    )


def _join(fan_ins: Iterable[float]) -> str:
    return ", ".join(f"{fan_in:g}" for fan_in in sorted(fan_ins))
