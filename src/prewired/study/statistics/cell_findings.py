"""The findings of one metric: in one cell, and over all cells with the same control and initial weights."""

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
    """The finding of one metric in one cell, with the bootstrap replicates of its rho and of its partial rho."""

    finding: CellFinding
    replicates: np.ndarray
    partial_replicates: np.ndarray


def study_cell(
    graphs: Sequence[Graph],
    metric: str,
    controls_for: Sequence[str],
    margin: float,
    cluster: Callable[[Graph], str],
    population: Sequence[str],
    n_resamples: int,
) -> CellStudy:
    """Study one metric in one cell; the Holm p-values of the finding are still NaN.

    Args:
        graphs: the graphs of the cell.
        metric: the metric.
        controls_for: the covariates of the partial correlation. The metric itself, and metrics that no graph has, are
            left out.
        margin, cluster, n_resamples: as for `analysis.analyse`.
        population: the clusters of all cells that will be pooled.
    """
    x, y = read_metric(graphs, metric), [graph.score for graph in graphs]
    families = [cluster(graph) for graph in graphs]
    covariates = [read_metric(graphs, name) for name in controls_for if name != metric]
    covariates = [column for column in covariates if not np.isnan(column).all()]
    plain, partial = (
        draw_replicates(x, y, families, columns, n_resamples=n_resamples, population=population)
        for columns in ([], covariates)
    )
    correlation, partial_correlation = spearman(x, y), partial_spearman(x, y, covariates)
    finding = CellFinding(
        graphs[0].cell,
        metric,
        correlation,
        _limit_certainty(correlation, compute_interval(*estimate_correlation(x, y, families), plain)),
        family_spearman(x, y, families),
        partial_correlation,
        _limit_certainty(
            partial_correlation, compute_interval(*estimate_correlation(x, y, families, covariates), partial)
        ),
        disattenuate(correlation.rho, measure_reliability(graphs).overall.mean),
        fit_quadratic(x, y, families),
        compare_slope(x, y, families, margin),
        math.nan,
        math.nan,
    )
    return CellStudy(finding, plain, partial)


def pool_cells(graphs: Sequence[Graph], studies: Sequence[CellStudy], cluster: Callable[[Graph], str]) -> PooledFinding:
    """Pool the findings of one metric over all cells; the Holm p-value of the result is still NaN.

    Args:
        graphs: the graphs of all cells.
        studies: the metric in each cell.
        cluster: as for `analysis.analyse`.
    """
    cell, metric = graphs[0].cell, studies[0].finding.metric
    return PooledFinding(
        cell.control,
        cell.init,
        metric,
        _pool([study.finding.interval for study in studies], [study.replicates for study in studies]),
        _pool([study.finding.partial_interval for study in studies], [study.partial_replicates for study in studies]),
        _pool_families(graphs, metric, cluster),
        sum(not math.isnan(study.finding.correlation.rho) for study in studies),
        math.nan,
    )


def measure_reliability(graphs: Sequence[Graph]) -> ReliabilityFinding:
    """Measure the reliability of the scores of a cell, between all its graphs and between the graphs of a family."""
    scores = [graph.scores for graph in graphs]
    within = estimate_reliability(scores, [graph.family for graph in graphs])
    return ReliabilityFinding(graphs[0].cell, estimate_reliability(scores), within)


def read_metric(graphs: Sequence[Graph], metric: str) -> np.ndarray:
    """Read the metric of each graph, NaN where a graph lacks the metric."""
    return np.array([graph.metrics.get(metric, math.nan) for graph in graphs], float)


def _limit_certainty(correlation: Correlation, result: Interval) -> Interval:
    """Raise the p-value to that of independent graphs: graphs that resemble each other cannot be stronger evidence."""
    if math.isnan(result.p_value) or math.isnan(correlation.p_value):
        return result
    return replace(result, p_value=max(result.p_value, correlation.p_value))


def _pool(intervals: Sequence[Interval], replicates: Sequence[np.ndarray]) -> Pooled:
    """Pool the rho of all cells, with the covariance that the cells have because they share families."""
    indices = [index for index, interval in enumerate(intervals) if not math.isnan(interval.standard_error)]
    samples = np.array([replicates[index] for index in indices]).T  # (n_resamples, cells)
    samples = samples[~np.isnan(samples).any(axis=1)] if indices else samples
    if len(samples) < 2:
        return pool([], [])
    n_families = max(intervals[index].n_families for index in indices)
    covariance = np.cov(samples, rowvar=False).reshape(len(indices), len(indices)) * compute_variance_correction(
        n_families
    )
    return pool([intervals[index].value for index in indices], covariance, n_families=n_families)


def _pool_families(graphs: Sequence[Graph], metric: str, cluster: Callable[[Graph], str]) -> Correlation:
    scores, families = [graph.score for graph in graphs], [cluster(graph) for graph in graphs]
    return pool_families(read_metric(graphs, metric), scores, families, [str(graph.cell) for graph in graphs])
