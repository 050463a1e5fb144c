"""The pictures of a study, and of topologies, as files; a family has the same colour and marker in all of them."""

from .graphs import biadjacency, block_shares, degrees, path_counts, singular_values
from .look import COLOURS, KINDS, LOOK, MARKERS, REFERENCE_STYLES, style
from .study import score_by_density, score_by_metric, training_curves
from .training import tracked

__all__ = [
    "COLOURS",
    "KINDS",
    "LOOK",
    "MARKERS",
    "REFERENCE_STYLES",
    "biadjacency",
    "block_shares",
    "degrees",
    "path_counts",
    "score_by_density",
    "score_by_metric",
    "singular_values",
    "style",
    "tracked",
    "training_curves",
]
