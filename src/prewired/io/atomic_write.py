"""Writing files so that nothing is lost: the new content is complete before it takes the place of the old."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def check(path: str | Path) -> Path:
    """The file itself where the path is a link to it; before a long computation whose result is to be written there.

    Raises:
        FileNotFoundError: if its folder does not exist.
        IsADirectoryError: if it is a folder.
        OSError: if it is there, and neither that nor an ordinary file: a device, say.
    """
    file = Path(path).resolve()
    if not file.parent.is_dir():
        raise FileNotFoundError(
            f"expected a folder to write to, got {str(Path(path).parent)!r}, which does not exist; check the path"
        )
    if file.is_dir():
        raise IsADirectoryError(f"expected a file to write, got {str(path)!r}, which is a folder; check the path")
    if file.exists() and not file.is_file():
        raise OSError(f"expected an ordinary file, got {str(path)!r}; write to a file and copy it there")
    return file


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A path beside `path` to write to; it becomes `path` at the end, or vanishes if an exception is raised.

    A file that was there hands its permissions on.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with replacing(f"{folder}/a.txt") as part:
        ...         _ = part.write_text("whole")
        ...     [(one.name, one.read_text()) for one in Path(folder).iterdir()]
        [('a.txt', 'whole')]
    """
    file = check(path)
    part = file.with_name(f".{secrets.token_hex(8)}.part{file.suffix}")
    try:
        yield part
        if file.exists():
            part.chmod(file.stat().st_mode)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
