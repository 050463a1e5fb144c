"""Mutated files of every kind: read, or refused in one line. `make fuzz` reads thousands."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import run
from readers import READERS

COUNTS = {"store": 5, "state_dict": 30, "tensors": 30, "network": 60}
"""Files of a kind that takes long."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READERS)
def test_mutated_files_are_read_or_refused(name, tmp_path):
    outcomes = run.fuzz(READERS[name], tmp_path, COUNTS.get(name, 120), seed=1)
    print(outcomes)
    assert set(outcomes) <= {"read", "refused"}


def test_an_unclean_error_is_seen(tmp_path):
    def fail(path):
        raise KeyError(path.name) if path.name.startswith("fuzzed") else ValueError("first line\nsecond line")

    reader = run.Reader("fuzzed", fail, lambda folder: None)
    assert run.read_one(reader, tmp_path / "fuzzed").startswith("KeyError")
    assert run.read_one(reader, tmp_path / "other").startswith("ValueError of 2 lines")
