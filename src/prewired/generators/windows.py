"""Local families: every output reads inputs near its own place, on a line or in an image, without wrapping round."""

from collections.abc import Sequence
from math import isqrt

import numpy as np

from ..topology import csr_from_cells
from ._internal.registry import Edges, family
from ._internal.sizes import resolve_fan_in
from .structured import edges_from_rows


@family
def banded(n_in: int, n_out: int, *, fan_in: int | None = None, density: float | None = None) -> Edges:
    """A window that moves from the first inputs to the last: output j reads fan_in neighbours in a row.

    The first output reads the first fan_in inputs, the last output reads the last fan_in inputs, and the windows
    between are evenly spaced. If n_in = n_out + fan_in - 1, this is a convolution (a Toeplitz matrix) of stride 1
    without padding. Unlike `rotating`, a window does not wrap round, so neighbours are always near. The spectral gap
    vanishes as n grows.

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in: inputs per output, 1..n_in.
        density: share of edges instead of fan_in, in (0, 1]; fan_in is then density * n_in, rounded.

    Returns:
        A Topology with exactly n_out * fan_in edges.

    Raises:
        ValueError: if the request is impossible, or not exactly one of fan_in and density is given.

    Example:
        >>> banded(5, 3, fan_in=3).biadjacency().toarray()
        array([[1., 1., 1., 0., 0.],
               [0., 1., 1., 1., 0.],
               [0., 0., 1., 1., 1.]])
    """
    width = resolve_fan_in(n_in, fan_in, density)
    first = np.arange(n_out, dtype=np.int64) * (n_in - width) // max(n_out - 1, 1)
    return edges_from_rows(first[:, None] + np.arange(width))


@family
def toeplitz(n_in: int, n_out: int, *, offsets: Sequence[int]) -> Edges:
    """Chosen diagonals: output j reads the inputs floor(j * n_in / n_out) + s for all offsets s that lie in 0..n_in-1.

    This is a convolution with zero padding and any kernel: offsets -1, 0, 1 give a kernel of width 3, multiples of d a
    kernel with dilation d. Outputs near an end read fewer inputs. So the number of edges follows from the offsets; for
    n_in = n_out = n it is the sum of n - |s| over the offsets.

    Args:
        n_in, n_out: number of inputs and outputs.
        offsets: distinct integers between -n_in and n_in.

    Returns:
        A Topology.

    Raises:
        ValueError: if the offsets are not distinct integers between -n_in and n_in, or give no edge.

    Example:
        >>> toeplitz(4, 4, offsets=[-1, 0, 2]).biadjacency().toarray()
        array([[1., 0., 1., 0.],
               [1., 1., 0., 1.],
               [0., 1., 1., 0.],
               [0., 0., 1., 1.]])
    """
    good = isinstance(offsets, Sequence) and all(type(s) is int and -n_in < s < n_in for s in offsets)
    if not good or not offsets or len(set(offsets)) < len(offsets):
        raise ValueError(f"expected offsets as distinct integers between -{n_in} and {n_in}, got offsets={offsets!r}")
    places = np.arange(n_out, dtype=np.int64) * n_in // n_out
    inputs = places[:, None] + np.sort(offsets)
    inside = (inputs >= 0) & (inputs < n_in)
    if not inside.any():
        raise ValueError(f"expected an offset that meets the matrix, got offsets={list(offsets)} of {n_in} x {n_out}")
    return csr_from_cells(n_in, n_out, (np.arange(n_out)[:, None] * n_in + inputs)[inside])


@family
def window2d(
    n_in: int,
    n_out: int,
    *,
    fan_in: int | None = None,
    density: float | None = None,
    height: int | None = None,
    width: int | None = None,
    channels: int = 1,
) -> Edges:
    """Windows in an image, as in a convolution without shared weights: an output reads the pixels around its own place.

    Inputs are the pixels of an image, channel by channel, each row by row, as torch flattens (channels, height, width).
    Output j sits at pixel floor(j * height * width / n_out). It has a window that is as square as possible and is
    shifted inwards at the border. In all channels, it reads the fan_in / channels pixels nearest to the centre of the
    window. If channels does not divide fan_in, the farthest pixel is read in its first channels only.

    Args:
        n_in, n_out: number of inputs and outputs.
        fan_in: inputs per output, 1..n_in.
        density: share of edges instead of fan_in, in (0, 1]; fan_in is then density * n_in, rounded.
        height, width: of the image; a square if neither is given.
        channels: of the image.

    Returns:
        A Topology with exactly n_out * fan_in edges.

    Raises:
        ValueError: if the request is impossible, or n_in is not channels * height * width.

    Example:
        >>> window2d(16, 4, fan_in=4).biadjacency().toarray()[1].reshape(4, 4)
        array([[0., 0., 0., 0.],
               [1., 1., 0., 0.],
               [1., 1., 0., 0.],
               [0., 0., 0., 0.]])
    """
    n_reads = resolve_fan_in(n_in, fan_in, density)
    height, width = _infer_image_sides(n_in, height, width, channels)
    n_pixels = -(-n_reads // channels)
    tall = min(height, max(isqrt(n_pixels - 1) + 1, -(-n_pixels // width)))
    wide = -(-n_pixels // tall)
    y, x = np.divmod(np.arange(tall * wide), wide)
    nearest = np.argsort((2 * y - tall + 1) ** 2 + (2 * x - wide + 1) ** 2, kind="stable")[:n_pixels]
    reads = (np.arange(channels) * (height * width) + (y * width + x)[nearest, None]).reshape(-1)[:n_reads]
    row, column = np.divmod(np.arange(n_out, dtype=np.int64) * (height * width) // n_out, width)
    first_row = np.clip(row - (tall - 1) // 2, 0, height - tall)
    first_column = np.clip(column - (wide - 1) // 2, 0, width - wide)
    return edges_from_rows((first_row * width + first_column)[:, None] + np.sort(reads))


def _infer_image_sides(n_in: int, height: int | None, width: int | None, channels: int) -> tuple[int, int]:
    """Return the sides of the image; raises ValueError unless channels * height * width = n_in."""
    sides = [(name, value) for name, value in (("height", height), ("width", width)) if value is not None]
    for name, value in [("channels", channels), *sides]:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"expected an integer {name} >= 1, got {name}={value!r}")
    n_pixels = n_in // channels
    if height is None and width is None:
        height = width = isqrt(n_pixels)
    height = n_pixels // (width or 1) if height is None else height
    width = n_pixels // height if width is None else width
    if channels * height * width != n_in:
        raise ValueError(
            f"expected n_in = channels * height * width, got n_in={n_in} with channels={channels}, height={height}, "
            f"width={width}; name height= and width="
        )
    return height, width
