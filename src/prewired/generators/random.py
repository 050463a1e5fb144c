"""Random families, drawn from `random_bits` alone: a seed gives the same graph on every machine and version."""

import numpy as np

from ..random_bits import RandomBits
from ..topology import csr_from_cells
from . import sizes
from .registry import Edges, family

_MAX_ROUNDS = 10_000
_SHAKEN = 16


@family
def erdos_renyi(n_in: int, n_out: int, *, fan_in: int | None = None, density: float | None = None, seed: int) -> Edges:
    """A uniformly random graph with an exact number of edges: G(n, m) of Erdos and Renyi (1959), bipartite.

    Degrees are nearly binomial, so at low density some inputs and outputs may have no edge at all.

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in: mean number of inputs per output: exactly n_out * fan_in edges.
        density: share of edges instead of fan_in, in (0, 1]: exactly round(density * n_in * n_out) edges.
        seed: integer >= 0.

    Returns:
        A Topology with exactly that many edges.

    Raises:
        ValueError: if the request is impossible or names both or neither of fan_in and density.

    Example:
        >>> erdos_renyi(784, 100, density=0.05, seed=0).n_edges
        3920
    """
    n_edges = sizes.edge_count(n_in, n_out, fan_in, density)
    return csr_from_cells(n_in, n_out, RandomBits(seed, "erdos_renyi").sample(n_in * n_out, n_edges))


@family
def constant_fan_in(
    n_in: int, n_out: int, *, fan_in: int | None = None, density: float | None = None, seed: int
) -> Edges:
    """Every output reads the same number of inputs, each set drawn uniformly and independently.

    Also called left-regular. Fan-outs are binomial: an input is unread with probability (1 - fan_in/n_in)^n_out.

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in: inputs per output, 1..n_in.
        density: share of edges instead of fan_in, in (0, 1]; fan_in is then density * n_in, rounded.
        seed: integer >= 0.

    Returns:
        A Topology with exactly n_out * fan_in edges.

    Raises:
        ValueError: if the request is impossible or names both or neither of fan_in and density.

    Example:
        >>> set(constant_fan_in(784, 100, density=0.05, seed=0).fan_in.tolist())
        {39}
    """
    width = sizes.constant_fan_in(n_in, fan_in, density)
    return csr_from_cells(n_in, n_out, RandomBits(seed, "constant_fan_in").sample_rows(n_out, n_in, width))


@family
def biregular(n_in: int, n_out: int, *, fan_in: int | None = None, density: float | None = None, seed: int) -> Edges:
    """A random graph whose fan-ins are all equal and whose fan-outs are all equal, wherever the counts divide.

    Where they do not, it is near-biregular: the degrees of a side differ by at most one, and the outputs or inputs
    with one edge more are drawn at random. Stubs are matched at random (the configuration model) and parallel edges
    removed by double-edge swaps, which keep every degree; above one half of all edges the complement is drawn. So the
    graph is nearly, not exactly, uniform among those with its degrees.
    Almost every such graph is nearly Ramanujan, sigma2 <= sqrt(fan_in - 1) + sqrt(fan_out - 1) + o(1) (Brito, Dumitriu
    and Harris, "Spectral gap in random bipartite biregular graphs and applications", 2022, arXiv 1804.07808).

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in: inputs per output, 1..n_in.
        density: share of edges instead of fan_in, in (0, 1]: exactly round(density * n_in * n_out) edges.
        seed: integer >= 0.

    Returns:
        A simple (near-)biregular Topology with exactly that many edges.

    Raises:
        ValueError: if the request is impossible or names both or neither of fan_in and density.
        RuntimeError: if the swaps have not removed every parallel edge after 10,000 rounds.

    Example:
        >>> t = biregular(12, 8, fan_in=3, seed=0)
        >>> set(t.fan_in.tolist()), set(t.fan_out.tolist())
        ({3}, {2})
    """
    n_edges = sizes.edge_count(n_in, n_out, fan_in, density)
    bits = RandomBits(seed, "biregular")
    n_cells = n_in * n_out
    if 2 * n_edges > n_cells:
        present = np.ones(n_cells, bool)
        present[_near_biregular(n_in, n_out, n_cells - n_edges, bits)] = False
        return csr_from_cells(n_in, n_out, np.flatnonzero(present))
    return csr_from_cells(n_in, n_out, np.sort(_near_biregular(n_in, n_out, n_edges, bits)))


def _near_biregular(n_in: int, n_out: int, n_edges: int, bits: RandomBits) -> np.ndarray:
    """The cells (output * n_in + input) of a simple graph with near-equal degrees, in no order."""
    outputs = np.repeat(np.arange(n_out), _near_equal(n_out, n_edges, bits))
    inputs = np.repeat(np.arange(n_in), _near_equal(n_in, n_edges, bits))[bits.permutation(n_edges)]
    cells = outputs * n_in + inputs
    order = np.argsort(cells, kind="stable")
    ranked = cells[order]
    parallel = order[1:][ranked[1:] == ranked[:-1]]
    for _ in range(_MAX_ROUNDS):
        if len(parallel) == 0:
            return outputs * n_in + inputs
        removed, added = _swap(inputs, outputs, n_in, ranked, parallel, bits)
        ranked = np.delete(ranked, _positions(ranked, removed))
        ranked = np.insert(ranked, np.searchsorted(ranked, added), added)
        cells = outputs[parallel] * n_in + inputs[parallel]
        copies = np.searchsorted(ranked, cells, side="right") - np.searchsorted(ranked, cells)
        parallel = parallel[copies > 1]
    raise RuntimeError(
        f"no simple near-biregular graph of {n_edges} edges between {n_in} inputs and {n_out} outputs found in "
        f"{_MAX_ROUNDS} rounds of swaps; try another seed"
    )


def _near_equal(n: int, total: int, bits: RandomBits) -> np.ndarray:
    """`n` integers that differ by at most one and sum to `total`; which are the larger ones is random."""
    degrees = np.full(n, total // n)
    degrees[bits.permutation(n)[: total % n]] += 1
    return degrees


def _swap(
    inputs: np.ndarray, outputs: np.ndarray, n_in: int, ranked: np.ndarray, parallel: np.ndarray, bits: RandomBits
) -> tuple[np.ndarray, np.ndarray]:
    """One round of double-edge swaps, in place: (o, i), (p, j) -> (o, j), (p, i) where both new cells are free.

    Proposed for every parallel edge and a few others drawn at random, which keep the search moving where the
    parallel edges alone are stuck. A swap that shares an edge or a new cell with an earlier one of the round is
    dropped. Returns the cells that were left and, sorted, those that were taken.
    """
    shaken = bits.integers(len(inputs), _SHAKEN)
    first = np.concatenate([parallel, shaken])
    second = bits.integers(len(inputs), len(first))
    new_first = outputs[first] * n_in + inputs[second]
    new_second = outputs[second] * n_in + inputs[first]
    free = ~(_contains(ranked, new_first) | _contains(ranked, new_second))
    kept = free & _unique_in_pairs(first, second) & _unique_in_pairs(new_first, new_second)
    moved = np.concatenate([first[kept], second[kept]])
    removed = outputs[moved] * n_in + inputs[moved]
    inputs[moved] = inputs[np.concatenate([second[kept], first[kept]])]
    return removed, np.sort(np.concatenate([new_first[kept], new_second[kept]]))


def _positions(ranked: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Where each cell stands in the ranked ones; cells given k times get k positions, one after the other."""
    cells = np.sort(cells)
    starts = np.searchsorted(cells, cells)
    return np.searchsorted(ranked, cells) + np.arange(len(cells)) - starts


def _contains(ranked: np.ndarray, cells: np.ndarray) -> np.ndarray:
    at = np.minimum(np.searchsorted(ranked, cells), len(ranked) - 1)
    return ranked[at] == cells


def _unique_in_pairs(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """For each pair (a[k], b[k]) whether neither value occurs in an earlier pair or twice in this one."""
    both = np.stack([a, b], axis=1).reshape(-1)
    _, earliest = np.unique(both, return_index=True)
    fresh = np.zeros(len(both), bool)
    fresh[earliest] = True
    return fresh[0::2] & fresh[1::2]
