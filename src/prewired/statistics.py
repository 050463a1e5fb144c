"""What a study says in numbers.

The unit of analysis is the graph: its training seeds are averaged before anything is correlated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .training import Run

DENSE = "dense"
DENSE_NARROW = "dense narrow"
REFERENCES = (DENSE, DENSE_NARROW)
N_PAIRINGS = 40_320  # = 8!: all of them for up to 8 graphs, that many drawn at random for more


@dataclass(frozen=True)
class Correlation:
    """Spearman's rho, its two-sided p-value and the number of pairs it rests on."""

    rho: float
    p_value: float
    n: int


@dataclass(frozen=True)
class Row:
    """One finished run of a study."""

    label: str  # a family, "dense" (equal width) or "dense narrow" (equal parameter count)
    density: float | None  # None for "dense"; for "dense narrow" the density whose parameter count it matches
    graph_seed: int | None  # None where there is nothing random in the graph
    train_seed: int
    run: Run
    n_bytes: int
    machine: str
    metrics: Mapping[str, float] = field(default_factory=dict)  # mean over the sparse layers; empty for dense nets
    sizes: tuple[int, ...] = ()
    digests: tuple[str, ...] = ()  # of the sparse layers
    versions: str = ""


@dataclass(frozen=True)
class Graph:
    """The runs of one net's graphs, averaged over their training seeds. Graphs with the same digests are the same."""

    label: str  # of its first run: another family may make the same graph
    density: float | None
    score: float
    score_sd: float  # over training seeds, NaN for a single one
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Finding:
    """The correlation of the test score with one metric inside one density."""

    density: float
    metric: str
    correlation: Correlation
    holm_p: float  # adjusted over all findings of the study


@dataclass(frozen=True)
class Summary:
    """One line of the table: all runs of one family at one density."""

    label: str
    density: float | None
    n_graphs: int
    n_runs: int
    score: float  # mean over graphs
    score_sd: float  # over graphs, NaN for a single one
    seed_sd: float  # over training seeds inside a graph (mean over graphs), NaN for a single one
    n_parameters: int
    n_bytes: int
    epochs_to_target: float  # mean over the n_reached runs that get there, NaN when none does
    n_reached: int
    seconds: tuple[float, float, float]  # lower quartile, median and upper quartile of the seconds per epoch
    ratio: float  # the median over the dense reference's on the same machine, NaN when that was not timed
    as_fast: bool  # on some machine the quartile ranges of this and of the dense reference overlap
    metrics: Mapping[str, float]  # mean over graphs


def mean_and_sd(values: Iterable[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (n - 1) of the values; the deviation is NaN for a single value.

    Example:
        >>> mean_and_sd([1.0, 2.0, 3.0])
        (2.0, 1.0)
    """
    array = np.asarray(list(values), dtype=float)
    if array.size == 0:
        return math.nan, math.nan
    return float(array.mean()), float(array.std(ddof=1)) if array.size > 1 else math.nan


def spearman(x: Sequence[float], y: Sequence[float]) -> Correlation:
    """Spearman's rank correlation, its p-value by permutation: exact for up to 8 pairs, never 0 for more.

    Values that differ by less than 1e-9 of the largest magnitude count as ties, so that the rounding of an eigensolver
    makes no ranks. Pairs with a NaN are left out.

    Args:
        x, y: as many values each.

    Returns:
        The correlation; rho and p_value are NaN when fewer than 3 pairs are left or one side is constant.

    Raises:
        ValueError: for different lengths.

    Example:
        >>> spearman([1, 2, 3, 4], [1, 4, 9, 16])
        Correlation(rho=1.0, p_value=0.08333333333333333, n=4)
    """
    if len(x) != len(y):
        raise ValueError(f"expected as many x as y, got {len(x)} and {len(y)}")
    pairs = np.array([x, y], dtype=float)
    pairs = pairs[:, ~np.isnan(pairs).any(axis=0)]
    n = pairs.shape[1]
    if n < 3:
        return Correlation(math.nan, math.nan, n)
    a, b = _ranks(pairs[0]), _ranks(pairs[1])
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return Correlation(math.nan, math.nan, n)
    return Correlation(round(float(np.corrcoef(a, b)[0, 1]), 15), _p_value(a, b), n)


def _ranks(values: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    scale = np.abs(values[np.isfinite(values)]).max(initial=0.0) or 1.0
    return rankdata(np.round(values / scale, 9))


def _p_value(a: np.ndarray, b: np.ndarray) -> float:
    from scipy.stats import permutation_test

    centred = b - b.mean()

    def strength(permuted: np.ndarray, axis: int) -> np.ndarray:
        return np.abs(np.moveaxis(permuted, axis, -1) @ centred)

    # |rho| grows with |sum of products| of ranks, and that is all a permutation changes
    test = permutation_test(
        (a - a.mean(),),
        strength,
        permutation_type="pairings",
        vectorized=True,
        n_resamples=N_PAIRINGS,
        alternative="greater",
        rng=0,
    )
    return float(test.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment of p-values for testing all of them; NaN stays NaN and counts as no test.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 6 (1979).

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    order = sorted((i for i, p in enumerate(p_values) if not math.isnan(p)), key=lambda i: p_values[i])
    adjusted, largest = [math.nan] * len(p_values), 0.0
    for place, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - place) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def percent(share: float) -> str:
    """A share as people read it.

    Example:
        >>> percent(0.05), percent(0.005)
        ('5 %', '0.5 %')
    """
    return f"{100 * share:.3g} %"


def by_graph(rows: Iterable[Row]) -> list[Graph]:
    """The graphs of each family and density, as the rows come; a dense net counts as one graph of its density."""
    return _graphs(rows, lambda row: (row.label, row.density, row.digests))


def distinct_graphs(rows: Iterable[Row]) -> list[Graph]:
    """The sparse graphs of each density; one that several families make is there once, with the runs of all."""
    return _graphs((row for row in rows if row.digests), lambda row: (row.density, row.digests))


def _graphs(rows: Iterable[Row], key: Callable[[Row], Hashable]) -> list[Graph]:
    graphs = []
    for group in _groups(rows, key):
        score, score_sd = mean_and_sd(row.run.test_score for row in group)
        graphs.append(Graph(group[0].label, group[0].density, score, score_sd, group[0].metrics))
    return graphs


def _groups(rows: Iterable[Row], key: Callable[[Row], Hashable]) -> list[list[Row]]:
    groups: dict[Hashable, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return list(groups.values())


def coinciding(rows: Iterable[Row]) -> list[tuple[float, tuple[str, ...]]]:
    """(density, families) wherever several families make the same graphs."""
    groups = _groups((row for row in rows if row.digests), lambda row: (row.density, row.digests))
    labels = [(group[0].density or 0.0, tuple(dict.fromkeys(row.label for row in group))) for group in groups]
    return sorted({(density, families) for density, families in labels if len(families) > 1})


def correlate(rows: Iterable[Row]) -> list[Finding]:
    """Correlate the test score of the distinct graphs with each metric in each density; Holm-adjusted over all."""
    graphs = distinct_graphs(rows)
    found: list[tuple[float, str, Correlation]] = []
    for density in dict.fromkeys(graph.density for graph in graphs):
        if density is None:
            continue
        cell = [graph for graph in graphs if graph.density == density]
        for metric in cell[0].metrics:
            values = [graph.metrics.get(metric, math.nan) for graph in cell]
            found.append((density, metric, spearman(values, [graph.score for graph in cell])))
    adjusted = holm([correlation.p_value for _, _, correlation in found])
    return [Finding(*finding, p) for finding, p in zip(found, adjusted, strict=True)]


def target_score(rows: Iterable[Row], share: float = 0.95) -> float:
    """`share` of the dense reference's final validation score, mean over its runs; NaN without one above zero."""
    final, _ = mean_and_sd(row.run.val_score[-1] for row in rows if row.label == DENSE)
    return share * final if final > 0 else math.nan


def summarise(rows: Sequence[Row]) -> list[Summary]:
    """One Summary per (label, density), in the order of the rows."""
    target = target_score(rows)
    dense_seconds = _seconds_per_epoch(row for row in rows if row.label == DENSE)
    return [_summary(group, target, dense_seconds) for group in _groups(rows, lambda row: (row.label, row.density))]


def _summary(rows: list[Row], target: float, dense_seconds: Mapping[str, tuple[float, ...]]) -> Summary:
    graphs = by_graph(rows)
    score, score_sd = mean_and_sd(graph.score for graph in graphs)
    seed_sd, _ = mean_and_sd(graph.score_sd for graph in graphs)
    seconds = _seconds_per_epoch(rows)
    pairs = [(mine, dense_seconds[machine]) for machine, mine in seconds.items() if machine in dense_seconds]
    reached = [epoch for row in rows if (epoch := row.run.epochs_to(target)) is not None]
    return Summary(
        rows[0].label,
        rows[0].density,
        len(graphs),
        len(rows),
        score,
        score_sd,
        seed_sd,
        rows[0].run.n_parameters,
        rows[0].n_bytes,
        mean_and_sd(reached)[0],
        len(reached),
        quartiles(second for row in rows for second in row.run.seconds),
        float(np.median([mine[1] / dense[1] for mine, dense in pairs])) if pairs else math.nan,
        any(mine[0] <= dense[2] and dense[0] <= mine[2] for mine, dense in pairs),
        {name: mean_and_sd(graph.metrics[name] for graph in graphs)[0] for name in graphs[0].metrics},
    )


def quartiles(values: Iterable[float]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile.

    Example:
        >>> quartiles([5.0, 1.0, 2.0, 4.0, 3.0])
        (2.0, 3.0, 4.0)
    """
    low, middle, high = np.quantile(list(values), [0.25, 0.5, 0.75]).tolist()
    return low, middle, high


def _seconds_per_epoch(rows: Iterable[Row]) -> dict[str, tuple[float, float, float]]:
    """Quartiles over the epochs of all runs, per machine."""
    groups = _groups(rows, lambda row: row.machine)
    return {group[0].machine: quartiles(second for row in group for second in row.run.seconds) for group in groups}
