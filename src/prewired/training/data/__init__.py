"""Data sets, published or a user's own, split once and for all and standardised: `load(name) -> Data`."""

from .data_set import Data, Task
from .loading import load
from .published_sets import DATASETS

__all__ = ["DATASETS", "Data", "Task", "load"]
