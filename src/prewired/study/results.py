"""The results of a study: a Row for every finished run of the plan."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .config import StudyConfig
from .nets import Net
from .running.database import to_canonical_json
from .running.step_timing import StepTiming
from .statistics import Row, mean_and_sd
from .stored_values import COUNT, NUMBER, TEXT, check_curves, check_fields, read_run, restore_nan
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

    Raises:
        AttributeError, LookupError, TypeError, ValueError: if one of the results is damaged.
    """
    net = task.net
    graph_result: Mapping[str, Any] = {"layers": [], "network": {}} if graphs is None else restore_nan(graphs)
    start = restore_nan(payload["start"])
    _check_results(payload, graph_result, start, task)
    layers = tuple(
        _add_dead_share(layer["metrics"], net.sizes[k : k + 2]) for k, layer in enumerate(graph_result["layers"])
    )
    means = {name: mean_and_sd(layer[name] for layer in layers)[0] for name in (layers[0] if layers else ())}
    return Row(
        data=net.data,
        family=net.family,
        control=net.control,
        init=net.init,
        density=net.density,
        graph_seed=task.graph_seed,
        train_seed=task.train_seed,
        run=read_run(payload),
        n_bytes=payload["bytes"],
        machine=payload["machine"],
        metrics={**means, **graph_result["network"], **({"learning_rate": task.learning_rate} if layers else {})},
        sizes=net.sizes,
        digests=tuple(layer["digest"] for layer in payload["layers"]),
        versions=", ".join(f"{name} {payload['versions'][name]}" for name in ("prewired", "torch")),
        layers=layers,
        start={name: tuple(values) for name, values in start.items()},
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


def _read_chosen_score(payload: Mapping[str, Any]) -> float:
    return math.nan if "failed" in payload else read_run(payload).chosen_score


def _check_results(
    payload: Mapping[str, Any], graphs: Mapping[str, Any], start: Mapping[str, Any], task: TrainingTask
) -> None:
    """Check the parts of a stored training and of its graphs that `read_run` does not read."""
    check_fields(payload, {"bytes": COUNT, "machine": TEXT})
    check_fields(payload["versions"], {"prewired": TEXT, "torch": TEXT})
    n_sparse = len(task.net.sizes) - 2 if graphs["layers"] else 0
    for name, layers in ("run", payload["layers"]), ("graph", graphs["layers"]):
        if len(layers) != n_sparse:
            raise ValueError(f"expected {n_sparse} sparse layers in the {name} of {task}, got {len(layers)}")
        for layer in layers:
            check_fields(layer, {"digest": TEXT})
    for values in (graphs["network"], *(layer["metrics"] for layer in graphs["layers"])):
        check_fields(values, dict.fromkeys(values, NUMBER))
    check_curves(start)
    if start and any(len(start[name]) != len(task.net.sizes) - 1 for name in ("activation_rms", "gradient_norm")):
        raise ValueError(f"expected signals of every layer of {task}, got {start!r:.80}")


def _add_dead_share(layer: Mapping[str, float], sizes: Sequence[int]) -> dict[str, float]:
    return {**layer, "dead_share": (layer["dead_inputs"] + layer["dead_outputs"]) / sum(sizes)}
