"""Metrics of the paths through a network, a list of topologies, inputs first: how many and how evenly spread."""

from collections.abc import Sequence
from math import log, log10, sqrt
from typing import Any

import numpy as np
import scipy.sparse

from ..random_bits import RandomBits
from ..topology import Topology
from ._internal.flows import (
    CONFIDENCE,
    add_logs,
    add_logs_by_row,
    apply_steps,
    bound_inputs,
    bound_sampled_mean,
    build_walk,
    check_network,
    count_log_paths,
    count_operations,
    reverse_network,
    run_walks,
    share_logs,
    split_columns,
)
from .measurement import Measurement, Progress, explainable

_WORK = 1 << 31  # send vectors through the network with at most about so many operations: some seconds
_MIN_VECTORS = 64
_LOG10_2 = log10(2)


def log_paths(topologies: Sequence[Topology]) -> float:
    """log10 of the number of paths from the inputs to the outputs; -inf without paths. Cost O(edges).

    The number of paths is 1' B_L ... B_1 1, in [0, product of all widths]; its logarithm has about 13 correct digits at
    any depth. A network whose layers have constant fan-ins has log10(n_out * product of the fan-ins). Pham et al.
    (NeurIPS 2023) call it the number of effective paths, and compare networks of equal density and widths.


    Example:
        >>> from prewired import generators
        >>> round(log_paths(generators.butterfly([8, 8, 8, 8])), 9) == round(log10(64), 9)
        True
    """
    return add_logs(count_log_paths(check_network(topologies))[-1]) * _LOG10_2


@explainable
def path_cv(topologies: Sequence[Topology], *, certify: bool, progress: Progress | None) -> Measurement:
    """Coefficient of variation of the number of paths over all pairs of input and output: standard deviation / mean.

    0 if every input is connected to every output by equally many paths, as in a RadiX-Net; at most
    sqrt(n_in * n_out - 1), if a single pair has all paths; 0 without paths.

    Counted exactly in O(min(n_in, n_out) * edges) if that takes at most some seconds. For larger networks the parts of
    the variance between inputs and between outputs are still exact. The rest is the squared Frobenius norm of a matrix
    that is never formed; it is estimated from products with random signs (Hutchinson, "A stochastic estimator of the
    trace of the influence matrix", 1990) in the same time. The bounds are Chernoff bounds for such products (after
    Roosta-Khorasani and Ascher, Foundations of Computational Mathematics 15, 2015).


    Example:
        >>> from prewired import generators
        >>> round(path_cv([generators.rotating(256, 256, fan_in=16)] * 2), 1)
        3.1
    """
    layers = check_network(topologies)
    pairs = layers[0].n_in * layers[-1].n_out
    probes = _count_affordable_vectors(layers)
    if min(layers[0].n_in, layers[-1].n_out) > probes:
        return _estimate_cv(layers, probes, progress)
    logs, steps = build_walk(layers if layers[0].n_in <= layers[-1].n_out else reverse_network(layers))
    shares = share_logs(logs)
    if not shares.any():
        return Measurement.from_count(0.0)
    starts = scipy.sparse.diags_array(shares, format="csc")
    squares = sum(float(((pairs * ends - 1) ** 2).sum()) for _, ends in run_walks(steps, starts, progress))
    return Measurement.from_count(sqrt(squares / pairs))


@explainable
def effective_receptive_field(
    topologies: Sequence[Topology], *, certify: bool, progress: Progress | None
) -> Measurement:
    """Mean over the outputs of (sum p)**2 / sum p**2, p the numbers of paths from every input to it; in [0, n_in].

    This is the participation ratio of the inputs of an output: k if k inputs have equally many paths to the output and
    the others none, less if some have more. So it is at most `receptive_field`, and equal to it if all paths are spread
    evenly over the inputs that reach the output. An output that no input reaches counts 0, as there. Luo et al.,
    "Understanding the effective receptive field in deep convolutional neural networks" (NeurIPS 2016), distinguish the
    inputs that an output can see from those that matter to it, and measure that by gradients.

    Exact in O(n_out * edges) if that takes at most some seconds. For larger networks outputs are drawn with
    replacement, and the bounds hold with the confidence given.


    Example:
        >>> from prewired import generators
        >>> round(effective_receptive_field([generators.rotating(64, 64, fan_in=3)] * 2), 9) == round(81 / 19, 9)
        True
    """
    layers = check_network(topologies)
    n_in, n_out, limit = layers[0].n_in, layers[-1].n_out, _count_affordable_vectors(layers)
    outputs = np.arange(n_out) if n_out <= limit else RandomBits(0, "effective_receptive_field").integers(n_out, limit)
    logs, steps = build_walk(reverse_network(layers))
    columns = np.arange(len(outputs) + 1)
    starts = scipy.sparse.csc_array((np.ones(len(outputs)), outputs, columns), shape=(n_out, len(outputs)))
    squares = np.concatenate([(ends**2).sum(axis=0) for _, ends in run_walks(steps, starts, progress)])
    values = np.divide(1.0, squares, out=np.zeros(len(outputs)), where=squares > 0)
    if n_out <= limit:
        return Measurement.from_count(float(values.mean()))
    return bound_sampled_mean(values, bound_inputs(logs, n_in), "counting paths")


def path_counts(topologies: Sequence[Topology], resolution: int = 64) -> np.ndarray:
    """Numbers of paths between blocks of inputs and of outputs, divided by the mean of all pairs: data for a picture.

    Consecutive units form blocks whose sizes differ by at most one, `resolution` blocks on each side that has more
    units than that. The number of paths is averaged over the pairs in each block. All entries are 1 if paths are spread
    evenly. Multiplied by the mean number of paths of a pair, 10**log_paths / (n_in * n_out), they are numbers of paths.
    Exact; O(resolution * edges).

    Args:
        topologies: the network, inputs first.
        resolution: the largest number of blocks on a side, at least 1.

    Returns:
        (output blocks, input blocks) float64; all 0 without paths.

    Raises:
        ValueError: if the topologies are not a network, or the resolution is not an integer >= 1.

    Example:
        >>> from prewired import generators
        >>> path_counts([generators.grouped(8, 8, fan_in=4)], resolution=2)
        array([[2., 0.],
               [0., 2.]])
    """
    if isinstance(resolution, bool) or not isinstance(resolution, int | np.integer) or resolution < 1:
        raise ValueError(f"expected an integer resolution >= 1, got {resolution!r}; 64 is the default")
    layers = check_network(topologies)
    n_in, n_out = layers[0].n_in, layers[-1].n_out
    blocks_in, blocks_out = min(resolution, n_in), min(resolution, n_out)
    bounds_in, bounds_out = (np.arange(b + 1) * n // b for b, n in ((blocks_in, n_in), (blocks_out, n_out)))
    logs, steps = build_walk(layers)
    starts = scipy.sparse.csc_array((share_logs(logs), np.arange(n_in), bounds_in), shape=(n_in, blocks_in))
    sums = np.hstack([np.add.reduceat(ends, bounds_out[:-1], axis=0) for _, ends in run_walks(steps, starts, None)])
    return sums * (n_in / np.diff(bounds_in)) * (n_out / np.diff(bounds_out))[:, None]


def path_kernel_trace(topologies: Sequence[Topology], weights: Sequence[Any] | None = None) -> float:
    """The path kernel's trace: over the edges of all paths, the sum of the squared product of a path's other weights.

    Let v_p be the product of the weights along path p. The trace is the sum over p and over edges e of p of
    (d v_p / d w_e)**2, which is the squared product of the other weights of p. So it is the squared norm of the
    Jacobian of all path values: how fast gradient descent can change them, whatever the data (Gebhart, Saxena and
    Schrater, "A unified paths perspective for pruning at initialization", 2021, arXiv 2101.10552; Patil and Dovrolis,
    "PHEW", ICML 2021).

    Since (d v_p / d w_e)**2 is the derivative of v_p**2 with respect to w_e**2, the trace is also the sum over all
    edges of dR / d(w_e**2). Here R is the sum of the outputs of the network with squared weights, no biases and no
    activations, all inputs 1. So a forward and a backward pass compute it: O(edges).

    Without weights all weights are 1, and the trace is the number of layers times the number of paths. 0 without paths,
    infinite above 1.8e308; `log_path_kernel_trace` then has the logarithm.


    Args:
        topologies: the network, inputs first.
        weights: for every layer the weights of its edges, (n_edges,) in edge order; all 1 if not given.

    Returns:
        The trace, >= 0.

    Raises:
        ValueError: if the topologies are not a network, or the weights do not fit them or are not finite.

    Example:
        >>> chain = [Topology.from_mask([[1]]), Topology.from_mask([[1]])]
        >>> round(path_kernel_trace(chain, [[2.0], [3.0]]), 9)
        13.0
    """
    with np.errstate(over="ignore"):
        return float(np.exp2(_compute_log2_trace(topologies, weights)))


def log_path_kernel_trace(topologies: Sequence[Topology], weights: Sequence[Any] | None = None) -> float:
    """log10 of `path_kernel_trace`, for networks of any depth; -inf without paths. Cost O(edges).

    Example:
        >>> from prewired import generators
        >>> round(log_path_kernel_trace([generators.dense(100, 100)] * 500), 9)
        1004.698970004
    """
    return _compute_log2_trace(topologies, weights) * _LOG10_2


def _count_affordable_vectors(layers: Sequence[Topology]) -> int:
    """The number of vectors that can be sent through the network in some seconds."""
    return max(_WORK // count_operations(layers), _MIN_VECTORS)


def _estimate_cv(layers: Sequence[Topology], probes: int, progress: Progress | None) -> Measurement:
    """path_cv estimated from random signs z.

    Let C be the matrix of the numbers of paths divided by their mean, with row means r and column means s. The squared
    CV is the variance of r, plus the variance of s, plus the mean square of the rest R = C - r 1' - 1 s' + 1 1'. For a
    vector z of random signs the expectation of |R z|^2 is the squared Frobenius norm of R (Hutchinson).
    """
    n_in, n_out = layers[0].n_in, layers[-1].n_out
    logs, steps = build_walk(layers)
    shares = share_logs(logs)
    if not shares.any():
        return Measurement.from_count(0.0)
    by_input, by_output = n_in * shares, n_out * apply_steps(steps, shares)
    between = float(by_input.var() + by_output.var())
    bits, residue = RandomBits(0, "path_cv"), 0.0
    for part in split_columns(steps, probes, progress):
        count = part.stop - part.start
        random_bits = np.unpackbits(bits.words(-(-n_in * count // 64)).astype("<u8").view(np.uint8), count=n_in * count)
        signs = 1.0 - 2.0 * random_bits.reshape(n_in, count)
        sums = signs.sum(axis=0)
        # R z = C z - r (1'z) - 1 (s'z) + 1 (1'z), where C z is a walk through the layers.
        products = n_out * apply_steps(steps, by_input[:, None] * signs)
        products -= (by_output[:, None] - 1) * sums + by_input @ signs
        residue += float((products**2).sum())
    residue /= probes * n_in * n_out
    # Chernoff bounds of a mean of squares of sums of random signs, by the number of probes alone.
    exponent = log(2 / (1 - CONFIDENCE)) / probes
    low, high = residue / (1 + 2 * sqrt(exponent) + 2 * exponent), residue / (1 - sqrt(6 * exponent))
    return Measurement(
        *(sqrt(between + part) for part in (residue, low, high)),
        method=f"Hutchinson's estimator, {probes} random vectors",
        certificate="Chernoff bounds for random signs",
        confidence=CONFIDENCE,
    )


def _compute_log2_trace(topologies: Sequence[Topology], weights: Sequence[Any] | None) -> float:
    """log2 of the path kernel's trace.

    The derivative of R with respect to the squared weight of an edge is (sum over paths to its input) * (sum over paths
    from its output) of the products of squared weights. `log_into` and `log_onward` hold these sums.
    """
    layers = check_network(topologies)
    logs = [np.zeros(t.n_edges) for t in layers] if weights is None else _take_log_squares(layers, weights)
    by_input = [
        scipy.sparse.csr_array((x, t.indices, t.indptr), (t.n_out, t.n_in)).tocsc().data
        for t, x in zip(layers, logs, strict=True)
    ]
    # Transposing a layer sorts its edges by input, so the backward pass needs its factors in that order.
    log_into = count_log_paths(layers, logs)
    log_onward = count_log_paths(reverse_network(layers), by_input[::-1])[::-1]
    by_layer = zip(layers, log_into, log_onward[1:], strict=False)
    return add_logs(np.array([add_logs(add_logs_by_row(t, a) + b) for t, a, b in by_layer]))


def _take_log_squares(layers: Sequence[Topology], weights: Sequence[Any]) -> list[np.ndarray]:
    """log2 of the squared weights, -inf for zeros."""
    arrays = [np.asarray(w, np.float64) for w in weights]
    expected, actual = [(t.n_edges,) for t in layers], [w.shape for w in arrays]
    if actual != expected:
        raise ValueError(
            f"expected weights of shapes {expected}, one for each edge of each layer, got {actual}; "
            "give the weights in edge order, as a SparseLinear keeps them"
        )
    if not all(np.isfinite(w).all() for w in arrays):
        raise ValueError(
            "expected finite weights, got an infinity or NaN; use weights from before the training diverged"
        )
    with np.errstate(divide="ignore"):
        return [2 * np.log2(np.abs(w)) for w in arrays]
