"""Fixtures that several folders of tests share."""

import os
from pathlib import Path

import pytest

REAL_DATA = Path(os.environ.get("PREWIRED_DATA") or Path(__file__).parents[2] / "shared" / "data")


@pytest.fixture
def real_data():
    """A function of the names of data sets, such as "mnist". It returns their common folder, or skips the test."""

    def folder_with(*names: str) -> Path:
        absent = [name for name in names if not (REAL_DATA / name).is_dir()]
        if absent:
            pytest.skip(f"needs {', '.join(absent)} in {REAL_DATA}; set PREWIRED_DATA to the folder of the data sets")
        return REAL_DATA

    return folder_with
