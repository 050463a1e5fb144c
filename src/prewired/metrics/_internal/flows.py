"""What flows through a network, a list of topologies: numbers of paths, and walks that take all paths alike.

The number of paths grows like the product of the fan-ins and leaves every number format, and so would the product of
the layers' matrices. So paths are counted in logarithms, and spread over pairs of input and output as a random walk:
a walker who starts at an input and goes along each edge with the share of the remaining paths that use it takes every
path with the same probability, so the probability to end in output j is the number of paths to it over all from there.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import log, sqrt
from typing import Any

import numpy as np

from ...topology import Topology
from .measurement import Measurement, Progress

CONFIDENCE = 0.99
"""The probability with which bounds from a sample hold."""
_EDGES_AT_ONCE = 1 << 20
_CELLS_AT_ONCE = 1 << 23


def check_network(topologies: Sequence[Topology]) -> list[Topology]:
    """The topologies as a list; raises ValueError unless each layer reads as many units as the one before it has.

    Example:
        >>> check_network([Topology.from_mask([[1], [1]]), Topology.from_mask([[1, 0, 1]])])
        Traceback (most recent call last):
        ValueError: expected layer 1 to read the 2 outputs of layer 0, got n_in=3; give the layers inputs first
    """
    if isinstance(topologies, Topology):
        raise ValueError("expected a list of topologies, one for each layer, got a Topology; put it in a list")
    layers = list(topologies)
    if not layers or not all(isinstance(t, Topology) for t in layers):
        got = ", ".join(type(t).__name__ for t in layers) or "none"
        raise ValueError(f"expected at least one Topology and nothing else, got {got}; give one for each layer")
    for k, (a, b) in enumerate(pairwise(layers)):
        if a.n_out != b.n_in:
            raise ValueError(
                f"expected layer {k + 1} to read the {a.n_out} outputs of layer {k}, got n_in={b.n_in}; "
                "give the layers inputs first"
            )
    return layers


def reverse(layers: Sequence[Topology]) -> list[Topology]:
    """The network from its outputs to its inputs, with the same paths backwards; O(edges)."""
    return [t.transpose() for t in reversed(layers)]


def row_chunks(t: Topology) -> Iterator[tuple[np.ndarray, slice]]:
    """The outputs that read any input, and their edges, in parts of about a million edges so that memory stays low.

    Empty rows are left out because `reduceat` gives an element, not the neutral one, where a segment is empty.
    """
    rows = np.flatnonzero(t.fan_in)
    parts = np.searchsorted(t.indptr[rows], np.arange(0, t.n_edges, _EDGES_AT_ONCE))
    for a, b in pairwise(np.unique(np.append(parts, len(rows)))):
        yield rows[a:b], slice(int(t.indptr[rows[a]]), int(t.indptr[rows[b - 1] + 1]))


def log_counts(layers: Sequence[Topology], logs: Sequence[np.ndarray] | None = None) -> list[np.ndarray]:
    """log2 of the number of paths from the inputs to every unit, layer by layer, the inputs' own first.

    With the logarithms of a factor for each edge it is the sum over these paths of the product of their factors.
    """
    counts = [np.zeros(layers[0].n_in)]
    for k, t in enumerate(layers):
        counts.append(row_sums(t, counts[-1], None if logs is None else logs[k]))
    return counts


def row_sums(t: Topology, units: np.ndarray, factors: np.ndarray | None = None) -> np.ndarray:
    """For every output log2 of the sum over its inputs of 2**units, times 2**factors of the edge; -inf for 0."""
    sums = np.full(t.n_out, -np.inf)
    for rows, edges in row_chunks(t):
        terms = units[t.indices[edges]]
        if factors is not None:
            terms += factors[edges]
        starts = t.indptr[rows] - edges.start
        top = np.maximum.reduceat(terms, starts)
        top[np.isneginf(top)] = 0.0
        with np.errstate(divide="ignore"):
            sums[rows] = top + np.log2(np.add.reduceat(np.exp2(terms - np.repeat(top, t.fan_in[rows])), starts))
    return sums


def log_sum(logs: np.ndarray) -> float:
    """log2 of the sum of 2**logs."""
    top = logs.max()
    return float(top + np.log2(np.exp2(logs - top).sum())) if np.isfinite(top) else -np.inf


def shares_of(logs: np.ndarray) -> np.ndarray:
    """2**logs over their sum; zeros where there is nothing to share."""
    total = log_sum(logs)
    return np.exp2(logs - total) if np.isfinite(total) else np.zeros(len(logs))


def walk(layers: Sequence[Topology]) -> tuple[np.ndarray, list[Any]]:
    """A path drawn uniformly from all that start at an input, as a Markov chain.

    Returns log2 of the number of paths from every input, (n_in,), -inf for none; and for every layer the matrix of
    transition probabilities, oriented and stored like its biadjacency, whose columns add up to 1 or, for units from
    which no path goes on, to 0.
    """
    onward = log_counts(reverse(layers))[::-1]
    steps = []
    for t, here, there in zip(layers, onward, onward[1:], strict=False):
        step = t.biadjacency()
        for rows, edges in row_chunks(t):
            before = np.maximum(here[t.indices[edges]], 0.0)  # a unit without paths feeds only such: 2**-inf is 0
            step.data[edges] = np.exp2(np.repeat(there[rows], t.fan_in[rows]) - before)
        steps.append(step)
    return onward[0], steps


def walked(steps: Sequence[Any], starts: Any, progress: Progress | None) -> Iterator[tuple[slice, np.ndarray]]:
    """Ends of walks that begin as the columns of `starts`, sparse (n_in, k): slices of them, (n_out, width) arrays."""
    for part in column_chunks(steps, starts.shape[1], progress):
        yield part, moved(steps[1:], (steps[0] @ starts[:, part]).toarray())


def column_chunks(steps: Sequence[Any], n: int, progress: Progress | None) -> Iterator[slice]:
    """Slices of n columns, as many at once as keep a layer's units below 64 MB; reports what is done."""
    width = max(_CELLS_AT_ONCE // max(max(step.shape) for step in steps), 1)
    for start in range(0, n, width):
        part = slice(start, min(start + width, n))
        yield part
        if progress is not None:
            progress(part.stop, n)


def moved(steps: Sequence[Any], x: np.ndarray) -> np.ndarray:
    """x (n_in, ...) through all steps, (n_out, ...)."""
    for step in steps:
        x = step @ x
    return x


def most_inputs(logs: np.ndarray, n_in: int) -> np.ndarray:
    """At most how many of n_in inputs the outputs see to which 2**logs paths lead."""
    return np.minimum(np.rint(np.exp2(np.minimum(logs, 64.0))), n_in)


def size(layers: Sequence[Topology]) -> int:
    """Number of edges and units: the steps that one vector takes through the network."""
    return layers[0].n_in + sum(t.n_edges + t.n_out for t in layers)


def sampled_mean(values: np.ndarray, tops: np.ndarray, method: str) -> Measurement:
    """The mean over all outputs from the values at some, drawn with replacement.

    Args:
        values: at the outputs drawn, 1 to tops where a path leads to the output, else 0.
        tops: for every output the most inputs that it can see.
        method: how the values were found.
    """
    m, odds, limits = len(values), log(4 / (1 - CONFIDENCE)), (float((tops > 0).mean()), float(tops.mean()))
    value, spread = float(values.mean()), float(values.var(ddof=1))
    radius = sqrt(2 * spread * odds / m) + 7 * float(tops.max()) * odds / (3 * (m - 1))
    return Measurement(
        *(float(np.clip(x, *limits)) for x in (value, value - radius, value + radius)),
        method=f"{method}, {m} random outputs",
        certificate="empirical Bernstein bound (Maurer and Pontil 2009) and path counts",
        confidence=CONFIDENCE,
    )
