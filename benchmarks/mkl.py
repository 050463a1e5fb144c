"""MKL's inspector-executor product of a CSR and a dense matrix, from the library of the package `mkl`."""

import ctypes
import sys
import weakref
from functools import cache
from pathlib import Path

import numpy as np

GNU_THREADING, NO_TRANSPOSE, ROW_MAJOR, ZERO_BASED = 3, 10, 101, 0


class Description(ctypes.Structure):
    """struct matrix_descr."""

    _fields_ = (("type", ctypes.c_int), ("mode", ctypes.c_int), ("diagonal", ctypes.c_int))


GENERAL = Description(20, 0, 0)


class MklProduct:
    """y = W x, analysed beforehand for this very x and written to the same y at each call.

    Args:
        starts, indices, values: W as CSR, float32.
        x: (n_columns, batch) float32, contiguous.

    Raises:
        ImportError: if there is no MKL.
    """

    def __init__(self, starts: np.ndarray, indices: np.ndarray, values: np.ndarray, x: np.ndarray) -> None:
        self.library = load()
        self.y = np.empty((len(starts) - 1, x.shape[1]), np.float32)
        self.arrays = np.array(starts, np.int32), np.array(indices, np.int32), values, x  # MKL has their addresses only
        self.handle = ctypes.c_void_p()
        rows, columns, weights = (_address(array) for array in self.arrays[:3])
        ends = _address(self.arrays[0][1:])
        shape = len(starts) - 1, len(x)
        self._run("create_csr", "_s", ctypes.byref(self.handle), ZERO_BASED, *shape, rows, ends, columns, weights)
        self._run("set_mm_hint", "", self.handle, NO_TRANSPOSE, GENERAL, ROW_MAJOR, x.shape[1], 1000)
        self._run("optimize", "", self.handle)
        weakref.finalize(self, self.library.mkl_sparse_destroy, self.handle)

    def __call__(self) -> np.ndarray:
        x, y, batch = _address(self.arrays[3]), _address(self.y), self.y.shape[1]
        one, zero = ctypes.c_float(1), ctypes.c_float(0)
        how = NO_TRANSPOSE, one, self.handle, GENERAL, ROW_MAJOR
        self._run("mm", "_s", *how, x, batch, batch, zero, y, batch)
        return self.y

    def _run(self, function: str, dtype: str, *arguments: object) -> None:
        status = self.library[f"mkl_sparse{dtype}_{function}"](*arguments)
        if status != 0:
            raise RuntimeError(f"mkl_sparse{dtype}_{function} returned {status}")


@cache
def load() -> ctypes.CDLL:
    """The library, told to use the OpenMP runtime that torch has loaded already."""
    found = sorted(Path(sys.prefix, "lib").glob("libmkl_rt.so*"))
    if not found:
        raise ImportError("no libmkl_rt in this environment")
    library = ctypes.CDLL(str(found[0]))
    library.MKL_Set_Threading_Layer(GNU_THREADING)
    return library


def code_path() -> str:
    """The code MKL has chosen for this processor, such as avx2, or def for its plainest; "" where none is loaded."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text().splitlines() if maps.exists() else []
    names = {Path(line.split()[-1]).name for line in lines if "libmkl_" in line}
    kinds = {name.removeprefix("libmkl_").partition(".")[0] for name in names}
    return ", ".join(sorted(kinds & {"def", "mc3", "avx2", "avx512", "avx10"}))


def _address(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
