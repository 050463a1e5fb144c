"""Making graphs, beside networkx, igraph and SciPy: seconds and peak memory, each graph in a process of its own."""

import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from .memory import forget_peak_memory, peak_memory

ROUNDS, MINUTES = 3, 20
ONCE = 20.0  # seconds from which on a graph is made only once
LIMIT = 180  # seconds a process may take
SPARE = 0.85  # share of the machine's memory a process may take

OWN, NETWORKX, IGRAPH, SCIPY = "prewired", "networkx", "igraph", "SciPy"
MODULES = {
    OWN: "prewired.generators",
    NETWORKX: "networkx.algorithms.bipartite",
    IGRAPH: "igraph",
    SCIPY: "scipy.sparse",
}
EXACT, BY_P, BIREGULAR, MARGULIS = "exact edges", "probability p", "biregular", "Margulis"
MAKERS: dict[tuple[str, str], Callable[[Any, int, int], Any]] = {  # of the library's module, n and the fan-in d
    (EXACT, OWN): lambda made, n, d: made.erdos_renyi(n, n, fan_in=d, seed=0),
    (EXACT, NETWORKX): lambda made, n, d: made.gnmk_random_graph(n, n, n * d, seed=0),
    (EXACT, IGRAPH): lambda made, n, d: made.Graph.Random_Bipartite(n, n, m=n * d),
    (EXACT, SCIPY): lambda made, n, d: made.random_array((n, n), density=d / n, format="csr", rng=0),
    (BY_P, OWN): lambda made, n, d: made.erdos_renyi_p(n, n, fan_in=d, seed=0),
    (BY_P, NETWORKX): lambda made, n, d: made.random_graph(n, n, d / n, seed=0),
    (BY_P, IGRAPH): lambda made, n, d: made.Graph.Random_Bipartite(n, n, p=d / n),
    (BIREGULAR, OWN): lambda made, n, d: made.biregular(n, n, fan_in=d, seed=0),
    (BIREGULAR, NETWORKX): lambda made, n, d: made.configuration_model([d] * n, [d] * n, seed=0),
    (BIREGULAR, IGRAPH): lambda made, n, d: made.Graph.Realize_Bipartite_Degree_Sequence([d] * n, [d] * n),
    (MARGULIS, OWN): lambda made, n, d: made.margulis(n, n),
    (MARGULIS, NETWORKX): lambda made, n, d: importlib.import_module("networkx").margulis_gabber_galil_graph(
        round(n**0.5)
    ),
}
LIBRARIES = tuple(MODULES)


class Case(NamedTuple):
    """A graph of n inputs and n outputs and its mean fan-in."""

    graph: str
    n: int
    fan_in: int


CASES = [Case(graph, n, d) for graph in (EXACT, BY_P, BIREGULAR) for n, d in ((10**4, 32), (10**6, 8), (10**6, 32))]
CASES += [Case(MARGULIS, n, 8) for n in (10**4, 10**6)]
QUICK = [Case(graph, 400, 8) for graph in (EXACT, BY_P, BIREGULAR, MARGULIS)]


def run(rounds: int, quick: bool) -> dict[str, Any]:
    """A record for each case and each library that can make it; a process that failed leaves its last words."""
    records = []
    for case in QUICK if quick else CASES:
        for library in LIBRARIES:
            if (case.graph, library) in MAKERS:
                print(f"generation: {case.graph}, n = {case.n:,}, fan-in {case.fan_in}, {library}", flush=True)
                records.append({**case._asdict(), "library": library, **_rounds(case, library, rounds)})
    return {"limit": LIMIT, "records": records}


def _rounds(case: Case, library: str, rounds: int) -> dict[str, Any]:
    """The medians over the processes, or the problem that the first one met."""
    found: list[dict[str, Any]] = []
    while len(found) < rounds and not (found and found[0]["seconds"] > ONCE):
        done = _process(case, library)
        if "problem" in done:
            return done
        found.append(done)
    middle = {name: median(one[name] for one in found) for name in ("seconds", "bytes")}
    return {
        "edges": found[0]["edges"],
        "seconds": float(f"{middle['seconds']:.3g}"),
        "bytes": int(middle["bytes"]),
        "samples": len(found),
    }


def _process(case: Case, library: str) -> dict[str, Any]:
    command = [sys.executable, "-m", f"{__package__}.generation", json.dumps(case), library]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False, timeout=LIMIT
        )
    except subprocess.TimeoutExpired:
        return {"problem": f"over {LIMIT} s"}
    if done.returncode == 0:
        return json.loads(done.stdout)
    last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    if "No module named" in last:
        return {"problem": "not installed"}
    out_of_memory = "emory" in last or done.returncode < 0
    return {"problem": "out of memory" if out_of_memory else last}


def measure(case: Case, library: str) -> dict[str, Any]:
    """Make the graph; seconds, edges, and the peak of the memory above what was resident before, in bytes."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    resource.setrlimit(resource.RLIMIT_AS, (int(SPARE * total), resource.RLIM_INFINITY))
    module = importlib.import_module(MODULES[library])
    make = MAKERS[case.graph, library]
    make(module, 16, 2)  # whatever is loaded or compiled on the first call
    forget_peak_memory()
    before = peak_memory()
    start = time.perf_counter()
    graph = make(module, case.n, case.fan_in)
    seconds = time.perf_counter() - start
    peak = peak_memory()
    return {"seconds": seconds, "edges": _edges(graph), "bytes": peak and before and peak - before}


def _edges(graph: Any) -> int:
    for name in ("n_edges", "nnz"):
        if hasattr(graph, name):
            return getattr(graph, name)
    return graph.ecount() if hasattr(graph, "ecount") else graph.number_of_edges()


if __name__ == "__main__":
    print(json.dumps(measure(Case(*json.loads(sys.argv[1])), sys.argv[2])))
