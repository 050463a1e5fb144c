"""Modularity: how much of the wiring lies inside communities of inputs and outputs.

With E edges, E^2 Q is an integer. Gains and sums are computed as integers, so comparisons are exact; floating point is
used only to choose where two of the searches start.
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
_EDGE_VISITS = 2 * 10**8  # read about so many edges from each start
_LEAST_RISE = 1000  # merge communities once a step raises Q by less than 1 / 1000 of Q
_SIGNS = (2, 5)  # start from the signs of so many singular vectors
_POWER_STEPS = 15
_CHUNK = 1 << 22


@explainable
def modularity(t: Topology, *, certify: bool, progress: Progress | None) -> Measurement:
    """Barber's bipartite modularity Q of the best communities found, in [0, 1): a lower bound of the maximum.

    Q = (1/E) sum over inputs i and outputs j of the same community of (B_ji - fan_in_j fan_out_i / E), for E edges: the
    share of edges inside communities minus the share expected at random with the same degrees. A single community has
    0, and g disjoint complete blocks of equal size have 1 - 1/g. 0 also for the dense graph and without edges. Random
    graphs have communities by chance, so compare with a random graph of the same degrees. Finding the maximum is
    NP-hard.

    The search starts from five divisions: each output by itself, each input by itself, the connected components, and
    the signs of the first 2 and of the first 5 singular vectors of B - fan_in fan_out^T / E. From each start two steps
    alternate: every input moves to its best community given the outputs, then every output given the inputs. Once that
    raises Q by less than a thousandth, all pairs of communities that are each other's best partner merge, if that
    raises Q. A step is O(n_in + n_out + n_edges). A start takes at most 100 steps; above 2 million edges at most
    2 * 10^8 / n_edges, but at least 10.

    The upper bound (explain=True) of the maximum is the second singular value of D_out^-1/2 B D_in^-1/2. Without its
    first pair of singular vectors that matrix is D_out^-1/2 (B - fan_in fan_out^T / E) D_in^-1/2. So a community adds
    at most that value times the square root of the product of the degree sums on its two sides, and these roots sum to
    at most E.


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
        return Measurement(value, value, value, method, "communities of the search")
    second = measure_leading_pair(t, normalized=True, certify=True, progress=progress).second
    certificate = f"communities of the search below, second singular value above; {second.certificate}"
    return Measurement(value, value, max(second.high, value), method, certificate, second.confidence)


def barber_modularity(t: Topology, input_labels: np.ndarray, output_labels: np.ndarray) -> float:
    """Barber's Q of given communities, see `modularity`, in [-1, 1); 0 without edges.

    Args:
        t: the topology.
        input_labels, output_labels: (n_in,) and (n_out,) integers >= 0, equal within a community.

    Raises:
        ValueError: unless there is a label for each input and for each output.

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
    """The largest E^2 Q of the divisions on the way up from communities of the outputs."""
    highest = -1
    for _ in range(min(_MAX_STEPS, max(_MIN_STEPS, _EDGE_VISITS // by_output.nnz))):
        inputs, _ = _assign_rows(by_input, outputs)
        outputs, score = _assign_rows(by_output, inputs)
        converged = score <= highest + highest // _LEAST_RISE
        highest = max(highest, score)
        # Moving single units cannot join two communities: that is a hill that only merging climbs.
        if converged:
            division = _merge_partners(by_output, inputs, outputs)
            if division is None:
                break
            outputs = division[1]
    return highest


def _assign_rows(matrix: Any, labels: np.ndarray) -> tuple[np.ndarray, int]:
    """The best community of every row, given those of the columns, and the E^2 Q of that division.

    Only communities that a row has edges to are compared. That is enough: the gains of a row over all communities sum
    to 0, and without an edge a gain is not positive, so some community with an edge has a gain >= 0. Hence Q is never
    negative.

    Args:
        matrix: CSR, a row for each unit to assign.
        labels: the communities of the columns.
    """
    n_edges, degrees = matrix.nnz, np.diff(matrix.indptr).astype(np.int64)
    count = int(labels.max()) + 1
    weights = _sum_by_label(labels, np.bincount(matrix.indices, minlength=len(labels)), count)
    one_hot = _encode_one_hot(labels, count)
    choice, total = np.zeros(len(degrees), np.int64), 0
    for start, end in split_by_cost(degrees, _CHUNK):
        # Row j in community c adds E (edges from j to c) - degree_j (sum of the degrees of the columns in c) to E^2 Q.
        shared = matrix[start:end] @ one_hot
        gains = n_edges * shared.data.astype(np.int64)
        gains -= np.repeat(degrees[start:end], np.diff(shared.indptr)) * weights[shared.indices]
        rows, columns, tops = _find_row_maxima(shared, gains)
        choice[start + rows] = columns
        total += int(tops.sum())
    return choice, total


def _merge_partners(by_output: Any, inputs: np.ndarray, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Labels of inputs and outputs after merging all pairs of communities that gain most by merging with each other.

    None if no merge raises Q.
    """
    _, labels = np.unique(np.concatenate([inputs, outputs]), return_inverse=True)
    count = int(labels.max()) + 1
    # Equal gains go to the lower label. Labels in random order let many pairs of a ring choose each other in one round;
    # in the order of the ring each community would choose its predecessor, and only one pair would be mutual.
    labels = RandomBits(0, "modularity").permutation(count)[labels]
    inputs, outputs = labels[: len(inputs)], labels[len(inputs) :]
    between = _encode_one_hot(outputs, count).T @ (by_output @ _encode_one_hot(inputs, count))
    pairs = (between + between.T).tocsr()
    of_inputs = _sum_by_label(inputs, np.bincount(by_output.indices, minlength=len(inputs)), count)
    of_outputs = _sum_by_label(outputs, np.diff(by_output.indptr), count)
    a, b = np.repeat(np.arange(count), np.diff(pairs.indptr)), pairs.indices
    gains = by_output.nnz * pairs.data.astype(np.int64) - of_inputs[a] * of_outputs[b] - of_inputs[b] * of_outputs[a]
    gains[a == b] = 0  # a community does not merge with itself
    rows, columns, tops = _find_row_maxima(pairs, gains)
    if not (tops > 0).any():
        return None
    partner = np.arange(count)
    partner[rows[tops > 0]] = columns[tops > 0]
    mutual = partner[partner] == np.arange(count)
    joint = np.where(mutual, np.minimum(partner, np.arange(count)), np.arange(count))
    return joint[inputs], joint[outputs]


def _find_row_maxima(matrix: Any, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows of a CSR matrix that have entries, the column of the largest value (the lowest on ties), and that value.

    Args:
        matrix: CSR, whose indices count.
        values: (nnz,), the values of its entries.
    """
    lengths = np.diff(matrix.indptr)
    rows = np.flatnonzero(lengths)
    if len(rows) == 0:
        return rows, rows, rows
    starts = matrix.indptr[rows]
    tops = np.maximum.reduceat(values, starts)
    at_top = np.where(values == np.repeat(tops, lengths[rows]), matrix.indices, matrix.shape[1])
    return rows, np.minimum.reduceat(at_top, starts), tops


def _label_by_signs(t: Topology) -> list[np.ndarray]:
    """Labels of the inputs: the signs of their entries in the first singular vectors of B - fan_in fan_out^T / E.

    Subspace iteration: multiplying random vectors with M^T M again and again turns them towards the largest singular
    vectors, and the QR decomposition keeps them apart. Signs need little accuracy, so 15 steps are enough. The matrix M
    is dense and never formed: its rank-one part is applied by itself.
    """
    b, fan_in, fan_out = t.biadjacency(), t.fan_in / t.n_edges, t.fan_out
    vectors = RandomBits(0, "modularity signs").fractions(t.n_in * max(_SIGNS)).reshape(t.n_in, -1) - 0.5
    for _ in range(_POWER_STEPS):
        images = b @ vectors - np.outer(fan_in, fan_out @ vectors)
        vectors = np.linalg.qr(b.T @ images - np.outer(fan_out, fan_in @ images))[0]
    bits = (vectors > 0).astype(np.int64) << np.arange(vectors.shape[1])
    return [bits[:, :k].sum(axis=1) for k in _SIGNS]


def _encode_one_hot(labels: np.ndarray, count: int) -> Any:
    """CSR (units, count) with a 1 in the column of each unit's label; a product with it sums over communities."""
    n = len(labels)
    return scipy.sparse.csr_array((np.ones(n, np.int32), labels, np.arange(n + 1)), shape=(n, count))


def _sum_by_label(labels: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """The sum of the values of each label, (count,) int64; exact, because all sums of degrees are below 2**53."""
    return np.bincount(labels, weights=values, minlength=count).astype(np.int64)
