"""What a study asks for, phase by phase, and what of it is in the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from ...nn import narrow_sizes
from ..config import StudyConfig
from ..grid import (
    TUNING_SEED,
    Job,
    Net,
    graph_seeds,
    is_reference,
    layer_fan_ins,
    nets,
    room,
    shares,
    training_jobs,
    tuning_jobs,
)
from ..results import Facts, Study, Tuned, check_edges, choose, graph_key, row, run_key
from . import database, step_timing
from .tasks import Graphs, Task

GRAPHS, RATES, RUNS = "graphs", "learning rates", "runs"
PHASES = (GRAPHS, RATES, RUNS)  # each rests on what came out of the one before


class Ledger:
    """The tasks of a study and their results; what is added is on disk at once.

    Args:
        config: the study.
        facts: of its data sets, by their names in the config.
        connection: to its store.
    """

    def __init__(self, config: StudyConfig, facts: Mapping[str, Facts], connection: database.Connection) -> None:
        self.config, self.facts, self._connection = config, facts, connection
        self._sizes = {name: (known.n_features, *config.hidden, known.n_outputs) for name, known in facts.items()}
        self._graphs: dict[str, Any] = database.load(connection, "graphs")
        self._runs: dict[str, Any] = database.load(connection, "runs")

    def tasks(self, phase: str) -> dict[str, Task]:
        """Key -> task, in order; where two tasks are the same work, the first."""
        if phase == GRAPHS:
            tasks = [(graph_key(task, self.config), task) for task in self._graph_tasks()]
        else:
            with _readable(self._connection):
                jobs = tuning_jobs(self.config, self.nets()) if phase == RATES else self._jobs()
            tasks = [(run_key(job, self.config, self.facts), job) for job in jobs]
        first: dict[str, Task] = {}
        for key, task in tasks:
            first.setdefault(key, task)
        return first

    def missing(self, phase: str) -> list[Task]:
        """The tasks of a phase that have no result yet."""
        stored = self._stored(phase)
        return [task for key, task in self.tasks(phase).items() if key not in stored]

    def count(self, phase: str) -> tuple[int, int]:
        """(results stored, tasks in all) of a phase."""
        tasks, stored = self.tasks(phase), self._stored(phase)
        return sum(key in stored for key in tasks), len(tasks)

    def add(self, task: Task, payload: dict[str, Any]) -> None:
        """Store a result."""
        if isinstance(task, Graphs):
            key, table, results = graph_key(task, self.config), "graphs", self._graphs
        else:
            key, table, results = run_key(task, self.config, self.facts), "runs", self._runs
        database.add(self._connection, key, payload, table)
        results[key] = payload

    def check(self) -> None:
        """See that all graphs of one density have equally many edges.

        Raises:
            ValueError: where they do not.
        """
        made = [(task, self._graphs.get(graph_key(task, self.config), {})) for task in self._graph_tasks()]
        with _readable(self._connection):
            check_edges([(task, payload) for task, payload in made if "layers" in payload])

    def impossible(self) -> dict[Net, str]:
        """The nets that are left out because their graphs do not exist, and why."""
        found = {}
        for net in self._all_nets():
            for seed in graph_seeds(net, self.config) if not is_reference(net) else ():
                payload = self._graphs.get(graph_key(Graphs(net, seed), self.config), {})
                if "impossible" in payload:
                    found[net] = payload["impossible"]
        return found

    def note_asked(self) -> None:
        """Keep in the store what was asked, so that it can be reported without the data."""
        asked = {"config": self.config.to_dict(), "facts": {name: asdict(known) for name, known in self.facts.items()}}
        database.note(self._connection, "asked", {**asked, "when": datetime.now(UTC).isoformat(timespec="seconds")})

    def study(self) -> Study:
        """The finished runs of the grid, in its order.

        Raises:
            ValueError: if what is stored for one is no result of a study.
        """
        with _readable(self._connection):
            return self._study()

    def _study(self) -> Study:
        rows, failed, rates = [], [], self._rates()
        jobs = self._jobs() if None not in rates.values() else []
        for job in jobs:
            payload = self._runs.get(run_key(job, self.config, self.facts))
            if payload is None:
                continue
            if "failed" in payload:
                failed.append(f"{job}: {payload['failed']}")
                continue
            of_graphs = Graphs(job.net, job.graph_seed)
            graphs = None if is_reference(job.net) else self._graphs[graph_key(of_graphs, self.config)]
            rows.append(row(job, payload, graphs))
        tuned = tuple(self._tuned().values())
        skipped = tuple(dict.fromkeys(self.impossible().values()))
        shown = {digest for row in rows for digest in row.digests}
        made = [self._graphs.get(graph_key(task, self.config), {}) for task in self._graph_tasks()]
        layers = [layer for payload in reversed(made) for layer in payload.get("layers", ())]  # the first family counts
        recipes = {layer["digest"]: layer["recipe"] for layer in layers if layer["digest"] in shown and layer["recipe"]}
        return Study(
            self.config,
            self.facts,
            tuple(rows),
            len(self._jobs()),
            tuple(failed),
            tuned,
            skipped,
            recipes,
            step_timing.kept(self._connection, self.config, self.nets()),
        )

    def _stored(self, phase: str) -> dict[str, Any]:
        if phase != GRAPHS:
            return self._runs
        if self.config.skip_impossible:
            return self._graphs
        return {key: made for key, made in self._graphs.items() if "impossible" not in made}

    def _graph_tasks(self) -> list[Graphs]:
        sparse = [net for net in self._all_nets() if not is_reference(net) and net.init == "fan_in"]
        most = max((len(graph_seeds(net, self.config)) for net in sparse), default=0)
        tasks = [
            Graphs(net, seeds[k])
            for k in range(most)
            for net in sparse
            if k < len(seeds := graph_seeds(net, self.config))
        ]
        tuning = [net for net in sparse if self.config.learning_rates and graph_seeds(net, self.config) != [None]]
        return tasks + [Graphs(net, TUNING_SEED) for net in tuning]

    def nets(self) -> list[Net]:
        """The nets to be trained."""
        impossible = self.impossible() if self.config.skip_impossible else {}
        return [net for net in self._all_nets() if net not in impossible]

    def _all_nets(self) -> list[Net]:
        narrow = {
            data: {density: self._narrow(data, density) for density in shares(self.config, sizes)}
            for data, sizes in self._sizes.items()
        }
        return nets(self.config, self._sizes, narrow)

    def _narrow(self, data: str, density: float) -> tuple[int, ...]:
        """The sizes of the dense net with as many parameters; any family tells, for all have equally many edges."""
        sizes = self._sizes[data]
        net = Net(data, self.config.families[0], "", "fan_in", density, sizes)
        made = self._graphs.get(graph_key(Graphs(net, graph_seeds(net, self.config)[0]), self.config))
        if made is not None and "layers" in made:
            n_edges = sum(layer["n_edges"] for layer in made["layers"])
        elif self.config.edges:
            n_edges = round(density * room(sizes))
        else:
            each = layer_fan_ins(density, sizes, self.config.budget)
            n_edges = sum(fan_in * n_out for fan_in, n_out in zip(each, sizes[1:-1], strict=True))
        *_, (last, n_outputs) = pairwise(sizes)
        n_parameters = n_edges + sum(sizes[1:-1]) + (last + 1) * n_outputs
        return tuple(narrow_sizes(list(sizes), n_parameters))

    def _tuned(self) -> dict[Net, Tuned]:
        """The choices that can be made by now."""
        trained: dict[Net, dict[float, list[Any]]] = {}
        for job in tuning_jobs(self.config, self.nets()):
            payload = self._runs.get(run_key(job, self.config, self.facts))
            if payload is not None:
                trained.setdefault(job.net, {}).setdefault(job.learning_rate, []).append(payload)
        complete = len(self.config.learning_rates) * self.config.tune_seeds
        return {net: choose(net, found) for net, found in trained.items() if sum(map(len, found.values())) == complete}

    def _rates(self) -> dict[Net, float | None]:
        """The learning rate of every net, None while it is to be chosen."""
        if not self.config.learning_rates:
            return dict.fromkeys(self.nets(), self.config.learning_rate)
        tuned = self._tuned()
        return {net: tuned[net].chosen if net in tuned else None for net in self.nets()}

    def _jobs(self) -> list[Job]:
        """The runs to be reported; while learning rates are to be chosen these are provisional."""
        some = (self.config.learning_rates or (self.config.learning_rate,))[0]
        rates = {net: some if rate is None else rate for net, rate in self._rates().items()}
        return training_jobs(self.config, self.nets(), rates)


@contextmanager
def _readable(connection: database.Connection) -> Iterator[None]:
    """What is no result of a study, as a ValueError with the file and the remedy."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(
            f"expected results of a study in {database.path_of(connection)}, got another row ({error!r}); "
            "choose another folder, or move that file away and run again"
        ) from error
