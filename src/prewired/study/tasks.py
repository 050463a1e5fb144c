"""The tasks of a study, phase by phase, and the keys under which their results are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .config import StudyConfig
from .nets import Net, count_requested_edges, is_reference, list_graph_seeds
from .running.database import to_canonical_json
from .statistics import DENSE
from .wiring import needs_whole_fan_ins

GRAPHS, RATES, RUNS = "graphs", "learning rates", "runs"
PHASES = (GRAPHS, RATES, RUNS)  # each phase needs the results of the phase before
TUNING_SEED = 1_000_000  # first seed of tuning trainings and their graphs; no study has so many seeds for its runs
RUN_VERSION = 2  # increased when the same key would give other results, so that old results are not used


@dataclass(frozen=True)
class GraphTask:
    """The task to generate and measure the graphs of a net with one graph seed."""

    net: Net
    graph_seed: int | None

    def __str__(self) -> str:
        return f"graphs of {self.net}" + ("" if self.graph_seed is None else f", graph {self.graph_seed}")


@dataclass(frozen=True)
class TrainingTask:
    """The task to train a net once."""

    net: Net
    graph_seed: int | None
    train_seed: int
    learning_rate: float
    tuning: bool = False

    def __str__(self) -> str:
        graph = "" if self.graph_seed is None or self.tuning else f", graph {self.graph_seed}"
        seed = f", learning rate {self.learning_rate:g}" if self.tuning else f", seed {self.train_seed}"
        return f"{self.net}{graph}{seed}"


Task = GraphTask | TrainingTask


@dataclass(frozen=True)
class Facts:
    """The facts about a data set that a study needs besides the rows.

    Args:
        name, note, n_features, n_outputs: as in `data.Data`.
        source: the digest and the task, which identify the data; see `identify_data`.
    """

    name: str
    note: str
    n_features: int
    n_outputs: int
    source: Mapping[str, str]


def list_graph_tasks(config: StudyConfig, nets: Sequence[Net]) -> list[GraphTask]:
    """List the graphs to measure, seed by seed through the nets; graphs for choosing learning rates come last."""
    seeds = {net: list_graph_seeds(net, config) for net in nets if not is_reference(net) and net.init == "fan_in"}
    max_seeds = max(map(len, seeds.values()), default=0)
    tasks = [
        GraphTask(net, net_seeds[k]) for k in range(max_seeds) for net, net_seeds in seeds.items() if k < len(net_seeds)
    ]
    tuned_nets = [net for net, net_seeds in seeds.items() if config.learning_rates and net_seeds != [None]]
    return tasks + [GraphTask(net, TUNING_SEED) for net in tuned_nets]


def list_tuning_tasks(config: StudyConfig, nets: Sequence[Net]) -> list[TrainingTask]:
    """List the trainings to choose learning rates: equally many per net and rate, with separate seeds and graphs."""
    return [
        TrainingTask(net, None if list_graph_seeds(net, config) == [None] else seed, seed, rate, tuning=True)
        for seed in range(TUNING_SEED, TUNING_SEED + config.tune_seeds)
        for rate in config.learning_rates
        for net in nets
    ]


def list_runs(config: StudyConfig, nets: Sequence[Net], rates: Mapping[Net, float]) -> list[TrainingTask]:
    """List the trainings to report, by seeds, then graphs, then nets, so that a stopped study stays balanced."""
    reference_seeds = config.reference_seeds or config.train_seeds
    seeds = {net: list_graph_seeds(net, config) for net in nets}
    runs = []
    for train_seed in range(max(config.train_seeds, reference_seeds)):
        for k in range(config.graph_seeds):
            for net in nets:
                n_train_seeds = reference_seeds if is_reference(net) else config.train_seeds
                if k < len(seeds[net]) and train_seed < n_train_seeds:
                    runs.append(TrainingTask(net, seeds[net][k], train_seed, rates[net]))
    return runs


def build_graph_key(task: GraphTask, config: StudyConfig) -> str:
    """Build the key of a graph task: all that determines the graphs, as canonical JSON.

    The data and the initial weights do not determine the graphs.
    """
    net = task.net
    return to_canonical_json(
        {
            "version": RUN_VERSION,
            "sizes": net.sizes,
            "family": net.family,
            "control": net.control,
            "density": net.density,
            "graph_seed": task.graph_seed,
            **_describe_edges(net, config),
        }
    )


def build_run_key(task: TrainingTask, config: StudyConfig, facts: Mapping[str, Facts]) -> str:
    """Build the key of a training: all that determines the training, as canonical JSON.

    A narrow dense net counts as a dense net of its sizes, whatever density it is compared with.
    """
    net = task.net
    training = asdict(config.training(task.train_seed, task.learning_rate, tuning=task.tuning))
    if config.optimizer != "sgd":
        del training["momentum"]
    return to_canonical_json(
        {
            "version": RUN_VERSION,
            "data": facts[net.data].source,
            "sizes": net.sizes,
            "family": DENSE if is_reference(net) else net.family,
            "control": net.control,
            "init": net.init,
            "density": None if is_reference(net) else net.density,
            "graph_seed": task.graph_seed,
            "train_seed": task.train_seed,
            "training": training,
            "test": not task.tuning,
            **_describe_edges(net, config),
        }
    )


def _describe_edges(net: Net, config: StudyConfig) -> dict[str, Any]:
    """Describe the number of edges and their budget, if the study sets them."""
    if is_reference(net) or net.density is None:
        return {}
    edges: dict[str, Any] = {}
    if config.edges:
        n_edges = count_requested_edges(config, net.density, net.sizes)
        edges = {"n_edges": n_edges, "whole_fan_ins": needs_whole_fan_ins(config)}
    return {**edges, **({"budget": config.budget} if config.budget else {})}
