"""Spectral metrics of the biadjacency matrix B and of the graph's Laplacian.

Two decisions keep these numbers right. Singular values are those of B itself: the square adjacency of the bipartite
graph has every one of them twice, as +sigma and -sigma, so its second largest absolute eigenvalue is sigma1 again.
And the spectrum is found component by component: inside a connected component sigma1 is simple (Perron and
Frobenius), so a Lanczos iteration never has to find a repeated largest value, which it cannot do reliably.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from ..random_bits import RandomBits
from ..topology import Topology
from .degrees import component_labels

_DENSE_CELLS = 300_000
_DENSE_VERTICES = 1000
_KRYLOV = 64
_MAX_RESTARTS = 2000


def spectral_gap(t: Topology) -> float:
    """sigma1 - sigma2 of the biadjacency matrix, >= 0; sigma2 = 0 when B has a single row or column.

    Zero for a graph whose two leading components have the same sigma1; sigma1 for the dense graph.

    Example:
        >>> from prewired import generators
        >>> round(spectral_gap(generators.dense(4, 9)), 9)
        6.0
    """
    sigma1, sigma2 = leading_singular_values(t)
    return sigma1 - sigma2


def relative_spectral_gap(t: Topology) -> float:
    """1 - sigma2 / sigma1 of the biadjacency matrix, in [0, 1]; 0 for a graph without edges.

    Example:
        >>> from prewired import generators
        >>> round(relative_spectral_gap(generators.rotating(512, 512, fan_in=16)), 4)
        0.0016
    """
    sigma1, sigma2 = leading_singular_values(t)
    return 1.0 - sigma2 / sigma1 if sigma1 else 0.0


def normalized_spectral_gap(t: Topology) -> float:
    """1 - sigma2 of D_out^-1/2 B D_in^-1/2, whose sigma1 is 1, in [0, 1]; 0 for a graph without edges.

    D_out and D_in are the diagonal matrices of fan-ins and fan-outs; rows and columns of dead units stay zero. This is
    the comparable form where degrees vary, and zero exactly when two components have edges.

    Example:
        >>> from prewired import generators
        >>> round(normalized_spectral_gap(generators.dense(4, 9)), 9)
        1.0
    """
    if t.n_edges == 0:
        return 0.0
    return 1.0 - leading_singular_values(t, normalized=True)[1]


def ramanujan_ratio(t: Topology) -> float:
    """sigma2 / (sqrt(fan_in - 1) + sqrt(fan_out - 1)), mean degrees where they vary; at most 1 for a Ramanujan graph.

    The bound is the spectral radius of the universal cover of a biregular graph, below which sigma2 cannot stay as the
    graph grows (Feng and Li, "Spectra of hypergraphs and applications", 1996). Where the bound is 0 (degrees of at most
    one) the ratio is 0 if sigma2 = 0 and infinite otherwise.

    Example:
        >>> from prewired import generators
        >>> 0.9 < ramanujan_ratio(generators.biregular(256, 256, fan_in=8, seed=0)) < 1.1
        True
    """
    fan_in, fan_out = t.n_edges / t.n_out, t.n_edges / t.n_in
    bound = np.sqrt(max(fan_in - 1, 0.0)) + np.sqrt(max(fan_out - 1, 0.0))
    sigma2 = leading_singular_values(t)[1]
    if bound == 0.0:
        return 0.0 if sigma2 == 0.0 else float("inf")
    return float(sigma2 / bound)


def algebraic_connectivity(t: Topology) -> float:
    """Second smallest eigenvalue of L = D - A on all n_in + n_out vertices (Fiedler 1973); 0 if disconnected.

    For a biregular graph it equals ((d_out + d_in) - sqrt((d_out - d_in)^2 + 4 sigma2^2)) / 2, d_out the fan-in and
    d_in the fan-out.

    Example:
        >>> from prewired import generators
        >>> round(algebraic_connectivity(generators.dense(4, 9)), 9)
        4.0
    """
    if component_labels(t)[0] > 1:
        return 0.0
    laplacian = scipy.sparse.csgraph.laplacian(_adjacency(t))
    n = laplacian.shape[0]
    if n <= _DENSE_VERTICES:
        return float(np.linalg.eigvalsh(laplacian.toarray())[1])
    shift = 2.0 * max(t.fan_in.max(), t.fan_out.max())

    def shifted(x: np.ndarray) -> np.ndarray:
        x = x.reshape(-1) - x.mean()
        y = shift * x - laplacian @ x
        return y - y.mean()

    return float(max(shift - _largest_eigenvalues(shifted, n, 1)[0], 0.0))


def normalized_algebraic_connectivity(t: Topology) -> float:
    """Second smallest eigenvalue of the normalized Laplacian I - D^-1/2 A D^-1/2, in [0, 2]; 0 if disconnected.

    Equal to the normalized spectral gap of every connected graph but the single edge, where it is 2 (Chung, "Spectral
    Graph Theory", 1997, chapter 1).

    Example:
        >>> from prewired import generators
        >>> normalized_algebraic_connectivity(generators.grouped(8, 8, fan_in=2))
        0.0
    """
    if component_labels(t)[0] > 1:
        return 0.0
    return 2.0 if t.n_in == t.n_out == 1 else normalized_spectral_gap(t)


@lru_cache(maxsize=16)
def leading_singular_values(t: Topology, *, normalized: bool = False) -> tuple[float, float]:
    """sigma1 and sigma2 of B, or of D_out^-1/2 B D_in^-1/2, over all components; missing values are 0.

    Example:
        >>> from prewired import generators
        >>> leading_singular_values(generators.rotating(3, 3, fan_in=1))
        (1.0, 1.0)
    """
    found = [0.0, 0.0]
    if normalized and _components_with_edges(t) != 1:
        return (1.0, 1.0) if t.n_edges else (0.0, 0.0)
    for block, bound in _blocks_by_bound(t, normalized):
        if bound <= found[1] * (1 + 1e-12):
            break
        found = sorted([*found, *_leading_of_connected(block, normalized)], reverse=True)[:2]
    return (1.0, min(found[1], 1.0)) if normalized else (found[0], found[1])


def _components_with_edges(t: Topology) -> int:
    count, _, _ = component_labels(t)
    dead = (t.fan_in == 0).sum() + (t.fan_out == 0).sum()
    return int(count - dead)


def _blocks_by_bound(t: Topology, normalized: bool) -> Iterator[tuple[Any, float]]:
    """Biadjacency of every component that has edges with an upper bound of its sigma1, largest bound first.

    The bound is sqrt(max row sum * max column sum) >= sigma1, or 1 for the normalized matrix.
    """
    count, input_labels, output_labels = component_labels(t)
    fan_in_max, fan_out_max = np.zeros(count), np.zeros(count)
    np.maximum.at(fan_in_max, output_labels, t.fan_in)
    np.maximum.at(fan_out_max, input_labels, t.fan_out)
    bounds = np.sqrt(fan_in_max * fan_out_max)
    if normalized:
        bounds = np.minimum(bounds, 1.0)
    matrix = t.biadjacency()
    outputs, output_starts = _members(output_labels, count)
    inputs, input_starts = _members(input_labels, count)
    for k in np.argsort(-bounds, kind="stable"):
        if bounds[k] > 0:
            rows = outputs[output_starts[k] : output_starts[k + 1]]
            columns = inputs[input_starts[k] : input_starts[k + 1]]
            yield (matrix if count == 1 else matrix[rows][:, columns]), float(bounds[k])


def _members(labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The vertices ordered by component, and where each component starts."""
    return np.argsort(labels, kind="stable"), np.append(0, np.cumsum(np.bincount(labels, minlength=count)))


def _leading_of_connected(block: Any, normalized: bool) -> tuple[float, float]:
    """sigma1 and sigma2 (0 if there is none) of the biadjacency matrix of a connected graph."""
    if normalized:
        by_row, by_column = block.sum(axis=1) ** -0.5, block.sum(axis=0) ** -0.5
        block = (block * by_row[:, None] * by_column[None, :]).tocsr()
    if block.nnz == block.shape[0] * block.shape[1]:
        return float(np.linalg.norm(block.data)), 0.0
    if block.shape[0] * block.shape[1] <= _DENSE_CELLS:
        values = np.linalg.svd(block.toarray(), compute_uv=False)
        return float(values[0]), float(values[1])
    tall = block if block.shape[0] >= block.shape[1] else block.T.tocsr()
    wide = tall.T.tocsr()
    n = wide.shape[0]
    if n <= _KRYLOV:
        squares = np.linalg.eigvalsh((wide @ tall).toarray())[-2:]
    else:
        squares = _largest_eigenvalues(lambda x: wide @ (tall @ x.reshape(-1)), n, 2)
    sigma2, sigma1 = np.sqrt(np.maximum(squares, 0.0))
    return float(sigma1), float(sigma2)


def _largest_eigenvalues(apply: Callable[[np.ndarray], np.ndarray], n: int, k: int) -> np.ndarray:
    """The k largest eigenvalues, ascending, of a symmetric linear map on R^n (implicitly restarted Lanczos)."""
    operator: Any = scipy.sparse.linalg.LinearOperator((n, n), matvec=apply, dtype=np.float64)  # pyright: ignore
    start = RandomBits(0, "lanczos").words(n) / 2.0**64 - 0.5
    try:
        values = scipy.sparse.linalg.eigsh(
            operator, k, which="LA", v0=start, ncv=min(_KRYLOV, n), maxiter=_MAX_RESTARTS, return_eigenvectors=False
        )
    except scipy.sparse.linalg.ArpackNoConvergence:
        raise RuntimeError(
            f"the Lanczos iteration did not settle on {n} vertices in {_MAX_RESTARTS} restarts: the leading values lie "
            "too close together, as they do in long bands; measure a smaller graph of the same family"
        ) from None
    return np.sort(values)


def _adjacency(t: Topology) -> scipy.sparse.csr_array:
    b = t.biadjacency()
    return scipy.sparse.csr_array(scipy.sparse.block_array([[None, b.T], [b, None]]))
