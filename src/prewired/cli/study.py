"""`prewired study | report | status`."""

from __future__ import annotations

import argparse
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .progress import counted, study_progress

if TYPE_CHECKING:
    from ..study import Engine, Study

FIELDS = {  # options of `prewired study` -> fields of StudyConfig; those that are given win over the file's
    "data": "data",
    "family": "families",
    "density": "densities",
    "edges": "edges",
    "budget": "budget",
    "control": "controls",
    "init": "inits",
    "graph_seeds": "graph_seeds",
    "train_seeds": "train_seeds",
    "reference_seeds": "reference_seeds",
    "train_rows": "train_rows",
    "hidden": "hidden",
    "epochs": "epochs",
    "patience": "patience",
    "batch_size": "batch_size",
    "learning_rate": "learning_rate",
    "learning_rates": "learning_rates",
    "tune_epochs": "tune_epochs",
    "tune_seeds": "tune_seeds",
    "optimizer": "optimizer",
    "momentum": "momentum",
    "weight_decay": "weight_decay",
    "skip_impossible": "skip_impossible",
    "timing": "timing",
    "target": "target",
    "task": "task",
    "root": "root",
}


def add_study(one: argparse.ArgumentParser) -> None:
    """The options of `prewired study`."""
    some: dict[str, Any] = {"default": argparse.SUPPRESS}
    many: dict[str, Any] = {**some, "action": "extend", "nargs": "+"}
    one.add_argument("file", metavar="FILE.toml", nargs="?", type=Path, help="the study; options win over what it says")
    one.add_argument("-o", "--output", type=Path, default=None, help="its folder (default: study, or the file's name)")
    grid = one.add_argument_group("what is compared")
    grid.add_argument("--data", **many, help="digits, mnist, fashion_mnist, cifar10, adult, or .npz or .csv files")
    grid.add_argument(
        "--family",
        **many,
        help="families, with parameters as in swap_ladder:swaps=0.1, or one per layer as in a+b",
    )
    grid.add_argument("--density", **many, type=float, help="shares of the edges")
    grid.add_argument("--edges", **many, type=int, metavar="N", help="instead, numbers of edges of all sparse layers")
    grid.add_argument("--budget", **some, help="how edges are divided among layers: uniform, erdos_renyi or erk")
    grid.add_argument("--control", **many, help="run families also: permuted (inputs), shuffled (edges in their layer)")
    grid.add_argument("--init", **many, help="run families also: n_in (initial weights as if dense)")
    grid.add_argument("--graph-seeds", **some, type=int, metavar="N", help="graphs per family and density (default: 3)")
    grid.add_argument("--train-seeds", **some, type=int, metavar="N", help="trainings per graph (default: 1)")
    grid.add_argument("--reference-seeds", **some, type=int, metavar="N", help="trainings of each dense net")
    grid.add_argument("--hidden", **some, type=int, nargs="+", metavar="WIDTH", help="default: 1000 1000")
    grid.add_argument(
        "--skip-impossible", **some, action=argparse.BooleanOptionalAction, help="leave out graphs that do not exist"
    )
    how = one.add_argument_group("how it is trained")
    how.add_argument("--train-rows", **some, type=int, metavar="N", help="rows of training (default: all)")
    how.add_argument("--epochs", **some, type=int, help="default: 10")
    how.add_argument("--patience", **some, type=int, metavar="N", help="stop after N epochs without a lower loss")
    how.add_argument("--batch-size", **some, type=int, metavar="N", help="default: 128")
    how.add_argument("--learning-rate", **some, type=float, metavar="RATE", help="default: 0.001")
    how.add_argument("--learning-rates", **many, type=float, metavar="RATE", help="choose among these by validation")
    how.add_argument("--tune-epochs", **some, type=int, metavar="N", help="epochs for that choice (default: all)")
    how.add_argument("--tune-seeds", **some, type=int, metavar="N", help="trainings of each of them (default: 1)")
    how.add_argument("--optimizer", **some, choices=["adam", "sgd"], help="default: adam")
    how.add_argument("--momentum", **some, type=float, help="of sgd (default: 0.9)")
    how.add_argument("--weight-decay", **some, type=float, metavar="RATE", help="default: 0")
    how.add_argument("--timing", **some, action=argparse.BooleanOptionalAction, help="time training steps afterwards")
    how.add_argument("--target", **some, metavar="COLUMN", help="the column to predict, for .csv files")
    how.add_argument("--task", **some, choices=["classification", "regression"], help="where the data leave it open")
    how.add_argument("--root", **some, help="the folder of the data sets (default: $PREWIRED_DATA, else a cache)")
    where = one.add_argument_group("where it runs")
    where.add_argument("--engine", choices=["local", "ray"], default="local", help="default: %(default)s")
    where.add_argument("--address", help="of the Ray cluster, such as auto or 10.0.0.1:6379 (default: auto)")
    where.add_argument("--workers", type=int, metavar="N", help="local processes (default: one per processor)")
    where.add_argument("--worker-threads", type=int, metavar="N", help="threads of each (default: 1)")


def add_report(one: argparse.ArgumentParser) -> None:
    """The options of `prewired report`."""
    one.add_argument("folder", metavar="STUDY", type=Path, help="the study's folder")
    one.add_argument("-o", "--output", type=Path, help="the folder to write to (default: the study's own)")
    one.add_argument("--no-pictures", action="store_true", help="leave out the PNG files")


def add_status(one: argparse.ArgumentParser) -> None:
    """The options of `prewired status`."""
    one.add_argument("folder", metavar="STUDY", type=Path, help="the study's folder")


def study(arguments: argparse.Namespace) -> None:
    """`prewired study`: run what is missing, then write everything and print the main tables."""
    from ..study import from_dict, read
    from ..study import study as run_study

    _need_extras()
    values = {} if arguments.file is None else read(arguments.file)
    given = {field: getattr(arguments, option) for option, field in FIELDS.items() if hasattr(arguments, option)}
    if "densities" in given:
        values.pop("edges", None)
    if "edges" in given:
        values.pop("densities", None)
    config = from_dict({**values, **given}, "prewired study" if arguments.file is None else str(arguments.file))
    folder = arguments.output or Path("study" if arguments.file is None else arguments.file.stem)
    with study_progress() as progress:
        found = run_study(config, folder, engine=_engine(arguments), progress=progress)
    _report(found, folder, pictures=True, tables=True)


def report(arguments: argparse.Namespace) -> None:
    """`prewired report`: write the page, the tables and the pictures of what is there."""
    from ..study import load

    _need_extras()
    found = load(arguments.folder)
    folder = arguments.output or arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    _report(found, folder, pictures=not arguments.no_pictures, tables=False)


def status(arguments: argparse.Namespace) -> None:
    """`prewired status`: how far a study is."""
    from ..study.study_status import lines
    from ..study.study_status import status as status_of

    for line in lines(status_of(arguments.folder)):
        print(line)


def _need_extras() -> None:
    """See that what a report needs is there, now rather than after hours of training."""
    for package in ("rich", "matplotlib", "plotly", "sklearn", "statsmodels"):
        if find_spec(package) is None:
            raise ImportError(f"expected the package {package}, got none; pip install 'prewired[study]'")


def _engine(arguments: argparse.Namespace) -> Engine:
    from ..study.running.engines import default_workers, inline, processes

    threads = 1 if arguments.worker_threads is None else arguments.worker_threads
    workers = max(1, default_workers() // max(1, threads)) if arguments.workers is None else arguments.workers
    if workers < 1 or threads < 1:
        raise ValueError(f"expected --workers and --worker-threads >= 1, got {workers} and {threads}")
    if arguments.engine == "ray" and arguments.workers is not None:
        raise ValueError("expected no --workers with --engine ray, which uses the whole cluster; leave it out")
    if arguments.engine == "ray":
        from ..study.running.ray_engine import cluster

        return partial(cluster, address=arguments.address or "auto", threads=threads)
    if arguments.address:
        raise ValueError("expected --engine ray with --address, got the local engine; add --engine ray")
    if workers == 1 and arguments.worker_threads is None:
        return inline  # with the threads that torch takes by itself
    return partial(processes, workers=workers, threads=threads)


def _report(found: Study, folder: Path, *, pictures: bool, tables: bool) -> None:
    from rich.console import Console

    from ..study import reporting

    analysed = reporting.analyse_study(found)
    written = reporting.write_tables(analysed, folder)
    with counted("drawing the graphs") as progress:
        page = reporting.write_page(analysed, folder, progress=progress)
    drawn = reporting.draw_pictures(analysed, folder) if pictures else []
    if tables:
        console = Console()
        if not console.is_terminal:
            console.width = 120
        with console.capture() as shown:
            reporting.print_report(analysed, console)
        print(shown.get())  # not by rich, which ends the program when the reader of a pipe has gone
    else:
        for sentence in reporting.describe_findings(analysed):
            print(f"- {sentence}")
    names = ", ".join(path.name for path in [page, *written, *drawn])
    print(f"Written to {folder}/: {names}")
