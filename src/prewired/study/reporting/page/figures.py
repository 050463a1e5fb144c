"""The figures of a study's page; each is made from its rows."""

from .cost_figure import cost_frontier
from .curve_figure import training_curves
from .density_figures import score_by_density, speed_by_density
from .metric_figure import score_by_metric

__all__ = ["cost_frontier", "score_by_density", "score_by_metric", "speed_by_density", "training_curves"]
