"""What a study says in numbers. The unit is the graph: its training seeds are averaged before anything is compared."""

from .analysis import CONTROLS_FOR, analyse
from .equivalence import Equivalence, equivalent_means, equivalent_slope
from .findings import Analysis, CellFinding, Contrast, PooledFinding, Primary
from .intervals import Interval, bootstrap
from .pooled import Pooled, pool
from .ranks import Correlation, family_spearman, holm, partial_spearman, spearman
from .reliability import Reliability, reliability
from .rows import DENSE, DENSE_NARROW, REFERENCES, Cell, Graph, Row, base_family, graphs, mean_and_sd, percent
from .shape import Generalisation, Quadratic, leave_one_family_out, quadratic
from .summary import TARGET_SHARE, Summary, coinciding, quartiles, summarise, target_score

__all__ = [
    "CONTROLS_FOR",
    "DENSE",
    "DENSE_NARROW",
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
