"""A Rice code of the gaps between edges, which stores a wiring without a recipe in few bits per edge."""

import numpy as np

from ..topology import Topology, csr_from_cells

_CHUNK = 1 << 18
"""Number of edges whose low bits are packed at a time; a multiple of 8, so that every chunk ends with a whole byte."""


def encode(t: Topology) -> tuple[int, np.ndarray]:
    """Encode the edges of a topology as a Rice code, with the parameter k that gives the shortest code.

    An edge is the cell output * n_in + input of the biadjacency; its gap is the number of empty cells before it. The
    code has two parts: the k low bits of every gap, packed lowest bit first and filled up to a byte; then gap >> k of
    every gap in unary, as that many zeros and a one, packed in the same way. Rice, "Some practical universal noiseless
    coding techniques", 1979. With k = 0 the code is the biadjacency, one bit per cell. At density p the code takes
    about log2(1 / p) + 1.5 bits per edge.

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
    while _code_length(gaps, k + 1) < _code_length(gaps, k):
        k += 1
    ends = np.cumsum(gaps >> k) + np.arange(len(gaps))
    unary = np.zeros(int(ends[-1]) + 1 if len(ends) else 0, bool)
    unary[ends] = True
    return k, np.concatenate([*_pack_low_bits(gaps, k), np.packbits(unary, bitorder="little")])


def decode(n_in: int, n_out: int, n_edges: int, k: int, code: np.ndarray) -> Topology:
    """Decode a code of `encode`; takes memory in proportion to n_edges, n_out and the length of the code.

    Raises:
        ValueError: if the code does not describe a topology of this size.
    """
    cells = n_in * n_out
    n_low = -(-n_edges * k // 8)
    if not 0 <= k <= cells.bit_length() or not 0 <= 8 * (len(code) - n_low) <= n_edges + (cells >> k) + 7:
        raise ValueError(f"its gaps are no Rice code of {n_edges} edges, k={k}")
    ends = np.flatnonzero(np.unpackbits(code[n_low:], bitorder="little"))
    if len(ends) != n_edges:
        raise ValueError(f"its gaps are those of {len(ends)} edges, expected {n_edges}")
    high = np.diff(ends, prepend=-1) - 1
    positions = np.cumsum((high << k) + _unpack_low_bits(code[:n_low], n_edges, k) + 1) - 1
    if n_edges and not 0 <= positions[0] <= positions[-1] < cells:
        raise ValueError("its gaps lead outside the layer")
    return Topology(n_in, n_out, *csr_from_cells(n_in, n_out, positions))


def _code_length(gaps: np.ndarray, k: int) -> int:
    return (k + 1) * len(gaps) + int((gaps >> k).sum())


def _pack_low_bits(gaps: np.ndarray, k: int) -> list[np.ndarray]:
    """Pack the k low bits of each number."""
    parts = []
    for start in range(0, len(gaps) if k else 0, _CHUNK):
        octets = gaps[start : start + _CHUNK].astype("<u8").view(np.uint8).reshape(-1, 8)
        parts.append(np.packbits(np.unpackbits(octets, axis=1, count=k, bitorder="little"), bitorder="little"))
    return parts


def _unpack_low_bits(code: np.ndarray, n: int, k: int) -> np.ndarray:
    """Unpack the n numbers, int64, that `_pack_low_bits` packed."""
    low = np.zeros(n, "<u8")
    for start in range(0, n if k else 0, _CHUNK):
        count = min(_CHUNK, n - start)
        part = code[start * k // 8 : -(-(start + count) * k // 8)]
        bits = np.unpackbits(part, count=count * k, bitorder="little").reshape(count, k)
        octets = np.zeros((count, 8), np.uint8)
        octets[:, : -(-k // 8)] = np.packbits(bits, axis=1, bitorder="little")
        low[start : start + count] = octets.view("<u8").reshape(-1)
    return low.astype(np.int64)
