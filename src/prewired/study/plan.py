"""The plan of a study: every net, every task and every key. The plan is built once and passed on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .config import StudyConfig
from .nets import Net, check_densities, compute_dense_sizes, is_reference, list_densities, list_graph_seeds, list_nets
from .statistics import DENSE_NARROW
from .tasks import (
    GRAPHS,
    RATES,
    Facts,
    GraphTask,
    Task,
    TrainingTask,
    build_graph_key,
    build_run_key,
    list_graph_tasks,
    list_runs,
    list_tuning_tasks,
)


@dataclass(frozen=True)
class StudyPlan:
    """All nets and tasks of a study, with the keys under which results are stored; see `StudyPlan.build`.

    The graphs (`with_graphs`) and the learning rates (`with_rates`) are determined while the study runs.

    Args:
        config: the study.
        facts: data set -> its sizes and its digest.
        sizes: data set -> units per layer of the sparse nets, inputs first.
        densities: data set -> the densities that are compared.
        all_nets: every net, in the order of the report.
        graph_tasks: graphs to measure.
        tuning_tasks: trainings to choose learning rates.
        runs: trainings to report; they have the first learning rate until a rate is chosen for the net.
        keys: task -> key of its result.
        rates: net -> chosen learning rate.
        impossible: net -> reason why its graphs do not exist.
    """

    config: StudyConfig
    facts: Mapping[str, Facts]
    sizes: Mapping[str, tuple[int, ...]]
    densities: Mapping[str, tuple[float, ...]]
    all_nets: tuple[Net, ...]
    graph_tasks: tuple[GraphTask, ...]
    tuning_tasks: tuple[TrainingTask, ...] = ()
    runs: tuple[TrainingTask, ...] = ()
    keys: Mapping[Task, str] = field(default_factory=dict, repr=False)
    rates: Mapping[Net, float] = field(default_factory=dict)
    impossible: Mapping[Net, str] = field(default_factory=dict)

    @classmethod
    def build(cls, config: StudyConfig, facts: Mapping[str, Facts]) -> StudyPlan:
        """Build the plan of a study before anything has run.

        Args:
            config: the study.
            facts: data set -> its sizes and its digest.

        Raises:
            ValueError: for densities that round to the same graphs, or data sets of different tasks.

        Example:
            >>> config = StudyConfig("digits", ["biregular"], [0.1], graph_seeds=2, hidden=[32])
            >>> plan = StudyPlan.build(config, {"digits": Facts("digits", "", 64, 10, {})})
            >>> len(plan.nets), len(plan.graph_tasks), len(plan.runs)
            (3, 2, 4)
        """
        tasks = {name: facts[name].source.get("task", "") for name in config.data}
        if len(set(tasks.values())) > 1:
            listing = ", ".join(f"{name}: {task}" for name, task in tasks.items())
            raise ValueError(f"expected data sets of one task in a study, got {listing}; make a study of each")
        sizes = {name: (facts[name].n_features, *config.hidden, facts[name].n_outputs) for name in config.data}
        for units in sizes.values():
            check_densities(config, units)
        densities = {name: list_densities(config, units) for name, units in sizes.items()}
        nets = tuple(list_nets(config, sizes))
        graph_tasks = tuple(list_graph_tasks(config, nets))
        keys: dict[Task, str] = {task: build_graph_key(task, config) for task in graph_tasks}
        return cls(config, facts, sizes, densities, nets, graph_tasks, keys=keys)._with_trainings()

    @property
    def nets(self) -> list[Net]:
        """The nets to train: all nets except nets that are left out because their graphs do not exist."""
        return [net for net in self.all_nets if not (self.config.skip_impossible and net in self.impossible)]

    @property
    def sources(self) -> dict[str, Mapping[str, str]]:
        """Data set -> what identifies the data, so that a worker notices if the data have changed."""
        return {name: facts.source for name, facts in self.facts.items()}

    @property
    def rates_are_chosen(self) -> bool:
        """Whether a learning rate is chosen for every net."""
        return not self.config.learning_rates or all(net in self.rates for net in self.nets)

    def list_tasks(self, phase: str) -> dict[str, Task]:
        """List the tasks of a phase by key, in order; if several tasks have the same key, only the first task."""
        tasks = self.graph_tasks if phase == GRAPHS else self.tuning_tasks if phase == RATES else self.runs
        task_by_key: dict[str, Task] = {}
        for task in tasks:
            task_by_key.setdefault(self.keys[task], task)
        return task_by_key

    def find_graph_key(self, net: Net, graph_seed: int | None) -> str:
        """Find the key of the graphs of a net; nets with other initial weights have the same graphs."""
        return self.keys[GraphTask(replace(net, init="fan_in"), graph_seed)]

    def with_graphs(self, results: Mapping[str, Mapping[str, Any]]) -> StudyPlan:
        """Return the plan with the sizes of narrow dense nets and the impossible nets, as known from measured graphs.

        Args:
            results: key -> result of each finished graph task.
        """
        nets = {net: self._resize(net, results) for net in self.all_nets}
        impossible = {}
        for net in self.all_nets:
            for seed in list_graph_seeds(net, self.config) if not is_reference(net) else ():
                result = results.get(self.find_graph_key(net, seed), {})
                if "impossible" in result:
                    impossible[net] = result["impossible"]
        if all(net == size for net, size in nets.items()) and impossible == self.impossible:
            return self
        return replace(self, all_nets=tuple(nets.values()), impossible=impossible)._with_trainings()

    def with_rates(self, rates: Mapping[Net, float]) -> StudyPlan:
        """Return the plan with chosen learning rates; the keys of runs are final when all rates are chosen."""
        return self if rates == self.rates else replace(self, rates=dict(rates))._with_trainings()

    def _resize(self, net: Net, results: Mapping[str, Mapping[str, Any]]) -> Net:
        """Resize a narrow dense net to as many parameters as the measured graphs; return any other net unchanged."""
        if net.family != DENSE_NARROW:
            return net
        # The first family serves for all, because all graphs of a density have equally many edges.
        sparse = replace(net, family=self.config.families[0], sizes=self.sizes[net.data])
        result = results.get(self.find_graph_key(sparse, list_graph_seeds(sparse, self.config)[0]), {})
        if "layers" not in result:
            return net
        return replace(
            net, sizes=compute_dense_sizes(sparse.sizes, sum(layer["n_edges"] for layer in result["layers"]))
        )

    def _with_trainings(self) -> StudyPlan:
        """Return the plan with a new list of trainings; keys that the plan already has are not computed again."""
        config, nets = self.config, self.nets
        provisional = (config.learning_rates or (config.learning_rate,))[0]
        tuning_tasks = tuple(list_tuning_tasks(config, nets))
        runs = tuple(list_runs(config, nets, {net: self.rates.get(net, provisional) for net in nets}))
        keys = dict(self.keys)
        for task in (*tuning_tasks, *runs):
            if task not in keys:
                keys[task] = build_run_key(task, config, self.facts)
        return replace(self, tuning_tasks=tuning_tasks, runs=runs, keys=keys)
