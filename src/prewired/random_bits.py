"""The frozen random stream that recipes rely on.

A recipe must give the same graph on every machine and with every version of NumPy. So nothing here calls a method of
`numpy.random.Generator`, whose streams may change: all randomness is raw 64-bit words of Philox-4x64 (Salmon et al.,
"Parallel random numbers: as easy as 1, 2, 3", SC 2011), which NumPy guarantees, and everything else (bounded integers,
permutations, samples) is derived from those words below. Changing a line here changes every recipe: the golden digests
in the tests say so.
"""

import hashlib

import numpy as np

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_CHUNK = 1 << 18


class RandomBits:
    """A stream of random words, fixed by a seed and a label.

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
        key = hashlib.sha256(f"prewired:{label}:{seed}".encode()).digest()[:16]
        self._philox = np.random.Philox(key=int.from_bytes(key, "little"))

    def words(self, n: int) -> np.ndarray:
        """The next `n` words, uint64."""
        return self._philox.random_raw(n)

    def integers(self, bound: int, n: int) -> np.ndarray:
        """`n` independent uniform integers in [0, bound), int64 (Lemire, ACM TOMACS 29(1), 2019)."""
        if not 0 < bound <= 2**62:
            raise ValueError(f"expected 0 < bound <= 2**62, got bound={bound}")
        reject_below = np.uint64((2**64 - bound) % bound)
        result = np.empty(n, np.int64)
        filled = 0
        while filled < n:
            high, low = _multiply(self.words(min(n - filled, _CHUNK)), bound)
            kept = high[low >= reject_below]
            result[filled : filled + len(kept)] = kept
            filled += len(kept)
        return result

    def permutation(self, n: int) -> np.ndarray:
        """A uniform permutation of 0..n-1, int64.

        Sorts random keys whose low bits are the index itself: no two keys are equal, so every sorting algorithm gives
        the same answer.
        """
        bits = np.uint64(max(n - 1, 1).bit_length())
        keys = self.words(n)
        keys >>= bits
        keys <<= bits
        for start in range(0, n, _CHUNK):
            keys[start : start + _CHUNK] |= np.arange(start, min(start + _CHUNK, n), dtype=np.uint64)
        keys.sort()
        keys &= (np.uint64(1) << bits) - np.uint64(1)
        return keys.view(np.int64)

    def sample(self, n: int, size: int) -> np.ndarray:
        """`size` distinct integers of [0, n), uniform over all such sets, sorted, int64; memory O(size)."""
        return self.sample_rows(1, n, size)

    def sample_rows(self, n_rows: int, n: int, size: int) -> np.ndarray:
        """For each of `n_rows` rows a set of `size` distinct integers of [0, n); returned as row*n + value, sorted.

        Draws as many values as are missing until none is: the first distinct values of a uniform sequence are a
        uniform set. Sets larger than half are drawn as their complement. All is done in the memory of the result.
        """
        if not 0 <= size <= n:
            raise ValueError(f"expected 0 <= size <= n, got size={size} with n={n}")
        if 2 * size > n:
            present = np.ones(n_rows * n, bool)
            present[self.sample_rows(n_rows, n, n - size)] = False
            return np.flatnonzero(present)
        rows = np.arange(n_rows, dtype=np.int64) * n
        cells, kept = np.repeat(rows, size), 0
        while kept < len(cells):
            drawn = cells[kept:]
            for start in range(0, len(drawn), _CHUNK):
                part = drawn[start : start + _CHUNK]
                part += self.integers(n, len(part))
            drawn.sort()
            cells.sort(kind="stable")  # two sorted runs, which a stable sort merges
            kept = _distinct(cells)
            missing = size - np.diff(np.searchsorted(cells[:kept], rows), append=kept)
            cells[kept:] = np.repeat(rows, missing)
        return cells

    def integers_below(self, bounds: np.ndarray) -> np.ndarray:
        """One integer in [0, bounds[k]) for every k, uniform but for 1 part in 2**64 / bounds[k], int64."""
        return _multiply(self.words(len(bounds)), bounds)[0]

    def permutations(self, n_rows: int, n: int) -> np.ndarray:
        """A uniform permutation of 0..n-1 in each row of an (n_rows, n) array, int64; see `permutation`."""
        bits = np.uint64(max(n - 1, 1).bit_length())
        keys = self.words(n_rows * n).reshape(n_rows, n) >> bits << bits | np.arange(n, dtype=np.uint64)
        keys.sort(axis=1)
        return (keys & ((np.uint64(1) << bits) - np.uint64(1))).view(np.int64)

    def coins(self, probability: float, n: int) -> np.ndarray:
        """`n` independent booleans, true with the given probability (to 53 bits)."""
        return self.fractions(n) < probability

    def fractions(self, n: int) -> np.ndarray:
        """`n` independent uniform numbers in [0, 1), multiples of 2**-53."""
        return (self.words(n) >> np.uint64(11)) * 2.0**-53


def derive_seed(seed: int, label: str) -> int:
    """A seed in [0, 2**32) for one part of a whole, such as one layer of a network.

    Example:
        >>> derive_seed(0, "layer 0") != derive_seed(0, "layer 1")
        True
    """
    return int(RandomBits(seed, label).words(1)[0] >> _HALF)


def check_seed(seed: int) -> int:
    """The seed as a Python int; raises ValueError unless it is an integer >= 0."""
    if isinstance(seed, bool | np.bool_) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"expected an integer seed >= 0, got seed={seed!r}; the same seed gives the same graph")
    return int(seed)


def _distinct(values: np.ndarray) -> int:
    """Move the distinct ones of sorted values to the front, in their order; returns how many there are."""
    fresh = np.append(True, values[1:] != values[:-1])
    kept = 0
    for start in range(0, len(values), _CHUNK):
        part = values[start : start + _CHUNK][fresh[start : start + _CHUNK]]
        values[kept : kept + len(part)] = part
        kept += len(part)
    return kept


def _multiply(words: np.ndarray, bound: int | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """High (int64) and low (uint64) words of the 128-bit products words * bound."""
    factor = np.asarray(bound, np.uint64)
    b_low, b_high = factor & _LOW, factor >> _HALF
    w_low, w_high = words & _LOW, words >> _HALF
    low_low = w_low * b_low
    middle = w_high * b_low + (low_low >> _HALF)
    other = w_low * b_high + (middle & _LOW)
    high = w_high * b_high + (middle >> _HALF) + (other >> _HALF)
    return high.view(np.int64), words * factor
