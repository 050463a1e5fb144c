"""Null models: random topologies that share one property with a given topology, as controls of an experiment."""

from functools import partial

import numpy as np

from ..random_bits import RandomBits
from ..topology import Topology, csr_from_cells
from ._internal.costs import CostRule, bound_steps
from ._internal.transforms import Parts, keep_names, transform

_ROUNDS = 16


@transform(names=keep_names, cost=CostRule(steps=partial(bound_steps, per_edge=256)))
def shuffle_edges(t: Topology, *, seed: int) -> Parts:
    """The degree-preserving null: a random graph with the same fan-in and fan-out at every vertex.

    Global curveball trades: in every round the outputs are paired at random. Each pair puts the inputs that only one of
    them reads together, and deals them out again at random. The uniform distribution over all graphs with these degrees
    is the only stationary distribution (Carstens, Berger and Strona, "Curveball: a new generation of sampling
    algorithms for graphs with different degree sequences", 2016, arXiv 1609.05137); 16 + 2 log2(n_out) rounds come
    close to it.

    Args:
        t: the topology whose degrees the result has.
        seed: integer >= 0.

    Returns:
        A Topology with the same degrees.

    Raises:
        ValueError: if the seed is not an integer >= 0.

    Example:
        >>> from prewired import generators
        >>> t = generators.rotating(64, 64, fan_in=4)
        >>> null = shuffle_edges(t, seed=0)
        >>> null == t, set(null.fan_out.tolist())
        (False, {4})
    """
    bits = RandomBits(seed, "shuffle_edges")
    cells = _cells(t, t.indices)
    for _ in range(_ROUNDS + 2 * t.n_out.bit_length() if t.n_edges else 0):
        cells = _trade(t, cells, bits)
    return t.n_in, t.n_out, *csr_from_cells(t.n_in, t.n_out, np.sort(cells))


@transform(names=keep_names)
def permute_inputs(t: Topology, *, seed: int) -> Parts:
    """The same graph with its inputs in a random order: spectrum and degrees stay, the locality of the inputs goes.

    For inputs with a geometry, such as pixels, this control shows how much a network gains by reading neighbours
    together. The data stay where they are, and the wiring reads other columns. So the names of the inputs stay in
    their places too: they belong to the columns of the data.

    Args:
        t: the topology.
        seed: integer >= 0.

    Returns:
        A Topology isomorphic to t.

    Raises:
        ValueError: if the seed is not an integer >= 0.

    Example:
        >>> from prewired import generators
        >>> t = generators.grouped(6, 6, fan_in=3)
        >>> sorted(permute_inputs(t, seed=0).fan_out) == sorted(t.fan_out)
        True
    """
    place = RandomBits(seed, "permute_inputs").permutation(t.n_in)
    return t.n_in, t.n_out, *csr_from_cells(t.n_in, t.n_out, np.sort(_cells(t, place[t.indices])))


@transform(names=keep_names)
def shuffle_within_layer(t: Topology, *, seed: int) -> Parts:
    """As many edges, uniformly anywhere in the layer: only the density of the graph is kept.

    The layer-wise shuffling of Frankle, Dziugaite, Roy and Carbin, "Pruning neural networks at initialization: why are
    we missing the mark?", 2021, arXiv 2009.08576.

    Args:
        t: the topology whose number of edges the result has.
        seed: integer >= 0.

    Returns:
        A Topology with t.n_edges edges, uniform among all such graphs.

    Raises:
        ValueError: if the seed is not an integer >= 0.

    Example:
        >>> from prewired import generators
        >>> shuffle_within_layer(generators.grouped(6, 6, fan_in=3), seed=0).n_edges
        18
    """
    cells = RandomBits(seed, "shuffle_within_layer").sample(t.n_in * t.n_out, t.n_edges)
    return t.n_in, t.n_out, *csr_from_cells(t.n_in, t.n_out, cells)


def _cells(t: Topology, inputs: np.ndarray) -> np.ndarray:
    return np.repeat(np.arange(t.n_out), t.fan_in) * t.n_in + inputs


def _trade(t: Topology, cells: np.ndarray, bits: RandomBits) -> np.ndarray:
    """Return the cells after one round of trades between random pairs of outputs, in another order."""
    # Outputs get random seats, two at each table. The two outputs of a table trade.
    outputs, inputs = np.divmod(cells, t.n_in)
    seated = bits.permutation(t.n_out)
    seat = np.empty_like(seated)
    seat[seated] = np.arange(t.n_out)
    # Sorted by table and input, an input that both outputs read stands there twice. Such inputs cannot be traded.
    places, seats = seat[outputs] // 2 * t.n_in + inputs, seat[outputs] % 2
    places, seats = np.divmod(np.sort(2 * places + seats), 2)
    twice = places[1:] == places[:-1]
    alone = np.flatnonzero(~(np.append(twice, False) | np.append(False, twice)))
    # The other inputs get the seats of their table in random order: sorting random keys within each table shuffles the
    # seats, and keeps how many edges each seat has. So every fan-in stays.
    tables = places[alone] // t.n_in
    seats[alone] = np.sort(2 * (tables * len(alone) + bits.permutation(len(alone))) + seats[alone]) % 2
    tables, inputs = np.divmod(places, t.n_in)
    return seated[2 * tables + seats] * t.n_in + inputs
