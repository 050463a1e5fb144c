"""Metrics of the graph Laplacian L = D - A on all n_in + n_out vertices, inputs first.

On biregular graphs the eigenvalues of L follow from the singular values of the biadjacency. On other connected graphs
the kernel of L is the constant vector. So the second smallest eigenvalue of L is minus the largest eigenvalue of -L on
the space orthogonal to that vector, which a Lanczos iteration finds.
"""

import math
from typing import Any

import numpy as np
import scipy.sparse

from ..topology import Topology
from ._internal import inertia
from ._internal.leading_by_band import is_bandlike
from ._internal.leading_pair import FACTORISED, LAPACK
from ._internal.next_eigenvalue import find_next_eigenvalue
from ._internal.operators import make_operator
from .degrees import connected_components
from .measurement import Measurement, Progress, explainable
from .spectrum import is_biregular, measure_leading_pair

DENSE_VERTICES = 1000
"""Compute all eigenvalues of the Laplacian of a graph with at most this many vertices."""
_EPSILON = float(np.finfo(float).eps)


@explainable
def algebraic_connectivity(t: Topology, *, certify: bool, progress: Progress | None) -> Measurement:
    """Second smallest eigenvalue of L = D - A on all n = n_in + n_out vertices (Fiedler 1973), >= 0; 0 if disconnected.

    At most n / (n - 1) times the smallest degree. Divide it by that degree to compare graphs. On a biregular graph with
    fan-in a and fan-out b it equals ((a + b) - sqrt((a - b)^2 + 4 sigma2^2)) / 2 and costs what `spectral_gap` costs.
    On other graphs: all eigenvalues up to 1000 vertices, a factorisation of narrow bands, else Lanczos, where each step
    is O(edges).


    Args:
        t: the topology.
        explain: return a Measurement, with bounds, method and certificate; this may factorise a matrix.
        progress: called during a long iteration with the steps done and an estimate of the steps in all.

    Raises:
        RuntimeError: if an iteration does not converge.

    Example:
        >>> from prewired import generators
        >>> round(algebraic_connectivity(generators.dense(4, 9)), 9)
        4.0
    """
    if connected_components(t) > 1:
        return Measurement(0.0, 0.0, 0.0, "counting components", "exact count")
    if is_biregular(t):
        return _convert_sigma2(t, measure_leading_pair(t, certify=certify, progress=progress).second)
    return _find_second_smallest(t, certify, progress)[0]


@explainable
def normalized_algebraic_connectivity(t: Topology, *, certify: bool, progress: Progress | None) -> Measurement:
    """Second smallest eigenvalue of the normalized Laplacian I - D^-1/2 A D^-1/2, in [0, 2]; 0 if disconnected.

    Equal to `normalized_spectral_gap` for every connected graph except the single edge, which has 2 (Chung, "Spectral
    Graph Theory", 1997, chapter 1). Arguments, cost and errors as of `spectral_gap`.


    Example:
        >>> from prewired import generators
        >>> normalized_algebraic_connectivity(generators.grouped(8, 8, fan_in=2))
        0.0
    """
    if connected_components(t) > 1:
        return Measurement(0.0, 0.0, 0.0, "counting components", "exact count")
    if t.n_in == t.n_out == 1:
        return Measurement(2.0, 2.0, 2.0, "closed form: one edge", "exact")
    second = measure_leading_pair(t, normalized=True, certify=certify, progress=progress).second
    return second.map(lambda sigma: min(max(1.0 - sigma, 0.0), 1.0))


def fiedler_vector(t: Topology, *, progress: Progress | None = None) -> np.ndarray:
    """An eigenvector of the algebraic connectivity: (n_in + n_out,), inputs first, of length 1, with mean 0.

    The sign makes the first entry of largest magnitude (to a millionth) positive. If the eigenvalue is multiple, this
    is one of many eigenvectors. Cost as of `algebraic_connectivity`, with twice the iteration (Fiedler, "A property of
    eigenvectors of nonnegative symmetric matrices", Czechoslovak Math. J. 25, 1975).


    Raises:
        ValueError: if the graph is disconnected, as any vector constant on each component is then an eigenvector.

    Example:
        >>> t = Topology.from_mask([[1, 0, 0], [1, 1, 0], [0, 1, 1]])  # a path
        >>> fiedler_vector(t).round(3)
        array([-0.408,  0.149,  0.558, -0.558, -0.149,  0.408])
    """
    if connected_components(t) > 1:
        raise ValueError(
            f"expected a connected graph, got {connected_components(t):.0f} components; remove dead units, or measure "
            "each component by itself"
        )
    vector = _find_second_smallest(t, False, progress, vector=True)[1]
    assert vector is not None
    largest = np.abs(vector) > (1 - 1e-6) * np.abs(vector).max()
    return vector * np.sign(vector[largest.argmax()])


def _convert_sigma2(t: Topology, sigma2: Measurement) -> Measurement:
    """The algebraic connectivity of a biregular graph, from sigma2 of its biadjacency.

    On the plane of a pair of singular vectors of sigma the Laplacian is [[fan_out, -sigma], [-sigma, fan_in]]. Its
    smaller eigenvalue falls as sigma grows, and sigma1 gives 0, so sigma2 gives the second smallest of all.
    """
    if t.n_in == t.n_out == 1:
        return sigma2.map(lambda sigma: 2.0)
    fan_in, fan_out = float(t.fan_in[0]), float(t.fan_out[0])

    def connectivity(sigma: float) -> float:
        root = math.sqrt((fan_in - fan_out) ** 2 + 4 * sigma**2)
        # a b / (larger eigenvalue) instead of a difference: no cancellation if the eigenvalue is small
        return max(2 * (fan_in * fan_out - sigma**2) / (fan_in + fan_out + root), 0.0)

    rounding = 8 * _EPSILON * (fan_in + fan_out)
    measurement = sigma2.map(connectivity)
    return measurement._replace(low=max(measurement.low - rounding, 0.0), high=measurement.high + rounding)


def _find_second_smallest(
    t: Topology, certify: bool, progress: Progress | None, *, vector: bool = False
) -> tuple[Measurement, np.ndarray | None]:
    """The second smallest eigenvalue of the Laplacian of a connected graph, and its vector on request."""
    # Every eigenvalue of L is at most twice the largest degree.
    n, largest = t.n_in + t.n_out, 2.0 * float(max(t.fan_in.max(), t.fan_out.max()))
    # Small graphs: all eigenvalues at once, which are exact to n eps |L| (backward stability and Weyl).
    if n <= DENSE_VERTICES:
        values, vectors = np.linalg.eigh(build_laplacian(t).toarray()) if vector else (_compute_eigenvalues(t), None)
        value, error = float(values[1]), n * _EPSILON * largest
        measurement = Measurement(value, max(value - error, 0.0), value + error, "all eigenvalues", LAPACK)
        return measurement, None if vectors is None else vectors[:, 1]
    # Long narrow bands: the eigenvalues lie close together, but a factorisation is cheap.
    b = t.biadjacency()
    back = b.T.tocsr()
    if is_bandlike(b, back) and (result := _solve_band(t, largest)) is not None:
        return result
    # All others: Lanczos for the largest eigenvalue of -L on the space orthogonal to the constant vector.
    f = make_operator(b, back)
    degrees = np.concatenate([t.fan_out, t.fan_in]).astype(float)

    def negative(x: np.ndarray) -> np.ndarray:
        return np.concatenate([f.apply_transpose(x[t.n_in :]), f.apply(x[: t.n_in])]) - degrees * x

    constant = np.full(n, n**-0.5)
    relative = (16 + (t.fan_in.max() + t.fan_out.max()) / 2) * _EPSILON
    # The upper bound for -L is the lower bound for L, and 0 is one that is certain.
    ritz, upper, certificate, confidence = find_next_eigenvalue(
        negative,
        constant,
        largest,
        residual=0.0,
        rounding=relative,
        limit=0.0,
        form_dense=(lambda: -build_laplacian(t).toarray()) if certify else None,
        vector=vector,
        progress=progress,
    )
    value = max(-ritz.value, 0.0)
    high = value + relative * largest * math.sqrt(ritz.steps)
    measurement = Measurement(
        value, max(min(-upper, value), 0.0), high, f"Lanczos, {ritz.steps} steps", certificate, confidence
    )
    return measurement, ritz.vector


def _solve_band(t: Topology, largest: float) -> tuple[Measurement, np.ndarray] | None:
    """The same by a factorisation of -L as a narrow band; None if the band is wide or a proof fails.

    The largest eigenvalue of -L is 0, the second has rank 1; a shift slightly above 0 separates them.
    """
    band = inertia.order_as_band(-build_laplacian(t))
    if band is None or (eigenpairs := inertia.find_largest(band, 1e-7 * largest, 2)) is None:
        return None
    value = -float(eigenpairs[0][1])
    low, high = inertia.bracket_eigenvalue(band, -value, 1, largest)
    if not low <= -value <= high:
        return None
    method = f"shift and invert, band of {band.width}"
    return Measurement(max(value, 0.0), max(-high, 0.0), -low, method, FACTORISED), eigenpairs[1][:, 1]


def build_laplacian(t: Topology) -> Any:
    """L = D - A as a sparse array, (n_in + n_out) a side, inputs first.

    Example:
        >>> build_laplacian(Topology.from_mask([[1, 1]])).toarray()
        array([[ 1.,  0., -1.],
               [ 0.,  1., -1.],
               [-1., -1.,  2.]])
    """
    b = t.biadjacency()
    degrees = scipy.sparse.diags_array(np.concatenate([t.fan_out, t.fan_in]).astype(float))
    return scipy.sparse.csr_array(degrees - scipy.sparse.block_array([[None, b.T], [b, None]]))


def _compute_eigenvalues(t: Topology) -> np.ndarray:
    return np.linalg.eigvalsh(build_laplacian(t).toarray())
