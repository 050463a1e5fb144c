"""Generate the C code of a network."""

import re
from typing import NamedTuple

import numpy as np
import torch

from ...nn.quantization import pack_int4
from ..layer_chain import Layer
from .input_access import Wiring, n_bytes
from .templates import BATCH, HEAD, HELPERS, ROW, ROW_OF_TILES

TILE = 32
"""Number of samples that the C code computes at a time, unless it is compiled with another number."""

_C_TYPES = {"uint8": "uint8_t", "uint16": "uint16_t", "uint32": "uint32_t", "int8": "int8_t", "float32": "float"}
_WAY_DESCRIPTIONS = {
    "none": "all inputs",
    "rule": "inputs by a rule",
    "table": "inputs from a table of indices",
    "gaps": "inputs from the gaps between them",
}


class CCode(NamedTuple):
    """The text of a C file, and the memory that the code takes.

    Attributes:
        source: the text.
        weights: bytes of weights, scales and biases.
        indices: bytes of all tables that describe the wiring.
        ram: bytes of the buffers for TILE samples at a time.
        ram_single: bytes of the buffers for one sample at a time.
    """

    source: str
    weights: int
    indices: int
    ram: int
    ram_single: int


class _StoredNumbers(NamedTuple):
    """An array as C stores it, and a C expression, of the array's name and an index, that reads a number as a float."""

    values: np.ndarray
    read: str


def generate_code(name: str, layers: list[Layer], wirings: list[Wiring]) -> CCode:
    """Generate the C file of a network; the names of its functions and tables begin with `name`."""
    numbers = [_store_numbers(layer, wiring) for layer, wiring in zip(layers, wirings, strict=True)]
    weights = sum(array.values.nbytes for arrays in numbers for array in arrays.values())
    indices = sum(map(n_bytes, wirings))
    widths = [layers[0].n_in, *(layer.n_out for layer in layers)]
    tile_sizes = [max(widths[0::2]), max(widths[1::2])]
    sample_sizes = [max(widths[2:-1:2], default=0), max(widths[1:-1:2], default=0)]
    ram, ram_single = 4 * TILE * sum(tile_sizes), 4 * sum(sample_sizes)

    body = "".join(_layer_functions(k, *each) for k, each in enumerate(zip(layers, wirings, numbers, strict=True)))
    body = (
        _buffers(tile_sizes, sample_sizes) + body + _sample_function(len(layers)) + _batch_function(len(layers), widths)
    )
    helpers = "".join(helper for key, helper in HELPERS.items() if f"NET_{key}(" in body)
    sizes = {"ram": ram, "ram_single": ram_single, "weights": weights, "indices": indices}
    description = "".join(_describe_layer(layer, wiring) for layer, wiring in zip(layers, wirings, strict=True))
    includes = "#include <math.h>\n" * bool(re.search(r"(exp|expm1|erf|tanh)f\(", helpers))
    includes += "#include <stddef.h>\n#include <stdint.h>\n"
    head = HEAD.format(n_in=widths[0], n_out=widths[-1], tile=TILE, includes=includes, **sizes)
    code = re.sub(r"\b(NET|MACRO)(?=\b|_)", lambda m: name if m[0] == "NET" else name.upper(), head + helpers + body)
    return CCode(code.replace("\0", description), weights, indices, ram, ram_single)


def _store_numbers(layer: Layer, wiring: Wiring) -> dict[str, _StoredNumbers]:
    """Store the weights, in the order in which the code reads them, and the scales and biases, if there are any."""
    if layer.integers is None or layer.scale is None:
        numbers = {"weights": _floats(layer.weight[wiring.order])}
    else:
        integers = layer.integers[wiring.order]
        if layer.kind == "int4":
            weights = _StoredNumbers(pack_int4(torch.from_numpy(integers)).numpy(), "NET_int4({table}, {at})")
        else:
            weights = _StoredNumbers(integers, "(float){table}[{at}]")
        numbers = {"weights": weights, "scales": _floats(layer.scale)}
    if layer.bias is not None and layer.bias.any():
        numbers["biases"] = _floats(layer.bias)
    return numbers


def _floats(values: np.ndarray) -> _StoredNumbers:
    """Store floats in 16 bits if that is exact, else in 32 bits."""
    bits = values.view(np.uint32)
    if not (bits & 0xFFFF).any():
        return _StoredNumbers((bits >> 16).astype(np.uint16), "NET_bfloat16({table}[{at}])")
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    if np.array_equal(half, values):
        return _StoredNumbers(half.view(np.uint16), "NET_float16({table}[{at}])")
    return _StoredNumbers(values, "{table}[{at}]")


def _describe_layer(layer: Layer, wiring: Wiring) -> str:
    """Describe a layer for the comment at the head of the file, in characters that cannot end the comment."""
    t = layer.topology
    way = _WAY_DESCRIPTIONS[wiring.way]
    size = f"{layer.n_in} -> {layer.n_out}, {len(layer.weight):,} weights in {layer.kind}, {way}"
    lines = [f"Layer {layer.name}: {size}", layer.activation, f"{(t and t.recipe) or ''}"[:200]]
    lines.append(f"digest {t.digest}" if t else "")
    safe = [re.sub(r"[^ -~]", "?", line).replace("*/", "* /").replace("/*", "/ *") for line in lines if line]
    return " *\n * " + "\n *     ".join(safe) + "\n"


def _buffers(tile_sizes: list[int], sample_sizes: list[int]) -> str:
    def lines(sizes: list[int], by: str) -> str:
        return "".join(
            f"static float NET_{letter}[{size}{by}];\n" for letter, size in zip("ab", sizes, strict=True) if size
        )

    return f"\n#if MACRO_TILE > 1\n{lines(tile_sizes, ' * MACRO_TILE')}#else\n{lines(sample_sizes, '')}#endif\n"


def _sample_function(n: int) -> str:
    reads = ["x", *("ab"[k % 2] for k in range(1, n)), "y"]
    names = [buffer if buffer in "xy" else f"NET_{buffer}" for buffer in reads]
    calls = "".join(f"    NET_{k}({names[k]}, {names[k + 1]});\n" for k in range(n))
    return f"\nvoid NET(const float *x, float *y)\n{{\n{calls}}}\n"


def _batch_function(n: int, widths: list[int]) -> str:
    calls = "\n".join(f"        NET_{k}_tile(NET_{'ab'[k % 2]}, NET_{'ba'[k % 2]});" for k in range(n))
    return BATCH.format(n_in=widths[0], n_out=widths[-1], calls=calls, last="ab"[n % 2])


def _layer_functions(k: int, layer: Layer, wiring: Wiring, numbers: dict[str, _StoredNumbers]) -> str:
    """The C of a layer: its tables, its function for one sample, and its function for a tile of samples."""
    at = f"NET_{k}_"
    arrays = {**wiring.tables, **{key: array.values for key, array in numbers.items()}}
    tables = "".join(_array_definition(at + key, values) for key, values in arrays.items() if values.size)
    fan_in = f"{at}fan_ins[j]" if wiring.fan_in < 0 else str(wiring.fan_in)
    row, before, index, after = _input_expressions(at, layer, wiring)
    weight = numbers["weights"].read.format(table=f"{at}weights", at="e")
    start = "    size_t e = 0;\n" + (f"    const uint8_t *gap = {at}gaps;\n" if wiring.way == "gaps" else "")
    row += f"        const size_t n = {fan_in};\n        size_t k = 0;\n"
    sample, tile = row + ROW, row + ROW_OF_TILES
    edges = f"""
#define NET_EDGE(sum) {{ \\
        {before}sum += {weight} * x[{index}]; \\
        {after}k++; e++; \\
    }}
#define NET_EDGE_OF_TILE {{ \\
        {before}const float w = {weight}, *from = x + {index} * MACRO_TILE; \\
        for (t = 0; t < MACRO_TILE; t++) sums[t] += w * from[t]; \\
        {after}k++; e++; \\
    }}
"""
    if not layer.weight.size:
        edges, start, sample, tile = "", "    (void)x;\n", "", ""
    return f"""
{tables}{edges}
static void NET_{k}(const float *x, float *y)
{{
    size_t j;
{start}    for (j = 0; j < {layer.n_out}; j++) {{
        float a = 0, b = 0, c = 0, d = 0;
{sample}        y[j] = {_output_expression("(a + b + (c + d))", at, layer, numbers)};
    }}
}}

#if MACRO_TILE > 1
static void NET_{k}_tile(const float *x, float *y)
{{
    size_t j, t;
{start}    for (j = 0; j < {layer.n_out}; j++) {{
        float sums[MACRO_TILE] = {{0}};
{tile}        for (t = 0; t < MACRO_TILE; t++)
            y[j * MACRO_TILE + t] = {_output_expression("sums[t]", at, layer, numbers)};
    }}
}}
#endif
#undef NET_EDGE
#undef NET_EDGE_OF_TILE
"""


def _output_expression(total: str, at: str, layer: Layer, numbers: dict[str, _StoredNumbers]) -> str:
    """The C expression of output j, from the sum over its edges."""
    for key, sign in (("scales", "*"), ("biases", "+")):
        if key in numbers:
            total = f"{total} {sign} {numbers[key].read.format(table=at + key, at='j')}"
    if not layer.activation:
        return total
    tanh = "_tanh" if layer.activation == "gelu" and layer.parameter else ""
    argument = f", {_float_literal(layer.parameter)}" if layer.activation in ("leaky_relu", "elu") else ""
    return f"NET_{layer.activation}{tanh}({total}{argument})"


def _input_expressions(at: str, layer: Layer, wiring: Wiring) -> tuple[str, str, str, str]:
    """Four pieces of C: the start of a row, what precedes an edge, the index of the edge's input, what follows."""
    if wiring.way == "none":
        return "", "", "k", ""
    if wiring.way == "table":
        return "", "", f"(size_t){at}inputs[e]", ""
    if wiring.way == "gaps":
        return "        size_t i = 0;\n", "do i += *gap; while (*gap++ == 255); ", "i", "i++; "
    base = f"{at}bases[j]"
    if "bases" not in wiring.tables:
        wide = "uint64_t" if layer.n_in * layer.n_out >= 2**32 else "uint32_t"
        base = f"(size_t)(({wide})j * {layer.n_in} / {layer.n_out})"
        if wiring.shift:
            base = f"({base} + {wiring.shift}) % {layer.n_in}"
    index = f"base + {at}offsets[k]" if "offsets" in wiring.tables else "base + k"
    row = f"        const size_t base = {base};\n"
    if not wiring.wraps:
        return row, "", f"({index})", ""
    return f"{row}        size_t i;\n", f"i = {index}; if (i >= {layer.n_in}) i -= {layer.n_in}; ", "i", ""


def _array_definition(name: str, values: np.ndarray) -> str:
    words = [_float_literal(v) for v in values.tolist()] if values.dtype == np.float32 else [*map(str, values.tolist())]
    lines, line = [], ""
    for word in words:
        if len(line) + len(word) > 118:
            lines.append(line)
            line = ""
        line += word + ","
    return f"static const {_C_TYPES[values.dtype.name]} {name}[{len(words)}] = {{\n" + "\n".join([*lines, line, "};\n"])


def _float_literal(value: float) -> str:
    """Write a float32 with enough digits to distinguish it from all others."""
    word = f"{value:.9g}"
    return f"{word}f" if "." in word or "e" in word else f"{word}.0f"
