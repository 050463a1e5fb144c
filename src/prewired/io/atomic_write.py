"""Atomic writing: the new content of a file is complete, and on the disk, before it replaces the old content."""

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of the system that say that the disk, or the user's share of it, has no space for the file."""
OTHER_FORMATS = frozenset(
    (
        *(".bin", ".c", ".ckpt", ".csv", ".gz", ".h5", ".hdf5", ".html", ".joblib", ".json"),
        *(".npy", ".npz", ".onnx", ".parquet", ".pdf", ".pickle", ".pkl", ".png", ".pt", ".pt2"),
        *(".pth", ".sqlite", ".svg", ".tflite", ".toml", ".tsv", ".txt", ".zip"),
    )
)
"""Endings that promise another format than safetensors."""


def check_destination(path: str | Path, *, inputs: tuple[str | Path, ...] = (), n_bytes: int = 0) -> Path:
    """Check that a file can be written, before a long computation; return the path with links resolved.

    Args:
        path: the file to write; it may exist.
        inputs: files that the computation reads, none of which may be the file to write under any name.
        n_bytes: an estimate of the size of the file.

    Raises:
        FileNotFoundError, NotADirectoryError: if the folder of the file does not exist, or is a file.
        IsADirectoryError: if the path is a folder.
        ValueError: if the file is one of the inputs.
        PermissionError: if the folder takes no new file.
        OSError: if the path is neither a folder nor an ordinary file, such as a device, or the disk has too little
            space.
    """
    file, folder = Path(path).resolve(), str(Path(path).parent)
    if not file.parent.is_dir():
        if blocking := next((parent for parent in Path(path).parents if parent.is_file()), None):
            raise NotADirectoryError(
                f"expected a folder to write to, got {folder!r}, but {str(blocking)!r} is a file; choose another folder"
            )
        raise FileNotFoundError(
            f"expected a folder to write to, got {folder!r}, which does not exist; make it first, or check the path"
        )
    if file.is_dir():
        raise IsADirectoryError(f"expected a file to write, got {str(path)!r}, which is a folder; check the path")
    if file.exists() and not file.is_file():
        raise OSError(f"expected an ordinary file, got {str(path)!r}; write to a file and copy it there")
    for source in inputs:
        # samefile knows hard links, symbolic links, and file systems that ignore case
        if file.exists() and Path(source).exists() and file.samefile(source):
            raise ValueError(
                f"expected another file to write than the file to read, got {str(path)!r} for {str(source)!r}, which "
                "would be lost; write to a new file"
            )
    _check_writable(file, folder)
    if (free := shutil.disk_usage(file.parent).free) < n_bytes:
        raise OSError(
            f"expected space for {n_bytes:,} bytes in {folder!r}, got {free:,}; make room, or write to another disk"
        )
    return file


def check_suffix(path: str | Path, suffix: str) -> None:
    """Raise ValueError if the ending of a safetensors file promises another format.

    Args:
        path: the file to write.
        suffix: the ending to name in the error.
    """
    if Path(path).suffix.lower() in OTHER_FORMATS:
        raise ValueError(
            f"expected a file that ends in {suffix}, whose format is safetensors, got {str(path)!r}; write to "
            f"{Path(path).with_suffix(suffix).name!r}"
        )


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` to write to; at the end the temporary file replaces `path`.

    If an exception is raised, the temporary file is deleted and `path` does not change. The new file has the
    permissions of the file that it replaces. After a loss of power `path` has either its old or its new content.

    Raises:
        OSError: as `check_destination`, or if the disk is full.

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
        # the content must reach the disk before the name does: a file system may write a rename first
        _flush(part)
        if file.exists():
            part.chmod(file.stat().st_mode)
        part.replace(file)
        with suppress(OSError):  # not every file system can flush a folder; the content is safe already
            _flush(file.parent)
    except OSError as error:
        if error.errno in FULL:
            raise OSError(
                f"expected space for {str(path)!r}, got {error.strerror!r} from the system; nothing was changed; make "
                "room, or write to another disk"
            ) from error
        raise
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def replacing_files(folder: str | Path) -> Iterator[Path]:
    """Yield a temporary folder inside `folder` to write files to; at the end each file replaces that of its name.

    If an exception is raised, the files in `folder` do not change.
    """
    check_destination(Path(folder) / "file")
    with tempfile.TemporaryDirectory(prefix=".", suffix=".part", dir=folder) as part:
        yield Path(part)
        for file in sorted(Path(part).iterdir()):
            with replacing(Path(folder) / file.name) as copy:
                file.replace(copy)


def _check_writable(file: Path, folder: str) -> None:
    """Raise unless a new file can be made; the permissions alone do not say this of every file system and user."""
    trial = file.with_name(f".{secrets.token_hex(8)}.part")
    try:
        trial.touch(exist_ok=False)
    except OSError as error:
        kind = PermissionError if isinstance(error, PermissionError) else OSError
        raise kind(
            f"expected a folder that takes a new file, got {folder!r} ({error.strerror}); make it writable, or write "
            "to another folder"
        ) from error
    trial.unlink()


def _flush(path: Path) -> None:
    """Have the system write a file or the names in a folder to the disk; Windows cannot flush a folder."""
    if path.is_dir() and os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
