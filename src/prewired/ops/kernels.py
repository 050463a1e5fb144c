"""The compiled operators of sparse layers, and the table of kernels: compiled, and the reference in plain PyTorch.

Importing this file registers the operators with torch, as torch.ops.prewired.*.

A layer is y = x W^T + b, where W is stored as one value per edge of a topology. `forward` runs a chain of layers with
a ReLU between them, and `backward` computes all gradients of the chain, so a whole network costs two calls. A single
layer is a chain of length one. The operators check shapes and dtypes at every call, and the indices once, when a plan
is stored. No call leaves its memory, whatever its arguments are.

Activations go in as (batch, n), row-major or feature-major (strides (1, batch)), and come out feature-major. Each
number is computed by one thread in a fixed order, so results do not depend on the number of threads, bit for bit. The
last bits of a row may depend on the batch, because a batch of one row without gradients has its own loops.
"""

import ctypes
import importlib.util
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from .reference import Tensors, backward_reference, forward_reference, keep_input_reference

INSTRUCTION_SETS = ("baseline", "avx2", "avx512")
NATIVE_TYPES = (torch.float32, torch.float64, torch.bfloat16)


def forward(
    x: torch.Tensor, plans: Sequence[Any], parameters: Tensors, relu: bool, keep_inputs: bool
) -> list[torch.Tensor]:
    """Apply a chain of sparse layers to x.

    Args:
        x: (batch, n_in), contiguous or the transpose of a contiguous matrix; float32, float64, or bfloat16, which the
            kernels compute in float32.
        plans: the Plan of each layer.
        parameters: for each layer its weight (n_edges,) and its bias (n_out,), in the dtype of x; an empty bias means
            no bias.
        relu: whether a ReLU follows the last layer too.
        keep_inputs: whether to return the inputs of the layers, which `backward` needs.

    Returns:
        [y], y of shape (batch, n_out) with strides (1, batch); with keep_inputs also the input of each layer, (n_in,
        batch padded to whole vectors).
    """
    numbers = [plan.number for plan in plans]
    return torch.ops.prewired.chain_forward.default(x, numbers, parameters, relu, keep_inputs)


def backward(
    g: torch.Tensor,
    y: torch.Tensor,
    inputs: Tensors,
    plans: Sequence[Any],
    parameters: Tensors,
    relu: bool,
    needs_x: bool,
    needs_weights: bool,
) -> list[torch.Tensor]:
    """Compute the gradients of a chain from the gradient g of its output.

    Args:
        g: (batch, n_out), contiguous or the transpose of a contiguous matrix.
        y, inputs: what `forward` returned; y is read only with relu, inputs only with needs_weights.
        plans, parameters, relu: as in `forward`.
        needs_x: whether to compute the gradient of x.
        needs_weights: whether to compute the gradients of the weights; must be True for more than one layer.

    Returns:
        The gradient of x, (batch, n_in) with strides (1, batch), then for each layer the gradients of its weight and
        its bias. A gradient that is not computed, or belongs to a missing bias, has no elements.
    """
    numbers = [plan.number for plan in plans]
    return torch.ops.prewired.chain_backward.default(g, y, inputs, numbers, parameters, relu, needs_x, needs_weights)


def keep_input(x: torch.Tensor) -> torch.Tensor:
    """Return x, (batch, n_in), in the layout of the inputs that `forward` returns and `backward` reads."""
    return torch.ops.prewired.pack.default(x)


def forward_program(x: torch.Tensor, plans: Sequence[Any], parameters: Tensors, relu: bool) -> torch.Tensor:
    """Apply a chain to x by the operator of exported programs, which contain the index tensors themselves."""
    wiring = [tensor for plan in plans for tensor in plan.wiring[:4]]
    return torch.ops.prewired.forward.default(x, wiring, parameters, relu, False)[0]


def scatter_weights(plan: Any, values: torch.Tensor) -> torch.Tensor:
    """Build the matrix (n_out, n_in) with the values (n_edges,) at the edges and zero elsewhere."""
    return torch.ops.prewired.to_matrix.default(plan.number, values)


def gather_weights(plan: Any, dense: torch.Tensor) -> torch.Tensor:
    """Read the values (n_edges,) of a matrix (n_out, n_in) at the edges."""
    return torch.ops.prewired.from_matrix.default(plan.number, dense)


def scatter_weights_program(plan: Any, values: torch.Tensor) -> torch.Tensor:
    """Compute `scatter_weights` by the operator of exported programs."""
    starts, indices, _, _, mask = plan.wiring
    return torch.ops.prewired.scattered.default(starts, indices, mask, values, plan.n_in)


def store_plan(n_in: int, arrays: Tensors) -> int:
    """Check the arrays of a plan, copy them into the memory of the kernels, and return the number of the plan.

    Raises:
        RuntimeError: if the arrays contradict each other.
    """
    return torch.ops.prewired.store_plan.default(n_in, arrays)


def list_edges(number: int) -> torch.Tensor:
    """The output and the input of each edge of a stored plan, (2, n_edges) int64."""
    return torch.ops.prewired.plan_edges.default(number)


def fingerprint(values: torch.Tensor) -> int:
    """Hash values to one integer: equal tensors have equal hashes, different tensors almost surely different ones."""
    return torch.ops.prewired.fingerprint.default(values)


class Kernel(NamedTuple):
    """One implementation of `forward`, `backward` and `keep_input`."""

    forward: Callable[..., list[torch.Tensor]]
    backward: Callable[..., list[torch.Tensor]]
    keep_input: Callable[[torch.Tensor], torch.Tensor]


KERNELS = {
    "sparse": Kernel(forward, backward, keep_input),
    "reference": Kernel(forward_reference, backward_reference, keep_input_reference),
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


def _find_library() -> str | None:
    """The file of the compiled operators; None if this build of the package has none."""
    library = importlib.util.find_spec(f"{__package__}._kernels")
    return None if library is None else library.origin


def release_plan(number: int) -> None:
    """Free the arrays of a plan unless another plan with the same arrays is in use."""
    ctypes.CDLL(_LIBRARY).prewired_release_plan(ctypes.c_int64(number))


def _register_operators() -> None:
    """Load the compiled operators and say what shapes they return."""
    torch.ops.load_library(_LIBRARY)

    def row_count(starts: torch.Tensor) -> int:
        return starts.shape[0] - 1 if starts.ndim == 1 else starts.shape[1]

    def padded_batch(x: torch.Tensor) -> int:
        lanes = 4 if x.dtype == torch.float64 else 8
        return (x.shape[0] + lanes - 1) // lanes * lanes

    def feature_major(x: torch.Tensor, n: int) -> torch.Tensor:
        return x.new_empty_strided((x.shape[0], n), (1, x.shape[0]))

    def width(plan: int) -> int:
        return torch.ops.prewired.plan_sizes.default(plan)[1]

    def chain_outputs(x: torch.Tensor, widths: list[int], keep: bool) -> list[torch.Tensor]:
        inputs = [x.new_empty(n, padded_batch(x)) for n in widths[:-1]] if keep else []
        return [feature_major(x, widths[-1]), *inputs]

    @torch.library.register_fake("prewired::chain_forward")
    def _(x, plans, parameters, relu, keep):
        return chain_outputs(x, [x.shape[1], *map(width, plans)], keep)

    @torch.library.register_fake("prewired::forward")
    def _(x, wiring, parameters, relu, keep):
        return chain_outputs(x, [x.shape[1], *map(row_count, wiring[::4])], keep)

    @torch.library.register_fake("prewired::chain_backward")
    def _(g, y, inputs, plans, parameters, relu, needs_x, needs_weights):
        shapes = [[p.shape[0] if k % 2 or needs_weights else 0] for k, p in enumerate(parameters)]
        grad_x = feature_major(g, torch.ops.prewired.plan_sizes.default(plans[0])[0]) if needs_x else g.new_empty(0)
        return [grad_x, *(g.new_empty(shape) for shape in shapes)]

    @torch.library.register_fake("prewired::plan_edges")
    def _(plan):
        return torch.empty(2, torch.ops.prewired.plan_sizes.default(plan)[2], dtype=torch.int64)

    @torch.library.register_fake("prewired::pack")
    def _(x):
        return x.new_empty(x.shape[1], padded_batch(x))

    @torch.library.register_fake("prewired::to_matrix")
    def _(plan, values):
        n_in, n_out, *_ = torch.ops.prewired.plan_sizes.default(plan)
        return values.new_empty(n_out, n_in)

    @torch.library.register_fake("prewired::from_matrix")
    def _(plan, dense):
        return dense.new_empty(torch.ops.prewired.plan_sizes.default(plan)[2])

    @torch.library.register_fake("prewired::scattered")
    def _(starts, indices, mask, values, n_in):
        return values.new_empty(row_count(starts), n_in)


_LIBRARY = _find_library()
NATIVE = _LIBRARY is not None
if NATIVE:
    _register_operators()
_requested = os.environ.get("PREWIRED_ISA")
if NATIVE and _requested and instruction_set() != _requested:
    raise RuntimeError(
        f"expected PREWIRED_ISA to name an instruction set of this processor among {', '.join(INSTRUCTION_SETS)}, got "
        f"{_requested!r}; the best here is {instruction_set()!r}"
    )
