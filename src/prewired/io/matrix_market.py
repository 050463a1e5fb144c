"""Topologies from Matrix Market files."""

import io
import re
from pathlib import Path
from typing import Any

import scipy.io

from ..topology import Topology
from .claimed_sizes import check_claimed_sizes
from .text_file import read_bytes

_BANNER = re.compile(
    rb"%%MatrixMarket\s+matrix\s+(coordinate|array)\s+(real|double|integer|unsigned-integer|pattern|complex)"
    rb"\s+(general|symmetric|skew-symmetric|hermitian)\s*$",
    re.IGNORECASE,
)
_MIN_BYTES_PER_ENTRY = {b"coordinate": 4, b"array": 2}
"""The shortest line of an entry: "1 1" or "1", and the end of the line."""


def from_matrix_market(path: str | Path) -> Topology:
    """Read a topology from a Matrix Market file of the biadjacency (n_out, n_in): every entry that is not 0 is an edge.

    Args:
        path: the file; may be compressed with gzip.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is no Matrix Market file, has NaN or complex entries, or has an entry twice.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     scipy.io.mmwrite(f"{folder}/mask.mtx", scipy.sparse.eye_array(3, 4))
        ...     from_matrix_market(f"{folder}/mask.mtx")
        Topology(4 -> 3, 3 edges, density 25%)
    """
    content = _normalise(read_bytes(path))
    try:
        _check_sizes(content, path)
        matrix: Any = scipy.io.mmread(io.BytesIO(content), spmatrix=False)
        return Topology.from_mask(matrix)
    except (ValueError, OverflowError, StopIteration, TypeError) as error:
        raise ValueError(f"expected a Matrix Market file, got {str(path)!r}: {error}") from None


def _normalise(content: bytes) -> bytes:
    """Return the lines without white space at their ends, empty lines, and a byte order mark.

    SciPy's reader leaves its memory at a blank before the end of a file that has no final line end.
    """
    lines = (line.strip() for line in content.removeprefix(b"\xef\xbb\xbf").replace(b"\0", b" ").splitlines())
    return b"".join(line + b"\n" for line in lines if line)


def _check_sizes(content: bytes, path: str | Path) -> None:
    """Raise ValueError unless the file is long enough for the entries that its second line announces."""
    lines = content.split(b"\n", 1)
    banner = _BANNER.match(lines[0])
    if banner is None:
        raise ValueError(
            "its first line is no header such as '%%MatrixMarket matrix coordinate pattern general'; write it with "
            "scipy.io.mmwrite"
        )
    layout, field = banner[1].lower(), banner[2].lower()
    if field == b"complex":
        raise ValueError("it has complex numbers, expected real numbers; write abs() of the matrix")
    rest = lines[1] if len(lines) > 1 else b""
    while rest.startswith(b"%"):
        rest = rest.partition(b"\n")[2]
    sizes, _, body = rest.partition(b"\n")
    words = sizes.split()
    if len(words) != (3 if layout == b"coordinate" else 2) or not all(re.fullmatch(rb"[0-9]{1,18}", w) for w in words):
        raise ValueError(f"its line of sizes is {sizes[:60].decode(errors='replace')!r}, expected whole numbers")
    n_out, n_in, *n_entries = map(int, words)
    n_stored = n_entries[0] if n_entries else n_out * n_in
    if banner[3].lower() != b"general" and not n_entries:
        n_stored = n_out * (n_out - 1) // 2
    n_possible = len(body) // _MIN_BYTES_PER_ENTRY[layout]
    if n_stored > n_possible:
        raise ValueError(f"it announces {n_stored:,} entries, but is long enough for {n_possible:,} only")
    check_claimed_sizes(str(path), n_in, n_out, n_stored, "correct the line of sizes")
