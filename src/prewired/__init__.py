"""prewired: neural networks whose wiring is a sparse bipartite graph, chosen before training."""

from . import compression, data, export, generators, init, io, metrics, networks, saved, study
from .compression import quantize
from .footprint import sizes
from .io.topology_file import load_topology, save_topology
from .layers import SparseLinear
from .metrics import measure
from .saved import load, save
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
    "io",
    "load",
    "load_topology",
    "measure",
    "metrics",
    "networks",
    "quantize",
    "save",
    "save_topology",
    "saved",
    "sizes",
    "study",
    "train",
]
