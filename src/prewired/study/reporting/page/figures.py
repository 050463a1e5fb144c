"""The figures of a study's page; each is made from its rows."""

from .cost_figure import draw_cost_frontier
from .curve_figure import draw_training_curves
from .density_figures import draw_score_by_density, draw_speed_by_density
from .metric_figure import draw_score_by_metric

__all__ = [
    "draw_cost_frontier",
    "draw_score_by_density",
    "draw_score_by_metric",
    "draw_speed_by_density",
    "draw_training_curves",
]
