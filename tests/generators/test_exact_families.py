"""Families of exact structure: their whole spectra, girths and products, as the theorems say."""

from functools import reduce
from itertools import pairwise, product
from math import comb, log, sqrt

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prewired import Topology, generators, metrics
from prewired.generators import block_lift, cut, kronecker
from prewired.generators._internal.finite_fields import field, null_space, prime_powers, primes
from prewired.topology import Recipe

EXACT = {"rtol": 0, "atol": 1e-6}


def spectrum(t):
    """The distinct singular values, descending, and how often each occurs."""
    b = t.biadjacency()
    squares = np.linalg.eigvalsh((b @ b.T).toarray() if t.n_out <= t.n_in else (b.T @ b).toarray())
    values, counts = np.unique(np.abs(squares.round(8)), return_counts=True)
    return np.sqrt(values)[::-1], counts[::-1].tolist()


def product_of(layers):
    return reduce(lambda done, t: t.biadjacency() @ done, layers[1:], layers[0].biadjacency()).toarray()


def shortest_cycle_through_input(t, root):
    """Breadth-first search over inputs 0..n_in-1 and outputs n_in..; where two branches meet they close a cycle."""
    back = t.transpose()

    def neighbours(v):
        if v < t.n_in:
            return back.indices[back.indptr[v] : back.indptr[v + 1]] + t.n_in
        return t.indices[t.indptr[v - t.n_in] : t.indptr[v - t.n_in + 1]]

    depth, branch, queue, best = {root: 0}, {root: root}, [root], np.inf
    for v in queue:
        for w in neighbours(v).tolist():
            if w not in depth:
                depth[w], branch[w] = depth[v] + 1, w if v == root else branch[v]
                queue.append(w)
            elif branch[w] != branch[v] and root not in (v, w):
                best = min(best, depth[v] + depth[w] + 1)
    return best


def square(family, n, **request):
    return generators.make(family, n_in=n, n_out=n, **request)


# Finite fields.


@pytest.mark.parametrize("q", [2, 3, 4, 5, 8, 9, 16, 25, 27, 49])
def test_fields_obey_their_laws(q):
    f = field(q)
    every = np.arange(q)
    a, b, c = np.meshgrid(every, every, every, sparse=True)
    np.testing.assert_array_equal(np.sort(f.add(every[:, None], every), axis=1), np.tile(every, (q, 1)))
    np.testing.assert_array_equal(f.add(every, f.negative(every)), 0)
    np.testing.assert_array_equal(f.multiply(every, f.inverse(every)), every != 0)
    np.testing.assert_array_equal(f.add(f.add(a, b), c), f.add(a, f.add(b, c)))
    np.testing.assert_array_equal(f.multiply(f.multiply(a, b), c), f.multiply(a, f.multiply(b, c)))
    np.testing.assert_array_equal(f.multiply(a, f.add(b, c)), f.add(f.multiply(a, b), f.multiply(a, c)))
    np.testing.assert_array_equal(reduce(f.add, [every] * f.p), 0)


def test_prime_powers():
    assert primes(30) == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]
    assert prime_powers(32) == [2, 3, 4, 5, 7, 8, 9, 11, 13, 16, 17, 19, 23, 25, 27, 29, 31, 32]
    assert primes(1) == prime_powers(0) == []
    with pytest.raises(ValueError, match="power of a prime, got q=12"):
        field(12)


def test_null_spaces_are_null():
    f = field(9)
    points = np.array([[0, 0, 1, 5], [3, 0, 8, 1], [0, 7, 0, 0]])
    basis, places = null_space(f, points[:, None, :], 3)
    for k in range(3):
        terms = f.multiply(points, basis[:, k])
        np.testing.assert_array_equal(reduce(f.add, terms.T), 0)
    own = np.take_along_axis(basis, places[:, None, :].repeat(3, 1), axis=2)
    np.testing.assert_array_equal(own, np.tile(np.eye(3), (3, 1, 1)))
    with pytest.raises(ValueError, match="rank 1, got ranks \\[0\\]"):
        null_space(f, np.zeros((2, 1, 4), np.int64), 3)


# Generalized polygons and array codes.


@pytest.mark.parametrize("q", [2, 3, 4, 5, 7, 8, 9, 23])
def test_projective_planes(q):
    n = q * q + q + 1
    t = square("projective_plane", n)
    values, counts = spectrum(t)
    np.testing.assert_allclose(values, [q + 1, sqrt(q)], **EXACT)
    assert counts == [1, n - 1]
    b = t.biadjacency()
    np.testing.assert_array_equal((b @ b.T).toarray(), np.ones((n, n)) + q * np.eye(n))


def test_a_plane_is_a_better_expander_than_random_graphs():
    plane, random = square("projective_plane", 553), square("biregular", 553, fan_in=24, seed=0)
    assert metrics.relative_spectral_gap(plane) == pytest.approx(1 - sqrt(23) / 24, abs=1e-9)
    assert metrics.relative_spectral_gap(random) == pytest.approx(0.61, abs=0.01)


@pytest.mark.parametrize("q", [2, 3, 4, 5, 7])
def test_generalized_quadrangles(q):
    n = (q + 1) * (q * q + 1)
    t = square("generalized_quadrangle", n)
    values, counts = spectrum(t)
    np.testing.assert_allclose(values, [q + 1, sqrt(2 * q), 0], **EXACT)
    assert counts == [1, q * (q + 1) ** 2 // 2, n - 1 - q * (q + 1) ** 2 // 2]
    assert {shortest_cycle_through_input(t, i) for i in (0, 1, n // 2, n - 1)} == {8}


@pytest.mark.parametrize("q", [2, 3, 4])
def test_generalized_hexagons(q):
    n = (q + 1) * (q**4 + q * q + 1)
    t = square("generalized_hexagon", n)
    assert set(t.fan_in.tolist()) == set(t.fan_out.tolist()) == {q + 1}
    values, counts = spectrum(t)
    np.testing.assert_allclose(values, [q + 1, sqrt(3 * q), sqrt(q), 0], **EXACT)
    assert sum(counts) == n
    assert {shortest_cycle_through_input(t, i) for i in (0, 1, n // 2, n - 1)} == {12}


@pytest.mark.parametrize(("q", "m"), [(23, 16), (7, 3), (5, 5), (4, 3), (8, 8), (9, 2)])
def test_array_codes(q, m):
    t = generators.array_code(m * q, q * q)
    values, _ = spectrum(t)
    np.testing.assert_allclose(values, [sqrt(q * m), sqrt(q), 0], **EXACT)
    b = t.biadjacency()
    assert (b @ b.T).tocsr().tolil().setdiag(0) is None
    common = (b @ b.T).toarray()
    np.fill_diagonal(common, 0)
    assert common.max() == 1
    if m < q:
        assert generators.array_code(q * q, m * q) == t.transpose()


def test_array_codes_are_far_below_the_ramanujan_bound():
    t = generators.array_code(368, 529)
    assert metrics.ramanujan_ratio(t) == pytest.approx(sqrt(23) / (sqrt(15) + sqrt(22)), abs=1e-9)
    assert metrics.ramanujan_ratio(t) == pytest.approx(0.56, abs=0.005)


def test_prime_array_codes_are_blocks_of_shifts():
    dense = generators.array_code(15, 25).biadjacency().toarray()
    shift = np.roll(np.eye(5), 1, axis=0)
    for i, j in product(range(5), range(3)):
        block = dense[5 * i : 5 * i + 5, 5 * j : 5 * j + 5]
        np.testing.assert_array_equal(block, np.linalg.matrix_power(shift, i * j))


# Cayley graphs.


@pytest.mark.parametrize(("p", "q", "sigma2"), [(5, 13, 4.250), (17, 13, 7.851), (13, 17, 7.090)])
def test_lps_graphs(p, q, sigma2):
    n = q * (q * q - 1) // 2
    t = square("lps", n, fan_in=p + 1)
    assert set(t.fan_in.tolist()) == set(t.fan_out.tolist()) == {p + 1}
    first, second = metrics.leading_singular_values(t)
    assert first == pytest.approx(p + 1, abs=1e-9)
    assert second == pytest.approx(sigma2, abs=5e-4)
    assert second <= 2 * sqrt(p)
    assert metrics.connected_components(t) == 1
    p_is_a_square = pow(p, (q - 1) // 2, q) == 1
    b = t.biadjacency()
    assert ((b != b.T).nnz == 0) == p_is_a_square  # then it is the adjacency of an undirected Cayley graph
    least = 2 * log(q, p) if p_is_a_square else 4 * log(q, p) - log(4, p)
    girths = {shortest_cycle_through_input(t, i) for i in (0, 1, n - 1)}
    assert len(girths) == 1  # vertex-transitive
    assert girths.pop() >= least


@pytest.mark.parametrize("m", [3, 8, 16])
def test_margulis_graphs_are_those_of_networkx_without_parallel_edges(m):
    graph = nx.margulis_gabber_galil_graph(m)
    adjacency = nx.to_numpy_array(graph, nodelist=list(product(range(m), repeat=2)))
    t = square("margulis", m * m)
    np.testing.assert_array_equal(t.biadjacency().toarray(), adjacency > 0)
    if m == 16:
        assert (t.fan_in.min(), t.fan_in.max()) == (5, 8)
        np.testing.assert_allclose(np.linalg.svd(adjacency, compute_uv=False)[:2], [7.80, 5.87], atol=0.005)
        np.testing.assert_allclose(metrics.leading_singular_values(t), [7.581280, 5.395668], atol=1e-6)
        assert metrics.relative_spectral_gap(t) < metrics.relative_spectral_gap(
            square("biregular", 256, fan_in=8, seed=0)
        )


@pytest.mark.parametrize("m", [5, 16, 21])
def test_margulis_with_multiplicity_is_bounded_by_the_theorem(m):
    matrix = np.zeros((m * m, m * m))
    for x, y in product(range(m), repeat=2):
        for sign in (1, -1):
            for k in (0, 1):
                matrix[x * m + y, (x + sign * (2 * y + k)) % m * m + y] += 1
                matrix[x * m + y, x * m + (y + sign * (2 * x + k)) % m] += 1
    np.testing.assert_array_equal(square("margulis", m * m).biadjacency().toarray(), matrix > 0)
    sigma = np.linalg.svd(matrix, compute_uv=False)
    np.testing.assert_allclose(sigma[0], 8)
    assert sigma[1] <= 5 * sqrt(2)


# Circulants.


@pytest.mark.parametrize(
    ("n", "request_"),
    [
        (60, {"fan_in": 7, "offsets": "rotating"}),
        (60, {"fan_in": 7, "offsets": "strided"}),
        (60, {"fan_in": 7, "offsets": "fibonacci"}),
        (61, {"fan_in": 7, "offsets": "powers_of_two"}),
        (57, {"offsets": "difference_set"}),
        (60, {"offsets": [0, 3, -5, 22]}),
    ],
)
def test_circulant_spectra_are_fourier_transforms(n, request_):
    t = square("circulant", n, **request_)
    first = t.biadjacency().toarray()[0]
    np.testing.assert_array_equal(t.biadjacency().toarray(), [np.roll(first, j) for j in range(n)])
    expected = np.sort(np.abs(np.fft.fft(first)))
    np.testing.assert_allclose(np.sort(np.linalg.svd(t.biadjacency().toarray(), compute_uv=False)), expected, atol=1e-6)


def test_named_offsets_are_the_families_of_their_names():
    assert generators.circulant(50, 70, fan_in=9, offsets="rotating") == generators.rotating(50, 70, fan_in=9)
    assert generators.circulant(50, 70, fan_in=9, offsets="fibonacci") == generators.fibonacci(50, 70, fan_in=9)
    assert generators.circulant(100, 3, fan_in=6, offsets="powers_of_two").indices[:6].tolist() == [0, 1, 2, 4, 8, 16]
    assert generators.circulant(10, 10, fan_in=4).indices[:4].tolist() == [0, 2, 5, 7]
    t = generators.circulant(8, 4, offsets=[0, -1])
    assert t.indices.reshape(4, 2).tolist() == [[0, 7], [1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize("q", [2, 3, 4, 5, 7, 8, 9, 11, 13, 16])
def test_difference_sets_have_every_difference_once(q):
    n = q * q + q + 1
    t = square("circulant", n, offsets="difference_set")
    offsets = t.indices[: q + 1]
    differences = np.sort((offsets[:, None] - offsets) % n, axis=None)
    np.testing.assert_array_equal(differences[q + 1 :], np.arange(1, n))
    np.testing.assert_allclose(spectrum(t)[0], [q + 1, sqrt(q)], **EXACT)


def test_the_gaps_of_circulants_at_512():
    def gap(family, **request):
        return metrics.relative_spectral_gap(square(family, 512, fan_in=16, **request))

    assert gap("rotating") == pytest.approx(0.0016, abs=5e-5)
    assert gap("rotating") == pytest.approx(1 - np.sin(np.pi * 16 / 512) / np.sin(np.pi / 512) / 16, abs=1e-9)
    assert gap("fibonacci") == pytest.approx(0.334, abs=5e-4)
    assert gap("circulant", offsets="strided") == 0
    assert gap("biregular", seed=0) == pytest.approx(0.522, abs=0.02)
    rows = [square("random_circulant", 512, fan_in=16, seed=s).biadjacency()[[0]].toarray()[0] for s in range(40)]
    gaps = [1 - np.abs(np.fft.fft(row))[1:].max() / 16 for row in rows]
    assert np.mean(gaps) == pytest.approx(0.41, abs=0.03)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"offsets": "golomb"}, "among rotating, strided, fibonacci, powers_of_two, difference_set, got 'golomb'"),
        ({"offsets": []}, "at least one, got"),
        ({"offsets": [0, 1.5]}, "list of integers"),
        ({"offsets": [1, 13]}, "distinct modulo n_in=12"),
        ({"offsets": [0, 1], "fan_in": 3}, "as many offsets as fan_in, got 2"),
        ({"offsets": "powers_of_two", "fan_in": 6}, "fan_in <= 5, the number of distinct powers of two modulo n_in=12"),
        ({"offsets": "difference_set"}, "n_in=7 with fan_in=3 and n_in=13 with fan_in=4"),
        ({"offsets": "difference_set", "fan_in": 3}, "got n_in=12 and fan_in=3"),
        ({}, "got neither"),
    ],
)
def test_wrong_offsets_are_refused(request_, message):
    with pytest.raises(ValueError, match=message):
        square("circulant", 12, **request_)


# Windows.


@given(n_in=st.integers(1, 40), n_out=st.integers(1, 40), data=st.data())
def test_bands_move_from_the_first_inputs_to_the_last(n_in, n_out, data):
    fan_in = data.draw(st.integers(1, n_in))
    reads = generators.banded(n_in, n_out, fan_in=fan_in).indices.reshape(n_out, fan_in)
    assert (np.diff(reads, axis=1) == 1).all()
    assert reads[0, 0] == 0
    assert n_out == 1 or reads[-1, -1] == n_in - 1
    assert n_out == 1 or np.ptp(np.diff(reads[:, 0])) <= 1


def test_a_band_is_a_valid_convolution():
    kernel = np.ones(4)
    signal = np.arange(20.0) ** 2
    t = generators.banded(20, 17, fan_in=4)
    np.testing.assert_array_equal(t.biadjacency() @ signal, np.convolve(signal, kernel, "valid"))


@given(n=st.integers(1, 20), data=st.data())
def test_toeplitz_is_constant_along_diagonals(n, data):
    offsets = data.draw(st.lists(st.integers(1 - n, n - 1), min_size=1, unique=True))
    t = generators.toeplitz(n, n, offsets=offsets)
    np.testing.assert_array_equal(t.biadjacency().toarray(), sum(np.eye(n, k=s) for s in offsets))
    assert t.n_edges == sum(n - abs(s) for s in offsets)


def test_wrong_diagonals_are_refused():
    for offsets in ([], [0, 0], [5], [0.5], 3):
        with pytest.raises(ValueError, match="distinct integers between -5 and 5"):
            generators.toeplitz(5, 5, offsets=offsets)
    with pytest.raises(ValueError, match="an offset that meets the matrix"):
        generators.toeplitz(5, 1, offsets=[-1])


@given(height=st.integers(1, 9), width=st.integers(1, 9), channels=st.integers(1, 3), data=st.data())
@settings(deadline=None)
def test_windows_are_near_their_place_in_every_channel(height, width, channels, data):
    n_in = height * width * channels
    fan_in, n_out = data.draw(st.integers(1, n_in)), data.draw(st.integers(1, 60))
    t = generators.window2d(n_in, n_out, fan_in=fan_in, height=height, width=width, channels=channels)
    reads = t.indices.reshape(n_out, fan_in)
    channel, pixel = np.divmod(reads, height * width)
    y, x = np.divmod(pixel, width)
    n_pixels = -(-fan_in // channels)
    counts = np.bincount(channel[0], minlength=channels)
    assert counts.sum() == fan_in
    assert np.ptp(counts) <= 1
    side = int(np.ceil(sqrt(n_pixels)))
    tall, wide = np.ptp(y, axis=1) + 1, np.ptp(x, axis=1) + 1
    assert (tall * wide < n_pixels + max(tall[0], wide[0])).all()
    if side <= min(height, width):
        assert max(tall.max(), wide.max()) <= side
    place_y, place_x = np.divmod(np.arange(n_out) * height * width // n_out, width)
    inside = (place_y >= y.min(axis=1)) & (place_y <= y.max(axis=1)) & (place_x >= x.min(axis=1))
    if n_pixels == tall[0] * wide[0]:
        assert (inside & (place_x <= x.max(axis=1))).all()


def test_odd_windows_are_a_convolution_away_from_the_border():
    t = generators.window2d(3 * 64, 64, fan_in=27, channels=3)
    reads = t.biadjacency().toarray().reshape(8, 8, 3, 8, 8)
    for y, x in product(range(8), repeat=2):
        top, left = np.clip([y - 1, x - 1], 0, 5)
        expected = np.zeros((3, 8, 8))
        expected[:, top : top + 3, left : left + 3] = 1
        np.testing.assert_array_equal(reads[y, x], expected)


def test_images_must_have_the_size_of_the_input():
    assert generators.window2d(12, 3, fan_in=2, height=3) == generators.window2d(12, 3, fan_in=2, width=4)
    for request, message in [
        ({}, "channels \\* height \\* width, got n_in=12 with channels=1, height=3, width=3"),
        ({"height": 5}, "name height= and width="),
        ({"height": 0}, "integer height >= 1"),
        ({"channels": 13}, "got n_in=12 with channels=13"),
    ]:
        with pytest.raises(ValueError, match=message):
            generators.window2d(12, 3, fan_in=2, **request)


# Switching networks.


def test_flat_butterflies():
    values, counts = spectrum(square("flat_butterfly", 512))
    np.testing.assert_allclose(values, [10, 8, 6, 4, 2, 0], **EXACT)
    expected = {}
    for k in range(10):
        expected[abs(10 - 2 * k)] = expected.get(abs(10 - 2 * k), 0) + comb(9, k)
    assert counts == [expected[value] for value in (10, 8, 6, 4, 2, 0)]


@pytest.mark.parametrize(("radix", "t"), [(2, 6), (3, 4), (5, 2)])
def test_butterfly_stages_multiply_to_the_all_ones_matrix(radix, t):
    layers = [square("butterfly_stage", radix**t, stage=k, radix=radix) for k in range(t)]
    assert (product_of(layers) == 1).all()
    assert {metrics.connected_components(layer) for layer in layers} == {radix ** (t - 1)}
    assert {metrics.relative_spectral_gap(layer) for layer in layers} == {0}


def test_a_binary_stage_flips_one_bit():
    t = square("butterfly_stage", 16, stage=2)
    assert t.indices.reshape(16, 2).tolist() == [sorted((j, j ^ 4)) for j in range(16)]
    with pytest.raises(ValueError, match="16 x 16 with fan_in=2; got 9 x 9"):
        square("butterfly_stage", 9, stage=3)
    for own in ({"stage": -1}, {"radix": 1}, {"stage": 0.5}):
        with pytest.raises(ValueError, match=f"expected an integer {next(iter(own))} >= "):
            square("butterfly_stage", 16, **own)


@pytest.mark.parametrize(("d", "t"), [(2, 6), (3, 4), (4, 2)])
def test_de_bruijn_and_kautz_graphs(d, t):
    layer = square("de_bruijn", d**t, fan_in=d)
    assert (product_of([layer] * t) == 1).all()
    assert metrics.connected_components(layer) == d ** (t - 1)
    forward = layer.biadjacency().toarray().T
    for i, j in product(range(d**t), range(d)):
        assert forward[i, (d * i + j) % d**t] == 1
    n = d**t + d ** (t - 1)
    layer = square("kautz", n, fan_in=d)
    np.testing.assert_array_equal(product_of([layer] * t) + product_of([layer] * (t - 1)), 1)
    assert metrics.connected_components(layer) == n // d
    assert layer.biadjacency().diagonal().sum() == 0


def test_ambiguous_powers_ask_for_the_fan_in():
    with pytest.raises(ValueError, match="expected fan_in= among 2, 4, 8, which de_bruijn has at 64 x 64, got none"):
        square("de_bruijn", 64)
    with pytest.raises(ValueError, match="expected fan_in 2, 4, 8, all that de_bruijn has at 64 x 64, got fan_in=3"):
        square("de_bruijn", 64, fan_in=3)


@given(radices=st.lists(st.integers(2, 4), min_size=1, max_size=4), data=st.data())
@settings(max_examples=30, deadline=None)
def test_radix_layers_multiply_to_equal_path_counts(radices, data):
    ring = int(np.prod(radices))
    widths = data.draw(st.lists(st.integers(1, 3), min_size=len(radices) + 1, max_size=len(radices) + 1))
    layers = [
        generators.radix(ring * a, ring * b, radices=radices, position=k) for k, (a, b) in enumerate(pairwise(widths))
    ]
    np.testing.assert_array_equal(product_of(layers), np.prod(widths[1:-1]))
    assert [set(t.fan_in.tolist()) for t in layers] == [{r * a} for r, a in zip(radices, widths, strict=False)]


def test_a_radix_layer_is_the_definition():
    shift = np.roll(np.eye(12), 1, axis=1)  # output o reads input o + 1
    wanted = sum(np.linalg.matrix_power(shift, 2 * j) for j in range(3))
    t = generators.radix(24, 12, radices=[2, 3, 2], position=1)
    np.testing.assert_array_equal(t.biadjacency().toarray(), np.kron(wanted, np.ones((1, 2))))
    for own, message in [
        ({"radices": [2, 1], "position": 0}, "integers >= 2"),
        ({"radices": [], "position": 0}, "integers >= 2"),
        ({"radices": [2, 3], "position": 2}, "0 <= position < 2"),
        ({"radices": [5], "position": 0}, "multiples of 5, .*got 24 x 12; the nearest is 25 x 10"),
    ]:
        with pytest.raises(ValueError, match=message):
            generators.radix(24, 12, **own)


def test_grouped_then_shuffled_mixes_completely():
    grouped, shuffled = square("grouped", 64, fan_in=8), square("shuffle", 64, fan_in=8)
    assert metrics.relative_spectral_gap(shuffled) == 0
    np.testing.assert_array_equal(product_of([grouped, shuffled]), 1)
    assert (product_of([grouped, grouped]) == 0).any()


@given(n_in=st.integers(1, 60), n_out=st.integers(1, 60), data=st.data())
def test_a_shuffle_is_a_riffle_before_groups(n_in, n_out, data):
    fan_in = data.draw(st.integers(1, n_in))
    dealt = sorted(range(n_in), key=lambda i: i % -(-n_in // fan_in))
    grouped = generators.grouped(n_in, n_out, fan_in=fan_in).biadjacency().toarray()
    shuffled = generators.shuffle(n_in, n_out, fan_in=fan_in).biadjacency().toarray()
    np.testing.assert_array_equal(shuffled[:, dealt], grouped)


# Products and cuts.


@given(seeds=st.tuples(st.integers(0, 99), st.integers(0, 99)), sides=st.tuples(*[st.integers(1, 6)] * 4))
@settings(max_examples=20, deadline=None)
def test_kronecker_is_numpys(seeds, sides):
    left = generators.erdos_renyi(sides[0], sides[1], density=0.5, seed=seeds[0]) if sides[0] * sides[1] > 1 else None
    left = left or generators.dense(1, 1)
    right = generators.rotating(sides[2], sides[3], fan_in=1)
    t = kronecker(left, right)
    expected = np.kron(left.biadjacency().toarray(), right.biadjacency().toarray())
    np.testing.assert_array_equal(t.biadjacency().toarray(), expected)
    again = generators.from_recipe(Recipe.from_json(t.recipe.to_json()))
    assert again == t
    assert again.recipe == t.recipe


def test_the_kronecker_ratio_is_the_larger_of_the_factors():
    a, b = square("biregular", 24, fan_in=5, seed=1), square("fibonacci", 20, fan_in=4)
    ratios = [1 - metrics.relative_spectral_gap(t) for t in (a, b)]
    assert 1 - metrics.relative_spectral_gap(kronecker(a, b)) == pytest.approx(max(ratios), abs=1e-6)
    sigma = [np.linalg.svd(t.biadjacency().toarray(), compute_uv=False) for t in (a, b, kronecker(a, b))]
    np.testing.assert_allclose(sigma[2], np.sort(np.outer(*sigma[:2]), axis=None)[::-1], **EXACT)


def test_blocks_keep_the_ratio_of_the_smaller_graph():
    gaps = []
    for block in (1, 4, 16):
        small = square("biregular", 512 // block, fan_in=16 // block, seed=0)
        t = block_lift(small, block, block)
        np.testing.assert_array_equal(
            t.biadjacency().toarray(), np.kron(small.biadjacency().toarray(), np.ones((block, block)))
        )
        assert metrics.relative_spectral_gap(t) == pytest.approx(metrics.relative_spectral_gap(small), abs=1e-6)
        gaps.append(metrics.relative_spectral_gap(t))
    np.testing.assert_allclose(gaps, [0.52, 0.15, 0], atol=0.03)


def test_operations_have_recipes_where_their_topologies_have():
    t = block_lift(kronecker(generators.dense(2, 2), generators.biregular(6, 6, fan_in=2, seed=4)), rows=1, cols=3)
    assert generators.from_recipe(Recipe.from_json(t.recipe.to_json())) == t
    assert str(t.recipe) == (
        "block_lift(t=kronecker(left=dense(n_in=2, n_out=2), right=biregular(n_in=6, n_out=6, fan_in=2, seed=4)), "
        "rows=1, cols=3)"
    )
    assert block_lift(Topology(2, 1, [0, 1], [1]), 2, 2).recipe is None
    for wrong in (0, 1.5, True):
        with pytest.raises(ValueError, match="expected an integer cols >= 1"):
            block_lift(t, 1, wrong)
    with pytest.raises(ValueError, match=r"below 2\*\*31"):
        block_lift(t, 2**29, 1)


@given(sides=st.tuples(*[st.integers(1, 30)] * 2), data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_cut_keeps_evenly_spaced_rows_and_columns(sides, data):
    n_in, n_out = data.draw(st.integers(1, sides[0])), data.draw(st.integers(1, sides[1]))
    t = generators.erdos_renyi(*sides, n_edges=data.draw(st.integers(1, sides[0] * sides[1])), seed=0)
    outputs, inputs = np.arange(n_out) * sides[1] // n_out, np.arange(n_in) * sides[0] // n_in
    smaller = cut(t, n_in, n_out)
    np.testing.assert_array_equal(smaller.biadjacency().toarray(), t.biadjacency().toarray()[np.ix_(outputs, inputs)])
    assert generators.from_recipe(smaller.recipe) == smaller


def test_levelling_drops_the_most_read_and_adds_the_least_read():
    t = Topology.from_edges(
        6, 5, [(i, j) for j, row in enumerate(["0123", "045", "012", "034", "01"]) for i in map(int, row)]
    )
    assert cut(t, 6, 5, fan_in=3).indices.reshape(5, 3).tolist() == [
        [1, 2, 3],  # without input 0, which five outputs read
        [0, 4, 5],
        [0, 1, 2],
        [0, 3, 4],
        [0, 1, 5],  # with input 5, which only one other reads
    ]


def test_levelling_spares_what_it_can():
    t = generators.biregular(300, 300, fan_in=30, seed=0)
    before, after = cut(t, 250, 250), cut(t, 250, 250, fan_in=25)
    assert set(after.fan_in.tolist()) == {25}
    changed = np.abs(after.biadjacency() - before.biadjacency()).sum()
    assert changed == np.abs(before.fan_in - 25).sum()
    assert np.ptp(after.fan_out) < np.ptp(before.fan_out)
    with pytest.raises(ValueError, match="got fan_in=10 and 150%; fan_in=25 would fit"):
        cut(t, 250, 250, fan_in=10)
    with pytest.raises(ValueError, match="no fan_in fits these sizes"):
        cut(generators.toeplitz(64, 64, offsets=[*range(-63, -40)]), 64, 64, fan_in=8)
    with pytest.raises(ValueError, match="expected sides from 1 x 1 to 300 x 300, got 301 x 10"):
        cut(t, 301, 10)


def test_the_nearest_plane_is_named_and_made():
    with pytest.raises(
        ValueError, match=r"nearest 381 x 381 with fan_in=20 and 553 x 553 with fan_in=24; got 500 x 500"
    ):
        square("projective_plane", 500)
    t = generators.projective_plane(500, 400, fan_in=22, fit="nearest")
    assert set(t.fan_in.tolist()) == {22}
    assert metrics.relative_spectral_gap(t) > 0.65  # a random one has 0.58
    with pytest.raises(ValueError, match="got fan_in=10 and 26%; fan_in=11 would fit"):
        square("projective_plane", 500, fan_in=10, fit="nearest")
