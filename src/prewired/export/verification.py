"""Whether what was written computes what the network does: run on random inputs before it is kept."""

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
from .layers import LINEAR, Layer, flat

ROWS = (64, 5, 1)
"""Batches that are tried, the largest first."""
TOLERANCE = 1e-5
"""Largest difference in float32, as a share of the scale of an output."""
_TOLERANCES = {torch.float64: 1e-10, torch.float16: 2e-3, torch.bfloat16: 2e-2}

Call = Callable[[torch.Tensor], Any]


def inputs(rows: int, n: int) -> torch.Tensor:
    """Random numbers, (rows, n) float32, the same ones every time."""
    return torch.randn(rows, n, generator=torch.Generator().manual_seed(0), dtype=torch.float32)


def check_batch(batch: Any) -> int:
    """A batch as an int.

    Raises:
        ValueError: unless it is an integer of at least 1.
    """
    if isinstance(batch, bool) or not isinstance(batch, int | np.integer) or batch < 1:
        raise ValueError(f"expected an integer batch >= 1, got {batch!r}; leave it out if any size will come")
    return int(batch)


def check_chain(
    run: Call, net: nn.Module, found: Sequence[Layer], *, rows: Sequence[int] = ROWS, **words: str
) -> float:
    """`check` against a chain of layers in float64.

    The scale of an output is its largest value plus the largest |W| |h| of the last linear layer, h the layer's input:
    the numbers that float32 rounds, small in a network of small numbers, and not zero where they cancel by chance.

    Args:
        run: from float32 inputs (batch, n_in) to outputs.
        net, found: the network, and its layers.
        rows, words: as in `check`.
    """
    exact = _exact(net)
    modules = [module for _, module in flat(exact)]
    last = max(k for k, module in enumerate(modules) if isinstance(module, LINEAR))
    x = inputs(max(rows), found[0].n_in)
    with torch.no_grad():
        h = nn.Sequential(*modules[:last])(x.double())
        scale = _reach(found[-1], h.abs().numpy()) + exact(x.double()).abs().amax(0)
    return check(run, lambda x: exact(x.double()), x, rows=rows, scale=scale, **words)


def check(
    run: Call,
    net: Call,
    x: torch.Tensor,
    *,
    rows: Sequence[int],
    what: str,
    remedy: str,
    scale: torch.Tensor | None = None,
) -> float:
    """Run what was written and the network on the first rows of x, and compare.

    Args:
        run, net: from an input to outputs: a tensor, or any nest of tensors and other values.
        x: an input (batch, ...).
        rows: the batches, the largest first.
        what, remedy: for the error: what was written, and what to take if it is no good.
        scale: of a tensor's elements; if not given the largest of them in the first batch, and 1 where all are zero.

    Returns:
        The largest difference, as a share of the scale.

    Raises:
        RuntimeError: if a difference is beyond the tolerance.

    Example:
        >>> check(torch.exp, torch.exp, torch.ones(3, 2), rows=(3, 1), what="exp", remedy="none")
        0.0
    """
    worst, scales = 0.0, [] if scale is None else [scale]
    for n in rows:
        with torch.no_grad():
            got, expected = (tree_leaves(one(x[:n].clone())) for one in (run, net))
        scales = scales or [_largest(one) for one in expected]
        for a, b, size in zip(got, expected, scales, strict=True):
            difference = _difference(a, b, size)
            most = _TOLERANCES.get(a.dtype, TOLERANCE) if isinstance(a, torch.Tensor) else 0
            if not difference <= most:
                raise RuntimeError(
                    f"expected {what} to give what the network does, up to {most:g} of the scale of its outputs, got a "
                    f"difference of {difference:.3g} in a batch of {n}; nothing was written; report it with the "
                    f"network, or {remedy}"
                )
            worst = max(worst, difference)
    return worst


def _exact(net: nn.Module) -> nn.Module:
    """A copy in float64, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        return replace_modules(copy.deepcopy(net), (QuantizedLinear,), _plain).cpu().double().eval()


def _plain(layer: QuantizedLinear) -> nn.Module:
    t, bias = layer.topology, layer.bias is not None
    plain = nn.Linear(layer.in_features, layer.out_features, bias) if t is None else SparseLinear(t, bias)
    plain.weight = nn.Parameter(layer.weight)
    if layer.bias is not None:
        plain.bias = nn.Parameter(layer.bias)
    return plain


def _reach(layer: Layer, h: np.ndarray) -> torch.Tensor:
    """(n_out,) the largest |W| h over the rows of h."""
    t, weight = layer.topology, np.abs(layer.weight)
    shape = layer.n_out, layer.n_in
    w = weight.reshape(shape) if t is None else sparse.csr_array((weight, t.indices, t.indptr), shape)
    return torch.from_numpy((w @ h.T).max(1))


def _largest(one: Any) -> Any:
    """The largest finite absolute value of a tensor, 1 if there is none but 0."""
    return one.abs().nan_to_num(0, 0).max().item() or 1 if _is_real(one) and one.numel() else 1


def _difference(got: Any, expected: Any, scale: Any) -> float:
    """The largest difference of two outputs as a share of the scale; infinite if they differ in anything else."""
    if not _is_real(expected):
        same = torch.equal(got, expected) if isinstance(expected, torch.Tensor) else got == expected
        return 0.0 if same else math.inf
    if not isinstance(got, torch.Tensor) or got.shape != expected.shape:
        return math.inf
    a, b = got.cpu().double(), expected.cpu().double()
    shares = torch.where(a == b, 0, (a - b).abs() / scale)
    return shares.max().item() if shares.numel() else 0.0


def _is_real(one: Any) -> bool:
    return isinstance(one, torch.Tensor) and one.is_floating_point()
