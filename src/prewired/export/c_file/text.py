"""A network as the text of a C file."""

import re
from typing import Any, NamedTuple

import numpy as np
import torch

from ...nn.quantization import pack_int4
from ..layers import Layer
from .input_access import Wiring, n_bytes
from .templates import BATCH, HEAD, HELPERS, ROW, ROW_OF_TILES

TILE = 32
"""Samples that a file works on at a time, unless it is compiled with another number."""

_C_TYPES = {"uint8": "uint8_t", "uint16": "uint16_t", "uint32": "uint32_t", "int8": "int8_t", "float32": "float"}
_WAYS = {
    "none": "all inputs",
    "rule": "inputs by a rule",
    "table": "inputs from a table of indices",
    "gaps": "inputs from the gaps between them",
}
_WORDS = (
    "auto|break|case|char|const|continue|default|do|double|else|enum|extern|float|for|goto|if|inline|int|long|register|"
    "restrict|return|short|signed|sizeof|static|struct|switch|typedef|union|unsigned|void|volatile|while|bool|true|false|"
    "alignas|alignof|constexpr|nullptr|static_assert|thread_local|typeof|asm|class|catch|delete|explicit|export|friend|"
    "mutable|namespace|new|operator|private|protected|public|template|this|throw|try|typename|using|virtual|and|or|not|"
    "xor|main|linux|unix|u?int(_least|_fast)?(8|16|32|64)_t|u?int(ptr|max)_t|size_t|ptrdiff_t|wchar_t"
)
"""Words of C and C++, and names that the headers or compilers define."""
_VARIABLES = "x|y|n|m|i|t|got"
"""Names in the file beside that of the network."""
_MATH = (
    "acosh?|asinh?|atan[2h]?|cbrt|ceil|copysign|cosh?|erfc?|exp2?|expm1|fabs|fdim|floor|fma|fmax|fmin|fmod|frexp|hypot|"
    "ilogb|ldexp|lgamma|l?lrint|l?lround|log10|log1p|log2|logb?|modf|nan|nearbyint|nextafter|nexttoward|pow|remainder|"
    "remquo|rint|round|scalbl?n|sinh?|sqrt|tanh?|tgamma|trunc|gamma|j[01n]|y[01n]"
)
"""Functions of the mathematical libraries, which have twins that end in f and l."""
_LIBRARY = (
    "abort|abs|atexit|ato[fil]|atoll|bsearch|calloc|l?l?div|exit|free|getenv|labs|llabs|malloc|mblen|mbs?towcs?|qsort|"
    "rand|realloc|srand|strto(d|f|ld?|ll|ull?)|system|wcs?tombs?|aligned_alloc|at_quick_exit|quick_exit|"
    "mem(chr|cmp|cpy|move|set)|str(cat|chr|cmp|coll|cpy|cspn|error|len|ncat|ncmp|ncpy|pbrk|rchr|spn|str|tok|xfrm|dup|ndup)|"
    "clearerr|fclose|feof|ferror|fflush|fgetc|fgetpos|fgets|fopen|v?fw?printf|fputc|fputs|fread|freopen|v?fw?scanf|fseek|"
    "fsetpos|ftell|fwrite|getc|getchar|gets|perror|v?w?printf|putc|putchar|puts|remove|rename|rewind|v?w?scanf|setbuf|"
    "setvbuf|v?sn?printf|v?sscanf|tmpfile|tmpnam|ungetc|stdin|stdout|stderr|read|write|open|close|"
    "is(alnum|alpha|blank|cntrl|digit|graph|lower|print|punct|space|upper|xdigit)|tolower|toupper|isnan|isinf|isfinite|"
    "signal|raise|setjmp|longjmp|asctime|clock|ctime|difftime|gmtime|localtime|mktime|strftime|time|index|rindex"
)
"""Other functions of the library, by which programs break that define them anew."""


class Text(NamedTuple):
    """The text of a C file, and the bytes of what is in it.

    Attributes:
        source: the text.
        weights: bytes of weights, scales and biases.
        indices: bytes of all tables that tell the wiring.
        ram, ram_single: bytes of the buffers, at TILE samples at a time and at one.
    """

    source: str
    weights: int
    indices: int
    ram: int
    ram_single: int


class _Numbers(NamedTuple):
    """An array of numbers as C has it, and the expression, of its name and an index, that reads one as a float."""

    values: np.ndarray
    read: str


def text(name: str, layers: list[Layer], wirings: list[Wiring]) -> Text:
    """The C file of a network whose functions and tables begin with `name`."""
    numbers = [_numbers(layer, wiring) for layer, wiring in zip(layers, wirings, strict=True)]
    weights = sum(one.values.nbytes for of_layer in numbers for one in of_layer.values())
    indices = sum(map(n_bytes, wirings))
    widths = [layers[0].n_in, *(layer.n_out for layer in layers)]
    many = [max(widths[0::2]), max(widths[1::2])]
    one = [max(widths[2:-1:2], default=0), max(widths[1:-1:2], default=0)]
    ram, ram_single = 4 * TILE * sum(many), 4 * sum(one)

    body = "".join(_layer(k, *each) for k, each in enumerate(zip(layers, wirings, numbers, strict=True)))
    body = _buffers(many, one) + body + _single(len(layers)) + _batch(len(layers), widths)
    used = "".join(helper for key, helper in HELPERS.items() if f"NET_{key}(" in body)
    sizes = {"ram": ram, "ram_single": ram_single, "weights": weights, "indices": indices}
    about = "".join(_about(layer, wiring) for layer, wiring in zip(layers, wirings, strict=True))
    includes = "#include <math.h>\n" * bool(re.search(r"(exp|expm1|erf|tanh)f\(", used))
    includes += "#include <stddef.h>\n#include <stdint.h>\n"
    head = HEAD.format(n_in=widths[0], n_out=widths[-1], tile=TILE, includes=includes, **sizes)
    code = re.sub(r"\b(NET|MACRO)(?=\b|_)", lambda m: name if m[0] == "NET" else name.upper(), head + used + body)
    return Text(code.replace("\0", about), weights, indices, ram, ram_single)


def _numbers(layer: Layer, wiring: Wiring) -> dict[str, _Numbers]:
    """The weights in the order they are read in, and the scales and biases where there are any."""
    if layer.integers is None or layer.scale is None:
        found = {"weights": _floats(layer.weight[wiring.order])}
    else:
        integers = layer.integers[wiring.order]
        if layer.kind == "int4":
            weights = _Numbers(pack_int4(torch.from_numpy(integers)).numpy(), "NET_int4({table}, {at})")
        else:
            weights = _Numbers(integers, "(float){table}[{at}]")
        found = {"weights": weights, "scales": _floats(layer.scale)}
    if layer.bias is not None and layer.bias.any():
        found["biases"] = _floats(layer.bias)
    return found


def _floats(values: np.ndarray) -> _Numbers:
    """Floating-point numbers in 16 bits where that is exact, else in 32."""
    bits = values.view(np.uint32)
    if not (bits & 0xFFFF).any():
        return _Numbers((bits >> 16).astype(np.uint16), "NET_bfloat16({table}[{at}])")
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    if np.array_equal(half, values):
        return _Numbers(half.view(np.uint16), "NET_float16({table}[{at}])")
    return _Numbers(values, "{table}[{at}]")


def _about(layer: Layer, wiring: Wiring) -> str:
    """What the head of the file says of a layer, in words that cannot end the comment."""
    t = layer.topology
    size = f"{layer.n_in} -> {layer.n_out}, {len(layer.weight):,} weights in {layer.kind}, {_WAYS[wiring.way]}"
    lines = [f"Layer {layer.name}: {size}", layer.activation, f"{(t and t.recipe) or ''}"[:200]]
    lines.append(f"digest {t.digest}" if t else "")
    safe = [re.sub(r"[^ -~]", "?", line).replace("*/", "* /").replace("/*", "/ *") for line in lines if line]
    return " *\n * " + "\n *     ".join(safe) + "\n"


def _buffers(many: list[int], one: list[int]) -> str:
    def lines(sizes: list[int], by: str) -> str:
        return "".join(
            f"static float NET_{which}[{size}{by}];\n" for which, size in zip("ab", sizes, strict=True) if size
        )

    return f"\n#if MACRO_TILE > 1\n{lines(many, ' * MACRO_TILE')}#else\n{lines(one, '')}#endif\n"


def _single(n: int) -> str:
    reads = ["x", *("ab"[k % 2] for k in range(1, n)), "y"]
    names = [one if one in "xy" else f"NET_{one}" for one in reads]
    calls = "".join(f"    NET_{k}({names[k]}, {names[k + 1]});\n" for k in range(n))
    return f"\nvoid NET(const float *x, float *y)\n{{\n{calls}}}\n"


def _batch(n: int, widths: list[int]) -> str:
    calls = "\n".join(f"        NET_{k}_tile(NET_{'ab'[k % 2]}, NET_{'ba'[k % 2]});" for k in range(n))
    return BATCH.format(n_in=widths[0], n_out=widths[-1], calls=calls, last="ab"[n % 2])


def _layer(k: int, layer: Layer, wiring: Wiring, numbers: dict[str, _Numbers]) -> str:
    """The tables of a layer, and its two functions: for one sample, and for a tile of them."""
    at = f"NET_{k}_"
    arrays = {**wiring.tables, **{key: one.values for key, one in numbers.items()}}
    tables = "".join(_array(at + key, values) for key, values in arrays.items() if values.size)
    fan_in = f"{at}fan_ins[j]" if wiring.fan_in < 0 else str(wiring.fan_in)
    row, before, index, after = _reading(at, layer, wiring)
    weight = numbers["weights"].read.format(table=f"{at}weights", at="e")
    start = "    size_t e = 0;\n" + (f"    const uint8_t *gap = {at}gaps;\n" if wiring.way == "gaps" else "")
    row += f"        const size_t n = {fan_in};\n        size_t k = 0;\n"
    one, tile = row + ROW, row + ROW_OF_TILES
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
        edges, start, one, tile = "", "    (void)x;\n", "", ""
    return f"""
{tables}{edges}
static void NET_{k}(const float *x, float *y)
{{
    size_t j;
{start}    for (j = 0; j < {layer.n_out}; j++) {{
        float a = 0, b = 0, c = 0, d = 0;
{one}        y[j] = {_output("(a + b + (c + d))", at, layer, numbers)};
    }}
}}

#if MACRO_TILE > 1
static void NET_{k}_tile(const float *x, float *y)
{{
    size_t j, t;
{start}    for (j = 0; j < {layer.n_out}; j++) {{
        float sums[MACRO_TILE] = {{0}};
{tile}        for (t = 0; t < MACRO_TILE; t++)
            y[j * MACRO_TILE + t] = {_output("sums[t]", at, layer, numbers)};
    }}
}}
#endif
#undef NET_EDGE
#undef NET_EDGE_OF_TILE
"""


def _output(total: str, at: str, layer: Layer, numbers: dict[str, _Numbers]) -> str:
    """C for output j, from the sum over its edges."""
    for key, sign in (("scales", "*"), ("biases", "+")):
        if key in numbers:
            total = f"{total} {sign} {numbers[key].read.format(table=at + key, at='j')}"
    if not layer.activation:
        return total
    tanh = "_tanh" if layer.activation == "gelu" and layer.parameter else ""
    argument = f", {_float(layer.parameter)}" if layer.activation in ("leaky_relu", "elu") else ""
    return f"NET_{layer.activation}{tanh}({total}{argument})"


def _reading(at: str, layer: Layer, wiring: Wiring) -> tuple[str, str, str, str]:
    """C that starts a row, that precedes the use of an edge's input, the input's index, and what follows its use."""
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


def _array(name: str, values: np.ndarray) -> str:
    words = [_float(v) for v in values.tolist()] if values.dtype == np.float32 else [*map(str, values.tolist())]
    lines, line = [], ""
    for word in words:
        if len(line) + len(word) > 118:
            lines.append(line)
            line = ""
        line += word + ","
    return f"static const {_C_TYPES[values.dtype.name]} {name}[{len(words)}] = {{\n" + "\n".join([*lines, line, "};\n"])


def _float(value: float) -> str:
    """A float32 with as many digits as tell it from all others."""
    word = f"{value:.9g}"
    return f"{word}f" if "." in word or "e" in word else f"{word}.0f"


def check_name(name: Any) -> str:
    """The name.

    Raises:
        ValueError: if a function of this name does not go together with C, its library, or the file.
    """
    taken = f"{_WORDS}|{_VARIABLES}|({_MATH})[fl]?|{_LIBRARY}"
    if not isinstance(name, str) or re.fullmatch(taken, name) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise ValueError(
            f"expected a name of letters, digits and underscores that C and its library do not use, got {name!r}; pass "
            "name='net'"
        )
    return name
