"""The figures of a study's page; each is made from its rows."""

from .curves import training_curves
from .density import score_by_density, speed_by_density
from .explorer import score_by_metric
from .frontier import cost_frontier

__all__ = ["cost_frontier", "score_by_density", "score_by_metric", "speed_by_density", "training_curves"]
