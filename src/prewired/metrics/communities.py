"""Modularity: how much of the wiring lies inside communities of inputs and outputs.

Gains and sums are integers, E^2 Q for E edges; floating point only chooses where two of the searches start.
"""

from typing import Any

import numpy as np
import scipy.sparse

from ..random_bits import RandomBits
from ..topology import Topology
from .degrees import label_units, split_by_cost
from .measurement import Measurement, Progress, explainable
from .spectrum import measure_leading_pair

_MAX_STEPS = 100
_MIN_STEPS = 10
_EDGE_VISITS = 2 * 10**8
_AT_REST = 1000
_SIGNS = (2, 5)
_POWER_STEPS = 15
_CHUNK = 1 << 22


@explainable
def modularity(t: Topology, *, certify: bool, progress: Progress | None) -> Measurement:
    """Barber's bipartite modularity Q of the best communities found, in [0, 1): a lower bound of its maximum.

    Q = (1/E) sum over inputs i and outputs j of one community of (B_ji - fan_in_j fan_out_i / E), for E edges: the
    share of edges inside communities minus that share expected at random from the same degrees. One community of all
    has 0, g disjoint complete blocks of equal size have 1 - 1/g; 0 also for the dense graph and without edges. Random
    graphs have communities by chance: compare with one of the same degrees. To find the maximum is NP-hard.

    The search starts from five divisions: each output its own community, each input its own, the connected components,
    and the signs of the first 2 and of the first 5 singular vectors of B - fan_in fan_out^T / E. From each, the best
    community of every input given the outputs and of every output given the inputs are found in turn; once that raises
    Q by less than a thousandth, all pairs of communities that are each other's best partners merge, if that raises Q.
    A step is O(n_in + n_out + n_edges); a start takes at most 100, above 2 million edges 2 * 10^8 / n_edges, but 10.

    The upper bound (explain=True) of the maximum is the second singular value of D_out^-1/2 B D_in^-1/2: with its first
    pair taken out that matrix is D_out^-1/2 (B - fan_in fan_out^T / E) D_in^-1/2, so the part of a community is at most
    that value times the root of the product of the degrees on its two sides, and these roots sum to at most E.

    Example:
        >>> from prewired import generators
        >>> modularity(generators.grouped(64, 64, fan_in=8))
        0.875

    Source: Barber, "Modularity and community detection in bipartite networks", Physical Review E 76, 2007; merging
    after Liu and Murata, "An efficient algorithm for optimizing bipartite modularity in bipartite networks", JACIII 14,
    2010.
    """
    if t.n_edges == 0:
        return Measurement.from_count(0.0)
    ones = np.ones(t.n_edges, np.int32)
    by_output: Any = scipy.sparse.csr_array((ones, t.indices, t.indptr), shape=(t.n_out, t.n_in))
    by_input = by_output.T.tocsr()
    divisions = [np.arange(t.n_in), *_label_by_signs(t)]
    starts = [np.arange(t.n_out), label_units(t)[2], *(_assign_rows(by_output, inputs)[0] for inputs in divisions)]
    value = max(_climb(by_output, by_input, outputs) for outputs in starts) / t.n_edges**2
    method = "alternating assignment and merging"
    if not certify:
        return Measurement(value, value, value, method, "communities found")
    second = measure_leading_pair(t, normalized=True, certify=True, progress=progress).second
    certificate = f"communities found below, second singular value above; {second.certificate}"
    return Measurement(value, value, max(second.high, value), method, certificate, second.confidence)


def barber_modularity(t: Topology, input_labels: np.ndarray, output_labels: np.ndarray) -> float:
    """Barber's Q, see `modularity`, of given communities, in [-1, 1); 0 without edges.

    Args:
        t: the topology.
        input_labels, output_labels: (n_in,) and (n_out,) integers >= 0, equal within a community.

    Raises:
        ValueError: if there is not one label for each input and for each output.

    Example:
        >>> from prewired import generators
        >>> barber_modularity(generators.grouped(4, 4, fan_in=2), [0, 0, 1, 1], [0, 0, 1, 1])
        0.5
    """
    input_labels, output_labels = np.asarray(input_labels), np.asarray(output_labels)
    if input_labels.shape != (t.n_in,) or output_labels.shape != (t.n_out,):
        raise ValueError(
            f"expected {t.n_in} input labels and {t.n_out} output labels, one for each unit, got shapes "
            f"{input_labels.shape} and {output_labels.shape}; label every unit"
        )
    if t.n_edges == 0:
        return 0.0
    _, labels = np.unique(np.concatenate([input_labels, output_labels]), return_inverse=True)
    inputs, outputs = labels[: t.n_in], labels[t.n_in :]
    inside = np.count_nonzero(inputs[t.indices] == np.repeat(outputs, t.fan_in))
    expected = _sum_by_label(inputs, t.fan_out, labels.max() + 1) @ _sum_by_label(outputs, t.fan_in, labels.max() + 1)
    return (t.n_edges * int(inside) - int(expected)) / t.n_edges**2


def _climb(by_output: Any, by_input: Any, outputs: np.ndarray) -> int:
    """The largest E^2 Q met on the way up from communities of the outputs."""
    highest = -1
    for _ in range(min(_MAX_STEPS, max(_MIN_STEPS, _EDGE_VISITS // by_output.nnz))):
        inputs, _ = _assign_rows(by_input, outputs)
        outputs, reached = _assign_rows(by_output, inputs)
        at_rest = reached <= highest + highest // _AT_REST
        highest = max(highest, reached)
        if at_rest:
            merged = _merge_partners(by_output, inputs, outputs)
            if merged is None:
                break
            outputs = merged[1]
    return highest


def _assign_rows(matrix: Any, labels: np.ndarray) -> tuple[np.ndarray, int]:
    """For every row the community in which it adds most to Q, given those of the columns, and E^2 Q after that.

    The sum of a row's gains over all communities is 0, so some community that it has edges to has a gain >= 0, and Q is
    never negative.
    """
    n_edges, degrees = matrix.nnz, np.diff(matrix.indptr).astype(np.int64)
    count = int(labels.max()) + 1
    weights = _sum_by_label(labels, np.bincount(matrix.indices, minlength=len(labels)), count)
    of_columns = _encode_one_hot(labels, count)
    chosen, total = np.zeros(len(degrees), np.int64), 0
    for start, end in split_by_cost(degrees, _CHUNK):
        shared = matrix[start:end] @ of_columns
        gains = n_edges * shared.data.astype(np.int64)
        gains -= np.repeat(degrees[start:end], np.diff(shared.indptr)) * weights[shared.indices]
        rows, columns, tops = _find_row_maxima(shared, gains)
        chosen[start + rows] = columns
        total += int(tops.sum())
    return chosen, total


def _merge_partners(by_output: Any, inputs: np.ndarray, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Labels once all communities that are each other's best partners have merged; None if none."""
    _, labels = np.unique(np.concatenate([inputs, outputs]), return_inverse=True)
    count = int(labels.max()) + 1
    # equal gains go to the lower label: in a random order, so that in a ring many pairs choose each other at once
    labels = RandomBits(0, "modularity").permutation(count)[labels]
    inputs, outputs = labels[: len(inputs)], labels[len(inputs) :]
    between = _encode_one_hot(outputs, count).T @ (by_output @ _encode_one_hot(inputs, count))
    pairs = (between + between.T).tocsr()
    of_inputs = _sum_by_label(inputs, np.bincount(by_output.indices, minlength=len(inputs)), count)
    of_outputs = _sum_by_label(outputs, np.diff(by_output.indptr), count)
    a, b = np.repeat(np.arange(count), np.diff(pairs.indptr)), pairs.indices
    gains = by_output.nnz * pairs.data.astype(np.int64) - of_inputs[a] * of_outputs[b] - of_inputs[b] * of_outputs[a]
    gains[a == b] = 0
    rows, columns, tops = _find_row_maxima(pairs, gains)
    if not (tops > 0).any():
        return None
    partner = np.arange(count)
    partner[rows[tops > 0]] = columns[tops > 0]
    mutual = partner[partner] == np.arange(count)
    joint = np.where(mutual, np.minimum(partner, np.arange(count)), np.arange(count))
    return joint[inputs], joint[outputs]


def _find_row_maxima(matrix: Any, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows of a CSR matrix that have entries; the column, the lowest on ties, and size of their largest value."""
    lengths = np.diff(matrix.indptr)
    rows = np.flatnonzero(lengths)
    if len(rows) == 0:
        return rows, rows, rows
    starts = matrix.indptr[rows]
    tops = np.maximum.reduceat(values, starts)
    at_top = np.where(values == np.repeat(tops, lengths[rows]), matrix.indices, matrix.shape[1])
    return rows, np.minimum.reduceat(at_top, starts), tops


def _label_by_signs(t: Topology) -> list[np.ndarray]:
    """Labels of the inputs: the signs of their entries in the first singular vectors of B - fan_in fan_out^T / E."""
    b, fan_in, fan_out = t.biadjacency(), t.fan_in / t.n_edges, t.fan_out
    vectors = RandomBits(0, "modularity signs").fractions(t.n_in * max(_SIGNS)).reshape(t.n_in, -1) - 0.5
    for _ in range(_POWER_STEPS):
        images = b @ vectors - np.outer(fan_in, fan_out @ vectors)
        vectors = np.linalg.qr(b.T @ images - np.outer(fan_out, fan_in @ images))[0]
    bits = (vectors > 0).astype(np.int64) << np.arange(vectors.shape[1])
    return [bits[:, :k].sum(axis=1) for k in _SIGNS]


def _encode_one_hot(labels: np.ndarray, count: int) -> Any:
    n = len(labels)
    return scipy.sparse.csr_array((np.ones(n, np.int32), labels, np.arange(n + 1)), shape=(n, count))


def _sum_by_label(labels: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """The sum of the values of each label, int64; exact, as all sums of degrees are below 2**53."""
    return np.bincount(labels, weights=values, minlength=count).astype(np.int64)
