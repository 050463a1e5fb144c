"""One battery for every kernel: patterns, batches, dtypes and layouts against the dense product in double."""

import os
import platform
import re
import subprocess
import sys
from itertools import accumulate, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prewired import Topology, generators
from prewired.ops import kernels, plan_arrays, reference
from prewired.ops.plan import Plan

SPARSE = kernels.KERNELS["sparse"]


def sharing(sizes, n_in, fan_in):
    """A group of outputs for each of the sizes, in random order; those of a group read the same inputs."""
    draw = np.random.default_rng(0)
    mask = np.zeros((len(sizes), n_in))
    for row in mask:
        row[draw.choice(n_in, fan_in, replace=False)] = 1
    return Topology.from_mask(draw.permutation(np.repeat(mask, sizes, axis=0)))


def lifted(n, density, *, shuffled=False):
    """A random graph in which every unit has become four of its kind, on both sides."""
    draw = np.random.default_rng(0)
    mask = np.kron(draw.random((n, n)) < density, np.ones((4, 4)))
    return Topology.from_mask(draw.permutation(draw.permutation(mask).T).T if shuffled else mask)


PATTERNS = {
    "constant": generators.constant_fan_in(70, 50, fan_in=9, seed=0),
    "biregular": generators.biregular(64, 96, fan_in=12, seed=0),
    "ragged": Topology.from_mask(np.tril(np.ones((37, 41))) * (np.arange(41) % 3 > 0)),
    "empty rows": Topology.from_edges(9, 12, [(k, k) for k in range(4)]),
    "empty columns": Topology.from_edges(12, 9, [(k, k) for k in range(4)]),
    "one edge": Topology.from_edges(1, 1, [(0, 0)]),
    "no edge": Topology.from_edges(5, 3, []),
    "full": generators.dense(33, 17),
    "blocked": generators.grouped(64, 64, fan_in=16),
    "one long row": generators.dense(1000, 1),
    "one long column": generators.dense(1, 1000),
    "lifted": lifted(16, 0.3),
    "lifted and shuffled": lifted(16, 0.3, shuffled=True),
    "groups of many sizes": sharing([1, 2, 3, 5, 7, 4, 1, 2], 40, 11),
    "groups of inputs": sharing([1, 2, 3, 5, 7, 4, 1, 2], 40, 11).transpose(),
    "panels": generators.erdos_renyi(500, 40, density=0.3, seed=0),
    "ragged panels": Topology.from_mask(np.arange(40)[:, None] * np.arange(500) % 7 < 2),
    "panels and groups": sharing([3, 4, 1, 6], 500, 160),
}
ALONE = {
    **PATTERNS,
    "a band around a ring": generators.rotating(67, 53, fan_in=21),
    "runs and gaps": Topology.from_mask(np.arange(90) // (1 + np.arange(23)[:, None]) % 2 == 0),
    "a gap in eight": Topology.from_mask(
        (np.arange(70) - np.arange(48)[:, None]) % 48 < np.where(np.arange(70) % 9, 17, 0)
    ),
}
"""Those on which a batch of one is tried as well: with edges that lie side by side, or nearly so."""
PANELS = {"one long row", "panels", "ragged panels", "panels and groups"}
NOT_GROUPED = {"constant", "biregular", "ragged", "one edge", "one long row", "groups of inputs", "panels"}
FAR = generators.constant_fan_in(17_000, 5, fan_in=101, seed=0)
CHAINS = {
    "regular": [generators.biregular(30, 24, fan_in=5, seed=0), generators.biregular(24, 40, fan_in=3, seed=1)],
    "groups, panels, a dense head": [lifted(125, 0.3, shuffled=True), sharing([3, 4, 1, 6], 500, 160)],
    "dead units": [Topology.from_edges(9, 12, [(k, k) for k in range(4)]), Topology.from_edges(12, 5, [(3, 0)])],
    "one unit wide": [generators.dense(7, 1), generators.dense(1, 1)],
}
CHAINS = {name: [a, b, generators.dense(b.n_out, 10)] for name, (a, b) in CHAINS.items()}
BATCHES = [0, 1, 2, 7, 8, 15, 16, 31, 32, 33, 64, 100, 128, 131, 300, 520]
FEW = [0, 1, 33, 64]
TYPICAL = ("ragged", "empty columns", "lifted and shuffled", "panels and groups")
"""Patterns that are tried at every batch; the others are tried at a few."""
ROUNDING = {torch.float32: 1e-5, torch.float64: 1e-13, torch.bfloat16: 2**-8}
"""Half the spacing of neighbouring bfloat16 numbers is 2**-8 of the smaller: a sum rounded once is no further away."""
ABSOLUTE = {torch.float32: 1e-4, torch.float64: 1e-12, torch.bfloat16: 1e-4}
ROUNDED_BETWEEN = {**ABSOLUTE, torch.bfloat16: 2**-5}
"""In a chain a bfloat16 activation may be rounded to its other neighbour, and what follows differs by some spacings."""


class Case(NamedTuple):
    """Arguments of the verbs, and what they are made of."""

    x: torch.Tensor
    g: torch.Tensor
    plans: list[Plan]
    parameters: list[torch.Tensor]
    edges: list[tuple[torch.Tensor, torch.Tensor]]
    """Row and column of each edge, a pair for each layer."""
    shapes: list[tuple[int, int]]


def case(graphs, batch, dtype, *, bias=True):
    """A chain of graphs with random weights, inputs and gradients, about one in size, row-major."""
    draw = torch.Generator().manual_seed(batch)

    def random(*shape, scale=1.0):
        return (torch.randn(shape, generator=draw, dtype=torch.float64) * scale).to(dtype)

    parameters = [
        p for t in graphs for p in (random(t.n_edges, scale=max(t.density * t.n_in, 1) ** -0.5), random(t.n_out * bias))
    ]
    return Case(
        random(batch, graphs[0].n_in),
        random(batch, graphs[-1].n_out),
        [Plan(t) for t in graphs],
        parameters,
        [(torch.arange(t.n_out).repeat_interleave(torch.tensor(t.fan_in)), torch.tensor(t.indices)) for t in graphs],
        [(t.n_out, t.n_in) for t in graphs],
    )


def expected(c, relu):
    """y, and the gradients of x and of each parameter, by dense products in double; hidden values in their dtype."""
    leaves = [tensor.double().requires_grad_() for tensor in (c.x, *c.parameters)]
    y, dtype = leaves[0], c.x.dtype
    for k, (edges, shape) in enumerate(zip(c.edges, c.shapes, strict=True)):
        weight, bias = leaves[1 + 2 * k : 3 + 2 * k]
        y = y @ torch.zeros(shape, dtype=torch.float64).index_put(edges, weight).T
        y = y + bias if bias.numel() else y
        y = y.relu() if relu or k + 1 < len(c.edges) else y
        y = y.to(dtype).double() if k + 1 < len(c.edges) else y
    return y.detach(), torch.autograd.grad(y, leaves, c.g.double(), allow_unused=True, materialize_grads=True)


def found(kernel, c, relu, *, turned=False, needs_x=True, needs_weights=True):
    """y, and the gradients, as a kernel computes them."""
    x, g = (tensor.t().contiguous().t() if turned else tensor for tensor in (c.x, c.g))
    y, *kept = kernel.forward(x, c.plans, c.parameters, relu, True)
    return y, kernel.backward(g, y, kept, c.plans, c.parameters, relu, needs_x, needs_weights)


def assert_as_expected(kernel, c, atol, relu, **options):
    y, grads = expected(c, relu)
    got_y, got_grads = found(kernel, c, relu, **options)
    for name, got, want in zip(
        ["y", "x", *["weight", "bias"] * len(c.edges)], [got_y, *got_grads], [y, *grads], strict=True
    ):
        assert got.dtype == c.x.dtype
        torch.testing.assert_close(
            got.double(), want, rtol=ROUNDING[got.dtype], atol=atol[got.dtype], msg=lambda m, name=name: f"{name}: {m}"
        )
    for tensor in (got_y, got_grads[0]):
        assert tensor.stride() == (1, len(c.x))


def shares(batches):
    """The kernels with the batches they are tried on: all, but the reference is slow."""
    return [(name, batch) for name in kernels.KERNELS for batch in (FEW if name == "reference" else batches)]


def pairs(batches, few):
    """(kernel, batch, pattern): typical patterns at all batches, the other patterns at a few."""
    return [(*share, pattern) for pattern in PATTERNS for share in shares(batches if pattern in TYPICAL else few)]


@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
@pytest.mark.parametrize(("name", "batch", "pattern"), pairs(BATCHES, [1, 33, 64, 131]))
def test_battery(name, batch, pattern, dtype):
    c = case([PATTERNS[pattern]], batch, dtype)
    assert_as_expected(kernels.KERNELS[name], c, ABSOLUTE, relu=False, turned=False)
    assert_as_expected(kernels.KERNELS[name], c, ABSOLUTE, relu=True, turned=True)


@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize(("name", "batch"), shares([0, 1, 7, 33, 131, 300]))
def test_battery_of_chains(name, batch, chain, dtype):
    c = case(CHAINS[chain], batch, dtype)
    assert_as_expected(kernels.KERNELS[name], c, ROUNDED_BETWEEN, relu=False, turned=True)
    assert_as_expected(kernels.KERNELS[name], c, ROUNDED_BETWEEN, relu=True, turned=False)


@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
@pytest.mark.parametrize("graph", [FAR, FAR.transpose()], ids=["inputs", "outputs"])
@pytest.mark.parametrize(("name", "batch"), shares([40]))
def test_battery_of_far_rows(name, batch, graph, dtype):
    """Where a block of activations outgrows the caches, rows are fetched ahead of their use."""
    assert_as_expected(kernels.KERNELS[name], case([graph], batch, dtype), ABSOLUTE, relu=True)


@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
@pytest.mark.parametrize("graphs", [[PATTERNS["ragged"]], CHAINS["regular"]], ids=["one layer", "chain"])
@pytest.mark.parametrize(("name", "batch"), shares(FEW))
def test_battery_without_a_bias(name, batch, graphs, dtype):
    assert_as_expected(kernels.KERNELS[name], case(graphs, batch, dtype, bias=False), ROUNDED_BETWEEN, relu=True)


@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
@pytest.mark.parametrize(("name", "batch", "pattern"), pairs([0, 1, 33], [33]))
def test_battery_of_what_is_asked_for(name, batch, pattern, dtype):
    """Without `keep_inputs` only y is returned; unwanted gradients have no elements; the others are the same."""
    kernel, c = kernels.KERNELS[name], case([PATTERNS[pattern]], batch, dtype)
    close = {"rtol": 2 * ROUNDING[dtype], "atol": ABSOLUTE[dtype]}
    y, whole = found(kernel, c, relu=True)
    (alone,) = kernel.forward(c.x, c.plans, c.parameters, True, False)
    torch.testing.assert_close(alone, y, **close)
    for needs_x, needs_weights in ((True, False), (False, True), (False, False)):
        _, grads = found(kernel, c, relu=True, needs_x=needs_x, needs_weights=needs_weights)
        for needed, grad, want in zip((needs_x, needs_weights, True), grads, whole, strict=True):
            torch.testing.assert_close(grad, want if needed else want.new_empty(0), **close)


@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
@pytest.mark.parametrize("graphs", [*([t] for t in ALONE.values()), *CHAINS.values()], ids=[*ALONE, *CHAINS])
@pytest.mark.parametrize("name", kernels.KERNELS)
def test_battery_of_few_rows_without_gradients(name, graphs, dtype):
    for batch, bias in ((1, True), (1, False), (2, True), (3, False)):
        c = case(graphs, batch, dtype, bias=bias)
        for relu, x in ((False, c.x), (True, c.x.t().contiguous().t())):
            (y,) = kernels.KERNELS[name].forward(x, c.plans, c.parameters, relu, False)
            want, _ = expected(c, relu)
            assert y.dtype == dtype
            assert y.stride() == (1, batch)
            torch.testing.assert_close(y.double(), want, rtol=ROUNDING[dtype], atol=ROUNDED_BETWEEN[dtype])


@pytest.mark.parametrize("batch", [1, 33, 131])
def test_a_chain_whose_input_needs_no_gradient(batch):
    c = case(CHAINS["regular"], batch, torch.float32)
    _, whole = found(SPARSE, c, relu=False)
    _, grads = found(SPARSE, c, relu=False, needs_x=False)
    assert grads[0].numel() == 0
    torch.testing.assert_close(grads[1:], whole[1:])


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("name", kernels.KERNELS)
def test_nan_passes_a_relu_as_it_does_in_torch(name, batch):
    c = case([PATTERNS["full"]], batch, torch.float32)
    c.x[0, 0] = torch.nan
    (y,) = kernels.KERNELS[name].forward(c.x, c.plans, c.parameters, True, False)
    assert y[0].isnan().all()
    assert not y[1:].isnan().any()


def test_some_patterns_have_panels_and_some_have_not():
    plans = {name: plan_arrays.compute_arrays(t) for name, t in PATTERNS.items()}
    assert {name for name, p in plans.items() if p.starts.ndim == 2} == PANELS
    assert {name for name, p in plans.items() if not len(p.groups)} == NOT_GROUPED
    for name in PANELS:
        starts, indices = plans[name][:2]
        for panel, row in np.ndindex(starts.shape[0] - 1, starts.shape[1]):
            assert (indices[starts[panel, row] : starts[panel + 1, row]] // plan_arrays.PANEL == panel).all()
        assert starts[0, 0] == 0
        assert starts[-1, -1] == len(indices)


@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
@pytest.mark.parametrize("pattern", [name for name, t in PATTERNS.items() if t.n_in > 4])
def test_battery_of_narrow_panels(pattern, dtype, monkeypatch):
    """Panels of a few features, many of them empty, give the same as one panel of all."""
    monkeypatch.setattr(plan_arrays, "PANEL", 4)
    monkeypatch.setattr(plan_arrays, "WORTH_A_PANEL", 0)
    c = case([PATTERNS[pattern]], 131, dtype)
    assert c.plans[0].wiring[0].ndim == 2
    for relu in (False, True):
        assert_as_expected(SPARSE, c, ABSOLUTE, relu)


def rows_of(t):
    """The inputs of each output, as tuples."""
    return [tuple(indices.tolist()) for indices in np.split(t.indices, t.indptr[1:-1])]


@given(st.lists(st.sets(st.integers(0, 3)), min_size=1, max_size=20))
def test_rows_are_grouped_exactly_where_they_read_the_same(rows):
    t = Topology.from_edges(4, len(rows), [(i, o) for o, row in enumerate(rows) for i in row])
    together: dict[Any, list[int]] = {}
    for number, row in enumerate(rows_of(t)):
        together.setdefault(row, []).append(number)
    order, groups = plan_arrays.neighbourhoods(t.indptr, t.indices)
    assert order.dtype == groups.dtype == np.int32
    if len(rows) < plan_arrays.WORTH_GROUPING * len(together):
        assert len(order) == len(groups) == 0
    else:
        assert order.tolist() == [number for group in together.values() for number in group]
        assert groups.tolist() == [0, *accumulate(map(len, together.values()))]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_hashes_that_collide_do_no_harm(pattern, monkeypatch):
    """Rows that only share a hash are kept apart; equal ones that lie side by side still make a group."""
    monkeypatch.setattr(plan_arrays, "_row_hashes", lambda indptr, indices: np.zeros(len(indptr) - 1, np.uint64))
    t = PATTERNS[pattern]
    rows = rows_of(t)
    groups = [0, *(k for k in range(1, t.n_out) if rows[k] != rows[k - 1]), t.n_out]
    found_rows, found_groups = plan_arrays.neighbourhoods(t.indptr, t.indices)
    grouped = t.n_out >= plan_arrays.WORTH_GROUPING * (len(groups) - 1)
    assert found_rows.tolist() == (list(range(t.n_out)) if grouped else [])
    assert found_groups.tolist() == (groups if grouped else [])
    assert_as_expected(SPARSE, case([t], 33, torch.float32), ABSOLUTE, relu=True)


@pytest.fixture
def threads():
    """Sets the number of threads, for this test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "graphs", [*([t] for t in PATTERNS.values()), *CHAINS.values()], ids=[*PATTERNS, *(f"chain: {c}" for c in CHAINS)]
)
def test_the_number_of_threads_changes_no_bit(graphs, dtype, threads):
    """Most threads come first: what they read before it is written is not what a run before has left there."""
    c = case(graphs, 520, dtype)
    asked = [*([(True, False)] if len(graphs) == 1 else []), (True, True), (False, True)]
    results = []
    for n in (3, 2, 1):
        threads(n)
        results.append([found(SPARSE, c, relu=True, needs_x=x, needs_weights=weights) for x, weights in asked])
    for result in results[:-1]:
        torch.testing.assert_close(result, results[-1], rtol=0, atol=0)


@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
@pytest.mark.parametrize("family", ["biregular", "rotating"])
def test_the_number_of_threads_changes_no_bit_of_a_row_alone(family, dtype, threads):
    """Large enough that threads share every layer: from 65,536 edges on."""
    graphs = [
        generators.make(family, n_in=n_in, n_out=n_out, fan_in=140, **({"seed": 0} if family == "biregular" else {}))
        for n_in, n_out in ((500, 701), (701, 600))
    ]
    c = case(graphs, 1, dtype)
    results = []
    for n in (3, 2, 1):
        threads(n)
        results.append(SPARSE.forward(c.x, c.plans, c.parameters, False, False)[0])
    for result in results[:-1]:
        torch.testing.assert_close(result, results[-1], rtol=0, atol=0)
    atol = ROUNDED_BETWEEN[dtype]
    torch.testing.assert_close(results[0].double(), expected(c, False)[0], rtol=ROUNDING[dtype], atol=atol)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("worth_a_mask", [0, 2])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_matrix_from_the_weights_and_back(pattern, worth_a_mask, dtype, n_threads, threads, monkeypatch):
    threads(n_threads)
    monkeypatch.setattr(plan_arrays, "WORTH_A_MASK", worth_a_mask)
    t = PATTERNS[pattern]
    p = Plan(t)
    values, dense = torch.randn(t.n_edges).to(dtype), torch.randn(t.n_out, t.n_in).to(dtype)
    matrix = reference.scatter_weights_reference(p, values)
    torch.testing.assert_close(kernels.scatter_weights(p, values), matrix, rtol=0, atol=0)
    torch.testing.assert_close(kernels.scatter_weights_program(p, values), matrix, rtol=0, atol=0)
    expected = reference.gather_weights_reference(p, dense)
    torch.testing.assert_close(kernels.gather_weights(p, dense), expected, rtol=0, atol=0)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_threads_do_not_write_into_each_other_s_weights(n_threads, threads):
    """Large enough that two threads share the work, with rows that end anywhere in a vector of eight."""
    threads(n_threads)
    t = generators.erdos_renyi(517, 389, density=0.45, seed=0)
    p = Plan(t)
    dense = torch.randn(t.n_out, t.n_in)
    expected = reference.gather_weights_reference(p, dense)
    matrix = reference.scatter_weights_reference(p, expected)
    for _ in range(20):
        torch.testing.assert_close(kernels.gather_weights(p, dense), expected, rtol=0, atol=0)
        torch.testing.assert_close(kernels.scatter_weights(p, expected), matrix, rtol=0, atol=0)


def test_a_plan_has_the_mask_of_a_layer_that_may_run_as_a_dense_one():
    for density in (0.1, 0.3, 0.9, 1.0):
        t = generators.erdos_renyi(37, 23, density=density, seed=0)
        mask = np.packbits(t.biadjacency().toarray() > 0, axis=1, bitorder="little").reshape(-1)
        expected = mask if 0.2 <= density < 1 else np.empty(0, np.uint8)
        np.testing.assert_array_equal(plan_arrays.compute_arrays(t).mask, expected)


@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
@pytest.mark.parametrize("graphs", [*([t] for t in PATTERNS.values()), *CHAINS.values()], ids=[*PATTERNS, *CHAINS])
def test_exported_programs_compute_what_the_kernels_compute(graphs, dtype):
    for batch in (1, 33):
        c = case(graphs, batch, dtype)
        (y,) = SPARSE.forward(c.x, c.plans, c.parameters, True, False)
        torch.testing.assert_close(kernels.forward_program(c.x, c.plans, c.parameters, True), y, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
@pytest.mark.parametrize("change", [torch.neg, torch.zeros_like, lambda values: values * 2, lambda values: values + 1])
def test_fingerprints_tell_apart_values_that_differ_in_one_place_two_or_all(change, dtype):
    values = torch.randn(96, dtype=dtype)
    changed = [values, change(values)]
    for i, j in product(range(len(values)), repeat=2):
        if i <= j:
            changed.append(values.clone())
            changed[-1][[i, j]] = change(values[[i, j]])
    assert len({kernels.fingerprint(tensor) for tensor in changed}) == len(changed)
    assert kernels.fingerprint(values.clone()) == kernels.fingerprint(values)
    with pytest.raises(RuntimeError, match="expected"):
        kernels.fingerprint(values[::2])


RUN_TESTS = """
import sys
import pytest
from prewired.ops import kernels
print(kernels.instruction_set())
sys.exit(pytest.main(sys.argv[1:]))
"""
BATTERY = "battery and not reference and not another and not asked"
TYPICAL_CASES = "ragged or columns or shuffled or panels or chains or far or without"


@pytest.mark.parametrize("cases", ["33 or far or narrow", pytest.param("battery", marks=pytest.mark.slow)])
@pytest.mark.parametrize("wish", [s for s in kernels.INSTRUCTION_SETS if s != kernels.instruction_set()])
def test_the_battery_on_another_instruction_set(wish, cases):
    environment = {**os.environ, "PREWIRED_ISA": wish}
    choice = f"{BATTERY} and ({TYPICAL_CASES}) and ({cases})"
    command = [sys.executable, "-c", RUN_TESTS, "-q", "-p", "no:cacheprovider", "-k", choice, __file__]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if "expected PREWIRED_ISA to name an instruction set of this processor" in done.stderr:
        pytest.skip(f"this processor has no {wish}")
    assert done.stdout.splitlines()[0] == wish
    assert done.returncode == 0, done.stdout[-2000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 80


def test_an_unknown_instruction_set_is_refused():
    command = [sys.executable, "-c", "import prewired.ops.kernels"]
    environment = {**os.environ, "PREWIRED_ISA": "mmx"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "got 'mmx'" in done.stderr


def test_this_build_has_compiled_kernels_and_runs_the_best():
    assert kernels.NATIVE
    info = Path("/proc/cpuinfo")
    if "PREWIRED_ISA" in os.environ or platform.machine() != "x86_64" or not info.exists():
        pytest.skip("the best instruction set is known from /proc/cpuinfo on x86-64 only")
    flags = set(info.read_text().partition("flags")[2].partition("\n")[0].split())
    best = (
        "avx512"
        if {"avx512f", "avx512vl", "avx512dq", "avx512bw"} <= flags
        else "avx2"
        if "avx2" in flags
        else "baseline"
    )
    assert kernels.instruction_set() == best
