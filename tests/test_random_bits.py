import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prewired import random_bits
from prewired.random_bits import RandomBits, derive_seed


def test_the_stream_is_frozen():
    bits = RandomBits(12345, "golden")
    drawn = [bits.words(3), bits.integers(1000, 50), bits.permutation(100), bits.sample_rows(5, 20, 8)]
    digest = hashlib.sha256(b"".join(a.astype("<i8").tobytes() for a in drawn)).hexdigest()
    assert digest == "4e298edbabf0aedf616c82095889182f980d73fe9bb85b128fb921a8cac51727"


def test_words_follow_the_definition():
    key = int.from_bytes(hashlib.sha256(b"prewired:label:7").digest()[:16], "little")
    np.testing.assert_array_equal(RandomBits(7, "label").words(9), np.random.Philox(key=key).random_raw(9))


@given(bound=st.integers(1, 2**62), seed=st.integers(0, 2**70))
def test_integers_are_the_high_word_of_the_product(bound, seed):
    words = [int(w) for w in RandomBits(seed, "x").words(40)]
    expected = [w * bound >> 64 for w in words if (w * bound) % 2**64 >= 2**64 % bound]
    got = RandomBits(seed, "x").integers(bound, len(expected))
    assert got.tolist() == expected
    assert all(0 <= value < bound for value in got.tolist())


def test_integers_are_uniform():
    counts = np.bincount(RandomBits(0, "uniform").integers(10, 100_000), minlength=10)
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 27.9  # chi-square with 9 degrees of freedom, p = 0.001


@pytest.mark.parametrize("n", [0, 1, 2, 3, 17, 1000])
def test_permutation_holds_every_number_once(n):
    assert sorted(RandomBits(3, "p").permutation(n).tolist()) == list(range(n))


def test_permutations_are_uniform():
    bits = RandomBits(0, "uniform")
    codes = [int(np.dot(bits.permutation(3), [9, 3, 1])) for _ in range(6000)]
    counts = np.unique(codes, return_counts=True)[1]
    assert len(counts) == 6
    assert ((counts - 1000) ** 2 / 1000).sum() < 20.5  # 5 degrees of freedom, p = 0.001


@given(n=st.integers(1, 60), rows=st.integers(1, 6), data=st.data())
def test_samples_are_sorted_sets_of_the_right_size(n, rows, data):
    size = data.draw(st.integers(0, n))
    cells = RandomBits(1, "s").sample_rows(rows, n, size)
    assert (np.diff(cells) > 0).all()
    assert (np.bincount(cells // n, minlength=rows) == size).all()


@given(n=st.integers(1, 40), rows=st.integers(1, 6), data=st.data())
def test_samples_are_the_first_distinct_values_of_the_rounds(n, rows, data):
    size = data.draw(st.integers(0, n // 2))
    bits, expected = RandomBits(2, "s"), [set() for _ in range(rows)]
    while missing := [row for row in range(rows) for _ in range(size - len(expected[row]))]:
        for row, value in zip(missing, bits.integers(n, len(missing)).tolist(), strict=True):
            expected[row].add(value)
    again = RandomBits(2, "s")
    cells = again.sample_rows(rows, n, size)
    assert cells.tolist() == [row * n + value for row in range(rows) for value in sorted(expected[row])]
    assert again.words(1)[0] == bits.words(1)[0]  # and no word more


def test_samples_do_not_depend_on_how_the_draws_are_cut(monkeypatch):
    expected = RandomBits(4, "s").sample_rows(3, 300, 140)
    monkeypatch.setattr(random_bits, "_CHUNK", 7)
    np.testing.assert_array_equal(RandomBits(4, "s").sample_rows(3, 300, 140), expected)


def test_samples_are_uniform_over_sets():
    bits = RandomBits(0, "sets")
    sets = [tuple(bits.sample(5, 2).tolist()) for _ in range(10_000)]
    counts = np.unique(sets, axis=0, return_counts=True)[1]
    assert len(counts) == 10
    assert ((counts - 1000) ** 2 / 1000).sum() < 27.9


def test_labels_and_seeds_give_other_streams():
    streams = {RandomBits(s, label).words(1)[0] for s in range(20) for label in ("a", "b")}
    assert len(streams) == 40
    assert derive_seed(0, "layer 0") != derive_seed(0, "layer 1")
    assert 0 <= derive_seed(5, "x") < 2**32


@pytest.mark.parametrize("seed", [-1, 1.5, "0", True, None])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(ValueError, match="expected an integer seed >= 0"):
        RandomBits(seed, "x")


def test_bad_requests_are_refused():
    with pytest.raises(ValueError, match="0 <= size <= n"):
        RandomBits(0, "x").sample(3, 4)
    with pytest.raises(ValueError, match="0 < bound"):
        RandomBits(0, "x").integers(0, 1)
