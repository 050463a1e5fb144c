"""A network as one C file: for microcontrollers, and for any program that is to run it without a library."""

import copy
import math
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from ..files import replacing
from .c_text import text
from .c_wiring import WAYS, wiring
from .layers import layers

TOLERANCE = 1e-5
"""Largest difference from torch's outputs, as a share of the largest of them, with which a file is accepted."""
_WORDS = (
    "auto|break|case|char|const|continue|default|do|double|else|enum|extern|float|for|goto|if|inline|int|long|register|"
    "restrict|return|short|signed|sizeof|static|struct|switch|typedef|union|unsigned|void|volatile|while|bool|true|false|"
    "alignas|alignof|constexpr|nullptr|static_assert|thread_local|typeof|asm|class|catch|delete|explicit|export|friend|"
    "mutable|namespace|new|operator|private|protected|public|template|this|throw|try|typename|using|virtual|and|or|not|"
    "xor|main|x|y|n|m|i|t|got"
)
"""Words of C and C++, and variables of the file; those of <math.h> are the names in Python's math and with an f."""


class Exported(NamedTuple):
    """What `c` wrote; its text is a few lines.

    Attributes:
        path: the file.
        source: bytes of its text.
        weights: bytes of the weights, scales and biases in a program that contains it.
        indices: bytes of the tables that tell which inputs an output reads.
        ram: bytes of its buffers, for batches.
        ram_single: the same if it is compiled with a tile of 1.
        wirings: for each layer how its inputs are found: "rule", "gaps" or "table"; "none" where all are read.
        verified: by which compiler, and the largest difference from torch's outputs; or why it was not.
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


def c(net: nn.Module, path: str | Path, *, name: str | None = None, indices: str = "auto") -> Exported:
    """Write a network as one self-contained C99 file, compile it, and compare it with torch.

    The file has `void NAME(const float *x, float *y)` for one sample and `void NAME_batch(const float *x, float *y, int
    n)` for n of them, row by row, and the constants NAME_INPUTS and NAME_OUTPUTS, in capitals. It allocates nothing;
    a batch is worked on in tiles of 32 samples, and compiled with -D NAME_TILE=1 the file takes the least memory.
    Weights are kept as they are in the network (float32; float16, bfloat16, int8 or int4 of a quantised one) and
    computed with in float32. Where a compiler is found (cc, gcc or clang), the file is compiled and has to give torch's
    outputs up to TOLERANCE; one that is at `path` already is replaced only after that.

    Args:
        net: a chain of layers, see `export.layers.layers`.
        path: of the file, such as "net.c".
        name: of the function; else the name of the file without its ending.
        indices: how the wiring is kept. "auto" takes what is smallest of: "rule", nothing for each edge, where every
            output reads translates of one list of inputs; "gaps", about a byte an edge; "table", an index an edge.

    Raises:
        ValueError: for a network that cannot be written, a name that is none in C, or a rule where there is none.
        RuntimeError: if the file does not compile or does not give the same outputs.

    Example:
        >>> from prewired import networks
        >>> net = networks.mlp([8, 6, 2], family="rotating", fan_in=3)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     done = c(net, f"{folder}/net.c")
        >>> done.wirings, done.indices, done.weights
        (('rule', 'none'), 0, 120)
    """
    path = Path(path)
    name = _checked(path.stem if name is None else name)
    if indices not in ("auto", *WAYS):
        raise ValueError(f"expected indices to be one of auto, {', '.join(WAYS)}, got {indices!r}")
    found = layers(net)
    wirings = [wiring(layer, indices) for layer in found]
    written = text(name, found, wirings)
    with replacing(path) as part:
        part.write_text(written.source, encoding="ascii")
        verified = _verified(part, name, net, found[0].n_in)
    sizes = written.weights, written.indices, written.ram, written.ram_single
    return Exported(path, len(written.source), *sizes, tuple(one.way for one in wirings), verified)


def compiler() -> str | None:
    """The C compiler of this machine, None if there is none."""
    return next((which for one in ("cc", "gcc", "clang") if (which := shutil.which(one))), None)


def _checked(name: str) -> str:
    taken = re.fullmatch(_WORDS, name) or name in dir(math) or name.removesuffix("f") in dir(math)
    if taken or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ValueError(
            f"expected a name of letters, digits and underscores that is no word of C, got {name!r}; pass name='net'"
        )
    return name


def _verified(file: Path, name: str, net: nn.Module, n_in: int) -> str:
    """Compile the file and compare it with the network on random samples; what to say of it."""
    cc = compiler()
    if cc is None:
        return "not verified: no C compiler found"
    x = torch.randn(35, n_in, generator=torch.Generator().manual_seed(0))  # a tile, and single samples
    with torch.no_grad():
        expected = copy.deepcopy(net).cpu().float().eval()(x).numpy()
    with tempfile.TemporaryDirectory() as folder:
        command = [cc, "-std=c99", "-O1", "-D", f"{name.upper()}_MAIN", "-x", "c", str(file), "-o", f"{folder}/net"]
        compiled = subprocess.run([*command, "-lm"], capture_output=True, text=True)
        if compiled.returncode:
            raise RuntimeError(f"expected C that {cc} compiles, got: {compiled.stderr[:500]}; try another name=")
        out = subprocess.run([f"{folder}/net"], input=x.numpy().tobytes(), capture_output=True, check=True).stdout
    got = np.frombuffer(out, np.float32).reshape(expected.shape)
    difference = np.abs(got - expected).max() / max(1.0, np.abs(expected).max())
    if not difference <= TOLERANCE:
        raise RuntimeError(
            f"expected outputs of {name} within {TOLERANCE} of torch's, got a difference of {difference:.3g}; no file "
            "was written; please report it"
        )
    return f"by {Path(cc).name}, largest difference from torch {difference:.1e}"
