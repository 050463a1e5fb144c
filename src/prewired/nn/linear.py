"""SparseLinear: a linear layer with one weight per edge of a topology, sparse in memory and in time."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ..ops import kernel_choice, kernels, reference
from ..ops.autograd import LayerArguments, Scattered, apply_layers, in_one_type
from ..ops.plan import BACKWARD, DENSE_LIMIT, FORWARD, Plan
from ..ops.timing import TURN_SECONDS, pass_through_layer, time_in_turns
from ..topology import Topology
from . import init
from .sparse_module import SparseModule

CHOICES = ("auto", "sparse", "dense")
TYPICAL_BATCH = 128
"""The batch for which a compiled or exported program, which may meet any, chooses its kernels."""
_OF_THE_MACHINE = ("_wiring", "_kept", "_choices", "_native", "_typical")
_MANY = 1024
"""Choices, one for each batch size, that a layer remembers."""


class SparseLinear(SparseModule):
    """y = x W^T + b, where W has a weight at every edge of the topology and nothing anywhere else.

    The parameter is the vector of the weights in edge order, so gradients and optimiser state have the size of the
    edges and a connection that is not in the graph cannot come back. The whole wiring (`n_in`, `indptr`, `indices`) is
    in buffers: it travels in the state_dict, and is compared when one is loaded. Drop-in for nn.Linear; the output's
    memory is feature-major (strides (1, batch)), which elementwise layers keep and the next SparseLinear reads fastest.

    Args:
        topology: which inputs feed which outputs.
        bias: whether to add a learned bias, (n_out,).
        device, dtype: of the parameters, as in nn.Linear; float32, float64 and bfloat16 run on compiled kernels.
        kernel: "auto" takes, for each batch, what is faster on this machine: loops over the edges ("sparse") or a dense
            matrix made from the weights ("dense"); a name asks for one of the two. Any gives the same numbers, up to
            rounding, and a checkpoint belongs to none; a row alone and the same row in a batch are equal up to rounding
            too.

    Raises:
        TypeError: if topology is not a Topology.
        ValueError: for an unknown kernel.

    Example:
        >>> from prewired import generators
        >>> layer = SparseLinear(generators.biregular(8, 4, fan_in=2, seed=0))
        >>> layer.weight.shape, layer(torch.randn(5, 8)).shape
        (torch.Size([8]), torch.Size([5, 4]))
    """

    topology: Topology
    mask: torch.Tensor

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
        if kernel not in CHOICES:
            raise ValueError(f"expected kernel to be one of {', '.join(CHOICES)}, got {kernel!r}")
        self.topology = topology
        self.kernel = kernel
        self.in_features = topology.n_in
        self.out_features = topology.n_out
        self._wire(device)
        self.weight = nn.Parameter(torch.empty(topology.n_edges, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(topology.n_out, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()
        self._remember()

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        super()._apply(fn, recurse)
        self._remember()
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in _OF_THE_MACHINE}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._remember()

    def _remember(self) -> None:
        """Renew what follows from the tensors: whether compiled kernels take them, what a compiled program chooses."""
        self._wiring: tuple[reference.Tensors, reference.Tensors] | None = None
        self._kept: tuple[tuple[torch.dtype, int], torch.Tensor] | None = None
        self._choices: dict[tuple[int, bool, int], str] = {}
        self._native = kernels.runs_natively(self.weight)
        threads = torch.get_num_threads()
        self._typical = [self._faster(TYPICAL_BATCH, training, threads) for training in (False, True)]

    @property
    def plan(self) -> Plan:
        """The index tensors the kernels read."""
        return Plan(*(getattr(self, name) for name in Plan._fields))

    def reset_parameters(self) -> None:
        """Draw weights and biases anew, uniform within 1/sqrt(fan_in) of each output, as nn.Linear does."""
        init.uniform_(self.weight, self.topology)
        if self.bias is not None:
            fan_in = torch.tensor(self.topology.fan_in, device=self.bias.device).clamp(min=1)
            with torch.no_grad():
                self.bias.uniform_(-1, 1).mul_(fan_in**-0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layer to x, (..., n_in); returns (..., n_out).

        Raises:
            ValueError: if the last dimension is not n_in.
            TypeError: if x and the weights differ in dtype.
        """
        shape = x.shape
        if len(shape) == 0 or shape[-1] != self.in_features:
            raise ValueError(f"expected x of shape (..., {self.in_features}), got {tuple(shape)}")
        if len(shape) != 2:
            return self.forward(x.reshape(-1, self.in_features)).reshape(*shape[:-1], self.out_features)
        if self.kernel_for(shape[0], training=torch.is_grad_enabled()) == "dense":
            return self._dense(x)
        return apply_layers((self.arguments(),), x, relu=False)

    def arguments(self) -> LayerArguments:
        """The layer as `run` takes it."""
        compiling = torch.compiler.is_compiling()
        wiring = None if compiling else self._wiring
        if wiring is None:
            buffers: dict[str, Any] = self._buffers
            wiring = [buffers[k] for k in FORWARD], [buffers[k] for k in BACKWARD]
            if not compiling:
                self._wiring = wiring
        return LayerArguments(self.weight, self.bias, *wiring)

    def kernel_for(self, batch: int, *, training: bool = True) -> str:
        """The kernel that runs a batch of so many rows: a name in KERNELS.

        Example:
            >>> from prewired import generators
            >>> SparseLinear(generators.rotating(64, 64, fan_in=2)).kernel_for(128)
            'sparse'
        """
        if self.kernel != "auto" or not self._native:
            return self.kernel if self._native else "reference"
        if torch.compiler.is_compiling():
            return self._typical[training]
        key = batch, training, torch.get_num_threads()
        choice = self._choices.get(key)
        if choice is None:
            if len(self._choices) >= _MANY:
                self._choices.clear()
            choice = self._choices[key] = self._faster(*key)
        return choice

    def _faster(self, batch: int, training: bool, threads: int) -> str:
        limit = kernel_choice.break_even(self.in_features, self.out_features, batch, threads, training=training)
        small = self.in_features * self.out_features <= DENSE_LIMIT
        return "dense" if small and self.topology.density >= limit else "sparse"

    def _dense(self, x: torch.Tensor) -> torch.Tensor:
        """The layer as a dense one, its matrix made of the weights."""
        x, weight, bias = in_one_type(x, (self.weight, self.bias))
        return functional.linear(x, self._matrix(weight), bias)

    def _matrix(self, weight: torch.Tensor) -> torch.Tensor:
        """The weights as a matrix: a view where all edges are there; without gradients, kept until a weight changes."""
        if self.topology.n_edges == self.in_features * self.out_features:
            return weight.view(self.out_features, self.in_features)
        wiring = self.starts, self.indices, self.mask
        if torch.is_grad_enabled() and weight.requires_grad:
            return Scattered.apply(weight, *wiring, self.in_features)
        if torch.compiler.is_compiling():
            return kernels.scattered(*wiring, weight, self.in_features)
        key = weight.dtype, kernels.fingerprint(weight)
        kept = self._kept  # read once: other threads may be at work
        if kept is None or kept[0] != key:
            with torch.inference_mode(False):
                kept = self._kept = key, kernels.scattered(*wiring, weight.detach(), self.in_features)
        return kept[1]

    def to_dense(self) -> torch.Tensor:
        """The weights as a matrix (n_out, n_in), oriented like nn.Linear.weight, zero where there is no edge."""
        dense = self.weight.new_zeros(self.out_features, self.in_features)
        rows = torch.repeat_interleave(torch.arange(self.out_features, device=dense.device), self.indptr.diff())
        return dense.index_put((rows, self.indices.long()), self.weight)

    def explain(self, batch: int = 128) -> str:
        """Which kernel runs such a batch, why, and how long each takes beside nn.Linear on this machine, measured now.

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
            limit = kernel_choice.break_even(self.in_features, self.out_features, batch, threads, training=training)
            asked = f"dense pays from a density of {limit:.1%} on" if self.kernel == "auto" else "asked for"
            timings = time_in_turns(self._calls(batch, training), rounds=5, turn_seconds=TURN_SECONDS)
            times = ", ".join(f"{who} {1e3 * timing.median:.3g} ms" for who, timing in timings.items())
            lines.append(f"{name}: kernel {self.kernel_for(batch, training=training)} ({asked}); {times}")
        return "\n".join([*lines, f"break-even densities: {kernel_choice.source()}"])

    def _calls(self, batch: int, training: bool) -> dict[str, Callable[[], object]]:
        """A pass of either kernel and of an nn.Linear of the same shape; dense ones only where they fit the memory."""
        like = {"bias": self.bias is not None, "dtype": self.weight.dtype}
        layers: dict[str, nn.Module] = {"sparse": SparseLinear(self.topology, kernel="sparse", **like)}
        if self.in_features * self.out_features <= DENSE_LIMIT:
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
        self._remember()
