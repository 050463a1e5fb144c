"""What a user would run instead of a SparseLinear on the same graph, as modules with the same weights."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence

import torch
from torch import nn

from .linear import SparseLinear

GATHER_LIMIT = 256_000_000
"""Bytes of gathered activations up to which a network is run by gathering."""


class MaskedDense(nn.Module):
    """A dense matrix times a mask of its edges: dense in memory and in time.

    Args:
        layer: whose graph and weights to take.

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
        self.bias = _copied(layer.bias)
        mask = torch.zeros_like(self.weight)
        mask[_outputs(layer), layer.indices.long()] = 1
        self.register_buffer("mask", mask)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output (batch, n_out) for an input (batch, n_in)."""
        return nn.functional.linear(x, self.weight * self.mask, self.bias)


class TorchCSR(nn.Module):
    """PyTorch's sparse matrices: the weights are the values of a CSR matrix, made anew in each pass, as autograd asks.

    So any optimiser takes them, while a parameter that is a CSR matrix itself knows neither Adam nor momentum. With
    int32 indices, which MKL reads without a copy, and feature-major activations, which it multiplies as they are.

    Args:
        layer: whose graph and weights to take.

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
        self.bias = _copied(layer.bias)
        self.register_buffer("indptr", layer.indptr.int())
        self.register_buffer("indices", layer.indices.int())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that CSR is in beta, told with the first matrix
            self._matrix()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output (batch, n_out) for an input (batch, n_in)."""
        y = torch.sparse.mm(self._matrix(), x.t()).t()
        return y if self.bias is None else y + self.bias

    def _matrix(self) -> torch.Tensor:
        return torch.sparse_csr_tensor(self.indptr, self.indices, self.weight, self.shape, check_invariants=False)


class Gather(nn.Module):
    """Gathers the input of every edge, multiplies and sums: plain tensors, as much memory as edges times rows.

    Args:
        layer: whose graph and weights to take.

    Raises:
        ValueError: if its outputs do not all have the same fan-in.

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
        self.bias = _copied(layer.bias)
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


def carried_by(name: str, net: nn.Sequential, batch: int) -> nn.Sequential:
    """The network with its sparse layers carried by something else, with the same weights.

    Args:
        name: in COMPARATORS.
        net: of SparseLinear and other layers; it is left as it is.
        batch: rows that it will be trained on at a time.

    Returns:
        A plain nn.Sequential.

    Raises:
        ValueError: where gathering would take more than GATHER_LIMIT bytes, or is not possible.
    """
    layers = [module for module in net if isinstance(module, SparseLinear)]
    if name == "gather" and (needed := gather_bytes(layers, batch)) > GATHER_LIMIT:
        raise ValueError(
            f"expected at most {GATHER_LIMIT / 1e6:g} MB to gather, got {needed / 1e6:.0f} MB; "
            "lower the density or the batch size"
        )
    made = (COMPARATORS[name](part) if isinstance(part, SparseLinear) else copy.deepcopy(part) for part in net)
    return nn.Sequential(*made)


def gather_bytes(layers: Sequence[SparseLinear], batch: int) -> int:
    """Bytes that a training step by gathering holds: what every layer keeps, and two more of the largest at work.

    Example:
        >>> from prewired import generators
        >>> gather_bytes([SparseLinear(generators.rotating(4, 4, fan_in=2))], batch=10)
        960
    """
    sizes = [batch * layer.weight.numel() * layer.weight.element_size() for layer in layers]
    return sum(sizes) + 2 * max(sizes, default=0)


def _copied(bias: torch.Tensor | None) -> nn.Parameter | None:
    return None if bias is None else nn.Parameter(bias.detach().clone())


def _outputs(layer: SparseLinear) -> torch.Tensor:
    """The output of every edge."""
    return torch.repeat_interleave(torch.arange(layer.out_features), layer.indptr.diff())
