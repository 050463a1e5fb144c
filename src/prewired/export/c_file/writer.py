"""Write a network as one C file, for microcontrollers and for programs that must run it without a library."""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from ...io import atomic_write
from ..layer_chain import Layer, list_layers
from ..verification import compare_chain
from .c_code import generate_code
from .function_names import check_name, derive_name
from .input_access import WAYS, find_wiring

LIMIT = 60
"""Largest number of seconds of a run of the compiled program."""


class CFile(NamedTuple):
    """A C file that `c` wrote; prints as a few lines.

    Attributes:
        path: the file.
        source: bytes of the text.
        weights: bytes of the weights, scales and biases in a compiled program.
        indices: bytes of the tables that describe the wiring in a compiled program.
        ram: bytes of the buffers.
        ram_single: bytes of the buffers if the file is compiled with a tile of 1.
        wirings: for each layer how it finds its inputs: "rule", "gaps" or "table"; "none" if it reads all inputs.
        verified: the compiler and the largest difference from torch, or the reason why the file is not verified.
    """

    path: Path
    source: int
    weights: int
    indices: int
    ram: int
    ram_single: int
    wirings: tuple[str, ...]
    verified: str

    def __str__(self) -> str:
        return "\n".join(
            [
                f"{self.path}: {self.source:,} bytes of C",
                f"in a program: weights {self.weights:,} bytes, indices {self.indices:,} ({', '.join(self.wirings)})",
                f"static memory: {self.ram:,} bytes, {self.ram_single:,} with a tile of 1",
                f"verified {self.verified}".replace("verified not", "not"),
            ]
        )


def c(net: nn.Module, path: str | Path, *, name: str | None = None, indices: str = "auto") -> CFile:
    """Write a network as one self-contained C99 file, compile the file, and compare its outputs with torch.

    The file defines `void NAME(const float *x, float *y)` for one sample, `void NAME_batch(const float *x, float *y,
    int n)` for n samples, row by row, and the constants NAME_INPUTS and NAME_OUTPUTS, in capitals. The code allocates
    no memory. It computes a batch in tiles of 32 samples; compiled with -D NAME_TILE=1 it takes the least memory.
    Weights are stored as in the network (float32; float16, bfloat16, int8 or int4 if quantised); the arithmetic is
    float32. x and y must not overlap. If a C compiler (cc, gcc or clang) works, the file is compiled, run and compared
    with the network, see `export.verification`; only then does the file replace an existing one. If no C compiler is
    found, the C file is written but not verified; the returned CFile says so.

    Args:
        net: a chain of layers, see `export.list_layers`.
        path: of the file, such as "net.c".
        name: of the function; default the name of the file without its suffix, with net_ in front if C uses it.
        indices: how to store the wiring: "rule", nothing per edge, if every output reads the same list of offsets from
            its own base; "gaps", about one byte per edge; "table", one index per edge; "auto", the smallest of these.

    Raises:
        TypeError: if net is not a module.
        ValueError: if the network cannot be written, the name is no name in C, or indices="rule" without a rule.
        FileNotFoundError, IsADirectoryError: if the file cannot be written.
        RuntimeError: if the file does not compile, does not run, or gives other outputs.

    Example:
        >>> from prewired.nn import mlp
        >>> net = mlp([8, 6, 2], family="rotating", fan_in=3)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = c(net, f"{folder}/net.c")
        >>> file.wirings, file.indices, file.weights
        (('rule', 'none'), 0, 120)
    """
    path = Path(path)
    atomic_write.check_destination(path)
    name = derive_name(path.stem) if name is None else check_name(name)
    if indices not in ("auto", *WAYS):
        raise ValueError(f"expected indices to be one of auto, {', '.join(WAYS)}, got {indices!r}")
    layers = list_layers(net)
    wirings = [find_wiring(layer, indices) for layer in layers]
    code = generate_code(name, layers, wirings)
    with atomic_write.replacing(path) as part:
        part.write_text(code.source, encoding="ascii")
        verified = _verify(part, name, net, layers)
    sizes = code.weights, code.indices, code.ram, code.ram_single
    return CFile(path, len(code.source), *sizes, tuple(wiring.way for wiring in wirings), verified)


def compiler() -> str | None:
    """The path of a C compiler; None if there is none."""
    return next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)


def _verify(file: Path, name: str, net: nn.Module, layers: list[Layer]) -> str:
    """Compile the file and compare it with the network; returns `CFile.verified`."""
    cc = compiler()
    if cc is None:
        return "not verified: no C compiler found"
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/net"

        def run(x: torch.Tensor) -> torch.Tensor:
            samples = x.numpy().tobytes()
            result = subprocess.run([program], input=samples, capture_output=True, check=True, timeout=LIMIT)
            return torch.from_numpy(np.frombuffer(result.stdout, np.float32).reshape(len(x), -1).copy())

        try:
            _compile(cc, file, program, "-std=c99", "-O1", "-D", f"{name.upper()}_MAIN")
            difference = compare_chain(run, net, layers, name=f"{name} in C", remedy="take prewired.export.program")
        except (OSError, subprocess.SubprocessError) as error:
            if reason := _find_fault(cc, folder):
                return f"not verified: {cc} makes no programs here, {reason}"
            raise RuntimeError(
                f"expected C that {cc} compiles and that runs, got {_error_text(error)}; nothing was written; try "
                "another name=, or report it with the network"
            ) from error
    return f"by {Path(cc).name}, largest difference {difference:.1e} of the scale of the outputs"


def _compile(cc: str, source: Path, program: str, *flags: str) -> None:
    command = [cc, *flags, "-x", "c", str(source), "-o", program, "-lm"]
    subprocess.run(command, capture_output=True, check=True)


def _find_fault(cc: str, folder: str) -> str:
    """Say why the compiler cannot make even an empty program that runs; "" if it can."""
    source, program = Path(folder, "empty.c"), f"{folder}/empty"
    source.write_text("int main(void) { return 0; }\n")
    try:
        _compile(cc, source, program)
        subprocess.run([program], capture_output=True, check=True, timeout=LIMIT)
    except (OSError, subprocess.SubprocessError) as error:
        return _error_text(error)
    return ""


def _error_text(error: Exception) -> str:
    """Return what a failed command printed to stderr, in one line; the error itself if nothing was printed."""
    stderr = getattr(error, "stderr", None) or b""
    return " ".join(stderr.decode(errors="replace").split())[:300] or str(error)
