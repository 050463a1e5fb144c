"""Families without randomness: every output's inputs follow a rule."""

import numpy as np

from ._internal.registry import Edges, family
from ._internal.sizes import resolve_fan_in


@family
def dense(n_in: int, n_out: int) -> Edges:
    """Every output reads every input: the complete bipartite graph, the reference for everything else.

    Args:
        n_in, n_out: number of inputs and outputs.

    Returns:
        A Topology with n_in * n_out edges.

    Raises:
        ValueError: if a size is not an integer >= 1.

    Example:
        >>> dense(3, 2).n_edges
        6
    """
    return edges_from_rows(np.broadcast_to(np.arange(n_in, dtype=np.int32), (n_out, n_in)))


@family
def rotating(n_in: int, n_out: int, *, fan_in: int | None = None, density: float | None = None) -> Edges:
    """A window that rotates over the inputs: output j reads floor(j * n_in / n_out) + t mod n_in, t = 0..fan_in-1.

    For n_in = n_out = n this is a circulant band. Its singular values are |sin(pi k d / n) / sin(pi k / n)| for d =
    fan_in and k = 0..n-1 (the Dirichlet kernel). Degrees are constant, and the spectral gap vanishes as n grows: the
    opposite of an expander. The definition is ours, after the *rotating edges* named in Bourely, Boueri and Choromonski
    (arXiv 1706.05683).

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in: inputs per output, 1..n_in.
        density: share of edges instead of fan_in, in (0, 1]; fan_in is then density * n_in, rounded.

    Returns:
        A Topology with exactly n_out * fan_in edges.

    Raises:
        ValueError: if the request is impossible, or not exactly one of fan_in and density is given.

    Example:
        >>> rotating(4, 4, fan_in=2).biadjacency().toarray()
        array([[1., 1., 0., 0.],
               [0., 1., 1., 0.],
               [0., 0., 1., 1.],
               [1., 0., 0., 1.]])
    """
    offsets = np.arange(resolve_fan_in(n_in, fan_in, density), dtype=np.int64)
    return rotate_offsets(n_in, n_out, offsets)


@family
def fibonacci(n_in: int, n_out: int, *, fan_in: int | None = None, density: float | None = None) -> Edges:
    """Like `rotating`, with the window's offsets at Fibonacci numbers: 0, 1, 2, 3, 5, 8, 13, ... mod n_in, distinct.

    The graph is as sparse and as regular as `rotating`, but its offsets spread over all scales. This opens a spectral
    gap: at n = 512 and fan_in = 16 the relative gap is 0.334, that of `rotating` 0.0016. The definition is ours, after
    the *Fibonacci rotating edges* named in Bourely, Boueri and Choromonski (arXiv 1706.05683). Exists for fan_in up to
    the number of distinct Fibonacci numbers modulo n_in.

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in: inputs per output, at most the number of distinct Fibonacci numbers modulo n_in.
        density: share of edges instead of fan_in, in (0, 1]; fan_in is then density * n_in, rounded.

    Returns:
        A Topology with exactly n_out * fan_in edges.

    Raises:
        ValueError: if the request is impossible, or there are fewer than fan_in distinct offsets.

    Example:
        >>> fibonacci(10, 10, fan_in=5).indices[:5]
        array([0, 1, 2, 3, 5], dtype=int32)
    """
    return rotate_offsets(n_in, n_out, list_fibonacci_offsets(n_in, resolve_fan_in(n_in, fan_in, density)))


@family
def grouped(n_in: int, n_out: int, *, fan_in: int | None = None, density: float | None = None) -> Edges:
    """Groups of neighbouring outputs that each read one block of neighbouring inputs, as in grouped convolutions.

    There are g = min(ceil(n_in / fan_in), n_out) groups, of n_out / g outputs (rounded down or up). When fan_in divides
    n_in the blocks are disjoint: the biadjacency is block diagonal, the graph has g components and no spectral gap.
    Otherwise the blocks are spaced evenly from the first input to the last. Neighbouring blocks overlap as little as
    possible, and every input is read.

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in: inputs per output, 1..n_in.
        density: share of edges instead of fan_in, in (0, 1]; fan_in is then density * n_in, rounded.

    Returns:
        A Topology with exactly n_out * fan_in edges.

    Raises:
        ValueError: if the request is impossible, or not exactly one of fan_in and density is given.

    Example:
        >>> grouped(4, 4, fan_in=2).biadjacency().toarray()
        array([[1., 1., 0., 0.],
               [1., 1., 0., 0.],
               [0., 0., 1., 1.],
               [0., 0., 1., 1.]])
    """
    return edges_from_rows(list_grouped_inputs(n_in, n_out, resolve_fan_in(n_in, fan_in, density)))


def list_grouped_inputs(n_in: int, n_out: int, fan_in: int) -> np.ndarray:
    """Return the inputs of every output of `grouped`, (n_out, fan_in)."""
    n_groups = min(-(-n_in // fan_in), n_out)
    group = np.arange(n_out, dtype=np.int64) * n_groups // n_out
    first = group * (n_in - fan_in) // max(n_groups - 1, 1)
    return first[:, None] + np.arange(fan_in)


def rotate_offsets(n_in: int, n_out: int, offsets: np.ndarray) -> Edges:
    """Output j reads floor(j * n_in / n_out) + s mod n_in for every offset s; the offsets are distinct mod n_in."""
    first = np.arange(n_out, dtype=np.int64) * n_in // n_out
    return edges_from_rows(np.sort((first[:, None] + offsets) % n_in, axis=1))


def edges_from_rows(inputs: np.ndarray) -> Edges:
    """Return the edges from the (n_out, fan_in) sorted inputs of every output."""
    n_out, fan_in = inputs.shape
    return np.arange(n_out + 1, dtype=np.int64) * fan_in, inputs.astype(np.int32).reshape(-1)


def list_fibonacci_offsets(n_in: int, fan_in: int) -> np.ndarray:
    """Return the first fan_in distinct Fibonacci numbers modulo n_in, from 0, 1, 2, 3, 5, ..."""
    offsets = {0: None}
    a, b = 1 % n_in, 2 % n_in
    period_start = (a, b)
    while len(offsets) < fan_in:
        offsets[a] = None
        a, b = b, (a + b) % n_in
        if (a, b) == period_start and len(offsets) < fan_in:
            raise ValueError(
                f"expected fan_in <= {len(offsets)}, the number of distinct Fibonacci numbers modulo n_in={n_in}, got "
                f"fan_in={fan_in}; lower fan_in or choose another family"
            )
    return np.fromiter(offsets, np.int64)
