"""FLOPs of the compiled operators, for torch.utils.flop_counter.FlopCounterMode.

A product of n_edges weights with a batch counts 2 * n_edges * batch FLOPs, as a dense product counts 2 * n_in * n_out *
batch. Biases and ReLUs count nothing, as in torch.
"""

from typing import Any

import torch
from torch.utils.flop_counter import register_flop_formula


def register_flop_formulas() -> None:
    """Register the formulas; they get the shape of each tensor in its place."""
    register_flop_formula([torch.ops.prewired.chain_forward, torch.ops.prewired.forward])(_count_forward)
    register_flop_formula(torch.ops.prewired.chain_backward)(_count_backward)


def _count_forward(x: Any, plans: Any, parameters: Any, *_: Any, **__: Any) -> int:
    return 2 * x[0] * sum(weight[0] for weight in parameters[::2])


def _count_backward(
    g: Any,
    y: Any,
    inputs: Any,
    plans: Any,
    parameters: Any,
    relu: bool,
    needs_x: bool,
    needs_weights: bool,
    **_: Any,
) -> int:
    first, *others = (2 * g[0] * weight[0] for weight in parameters[::2])
    return first * (needs_x + needs_weights) + 2 * sum(others)
