"""Metrics of a network, a list of topologies, inputs first: which units and edges its paths use.

A path goes from an input of the first layer to an output of the last, along an edge of each layer. For units and edges
one boolean per unit is enough; pairs of input and output are counted with 64 booleans in a word.
"""

from collections.abc import Sequence

import numpy as np

from ..random_bits import RandomBits
from ..topology import Topology
from ._internal.flows import (
    bound_inputs,
    bound_sampled_mean,
    check_network,
    count_log_paths,
    count_operations,
    reverse_network,
    split_rows,
)
from .measurement import Measurement, Progress, explainable

_WORK = 1 << 29  # send words through the network with at most about so many operations: some seconds
_BITS = np.uint64(1) << np.arange(64, dtype=np.uint64)


def unreachable_inputs(topologies: Sequence[Topology]) -> float:
    """Number of inputs from which no path leads to an output, in [0, n_in]. Cost O(edges).

    In a network of a single layer these are the dead inputs.

    Example:
        >>> lost = Topology.from_mask([[1, 1, 0], [0, 0, 1]]), Topology.from_mask([[1, 0]])
        >>> unreachable_inputs(lost)
        1.0
    """
    _, to_outputs = _find_reach(check_network(topologies))
    return float((~to_outputs[0]).sum())


def unreachable_outputs(topologies: Sequence[Topology]) -> float:
    """Number of outputs to which no path leads from an input, in [0, n_out]. Cost O(edges).

    In a network of a single layer these are the dead outputs.

    Example:
        >>> lost = Topology.from_mask([[1, 1], [0, 0]]), Topology.from_mask([[1, 0], [0, 1]])
        >>> unreachable_outputs(lost)
        1.0
    """
    from_inputs, _ = _find_reach(check_network(topologies))
    return float((~from_inputs[-1]).sum())


def dead_hidden_units(topologies: Sequence[Topology]) -> float:
    """Number of hidden units that are on no path from an input to an output; 0 for a single layer. Cost O(edges).

    Such a unit is constant, or no output depends on it: its weights cost memory and time for nothing.


    Example:
        >>> dead_hidden_units([Topology.from_mask([[1, 1, 0], [0, 0, 1]]), Topology.from_mask([[1, 0]])])
        1.0
    """
    from_inputs, to_outputs = _find_reach(check_network(topologies))
    return float(sum((~(a & b)).sum() for a, b in zip(from_inputs[1:-1], to_outputs[1:-1], strict=True)))


def effective_nodes(topologies: Sequence[Topology]) -> float:
    """Number of units on at least one path, inputs and outputs included, in [0, units of all layers]. Cost O(edges).

    Node-path balancing at a given density trades this number against the number of paths, `log_paths` (Pham et al.,
    "Towards data-agnostic pruning at initialization: what makes a good sparse mask?", NeurIPS 2023).


    Example:
        >>> effective_nodes([Topology.from_mask([[1, 1, 0], [0, 0, 1]]), Topology.from_mask([[1, 0]])])
        4.0
    """
    return float(sum((a & b).sum() for a, b in zip(*_find_reach(check_network(topologies)), strict=True)))


def effective_edges(topologies: Sequence[Topology]) -> float:
    """Number of edges on at least one path, in [0, edges of all layers]. Cost O(edges).

    The other edges never change the output of the network. Pham et al. (NeurIPS 2023) call this number the effective
    parameters.


    Example:
        >>> effective_edges([Topology.from_mask([[1, 1, 0], [0, 0, 1]]), Topology.from_mask([[1, 0]])])
        3.0
    """
    layers = check_network(topologies)
    from_inputs, to_outputs = _find_reach(layers)
    return float(
        sum(
            (from_inputs[k][t.indices[edges]] & np.repeat(to_outputs[k + 1][rows], t.fan_in[rows])).sum()
            for k, t in enumerate(layers)
            for rows, edges in split_rows(t)
        )
    )


@explainable
def receptive_field(topologies: Sequence[Topology], *, certify: bool, progress: Progress | None) -> Measurement:
    """Mean number of inputs that reach an output by a path, in [0, n_in]; an output that no input reaches counts 0.

    For a single layer it is the mean fan-in. Exact in O(min(n_in, n_out) * edges / 64) if that takes at most some
    seconds. For larger networks outputs are drawn with replacement, and the bounds hold with the confidence given.


    Example:
        >>> from prewired import generators
        >>> receptive_field([generators.rotating(64, 64, fan_in=3)] * 2)
        5.0
    """
    layers = check_network(topologies)
    n_in, n_out = layers[0].n_in, layers[-1].n_out
    limit = 64 * max(_WORK // count_operations(layers), 1)
    if n_in <= min(n_out, limit):
        return Measurement.from_count(float(_count_reached(layers, np.arange(n_in), progress).sum() / n_out))
    if n_out <= limit:
        return Measurement.from_count(float(_count_reached(reverse_network(layers), np.arange(n_out), progress).mean()))
    outputs = RandomBits(0, "receptive_field").integers(n_out, limit)
    counts = _count_reached(reverse_network(layers), outputs, progress)
    return bound_sampled_mean(counts, bound_inputs(count_log_paths(layers)[-1], n_in), "counting inputs")


@explainable
def reachable_share(topologies: Sequence[Topology], *, certify: bool, progress: Progress | None) -> Measurement:
    """Share of the pairs of input and output that are connected by at least one path, in [0, 1].

    It is `receptive_field` / n_in, at the same cost; for a single layer it is the density.


    Example:
        >>> from prewired import generators
        >>> reachable_share([generators.rotating(64, 64, fan_in=3)] * 2)
        0.078125
    """
    n_in = check_network(topologies)[0].n_in
    return receptive_field(topologies, explain=True, progress=progress).map(lambda field: field / n_in)


def _find_reach(layers: Sequence[Topology]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """For every layer of units, inputs first, boolean arrays: which an input reaches, and which reach an output."""
    from_inputs, to_outputs = [np.ones(layers[0].n_in, bool)], [np.ones(layers[-1].n_out, bool)]
    for t in layers:
        hits = np.zeros(t.n_out, bool)
        for rows, edges in split_rows(t):
            hits[rows] = np.logical_or.reduceat(from_inputs[-1][t.indices[edges]], t.indptr[rows] - edges.start)
        from_inputs.append(hits)
    for t in reversed(layers):
        hits = np.zeros(t.n_in, bool)
        for rows, edges in split_rows(t):
            hits[t.indices[edges][np.repeat(to_outputs[-1][rows], t.fan_in[rows])]] = True
        to_outputs.append(hits)
    return from_inputs, to_outputs[::-1]


def _count_reached(layers: Sequence[Topology], sources: np.ndarray, progress: Progress | None) -> np.ndarray:
    """For each of the given inputs how many outputs it reaches; each bit of a word belongs to one of 64 inputs."""
    counts = np.empty(len(sources), np.int64)
    for start in range(0, len(sources), 64):
        part = sources[start : start + 64]
        words = np.zeros(layers[0].n_in, np.uint64)
        np.bitwise_or.at(words, part, _BITS[: len(part)])
        for t in layers:
            hits = np.zeros(t.n_out, np.uint64)
            for rows, edges in split_rows(t):
                hits[rows] = np.bitwise_or.reduceat(words[t.indices[edges]], t.indptr[rows] - edges.start)
            words = hits
        counts[start : start + len(part)] = [np.count_nonzero(words & bit) for bit in _BITS[: len(part)]]
        if progress is not None:
            progress(start + len(part), len(sources))
    return counts
