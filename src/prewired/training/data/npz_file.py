"""Read a user's NPZ file into `RawData`; an error names the file, the array and the row."""

import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ...io.claimed_sizes import check_memory
from .raw_data import RawData, is_missing, list_names

DAMAGE = (
    *(ValueError, TypeError, KeyError, IndexError, EOFError, OSError, OverflowError, MemoryError, RecursionError),
    *(SyntaxError, RuntimeError, NotImplementedError, struct.error, zlib.error, lzma.LZMAError),
    *(tokenize.TokenError, zipfile.BadZipFile),
)
"""What NumPy's and Python's readers raise on damaged or hostile archives."""


def _read_array(archive: zipfile.ZipFile, key: str, path: Path) -> np.ndarray:
    try:
        array = _read_member(archive, f"{key}.npy")
    except DAMAGE as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(
            f"{path}: expected {key} to be a plain array of numbers (or, for y, words), got {reason}; convert it to "
            "such an array and save again"
        ) from None
    kinds = "biuf" if key.startswith("x") else "biufUS"
    if array.dtype.kind not in kinds:
        raise ValueError(f"{path}: expected numbers in {key}, got {array.dtype}; convert the array and save again")
    return array


def _read_member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Read an array; a header that claims more bytes than the archive or the machine has is refused first."""
    n_stored = archive.getinfo(name).file_size
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"an array of format {version}")
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file)
        n_bytes = math.prod(shape) * dtype.itemsize
        if n_bytes > n_stored:
            raise ValueError(f"a header that claims {n_bytes:,} bytes in a member of {n_stored:,}")
    check_memory(f"the array {name}", n_bytes)
    with archive.open(name) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _read_features(archive, key: str, path: Path) -> np.ndarray:
    x = _read_array(archive, key, path)
    if x.ndim < 2 or x.size == 0:
        raise ValueError(
            f"{path}: expected {key} of shape (rows, features) or (rows, ...), got {x.shape} (no rows or no "
            "features); check the array"
        )
    finite = np.isfinite(x.reshape(len(x), -1))
    if not finite.all():
        row, feature = np.argwhere(~finite)[0]
        raise ValueError(
            f"{path}, {key}, row {row}, feature {feature} (counted from 0): expected a finite number, "
            f"got {x.reshape(len(x), -1)[row, feature]}; correct the value or leave the row out"
        )
    return x if x.dtype == np.uint8 else x.astype(np.float64)


def _read_targets(archive, key: str, n_rows: int, path: Path) -> np.ndarray:
    y = _read_array(archive, key, path)
    if y.shape not in ((n_rows,), (n_rows, 1)):
        raise ValueError(
            f"{path}: expected {key} of shape ({n_rows},), one target for each row of "
            f"{key.replace('y', 'x')}, got {y.shape}; one-hot rows become classes by argmax(axis=1)"
        )
    y = y.ravel()
    if y.dtype.kind == "S":
        try:
            y = y.astype(str)
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{path}, {key}: expected words in ASCII, got the bytes {error.object!r:.80}; save them as text with "
                f"{key}=np.char.decode({key}, 'utf-8')"
            ) from None
    invalid = np.array([is_missing(cell) for cell in y]) if y.dtype.kind == "U" else ~np.isfinite(y)
    if invalid.any():
        row = int(np.argmax(invalid))
        raise ValueError(
            f"{path}, {key}, row {row} (counted from 0): expected a value, got {y[row].item()!r}; "
            "correct the value or leave the row out"
        )
    return y


def read_npz(path: Path) -> RawData:
    """Read an NPZ file with x (rows, features) or (rows, ...), y (rows,), and optionally x_test and y_test."""
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGE:
        raise ValueError(
            f"{path}: expected an .npz archive, got another format or a damaged file; write it with numpy.savez"
        ) from None
    with archive:
        keys = [name.removesuffix(".npy") for name in archive.namelist()]
        required = ("x", "y", "x_test", "y_test") if {"x_test", "y_test"} & set(keys) else ("x", "y")
        for key in required:
            if key not in keys:
                raise ValueError(
                    f"{path}: expected the arrays {', '.join(required)}, "
                    f"got {list_names(keys) or 'none'}; save {key} under that name"
                )
        x = _read_features(archive, "x", path)
        y = _read_targets(archive, "y", len(x), path)
        if "x_test" not in keys:
            x_test, y_test = x[:0], y[:0]
        else:
            x_test = _read_features(archive, "x_test", path)
            y_test = _read_targets(archive, "y_test", len(x_test), path)
    if x_test.shape[1:] != x.shape[1:]:
        raise ValueError(
            f"{path}: expected rows of shape {x.shape[1:]} in x_test as in x, got {x_test.shape[1:]}; "
            "both need the same features"
        )
    if (y.dtype.kind == "U") != (y_test.dtype.kind == "U"):
        raise ValueError(
            f"{path}: expected y and y_test of one kind, got {y.dtype} and {y_test.dtype}; use words or numbers in both"
        )
    image_shape = (1, *x.shape[1:]) if x.ndim == 3 else x.shape[1:] if x.ndim == 4 else None
    if image_shape and image_shape[0] not in (1, 3, 4):
        image_shape = None
    groups = None if x.ndim == 2 else image_shape[0] if image_shape else 1
    all_rows = np.concatenate([x, x_test])
    return RawData(
        path.name,
        all_rows.reshape(len(all_rows), -1),
        np.concatenate([y, y_test]),
        n_test=len(x_test),
        image_shape=image_shape,
        groups=groups,
    )
