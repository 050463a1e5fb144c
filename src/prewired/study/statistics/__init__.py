"""What a study says in numbers. The unit is the graph: its training seeds are averaged before anything is compared."""

from .analysis import CONTROLS_FOR, PRIMARY_METRIC, analyse
from .bootstrap_intervals import Interval, bootstrap
from .equivalence import Equivalence, equivalent_means, equivalent_slope
from .findings import Analysis, CellFinding, Contrast, PooledFinding, Primary
from .pooling import Pooled, pool
from .rank_correlations import Correlation, family_spearman, holm, partial_spearman, spearman
from .regression import Generalisation, Quadratic, leave_one_family_out, quadratic
from .reliability import Reliability, reliability
from .study_rows import DENSE, DENSE_NARROW, REFERENCES, Cell, Graph, Row, base_family, graphs, mean_and_sd, percent
from .summary import TARGET_SHARE, Summary, coinciding, quartiles, summarise, target_score

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
    "analyse",
    "base_family",
    "bootstrap",
    "coinciding",
    "equivalent_means",
    "equivalent_slope",
    "family_spearman",
    "graphs",
    "holm",
    "leave_one_family_out",
    "mean_and_sd",
    "partial_spearman",
    "percent",
    "pool",
    "quadratic",
    "quartiles",
    "reliability",
    "spearman",
    "summarise",
    "target_score",
]
