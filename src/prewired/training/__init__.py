"""Training: data sets, one visible loop that records what happened, signals before training."""

from . import data
from .config import TrainConfig
from .evaluation import check_fit, evaluate
from .loop import train
from .run import Run
from .signal_strength import measure_signals

__all__ = ["Run", "TrainConfig", "check_fit", "data", "evaluate", "measure_signals", "train"]
