"""The arrows in docs/design.md, kept true: which room may import which. It covers every file of the package."""

import ast
import copy
import graphlib
import importlib
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

import prewired

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


EXTRAS = {
    *("matplotlib", "networkx", "onnx", "onnxruntime", "pandas", "plotly", "pooch", "pyarrow", "ray", "rich"),
    *("sklearn", "statsmodels"),
}
TOPOLOGY = "import prewired as pw; topology = pw.generators.biregular(64, 64, fan_in=4, seed=0); "
LOADS_NO_TORCH = {
    "the root": "import prewired",
    "generators": "import prewired.generators",
    "metrics": "import prewired.metrics",
    "io": "import prewired.io",
    "plots": "import prewired.plots",
    "topology": "import prewired.topology; import prewired as pw; pw.Topology",
    "the use of generators, metrics and io": TOPOLOGY + "pw.measure(topology); pw.io.load_topology",
}
LOADS_TORCH = {wing: f"import prewired.{wing}" for wing in ("nn", "training", "checkpoint", "export", "study")}


# A child process for each statement, after what all may use is imported once.
IMPORTED = """
import json, os, sys, {shared}
for name, statement in json.loads(sys.argv[1]).items():
    if not os.fork():
        exec(statement)
        print(json.dumps([name, sorted({{module.partition(".")[0] for module in sys.modules}})]), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0, statement
"""


@pytest.mark.parametrize(
    ("statements", "shared", "heavy"),
    [(LOADS_NO_TORCH, "numpy", EXTRAS | {"torch"}), (LOADS_TORCH, "torch", EXTRAS)],
    ids=["without torch", "with torch"],
)
def test_imports_are_light(statements, shared, heavy):
    """In an interpreter of its own, since the tests themselves have imported everything."""
    command = [sys.executable, "-c", IMPORTED.format(shared=shared), json.dumps(statements)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    modules = dict(map(json.loads, result.stdout.splitlines()))
    assert list(modules) == list(statements)
    assert {name: heavy & set(modules[name]) for name in modules} == {name: set() for name in modules}


def test_the_lazy_root_has_what_it_lists():
    assert dir(prewired) == sorted(prewired.__all__)
    for name in prewired.__all__:
        assert getattr(prewired, name) is not None
    namespace = {}
    exec("from prewired import *", namespace)
    assert set(prewired.__all__) <= set(namespace)
    with pytest.raises(AttributeError, match="'prewired' has no attribute 'absent'; it has SparseLinear"):
        prewired.absent  # noqa: B018


@pytest.mark.parametrize("wing", [room for room in ARROWS if (SOURCE / room / "__init__.py").exists()])
def test_the_names_that_a_wing_lists_are_there(wing):
    module = importlib.import_module(f"prewired.{wing}")
    names = getattr(module, "__all__", [])
    assert len(names) == len(set(names))
    for name in names:
        assert hasattr(module, name), name


def test_a_topology_can_be_copied_and_pickled():
    topology = prewired.generators.biregular(8, 8, fan_in=2, seed=0)
    for duplicate in (copy.copy(topology), copy.deepcopy(topology), pickle.loads(pickle.dumps(topology))):
        assert type(duplicate) is prewired.Topology
        assert duplicate.digest == topology.digest


MOST_SHARED_NAMES = 10


def public_definitions(path):
    """The public functions, classes and constants that a file defines at its top level."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = [node.name]
        else:
            assigned = getattr(node, "targets", [getattr(node, "target", None)])
            names = [target.id for target in assigned if isinstance(target, ast.Name) and target.id.isupper()]
        yield from (name for name in names if not name.startswith("_"))


def test_a_name_means_one_thing():
    files = {}
    for path in FILES:
        for name in public_definitions(path):
            files.setdefault(name, set()).add(str(path.relative_to(SOURCE)))
    shared = {name: sorted(places) for name, places in sorted(files.items()) if len(places) > 1}
    for name, places in shared.items():
        print(f"{name}: {', '.join(places)}")
    assert len(shared) <= MOST_SHARED_NAMES


def test_numpys_own_random_generators_are_not_used():
    for path in FILES:
        uses = re.findall(r"np\.random\.(\w+)", path.read_text())
        assert set(uses) <= ({"Philox"} if path.name == "random_bits.py" else set()), path


def test_threads_may_use_the_root_at_once():
    code = """
import threading, prewired as pw
errors, barrier = [], threading.Barrier(len(pw.__all__))
def use(name):
    barrier.wait()
    try:
        getattr(pw, name)
    except BaseException as error:
        errors.append((name, error))
threads = [threading.Thread(target=use, args=(name,)) for name in pw.__all__]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(errors)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
