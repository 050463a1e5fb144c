"""Find the files of the published data sets below a data root, or fetch them once into the per-user cache."""

import gzip
import lzma
import os
import zlib
from collections.abc import Callable
from pathlib import Path

Root = str | os.PathLike | None


def data_root(root: Root) -> Path | None:
    """The folder that holds the folders of the data sets; None if the files are to be fetched."""
    folder = root if root is not None else os.environ.get("PREWIRED_DATA") or None
    return None if folder is None else Path(folder)


def find_file(root: Path, folder: str, stem: str) -> Path:
    """Find the file of a data set below the data root, plain or compressed; raise FileNotFoundError otherwise."""
    for suffix in ("", ".gz", ".xz"):
        path = root / folder / (stem + suffix)
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"expected the file {stem} (plain, .gz or .xz) in {root / folder}, got no such file; "
        "put it there, or let root= or PREWIRED_DATA name the folder that holds "
        f"{folder}/, or leave both unset to fetch it"
    )


def fetch_file(url: str, known_hash: str, folder: str) -> Path:
    """Return the path of a file in the per-user cache; fetch the file from its address first if it is not there."""
    try:
        import pooch
    except ImportError:
        raise ImportError(
            "expected pooch to fetch data sets, got no such package; pip install 'prewired[study]', "
            "or let PREWIRED_DATA name a folder that holds the data"
        ) from None
    filename = url.rsplit("/", 1)[1]
    cache = Path(pooch.os_cache("prewired")) / folder
    try:
        return Path(pooch.retrieve(url, known_hash, fname=filename, path=cache))
    except Exception as error:  # whatever the network, the disk or the checksum says, as one line
        raise ConnectionError(
            f"expected to fetch {filename} from {url} into {cache}, got {type(error).__name__}: "
            f"{' '.join(str(error).split())}; try again, or let PREWIRED_DATA name a folder that holds "
            f"{folder}/{filename}"
        ) from error


def read_file(path: Path) -> bytes:
    """Read a plain, .gz or .xz file."""
    opener: Callable = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
    try:
        with opener(path, "rb") as file:
            return file.read()
    except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError) as error:
        raise ValueError(
            f"{path}: expected a whole {path.suffix} file, got one that does not decompress ({error}); get it again"
        ) from None
