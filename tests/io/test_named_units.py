"""Named units: tables, order, errors that name the name, and files that keep them."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from prewired import SparseLinear, Topology, generators
from prewired.cli.app import main
from prewired.io import load_topology, named_units, save_topology
from prewired.io.named_units import from_named_edges
from prewired.topology.topology import Names

EDGES = [("TP53", "apoptosis"), ("MYC", "growth"), ("TP53", "growth"), ("EGFR", "growth")]


def pairs(t):
    outputs = np.repeat(np.arange(t.n_out), t.fan_in)
    return {(t.names.inputs[i], t.names.outputs[o]) for i, o in zip(t.indices, outputs, strict=True)}


def test_edges_between_names():
    t = from_named_edges(EDGES)
    assert t.names == Names(("TP53", "MYC", "EGFR"), ("apoptosis", "growth"))
    assert pairs(t) == set(EDGES)


def test_the_given_order_holds_and_units_without_an_edge_stay():
    t = from_named_edges(EDGES, inputs=["KRAS", "EGFR", "MYC", "TP53"], outputs=["growth", "repair", "apoptosis"])
    assert pairs(t) == set(EDGES)
    assert t.names.inputs[0] == "KRAS"
    assert (t.fan_out.tolist(), t.fan_in.tolist()) == ([0, 1, 1, 2], [3, 0, 1])


def test_edges_to_unknown_names_can_be_left_out():
    t = from_named_edges(EDGES, inputs=["TP53"], drop_unknown=True)
    assert pairs(t) == {("TP53", "apoptosis"), ("TP53", "growth")}


@pytest.mark.parametrize(
    ("edges", "options", "message"),
    [
        (
            EDGES,
            {"inputs": ["TP53", "MYK", "EGFR"]},
            r"edge 1: expected one of the 3 inputs given, got 'MYC' \(nearest: 'MYK'\)",
        ),
        (EDGES, {"outputs": ["growth"]}, "edge 0: expected one of the 1 outputs given, got 'apoptosis'"),
        ([*EDGES, EDGES[1]], {}, r"edge 4: expected each edge once, got \('MYC', 'growth'\) again after edge 1"),
        (EDGES, {"inputs": ["TP53", "MYC", "TP53"]}, "input names to be distinct texts, got 'TP53' twice"),
        (EDGES, {"outputs": ["a", "b", "b"]}, "output names to be distinct texts, got 'b' twice"),
        (EDGES, {"inputs": ["", "TP53"]}, "got ''"),
        ([("TP53", "")], {}, "edge 0: expected the names of an input and of an output"),
        ([("TP53", 3)], {}, "edge 0: expected the names"),
        ([("TP53", "a", "b")], {}, "edge 0: expected the names"),
        ([], {}, "at least one edge"),
        (EDGES, {"inputs": ["KRAS"], "drop_unknown": True}, "at least one edge"),
    ],
)
def test_wrong_names_are_named(edges, options, message):
    with pytest.raises(ValueError, match=message):
        from_named_edges(edges, **options)


def test_names_are_checked_and_kept():
    t = generators.rotating(3, 2, fan_in=2)
    with pytest.raises(ValueError, match="expected 3 input names, one for each, got 2"):
        named_units.attach_names(t, ["a", "b"], ["x", "y"])
    with pytest.raises(ValueError, match="output names to be distinct texts, got 'x' twice"):
        named_units.attach_names(t, ["a", "b", "c"], ["x", "x"])
    with pytest.raises(ValueError, match="distinct texts, got 3"):
        named_units.attach_names(t, ["a", "b", 3], ["x", "y"])
    known = named_units.attach_names(t, ["a", "b", "c"], ["x", "y"])
    assert known == t
    assert known.recipe == t.recipe
    assert pickle.loads(pickle.dumps(known)).names == known.names
    assert known.transpose().names == Names(("x", "y"), ("a", "b", "c"))
    assert SparseLinear(known).topology.names == known.names


def test_align_puts_inputs_in_the_order_of_the_data():
    t = from_named_edges(EDGES)
    again = named_units.align(t, ["EGFR", "TP53", "MYC"])
    assert pairs(again) == set(EDGES)
    assert again.names.inputs == ("EGFR", "TP53", "MYC")
    for inputs, message in [
        (["EGFR", "TP53", "MYCN"], r"got none called 'MYC' \(nearest: 'MYCN'\)"),
        (["EGFR", "TP53", "MYC", "KRAS"], "got also KRAS"),
        (["EGFR", "TP53", "MYC", "MYC"], "'MYC' twice"),
    ]:
        with pytest.raises(ValueError, match=message):
            named_units.align(t, inputs)
    with pytest.raises(ValueError, match="got one without"):
        named_units.align(generators.rotating(3, 2, fan_in=2), ["a", "b", "c"])


@pytest.mark.parametrize(
    "operation",
    [
        lambda t: generators.shuffle_edges(t, seed=0),
        lambda t: generators.shuffle_within_layer(t, seed=0),
        lambda t: generators.swap_edges(t, proposals=50, seed=0),
        lambda t: generators.rewire(t, gap=0.25, tolerance=0.05, seed=0).topology,
        lambda t: generators.permute_inputs(t, seed=0),  # the columns of the data stay, the wiring reads others
    ],
)
def test_names_stay_where_the_units_stay(operation):
    inputs, outputs = [f"gene {i}" for i in range(32)], [f"pathway {j}" for j in range(24)]
    t = named_units.attach_names(generators.swap_ladder(32, 24, fan_in=8, seed=0), inputs, outputs)
    changed = operation(t)
    assert changed != t
    assert changed.names == t.names
    assert operation(named_units.align(t, inputs)).names == t.names  # also of a graph without a recipe
    assert operation(replace(t, names=None)).names is None


def test_cut_selects_the_names_of_the_units_that_it_leaves():
    t = generators.biregular(7, 9, fan_in=3, seed=0)
    t = named_units.attach_names(t, list("abcdefg"), list("ABCDEFGHI"))
    part = generators.cut(t, 3, 5)
    assert part.names == Names(tuple("ace"), tuple("ABDFH"))  # floor(7 k / 3) and floor(9 k / 5)
    assert pairs(part) == {(i, o) for i, o in pairs(t) if i in part.names.inputs and o in part.names.outputs}
    assert generators.cut(t, 3, 5, fan_in=2, fit="level").names == part.names


def test_products_have_new_units_without_names():
    t = named_units.attach_names(generators.rotating(3, 2, fan_in=2), list("abc"), list("xy"))
    assert generators.kronecker(t, t).names is None
    assert generators.block_lift(t, 1, 1) == t
    assert generators.block_lift(t, 1, 1).names is None


def test_names_through_a_file(tmp_path):
    path = tmp_path / "sets.topology"
    t = from_named_edges([*EDGES, ("Ö", 'a "quoted" set')])
    save_topology(t, path)
    again = load_topology(path)
    assert again == t
    assert again.names == t.names
    content = path.read_bytes()
    path.write_bytes(content.replace(b"TP53", b"TP35"))
    with pytest.raises(ValueError, match="its description is not the one that was written"):
        load_topology(path)


def test_reports_speak_of_names(tmp_path, capsys):
    path = tmp_path / "sets.topology"
    t = from_named_edges(
        EDGES, inputs=["A", "TP53", "B", "C", "D", "MYC", "EGFR"], outputs=["growth", "z", "apoptosis"]
    )
    save_topology(t, path)
    assert main(["measure", str(path)]) == 0
    lines = {line[:30].strip(): line[30:].strip() for line in capsys.readouterr().out.splitlines()}
    assert lines["most read inputs"] == "TP53 (2), MYC (1), EGFR (1)"
    assert lines["widest outputs"] == "growth (3), apoptosis (1)"
    assert lines["unread inputs"] == "A, B, C and 1 more"
    assert lines["outputs without inputs"] == "z"
    assert main(["measure", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["names"] == named_units.describe(t)
    save_topology(Topology(2, 1, [0, 1], [1]), path)
    assert main(["measure", str(path), "--json"]) == 0
    assert "names" not in json.loads(capsys.readouterr().out)
