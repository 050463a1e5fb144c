"""prewired: neural networks whose wiring is a sparse bipartite graph, chosen before training."""

from . import data, export, generators, io, metrics, nn, saved, study
from .footprint import sizes
from .io.topology_file import load_topology, save_topology
from .metrics import measure
from .nn.linear import SparseLinear
from .nn.quantization import quantize
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
    "data",
    "export",
    "generators",
    "io",
    "load",
    "load_topology",
    "measure",
    "metrics",
    "nn",
    "quantize",
    "save",
    "save_topology",
    "saved",
    "sizes",
    "study",
    "train",
]
