import re
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def gaps():
    return runpy.run_path(str(EXAMPLES / "layer_and_product_gap.py"))


@pytest.fixture(scope="module")
def rows(gaps):
    return {family: gaps["measure_row"](family, layers) for family, layers in gaps["wire_networks"]().items()}


@pytest.mark.parametrize("family", ["rotating", "radix_net", "grouped_shuffle", "biregular"])
def test_the_gaps_agree_with_the_earlier_computation_to_its_printed_digits(family, gaps, rows):
    """The earlier random network is another draw, so its figures may differ by some units of the last digit."""
    for name, expected in zip(("layer_gap", "product_gap", "path_cv", "reach"), gaps["REFERENCE"][family], strict=True):
        if expected:
            last = 10.0 ** -len(expected.partition(".")[2])
            slack = 3 * last if family == "biregular" else last / 2
            assert abs(getattr(rows[family], name) - float(expected)) <= slack, name


def test_layers_and_products_rank_families_in_opposite_order(rows):
    for split in ("radix_net", "grouped_shuffle", "butterfly", "de_bruijn_tower"):
        assert rows[split].layer_gap < 0.01 < 0.5 < rows["biregular"].layer_gap
        assert rows[split].product_gap == pytest.approx(1, abs=1e-9)
        assert rows[split].product_gap > rows["biregular"].product_gap + 0.1
        assert rows[split].path_cv == pytest.approx(0, abs=1e-9)
        assert rows[split].reach == 100


def test_a_ramanujan_tower_keeps_its_promise(rows):
    assert rows["lps_tower"].product_gap >= 1 - (2 * 17**0.5 / 18) ** 2


def test_the_table_is_printed_aligned(gaps, rows, capsys, monkeypatch):
    monkeypatch.setitem(gaps["main"].__globals__, "measure_row", lambda family, layers: rows[family])
    gaps["main"]()
    head, _, *lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(rows)
    assert re.fullmatch(r"rotating +256 +16 +0\.006 \(0\.006\) +0\.013 \(0\.013\) +3\.11 \(3\.1\) +12 \(12\)", lines[4])
    assert max(map(len, [head, *lines])) <= 120
    assert len({line.index(".") for line in lines}) == 1
