"""The public names and the help of every command, as committed: a change of either is seen in the diff.

To accept a change: PREWIRED_UPDATE_SNAPSHOTS=1 pytest tests/test_snapshots.py
"""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import prewired
from prewired import cli

SNAPSHOTS = Path(__file__).with_name("snapshots")
WINGS = ("generators", "metrics", "io", "nn", "training", "training.data", "checkpoint", "export", "plots", "study")
VERBS = (
    *("families", "generate", "draw", "measure", "metrics", "train", "sizes", "quantize", "export"),
    *("study", "report", "status", "bench"),
)


def public_names(module):
    return sorted(getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")]))


@pytest.fixture(autouse=True)
def _terminal(monkeypatch):
    """Help is as wide as the terminal and may be coloured."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")


def check(name, text):
    path = SNAPSHOTS / name
    if os.environ.get("PREWIRED_UPDATE_SNAPSHOTS"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


def test_public_names():
    modules = {"prewired": prewired} | {f"prewired.{w}": importlib.import_module(f"prewired.{w}") for w in WINGS}
    check("public_names.txt", "".join(f"{m}.{n}\n" for m, module in modules.items() for n in public_names(module)))


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help(verb, capsys):
    assert cli.main([*verb.split(), "--help"]) == 0
    check(f"help/{verb or 'prewired'}.txt", capsys.readouterr().out)


def test_the_package_is_a_program():
    command = [sys.executable, "-m", "prewired", "--help"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == (
        SNAPSHOTS / "help" / "prewired.txt"
    ).read_text(encoding="utf-8")
