"""Verify an exported file: run it and the network on the same random inputs, and compare the outputs."""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import nn
from torch.utils._pytree import tree_leaves

from ..nn.linear import SparseLinear
from ..nn.quantization import QuantizedLinear, replace_modules
from .layer_chain import LINEAR, Layer, flatten

ROWS = (64, 5, 1)
"""The batches of a verification, the largest first."""
LARGEST_DIFFERENCE = 1e-5
"""Largest allowed difference in float32, as a share of the scale of an output."""
_SMALLEST_SHARE = 1e-6
_TOLERANCES = {torch.float64: 1e-10, torch.float16: 2e-3, torch.bfloat16: 2e-2}

Call = Callable[[torch.Tensor], Any]


def random_inputs(rows: int, n: int) -> torch.Tensor:
    """Random numbers, (rows, n) float32, the same in every call."""
    return torch.randn(rows, n, generator=torch.Generator().manual_seed(0), dtype=torch.float32)


def check_batch(batch: Any) -> int:
    """Return a batch as an int.

    Raises:
        ValueError: if the batch is not an integer >= 1.
    """
    if isinstance(batch, bool) or not isinstance(batch, int | np.integer) or batch < 1:
        raise ValueError(f"expected an integer batch >= 1, got {batch!r}; leave it out if any size will come")
    return int(batch)


def compare_chain(
    run: Call, net: nn.Module, layers: Sequence[Layer], *, rows: Sequence[int] = ROWS, **messages: str
) -> float:
    """Compare an exported chain of layers with the network in float64, see `compare_outputs`.

    The scale of an output is its largest value plus the largest |W| |h| of the last linear layer, h the input of that
    layer. These are the numbers that float32 rounds: small in a network of small numbers, and not zero if the terms
    of a sum cancel.

    Args:
        run: maps float32 inputs (batch, n_in) to outputs.
        net: the network.
        layers: the layers of the network.
        rows, messages: as in `compare_outputs`.
    """
    exact_net = _float64_copy(net)
    modules = [module for _, module in flatten(exact_net)]
    last = max(k for k, module in enumerate(modules) if isinstance(module, LINEAR))
    x = random_inputs(max(rows), layers[0].n_in)
    with torch.no_grad():
        h = nn.Sequential(*modules[:last])(x.double())
        scale = _largest_terms(layers[-1], h.abs().numpy()) + exact_net(x.double()).abs().amax(0)
    return compare_outputs(
        run, lambda x: exact_net(x.double()), x, rows=rows, scale=scale, tolerance=LARGEST_DIFFERENCE, **messages
    )


def compare_outputs(
    run: Call,
    net: Call,
    x: torch.Tensor,
    *,
    rows: Sequence[int],
    name: str,
    remedy: str,
    scale: torch.Tensor | None = None,
    tolerance: float | None = None,
) -> float:
    """Run an exported file and the network on the first rows of x, and compare the outputs.

    Args:
        run, net: map an input to outputs: a tensor, or nested containers of tensors and other values.
        x: an input (batch, ...).
        rows: the batches, the largest first.
        name: name of the file, for the error.
        remedy: what to use instead, for the error.
        scale: of the elements of a tensor; default for each output its largest value in the first batch, so that a
            large output hides no error of a small output.
        tolerance: largest allowed difference, as a share of the scale; default that of the type of the network's
            outputs, which the file's outputs must have too.

    Returns:
        The largest difference, as a share of the scale.

    Raises:
        RuntimeError: if a difference exceeds the tolerance, or there is nothing to compare.

    Example:
        >>> compare_outputs(torch.exp, torch.exp, torch.ones(3, 2), rows=(3, 1), name="exp", remedy="none")
        0.0
    """
    worst, scales = 0.0, [] if scale is None else [scale]
    for n in rows:
        with torch.no_grad():
            actual, expected = (tree_leaves(call(x[:n].clone())) for call in (run, net))
        if len(x) < n or not expected or any(isinstance(b, torch.Tensor) and not b.numel() for b in expected):
            raise RuntimeError(
                f"expected outputs to compare {name} with the network, got none for a batch of {n}; nothing was "
                "written; give a network with outputs, and an input of at least one row"
            )
        scales = scales or [_scale(value) for value in expected]
        if len(actual) != len(expected):
            actual = [None] * len(expected)
        for a, b, size in zip(actual, expected, scales, strict=True):
            most = tolerance
            if most is None:
                most = _TOLERANCES.get(b.dtype, LARGEST_DIFFERENCE) if isinstance(b, torch.Tensor) else 0
                difference = _difference(a, b, size) if getattr(a, "dtype", 0) == getattr(b, "dtype", 0) else math.inf
            else:
                difference = _difference(a, b, size)
            if not difference <= most:
                raise RuntimeError(
                    f"expected {name} to give what the network does, up to {most:g} of the scale of its outputs, got a "
                    f"difference of {difference:.3g} in a batch of {n}; nothing was written; report it with the "
                    f"network, or {remedy}"
                )
            worst = max(worst, difference)
    return worst


def _float64_copy(net: nn.Module) -> nn.Module:
    """A copy in float64, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        return replace_modules(copy.deepcopy(net), (QuantizedLinear,), _dequantize_layer).cpu().double().eval()


def _dequantize_layer(layer: QuantizedLinear) -> nn.Module:
    t, bias = layer.topology, layer.bias is not None
    layer_copy = nn.Linear(layer.in_features, layer.out_features, bias) if t is None else SparseLinear(t, bias)
    layer_copy.weight = nn.Parameter(layer.weight)
    if layer.bias is not None:
        layer_copy.bias = nn.Parameter(layer.bias)
    return layer_copy


def _largest_terms(layer: Layer, h: np.ndarray) -> torch.Tensor:
    """The largest |W| h over the rows of h, (n_out,)."""
    t, weight = layer.topology, np.abs(layer.weight)
    shape = layer.n_out, layer.n_in
    w = weight.reshape(shape) if t is None else sparse.csr_array((weight, t.indices, t.indptr), shape)
    return torch.from_numpy((w @ h.T).max(1))


def _scale(output: Any) -> Any:
    """The largest finite absolute value of each output over the batch; 1 for anything but a tensor of floats.

    An output is at least _SMALLEST_SHARE of the largest one: what is smaller drowns in the rounding of a sum.
    """
    if not _is_real(output):
        return 1
    values = output.detach().cpu().double().abs().nan_to_num(0, 0, 0)
    largest = values.max().item() or 1
    return largest if values.ndim < 2 else values.amax(0).clamp(min=_SMALLEST_SHARE * largest)


def _difference(actual: Any, expected: Any, scale: Any) -> float:
    """The largest difference of two outputs as a share of the scale; infinite if type, shape or other values differ."""
    if not _is_real(expected):
        equal = torch.equal(actual, expected) if isinstance(expected, torch.Tensor) else actual == expected
        return 0.0 if equal else math.inf
    if not isinstance(actual, torch.Tensor) or actual.shape != expected.shape:
        return math.inf
    a, b = actual.cpu().double(), expected.cpu().double()
    shares = torch.where(a == b, 0, (a - b).abs() / scale)
    return shares.max().item() if shares.numel() else 0.0


def _is_real(output: Any) -> bool:
    return isinstance(output, torch.Tensor) and output.is_floating_point()
