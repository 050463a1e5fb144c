"""Text of a user's file: UTF-8 or UTF-16, plain or compressed with gzip, as lines."""

import gzip
import re
import zlib
from pathlib import Path

MAX_UNPACKED_BYTES = 2**31
"""A compressed file may unpack to this many bytes: a few kilobytes can claim any size."""

_LINE_END = re.compile(r"\r\n|\r|\n")


def read_bytes(path: str | Path) -> bytes:
    """Return the content of a file, unpacked if the file is compressed with gzip.

    Raises:
        FileNotFoundError: if there is no such file, or the path is a folder.
        ValueError: if the compressed content is damaged, or unpacks to more than 2 GiB.
    """
    path = Path(path)
    if not path.is_file():
        state = "is a folder" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"expected a file, got {str(path)!r}, which {state}; check the path")
    content = path.read_bytes()
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        with gzip.open(path) as file:
            content = file.read(MAX_UNPACKED_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path}: expected a sound gzip file, got {error}; compress the file again") from None
    if len(content) > MAX_UNPACKED_BYTES:
        raise ValueError(f"{path}: expected at most 2 GiB of text, got more once unpacked; unpack the file yourself")
    return content


def read_text(path: str | Path) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 or UTF-32 with a byte order mark, without that mark.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the bytes are no such text; the message names the line.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(f"{folder}/genes.txt").write_text("MYC", encoding="utf-16")
        ...     read_text(f"{folder}/genes.txt")
        'MYC'
    """
    return decode_text(read_bytes(path), path)


def decode_text(content: bytes, path: str | Path) -> str:
    """Return the text that bytes encode, as `read_text` does; `path` is for messages."""
    encoding = "utf-8-sig"
    if content.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        encoding = "utf-32"
    elif content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}, line {line}: expected UTF-8 text, got the byte 0x{error.object[error.start]:02x}; "
            "save the file as UTF-8"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ValueError(f"{path}, line {line}: expected UTF-8 text, got a zero byte; save the file as UTF-8")
    return text


def split_lines(text: str) -> list[str]:
    r"""Return the lines of a text; only \n, \r\n and \r end a line, so a name may have any other character.

    Example:
        >>> split_lines("a\x0bb\r\nc\n")
        ['a\x0bb', 'c']
    """
    lines = _LINE_END.split(text)
    return lines if lines[-1] else lines[:-1]
