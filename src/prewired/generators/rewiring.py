"""Spectrum-targeted rewiring: double-edge swaps until the gap is the wanted one, at fixed degrees."""

from collections.abc import Callable
from copy import copy
from typing import NamedTuple

from .. import metrics
from ..random_bits import check_seed
from ..topology import Topology
from ._internal.sizes import check_real
from .swap_walk import BAND, RANDOM, Walk, swap_edges

_SWEEPS = {RANDOM: 8, BAND: 256}  # proposals an edge
_FIRST = 512  # the first step proposes n_edges / 512 swaps
_LAST_SWAPS = 256


class Rewired(NamedTuple):
    """What `rewire` found.

    Attributes:
        topology: the rewired graph; its recipe rebuilds it by the number of swaps, without a search.
        reached: its relative spectral gap or algebraic connectivity, whichever was wanted.
    """

    topology: Topology
    reached: float


class _Wish(NamedTuple):
    name: str
    measure: Callable[[Topology], float]
    value: float
    tolerance: float

    def distance(self, value: float) -> float:
        return abs(value - self.value)

    def met_by(self, value: float) -> bool:
        return self.distance(value) <= self.tolerance

    def between(self, a: float, b: float) -> bool:
        return (a < self.value) != (b < self.value)

    def measured(self, t: Topology) -> float:
        try:
            return self.measure(t)
        except RuntimeError as error:
            raise RuntimeError(
                f"expected graphs whose {self.name} can be computed on the way to {self.name}={self.value:.6g}, got "
                f"one where it cannot: {error}"
            ) from None

    def refusal(self, reach: str) -> str:
        return (
            f"expected {self.name} {reach}, which swaps reach from this graph, got {self.name}={self.value:.6g}; "
            "choose a value within, or start from another graph"
        )


class _Place(NamedTuple):
    """A graph on a walk, after so many proposals."""

    proposals: int
    walk: Walk
    topology: Topology
    reached: float

    def on(self, proposals: int, wish: _Wish) -> "_Place":
        walk = copy(self.walk)
        topology = walk.topology_at(proposals)
        return _Place(proposals, walk, topology, wish.measured(topology))


def rewire(
    t: Topology,
    *,
    gap: float | None = None,
    algebraic_connectivity: float | None = None,
    keep: str = "degrees",
    tolerance: float = 0.002,
    seed: int,
) -> Rewired:
    """Move a graph to a wanted spectral gap by double-edge swaps, which keep every fan-in and every fan-out.

    The graph walks towards a random one (up to 8 proposals an edge, see `swap_edges`) if the wanted value lies between
    its own and that of the random one, and towards a band (up to 256) if it lies below both. On the way the gap moves
    almost monotonically: it is measured where the proposals have doubled, and where it has passed the wanted value the
    place is found by bisection. In graphs so small that one swap changes the gap by more than the tolerance, the last
    swap is chosen among 256. From a band to random the gap is a dial from 0.002 to 0.52 (n = 512, fan_in = 16). Gaps
    larger than those of random graphs, such as that of `projective_plane`, cannot be reached by these walks.

    Args:
        t: the topology to start from.
        gap: the relative spectral gap that is wanted, 1 - sigma2/sigma1, in [0, 1].
        algebraic_connectivity: the algebraic connectivity that is wanted, instead of gap.
        keep: what stays as it is; "degrees", every fan-in and every fan-out, is the only choice.
        tolerance: largest distance of the reached value from the wanted one; for the algebraic connectivity in units of
            the smaller of the two mean degrees.
        seed: integer >= 0, of the swaps.

    Returns:
        The topology, and the value that it reached.

    Raises:
        ValueError: if the wanted value is out of reach, with the range that can be reached, of which the lower end is
            looked for only where it matters; or if not exactly one is given.
        RuntimeError: if no graph within the tolerance was found, with the nearest values; or if one cannot be measured.

    Example:
        >>> from prewired import generators
        >>> t, reached = rewire(generators.rotating(64, 64, fan_in=8), gap=0.25, seed=0)
        >>> abs(reached - 0.25) <= 0.002, set(t.fan_in.tolist()), set(t.fan_out.tolist())
        (True, {8}, {8})
    """
    if keep != "degrees":
        raise ValueError(f'expected keep="degrees", got keep={keep!r}; shuffle_within_layer keeps the density alone')
    wish = _wish(t, gap, algebraic_connectivity, tolerance)
    check_seed(seed)
    start = wish.measured(t)
    if wish.met_by(start):
        return Rewired(t, start)
    mixed = wish.measured(swap_edges(t, proposals=_SWEEPS[RANDOM] * t.n_edges, toward=RANDOM, seed=seed))
    low, high = sorted((start, mixed))
    if wish.value > high and not wish.met_by(high):
        raise ValueError(wish.refusal(f"at most {high:.4g}"))
    toward = BAND if wish.value < low else RANDOM
    behind, ahead = _search(_Place(0, Walk(t, toward, seed), t, start), wish)
    if wish.met_by(ahead.reached):
        return Rewired(ahead.topology, ahead.reached)
    if not wish.between(behind.reached, ahead.reached):
        raise ValueError(wish.refusal(f"from {min(low, ahead.reached):.4g} to {high:.4g}"))
    return _one_swap_on(behind, ahead, wish)


def _wish(t: Topology, gap: float | None, connectivity: float | None, tolerance: float) -> _Wish:
    if (gap is None) == (connectivity is None):
        raise ValueError(
            f"expected gap= or algebraic_connectivity=, got {'neither' if gap is None else 'both'}; give one of them"
        )
    check_real("tolerance", tolerance, 0, 1, "the default is 0.002", above=True)
    if gap is not None:
        check_real("gap", gap, 0, 1, "it is the relative spectral gap")
        return _Wish("gap", metrics.relative_spectral_gap, gap, tolerance)
    n = t.n_in + t.n_out
    wanted = check_real("algebraic_connectivity", connectivity, 0, n, "no graph has more than its number of vertices")
    unit = t.n_edges / max(t.n_in, t.n_out)
    return _Wish("algebraic_connectivity", metrics.algebraic_connectivity, wanted, tolerance * unit)


def _search(start: _Place, wish: _Wish) -> tuple[_Place, _Place]:
    """Two places of a walk of which the second meets the wish; or, one proposal apart, with the wish between; or none.

    If there are none the second is the walk's end.
    """
    behind = ahead = start
    n_edges, most = start.topology.n_edges, _SWEEPS[start.walk.toward] * start.topology.n_edges
    while not wish.met_by(ahead.reached) and not wish.between(start.reached, ahead.reached):
        if ahead.proposals == most:
            return behind, ahead
        behind, ahead = ahead, ahead.on(min(max(2 * ahead.proposals, n_edges // _FIRST, 1), most), wish)
    while not wish.met_by(ahead.reached) and ahead.proposals - behind.proposals > 1:
        middle = behind.on((behind.proposals + ahead.proposals) // 2, wish)
        if wish.met_by(middle.reached) or wish.between(behind.reached, middle.reached):
            ahead = middle
        else:
            behind = middle
    return behind, ahead


def _one_swap_on(behind: _Place, ahead: _Place, wish: _Wish) -> Rewired:
    """A graph that meets the wish one swap from a place, another swap than the walk's own, which leaps over it."""
    nearest = ahead.reached
    for seed in range(_LAST_SWAPS):
        other = swap_edges(behind.topology, proposals=1, toward=behind.walk.toward, seed=seed)
        reached = wish.measured(other)
        if wish.met_by(reached):
            return Rewired(other, reached)
        if other != behind.topology:
            nearest = min(nearest, reached, key=wish.distance)
    raise RuntimeError(
        f"expected a graph with {wish.name} within {wish.tolerance:.3g} of {wish.value:.6g}, got {behind.reached:.9g} "
        f"and, one swap on, {nearest:.9g} as the nearest: one swap changes it by more; ask for one of these, raise "
        "tolerance, or try another seed"
    )
