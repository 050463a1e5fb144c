"""The study: families x densities x graph seeds x training seeds, beside two dense references.

Every result is stored at once, so a study can be stopped at any moment and goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from .config import CONTROLS, StudyConfig, from_dict, parse_families, parse_family, read
from .grid import Job, Net, check_densities, is_reference, layer_fan_ins, nets, room, shares, training_jobs, tuning_jobs
from .results import Facts, Study, Tuned
from .running import database
from .running.engines import Result, Setup, Told, inline, processes
from .running.eta import Clock, Step
from .running.step_timing import Timing, keep
from .running.task_table import GRAPHS, PHASES, RATES, RUNS, Ledger
from .running.tasks import Graphs, load_data, machine, module_bytes, source
from .running.worker import loader
from .wiring import wire_net

__all__ = [
    "CONTROLS",
    "GRAPHS",
    "PHASES",
    "RATES",
    "RUNS",
    "Facts",
    "Graphs",
    "Job",
    "Net",
    "Step",
    "Study",
    "StudyConfig",
    "Timing",
    "Tuned",
    "from_dict",
    "inline",
    "is_reference",
    "layer_fan_ins",
    "load",
    "machine",
    "module_bytes",
    "nets",
    "parse_families",
    "parse_family",
    "processes",
    "read",
    "room",
    "shares",
    "study",
    "training_jobs",
    "tuning_jobs",
    "wire_net",
]

Engine = Callable[[Setup, Sequence[Graphs | Job], Told], Iterator[Result]]


def study(
    config: StudyConfig,
    folder: str | Path,
    *,
    engine: Engine = inline,
    progress: Callable[[Step], None] | None = None,
) -> Study:
    """Do what is missing of the asked grid, storing each result as it comes; all of it comes back.

    First every graph is made and measured, so an impossible cell stops the study before any training. Then learning
    rates are chosen, where several were given. Then come the runs, and at last training steps are timed, with nothing
    else of the study running. Running again with the same folder goes on where the last call was stopped; results of
    other grids in it are left alone, a report is of the last grid asked for.

    Args:
        config: the grid.
        folder: where runs.sqlite is, or will be.
        engine: where the work is done: `inline`, or `processes` with its workers given, as by
            `functools.partial(processes, workers=2)`.
        progress: called after each epoch and when a result is stored.

    Returns:
        The runs of this grid, in its order.

    Raises:
        ValueError: for a cell that cannot be made; it names the family and the density. For a folder of another kind.
        RuntimeError: if a worker process keeps dying, or no learning rate gives a finite loss.
        KeyboardInterrupt: with a line that says how many runs are stored.
    """
    facts = {name: _facts(config, name) for name in config.data}
    tasks = {name: known.source["task"] for name, known in facts.items()}
    if len(set(tasks.values())) > 1:
        told = ", ".join(f"{name}: {task}" for name, task in tasks.items())
        raise ValueError(f"expected data sets of one task in a study, got {told}; make a study of each")
    for known in facts.values():
        check_densities(config, (known.n_features, *config.hidden, known.n_outputs))
    connection = database.open_store(folder)
    try:
        ledger = Ledger(config, facts, connection)
        ledger.note_asked()
        clock = Clock(ledger, progress)
        setup = Setup(config, {name: known.source for name, known in facts.items()})
        try:
            database.note(connection, "state", clock.state(PHASES[0]))
            for phase in PHASES:
                missing = ledger.missing(phase)
                for task, payload in engine(setup, missing, clock.told(phase)) if missing else ():
                    ledger.add(task, payload)
                    clock.stored(phase, task, payload)
                    database.note(connection, "state", clock.state(phase))
                if phase == GRAPHS:
                    ledger.check()
            if config.timing:
                keep(connection, config, ledger.nets(), loader(setup), clock.timed)
        except KeyboardInterrupt:
            done, total = ledger.count(RUNS)
            raise KeyboardInterrupt(f"{done} of {total} runs are stored; run the same command again to go on") from None
        finally:
            with suppress(OSError):  # it may be what went wrong
                database.note(connection, "state", {**(database.noted(connection, "state") or {}), "process": None})
        return ledger.study()
    finally:
        connection.close()


def load(folder: str | Path) -> Study:
    """What is stored of the grid that a folder was last asked for, without running anything.

    Args:
        folder: of a study, which may be running meanwhile.

    Raises:
        ValueError: for a folder of another kind, or one in which no study was begun by this version.
        OSError: if there is none.
    """
    connection = database.open_to_read(folder)
    try:
        asked = database.noted(connection, "asked")
        if asked is None:
            raise ValueError(f"expected a study of this version in {folder}, got an older one; run it again")
        facts = {name: Facts(**values) for name, values in asked["facts"].items()}
        return Ledger(from_dict(asked["config"], str(folder)), facts, connection).study()
    finally:
        connection.close()


def _facts(config: StudyConfig, name: str) -> Facts:
    loaded = load_data(config, name)
    return Facts(loaded.name, loaded.note, loaded.n_features, loaded.n_outputs, source(loaded))
