"""What the tests share: the folder of real data, and the profiles of hypothesis.

Hypothesis draws the same few examples in every run; HYPOTHESIS_PROFILE=search asks for many new ones.
"""

import gc
import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("ci", max_examples=40, deadline=None, derandomize=True, database=None)
settings.register_profile("search", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

REAL_DATA = Path(os.environ.get("PREWIRED_DATA") or Path(__file__).parents[2] / "shared" / "data")


def pytest_collection_finish():
    """Take all imported modules and collected tests out of the garbage collector's sight.

    They live as long as the process, and a full collection that walks over them takes 0.3 seconds. statsmodels asks for
    a full collection whenever p-values are adjusted.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def real_data():
    """A function of the names of data sets, such as "mnist". It returns their common folder, or skips the test."""

    def folder_with(*names: str) -> Path:
        absent = [name for name in names if not (REAL_DATA / name).is_dir()]
        if absent:
            pytest.skip(f"needs {', '.join(absent)} in {REAL_DATA}; set PREWIRED_DATA to the folder of the data sets")
        return REAL_DATA

    return folder_with
