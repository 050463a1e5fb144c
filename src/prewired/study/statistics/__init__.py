"""The statistics of a study. The unit is the graph: scores are averaged over training seeds before any comparison."""

from .analysis import CONTROLS_FOR, PRIMARY_METRIC, analyse
from .bootstrap_intervals import Interval, bootstrap
from .equivalence import Equivalence, compare_means, compare_slope
from .findings import Analysis, CellFinding, Contrast, PooledFinding, Primary
from .pooling import Pooled, pool
from .rank_correlations import Correlation, adjust_by_holm, family_spearman, partial_spearman, spearman
from .regression import Generalisation, Quadratic, fit_quadratic, leave_one_family_out
from .reliability import Reliability, estimate_reliability
from .study_rows import (
    DENSE,
    DENSE_NARROW,
    REFERENCES,
    Cell,
    Graph,
    Row,
    base_family,
    collect_graphs,
    mean_and_sd,
    percent,
)
from .summary import TARGET_SHARE, Summary, compute_quartiles, find_coinciding_families, summarise, target_score

__all__ = [
    "CONTROLS_FOR",
    "DENSE",
    "DENSE_NARROW",
    "PRIMARY_METRIC",
    "REFERENCES",
    "TARGET_SHARE",
    "Analysis",
    "Cell",
    "CellFinding",
    "Contrast",
    "Correlation",
    "Equivalence",
    "Generalisation",
    "Graph",
    "Interval",
    "Pooled",
    "PooledFinding",
    "Primary",
    "Quadratic",
    "Reliability",
    "Row",
    "Summary",
    "adjust_by_holm",
    "analyse",
    "base_family",
    "bootstrap",
    "collect_graphs",
    "compare_means",
    "compare_slope",
    "compute_quartiles",
    "estimate_reliability",
    "family_spearman",
    "find_coinciding_families",
    "fit_quadratic",
    "leave_one_family_out",
    "mean_and_sd",
    "partial_spearman",
    "percent",
    "pool",
    "spearman",
    "summarise",
    "target_score",
]
