"""The table of a study: a line for each family at each density, and for the dense references."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .magnitude import scale_values
from .study_rows import DENSE, Row, find_cell, group_by, mean_and_sd

TARGET_SHARE = 0.95  # of the dense net's validation score: the target whose epochs are counted


@dataclass(frozen=True)
class Summary:
    """One line of the table: all runs of one family at one density, with one control and kind of initial weights."""

    data: str
    label: str
    is_variant: bool  # whether it has a control or other initial weights
    density: float | None
    n_graphs: int
    n_runs: int
    score: float  # mean over graphs
    score_sd: float  # over graphs, NaN for a single one
    seed_sd: float  # over training seeds inside a graph (mean over graphs), NaN for a single one
    n_parameters: int
    n_bytes: int
    epochs_to_target: float  # mean over the n_reached runs that reach the target, NaN if no run does
    n_reached: int
    area: float  # mean over runs of the area under the curve of validation scores
    learning_rate: float
    seconds: tuple[float, float, float]  # lower quartile, median and upper quartile of the seconds per epoch
    ratio: float  # median seconds / median seconds of the dense reference on the same machine, NaN without reference
    as_fast: bool  # whether the quartile ranges overlap with those of the dense reference on some machine
    metrics: Mapping[str, float]  # mean over graphs


def find_coinciding_families(rows: Iterable[Row]) -> list[tuple[float, tuple[str, ...]]]:
    """List (density, families) wherever several families generate the same graphs of one cell."""
    same = group_by((row for row in rows if row.digests), lambda row: (find_cell(row), row.digests)).values()
    labels = [(group[0].density or 0.0, tuple(dict.fromkeys(row.label for row in group))) for group in same]
    return sorted({(density, families) for density, families in labels if len(families) > 1})


def target_score(rows: Iterable[Row], share: float = TARGET_SHARE) -> float:
    """Return `share` of the dense reference's mean validation score; NaN if this score is not above 0."""
    final, _ = mean_and_sd(row.run.chosen_score for row in rows if row.family == DENSE)
    return share * final if final > 0 else math.nan


def summarise(rows: Sequence[Row]) -> list[Summary]:
    """Summarise the runs of each (data, label, density), in the order of the rows."""
    result = []
    for data_rows in group_by(rows, lambda row: row.data).values():
        target = target_score(data_rows)
        dense_seconds = _compute_seconds_per_epoch(row for row in data_rows if row.family == DENSE)
        for group in group_by(data_rows, lambda row: (row.label, row.density)).values():
            result.append(_summarise_group(group, target, dense_seconds))
    return result


def _summarise_group(rows: list[Row], target: float, dense_seconds: Mapping[str, tuple[float, ...]]) -> Summary:
    graphs = [
        list({(row.train_seed, row.learning_rate): row.run.test_score for row in group}.values())
        for group in group_by(rows, lambda row: row.digests).values()
    ]
    score, score_sd = mean_and_sd(mean_and_sd(scores)[0] for scores in graphs)
    seed_sd, _ = mean_and_sd(mean_and_sd(scores)[1] for scores in graphs)
    seconds = _compute_seconds_per_epoch(rows)
    quartile_pairs = [
        (quartiles, dense)
        for machine, quartiles in seconds.items()
        if (dense := dense_seconds.get(machine)) is not None and dense[1] > 0
    ]
    epochs_to_target = [epoch for row in rows if (epoch := row.run.epochs_to(target)) is not None]
    metrics_by_graph = {row.digests: row.metrics for row in reversed(rows)}
    return Summary(
        data=rows[0].data,
        label=rows[0].label,
        is_variant=rows[0].label != rows[0].family,
        density=rows[0].density,
        n_graphs=len(graphs),
        n_runs=len(rows),
        score=score,
        score_sd=score_sd,
        seed_sd=seed_sd,
        n_parameters=rows[0].run.n_parameters,
        n_bytes=rows[0].n_bytes,
        epochs_to_target=mean_and_sd(epochs_to_target)[0],
        n_reached=len(epochs_to_target),
        area=mean_and_sd(row.run.area for row in rows)[0],
        learning_rate=rows[0].learning_rate,
        seconds=compute_quartiles(second for row in rows for second in row.run.seconds),
        ratio=float(np.median([quartiles[1] / dense[1] for quartiles, dense in quartile_pairs]))
        if quartile_pairs
        else math.nan,
        as_fast=any(quartiles[0] <= dense[2] and dense[0] <= quartiles[2] for quartiles, dense in quartile_pairs),
        metrics={
            name: mean_and_sd(metrics.get(name, math.nan) for metrics in metrics_by_graph.values())[0]
            for name in rows[0].metrics
        },
    )


def compute_quartiles(values: Iterable[float]) -> tuple[float, float, float]:
    """Compute the lower quartile, the median and the upper quartile; NaN without values, or if one is not finite.

    Example:
        >>> compute_quartiles([5.0, 1.0, 2.0, 4.0, 3.0])
        (2.0, 3.0, 4.0)
    """
    array = np.asarray(list(values), float)
    if not len(array) or not np.isfinite(array).all():
        return math.nan, math.nan, math.nan
    array, scale = scale_values(array)
    low, middle, high = (scale * quartile for quartile in np.quantile(array, [0.25, 0.5, 0.75]).tolist())
    return low, middle, high


def _compute_seconds_per_epoch(rows: Iterable[Row]) -> dict[str, tuple[float, float, float]]:
    """Compute the quartiles of seconds over the epochs of all runs, per machine."""
    by_machine = group_by(rows, lambda row: row.machine)
    return {
        name: compute_quartiles(second for row in machine_rows for second in row.run.seconds)
        for name, machine_rows in by_machine.items()
    }
