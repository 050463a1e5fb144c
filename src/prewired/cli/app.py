"""The command line: `prewired generate | measure | train | sizes | quantize | export | study | report | ...`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from .._version import __version__
from ..metrics import WEIGHTED_METRICS
from .graphs import draw, families, generate
from .measure import measure, metrics
from .ship import add_export, add_quantize, add_sizes, export, quantize, sizes
from .study import add_report, add_status, add_study, report, status, study

if TYPE_CHECKING:
    from ..training.run import Run

USER_ERRORS = (ValueError, OSError, RuntimeError, ImportError, MemoryError, FloatingPointError)


class Once(argparse.Action):
    """Stores a value, and refuses a second one."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: object) -> None:
        if getattr(namespace, self.dest) is not None:
            parser.error(f"expected {self.option_strings[0]} once, got it twice; leave one out")
        setattr(namespace, self.dest, values)


class Parser(argparse.ArgumentParser):
    """Reports an error in one line instead of the whole usage."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message} (see {self.prog} --help)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 2 for a user's error, 130 when interrupted."""
    try:
        if sys.__stdout__ is None:
            raise OSError("expected an open standard output, got a closed one; redirect it to /dev/null instead")
        arguments = parser().parse_args(argv)
        if getattr(arguments, "threads", None) is not None:
            _set_threads(arguments.threads)
        arguments.verb(arguments)
        sys.stdout.flush()
    except SystemExit as stop:  # --help and --version
        return int(stop.code or 0)
    except KeyboardInterrupt as interruption:
        print(f"interrupted: {interruption}".rstrip(": "), file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except USER_ERRORS as error:
        print(f"prewired: error: {_one_line(error)}", file=sys.stderr)
        return 2
    return 0


def parser() -> Parser:
    """The parser of all verbs."""
    top = Parser(
        prog="prewired",
        description="Sparse neural networks whose wiring is chosen before training.",
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"prewired {__version__}")
    verbs = top.add_subparsers(metavar="VERB", required=True)

    def add(name: str, verb: Callable[[argparse.Namespace], None], text: str) -> Parser:
        one = verbs.add_parser(name, help=text, description=text, allow_abbrev=False)
        one.set_defaults(verb=verb)
        return one

    one = add("generate", generate, "Make one topology, or those of a family of several layers, and save them.")
    one.add_argument("family", metavar="FAMILY", help="see `prewired families`")
    one.add_argument(
        "parameters",
        metavar="NAME=VALUE",
        nargs="+",
        help="such as n_in=784 n_out=1024 density=0.05 seed=0, or sizes=[64,64,64] for several layers",
    )
    one.add_argument("-o", "--output", type=Path, help="the file to write, such as hidden.topology")

    one = add(
        "measure",
        measure,
        "Print the metrics of topologies, one or the layers of a network, of a family, a saved model or a study.",
    )
    one.add_argument(
        "what",
        metavar="WHAT",
        nargs="+",
        help="topology files, inputs first; a family with NAME=VALUE words, as for `prewired generate`; a saved model "
        "(.pt, .pth, .safetensors); or a study's folder",
    )
    one.add_argument("--metric", action="extend", nargs="+", metavar="NAME", help="only these (default: all)")
    one.add_argument("--explain", action="store_true", help="add bounds, methods and what the bounds rest on")
    one.add_argument("--json", action="store_true", help="print JSON")
    one.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="write pictures and measurements.json there")

    one = add("train", train, "Train one network and print its test score.")
    _add_training(one)
    one.add_argument("--family", default="biregular", help="a family, or dense (default: %(default)s)")
    one.add_argument("--density", type=float, help="share of the edges of each sparse layer")
    _add_budget(one)
    one.add_argument("--edges", type=int, metavar="N", help="instead, edges of all sparse layers together, exactly")
    one.add_argument("--seed", type=int, default=0, help="of graphs, weights and batches (default: %(default)s)")
    one.add_argument(
        "--track",
        action="extend",
        nargs="+",
        choices=WEIGHTED_METRICS,
        default=[],
        metavar="NAME",
        help="print metrics of each layer's weights before training and after every epoch: "
        f"{', '.join(WEIGHTED_METRICS)}",
    )
    one.add_argument("--picture", type=Path, metavar="FILE", help="draw them, as .png, .svg or .pdf")
    one.add_argument("-o", "--output", type=Path, help="save the trained network, such as net.safetensors")

    add_sizes(
        add("sizes", sizes, "Tell what a saved network takes in memory, on disk and in arithmetic, and a dense one.")
    )
    add_quantize(
        add(
            "quantize", quantize, "Save a network with its weights in fewer bits, and tell what its test score becomes."
        ),
        _add_data,
    )
    add_export(add("export", export, "Write a saved network as ONNX, as C or as a program of torch, and verify it."))

    one = add(
        "study",
        study,
        "Compare families and densities with dense networks; run again to go on after a stop. "
        "A folder may hold the runs of several studies; its report is of the last one asked for.",
    )
    add_study(one)
    add_report(add("report", report, "Write the page, tables and pictures of a study, finished or not."))
    add_status(add("status", status, "Tell how far a study is, whether it is running, and how long it may take."))

    one = add(
        "bench",
        bench,
        "Measure from which density on dense layers are faster here, keep it for kernel='auto', and print speedups.",
    )
    one.add_argument("--threads", type=int, help="threads of torch beside one (default: all)")
    one.add_argument("--no-save", action="store_true", help="print the speedups only; measure and keep no break-even")

    one = add(
        "families", families, "List the families of graphs: their names, the sizes they exist for, what they are."
    )
    one.add_argument("family", metavar="FAMILY", nargs="?", help="print the parameters and the page of this one")

    one = add("metrics", metrics, "List the metrics, or print the page of one: formula, range, cost and source.")
    one.add_argument("metric", metavar="METRIC", nargs="?", help="print the page of this one")

    one = add("draw", draw, "Draw the biadjacency matrix of a saved topology or of a family.")
    one.add_argument("what", metavar="FILE|FAMILY", help="such as hidden.topology, or a family with its parameters")
    one.add_argument("parameters", metavar="NAME=VALUE", nargs="*", help="of the family, as for `prewired generate`")
    one.add_argument("-o", "--output", type=Path, required=True, help="the picture to write, .png, .svg or .pdf")
    return top


def bench(arguments: argparse.Namespace) -> None:
    """`prewired bench`."""
    _need("rich")
    from rich.console import Console
    from rich.progress import track

    from ..nn import kernel_benchmark
    from ..ops import kernel_choice, kernels, machine

    if not arguments.no_save:
        grid = kernel_benchmark.grid()
        cells = [
            kernel_benchmark.cell(*at)
            for at in track(grid, "break-even densities", console=Console(stderr=True), show_speed=False)
        ]
        print(f"break-even densities kept in {kernel_choice.save(cells)}")
    print(f"{machine.processor()}, {kernels.instruction_set()}")
    print("nn.Linear's time / SparseLinear's, 128 x 1024 x 1024, float32 (above 1: sparse is faster)")
    print(f"{'threads':>7}  {'density':>7}  {'forward':>7}  {'forward+backward':>16}  kernel")
    for row in kernel_benchmark.speedups():
        numbers = f"{row['threads']:>7}  {row['density']:>7.1%}  {row['forward']:>7.2f}"
        print(f"{numbers}  {row['forward and backward']:>16.2f}  {row['kernel']}", flush=True)


def train(arguments: argparse.Namespace) -> None:
    """`prewired train`: a line per epoch, the test score, and what was tracked as tables and a picture."""
    from .. import checkpoint, plots
    from ..io import atomic_write
    from ..nn import mlp
    from ..study.config import parse_family
    from ..training import data, loop

    if arguments.picture:
        _check_picture(arguments)  # now rather than after hours of training
    if arguments.output:
        atomic_write.check(arguments.output)
    loaded = data.load(arguments.data, root=arguments.root, target=arguments.target, task=arguments.task)
    sizes = [loaded.n_features, *arguments.hidden, loaded.n_outputs]
    name, parameters = parse_family(arguments.family)
    asked = {"density": arguments.density, "n_edges": arguments.edges, "budget": arguments.budget}
    net = mlp(sizes, family=name, seed=arguments.seed, **asked, **parameters)
    config = loop.TrainConfig(seed=arguments.seed, **_training(arguments))

    def epoch_line(epoch: int, n_epochs: int) -> None:
        loss, score = loop.evaluate(net, loaded, loaded.x_val, loaded.y_val)
        print(f"epoch {epoch}/{n_epochs}  validation loss {loss:.4f}  {score_name} {score:.4f}", flush=True)

    score_name = "accuracy" if loaded.task == "classification" else "R2"
    run = loop.train(net, loaded, config, progress=epoch_line, track=arguments.track)
    print(f"test {score_name} {run.test_score:.4f}")
    if arguments.output:
        checkpoint.save(net, arguments.output)
        print(f"{arguments.output}: {arguments.output.stat().st_size:,} bytes")
    for line in _tables(run):
        print(line)
    if arguments.picture:
        print(plots.tracked(run, path=arguments.picture))


def _check_picture(arguments: argparse.Namespace) -> None:
    from .. import plots

    _need("matplotlib")
    picture = arguments.picture
    if not arguments.track:
        raise ValueError(
            f"expected --track with --picture, got none; add --track and one of {', '.join(WEIGHTED_METRICS)}"
        )
    if picture.suffix.lower() not in plots.KINDS or not picture.parent.is_dir():
        kinds = ", ".join(plots.KINDS)
        raise ValueError(f"expected --picture to end in {kinds} and to be in a folder that is there, got {picture}")


def _tables(run: Run) -> Iterator[str]:
    """For each tracked metric its name, and a row per epoch with a column per layer."""
    for name, values in run.tracked.items():
        heads = (f"layer {k}" for k in range(1, len(values[0]) + 1))
        yield "\n".join(["", name, "epoch" + "".join(f"{head:>12}" for head in heads)])
        for epoch, layers in enumerate(values):
            yield f"{epoch:>5}" + "".join(f"{value:>12.5g}" for value in layers)


def _add_data(one: argparse.ArgumentParser, *, required: bool) -> None:
    one.add_argument(
        "--data",
        action=Once,
        required=required,
        help="digits, mnist, fashion_mnist, cifar10, adult, or a .npz or .csv file",
    )
    one.add_argument("--target", metavar="COLUMN", help="the column to predict, for a .csv file")
    one.add_argument(
        "--task", choices=["classification", "regression"], help="for a .npz or .csv file whose targets leave it open"
    )
    one.add_argument(
        "--root", help="the folder of the data sets (default: $PREWIRED_DATA, else a cache filled by download)"
    )


def _add_training(one: Parser) -> None:
    _add_data(one, required=True)
    one.add_argument("--hidden", type=int, nargs="+", default=[1000, 1000], metavar="WIDTH", help="default: 1000 1000")
    one.add_argument("--epochs", type=int, default=10, help="default: %(default)s")
    one.add_argument("--batch-size", type=int, default=128, metavar="N", help="default: %(default)s")
    one.add_argument("--learning-rate", type=float, default=1e-3, metavar="RATE", help="default: %(default)s")
    one.add_argument("--optimizer", default="adam", choices=["adam", "sgd"], help="default: %(default)s")
    one.add_argument("--momentum", type=float, default=0.9, help="of sgd (default: %(default)s)")
    one.add_argument("--weight-decay", type=float, default=0.0, metavar="RATE", help="default: %(default)s")
    one.add_argument("--threads", type=int, metavar="N", help="threads of torch (default: as torch chooses)")


def _add_budget(one: Parser) -> None:
    one.add_argument(
        "--budget",
        help="how the edges are divided among the layers: uniform, erdos_renyi or erk (default: one density)",
    )


def _training(arguments: argparse.Namespace) -> dict[str, Any]:
    names = ("epochs", "batch_size", "learning_rate", "optimizer", "momentum", "weight_decay")
    return {name: getattr(arguments, name) for name in names}


def _need(*packages: str) -> None:
    for package in packages:
        if find_spec(package) is None:
            raise ImportError(f"expected the package {package}, got none; pip install 'prewired[study]'")


def _set_threads(threads: int) -> None:
    import torch

    most = os.cpu_count() or 1
    if not 1 <= threads <= most:
        raise ValueError(f"expected --threads from 1 to {most}, the processors of this machine, got {threads}")
    torch.set_num_threads(threads)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    from_system = isinstance(error, OSError) and error.errno is not None
    return f"{text}; check the path and its permissions" if from_system else text
