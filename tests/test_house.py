"""The drawing in docs/design.md, kept true: who may import whom."""

import ast
import graphlib
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
    "wired.py": {"plan"},
    "layers.py": {"chain", "crossover", "init", "kernels", "plan", "topology", "wired"},
    "networks.py": {"chain", "generators", "init", "kernels", "layers", "plan", "random_bits", "topology"},
    "bench.py": {"crossover", "generators", "layers"},
    "data/": {"random_bits"},
    "training.py": {"data", "generators", "layers", "metrics", "networks", "random_bits", "topology"},
    "files.py": set(),
    "storage.py": {"files", "topology"},
    "compression.py": {"chain", "layers", "plan", "topology", "wired"},
    "saved/": {"compression", "files", "generators", "layers", "networks", "topology", "wired"},
    "footprint.py": {"compression", "kernels", "layers", "saved", "topology", "wired"},
    "export/": {"__version__", "compression", "crossover", "files", "layers", "plan", "topology"},
    "names.py": {"topology"},
    "masks.py": {"names", "topology"},
    "store.py": {"__version__"},
    "statistics/": {"random_bits", "training"},
    "signals.py": {"data", "layers", "training"},
    "wirings.py": {"compression", "generators", "masks", "saved", "storage", "store", "topology"},
    "plots/": {"generators", "metrics", "statistics", "topology", "training"},
    "page/": {"plots", "statistics", "topology"},
    "study/": {
        *("__version__", "data", "generators", "layers", "metrics", "networks", "random_bits", "signals", "statistics"),
        *("store", "topology", "training"),
    },
    "report/": {"generators", "page", "plots", "statistics", "store", "study", "topology"},
    "cli_progress.py": {"study"},
    "cli_study.py": {"cli_progress", "report", "study"},
}
GRAPH_HALF = ("topology.py", "random_bits.py", "generators/", "metrics/", "names.py", "masks.py")
ONLY_IN = {
    "matplotlib": ("plots/",),
    "onnx": ("export/",),
    "onnxruntime": ("export/",),
    "plotly": ("plots/", "page/"),
    "pooch": ("data/",),
    "pyarrow": ("report/",),
    "ray": ("study/ray_engine.py",),
    "sklearn": ("data/", "statistics/"),
    "sqlite3": ("store.py",),
    "statsmodels": ("statistics/",),
}
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
    for library, rooms in ONLY_IN.items():
        assert library not in everything or name.startswith(rooms), f"only {' and '.join(rooms)} may import {library}"


def targets(room):
    """File -> the first names of what it imports from elsewhere in the package."""
    found = {}
    for path in FILES:
        name = str(path.relative_to(SOURCE))
        if name.startswith(room):
            nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
            outside = [node for node in nodes if node.level == name.count("/") + 1]
            names = [[node.module] if node.module else [alias.name for alias in node.names] for node in outside]
            found[name] = {one.split(".")[0] for several in names for one in several}
    return found


@pytest.mark.parametrize("room", ARROWS)
def test_arrows_between_rooms_run_one_way(room):
    found = targets(room)
    assert found, f"no file in {room}"
    for name, imported in found.items():
        assert imported <= ARROWS[room], f"{name} imports {imported - ARROWS[room]}"
    assert set().union(*found.values()) == ARROWS[room], f"{room} does not need all its arrows"


def test_no_arrow_leads_back():
    rooms = {room.removesuffix("/").removesuffix(".py"): arrows for room, arrows in ARROWS.items()}
    order = list(graphlib.TopologicalSorter(rooms).static_order())  # raises if there is a circle
    assert order.index("topology") < order.index("training") < order.index("study") < order.index("report")


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
