"""The pictures of topologies and of trainings, as files. A family has the same colour and marker in all pictures."""

from .graphs import biadjacency, block_shares, degrees, path_counts, singular_values
from .style import COLOURS, KINDS, LOOK, MARKERS, style
from .training import tracked

__all__ = [
    "COLOURS",
    "KINDS",
    "LOOK",
    "MARKERS",
    "biadjacency",
    "block_shares",
    "degrees",
    "path_counts",
    "singular_values",
    "style",
    "tracked",
]
