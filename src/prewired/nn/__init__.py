"""Layers and networks: sparse linear layers, their wiring, initial weights, quantization."""

from . import init
from .edge_budgets import BUDGETS
from .linear import SparseLinear
from .mlp import count_parameters, mlp, narrow_sizes
from .quantization import QuantizedLinear, quantize
from .sequential import Sequential
from .sparse_module import SparseModule
from .wiring import fan_ins, wire

__all__ = [
    "BUDGETS",
    "QuantizedLinear",
    "Sequential",
    "SparseLinear",
    "SparseModule",
    "count_parameters",
    "fan_ins",
    "init",
    "mlp",
    "narrow_sizes",
    "quantize",
    "wire",
]
