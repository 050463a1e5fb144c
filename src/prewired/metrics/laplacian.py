"""Metrics of the graph's Laplacian L = D - A on all n_in + n_out vertices, inputs first; and cuts.

On biregular graphs everything follows from sigma2 of the biadjacency. Elsewhere the second smallest eigenvalue is the
largest of -L on what is orthogonal to the constant vector, which is L's kernel on a connected graph.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

from ..topology import Topology
from ._internal import inertia
from ._internal.bounded_pair import CHOLESKY, FACTORISED, LAPACK, RANDOM_START
from ._internal.lanczos import FAILURE, largest_eigenvalue
from ._internal.leading_singular_values import leading, reaches_little
from ._internal.measurement import Measurement, Progress, explained
from ._internal.operators import operator
from .degrees import component_labels, connected_components
from .spectrum import is_biregular, leading_of, normalized_biadjacency

DENSE_VERTICES = 1000
"""Vertices of a graph up to which all eigenvalues of its Laplacian are computed."""
_EPSILON = float(np.finfo(float).eps)
_MARGIN = 1e-10


@explained
def algebraic_connectivity(t: Topology, *, certify: bool, progress: Progress | None) -> Measurement:
    """Second smallest eigenvalue of L = D - A on all n_in + n_out vertices (Fiedler 1973); 0 if disconnected.

    At most n / (n - 1) times the smallest degree, n = n_in + n_out; divided by that degree it can be compared between
    graphs. For a biregular graph it equals
    ((d_out + d_in) - sqrt((d_out - d_in)^2 + 4 sigma2^2)) / 2, d_out the fan-in and d_in the fan-out, and costs what
    `spectral_gap` does. Elsewhere: all eigenvalues up to 1000 vertices, a factorisation of narrow bands, else Lanczos,
    each step O(edges).

    Args:
        t: the topology.
        explain: give a Measurement, with bounds, method and what the bounds rest on; this may factorise a matrix.
        progress: called with the steps done and an estimate of the steps in all, as a long iteration goes on.

    Raises:
        RuntimeError: if an iteration does not settle.

    Example:
        >>> from prewired import generators
        >>> round(algebraic_connectivity(generators.dense(4, 9)), 9)
        4.0
    """
    if connected_components(t) > 1:
        return Measurement(0.0, 0.0, 0.0, "counting components", "exact count")
    if is_biregular(t):
        return _from_sigma2(t, leading_of(t, certify=certify, progress=progress).second)
    return _second_smallest(t, certify, progress)[0]


@explained
def normalized_algebraic_connectivity(t: Topology, *, certify: bool, progress: Progress | None) -> Measurement:
    """Second smallest eigenvalue of the normalized Laplacian I - D^-1/2 A D^-1/2, in [0, 2]; 0 if disconnected.

    Equal to the normalized spectral gap of every connected graph but the single edge, where it is 2 (Chung, "Spectral
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
    second = leading_of(t, normalized=True, certify=certify, progress=progress).second
    return second.mapped(lambda sigma: min(max(1.0 - sigma, 0.0), 1.0))


def fiedler_vector(t: Topology, *, progress: Progress | None = None) -> np.ndarray:
    """An eigenvector of the algebraic connectivity: (n_in + n_out,), inputs first, of length 1, with mean 0.

    Its sign is such that the first entry of largest magnitude, to a millionth, is positive. Where the eigenvalue is
    multiple, one vector of many. Cost as of `algebraic_connectivity`, twice the iteration (Fiedler, "A property of
    eigenvectors of nonnegative symmetric matrices", Czechoslovak Math. J. 25, 1975).

    Raises:
        ValueError: if the graph is disconnected, where any combination of components is one.

    Example:
        >>> t = Topology.from_mask([[1, 0, 0], [1, 1, 0], [0, 1, 1]])  # a path
        >>> fiedler_vector(t).round(3)
        array([-0.408,  0.149,  0.558, -0.558, -0.149,  0.408])
    """
    if connected_components(t) > 1:
        raise ValueError(
            f"expected a connected graph, got {connected_components(t):.0f} components; cut dead units out, or measure "
            "the components one by one"
        )
    vector = _second_smallest(t, False, progress, vector=True)[1]
    assert vector is not None
    largest = np.abs(vector) > (1 - 1e-6) * np.abs(vector).max()
    return vector * np.sign(vector[largest.argmax()])


class Cut(NamedTuple):
    """A set of units and how weakly it hangs together with the rest.

    Attributes:
        conductance: edges between the set and the rest / edges at the side that has fewer of them (edges within twice).
        inputs: (n_in,) bool, which inputs are in the set.
        outputs: (n_out,) bool, which outputs are in the set.
    """

    conductance: float
    inputs: np.ndarray
    outputs: np.ndarray


def sweep_cut(t: Topology, *, progress: Progress | None = None) -> Cut:
    """The best cut along the second eigenvector of the normalized Laplacian.

    Vertices are ordered by the eigenvector divided by the square root of their degrees; the best of the n - 1 cuts of
    that order has a conductance of at most sqrt(2 lambda2) (Cheeger's inequality; Chung, "Spectral Graph Theory", 1997,
    chapter 2). A disconnected graph has a component, or a dead unit, as a cut of conductance 0. O(edges) beside the
    vector.

    Raises:
        ValueError: for a graph without edges, of which no cut has a conductance.

    Example:
        >>> from prewired import generators
        >>> cut = sweep_cut(Topology.from_mask([[1, 1, 0, 0], [1, 1, 0, 0], [0, 1, 1, 1], [0, 0, 1, 1]]))
        >>> cut.inputs, round(cut.conductance, 3)
        (array([ True,  True, False, False]), 0.111)
    """
    if t.n_edges == 0:
        raise ValueError("expected a graph with edges, got none; no cut of it has a conductance")
    count, inputs, outputs = component_labels(t)
    if count > 1:
        part = outputs[np.flatnonzero(t.fan_in)[0]]
        return Cut(0.0, inputs == part, outputs == part)
    order = np.argsort(_second_of_normalized(t, progress), kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    degrees = np.concatenate([t.fan_out, t.fan_in])
    first = rank[t.indices]
    second = np.repeat(rank[t.n_in :], t.fan_in)
    opened = np.bincount(np.minimum(first, second), minlength=len(order))
    closed = np.bincount(np.maximum(first, second), minlength=len(order))
    crossing = np.cumsum(opened - closed)[:-1]
    volume = np.cumsum(degrees[order])[:-1]
    conductances = crossing / np.minimum(volume, 2 * t.n_edges - volume)
    best = int(conductances.argmin())
    inside = rank <= best
    if 2 * volume[best] > 2 * t.n_edges:
        inside = ~inside
    return Cut(float(conductances[best]), inside[: t.n_in], inside[t.n_in :])


@explained
def conductance(t: Topology, *, certify: bool, progress: Progress | None) -> Measurement:
    """The smallest conductance of a cut, from above: that of `sweep_cut`, in [0, 1]; 0 if disconnected or empty.

    Its bounds are Cheeger's: lambda2 / 2 <= h <= the sweep's cut <= sqrt(2 lambda2), lambda2 the normalized algebraic
    connectivity. The value itself is the upper one, since finding h is NP-hard. Cost as of `fiedler_vector`.

    Example:
        >>> from prewired import generators
        >>> h = conductance(generators.rotating(40, 40, fan_in=4), explain=True)
        >>> h.low <= h.value == h.high
        True
    """
    if t.n_edges == 0 or connected_components(t) > 1:
        return Measurement(0.0, 0.0, 0.0, "counting components", "exact count")
    value = sweep_cut(t, progress=progress).conductance
    if not certify:
        return Measurement.counted(value)
    found = normalized_algebraic_connectivity(t, explain=True, progress=progress)
    low = min(found.low / 2, value)
    return Measurement(
        value, low, value, "sweep along the Fiedler vector", f"Cheeger; {found.certificate}", found.confidence
    )


def _from_sigma2(t: Topology, sigma2: Measurement) -> Measurement:
    """The algebraic connectivity of a biregular graph; it falls as sigma2 grows."""
    if t.n_in == t.n_out == 1:
        return sigma2.mapped(lambda sigma: 2.0)
    fan_in, fan_out = float(t.fan_in[0]), float(t.fan_out[0])

    def connectivity(sigma: float) -> float:
        root = math.sqrt((fan_in - fan_out) ** 2 + 4 * sigma**2)
        return max(2 * (fan_in * fan_out - sigma**2) / (fan_in + fan_out + root), 0.0)

    rounding = 8 * _EPSILON * (fan_in + fan_out)
    found = sigma2.mapped(connectivity)
    return found._replace(low=max(found.low - rounding, 0.0), high=found.high + rounding)


def _second_smallest(
    t: Topology, certify: bool, progress: Progress | None, *, vector: bool = False
) -> tuple[Measurement, np.ndarray | None]:
    """The second smallest eigenvalue of the Laplacian of a connected graph, and its vector where it is asked for."""
    n, largest = t.n_in + t.n_out, 2.0 * float(max(t.fan_in.max(), t.fan_out.max()))
    if n <= DENSE_VERTICES:
        values, vectors = np.linalg.eigh(laplacian(t).toarray()) if vector else (_eigenvalues(t), None)
        value, error = float(values[1]), n * _EPSILON * largest
        found = Measurement(value, max(value - error, 0.0), value + error, "all eigenvalues", LAPACK)
        return found, None if vectors is None else vectors[:, 1]
    b = t.biadjacency()
    back = b.T.tocsr()
    if reaches_little(b, back) and (found := _by_band(t, largest)) is not None:
        return found
    f = operator(b, back)
    degrees = np.concatenate([t.fan_out, t.fan_in]).astype(float)

    def negative(x: np.ndarray) -> np.ndarray:
        return np.concatenate([f.back(x[t.n_in :]), f.there(x[: t.n_in])]) - degrees * x

    constant = np.full(n, n**-0.5)
    relative = (16 + (t.fan_in.max() + t.fan_out.max()) / 2) * _EPSILON
    ritz = largest_eigenvalue(
        negative, n, largest, rounding=relative, without=constant, vector=vector, progress=progress
    )
    low, certificate, confidence = -ritz.upper, RANDOM_START, 1 - FAILURE
    close = ritz.value + _MARGIN * largest
    for at in (close, max(close, ritz.upper)) if certify and n <= inertia.DENSE_LIMIT else ():
        proven, error = inertia.is_below(-laplacian(t).toarray(), at, constant, largest)
        if proven:
            low, certificate, confidence = -at - error, CHOLESKY, 1.0
            break
    value = max(-ritz.value, 0.0)
    high = value + relative * largest * math.sqrt(ritz.steps)
    found = Measurement(value, max(low, 0.0), high, f"Lanczos, {ritz.steps} steps", certificate, confidence)
    return found, ritz.vector


def _by_band(t: Topology, largest: float) -> tuple[Measurement, np.ndarray] | None:
    band = inertia.as_band(-laplacian(t))
    if band is None or (found := inertia.largest_of_band(band, 1e-7 * largest, 2)) is None:
        return None
    value = -float(found[0][1])
    low, high = inertia.bracket(band, -value, 1, largest)
    if not low <= -value <= high:
        return None
    method = f"shift and invert, band of {band.width}"
    return Measurement(max(value, 0.0), max(-high, 0.0), -low, method, FACTORISED), found[1][:, 1]


def laplacian(t: Topology) -> Any:
    """L = D - A as a sparse array, (n_in + n_out) a side, inputs first.

    Example:
        >>> laplacian(Topology.from_mask([[1, 1]])).toarray()
        array([[ 1.,  0., -1.],
               [ 0.,  1., -1.],
               [-1., -1.,  2.]])
    """
    b = t.biadjacency()
    degrees = scipy.sparse.diags_array(np.concatenate([t.fan_out, t.fan_in]).astype(float))
    return scipy.sparse.csr_array(degrees - scipy.sparse.block_array([[None, b.T], [b, None]]))


def _eigenvalues(t: Topology) -> np.ndarray:
    return np.linalg.eigvalsh(laplacian(t).toarray())


def _second_of_normalized(t: Topology, progress: Progress | None) -> np.ndarray:
    """D^-1/2 times the second eigenvector of the normalized Laplacian of a connected graph, inputs first."""
    found = leading([normalized_biadjacency(t)], guess=np.sqrt(t.fan_out), vectors=True, progress=progress)
    if found.left is None or found.right is None:  # a single row or column: any order of its units
        return np.arange(t.n_in + t.n_out, dtype=float)
    return np.concatenate([found.right / np.sqrt(t.fan_out), found.left / np.sqrt(t.fan_in)])
