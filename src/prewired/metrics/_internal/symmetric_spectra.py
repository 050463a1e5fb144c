"""Whole spectra by symmetry: graphs that look the same from everywhere along a ring or a hypercube.

If the units of both sides fall into orbits of a group that acts freely and the edges are invariant under it, the
biadjacency is a sum over the group's characters of small matrices, one entry for each pair of orbits, and its singular
values are theirs. That gives the circulant matrices by one Fourier transform (Davis, "Circulant Matrices", 1979), and
with them `rotating` and `fibonacci` of any sizes, array codes, block circulants; and by one Walsh-Hadamard transform
the Cayley graphs of the hypercube, such as `flat_butterfly`.

The symmetry is looked for in the edges themselves and checked on every one of them: no recipe is believed.
"""

from collections.abc import Iterator
from math import gcd
from typing import Any, NamedTuple

import numpy as np

_CELLS = 2**24  # of all small matrices together, complex numbers
_WORK = 2e9  # multiplications of their decompositions


class Spectrum(NamedTuple):
    """Singular values and how they were found.

    Attributes:
        values: all of them, descending.
        symmetry: such as "ring of 512".
    """

    values: np.ndarray
    symmetry: str


class _Symmetry(NamedTuple):
    """A group of some order and how units are numbered: place * orbits + orbit or, "within", orbit * order + place.

    Places are added modulo the order on a ring, and digit by digit on a hypercube.
    """

    group: str
    order: int
    within: bool

    def orbit_and_place(self, units: Any, n: int) -> tuple[Any, Any]:
        """The orbit and the place of units of a side of n."""
        if self.within:
            return units // self.order, units % self.order
        return units % (n // self.order), units // (n // self.order)

    def difference(self, a: np.ndarray, b: Any) -> np.ndarray:
        return a ^ b if self.group == "hypercube" else (a - b) % self.order


def spectrum_by_symmetry(matrix: Any) -> Spectrum | None:
    """The singular values of a sparse matrix (n_out, n_in) that is invariant under a ring or a hypercube; else None.

    A look at two rows rejects most matrices; the check itself is O(edges).

    Example:
        >>> import scipy.sparse
        >>> ring = scipy.sparse.csr_array(np.eye(4) + np.roll(np.eye(4), 1, axis=1))
        >>> spectrum_by_symmetry(ring).values.round(6), spectrum_by_symmetry(ring).symmetry
        (array([2.      , 1.414214, 1.414214, 0.      ]), 'ring of 4')
    """
    for symmetry in _candidates(*matrix.shape):
        if _may_have(matrix, symmetry) and (blocks := _blocks(matrix, symmetry)) is not None:
            values = _values(blocks, symmetry.group == "hypercube")
            return Spectrum(values, f"{symmetry.group} of {symmetry.order}")
    return None


def _candidates(n_out: int, n_in: int) -> Iterator[_Symmetry]:
    """The groups whose orbits divide both sides, the largest first, as far as their matrices are affordable."""
    common = gcd(n_in, n_out)
    for order in range(common, 1, -1):
        cells = n_in * n_out // order
        if common % order or cells > _CELLS or cells * (min(n_in, n_out) // order) > _WORK:
            continue
        yield _Symmetry("ring", order, within=False)
        yield _Symmetry("ring", order, within=True)
        if order & (order - 1) == 0:
            yield _Symmetry("hypercube", order, within=True)


def _may_have(matrix: Any, symmetry: _Symmetry) -> bool:
    """Whether the first and the last output of the first orbit look alike."""
    n_out = matrix.shape[0]
    last = symmetry.order - 1 if symmetry.within else (symmetry.order - 1) * (n_out // symmetry.order)
    a, b = (np.sort(_keys(matrix, symmetry, np.array([row]))[0]) for row in (0, last))
    return np.array_equal(a, b)


def _keys(matrix: Any, symmetry: _Symmetry, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every edge of some rows a number for (orbit of the output, orbit of the input, difference); and its value."""
    n_out, n_in = matrix.shape
    starts = matrix.indptr[rows].astype(np.int64)
    counts = matrix.indptr[rows + 1] - starts
    edges = np.arange(counts.sum()) + np.repeat(starts - np.cumsum(counts) + counts, counts)
    output_orbit, output_place = symmetry.orbit_and_place(np.repeat(rows, counts), n_out)
    input_orbit, input_place = symmetry.orbit_and_place(matrix.indices[edges].astype(np.int64), n_in)
    pair = output_orbit * (n_in // symmetry.order) + input_orbit
    return pair * symmetry.order + symmetry.difference(input_place, output_place), matrix.data[edges]


def _blocks(matrix: Any, symmetry: _Symmetry) -> np.ndarray | None:
    """The matrix as (output orbits, input orbits, differences of places), if it depends on nothing else."""
    (n_out, n_in), order = matrix.shape, symmetry.order
    number, value = _keys(matrix, symmetry, np.arange(n_out))
    shape = n_out // order, n_in // order, order
    if (np.bincount(number, minlength=n_out * n_in // order) % order).any():
        return None  # every difference occurs at all places of an orbit, or at none
    blocks = np.zeros(n_out * n_in // order)
    blocks[number] = value
    return blocks.reshape(shape) if (blocks[number] == value).all() else None


def _values(blocks: np.ndarray, xor: bool) -> np.ndarray:
    """The singular values of all characters' matrices."""
    order = blocks.shape[2]
    transformed = _walsh(blocks) if xor else np.fft.rfft(blocks, axis=2)
    if blocks.shape[0] == blocks.shape[1] == 1:
        values = np.abs(transformed).reshape(-1, 1)
    else:
        values = np.linalg.svd(np.moveaxis(transformed, 2, 0), compute_uv=False)
    if not xor:  # a character and its conjugate have the same values
        values = np.concatenate([values, values[1 : (order + 1) // 2]])
    return np.sort(values, axis=None)[::-1]


def _walsh(blocks: np.ndarray) -> np.ndarray:
    """The Walsh-Hadamard transform along the last axis, whose length is a power of two."""
    b, a, order = blocks.shape
    half = 1
    while half < order:
        pairs = blocks.reshape(b, a, -1, 2, half)
        blocks = np.stack([pairs[..., 0, :] + pairs[..., 1, :], pairs[..., 0, :] - pairs[..., 1, :]], axis=3)
        blocks = blocks.reshape(b, a, order)
        half *= 2
    return blocks
