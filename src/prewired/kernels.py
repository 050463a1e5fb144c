"""The two verbs of a sparse layer, as torch operators, each with its reference in plain PyTorch directly below it.

A layer is y = W x + b with activations feature-major: x is (n_in, batch), y is (n_out, batch), both contiguous, and W
is a vector of one value per edge. Forward is spmm; the gradient of x is spmm with the edges ordered by input; the
gradient of W is sddmm, the products of dy and x sampled on the edges. Shapes and dtypes are checked; that every index
lies inside x is not, Topology has seen to it.
"""

import importlib.util
import os
from collections.abc import Callable
from typing import NamedTuple

import torch

INSTRUCTION_SETS = ("baseline", "avx2", "avx512")


def spmm(
    starts: torch.Tensor,
    indices: torch.Tensor,
    values: torch.Tensor,
    order: torch.Tensor | None,
    x: torch.Tensor,
    bias: torch.Tensor | None,
) -> torch.Tensor:
    """y[r] = bias[r] + sum of values[order[e]] * x[indices[e]] over the edges e of row r.

    Args:
        starts, indices: the rows' edges, see Plan; int64 and (n_edges,) int32.
        values: (n_edges,) float32 or float64.
        order: (n_edges,) int32, the position of each edge's value; None where it is its own.
        x: (n_columns, batch), contiguous, of the dtype of values.
        bias: (n_rows,) or None for zero.

    Returns:
        y, (n_rows, batch), contiguous.
    """
    return torch.ops.prewired.spmm(starts, indices, values, order, x, bias)


def spmm_reference(starts, indices, values, order, x, bias):
    """What `spmm` computes, in plain PyTorch; takes n_edges * batch memory."""
    ordered = values if order is None else values[order]
    y = x.new_zeros(_n_rows(starts), x.shape[1]).index_add_(0, _rows(starts), ordered[:, None] * x[indices])
    return y if bias is None else y + bias[:, None]


def sddmm(starts: torch.Tensor, indices: torch.Tensor, g: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """out[e] = sum over the batch of g[row of e] * x[indices[e]], one value per edge.

    Args:
        starts, indices: the rows' edges, see Plan; int64 and (n_edges,) int32.
        g: (n_rows, batch), contiguous, float32 or float64.
        x: (n_columns, batch), contiguous, of the dtype of g.

    Returns:
        out, (n_edges,).
    """
    return torch.ops.prewired.sddmm(starts, indices, g, x)


def sddmm_reference(starts, indices, g, x):
    """What `sddmm` computes, in plain PyTorch; takes n_edges * batch memory."""
    return (g[_rows(starts)] * x[indices]).sum(1)


def transposed(x: torch.Tensor) -> torch.Tensor:
    """The transpose of a contiguous matrix in float32 or float64, contiguous: how row-major activations come in."""
    return torch.ops.prewired.transposed(x)


def transposed_reference(x):
    """What `transposed` computes, in plain PyTorch."""
    return x.t().contiguous()


class Kernel(NamedTuple):
    """One implementation of the two verbs, and of the way in."""

    spmm: Callable[..., torch.Tensor]
    sddmm: Callable[..., torch.Tensor]
    transposed: Callable[[torch.Tensor], torch.Tensor]


KERNELS = {
    "native": Kernel(spmm, sddmm, transposed),
    "reference": Kernel(spmm_reference, sddmm_reference, transposed_reference),
}


def choose(x: torch.Tensor) -> str:
    """The name of the kernel that runs on such an input: native on a CPU in float32 or float64, else the reference."""
    runs_natively = NATIVE and x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)
    return "native" if runs_natively else "reference"


def instruction_set() -> str:
    """The instruction set the native kernels run on: baseline, avx2 or avx512; 'none' where they were not built.

    The best the processor has, unless the environment variable PREWIRED_ISA named a lesser one before the import.
    """
    return INSTRUCTION_SETS[torch.ops.prewired.instruction_set()] if NATIVE else "none"


def _n_rows(starts: torch.Tensor) -> int:
    return starts.shape[0] - 1 if starts.ndim == 1 else starts.shape[1]


def _rows(starts: torch.Tensor) -> torch.Tensor:
    """The row of each edge."""
    fan_in = starts.diff() if starts.ndim == 1 else starts[-1] - starts[0]
    return torch.repeat_interleave(torch.arange(len(fan_in), device=starts.device), fan_in)


def _load() -> bool:
    """Load the compiled operators; False where this build of the package has none."""
    library = importlib.util.find_spec(f"{__package__}._kernels")
    if library is None or library.origin is None:
        return False
    torch.ops.load_library(library.origin)

    @torch.library.register_fake("prewired::spmm")
    def _(starts, indices, values, order, x, bias):
        return x.new_empty(_n_rows(starts), x.shape[1])

    @torch.library.register_fake("prewired::sddmm")
    def _(starts, indices, g, x):
        return x.new_empty(indices.shape[0])

    @torch.library.register_fake("prewired::transposed")
    def _(x):
        return x.new_empty(x.shape[1], x.shape[0])

    return True


NATIVE = _load()
_wish = os.environ.get("PREWIRED_ISA")
if NATIVE and _wish and instruction_set() != _wish:
    raise RuntimeError(
        f"expected PREWIRED_ISA to name an instruction set of this processor among {', '.join(INSTRUCTION_SETS)}, got "
        f"{_wish!r}; the best here is {instruction_set()!r}"
    )
