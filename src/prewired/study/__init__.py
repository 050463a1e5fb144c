"""Studies: families x densities x graph seeds x training seeds, beside two dense references.

Every result is stored at once, so a study can be stopped at any moment and continues where it was stopped.
"""

from .commands import load, report, run
from .config import StudyConfig, read_toml
from .plan import StudyPlan
from .results import Study
from .running.engines import inline, processes
from .running.ray_engine import cluster
from .study_status import Status, status

__all__ = [
    "Status",
    "Study",
    "StudyConfig",
    "StudyPlan",
    "cluster",
    "inline",
    "load",
    "processes",
    "read_toml",
    "report",
    "run",
    "status",
]
