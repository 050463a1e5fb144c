"""The findings of an analysis: plain records, which `analysis.analyse` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .bootstrap_intervals import Interval
from .equivalence import Equivalence
from .pooling import Pooled
from .rank_correlations import Correlation
from .regression import Generalisation, Quadratic
from .reliability import Reliability

if TYPE_CHECKING:
    from .study_rows import Cell


@dataclass(frozen=True)
class CellFinding:
    """One metric against the score, over the graphs of one cell."""

    cell: Cell
    metric: str
    correlation: Correlation  # over graphs, as if they were independent
    interval: Interval  # of the same rho, over families
    by_family: Correlation  # of the family means
    partial: Correlation  # after regression on the covariates, `controls_for` of `analyse`
    partial_interval: Interval
    disattenuated: float  # rho corrected for the noise of training
    quadratic: Quadratic
    slope: Equivalence  # score at the metric's 90th minus its 10th percentile
    holm_p: float  # of correlation, over the cells and metrics of one control and init
    holm_p_clustered: float  # of interval, over the same cells and metrics


@dataclass(frozen=True)
class PooledFinding:
    """One metric over all cells of one control and init."""

    control: str
    init: str
    metric: str
    rho: Pooled
    partial: Pooled
    by_family: Correlation  # a point per family: its mean rank over the cells
    n_cells: int
    holm_p: float  # of rho, over the metrics of this control and init


@dataclass(frozen=True)
class GeneralisationFinding:
    """The prediction of the scores of left-out families by a metric, over all densities of one data set."""

    data: str
    control: str
    init: str
    metric: str
    generalisation: Generalisation


@dataclass(frozen=True)
class ReliabilityFinding:
    """The share of the variance between the graphs of a cell that is not noise of training."""

    cell: Cell
    overall: Reliability
    within_families: Reliability


@dataclass(frozen=True)
class Contrast:
    """The comparison of one family with the reference family in one cell."""

    cell: Cell
    family: str
    reference: str
    equivalence: Equivalence
    n_graphs: int  # of the family
    n_reference: int
    holm_p: float  # of no difference, over the contrasts of one control and init


@dataclass(frozen=True)
class Primary:
    """The result of the primary metric under one control and init. Its pooled p-value needs no adjustment."""

    metric: str
    control: str
    init: str
    pooled: PooledFinding
    cells: tuple[CellFinding, ...]
    n_equivalent: int  # cells whose slope is smaller than the margin
    n_different: int
    n_undecided: int


@dataclass(frozen=True)
class Analysis:
    """All findings of a study."""

    cells: tuple[CellFinding, ...]
    pooled: tuple[PooledFinding, ...]
    generalisation: tuple[GeneralisationFinding, ...]
    reliability: tuple[ReliabilityFinding, ...]
    contrasts: tuple[Contrast, ...]
    primary: tuple[Primary, ...]
    margin: float
    controls_for: tuple[str, ...]
