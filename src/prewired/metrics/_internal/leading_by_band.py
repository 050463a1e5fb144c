"""The two largest singular values of a matrix that is a long narrow band, by factorisation."""

import math
from typing import Any

import numpy as np
import scipy.sparse

from ..measurement import Measurement
from . import inertia
from .connected_blocks import Block
from .leading_pair import FACTORISED, LeadingPair

_LEVELS, _SHARE = 30, 0.1


def is_bandlike(m: Any, transposed: Any) -> bool:
    """Whether a breadth-first search of 30 steps from the first output reaches at most a tenth of all units.

    In a long band each step reaches only the next few units, in an expander a few steps reach most of them. The search
    is a cheap test before anything is ordered or factorised.

    Args:
        m: CSR array (n_out, n_in).
        transposed: its transpose, CSR.
    """
    visited_outputs, visited_inputs = np.zeros(m.shape[0], bool), np.zeros(m.shape[1], bool)
    frontier = np.flatnonzero(np.diff(m.indptr))[:1]
    visited_outputs[frontier] = True
    n_reached = 0
    for level in range(_LEVELS):
        from_outputs = level % 2 == 0
        neighbours = np.unique((m if from_outputs else transposed)[frontier].indices)
        visited = visited_inputs if from_outputs else visited_outputs
        frontier = neighbours[~visited[neighbours]]
        visited[frontier] = True
        n_reached += len(frontier)
        if n_reached > _SHARE * sum(m.shape):
            return False
    # An empty frontier means a small component, where other methods are as cheap.
    return len(frontier) > 0


def solve_by_band(block: Block, transposed: Any, vectors: bool) -> LeadingPair | None:
    """sigma1 and sigma2 of a block of one matrix, with bounds by inertia; None if the band is wide or a proof fails.

    The matrix A = [[0, B^T], [B, 0]] has the singular values of B and their negatives as eigenvalues, so sigma1 and
    sigma2 are its two largest eigenvalues. A keeps the band; B^T B would double its width and square the values.

    Args:
        block: a connected block that consists of one matrix B (n_out, n_in).
        transposed: B^T, CSR.
        vectors: also give the singular vectors of sigma2.
    """
    (m,), guess = block.matrices, block.guess
    adjacency = scipy.sparse.csr_array(scipy.sparse.block_array([[None, transposed], [m, None]]))
    band = inertia.order_as_band(adjacency)
    if band is None:
        return None
    # Shift and invert needs a shift a little above sigma1. For a positive vector x, sigma1^2 lies between the Rayleigh
    # quotient of B^T B and the largest quotient (B^T B x)_i / x_i (Collatz and Wielandt). With a good guess both are
    # close to sigma1^2.
    image = transposed @ (m @ guess)
    live = image > 0
    low, bound = float(np.sqrt(guess @ image / (guess @ guess))), float(np.sqrt((image[live] / guess[live]).max()))
    eigenpairs = inertia.find_largest(band, bound * (1 + 1e-7), 2)
    if eigenpairs is None:
        # The shift is too far above sigma1 to separate the values: bisect by inertia to move it close, and try again.
        bound = inertia.find_shift_above(band, low, bound * (1 + 1e-7))
        eigenpairs = inertia.find_largest(band, bound * (1 + 1e-9), 2)
    if eigenpairs is None:
        return None
    # The iteration may have missed an eigenvalue. Counting the eigenvalues above and below each value proves its rank.
    measurements = []
    for rank, value in enumerate(float(v) for v in eigenpairs[0]):
        low, high = inertia.bracket_eigenvalue(band, value, rank, bound)
        if not low <= value <= high:
            return None
        measurements.append(Measurement(value, low, high, f"shift and invert, band of {band.width}", FACTORISED))
    pair = LeadingPair(measurements[0], measurements[1])
    if not vectors:
        return pair
    # An eigenvector of A is (right, left) / sqrt(2).
    x = eigenpairs[1][:, 1] * math.sqrt(2.0)
    return pair._replace(left=x[m.shape[1] :], right=x[: m.shape[1]])
