"""prewired: neural networks whose wiring is a sparse bipartite graph, chosen before training.

A table of contents. A name is imported when it is first used, so that making and measuring graphs loads no torch.
"""

import importlib
import threading
from typing import TYPE_CHECKING, Any

from ._version import __version__

if TYPE_CHECKING:
    from . import checkpoint, export, generators, io, metrics, nn, plots, study, training
    from .checkpoint import load, save, sizes
    from .metrics import measure
    from .nn import SparseLinear, quantize
    from .topology import Topology
    from .training import TrainConfig, data, train

_PLACES = {
    "Topology": "topology",
    "measure": "metrics",
    "SparseLinear": "nn",
    "train": "training",
    "TrainConfig": "training",
    "data": "training",
    "save": "checkpoint",
    "load": "checkpoint",
    "sizes": "checkpoint",
    "quantize": "nn",
}
"""Name -> the wing that has it."""

_LOCK = threading.RLock()
"""Held while a wing is imported: threads that use the package for the first time must not see half of a wing."""

__all__ = [
    "SparseLinear",
    "Topology",
    "TrainConfig",
    "__version__",
    "checkpoint",
    "data",
    "export",
    "generators",
    "io",
    "load",
    "measure",
    "metrics",
    "nn",
    "plots",
    "quantize",
    "save",
    "sizes",
    "study",
    "train",
    "training",
]


def __getattr__(name: str) -> Any:
    with _LOCK:
        if name in _PLACES:
            value = getattr(importlib.import_module(f".{_PLACES[name]}", __name__), name)
            globals()[name] = value
            return value
        if name in __all__:
            return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module 'prewired' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__
