"""From what is stored to what is reported: a Row for every finished run of the grid asked for."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..training.run import Run
from .config import StudyConfig
from .grid import Job, Net, is_reference, room
from .running.database import canonical_json
from .running.step_timing import Timing
from .running.tasks import Graphs
from .statistics import DENSE, Row, mean_and_sd
from .wiring import whole_fan_ins

RUN_VERSION = 2  # goes up when the same key would give other figures, so that old results are not taken for new ones
Payloads = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Facts:
    """What a study has to know of a data set besides its rows."""

    name: str
    note: str
    n_features: int
    n_outputs: int
    source: Mapping[str, str]


@dataclass(frozen=True)
class Study:
    """What was asked, and one row for every run that is finished."""

    config: StudyConfig
    facts: Mapping[str, Facts]  # by the data sets' names in the config
    rows: tuple[Row, ...]
    n_runs: int  # of the whole grid
    failed: tuple[str, ...] = ()  # a line for each run whose loss stopped being finite
    tuned: tuple[Tuned, ...] = ()
    impossible: tuple[str, ...] = ()  # why nets were left out, with skip_impossible
    recipes: Mapping[str, str] = field(default_factory=dict, repr=False)  # digest of a graph -> its recipe, as JSON
    timings: tuple[Timing, ...] = ()  # of training steps by themselves

    @property
    def digest(self) -> str:
        """SHA-256 over what the runs were and gave, seconds aside: the same study gives the same one."""
        runs = sorted(
            canonical_json(
                (
                    self.facts[row.data].source,
                    *(row.label, row.density, row.graph_seed, row.train_seed, row.sizes, row.digests),
                    *(asdict(row.run.config), row.run.val_score, row.run.test_score),
                )
            )
            for row in self.rows
        )
        return hashlib.sha256("\n".join(runs).encode()).hexdigest()


@dataclass(frozen=True)
class Tuned:
    """The choice of a learning rate: the mean validation score of each, NaN where a training failed."""

    net: Net
    scores: Mapping[float, float]
    chosen: float

    @property
    def at_the_edge(self) -> bool:
        """Whether the smallest or the largest was the best, so that one beyond it might be better still."""
        return self.chosen in (min(self.scores), max(self.scores))


def graph_key(task: Graphs, config: StudyConfig) -> str:
    """What determines the graphs of a net; the data and the initial weights do not."""
    net = task.net
    return canonical_json(
        {
            "version": RUN_VERSION,
            "sizes": net.sizes,
            "family": net.family,
            "control": net.control,
            "density": net.density,
            "graph_seed": task.graph_seed,
            **_edges(net, config),
        }
    )


def run_key(job: Job, config: StudyConfig, facts: Mapping[str, Facts]) -> str:
    """What determines a run. A narrow dense net is a dense net of its sizes, whatever density it was made for."""
    net = job.net
    training = asdict(config.training(job.train_seed, job.learning_rate, tuning=job.tuning))
    if config.optimizer != "sgd":
        del training["momentum"]
    return canonical_json(
        {
            "version": RUN_VERSION,
            "data": facts[net.data].source,
            "sizes": net.sizes,
            "family": DENSE if is_reference(net) else net.family,
            "control": net.control,
            "init": net.init,
            "density": None if is_reference(net) else net.density,
            "graph_seed": job.graph_seed,
            "train_seed": job.train_seed,
            "training": training,
            "test": not job.tuning,
            **_edges(net, config),
        }
    )


def choose(net: Net, payloads: Mapping[float, Sequence[Mapping[str, Any]]]) -> Tuned:
    """The learning rate with the best validation score, the smaller of two that are equal.

    Args:
        net: whose learning rate it is.
        payloads: learning rate -> what its trainings gave; one that failed spoils the rate.

    Raises:
        RuntimeError: if all trainings failed.
    """
    scores = {rate: mean_and_sd(map(_chosen_score, found))[0] for rate, found in sorted(payloads.items())}
    finite = {rate: score for rate, score in scores.items() if not math.isnan(score)}
    if not finite:
        raise RuntimeError(
            f"{net}: with every learning rate the loss stopped being finite; add smaller ones to learning_rates"
        )
    return Tuned(net, scores, max(finite, key=lambda rate: finite[rate]))


def row(job: Job, payload: Mapping[str, Any], graphs: Mapping[str, Any] | None) -> Row:
    """A finished run as the statistics take it."""
    net = job.net
    measured: Mapping[str, Any] = {"layers": [], "network": {}} if graphs is None else _with_nan(graphs)
    layers = tuple(
        _with_dead_share(layer["metrics"], net.sizes[k : k + 2]) for k, layer in enumerate(measured["layers"])
    )
    means = {name: mean_and_sd(layer[name] for layer in layers)[0] for name in (layers[0] if layers else ())}
    return Row(
        data=net.data,
        family=net.family,
        control=net.control,
        init=net.init,
        density=net.density,
        graph_seed=job.graph_seed,
        train_seed=job.train_seed,
        run=Run.from_dict(_with_nan(payload["run"])),
        n_bytes=payload["bytes"],
        machine=payload["machine"],
        metrics={**means, **measured["network"], **({"learning_rate": job.learning_rate} if layers else {})},
        sizes=net.sizes,
        digests=tuple(layer["digest"] for layer in payload["layers"]),
        versions=", ".join(f"{name} {payload['versions'][name]}" for name in ("prewired", "torch")),
        layers=layers,
        start={name: tuple(values) for name, values in _with_nan(payload["start"]).items()},
        learning_rate=job.learning_rate,
    )


def check_edges(measured: Sequence[tuple[Graphs, Mapping[str, Any]]]) -> None:
    """Within a density all graphs of a data set must have the same number of edges in each layer.

    Raises:
        ValueError: if two differ.
    """
    expected: dict[tuple[str, float | None], tuple[str, list[int]]] = {}
    for task, payload in measured:
        edges = [layer["n_edges"] for layer in payload["layers"]]
        first, same = expected.setdefault((task.net.data, task.net.density), (task.net.family, edges))
        if edges != same:
            raise ValueError(
                f"{task.net.family} at density {task.net.density:g}: expected {same} edges per layer as {first} has, "
                f"got {edges}; leave one of them out"
            )


def _chosen_score(payload: Mapping[str, Any]) -> float:
    return math.nan if "failed" in payload else Run.from_dict(_with_nan(payload["run"])).chosen_score


def _edges(net: Net, config: StudyConfig) -> dict[str, Any]:
    """The number of edges and their budget, where these were asked for."""
    if is_reference(net) or net.density is None:
        return {}
    exactly = {}
    if config.edges:
        exactly = {"n_edges": round(net.density * room(net.sizes)), "whole_fan_ins": whole_fan_ins(config)}
    return {**exactly, **({"budget": config.budget} if config.budget else {})}


def _with_dead_share(layer: Mapping[str, float], sizes: Sequence[int]) -> dict[str, float]:
    return {**layer, "dead_share": (layer["dead_inputs"] + layer["dead_outputs"]) / sum(sizes)}


def _with_nan(value: Any) -> Any:
    """The nest of dicts and lists as it was before it was stored: NaN for None, where a number was not finite."""
    if isinstance(value, dict):
        return {name: item if name == "patience" else _with_nan(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_nan(item) for item in value]
    return math.nan if value is None else value
