"""What the random families promise beyond the conformance battery: distributions, theorems, closed forms."""

import decimal
import hashlib
import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prewired import generators, metrics
from prewired.generators._internal import portable_math, sizes
from prewired.generators._internal.edge_swaps import Rows
from prewired.generators._internal.portable_lanczos import second_singular_value
from prewired.generators.degree_distributions import apportion
from prewired.random_bits import RandomBits


def matrix(t):
    return t.biadjacency().toarray().astype(int)


def counts_of(graphs):
    return np.unique([t.digest for t in graphs], return_counts=True)[1]


# The ground that they stand on.


def test_portable_functions_are_accurate():
    x = np.append(np.exp(np.linspace(-700, 700, 4001)), np.linspace(0.5, 2, 4001))
    np.testing.assert_allclose(portable_math.log(x), np.log(x), rtol=4e-16, atol=4e-16)
    y = np.linspace(-740, 700, 9001)
    np.testing.assert_allclose(portable_math.exp(y), np.exp(y), rtol=3e-13)
    assert portable_math.exp(np.array([-1e6, 0.0])).tolist() == [0.0, 1.0]
    assert portable_math.sum_pairwise(np.arange(1001.0)) == 500500
    assert portable_math.sum_pairwise(np.empty(0)) == 0


def test_portable_functions_are_frozen():
    x = RandomBits(0, "portable").fractions(1000) + 0.001
    values = [
        portable_math.log(x),
        portable_math.exp(50 * x - 25),
        portable_math.normal_quantiles(999),
        [portable_math.sum_pairwise(x)],
    ]
    digest = hashlib.sha256(b"".join(np.asarray(v, "<f8").tobytes() for v in values)).hexdigest()
    assert digest == "e4801416e19c9e5519ba7123193509209f21f6bbcd8e42e2374ba40f1796173c"


def test_normal_quantiles():
    q = portable_math.normal_quantiles(1000)
    np.testing.assert_allclose(q[[499, 500, 841]], [-0.0012533, 0.0012533, 1.0006], atol=2e-4)
    np.testing.assert_allclose([q.mean(), q.std()], [0, 1], atol=2e-3)


def test_stream_of_bounded_integers_fractions_and_permutations():
    bounds = np.array([1, 2, 3, 2**40, 10**12])
    words = [int(w) for w in RandomBits(5, "x").words(5)]
    expected = [w * int(b) >> 64 for w, b in zip(words, bounds, strict=True)]
    assert RandomBits(5, "x").integers_below(bounds).tolist() == expected
    assert RandomBits(5, "x").fractions(5).tolist() == [(w >> 11) / 2**53 for w in words]
    assert abs(RandomBits(0, "x").coins(0.3, 100_000).mean() - 0.3) < 0.006
    many = RandomBits(0, "x").permutations(6000, 3)
    shares = np.unique(many @ [9, 3, 1], return_counts=True)[1]
    assert len(shares) == 6
    assert ((shares - 1000) ** 2 / 1000).sum() < 20.5  # 5 degrees of freedom, p = 0.001
    np.testing.assert_array_equal(RandomBits(1, "x").permutations(1, 9)[0], RandomBits(1, "x").permutation(9))


@given(n_in=st.integers(1, 9), n_out=st.integers(1, 9), seed=st.integers(0, 9), data=st.data())
@settings(max_examples=25, deadline=None)
def test_swaps_keep_degrees_and_do_not_lose_edges(n_in, n_out, seed, data):
    mask = data.draw(st.lists(st.booleans(), min_size=n_in * n_out, max_size=n_in * n_out).filter(any))
    mask = np.reshape(mask, (n_out, n_in))
    indptr = np.append(0, np.cumsum(mask.sum(axis=1)))
    rows = Rows(n_in, indptr, np.nonzero(mask)[1].astype(np.int32))
    proposed = RandomBits(seed, "pairs").integers(int(mask.sum()), 40).reshape(2, 20)
    before = rows.inputs.copy()
    for pair in proposed.T:  # one at a time, against the definition
        o, p = np.searchsorted(indptr, pair, side="right") - 1
        i, j = before[pair]
        if not mask[o, j] and not mask[p, i]:
            mask[o, i], mask[p, j], mask[o, j], mask[p, i] = False, False, True, True
            before[pair] = j, i
        assert rows.swap(pair[:1], pair[1:]).all()
    np.testing.assert_array_equal(rows.to_csr()[1], np.nonzero(mask)[1])
    np.testing.assert_array_equal(rows.inputs, before)


@pytest.mark.parametrize("size", [(100, 100), (3000, 4)])  # a table of cells, sorted rows
def test_swaps_at_once_are_swaps_one_after_the_other(size):
    n, fan_in = size
    t = generators.constant_fan_in(n, n, fan_in=fan_in // 2 or 1, seed=0)
    first, second = RandomBits(0, "pairs").integers(t.n_edges, 400).reshape(2, 200)
    at_once = Rows(n, t.indptr, t.indices.copy())
    decided = at_once.swap(first, second)
    one_by_one = Rows(n, t.indptr, t.indices.copy())
    for a, b in zip(first[decided], second[decided], strict=True):
        one_by_one.swap(np.array([a]), np.array([b]))
    assert (at_once.inputs != t.indices).any()
    np.testing.assert_array_equal(at_once.inputs, one_by_one.inputs)


# Erdos-Renyi by probability, constant fan-out, biregular.


def test_every_edge_of_erdos_renyi_p_has_its_own_coin():
    counts = counts_of([generators.erdos_renyi_p(2, 2, density=0.5, seed=s) for s in range(1600)])
    assert len(counts) == 16
    assert ((counts - 100) ** 2 / 100).sum() < 37.7  # 15 degrees of freedom, p = 0.001
    edges = np.array([generators.erdos_renyi_p(100, 60, density=0.02, seed=s).n_edges for s in range(400)])
    assert abs(edges.mean() - 120) < 4 * (120 * 0.98 / 400) ** 0.5
    np.testing.assert_allclose(edges.var(), 120 * 0.98, rtol=0.25)
    assert generators.erdos_renyi_p(7, 5, density=1.0, seed=0) == generators.dense(7, 5)


def test_constant_fan_out_draws_sets_uniformly():
    counts = counts_of([generators.constant_fan_out(1, 5, n_edges=2, seed=s) for s in range(1000)])
    assert len(counts) == 10
    assert ((counts - 100) ** 2 / 100).sum() < 27.9  # 9 degrees of freedom, p = 0.001


@given(n_in=st.integers(1, 20), n_out=st.integers(1, 20), data=st.data())
def test_constant_fan_out_is_constant(n_in, n_out, data):
    t = generators.constant_fan_out(n_in, n_out, n_edges=data.draw(st.integers(1, n_in * n_out)), seed=1)
    assert np.ptp(t.fan_out) <= (t.n_edges % n_in != 0)


@pytest.mark.parametrize(("family", "times"), [("biregular", 3.3), ("erdos_renyi", 3.3), ("constant_fan_in", 3.4)])
def test_a_large_random_graph_takes_three_times_its_own_memory(family, times):
    tracemalloc.start()
    try:
        t = generators.make(family, n_in=100_000, n_out=100_000, fan_in=32, seed=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert t.n_edges == 3_200_000
    assert family != "biregular" or set(t.fan_out.tolist()) == {32}
    assert peak < times * (t.indices.nbytes + t.indptr.nbytes)


# Given degrees.


@given(n_in=st.integers(1, 10), n_out=st.integers(1, 10), seed=st.integers(0, 9), data=st.data())
@settings(max_examples=50, deadline=None)
def test_degree_sequences_are_met(n_in, n_out, seed, data):
    mask = data.draw(st.lists(st.booleans(), min_size=n_in * n_out, max_size=n_in * n_out))
    fan_ins, fan_outs = np.reshape(mask, (n_out, n_in)).sum(axis=1), np.reshape(mask, (n_out, n_in)).sum(axis=0)
    t = generators.degree_sequence(n_in, n_out, fan_ins=fan_ins, fan_outs=fan_outs, seed=seed)
    assert t.fan_in.tolist() == fan_ins.tolist()
    assert t.fan_out.tolist() == fan_outs.tolist()


def test_degree_sequences_without_a_graph_are_refused():
    masks = np.array(list(itertools.product([0, 1], repeat=6))).reshape(-1, 2, 3)
    exist = {(tuple(m.sum(axis=1)), tuple(m.sum(axis=0))) for m in masks}
    for fan_ins in itertools.product(range(4), repeat=2):
        for fan_outs in itertools.product(range(4), repeat=3):
            if (fan_ins, fan_outs) in exist:
                t = generators.degree_sequence(3, 2, fan_ins=fan_ins, fan_outs=fan_outs, seed=0)
                assert (tuple(t.fan_in), tuple(t.fan_out)) == (fan_ins, fan_outs)
            else:
                with pytest.raises(ValueError, match=r"same sum|simple graph"):
                    generators.degree_sequence(3, 2, fan_ins=fan_ins, fan_outs=fan_outs, seed=0)


def test_the_only_graph_of_a_threshold_sequence_is_found():
    steps = list(range(60, 0, -1))
    t = generators.degree_sequence(60, 60, fan_ins=steps, fan_outs=steps, seed=0)
    np.testing.assert_array_equal(matrix(t), np.add.outer(np.arange(60), np.arange(60)) < 60)


def test_degree_sequence_reaches_every_graph_about_as_often():
    sequence = {"fan_ins": [2, 1, 1], "fan_outs": [2, 1, 1]}
    counts = counts_of([generators.degree_sequence(3, 3, **sequence, seed=s) for s in range(2000)])
    assert len(counts) == 5
    assert counts.min() > 250


@pytest.mark.parametrize("bad", [[1, 2], [1, 1, -1], [1.0, 1.0, 1.0], [[1, 1, 1]]])
def test_bad_degree_sequences_are_refused(bad):
    with pytest.raises(ValueError, match="expected fan_ins as 3 integers >= 0"):
        generators.degree_sequence(3, 3, fan_ins=bad, fan_outs=[1, 1, 1], seed=0)


@given(weights=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=30), cap=st.integers(1, 30), share=st.floats(0, 1))
def test_apportioned_degrees_follow_the_weights(weights, cap, share):
    total = round(share * len(weights) * cap)
    degrees = apportion(np.array(weights), total, cap)
    assert degrees.sum() == total
    assert degrees.max() <= cap
    assert degrees.min() >= (1 if total >= len(weights) else 0)
    order = np.argsort(weights, kind="stable")
    assert (np.diff(degrees[order]) >= -1).all()  # ties may differ by one
    inner = (degrees > 1) & (degrees < cap)
    scale = degrees[inner] / np.array(weights)[inner]
    slack = 1 / np.array(weights)[inner]
    assert inner.sum() == 0 or (scale - slack).max() <= (scale + slack).min()


def test_power_law_has_its_exponent():
    t = generators.power_law(20_000, 20_000, fan_in=8, exponent=2.5, seed=0)
    larger = [(t.fan_out >= k).sum() for k in (10, 40, 160)]
    np.testing.assert_allclose([larger[0] / larger[1], larger[1] / larger[2]], 4**1.5, rtol=0.1)
    assert set(t.fan_in.tolist()) == {8}
    other = generators.power_law(20_000, 20_000, fan_in=8, exponent=2.5, seed=1)
    assert sorted(other.fan_out) == sorted(t.fan_out)
    assert (other.fan_out != t.fan_out).any()


def test_power_law_on_the_other_side_or_both():
    assert np.ptp(generators.power_law(300, 200, fan_in=6, sides="outputs", seed=0).fan_out) == 0
    both = generators.power_law(300, 200, fan_in=6, sides="both", exponent=3, seed=0)
    assert both.fan_in.max() > 30
    assert both.fan_out.max() > 20
    with pytest.raises(ValueError, match='"inputs", "outputs" or "both"'):
        generators.power_law(300, 200, fan_in=6, sides="all", seed=0)
    with pytest.raises(ValueError, match=r"1\.05 <= exponent"):
        generators.power_law(300, 200, fan_in=6, exponent=1, seed=0)
    with pytest.raises(ValueError, match="make the largest degrees smaller"):
        generators.power_law(1000, 40, fan_in=5, exponent=1.5, sides="both", seed=0)


@pytest.mark.parametrize("spread", [0.0, 0.25, 0.5, 1.0])
def test_lognormal_has_its_spread(spread):
    t = generators.lognormal(4000, 4000, fan_in=64, spread=spread, seed=0)
    np.testing.assert_allclose(t.fan_out.std() / 64, np.sqrt(np.exp(spread**2) - 1), rtol=0.03, atol=1e-9)
    with pytest.raises(ValueError, match="0 <= spread <= 20"):
        generators.lognormal(10, 10, fan_in=2, spread=-1, seed=0)


def test_profile_follows_its_curve():
    t = generators.profile(1000, 500, fan_in=40, inputs=(1, 3, 1), outputs=(1, 2), seed=0)
    at = (np.arange(1000) + 0.5) / 1000
    np.testing.assert_allclose(t.fan_out, 10 * (1 + 4 * np.minimum(at, 1 - at)), atol=0.6)
    np.testing.assert_allclose(t.fan_in, 80 / 3 * (1 + (np.arange(500) + 0.5) / 500), atol=0.6)
    with pytest.raises(ValueError, match=r"1e-100 <= inputs\[1\]"):
        generators.profile(10, 10, fan_in=2, inputs=(1, 0), seed=0)


def test_barabasi_albert_is_scale_free_on_both_sides():
    t = generators.barabasi_albert(20_000, 20_000, fan_in=6, seed=0)
    for degrees in (t.fan_in, t.fan_out):
        larger = [(degrees >= k).sum() for k in (8, 32, 128)]
        np.testing.assert_allclose(np.log(larger[0] / larger[2]) / np.log(16), 2, atol=0.3)  # exponent 3
        assert degrees.min() >= 1


def test_barabasi_albert_is_exact_up_to_full_density():
    assert generators.barabasi_albert(9, 7, density=1.0, seed=0) == generators.dense(9, 7)
    assert generators.barabasi_albert(1, 7, n_edges=5, seed=0).n_edges == 5


# Permutations, lifts, Ramanujan.


@pytest.mark.parametrize(("n_in", "n_out", "fan_in"), [(12, 12, 5), (12, 12, 9), (6, 18, 4), (18, 6, 9), (5, 5, 5)])
def test_permutations_join_equal_parts_regularly(n_in, n_out, fan_in):
    size = min(n_in, n_out)
    blocks = matrix(generators.permutations(n_in, n_out, fan_in=fan_in, seed=2)).reshape(-1, size, n_in // size, size)
    assert set(blocks.sum(axis=3).ravel()) == set(blocks.sum(axis=1).ravel()) == {fan_in * size // n_in}


def test_one_permutation_is_uniform():
    counts = counts_of([generators.permutations(3, 3, fan_in=1, seed=s) for s in range(1200)])
    assert len(counts) == 6
    assert ((counts - 200) ** 2 / 200).sum() < 20.5


def test_permutations_name_what_would_go():
    with pytest.raises(ValueError, match="nearest multiples of 100 are 700 and 800"):
        generators.permutations(784, 100, fan_in=39, seed=0)
    with pytest.raises(ValueError, match="multiple of 4, got fan_in=6; the nearest are 4 and 8"):
        generators.permutations(40, 10, fan_in=6, seed=0)


def test_a_lift_covers_the_complete_graph():
    t = generators.lift(24, 30, fan_in=4, seed=3)
    blocks = matrix(t).reshape(5, 6, 4, 6)
    assert (blocks.sum(axis=1) == 1).all()
    assert (blocks.sum(axis=3) == 1).all()


def test_the_best_lift_has_the_smallest_sigma2():
    best = [metrics.ramanujan_ratio(generators.lift(240, 160, fan_in=6, best_of=k, seed=1)) for k in (1, 2, 4, 16)]
    assert sorted(best, reverse=True) == best
    assert best[-1] < best[0]
    with pytest.raises(ValueError, match="best_of >= 1"):
        generators.lift(24, 24, fan_in=4, best_of=0, seed=0)


def test_a_lift_names_the_fan_ins_that_go():
    with pytest.raises(ValueError, match="got fan_in=39; the nearest are 28 and 49"):
        generators.lift(784, 112, fan_in=39, seed=0)


@pytest.mark.parametrize(
    ("family", "n_in", "n_out", "fan_in"),
    [
        ("biregular", 300, 200, 6),
        ("biregular", 40, 120, 5),
        ("biregular", 128, 128, 100),
        ("lift", 64, 48, 4),
        ("grouped", 24, 24, 6),
        ("rotating", 90, 90, 8),
        ("dense", 5, 9, 5),
        ("rotating", 2, 2, 1),
    ],
)
def test_portable_sigma2_is_that_of_the_svd(family, n_in, n_out, fan_in):
    seed = {"seed": 0} if generators.takes_seed(family) else {}
    wanted = {} if family == "dense" else {"fan_in": fan_in}
    t = generators.make(family, n_in=n_in, n_out=n_out, **wanted, **seed)
    expected = np.linalg.svd(matrix(t), compute_uv=False)[1]
    np.testing.assert_allclose(second_singular_value(n_in, n_out, t.indices), expected, rtol=1e-8, atol=1e-6)


@pytest.mark.parametrize(
    ("n_in", "n_out", "fan_in"), [(100, 100, 3), (60, 90, 4), (200, 100, 8), (50, 50, 2), (8, 8, 8)]
)
def test_ramanujan_graphs_keep_the_bound(n_in, n_out, fan_in):
    t = generators.ramanujan(n_in, n_out, fan_in=fan_in, seed=0)
    fan_out = n_out * fan_in // n_in
    assert set(t.fan_in.tolist()) == {fan_in}
    assert set(t.fan_out.tolist()) == {fan_out}
    assert np.linalg.svd(matrix(t), compute_uv=False)[1] <= (fan_in - 1) ** 0.5 + (fan_out - 1) ** 0.5


def test_the_search_for_a_ramanujan_graph_ends():
    graphs = [generators.ramanujan(100, 100, fan_in=3, tries=9, seed=seed) for seed in range(40)]
    assert len({t.digest for t in graphs}) == 40
    with pytest.raises(RuntimeError, match=r"none of 1 random biregular graphs .* raise tries"):
        [generators.ramanujan(100, 100, fan_in=3, tries=1, seed=seed) for seed in range(40)]


def test_ramanujan_refuses_what_cannot_be():
    with pytest.raises(ValueError, match="multiple of 49, got fan_in=39; the nearest are 49"):
        generators.ramanujan(784, 512, fan_in=39, seed=0)
    with pytest.raises(ValueError, match="fan_out >= 2, got 1 and 1"):
        generators.ramanujan(10, 10, fan_in=1, seed=0)
    with pytest.raises(ValueError, match="tries >= 1"):
        generators.ramanujan(10, 10, fan_in=3, tries=0, seed=0)


# Between order and chaos.


@pytest.mark.parametrize(("rewiring", "gap"), [(0.1, 0.09), (0.25, 0.21), (0.5, 0.41)])
def test_watts_strogatz_gaps(rewiring, gap):
    t = generators.watts_strogatz(512, 512, fan_in=16, rewiring=rewiring, seed=0)
    assert abs(metrics.relative_spectral_gap(t) - gap) < 0.02
    in_band = (np.abs((t.indices - np.repeat(np.arange(512), t.fan_in) + 256) % 512 - 256) <= 8).sum()
    kept = 8192 * (1 - rewiring) + rewiring * 8192 * 16 / 512
    assert abs(in_band - kept) < 5 * (8192 * rewiring * (1 - rewiring)) ** 0.5 + 8


@pytest.mark.parametrize(("n_in", "n_out"), [(30, 12), (12, 30)])
def test_watts_strogatz_starts_from_windows_of_the_larger_side(n_in, n_out):
    t = generators.watts_strogatz(n_in, n_out, n_edges=90, rewiring=0.0, seed=0)
    larger = matrix(t) if n_out > n_in else matrix(t).T
    for j, row in enumerate(larger):
        assert np.flatnonzero(row).tolist() == sorted((j * 12 // 30 + k) % 12 for k in (-1, 0, 1))


def test_watts_strogatz_rewired_throughout_is_erdos_renyi():
    counts = counts_of([generators.watts_strogatz(2, 2, n_edges=2, rewiring=1.0, seed=s) for s in range(600)])
    assert len(counts) == 6
    assert ((counts - 100) ** 2 / 100).sum() < 20.5


@pytest.mark.parametrize(
    ("swaps", "gap"), [(0, 0.002), (0.02, 0.03), (0.05, 0.08), (0.1, 0.15), (0.2, 0.26), (0.4, 0.42), (1, 0.52)]
)
def test_the_swap_ladder_is_a_dial_of_the_gap(swaps, gap):
    t = generators.swap_ladder(512, 512, fan_in=16, swaps=swaps, seed=0)
    assert set(t.fan_in.tolist()) == set(t.fan_out.tolist()) == {16}
    assert abs(metrics.relative_spectral_gap(t) - gap) < 0.02


@given(n_in=st.integers(1, 30), n_out=st.integers(1, 30), swaps=st.sampled_from([0, 0.3, 2]), data=st.data())
@settings(max_examples=25, deadline=None)
def test_the_swap_ladder_keeps_the_degrees_of_the_rotating_window(n_in, n_out, swaps, data):
    fan_in = data.draw(st.integers(1, n_in))
    t = generators.swap_ladder(n_in, n_out, fan_in=fan_in, swaps=swaps, seed=0)
    band = generators.rotating(n_in, n_out, fan_in=fan_in)
    assert (t.fan_in == band.fan_in).all()
    assert (t.fan_out == band.fan_out).all()
    assert swaps or t == band
    if n_out * fan_in % n_in == 0:
        assert np.ptp(t.fan_out) == 0


def test_receptive_fields_reach_from_a_band_to_constant_fan_in():
    band = generators.receptive_field(10, 10, fan_in=3, r=0, seed=0)
    assert [np.flatnonzero(row).tolist() for row in matrix(band)[[0, 4]]] == [[0, 1, 9], [3, 4, 5]]
    fan_out = sum(generators.receptive_field(50, 200, fan_in=5, r=1, seed=s).fan_out for s in range(20))
    assert ((fan_out - 400) ** 2 / 400).sum() < 85.4  # 49 degrees of freedom, p = 0.001
    with pytest.raises(ValueError, match="0 <= r <= 1"):
        generators.receptive_field(10, 10, fan_in=3, r=1.5, seed=0)


@pytest.mark.parametrize(("n", "r"), [(40, 0.6), (7, 0.5)])  # far inputs share a clock, all have their own
def test_receptive_fields_are_drawn_without_replacement_by_weight(n, r):
    distance = np.minimum(np.arange(n), n - np.arange(n))
    p = (1.0 + distance) ** (-(1 - r) / r)
    p /= p.sum()
    second = p * ((p / (1 - p)).sum() - p / (1 - p))  # probability to be drawn second
    rows = 20_000 // n * n
    t = generators.receptive_field(n, rows, fan_in=2, r=r, seed=0)
    offsets = (t.indices - np.repeat(np.arange(rows) * n // rows, 2)) % n
    counts = np.bincount(offsets, minlength=n)
    expected = rows * (p + second)
    z = (counts - expected) / np.sqrt(expected * (1 - expected / rows))
    assert np.abs(z).max() < 4


# N:M and progressive edge growth.


def test_n_of_m_draws_n_of_every_m():
    t = generators.n_of_m(24, 10, density=0.5, m=4, seed=0)
    assert (matrix(t).reshape(10, 6, 4).sum(axis=2) == 2).all()
    smallest = generators.n_of_m(24, 10, fan_in=16, seed=0)  # 2 of 3
    assert (matrix(smallest).reshape(10, 8, 3).sum(axis=2) == 2).all()
    with pytest.raises(ValueError, match="divisor of n_in=24, got m=5; the nearest are 4 and 6"):
        generators.n_of_m(24, 10, fan_in=12, m=5, seed=0)
    with pytest.raises(ValueError, match="multiple of 6, got fan_in=10; the nearest are 6 and 12"):
        generators.n_of_m(24, 10, fan_in=10, m=4, seed=0)


def test_peg_has_no_short_cycles_and_even_degrees():
    t = generators.peg(96, 96, fan_in=4, seed=0)
    shared = (t.biadjacency() @ t.biadjacency().T).toarray()
    assert shared[~np.eye(96, dtype=bool)].max() == 1  # no cycle of length 4
    assert np.ptp(t.fan_in) == 0
    assert np.ptp(t.fan_out) <= 2
    hexagons = [cycles_of_six(g) for g in (t, generators.biregular(96, 96, fan_in=4, seed=0))]
    assert hexagons[0] < hexagons[1] / 2


@settings(max_examples=25, deadline=None)
@given(n_in=st.integers(1, 14), n_out=st.integers(1, 14), seed=st.integers(0, 9), data=st.data())
def test_peg_takes_a_least_read_input_among_the_farthest(n_in, n_out, seed, data):
    n_edges = data.draw(st.integers(1, n_in * n_out))
    expected = np.zeros((n_out, n_in), int)
    bits = RandomBits(seed, "peg")
    fan_ins = sizes.split_evenly(n_out, n_edges, bits)
    for output, word in zip(np.repeat(np.arange(n_out), fan_ins), bits.words(n_edges).tolist(), strict=True):
        distance = np.full(n_in, n_in + n_out)  # by powers of the matrix, as far as walks can lead
        reached = np.eye(n_out, dtype=int)[output]
        for step in range(n_in + n_out):
            inputs = reached @ expected > 0
            distance[inputs] = np.minimum(distance[inputs], step)
            reached = (expected @ inputs > 0).astype(int)
        far = np.flatnonzero(distance == distance.max())
        fan_outs = expected.sum(axis=0)[far]
        least = far[fan_outs == fan_outs.min()]
        expected[output, least[(word >> 11) * len(least) >> 53]] = 1
    np.testing.assert_array_equal(matrix(generators.peg(n_in, n_out, n_edges=n_edges, seed=seed)), expected)


def cycles_of_six(t):
    """Triangles of outputs of which every two share an input, where none share two."""
    shared = np.minimum((t.biadjacency() @ t.biadjacency().T).toarray(), 1) - np.eye(t.n_out)
    triangles = np.trace(np.linalg.matrix_power(shared, 3)) / 6
    return triangles - sum(d * (d - 1) * (d - 2) / 6 for d in t.fan_out)


def test_a_host_program_s_decimal_precision_changes_no_graph():
    expected = generators.erdos_renyi_p(50, 40, density=0.1, seed=3)
    with decimal.localcontext() as context:
        context.prec = 3
        assert generators.erdos_renyi_p(50, 40, density=0.1, seed=3) == expected


def test_an_extreme_locality_is_the_band():
    assert generators.receptive_field(20, 20, fan_in=3, r=1e-310, seed=0) == generators.receptive_field(
        20, 20, fan_in=3, r=0, seed=0
    )
