"""Incidence graphs of points and lines over finite fields: expanders whose whole spectrum is known."""

from collections.abc import Iterator

import numpy as np

from ..topology import csr_from_cells
from ._internal.available_sizes import Shape
from ._internal.finite_fields import Field, field, null_space, prime_powers
from ._internal.registry import Edges, family
from .structured import edges_from_rows


def _plane_shapes(limit: int) -> Iterator[Shape]:
    for q in prime_powers(int(limit**0.5)):
        if (n := q**2 + q + 1) <= limit:
            yield Shape(n, n, q + 1, (q,))


@family(shapes=_plane_shapes)
def projective_plane(q: int) -> Edges:
    """Points and lines of the projective plane PG(2, q): the best expander of its size and degree.

    Inputs are the points, outputs the lines; two points lie on exactly one line, so the graph has no 4-cycle and girth
    6. sigma1 = q + 1 and all other singular values are sqrt(q), below even the Ramanujan bound 2 sqrt(q) (Feit and
    Higman, "The nonexistence of certain generalized polygons", 1964). Exists for n_in = n_out = q**2 + q + 1, q a power
    of a prime: 7, 13, 21, 31, 57, 73, 91, 133, ...

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in, density: fan_in is q + 1; may be left out.
        fit: "nearest" or "level" to cut a larger graph to other sizes, see `share_changed`.

    Returns:
        A biregular Topology with n_out * (q + 1) edges.

    Raises:
        ValueError: if there is no such graph; the message names the nearest sizes.

    Example:
        >>> t = projective_plane(7, 7)
        >>> (t.biadjacency() @ t.biadjacency().T).toarray()[0]
        array([3., 1., 1., 1., 1., 1., 1.])
    """
    f = field(q)
    points = _list_points(f, 3)
    basis, _ = null_space(f, points[:, None, :], 2)
    return edges_from_rows(np.sort(_number_points(f, _list_points_of_lines(f, basis[:, 0], basis[:, 1])), axis=1))


def _quadrangle_shapes(limit: int) -> Iterator[Shape]:
    for q in prime_powers(int(limit ** (1 / 3))):
        if (n := (q + 1) * (q**2 + 1)) <= limit:
            yield Shape(n, n, q + 1, (q,))


@family(shapes=_quadrangle_shapes)
def generalized_quadrangle(q: int) -> Edges:
    """Points and lines of the symplectic quadrangle W(3, q): no 4-cycles and no 6-cycles, girth 8.

    Inputs are the points of PG(3, q), outputs its lines on which the form x0 y1 - x1 y0 + x2 y3 - x3 y2 vanishes.
    sigma1 = q + 1, and the other singular values are sqrt(2 q) and 0 (Payne and Thas, "Finite generalized
    quadrangles", 1984). Exists for n_in = n_out = (q + 1)(q**2 + 1), q a power of a prime: 15, 40, 85, 156, 400, ...

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in, density: fan_in is q + 1; may be left out.
        fit: "nearest" or "level" to cut a larger graph to other sizes, see `share_changed`.
            Its fan-in is small for its size: at 1000 x 1000 and density 0.05 "level" adds 84 % of the edges, and
            little of the family is left.

    Returns:
        A biregular Topology with n_out * (q + 1) edges.

    Raises:
        ValueError: if there is no such graph; the message names the nearest sizes.

    Example:
        >>> t = generalized_quadrangle(15, 15)
        >>> set(t.fan_in.tolist()), set(t.fan_out.tolist())
        ({3}, {3})
    """
    f = field(q)
    points = _list_points(f, 4)
    a, b, c, d = points.T
    perpendicular = np.stack([f.negative(b), a, f.negative(d), c], axis=1)
    return _build_polygon(f, points, perpendicular[:, None, :])


def _hexagon_shapes(limit: int) -> Iterator[Shape]:
    for q in prime_powers(int(limit ** (1 / 5))):
        if (n := (q + 1) * (q**4 + q**2 + 1)) <= limit:
            yield Shape(n, n, q + 1, (q,))


@family(shapes=_hexagon_shapes)
def generalized_hexagon(q: int) -> Edges:
    """Points and lines of the split Cayley hexagon H(q): no cycles shorter than 12.

    Inputs are the points of the quadric x0 x4 + x1 x5 + x2 x6 = x3**2 in PG(6, q), outputs those of its lines whose
    Pluecker coordinates satisfy p12 = p34, p54 = p32, p20 = p35, p65 = p30, p01 = p36, p46 = p31 (Tits, 1959; Van
    Maldeghem, "Generalized polygons", 1998, section 2.4.13). sigma1 = q + 1, and the other singular values are
    sqrt(3 q), sqrt(q) and 0 (Feit and Higman, 1964). Exists for n_in = n_out = (q + 1)(q**4 + q**2 + 1), q a power of a
    prime: 63, 364, 1365, 3906, 19608, ...

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in, density: fan_in is q + 1; may be left out.
        fit: "nearest" or "level" to cut a larger graph to other sizes, see `share_changed`.
            Its fan-in is small for its size: at 1000 x 1000 and density 0.05 "level" adds 93 % of the edges, and
            little of the family is left.

    Returns:
        A biregular Topology with n_out * (q + 1) edges.

    Raises:
        ValueError: if there is no such graph; the message names the nearest sizes.

    Example:
        >>> t = generalized_hexagon(63, 63)
        >>> set(t.fan_in.tolist()), set(t.fan_out.tolist())
        ({3}, {3})
    """
    f = field(q)
    points = _list_points(f, 7)
    x = points.T
    half = f.add(f.add(f.multiply(x[0], x[4]), f.multiply(x[1], x[5])), f.multiply(x[2], x[6]))
    points = points[half == f.multiply(x[3], x[3])]
    x = points.T
    equations = [
        ((1, 2), (3, 4)),
        ((5, 4), (3, 2)),
        ((2, 0), (3, 5)),
        ((6, 5), (3, 0)),
        ((0, 1), (3, 6)),
        ((4, 6), (3, 1)),
    ]
    conditions = np.zeros((len(points), len(equations) + 1, 7), np.int64)
    conditions[:, -1] = points[:, [4, 5, 6, 3, 0, 1, 2]]  # y lies in the tangent space of x
    conditions[:, -1, 3] = f.negative(f.add(points[:, 3], points[:, 3]))
    for row, ((i, j), (k, m)) in enumerate(equations):  # (x_i y_j - x_j y_i) - (x_k y_m - x_m y_k) = 0 in y
        for at, value in ((j, x[i]), (i, f.negative(x[j])), (m, f.negative(x[k])), (k, x[m])):
            conditions[:, row, at] = f.add(conditions[:, row, at], value)
    return _build_polygon(f, points, conditions)


def _array_shapes(limit: int) -> Iterator[Shape]:
    shapes = []
    for q in prime_powers(int(limit**0.5)):
        shapes += [Shape(m * q, q * q, m, (q, m, False)) for m in range(2, min(q, limit // q) + 1)]
        shapes += [Shape(q * q, m * q, q, (q, m, True)) for m in range(2, min(q - 1, limit // q) + 1)]
    return iter(sorted(shapes))


@family(shapes=_array_shapes)
def array_code(q: int, m: int, transposed: bool) -> Edges:
    """Array-code graphs: blocks of cyclic shifts, block (i, j) = P**(i * j), with sigma2 = sqrt(q).

    There are q block rows and m <= q block columns of blocks of q x q, so outputs read m inputs and inputs feed q
    outputs. The singular values are sqrt(q m), sqrt(q) and 0, below the Ramanujan bound, and there is no 4-cycle
    (Burnwal, Sinha and Vidyasagar, "New and explicit constructions of unbalanced Ramanujan bipartite graphs", 2019,
    arXiv 1910.03937; as codes: Fan, 2000). For q a power of a prime, the products i * j and the shifts are those of the
    field of q elements. Exists for m q inputs and q**2 outputs, fan-in m, and for q**2 inputs and m q outputs, fan-in
    q, where q is a power of a prime and 2 <= m <= q.

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in, density: one of the two; may be left out if the sides tell it.
        fit: "nearest" or "level" to cut a larger graph to other sizes, see `share_changed`.

    Returns:
        A biregular Topology.

    Raises:
        ValueError: if there is no such graph; the message names the nearest sizes.

    Example:
        >>> array_code(6, 9).biadjacency().toarray()[3:6]
        array([[1., 0., 0., 0., 0., 1.],
               [0., 1., 0., 1., 0., 0.],
               [0., 0., 1., 0., 1., 0.]])
    """
    f = field(q)
    i, r, j = np.ogrid[:q, :q, :m]
    columns = f.add(r + 0 * i, f.negative(f.multiply(i, j))) + q * j
    columns = columns.reshape(q * q, m)
    if not transposed:
        return edges_from_rows(columns)
    cells = columns * (q * q) + np.arange(q * q)[:, None]
    return csr_from_cells(q * q, m * q, np.sort(cells.reshape(-1)))


def _list_points(f: Field, m: int) -> np.ndarray:
    """Return the points of the projective space of dimension m - 1: (n, m) vectors with first nonzero entry 1."""
    digits = f.q ** np.arange(m - 1, -1, -1)
    return np.concatenate([np.arange(lead, 2 * lead)[:, None] // digits % f.q for lead in digits[::-1].tolist()])


def _number_points(f: Field, vectors: np.ndarray) -> np.ndarray:
    """Return the places in `_list_points` of the points of nonzero vectors; (..., m) -> (...)."""
    lead = np.take_along_axis(vectors, (vectors != 0).argmax(axis=-1)[..., None], axis=-1)
    vectors = f.multiply(vectors, f.inverse(lead))
    m = vectors.shape[-1]
    codes = vectors @ f.q ** np.arange(m - 1, -1, -1)
    place = m - 1 - (vectors != 0).argmax(axis=-1)  # of the leading one, from the last
    return codes - f.q**place + (f.q**place - 1) // (f.q - 1)


def _list_points_of_lines(f: Field, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the q + 1 points of the lines through a and b; (..., m) -> (..., q + 1, m)."""
    factors = np.arange(f.q)[:, None]
    return np.concatenate([f.add(a[..., None, :], f.multiply(factors, b[..., None, :])), b[..., None, :]], axis=-2)


def _build_polygon(f: Field, points: np.ndarray, conditions: np.ndarray) -> Edges:
    """Return the incidence graph of points and lines, where the lines through x span the null space of x's conditions.

    Lines are sorted by their points. Every line goes through q + 1 points, but must be listed once. Of its points only
    one has its leading 1 last; this point comes first in the order of `_list_points`, and the line is listed there.
    """
    # The null space is a plane of the projective space, which contains x. The lines through x join x to the points of
    # any line of the plane that does not contain x: here the line through the two basis vectors that x does not need.
    planes, unknowns = null_space(f, conditions, 3)
    every = np.arange(len(points))
    dependent = (np.take_along_axis(points, unknowns, axis=1) != 0).argmax(axis=1)  # x has a nonzero coordinate here
    line_points = _list_points_of_lines(f, planes[every, (dependent + 1) % 3], planes[every, (dependent + 2) % 3])
    # Subtract multiples of x so that the other points are 0 at the leading 1 of x. Then x leads last on its line
    # exactly if the other point leads earlier.
    lead = (points != 0).argmax(axis=1)
    at_lead = line_points[every, :, lead]
    line_points = f.add(line_points, f.negative(f.multiply(at_lead[:, :, None], points[:, None])))
    x, line = np.nonzero((line_points != 0).argmax(axis=2) < lead[:, None])
    numbers = _number_points(f, _list_points_of_lines(f, line_points[x, line], points[x]))
    numbers = np.sort(np.searchsorted(_number_points(f, points), numbers), axis=1)
    return edges_from_rows(numbers[np.lexsort(numbers.T[1::-1])])
