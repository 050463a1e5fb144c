"""One small finished study for all tests that only read one, and short garbage collections."""

import gc

import pytest

from prewired.study import StudyConfig, run


@pytest.fixture(scope="module", autouse=True)
def few_objects_to_collect():
    """Take what is left of other files out of the garbage collector's sight, since every analysis collects it all."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory):
    """(folder, results) of a finished study of 9 runs: dense nets, 2 random graphs and a fixed graph, 2 densities.

    Tests that write copy the folder first.
    """
    folder = tmp_path_factory.mktemp("finished_study")
    config = StudyConfig(
        "digits", ("biregular", "rotating"), (0.1, 0.3), graph_seeds=2, hidden=(24, 20), epochs=1, timing=False
    )
    return folder, run(config, folder)
