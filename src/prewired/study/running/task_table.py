"""The table of tasks: which tasks of a study have a result in the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from ..config import StudyConfig
from ..nets import Net, is_reference
from ..plan import StudyPlan
from ..results import RateChoice, Study, check_equal_edges, choose_rate, make_row
from ..stored_values import COUNT, TEXT, check_fields
from ..tasks import GRAPHS, RUNS, Facts, GraphTask, Task
from . import database, step_timing


class TaskTable:
    """The tasks of a study and their results; an added result is on disk at once.

    Results can change the plan: see `apply_graphs` and `choose_rates`.

    Args:
        plan: the study.
        connection: to the store of the study.

    Raises:
        ValueError: if the store holds rows that are not results of a study.
    """

    def __init__(self, plan: StudyPlan, connection: database.Connection) -> None:
        self.plan, self._connection = plan, connection
        self._graphs = database.read_results(connection, "graphs")
        self._runs = database.read_results(connection, "runs")
        self.rate_choices: dict[Net, RateChoice] = {}
        self.apply_graphs()

    @property
    def path(self) -> str:
        """The path of the store's file."""
        return database.find_path(self._connection)

    def list_missing(self, phase: str) -> list[Task]:
        """List the tasks of a phase that have no result yet."""
        results = self._select_results(phase)
        return [task for key, task in self.plan.list_tasks(phase).items() if key not in results]

    def list_payloads(self, phase: str) -> list[Mapping[str, Any]]:
        """List the results of a phase, in the order of its tasks."""
        results = self._select_results(phase)
        return [results[key] for key in self.plan.list_tasks(phase) if key in results]

    def count(self, phase: str) -> tuple[int, int]:
        """Count the stored results and all tasks of a phase."""
        tasks, results = self.plan.list_tasks(phase), self._select_results(phase)
        return sum(key in results for key in tasks), len(tasks)

    def add(self, task: Task, payload: dict[str, Any]) -> None:
        """Store the result of a task."""
        table, results = ("graphs", self._graphs) if isinstance(task, GraphTask) else ("runs", self._runs)
        key = self.plan.keys[task]
        database.add_result(self._connection, key, payload, table)
        results[key] = payload

    def apply_graphs(self) -> None:
        """Add what the measured graphs tell to the plan: sizes of narrow dense nets, and impossible nets."""
        with database.explain_damage(self.path):
            self.plan = self.plan.with_graphs(self._graphs)

    def choose_rates(self) -> None:
        """Choose the learning rate of every net whose tuning trainings are complete, and add the rates to the plan.

        Raises:
            RuntimeError: if with every learning rate of a net the loss stopped being finite.
        """
        with database.explain_damage(self.path):
            trainings: dict[Net, dict[float, list[Any]]] = {}
            for task in self.plan.tuning_tasks:
                payload = self._runs.get(self.plan.keys[task])
                if payload is not None:
                    trainings.setdefault(task.net, {}).setdefault(task.learning_rate, []).append(payload)
            n_trainings = len(self.plan.config.learning_rates) * self.plan.config.tune_seeds
            self.rate_choices = {
                net: choose_rate(net, results)
                for net, results in trainings.items()
                if sum(map(len, results.values())) == n_trainings
            }
        self.plan = self.plan.with_rates({net: choice.chosen for net, choice in self.rate_choices.items()})

    def check_edges(self) -> None:
        """Check that all graphs of one density have equally many edges.

        Raises:
            ValueError: if two graphs differ.
        """
        with database.explain_damage(self.path):
            results = [(task, payload) for task, payload in self._list_graph_results() if "layers" in payload]
            for _, payload in results:
                for layer in payload["layers"]:
                    check_fields(layer, {"n_edges": COUNT})
        check_equal_edges(results)

    def store_request(self) -> None:
        """Store the config and the facts, so that the study can be reported without the data."""
        facts = {name: asdict(values) for name, values in self.plan.facts.items()}
        when = datetime.now(UTC).isoformat(timespec="seconds")
        request = {"config": self.plan.config.to_dict(), "facts": facts, "when": when}
        database.write_note(self._connection, "asked", request)

    def build_study(self) -> Study:
        """Build the Study: the finished runs, in the order of the plan.

        Raises:
            ValueError: if the store holds a row that is not a result of a study.
        """
        with database.explain_damage(self.path):
            return self._collect_study()

    def _collect_study(self) -> Study:
        plan, rows, failed = self.plan, [], []
        for task in plan.runs if plan.rates_are_chosen else ():
            payload = self._runs.get(plan.keys[task])
            if payload is None:
                continue
            if "failed" in payload:
                failed.append(f"{task}: {payload['failed']}")
                continue
            graphs = None if is_reference(task.net) else self._graphs[plan.find_graph_key(task.net, task.graph_seed)]
            rows.append(make_row(task, payload, graphs))
        return Study(
            config=plan.config,
            facts=plan.facts,
            rows=tuple(rows),
            n_runs=len(plan.runs),
            failed=tuple(failed),
            rate_choices=tuple(self.rate_choices.values()),
            impossible=tuple(dict.fromkeys(plan.impossible.values())),
            recipes=self._collect_recipes({digest for row in rows for digest in row.digests}),
            timings=step_timing.read_timings(self._connection, plan),
        )

    def _collect_recipes(self, digests: set[str]) -> dict[str, str]:
        """Collect digest -> recipe; if two families generate a graph, the recipe of the first family."""
        payloads = [payload for _, payload in self._list_graph_results()]
        layers = [layer for payload in reversed(payloads) for layer in payload.get("layers", ())]
        return {layer["digest"]: layer["recipe"] for layer in layers if layer["digest"] in digests and layer["recipe"]}

    def _list_graph_results(self) -> list[tuple[GraphTask, Mapping[str, Any]]]:
        """List every graph task with its result, {} if it has no result yet."""
        return [(task, self._graphs.get(self.plan.keys[task], {})) for task in self.plan.graph_tasks]

    def _select_results(self, phase: str) -> dict[str, Any]:
        if phase != GRAPHS:
            return self._runs
        if self.plan.config.skip_impossible:
            return self._graphs
        return {key: payload for key, payload in self._graphs.items() if "impossible" not in payload}

    def describe_runs(self) -> str:
        """Describe how many runs are stored and how to continue; an interrupted study shows this line."""
        n_stored, total = self.count(RUNS)
        return f"{n_stored} of {total} runs are stored; run the same command again to go on"


def read_request(connection: database.Connection) -> tuple[StudyPlan, str] | None:
    """Read what `TaskTable.store_request` stored: the plan of the study, and when it was requested; None for nothing.

    Raises:
        ValueError: if the note is damaged.
    """
    path = database.find_path(connection)
    request = database.read_note(connection, "asked")
    if request is None:
        return None
    with database.explain_damage(path):
        kinds = {"name": TEXT, "note": TEXT, "n_features": COUNT, "n_outputs": COUNT, "source": (dict,)}
        for values in request["facts"].values():
            check_fields(values, kinds)
        facts = {name: Facts(**values) for name, values in request["facts"].items()}
        plan = StudyPlan.build(StudyConfig.from_dict(request["config"], path), facts)
        return plan, datetime.fromisoformat(request["when"]).isoformat()
