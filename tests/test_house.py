"""The arrows in docs/design.md, kept true: which room may import which. It covers every file of the package."""

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "prewired"
FILES = sorted(SOURCE.rglob("*.py"))
DRAWING = re.search(r"```arrows\n(.*?)```", (ROOT / "docs" / "design.md").read_text(), re.DOTALL)[1]
ARROWS = {
    room: set() if targets == "nothing" else set(targets.split(", "))
    for room, targets in (re.split(r" +uses ", line) for line in DRAWING.splitlines())
}
ONLY_IN = {
    "cyclopts": ("cli/",),
    "matplotlib": ("plots/", "study/reporting/"),
    "onnx": ("export/",),
    "onnxruntime": ("export/",),
    "plotly": ("study/reporting/",),
    "pooch": ("training/data/",),
    "pyarrow": ("study/reporting/",),
    "ray": ("study/running/ray_engine.py",),
    "sklearn": ("training/data/", "study/statistics/"),
    "sqlite3": ("study/running/database.py",),
    "statsmodels": ("study/statistics/",),
}
WITHOUT_TORCH = ("_version.py", "topology/", "random_bits.py", "generators/", "metrics/", "io/")
CORE = {
    "torch",
    "cyclopts",
    "rich",
    "numpy",
    "scipy",
    "safetensors",
    "prewired",
    "__future__",
    *sys.stdlib_module_names,
}


def room_of(path):
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(tree, *, top_level_only):
    """The first names of all absolute imports."""
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module).split(".")[0]


def targets(path):
    """The rooms that a file imports from, other than its own."""
    depth = len(path.relative_to(SOURCE).parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            yield from [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_file_keeps_to_its_room(path):
    name = str(path.relative_to(SOURCE))
    tree = ast.parse(path.read_text())
    everything = set(imports(tree, top_level_only=False))
    assert set(imports(tree, top_level_only=True)) <= CORE, "extras are imported inside the function that needs them"
    for library, rooms in ONLY_IN.items():
        assert library not in everything or name.startswith(rooms), f"only {' and '.join(rooms)} may import {library}"
    if name.startswith(WITHOUT_TORCH):
        assert "torch" not in everything


@pytest.mark.parametrize("room", sorted({room_of(path) for path in FILES} - {"__init__"}))
def test_the_arrows_of_a_room_are_those_of_the_drawing(room):
    found = {target for path in FILES if room_of(path) == room for target in targets(path)} - {room}
    assert found == ARROWS[room]


def test_no_arrow_leads_back():
    order = list(graphlib.TopologicalSorter(ARROWS).static_order())  # raises if there is a circle
    assert order.index("topology") < order.index("metrics") < order.index("generators") < order.index("nn")
    assert order.index("nn") < order.index("training") < order.index("study") < order.index("cli")
    assert {room for room, arrows in ARROWS.items() if "cli" in arrows} == {"__main__"}
    assert {room for room, arrows in ARROWS.items() if "study" in arrows} == {"cli"}


def test_the_house_is_small():
    entries = [p for p in SOURCE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()]
    assert len(entries) <= 16
    assert {str(p): n for p in FILES if (n := len(p.read_text().splitlines())) > 300} == {}


def test_import_is_light():
    extras = (
        "matplotlib",
        "sklearn",
        "rich",
        "pooch",
        "pandas",
        "plotly",
        "statsmodels",
        "ray",
        "pyarrow",
        "onnx",
        "onnxruntime",
    )
    code = f"import sys, prewired; print([m for m in {extras} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_numpys_own_random_generators_are_not_used():
    for path in FILES:
        uses = re.findall(r"np\.random\.(\w+)", path.read_text())
        assert set(uses) <= ({"Philox"} if path.name == "random_bits.py" else set()), path
