"""SparseLinear: a linear layer with one weight per edge of a topology, sparse in memory and in time."""

from typing import Any

import torch
from torch import nn

from . import init, kernels
from .plan import Plan, plan
from .topology import Topology


class SparseLinear(nn.Module):
    """y = x W^T + b, where W has a weight at every edge of the topology and nothing anywhere else.

    The parameter is the vector of the weights in edge order, so gradients and optimiser state have the size of the
    edges and a connection that is not in the graph cannot come back. The edges themselves (`indptr`, `indices`) are
    buffers: they travel in the state_dict and are compared when one is loaded. Drop-in for nn.Linear; the output's
    memory is feature-major (strides (1, batch)), which elementwise layers keep and the next SparseLinear reads without
    a copy.

    Args:
        topology: which inputs feed which outputs.
        bias: whether to add a learned bias, (n_out,).
        device, dtype: of the parameters, as in nn.Linear; float32 and float64 run on the native kernels.

    Raises:
        TypeError: if topology is not a Topology.

    Example:
        >>> from prewired import generators
        >>> layer = SparseLinear(generators.biregular(8, 4, fan_in=2, seed=0))
        >>> layer.weight.shape, layer(torch.randn(5, 8)).shape
        (torch.Size([8]), torch.Size([5, 4]))
    """

    indptr: torch.Tensor
    indices: torch.Tensor

    def __init__(
        self, topology: Topology, bias: bool = True, *, device: Any = None, dtype: torch.dtype | None = None
    ) -> None:
        super().__init__()
        if not isinstance(topology, Topology):
            raise TypeError(f"expected a Topology, got {type(topology).__name__}; make one with prewired.generators")
        self.topology = topology
        self.in_features = topology.n_in
        self.out_features = topology.n_out
        self._wire(device)
        self.weight = nn.Parameter(torch.empty(topology.n_edges, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.empty(topology.n_out, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def _wire(self, device: Any) -> None:
        """Register the index tensors; the topology alone decides what they are."""
        self.register_buffer("indptr", torch.tensor(self.topology.indptr, device=device))
        for name, tensor in plan(self.topology)._asdict().items():
            self.register_buffer(name, tensor.to(device), persistent=name == "indices")

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """As every module, but layers that leave the meta device get their index tensors again, not empty ones."""
        was_meta = self.indices.is_meta
        super()._apply(fn, recurse)
        if was_meta and not self.indices.is_meta:
            self._wire(self.indices.device)
        return self

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
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise ValueError(f"expected x of shape (..., {self.in_features}), got {tuple(x.shape)}")
        if x.dtype != self.weight.dtype and torch.is_autocast_enabled(x.device.type):
            x = x.to(self.weight.dtype)
        if x.dtype != self.weight.dtype:
            raise TypeError(
                f"expected x in {self.weight.dtype}, the weights' dtype, got {x.dtype}; use x.to() or layer.to()"
            )
        y = _Linear.apply(x.reshape(-1, self.in_features), self.weight, self.bias, *self.plan).t()
        return y.reshape(*x.shape[:-1], self.out_features)

    def to_dense(self) -> torch.Tensor:
        """The weights as a matrix (n_out, n_in), oriented like nn.Linear.weight, zero where there is no edge."""
        dense = self.weight.new_zeros(self.out_features, self.in_features)
        rows = torch.repeat_interleave(torch.arange(self.out_features, device=dense.device), self.indptr.diff())
        return dense.index_put((rows, self.indices.long()), self.weight)

    def explain(self) -> str:
        """Which kernel runs for this layer's parameters, and why.

        Example:
            >>> from prewired import generators
            >>> print(SparseLinear(generators.rotating(4, 4, fan_in=2)).double().explain())  # doctest: +ELLIPSIS
            kernel ...
        """
        name = kernels.choose(self.weight)
        where = f"{self.weight.dtype} on {self.weight.device.type}"
        if name == "native":
            return f"kernel native ({kernels.instruction_set()}): compiled operators for {where}"
        why = "this build has no compiled operators" if not kernels.NATIVE else f"no compiled operators for {where}"
        return f"kernel reference: plain PyTorch, slow, {why}"

    def extra_repr(self) -> str:
        text = f"{self.topology}, bias={self.bias is not None}"
        return text if kernels.choose(self.weight) == "native" else f"{text}, {self.explain()}"

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ):
        """Refuse weights that belong to another wiring, even where the shapes agree."""
        for name in ("indptr", "indices"):
            loaded, own = state_dict.get(prefix + name), torch.tensor(getattr(self.topology, name))
            if loaded is None:
                continue
            if not torch.is_tensor(loaded) or not torch.equal(loaded.to(own), own):
                error_msgs.append(
                    f"{prefix}{name}: expected the wiring {self.topology.digest[:12]} of this layer, got another one; "
                    "build the layer from the topology that the weights were trained on"
                )
                return
            state_dict[prefix + name] = getattr(self, name)
        arguments = state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        super()._load_from_state_dict(*arguments)


class _Linear(torch.autograd.Function):
    """x (batch, n_in) -> y (n_out, batch); spmm forward, spmm by input and sddmm backward."""

    @staticmethod
    def forward(ctx, x, weight, bias, starts, indices, *by_input):
        kernel = kernels.KERNELS[kernels.choose(x)]
        x = _feature_major(x, kernel)
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight, starts, indices, *by_input)
        return kernel.spmm(starts, indices, weight, None, x, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, weight, starts, indices, starts_by_input, indices_by_input, by_input = ctx.saved_tensors
        kernel = kernels.KERNELS[kernels.choose(grads[0])]
        g = _feature_major(grads[0].t(), kernel)
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        grad_x = kernel.spmm(starts_by_input, indices_by_input, weight, by_input, g, None).t() if needs_x else None
        grad_weight = kernel.sddmm(starts, indices, g, x) if needs_weight else None
        grad_bias = g.sum(1) if needs_bias else None
        return grad_x, grad_weight, grad_bias, None, None, None, None, None


def _feature_major(x: torch.Tensor, kernel: kernels.Kernel) -> torch.Tensor:
    """(features, batch), contiguous, from (batch, features): no copy where the memory already lies that way."""
    turned = x.t()
    return turned if turned.is_contiguous() else kernel.transposed(x.contiguous())
