"""Run a study, load its results, report on it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

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
    """Run what is missing of a study, and return all of its results; each result is stored as soon as it is there.

    First all graphs are generated and measured, so that an impossible net stops the study before any training. Then
    learning rates are chosen, where several were given. Then come the runs. At last training steps are timed, with
    nothing else of the study running. A second call with the same folder goes on where the last call was stopped.
    Results of other configs in the folder stay; a report is of the config of the last call.

    Args:
        config: the study.
        folder: of runs.sqlite, which is created if it does not exist.
        engine: does the tasks: `inline` in this process; `processes` in workers, with their number bound as in
            `functools.partial(processes, workers=2)`; `cluster` on Ray.
        progress: called after each epoch and when a result is stored.

    Returns:
        The runs of this config, in its order.

    Raises:
        ValueError: for a net whose graphs do not exist, with its family and density; for a folder of another kind.
        RuntimeError: if a worker process keeps dying, or no learning rate gives a finite loss.
        KeyboardInterrupt: with a line that says how many runs are stored.

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
        try:
            table.store_request()
            _run_tasks(table, connection, engine, progress)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(table.describe_runs()) from None
        finally:
            with suppress(OSError):  # the store itself may have failed
                note = database.read_note(connection, "state") or {}
                database.write_note(connection, "state", {**note, "process": None})
        return table.build_study()
    finally:
        connection.close()


def _run_tasks(
    table: TaskTable, connection: database.Connection, engine: Engine, progress: Callable[[Step], None] | None
) -> None:
    """Run the tasks that have no result yet, phase by phase, and time training steps."""
    table.choose_rates()  # those whose trainings are complete
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
        folder: of a study, which may be running meanwhile.

    Raises:
        ValueError: for a folder of another kind, or a study of an older version.
        OSError: if there is no study in the folder.
    """
    connection = database.open_to_read(folder)
    try:
        request = database.read_note(connection, "asked")
        if request is None:
            raise ValueError(f"expected a study of this version in {folder}, got an older one; run it again")
        facts = {name: Facts(**values) for name, values in request["facts"].items()}
        plan = StudyPlan.build(StudyConfig.from_dict(request["config"], str(folder)), facts)
        table = TaskTable(plan, connection)
        table.choose_rates()
        return table.build_study()
    finally:
        connection.close()


def report(folder: str | Path, output: str | Path | None = None) -> list[Path]:
    """Write the page, the tables and the pictures of what is finished of a study.

    Args:
        folder: of the study, which may be running meanwhile.
        output: the folder to write to, by default the study's own folder.

    Returns:
        The paths of the files; the page report.html is the first.

    Raises:
        ValueError: if no run is finished, and as `load` does.
        OSError: if there is no study in the folder, or the files cannot be written.
    """
    analysis = reporting.analyse_study(load(folder))
    output = Path(folder if output is None else output)
    output.mkdir(parents=True, exist_ok=True)
    page = reporting.write_page(analysis, output)
    return [page, *reporting.write_tables(analysis, output), *reporting.draw_pictures(analysis, output)]
