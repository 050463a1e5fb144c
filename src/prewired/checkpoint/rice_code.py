"""Edges in few bits, for wirings that no recipe rebuilds: the gaps between them in a Rice code."""

import numpy as np

from ..topology import Topology, csr_from_cells

_CHUNK = 1 << 18
"""Edges whose low bits are packed at a time; a multiple of 8, so that chunks end with a byte."""


def encode(t: Topology) -> tuple[int, np.ndarray]:
    """The edges of a topology as a Rice code, of the parameter that makes it smallest.

    Edge k is cell output * n_in + input of the biadjacency; its gap is the number of empty cells before it. The code is
    the k low bits of every gap, packed lowest bit first and filled up to a byte, then gap >> k of every gap as so many
    zeros and a one, packed in the same way (Rice, "Some practical universal noiseless coding techniques", 1979). With
    k = 0 that is the biadjacency itself, one bit a cell; at density p it takes about log2(1 / p) + 1.5 bits an edge.

    Returns:
        k, and the code, uint8.

    Example:
        >>> from prewired import generators
        >>> t = generators.biregular(784, 1000, density=0.05, seed=0)
        >>> k, code = encode(t)
        >>> k, round(8 * len(code) / t.n_edges, 2), decode(t.n_in, t.n_out, t.n_edges, k, code) == t
        (4, 5.78, True)
    """
    cells = np.repeat(np.arange(t.n_out, dtype=np.int64) * t.n_in, t.fan_in) + t.indices
    gaps = np.diff(cells, prepend=-1) - 1
    k = 0
    while _bits(gaps, k + 1) < _bits(gaps, k):
        k += 1
    ends = np.cumsum(gaps >> k) + np.arange(len(gaps))
    unary = np.zeros(int(ends[-1]) + 1 if len(ends) else 0, bool)
    unary[ends] = True
    return k, np.concatenate([*_packed_low(gaps, k), np.packbits(unary, bitorder="little")])


def decode(n_in: int, n_out: int, n_edges: int, k: int, code: np.ndarray) -> Topology:
    """The inverse of `encode`; its memory is in proportion to n_edges, n_out and the code, which is not too long.

    Raises:
        ValueError: if the code is not one of such a topology.
    """
    cells = n_in * n_out
    n_low = -(-n_edges * k // 8)
    if not 0 <= k <= cells.bit_length() or not 0 <= 8 * (len(code) - n_low) <= n_edges + (cells >> k) + 7:
        raise ValueError(f"its gaps are no Rice code of {n_edges} edges, k={k}")
    ends = np.flatnonzero(np.unpackbits(code[n_low:], bitorder="little"))
    if len(ends) != n_edges:
        raise ValueError(f"its gaps are those of {len(ends)} edges, expected {n_edges}")
    high = np.diff(ends, prepend=-1) - 1
    at = np.cumsum((high << k) + _unpacked_low(code[:n_low], n_edges, k) + 1) - 1
    if n_edges and not 0 <= at[0] <= at[-1] < cells:
        raise ValueError("its gaps lead outside the layer")
    return Topology(n_in, n_out, *csr_from_cells(n_in, n_out, at))


def _bits(gaps: np.ndarray, k: int) -> int:
    return (k + 1) * len(gaps) + int((gaps >> k).sum())


def _packed_low(gaps: np.ndarray, k: int) -> list[np.ndarray]:
    """The k low bits of each number, packed."""
    parts = []
    for start in range(0, len(gaps) if k else 0, _CHUNK):
        octets = gaps[start : start + _CHUNK].astype("<u8").view(np.uint8).reshape(-1, 8)
        parts.append(np.packbits(np.unpackbits(octets, axis=1, count=k, bitorder="little"), bitorder="little"))
    return parts


def _unpacked_low(code: np.ndarray, n: int, k: int) -> np.ndarray:
    """The inverse of `_packed_low`, (n,) int64."""
    low = np.zeros(n, "<u8")
    for start in range(0, n if k else 0, _CHUNK):
        count = min(_CHUNK, n - start)
        part = code[start * k // 8 : -(-(start + count) * k // 8)]
        bits = np.unpackbits(part, count=count * k, bitorder="little").reshape(count, k)
        octets = np.zeros((count, 8), np.uint8)
        octets[:, : -(-k // 8)] = np.packbits(bits, axis=1, bitorder="little")
        low[start : start + count] = octets.view("<u8").reshape(-1)
    return low.astype(np.int64)
