"""A network as one C file: for microcontrollers, and for any program that is to run it without a library."""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from ...io import atomic_write
from ..layers import Layer, layers
from ..verification import check_chain
from .input_access import WAYS, wiring
from .text import check_name, text

LIMIT = 60
"""Seconds that a program compiled from the file may take."""


class CFile(NamedTuple):
    """What `c` wrote; its text is a few lines.

    Attributes:
        path: the file.
        source: bytes of its text.
        weights: bytes of the weights, scales and biases in a program that contains it.
        indices: bytes of the tables that tell which inputs an output reads.
        ram: bytes of its buffers, for batches.
        ram_single: the same if it is compiled with a tile of 1.
        wirings: for each layer how its inputs are found: "rule", "gaps" or "table"; "none" where all are read.
        verified: by which compiler, and the largest difference from torch; or why it was not.
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
    """Write a network as one self-contained C99 file, compile it, and compare it with torch.

    The file has `void NAME(const float *x, float *y)` for one sample and `void NAME_batch(const float *x, float *y, int
    n)` for n of them, row by row, and the constants NAME_INPUTS and NAME_OUTPUTS, in capitals. It allocates nothing;
    a batch is worked on in tiles of 32 samples, and compiled with -D NAME_TILE=1 the file takes the least memory.
    Weights are kept as they are in the network (float32; float16, bfloat16, int8 or int4 of a quantised one) and
    computed with in float32. x and y must not overlap. Where a compiler works (cc, gcc or clang), the file is compiled,
    run, and has to give the network's outputs, see `export.agreement`; only then does it replace one at `path`.
    Elsewhere the result says that it is not verified.

    Args:
        net: a chain of layers, see `export.layers.layers`.
        path: of the file, such as "net.c".
        name: of the function; else the name of the file without its ending.
        indices: how the wiring is kept. "auto" takes what is smallest of: "rule", nothing for each edge, where every
            output reads translates of one list of inputs; "gaps", about a byte an edge; "table", an index an edge.

    Raises:
        TypeError: for anything but a module.
        ValueError: for a network that cannot be written, a name that is none in C, or a rule where there is none.
        FileNotFoundError, IsADirectoryError: if there can be no such file.
        RuntimeError: if the file does not compile, run, or give the same outputs.

    Example:
        >>> from prewired.nn import mlp
        >>> net = mlp([8, 6, 2], family="rotating", fan_in=3)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     done = c(net, f"{folder}/net.c")
        >>> done.wirings, done.indices, done.weights
        (('rule', 'none'), 0, 120)
    """
    path = Path(path)
    atomic_write.check(path)
    name = check_name(path.stem if name is None else name)
    if indices not in ("auto", *WAYS):
        raise ValueError(f"expected indices to be one of auto, {', '.join(WAYS)}, got {indices!r}")
    found = layers(net)
    wirings = [wiring(layer, indices) for layer in found]
    written = text(name, found, wirings)
    with atomic_write.replacing(path) as part:
        part.write_text(written.source, encoding="ascii")
        verified = _verified(part, name, net, found)
    sizes = written.weights, written.indices, written.ram, written.ram_single
    return CFile(path, len(written.source), *sizes, tuple(one.way for one in wirings), verified)


def compiler() -> str | None:
    """The C compiler of this machine, None if there is none."""
    return next((which for one in ("cc", "gcc", "clang") if (which := shutil.which(one))), None)


def _verified(file: Path, name: str, net: nn.Module, found: list[Layer]) -> str:
    """Compile the file and compare it with the network; what to say of it."""
    cc = compiler()
    if cc is None:
        return "not verified: no C compiler found"
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/net"

        def run(x: torch.Tensor) -> torch.Tensor:
            out = subprocess.run([program], input=x.numpy().tobytes(), capture_output=True, check=True, timeout=LIMIT)
            return torch.from_numpy(np.frombuffer(out.stdout, np.float32).reshape(len(x), -1).copy())

        try:
            _compile(cc, file, program, "-std=c99", "-O1", "-D", f"{name.upper()}_MAIN")
            difference = check_chain(run, net, found, what=f"{name} in C", remedy="take prewired.export.program")
        except (OSError, subprocess.SubprocessError) as error:
            if reason := _unusable(cc, folder):
                return f"not verified: {cc} makes no programs here, {reason}"
            raise RuntimeError(
                f"expected C that {cc} compiles and that runs, got {_reason(error)}; nothing was written; try another "
                "name=, or report it with the network"
            ) from error
    return f"by {Path(cc).name}, largest difference {difference:.1e} of the scale of the outputs"


def _compile(cc: str, source: Path, program: str, *flags: str) -> None:
    command = [cc, *flags, "-x", "c", str(source), "-o", program, "-lm"]
    subprocess.run(command, capture_output=True, check=True)


def _unusable(cc: str, folder: str) -> str:
    """Why no program that it makes runs, not even an empty one; "" if one does."""
    source, program = Path(folder, "empty.c"), f"{folder}/empty"
    source.write_text("int main(void) { return 0; }\n")
    try:
        _compile(cc, source, program)
        subprocess.run([program], capture_output=True, check=True, timeout=LIMIT)
    except (OSError, subprocess.SubprocessError) as error:
        return _reason(error)
    return ""


def _reason(error: Exception) -> str:
    """What a failed command said, in one line."""
    said = getattr(error, "stderr", None) or b""
    return " ".join(said.decode(errors="replace").split())[:300] or str(error)
