"""The two largest singular values with bounds, and the certificates that such bounds can have."""

import math
from typing import Any, NamedTuple

import numpy as np

from ..measurement import Measurement
from .lanczos import FAILURE

EPSILON = float(np.finfo(float).eps)
COMPLETE = "closed form, every edge checked"
LAPACK = "backward error of LAPACK's SVD"
SYMMETRY = "closed form, symmetry checked on every edge"
FACTORISED = "inertia by sparse factorisation"
CHOLESKY = "inertia by dense Cholesky factorisation"
RESIDUAL = "residual of a vector, and the upper bound of sigma2"
RANDOM_START = f"random start: a larger value is missed with a probability below {FAILURE:g}"
NORM = "largest row sums and column sums, as a factorisation refuted the bound of every start"


class LeadingPair(NamedTuple):
    """The two largest singular values and, on request, the singular vectors of the second.

    Attributes:
        first, second: sigma1 and sigma2; a matrix that has only one singular value has sigma2 = 0.
        left, right: (n_out,) and (n_in,), of length 1, the singular vectors of sigma2.
    """

    first: Measurement
    second: Measurement
    left: np.ndarray | None = None
    right: np.ndarray | None = None


def enclose_pair(values: Any, error: float, method: str, certificate: str) -> LeadingPair:
    """Put bounds at value - error and value + error around sigma1 and sigma2.

    Args:
        values: all singular values, descending; if there is only one, sigma2 is exactly 0.
        error: the largest absolute error of each value.
        method, certificate: those of the Measurements.
    """
    first, second = (_enclose(float(value), error, method, certificate) for value in (*values[:2], 0.0)[:2])
    return LeadingPair(first, second if len(values) > 1 else second._replace(high=0.0))


def _enclose(value: float, error: float, method: str, certificate: str) -> Measurement:
    return Measurement(value, max(value - error, 0.0), value + error, method, certificate)


def root_or_zero(square: float) -> float:
    """The square root, 0 for a negative number: an eigenvalue that should be >= 0 may be rounded below 0."""
    return math.sqrt(max(square, 0.0))
