"""Expanders from groups: graphs whose spectral gap is a theorem, at one fan-in for ever larger sizes."""

from collections.abc import Iterator
from itertools import product

import numpy as np

from ._internal.available_sizes import Shape
from ._internal.finite_fields import field, primes
from ._internal.registry import Edges, family
from .structured import edges_from_rows


def _lps_shapes(limit: int) -> Iterator[Shape]:
    orders = [q for q in primes(round((2 * limit) ** (1 / 3)) + 2) if q % 4 == 1 and q * (q * q - 1) // 2 <= limit]
    degrees = [p for p in primes(max(orders, default=0) ** 2 // 4) if p % 4 == 1]
    for q in orders:
        n = q * (q * q - 1) // 2
        yield from (Shape(n, n, p + 1, (p, q)) for p in degrees if 4 * p < q * q and p != q)


@family(shapes=_lps_shapes)
def lps(p: int, q: int) -> Edges:
    """The Ramanujan graphs X(p, q) of Lubotzky, Phillips and Sarnak: sigma2 <= 2 sqrt(p) at fan_in = p + 1.

    The p + 1 integer solutions of a**2 + b**2 + c**2 + d**2 = p with a odd and positive, b, c, d even, give matrices
    [[a + i b, c + i d], [-c + i d, a - i b]] modulo q, i**2 = -1. Inputs are the 2 x 2 matrices modulo q up to factors,
    PGL(2, q), whose determinant is a square. Outputs are those whose determinant is p times a square. The p + 1
    products of an output with these matrices are inputs, which the output reads. If p is a square modulo q, the
    biadjacency is the adjacency matrix of the Cayley graph of PSL(2, q). Otherwise the graph is the Cayley graph of
    PGL(2, q), which is bipartite (Lubotzky, Phillips and Sarnak, "Ramanujan graphs", Combinatorica 8, 1988). Exists for
    n_in = n_out = q (q**2 - 1) / 2 and fan_in = p + 1, where p and q are different primes, both 1 modulo 4, and
    q > 2 sqrt(p): 1092, 2448, 12180, 25308, ...

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in, density: one of the two; may be left out if only one p fits.
        fit: "nearest" or "level" to cut a larger graph to other sizes, see `share_changed`.

    Returns:
        A connected biregular Topology with n_out * (p + 1) edges.

    Raises:
        ValueError: if there is no such graph; the message names the nearest sizes.

    Example:
        >>> t = lps(1092, 1092, fan_in=6)
        >>> set(t.fan_in.tolist()), set(t.fan_out.tolist())
        ({6}, {6})
    """
    f = field(q)
    root = next(i for i in range(2, q) if i * i % q == q - 1)
    squares = np.zeros(q, bool)
    squares[np.arange(1, q) ** 2 % q] = True
    matrices = _list_projective_matrices(q)
    is_square = squares[_determinant(matrices) % q]
    inputs = matrices[is_square]
    outputs = inputs if squares[p % q] else matrices[~is_square]
    number = np.zeros(q**3 + q**2, np.int64)
    number[_number_matrices(inputs, q)] = np.arange(len(inputs))
    steps = [[a + root * b, c + root * d, -c + root * d, a - root * b] for a, b, c, d in _solve_four_squares(p)]
    reads = []
    for e, g, h, k in (np.array(steps) % q).tolist():
        w, x, y, z = outputs.T
        products = np.stack([w * e + x * h, w * g + x * k, y * e + z * h, y * g + z * k], axis=1) % q
        lead = products[np.arange(len(products)), (products != 0).argmax(axis=1)]
        reads.append(number[_number_matrices(products * f.inverse(lead)[:, None] % q, q)])
    return edges_from_rows(np.sort(np.stack(reads, axis=1), axis=1))


def _list_projective_matrices(q: int) -> np.ndarray:
    """Return the invertible matrices (w, x, y, z) = [[w, x], [y, z]] modulo q up to factors: first nonzero entry 1."""
    digits = q ** np.arange(3, -1, -1)
    every = np.concatenate([np.arange(lead, 2 * lead)[:, None] // digits % q for lead in (q**3, q**2)])
    return every[_determinant(every) % q != 0]


def _determinant(matrices: np.ndarray) -> np.ndarray:
    w, x, y, z = matrices.T
    return w * z - x * y


def _number_matrices(matrices: np.ndarray, q: int) -> np.ndarray:
    """Return a number below q**3 + q**2 for each matrix whose first nonzero entry is 1, at w or x."""
    w, x, y, z = matrices.T
    return np.where(w == 1, x * q**2, q**3) + y * q + z


def _solve_four_squares(p: int) -> list[tuple[int, int, int, int]]:
    """Return the p + 1 solutions of a**2 + b**2 + c**2 + d**2 = p with a odd and positive and the others even."""
    most = int(p**0.5)
    evens = range(-(most // 2) * 2, most + 1, 2)
    odds = {a * a: a for a in range(1, most + 1, 2)}
    return [(odds[r], b, c, d) for b, c, d in product(evens, repeat=3) if (r := p - b * b - c * c - d * d) in odds]


def _margulis_shapes(limit: int) -> Iterator[Shape]:
    for m in range(2, int(limit**0.5) + 1):
        shifts = _list_shifts(m)
        distinct = 1 + (np.diff(np.sort(shifts, axis=1), axis=1) != 0).sum(axis=1)
        itself = int((shifts == 0).any(axis=1).sum())
        yield Shape(m * m, m * m, (2 * m * int(distinct.sum()) - itself**2) / m**2, (m,))


@family(shapes=_margulis_shapes)
def margulis(m: int) -> Edges:
    """The Margulis-Gabber-Galil graph: (x, y) on the m x m torus joined by shears to eight places, which may coincide.

    Output (x, y) reads (x +- 2y, y), (x +- (2y + 1), y), (x, y +- 2x) and (x, y +- (2x + 1)) modulo m. As a multigraph
    with eight edges per output, sigma1 = 8 and sigma2 <= 5 sqrt(2) (Gabber and Galil, 1981; Hoory, Linial and
    Wigderson, "Expander graphs and their applications", 2006, theorem 8.2). In this family parallel edges become one
    edge: places coincide if a coordinate is small or near m / 2. So fan-ins lie between 4 and 8 for m >= 4 (5 and 8 for
    even m), and the bound does not hold exactly. The gap stays away from zero, but below the gap of a random graph. The
    Margulis graph was the first explicit expander and is here for comparison. Exists for n_in = n_out = m**2, m >= 2.

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in, density: leave both out, as the fan-in is not constant; or give one together with fit=.
        fit: "nearest" or "level" for other sizes and for one fan-in, see `shapes`.
            Its fan-in is small for its size: at 1000 x 1000 and density 0.05 "level" adds 85 % of the edges, and
            little of the family is left.

    Returns:
        A Topology with equal degrees of input and output (x, y).

    Raises:
        ValueError: if there is no such graph; the message names the nearest sizes.

    Example:
        >>> t = margulis(256, 256)
        >>> t.fan_in.min(), t.fan_in.max(), t.n_edges
        (np.int64(5), np.int64(8), 1916)
    """
    x, y = np.divmod(np.arange(m * m), m)
    shifts = _list_shifts(m)
    across = (x[:, None] + shifts[y]) % m * m + y[:, None]
    along = x[:, None] * m + (y[:, None] + shifts[x]) % m
    reads = np.sort(np.concatenate([across, along], axis=1), axis=1)
    distinct = np.diff(reads, axis=1, prepend=-1) > 0
    return np.concatenate([[0], np.cumsum(distinct.sum(axis=1))]), reads[distinct]


def _list_shifts(m: int) -> np.ndarray:
    """Return how far a coordinate moves if the other is k: +-2k, +-(2k + 1) modulo m, (m, 4)."""
    k = np.arange(m)
    return np.stack([2 * k, -2 * k, 2 * k + 1, -2 * k - 1], axis=1) % m
