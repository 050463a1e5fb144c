"""Numbers of paths through a network, which is a list of topologies, inputs first, and random walks along the paths.

The number of paths grows like the product of the fan-ins and soon exceeds every number format, and so do the entries of
the product of the layers' matrices. Two ideas avoid this.

- Numbers of paths are kept as logarithms to base 2.
- Their distribution over pairs of input and output is computed as a random walk. At each unit the walker follows an
  edge with a probability equal to the share of the remaining paths that use it. Then all paths from an input have the
  same probability, so the probability to end in output j is the share of the paths from that input that lead to j.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from math import log, sqrt
from typing import Any

import numpy as np

from ...topology import Topology
from ..measurement import Measurement, Progress

CONFIDENCE = 0.99
"""The probability with which bounds from a sample hold."""
_EDGES_AT_ONCE = 1 << 20
_CELLS_AT_ONCE = 1 << 23


def check_network(topologies: Sequence[Topology]) -> list[Topology]:
    """Check that each layer reads as many units as the layer before has, and return the topologies as a list.

    Raises:
        ValueError: if the topologies are not a network.

    Example:
        >>> check_network([Topology.from_mask([[1], [1]]), Topology.from_mask([[1, 0, 1]])])
        Traceback (most recent call last):
        ValueError: expected layer 1 to read the 2 outputs of layer 0, got n_in=3; give the layers inputs first
    """
    if isinstance(topologies, Topology):
        raise ValueError("expected a list of topologies, one for each layer, got a Topology; put it in a list")
    layers: list[Any] = list(topologies) if isinstance(topologies, Iterable) else [topologies]
    if not layers or not all(isinstance(t, Topology) for t in layers):
        types = ", ".join(type(t).__name__ for t in layers) or "none"
        raise ValueError(f"expected at least one Topology and nothing else, got {types}; give one for each layer")
    for k, (a, b) in enumerate(pairwise(layers)):
        if a.n_out != b.n_in:
            raise ValueError(
                f"expected layer {k + 1} to read the {a.n_out} outputs of layer {k}, got n_in={b.n_in}; "
                "give the layers inputs first"
            )
    return layers


def reverse_network(layers: Sequence[Topology]) -> list[Topology]:
    """The network from its outputs to its inputs, which has the same paths backwards; O(edges)."""
    return [t.transpose() for t in reversed(layers)]


def split_rows(t: Topology) -> Iterator[tuple[np.ndarray, slice]]:
    """Yield the outputs that have edges, and a slice of their edges, about a million edges at a time to save memory.

    Outputs without edges are left out because `reduceat` gives an element instead of 0 for an empty segment.
    """
    rows = np.flatnonzero(t.fan_in)
    parts = np.searchsorted(t.indptr[rows], np.arange(0, t.n_edges, _EDGES_AT_ONCE))
    for a, b in pairwise(np.unique(np.append(parts, len(rows)))):
        yield rows[a:b], slice(int(t.indptr[rows[a]]), int(t.indptr[rows[b - 1] + 1]))


def count_log_paths(layers: Sequence[Topology], logs: Sequence[np.ndarray] | None = None) -> list[np.ndarray]:
    """log2 of the number of paths from the inputs to every unit, one array for each layer of units, inputs first.

    Args:
        layers: the network.
        logs: for every layer (n_edges,), log2 of a factor of each edge. Then a path counts with the product of its
            factors instead of 1.
    """
    counts = [np.zeros(layers[0].n_in)]
    for k, t in enumerate(layers):
        counts.append(add_logs_by_row(t, counts[-1], None if logs is None else logs[k]))
    return counts


def add_logs_by_row(t: Topology, units: np.ndarray, factors: np.ndarray | None = None) -> np.ndarray:
    """For every output log2 of the sum of 2**(units + factors) over its edges, (n_out,); -inf for a sum of 0.

    Args:
        t: the topology.
        units: (n_in,), logarithms to base 2.
        factors: (n_edges,), logarithms to base 2; 0 if not given.
    """
    sums = np.full(t.n_out, -np.inf)
    for rows, edges in split_rows(t):
        terms = units[t.indices[edges]]
        if factors is not None:
            terms += factors[edges]
        starts = t.indptr[rows] - edges.start
        # Divide by the largest term of each row before 2**x: the sum is then between 1 and fan_in, in range.
        top = np.maximum.reduceat(terms, starts)
        top[np.isneginf(top)] = 0.0
        with np.errstate(divide="ignore"):
            sums[rows] = top + np.log2(np.add.reduceat(np.exp2(terms - np.repeat(top, t.fan_in[rows])), starts))
    return sums


def add_logs(logs: np.ndarray) -> float:
    """log2 of the sum of 2**logs."""
    top = logs.max()
    return float(top + np.log2(np.exp2(logs - top).sum())) if np.isfinite(top) else -np.inf


def share_logs(logs: np.ndarray) -> np.ndarray:
    """2**logs divided by their sum; zeros if the sum is 0."""
    total = add_logs(logs)
    return np.exp2(logs - total) if np.isfinite(total) else np.zeros(len(logs))


def build_walk(layers: Sequence[Topology]) -> tuple[np.ndarray, list[Any]]:
    """The Markov chain whose walks from an input take every path from that input with the same probability.

    Returns:
        log2 of the number of paths from every input, (n_in,), -inf for none; and for every layer the CSR matrix
        (n_out, n_in) of transition probabilities, whose columns add up to 1, or to 0 for units on no path to an output.
    """
    onward = count_log_paths(reverse_network(layers))[::-1]
    steps = []
    for t, from_inputs, from_outputs in zip(layers, onward, onward[1:], strict=False):
        step = t.biadjacency()
        # The probability of an edge is (paths onward from its output) / (paths onward from its input).
        for rows, edges in split_rows(t):
            # An input without paths feeds only outputs without paths, for which 2**-inf is 0 whatever is subtracted;
            # -inf - -inf would be NaN.
            paths = np.maximum(from_inputs[t.indices[edges]], 0.0)
            step.data[edges] = np.exp2(np.repeat(from_outputs[rows], t.fan_in[rows]) - paths)
        steps.append(step)
    return onward[0], steps


def run_walks(steps: Sequence[Any], starts: Any, progress: Progress | None) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield slices of the columns of `starts`, and the distribution at the outputs (n_out, columns) of their walks.

    Args:
        steps: the transition matrices.
        starts: sparse (n_in, k), the distributions at the inputs.
        progress: called after each slice.
    """
    for part in split_columns(steps, starts.shape[1], progress):
        yield part, apply_steps(steps[1:], (steps[0] @ starts[:, part]).toarray())


def split_columns(steps: Sequence[Any], n: int, progress: Progress | None) -> Iterator[slice]:
    """Yield slices of n columns, so wide that the values of a layer's units take at most 64 MB; report the progress."""
    width = max(_CELLS_AT_ONCE // max(max(step.shape) for step in steps), 1)
    for start in range(0, n, width):
        part = slice(start, min(start + width, n))
        yield part
        if progress is not None:
            progress(part.stop, n)


def apply_steps(steps: Sequence[Any], x: np.ndarray) -> np.ndarray:
    """Multiply x (n_in, ...) with all matrices in turn, giving (n_out, ...)."""
    for step in steps:
        x = step @ x
    return x


def bound_inputs(logs: np.ndarray, n_in: int) -> np.ndarray:
    """An upper bound of the number of inputs that reach each output: its number of paths 2**logs, at most n_in."""
    return np.minimum(np.rint(np.exp2(np.minimum(logs, 64.0))), n_in)


def count_operations(layers: Sequence[Topology]) -> int:
    """Number of edges and units, the operations that sending one vector through the network takes."""
    return layers[0].n_in + sum(t.n_edges + t.n_out for t in layers)


def bound_sampled_mean(values: np.ndarray, tops: np.ndarray, method: str) -> Measurement:
    """Estimate the mean over all outputs from the values at outputs drawn with replacement.

    The bounds are those of Maurer and Pontil (2009): mean +- sqrt(2 variance log(4/d) / m) + 7 range log(4/d) / (3 (m -
    1)) hold with probability 1 - d for m values, whatever their distribution in the range. The range matters because a
    sample may miss a few large values. Both bounds are cut to what the numbers of paths allow.

    Args:
        values: (m,); 0 at an output that no path reaches, else between 1 and the top of that output.
        tops: (n_out,), the most inputs that can reach each output.
        method: how each value was computed.
    """
    m, odds, limits = len(values), log(4 / (1 - CONFIDENCE)), (float((tops > 0).mean()), float(tops.mean()))
    value, variance = float(values.mean()), float(values.var(ddof=1))
    radius = sqrt(2 * variance * odds / m) + 7 * float(tops.max()) * odds / (3 * (m - 1))
    return Measurement(
        *(float(np.clip(x, *limits)) for x in (value, value - radius, value + radius)),
        method=f"{method}, {m} random outputs",
        certificate="empirical Bernstein bound (Maurer and Pontil 2009) and path counts",
        confidence=CONFIDENCE,
    )
