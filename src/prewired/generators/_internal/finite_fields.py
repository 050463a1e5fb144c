"""Finite fields: arithmetic on arrays of the numbers 0..q-1, for every prime power q."""

from functools import cache

import numpy as np


class Field:
    """The field of q = p**k elements; element e stands for the polynomial whose coefficients are e's digits base p.

    For k > 1 polynomials are taken modulo the first monic one of degree k, in the order of those digits, of which x
    generates all q - 1 elements other than zero. So the numbering never changes, and recipes can rely on it.

    Example:
        >>> f = Field(2, 2)
        >>> f.multiply(np.array([1, 2, 3]), np.array([3, 3, 3]))
        array([3, 1, 2])
    """

    def __init__(self, p: int, k: int) -> None:
        self.p, self.k, self.q = p, k, p**k
        self._places = p ** np.arange(k)
        if k > 1:
            powers = next(found for low in range(1, self.q) if (found := _powers_of_x(p, k, low)))
            self._exp = np.array(powers)
            self._log = np.zeros(self.q, np.int64)
            self._log[self._exp] = np.arange(self.q - 1)

    def add(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """a + b."""
        return (self._digits(a) + self._digits(b)) % self.p @ self._places

    def negative(self, a: np.ndarray) -> np.ndarray:
        """-a."""
        return -self._digits(a) % self.p @ self._places

    def multiply(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """a * b."""
        if self.k == 1:
            return a * b % self.p
        return np.where((a == 0) | (b == 0), 0, self._exp[(self._log[a] + self._log[b]) % (self.q - 1)])

    def inverse(self, a: np.ndarray) -> np.ndarray:
        """1 / a; zero where a is."""
        if self.k > 1:
            return np.where(a == 0, 0, self._exp[-self._log[a] % (self.q - 1)])
        power, result, left = a % self.p, np.ones_like(a), self.p - 2
        while left:  # a ** (p - 2)
            result = result * power % self.p if left & 1 else result
            power, left = power * power % self.p, left >> 1
        return np.where(a == 0, 0, result)

    def dot(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The sum of a * b along the last axis, which is short."""
        products = self.multiply(a, b)
        total = products[..., 0]
        for k in range(1, products.shape[-1]):
            total = self.add(total, products[..., k])
        return total

    def _digits(self, a: np.ndarray) -> np.ndarray:
        """The digits base p along a new last axis, each plus a multiple of p."""
        return a[..., None] // self._places


@cache
def field(q: int) -> Field:
    """The field of q elements; raises ValueError unless q is a power of a prime."""
    p = next((d for d in range(2, int(q**0.5) + 1) if q % d == 0), q)
    k = 1
    while p**k < q:
        k += 1
    if q < 2 or p**k != q:
        raise ValueError(f"expected a power of a prime, got q={q}; for example 7, 8, 9")
    return Field(p, k)


def primes(limit: int) -> list[int]:
    """All primes up to limit."""
    sieve = np.ones(max(limit, 1) + 1, bool)
    sieve[:2] = False
    for d in range(2, int(limit**0.5) + 1 if limit > 0 else 0):
        sieve[d * d :: d] &= not sieve[d]
    return np.flatnonzero(sieve).tolist()


def prime_powers(limit: int) -> list[int]:
    """All powers of primes up to limit, the orders of the finite fields.

    Example:
        >>> prime_powers(16)
        [2, 3, 4, 5, 7, 8, 9, 11, 13, 16]
    """
    return sorted(p**k for p in primes(limit) for k in range(1, limit.bit_length()) if p**k <= limit)


def null_space(f: Field, matrices: np.ndarray, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    """The null spaces of a stack of matrices (n, rows, m), all of one dimension, by Gauss and Jordan, all at once.

    Returns bases (n, dimension, m), and (n, dimension) the places of the coordinates with respect to them: where one
    basis vector has a 1 and the others a 0.
    """
    matrices = matrices.copy()
    n, n_rows, m = matrices.shape
    every = np.arange(n)
    rank = np.zeros(n, np.int64)
    pivots = np.full((n, n_rows + 1), -1)
    free = np.ones((n, m), bool)
    for column in range(m):
        usable = (matrices[:, :, column] != 0) & (np.arange(n_rows) >= rank[:, None])
        found = usable.any(axis=1)
        which, row, at = every[found], usable.argmax(axis=1)[found], rank[found]
        pivot = matrices[which, row]
        matrices[which, row] = matrices[which, at]
        pivot = f.multiply(pivot, f.inverse(pivot[:, column])[:, None])
        factors = f.negative(matrices[which, :, column])
        matrices[which] = f.add(matrices[which], f.multiply(factors[:, :, None], pivot[:, None, :]))
        matrices[which, at] = pivot
        pivots[which, at] = column
        free[which, column] = False
        rank[found] += 1
    if (rank != m - dimension).any():
        raise ValueError(f"expected matrices of rank {m - dimension}, got ranks {np.unique(rank).tolist()}")
    unknowns = np.nonzero(free)[1].reshape(n, dimension)
    basis = np.zeros((n, dimension, m), np.int64)
    for k in range(dimension):
        basis[every, k, unknowns[:, k]] = 1
        for row in range(m - dimension):
            basis[every, k, pivots[:, row]] = f.negative(matrices[every, row, unknowns[:, k]])
    return basis, unknowns


def _powers_of_x(p: int, k: int, low: int) -> list[int] | None:
    """x**0, x**1, ..., x**(p**k - 2) modulo x**k + low, as numbers; None unless they are all different."""
    top = p ** (k - 1)
    minus_low = [-(low // p**i) % p for i in range(k)]
    powers, element = [1], p
    while element != 1 and element != 0 and len(powers) < p**k:
        powers.append(element)
        lead, rest = divmod(element, top)
        rest *= p
        element = sum((rest // p**i + lead * minus_low[i]) % p * p**i for i in range(k))
    return powers if element == 1 and len(powers) == p**k - 1 else None
