"""`prewired families`, `prewired draw`, and the catalogue behind them."""

import re

import pytest

from prewired import generators
from prewired.cli.app import main
from prewired.generators import catalogue
from prewired.io import topology_file

FAMILIES = [*generators.GENERATORS, *generators.NETWORK_FAMILIES]


def run(capsys, *words):
    code = main(list(map(str, words)))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_families_lists_every_family_on_two_lines(capsys):
    code, out, err = run(capsys, "families")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in lines[::2]] == FAMILIES
    for head, summary, row in zip(lines[::2], lines[1::2], catalogue.list_entries(), strict=True):
        assert ("random" in head.split("exists for")[0]) == row.random
        assert head.endswith(row.sizes)
        assert row.sizes
        assert summary == f"    {row.summary}"
        assert len(summary) > 20


def test_families_prints_the_page_of_one(capsys):
    code, out, _ = run(capsys, "families", "biregular")
    assert code == 0
    assert re.match(r"biregular  n_in n_out \[fan_in\] \[density\].* seed\n\nA random graph", out)
    assert "Raises:" in out
    code, _, err = run(capsys, "families", "moon")
    assert (code, "biregular" in err) == (2, True)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_says_its_sizes_and_its_source(family):
    row = catalogue.describe_family(family)
    assert row.sizes
    assert "\n" not in row.sizes
    assert row.layers == ("several" if family in generators.NETWORK_FAMILIES else "one")
    assert row.reference.count("(") == row.reference.count(")")


def test_draw_a_family_and_a_file(capsys, tmp_path):
    picture = tmp_path / "band.png"
    assert run(capsys, "draw", "rotating", "n_in=40", "n_out=30", "fan_in=5", "-o", picture) == (0, f"{picture}\n", "")
    assert picture.read_bytes().startswith(b"\x89PNG")
    file = tmp_path / "band.topology"
    topology_file.save_topology(generators.rotating(40, 30, fan_in=5), file)
    assert run(capsys, "draw", file, "-o", tmp_path / "band.svg")[0] == 0
    assert "<svg" in (tmp_path / "band.svg").read_text()


def test_draw_the_layers_of_a_network(capsys, tmp_path):
    picture = tmp_path / "butterfly.svg"
    assert run(capsys, "draw", "butterfly", "sizes=[8,8,8,8]", "-o", picture)[0] == 0
    assert picture.read_text().count("<image") >= 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rotating", "n_in=4", "n_out=4", "fan_in=2", "-o", "picture.gif"], "ending in .png, .svg, .pdf"),
        (["rotating", "-o", "picture.png"], "missing a required argument: 'n_in'"),
        (["no-such.topology", "-o", "picture.png"], "does not exist"),
        (["moon", "n_in=4", "-o", "picture.png"], "biregular"),
        (["rotating", "n_in=4", "n_out=4", "fan_in=9", "-o", "picture.png"], "fan_in"),
        (["rotating", "n_in=4", "n_out=4", "fan_in=2"], "-o"),
    ],
)
def test_errors_are_one_line(capsys, words, message):
    code, out, err = run(capsys, "draw", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
