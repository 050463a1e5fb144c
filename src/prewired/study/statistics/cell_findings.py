"""One metric in one cell, and over all cells of a setting: the same control and initial weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .bootstrap_intervals import (
    Interval,
    compute_interval,
    compute_variance_correction,
    draw_replicates,
    estimate_correlation,
)
from .equivalence import compare_slope
from .findings import CellFinding, PooledFinding, ReliabilityFinding
from .pooling import Pooled, pool, pool_families
from .rank_correlations import Correlation, family_spearman, partial_spearman, spearman
from .regression import fit_quadratic
from .reliability import disattenuate, estimate_reliability

if TYPE_CHECKING:
    from .study_rows import Graph


class CellStudy(NamedTuple):
    """What one metric says in one cell, and the bootstrap replicates of its rho and of its partial rho."""

    finding: CellFinding
    plain: np.ndarray
    partial: np.ndarray


def study_cell(
    graphs: Sequence[Graph],
    metric: str,
    controls_for: Sequence[str],
    margin: float,
    cluster: Callable[[Graph], str],
    population: Sequence[str],
    n_resamples: int,
) -> CellStudy:
    """The finding of one metric in one cell, its Holm p-values still to come.

    Args:
        graphs: those of the cell.
        metric: the metric.
        controls_for: what its partial correlation is given, but for itself and for what no graph has.
        margin, cluster, n_resamples: as for `analysis.analyse`.
        population: the clusters of all cells that are to be pooled.
    """
    x, y = read_metric(graphs, metric), [graph.score for graph in graphs]
    families = [cluster(graph) for graph in graphs]
    given = [read_metric(graphs, name) for name in controls_for if name != metric]
    given = [column for column in given if not np.isnan(column).all()]
    plain, partial = (
        draw_replicates(x, y, families, columns, n_resamples=n_resamples, population=population)
        for columns in ([], given)
    )
    correlation, given_controls = spearman(x, y), partial_spearman(x, y, given)
    finding = CellFinding(
        graphs[0].cell,
        metric,
        correlation,
        _limit_certainty(correlation, compute_interval(*estimate_correlation(x, y, families), plain)),
        family_spearman(x, y, families),
        given_controls,
        _limit_certainty(given_controls, compute_interval(*estimate_correlation(x, y, families, given), partial)),
        disattenuate(correlation.rho, measure_reliability(graphs).overall.mean),
        fit_quadratic(x, y, families),
        compare_slope(x, y, families, margin),
        math.nan,
        math.nan,
    )
    return CellStudy(finding, plain, partial)


def pool_cells(graphs: Sequence[Graph], studied: Sequence[CellStudy], cluster: Callable[[Graph], str]) -> PooledFinding:
    """The finding of one metric over all cells, its Holm p-value still to come.

    Args:
        graphs: those of all cells.
        studied: the metric in each cell.
        cluster: as for `analysis.analyse`.
    """
    cell, metric = graphs[0].cell, studied[0].finding.metric
    return PooledFinding(
        cell.control,
        cell.init,
        metric,
        _pool([one.finding.interval for one in studied], [one.plain for one in studied]),
        _pool([one.finding.partial_interval for one in studied], [one.partial for one in studied]),
        _pool_families(graphs, metric, cluster),
        sum(not math.isnan(one.finding.correlation.rho) for one in studied),
        math.nan,
    )


def measure_reliability(graphs: Sequence[Graph]) -> ReliabilityFinding:
    """The reliability of the scores of a cell, between all its graphs and between those of one family."""
    scores = [graph.scores for graph in graphs]
    within = estimate_reliability(scores, [graph.family for graph in graphs])
    return ReliabilityFinding(graphs[0].cell, estimate_reliability(scores), within)


def read_metric(graphs: Sequence[Graph], metric: str) -> np.ndarray:
    """The metric of each graph, NaN where it is missing."""
    return np.array([graph.metrics.get(metric, math.nan) for graph in graphs], float)


def _limit_certainty(correlation: Correlation, result: Interval) -> Interval:
    """The interval with a p-value no smaller than that of independent graphs: resemblance takes evidence away."""
    if math.isnan(result.p_value) or math.isnan(correlation.p_value):
        return result
    return replace(result, p_value=max(result.p_value, correlation.p_value))


def _pool(intervals: Sequence[Interval], drawn: Sequence[np.ndarray]) -> Pooled:
    """The pooled rho, with the covariance that cells have because they share families."""
    with_error = [place for place, one in enumerate(intervals) if not math.isnan(one.standard_error)]
    samples = np.array([drawn[place] for place in with_error]).T  # (n_resamples, cells)
    samples = samples[~np.isnan(samples).any(axis=1)] if with_error else samples
    if len(samples) < 2:
        return pool([], [])
    n_families = max(intervals[place].n_families for place in with_error)
    covariance = np.cov(samples, rowvar=False).reshape(len(with_error), len(with_error)) * compute_variance_correction(
        n_families
    )
    return pool([intervals[place].value for place in with_error], covariance, n_families=n_families)


def _pool_families(graphs: Sequence[Graph], metric: str, cluster: Callable[[Graph], str]) -> Correlation:
    scores, families = [graph.score for graph in graphs], [cluster(graph) for graph in graphs]
    return pool_families(read_metric(graphs, metric), scores, families, [str(graph.cell) for graph in graphs])
