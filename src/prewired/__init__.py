"""prewired: neural networks whose wiring is a sparse bipartite graph, chosen before training."""

from . import data, generators, init, masks, metrics, names, networks, study
from .layers import SparseLinear
from .metrics import measure
from .storage import load_topology, save_topology
from .topology import Recipe, Topology
from .training import Run, TrainConfig, train

__version__ = "0.1.0"

__all__ = [
    "Recipe",
    "Run",
    "SparseLinear",
    "Topology",
    "TrainConfig",
    "data",
    "generators",
    "init",
    "load_topology",
    "masks",
    "measure",
    "metrics",
    "names",
    "networks",
    "save_topology",
    "study",
    "train",
]
