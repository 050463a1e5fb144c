"""The conformance battery: a family is tested by being listed in GENERATORS; then what the simplest ones promise."""

import json
import math
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prewired import Topology, generators
from prewired.generators import AVAILABLE_SIZES, GENERATORS
from prewired.topology import Recipe

GOLDEN = json.loads((Path(__file__).parents[1] / "golden.json").read_text())
ENTRIES = [(family, request) for family, entries in GOLDEN.items() for request in entries]
RANDOM = sorted(family for family in GENERATORS if generators.takes_seed(family))
OWN_REQUEST = {  # families that must be told more than how many edges
    "degree_sequence": lambda n_in, n_out, fan_in: {
        "fan_ins": [fan_in] * n_out,
        "fan_outs": [n_out * fan_in // n_in + (i < n_out * fan_in % n_in) for i in range(n_in)],
    },
    "radix": lambda n_in, n_out, fan_in: {"radices": [n_in // fan_in, fan_in], "position": 1},
    "toeplitz": lambda n_in, n_out, fan_in: {"offsets": list(range(fan_in))},
    "dense": lambda n_in, n_out, fan_in: {},
}
ANY_SIZE = sorted(set(GENERATORS) - set(AVAILABLE_SIZES))
WIRED = sorted(set(ANY_SIZE) - set(OWN_REQUEST))
ANY_EDGES = sorted(family for family in GENERATORS if "n_edges" in generators.parameters(family))
EXPECTED_EDGES_ONLY = {"erdos_renyi_p"}  # each edge by a coin of its own
LIMITS = {"lps": 2500, "generalized_hexagon": 400}  # the others: shapes up to 90
QUICK = settings(max_examples=10, deadline=None)
FEW = ("biregular", "constant_fan_in", "rotating", "projective_plane", "butterfly_stage")  # for checks of the decorator


def make(family, n_in, n_out, seed=3, **request):
    if family in OWN_REQUEST and "fan_in" in request:
        request = OWN_REQUEST[family](n_in, n_out, request["fan_in"])
    if generators.takes_seed(family):
        request["seed"] = seed
    return generators.make(family, n_in=n_in, n_out=n_out, **request)


def attempted(family, n_in, n_out, **request):
    """The graph and no message, or no graph and the message that refuses it."""
    try:
        return make(family, n_in, n_out, **request), ""
    except (ValueError, RuntimeError) as error:
        return None, str(error)


def rebuilt(t):
    """The graph of its own recipe, by way of JSON, which also must be the same recipe."""
    again = generators.from_recipe(Recipe.from_json(t.recipe.to_json()))
    assert again.recipe == t.recipe
    return again


def promised_edges(family, n_in, n_out, fan_in):
    if family == "dense":
        return n_in * n_out
    if family == "toeplitz":
        return sum(j * n_in // n_out + s < n_in for j in range(n_out) for s in range(fan_in))
    return n_out * fan_in


def shapes(family):
    return list(AVAILABLE_SIZES[family](LIMITS.get(family, 90)))


# Every family.


@pytest.mark.parametrize(("family", "request_"), ENTRIES)
def test_golden_digests(family, request_):
    t = generators.make(family, **json.loads(request_))
    assert t.digest == GOLDEN[family][request_]
    assert rebuilt(t) == t


def test_every_family_has_a_golden_digest():
    assert set(GOLDEN) == set(GENERATORS)


@pytest.mark.parametrize("family", ANY_SIZE)
def test_a_common_layer_is_met_exactly(family):
    t = make(family, 64, 64, fan_in=8)
    assert (t.n_in, t.n_out) == (64, 64)
    if family not in EXPECTED_EDGES_ONLY:
        assert t.n_edges == promised_edges(family, 64, 64, 8)
    assert make(family, 64, 64, fan_in=8) == t == rebuilt(t)


@pytest.mark.parametrize("family", ANY_SIZE)
@given(n_in=st.integers(1, 24), n_out=st.integers(1, 24), data=st.data())
@QUICK
def test_a_request_is_met_exactly_or_refused_with_a_reason(family, n_in, n_out, data):
    fan_in = data.draw(st.integers(1, n_in))
    t, refusal = attempted(family, n_in, n_out, fan_in=fan_in)
    if refusal:
        assert re.search(r"expected .+ got |raise tries|try another seed", refusal)
        return
    assert (t.n_in, t.n_out) == (n_in, n_out)
    assert t.n_edges == 0 or t.biadjacency().max() == 1
    if family not in EXPECTED_EDGES_ONLY:
        assert t.n_edges == promised_edges(family, n_in, n_out, fan_in)
    assert make(family, n_in, n_out, fan_in=fan_in) == t == rebuilt(t)


@pytest.mark.parametrize("family", WIRED)
def test_a_density_is_rounded_as_documented(family):
    t, refusal = attempted(family, 784, 100, density=0.05)
    if refusal:
        assert re.search(r"expected .+ got ", refusal)
        assert make(family, 784, 784, density=1 / 56).n_edges == 784 * 14
        return
    if family not in EXPECTED_EDGES_ONLY:
        assert t.n_edges == (3920 if family in ANY_EDGES else 3900)


@pytest.mark.parametrize("family", ANY_EDGES)
@given(n_in=st.integers(2, 20), n_out=st.integers(2, 20), data=st.data())
@QUICK
def test_any_number_of_edges_is_met_exactly(family, n_in, n_out, data):
    n_edges = data.draw(st.integers(1, n_in * n_out))
    t, refusal = attempted(family, n_in, n_out, n_edges=n_edges)
    if refusal:
        assert re.search(r"expected .+ got ", refusal)
        return
    assert t.n_edges == n_edges
    assert rebuilt(t) == t


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"n_edges": 0}, "0 < n_edges <= n_in"),
        ({"n_edges": 101}, "got n_edges=101 with 10 x 10"),
        ({"n_edges": 2.5}, "integer n_edges"),
        ({"n_edges": 5, "density": 0.5}, "got both"),
        ({"n_edges": 5, "density": 0.5, "fan_in": 3}, "got all"),
    ],
)
def test_impossible_numbers_of_edges_are_refused(request_, message):
    for family in ("biregular", "peg"):
        with pytest.raises(ValueError, match=message):
            make(family, 10, 10, **request_)


IMPOSSIBLE = [
    ({"fan_in": 3, "density": 0.5}, "got both"),
    ({"fan_in": 0}, "0 < fan_in <= n_in"),
    ({"fan_in": 11}, "got fan_in=11 with n_in=10"),
    ({"fan_in": 2.5}, "integer fan_in"),
    ({"fan_in": True}, "integer fan_in"),
    ({"density": 0.0}, "0 < density <= 1"),
    ({"density": 1.5}, "0 < density <= 1"),
    ({"density": "half"}, "0 < density <= 1"),
    ({"density": float("nan")}, "0 < density <= 1"),
    ({"density": 1e-6}, "at least one"),
]


@pytest.mark.parametrize("family", FEW)
def test_impossible_requests_are_refused(family):
    for request, message in IMPOSSIBLE:
        with pytest.raises(ValueError, match=message):
            make(family, 10, 10, **request)
    if family in WIRED:
        with pytest.raises(ValueError, match=r"fan_in= or density=, got neither"):
            make(family, 10, 10)


@pytest.mark.parametrize("family", FEW)
def test_impossible_sizes_are_refused(family):
    seed = {"seed": 0} if generators.takes_seed(family) else {}
    for size in [(0, 3), (3, 0), (-1, 3), (2.0, 3), (True, 3)]:
        with pytest.raises(ValueError, match="expected an integer 1 <= n_"):
            GENERATORS[family](*size, fan_in=1, **seed)


@pytest.mark.parametrize("family", RANDOM)
def test_another_seed_is_another_graph(family):
    graphs = {make(family, 64, 64, seed=seed, fan_in=8) for seed in range(5)}
    assert len(graphs) == 5
    with pytest.raises(ValueError, match="seed >= 0"):
        make(family, 64, 64, seed=-1, fan_in=8)


def test_a_random_family_needs_a_seed():
    with pytest.raises(TypeError, match="seed"):
        generators.biregular(64, 64, fan_in=8)


@pytest.mark.parametrize("family", sorted(set(WIRED) - {"peg"}))  # peg says that it is for some thousand units
def test_large_graphs_take_memory_of_their_edges(family):
    n = 128**2  # a square image, a multiple of the fan-in; a dense mask of it would be 268 MB
    tracemalloc.start()
    try:
        t = make(family, n, n, fan_in=4)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert t.n_edges == 4 * n or family in EXPECTED_EDGES_ONLY
    assert peak < 400 * 4 * n


# Families that exist for some sizes only.


@pytest.mark.parametrize("family", AVAILABLE_SIZES)
def test_every_shape_is_built_as_announced(family):
    listed = shapes(family)
    assert listed == sorted(listed, key=lambda s: (s.n_in, s.n_out))
    assert len({s[:3] for s in listed}) == len(listed) >= 2
    for shape in listed:
        t = make(family, shape.n_in, shape.n_out, **({"fan_in": int(shape.fan_in)} if shape.fan_in % 1 == 0 else {}))
        assert (t.n_in, t.n_out) == shape[:2]
        assert t.n_edges == round(shape.n_out * shape.fan_in)
        assert len(np.unique(t.fan_in)) == len(np.unique(t.fan_out)) == 1 or shape.fan_in % 1
        assert rebuilt(t) == t
        if shape.fan_in % 1 == 0:
            asked = {"fan_in": int(shape.fan_in)}
            assert generators.share_changed(family, *shape[:2], **asked) == 0
            assert make(family, *shape[:2], **asked, fit="level") == t
        if [s[:2] for s in listed].count(shape[:2]) == 1:
            assert make(family, *shape[:2]) == make(family, *shape[:2], fit="nearest") == t
        else:
            with pytest.raises(ValueError, match=f"expected fan_in= among .*{shape.fan_in}"):
                make(family, *shape[:2])


@pytest.mark.parametrize("family", AVAILABLE_SIZES)
@given(n_in=st.integers(1, 60), n_out=st.integers(1, 60), data=st.data())
@QUICK
def test_a_refusal_names_sizes_that_exist(family, n_in, n_out, data):
    fan_in = data.draw(st.one_of(st.none(), st.integers(1, n_in)))
    wanted = {} if fan_in is None else {"fan_in": fan_in}
    t, refusal = attempted(family, n_in, n_out, **wanted)
    if refusal:
        named = re.findall(r"(\d+) x (\d+) with fan_in=([\d.]+)", refusal.partition("; got ")[0])
        assert named or re.search(r"expected fan_in=? (among )?[\d., ]+(all that|which)", refusal), refusal
        for a, b, width in named:
            exact = {"fan_in": int(width)} if width.isdigit() else {}
            assert make(family, int(a), int(b), **exact).n_in == int(a)
        return
    assert (t.n_in, t.n_out) == (n_in, n_out)
    assert fan_in is None or set(t.fan_in.tolist()) == {fan_in}


@pytest.mark.parametrize("family", AVAILABLE_SIZES)
@given(n_in=st.integers(1, 60), n_out=st.integers(1, 60), data=st.data())
@QUICK
def test_the_nearest_fit_is_of_exactly_the_size_and_fan_in_asked_for(family, n_in, n_out, data):
    fan_in = data.draw(st.integers(1, min(n_in, 12)))
    t, refusal = attempted(family, n_in, n_out, fan_in=fan_in, fit="nearest")
    if refusal:
        found = re.search(r"fan_in=(\d+) would fit|no fan_in fits", refusal)
        assert found, refusal
        if not found[1]:
            return
        fan_in = int(found[1])
        t = make(family, n_in, n_out, fan_in=fan_in, fit="nearest")
    assert (t.n_in, t.n_out) == (n_in, n_out)
    assert set(t.fan_in.tolist()) == {fan_in}
    assert rebuilt(t) == t
    assert make(family, n_in, n_out, fan_in=fan_in, fit="nearest") == t


@pytest.mark.parametrize("family", AVAILABLE_SIZES)
def test_a_fit_without_a_fan_in_is_cut_alone(family):
    largest = shapes(family)[-1]
    t = make(family, largest.n_in - 1, max(largest.n_out - 2, 1), fit="nearest")
    assert (t.n_in, t.n_out) == (largest.n_in - 1, max(largest.n_out - 2, 1))
    with pytest.raises(ValueError, match='fit="nearest", fit="level" or none, got fit='):
        make(family, 10, 10, fit="smaller")


@pytest.mark.parametrize("family", AVAILABLE_SIZES)
@given(n_in=st.integers(1, 60), n_out=st.integers(1, 60), data=st.data())
@QUICK
def test_a_levelled_fit_is_made_whatever_changes_and_its_share_is_told(family, n_in, n_out, data):
    fan_in = data.draw(st.integers(1, n_in))
    t = make(family, n_in, n_out, fan_in=fan_in, fit="level")
    assert (t.n_in, t.n_out) == (n_in, n_out)
    assert set(t.fan_in.tolist()) == {fan_in}
    assert rebuilt(t) == t
    share = generators.share_changed(family, n_in, n_out, fan_in=fan_in)
    nearest, refusal = attempted(family, n_in, n_out, fan_in=fan_in, fit="nearest")
    if refusal:
        assert share > 0.2
        assert f"got fan_in={fan_in} and {share:.0%}; " in refusal
        assert 'fit="level"' in refusal
    else:
        assert share <= 0.2
        assert nearest == t


def test_levelling_is_that_of_the_nearest_graph_cut_to_size():
    plane = generators.projective_plane(57, 57)  # q = 7, the smallest that covers 40 x 50; its mean fan-in is then 5.6
    part = generators.cut(plane, 40, 50)
    for fan_in in (1, 14):
        t = generators.projective_plane(40, 50, fan_in=fan_in, fit="level")
        assert t == generators.cut(plane, 40, 50, fan_in=fan_in, fit="level")
        share = generators.share_changed("projective_plane", 40, 50, fan_in=fan_in)
        assert share == np.abs(part.fan_in - fan_in).sum() / (50 * fan_in) > 0.2
        common = t.biadjacency().multiply(part.biadjacency()).sum()
        assert common == np.minimum(part.fan_in, fan_in).sum()
        with pytest.raises(ValueError, match=r"cut|would fit"):
            generators.cut(plane, 40, 50, fan_in=fan_in)


NO_SIDES = ("x", None, 8.5, 4.0, math.nan, True, 0, -3)


def test_shares_of_impossible_requests_are_refused():
    for call, message in [
        (lambda: generators.share_changed("biregular", 9, 9, fan_in=3), "for some sizes only, among array_code"),
        (lambda: generators.share_changed("lps", 9, 9), "fan_in= or density=, got neither"),
        (lambda: generators.share_changed("lps", 9, 9, fan_in=3, m=2), "parameters of lps other than fit, got m"),
        (lambda: generators.share_changed("lps", 9, 9, fan_in=3, fit="level"), "other than fit, got fit"),
        *((lambda n=n: generators.share_changed("lps", n, 9, fan_in=3), "an integer 1 <= n_in") for n in NO_SIDES),
        *((lambda n=n: generators.cut(generators.dense(9, 9), 9, n), "an integer 1 <= n_out") for n in NO_SIDES),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
    assert generators.share_changed("butterfly_stage", 27, 27, fan_in=3, radix=3) == 0


# Parameters of their own.


COMMON = {"fan_in", "density", "n_edges", "fit", "seed"}  # read by the same functions everywhere: once is enough
OWN_PARAMETERS = [
    (family, parameter)
    for family in GENERATORS
    for parameter in generators.parameters(family)
    if parameter not in COMMON or family in FEW
]


@pytest.mark.parametrize(("family", "parameter"), OWN_PARAMETERS)
def test_parameters_of_another_kind_are_refused(family, parameter):
    request = {"n_in": 12, "n_out": 12, **(OWN_REQUEST[family](12, 12, 3) if family in OWN_REQUEST else {"fan_in": 3})}
    if generators.takes_seed(family):
        request["seed"] = 0
    for value in ("text", float("nan"), float("inf"), True, -1, [], ["a"], [True], {}):
        with pytest.raises(ValueError, match=r"expected .*, got "):
            generators.make(family, **{**request, parameter: value})


@pytest.mark.parametrize(
    ("family", "own", "message"),
    [
        ("power_law", {"exponent": "steep"}, "a number 1.05 <= exponent <= 100, got exponent='steep'; 2.5 is usual"),
        ("power_law", {"exponent": 1.01}, "1.05 <= exponent"),  # its quantiles overflow
        ("power_law", {"exponent": 101}, "exponent <= 100"),
        ("lognormal", {"spread": 20.1}, "a number 0 <= spread <= 20, got spread=20.1"),
        ("watts_strogatz", {"rewiring": 1.1}, "a number 0 <= rewiring <= 1"),
        ("swap_ladder", {"swaps": 2e6}, "a number 0 <= swaps <= "),
        ("receptive_field", {"r": -0.1}, "a number 0 <= r <= 1"),
        ("profile", {"inputs": (1, 0)}, r"inputs\[1\] <= 1e\+100, got inputs\[1\]=0; a profile is positive"),
        ("profile", {"outputs": "13"}, "expected outputs as positive numbers"),
    ],
)
def test_numbers_out_of_range_are_refused(family, own, message):
    with pytest.raises(ValueError, match=message):
        make(family, 12, 12, fan_in=3, **own)


@pytest.mark.parametrize(
    ("family", "own"),
    [
        ("power_law", {"exponent": 1.05}),
        ("power_law", {"exponent": 100}),
        ("lognormal", {"spread": 20}),
        ("profile", {"inputs": (1e-100, 1e100)}),
    ],
)
@pytest.mark.parametrize("n", [2, 12, 4000])
def test_the_ends_of_the_ranges_are_graphs(family, own, n):
    t = make(family, n, n, fan_in=2, **own)
    assert t.n_edges == 2 * n
    assert t.fan_out.max() <= n
    assert t.fan_out.min() >= 1


# The registry.


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match="biregular, butterfly_stage, circulant"):
        generators.make("bireglar", n_in=3, n_out=3)
    with pytest.raises(ValueError, match="it takes n_in, n_out, fan_in, density, "):
        generators.make("biregular", n_in=3, n_out=3, fanin=2)


def test_numpy_values_are_welcome():
    t = generators.biregular(np.int64(8), np.int32(8), fan_in=np.int64(2), seed=np.int64(0))
    assert t == rebuilt(t)
    t = generators.circulant(9, 9, offsets=np.array([0, 2]))
    assert t == generators.circulant(9, 9, offsets=[0, 2]) == rebuilt(t)
    assert hash(t.recipe) == hash(Recipe.make("circulant", n_in=9, n_out=9, offsets=[0, 2]))


# What the simplest families promise.


@given(n_in=st.integers(1, 12), n_out=st.integers(1, 12), seed=st.integers(0, 3), data=st.data())
@settings(max_examples=60, deadline=None)
def test_biregular_degrees_differ_by_at_most_one_up_to_full_density(n_in, n_out, seed, data):
    n_edges = data.draw(st.integers(1, n_in * n_out))
    t = generators.biregular(n_in, n_out, density=n_edges / (n_in * n_out), seed=seed)
    assert t.n_edges == n_edges
    assert np.ptp(t.fan_in) <= 1
    assert np.ptp(t.fan_out) <= 1


def test_biregular_is_exact_where_the_counts_divide():
    t = generators.biregular(784, 512, fan_in=49, seed=0)
    assert set(t.fan_in.tolist()) == {49}
    assert set(t.fan_out.tolist()) == {32}


def test_biregular_is_uniform_on_the_smallest_case():
    # The simple 2-regular graphs between 3 inputs and 3 outputs are the complements of the 6 permutations.
    graphs = [generators.biregular(3, 3, fan_in=2, seed=seed).digest for seed in range(600)]
    counts = np.unique(graphs, return_counts=True)[1]
    assert len(counts) == 6
    assert ((counts - 100) ** 2 / 100).sum() < 20.5


def test_biregular_mixes_every_cell_alike():
    total = np.zeros((8, 6))
    for seed in range(600):
        total += generators.biregular(6, 8, fan_in=3, seed=seed).biadjacency().toarray()
    np.testing.assert_allclose(total / 600, 0.5, atol=0.09)


def test_erdos_renyi_degrees_are_hypergeometric():
    fan_in = np.concatenate([generators.erdos_renyi(100, 100, density=0.1, seed=s).fan_in for s in range(20)])
    np.testing.assert_allclose(fan_in.mean(), 10)
    np.testing.assert_allclose(fan_in.var(), 10 * 0.9 * (9900 / 9999), rtol=0.12)


def test_constant_fan_in_reads_every_input_alike():
    fan_out = sum(generators.constant_fan_in(50, 200, fan_in=5, seed=s).fan_out for s in range(20))
    assert ((fan_out - 400) ** 2 / 400).sum() < 85.4  # 49 degrees of freedom, p = 0.001


def test_rotating_is_the_definition():
    t = generators.rotating(10, 15, fan_in=4)
    for j in range(15):
        expected = sorted((j * 10 // 15 + k) % 10 for k in range(4))
        assert t.indices[t.indptr[j] : t.indptr[j + 1]].tolist() == expected


def test_fibonacci_is_the_definition():
    t = generators.fibonacci(30, 30, fan_in=7)
    for j in range(30):
        expected = sorted((j + k) % 30 for k in (0, 1, 2, 3, 5, 8, 13))
        assert t.indices[t.indptr[j] : t.indptr[j + 1]].tolist() == expected


def test_fibonacci_says_how_many_offsets_there_are():
    assert generators.fibonacci(11, 3, fan_in=7).n_edges == 21
    with pytest.raises(ValueError, match="fan_in <= 7, the number of distinct Fibonacci numbers modulo n_in=11"):
        generators.fibonacci(11, 3, fan_in=8)


@pytest.mark.parametrize("groups", [1, 2, 5, 10])
def test_grouped_is_block_diagonal_where_fan_in_divides(groups):
    t = generators.grouped(20, 40, fan_in=20 // groups)
    expected = np.kron(np.eye(groups), np.ones((40 // groups, 20 // groups)))
    np.testing.assert_array_equal(t.biadjacency().toarray(), expected)


@given(n_in=st.integers(1, 60), n_out=st.integers(1, 60), data=st.data())
@settings(max_examples=40)
def test_grouped_reads_every_input_with_the_least_overlap(n_in, n_out, data):
    fan_in = data.draw(st.integers(1, n_in))
    t = generators.grouped(n_in, n_out, fan_in=fan_in)
    blocks = np.unique(t.indices.reshape(n_out, fan_in), axis=0)
    assert len(blocks) == min(-(-n_in // fan_in), n_out)
    assert (np.diff(blocks, axis=1) == 1).all()
    if n_out * fan_in >= n_in:
        assert (t.fan_out > 0).all()
        overlap = fan_in - np.diff(blocks[:, 0])
        assert len(overlap) == 0 or (overlap.min() >= 0 and np.ptp(overlap) <= 1)


def test_dense_is_complete():
    assert generators.dense(5, 3) == Topology.from_mask(np.ones((3, 5)))
