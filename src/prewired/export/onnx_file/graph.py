"""Graph: builds an ONNX model from nodes and from constants that take few bytes in the file."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

LARGEST_FILE = 2**31 - 2**20
"""Largest number of bytes of constants in one file: protobuf ends at 2 GB."""


class OnnxGraph:
    """The nodes and constants of an ONNX model; the methods add to them and return the names of tensors.

    Nodes that depend on constants alone are computed once, when onnxruntime loads the file.
    """

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.sparse: list[Any] = []
        self.bytes = 0

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output."""
        from onnx import helper

        name = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        return name

    def constant(self, values: Any, kind: str = "") -> str:
        """Add a constant in the type of its values, or in 16 bits with kind "float16" or "bfloat16"."""
        self.constants.append(self._tensor(values, kind, f"constant_{len(self.constants)}"))
        return self.constants[-1].name

    def sparse_constant(self, values: np.ndarray, kind: str, cells: np.ndarray, shape: tuple[int, int]) -> str:
        """Add a constant that is zero except in `cells`, which are numbered row by row."""
        from onnx import helper

        name = f"sparse_{len(self.sparse)}"
        tensors = self._tensor(values, kind, name), self._tensor(cells, "", f"{name}_cells")
        self.sparse.append(helper.make_sparse_tensor(*tensors, shape))
        return name

    def _tensor(self, values: Any, kind: str, name: str) -> Any:
        from onnx import TensorProto, numpy_helper

        values = np.ascontiguousarray(values)
        if kind == "float16":
            values = values.astype(np.float16)
        elif kind == "bfloat16":
            values = (values.view(np.uint32) >> 16).astype(np.uint16)
        self.bytes += values.nbytes
        if self.bytes > LARGEST_FILE:
            raise ValueError(
                f"expected a model of at most {LARGEST_FILE / 1e9:.1f} GB, as ONNX can hold in one file, got "
                f"{self.bytes / 1e9:.1f} GB or more; take form='smallest', or quantise the network"
            )
        tensor = numpy_helper.from_array(values, name)
        if kind == "bfloat16":
            tensor.data_type = TensorProto.BFLOAT16
        return tensor

    def floats(self, values: np.ndarray, kind: str) -> str:
        """Add weights as a float32 tensor; in the file they take the bits of their kind."""
        if kind == "int4":
            return self._nibbles(values)
        return self.cast(self.constant(values, kind), "FLOAT") if kind != "float32" else self.constant(values)

    def _nibbles(self, values: np.ndarray) -> str:
        """Add integers from -7 to 7, two per byte, the first half of them in the low four bits; returns float32.

        The type INT4 would need onnxruntime 1.23 for Cast, and its DequantizeLinear is not computed at loading.
        """
        n = math.ceil(values.size / 2)
        flat = np.zeros(2 * n, np.uint8)
        flat[: values.size] = values.reshape(-1) + 8
        pairs = self.constant(flat[:n] | flat[n:] << 4)
        low = self.add("BitwiseAnd", pairs, self.constant(np.uint8(15)))
        high = self.add("BitShift", pairs, self.constant(np.uint8(4)), direction="RIGHT")
        all_of_them = self.add("Concat", low, high, axis=0)
        if values.size % 2:
            ends = (self.constant(np.array([at])) for at in (0, values.size))
            all_of_them = self.add("Slice", all_of_them, *ends)
        signed = self.add("Sub", self.cast(all_of_them, "FLOAT"), self.constant(np.float32(8)))
        return self.reshape(signed, values.shape)

    def cast(self, name: str, to: str) -> str:
        """Add a node that converts a tensor to another element type; return the name of its output."""
        from onnx import TensorProto

        return self.add("Cast", name, to=getattr(TensorProto, to))

    def reshape(self, name: str, shape: tuple[int, ...]) -> str:
        """Add a node that reshapes a tensor; return the name of its output."""
        return self.add("Reshape", name, self.constant(np.array(shape, np.int64)))

    def scaled(self, name: str, scale: np.ndarray | None) -> str:
        """Multiply a tensor by a scale that broadcasts to its shape; without a scale, return the tensor."""
        return name if scale is None else self.add("Mul", name, self.constant(scale))

    def integers(self, numbers: np.ndarray, to: str) -> str:
        """Add integers as a tensor of type `to`; in the file they take the smallest type that holds them."""
        return self.cast(self.constant(numbers.astype(np.min_scalar_type(numbers.max(initial=0)))), to)

    def sums(self, gaps: np.ndarray, to: str) -> str:
        """Add the cumulative sums of integers along the last axis."""
        return self.add("CumSum", self.integers(gaps, to), self.constant(np.int64(gaps.ndim - 1)))

    def rising(self, numbers: np.ndarray) -> str:
        """Add integers that do not decrease along the last axis; the file holds the first one and the gaps."""
        first = numbers[..., :1]
        return self.add("Add", self.sums(np.diff(numbers, prepend=first), "INT32"), self.integers(first, "INT32"))
