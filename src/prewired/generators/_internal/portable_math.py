"""Elementary functions that give the same bits on every machine.

The last bit of `np.exp` or `np.log` depends on the processor and on the library, and so would a graph that is drawn
with them. The functions here use only additions, multiplications and divisions of arrays, which IEEE 754 rounds the
same way everywhere. They are accurate to a few units in the last place. Sums are taken in a fixed order.
"""

import math

import numpy as np

_LN2 = 0.6931471805599453
_TERMS = 16


def log(x: np.ndarray) -> np.ndarray:
    """Return the natural logarithm of positive numbers: 2 artanh((m - 1) / (m + 1)) + e ln 2 for x = m 2^e, m near 1.

    Example:
        >>> bool(abs(log(np.array([10.0]))[0] - 2.302585092994046) < 1e-15)
        True
    """
    # m in [sqrt(1/2), sqrt(2)) makes |z| < 0.18: the series then has converged after 16 terms, and log(1) is exactly 0.
    m, e = np.frexp(x)
    low = m < math.sqrt(0.5)
    m, e = np.where(low, 2 * m, m), e - low
    z = (m - 1) / (m + 1)
    square = z * z
    series = np.zeros_like(z)
    for k in reversed(range(_TERMS)):  # Horner's rule, so that small terms are added first
        series = series * square + 1 / (2 * k + 1)
    return e * _LN2 + 2 * z * series


def exp(x: np.ndarray) -> np.ndarray:
    """Return the exponential function, by Taylor's series around the nearest multiple of ln 2; 0 below about -745.

    Example:
        >>> bool(abs(exp(np.array([1.0]))[0] - 2.718281828459045) < 1e-15)
        True
    """
    # exp(x) = 2^k exp(remainder) with |remainder| <= ln(2) / 2, where 16 terms of the series suffice.
    k = np.rint(np.maximum(x, -1000.0) / _LN2)
    remainder = np.maximum(x, -1000.0) - k * _LN2
    series = np.ones_like(remainder)
    for n in reversed(range(1, _TERMS)):
        series = 1 + series * remainder / n
    return np.ldexp(series, k.astype(np.int32))


def sum_pairwise(x: np.ndarray) -> float:
    """Return the sum of a vector, by adding its second half to its first until one number is left.

    `np.sum` chooses its order by the processor's vector length, which changes the rounding.
    """
    while len(x) > 1:
        half = len(x) // 2
        x = np.append(x[:half] + x[half : 2 * half], x[2 * half :])
    return float(x[0]) if len(x) else 0.0


def normal_quantiles(n: int) -> np.ndarray:
    """Return the quantiles of the standard normal distribution at (k + 1/2) / n, k = 0..n-1, to about six digits.

    Example:
        >>> normal_quantiles(3).round(4) + 0.0
        array([-0.9674,  0.    ,  0.9674])
    """
    # The trapezoidal rule on a grid of 1/1024 from -9 to 9 gives the distribution function up to a factor. The tails
    # beyond hold less than 1e-18.
    x = np.arange(-9 * 1024, 9 * 1024 + 1) / 1024
    density = exp(-x * x / 2)
    below = np.append(0.0, np.cumsum((density[1:] + density[:-1]) / 2))
    # Invert this function by linear interpolation; dividing by its last value replaces the factor.
    targets = (np.arange(n) + 0.5) / n * below[-1]
    k = np.searchsorted(below, targets, side="right") - 1
    return x[k] + (targets - below[k]) / (below[k + 1] - below[k]) / 1024
