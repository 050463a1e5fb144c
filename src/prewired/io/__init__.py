"""Reading and writing topologies: topology files, named units, tables, gene sets, Matrix Market, networkx, models."""

from .edge_tables import from_gmt, from_table
from .importers import from_edge_list, from_model, from_networkx, from_weights
from .matrix_market import from_matrix_market
from .named_units import align, attach_names, describe, from_named_edges
from .topology_file import load_topology, save_topology

__all__ = [
    "align",
    "attach_names",
    "describe",
    "from_edge_list",
    "from_gmt",
    "from_matrix_market",
    "from_model",
    "from_named_edges",
    "from_networkx",
    "from_table",
    "from_weights",
    "load_topology",
    "save_topology",
]
