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

SNAPSHOTS = Path(__file__).with_name("snapshots")
WINGS = ("generators", "metrics", "io", "nn", "training", "training.data", "checkpoint", "export", "plots", "study")
VERBS = (
    *("families", "generate", "draw", "measure", "metrics", "train", "sizes", "quantize", "export"),
    *("study", "report", "status", "bench"),
)


def public_names(module):
    return sorted(getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")]))


def help_of(*words):
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "prewired", *words, "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


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
def test_help(verb):
    check(f"help/{verb or 'prewired'}.txt", help_of(*verb.split()))
