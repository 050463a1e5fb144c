"""Random families from coding and pruning: N:M sparsity and progressive edge growth."""

import math

import numpy as np

from ..random_bits import RandomBits
from ..topology import csr_from_cells
from ._internal import sizes
from ._internal.costs import CostRule
from ._internal.registry import Edges, family


@family
def n_of_m(
    n_in: int, n_out: int, *, fan_in: int | None = None, density: float | None = None, m: int | None = None, seed: int
) -> Edges:
    """N:M sparsity: every output reads N random inputs of each group of M neighbouring inputs.

    N = M * fan_in / n_in, as in the 2:4 pattern of sparse tensor cores (Mishra et al., "Accelerating sparse deep neural
    networks", 2021, arXiv 2104.08378). The fan-in is constant, and the inputs are spread evenly over the groups.
    Exists for m dividing n_in, and fan_in a multiple of n_in / m.

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in: inputs per output, 1..n_in.
        density: share of edges instead of fan_in, in (0, 1]; fan_in is then density * n_in, rounded.
        m: size of the groups, a divisor of n_in; the smallest possible one, n_in / gcd(n_in, fan_in), if left out.
        seed: integer >= 0.

    Returns:
        A Topology with exactly n_out * fan_in edges.

    Raises:
        ValueError: if m does not divide n_in or M * fan_in / n_in is not an integer, naming the nearest that go; or if
            the request is impossible.

    Example:
        >>> n_of_m(8, 3, density=0.5, m=4, seed=0).biadjacency().toarray().astype(int)
        array([[1, 0, 1, 0, 1, 0, 1, 0],
               [0, 1, 1, 0, 1, 0, 0, 1],
               [0, 1, 1, 0, 1, 0, 1, 0]])
    """
    width = sizes.resolve_fan_in(n_in, fan_in, density)
    size = n_in // math.gcd(n_in, width) if m is None else m
    if isinstance(size, bool) or not isinstance(size, int) or not 0 < size <= n_in or n_in % size:
        fits = [k for k in range(1, n_in + 1) if n_in % k == 0]
        near = f"; the nearest are {sizes.format_nearest(fits, size)}" if isinstance(size, int) else ""
        raise ValueError(f"expected m to be a divisor of n_in={n_in}, got m={m!r}{near}")
    sizes.check_multiple("fan_in", width, n_in // size, n_in)
    groups = n_out * (n_in // size)
    cells = RandomBits(seed, "n_of_m").sample_rows(groups, size, width * size // n_in)
    return csr_from_cells(n_in, n_out, cells)


@family(cost=CostRule(steps=lambda request, edges: edges**2 / 64))
def peg(
    n_in: int,
    n_out: int,
    *,
    fan_in: int | None = None,
    density: float | None = None,
    n_edges: int | None = None,
    seed: int,
) -> Edges:
    """Progressive edge growth: each edge goes to an input as far from its output as possible.

    Edges are added one at a time. Among the inputs that the output cannot reach yet, or reaches last, a least read
    input is taken, ties at random. So short cycles are avoided as long as possible, and fan-outs stay nearly equal (Hu,
    Eleftheriou and Arnold, "Regular and irregular progressive edge-growth Tanner graphs", 2005). Every edge costs a
    search through its surroundings in sets of n_in bits: O(n_edges * n_in^2 / 32) time, up to n_in^2 / 8 bytes, for
    layers of up to some thousand units.

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in: inputs per output, 1..n_in.
        density: share of edges instead of fan_in, in (0, 1]: exactly round(density * n_in * n_out) edges.
        n_edges: number of edges instead of fan_in; fan-ins then differ by at most one.
        seed: integer >= 0.

    Returns:
        A Topology with exactly that many edges.

    Raises:
        ValueError: if the request is impossible, or not exactly one of fan_in, density and n_edges is given.

    Example:
        >>> t = peg(16, 16, fan_in=3, seed=0)
        >>> (t.biadjacency() @ t.biadjacency().T).toarray()[~np.eye(16, dtype=bool)].max()  # 1: no cycle of length 4
        np.float64(1.0)
    """
    n_edges = sizes.edge_count(n_in, n_out, fan_in, density, n_edges)
    bits = RandomBits(seed, "peg")
    fan_ins = sizes.split_evenly(n_out, n_edges, bits)
    draws = iter((bits.words(n_edges) >> np.uint64(11)).tolist())
    fan_outs = np.zeros(n_in, np.int64)
    near = [0] * n_in  # near[i]: the inputs that share an output with input i
    indices = [np.empty(0, np.int64)]
    for width in fan_ins.tolist():
        own, depth = 0, None
        for _ in range(width):
            unreached, depth = _find_farthest(own, near, depth)
            far = _list_members(unreached)
            least = far[fan_outs[far] == fan_outs[far].min()]
            choice = int(least[next(draws) * len(least) >> 53])
            fan_outs[choice] += 1
            own |= 1 << choice
        indices.append(_list_members(own))
        for i in indices[-1].tolist():
            near[i] |= own
    return np.append(0, np.cumsum(fan_ins)), np.concatenate(indices).astype(np.int32)


def _find_farthest(own: int, near: list[int], depth: int | None) -> tuple[int, int | None]:
    """Return the inputs that a search from the inputs of an output does not reach, or else reaches last.

    Sets of inputs are the bits of an integer. The depth is the number of steps that reach all inputs; None if it is not
    known, or some inputs are never reached. The depth never grows while the output gets more edges. So the next search
    can stop there, and saves its last and largest step.
    """
    every = (1 << len(near)) - 1
    within, ring, steps = 0, own, 1
    while ring and steps != depth:
        ball = within | ring
        if ball == every:
            return every ^ within, steps
        within = ball
        for i in _list_members(ring).tolist():
            ball |= near[i]
            if ball == every:
                break
        ring = ball ^ within
        steps += 1
    return every ^ within, depth


def _list_members(bits: int) -> np.ndarray:
    """Return the positions of the bits that are 1, ascending."""
    octets = np.frombuffer(bits.to_bytes((bits.bit_length() + 7) // 8, "little"), np.uint8)
    return np.flatnonzero(np.unpackbits(octets, bitorder="little"))
