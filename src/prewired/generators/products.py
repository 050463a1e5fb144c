"""Topologies made from topologies by multiplication: Kronecker products, and blocks in place of edges.

Their units are new, so the results have no names.
"""

import numpy as np

from ..topology import Topology
from ._internal.costs import CostRule, multiply_sizes
from ._internal.transforms import Parts, transform


@transform(names=None, cost=CostRule(edges=multiply_sizes))
def kronecker(left: Topology, right: Topology) -> Parts:
    """The Kronecker product of the biadjacency matrices: an edge for every pair of edges.

    Input (i, k) has the number i * right.n_in + k, and outputs are numbered likewise. The singular values of the
    product are all products of a singular value of each factor. So sigma2 / sigma1 is the larger of the factors' two
    ratios: the product mixes as badly as its worse factor.

    Args:
        left, right: the factors.

    Returns:
        A Topology of left.n_in * right.n_in inputs, left.n_out * right.n_out outputs and left.n_edges * right.n_edges
        edges, without names. It has a recipe if the factors have.

    Raises:
        ValueError: if a side is 2**31 or larger.

    Example:
        >>> from prewired import Topology
        >>> kronecker(Topology.from_mask([[1, 0], [1, 1]]), Topology.from_mask([[1, 1]])).biadjacency().toarray()
        array([[1., 1., 0., 0.],
               [1., 1., 1., 1.]])
    """
    n_in, n_out = _sides(left.n_in * right.n_in, left.n_out * right.n_out)
    fan_in = np.outer(left.fan_in, right.fan_in).reshape(-1)
    indptr = np.concatenate([[0], np.cumsum(fan_in)])
    output = np.repeat(np.arange(n_out), fan_in)
    of_left, of_right = np.divmod(output, right.n_out)
    at_left, at_right = np.divmod(np.arange(indptr[-1]) - indptr[output], right.fan_in[of_right])
    at_left += left.indptr[of_left]
    at_right += right.indptr[of_right]
    indices = left.indices[at_left].astype(np.int64) * right.n_in + right.indices[at_right]
    return n_in, n_out, indptr, indices


@transform(names=None, cost=CostRule(edges=multiply_sizes))
def block_lift(t: Topology, rows: int, cols: int) -> Parts:
    """Every edge becomes a dense block of rows x cols edges: hardware-friendly blocks of any family.

    This is the Kronecker product with an all-ones matrix. sigma2 / sigma1 stays that of t, so at equal density larger
    blocks have smaller gaps.

    Args:
        t: the topology whose edges become blocks.
        rows: outputs per block, at least 1.
        cols: inputs per block, at least 1.

    Returns:
        A Topology of cols * t.n_in inputs and rows * t.n_out outputs, without names. It has a recipe if t has.

    Raises:
        ValueError: if rows or cols is not an integer >= 1, or a side is 2**31 or larger.

    Example:
        >>> from prewired import Topology
        >>> block_lift(Topology.from_mask([[1, 0], [0, 1]]), 1, 2).biadjacency().toarray()
        array([[1., 1., 0., 0.],
               [0., 0., 1., 1.]])
    """
    for name, value in (("rows", rows), ("cols", cols)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"expected an integer {name} >= 1, got {name}={value!r}")
    n_in, n_out = _sides(cols * t.n_in, rows * t.n_out)
    block = Topology(cols, rows, np.arange(rows + 1) * cols, np.tile(np.arange(cols), rows))
    lifted = kronecker(t, block)
    return n_in, n_out, lifted.indptr, lifted.indices


def _sides(n_in: int, n_out: int) -> tuple[int, int]:
    if max(n_in, n_out) >= 2**31:
        raise ValueError(f"expected sides below 2**31, got {n_in} x {n_out}; multiply smaller topologies")
    return n_in, n_out
