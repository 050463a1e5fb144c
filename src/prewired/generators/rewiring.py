"""Spectrum-targeted rewiring: double-edge swaps until the gap is the wanted one, at fixed degrees."""

from collections.abc import Callable
from copy import copy
from typing import NamedTuple

from .. import metrics
from ..topology import Topology
from .walk import BAND, RANDOM, Walk, swap_edges

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

    def met_by(self, value: float) -> bool:
        return abs(value - self.value) <= self.tolerance


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
        ValueError: if the wanted value is out of reach, with the range that can be reached; or if not exactly one is
            given.
        RuntimeError: if no graph within the tolerance was found.

    Example:
        >>> from prewired import generators
        >>> t, reached = rewire(generators.rotating(64, 64, fan_in=8), gap=0.25, seed=0)
        >>> abs(reached - 0.25) <= 0.002, set(t.fan_in.tolist()), set(t.fan_out.tolist())
        (True, {8}, {8})
    """
    if keep != "degrees":
        raise ValueError(f'expected keep="degrees", got keep={keep!r}; shuffle_within_layer keeps the density alone')
    wish = _wish(t, gap, algebraic_connectivity, tolerance)
    start = wish.measure(t)
    if wish.met_by(start):
        return Rewired(t, start)
    mixed = wish.measure(_end(t, seed, RANDOM))
    toward = BAND if wish.value < min(start, mixed) else RANDOM
    found = _search(t, seed, toward, wish, start)
    if found is None:
        low, high = min(start, mixed, wish.measure(_end(t, seed, BAND))), max(start, mixed)
        raise ValueError(
            f"expected {wish.name} from {low:.4g} to {high:.4g}, which swaps reach from this graph, got "
            f"{wish.name}={wish.value:.6g}; choose a value within, or start from another graph"
        )
    if not wish.met_by(found.reached):
        raise RuntimeError(
            f"expected a graph with {wish.name} within {wish.tolerance:.3g} of {wish.value:.6g}, got "
            f"{found.reached:.6g} at the best: one swap changes it by more; raise tolerance, or try another seed"
        )
    return found


def _wish(t: Topology, gap: float | None, connectivity: float | None, tolerance: float) -> _Wish:
    if (gap is None) == (connectivity is None):
        raise ValueError(
            f"expected gap= or algebraic_connectivity=, got {'neither' if gap is None else 'both'}; give one of them"
        )
    if not tolerance > 0:
        raise ValueError(f"expected tolerance > 0, got tolerance={tolerance!r}; the default is 0.002")
    if gap is not None:
        if not 0 <= gap <= 1:
            raise ValueError(f"expected 0 <= gap <= 1, the relative spectral gap, got gap={gap!r}")
        return _Wish("gap", metrics.relative_spectral_gap, gap, tolerance)
    if connectivity is None or not connectivity >= 0:
        raise ValueError(f"expected algebraic_connectivity >= 0, got algebraic_connectivity={connectivity!r}")
    unit = t.n_edges / max(t.n_in, t.n_out)
    return _Wish("algebraic_connectivity", metrics.algebraic_connectivity, connectivity, tolerance * unit)


def _end(t: Topology, seed: int, toward: str) -> Topology:
    return swap_edges(t, proposals=_SWEEPS[toward] * t.n_edges, toward=toward, seed=seed)


def _search(t: Topology, seed: int, toward: str, wish: _Wish, start: float) -> Rewired | None:
    """A graph that meets the wish, or the nearest found; None if the walk never passes the wanted value."""

    def step(walk: Walk, proposals: int) -> tuple[Walk, float]:
        walk = copy(walk)
        return walk, wish.measure(Topology(t.n_in, t.n_out, *walk.edges_at(proposals)))

    def passed(value: float) -> bool:
        return (value < wish.value) != (start < wish.value)

    low, high, most = 0, 0, _SWEEPS[toward] * t.n_edges
    behind = ahead = Walk(t, toward, seed)
    at_low = at_high = start
    while not wish.met_by(at_high) and not passed(at_high):
        if high == most:
            return None
        low, at_low, behind = high, at_high, ahead
        high = min(max(2 * high, t.n_edges // _FIRST, 1), most)
        ahead, at_high = step(behind, high)
    while not wish.met_by(at_high) and not wish.met_by(at_low) and high - low > 1:
        middle = (low + high) // 2
        ahead, value = step(behind, middle)
        if passed(value):
            high, at_high = middle, value
        else:
            low, at_low, behind = middle, value, ahead
    proposals, reached = min(((low, at_low), (high, at_high)), key=lambda end: abs(end[1] - wish.value))
    found = Rewired(swap_edges(t, proposals=proposals, toward=toward, seed=seed), reached)
    if wish.met_by(reached):
        return found
    near = swap_edges(t, proposals=low, toward=toward, seed=seed)
    others = (swap_edges(near, proposals=1, toward=toward, seed=other) for other in range(_LAST_SWAPS))
    tried = (Rewired(other, wish.measure(other)) for other in others)
    return next((one for one in tried if wish.met_by(one.reached)), found)
