"""SparseLinear: a linear layer with one weight per edge of a topology."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ..ops import kernel_choice, kernels
from ..ops.autograd import (
    LayerArguments,
    apply_layers,
    cast_alike,
    check_call,
    is_transformed,
    refuse_scripting,
)
from ..ops.dense_kernel import apply_matrix, build_matrix
from ..ops.plan_arrays import MOST_DENSE_ELEMENTS
from ..ops.timing import TURN_SECONDS, pass_through_layer, time_in_turns
from ..topology import Topology
from . import init
from .sparse_module import SparseModule

KERNEL_CHOICES = ("auto", "sparse", "dense")
TYPICAL_BATCH = 128
"""Compiled and exported programs run any batch, but choose their kernels once, for this batch."""
_MACHINE_STATE = ("_dense_cache", "_kernel_cache", "_is_native", "_program_kernels")
"""Attributes that depend on this machine and stay out of pickles."""
_CACHE_SIZE = 1024
"""Largest number of kernel choices, one for each batch size, that a layer stores."""


class SparseLinear(SparseModule):
    """A linear layer y = x W^T + b whose matrix W has a weight only at the edges of a topology.

    The parameter `weight` is the vector of the weights in edge order. So gradients and optimiser state have one number
    per edge, and training cannot create an edge that the topology lacks. The layer replaces nn.Linear. The wiring of a
    layer cannot be changed: a new wiring is a new layer. `n_in`, `indptr` and `indices` are copies of the wiring. The
    state_dict contains them, and loading compares them with the topology of the layer. The output is feature-major in
    memory (strides (1, batch)). Elementwise modules preserve this layout, and the next SparseLinear reads it fastest.

    Args:
        topology: which inputs each output reads.
        bias: whether to add a trainable bias, (n_out,).
        device, dtype: of the parameters, as in nn.Linear; float32, float64 and bfloat16 run on compiled kernels.
        kernel: "sparse" loops over the edges, "dense" builds a dense matrix from the weights, "auto" takes for each
            batch the faster of the two on this machine. Both kernels give the same results up to rounding, and so do
            batches of different sizes for the same row. Checkpoints do not depend on the kernel.

    Raises:
        TypeError: if topology is not a Topology, or dtype is not a real floating-point type.
        ValueError: for an unknown kernel.

    Example:
        >>> from prewired import generators
        >>> layer = SparseLinear(generators.biregular(8, 4, fan_in=2, seed=0))
        >>> layer.weight.shape, layer(torch.randn(5, 8)).shape
        (torch.Size([8]), torch.Size([5, 4]))
    """

    def __init__(
        self,
        topology: Topology,
        bias: bool = True,
        *,
        device: Any = None,
        dtype: torch.dtype | None = None,
        kernel: str = "auto",
    ) -> None:
        super().__init__()
        if not isinstance(topology, Topology):
            raise TypeError(f"expected a Topology, got {type(topology).__name__}; make one with prewired.generators")
        if dtype is not None and not dtype.is_floating_point:
            raise TypeError(f"expected dtype to be a real floating-point type, got {dtype}; use torch.float32")
        if kernel not in KERNEL_CHOICES:
            raise ValueError(f"expected kernel to be one of {', '.join(KERNEL_CHOICES)}, got {kernel!r}")
        self.kernel = kernel
        self.in_features = topology.n_in
        self.out_features = topology.n_out
        self._set_wiring(topology)
        self.weight = nn.Parameter(torch.empty(topology.n_edges, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(topology.n_out, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()
        self._reset_caches()

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        super()._apply(fn, recurse)
        self._reset_caches()
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name not in _MACHINE_STATE}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._reset_caches()

    def __prepare_scriptable__(self) -> Any:
        """Answer torch.jit.script."""
        refuse_scripting(self)

    def _reset_caches(self) -> None:
        """Compute anew what depends on the machine and on the type and device of the tensors."""
        self._dense_cache: tuple[tuple[torch.dtype, int], torch.Tensor] | None = None
        self._kernel_cache: dict[tuple[int, bool, int], str] = {}
        self._is_native = kernels.runs_natively(self.weight)
        threads = torch.get_num_threads()
        self._program_kernels = [self._choose_kernel(TYPICAL_BATCH, training, threads) for training in (False, True)]

    def reset_parameters(self) -> None:
        """Draw weights and biases from U(-1/sqrt(fan_in), 1/sqrt(fan_in)), fan_in of each output, as nn.Linear does."""
        init.uniform_(self.weight, self.topology)
        if self.bias is not None:
            fan_in = torch.tensor(self.topology.fan_in, device=self.bias.device).clamp(min=1)
            with torch.no_grad():
                self.bias.uniform_(-1, 1).mul_(fan_in**-0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layer to x, (..., n_in); returns (..., n_out).

        Raises:
            ValueError: if the last dimension is not n_in.
            TypeError: if x is not a tensor, or x and the weights differ in dtype.
            RuntimeError: under torch.jit.trace.
        """
        check_call(x)
        shape = x.shape
        if len(shape) == 0 or shape[-1] != self.in_features:
            raise ValueError(f"expected x of shape (..., {self.in_features}), got {tuple(shape)}")
        if len(shape) != 2:
            return self.forward(x.reshape(-1, self.in_features)).reshape(*shape[:-1], self.out_features)
        if self.kernel_for(shape[0], training=torch.is_grad_enabled()) == "dense":
            return self._forward_dense(x)
        return apply_layers((self.arguments(),), x, relu=False)

    def arguments(self) -> LayerArguments:
        """What `ops.autograd.apply_layers` reads of this layer."""
        return LayerArguments(self.weight, self.bias, self._plan)

    def kernel_for(self, batch: int, *, training: bool = True) -> str:
        """The name of the kernel that runs a batch of this many rows: "sparse", "dense" or "reference".

        Example:
            >>> from prewired import generators
            >>> SparseLinear(generators.rotating(64, 64, fan_in=2)).kernel_for(128)
            'sparse'
        """
        if self.kernel != "auto" or not self._is_native:
            return self.kernel if self._is_native else "reference"
        if torch.compiler.is_compiling():
            return self._program_kernels[training]
        key = batch, training, torch.get_num_threads()
        kernel = self._kernel_cache.get(key)
        if kernel is None:
            if len(self._kernel_cache) >= _CACHE_SIZE:
                self._kernel_cache.clear()
            kernel = self._kernel_cache[key] = self._choose_kernel(*key)
        return kernel

    def _choose_kernel(self, batch: int, training: bool, threads: int) -> str:
        threshold = kernel_choice.break_even(self.in_features, self.out_features, batch, threads, training=training)
        small = self.in_features * self.out_features <= MOST_DENSE_ELEMENTS
        return "dense" if small and self.topology.density >= threshold else "sparse"

    def _forward_dense(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layer as a dense matrix product; without gradients, the matrix is cached until a weight changes."""
        weight = self.weight
        changes = torch.is_grad_enabled() and (weight.requires_grad or x.requires_grad)
        if changes or is_transformed() or torch.compiler.is_compiling() or self._plan.is_complete:
            return apply_layers((self.arguments(),), x, relu=False, dense=True)
        x, weight, bias = cast_alike(x, (weight, self.bias))
        if not kernels.runs_natively(weight):
            return apply_layers((self.arguments(),), x, relu=False, dense=True)
        key = weight.dtype, kernels.fingerprint(weight)
        entry = self._dense_cache  # read once: other threads may be at work
        if entry is None or entry[0] != key:
            with torch.inference_mode(False):
                entry = self._dense_cache = key, build_matrix(self._plan, weight.detach())
        return apply_matrix(x, entry[1], self._plan, weight, x.new_empty(0) if bias is None else bias)

    def to_dense(self) -> torch.Tensor:
        """Return the weights as a matrix (n_out, n_in), as nn.Linear.weight, zero where there is no edge."""
        dense = self.weight.new_zeros(self.out_features, self.in_features)
        rows = torch.arange(self.out_features).repeat_interleave(torch.tensor(self.topology.fan_in))
        columns = torch.tensor(self.topology.indices, dtype=torch.int64)
        return dense.index_put((rows.to(dense.device), columns.to(dense.device)), self.weight)

    def explain(self, batch: int = 128) -> str:
        """Say which kernel runs a batch of this size and why; measure each kernel and nn.Linear on this machine.

        Example:
            >>> from prewired import generators
            >>> print(SparseLinear(generators.rotating(4, 4, fan_in=2)).half().explain())
            kernel reference: plain PyTorch, slow, no compiled operators for torch.float16 on cpu
        """
        where = f"{self.weight.dtype} on {self.weight.device.type}"
        if not kernels.runs_natively(self.weight):
            why = f"no compiled operators for {where}" if kernels.NATIVE else "this build has no compiled operators"
            return f"kernel reference: plain PyTorch, slow, {why}"
        threads = torch.get_num_threads()
        lines = [f"{self.topology}, batch {batch}, {threads} threads, {where}, {kernels.instruction_set()}"]
        for training, name in ((False, "forward"), (True, "forward and backward")):
            threshold = kernel_choice.break_even(self.in_features, self.out_features, batch, threads, training=training)
            rule = f"dense is faster from a density of {threshold:.1%}"
            reason = rule if self.kernel == "auto" else f"requested with kernel={self.kernel!r}"
            timings = time_in_turns(self._calls_to_time(batch, training), rounds=5, turn_seconds=TURN_SECONDS)
            times = ", ".join(f"{who} {1e3 * timing.median:.3g} ms" for who, timing in timings.items())
            lines.append(f"{name}: kernel {self.kernel_for(batch, training=training)} ({reason}); {times}")
        return "\n".join([*lines, f"break-even densities: {kernel_choice.describe_source()}"])

    def _calls_to_time(self, batch: int, training: bool) -> dict[str, Callable[[], object]]:
        """Passes to time, by name: of both kernels and of an nn.Linear; dense matrices up to MOST_DENSE_ELEMENTS."""
        like = {"bias": self.bias is not None, "dtype": self.weight.dtype}
        layers: dict[str, nn.Module] = {"sparse": SparseLinear(self.topology, kernel="sparse", **like)}
        if self.in_features * self.out_features <= MOST_DENSE_ELEMENTS:
            layers["dense"] = SparseLinear(self.topology, kernel="dense", **like)
            layers["nn.Linear"] = nn.Linear(self.in_features, self.out_features, **like)
        return {name: pass_through_layer(layer, batch, training=training) for name, layer in layers.items()}

    def extra_repr(self) -> str:
        """Return what `repr` shows between the brackets."""
        text = f"{self.topology}, bias={self.bias is not None}"
        if self.kernel != "auto":
            text = f"{text}, kernel={self.kernel!r}"
        return text if kernels.runs_natively(self.weight) else f"{text}, {self.explain()}"

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._reset_caches()
