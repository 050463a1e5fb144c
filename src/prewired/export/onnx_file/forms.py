"""Linear layers as ONNX nodes: the forms that one layer can take in a file."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...ops.plan import DENSE_LIMIT, neighbourhoods
from ..layers import Layer
from .graph import Graph

MOST_PADDING = 2
"""Weights, padding among them, per edge, up to which a form with padding applies."""
EDGES_AT_ONCE = 2**13
"""Edges whose inputs gather_batch gathers at a time: with 64 rows of a batch they take 2 MB."""
MOST_PARTS = 64


class InapplicableError(ValueError):
    """A form that a layer cannot take; the text is the reason."""


def dense(g: Graph, layer: Layer, x: str) -> str:
    """One matrix product, the weights a dense matrix in the file too."""
    _check_cells(layer)
    values, shape = _values(layer), (layer.n_out, layer.n_in)
    if layer.topology is not None:
        matrix = np.zeros(layer.n_out * layer.n_in, values.dtype)
        matrix[_cells(layer)] = values
        values = matrix
    return _product(g, layer, x, g.floats(values.reshape(shape), layer.kind))


def sparse(g: Graph, layer: Layer, x: str) -> str:
    """As dense, the weights a sparse initializer in the file: 8 bytes an edge and the weight, int4 as int8.

    onnxruntime reads it as a dense tensor; the strict type inference of the onnx package does not.
    """
    _check_cells(layer)
    matrix = g.sparse_constant(_values(layer), layer.kind, _cells(layer), (layer.n_out, layer.n_in))
    return _product(g, layer, x, matrix if layer.kind == "float32" else g.cast(matrix, "FLOAT"))


def packed(g: Graph, layer: Layer, x: str) -> str:
    """As dense, the cells in the file as the gaps between them: a byte or two an edge and the weight."""
    _check_cells(layer)
    gaps, values = min((_gaps(layer, largest) for largest in (0xFF, 0xFFFF)), key=lambda made: _bytes(layer, *made))
    zeros = g.add("ConstantOfShape", g.constant(np.array([layer.n_out * layer.n_in])))
    cells, weights = g.sums(gaps, "INT64"), g.floats(values, layer.kind)
    matrix = g.add("ScatterElements", zeros, cells, weights, axis=0)
    return _product(g, layer, x, g.reshape(matrix, (layer.n_out, layer.n_in)))


def gather(g: Graph, layer: Layer, x: str) -> str:
    """The inputs of each output side by side, times the weights, added up: no dense matrix, fast for one row or few.

    Outputs of fewer inputs than the largest fan-in are padded with weights of zero.
    """
    at = _padded(layer, np.arange(layer.n_out))
    _check_padding(layer, at.size)
    sources = g.reshape(g.rising(_inputs(layer, at)), (1, -1))
    rows = g.add("Concat", g.add("Shape", x, start=0, end=1), g.constant(np.array([at.size])), axis=0)
    gathered = g.add("GatherElements", x, g.add("Expand", sources, rows), axis=1)
    weights = g.scaled(g.floats(_taken(_values(layer), at), layer.kind), _scale(layer, np.arange(layer.n_out)))
    products = g.add("Mul", g.reshape(gathered, (-1, *at.shape)), weights)
    y = g.add("ReduceSum", products, g.constant(np.array([2])), keepdims=0)
    return y if layer.bias is None else g.add("Add", y, g.constant(layer.bias))


def gather_batch(g: Graph, layer: Layer, x: str) -> str:
    """Rows of the transposed input gathered for a part of the outputs at a time, and a batched product: for batches.

    The outputs are sorted by fan-in, so that each part needs little padding.
    """
    t = _wired(layer)
    order = np.argsort(t.fan_in, kind="stable")
    n_parts = min(math.ceil(t.n_edges / EDGES_AT_ONCE), MOST_PARTS, layer.n_out)
    parts = [(rows, _padded(layer, rows)) for rows in np.array_split(order, max(n_parts, 1))]
    _check_padding(layer, sum(at.size for _, at in parts))
    turned = g.add("Transpose", x, perm=[1, 0])
    done = []
    for rows, at in parts:
        gathered = g.add("Gather", turned, g.rising(_inputs(layer, at)), axis=0)
        weights = g.scaled(g.floats(_taken(_values(layer), at), layer.kind), _scale(layer, rows))
        done.append(g.add("MatMul", g.reshape(weights, (len(rows), 1, -1)), gathered))
    y = g.add("Squeeze", g.add("Concat", *done, axis=0), g.constant(np.array([1])))
    return _turned_back(g, layer, y, order)


def blocks(g: Graph, layer: Layer, x: str) -> str:
    """A batched matrix product over groups of outputs that read the same inputs, each group a dense block."""
    t = _wired(layer)
    order, starts = neighbourhoods(t.indptr, t.indices)
    if not len(order):
        raise InapplicableError("few of its outputs have the same inputs")
    sizes = np.diff(starts)
    group = np.repeat(np.arange(len(sizes)), sizes)
    rows = np.full((len(sizes), sizes.max()), -1)
    rows[group, np.arange(layer.n_out) - starts[group]] = order
    at = _padded(layer, rows)
    _check_padding(layer, at.size)
    turned, inputs = g.add("Transpose", x, perm=[1, 0]), _inputs(layer, at[:, 0])
    if np.array_equal(inputs.reshape(-1), np.arange(layer.n_in)):
        gathered = g.reshape(turned, (*inputs.shape, -1))
    else:
        gathered = g.add("Gather", turned, g.rising(inputs), axis=0)
    weights = g.scaled(g.floats(_taken(_values(layer), at), layer.kind), _scale(layer, rows))
    y = g.reshape(g.add("MatMul", weights, gathered), (rows.size, -1))
    return _turned_back(g, layer, y, rows.reshape(-1))


FORMS: dict[str, Callable[[Graph, Layer, str], str]] = {
    form.__name__: form for form in (dense, sparse, packed, gather, gather_batch, blocks)
}
"""The forms of a layer: functions that add its nodes to a graph, without its activation, and return the output."""


ONE_ONCE_LOADED = ("dense", "sparse", "packed")
"""Forms that onnxruntime runs as the same dense product: they differ in the file alone."""
_OPERATORS = {"relu": "Relu", "leaky_relu": "LeakyRelu", "elu": "Elu", "sigmoid": "Sigmoid", "tanh": "Tanh"}


def activate(g: Graph, layer: Layer, x: str) -> str:
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


def _values(layer: Layer) -> np.ndarray:
    """What the file holds of the weights, in edge order: integers, to be scaled, or the weights themselves."""
    return layer.weight if layer.integers is None else layer.integers


def _scale(layer: Layer, rows: np.ndarray) -> np.ndarray | None:
    """The scale of the rows given, with an axis of one behind."""
    return None if layer.scale is None else layer.scale[rows][..., None]


def _cells(layer: Layer) -> np.ndarray:
    """The numbers, row by row, of the cells of the dense matrix that are edges."""
    t = _wired(layer)
    return np.repeat(np.arange(t.n_out) * t.n_in, t.fan_in) + t.indices


def _wired(layer: Layer) -> Any:
    if layer.topology is None:
        raise InapplicableError("it is a dense layer")
    return layer.topology


def _gaps(layer: Layer, largest: int) -> tuple[np.ndarray, np.ndarray]:
    """The gaps before each cell and its value; gaps beyond the largest become several, ending in cells of zero."""
    gaps = np.diff(_cells(layer), prepend=0)
    extra = np.maximum(gaps - 1, 0) // largest
    last = np.cumsum(extra + 1) - 1
    small = np.full(len(gaps) + extra.sum(), largest)
    small[last] = gaps - extra * largest
    values = np.zeros(len(small), _values(layer).dtype)
    values[last] = _values(layer)
    return small, values


def _bytes(layer: Layer, gaps: np.ndarray, values: np.ndarray) -> float:
    a_value = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1, "int4": 0.5}[layer.kind]
    return len(gaps) * (np.min_scalar_type(gaps.max(initial=0)).itemsize + a_value)


def _padded(layer: Layer, rows: np.ndarray) -> np.ndarray:
    """The numbers of the edges of the rows along a new last axis, as long as the largest fan-in; -1 is none.

    Rows may be -1 too. Example: fan-ins of 2 and 1 give [[0, 1], [2, -1]].
    """
    t = _wired(layer)
    fan_in = np.where(rows >= 0, t.fan_in[rows], 0)
    slots = np.arange(fan_in.max())
    return np.where(slots < fan_in[..., None], t.indptr[rows][..., None] + slots, -1)


def _taken(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The values of the edges, zero for -1."""
    return np.where(at >= 0, values[at], values.dtype.type(0))


def _inputs(layer: Layer, at: np.ndarray) -> np.ndarray:
    """The inputs of the edges; where there is no edge, the one before along the last axis, or the first of all."""
    return np.maximum.accumulate(_taken(_wired(layer).indices, at), axis=-1)


def _check_cells(layer: Layer) -> None:
    cells = layer.n_in * layer.n_out
    if cells > DENSE_LIMIT:
        raise InapplicableError(f"its dense matrix would take {4 * cells / 1e9:.1f} GB")


def _check_padding(layer: Layer, padded: int) -> None:
    n_edges = _wired(layer).n_edges
    if not n_edges:
        raise InapplicableError("it has no edge")
    if padded > MOST_PADDING * n_edges:
        raise InapplicableError(
            f"with padding {padded / n_edges:.1f} weights an edge, more than {MOST_PADDING}, as fan-ins differ too much"
        )


def _product(g: Graph, layer: Layer, x: str, matrix: str) -> str:
    bias = [] if layer.bias is None else [g.constant(layer.bias)]
    scale = None if layer.scale is None else layer.scale[:, None]
    return g.add("Gemm", x, g.scaled(matrix, scale), *bias, transB=1)


def _turned_back(g: Graph, layer: Layer, y: str, rows: np.ndarray) -> str:
    """The output (batch, n_out), bias added, from a tensor that has in its k-th row the output rows[k], -1 for none."""
    if not np.array_equal(rows, np.arange(layer.n_out)):
        taken = np.flatnonzero(rows >= 0)
        y = g.add("Gather", y, g.constant(taken[np.argsort(rows[taken])].astype(np.int32)), axis=0)
    if layer.bias is not None:
        y = g.add("Add", y, g.constant(layer.bias[:, None]))
    return g.add("Transpose", y, perm=[1, 0])
