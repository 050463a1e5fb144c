"""Topology: which inputs feed which outputs. The one immutable value everything else is a function of."""

from .edge_order import csr_from_cells
from .recipe import Recipe
from .topology import Topology
from .unit_names import Names

__all__ = ["Names", "Recipe", "Topology", "csr_from_cells"]
