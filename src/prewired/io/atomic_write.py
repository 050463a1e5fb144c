"""Atomic writing: the new content of a file is complete before it replaces the old content."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def check_destination(path: str | Path) -> Path:
    """Check that a file can be written, before a long computation; return the path with links resolved.

    Raises:
        FileNotFoundError: if the folder of the file does not exist.
        IsADirectoryError: if the path is a folder.
        OSError: if the path is neither a folder nor an ordinary file, such as a device.
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
    """Yield a temporary path beside `path` to write to; at the end the temporary file replaces `path`.

    If an exception is raised, the temporary file is deleted and `path` does not change. The new file has the
    permissions of the file that it replaces.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with replacing(f"{folder}/a.txt") as part:
        ...         _ = part.write_text("whole")
        ...     [(file.name, file.read_text()) for file in Path(folder).iterdir()]
        [('a.txt', 'whole')]
    """
    file = check_destination(path)
    part = file.with_name(f".{secrets.token_hex(8)}.part{file.suffix}")
    try:
        yield part
        if file.exists():
            part.chmod(file.stat().st_mode)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
