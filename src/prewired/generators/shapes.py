"""Families that exist for some sizes only: which size is meant, and what is done where there is none.

A request (n_in, n_out, fan_in) either is a shape of the family, or is refused with the nearest shapes named, or, asked
with fit="nearest", is met by one rule, the same for all families: of the shapes that cover both sides, up to four times
the smallest such size, the one is taken that comes closest in size and in mean fan-in once it is cut to evenly spaced
inputs and outputs, those first whose mean fan-in is within a fifth of the one asked for. Then edges of the most read
inputs are dropped and edges to the least read inputs added until every output has exactly the fan-in asked for,
provided that at most a fifth of the edges change.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..topology import Topology
from .operations import Parts, operation
from .sizes import constant_fan_in

Edges = tuple[np.ndarray, np.ndarray]
"""indptr and indices, see Topology."""

CHANGED = 0.2
"""Largest share of the edges that may change when a graph is levelled to one fan-in."""


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
    """The edges of the shape that meets the request, or with fit="nearest" of the nearest, cut and levelled.

    Raises ValueError that names the nearest shapes, or the nearest fan-in that would fit.
    """
    if fit not in (None, "nearest"):
        raise ValueError(f'expected fit="nearest" or none, got fit={fit!r}')
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

    @cache
    def cut_to_size(shape: Shape) -> Edges:
        return _cut(shape.n_in, shape.n_out, *build(*shape.parameters), n_in, n_out)

    def nearest(fan_in: int | None) -> Edges:
        return cut_to_size(min(covering, key=lambda s: _mismatch(s, n_in, n_out, fan_in)))

    if fan_in is None:
        return nearest(None)
    if (changed := _changed(nearest(fan_in), fan_in)) > CHANGED:
        means = [s.fan_in * n_in / s.n_in for s in covering]
        possible = (f for f in range(1, n_in + 1) if any(abs(mean - f) <= 1.01 * CHANGED * f for mean in means))
        others = sorted(possible, key=lambda f: ratio(f, fan_in))
        fits = next((f for f in others if _changed(nearest(f), f) <= CHANGED), None)
        raise ValueError(_too_far(name, fan_in, changed, fits))
    return _level(nearest(fan_in), n_in, fan_in)


@operation
def cut(t: Topology, n_in: int, n_out: int, *, fan_in: int | None = None) -> Parts:
    """The subgraph of evenly spaced inputs and outputs, with every output brought to one fan-in if one is given.

    Input k of the result is input floor(k * t.n_in / n_in), likewise the outputs. To reach the fan-in, outputs with too
    many edges drop those to the most read inputs, and then those with too few get edges to the least read ones; ties go
    by index. This is how fit="nearest" makes a size that a family does not have.

    Args:
        t: the topology.
        n_in, n_out: the sides of the result, at most those of t.
        fan_in: exactly so many inputs for every output; None leaves them as the cut does.

    Returns:
        A Topology with n_in inputs and n_out outputs.

    Raises:
        ValueError: if a side is larger than that of t, or more than a fifth of the edges would have to change.

    Example:
        >>> from prewired import generators
        >>> cut(generators.rotating(10, 10, fan_in=4), 8, 8, fan_in=3).fan_in
        array([3, 3, 3, 3, 3, 3, 3, 3])
    """
    if not (0 < n_in <= t.n_in and 0 < n_out <= t.n_out):
        raise ValueError(f"expected sides from 1 x 1 to {t.n_in} x {t.n_out}, got {n_in} x {n_out}; cut a larger graph")
    rows = _cut(t.n_in, t.n_out, t.indptr, t.indices, n_in, n_out)
    if fan_in is None:
        return n_in, n_out, *rows
    wanted = constant_fan_in(n_in, fan_in, None)
    if (changed := _changed(rows, wanted)) > CHANGED:
        mean = max(round(len(rows[1]) / n_out), 1)
        raise ValueError(_too_far("graph", wanted, changed, mean if _changed(rows, mean) <= CHANGED else None))
    return n_in, n_out, *_level(rows, n_in, wanted)


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


def _cut(of_in: int, of_out: int, indptr: np.ndarray, indices: np.ndarray, n_in: int, n_out: int) -> Edges:
    """indptr and indices of the evenly spaced inputs and outputs."""
    number = np.full(of_in, -1, np.int64)
    number[np.arange(n_in) * of_in // n_in] = np.arange(n_in)
    outputs = np.arange(n_out) * of_out // n_out
    inputs = number[indices]
    before = np.concatenate([[0], np.cumsum(inputs >= 0)])
    kept = before[indptr[outputs + 1]] - before[indptr[outputs]]
    chosen_rows = np.zeros(of_out, bool)
    chosen_rows[outputs] = True
    in_row = np.repeat(chosen_rows, np.diff(indptr))
    return np.concatenate([[0], np.cumsum(kept)]), inputs[in_row & (inputs >= 0)]


def _changed(edges: Edges, fan_in: int) -> float:
    """How many edges come or go, as a share of all, when every output is brought to fan_in inputs."""
    sizes = np.diff(edges[0])
    return float(np.abs(sizes - fan_in).sum() / (len(sizes) * fan_in))


def _too_far(name: str, fan_in: int, changed: float, fits: int | None) -> str:
    remedy = "no fan_in fits these sizes" if fits is None else f"fan_in={fits} would fit"
    return (
        f"expected a fan_in for which at most {CHANGED:.0%} of the edges of the nearest {name} change, got "
        f"fan_in={fan_in} and {changed:.0%}; {remedy}"
    )


def _level(edges: Edges, n_in: int, fan_in: int) -> Edges:
    """Every output brought to exactly fan_in inputs; deterministic, ties by index."""
    indptr, indices = edges
    sizes = np.diff(indptr)
    rows = [row.tolist() for row in np.split(indices, indptr[1:-1])]
    reads = np.bincount(indices, minlength=n_in).tolist()
    for j in np.flatnonzero(sizes > fan_in).tolist():
        ranked = sorted(rows[j], key=lambda i: (-reads[i], i))
        for i in ranked[: len(ranked) - fan_in]:
            reads[i] -= 1
        rows[j] = ranked[len(ranked) - fan_in :]
    least = [(reads[i], i) for i in range(n_in)]
    heapq.heapify(least)
    for j in np.flatnonzero(sizes < fan_in).tolist():
        present, passed = set(rows[j]), []
        while len(present) < fan_in:
            count, i = heapq.heappop(least)
            passed.append((count + (i not in present), i))
            present.add(i)
        for entry in passed:
            heapq.heappush(least, entry)
        rows[j] = list(present)
    levelled = np.sort(np.array(rows, np.int64), axis=1)
    return np.arange(len(rows) + 1, dtype=np.int64) * fan_in, levelled.reshape(-1)
