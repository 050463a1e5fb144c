"""Bounds of spectral metrics on graphs made to break them, against dense double precision."""

import numpy as np
import pytest
import scipy.linalg

from prewired import Topology, metrics
from prewired.metrics import laplacian, product_spectrum, spectrum, weighted
from prewired.metrics._internal import (
    inertia,
    lanczos,
    leading_by_lanczos,
    leading_pair,
    leading_singular_values,
    next_eigenvalue,
)

EPSILON = np.finfo(float).eps


def join(blocks, length, weight=1.0, *, ring=False):
    """Blocks one after another on the diagonal, each joined to the next by a path of `length` outputs and inputs."""
    parts = []
    for block in blocks:
        parts += [block, np.zeros((length, length))]
    whole = scipy.linalg.block_diag(*(parts if ring else parts[:-1]))
    row = column = 0
    for k, block in enumerate(blocks):
        row, column = row + block.shape[0], column + block.shape[1]
        last = k + 1 == len(blocks)
        if last and not ring:
            break
        before = column - 1
        for step in range(length):
            whole[row + step, before] = whole[row + step, column + step] = weight
            before = column + step
        row, column = row + length, column + length
        whole[0 if last else row, before] = weight
    return whole


def permute(rng, matrix, padding=0):
    """The matrix in a random order of rows and columns, with some empty ones among them."""
    size = np.array(matrix.shape) + rng.integers(0, padding + 1, 2)
    whole = np.zeros(size)
    rows, columns = (rng.permutation(n)[:m] for n, m in zip(size, matrix.shape, strict=True))
    whole[np.ix_(rows, columns)] = matrix
    return whole


def draw_block(rng, low=3, high=9):
    """A random connected 0/1 matrix."""
    shape = rng.integers(low, high, 2)
    block = (rng.random(shape) < rng.uniform(0.3, 0.9)).astype(float)
    block[0] = 1
    block[:, 0] = 1
    return block


def joined(rng):
    a = int(rng.integers(3, 8))
    return join([np.ones((a, a))] * 2, int(rng.integers(1, 16)))


def near_double(rng):
    block = draw_block(rng)
    return join([block, permute(rng, block)], int(rng.integers(1, 14)))


def hubs(rng):
    matrix = (rng.random(rng.integers(12, 40, 2)) < 0.06).astype(float)
    matrix[rng.integers(0, len(matrix), 3)] = 1
    matrix[:, rng.integers(0, matrix.shape[1], 2)] = 1
    return matrix


def paths(rng):
    n = int(rng.integers(8, 40))
    matrix = np.eye(n) + np.eye(n, k=1)
    if rng.random() < 0.3:
        matrix[-1, 0] = 1
    extra = rng.integers(0, n, (2, int(rng.integers(0, 3))))
    matrix[extra[0], extra[1]] = 1
    return matrix


def double_covers(rng):
    base = draw_block(rng, 5, 16)
    crossed = base * (rng.random(base.shape) < rng.choice([0.03, 0.5]))
    return np.block([[base - crossed, crossed], [crossed, base - crossed]])


def hidden(rng):
    a, b = rng.integers(2, 6, 2)
    large = (rng.random(rng.integers(15, 35, 2)) < 0.12).astype(float)
    blocks = [np.ones((a, b))] * int(rng.integers(1, 4)) + [np.ones((b, a))]
    return scipy.linalg.block_diag(large, *blocks)


def stars(rng):
    n = int(rng.integers(4, 14))
    sizes = n + rng.integers(0, 2, int(rng.integers(2, 4)))
    return join([np.ones((1, k)) if rng.random() < 0.5 else np.ones((k, 1)) for k in sizes], int(rng.integers(1, 8)))


def chained_cliques(rng):
    a = int(rng.integers(3, 6))
    return join([np.ones((a, a))] * int(rng.integers(3, 6)), int(rng.integers(0, 4)))


def tiny_weights(rng):
    block = draw_block(rng) * rng.uniform(0.5, 1)
    return join([block, permute(rng, block)], int(rng.integers(0, 4)), 10.0 ** -rng.integers(3, 200))


def huge_ratios(rng):
    block = draw_block(rng, 8, 24)
    return block * 10.0 ** rng.uniform(-150, 150, block.shape)


def copies(rng):
    block = draw_block(rng, 3, 7)
    return join([block] * int(rng.integers(3, 6)), int(rng.integers(0, 6)), ring=bool(rng.random() < 0.5))


def low_rank(rng):
    blocks = [np.outer(*(rng.uniform(0.1, 1, int(k)) for k in rng.integers(3, 9, 2))) for _ in range(2)]
    second = blocks[1] / np.linalg.norm(blocks[1]) * np.linalg.norm(blocks[0]) * (1 + rng.choice([0, 1e-15, 1e-10]))
    return join([blocks[0], second], int(rng.integers(0, 10)), float(10.0 ** -rng.integers(0, 12)))


KINDS = (
    *(joined, near_double, hubs, paths, double_covers, hidden, stars, chained_cliques),
    *(tiny_weights, huge_ratios, copies, low_rank),
)
MODES = ("random start", "Cholesky", "band", "as chosen")


def draw_matrix(kind, seed):
    rng = np.random.default_rng([KINDS.index(kind), seed])
    matrix = permute(rng, kind(rng), padding=4)
    return matrix if rng.random() < 0.5 else matrix.T.copy()


def force(monkeypatch, mode):
    """Send graphs of every size through one method by lowering the limits of the other ones."""
    if mode == "as chosen":
        return
    for module, name in (
        *((leading_singular_values, "DENSE_CELLS"), (weighted, "DENSE_CELLS"), (laplacian, "DENSE_VERTICES")),
        *(() if mode == "band" else ((inertia, "SPARSE_WORK"),)),
        *(() if mode == "Cholesky" else ((inertia, "MOST_DENSE_ROWS"),)),
    ):
        monkeypatch.setattr(module, name, 0)
    if mode == "band":
        for module in (leading_singular_values, laplacian):
            monkeypatch.setattr(module, "is_bandlike", lambda m, transposed: True)
    monkeypatch.setattr(leading_singular_values, "find_symmetric_spectrum", lambda matrix: None)


def two_largest(matrix):
    return [*np.linalg.svd(matrix, compute_uv=False), 0.0][:2]


def normalize(matrix):
    scale = [np.where(d > 0, np.maximum(d, 1) ** -0.5, 0) for d in (matrix.sum(1), matrix.sum(0))]
    return scale[0][:, None] * matrix * scale[1]


def list_checks(matrix):
    """(name, Measurement, true value, error of the true value and of the last operations) of all metrics."""
    mask = (matrix != 0).astype(float)
    t, weights = Topology.from_mask(mask), matrix[matrix != 0]
    n = sum(mask.shape)
    back = t.transpose()
    laplace = np.diag(np.concatenate([mask.sum(0), mask.sum(1)])) - np.block(
        [[np.zeros((t.n_in, t.n_in)), mask.T], [mask, np.zeros((t.n_out, t.n_out))]]
    )
    first, second = two_largest(mask)
    largest = 2 * max(mask.sum(0).max(), mask.sum(1).max())
    yield "spectral_gap", metrics.spectral_gap(t, explain=True), first - second, first
    yield "relative_spectral_gap", metrics.relative_spectral_gap(t, explain=True), 1 - second / first, 1
    gap = 1 - two_largest(normalize(mask))[1]
    yield "normalized_spectral_gap", metrics.normalized_spectral_gap(t, explain=True), gap, 1
    connectivity = np.linalg.eigvalsh(laplace)[1]
    yield "algebraic_connectivity", metrics.algebraic_connectivity(t, explain=True), connectivity, largest
    first, second = two_largest(mask.T @ mask)
    yield "product_spectral_gap", metrics.product_spectral_gap([t, back], explain=True), first - second, first
    relative = metrics.relative_product_spectral_gap([t, back], explain=True)
    yield "relative_product_spectral_gap", relative, 1 - second / first, 1
    scale = np.abs(matrix).max()
    first, second = (scale * value for value in two_largest(np.abs(matrix) / scale))
    yield "weighted_spectral_gap", metrics.weighted_spectral_gap(t, weights, explain=True), first - second, first
    relative = metrics.relative_weighted_spectral_gap(t, weights, explain=True)
    yield "relative_weighted_spectral_gap", relative, 1 - second / first, 1
    signed = matrix / scale * np.where(np.arange(matrix.size).reshape(matrix.shape) % 3, 1, -1)
    rank = (signed**2).sum() / np.linalg.norm(signed, 2) ** 2
    yield "stable_rank", metrics.stable_rank(t, signed[matrix != 0], explain=True), rank, 2 * rank * n


def find_violations(matrix, *, tolerance=1e-6):
    """What is false of the bounds, or far from the true value."""
    spectrum._CACHE.clear()
    product_spectrum._CACHE.clear()
    faults = []
    for name, found, true, scale in list_checks(matrix):
        slack = 4 * sum(matrix.shape) * EPSILON * scale
        if not found.low - slack <= true <= found.high + slack:
            faults.append(f"{name}: {true!r} outside {found}")
        if not (found.low <= found.value <= found.high and abs(found.value - true) <= tolerance * scale):
            faults.append(f"{name}: value {found} for {true!r}")
        if (leading_pair.RANDOM_START in found.certificate) == (found.confidence == 1):
            faults.append(f"{name}: confidence {found}")
    return faults


@pytest.mark.parametrize("n_graphs", [8, pytest.param(840, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_bound_is_violated(kind, n_graphs, monkeypatch):
    """Row 1.1: 12 kinds, 10,080 graphs by every method in turn."""
    faults = []
    for seed in range(n_graphs):
        with monkeypatch.context() as patch:
            force(patch, MODES[seed % len(MODES)])
            faults += [(seed, fault) for fault in find_violations(draw_matrix(kind, seed))]
    assert faults == []


@pytest.mark.parametrize("length", [13, 11, 16])
def test_two_blocks_on_a_long_path_in_any_order_of_the_units(length):
    """Row 1.1: sigma1 and sigma2 are equal to 15 digits, and the second run must find the second of them."""
    a, n = 6, 560
    matrix = join([np.ones((a, a))] * 2, length)
    first, second = two_largest(matrix)
    for seed in range(40 if length == 13 else 10):
        rng, whole = np.random.default_rng(seed), np.zeros((n, n))
        whole[np.ix_(rng.permutation(n)[: len(matrix)], rng.permutation(n)[: len(matrix)])] = matrix
        found = metrics.spectral_gap(Topology.from_mask(whole), explain=True)
        assert found.low <= first - second + 1e-14, seed
        assert first - second - 1e-14 <= found.high < 1e-6, seed


def test_runs_on_one_matrix_have_streams_of_their_own(monkeypatch):
    streams = []
    original = lanczos.find_largest_eigenvalue

    def record(*args, **options):
        streams.append(options.get("stream", 0))
        return original(*args, **options)

    for module in (leading_by_lanczos, next_eigenvalue):
        monkeypatch.setattr(module, "find_largest_eigenvalue", record)
    force(monkeypatch, "random start")
    metrics.spectral_gap(Topology.from_mask(draw_matrix(joined, 0)), explain=True)
    assert streams == [next_eigenvalue.TOP_STREAM, next_eigenvalue.STREAMS[0]]
    assert len({next_eigenvalue.TOP_STREAM, *next_eigenvalue.STREAMS}) == 4
    starts = np.array([lanczos._draw_gaussian(4000, k) for k in range(4)])
    assert np.abs(np.corrcoef(starts) - np.eye(4)).max() < 0.06


def lie(monkeypatch, streams):
    """Make the runs of some streams miss the largest eigenvalue beside the known vector."""
    original = next_eigenvalue.find_largest_eigenvalue

    def miss(apply, n, scale, **options):
        ritz = original(apply, n, scale, **options)
        return ritz._replace(value=0.5 * ritz.value, upper=0.5 * ritz.upper) if options["stream"] in streams else ritz

    monkeypatch.setattr(next_eigenvalue, "find_largest_eigenvalue", miss)


@pytest.mark.parametrize("kind", [joined, hubs, low_rank], ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("wrong", [(0,), (0, 2)])
def test_a_refuted_start_is_followed_by_another(kind, wrong, monkeypatch):
    force(monkeypatch, "Cholesky")
    lie(monkeypatch, wrong)
    for seed in range(4):
        assert find_violations(draw_matrix(kind, seed)) == []


@pytest.mark.parametrize("kind", [joined, paths, stars], ids=lambda kind: kind.__name__)
def test_no_bound_of_a_refuted_start_is_given(kind, monkeypatch):
    force(monkeypatch, "Cholesky")
    lie(monkeypatch, next_eigenvalue.STREAMS)
    for seed in range(4):
        matrix = (draw_matrix(kind, seed) != 0).astype(float)
        block = metrics.spectrum.find_leading_pair([Topology.from_mask(matrix).biadjacency()], certify=True)
        first, second = two_largest(matrix)
        assert block.second.low <= second <= block.second.high
        assert block.first.low <= first * (1 + 1e-14)
        assert first <= block.first.high * (1 + 1e-14)
        if "Lanczos" in block.second.method:
            assert (block.second.certificate, block.second.confidence) == (leading_pair.NORM, 1)


def test_a_graph_with_one_uncertain_block_says_so(monkeypatch):
    """The value may come from a certain block: the bounds still rest on all blocks."""
    monkeypatch.setattr(inertia, "MOST_DENSE_ROWS", 0)
    uncertain = Topology.from_mask(np.random.default_rng(0).random((600, 600)) < 0.006).biadjacency().toarray()
    for n_blocks in (1, 2):
        matrix = scipy.linalg.block_diag(np.ones((8, 8)), np.ones((6, 6)), *[uncertain] * n_blocks)
        found = metrics.spectral_gap(Topology.from_mask(matrix), explain=True)
        assert found.value == 2
        assert found.confidence == pytest.approx(1 - n_blocks * lanczos.FAILURE, abs=1e-12)
        assert leading_pair.RANDOM_START in found.certificate


def test_the_dense_bound_of_the_mixing_deviation_is_that_of_rounding():
    for seed in range(6):
        t = Topology.from_mask(np.random.default_rng(seed).random((30 + seed, 50)) < 0.3)
        norm = np.linalg.norm(t.biadjacency().toarray() - t.density, 2)
        found = metrics.mixing_deviation(t, explain=True)
        assert "spectral norm" in found.certificate
        assert norm <= found.high <= norm * (1 + 1e-12)
