"""The verbs that run a study, write its report and tell how far it is."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter
from rich.console import Console

from .. import study as studies
from ..nn.edge_budgets import BUDGETS
from ..nn.mlp import SCALES
from ..study import reporting, study_status
from ..study.config import CONTROLS
from ..study.running import engines, ray_engine
from ..training import TrainConfig
from .options import OPTIMIZER_NAMES, TASKS, Flag, Integer, Output, argument_texts, need_packages, options_of
from .progress import loop_progress, study_progress

WHERE = Parameter(group=Group("Where it runs", sort_key=2))
OPTIONS = {"families": "family", "densities": "density", "controls": "control", "inits": "init"}
CHOICES = {
    "budget": tuple(BUDGETS),
    "controls": CONTROLS,
    "inits": [scale for scale in SCALES if scale != "fan_in"],
    "optimizer": OPTIMIZER_NAMES,
    "task": TASKS,
}
SHARED = ("epochs", "batch_size", "optimizer", "momentum", "weight_decay", "patience")
TRAINING_TEXTS = {name: text for name, text in argument_texts(TrainConfig).items() if name in SHARED}


@options_of(
    studies.StudyConfig,
    "The study; FILE.toml has the same under the names of StudyConfig's fields",
    names=OPTIONS,
    choices=CHOICES,
    texts=TRAINING_TEXTS,
    once=["hidden"],
)
def study(
    file: Annotated[Path | None, Parameter(name="FILE.toml")] = None,
    /,
    *,
    output: Annotated[Output | None, Parameter(show_default="study, or the name of FILE.toml")] = None,
    engine: Annotated[Literal["local", "ray"], WHERE] = "local",
    address: Annotated[str | None, WHERE, Parameter(show_default="auto")] = None,
    workers: Annotated[Integer | None, WHERE, Parameter(show_default="one per processor")] = None,
    worker_threads: Annotated[Integer | None, WHERE, Parameter(show_default="1")] = None,
    **options: Any,
) -> None:
    """Compare families and densities with dense networks; run it again to go on after a stop.

    A folder may hold the runs of several studies; its report is of the last study that was run.

    For example:
      prewired study examples/does_topology_matter.toml -o topology
      prewired study --data digits --family biregular window2d --density 0.02 0.05 0.1
      prewired study mine.toml --epochs 30 --workers 4

    Args:
        file: The study as TOML; options override its values.
        output: Folder of the study.
        engine: Processes of this machine, or a Ray cluster.
        address: Address of the Ray cluster, such as auto or 10.0.0.1:6379.
        workers: Processes of the local engine.
        worker_threads: Threads of each process.
    """
    _need_report_packages()
    values = {} if file is None else studies.read_toml(file)
    # densities and edges exclude each other, so an option of one kind replaces the file's values of the other
    for name, rival in (("densities", "edges"), ("edges", "densities")):
        if name in options:
            values.pop(rival, None)
    config = studies.StudyConfig.from_dict({**values, **options}, "prewired study" if file is None else str(file))
    folder = output or Path("study" if file is None else file.stem)
    run_tasks = _engine(engine, address, workers, worker_threads)
    with study_progress() as progress:
        result = studies.run(config, folder, engine=run_tasks, progress=progress)
    _write_report(result, folder, pictures=True, tables=True)


def report(study: Path, /, *, output: Output | None = None, no_pictures: Flag = False) -> None:
    """Write the page, tables and pictures of a study, finished or not.

    For example:
      prewired report topology
      prewired report topology -o page --no-pictures

    Args:
        study: Folder of the study.
        output: Folder to write to; by default that of the study.
        no_pictures: Leave out the PNG files.
    """
    _need_report_packages()
    result = studies.load(study)
    folder = output or study
    folder.mkdir(parents=True, exist_ok=True)
    _write_report(result, folder, pictures=not no_pictures, tables=False)


def status(study: Path, /) -> None:
    """Tell how far a study is, whether it is running, and how long it may take.

    For example:
      prewired status topology

    Args:
        study: Folder of the study.
    """
    for line in study_status.describe_status(study_status.status(study)):
        print(line)


def _need_report_packages() -> None:
    need_packages("matplotlib", "plotly", "sklearn", "statsmodels")


def _engine(engine: str, address: str | None, workers: int | None, worker_threads: int | None) -> engines.Engine:
    threads = 1 if worker_threads is None else worker_threads
    n_workers = max(1, engines.count_processors() // max(1, threads)) if workers is None else workers
    if n_workers < 1 or threads < 1:
        raise ValueError(f"expected --workers and --worker-threads >= 1, got {n_workers} and {threads}")
    if engine == "ray":
        if workers is not None:
            raise ValueError("expected no --workers with --engine ray, which uses the whole cluster; leave it out")
        return partial(ray_engine.cluster, address=address or "auto", threads=threads)
    if address:
        raise ValueError("expected --engine ray with --address, got the local engine; add --engine ray")
    if n_workers == 1 and worker_threads is None:
        return engines.inline  # with the threads that torch takes by itself
    return partial(engines.processes, workers=n_workers, threads=threads)


def _write_report(result: studies.Study, folder: Path, *, pictures: bool, tables: bool) -> None:
    analysis = reporting.analyse_study(result)
    files = reporting.write_tables(analysis, folder)
    with loop_progress("drawing the graphs") as progress:
        page = reporting.write_page(analysis, folder, progress=progress)
    drawings = reporting.draw_pictures(analysis, folder) if pictures else []
    if tables:
        console = Console()
        if not console.is_terminal:
            console.width = 120
        with console.capture() as capture:
            reporting.print_report(analysis, console)
        print(capture.get())  # not by rich, which ends the program when the reader of a pipe has gone
    else:
        for sentence in reporting.describe_findings(analysis):
            print(f"- {sentence}")
    names = ", ".join(path.name for path in [page, *files, *drawings])
    print(f"Written to {folder}/: {names}")
