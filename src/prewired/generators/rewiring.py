"""Spectrum-targeted rewiring: double-edge swaps until a graph has the requested gap, at fixed degrees."""

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


class Rewiring(NamedTuple):
    """The result of `rewire`.

    Attributes:
        topology: the rewired graph; its recipe has the number of swaps, so building the graph again needs no search.
        value: its relative spectral gap or algebraic connectivity, whichever was requested.
    """

    topology: Topology
    value: float


class _Target(NamedTuple):
    name: str
    measure: Callable[[Topology], float]
    value: float
    tolerance: float

    def distance(self, value: float) -> float:
        return abs(value - self.value)

    def accepts(self, value: float) -> bool:
        return self.distance(value) <= self.tolerance

    def separates(self, a: float, b: float) -> bool:
        return (a < self.value) != (b < self.value)

    def evaluate(self, t: Topology) -> float:
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


class _Stop(NamedTuple):
    """The graph of a walk after so many proposals, and the value of its metric."""

    proposals: int
    walk: Walk
    topology: Topology
    value: float

    def advance(self, proposals: int, target: _Target) -> "_Stop":
        walk = copy(self.walk)
        topology = walk.topology_at(proposals)
        return _Stop(proposals, walk, topology, target.evaluate(topology))


def rewire(
    t: Topology,
    *,
    gap: float | None = None,
    algebraic_connectivity: float | None = None,
    keep: str = "degrees",
    tolerance: float = 0.002,
    seed: int,
) -> Rewiring:
    """Move a graph to a requested spectral gap by double-edge swaps, which keep every fan-in and every fan-out.

    If the requested value lies between the values of the graph and of a random graph, swaps lead towards the random
    graph, with up to 8 proposals per edge, see `swap_edges`. If the value lies below both, swaps lead towards a band,
    with up to 256 proposals per edge. On the way the gap changes almost monotonically. The gap is measured each time
    the number of proposals has doubled. Once the gap has passed the requested value, bisection finds the number of
    proposals. In a small graph one swap may change the gap by more than the tolerance: then the last swap is chosen
    among 256. From a band to a random graph the gap rises from 0.002 to 0.52 (n = 512, fan_in = 16). Larger gaps, such
    as the gap of `projective_plane`, cannot be reached by these walks.

    Args:
        t: the topology to start from.
        gap: the requested relative spectral gap, 1 - sigma2/sigma1, in [0, 1].
        algebraic_connectivity: the requested algebraic connectivity, instead of gap.
        keep: what stays unchanged; "degrees", every fan-in and every fan-out, is the only choice.
        tolerance: largest distance of the result from the requested value; for the algebraic connectivity in units of
            the smaller of the two mean degrees.
        seed: integer >= 0, of the swaps.

    Returns:
        The topology, and its gap or algebraic connectivity.

    Raises:
        ValueError: if the requested value is out of reach, with the range that can be reached; or if not exactly one of
            gap and algebraic_connectivity is given.
        RuntimeError: if no graph within the tolerance was found, with the nearest values; or if one cannot be measured.

    Example:
        >>> from prewired import generators
        >>> t, value = rewire(generators.rotating(64, 64, fan_in=8), gap=0.25, seed=0)
        >>> abs(value - 0.25) <= 0.002, set(t.fan_in.tolist()), set(t.fan_out.tolist())
        (True, {8}, {8})
    """
    if keep != "degrees":
        raise ValueError(f'expected keep="degrees", got keep={keep!r}; shuffle_within_layer keeps the density alone')
    target = _check_target(t, gap, algebraic_connectivity, tolerance)
    check_seed(seed)
    start = target.evaluate(t)
    if target.accepts(start):
        return Rewiring(t, start)
    mixed = target.evaluate(swap_edges(t, proposals=_SWEEPS[RANDOM] * t.n_edges, toward=RANDOM, seed=seed))
    low, high = sorted((start, mixed))
    if target.value > high and not target.accepts(high):
        raise ValueError(target.refusal(f"at most {high:.4g}"))
    toward = BAND if target.value < low else RANDOM
    behind, ahead = _search(_Stop(0, Walk(t, toward, seed), t, start), target)
    if target.accepts(ahead.value):
        return Rewiring(ahead.topology, ahead.value)
    if not target.separates(behind.value, ahead.value):
        raise ValueError(target.refusal(f"from {min(low, ahead.value):.4g} to {high:.4g}"))
    return _try_single_swaps(behind, ahead, target)


def _check_target(t: Topology, gap: float | None, connectivity: float | None, tolerance: float) -> _Target:
    if (gap is None) == (connectivity is None):
        raise ValueError(
            f"expected gap= or algebraic_connectivity=, got {'neither' if gap is None else 'both'}; give one of them"
        )
    check_real("tolerance", tolerance, 0, 1, "the default is 0.002", above=True)
    if gap is not None:
        check_real("gap", gap, 0, 1, "it is the relative spectral gap")
        return _Target("gap", metrics.relative_spectral_gap, gap, tolerance)
    n = t.n_in + t.n_out
    goal = check_real("algebraic_connectivity", connectivity, 0, n, "no graph has more than its number of vertices")
    unit = t.n_edges / max(t.n_in, t.n_out)
    return _Target("algebraic_connectivity", metrics.algebraic_connectivity, goal, tolerance * unit)


def _search(start: _Stop, target: _Target) -> tuple[_Stop, _Stop]:
    """Return two stops of a walk: the second meets the target, or the target is between them, one proposal apart.

    If there are no such stops, the second is the end of the walk.
    """
    behind = ahead = start
    n_edges, most = start.topology.n_edges, _SWEEPS[start.walk.toward] * start.topology.n_edges
    while not target.accepts(ahead.value) and not target.separates(start.value, ahead.value):
        if ahead.proposals == most:
            return behind, ahead
        behind, ahead = ahead, ahead.advance(min(max(2 * ahead.proposals, n_edges // _FIRST, 1), most), target)
    while not target.accepts(ahead.value) and ahead.proposals - behind.proposals > 1:
        middle = behind.advance((behind.proposals + ahead.proposals) // 2, target)
        if target.accepts(middle.value) or target.separates(behind.value, middle.value):
            ahead = middle
        else:
            behind = middle
    return behind, ahead


def _try_single_swaps(behind: _Stop, ahead: _Stop, target: _Target) -> Rewiring:
    """Return a graph that meets the target and is one swap from a stop; the walk's own next swap passes the target."""
    nearest = ahead.value
    for seed in range(_LAST_SWAPS):
        neighbour = swap_edges(behind.topology, proposals=1, toward=behind.walk.toward, seed=seed)
        value = target.evaluate(neighbour)
        if target.accepts(value):
            return Rewiring(neighbour, value)
        if neighbour != behind.topology:
            nearest = min(nearest, value, key=target.distance)
    raise RuntimeError(
        f"expected a graph with {target.name} within {target.tolerance:.3g} of {target.value:.6g}, got "
        f"{behind.value:.9g} and, one swap on, {nearest:.9g} as the nearest: one swap changes it by more; ask for one "
        "of these, raise tolerance, or try another seed"
    )
