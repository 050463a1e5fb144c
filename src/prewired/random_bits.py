"""The frozen random stream that recipes rely on.

A recipe must give the same graph on every machine and with every version of NumPy. The methods of
`numpy.random.Generator` do not promise this: NumPy may change their streams. So this file takes from NumPy only the raw
64-bit words of the counter-based generator Philox-4x64 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
SC 2011), which NumPy does promise. Bounded integers, permutations and samples are computed from these words below.

Every line that changes a value, or the number of words taken, changes every recipe. The golden digests in the tests
then fail. Large arrays are filled in pieces of `_CHUNK` elements: this saves memory and does not change any value.
"""

import hashlib

import numpy as np

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_CHUNK = 1 << 18


class RandomBits:
    """A stream of random words that is fixed by a seed and a label.

    Args:
        seed: any integer >= 0.
        label: what the words are for; streams with different labels are independent.

    Raises:
        ValueError: if the seed is not an integer >= 0.

    Example:
        >>> RandomBits(0, "doc").permutation(5)
        array([0, 4, 1, 2, 3])
    """

    def __init__(self, seed: int, label: str) -> None:
        seed = check_seed(seed)
        # Philox gives unrelated streams for different keys. Hashing spreads seeds and labels over all 2**128 keys, so
        # seeds 0 and 1, or two labels at one seed, have no key in common.
        key = hashlib.sha256(f"prewired:{label}:{seed}".encode()).digest()[:16]
        self._philox = np.random.Philox(key=int.from_bytes(key, "little"))

    def words(self, n: int) -> np.ndarray:
        """Return the next `n` words, (n,) uint64."""
        return self._philox.random_raw(n)

    def integers(self, bound: int, n: int) -> np.ndarray:
        """Return `n` independent uniform integers in [0, bound), (n,) int64 (Lemire, ACM TOMACS 29(1), 2019)."""
        if not 0 < bound <= 2**62:
            raise ValueError(f"expected 0 < bound <= 2**62, got bound={bound}")
        # The high word of word * bound is an integer in [0, bound). Each integer has floor(2**64 / bound) or one more
        # words that lead to it. Rejecting the words with the smallest low words leaves exactly as many for each.
        reject_below = np.uint64((2**64 - bound) % bound)
        result = np.empty(n, np.int64)
        n_accepted = 0
        while n_accepted < n:  # a rejected word is replaced by the next word of the stream
            high, low = _multiply(self.words(min(n - n_accepted, _CHUNK)), bound)
            accepted = high[low >= reject_below]
            result[n_accepted : n_accepted + len(accepted)] = accepted
            n_accepted += len(accepted)
        return result

    def permutation(self, n: int) -> np.ndarray:
        """Return a uniform permutation of 0..n-1, (n,) int64.

        Each number gets a random key, and the numbers are sorted by their keys. The low bits of a key are the number
        itself, so no two keys are equal: every sorting algorithm, stable or not, gives the same order.
        """
        bits = np.uint64(max(n - 1, 1).bit_length())
        keys = self.words(n)
        # Clear the low bits to make room for the number. The other bits decide the order.
        keys >>= bits
        keys <<= bits
        for start in range(0, n, _CHUNK):
            keys[start : start + _CHUNK] |= np.arange(start, min(start + _CHUNK, n), dtype=np.uint64)
        keys.sort()
        keys &= (np.uint64(1) << bits) - np.uint64(1)  # what is left of each key is the number
        return keys.view(np.int64)

    def sample(self, n: int, size: int) -> np.ndarray:
        """Return `size` distinct integers of [0, n), sorted, (size,) int64, uniform over all such sets; O(size)."""
        return self.sample_rows(1, n, size)

    def sample_rows(self, n_rows: int, n: int, size: int) -> np.ndarray:
        """Return for each of `n_rows` rows a uniform set of `size` distinct integers of [0, n).

        The result holds cells, row * n + integer, sorted, (n_rows * size,) int64. Integers are drawn with replacement;
        repeated ones are removed and as many are drawn again, until none is missing. The first distinct values of a
        uniform sequence are a uniform set. Memory is that of the result.
        """
        if not 0 <= size <= n:
            raise ValueError(f"expected 0 <= size <= n, got size={size} with n={n}")
        # Almost full rows would need very many draws for their last values. The complement of a uniform set is
        # uniform too, so rows more than half full draw the integers that are absent.
        if 2 * size > n:
            present = np.ones(n_rows * n, bool)
            present[self.sample_rows(n_rows, n, n - size)] = False
            return np.flatnonzero(present)
        first_cells = np.arange(n_rows, dtype=np.int64) * n
        # cells[:n_distinct] are final. Every element behind is the first cell of a row that lacks a value, once for
        # each value that it lacks; adding an integer of [0, n) turns the element into a cell of this row.
        cells, n_distinct = np.repeat(first_cells, size), 0
        while n_distinct < len(cells):
            candidates = cells[n_distinct:]
            for start in range(0, len(candidates), _CHUNK):
                chunk = candidates[start : start + _CHUNK]
                chunk += self.integers(n, len(chunk))
            candidates.sort()
            cells.sort(kind="stable")  # two sorted runs, which the stable sort merges in one pass
            # Equal cells now lie side by side, and all but the first of them are removed. A final cell and a repeated
            # draw of the cell are the same number, so the removal cannot lose a final cell.
            n_distinct = _move_distinct_to_front(cells)
            missing = size - np.diff(np.searchsorted(cells[:n_distinct], first_cells), append=n_distinct)
            cells[n_distinct:] = np.repeat(first_cells, missing)
        return cells

    def integers_below(self, bounds: np.ndarray) -> np.ndarray:
        """Return for every k one integer in [0, bounds[k]), int64.

        No word is rejected, so that each k takes exactly one word. The integers are uniform up to bounds[k] / 2**64.
        """
        return _multiply(self.words(len(bounds)), bounds)[0]

    def permutations(self, n_rows: int, n: int) -> np.ndarray:
        """Return a uniform permutation of 0..n-1 in each row of an (n_rows, n) array, int64; see `permutation`."""
        bits = np.uint64(max(n - 1, 1).bit_length())
        keys = self.words(n_rows * n).reshape(n_rows, n) >> bits << bits | np.arange(n, dtype=np.uint64)
        keys.sort(axis=1)
        return (keys & ((np.uint64(1) << bits) - np.uint64(1))).view(np.int64)

    def coins(self, probability: float, n: int) -> np.ndarray:
        """Return `n` independent booleans, (n,), each true with the given probability (to 53 bits)."""
        return self.fractions(n) < probability

    def fractions(self, n: int) -> np.ndarray:
        """Return `n` independent uniform numbers in [0, 1), (n,) float64, multiples of 2**-53."""
        # A float64 holds 53 bits. With 53 bits of each word, conversion and scaling are exact on every machine.
        return (self.words(n) >> np.uint64(11)) * 2.0**-53


def derive_seed(seed: int, label: str) -> int:
    """Return a seed in [0, 2**32) for one part of a whole, such as one layer of a network.

    Example:
        >>> derive_seed(0, "layer 0") != derive_seed(0, "layer 1")
        True
    """
    return int(RandomBits(seed, label).words(1)[0] >> _HALF)


def check_seed(seed: int) -> int:
    """Return the seed as a Python int; raises ValueError unless the seed is an integer >= 0."""
    if isinstance(seed, bool | np.bool_) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"expected an integer seed >= 0, got seed={seed!r}; the same seed gives the same graph")
    return int(seed)


def _move_distinct_to_front(values: np.ndarray) -> int:
    """Move the distinct values of a sorted array to the front, in their order; return how many there are.

    The array is changed in place and in pieces: a value never moves to a place that is still to be read.
    """
    is_first = np.append(True, values[1:] != values[:-1])
    n_distinct = 0
    for start in range(0, len(values), _CHUNK):
        distinct = values[start : start + _CHUNK][is_first[start : start + _CHUNK]]
        values[n_distinct : n_distinct + len(distinct)] = distinct
        n_distinct += len(distinct)
    return n_distinct


def _multiply(words: np.ndarray, bound: int | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the high (int64) and the low (uint64) words of the 128-bit products words * bound.

    NumPy has no 128-bit integers. So the product is computed as by hand, with digits of 32 bits: each partial sum is
    below 2**64 and cannot overflow.
    """
    factor = np.asarray(bound, np.uint64)
    b_low, b_high = factor & _LOW, factor >> _HALF
    w_low, w_high = words & _LOW, words >> _HALF
    low_low = w_low * b_low
    first_middle = w_high * b_low + (low_low >> _HALF)  # with the carry of the lowest digit
    second_middle = w_low * b_high + (first_middle & _LOW)
    high = w_high * b_high + (first_middle >> _HALF) + (second_middle >> _HALF)
    return high.view(np.int64), words * factor  # multiplication of uint64 wraps round: this is the low word
