"""Reference layers: what a user would run instead of a SparseLinear on the same graph, with the same weights."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence

import torch
from torch import nn

from .linear import SparseLinear

GATHER_LIMIT = 256_000_000
"""Largest number of bytes of gathered activations with which `replace_layers` builds a network of Gather layers."""


class MaskedDense(nn.Module):
    """A dense matrix times a mask of its edges: dense in memory and in time.

    Args:
        layer: gives the graph and the weights.

    Example:
        >>> from prewired import generators
        >>> layer = SparseLinear(generators.rotating(4, 4, fan_in=2))
        >>> x = torch.randn(3, 4)
        >>> torch.testing.assert_close(MaskedDense(layer)(x), layer(x))
    """

    mask: torch.Tensor

    def __init__(self, layer: SparseLinear) -> None:
        super().__init__()
        self.weight = nn.Parameter(layer.to_dense().detach().clone())
        self.bias = _copy_bias(layer)
        mask = torch.zeros_like(self.weight)
        mask[edge_positions(layer)] = 1
        self.register_buffer("mask", mask)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output (batch, n_out) for an input (batch, n_in)."""
        return nn.functional.linear(x, self.weight * self.mask, self.bias)


class TorchCSR(nn.Module):
    """A CSR matrix of torch, built in each call from a vector of weights, so that any optimiser takes the weights.

    A parameter that is a CSR matrix itself works neither with Adam nor with momentum. The indices are int32, which MKL
    reads without a copy. The activations are feature-major, which MKL multiplies without a copy.

    Args:
        layer: gives the graph and the weights.

    Example:
        >>> from prewired import generators
        >>> layer = SparseLinear(generators.rotating(4, 4, fan_in=2))
        >>> x = torch.randn(3, 4)
        >>> torch.testing.assert_close(TorchCSR(layer)(x), layer(x))
    """

    indptr: torch.Tensor
    indices: torch.Tensor

    def __init__(self, layer: SparseLinear) -> None:
        super().__init__()
        self.shape = layer.out_features, layer.in_features
        self.weight = nn.Parameter(layer.weight.detach().clone())
        self.bias = _copy_bias(layer)
        self.register_buffer("indptr", layer.indptr.int())
        self.register_buffer("indices", layer.indices.int())
        with warnings.catch_warnings():  # torch warns once per process that CSR tensors are in beta
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
            self._matrix()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output (batch, n_out) for an input (batch, n_in)."""
        y = torch.sparse.mm(self._matrix(), x.t()).t()
        return y if self.bias is None else y + self.bias

    def _matrix(self) -> torch.Tensor:
        return torch.sparse_csr_tensor(self.indptr, self.indices, self.weight, self.shape, check_invariants=False)


class Gather(nn.Module):
    """Gathers the input of every edge, multiplies and sums; takes n_edges * batch numbers of memory.

    Args:
        layer: gives the graph and the weights.

    Raises:
        ValueError: if the outputs do not all have the same fan-in.

    Example:
        >>> from prewired import generators
        >>> layer = SparseLinear(generators.rotating(4, 4, fan_in=2))
        >>> x = torch.randn(3, 4)
        >>> torch.testing.assert_close(Gather(layer)(x), layer(x))
    """

    indices: torch.Tensor

    def __init__(self, layer: SparseLinear) -> None:
        super().__init__()
        fan_ins = layer.topology.fan_in
        if fan_ins.min() != fan_ins.max():
            raise ValueError(
                f"expected the same fan-in at every output, got {fan_ins.min()} to {fan_ins.max()}; "
                "take a graph of constant fan-in"
            )
        self.shape = layer.out_features, int(fan_ins[0])
        self.weight = nn.Parameter(layer.weight.detach().clone())
        self.bias = _copy_bias(layer)
        self.register_buffer("indices", layer.indices.int())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output (batch, n_out) for an input (batch, n_in)."""
        products = x.t().index_select(0, self.indices) * self.weight.unsqueeze(1)
        y = products.view(*self.shape, len(x)).sum(1).t()
        return y if self.bias is None else y + self.bias


COMPARATORS: dict[str, Callable[[SparseLinear], nn.Module]] = {
    "masked dense": MaskedDense,
    "torch CSR": TorchCSR,
    "gather": Gather,
}
"""The reference layers by the names that studies and benchmarks print."""


def replace_layers(name: str, net: nn.Sequential, batch: int) -> nn.Sequential:
    """Copy a network with a reference layer, of the same weights, in the place of each sparse layer.

    Args:
        name: a name in COMPARATORS.
        net: SparseLinear and other layers.
        batch: rows of a training step.

    Returns:
        A plain nn.Sequential.

    Raises:
        ValueError: if gathering would take more than GATHER_LIMIT bytes, or outputs differ in fan-in.
    """
    layers = [module for module in net if isinstance(module, SparseLinear)]
    if name == "gather" and (n_bytes := gather_bytes(layers, batch)) > GATHER_LIMIT:
        raise ValueError(
            f"expected at most {GATHER_LIMIT / 1e6:g} MB to gather, got {n_bytes / 1e6:.0f} MB; "
            "lower the density or the batch size"
        )
    reference = COMPARATORS[name]
    return nn.Sequential(*(reference(part) if isinstance(part, SparseLinear) else copy.deepcopy(part) for part in net))


def gather_bytes(layers: Sequence[SparseLinear], batch: int) -> int:
    """Bytes of a training step of Gather layers: what every layer saves, and two more copies of the largest.

    Example:
        >>> from prewired import generators
        >>> gather_bytes([SparseLinear(generators.rotating(4, 4, fan_in=2))], batch=10)
        960
    """
    n_bytes = [batch * layer.weight.numel() * layer.weight.element_size() for layer in layers]
    return sum(n_bytes) + 2 * max(n_bytes, default=0)


def edge_positions(layer: SparseLinear) -> tuple[torch.Tensor, torch.Tensor]:
    """The output and the input of every edge: positions in the matrix (n_out, n_in).

    Example:
        >>> from prewired import generators
        >>> edge_positions(SparseLinear(generators.rotating(2, 2, fan_in=1)))
        (tensor([0, 1]), tensor([0, 1]))
    """
    indptr, indices = layer.indptr, layer.indices
    outputs = torch.arange(layer.out_features, device=indices.device).repeat_interleave(indptr.diff())
    return outputs, indices.long()


def _copy_bias(layer: SparseLinear) -> nn.Parameter | None:
    return None if layer.bias is None else nn.Parameter(layer.bias.detach().clone())
