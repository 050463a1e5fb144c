"""One battery for every kernel: shapes, patterns and dtypes against the dense product in double."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from prewired import Topology, generators, kernels
from prewired.plan import PANEL, panel_starts, plan

RAGGED = Topology.from_mask(np.tril(np.ones((37, 41))) * (np.arange(41) % 3 > 0))
PATTERNS = {
    "constant": generators.constant_fan_in(70, 50, fan_in=9, seed=0),
    "biregular": generators.biregular(64, 96, fan_in=12, seed=0),
    "ragged": RAGGED,
    "empty rows": Topology.from_edges(9, 12, [(k, k) for k in range(4)]),
    "empty columns": Topology.from_edges(12, 9, [(k, k) for k in range(4)]),
    "one edge": Topology.from_edges(1, 1, [(0, 0)]),
    "no edge": Topology.from_edges(5, 3, []),
    "full": generators.dense(33, 17),
    "blocked": generators.grouped(64, 64, fan_in=16),
    "one long row": generators.dense(1000, 1),
    "one long column": generators.dense(1, 1000),
    "panels": generators.erdos_renyi(300, 200, density=0.2, seed=0),
    "ragged panels": Topology.from_mask(np.arange(150)[:, None] * np.arange(250) % 7 < 2),
}
BATCHES = [0, 1, 2, 7, 8, 15, 16, 33, 64, 100, 128, 131, 300, 520]
TOLERANCE = {torch.float32: {"rtol": 1e-4, "atol": 1e-4}, torch.float64: {"rtol": 1e-12, "atol": 1e-12}}


def case(pattern, batch, dtype):
    """A pattern's plan and random values, inputs, gradients and bias, with the dense weight in double."""
    t = PATTERNS[pattern]
    draw = torch.Generator().manual_seed(batch)
    values, x, g, bias = (
        torch.randn(shape, generator=draw, dtype=dtype)
        for shape in [(t.n_edges,), (t.n_in, batch), (t.n_out, batch), (t.n_out,)]
    )
    dense = torch.zeros(t.n_out, t.n_in, dtype=torch.float64)
    dense[np.repeat(np.arange(t.n_out), t.fan_in), t.indices.copy()] = values.double()
    return plan(t), values, x, g, bias, dense


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("name", kernels.KERNELS)
def test_battery(name, pattern, batch, dtype):
    p, values, x, g, bias, dense = case(pattern, batch, dtype)
    kernel = kernels.KERNELS[name]
    mask = torch.zeros_like(dense)
    t = PATTERNS[pattern]
    rows = np.repeat(np.arange(t.n_out), t.fan_in)
    mask[rows, t.indices.copy()] = 1

    y = kernel.spmm(p.starts, p.indices, values, None, x, bias)
    torch.testing.assert_close(y, (dense @ x.double() + bias.double()[:, None]).to(dtype), **TOLERANCE[dtype])
    plain = kernel.spmm(p.starts, p.indices, values, None, x, None)
    torch.testing.assert_close(plain, (dense @ x.double()).to(dtype), **TOLERANCE[dtype])
    back = kernel.spmm(p.starts_by_input, p.indices_by_input, values, p.by_input, g, None)
    torch.testing.assert_close(back, (dense.T @ g.double()).to(dtype), **TOLERANCE[dtype])
    sampled = kernel.sddmm(p.starts, p.indices, g, x)
    torch.testing.assert_close(
        sampled, (g.double() @ x.double().T)[rows, t.indices.copy()].to(dtype), **TOLERANCE[dtype]
    )
    assert all(result.is_contiguous() for result in (y, plain, back, sampled))


def test_some_patterns_have_panels_and_some_have_not():
    panels = {name for name, t in PATTERNS.items() if plan(t).starts.ndim == 2}
    assert panels == {"panels", "ragged panels", "one long row"}
    for t in PATTERNS.values():
        starts = panel_starts(t.indptr, t.indices, t.n_in)
        for panel, row in np.ndindex(*(np.array(starts.shape) - [1, 0])) if starts.ndim == 2 else ():
            inside = t.indices[starts[panel, row] : starts[panel + 1, row]]
            assert (inside // PANEL == panel).all()
        assert starts.flat[0] == 0
        assert starts.flat[-1] == t.n_edges


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (8, 8), (16, 16), (17, 31), (128, 1024), (1000, 3), (0, 4), (4, 0)])
@pytest.mark.parametrize("name", kernels.KERNELS)
def test_transposed(name, shape, dtype):
    x = torch.randn(shape, dtype=dtype)
    y = kernels.KERNELS[name].transposed(x)
    assert y.is_contiguous()
    torch.testing.assert_close(y, x.T, rtol=0, atol=0)


def test_the_number_of_threads_changes_no_bit():
    p, values, x, g, bias, _ = case("biregular", 520, torch.float32)
    threads = torch.get_num_threads()
    results = []
    try:
        for n in (1, 2, 3):
            torch.set_num_threads(n)
            y = kernels.spmm(p.starts, p.indices, values, None, x, bias)
            results.append((y, kernels.sddmm(p.starts, p.indices, g, x)))
    finally:
        torch.set_num_threads(threads)
    for y, sampled in results[1:]:
        torch.testing.assert_close(y, results[0][0], rtol=0, atol=0)
        torch.testing.assert_close(sampled, results[0][1], rtol=0, atol=0)


def test_wrong_arguments_are_refused_before_memory_is_read():
    p, values, x, g, bias, _ = case("constant", 8, torch.float32)
    wrong = [
        lambda: kernels.spmm(p.starts, p.indices, values[:-1], None, x, bias),
        lambda: kernels.spmm(p.starts, p.indices, values, None, x.double(), bias),
        lambda: kernels.spmm(p.starts, p.indices, values, None, x.T, bias),
        lambda: kernels.spmm(p.starts, p.indices, values, None, x, bias[:-1]),
        lambda: kernels.spmm(p.starts, p.indices[:-1], values, None, x, bias),
        lambda: kernels.spmm(p.starts, p.indices.long(), values, None, x, bias),
        lambda: kernels.spmm(p.starts, p.indices, values, p.by_input[:-1], x, bias),
        lambda: kernels.spmm(p.starts[:0], p.indices, values, None, x, bias),
        lambda: kernels.spmm(p.starts[None, :], p.indices, values, None, x, bias),
        lambda: kernels.spmm(p.starts.int(), p.indices, values, None, x, bias),
        lambda: kernels.spmm(p.starts, p.indices, values.half(), None, x.half(), None),
        lambda: kernels.sddmm(p.starts, p.indices, g[:-1], x),
        lambda: kernels.sddmm(p.starts, p.indices, g[:, :-1].contiguous(), x),
        lambda: kernels.transposed(x.half()),
        lambda: kernels.transposed(x.T),
    ]
    for call in wrong:
        with pytest.raises(RuntimeError, match="expected"):
            call()


@pytest.mark.parametrize("operator", ["spmm", "sddmm", "transposed"])
def test_operators_keep_torchs_rules(operator):
    p, values, x, g, bias, _ = case("ragged", 5, torch.float32)
    arguments = {
        "spmm": (p.starts, p.indices, values, None, x, bias),
        "sddmm": (p.starts, p.indices, g, x),
        "transposed": (x,),
    }
    result = torch.library.opcheck(getattr(torch.ops.prewired, operator), arguments[operator])
    assert set(result.values()) == {"SUCCESS"}


@pytest.mark.parametrize("wish", [s for s in kernels.INSTRUCTION_SETS if s != kernels.instruction_set()])
def test_the_battery_on_another_instruction_set(wish):
    environment = {**os.environ, "PREWIRED_ISA": wish}
    probe = [sys.executable, "-c", "from prewired import kernels; print(kernels.instruction_set())"]
    started = subprocess.run(probe, env=environment, capture_output=True, text=True, check=False)
    if started.returncode:
        assert "expected PREWIRED_ISA to name an instruction set of this processor" in started.stderr
        pytest.skip(f"this processor has no {wish}")
    assert started.stdout.strip() == wish
    tests = [f"{__file__}::test_battery", f"{__file__}::test_transposed"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "native", *tests]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_an_unknown_instruction_set_is_refused():
    command = [sys.executable, "-c", "import prewired"]
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
