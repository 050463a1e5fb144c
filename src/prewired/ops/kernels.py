"""The two verbs of sparse layers, as torch operators, each with its reference in plain PyTorch directly below it.

A layer is y = x W^T + b, where W is a vector of one value per edge of a topology. `forward` runs a chain of layers,
with a ReLU between them, and `backward` finds all its gradients, so that a whole network costs two calls. A chain of
one is a layer. Shapes and dtypes are checked; that the inputs of an output rise and lie inside their side is not,
Topology has seen to it.

Activations go in as (batch, n), row-major or feature-major (strides (1, batch)), and come out feature-major. Every
number is computed by one thread in one order: results do not depend on the number of threads, bit for bit. They may
depend on the batch in their last bits: a row alone, without gradients, has loops of its own.
"""

import importlib.util
import os
from collections.abc import Callable
from typing import NamedTuple

import torch

from .reference import PER_LAYER, Tensors, backward_reference, forward_reference, numbered_layers, row_count

INSTRUCTION_SETS = ("baseline", "avx2", "avx512")
NATIVE_TYPES = (torch.float32, torch.float64, torch.bfloat16)


def forward(x: torch.Tensor, wiring: Tensors, parameters: Tensors, relu: bool, keep: bool) -> list[torch.Tensor]:
    """y = a chain of sparse layers applied to x.

    Args:
        x: (batch, n_in), contiguous or the transpose of a contiguous matrix; float32, float64 or bfloat16 (which is
            computed in float32).
        wiring: four tensors a layer, the first of its Plan.
        parameters: a weight (n_edges,) and a bias (n_out,) a layer, of the dtype of x; a bias of no elements is none.
        relu: whether a ReLU follows the last layer, as it does every other.
        keep: whether to return what `backward` needs as well.

    Returns:
        [y], and if asked for one tensor a layer: its input, packed as the kernels read it. y is (batch, n_out) with
        strides (1, batch).
    """
    return torch.ops.prewired.forward.default(x, wiring, parameters, relu, keep)


def backward(
    g: torch.Tensor,
    y: torch.Tensor,
    kept: Tensors,
    wiring: Tensors,
    by_input: Tensors,
    parameters: Tensors,
    relu: bool,
    needs_x: bool,
    needs_weights: bool,
) -> list[torch.Tensor]:
    """The gradients of a chain, from the gradient g of its output.

    Args:
        g: (batch, n_out), contiguous or the transpose of a contiguous matrix.
        y, kept: what `forward` returned; y is read only with a relu, kept only with needs_weights.
        wiring, parameters, relu: as in `forward`.
        by_input: four tensors a layer, the next four of its Plan.
        needs_x: whether the gradient of the chain's input is wanted.
        needs_weights: whether those of the weights are; always, for more than one layer.

    Returns:
        The gradient of x, (batch, n_in) with strides (1, batch), then those of a weight and a bias a layer; a gradient
        that is not wanted, or of a bias that is not there, has no elements.
    """
    return torch.ops.prewired.backward.default(g, y, kept, wiring, by_input, parameters, relu, needs_x, needs_weights)


def scattered(
    starts: torch.Tensor, indices: torch.Tensor, mask: torch.Tensor, values: torch.Tensor, n_in: int
) -> torch.Tensor:
    """The matrix (n_out, n_in) with the values at the edges and zero elsewhere; the mask is a Plan's, or empty."""
    return torch.ops.prewired.scattered.default(starts, indices, mask, values, n_in)


def gathered(starts: torch.Tensor, indices: torch.Tensor, mask: torch.Tensor, dense: torch.Tensor) -> torch.Tensor:
    """The values (n_edges,) of a matrix (n_out, n_in) at the edges."""
    return torch.ops.prewired.gathered.default(starts, indices, mask, dense)


def fingerprint(values: torch.Tensor) -> int:
    """A number that changes with the values: equal ones have equal numbers, others almost surely not."""
    return torch.ops.prewired.fingerprint.default(values)


class Kernel(NamedTuple):
    """One implementation of the two verbs."""

    forward: Callable[..., list[torch.Tensor]]
    backward: Callable[..., list[torch.Tensor]]


KERNELS = {
    "sparse": Kernel(forward, backward),
    "reference": Kernel(forward_reference, backward_reference),
}


def runs_natively(x: torch.Tensor) -> bool:
    """Whether the compiled operators take such a tensor: on a CPU in float32, float64 or bfloat16."""
    return NATIVE and x.dtype in NATIVE_TYPES and x.is_cpu


def instruction_set() -> str:
    """The instruction set the native kernels run on: baseline, avx2 or avx512; 'none' where they were not built.

    The best the processor has, unless the environment variable PREWIRED_ISA named a lesser one before the import.
    """
    return INSTRUCTION_SETS[torch.ops.prewired.instruction_set()] if NATIVE else "none"


def block_bytes() -> int:
    """Bytes of a feature's activations that the kernels work on at a time, in the type they compute in."""
    return 512 if instruction_set() == "avx512" else 128


def _load() -> bool:
    """Load the compiled operators; False where this build of the package has none."""
    library = importlib.util.find_spec(f"{__package__}._kernels")
    if library is None or library.origin is None:
        return False
    torch.ops.load_library(library.origin)

    def padded(x: torch.Tensor) -> int:
        lanes = 4 if x.dtype == torch.float64 else 8
        return (x.shape[0] + lanes - 1) // lanes * lanes

    def feature_major(x: torch.Tensor, n: int) -> torch.Tensor:
        return x.new_empty_strided((x.shape[0], n), (1, x.shape[0]))

    @torch.library.register_fake("prewired::forward")
    def _(x, wiring, parameters, relu, keep):
        widths = [x.shape[1], *(row_count(wiring[PER_LAYER * k]) for k, _ in numbered_layers(wiring))]
        kept = [x.new_empty(n, padded(x)) for n in widths[:-1]] if keep else []
        return [feature_major(x, widths[-1]), *kept]

    @torch.library.register_fake("prewired::backward")
    def _(g, y, kept, wiring, by_input, parameters, relu, needs_x, needs_weights):
        shapes = [[p.shape[0] if k % 2 or needs_weights else 0] for k, p in enumerate(parameters)]
        grad_x = feature_major(g, row_count(by_input[0])) if needs_x else g.new_empty(0)
        return [grad_x, *(g.new_empty(shape) for shape in shapes)]

    @torch.library.register_fake("prewired::scattered")
    def _(starts, indices, mask, values, n_in):
        return values.new_empty(row_count(starts), n_in)

    @torch.library.register_fake("prewired::gathered")
    def _(starts, indices, mask, dense):
        return dense.new_empty(indices.shape[0])

    return True


NATIVE = _load()
_wish = os.environ.get("PREWIRED_ISA")
if NATIVE and _wish and instruction_set() != _wish:
    raise RuntimeError(
        f"expected PREWIRED_ISA to name an instruction set of this processor among {', '.join(INSTRUCTION_SETS)}, got "
        f"{_wish!r}; the best here is {instruction_set()!r}"
    )
