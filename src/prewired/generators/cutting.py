"""Cutting: subgraphs of evenly spaced inputs and outputs, and levelling of every output to one fan-in."""

import heapq

import numpy as np

from ..topology import Names, Topology
from ..topology.checks import check_side
from ._internal.sizes import resolve_fan_in
from ._internal.transforms import Edges, Parts, transform

MAX_CHANGE = 0.2
"""Largest share of the edges that fit="nearest" changes when a graph is levelled to one fan-in."""
FITS = ("nearest", "level")


def check_fit_mode(fit: str | None) -> None:
    """Raises ValueError unless it is None or one of FITS."""
    if fit is not None and fit not in FITS:
        raise ValueError(f'expected fit="nearest", fit="level" or none, got fit={fit!r}')


def _select_names(t: Topology, n_in: int, n_out: int, **_: object) -> Names | None:
    """Return the names of the units that `cut` keeps."""
    if t.names is None:
        return None
    inputs, outputs = _space_evenly(t.n_in, n_in).tolist(), _space_evenly(t.n_out, n_out).tolist()
    return Names(tuple(t.names.inputs[i] for i in inputs), tuple(t.names.outputs[j] for j in outputs))


@transform(names=_select_names)
def cut(t: Topology, n_in: int, n_out: int, *, fan_in: int | None = None, fit: str | None = None) -> Parts:
    """The subgraph of evenly spaced inputs and outputs; with fan_in, every output then gets exactly this fan-in.

    Input k of the result is input floor(k * t.n_in / n_in), likewise the outputs. To reach the fan-in, outputs with too
    many edges drop the edges from the most read inputs. Then outputs with too few get edges from the least read inputs.
    Ties go by index. fit="nearest" and fit="level" of a family use this for sizes that the family does not have. Units
    keep their names.

    Args:
        t: the topology.
        n_in, n_out: the sides of the result, at most those of t.
        fan_in: exactly so many inputs for every output; None leaves them as the cut does.
        fit: "level" to reach the fan-in whatever share of the edges changes; otherwise at most a fifth does.

    Returns:
        A Topology with n_in inputs and n_out outputs.

    Raises:
        ValueError: if a side is larger than that of t, or more than a fifth of the edges would have to change and
            fit is not "level".

    Example:
        >>> from prewired import generators
        >>> cut(generators.rotating(10, 10, fan_in=4), 8, 8, fan_in=3).fan_in
        array([3, 3, 3, 3, 3, 3, 3, 3])
    """
    check_fit_mode(fit)
    if check_side("n_in", n_in) > t.n_in or check_side("n_out", n_out) > t.n_out:
        raise ValueError(f"expected sides from 1 x 1 to {t.n_in} x {t.n_out}, got {n_in} x {n_out}; cut a larger graph")
    rows = cut_edges(t.n_in, t.n_out, t.indptr, t.indices, n_in, n_out)
    if fan_in is None:
        return n_in, n_out, *rows
    width = resolve_fan_in(n_in, fan_in, None)
    if fit != "level" and (share := measure_change(rows, width)) > MAX_CHANGE:
        mean = max(round(len(rows[1]) / n_out), 1)
        raise ValueError(
            explain_excess("graph", width, share, mean if measure_change(rows, mean) <= MAX_CHANGE else None)
        )
    return n_in, n_out, *level(rows, n_in, width)


def cut_edges(of_in: int, of_out: int, indptr: np.ndarray, indices: np.ndarray, n_in: int, n_out: int) -> Edges:
    """Return indptr and indices of the subgraph of evenly spaced inputs and outputs."""
    number = np.full(of_in, -1, np.int64)
    number[_space_evenly(of_in, n_in)] = np.arange(n_in)
    outputs = _space_evenly(of_out, n_out)
    inputs = number[indices]
    before = np.concatenate([[0], np.cumsum(inputs >= 0)])
    fan_ins = before[indptr[outputs + 1]] - before[indptr[outputs]]
    chosen_rows = np.zeros(of_out, bool)
    chosen_rows[outputs] = True
    in_row = np.repeat(chosen_rows, np.diff(indptr))
    return np.concatenate([[0], np.cumsum(fan_ins)]), inputs[in_row & (inputs >= 0)]


def measure_change(edges: Edges, fan_in: int) -> float:
    """Return how many edges `level` drops or adds, as a share of the n_out * fan_in edges of its result."""
    sizes = np.diff(edges[0])
    return float(np.abs(sizes - fan_in).sum() / (len(sizes) * fan_in))


def explain_excess(name: str, fan_in: int, share: float, fits: int | None) -> str:
    """Say that levelling would change too large a share of the edges, and which fan-in would fit."""
    remedy = "no fan_in fits these sizes" if fits is None else f"fan_in={fits} would fit"
    return (
        f"expected a fan_in for which at most {MAX_CHANGE:.0%} of the edges of the nearest {name} change, got "
        f'fan_in={fan_in} and {share:.0%}; {remedy}, fit="level" accepts any share'
    )


def level(edges: Edges, n_in: int, fan_in: int) -> Edges:
    """Return the edges after every output has exactly fan_in inputs; deterministic, ties by index."""
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
        present, entries = set(rows[j]), []
        while len(present) < fan_in:
            count, i = heapq.heappop(least)
            entries.append((count + (i not in present), i))
            present.add(i)
        for entry in entries:
            heapq.heappush(least, entry)
        rows[j] = list(present)
    levelled = np.sort(np.array(rows, np.int64), axis=1)
    return np.arange(len(rows) + 1, dtype=np.int64) * fan_in, levelled.reshape(-1)


def _space_evenly(of: int, n: int) -> np.ndarray:
    """Return n of the numbers 0..of-1, evenly spaced."""
    return np.arange(n) * of // n
