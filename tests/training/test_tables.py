"""Users' tables: cells as written, numbers in another dress refused, names compared with those of a wiring."""

import gzip
import itertools

import numpy as np
import pytest
import torch

import prewired as pw
from prewired import data
from prewired.io import align, from_named_edges
from prewired.training.data.number_cells import is_dressed_number

N = 40


def write(folder, columns, separator=",", name="table.csv", encoding="utf-8"):
    path = folder / name
    lines = [separator.join(columns), *(separator.join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    content = ("\n".join(lines) + "\n").encode(encoding)
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def columns(**changed):
    return {
        "size": range(N),
        "colour": ["red", "blue"] * (N // 2),
        "y": ["no", "no", "yes", "yes"] * (N // 4),
        **changed,
    }


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    ("separator", "name"),
    [
        (",", "t.csv"),
        (";", "t.csv"),
        ("\t", "t.tsv"),
        ("\t", "t.csv"),
        (",", "t.csv.gz"),
        ("\t", "t.txt"),
        (";", "T.TSV.GZ"),
    ],
)
def test_every_dress_of_a_table_gives_the_same_data(separator, name, encoding, tmp_path):
    expected = data.load(write(tmp_path, columns(), name="plain.csv"), target="y")
    loaded = data.load(write(tmp_path, columns(), separator, name, encoding), target="y")
    assert loaded.feature_names == expected.feature_names == ("size", "colour=blue", "colour=red")
    assert torch.equal(loaded.x_train, expected.x_train)


DRESSED = {
    "decimal comma": [f"{k},5" for k in range(N)],
    "decimal comma and exponent": [f"1,5e{k % 9}" for k in range(N)],
    "thousands": [f"{1000 + k:,}" for k in range(N)],
    "thousands with points": [f"{k}.123.456" for k in range(N)],
    "thousands with blanks": [f"{k} 123" for k in range(N)],
    "thousands with narrow blanks": [f"{k}\u202f123" for k in range(N)],
    "thousands with apostrophes": [f"{k}'123" for k in range(N)],
    "per cent": [f"{k}%" for k in range(N)],
    "per cent with a blank": [f"{k}.5 %" for k in range(N)],
    "currency": [f"${k}.50" for k in range(N)],
    "currency behind": [f"{k} \u20ac" for k in range(N)],
    "typeset minus": [f"\u2212{k}" for k in range(N)],
    "bookkeeping": [f"({k})" for k in range(N)],
    "minus behind": [f"{k}-" for k in range(N)],
    "underscores": [f"{k}_000" for k in range(N)],
    "dates": [f"2024-01-{1 + k % 28:02}" for k in range(N)],
    "dates with points": [f"{1 + k % 28}.1.2024" for k in range(N)],
    "dates with months": [f"{1 + k % 28} Jan 2024" for k in range(N)],
    "times": [f"12:{k:02}" for k in range(N)],
    "dates and times": [f"2024-01-01T12:{k:02}:00Z" for k in range(N)],
    "units": [f"{k} km" for k in range(N)],
    "half of them": [f"{k},5" if k % 2 else ["a", "b"][k % 4 // 2] for k in range(N)],
    "with plain ones": [str(k) if k % 4 == 0 else f"{k},5" if k % 4 < 3 else "many" for k in range(N)],
}


@pytest.mark.parametrize("dress", DRESSED)
@pytest.mark.parametrize("column", ["size", "y"])
def test_numbers_in_another_dress_are_refused_with_the_cell(column, dress, tmp_path):
    cells = DRESSED[dress]
    path = write(tmp_path, columns(**{column: cells}), "\t", "table.tsv")
    with pytest.raises(
        ValueError, match=rf"table.tsv, line \d+, column '{column}': expected numbers .*, got ['\"]"
    ) as error:
        data.load(path, target="y")
    assert any(repr(cell) in str(error.value) for cell in cells)
    if column == "size":
        loaded = data.load(path, target="y", categorical=["size"])
        assert loaded.feature_names[0].startswith("size=")


@pytest.mark.parametrize(
    "words",
    [
        ["red", "blue"],
        ["A1", "B2"],
        ["10-20", "20-30"],
        ["1st", "2nd"],
        ["<5", ">=5"],
        ["1a", "2b"],
        ["128GB", "256GB"],
        ["v1.2.3", "v1.2.4"],
        ["10.0.0.1", "10.0.0.2"],
        ["Room 101", "Room 102"],
        ["+", "-"],
        ["e5", "."],
        ["may", "june"],
    ],
)
def test_words_that_only_look_a_little_like_numbers_are_words(words, tmp_path):
    loaded = data.load(write(tmp_path, columns(colour=words * (N // 2))), target="y")
    assert {name for name in loaded.feature_names if name != "size"} == {f"colour={word}" for word in words}


def test_a_decimal_comma_by_name(tmp_path):
    plain = data.load(write(tmp_path, columns(size=[k / 2 for k in range(N)])), target="y")
    cells = [str(k / 2).replace(".", ",") for k in range(N)]
    comma = data.load(write(tmp_path, columns(size=cells), ";"), target="y", decimal=",")
    assert torch.equal(plain.x_train, comma.x_train)
    with pytest.raises(ValueError, match=r"column 'size': expected numbers such as 1234.5"):
        data.load(write(tmp_path, columns(size=[f"{k}.5" for k in range(N)]), ";"), target="y", decimal=",")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decimal": "x"}, "expected decimal= '.' or ','"),
        ({"categorical": "size"}, "expected categorical= as a list of columns, got the text"),
        ({"categorical": ["sise"]}, "got 'sise'"),
    ],
)
def test_wrong_options(options, message, tmp_path):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        data.load(write(tmp_path, columns()), target="y", **options)
    with pytest.raises(ValueError, match=f"expected {next(iter(options))}=.* only with a table"):
        data.load("digits", **options)


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["01", "02"], ("01", "02")),
        (["+1", "-1"], ("-1", "+1")),
        (["007", "8"], ("007", "8")),
        (["1", "2"], ("1", "2")),
    ],
)
def test_classes_are_named_as_written(cells, classes, tmp_path):
    assert data.load(write(tmp_path, columns(y=cells * (N // 2))), target="y").classes == classes


@pytest.mark.parametrize("cells", [["01", "1", "2", "2"], ["1", "+1", "2", "3"], ["-0", "0", "1", "1"]])
def test_two_ways_to_write_one_class_are_refused(cells, tmp_path):
    path = write(tmp_path, columns(y=cells * (N // 4)))
    with pytest.raises(ValueError, match=r"expected one way to write each class, got '.*', '"):
        data.load(path, target="y")
    assert len(data.load(path, target="y", categorical=["y"]).classes) == len(set(cells))


@pytest.mark.parametrize(
    "rows",
    [
        ['1,"red,no', "2,blue,yes", '3,red",no'],
        ['1,"red', 'light",no'],
        ['1,"red" dark,no'],
    ],
)
def test_a_lost_quote_loses_no_row(rows, tmp_path):
    path = tmp_path / "table.csv"
    good = [f"{k},red,no" if k % 2 else f"{k},blue,yes" for k in range(N)]
    path.write_text("\n".join(["size,colour,y", *good, *rows, *good]) + "\n")
    with pytest.raises(ValueError, match=f"table.csv, line {N + 2}: expected .*got .*; "):
        data.load(path, target="y")


def test_a_header_behind_a_comment_sign_is_no_comment(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("#a,y\n" + "".join(f"{k},{k % 2}\n" for k in range(N)))
    with pytest.raises(ValueError, match="line 1: expected a comment, got as many cells"):
        data.load(path, target="y")
    path.write_text("# measured in 2024, by hand\n\na,y\n" + "".join(f"{k},{k % 2}\n" for k in range(N)))
    assert len(data.load(path, target="y").x_train) == 24


@pytest.mark.parametrize("value", [np.ones((40, 3)), (np.ones((40, 3)), np.ones(40)), {"x": 1}, None])
def test_what_is_no_data_set_says_how_to_make_one(value):
    with pytest.raises(TypeError, match=r"expected .*, got .*; write arrays with numpy.savez"):
        data.load(value)
    with pytest.raises(TypeError, match=r"expected .*, got .*; write arrays with numpy.savez"):
        pw.train(pw.nn.mlp([3, 4, 2], family="biregular", density=0.5), value)


# --- the names of a wiring and of the data ---

GENES = ("TP53", "MYC", "EGFR", "KRAS")
SETS = ("growth", "death", "repair")


@pytest.fixture
def genes(tmp_path):
    cells = {gene: np.random.default_rng(k).random(N).round(3) for k, gene in enumerate(GENES)}
    return data.load(write(tmp_path, {**cells, "y": [str(k % 3) for k in range(N)]}), target="y")


def wire(inputs, outputs=SETS):
    pairs = [pair for k, pair in enumerate(itertools.product(GENES, outputs)) if k % 2]
    return from_named_edges(pairs, inputs=inputs, outputs=outputs)


def networks(topology, classes=3):
    first = pw.SparseLinear(topology)
    yield pw.nn.mlp([4, 3, classes], topologies=[topology])
    yield torch.nn.Sequential(first, torch.nn.ReLU(), torch.nn.Linear(3, classes))
    yield torch.nn.Sequential(torch.nn.Dropout(0.1), torch.nn.Sequential(first), torch.nn.Linear(3, classes))


def test_a_wiring_in_another_order_than_the_data_is_refused(genes):
    topology = wire(GENES[::-1])
    for net in networks(topology):
        with pytest.raises(ValueError, match=r"got 'KRAS' as number 1, where the data have 'TP53'; make the topology"):
            pw.train(net, genes, pw.TrainConfig(epochs=1))
    for net in networks(align(topology, genes.feature_names)):
        pw.train(net, genes, pw.TrainConfig(epochs=1))


def test_other_names_than_those_of_the_data_are_refused(genes):
    topology = from_named_edges([("ENSG1", "a"), ("ENSG2", "b"), ("ENSG3", "c"), ("ENSG4", "a")])
    with pytest.raises(ValueError, match="got 'ENSG1' as number 1"):
        pw.train(pw.nn.mlp([4, 3, 3], topologies=[topology]), genes)


def test_arrays_have_no_names_to_compare(tmp_path):
    np.savez(tmp_path / "mine.npz", x=np.random.default_rng(0).random((N, 4)), y=np.arange(N) % 3)
    loaded = data.load(tmp_path / "mine.npz")
    assert not loaded.has_feature_names
    pw.train(pw.nn.mlp([4, 3, 3], topologies=[wire(GENES[::-1])]), loaded, pw.TrainConfig(epochs=1))


def test_outputs_named_like_the_classes_stand_in_their_order(genes):
    for outputs, is_right in (("0", "1", "2"), True), (("1", "0", "2"), False), (("a", "b", "c"), True):
        net = torch.nn.Sequential(pw.SparseLinear(wire(GENES, outputs)))
        if is_right:
            pw.train(net, genes, pw.TrainConfig(epochs=1))
        else:
            with pytest.raises(ValueError, match=r"outputs of the network .* got '1' as number 1, where .* '0'"):
                pw.train(net, genes, pw.TrainConfig(epochs=1))


def test_names_of_neighbouring_layers_are_compared():
    first = wire(GENES)
    second = from_named_edges([("death", "x"), ("growth", "y"), ("repair", "x")])
    with pytest.raises(ValueError, match=r"named as the outputs of topology 0, got 'death' for 'growth'"):
        pw.nn.mlp([4, 3, 2, 2], topologies=[first, second])
    pw.nn.mlp([4, 3, 2, 2], topologies=[first, align(second, SETS)])


@pytest.mark.parametrize("cell", ["", "-", ".", "e5", "--1", "1e", "one", "1,2,3,4", "1..2", "12-13", "jan", "5x5"])
def test_cells_that_are_no_numbers_in_another_dress(cell):
    assert not is_dressed_number(cell)
