"""Small grey pictures of biadjacencies, a kilobyte each."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from ....plots import block_shares

if TYPE_CHECKING:
    from ....topology import Topology

SIDE = 64
GREYS = 16


def draw_thumbnail(topology: Topology) -> np.ndarray:
    """The share of edges in each of at most 64 x 64 blocks of the biadjacency, as a part of the largest share.

    Args:
        topology: the graph.

    Returns:
        uint8 (rows, columns), at most 64 each: 0 for a block without edges, 255 for the fullest.

    Example:
        >>> from prewired.generators import grouped
        >>> draw_thumbnail(grouped(4, 4, fan_in=2)).tolist()
        [[255, 255, 0, 0], [255, 255, 0, 0], [0, 0, 255, 255], [0, 0, 255, 255]]
        >>> draw_thumbnail(grouped(1000, 500, fan_in=20)).shape
        (64, 64)
    """
    shares = block_shares(topology, resolution=SIDE)
    return np.round(255 * shares / max(shares.max(initial=0), 1e-300)).astype(np.uint8)


def encode_png(levels: np.ndarray) -> bytes:
    """A thumbnail as a PNG file in 16 greys, edges dark on white.

    Args:
        levels: uint8 (rows, columns), as `thumbnail` makes them.

    Returns:
        The file.

    Raises:
        ValueError: for another type or number of axes.

    Example:
        >>> encode_png(np.zeros((64, 64), np.uint8))[1:4]
        b'PNG'

    Source: Portable Network Graphics (PNG) Specification, W3C, 2003.
    """
    if levels.ndim != 2 or levels.dtype != np.uint8 or not levels.size:
        raise ValueError(f"expected a uint8 matrix, got {levels.dtype} {levels.shape}; use draw_thumbnail(topology)")
    height, width = levels.shape
    greys = np.zeros((height, width + width % 2), np.uint8)
    greys[:, :width] = (GREYS - 1) - np.round(levels.astype(float) * (GREYS - 1) / 255).astype(np.uint8)
    packed = greys[:, ::2] << 4 | greys[:, 1::2]
    lines = np.concatenate([np.zeros((height, 1), np.uint8), packed], axis=1)  # a 0 before each line: unfiltered
    header = struct.pack(">IIBBBBB", width, height, 4, 0, 0, 0, 0)  # 4 bits of grey
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_encode_chunk(kind, data) for kind, data in parts)


def _encode_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
