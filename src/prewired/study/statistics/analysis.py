"""From the graphs of a study to its findings, as the protocol says; the unit is the graph, the cluster the family."""

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
    """The family of a graph without its parameters: the rungs of one ladder are one cluster."""
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
    """Everything the protocol asks: by cell, pooled over cells, over families left out, and between families.

    Args:
        graphs: all sparse graphs of a study; those without a metric are left out where it is needed.
        metrics: the metrics to test; each is one more test that Holm's adjustment pays for.
        primary: the metric chosen beforehand, one of them.
        margin: the largest difference of scores that does not matter.
        controls_for: metrics that partial correlations are given; never the metric itself, nor what no graph has.
        cluster: which graphs resemble each other; by default those of one family, whatever its parameters. For a study
            of one ladder alone, `lambda graph: graph.family` makes each rung a cluster.
        reference: the family that others are compared with; where a cell lacks it, the one with most graphs.
        n_resamples: bootstrap samples behind each interval.

    Returns:
        The findings; what cannot be computed is NaN, or "undecided".

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
        own, population = (
            list(group_by(setting, lambda graph: graph.cell).values()),
            [cluster(graph) for graph in setting],
        )
        studied = [
            [study_cell(cell, metric, controls_for, margin, cluster, population, n_resamples) for cell in own]
            for metric in metrics
        ]
        cells += _adjust_p_values([one.finding for of_metric in studied for one in of_metric])
        over_cells = [pool_cells(setting, of_metric, cluster) for of_metric in studied]
        holm_p = adjust_by_holm([finding.rho.p_value for finding in over_cells])
        pooled += [replace(finding, holm_p=p) for finding, p in zip(over_cells, holm_p, strict=True)]
        contrasts += _contrast_families(own, margin, reference)
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
    """The findings of one setting, with their p-values adjusted over all of them."""
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
            predicted = leave_one_family_out(y, density, read_metric(group, metric), families)
            result.append(GeneralisationFinding(cell.data, cell.control, cell.init, metric, predicted))
    return result


def _contrast_families(cells: Sequence[Sequence[Graph]], margin: float, reference: str) -> list[Contrast]:
    """Every family of two graphs or more against the reference, in each cell."""
    result = []
    for graphs in cells:
        by_family = group_by(graphs, lambda graph: graph.family).values()
        scores = {group[0].family: [graph.score for graph in group] for group in by_family if len(group) > 1}
        base = reference if reference in scores else max(scores, key=lambda family: len(scores[family]), default="")
        for family in [family for family in scores if family != base]:
            compared = compare_means(scores[family], scores[base], margin)
            sizes = len(scores[family]), len(scores[base])
            result.append(Contrast(graphs[0].cell, family, base, compared, *sizes, math.nan))
    holm_p = adjust_by_holm([contrast.equivalence.p_zero for contrast in result])
    return [replace(contrast, holm_p=p) for contrast, p in zip(result, holm_p, strict=True)]


def _summarise_primary(pooled: PooledFinding, cells: Sequence[CellFinding]) -> Primary:
    setting = pooled.metric, pooled.control, pooled.init
    mine = tuple(one for one in cells if (one.metric, one.cell.control, one.cell.init) == setting)
    verdicts = [finding.slope.verdict for finding in mine]
    counts = [verdicts.count(verdict) for verdict in ("equivalent", "different", "undecided")]
    return Primary(*setting, pooled, mine, *counts)
