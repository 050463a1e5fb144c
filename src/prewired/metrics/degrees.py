"""Metrics that count: degrees, dead units, duplicate units, connected components."""

import numpy as np

from ..random_bits import RandomBits
from ..topology import Topology
from ._internal.chunks import concatenate_ranges, split_by_cost
from ._internal.operators import label_components

_CHUNK = 1 << 22


def density(t: Topology) -> float:
    """Share of the n_in * n_out possible edges that are present, in [0, 1]. Cost O(1).

    0 for a graph without edges.

    Example:
        >>> from prewired import generators
        >>> density(generators.rotating(8, 8, fan_in=2))
        0.25
    """
    return t.density


def fan_in_min(t: Topology) -> float:
    """The smallest fan-in: the fewest inputs that any output reads, in [0, n_in]. Cost O(n_out).

    0 if an output is dead.

    Example:
        >>> fan_in_min(Topology(3, 2, [0, 2, 3], [0, 2, 1]))
        1.0
    """
    return float(t.fan_in.min())


def fan_in_max(t: Topology) -> float:
    """The largest fan-in: the most inputs that any output reads, in [0, n_in]. Cost O(n_out).

    0 for a graph without edges.

    Example:
        >>> fan_in_max(Topology(3, 2, [0, 2, 3], [0, 2, 1]))
        2.0
    """
    return float(t.fan_in.max())


def fan_in_cv(t: Topology) -> float:
    """Coefficient of variation of the fan-ins: standard deviation / mean, in [0, sqrt(n_out - 1)]. Cost O(n_out).

    0 if all fan-ins are equal, and the upper limit if one output has every edge. 0 for a graph without edges. The
    standard deviation is that of all outputs: its divisor is n_out.

    Example:
        >>> round(fan_in_cv(Topology(3, 2, [0, 2, 3], [0, 2, 1])), 6)
        0.333333
    """
    return _compute_cv(t.fan_in)


def fan_in_gini(t: Topology) -> float:
    """Gini coefficient of the fan-ins: mean |x - y| over all ordered pairs of outputs / (2 * mean).

    In [0, 1 - 1/n_out]: 0 if all fan-ins are equal, and the upper limit if one output has every edge. 0 for a graph
    without edges. Cost O(n_out log n_out). (Gini, "Variabilita e mutabilita", 1912.)

    Example:
        >>> fan_in_gini(Topology(3, 2, [0, 3, 3], [0, 1, 2]))
        0.5
    """
    return _compute_gini(t.fan_in)


def fan_out_min(t: Topology) -> float:
    """The smallest fan-out: the fewest outputs that any input feeds, in [0, n_out]. Cost O(n_edges).

    0 if an input is dead.

    Example:
        >>> fan_out_min(Topology(2, 2, [0, 1, 3], [0, 0, 1]))
        1.0
    """
    return float(t.fan_out.min())


def fan_out_max(t: Topology) -> float:
    """The largest fan-out: the most outputs that any input feeds, in [0, n_out]. Cost O(n_edges).

    0 for a graph without edges.

    Example:
        >>> fan_out_max(Topology(2, 2, [0, 1, 3], [0, 0, 1]))
        2.0
    """
    return float(t.fan_out.max())


def fan_out_cv(t: Topology) -> float:
    """Coefficient of variation of the fan-outs: standard deviation / mean, in [0, sqrt(n_in - 1)]. Cost O(n_edges).

    0 if all fan-outs are equal, and the upper limit if one input has every edge. 0 for a graph without edges. The
    standard deviation is that of all inputs: its divisor is n_in.

    Example:
        >>> round(fan_out_cv(Topology(2, 2, [0, 1, 3], [0, 0, 1])), 6)
        0.333333
    """
    return _compute_cv(t.fan_out)


def fan_out_gini(t: Topology) -> float:
    """Gini coefficient of the fan-outs: mean |x - y| over all ordered pairs of inputs / (2 * mean).

    In [0, 1 - 1/n_in]: 0 if all fan-outs are equal, and the upper limit if one input has every edge. 0 for a graph
    without edges. Cost O(n_edges + n_in log n_in). (Gini, "Variabilita e mutabilita", 1912.)

    Example:
        >>> fan_out_gini(Topology(2, 3, [0, 1, 2, 3], [0, 0, 0]))
        0.5
    """
    return _compute_gini(t.fan_out)


def dead_inputs(t: Topology) -> float:
    """Number of inputs that feed no output, in [0, n_in]. Cost O(n_edges).

    Example:
        >>> dead_inputs(Topology(3, 2, [0, 1, 2], [0, 1]))
        1.0
    """
    return float((t.fan_out == 0).sum())


def dead_outputs(t: Topology) -> float:
    """Number of outputs that read no input, in [0, n_out]. Cost O(n_out).

    Example:
        >>> dead_outputs(Topology(2, 3, [0, 1, 1, 2], [0, 1]))
        1.0
    """
    return float((t.fan_in == 0).sum())


def duplicate_inputs(t: Topology) -> float:
    """Number of inputs that feed exactly the same outputs as an earlier input, in [0, n_in - 1].

    Swapping two such inputs changes nothing: the wiring does not distinguish them. Dead inputs do not count here, see
    `dead_inputs`. Exact: neighbourhoods are hashed, and those with equal hashes compared. Cost O(n_edges).

    Example:
        >>> from prewired import generators
        >>> duplicate_inputs(generators.grouped(8, 8, fan_in=2))
        4.0
    """
    return duplicate_outputs(t.transpose())


def duplicate_outputs(t: Topology) -> float:
    """Number of outputs that read exactly the same inputs as an earlier output, in [0, n_out - 1].

    Only their weights distinguish such outputs. Dead outputs do not count here, see `dead_outputs`. Exact:
    neighbourhoods are hashed, and those with equal hashes compared. Cost O(n_edges).

    Example:
        >>> from prewired import generators
        >>> duplicate_outputs(generators.dense(3, 5))
        4.0
    """
    live = np.flatnonzero(t.fan_in)
    if len(live) == 0:
        return 0.0
    # Sort the outputs by fan-in and hash. Equal neighbourhoods are then next to each other, so comparing each output
    # with the one before finds every duplicate, unless two different neighbourhoods share a hash. Such a collision
    # shows as a pair of equal hashes with different neighbourhoods; the search then starts again with other hashes.
    seed = 0
    while True:
        words = RandomBits(seed, "neighbourhoods").words(t.n_in)
        hashes = np.add.reduceat(words[t.indices], t.indptr[live])
        order = np.lexsort((hashes, t.fan_in[live]))
        rows, hashes = live[order], hashes[order]
        duplicates = np.flatnonzero((hashes[1:] == hashes[:-1]) & (t.fan_in[rows[1:]] == t.fan_in[rows[:-1]]))
        if _is_equal_pairwise(t, rows[duplicates], rows[duplicates + 1]):
            return float(len(duplicates))
        seed += 1


def connected_components(t: Topology) -> float:
    """Number of connected components of the bipartite graph, in [1, n_in + n_out]. Cost O(n_in + n_out + n_edges).

    Each dead unit is a component of its own.

    Example:
        >>> from prewired import generators
        >>> connected_components(generators.grouped(8, 8, fan_in=2))
        4.0
    """
    return float(label_units(t)[0])


def label_units(t: Topology) -> tuple[int, np.ndarray, np.ndarray]:
    """The number of connected components, the component of every input (n_in,) and of every output (n_out,)."""
    return label_components(t.indptr, t.indices, t.n_in)


def _is_equal_pairwise(t: Topology, rows: np.ndarray, partners: np.ndarray) -> bool:
    """Whether outputs rows[k] and partners[k], which have equal fan-ins, read the same inputs for every k."""
    for start, stop in split_by_cost(t.fan_in[rows], _CHUNK):
        lengths = t.fan_in[rows[start:stop]]
        a, b = (t.indices[concatenate_ranges(t.indptr[side[start:stop]], lengths)] for side in (rows, partners))
        if not np.array_equal(a, b):
            return False
    return True


def _compute_cv(degrees: np.ndarray) -> float:
    """Standard deviation / mean, and 0 if the mean is 0."""
    mean = degrees.mean()
    return float(degrees.std() / mean) if mean else 0.0


def _compute_gini(degrees: np.ndarray) -> float:
    """The mean of |x - y| over all ordered pairs, divided by twice the mean; 0 if the mean is 0."""
    n, total = len(degrees), int(degrees.sum())
    if total == 0:
        return 0.0
    # The sum of |x - y| over pairs without visiting the pairs: the k-th smallest value is the larger value of k - 1
    # pairs and the smaller value of n - k pairs, so it has the factor (k - 1) - (n - k) = 2k - n - 1.
    return float((2 * np.arange(1, n + 1) - n - 1) @ np.sort(degrees)) / (n * total)
