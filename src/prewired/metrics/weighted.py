"""Metrics of a topology with weights on its edges, the matrix W (n_out, n_in): how training changes a wiring.

The weights come in edge order, (n_edges,), as in a SparseLinear. An edge of weight zero counts as absent.
"""

import math
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike

from ..topology import Topology
from ._internal.lanczos import FAILURE, find_largest_eigenvalue
from ._internal.leading_pair import LAPACK, RANDOM_START, LeadingPair
from ._internal.leading_singular_values import DENSE_CELLS, find_leading_pair
from ._internal.operators import bound_rounding, make_gram, make_operator
from .measurement import Measurement, Progress, explainable
from .spectrum import compute_gap, compute_relative_gap

MOST_CELLS = 2**24
"""Compute all singular values for at most this many pairs of input and output, 4096 x 4096: 128 MB."""
_TOLERANCE = 1e-6
_EPSILON = float(np.finfo(float).eps)


@explainable
def weighted_spectral_gap(t: Topology, weights: ArrayLike, *, certify: bool, progress: Progress | None) -> Measurement:
    """sigma1 - sigma2 of |W|, the matrix of the weights' absolute values, in [0, ||W||_F].

    With weights of one it is the spectral gap of the topology; it grows in proportion to the weights. Zero if all
    weights are zero, and for a graph without edges; sigma1 if |W| has rank one. Cost: a dense SVD up to 300,000 pairs
    of input and output; else some hundred products with |W| and its transpose, each O(n_edges).


    Args:
        t: the topology.
        weights: (n_edges,), in edge order, finite.

    Raises:
        ValueError: if the weights have another shape or are not all finite.
        RuntimeError: if an iteration does not converge.

    Example:
        >>> from prewired import generators
        >>> round(weighted_spectral_gap(generators.dense(2, 2), [3, 0, 0, -1]), 9)
        2.0

    Hoang, Kundu, Liu, Wang: "Don't just prune by magnitude! Your mask topology is a secret weapon", 2023.
    """
    matrix, scale = _scale_weights(t, weights)
    return compute_gap(_measure_absolute_pair(matrix, certify, progress)).map(lambda gap: scale * gap)


@explainable
def relative_weighted_spectral_gap(
    t: Topology, weights: ArrayLike, *, certify: bool, progress: Progress | None
) -> Measurement:
    """1 - sigma2 / sigma1 of |W|, in [0, 1]: the weighted spectral gap, independent of the size of the weights.

    Zero if all weights are zero. Arguments, cost and errors as of `weighted_spectral_gap`.


    Example:
        >>> from prewired import generators
        >>> round(relative_weighted_spectral_gap(generators.dense(2, 2), [4, 0, 0, -1]), 9)
        0.75
    """
    return compute_relative_gap(_measure_absolute_pair(_scale_weights(t, weights)[0], certify, progress))


@explainable
def effective_rank(t: Topology, weights: ArrayLike, *, certify: bool, progress: Progress | None) -> Measurement:
    """exp(-sum p_i ln p_i) with p_i = sigma_i / sum sigma over the singular values of W, in [1, min(n_in, n_out)].

    The number of dimensions that W uses: r if r singular values are equal and the rest zero. 0 if all weights are zero.
    All singular values are computed by dense LAPACK, O(n_in n_out min(n_in, n_out)), for at most 2**24 pairs of input
    and output, 128 MB. `stable_rank` has no such limit.


    Args:
        t: the topology.
        weights: (n_edges,), in edge order, finite.

    Raises:
        ValueError: if the weights have another shape or are not all finite, or for more than 2**24 pairs.

    Example:
        >>> from prewired import generators
        >>> round(effective_rank(generators.rotating(5, 5, fan_in=1), [1, -1, 1, 0, 0]), 9)
        3.0

    Roy and Vetterli, "The effective rank: a measure of effective dimensionality", 2007.
    """
    if t.n_in * t.n_out > MOST_CELLS:
        raise ValueError(
            f"expected at most {MOST_CELLS:,} pairs of input and output for all singular values, got "
            f"{t.n_in * t.n_out:,}; take stable_rank, which needs only the largest"
        )
    matrix, scale = _scale_weights(t, weights)
    if scale == 0.0:
        return Measurement.from_count(0.0)
    values = np.linalg.svd(matrix.toarray(), compute_uv=False)
    share = values / values.sum()
    entropy = float(_compute_entropies(share).sum())
    # Each singular value has an error of at most max(shape) eps sigma1 (backward stability and Weyl), which gives this
    # error of a share x. -x ln x is steepest at 0, so it changes by at most its value at the error.
    error = max(matrix.shape) * _EPSILON * values[0] * (1.0 + share * len(values)) / values.sum()
    doubt = float(_compute_entropies(error).sum()) + len(values) * _EPSILON * entropy
    value, low, high = (min(max(math.exp(entropy + d), 1.0), len(values)) for d in (0.0, -doubt, doubt))
    return Measurement(value, low, high, "dense SVD", LAPACK)


@explainable
def stable_rank(t: Topology, weights: ArrayLike, *, certify: bool, progress: Progress | None) -> Measurement:
    """||W||_F^2 / sigma1(W)^2 = sum sigma_i^2 / sigma1^2, in [1, min(n_in, n_out)], at most the rank.

    r if r singular values are equal and the rest zero; near 1 if one singular value is far above the others. 0 if all
    weights are zero. Cost: a dense SVD up to 300,000 pairs of input and output; else some hundred products with W and
    its transpose, each O(n_edges), with a relative error of at most 1e-6 (except with probability 1e-6).


    Args:
        t: the topology.
        weights: (n_edges,), in edge order, finite.

    Raises:
        ValueError: if the weights have another shape or are not all finite.
        RuntimeError: if an iteration does not converge.

    Example:
        >>> from prewired import generators
        >>> round(stable_rank(generators.rotating(3, 3, fan_in=1), [2, -2, 1]), 9)
        2.25

    Rudelson and Vershynin, "Sampling from large matrices: an approach through geometric functional analysis", 2007.
    """
    matrix, scale = _scale_weights(t, weights)
    if scale == 0.0:
        return Measurement.from_count(0.0)
    squares, limit = float((matrix.data**2).sum()), float(min(matrix.shape))
    return _bound_squared_sigma1(matrix, progress).map(lambda square: min(max(squares / square, 1.0), limit))


def _scale_weights(t: Topology, weights: ArrayLike) -> tuple[Any, float]:
    """W divided by its largest absolute weight, so that no square overflows or underflows, and that weight."""
    # A parameter of a layer is a tensor with a gradient, perhaps in bfloat16 and on another device.
    values: Any = weights
    if hasattr(values, "detach"):
        values = values.detach().cpu().double()
    w = np.asarray(values)
    if w.dtype.kind not in "biuf":
        raise ValueError(f"expected weights as real numbers, got {w.dtype} in {type(weights).__name__}; convert them")
    w = w.astype(np.float64)
    if w.shape != (t.n_edges,):
        raise ValueError(
            f"expected weights of shape ({t.n_edges},), one for each edge in edge order, got {w.shape}; "
            "take a SparseLinear's weight, or those entries of a matrix where the topology has an edge"
        )
    bad = np.flatnonzero(~np.isfinite(w))
    if len(bad):
        raise ValueError(
            f"expected finite weights, got {w[bad[0]]} at edge {bad[0]}, {len(bad)} of {len(w)} not finite; "
            "measure weights from before they diverged, or train with a lower learning rate"
        )
    scale = float(np.abs(w).max(initial=0.0))
    return scipy.sparse.csr_array((w / (scale or 1.0), t.indices, t.indptr), shape=(t.n_out, t.n_in)), scale


def _measure_absolute_pair(matrix: Any, certify: bool, progress: Progress | None) -> LeadingPair:
    """sigma1 and sigma2 of the absolute values; zeros are removed, as they must not connect components."""
    magnitudes = abs(matrix)
    magnitudes.eliminate_zeros()
    return find_leading_pair([magnitudes], certify=certify, progress=progress)


def _compute_entropies(shares: np.ndarray) -> np.ndarray:
    """-x ln x, and 0 for x = 0."""
    return -shares * np.log(np.where(shares > 0, shares, 1.0))


def _bound_squared_sigma1(matrix: Any, progress: Progress | None) -> Measurement:
    """sigma1(W)^2: by LAPACK for small matrices, else as the largest eigenvalue of the smaller of W^T W and W W^T."""
    if matrix.shape[0] * matrix.shape[1] <= DENSE_CELLS:
        sigma1 = float(np.linalg.norm(matrix.toarray(), 2))
        error = max(matrix.shape) * _EPSILON * sigma1
        return Measurement(sigma1**2, max(sigma1 - error, 0.0) ** 2, (sigma1 + error) ** 2, "dense SVD", LAPACK)
    n, square, _ = make_gram(make_operator(matrix))
    magnitudes = abs(matrix)
    # sigma1^2 <= (largest column sum) (largest row sum) of the absolute values.
    bound = float(magnitudes.sum(axis=0).max() * magnitudes.sum(axis=1).max())
    rounding = bound_rounding([matrix])
    ritz = find_largest_eigenvalue(square, n, bound, rounding=rounding, tolerance=_TOLERANCE, progress=progress)
    low = max(ritz.value - rounding * bound * math.sqrt(ritz.steps), 0.0)
    high = min(ritz.upper, bound * (1 + rounding))
    return Measurement(ritz.value, low, high, f"Lanczos, {ritz.steps} steps", RANDOM_START, 1 - FAILURE)
