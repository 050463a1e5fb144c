"""Run a study, load its results, report on it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..io.stop_signals import interrupt_on_stop_signals
from . import reporting
from .config import StudyConfig
from .plan import StudyPlan
from .results import Study
from .running import database
from .running.engines import Engine, inline
from .running.eta import Eta, Step
from .running.perform import gather_facts
from .running.step_timing import update_timings
from .running.task_table import TaskTable
from .running.worker import make_loader
from .tasks import GRAPHS, PHASES, RATES, Facts


def run(
    config: StudyConfig,
    folder: str | Path,
    *,
    engine: Engine = inline,
    progress: Callable[[Step], None] | None = None,
) -> Study:
    """Run the tasks of a study that have no result yet, and return all results.

    Each result is stored at once; a second call with the same folder continues where the last call was stopped.

    1. All graphs are generated and measured, so that an impossible net stops the study before any training.
    2. Learning rates are chosen, if the config gives several.
    3. The runs are trained.
    4. Training steps are timed, while nothing else of the study runs.

    Results of other configs in the folder stay. A report describes the config of the last call.

    Args:
        config: the study.
        folder: the folder of runs.sqlite, which is created if it does not exist.
        engine: does the tasks. `inline` does them in this process; `processes` in worker processes, with their number
            bound as in `functools.partial(processes, workers=2)`; `cluster` on Ray.
        progress: called after each epoch, and when a result is stored.

    Returns:
        The runs of this config, in the order of the plan.

    Raises:
        ValueError: if the graphs of a net do not exist (the message names family and density), or if the folder holds
            other files.
        RuntimeError: if a worker process keeps dying, or no learning rate gives a finite loss.
        KeyboardInterrupt: on Ctrl-C, SIGTERM or SIGHUP; the message says how many runs are stored.

    Example:
        >>> config = StudyConfig("digits", ["biregular"], [0.2], graph_seeds=1, hidden=[8], epochs=1, timing=False)
        >>> import tempfile
        >>> [row.family for row in run(config, tempfile.mkdtemp()).rows]
        ['dense', 'dense narrow', 'biregular']
    """
    plan = StudyPlan.build(config, gather_facts(config))
    connection = database.open_store(folder)
    try:
        table = TaskTable(plan, connection)
        with interrupt_on_stop_signals():
            try:
                table.store_request()
                _run_tasks(table, connection, engine, progress)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(table.describe_runs()) from None
            finally:
                with suppress(OSError):  # the failure may be that of the store
                    note = database.read_note(connection, "state") or {}
                    database.write_note(connection, "state", {**note, "process": None})
        return table.build_study()
    finally:
        connection.close()


def _run_tasks(
    table: TaskTable, connection: database.Connection, engine: Engine, progress: Callable[[Step], None] | None
) -> None:
    """Run the tasks that have no result yet, phase by phase, and time training steps."""
    table.choose_rates()  # of the nets whose trainings are complete
    eta = Eta(table, progress)
    database.write_note(connection, "state", eta.describe_state(PHASES[0]))
    for phase in PHASES:
        missing = table.list_missing(phase)
        for task, payload in engine(table.plan, missing, eta.begin(phase)) if missing else ():
            table.add(task, payload)
            eta.add_result(phase, task, payload)
            database.write_note(connection, "state", eta.describe_state(phase))
        if phase == GRAPHS:
            table.check_edges()
            table.apply_graphs()
        if phase == RATES:
            table.choose_rates()
    if table.plan.config.timing:
        load = make_loader(table.plan.config, table.plan.sources)
        update_timings(connection, table.plan, load, eta.report_timing)


def load(folder: str | Path) -> Study:
    """Load the stored results of the config that a folder was last run with, without running anything.

    Args:
        folder: the folder of a study, which may be running.

    Raises:
        ValueError: if the folder holds another database, or a study of an older version.
        OSError: if the folder holds no study.
    """
    connection = database.open_to_read(folder)
    try:
        request = database.read_note(connection, "asked")
        if request is None:
            raise ValueError(f"expected a study of this version in {folder}, got an older one; run it again")
        with database.explain_damage(folder):
            facts = {name: Facts(**values) for name, values in request["facts"].items()}
            plan = StudyPlan.build(StudyConfig.from_dict(request["config"], str(folder)), facts)
            table = TaskTable(plan, connection)
            table.choose_rates()
            return table.build_study()
    finally:
        connection.close()


def report(folder: str | Path, output: str | Path | None = None) -> list[Path]:
    """Write the page, the tables and the pictures of the finished runs of a study.

    Args:
        folder: the folder of the study, which may be running.
        output: the folder to write to, by default the folder of the study.

    Returns:
        The paths of the files; the page report.html is the first.

    Raises:
        ValueError: if no run is finished, or as `load` does.
        OSError: if the folder holds no study, or the files cannot be written.
    """
    analysis = reporting.analyse_study(load(folder))
    output = Path(folder if output is None else output)
    output.mkdir(parents=True, exist_ok=True)
    page = reporting.write_page(analysis, output)
    return [page, *reporting.write_tables(analysis, output), *reporting.draw_pictures(analysis, output)]
