"""Metrics that count: degrees, units without an edge, duplicates, components."""

from itertools import pairwise

import numpy as np

from ..random_bits import RandomBits
from ..topology import Topology
from ._internal.operators import components

_CHUNK = 1 << 22


def density(t: Topology) -> float:
    """Share of the n_in * n_out possible edges that is present, in [0, 1]; 0 for a graph without edges. O(1).

    Example:
        >>> from prewired import generators
        >>> density(generators.rotating(8, 8, fan_in=2))
        0.25
    """
    return t.density


def fan_in_min(t: Topology) -> float:
    """Smallest number of inputs an output reads, in [0, n_in]; 0 if an output is dead. O(n_out).

    Example:
        >>> fan_in_min(Topology(3, 2, [0, 2, 3], [0, 2, 1]))
        1.0
    """
    return float(t.fan_in.min())


def fan_in_max(t: Topology) -> float:
    """Largest number of inputs an output reads, in [0, n_in]; 0 for a graph without edges. O(n_out).

    Example:
        >>> fan_in_max(Topology(3, 2, [0, 2, 3], [0, 2, 1]))
        2.0
    """
    return float(t.fan_in.max())


def fan_in_cv(t: Topology) -> float:
    """Coefficient of variation of the fan-ins: standard deviation / mean. O(n_out).

    In [0, sqrt(n_out - 1)]: 0 if all are equal, largest if one output has every edge; 0 for a graph without edges. The
    standard deviation is that of all outputs (divisor n_out).

    Example:
        >>> round(fan_in_cv(Topology(3, 2, [0, 2, 3], [0, 2, 1])), 6)
        0.333333
    """
    return _cv(t.fan_in)


def fan_in_gini(t: Topology) -> float:
    """Gini coefficient of the fan-ins: mean |x - y| over all ordered pairs of outputs / (2 * mean). O(n_out log n_out).

    In [0, 1 - 1/n_out]: 0 if all are equal, largest if one output has every edge; 0 for a graph without edges.
    (Gini, "Variabilita e mutabilita", 1912.)

    Example:
        >>> fan_in_gini(Topology(3, 2, [0, 3, 3], [0, 1, 2]))
        0.5
    """
    return _gini(t.fan_in)


def fan_out_min(t: Topology) -> float:
    """Smallest number of outputs an input feeds, in [0, n_out]; 0 if an input is dead. O(n_edges).

    Example:
        >>> fan_out_min(Topology(2, 2, [0, 1, 3], [0, 0, 1]))
        1.0
    """
    return float(t.fan_out.min())


def fan_out_max(t: Topology) -> float:
    """Largest number of outputs an input feeds, in [0, n_out]; 0 for a graph without edges. O(n_edges).

    Example:
        >>> fan_out_max(Topology(2, 2, [0, 1, 3], [0, 0, 1]))
        2.0
    """
    return float(t.fan_out.max())


def fan_out_cv(t: Topology) -> float:
    """Coefficient of variation of the fan-outs: standard deviation / mean. O(n_edges).

    In [0, sqrt(n_in - 1)]: 0 if all are equal, largest if one input has every edge; 0 for a graph without edges. The
    standard deviation is that of all inputs (divisor n_in).

    Example:
        >>> round(fan_out_cv(Topology(2, 2, [0, 1, 3], [0, 0, 1])), 6)
        0.333333
    """
    return _cv(t.fan_out)


def fan_out_gini(t: Topology) -> float:
    """Gini coefficient of the fan-outs: mean |x - y| over all ordered pairs of inputs / (2 * mean).

    In [0, 1 - 1/n_in]: 0 if all are equal, largest if one input has every edge; 0 for a graph without edges. Cost
    O(n_edges + n_in log n_in). (Gini, "Variabilita e mutabilita", 1912.)

    Example:
        >>> fan_out_gini(Topology(2, 3, [0, 1, 2, 3], [0, 0, 0]))
        0.5
    """
    return _gini(t.fan_out)


def dead_inputs(t: Topology) -> float:
    """Number of inputs that feed no output, in [0, n_in]. O(n_edges).

    Example:
        >>> dead_inputs(Topology(3, 2, [0, 1, 2], [0, 1]))
        1.0
    """
    return float((t.fan_out == 0).sum())


def dead_outputs(t: Topology) -> float:
    """Number of outputs that read no input, in [0, n_out]. O(n_out).

    Example:
        >>> dead_outputs(Topology(2, 3, [0, 1, 1, 2], [0, 1]))
        1.0
    """
    return float((t.fan_in == 0).sum())


def duplicate_inputs(t: Topology) -> float:
    """Number of inputs that feed exactly the outputs that an input before them feeds, in [0, n_in - 1].

    Swapping two such inputs changes nothing: a network cannot tell them apart by its wiring. Dead inputs are not
    counted here but by `dead_inputs`. Neighbourhoods are hashed, and equal hashes compared: exact, O(n_edges).

    Example:
        >>> from prewired import generators
        >>> duplicate_inputs(generators.grouped(8, 8, fan_in=2))
        4.0
    """
    return duplicate_outputs(t.transpose())


def duplicate_outputs(t: Topology) -> float:
    """Number of outputs that read exactly the inputs that an output before them reads, in [0, n_out - 1].

    Such outputs differ by their weights alone. Dead outputs are not counted here but by `dead_outputs`. Neighbourhoods
    are hashed, and equal hashes compared: exact, O(n_edges).

    Example:
        >>> from prewired import generators
        >>> duplicate_outputs(generators.dense(3, 5))
        4.0
    """
    alive = np.flatnonzero(t.fan_in)
    if len(alive) == 0:
        return 0.0
    # A comparison with the neighbour in the order of the hashes finds every duplicate unless two different
    # neighbourhoods have one hash. That shows in the comparison, and other hashes are tried.
    seed = 0
    while True:
        words = RandomBits(seed, "neighbourhoods").words(t.n_in)
        hashes = np.add.reduceat(words[t.indices], t.indptr[alive])
        order = np.lexsort((hashes, t.fan_in[alive]))
        rows, hashes = alive[order], hashes[order]
        alike = np.flatnonzero((hashes[1:] == hashes[:-1]) & (t.fan_in[rows[1:]] == t.fan_in[rows[:-1]]))
        if _all_equal(t, rows[alike], rows[alike + 1]):
            return float(len(alike))
        seed += 1


def connected_components(t: Topology) -> float:
    """Number of connected components of the bipartite graph, each dead unit one of its own, in [1, n_in + n_out].

    O(n_in + n_out + n_edges).

    Example:
        >>> from prewired import generators
        >>> connected_components(generators.grouped(8, 8, fan_in=2))
        4.0
    """
    return float(component_labels(t)[0])


def component_labels(t: Topology) -> tuple[int, np.ndarray, np.ndarray]:
    """Number of components, the component of every input (n_in,) and of every output (n_out,)."""
    return components(t.indptr, t.indices, t.n_in)


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The integers starts[k], ..., starts[k] + lengths[k] - 1 for every k, one range after the other."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))


def even_chunks(costs: np.ndarray, limit: int) -> list[tuple[int, int]]:
    """Cut 0..len(costs) into intervals (start, stop), each one long or of a cost of at most `limit`."""
    total = np.append(0, np.cumsum(costs))
    cuts = [0]
    while cuts[-1] < len(costs):
        stop = int(np.searchsorted(total, total[cuts[-1]] + limit, side="right")) - 1
        cuts.append(max(stop, cuts[-1] + 1))
    return list(pairwise(cuts))


def _all_equal(t: Topology, rows: np.ndarray, others: np.ndarray) -> bool:
    """Whether rows[k] and others[k], outputs of equal fan-in, read the same inputs for every k."""
    for start, stop in even_chunks(t.fan_in[rows], _CHUNK):
        lengths = t.fan_in[rows[start:stop]]
        one, other = (t.indices[ranges(t.indptr[which[start:stop]], lengths)] for which in (rows, others))
        if not np.array_equal(one, other):
            return False
    return True


def _cv(degrees: np.ndarray) -> float:
    mean = degrees.mean()
    return float(degrees.std() / mean) if mean else 0.0


def _gini(degrees: np.ndarray) -> float:
    n, total = len(degrees), int(degrees.sum())
    if total == 0:
        return 0.0
    # The k-th smallest exceeds k - 1 of the others and is exceeded by n - k.
    return float((2 * np.arange(1, n + 1) - n - 1) @ np.sort(degrees)) / (n * total)
