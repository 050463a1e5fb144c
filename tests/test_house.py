"""The drawing in docs/design.md, kept true: who may import whom."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "prewired"
FILES = sorted(SOURCE.rglob("*.py"))
ARROWS = {
    "topology.py": set(),
    "random_bits.py": set(),
    "generators/": {"topology", "random_bits", "metrics"},
    "metrics/": {"topology", "random_bits"},
    "catalogue.py": {"generators"},
    "kernels.py": set(),
    "plan.py": {"kernels", "topology"},
    "chain.py": {"kernels"},
    "crossover.py": {"kernels"},
    "init.py": {"topology"},
    "layers.py": {"chain", "crossover", "init", "kernels", "plan", "topology"},
    "networks.py": {"chain", "generators", "init", "kernels", "layers", "plan", "random_bits", "topology"},
    "bench.py": {"crossover", "generators", "layers"},
    "data/": {"random_bits"},
    "training.py": {"data", "generators", "layers", "metrics", "networks", "random_bits", "topology"},
    "storage.py": {"topology"},
    "names.py": {"topology"},
    "masks.py": {"names", "topology"},
    "store.py": {"__version__"},
    "statistics.py": {"training"},
    "wirings.py": {"generators", "masks", "storage", "store", "topology"},
    "plots/": {"generators", "metrics", "statistics", "topology", "training"},
    "study.py": {"data", "generators", "metrics", "networks", "statistics", "store", "topology", "training"},
    "report.py": {"plots", "statistics", "store", "study"},
}
GRAPH_HALF = ("topology.py", "random_bits.py", "generators/", "metrics/", "names.py", "masks.py")
ONLY_IN = {"matplotlib": "plots/", "pooch": "data/", "sklearn": "data/", "sqlite3": "store.py"}
CORE = {"torch", "numpy", "scipy", "safetensors", "prewired", "__future__", *sys.stdlib_module_names}


def imports(tree, *, top_level_only):
    """The first names of all absolute imports, and the targets of the relative ones with a leading dot."""
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield from (f".{node.module or alias.name}" for alias in node.names)
            else:
                yield str(node.module).split(".")[0]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_file_keeps_to_its_room(path):
    name = str(path.relative_to(SOURCE))
    tree = ast.parse(path.read_text())
    everything = set(imports(tree, top_level_only=False))
    assert set(imports(tree, top_level_only=True)) - CORE <= {m for m in everything if m.startswith(".")}, (
        "extras are imported inside the function that needs them"
    )
    if name.startswith(GRAPH_HALF):
        assert "torch" not in everything
    if name != "__main__.py":
        assert ".cli" not in everything
    for library, room in ONLY_IN.items():
        assert library not in everything or name.startswith(room), f"only {room} may import {library}"


@pytest.mark.parametrize("room", ARROWS)
def test_arrows_between_rooms_run_one_way(room):
    for path in FILES:
        name = str(path.relative_to(SOURCE))
        if not name.startswith(room):
            continue
        depth = name.count("/")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == depth + 1:
                targets = [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
                assert set(targets) <= ARROWS[room], f"{name} imports {targets}"


def test_import_is_light():
    extras = "matplotlib", "sklearn", "rich", "pooch", "pandas"
    code = f"import sys, prewired; print([m for m in {extras} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_numpys_own_random_generators_are_not_used():
    for path in FILES:
        uses = re.findall(r"np\.random\.(\w+)", path.read_text())
        assert set(uses) <= ({"Philox"} if path.name == "random_bits.py" else set()), path
