"""The two largest singular values with bounds, and what such bounds rest on."""

import math
from typing import Any, NamedTuple

import numpy as np

from .lanczos import FAILURE
from .measurement import Measurement

EPSILON = float(np.finfo(float).eps)
COMPLETE = "closed form, every edge checked"
LAPACK = "backward error of LAPACK's SVD"
SYMMETRY = "closed form, symmetry checked on every edge"
FACTORISED = "inertia by sparse factorisation"
CHOLESKY = "inertia by dense Cholesky factorisation"
PERRON = "Perron-Frobenius: a positive vector and its residual"
RANDOM_START = f"random start: a larger value is missed with a probability below {FAILURE:g}"


class Leading(NamedTuple):
    """The largest two singular values, and the vectors of the second where they were asked for.

    Attributes:
        first, second: sigma1 and sigma2; 0 where there is none.
        left, right: (n_out,) and (n_in,), of length 1, the singular vectors of sigma2.
    """

    first: Measurement
    second: Measurement
    left: np.ndarray | None = None
    right: np.ndarray | None = None


def bounded_pair(values: Any, error: float, method: str, certificate: str) -> Leading:
    """Of all singular values, descending, each to an absolute error; a missing one is 0."""
    first, second = (_around(float(value), error, method, certificate) for value in (*values[:2], 0.0)[:2])
    return Leading(first, second if len(values) > 1 else second._replace(high=0.0))


def _around(value: float, error: float, method: str, certificate: str) -> Measurement:
    return Measurement(value, max(value - error, 0.0), value + error, method, certificate)


def root(square: float) -> float:
    return math.sqrt(max(square, 0.0))
