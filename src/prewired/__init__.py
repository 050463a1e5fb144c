"""prewired: neural networks whose wiring is a sparse bipartite graph, chosen before training."""

from . import compression, data, export, generators, init, masks, metrics, names, networks, saved, study
from .compression import quantize
from .footprint import sizes
from .layers import SparseLinear
from .metrics import measure
from .saved import load, save
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
    "compression",
    "data",
    "export",
    "generators",
    "init",
    "load",
    "load_topology",
    "masks",
    "measure",
    "metrics",
    "names",
    "networks",
    "quantize",
    "save",
    "save_topology",
    "saved",
    "sizes",
    "study",
    "train",
]
