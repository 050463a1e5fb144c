"""The bounds of spectral metrics hold, whichever method finds them."""

import gc
import weakref
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from prewired import Topology, generators, metrics
from prewired.metrics import laplacian, spectrum
from prewired.metrics._internal import inertia, lanczos, leading_pair, leading_singular_values, operators

KINDS = ("erdos_renyi", "constant_fan_in", "biregular", "watts_strogatz", "power_law", "banded", "rotating", "disjoint")


@pytest.fixture
def no_dense_solvers(monkeypatch):
    """Send even small graphs through the factorisations and the Lanczos iteration."""
    monkeypatch.setattr(leading_singular_values, "DENSE_CELLS", 0)
    monkeypatch.setattr(laplacian, "DENSE_VERTICES", 0)
    monkeypatch.setattr(leading_singular_values, "find_symmetric_spectrum", lambda matrix: None)
    spectrum._CACHE.clear()
    yield
    spectrum._CACHE.clear()


def random_graph(kind, seed):
    rng = np.random.default_rng(seed)
    n_in, n_out = (int(n) for n in rng.integers(6, 60, 2))
    fan_in = int(rng.integers(2, 6))
    if kind == "disjoint":
        parts = [random_graph(KINDS[k], int(rng.integers(10**6))).biadjacency() for k in rng.integers(0, 3, 2)]
        return Topology.from_biadjacency(scipy.sparse.block_diag(parts))
    own = {"rewiring": 0.2} if kind == "watts_strogatz" else {}
    random = {"seed": seed} if generators.takes_seed(kind) else {}
    return generators.make(kind, n_in=n_in, n_out=n_out, fan_in=fan_in, **own, **random)


def true_values(t):
    """By dense LAPACK, with the absolute error that it may have itself."""
    b = t.biadjacency().toarray()
    values = np.append(np.linalg.svd(b, compute_uv=False), 0.0)
    scale = [np.where(d > 0, np.maximum(d, 1) ** -0.5, 0) for d in (b.sum(1), b.sum(0))]
    normalized = np.append(np.linalg.svd(scale[0][:, None] * b * scale[1], compute_uv=False), 0.0)
    adjacency = np.block([[np.zeros((t.n_in, t.n_in)), b.T], [b, np.zeros((t.n_out, t.n_out))]])
    degrees = adjacency.sum(0)
    inverse = np.where(degrees > 0, np.maximum(degrees, 1) ** -0.5, 0)
    plain = np.linalg.eigvalsh(np.diag(degrees) - adjacency)
    scaled = np.linalg.eigvalsh(np.diag((degrees > 0).astype(float)) - inverse[:, None] * adjacency * inverse)
    bound = sum(np.sqrt(max(d.mean() - 1, 0)) for d in (b.sum(1), b.sum(0)))
    return {
        "spectral_gap": values[0] - values[1],
        "relative_spectral_gap": 1 - values[1] / values[0],
        "normalized_spectral_gap": 1 - normalized[1],
        "ramanujan_ratio": values[1] / bound,
        "algebraic_connectivity": plain[1],
        "normalized_algebraic_connectivity": scaled[1],
    }, 1e-14 * sum(b.shape) * values[0]


@pytest.mark.parametrize("n_graphs", [16, pytest.param(128, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
def test_bounds_hold_on_random_graphs(kind, n_graphs, no_dense_solvers, monkeypatch):
    certificates = set()
    for seed in range(n_graphs):
        t = random_graph(kind, seed)
        expected, slack = true_values(t)
        if seed == n_graphs // 2:  # no factorisation follows the iteration in the second half: only the random start
            monkeypatch.setattr(inertia, "MOST_DENSE_ROWS", 0)
        spectrum._CACHE.clear()
        for name in expected:
            found = metrics.METRICS[name](t, explain=True)
            np.testing.assert_allclose(found.value, expected[name], rtol=1e-7, atol=2e-7, err_msg=f"{name}, {t}")
            assert found.low - slack <= expected[name] <= found.high + slack, (name, t, found, expected[name])
            assert found.low <= found.value <= found.high, (name, t, found)
            assert found.error < 1e-6, (name, t, found)
            certificates.add(found.certificate)
    both = {leading_pair.CHOLESKY, leading_pair.RANDOM_START}
    assert both <= certificates or leading_pair.FACTORISED in certificates, certificates


@pytest.mark.parametrize("seed", range(40))
def test_bounds_hold_for_dense_solvers_and_closed_forms(seed):
    t = random_graph(KINDS[seed % len(KINDS)], seed)
    expected, slack = true_values(t)
    for name, value in expected.items():
        found = metrics.METRICS[name](t, explain=True)
        assert found.low - slack <= value <= found.high + slack, (name, t, found)
        assert found.confidence == 1.0
        assert found.value == metrics.METRICS[name](t)


@pytest.mark.parametrize("seed", range(20))
def test_bounds_of_products(seed, no_dense_solvers):
    rng = np.random.default_rng(seed)
    sizes = [int(n) for n in rng.integers(5, 40, 4)]
    layers = [generators.erdos_renyi(a, b, density=0.2, seed=seed) for a, b in pairwise(sizes)]
    product = layers[0].biadjacency().toarray()
    for t in layers[1:]:
        product = t.biadjacency() @ product
    values = np.linalg.svd(product, compute_uv=False)
    found = metrics.product_spectral_gap(layers, explain=True)
    slack = 1e-13 * values[0]
    assert found.low - slack <= values[0] - values[1] <= found.high + slack
    np.testing.assert_allclose(found.value, values[0] - values[1], rtol=1e-7)
    np.testing.assert_allclose(metrics.relative_product_spectral_gap(layers), 1 - values[1] / values[0], atol=1e-7)
    normalized = np.eye(sizes[0])
    for t in layers:
        b = t.biadjacency().toarray()
        rows, columns = (np.where(d > 0, np.maximum(d, 1) ** -0.5, 0) for d in (b.sum(1), b.sum(0)))
        normalized = rows[:, None] * b * columns @ normalized
    values = np.linalg.svd(normalized, compute_uv=False)
    found = metrics.normalized_product_spectral_gap(layers, explain=True)
    assert found.low - 1e-13 <= 1 - values[1] / values[0] <= found.high + 1e-13


def hubs(n):
    """A random graph in which one output reads all inputs, and one input is read by all outputs."""
    mask = generators.erdos_renyi(n, n, density=0.1, seed=0).biadjacency().toarray()
    mask[0], mask[:, 1] = 1, 1
    return Topology.from_mask(mask)


@pytest.mark.parametrize("depth", [4, 8, 16, 40])
@pytest.mark.parametrize(
    "graph", [hubs(60), generators.erdos_renyi(60, 60, density=0.1, seed=0)], ids=["hubs", "random"]
)
def test_products_of_many_uneven_layers(graph, depth, no_dense_solvers):
    """The product of the layers' norms is so far above sigma1 that everything is noise beside it."""
    product = np.eye(60)
    for _ in range(depth):
        product = graph.biadjacency() @ product
    values = np.linalg.svd(product, compute_uv=False)
    for metric, value in (
        (metrics.product_spectral_gap, values[0] - values[1]),
        (metrics.relative_product_spectral_gap, 1 - values[1] / values[0]),
    ):
        for found in (metric([graph] * depth, explain=True), metric([graph] * depth)):
            found = found if isinstance(found, metrics.Measurement) else metrics.Measurement.from_count(found)
            np.testing.assert_allclose(found.value, value, rtol=1e-7)
            assert found.low <= value * (1 + 1e-7)
            assert found.high >= value * (1 - 1e-7)


@pytest.mark.parametrize("n", [4, 60])
def test_a_product_beyond_the_largest_float(n, request):
    if n == 60:
        request.getfixturevalue("no_dense_solvers")
    layers = [generators.dense(4, 4)] * 700 if n == 4 else [hubs(60)] * 400
    found = metrics.product_spectral_gap(layers, explain=True)
    assert (found.value, found.high) == (np.inf, np.inf)
    assert 0 < found.low < np.inf
    np.testing.assert_allclose(metrics.relative_product_spectral_gap(layers), 1)


@pytest.mark.parametrize(("n_in", "n_out", "p"), [(3, 300_000, 0.5), (4, 100_000, 0.7), (3, 300_000, 0.999)])
def test_bounds_hold_where_rows_are_long(n_in, n_out, p):
    """Rounding errors of a sum grow with its length. The Gram matrix is of integers, so its eigenvalues are known."""
    t = generators.erdos_renyi(n_in, n_out, density=p, seed=0)
    gram = (t.biadjacency().T @ t.biadjacency()).toarray()
    values = np.sqrt(np.linalg.eigvalsh(gram)[::-1])
    found = leading_singular_values.find_leading_pair([t.biadjacency()], certify=True)
    for sigma, true in zip((found.first, found.second), values[:2], strict=True):
        slack = 2e-16 * values[0] ** 2 / true
        assert sigma.low - slack <= true <= sigma.high + slack
        assert sigma.error < 1e-6 * values[0]


def test_sigma1_of_biregular_graphs_is_exact():
    found = spectrum.measure_leading_pair(generators.biregular(2000, 1000, fan_in=600, seed=0))
    assert found.first.low <= np.sqrt(600 * 300) <= found.first.high
    assert found.first.error < 1e-12
    plain = leading_singular_values.find_leading_pair(
        [generators.biregular(2000, 1000, fan_in=600, seed=0).biadjacency()]
    )
    assert plain.first.low <= np.sqrt(600 * 300) <= plain.first.high


def path(n):
    """The path of 2 n vertices, which begins with an input."""
    ones = np.ones(n)
    return Topology.from_biadjacency(scipy.sparse.diags_array([ones, ones[1:]], offsets=[0, 1]))


@pytest.mark.parametrize("n", [3, 1000, 20_000])
def test_paths_by_their_closed_forms(n):
    t, vertices = path(n), 2 * n
    sigma1, sigma2 = 2 * np.cos(np.pi * np.array([1, 2]) / (vertices + 1))
    expected = {
        "spectral_gap": sigma1 - sigma2,
        "normalized_spectral_gap": 1 - np.cos(np.pi / (vertices - 1)),
        "algebraic_connectivity": 2 - 2 * np.cos(np.pi / vertices),
    }
    for name, value in expected.items():
        found = metrics.METRICS[name](t, explain=True)
        assert found.low <= value + 1e-14
        assert value - 1e-14 <= found.high
        assert found.error < 1e-9
        assert found.certificate == (leading_pair.FACTORISED if n > 700 else leading_singular_values.LAPACK), found


def test_a_thin_grid_by_its_closed_form():
    width, length = 3, 3000  # vertices of both sides by the parity of their coordinates
    place = np.arange(width * length)
    x, y = place % width, place // width
    number = np.cumsum((x + y) % 2 == 0) - 1, np.cumsum((x + y) % 2) - 1
    step = [(k, k + 1) for k in place[x < width - 1]] + [(k, k + width) for k in place[y < length - 1]]
    edges = [(a, b) if (x[a] + y[a]) % 2 == 0 else (b, a) for a, b in step]
    pairs = [(number[0][a], number[1][b]) for a, b in edges]
    t = Topology.from_edges(number[0][-1] + 1, number[1][-1] + 1, pairs)
    across, along = (2 * np.cos(np.pi * np.arange(1, 3) / (n + 1)) for n in (width, length))
    found = metrics.spectral_gap(t, explain=True)
    assert found.certificate == leading_pair.FACTORISED
    assert found.low <= along[0] - along[1] <= found.high
    assert across[0] - across[1] > along[0] - along[1]


def test_a_network_with_one_output_needs_no_dense_matrix():
    layers = [generators.biregular(50_000, 50_000, fan_in=4, seed=0), generators.dense(50_000, 1)]
    assert metrics.product_spectral_gap(layers, explain=True).certificate == leading_pair.COMPLETE
    np.testing.assert_allclose(metrics.product_spectral_gap(layers), 4 * np.sqrt(50_000))


def test_a_product_of_rank_one_has_bounds_and_says_on_what():
    layers = generators.butterfly([1024] * 3, fan_in=32)
    found = metrics.relative_product_spectral_gap(layers, explain=True)
    assert 0.9999 < found.low <= 1 <= found.high
    assert found.certificate == leading_pair.CHOLESKY


@pytest.mark.parametrize("scale", [1e-170, 1e160])
def test_weights_whose_squares_leave_the_range(scale):
    t = generators.biregular(600, 600, fan_in=3, seed=0)
    one = leading_singular_values.find_leading_pair([t.biadjacency()])
    other = leading_singular_values.find_leading_pair([scale * t.biadjacency()])
    np.testing.assert_allclose([m.value / scale for m in other[:2]], [m.value for m in one[:2]], rtol=1e-9)
    both = scipy.sparse.block_diag([np.eye(1), scale * t.biadjacency()], format="csr")
    found = leading_singular_values.find_leading_pair([both])
    expected = scale * 3 if scale < 1 else scale * one.second.value  # the second largest of these and 1
    np.testing.assert_allclose(found.second.value, expected, rtol=1e-9)


# Which method, and what it rests on


def test_the_method_is_chosen_by_size_and_structure():
    def found(t):
        return metrics.spectral_gap(t, explain=True)

    assert found(generators.dense(700, 900)).method == "closed form: complete"
    assert found(generators.rotating(700, 700, fan_in=9)).method == "closed form: ring of 700"
    assert found(generators.flat_butterfly(1024, 1024)).method == "closed form: hypercube of 1024"
    assert found(generators.erdos_renyi(50, 60, fan_in=6, seed=0)).certificate == leading_pair.LAPACK
    assert found(generators.banded(30_000, 20_000, fan_in=8)).certificate == leading_pair.FACTORISED
    assert found(generators.biregular(1000, 800, fan_in=10, seed=0)).certificate == leading_pair.CHOLESKY
    large = found(generators.biregular(8000, 8000, fan_in=10, seed=0))
    assert large.certificate == leading_pair.RANDOM_START
    assert large.confidence == 1 - lanczos.FAILURE
    assert found(generators.grouped(60, 90, fan_in=10)).error < 1e-12


def test_a_float_unless_asked_to_explain():
    t = generators.biregular(700, 700, fan_in=5, seed=0)
    value = metrics.spectral_gap(t)
    assert isinstance(value, float)
    certain = metrics.spectral_gap(t, explain=True)
    assert certain.value == value
    assert certain.low <= value <= certain.high
    assert metrics.measure(t, ["spectral_gap", "girth"], explain=True) == {
        "spectral_gap": certain,
        "girth": metrics.Measurement.from_count(metrics.girth(t)),
    }


def test_progress_is_reported_and_an_interrupt_goes_through():
    t, steps = generators.biregular(4000, 4000, fan_in=8, seed=1), []
    metrics.spectral_gap(t, progress=lambda done, total: steps.append((done, total)))
    assert [done for done, _ in steps] == sorted({done for done, _ in steps})
    assert steps[-1][1] is not None
    spectrum._CACHE.clear()

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        metrics.spectral_gap(t, progress=stop)
    assert metrics.spectral_gap(t) > 0


def test_what_is_known_of_a_topology_goes_with_it():
    t = generators.biregular(700, 700, fan_in=5, seed=3)
    metrics.spectral_gap(t)
    assert t in spectrum._CACHE
    del t
    assert generators.biregular(700, 700, fan_in=5, seed=3) not in spectrum._CACHE


def test_a_network_of_one_layer_twice_is_not_held():
    t = generators.biregular(40, 40, fan_in=3, seed=5)
    metrics.product_spectral_gap([t, t])
    alive = weakref.ref(t)
    del t
    gc.collect()
    assert alive() is None


# The parts


def test_a_false_claim_is_not_proven():
    t = generators.banded(400, 300, fan_in=6)
    b = t.biadjacency()
    adjacency = scipy.sparse.csr_array(scipy.sparse.block_array([[None, b.T], [b, None]]))
    values = np.sort(np.linalg.eigvalsh(adjacency.toarray()))[::-1]
    band = inertia.order_as_band(adjacency)
    for s in (*(values[:5] + 1e-6), *(values[:5] - 1e-6), 1.2345, -0.1234):
        count, error = inertia.count_above(band, s)
        assert error < 1e-9
        assert count == (values > s).sum()
    gram = (b @ b.T).toarray()
    (*_, second, first), vectors = np.linalg.eigh(gram)
    for s, true in ((second + 1e-6, True), (second - 1e-6, False), (first + 1, True), (0.5 * second, False)):
        assert inertia.prove_below(gram.copy(), s, vectors[:, -1], first)[0] == true


def test_a_band_in_any_order_is_found():
    t = generators.permute_inputs(generators.banded(9000, 9000, fan_in=5), seed=0)
    b = t.biadjacency()
    adjacency = scipy.sparse.csr_array(scipy.sparse.block_array([[None, b.T], [b, None]]))
    band = inertia.order_as_band(adjacency)
    assert band.width <= 10
    assert (abs(band.matrix - adjacency[band.order][:, band.order]) > 0).nnz == 0
    assert inertia.order_as_band(scipy.sparse.csr_array(scipy.sparse.block_array(_sides(9000)))) is None


def _sides(n):
    return _sides_of(generators.biregular(n, n, fan_in=8, seed=0))


def _sides_of(t):
    b = t.biadjacency()
    return [[None, b.T], [b, None]]


def test_what_is_not_in_its_place_is_not_bracketed():
    t = generators.banded(400, 300, fan_in=6)
    band = inertia.order_as_band(scipy.sparse.csr_array(scipy.sparse.block_array(_sides_of(t))))
    values = np.sort(np.linalg.eigvalsh(band.matrix.toarray()))[::-1]
    for place in (0, 1):
        low, high = inertia.bracket_eigenvalue(band, values[place], place, values[0])
        assert low <= values[place] <= high
        assert high - low < 1e-9
        assert inertia.bracket_eigenvalue(band, values[place] + 1e-6, place, values[0])[0] == -np.inf
        assert inertia.bracket_eigenvalue(band, values[place] - 1e-6, place, values[0])[1] == np.inf
    shift = inertia.find_shift_above(band, values[5], 2 * values[0])
    assert values[0] < shift < values[0] * (1 + 2e-7)


@given(seed=st.integers(0, 10**6), n=st.integers(2, 60))
@settings(max_examples=20, deadline=None)
def test_the_iteration_finds_the_largest_eigenvalue_of_any_matrix(seed, n):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((n, n))
    matrix = matrix + matrix.T
    if seed % 3 == 0:
        matrix = np.round(matrix)  # repeated values
    if seed % 5 == 0:
        matrix[:] = rng.standard_normal() * np.eye(n)
    values = np.linalg.eigvalsh(matrix)
    scale = np.abs(values).max()
    assume(scale > 0)
    found = lanczos.find_largest_eigenvalue(lambda x: matrix @ x, n, scale, vector=True)
    assert found.value - 1e-12 * scale <= values[-1] <= found.upper + 1e-12 * scale
    np.testing.assert_allclose(found.value, values[-1], atol=1e-7 * scale)
    np.testing.assert_allclose(matrix @ found.vector, found.value * found.vector, atol=1e-4 * scale)


def test_an_eigenvalue_that_the_start_hardly_touches_is_inside_the_bound():
    """The bound is about such a start: the iteration settles below, and says how much may be above."""
    n = 400
    values = np.linspace(0, 1, n)
    values[-1] = 1.5
    start = lanczos._draw_gaussian(n, 0)
    start[-1] = 0.0
    for share in (1e-4, 2e-7):  # of the largest eigenvalue in the start; one below 1e-7 has probability 1.6e-6
        start[-1] = share * np.linalg.norm(start[:-1])
        process = lanczos._iterate(lambda x: values * x, start, lambda x: x)
        pairs = [next(process)[1:] for _ in range(40)]
        found = [
            lanczos._bound_largest(*map(np.array, zip(*pairs[:k], strict=True)), n, 1.5, 1e-14)
            for k in range(1, len(pairs) + 1)
        ]
        assert min(ritz.upper for ritz in found) >= 1.5
        assert found[3].value < 1.1
        assert found[-1].value > 1.5 - 1e-9


@given(seed=st.integers(0, 10**6), group=st.sampled_from(["ring", "within", "hypercube"]))
@settings(max_examples=25, deadline=None)
def test_closed_forms_of_any_graph_with_a_symmetry(seed, group):
    rng = np.random.default_rng(seed)
    order = int(rng.choice([2, 4, 8])) if group == "hypercube" else int(rng.integers(2, 9))
    a, b = (int(k) for k in rng.integers(1, 5, 2))
    pattern = rng.random((b, a, order)) < 0.3
    matrix = np.zeros((b * order, a * order))
    for i, j, d in np.argwhere(pattern):
        for place in range(order):
            other = place ^ d if group == "hypercube" else (place + d) % order
            row, column = (place * b + i, other * a + j) if group == "ring" else (i * order + place, j * order + other)
            matrix[row, column] = 1
    found = leading_singular_values.find_symmetric_spectrum(scipy.sparse.csr_array(matrix))
    assert found is not None
    expected = np.linalg.svd(matrix, compute_uv=False)
    np.testing.assert_allclose(found.values[: len(expected)], expected, atol=1e-12)


def test_one_edge_moved_ends_the_symmetry():
    t = generators.rotating(40, 40, fan_in=5)
    pairs = np.stack([t.indices, np.repeat(np.arange(40), 5)], axis=1)
    for edge in (0, 77, 199):
        moved = pairs.copy()
        moved[edge, 0] = (moved[edge, 0] + 17) % 40
        assert leading_singular_values.find_symmetric_spectrum(Topology.from_edges(40, 40, moved).biadjacency()) is None


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_products_are_those_of_scipy(threads, monkeypatch):
    monkeypatch.setattr(operators, "WORTH_THREADS", 0)
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (5, 3), (40, 60)):
        matrix = scipy.sparse.random_array(shape, density=0.3, format="csr", rng=rng)
        for m in (matrix, (matrix > 0).astype(float).tocsr()):
            f = operators.make_operator(m)
            x, y = rng.standard_normal(shape[1]), rng.standard_normal(shape[0])
            np.testing.assert_allclose(f.apply(x), m @ x, rtol=1e-13, atol=1e-14)
            np.testing.assert_allclose(f.apply_transpose(y), m.T @ y, rtol=1e-13, atol=1e-14)


def test_the_compiled_functions_were_built_and_do_what_scipy_does(monkeypatch):
    assert operators._load_library() is not None
    rng = np.random.default_rng(1)
    for _ in range(200):
        m = scipy.sparse.csr_array(rng.random(rng.integers(1, 9, 2)) < 0.5 * rng.random())
        compiled = operators.label_components(m.indptr, m.indices, m.shape[1])
        with monkeypatch.context() as patch:
            patch.setattr(operators, "_load_library", lambda: None)
            plain = operators.label_components(m.indptr, m.indices, m.shape[1])
        assert compiled[0] == plain[0]
        for mine, other in zip(compiled[1:], plain[1:], strict=True):
            np.testing.assert_array_equal(mine, other)  # both number components as they first occur
