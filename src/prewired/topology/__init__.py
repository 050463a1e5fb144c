"""Topology: which inputs feed which outputs. Everything else in the package is a function of this immutable value."""

from .edge_order import csr_from_cells
from .recipe import Recipe
from .topology import Topology
from .unit_names import Names

__all__ = ["Names", "Recipe", "Topology", "csr_from_cells"]
