"""Tables of names and gene sets: nothing is lost, nothing is taken for something else."""

import gzip

import numpy as np
import pytest

from prewired.io import from_gmt, from_named_edges, from_table

EDGES = [("TP53", "apoptosis"), ("MYC", "growth"), ("TP53", "growth"), ("EGFR", "growth")]


def write(folder, content, name="sets.tsv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def pairs(t):
    outputs = np.repeat(np.arange(t.n_out), t.fan_in)
    return {(t.names.inputs[i], t.names.outputs[o]) for i, o in zip(t.indices, outputs, strict=True)}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", "\t", ";"])
def test_tables(separator, line_end, encoding, tmp_path):
    rows = [("pathway", "score", "gene"), *((b, str(k), f" {a}") for k, (a, b) in enumerate(EDGES))]
    text = "# made by hand" + line_end + line_end.join(separator.join(row) for row in rows) + line_end * 2
    path = write(tmp_path, text.encode(encoding))
    t = from_table(path, columns=("gene", "pathway"))
    assert t == from_named_edges(EDGES)
    assert t.names == from_named_edges(EDGES).names
    assert from_table(path, columns=(2, 0)) == t
    packed = write(tmp_path, gzip.compress(text.encode(encoding)), "sets.csv.gz")
    assert from_table(packed, columns=("gene", "pathway")) == t


@pytest.mark.parametrize("separator", [",", ";"])
def test_quoted_names_may_hold_the_separator(separator, tmp_path):
    path = write(tmp_path, f'gene{separator}pathway\nTP53{separator}"growth{separator} ""fast"""\n', "sets.csv")
    assert from_table(path).names.outputs == (f'growth{separator} "fast"',)


@pytest.mark.parametrize(
    "names",
    [
        ['"open quote pathway', "next"],
        ['5" end', '"'],
        ["it's", '""'],
        ["a\x0bb", "c\u2028d", "e\x85f"],
        ["# not first", "0"],
    ],
)
@pytest.mark.parametrize("n_before", [0, 20_000])
def test_any_character_of_a_tsv_stays_in_its_name(names, n_before, tmp_path):
    edges = [*((f"G{k}", f"set {k % 7}") for k in range(n_before)), *(("MYC", name) for name in names)]
    path = write(tmp_path, "gene\tpathway\n" + "".join(f"{a}\t{b}\n" for a, b in edges))
    assert pairs(from_table(path)) == set(edges)


def test_a_table_without_header(tmp_path):
    path = write(tmp_path, "R-HSA-1\tR-HSA-2\nR-HSA-2\tR-HSA-3\n")
    assert pairs(from_table(path, header=False)) == {("R-HSA-1", "R-HSA-2"), ("R-HSA-2", "R-HSA-3")}
    assert from_table(path, header=False, columns=(1, 0)).names.inputs == ("R-HSA-2", "R-HSA-3")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("gene,pathway\nA,x\nA\n", {}, "line 3: expected 2 cells as in the header or the first row, got 1"),
        ("gene,pathway\nA,x\nA,\n", {}, "line 3: expected the names of an input and of an output"),
        ("gene,pathway\nA,x\nB,x\nA,x\n", {}, r"line 4: expected each edge once.* again after .*line 2"),
        ("gene,pathway\nA,x\nB,y\n", {"inputs": ["A"]}, "line 3: expected one of the 1 inputs given, got 'B'"),
        ("gene,pathway\nA,x\n", {"columns": ("gen", "pathway")}, "one column of 'gene', 'pathway', or a number"),
        ("gene,pathway\nA,x\n", {"columns": (0, 2)}, "from 0 to 1, got 2"),
        ("gene,pathway\nA,x\n", {"columns": (0, 0)}, "two different columns"),
        ("gene,pathway\nA,x\n", {"columns": "gp"}, "columns= as a pair"),
        ("gene,pathway\nA,x\n", {"columns": ("gene", "pathway"), "header": False}, "the number of a column"),
        ("gene,gene\nA,x\n", {}, "got 'gene', which occurs again as a header"),
        ("gene\nA\n", {}, "at least two columns"),
        ("", {}, "expected a table, got no rows"),
        ("gene,pathway\n", {}, "at least one edge"),
        ("R-1\tR-2\nR-2\tR-3\n", {}, "got 'R-2', which occurs again as a name; say header=False"),
        ("MYC\tgrowth\nTP53\tgrowth\n", {}, "got 'growth', which occurs again as a name"),
        ("MYC\tgrowth\nTP53\tdeath\n", {"inputs": ["MYC", "TP53"]}, "got 'MYC', which occurs again as a name"),
        ("#gene\tpathway\nMYC\tgrowth\n", {}, "line 1: expected a comment, got as many cells as in line 2"),
        ("a\tb\nMYC\tgrowth\n#TP53\tgrowth\n", {}, "line 3: expected a row, got a line that starts with #"),
        ("a\tb\tc\nMYC\tgrowth\t1\n", {}, "expected two columns, got 3: 'a', 'b', 'c'; say with columns="),
        ("set 1\thttp://x\tMYC\nset 2\thttp://y\tTP53\n", {}, "expected two columns, got 3"),
        ("gene;pathway,score\nA;x,1\n", {}, "one separator, got commas and semicolons"),
        ('gene,pathway\nA,"x\nB,y\nC,z"\n', {}, "line 2: expected cells separated by a comma, each on one line"),
        ('gene,pathway\nA,"x" y\n', {}, "line 2: expected cells separated by a comma"),
        ("gene,pathway\nA,x\0\n", {}, "line 2: expected UTF-8 text, got a zero byte"),
        ("gene,pathway\nA,x\n".encode("utf-16-le"), {}, "got a zero byte"),
        ("gene,pathway\nA,Gr\u00f6\u00dfe\n".encode("latin-1"), {}, "line 2: .*byte 0xf6; save the file as UTF-8"),
        ("gene,pathway\nA,x\n".encode("utf-16")[:-1], {}, "expected UTF-8 text"),
        (gzip.compress(b"gene,pathway\nA,x\n", mtime=0)[:-9], {}, "expected a sound gzip file"),
    ],
)
def test_wrong_tables_are_refused_with_the_line(text, options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        from_table(write(tmp_path, text, "sets.csv"), **options)


@pytest.mark.parametrize("comment", ["#", "!", "//"])
def test_comments_are_left_out_if_asked(comment, tmp_path):
    path = write(tmp_path, f"a\tb\nMYC\tgrowth\n{comment}TP53\tgrowth\n")
    assert pairs(from_table(path, comment=comment)) == {("MYC", "growth")}
    assert from_table(path, comment="").n_edges == 2


def test_names_come_as_any_iterable(tmp_path):
    pandas = pytest.importorskip("pandas")
    path = write(tmp_path, "gene\tpathway\nTP53\tgrowth\n")
    for inputs in (["MYC", "TP53"], np.array(["MYC", "TP53"]), pandas.Index(["MYC", "TP53"]), iter(["MYC", "TP53"])):
        assert from_table(path, inputs=inputs).indices.tolist() == [1]
    with pytest.raises(ValueError, match="expected a list of input names, got the text 'TP53'"):
        from_table(path, inputs="TP53")


@pytest.mark.parametrize("read", [from_table, from_gmt])
def test_files_that_are_not_there(read, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected a file, got .*which does not exist"):
        read(tmp_path / "none.csv")
    with pytest.raises(FileNotFoundError, match="which is a folder"):
        read(tmp_path)


def test_gene_sets(tmp_path):
    lines = ["apoptosis\thttp://a\tTP53", '"growth\t\tMYC\tTP53\tEGFR\t\t']
    for path in (write(tmp_path, "\n".join(lines), "sets.gmt"), write(tmp_path, "\r\n".join(lines) + "\r\n", "s.txt")):
        t = from_gmt(path)
        assert t.names == (("TP53", "MYC", "EGFR"), ("apoptosis", '"growth'))
        assert pairs(t) == {("TP53", "apoptosis"), ("MYC", '"growth'), ("TP53", '"growth'), ("EGFR", '"growth')}
    assert from_gmt(path, inputs=["KRAS", "MYC"], drop_unknown=True).fan_in.tolist() == [1]
    with pytest.raises(ValueError, match="got a GMT file; read it with"):
        from_table(write(tmp_path, "\n".join(lines), "sets.gmt"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("growth\tMYC\n", "line 1: expected the name of a set, a description and at least one gene"),
        ("growth,x,MYC\n", "line 1: expected the name of a set"),
        ("\tx\tMYC\n", "line 1: expected the name of a set"),
        ("growth\tx\tMYC\n\ngrowth\tx\tTP53\n", "line 3: expected each set once, got 'growth' as in line 1"),
        ("growth\tx\tMYC\tMYC\n", "line 1: expected each edge once"),
        ("growth\tx\tMYC\t\tTP53\n", "line 1: expected the names of an input and of an output"),
        ("", "at least one edge"),
    ],
)
def test_wrong_gene_sets_are_refused_with_the_line(text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        from_gmt(write(tmp_path, text, "sets.gmt"))
