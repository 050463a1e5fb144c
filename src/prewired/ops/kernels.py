"""The compiled operators of sparse layers, and the table of kernels: compiled, and the reference in plain PyTorch.

Importing this file registers the operators with torch, as torch.ops.prewired.*.

A layer is y = x W^T + b, where W is stored as one value per edge of a topology. `forward` runs a chain of layers with
a ReLU between them, and `backward` computes all gradients of the chain, so a whole network costs two calls. A single
layer is a chain of length one. The operators check shapes and dtypes. They do not check the indices, which Topology
has checked.

Activations go in as (batch, n), row-major or feature-major (strides (1, batch)), and come out feature-major. Each
number is computed by one thread in a fixed order, so results do not depend on the number of threads, bit for bit. The
last bits of a row may depend on the batch, because a batch of one row without gradients has its own loops.
"""

import importlib.util
import os
from collections.abc import Callable
from typing import NamedTuple

import torch

from .reference import PER_LAYER, Tensors, backward_reference, forward_reference, numbered_layers, row_count

INSTRUCTION_SETS = ("baseline", "avx2", "avx512")
NATIVE_TYPES = (torch.float32, torch.float64, torch.bfloat16)


def forward(x: torch.Tensor, wiring: Tensors, parameters: Tensors, relu: bool, keep_inputs: bool) -> list[torch.Tensor]:
    """Apply a chain of sparse layers to x.

    Args:
        x: (batch, n_in), contiguous or the transpose of a contiguous matrix; float32, float64, or bfloat16, which the
            kernels compute in float32.
        wiring: the first four tensors of each layer's Plan, layer by layer.
        parameters: for each layer its weight (n_edges,) and its bias (n_out,), in the dtype of x; an empty bias means
            no bias.
        relu: whether a ReLU follows the last layer too.
        keep_inputs: whether to return the inputs of the layers, which `backward` needs.

    Returns:
        [y], y of shape (batch, n_out) with strides (1, batch); with keep_inputs also the input of each layer, (n_in,
        batch padded to whole vectors).
    """
    return torch.ops.prewired.forward.default(x, wiring, parameters, relu, keep_inputs)


def backward(
    g: torch.Tensor,
    y: torch.Tensor,
    inputs: Tensors,
    wiring: Tensors,
    by_input: Tensors,
    parameters: Tensors,
    relu: bool,
    needs_x: bool,
    needs_weights: bool,
) -> list[torch.Tensor]:
    """Compute the gradients of a chain from the gradient g of its output.

    Args:
        g: (batch, n_out), contiguous or the transpose of a contiguous matrix.
        y, inputs: what `forward` returned; y is read only with relu, inputs only with needs_weights.
        wiring, parameters, relu: as in `forward`.
        by_input: the next four tensors of each layer's Plan, layer by layer.
        needs_x: whether to compute the gradient of x.
        needs_weights: whether to compute the gradients of the weights; must be True for more than one layer.

    Returns:
        The gradient of x, (batch, n_in) with strides (1, batch), then for each layer the gradients of its weight and
        its bias. A gradient that is not computed, or belongs to a missing bias, has no elements.
    """
    return torch.ops.prewired.backward.default(g, y, inputs, wiring, by_input, parameters, relu, needs_x, needs_weights)


def scatter_weights(
    starts: torch.Tensor, indices: torch.Tensor, mask: torch.Tensor, values: torch.Tensor, n_in: int
) -> torch.Tensor:
    """Build the matrix (n_out, n_in) with the values at the edges and zero elsewhere; `mask` is a Plan's, or empty."""
    return torch.ops.prewired.scattered.default(starts, indices, mask, values, n_in)


def gather_weights(
    starts: torch.Tensor, indices: torch.Tensor, mask: torch.Tensor, dense: torch.Tensor
) -> torch.Tensor:
    """Read the values (n_edges,) of a matrix (n_out, n_in) at the edges."""
    return torch.ops.prewired.gathered.default(starts, indices, mask, dense)


def fingerprint(values: torch.Tensor) -> int:
    """Hash values to one integer: equal tensors have equal hashes, different tensors almost surely different ones."""
    return torch.ops.prewired.fingerprint.default(values)


class Kernel(NamedTuple):
    """One implementation of `forward` and `backward`."""

    forward: Callable[..., list[torch.Tensor]]
    backward: Callable[..., list[torch.Tensor]]


KERNELS = {
    "sparse": Kernel(forward, backward),
    "reference": Kernel(forward_reference, backward_reference),
}


def runs_natively(x: torch.Tensor) -> bool:
    """Whether the compiled operators take the tensor: on a CPU, in float32, float64 or bfloat16."""
    return NATIVE and x.dtype in NATIVE_TYPES and x.is_cpu


def instruction_set() -> str:
    """The instruction set of the compiled kernels: "baseline", "avx2" or "avx512"; "none" without a compiled build.

    The best one of the processor, unless the environment variable PREWIRED_ISA named a lesser one before the import.
    """
    return INSTRUCTION_SETS[torch.ops.prewired.instruction_set()] if NATIVE else "none"


def block_bytes() -> int:
    """Bytes of one feature's activations, in the type of the computation, that the kernels process at a time."""
    return 512 if instruction_set() == "avx512" else 128


def _load_library() -> bool:
    """Load and register the compiled operators; False if this build of the package has none."""
    library = importlib.util.find_spec(f"{__package__}._kernels")
    if library is None or library.origin is None:
        return False
    torch.ops.load_library(library.origin)

    def padded_batch(x: torch.Tensor) -> int:
        lanes = 4 if x.dtype == torch.float64 else 8
        return (x.shape[0] + lanes - 1) // lanes * lanes

    def feature_major(x: torch.Tensor, n: int) -> torch.Tensor:
        return x.new_empty_strided((x.shape[0], n), (1, x.shape[0]))

    @torch.library.register_fake("prewired::forward")
    def _(x, wiring, parameters, relu, keep):
        widths = [x.shape[1], *(row_count(wiring[PER_LAYER * k]) for k, _ in numbered_layers(wiring))]
        inputs = [x.new_empty(n, padded_batch(x)) for n in widths[:-1]] if keep else []
        return [feature_major(x, widths[-1]), *inputs]

    @torch.library.register_fake("prewired::backward")
    def _(g, y, inputs, wiring, by_input, parameters, relu, needs_x, needs_weights):
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


NATIVE = _load_library()
_requested = os.environ.get("PREWIRED_ISA")
if NATIVE and _requested and instruction_set() != _requested:
    raise RuntimeError(
        f"expected PREWIRED_ISA to name an instruction set of this processor among {', '.join(INSTRUCTION_SETS)}, got "
        f"{_requested!r}; the best here is {instruction_set()!r}"
    )
