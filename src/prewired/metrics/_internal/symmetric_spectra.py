"""All singular values of graphs with a symmetry: graphs that look the same from every place of a ring or hypercube.

A ring of order n is the group of the integers with addition modulo n; a hypercube is the group of bit strings with
exclusive or. Let such a group act on inputs and outputs so that each unit has a place (an element of the group) in an
orbit, and let the edges be invariant. Then an entry of the biadjacency depends only on the orbit of its output, the
orbit of its input and the difference of their places. The Fourier transform of the group turns this matrix into a block
diagonal one: one small matrix (output orbits, input orbits) for each character of the group. The transform is unitary,
so the singular values of the small matrices are those of the biadjacency.

On a ring the transform is the discrete Fourier transform. This covers circulant matrices (Davis, "Circulant Matrices",
1979), and with them `rotating` and `fibonacci` of any sizes, array codes and block circulants. On a hypercube it is the
Walsh-Hadamard transform. This covers the Cayley graphs of the hypercube, such as `flat_butterfly`.

The symmetry is searched for in the edges themselves and checked on each of them: no recipe is trusted.
"""

from collections.abc import Iterator
from math import gcd
from typing import Any, NamedTuple

import numpy as np

_CELLS = 2**24  # largest number of entries of all small matrices together, complex numbers
_WORK = 2e9  # largest number of multiplications of their decompositions


class Spectrum(NamedTuple):
    """All singular values and the symmetry that gave them.

    Attributes:
        values: (min(n_in, n_out),), descending.
        symmetry: such as "ring of 512".
        order: the number of places.
    """

    values: np.ndarray
    symmetry: str
    order: int


class _Symmetry(NamedTuple):
    """A group and the numbering of the units.

    Attributes:
        group: "ring" or "hypercube".
        order: the number of places, which is the number of elements of the group.
        contiguous: whether units of an orbit follow each other, orbit * order + place; else place * orbits + orbit.
    """

    group: str
    order: int
    contiguous: bool

    def locate(self, units: Any, n: int) -> tuple[Any, Any]:
        """The orbits and the places of units of a side of n units."""
        if self.contiguous:
            return units // self.order, units % self.order
        return units % (n // self.order), units // (n // self.order)

    def subtract(self, a: np.ndarray, b: Any) -> np.ndarray:
        """The difference of places: modulo the order on a ring, bit by bit on a hypercube."""
        return a ^ b if self.group == "hypercube" else (a - b) % self.order


def find_symmetric_spectrum(matrix: Any) -> Spectrum | None:
    """The singular values of a sparse matrix that is invariant under a ring or a hypercube; None for other matrices.

    Comparing two rows rejects most matrices; checking a symmetry is O(edges).

    Args:
        matrix: CSR array (n_out, n_in).

    Example:
        >>> import scipy.sparse
        >>> ring = scipy.sparse.csr_array(np.eye(4) + np.roll(np.eye(4), 1, axis=1))
        >>> find_symmetric_spectrum(ring).values.round(6), find_symmetric_spectrum(ring).symmetry
        (array([2.      , 1.414214, 1.414214, 0.      ]), 'ring of 4')
    """
    for symmetry in _list_symmetries(*matrix.shape):
        if _is_plausible(matrix, symmetry) and (blocks := _fold(matrix, symmetry)) is not None:
            values = _decompose(blocks, symmetry.group == "hypercube")
            return Spectrum(values, f"{symmetry.group} of {symmetry.order}", symmetry.order)
    return None


def _list_symmetries(n_out: int, n_in: int) -> Iterator[_Symmetry]:
    """The groups whose order divides both sides, the largest first, if decomposing their matrices is affordable.

    A larger group has fewer orbits and so smaller matrices.
    """
    common = gcd(n_in, n_out)
    for order in range(common, 1, -1):
        cells = n_in * n_out // order
        if common % order or cells > _CELLS or cells * (min(n_in, n_out) // order) > _WORK:
            continue
        yield _Symmetry("ring", order, contiguous=False)
        yield _Symmetry("ring", order, contiguous=True)
        if order & (order - 1) == 0:
            yield _Symmetry("hypercube", order, contiguous=True)


def _is_plausible(matrix: Any, symmetry: _Symmetry) -> bool:
    """Whether the outputs at the first and the last place of the first orbit have equal edges, up to the symmetry."""
    n_out = matrix.shape[0]
    last = symmetry.order - 1 if symmetry.contiguous else (symmetry.order - 1) * (n_out // symmetry.order)
    a, b = (np.sort(_number_edges(matrix, symmetry, np.array([row]))[0]) for row in (0, last))
    return np.array_equal(a, b)


def _number_edges(matrix: Any, symmetry: _Symmetry, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every edge of some rows: a number for (output orbit, input orbit, difference of places), and its value."""
    n_out, n_in = matrix.shape
    starts = matrix.indptr[rows].astype(np.int64)
    counts = matrix.indptr[rows + 1] - starts
    edges = np.arange(counts.sum()) + np.repeat(starts - np.cumsum(counts) + counts, counts)
    output_orbit, output_place = symmetry.locate(np.repeat(rows, counts), n_out)
    input_orbit, input_place = symmetry.locate(matrix.indices[edges].astype(np.int64), n_in)
    pair = output_orbit * (n_in // symmetry.order) + input_orbit
    return pair * symmetry.order + symmetry.subtract(input_place, output_place), matrix.data[edges]


def _fold(matrix: Any, symmetry: _Symmetry) -> np.ndarray | None:
    """The matrix as an array (output orbits, input orbits, differences of places); None if it is not invariant."""
    (n_out, n_in), order = matrix.shape, symmetry.order
    number, value = _number_edges(matrix, symmetry, np.arange(n_out))
    shape = n_out // order, n_in // order, order
    # In an invariant matrix each difference occurs at all places of an orbit or at none, always with the same value.
    if (np.bincount(number, minlength=n_out * n_in // order) % order).any():
        return None
    blocks = np.zeros(n_out * n_in // order)
    blocks[number] = value
    return blocks.reshape(shape) if (blocks[number] == value).all() else None


def _decompose(blocks: np.ndarray, xor: bool) -> np.ndarray:
    """The singular values of the matrices of all characters, descending.

    Args:
        blocks: (output orbits, input orbits, differences of places).
        xor: whether the group is a hypercube.
    """
    order = blocks.shape[2]
    transformed = _transform_walsh(blocks) if xor else np.fft.rfft(blocks, axis=2)
    if blocks.shape[0] == blocks.shape[1] == 1:
        values = np.abs(transformed).reshape(-1, 1)
    else:
        values = np.linalg.svd(np.moveaxis(transformed, 2, 0), compute_uv=False)
    # The matrix is real, so a character and its complex conjugate have the same values. `rfft` computes only one of
    # the two; all but the characters that are their own conjugate count twice.
    if not xor:
        values = np.concatenate([values, values[1 : (order + 1) // 2]])
    return np.sort(values, axis=None)[::-1]


def _transform_walsh(blocks: np.ndarray) -> np.ndarray:
    """The Walsh-Hadamard transform along the last axis, whose length is a power of two.

    Each pass replaces pairs (a, b) whose positions differ in one bit by (a + b, a - b).
    """
    n_out, n_in, order = blocks.shape
    half = 1
    while half < order:
        pairs = blocks.reshape(n_out, n_in, -1, 2, half)
        blocks = np.stack([pairs[..., 0, :] + pairs[..., 1, :], pairs[..., 0, :] - pairs[..., 1, :]], axis=3)
        blocks = blocks.reshape(n_out, n_in, order)
        half *= 2
    return blocks
