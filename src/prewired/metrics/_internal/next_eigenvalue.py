"""The largest eigenvalue of a symmetric map beside a vector that is already known, and what proves its upper bound."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..measurement import Progress
from . import inertia
from .lanczos import FAILURE, Map, Ritz, find_largest_eigenvalue
from .leading_pair import CHOLESKY, NORM, RANDOM_START

TOP_STREAM = 1
"""The random stream of the run that finds the vector of the largest eigenvalue."""
STREAMS = (0, 2, 3)
"""The streams tried for the next eigenvalue; TOP_STREAM is none of them, as its vector depends on it (lanczos.py)."""
_MARGIN = 1e-10  # relative to the scale: with less, rounding hides from Cholesky that a matrix is positive definite


class NextEigenvalue(NamedTuple):
    """The largest eigenvalue on the space orthogonal to a vector.

    Attributes:
        ritz: the result of the iteration; `ritz.value` is the value.
        upper: an upper bound of the second largest eigenvalue of the whole map.
        certificate, confidence: what proves the upper bound, and the probability with which it holds.
    """

    ritz: Ritz
    upper: float
    certificate: str
    confidence: float


def find_next_eigenvalue(
    apply: Map,
    top: np.ndarray,
    scale: float,
    *,
    residual: float,
    rounding: float,
    limit: float,
    form_dense: Callable[[], np.ndarray | None] | None,
    vector: bool = False,
    progress: Progress | None = None,
) -> NextEigenvalue:
    """Compute the largest eigenvalue of a symmetric map G on the space orthogonal to an approximate eigenvector.

    By Cauchy's interlacing that value is at least the second largest eigenvalue of G, whatever the vector is. So an
    upper bound of it holds for the second largest eigenvalue too, and errors of the vector only make it less tight.

    The bound of a random start fails with a small probability, of which the iteration knows nothing. A factorisation
    decides: it proves a bound, or it refutes the bound of the start. After a refutation another start is made, and no
    bound of a refuted start is ever returned.

    Args:
        apply: the map G, x (n,) -> (n,).
        top: (n,), of length 1, an approximate eigenvector of the largest eigenvalue.
        scale: the approximate largest absolute eigenvalue, above 0.
        residual: the length of the part of G top orthogonal to top.
        rounding: the length of the error of apply(x) for an x of length 1, relative to the scale.
        limit: an upper bound of the value that is certain.
        form_dense: makes G as a dense matrix for a factorisation, or None if that is too large; None to factorise none.
        vector: also compute the eigenvector.
        progress: called during the iterations.

    Raises:
        RuntimeError: if an iteration does not converge.
    """
    n = len(top)
    ritz = None
    for stream in STREAMS:
        ritz = find_largest_eigenvalue(
            apply, n, scale, rounding=rounding, without=top, stream=stream, vector=vector, progress=progress
        )
        if form_dense is None or n > inertia.MOST_DENSE_ROWS:
            return NextEigenvalue(ritz, min(ritz.upper, limit), RANDOM_START, 1 - FAILURE)
        # With top left out by G - scale top top', the largest eigenvalue is not that on the orthogonal space, but at
        # most the larger eigenvalue of [[0, residual], [residual, upper]]: this much above `upper`.
        above = max(ritz.upper, 0.0)
        leak = math.hypot(above / 2, residual) - above / 2
        noise = rounding * scale * math.sqrt(ritz.steps)
        # First a number just above the value, which gives the tightest bound; then one so far above the bound of the
        # start that rounding cannot make Cholesky fail if that bound holds.
        close = ritz.value + _MARGIN * scale
        ample = max(close, ritz.upper + leak + 2 * noise + inertia.bound_safe_margin(top, scale))
        for s in (close, ample):
            matrix = form_dense()
            if matrix is None:
                return NextEigenvalue(ritz, min(ritz.upper, limit), RANDOM_START, 1 - FAILURE)
            proven, error = inertia.prove_below(matrix, s, top, scale)
            if proven:
                return NextEigenvalue(ritz, min(s + error + noise, limit), CHOLESKY, 1.0)
    assert ritz is not None
    return NextEigenvalue(ritz, limit, NORM, 1.0)
