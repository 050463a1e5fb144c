"""Random families, drawn from `random_bits` alone: a seed gives the same graph on every machine and version."""

from decimal import ROUND_HALF_EVEN, Context, Decimal

import numpy as np

from ..random_bits import RandomBits
from ..topology import csr_from_cells
from ._internal import sizes
from ._internal.edge_swaps import match_stubs, untangle
from ._internal.portable_math import log
from ._internal.registry import Edges, family

_MAX_ROUNDS = 10_000


@family
def erdos_renyi(
    n_in: int,
    n_out: int,
    *,
    fan_in: int | None = None,
    density: float | None = None,
    n_edges: int | None = None,
    seed: int,
) -> Edges:
    """A uniformly random graph with an exact number of edges: G(n, m) of Erdos and Renyi (1959), bipartite.

    Degrees are nearly binomial, so at low density some inputs and outputs may have no edge at all.

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in: mean number of inputs per output: exactly n_out * fan_in edges.
        density: share of edges instead of fan_in, in (0, 1]: exactly round(density * n_in * n_out) edges.
        n_edges: number of edges instead of fan_in.
        seed: integer >= 0.

    Returns:
        A Topology with exactly that many edges.

    Raises:
        ValueError: if the request is impossible, or not exactly one of fan_in, density and n_edges is given.

    Example:
        >>> erdos_renyi(784, 100, density=0.05, seed=0).n_edges
        3920
    """
    n_edges = sizes.edge_count(n_in, n_out, fan_in, density, n_edges)
    return csr_from_cells(n_in, n_out, RandomBits(seed, "erdos_renyi").sample(n_in * n_out, n_edges))


@family
def erdos_renyi_p(
    n_in: int, n_out: int, *, fan_in: int | None = None, density: float | None = None, seed: int
) -> Edges:
    """Every edge is present with the same probability, independently: G(n, m, p) of Gilbert (1959), bipartite.

    The number of edges is random, binomial around the expected one. For p = density, sigma1 is near p sqrt(n_in n_out)
    and sigma2 near sqrt(p (1 - p)) (sqrt(n_in) + sqrt(n_out)). The gaps between edges are geometric and are drawn one
    after the other, which takes O(edges) time (Batagelj and Brandes, "Efficient generation of large random networks",
    2005).

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in: expected number of inputs per output, 1..n_in.
        density: probability of each edge instead of fan_in, in (0, 1].
        seed: integer >= 0.

    Returns:
        A Topology, possibly without any edge.

    Raises:
        ValueError: if the request is impossible, or not exactly one of fan_in and density is given.

    Example:
        >>> erdos_renyi_p(784, 100, density=0.05, seed=0).n_edges
        3928
    """
    expected = sizes.edge_count(n_in, n_out, fan_in, density)
    probability = expected / (n_in * n_out) if density is None else density
    if probability == 1:
        return csr_from_cells(n_in, n_out, np.arange(n_in * n_out))
    bits = RandomBits(seed, "erdos_renyi_p")
    context = Context(prec=28, rounding=ROUND_HALF_EVEN, traps=[])  # not the one a host program may have changed
    per_gap = -float(context.ln(context.subtract(Decimal(1), Decimal(probability))))
    cells, end = np.empty(0, np.int64), -1
    while end < n_in * n_out:
        gaps = np.minimum(-log(1 - bits.fractions(expected + 64)) / per_gap, n_in * n_out)
        fresh = end + np.cumsum(gaps.astype(np.int64) + 1)
        cells, end = np.append(cells, fresh[fresh < n_in * n_out]), int(fresh[-1])
    return csr_from_cells(n_in, n_out, cells)


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
        ValueError: if the request is impossible, or not exactly one of fan_in and density is given.

    Example:
        >>> set(constant_fan_in(784, 100, density=0.05, seed=0).fan_in.tolist())
        {39}
    """
    width = sizes.resolve_fan_in(n_in, fan_in, density)
    return csr_from_cells(n_in, n_out, RandomBits(seed, "constant_fan_in").sample_rows(n_out, n_in, width))


@family
def constant_fan_out(
    n_in: int,
    n_out: int,
    *,
    fan_in: int | None = None,
    density: float | None = None,
    n_edges: int | None = None,
    seed: int,
) -> Edges:
    """Every input is read by the same number of outputs, each set drawn uniformly and independently.

    Also called right-regular. Where n_in does not divide the edges, fan-outs differ by one, and the inputs with one
    more are drawn at random. Fan-ins are binomial: an output reads nothing with probability (1 - fan_out/n_out)^n_in.

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in: mean number of inputs per output: exactly n_out * fan_in edges.
        density: share of edges instead of fan_in, in (0, 1]: exactly round(density * n_in * n_out) edges.
        n_edges: number of edges instead of fan_in.
        seed: integer >= 0.

    Returns:
        A Topology with exactly that many edges.

    Raises:
        ValueError: if the request is impossible, or not exactly one of fan_in, density and n_edges is given.

    Example:
        >>> sorted(set(constant_fan_out(100, 784, density=0.05, seed=0).fan_out.tolist()))
        [39, 40]
    """
    n_edges = sizes.edge_count(n_in, n_out, fan_in, density, n_edges)
    bits = RandomBits(seed, "constant_fan_out")
    most = -(-n_edges // n_in)
    cells = bits.sample_rows(n_in, n_out, most).reshape(n_in, most)
    short = np.flatnonzero(sizes.split_evenly(n_in, n_edges, bits) < most)
    mask = np.ones(cells.shape, bool)
    mask[short, bits.integers(most, len(short))] = False
    inputs, outputs = np.divmod(cells[mask], n_out)
    return csr_from_cells(n_in, n_out, np.sort(outputs * n_in + inputs))


@family
def biregular(
    n_in: int,
    n_out: int,
    *,
    fan_in: int | None = None,
    density: float | None = None,
    n_edges: int | None = None,
    seed: int,
) -> Edges:
    """A random graph whose fan-ins are all equal and whose fan-outs are all equal, if the counts divide.

    If they do not, the graph is near-biregular: the degrees of a side differ by at most one, and the outputs or inputs
    with one edge more are drawn at random. Stubs are matched at random (the configuration model), and parallel edges
    are removed by double-edge swaps, which keep every degree. Above one half of all edges the complement is drawn. The
    graph is nearly, not exactly, uniform among those with its degrees. Almost every such graph is nearly Ramanujan,
    sigma2 <= sqrt(fan_in - 1) + sqrt(fan_out - 1) + o(1) (Brito, Dumitriu and Harris, "Spectral gap in random bipartite
    biregular graphs and applications", 2022, arXiv 1804.07808).

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in: inputs per output, 1..n_in.
        density: share of edges instead of fan_in, in (0, 1]: exactly round(density * n_in * n_out) edges.
        n_edges: number of edges instead of fan_in.
        seed: integer >= 0.

    Returns:
        A simple (near-)biregular Topology with exactly that many edges.

    Raises:
        ValueError: if the request is impossible, or not exactly one of fan_in, density and n_edges is given.
        RuntimeError: if the swaps have not removed every parallel edge after 10,000 rounds.

    Example:
        >>> t = biregular(12, 8, fan_in=3, seed=0)
        >>> set(t.fan_in.tolist()), set(t.fan_out.tolist())
        ({3}, {2})
    """
    n_edges = sizes.edge_count(n_in, n_out, fan_in, density, n_edges)
    return draw_near_biregular(n_in, n_out, n_edges, RandomBits(seed, "biregular"))


def draw_near_biregular(n_in: int, n_out: int, n_edges: int, bits: RandomBits) -> Edges:
    """Draw a random simple graph with near-equal degrees; see `biregular`."""
    n_drawn = min(n_edges, n_in * n_out - n_edges)
    fan_ins, fan_outs = sizes.split_evenly(n_out, n_drawn, bits), sizes.split_evenly(n_in, n_drawn, bits)
    rows = match_stubs(n_in, fan_ins, fan_outs, bits)
    if not untangle(rows, bits, _MAX_ROUNDS):
        raise RuntimeError(
            f"no simple near-biregular graph of {n_edges} edges between {n_in} inputs and {n_out} outputs found in "
            f"{_MAX_ROUNDS} rounds of swaps; try another seed"
        )
    return rows.to_csr() if n_drawn == n_edges else complement(n_in, *rows.to_csr())


def complement(n_in: int, indptr: np.ndarray, indices: np.ndarray) -> Edges:
    """Return the edges that a graph does not have; O(n_in * n_out)."""
    n_out = len(indptr) - 1
    absent = np.ones(n_in * n_out, bool)
    absent[np.repeat(np.arange(n_out), np.diff(indptr)) * n_in + indices] = False
    return csr_from_cells(n_in, n_out, np.flatnonzero(absent))
