import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prewired import Recipe, Topology, generators
from prewired.generators import GENERATORS

SIZES = [(1, 1), (7, 5), (64, 64), (784, 100), (100, 784)]
WIRED = sorted(set(GENERATORS) - {"dense"})
CONSTANT_FAN_IN = ["constant_fan_in", "rotating", "fibonacci", "grouped"]
GOLDEN = {
    "biregular": "13edf524a5b5332af9f16c5144781a0d707244f3dd6f525a60fbf08b772d4910",
    "constant_fan_in": "8573d84d4b8369ec165507d41ee9ace4f5987906a5157f67ec15a6257d1e8092",
    "dense": "becf92e91cde51fe205faeb0fb03be0737dabb190b4a9e3bddd6595ef454c203",
    "erdos_renyi": "378acfed8e40a76c63cc08703fb16c5ab9b8b581d3534ec75622decf819cb3d5",
    "fibonacci": "6467b523bb0f692cad37a0bc64a1cfbba6dc5bdf604241e4b41c7d36dbcf9f69",
    "grouped": "b6bea86ba29986d93c41026b0b4c252960d20e9ed43be224a87a9400987bbf96",
    "rotating": "a0e6c1af1f45f36888feeeffb819d4fe40d7b618dc512ca1442a95c0a223befb",
}


def make(family, n_in, n_out, seed=3, **request):
    if family == "dense":
        request = {}
    if generators.takes_seed(family):
        request["seed"] = seed
    return generators.make(family, n_in=n_in, n_out=n_out, **request)


# The battery: every family is tested by being listed in GENERATORS.


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("family", GENERATORS)
def test_a_recipe_is_enough(family, size):
    t = make(family, *size, density=0.2 if min(size) > 1 else 1.0)
    assert (t.n_in, t.n_out) == size
    again = generators.from_recipe(Recipe.from_json(t.recipe.to_json()))
    assert again == t
    assert again.recipe == t.recipe


@pytest.mark.parametrize("family", GENERATORS)
def test_golden_digests(family):
    t = make(family, 97, 53, seed=11, fan_in=12)
    assert t.digest == GOLDEN[family]


@pytest.mark.parametrize("family", WIRED)
@given(n_in=st.integers(1, 40), n_out=st.integers(1, 40), data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_fan_in_gives_exactly_so_many_edges(family, n_in, n_out, data):
    fan_in = data.draw(st.integers(1, min(n_in, 8) if family == "fibonacci" else n_in))
    if family == "fibonacci" and fan_in > 4:
        n_in += 20
    t = make(family, n_in, n_out, fan_in=fan_in)
    assert t.n_edges == n_out * fan_in
    if family in CONSTANT_FAN_IN:
        assert set(t.fan_in.tolist()) == {fan_in}


@pytest.mark.parametrize("family", WIRED)
def test_a_density_is_rounded_as_documented(family):
    t = make(family, 784, 100, density=0.05)
    assert t.n_edges == (3900 if family in CONSTANT_FAN_IN else 3920)


@pytest.mark.parametrize("family", WIRED)
@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "fan_in= or density=, got neither"),
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
    ],
)
def test_impossible_requests_are_refused(family, request_, message):
    with pytest.raises(ValueError, match=message):
        make(family, 10, 10, **request_)


@pytest.mark.parametrize("family", GENERATORS)
@pytest.mark.parametrize("size", [(0, 3), (3, 0), (-1, 3), (2.0, 3), (True, 3)])
def test_impossible_sizes_are_refused(family, size):
    with pytest.raises(ValueError, match="expected an integer 1 <= n_"):
        make(family, *size, fan_in=1)


@pytest.mark.parametrize("family", [f for f in GENERATORS if generators.takes_seed(f)])
def test_another_seed_is_another_graph(family):
    graphs = {make(family, 50, 50, seed=seed, fan_in=5) for seed in range(5)}
    assert len(graphs) == 5
    with pytest.raises(TypeError, match="seed"):
        GENERATORS[family](50, 50, fan_in=5)
    with pytest.raises(ValueError, match="seed >= 0"):
        make(family, 50, 50, seed=-1, fan_in=5)


@pytest.mark.parametrize("family", GENERATORS)
def test_a_family_has_a_docstring_with_its_promises(family):
    for part in ("Args:", "Returns:", "Raises:", "Example:", ">>>"):
        assert part in GENERATORS[family].__doc__


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match="biregular, constant_fan_in, dense"):
        generators.make("bireglar", n_in=3, n_out=3)
    with pytest.raises(ValueError, match="it takes n_in, n_out, fan_in, density, seed"):
        generators.make("biregular", n_in=3, n_out=3, fanin=2)


def test_numpy_integers_are_welcome():
    t = generators.biregular(np.int64(8), np.int32(8), fan_in=np.int64(2), seed=np.int64(0))
    assert t == generators.from_recipe(Recipe.from_json(t.recipe.to_json()))


# What each family promises.


@given(n_in=st.integers(1, 12), n_out=st.integers(1, 12), seed=st.integers(0, 3), data=st.data())
@settings(max_examples=300, deadline=None)
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
    graphs = [generators.biregular(3, 3, fan_in=2, seed=seed).digest for seed in range(1200)]
    counts = np.unique(graphs, return_counts=True)[1]
    assert len(counts) == 6
    assert ((counts - 200) ** 2 / 200).sum() < 20.5


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


def test_large_graphs_take_memory_of_their_edges():
    for family in WIRED:
        t = make(family, 300_000, 200_000, fan_in=3)  # a dense mask would be 60 GB
        assert t.n_edges == 600_000
