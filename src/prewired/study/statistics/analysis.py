"""The analysis of a study by its protocol, from graphs to findings. The unit is the graph, the cluster the family."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .cell_findings import measure_reliability, pool_cells, read_metric, study_cell
from .equivalence import compare_means
from .findings import Analysis, CellFinding, Contrast, GeneralisationFinding, PooledFinding, Primary
from .rank_correlations import adjust_by_holm
from .regression import leave_one_family_out
from .study_rows import base_family, group_by

if TYPE_CHECKING:
    from .study_rows import Graph

PRIMARY_METRIC = "normalized_spectral_gap"
MARGIN = 0.002
CONTROLS_FOR = ("fan_in_cv", "fan_out_cv", "dead_share", "normalized_product_spectral_gap")
REFERENCE = "biregular"


def name_family(graph: Graph) -> str:
    """Return the family of a graph without its parameters, so that all rungs of a ladder are one cluster."""
    return base_family(graph.family)


def analyse(
    graphs: Sequence[Graph],
    metrics: Sequence[str],
    *,
    primary: str = PRIMARY_METRIC,
    margin: float = MARGIN,
    controls_for: Sequence[str] = CONTROLS_FOR,
    cluster: Callable[[Graph], str] = name_family,
    reference: str = REFERENCE,
    n_resamples: int = 2000,
) -> Analysis:
    """Compute all findings of the protocol: per cell, pooled over cells, for left-out families, between families.

    Args:
        graphs: all sparse graphs of a study. A graph that lacks a metric is left out of the tests of this metric.
        metrics: the metrics to test. Each further metric makes Holm's adjustment stricter.
        primary: the metric chosen before the study, one of `metrics`.
        margin: the largest difference of scores that does not matter.
        controls_for: the covariates of partial correlations. The tested metric itself, and metrics that no graph has,
            are left out.
        cluster: gives the cluster of a graph; graphs of a cluster resemble each other. By default the family without
            its parameters. For a study of one ladder alone, `lambda graph: graph.family` makes each rung a cluster.
        reference: the family that others are compared with. In a cell without this family, the family with most graphs.
        n_resamples: number of bootstrap samples of each interval.

    Returns:
        The findings; a number that cannot be computed is NaN, a verdict "undecided".

    Raises:
        ValueError: if the primary metric is not among the metrics, or the margin is not above 0.

    Example:
        >>> analyse([], ["normalized_spectral_gap"]).cells
        ()

    Source: the protocol of the study, docs/statistics.md.
    """
    if primary not in metrics:
        raise ValueError(f"expected the primary metric among the metrics, got {primary!r}; add it to them")
    if not margin > 0:
        raise ValueError(f"expected a margin > 0, got {margin}; it is the largest difference that does not matter")
    cells: list[CellFinding] = []
    pooled: list[PooledFinding] = []
    contrasts: list[Contrast] = []
    for setting in group_by(graphs, lambda graph: (graph.cell.control, graph.cell.init)).values():
        setting_cells = list(group_by(setting, lambda graph: graph.cell).values())
        population = [cluster(graph) for graph in setting]
        studies = [
            [study_cell(cell, metric, controls_for, margin, cluster, population, n_resamples) for cell in setting_cells]
            for metric in metrics
        ]
        cells += _adjust_p_values([study.finding for metric_studies in studies for study in metric_studies])
        pooled_findings = [pool_cells(setting, metric_studies, cluster) for metric_studies in studies]
        holm_p = adjust_by_holm([finding.rho.p_value for finding in pooled_findings])
        pooled += [replace(finding, holm_p=p) for finding, p in zip(pooled_findings, holm_p, strict=True)]
        contrasts += _contrast_families(setting_cells, margin, reference)
    return Analysis(
        tuple(cells),
        tuple(pooled),
        tuple(_test_generalisation(graphs, metrics, cluster)),
        tuple(measure_reliability(cell) for cell in group_by(graphs, lambda graph: graph.cell).values()),
        tuple(contrasts),
        tuple(_summarise_primary(finding, cells) for finding in pooled if finding.metric == primary),
        margin,
        tuple(controls_for),
    )


def _adjust_p_values(findings: Sequence[CellFinding]) -> list[CellFinding]:
    """Return the findings of one setting with p-values that are adjusted for the number of findings."""
    by_graph = adjust_by_holm([finding.correlation.p_value for finding in findings])
    clustered = adjust_by_holm([finding.interval.p_value for finding in findings])
    pairs = zip(findings, by_graph, clustered, strict=True)
    return [replace(finding, holm_p=p, holm_p_clustered=q) for finding, p, q in pairs]


def _test_generalisation(
    graphs: Sequence[Graph], metrics: Sequence[str], cluster: Callable[[Graph], str]
) -> list[GeneralisationFinding]:
    result = []
    for group in group_by(graphs, lambda graph: (graph.cell.data, graph.cell.control, graph.cell.init)).values():
        cell, families = group[0].cell, [cluster(graph) for graph in group]
        y, density = [graph.score for graph in group], [graph.cell.density for graph in group]
        for metric in metrics:
            generalisation = leave_one_family_out(y, density, read_metric(group, metric), families)
            result.append(GeneralisationFinding(cell.data, cell.control, cell.init, metric, generalisation))
    return result


def _contrast_families(cells: Sequence[Sequence[Graph]], margin: float, reference: str) -> list[Contrast]:
    """Compare every family of at least two graphs with the reference family, in each cell."""
    result = []
    for graphs in cells:
        by_family = group_by(graphs, lambda graph: graph.family).values()
        scores = {group[0].family: [graph.score for graph in group] for group in by_family if len(group) > 1}
        reference_family = (
            reference if reference in scores else max(scores, key=lambda family: len(scores[family]), default="")
        )
        for family in [family for family in scores if family != reference_family]:
            equivalence = compare_means(scores[family], scores[reference_family], margin)
            sizes = len(scores[family]), len(scores[reference_family])
            result.append(Contrast(graphs[0].cell, family, reference_family, equivalence, *sizes, math.nan))
    holm_p = adjust_by_holm([contrast.equivalence.p_zero for contrast in result])
    return [replace(contrast, holm_p=p) for contrast, p in zip(result, holm_p, strict=True)]


def _summarise_primary(pooled: PooledFinding, cells: Sequence[CellFinding]) -> Primary:
    setting = pooled.metric, pooled.control, pooled.init
    findings = tuple(
        finding for finding in cells if (finding.metric, finding.cell.control, finding.cell.init) == setting
    )
    verdicts = [finding.slope.verdict for finding in findings]
    counts = [verdicts.count(verdict) for verdict in ("equivalent", "different", "undecided")]
    return Primary(*setting, pooled, findings, *counts)
