"""The forms of a linear layer in an ONNX file: functions that add the nodes of a layer to a graph."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...ops.plan_arrays import MOST_DENSE_ELEMENTS, neighbourhoods
from ..layer_chain import Layer
from .graph import OnnxGraph

MOST_PADDING = 2
"""Largest number of weights per edge, padding included, of a form with padding."""
EDGES_AT_ONCE = 2**13
"""Number of edges whose inputs gather_batch gathers at a time: with 64 rows of a batch they take 2 MB."""
MOST_PARTS = 64
"""Largest number of parts of gather_batch."""


class InapplicableError(ValueError):
    """Raised by a form that a layer cannot take; the text is the reason."""


def add_dense(g: OnnxGraph, layer: Layer, x: str) -> str:
    """Add one matrix product; the file holds the weights as a dense matrix."""
    _check_cells(layer)
    values, shape = _stored_values(layer), (layer.n_out, layer.n_in)
    if layer.topology is not None:
        matrix = np.zeros(layer.n_out * layer.n_in, values.dtype)
        matrix[_edge_cells(layer)] = values
        values = matrix
    return _product(g, layer, x, g.floats(values.reshape(shape), layer.kind))


def add_sparse(g: OnnxGraph, layer: Layer, x: str) -> str:
    """Add one matrix product; the file holds a sparse initializer: 8 bytes per edge and the weight, int4 as int8.

    onnxruntime reads the initializer as a dense tensor; the strict type inference of the onnx package does not.
    """
    _check_cells(layer)
    matrix = g.sparse_constant(_stored_values(layer), layer.kind, _edge_cells(layer), (layer.n_out, layer.n_in))
    return _product(g, layer, x, matrix if layer.kind == "float32" else g.cast(matrix, "FLOAT"))


def add_packed(g: OnnxGraph, layer: Layer, x: str) -> str:
    """Add one matrix product; the file holds the gaps between edges: one or two bytes per edge and the weight."""
    _check_cells(layer)
    options = (_gaps(layer, largest) for largest in (0xFF, 0xFFFF))
    gaps, values = min(options, key=lambda option: _size_in_file(layer, *option))
    zeros = g.add("ConstantOfShape", g.constant(np.array([layer.n_out * layer.n_in])))
    cells, weights = g.sums(gaps, "INT64"), g.floats(values, layer.kind)
    matrix = g.add("ScatterElements", zeros, cells, weights, axis=0)
    return _product(g, layer, x, g.reshape(matrix, (layer.n_out, layer.n_in)))


def add_gather(g: OnnxGraph, layer: Layer, x: str) -> str:
    """Gather the inputs of each output, multiply by the weights and sum: no dense matrix, fast for few rows.

    Outputs with less than the largest fan-in are padded with weights of zero.
    """
    edges = _pad_edges(layer, np.arange(layer.n_out))
    _check_padding(layer, edges.size)
    sources = g.reshape(g.rising(_inputs(layer, edges)), (1, -1))
    rows = g.add("Concat", g.add("Shape", x, start=0, end=1), g.constant(np.array([edges.size])), axis=0)
    gathered = g.add("GatherElements", x, g.add("Expand", sources, rows), axis=1)
    values = g.floats(_take_edges(_stored_values(layer), edges), layer.kind)
    weights = g.scaled(values, _scale_of_rows(layer, np.arange(layer.n_out)))
    products = g.add("Mul", g.reshape(gathered, (-1, *edges.shape)), weights)
    y = g.add("ReduceSum", products, g.constant(np.array([2])), keepdims=0)
    return y if layer.bias is None else g.add("Add", y, g.constant(layer.bias))


def add_gather_batch(g: OnnxGraph, layer: Layer, x: str) -> str:
    """Gather rows of the transposed input for one part of the outputs at a time, and multiply: fast for batches.

    The outputs are sorted by fan-in, so that each part needs little padding.
    """
    t = _topology_of(layer)
    order = np.argsort(t.fan_in, kind="stable")
    n_parts = min(math.ceil(t.n_edges / EDGES_AT_ONCE), MOST_PARTS, layer.n_out)
    parts = [(rows, _pad_edges(layer, rows)) for rows in np.array_split(order, max(n_parts, 1))]
    _check_padding(layer, sum(edges.size for _, edges in parts))
    transposed = g.add("Transpose", x, perm=[1, 0])
    products = []
    for rows, edges in parts:
        gathered = g.add("Gather", transposed, g.rising(_inputs(layer, edges)), axis=0)
        weights = g.scaled(g.floats(_take_edges(_stored_values(layer), edges), layer.kind), _scale_of_rows(layer, rows))
        products.append(g.add("MatMul", g.reshape(weights, (len(rows), 1, -1)), gathered))
    y = g.add("Squeeze", g.add("Concat", *products, axis=0), g.constant(np.array([1])))
    return _to_row_major(g, layer, y, order)


def add_blocks(g: OnnxGraph, layer: Layer, x: str) -> str:
    """Add a batched matrix product over groups of outputs that read the same inputs; each group is a dense block."""
    t = _topology_of(layer)
    order, starts = neighbourhoods(t.indptr, t.indices)
    if not len(order):
        raise InapplicableError("few of its outputs have the same inputs")
    sizes = np.diff(starts)
    group = np.repeat(np.arange(len(sizes)), sizes)
    rows = np.full((len(sizes), sizes.max()), -1)
    rows[group, np.arange(layer.n_out) - starts[group]] = order
    edges = _pad_edges(layer, rows)
    _check_padding(layer, edges.size)
    transposed, inputs = g.add("Transpose", x, perm=[1, 0]), _inputs(layer, edges[:, 0])
    if np.array_equal(inputs.reshape(-1), np.arange(layer.n_in)):
        gathered = g.reshape(transposed, (*inputs.shape, -1))
    else:
        gathered = g.add("Gather", transposed, g.rising(inputs), axis=0)
    weights = g.scaled(g.floats(_take_edges(_stored_values(layer), edges), layer.kind), _scale_of_rows(layer, rows))
    y = g.reshape(g.add("MatMul", weights, gathered), (rows.size, -1))
    return _to_row_major(g, layer, y, rows.reshape(-1))


FORMS: dict[str, Callable[[OnnxGraph, Layer, str], str]] = {
    "dense": add_dense,
    "sparse": add_sparse,
    "packed": add_packed,
    "gather": add_gather,
    "gather_batch": add_gather_batch,
    "blocks": add_blocks,
}
"""Name -> function that adds the nodes of a layer to a graph, without the activation, and returns its output."""


SAME_WHEN_LOADED = ("dense", "sparse", "packed")
"""Forms that onnxruntime runs as the same dense product: they differ only in the file."""
_OPERATORS = {"relu": "Relu", "leaky_relu": "LeakyRelu", "elu": "Elu", "sigmoid": "Sigmoid", "tanh": "Tanh"}


def activate(g: OnnxGraph, layer: Layer, x: str) -> str:
    """Add the activation of a layer, if it has one."""
    match layer.activation:
        case "":
            return x
        case "silu":
            return g.add("Mul", x, g.add("Sigmoid", x))
        case "gelu":
            return g.add("Gelu", x, approximate="tanh" if layer.parameter else "none")
        case "leaky_relu" | "elu" as name:
            return g.add(_OPERATORS[name], x, alpha=layer.parameter)
        case name:
            return g.add(_OPERATORS[name], x)


def _stored_values(layer: Layer) -> np.ndarray:
    """Return the weights as the file stores them, in edge order: integers that a scale multiplies, or floats."""
    return layer.weight if layer.integers is None else layer.integers


def _scale_of_rows(layer: Layer, rows: np.ndarray) -> np.ndarray | None:
    """The scale of the given rows, with a last axis of length one."""
    return None if layer.scale is None else layer.scale[rows][..., None]


def _edge_cells(layer: Layer) -> np.ndarray:
    """The position of each edge in the dense matrix, numbered row by row."""
    t = _topology_of(layer)
    return np.repeat(np.arange(t.n_out) * t.n_in, t.fan_in) + t.indices


def _topology_of(layer: Layer) -> Any:
    if layer.topology is None:
        raise InapplicableError("it is a dense layer")
    return layer.topology


def _gaps(layer: Layer, largest: int) -> tuple[np.ndarray, np.ndarray]:
    """The gap before each edge, and its value; a gap larger than `largest` is split by extra cells of value zero."""
    gaps = np.diff(_edge_cells(layer), prepend=0)
    extra = np.maximum(gaps - 1, 0) // largest
    last = np.cumsum(extra + 1) - 1
    small = np.full(len(gaps) + extra.sum(), largest)
    small[last] = gaps - extra * largest
    values = np.zeros(len(small), _stored_values(layer).dtype)
    values[last] = _stored_values(layer)
    return small, values


def _size_in_file(layer: Layer, gaps: np.ndarray, values: np.ndarray) -> float:
    bytes_per_value = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1, "int4": 0.5}[layer.kind]
    return len(gaps) * (np.min_scalar_type(gaps.max(initial=0)).itemsize + bytes_per_value)


def _pad_edges(layer: Layer, rows: np.ndarray) -> np.ndarray:
    """The edges of the given rows along a new last axis, padded with -1 to the largest fan-in.

    Rows may be -1 too. Example: fan-ins of 2 and 1 give [[0, 1], [2, -1]].
    """
    t = _topology_of(layer)
    fan_in = np.where(rows >= 0, t.fan_in[rows], 0)
    slots = np.arange(fan_in.max())
    return np.where(slots < fan_in[..., None], t.indptr[rows][..., None] + slots, -1)


def _take_edges(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The values of the edges; zero for -1."""
    return np.where(edges >= 0, values[edges], values.dtype.type(0))


def _inputs(layer: Layer, edges: np.ndarray) -> np.ndarray:
    """The inputs of the edges; padding repeats the previous edge's input, or is 0 if there is none."""
    return np.maximum.accumulate(_take_edges(_topology_of(layer).indices, edges), axis=-1)


def _check_cells(layer: Layer) -> None:
    cells = layer.n_in * layer.n_out
    if cells > MOST_DENSE_ELEMENTS:
        raise InapplicableError(f"its dense matrix would take {4 * cells / 1e9:.1f} GB")


def _check_padding(layer: Layer, n_weights: int) -> None:
    n_edges = _topology_of(layer).n_edges
    if not n_edges:
        raise InapplicableError("it has no edge")
    if n_weights > MOST_PADDING * n_edges:
        raise InapplicableError(
            f"with padding {n_weights / n_edges:.1f} weights an edge, more than {MOST_PADDING}, "
            "as fan-ins differ too much"
        )


def _product(g: OnnxGraph, layer: Layer, x: str, matrix: str) -> str:
    bias = [] if layer.bias is None else [g.constant(layer.bias)]
    scale = None if layer.scale is None else layer.scale[:, None]
    return g.add("Gemm", x, g.scaled(matrix, scale), *bias, transB=1)


def _to_row_major(g: OnnxGraph, layer: Layer, y: str, rows: np.ndarray) -> str:
    """Add the bias and transpose to (batch, n_out); row k of y holds output rows[k], or padding if that is -1."""
    if not np.array_equal(rows, np.arange(layer.n_out)):
        occupied = np.flatnonzero(rows >= 0)
        y = g.add("Gather", y, g.constant(occupied[np.argsort(rows[occupied])].astype(np.int32)), axis=0)
    if layer.bias is not None:
        y = g.add("Add", y, g.constant(layer.bias[:, None]))
    return g.add("Transpose", y, perm=[1, 0])
