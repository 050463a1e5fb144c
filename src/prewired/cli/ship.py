"""The verbs for trained networks in files: what they take, fewer bits, other formats."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from torch import nn

from .. import checkpoint
from .. import export as exporters
from ..checkpoint import footprint
from ..io import atomic_write
from ..nn import quantization
from ..training import data
from ..training.evaluation import check_fit, evaluate
from .options import Categorical, Data, Decimal, Flag, Integer, Network, Output, Root, Target, Task

FORM = (
    "Form of sparse layers in .onnx: auto (the fastest here), smallest, dense, sparse, packed, gather, gather_batch "
    "or blocks."
)
FORMAT_OPTIONS = {".onnx": ("form", "batch"), ".c": ("indices", "name"), ".pt2": ("compile",)}


def sizes(file: Network, /, *, batch: Integer = 128, optimizer: str = "adam", json: Flag = False) -> None:
    """Tell what a saved network and its dense twin take in memory, on disk and in arithmetic.

    For example:
      prewired sizes net.safetensors --batch 32

    Args:
        batch: Rows of a batch.
        optimizer: adam or sgd, with momentum.
        json: Print JSON.
    """
    report = footprint.sizes(checkpoint.load(file), batch=batch, optimizer=optimizer)
    print(report.to_json() if json else f"{file}: {file.stat().st_size:,} bytes\n\n{report}")


def quantize(
    file: Network,
    kind: str,
    /,
    *,
    output: Output,
    data_name: Annotated[Data | None, Parameter(name="--data")] = None,
    target: Target = None,
    task: Task = None,
    decimal: Decimal = ".",
    categorical: Categorical = (),
    root: Root = None,
) -> None:
    """Save a network with its weights in fewer bits, and print its test score before and after.

    The scores are printed if --data names the data set.

    For example:
      prewired quantize net.safetensors int8 -o small.safetensors --data mnist

    Args:
        kind: float16, bfloat16, int8 or int4.
        output: File to write, such as small.safetensors.
    """
    atomic_write.check_suffix(output, ".safetensors")
    inputs = (file,) if data_name is None else (file, data_name)
    atomic_write.check_destination(output, inputs=inputs)
    changed_decimal = None if decimal == "." else decimal
    options = {"target": target, "task": task, "decimal": changed_decimal, "categorical": categorical, "root": root}
    if data_name is None and (superfluous := [name for name, value in options.items() if value]):
        raise ValueError(f"expected --data with --{superfluous[0]}, got none; name the data set")
    loaded = None
    if data_name:
        loaded = data.load(data_name, target=target, task=task, decimal=decimal, categorical=categorical, root=root)
    network = checkpoint.load(file)
    if kinds := {module.kind for module in network.modules() if isinstance(module, quantization.QuantizedLinear)}:
        raise ValueError(
            f"expected a network in float32, got {str(file)!r}, which is quantised to {', '.join(sorted(kinds))}; "
            "quantise the network that it was made from"
        )
    smaller = quantization.quantize(network, kind)
    before, after = (f", {_score(net, loaded)}" if loaded else "" for net in (network, smaller))
    print(f"{file}: {file.stat().st_size:,} bytes{before}")
    checkpoint.save(smaller, output)
    print(f"{output}: {output.stat().st_size:,} bytes{after}")


def export(
    file: Network,
    output: Annotated[Path, Parameter(name="OUT")],
    /,
    *,
    form: Annotated[str | None, Parameter(show_default="auto", help=FORM)] = None,
    batch: Annotated[Integer | None, Parameter(show_default="1")] = None,
    indices: Annotated[str | None, Parameter(show_default="auto")] = None,
    name: Annotated[str | None, Parameter(show_default="the file's name")] = None,
    compile: bool | None = None,
) -> None:
    """Write a saved network as ONNX, as C or as a program of torch, and verify the file.

    The ending of OUT decides the format: .onnx, .c, or .pt2 for torch.export.load.

    For example:
      prewired export net.safetensors net.onnx --form smallest
      prewired export net.safetensors net.c --name classify

    Args:
        output: File to write.
        batch: Rows that --form auto measures with.
        indices: Indices in .c: auto (the smallest), rule, gaps or table.
        name: Name of the C function.
        compile: Compile .pt2 ahead of time, for processors like this one.
    """
    suffix = output.suffix
    if suffix not in FORMAT_OPTIONS:
        endings = ", ".join(FORMAT_OPTIONS)
        raise ValueError(f"expected a file to write that ends in {endings}, got {str(output)!r}")
    options = {"form": form, "batch": batch, "indices": indices, "name": name, "compile": compile}
    arguments = {option: value for option, value in options.items() if value is not None}
    for ending, names in FORMAT_OPTIONS.items():
        if ending != suffix and (wrong := [option for option in names if option in arguments]):
            raise ValueError(f"expected --{wrong[0]} with a {ending} file, got {str(output)!r}; drop it")
    atomic_write.check_destination(output, inputs=(file,))
    network = checkpoint.load(file)
    if suffix == ".onnx":
        print(exporters.onnx(network, output, **arguments))
    elif suffix == ".c":
        print(exporters.c(network, output, **arguments))
    else:
        path = (exporters.package if compile else exporters.program)(network, output)
        print(f"{path}: {path.stat().st_size:,} bytes")


def _score(network: nn.Module, loaded: data.Data) -> str:
    """The test score of a copy in float32, the precision of the data."""
    network = copy.deepcopy(network).float()
    check_fit(network, loaded)
    name = "accuracy" if loaded.task == "classification" else "R2"
    return f"test {name} {evaluate(network, loaded, loaded.x_test, loaded.y_test)[1]:.4f}"
