"""Topologies from tables of names: gene -> pathway pairs in CSV and TSV files, and gene sets in GMT files."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..topology import Topology
from .named_units import build_from_edges, number_names
from .text_file import read_text, split_lines
from .text_table import TextTable, check_comment_is_no_header, read_table

Column = str | int


def from_table(
    path: str | Path,
    *,
    columns: tuple[Column, Column] | None = None,
    header: bool = True,
    comment: str | None = None,
    inputs: Iterable[str] | None = None,
    outputs: Iterable[str] | None = None,
    drop_unknown: bool = False,
) -> Topology:
    """Read a topology from a table of edges: a text file with one line per edge.

    Cells stand between tabs, commas or semicolons. Between tabs a quote is a character like any other. `.gz` files
    are unpacked. Names are taken as written, without the white space around them.

    Args:
        path: the file, in UTF-8, or in UTF-16 with a byte order mark.
        columns: the columns with the names of the input and of the output: their headers, or their numbers from 0. A
            table of more than two columns needs them.
        header: whether the first row has the names of the columns; False if the first row is an edge.
        comment: lines that start with this text are left out; "" for no such lines. If not given, lines that start
            with # are left out above the first row, and refused below.
        inputs, outputs, drop_unknown: as in `from_named_edges`.

    Returns:
        A Topology with names.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: as `from_named_edges`, naming the line; for a table without these columns; for a header that
            occurs as a name in the table, which must be an edge.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(f"{folder}/sets.tsv").write_text("gene\\tpathway\\nTP53\\tapoptosis\\nMYC\\tgrowth\\n")
        ...     from_table(f"{folder}/sets.tsv").names
        Names(inputs=('TP53', 'MYC'), outputs=('apoptosis', 'growth'))
    """
    if ".gmt" in (suffix.lower() for suffix in Path(path).suffixes):
        raise ValueError(f"{path}: expected a table of edges, got a GMT file; read it with prewired.io.from_gmt")
    sides = (("input", inputs), ("output", outputs))
    inputs, outputs = (None if names is None else number_names(side, names) for side, names in sides)
    table = read_table(path, comment=comment)
    if header:
        check_comment_is_no_header(table)
    places = _find_columns(table, columns, header)
    if header:
        _check_header_is_no_edge(table, places, inputs, outputs)
    first = 1 if header else 0
    edges = (
        (table.name_place(row), tuple(table.rows[row][place] for place in places))
        for row in range(first, len(table.rows))
        if any(table.rows[row])
    )
    return build_from_edges(edges, inputs, outputs, drop_unknown)


def from_gmt(
    path: str | Path,
    *,
    inputs: Iterable[str] | None = None,
    outputs: Iterable[str] | None = None,
    drop_unknown: bool = False,
) -> Topology:
    """Read a topology from gene sets in a GMT file: each gene is an input, each set an output that reads its genes.

    A line of a GMT file has the name of a set, a description, and the genes of the set, between tabs.

    Args:
        path: the file, in UTF-8; may be compressed with gzip.
        inputs, outputs, drop_unknown: as in `from_named_edges`; inputs are genes, outputs are sets.

    Returns:
        A Topology with names.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a line without genes, a set that occurs twice, a gene that occurs twice in a set, or as
            `from_named_edges`, naming the line.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(f"{folder}/sets.gmt").write_text("growth\\tan example\\tMYC\\tTP53\\n")
        ...     from_gmt(f"{folder}/sets.gmt").names
        Names(inputs=('MYC', 'TP53'), outputs=('growth',))
    """
    return build_from_edges(_read_gmt_edges(Path(path)), inputs, outputs, drop_unknown)


def _read_gmt_edges(path: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    first_lines: dict[str, int] = {}
    for number, line in enumerate(split_lines(read_text(path)), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        name, *rest = [cell.strip() for cell in line.rstrip().split("\t")]
        genes = rest[1:]
        if not name or not genes:
            raise ValueError(
                f"{where}: expected the name of a set, a description and at least one gene between tabs, "
                f"got {len(rest) + 1} cells; for a table of pairs use prewired.io.from_table"
            )
        if name in first_lines:
            raise ValueError(
                f"{where}: expected each set once, got {name!r} as in line {first_lines[name]}; merge them"
            )
        first_lines[name] = number
        for gene in genes:
            yield where, (gene, name)


def _find_columns(table: TextTable, columns: tuple[Column, Column] | None, header: bool) -> list[int]:
    """Return the numbers of the two columns of names, from 0."""
    first = table.rows[0]
    titles = ", ".join(map(repr, first[:20]))
    if len(first) < 2:
        raise ValueError(
            f"{table.name_place(0)}: expected a {'header' if header else 'row'} with at least two columns, "
            f"separated by tabs, commas or semicolons, got {first}"
        )
    if columns is None:
        if len(first) > 2:
            raise ValueError(
                f"{table.name_place(0)}: expected two columns, got {len(first)}: {titles}; say with columns= which two "
                "have the input and the output"
            )
        return [0, 1]
    if not isinstance(columns, Sequence) or isinstance(columns, str) or len(columns) != 2:
        raise ValueError(f"expected columns= as a pair, of the input and of the output, got {columns!r}")
    places = []
    for column in columns:
        if isinstance(column, int) and not isinstance(column, bool) and 0 <= column < len(first):
            places.append(column)
        elif header and isinstance(column, str) and first.count(column) == 1:
            places.append(first.index(column))
        else:
            allowed = f"one column of {titles}, or a number" if header else "the number of a column"
            raise ValueError(
                f"{table.path}: expected columns= to name {allowed} from 0 to {len(first) - 1}, got {column!r}"
            )
    if places[0] == places[1]:
        raise ValueError(f"{table.path}: expected two different columns, got {columns!r}")
    return places


def _check_header_is_no_edge(
    table: TextTable, places: list[int], inputs: Iterable[str] | None, outputs: Iterable[str] | None
) -> None:
    """Raise ValueError if a header of a column occurs as a name: then the first row is an edge, and would be lost."""
    titles = [table.rows[0][place] for place in places]
    names = Counter(row[place] for row in table.rows[1:] for place in places)
    for title in titles:
        if names[title] or titles.count(title) > 1 or title in (inputs or ()) or title in (outputs or ()):
            raise ValueError(
                f"{table.name_place(0)}: expected the names of the columns, got {title!r}, which occurs again "
                f"as a {'name' if titles.count(title) == 1 else 'header'}; say header=False if this row is an edge, "
                "else give the column another name"
            )
