"""The results of a study: a Row for every finished run of the plan."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..training.run import Run
from .config import StudyConfig
from .nets import Net
from .running.database import to_canonical_json
from .running.step_timing import StepTiming
from .statistics import Row, mean_and_sd
from .tasks import Facts, GraphTask, TrainingTask


@dataclass(frozen=True)
class Study:
    """The config of a study, and one row for every finished run.

    Args:
        config: the study.
        facts: data set, as the config names it -> its sizes and its digest.
        rows: the finished runs, in the order of the plan.
        n_runs: number of runs in the plan.
        failed: a line for each run whose loss stopped being finite.
        rate_choices: the choice of each net's learning rate, if the config gives several.
        impossible: the reasons why nets were left out, with skip_impossible.
        recipes: digest of a graph -> its recipe, as JSON.
        timings: the times of training steps, measured while nothing else of the study ran.
    """

    config: StudyConfig
    facts: Mapping[str, Facts]
    rows: tuple[Row, ...]
    n_runs: int
    failed: tuple[str, ...] = ()
    rate_choices: tuple[RateChoice, ...] = ()
    impossible: tuple[str, ...] = ()
    recipes: Mapping[str, str] = field(default_factory=dict, repr=False)
    timings: tuple[StepTiming, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 over the runs and their scores, but not over seconds, so that the same study has the same digest."""
        runs = sorted(
            to_canonical_json(
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
class RateChoice:
    """The choice of a net's learning rate.

    Args:
        net: the net.
        scores: learning rate -> mean validation score of its trainings, NaN where a training failed.
        chosen: the learning rate with the best score.
    """

    net: Net
    scores: Mapping[float, float]
    chosen: float

    @property
    def at_the_edge(self) -> bool:
        """Whether the smallest or the largest rate was the best; then a rate beyond it might be better."""
        return self.chosen in (min(self.scores), max(self.scores))


def choose_rate(net: Net, payloads: Mapping[float, Sequence[Mapping[str, Any]]]) -> RateChoice:
    """Choose the learning rate with the best mean validation score; of two equal rates the smaller.

    Args:
        net: the net.
        payloads: learning rate -> results of its trainings; a failed training rules the rate out.

    Raises:
        RuntimeError: if all trainings failed.
    """
    scores = {rate: mean_and_sd(map(_read_chosen_score, results))[0] for rate, results in sorted(payloads.items())}
    finite = {rate: score for rate, score in scores.items() if not math.isnan(score)}
    if not finite:
        raise RuntimeError(
            f"{net}: with every learning rate the loss stopped being finite; add smaller ones to learning_rates"
        )
    return RateChoice(net, scores, max(finite, key=lambda rate: finite[rate]))


def make_row(task: TrainingTask, payload: Mapping[str, Any], graphs: Mapping[str, Any] | None) -> Row:
    """Make the Row of a finished run.

    Args:
        task: the run.
        payload: its stored result.
        graphs: the stored result of the run's graphs, None for a dense net.
    """
    net = task.net
    graph_result: Mapping[str, Any] = {"layers": [], "network": {}} if graphs is None else _restore_nan(graphs)
    layers = tuple(
        _add_dead_share(layer["metrics"], net.sizes[k : k + 2]) for k, layer in enumerate(graph_result["layers"])
    )
    for values in (*layers, graph_result["network"], {"bytes": payload["bytes"]}):
        _check_numbers(values)
    run = Run.from_dict(_restore_nan(payload["run"]))
    _check_run(run)
    if not isinstance(payload["machine"], str):
        raise TypeError(f"expected a text for machine, got {payload['machine']!r:.80}")
    means = {name: mean_and_sd(layer[name] for layer in layers)[0] for name in (layers[0] if layers else ())}
    return Row(
        data=net.data,
        family=net.family,
        control=net.control,
        init=net.init,
        density=net.density,
        graph_seed=task.graph_seed,
        train_seed=task.train_seed,
        run=run,
        n_bytes=payload["bytes"],
        machine=payload["machine"],
        metrics={**means, **graph_result["network"], **({"learning_rate": task.learning_rate} if layers else {})},
        sizes=net.sizes,
        digests=tuple(layer["digest"] for layer in payload["layers"]),
        versions=", ".join(f"{name} {payload['versions'][name]}" for name in ("prewired", "torch")),
        layers=layers,
        start={name: tuple(values) for name, values in _restore_nan(payload["start"]).items()},
        learning_rate=task.learning_rate,
    )


def check_equal_edges(results: Sequence[tuple[GraphTask, Mapping[str, Any]]]) -> None:
    """Check that within a density all graphs of a data set have the same number of edges in each layer.

    Raises:
        ValueError: if two graphs differ.
    """
    first_counts: dict[tuple[str, float | None], tuple[str, list[int]]] = {}
    for task, payload in results:
        edges = [layer["n_edges"] for layer in payload["layers"]]
        first_family, expected = first_counts.setdefault((task.net.data, task.net.density), (task.net.family, edges))
        if edges != expected:
            raise ValueError(
                f"{task.net.family} at density {task.net.density:g}: expected {expected} edges per layer as "
                f"{first_family} has, got {edges}; leave one of them out"
            )


def _check_run(run: Run) -> None:
    """Raise TypeError unless the fields of a run have the types that training gives them."""
    series = ("train_loss", "val_loss", "val_score", "seconds")
    for field_name, value in vars(run).items():
        if field_name == "score_name" and not isinstance(value, str):
            raise TypeError(f"expected a text for {field_name}, got {value!r:.80}")
        if field_name in series:
            _check_numbers(dict(enumerate(value)))
        if field_name in ("n_parameters", "test_loss", "test_score", "chosen_epoch"):
            _check_numbers({field_name: value})
    if len({len(getattr(run, name)) for name in series}) != 1 or not 1 <= run.chosen_epoch <= len(run.val_score):
        raise TypeError(f"expected as many values as epochs, got {run}")


def _check_numbers(values: Mapping[Any, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"expected a number for {name}, got {value!r:.80}")


def _read_chosen_score(payload: Mapping[str, Any]) -> float:
    return math.nan if "failed" in payload else Run.from_dict(_restore_nan(payload["run"])).chosen_score


def _add_dead_share(layer: Mapping[str, float], sizes: Sequence[int]) -> dict[str, float]:
    return {**layer, "dead_share": (layer["dead_inputs"] + layer["dead_outputs"]) / sum(sizes)}


def _restore_nan(value: Any) -> Any:
    """Replace each None of a stored payload by NaN; JSON stores numbers that are not finite as null."""
    if isinstance(value, dict):
        return {name: item if name == "patience" else _restore_nan(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_restore_nan(item) for item in value]
    return math.nan if value is None else value
