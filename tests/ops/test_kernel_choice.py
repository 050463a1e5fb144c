import json

import pytest
import torch

from prewired import SparseLinear, generators
from prewired.cli.app import main
from prewired.nn import kernel_benchmark
from prewired.ops import kernel_choice

CELLS = [
    {"threads": threads, "training": training, "batch": batch, "width": width, "density": times * tenths / 10}
    for threads, training, times in ((1, False, 1), (1, True, 2), (4, False, 2), (4, True, 4))
    for batch, width, tenths in ((8, 64, 1), (8, 256, 2), (128, 64, 3), (128, 256, 4))
]


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PREWIRED_CACHE", str(tmp_path))
    kernel_choice.load_table.cache_clear()
    yield tmp_path
    kernel_choice.load_table.cache_clear()


@pytest.mark.parametrize(
    ("shape", "batch", "threads", "training", "density"),
    [
        ((64, 64), 8, 1, False, 0.1),
        ((256, 256), 128, 1, False, 0.4),
        ((256, 256), 128, 1, True, 0.8),
        ((64, 64), 8, 4, False, 0.2),
        ((64, 64), 8, 3, False, 0.2),
        ((16, 256), 8, 1, False, 0.1),  # the geometric mean of the sides
        ((128, 128), 8, 1, False, 0.1 * 2**0.5),  # half-way between widths
        ((64, 64), 32, 1, False, 0.1 * 3**0.5),  # half-way between batches
        ((1, 1), 0, 1, False, 0.1),  # outside, the nearest
        ((9999, 9999), 9999, 1, False, 0.4),
    ],
)
def test_break_even_is_the_measured_one_or_lies_between(own_cache, shape, batch, threads, training, density):
    kernel_choice.save_table(CELLS)
    found = kernel_choice.break_even(*shape, batch, threads, training=training)
    assert found == pytest.approx(density)


def test_a_saved_table_is_this_machines_and_comes_back(own_cache):
    assert "another machine" in kernel_choice.describe_source()
    path = kernel_choice.save_table(CELLS)
    assert path.parent == own_cache
    assert json.loads(path.read_text())["cells"] == CELLS
    assert [p.name for p in own_cache.iterdir()] == [path.name]
    assert "measured on this machine" in kernel_choice.describe_source()


@pytest.mark.parametrize("text", ['{"cells": [', "{}", '{"cells": []}', "[]", '{"cells": [{"training": true}]}'])
def test_a_damaged_table_is_named_with_a_remedy(own_cache, text):
    kernel_choice.cache_file().write_text(text)
    with pytest.raises(ValueError, match=r"got .*; delete the file") as raised:
        SparseLinear(generators.rotating(4, 4, fan_in=2))
    assert str(kernel_choice.cache_file()) in str(raised.value)


def test_the_shipped_table_covers_both_passes(own_cache):
    cells = kernel_choice.load_table()["cells"]
    assert {cell["training"] for cell in cells} == {False, True}
    assert all(0 < cell["density"] <= 1 for cell in cells)


def test_a_layer_follows_the_table(own_cache):
    kernel_choice.save_table([{**cell, "density": 0.3} for cell in CELLS])
    layers = [SparseLinear(generators.constant_fan_in(100, 50, density=d, seed=0)) for d in (0.2, 0.4)]
    assert [layer.kernel_for(16) for layer in layers] == ["sparse", "dense"]


def test_a_cell_is_measured_with_its_threads_and_leaves_torchs_alone():
    threads = torch.get_num_threads()
    cell = kernel_benchmark.measure_break_even(1, True, 8, 32)
    assert torch.get_num_threads() == threads
    assert (cell["threads"], cell["training"], cell["batch"], cell["width"]) == (1, True, 8, 32)
    assert 0.02 <= cell["density"] <= 1


def test_bench_measures_keeps_and_prints(own_cache, monkeypatch, capsys):
    monkeypatch.setattr(kernel_benchmark, "table_settings", lambda: [(1, False, 8, 16), (1, True, 8, 16)])
    monkeypatch.setattr(kernel_benchmark.measure_speedups, "__kwdefaults__", {"batch": 4, "width": 128})
    assert main(["bench"]) == 0
    out = capsys.readouterr().out
    assert str(kernel_choice.cache_file()) in out
    assert len(kernel_choice.load_table()["cells"]) == 2
    rows = [line.split() for line in out.splitlines() if "%" in line]
    assert {row[-1] for row in rows} <= {"sparse", "dense"}
    assert all(float(value) > 0 for row in rows for value in row[2:4])
