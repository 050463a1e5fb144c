"""Finite fields: arithmetic on arrays of the numbers 0..q-1, for every prime power q."""

from functools import cache

import numpy as np


class Field:
    """The field of q = p**k elements, which have the numbers 0..q-1.

    Element e is the polynomial whose coefficients are the digits of e in base p. Addition adds the coefficients modulo
    p. Multiplication multiplies polynomials modulo a fixed monic polynomial of degree k, modulo which the powers of x
    are all q - 1 nonzero elements (a primitive polynomial). Of these the first is taken, in the order of the numbers of
    its lower coefficients. So the numbering never changes, and recipes can rely on it.

    Example:
        >>> f = Field(2, 2)
        >>> f.multiply(np.array([1, 2, 3]), np.array([3, 3, 3]))
        array([3, 1, 2])
    """

    def __init__(self, p: int, k: int) -> None:
        self.p, self.k, self.q = p, k, p**k
        self._places = p ** np.arange(k)
        if k > 1:
            # Logarithms to base x turn a product of polynomials into a sum of integers modulo q - 1.
            powers = next(powers for low in range(1, self.q) if (powers := _powers_of_x(p, k, low)))
            self._exp = np.array(powers)
            self._log = np.zeros(self.q, np.int64)
            self._log[self._exp] = np.arange(self.q - 1)

    def add(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return a + b."""
        return (self._digits(a) + self._digits(b)) % self.p @ self._places

    def negative(self, a: np.ndarray) -> np.ndarray:
        """Return -a."""
        return -self._digits(a) % self.p @ self._places

    def multiply(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return a * b."""
        if self.k == 1:
            return a * b % self.p
        return np.where((a == 0) | (b == 0), 0, self._exp[(self._log[a] + self._log[b]) % (self.q - 1)])

    def inverse(self, a: np.ndarray) -> np.ndarray:
        """Return 1 / a, and 0 for a = 0."""
        if self.k > 1:
            return np.where(a == 0, 0, self._exp[-self._log[a] % (self.q - 1)])
        # By Fermat's theorem a**(p - 1) = 1, so a**(p - 2) is the inverse; computed by repeated squaring.
        square, result, exponent = a % self.p, np.ones_like(a), self.p - 2
        while exponent:
            result = result * square % self.p if exponent & 1 else result
            square, exponent = square * square % self.p, exponent >> 1
        return np.where(a == 0, 0, result)

    def dot(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the sum of a * b along the last axis, which should be short: it is a Python loop."""
        products = self.multiply(a, b)
        total = products[..., 0]
        for k in range(1, products.shape[-1]):
            total = self.add(total, products[..., k])
        return total

    def _digits(self, a: np.ndarray) -> np.ndarray:
        """Return the digits base p along a new last axis, each plus a multiple of p, which sums modulo p remove."""
        return a[..., None] // self._places


@cache
def field(q: int) -> Field:
    """Return the field of q elements; raises ValueError unless q is a power of a prime."""
    p = next((d for d in range(2, int(q**0.5) + 1) if q % d == 0), q)
    k = 1
    while p**k < q:
        k += 1
    if q < 2 or p**k != q:
        raise ValueError(f"expected a power of a prime, got q={q}; for example 7, 8, 9")
    return Field(p, k)


def primes(limit: int) -> list[int]:
    """Return all primes up to limit, by the sieve of Eratosthenes."""
    sieve = np.ones(max(limit, 1) + 1, bool)
    sieve[:2] = False
    for d in range(2, int(limit**0.5) + 1 if limit > 0 else 0):
        sieve[d * d :: d] &= not sieve[d]
    return np.flatnonzero(sieve).tolist()


def prime_powers(limit: int) -> list[int]:
    """Return all powers of primes up to limit, sorted: the orders of the finite fields.

    Example:
        >>> prime_powers(16)
        [2, 3, 4, 5, 7, 8, 9, 11, 13, 16]
    """
    return sorted(p**k for p in primes(limit) for k in range(1, limit.bit_length()) if p**k <= limit)


def null_space(f: Field, matrices: np.ndarray, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    """Return bases of the null spaces of many matrices, by Gauss-Jordan elimination of all matrices at once.

    Args:
        f: the field.
        matrices: (n, rows, m); all must have rank m - dimension.
        dimension: of every null space.

    Returns:
        The bases, (n, dimension, m), and the free columns, (n, dimension): at the k-th of them basis vector k has a 1
        and the others have a 0, so a vector's entries there are its coordinates.

    Raises:
        ValueError: if a matrix has another rank.
    """
    matrices = matrices.copy()
    n, n_rows, m = matrices.shape
    every = np.arange(n)
    rank = np.zeros(n, np.int64)
    pivots = np.full((n, n_rows + 1), -1)
    free = np.ones((n, m), bool)
    for column in range(m):
        # A pivot is a nonzero entry below the rows that have one already. Matrices without any skip the column.
        usable = (matrices[:, :, column] != 0) & (np.arange(n_rows) >= rank[:, None])
        has_pivot = usable.any(axis=1)
        matrix_numbers, row, at = every[has_pivot], usable.argmax(axis=1)[has_pivot], rank[has_pivot]
        # Swap the pivot's row up and scale it so that the pivot is 1.
        pivot = matrices[matrix_numbers, row]
        matrices[matrix_numbers, row] = matrices[matrix_numbers, at]
        pivot = f.multiply(pivot, f.inverse(pivot[:, column])[:, None])
        # Subtract multiples of this row so that the column is 0 in all other rows.
        factors = f.negative(matrices[matrix_numbers, :, column])
        matrices[matrix_numbers] = f.add(matrices[matrix_numbers], f.multiply(factors[:, :, None], pivot[:, None, :]))
        matrices[matrix_numbers, at] = pivot
        pivots[matrix_numbers, at] = column
        free[matrix_numbers, column] = False
        rank[has_pivot] += 1
    if (rank != m - dimension).any():
        raise ValueError(f"expected matrices of rank {m - dimension}, got ranks {np.unique(rank).tolist()}")
    # Each free column gives one basis vector: 1 there, and in every pivot column minus the entry of the free column.
    unknowns = np.nonzero(free)[1].reshape(n, dimension)
    basis = np.zeros((n, dimension, m), np.int64)
    for k in range(dimension):
        basis[every, k, unknowns[:, k]] = 1
        for row in range(m - dimension):
            basis[every, k, pivots[:, row]] = f.negative(matrices[every, row, unknowns[:, k]])
    return basis, unknowns


def _powers_of_x(p: int, k: int, low: int) -> list[int] | None:
    """Return x**0, ..., x**(p**k - 2) modulo x**k + low, as numbers; None unless all are different."""
    top = p ** (k - 1)
    minus_low = [-(low // p**i) % p for i in range(k)]
    powers, element = [1], p
    while element != 1 and element != 0 and len(powers) < p**k:
        powers.append(element)
        # Multiply by x: the digits move up, and x**k is replaced by -low.
        lead, digits = divmod(element, top)
        digits *= p
        element = sum((digits // p**i + lead * minus_low[i]) % p * p**i for i in range(k))
    return powers if element == 1 and len(powers) == p**k - 1 else None
