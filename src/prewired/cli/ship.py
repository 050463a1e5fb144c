"""The verbs of the command line for trained networks in files: what they take, fewer bits, other formats."""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from ..training.data import Data

FORMATS = (".onnx", ".c", ".pt2")


def add_sizes(one: argparse.ArgumentParser) -> None:
    """The options of `prewired sizes`."""
    one.add_argument("file", metavar="FILE", type=Path, help="a network saved by prewired.save or `prewired train -o`")
    one.add_argument("--batch", type=int, default=128, metavar="N", help="rows of a batch (default: %(default)s)")
    one.add_argument("--optimizer", default="adam", help="adam or sgd, with momentum (default: %(default)s)")
    one.add_argument("--json", action="store_true", help="print JSON")


def sizes(arguments: argparse.Namespace) -> None:
    """`prewired sizes FILE`."""
    from .. import checkpoint
    from ..checkpoint.footprint import sizes

    report = sizes(checkpoint.load(arguments.file), batch=arguments.batch, optimizer=arguments.optimizer)
    if arguments.json:
        print(report.to_json())
        return
    print(f"{arguments.file}: {arguments.file.stat().st_size:,} bytes\n\n{report}")


def add_quantize(one: argparse.ArgumentParser, add_data: Callable[..., None]) -> None:
    """The options of `prewired quantize`."""
    one.add_argument("file", metavar="FILE", type=Path, help="a network saved by prewired.save or `prewired train -o`")
    one.add_argument("kind", metavar="KIND", help="float16, bfloat16, int8 or int4")
    one.add_argument("-o", "--output", type=Path, required=True, help="the file to write, such as small.safetensors")
    add_data(one, required=False)


def quantize(arguments: argparse.Namespace) -> None:
    """`prewired quantize FILE KIND -o FILE`: with --data, the test score before and after."""
    from .. import checkpoint
    from ..io import atomic_write
    from ..nn import quantization
    from ..training import data

    atomic_write.check(arguments.output)
    options = [name for name in ("target", "task", "root") if getattr(arguments, name)]
    if options and not arguments.data:
        raise ValueError(f"expected --data with --{options[0]}, got none; name the data set")
    loaded = None
    if arguments.data:
        loaded = data.load(arguments.data, root=arguments.root, target=arguments.target, task=arguments.task)
    net = checkpoint.load(arguments.file)
    smaller = quantization.quantize(net, arguments.kind)
    before, after = (f", {_score(one, loaded)}" if loaded else "" for one in (net, smaller))
    print(f"{arguments.file}: {arguments.file.stat().st_size:,} bytes{before}")
    checkpoint.save(smaller, arguments.output)
    print(f"{arguments.output}: {arguments.output.stat().st_size:,} bytes{after}")


def add_export(one: argparse.ArgumentParser) -> None:
    """The options of `prewired export`."""
    one.add_argument("file", metavar="FILE", type=Path, help="a network saved by prewired.save or `prewired train -o`")
    one.add_argument(
        "output", metavar="OUT", type=Path, help="the file to write: .onnx, .c, or .pt2 for torch.export.load"
    )
    one.add_argument(
        "--form",
        help="of sparse layers in .onnx: auto (the fastest here, the default), smallest, dense, sparse, packed, "
        "gather, gather_batch or blocks",
    )
    one.add_argument("--batch", type=int, metavar="N", help="rows that --form auto measures with (default: 1)")
    one.add_argument("--indices", help="in .c: auto (the smallest, the default), rule, gaps or table")
    one.add_argument("--name", help="of the C function (default: the file's)")
    one.add_argument(
        "--compile", action="store_true", default=None, help="compile .pt2 ahead of time, for processors like this one"
    )


def export(arguments: argparse.Namespace) -> None:
    """`prewired export FILE OUT`, in the format that OUT ends in."""
    from .. import checkpoint, export

    kind = arguments.output.suffix
    if kind not in FORMATS:
        raise ValueError(f"expected a file to write that ends in {', '.join(FORMATS)}, got {str(arguments.output)!r}")
    own = {".onnx": ("form", "batch"), ".c": ("indices", "name"), ".pt2": ("compile",)}
    for ending, options in own.items():
        for option in options:
            if ending != kind and getattr(arguments, option) is not None:
                raise ValueError(f"expected --{option} with a {ending} file, got {str(arguments.output)!r}; drop it")
    given = {name: value for name in own[kind] if (value := getattr(arguments, name)) is not None}
    net = checkpoint.load(arguments.file)
    if kind == ".onnx":
        print(export.onnx(net, arguments.output, **given))
    elif kind == ".c":
        print(export.c(net, arguments.output, **given))
    else:
        path = (export.package if arguments.compile else export.program)(net, arguments.output)
        print(f"{path}: {path.stat().st_size:,} bytes")


def _score(net: nn.Module, loaded: Data) -> str:
    """The test score of a copy, which computes in float32 as the data are."""
    from ..training.evaluation import check_fit, evaluate

    net = copy.deepcopy(net).float()
    check_fit(net, loaded)
    name = "accuracy" if loaded.task == "classification" else "R2"
    return f"test {name} {evaluate(net, loaded, loaded.x_test, loaded.y_test)[1]:.4f}"
