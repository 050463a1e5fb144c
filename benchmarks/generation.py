"""Making graphs, beside networkx, igraph and SciPy: seconds and peak memory, each graph in a process of its own."""

import importlib
import json
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from .alone import bound_memory, in_processes, measured

ROUNDS, MINUTES = 3, 20
LIMIT = 180  # seconds a process may take

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
                made = in_processes(f"{__package__}.generation", case, library, LIMIT, rounds)
                records.append({**case._asdict(), "library": library, **made})
    return {"limit": LIMIT, "records": records}


def measure(case: Case, library: str) -> dict[str, Any]:
    """Make the graph; seconds, edges, and the peak of the memory above what was resident before, in bytes."""
    bound_memory()
    module = importlib.import_module(MODULES[library])
    make = MAKERS[case.graph, library]
    make(module, 16, 2)  # whatever is loaded or compiled on the first call
    graph, figures = measured(lambda: make(module, case.n, case.fan_in))
    return {**figures, "edges": _edges(graph)}


def _edges(graph: Any) -> int:
    for name in ("n_edges", "nnz"):
        if hasattr(graph, name):
            return getattr(graph, name)
    return graph.ecount() if hasattr(graph, "ecount") else graph.number_of_edges()


if __name__ == "__main__":
    print(json.dumps(measure(Case(*json.loads(sys.argv[1])), sys.argv[2])))
