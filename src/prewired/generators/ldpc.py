"""Random families with a rule at every vertex: stratified inputs, and edges that close no short cycles."""

import math

import numpy as np

from ..random_bits import RandomBits
from ..topology import csr_from_cells
from . import sizes
from .registry import Edges, family


@family
def n_of_m(
    n_in: int, n_out: int, *, fan_in: int | None = None, density: float | None = None, m: int | None = None, seed: int
) -> Edges:
    """N:M sparsity: every output reads N inputs, drawn at random, of each M neighbouring ones.

    N = M * fan_in / n_in, as in the 2:4 pattern of sparse tensor cores (Mishra et al., "Accelerating sparse deep neural
    networks", 2021, arXiv 2104.08378). The fan-in is constant and its places are stratified.
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
    width = sizes.constant_fan_in(n_in, fan_in, density)
    size = n_in // math.gcd(n_in, width) if m is None else m
    if isinstance(size, bool) or not isinstance(size, int) or not 0 < size <= n_in or n_in % size:
        fits = [k for k in range(1, n_in + 1) if n_in % k == 0]
        near = f"; the nearest are {sizes.nearest(fits, size)}" if isinstance(size, int) else ""
        raise ValueError(f"expected m to be a divisor of n_in={n_in}, got m={m!r}{near}")
    sizes.check_multiple("fan_in", width, n_in // size, n_in)
    groups = n_out * (n_in // size)
    cells = RandomBits(seed, "n_of_m").sample_rows(groups, size, width * size // n_in)
    return csr_from_cells(n_in, n_out, cells)


@family
def peg(
    n_in: int,
    n_out: int,
    *,
    fan_in: int | None = None,
    density: float | None = None,
    n_edges: int | None = None,
    seed: int,
) -> Edges:
    """Progressive edge growth: edges come one at a time, each to an input as far from its output as can be.

    Among the inputs that the output cannot reach, or reaches last, one of the least read is taken, ties at random: so
    short cycles are avoided as long as possible and fan-outs stay nearly equal (Hu, Eleftheriou and Arnold, "Regular
    and irregular progressive edge-growth Tanner graphs", 2005). Every edge costs a search: O(n_edges^2) at worst, for
    layers of up to some thousand units.

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in: inputs per output, 1..n_in.
        density: share of edges instead of fan_in, in (0, 1]: exactly round(density * n_in * n_out) edges.
        n_edges: the number of edges itself; fan-ins then differ by at most one.
        seed: integer >= 0.

    Returns:
        A Topology with exactly that many edges.

    Raises:
        ValueError: if the request is impossible or names not exactly one of fan_in, density and n_edges.

    Example:
        >>> t = peg(16, 16, fan_in=3, seed=0)
        >>> (t.biadjacency() @ t.biadjacency().T).toarray()[~np.eye(16, dtype=bool)].max()  # 1: no cycle of length 4
        np.float64(1.0)
    """
    n_edges = sizes.edge_count(n_in, n_out, fan_in, density, n_edges)
    bits = RandomBits(seed, "peg")
    fan_ins = sizes.near_equal(n_out, n_edges, bits)
    draws = iter((bits.words(n_edges) >> np.uint64(11)).tolist())
    fan_outs = np.zeros(n_in, np.int64)
    reads: list[list[int]] = [[] for _ in range(n_out)]
    read_by: list[list[int]] = [[] for _ in range(n_in)]
    for output in range(n_out):
        for _ in range(fan_ins[output]):
            far = _farthest(output, reads, read_by, n_in)
            least = far[fan_outs[far] == fan_outs[far].min()]
            chosen = int(least[next(draws) * len(least) >> 53])
            fan_outs[chosen] += 1
            reads[output].append(chosen)
            read_by[chosen].append(output)
    indptr = np.append(0, np.cumsum(fan_ins))
    return indptr, np.array([i for inputs in reads for i in sorted(inputs)], np.int32)


def _farthest(output: int, reads: list[list[int]], read_by: list[list[int]], n_in: int) -> np.ndarray:
    """The inputs that a search from the output does not reach, or those it reaches last."""
    unreached = np.ones(n_in, bool)
    outputs_left = set(range(len(reads)))
    outputs_left.discard(output)
    frontier = [output]
    while frontier:
        level = {i for o in frontier for i in reads[o] if unreached[i]}
        if not level:
            break
        before, inputs = unreached.copy(), list(level)
        unreached[inputs] = False
        if not unreached.any():
            return np.flatnonzero(before)
        frontier = [o for o in {o for i in inputs for o in read_by[i]} if o in outputs_left]
        outputs_left.difference_update(frontier)
    return np.flatnonzero(unreached)
