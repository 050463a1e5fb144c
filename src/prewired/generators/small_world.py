"""Random families between a band and a fully random graph: small worlds."""

import numpy as np

from ..random_bits import RandomBits
from ..topology import csr_from_cells
from ._internal import sizes
from ._internal.edge_swaps import Rows
from ._internal.portable_math import exp, log
from ._internal.registry import Edges, family

_CELLS = 1 << 20
_SHARE = 8


@family
def watts_strogatz(
    n_in: int,
    n_out: int,
    *,
    fan_in: int | None = None,
    density: float | None = None,
    n_edges: int | None = None,
    rewiring: float = 0.1,
    seed: int,
) -> Edges:
    """A bipartite small world: a band in which some edges are replaced by random edges.

    Every vertex of the larger side is joined to a window of neighbours around its place on the smaller side, which is
    closed to a ring. Then each edge is dropped with probability `rewiring`, and as many new edges are drawn uniformly
    from the cells that are then empty. So degrees drift from constant to those of `erdos_renyi` (after Watts and
    Strogatz, "Collective dynamics of small-world networks", Nature 393, 1998).

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in: mean number of inputs per output: exactly n_out * fan_in edges.
        density: share of edges instead of fan_in, in (0, 1]: exactly round(density * n_in * n_out) edges.
        n_edges: number of edges instead of fan_in.
        rewiring: probability that an edge is rewired, in [0, 1].
        seed: integer >= 0.

    Returns:
        A Topology with exactly that many edges.

    Raises:
        ValueError: if the request is impossible, or not exactly one of fan_in, density and n_edges is given.

    Example:
        >>> watts_strogatz(6, 6, fan_in=3, rewiring=0.0, seed=0).biadjacency().toarray().astype(int)
        array([[1, 1, 0, 0, 0, 1],
               [1, 1, 1, 0, 0, 0],
               [0, 1, 1, 1, 0, 0],
               [0, 0, 1, 1, 1, 0],
               [0, 0, 0, 1, 1, 1],
               [1, 0, 0, 0, 1, 1]])
    """
    sizes.check_real("rewiring", rewiring, 0, 1, "0.1 is usual")
    n_edges = sizes.edge_count(n_in, n_out, fan_in, density, n_edges)
    bits = RandomBits(seed, "watts_strogatz")
    if n_in <= n_out:
        outputs, inputs = _build_band(n_in, n_out, n_edges, centred=True)
    else:
        inputs, outputs = _build_band(n_out, n_in, n_edges, centred=True)
    cells = np.sort(outputs * n_in + inputs)[~bits.coins(rewiring, n_edges)]
    holes = bits.sample(n_in * n_out - len(cells), n_edges - len(cells))
    fresh = holes + np.searchsorted(cells - np.arange(len(cells)), holes, side="right")
    return csr_from_cells(n_in, n_out, np.sort(np.append(cells, fresh)))


@family
def swap_ladder(
    n_in: int,
    n_out: int,
    *,
    fan_in: int | None = None,
    density: float | None = None,
    n_edges: int | None = None,
    swaps: float = 0.1,
    seed: int,
) -> Edges:
    """A band after some double-edge swaps: `swaps` sets the spectral gap, and every degree stays.

    The band is that of `rotating`: output j reads a window that starts at floor(j n_in / n_out), which is biregular
    if the counts divide. Then round(swaps * n_edges) times, two random edges trade inputs, unless one of the two new
    edges exists already. At n = 512 and fan_in = 16 the relative gap rises from 0.002 over 0.14 at swaps =
    0.1 to 0.53, that of `biregular`, at 1 and more.

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in: inputs per output, 1..n_in.
        density: share of edges instead of fan_in, in (0, 1]: exactly round(density * n_in * n_out) edges.
        n_edges: number of edges instead of fan_in; fan-ins then differ by at most one.
        swaps: proposed swaps per edge, from 0 to 1e6.
        seed: integer >= 0.

    Returns:
        A Topology with exactly that many edges and the degrees of the band, whatever the number of swaps.

    Raises:
        ValueError: if the request is impossible, or not exactly one of fan_in, density and n_edges is given.

    Example:
        >>> t = swap_ladder(12, 8, fan_in=3, swaps=0.5, seed=0)
        >>> set(t.fan_in.tolist()), set(t.fan_out.tolist())
        ({3}, {2})
    """
    sizes.check_real("swaps", swaps, 0, 1e6, "they are proposed swaps per edge, and 1 is random enough")
    n_edges = sizes.edge_count(n_in, n_out, fan_in, density, n_edges)
    bits = RandomBits(seed, "swap_ladder")
    outputs, inputs = _build_band(n_in, n_out, n_edges, centred=False)
    indptr = np.append(0, np.cumsum(np.bincount(outputs, minlength=n_out)))
    rows = Rows(n_in, indptr, inputs.astype(np.int32))
    remaining, waiting = round(swaps * n_edges), np.empty((2, 0), np.int64)
    while remaining or waiting.size:
        fresh = min(remaining, n_edges // _SHARE + 1)
        pairs = np.append(waiting, bits.integers(n_edges, 2 * fresh).reshape(2, fresh), axis=1)
        waiting = pairs[:, ~rows.swap(*pairs)]
        remaining -= fresh
    return rows.to_csr()


@family
def receptive_field(
    n_in: int, n_out: int, *, fan_in: int | None = None, density: float | None = None, r: float = 0.5, seed: int
) -> Edges:
    """Every output reads inputs around its own place, drawn with weights that fall with the distance.

    The place of output j is input floor(j n_in / n_out), on a ring. The output's fan_in inputs are drawn one after the
    other, without replacement, with weight (1 + distance)^-((1 - r) / r): r = 0 is a band, r = 1 is `constant_fan_in`.
    It is the bipartite receptive field of the literature on brain-inspired sparse training.

    The drawing is a race, which gives exactly this distribution: every input arrives after an exponential time whose
    rate is its weight, and the first fan_in inputs win. Only the nearest inputs get times of their own. All others
    arrive in one Poisson process, which stops when the race is over. So the time is O(edges).

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in: inputs per output, 1..n_in.
        density: share of edges instead of fan_in, in (0, 1]; fan_in is then density * n_in, rounded.
        r: how far the fields reach, in [0, 1].
        seed: integer >= 0.

    Returns:
        A Topology with exactly n_out * fan_in edges.

    Raises:
        ValueError: if the request is impossible, or not exactly one of fan_in and density is given.

    Example:
        >>> t = receptive_field(100, 50, fan_in=8, r=0.2, seed=0)
        >>> t.indices[:8], set(t.fan_in.tolist())
        (array([ 0,  1,  2,  3, 90, 97, 98, 99], dtype=int32), {8})
    """
    sizes.check_real("r", r, 0, 1, "0 is a band, 1 is uniform")
    width = sizes.resolve_fan_in(n_in, fan_in, density)
    ranks = _draw_ranks(n_out, n_in, width, r, RandomBits(seed, "receptive_field"))
    places = np.repeat(np.arange(n_out) * n_in // n_out, width)
    inputs = (places + _offsets_of_ranks(ranks)) % n_in
    return csr_from_cells(n_in, n_out, np.sort(np.repeat(np.arange(n_out), width) * n_in + inputs))


def _draw_ranks(n_rows: int, n: int, width: int, r: float, bits: RandomBits) -> np.ndarray:
    """Draw for each row `width` ranks of [0, n), where rank 0 is nearest to the row's place; see `receptive_field`."""
    if r == 0:
        return np.tile(np.arange(width), n_rows)
    slope = min((1 - r) / r, 1e6)  # beyond that only the nearest are ever drawn
    own = min(n, 4 * width)
    delays = slope * log(1.0 + (np.arange(n) + 1) // 2)  # logarithm of the mean time to ring
    far_rates = np.cumsum(exp(delays[own - 1] - delays[own:]))
    ranks = []
    step = max(1, _CELLS // (own + 2 * width))
    for start in range(0, n_rows, step):
        rows = min(step, n_rows - start)
        times = delays[:own] + log(_draw_exponential(bits, rows, own))
        marks = np.broadcast_to(np.arange(own), (rows, own))
        if own < n and far_rates[-1] > 0:
            times, marks = _add_far_inputs(times, marks, far_rates, delays[own - 1], width, bits)
        last = np.partition(times, width - 1, axis=1)[:, width - 1 : width]
        winners = times <= last
        winners &= np.cumsum(winners, axis=1) <= width
        ranks.append(marks[winners])
    return np.concatenate(ranks)


def _add_far_inputs(
    times: np.ndarray, marks: np.ndarray, far_rates: np.ndarray, delay: float, width: int, bits: RandomBits
) -> tuple[np.ndarray, np.ndarray]:
    """Return times and ranks with those of the far inputs added, until every row's race is over."""
    rows, own = times.shape
    elapsed = np.zeros((rows, 1))
    scale = delay - log(far_rates[-1:])
    while True:
        waits = np.append(elapsed, _draw_exponential(bits, rows, 2 * width), axis=1)
        clock = np.cumsum(waits, axis=1)[:, 1:]
        elapsed = clock[:, -1:]
        rang = np.searchsorted(far_rates, bits.fractions(clock.size) * far_rates[-1], side="right").reshape(clock.shape)
        times = np.append(times, log(clock) + scale, axis=1)
        marks = np.append(marks, own + np.minimum(rang, len(far_rates) - 1), axis=1)
        far = np.arange(rows)[:, None] * (own + len(far_rates)) + marks[:, own:]
        again = np.ones(far.size, bool)
        again[np.unique(far, return_index=True)[1]] = False
        times[:, own:][again.reshape(far.shape)] = np.inf
        last = np.partition(times, width - 1, axis=1)[:, width - 1]
        if (last <= log(elapsed[:, 0]) + scale).all():
            return times, marks


def _draw_exponential(bits: RandomBits, rows: int, columns: int) -> np.ndarray:
    """Draw independent exponential times of mean 1, (rows, columns)."""
    return -log(np.maximum(bits.fractions(rows * columns), 2.0**-54)).reshape(rows, columns)


def _offsets_of_ranks(ranks: np.ndarray) -> np.ndarray:
    """Return the offsets 0, 1, -1, 2, -2, ... of the ranks 0, 1, 2, 3, 4, ..."""
    return (ranks + 1) // 2 * np.where(ranks % 2 == 1, 1, -1)


def _build_band(n_in: int, n_out: int, n_edges: int, *, centred: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return outputs and inputs of windows at floor(j n_in / n_out), of near-equal widths spread evenly, on a ring."""
    bounds = np.arange(n_out + 1) * n_edges // n_out
    widths = np.diff(bounds)
    outputs = np.repeat(np.arange(n_out), widths)
    within = np.arange(n_edges) - bounds[outputs] - (widths[outputs] // 2 if centred else 0)
    return outputs, (outputs * n_in // n_out + within) % n_in
