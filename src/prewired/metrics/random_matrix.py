"""All singular values of the biadjacency, their density in large graphs, and the density that chance gives them."""

import numpy as np
from numpy.typing import ArrayLike

from ..random_bits import RandomBits
from ..topology import Topology
from .measurement import Progress

DENSE_CELLS = 1 << 22
"""n_in * n_out up to which `singular_values` makes a dense matrix: 2048 x 2048, 32 MiB."""
_TARGET_ENTRIES = 200_000
_MAX_PROBES = 16
_EXHAUSTED = 1e-10


def singular_values(t: Topology) -> np.ndarray:
    """All singular values of the biadjacency, (min(n_in, n_out),), in descending order.

    From a dense matrix by LAPACK, O(n_in * n_out * min(n_in, n_out)): 0.3 s for 1000 x 1000, under a minute for
    4096 x 4096. A graph without edges has zeros alone, and so have dead units.

    Raises:
        ValueError: where n_in * n_out is above DENSE_CELLS; `singular_value_density` is for larger graphs.

    Example:
        >>> from prewired import generators
        >>> singular_values(generators.grouped(6, 4, fan_in=3)).round(6) + 0.0
        array([2.44949, 2.44949, 0.     , 0.     ])
    """
    if t.n_in * t.n_out > DENSE_CELLS:
        raise ValueError(
            f"expected a graph of at most {DENSE_CELLS:,} cells n_in * n_out, got {t.n_in} x {t.n_out}; "
            "use singular_value_density"
        )
    return np.linalg.svd(t.biadjacency().toarray(), compute_uv=False)


def biregular_law(x: ArrayLike, fan_in: float, fan_out: float, *, density: float = 0.0) -> np.ndarray:
    """Density at x of the singular values of a large random biregular graph, its sigma1 apart.

    With (a, b) = `bulk(fan_in, fan_out)`, which is |sqrt(fan_in - 1) -+ sqrt(fan_out - 1)|, and D the larger degree,

        f(x) = D sqrt((b^2 - x^2)(x^2 - a^2)) / (pi x (fan_in fan_out - x^2))  for a < x < b,  0 elsewhere,

    counted on the smaller side, where there are min(n_in, n_out) of them; the integral is 1. For equal degrees this is
    the law of Kesten and McKay. It is that of a tree, the limit of ever larger graphs with these degrees. Where the
    density is not small, an entry of B has variance density * (1 - density), and x is scaled by sqrt(1 - density): with
    growing degrees that gives the law of Marchenko and Pastur, and the distribution in a random biregular graph of
    1000 x 1000 is met to 0.005 at any density.

    Args:
        x: where, any shape.
        fan_in, fan_out: the degrees, or mean degrees; real numbers.
        density: share of the edges present, in [0, 1); 0 for the limit.

    Returns:
        An array of the shape of x.

    Raises:
        ValueError: as `bulk` does.

    Example:
        >>> biregular_law([0.0, 2.0, 4.0], 3, 3)
        array([0.30010544, 0.38197186, 0.        ])

    Source: Godsil and Mohar, "Walk generating functions and spectral measures of infinite graphs", 1988.
    """
    low, high = bulk(fan_in, fan_out)
    scale = bulk(fan_in, fan_out, density=density)[1] / high
    y = np.asarray(x, float) / scale
    inside = (y < high) & ((y > low) if low else (y >= 0))
    y = np.where(inside, y, (low + high) / 2)
    f = np.sqrt(high**2 - y**2) / (fan_in * fan_out - y**2)
    if low:  # otherwise sqrt(y^2 - low^2) / y is 1, at 0 too
        f *= np.sqrt(y**2 - low**2) / y
    return np.where(inside, max(fan_in, fan_out) / np.pi * f / scale, 0.0)


def bulk(fan_in: float, fan_out: float, *, density: float = 0.0) -> tuple[float, float]:
    """The interval in which a large random biregular graph has its singular values but sigma1; see `biregular_law`.

    Raises:
        ValueError: where (fan_in - 1)(fan_out - 1) < 1, since then there is no such interval, or if density is not in
            [0, 1).

    Example:
        >>> bulk(5, 10)
        (1.0, 5.0)
    """
    if min(fan_in, fan_out) < 1 or (fan_in - 1) * (fan_out - 1) < 1:
        raise ValueError(
            f"expected degrees with (fan_in - 1)(fan_out - 1) >= 1, got {fan_in:g} and {fan_out:g}; "
            "graphs as sparse as that have no such law"
        )
    if not 0 <= density < 1:
        raise ValueError(f"expected 0 <= density < 1, got density={density!r}; a complete graph has sigma1 alone")
    a, b, scale = np.sqrt(fan_in - 1), np.sqrt(fan_out - 1), np.sqrt(1 - density)
    return float(scale * abs(a - b)), float(scale * (a + b))


def singular_value_density(
    t: Topology,
    bins: int | ArrayLike = 60,
    *,
    steps: int = 100,
    probes: int | None = None,
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Histogram of all singular values of a large graph, estimated by stochastic Lanczos quadrature.

    From a random vector of signs, Golub and Kahan's bidiagonalisation finds `steps` nodes and weights that integrate
    every polynomial of degree below 2 * steps against the spectrum as this vector sees it; the mean over vectors is the
    spectrum itself. A node's weight is spread evenly, halfway to its neighbours and over a bin at the most, so with no
    more bins than 0.6 * steps the histogram has no holes. The share in a bin is off by about sqrt(2 bins / (probes n))
    of itself, n the smaller side. O(probes * steps * n_edges): a minute or two for 32 million edges.

    Args:
        t: the topology.
        bins: equal bins between 0 and sigma1, or the edges of the bins, ascending.
        steps: of each bidiagonalisation, at most min(n_in, n_out).
        probes: random vectors; if not given as many as have 200,000 entries together, at least one and at most 16.
        progress: called after each step.

    Returns:
        The density in each bin, whose integral is 1 where the bins hold all singular values, and the edges of the bins.

    Example:
        >>> from prewired import generators
        >>> density, edges = singular_value_density(generators.grouped(1024, 1024, fan_in=4), bins=8)
        >>> (density * np.diff(edges)).round(2) + 0.0  # of 1024 singular values 256 are 4 and the others 0
        array([0.75, 0.  , 0.  , 0.  , 0.  , 0.  , 0.  , 0.25])

    Source: Lin, Saad and Yang, "Approximating spectral densities of large matrices", SIAM Review 58(1), 2016.
    """
    smaller = min(t.n_in, t.n_out)
    if probes is None:
        probes = min(max(_TARGET_ENTRIES // smaller, 1), _MAX_PROBES)
    nodes, weights = _compute_quadrature(t, min(steps, smaller), probes, progress)
    equal = isinstance(bins, int | np.integer)
    edges = np.linspace(0.0, nodes.max() or 1.0, int(bins) + 1) if equal else np.asarray(bins, float)
    halfway = (nodes[:, 1:] + nodes[:, :-1]) / 2
    reach = np.diff(edges).max() / 2
    left = np.maximum(np.insert(halfway, 0, 0.0, axis=1), nodes - reach)
    right = np.minimum(np.append(halfway, nodes[:, -1:], axis=1), nodes + reach)
    width = np.maximum(right - left, 1e-9 * reach)
    below = np.array([(weights * np.clip((edge - left) / width, 0.0, 1.0)).sum() for edge in edges]) / probes
    if equal:
        below[0], below[-1] = 0.0, 1.0  # all values are between; nodes that all but coincide at an end spread beyond it
    return np.diff(below) / np.diff(edges), edges


def _compute_quadrature(
    t: Topology, steps: int, probes: int, progress: Progress | None
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights, (probes, steps), ascending, from as many bidiagonalisations side by side."""
    b = t.biadjacency()
    forth, back = (b, b.T) if t.n_in <= t.n_out else (b.T, b)
    n = min(t.n_in, t.n_out)
    exhausted = _EXHAUSTED * np.sqrt(max(t.fan_in.max(), 1.0) * max(t.fan_out.max(), 1.0))
    bits = np.unpackbits(RandomBits(0, "lanczos quadrature").words(-(-n * probes // 64)).view(np.uint8))
    v = (bits[: n * probes].reshape(n, probes) * 2.0 - 1.0) / np.sqrt(n)
    matrix = np.zeros((probes, steps, steps))
    u = np.zeros((max(t.n_in, t.n_out), probes))
    beta = np.zeros(probes)
    for k in range(steps):
        u = forth @ v - beta * u
        alpha = _normalize_columns(u, exhausted)
        matrix[:, k, k] = alpha
        if k + 1 < steps:
            v = back @ u - alpha * v
            beta = matrix[:, k, k + 1] = _normalize_columns(v, exhausted)
        if progress is not None:
            progress(k + 1, steps)
    _, nodes, vectors = np.linalg.svd(matrix)
    return nodes[:, ::-1], vectors[:, ::-1, 0] ** 2


def _normalize_columns(columns: np.ndarray, exhausted: float) -> np.ndarray:
    """Divide the columns by their lengths, which come back; columns that are all but zero become zero."""
    length = np.linalg.norm(columns, axis=0)
    length[length <= exhausted] = 0.0
    columns /= np.where(length, length, np.inf)
    return length
