"""Scatter: how evenly the inputs of an output are spread over windows of neighbouring inputs."""

import numpy as np

from ..topology import Topology
from .degrees import split_by_cost

_CHUNK = 1 << 22


def scatter(t: Topology, *, windows: int | None = None) -> float:
    """Mean over all outputs and windows of min(1, edges of the output in the window / ideal number), in [0, 1].

    The inputs are cut into windows of neighbours: input i belongs to window floor(i * windows / n_in), so widths differ
    by at most one. The ideal number of a window is its width times the density, the same for every output. 1 if every
    output reads every window in proportion, about 1 / windows if each output reads only one window; edges of a window
    beyond its ideal number do not count. The default number of windows is the mean fan-in, rounded: then an output has
    ideally one edge in each window. 1 cannot be reached if ideal numbers are not whole numbers. 1 for the dense graph,
    0 without edges; dead outputs count with 0. The value depends on the order of the inputs. O(n_out + n_edges).

    The source slides windows of equal width, which may overlap, over one or two dimensions, takes the fan-in of the
    first output for that of all outputs, and ignores inputs after the last window. It measures both directions, the
    second being `scatter(t.transpose())`, of every layer and of the product of all layers, and uses the smallest
    value.


    Args:
        t: the topology.
        windows: the number of windows, from 1 to n_in.

    Raises:
        ValueError: for any other number of windows.

    Example:
        >>> from prewired import generators
        >>> scatter(generators.n_of_m(64, 64, fan_in=8, m=8, seed=0)), scatter(generators.grouped(64, 64, fan_in=8))
        (1.0, 0.125)

    Source: Dey, Huang, Beerel, Chugg, "Characterizing sparse connectivity patterns in neural networks", ITA 2018;
    "Pre-defined sparse neural networks with hardware acceleration", IEEE JETCAS 9, 2019.
    """
    windows = max(1, round(t.n_edges / t.n_out)) if windows is None else windows
    if isinstance(windows, bool) or not isinstance(windows, int | np.integer) or not 1 <= windows <= t.n_in:
        raise ValueError(
            f"expected an integer 1 <= windows <= n_in = {t.n_in}, got windows={windows!r}; leave it out for as many "
            "as the mean fan-in"
        )
    if t.n_edges == 0:
        return 0.0
    widths = np.diff(-(-np.arange(windows + 1) * t.n_in // windows))
    total = 0.0
    # Edges of an output are sorted by input, so the edges of one output in one window are a run of equal cells.
    for start, end in split_by_cost(t.fan_in, _CHUNK):
        rows = np.repeat(np.arange(end - start), t.fan_in[start:end])
        cells = rows * windows + t.indices[t.indptr[start] : t.indptr[end]].astype(np.int64) * windows // t.n_in
        first = np.flatnonzero(np.append(True, cells[1:] != cells[:-1])[: len(cells)])
        edges = np.diff(np.append(first, len(cells)))
        ideal = widths[cells[first] % windows] * float(t.n_edges)
        total += np.minimum(1.0, edges * float(t.n_in * t.n_out) / ideal).sum()
    return float(total / (t.n_out * windows))
