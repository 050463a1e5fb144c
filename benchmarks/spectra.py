"""sigma2 and the algebraic connectivity of large graphs, beside SciPy and networkx, each in a process of its own."""

import json
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .alone import bound_memory, in_processes, measured

ROUNDS, MINUTES = 3, 15
LIMIT = 150  # seconds a process may take

OWN, BOUNDED, SCIPY, NETWORKX = "prewired", "prewired with bounds", "SciPy", "networkx"
LIBRARIES = (OWN, BOUNDED, SCIPY, NETWORKX)
SIGMA2, CONNECTIVITY = "Ramanujan ratio", "algebraic connectivity"  # the ratio is sigma2 / a constant


class Case(NamedTuple):
    """A quantity of a graph of a family, n inputs and n outputs."""

    quantity: str
    family: str
    n: int
    fan_in: int


SIZES = [*(("biregular", n, 32) for n in (2000, 20_000, 200_000, 1_000_000)), ("erdos_renyi", 20_000, 32)]
CASES = [Case(quantity, *size) for size in SIZES for quantity in (SIGMA2, CONNECTIVITY)]
QUICK = [Case(quantity, "erdos_renyi", 300, 8) for quantity in (SIGMA2, CONNECTIVITY)]


def run(rounds: int, quick: bool) -> dict[str, Any]:
    """A record for each case and library; a process that failed leaves its last words."""
    records, hopeless = [], set()
    for case in QUICK if quick else CASES:
        for library in LIBRARIES:
            if (case.quantity, library) not in WAYS:
                continue
            if (kind := (case.quantity, case.family, library)) in hopeless:
                continue  # a smaller graph was too large already
            print(f"spectra: {case.quantity}, {case.family}, n = {case.n:,}, {library}", flush=True)
            record = in_processes(f"{__package__}.spectra", case, library, LIMIT, rounds)
            if "problem" in record:
                hopeless.add(kind)
            records.append({**case._asdict(), "library": library, **record})
    return {"limit": LIMIT, "records": records}


def _own(metric: str, explain: bool) -> Callable[[Any], dict[str, Any]]:
    def compute(t: Any) -> dict[str, Any]:
        from prewired import metrics

        if not explain:
            return {"value": metrics.METRICS[metric](t)}
        found: Any = metrics.METRICS[metric](t, explain=True)
        error = found.error / found.value if found.value else found.error
        return {"value": found.value, "relative error": error, "method": found.method, "basis": found.basis}

    return compute


def _svds(t: Any) -> dict[str, Any]:
    from scipy.sparse.linalg import svds

    values = svds(t.biadjacency(), 2, return_singular_vectors=False, rng=np.random.default_rng(0))
    bound = sum((t.n_edges / n - 1) ** 0.5 for n in (t.n_in, t.n_out))
    return {"value": float(values.min() / bound), "method": "svds(k=2)"}


def _eigsh(t: Any) -> dict[str, Any]:
    from scipy.sparse import block_array, csr_array, diags_array
    from scipy.sparse.linalg import eigsh

    b = t.biadjacency()
    adjacency = csr_array(block_array([[None, b.T], [b, None]]))
    degrees = adjacency.sum(axis=1)
    shifted = diags_array(2 * degrees.max() - degrees) + adjacency
    values = eigsh(shifted, 2, which="LA", return_eigenvectors=False, v0=np.random.default_rng(0).random(len(degrees)))
    return {"value": float(2 * degrees.max() - values.min()), "method": 'eigsh(c I - L, k=2, which="LA")'}


def _networkx(t: Any) -> dict[str, Any]:
    import networkx as nx

    graph = nx.Graph()
    graph.add_nodes_from(range(t.n_in + t.n_out))
    outputs = np.repeat(np.arange(t.n_out), t.fan_in) + t.n_in
    graph.add_edges_from(zip(t.indices.tolist(), outputs.tolist(), strict=True))
    value = nx.algebraic_connectivity(graph, method="lobpcg", seed=0)  # its fastest here; the default takes minutes
    return {"value": float(value), "method": "algebraic_connectivity"}


WAYS: dict[tuple[str, str], Callable[[Any], dict[str, Any]]] = {
    (SIGMA2, OWN): _own("ramanujan_ratio", explain=False),
    (SIGMA2, BOUNDED): _own("ramanujan_ratio", explain=True),
    (SIGMA2, SCIPY): _svds,
    (CONNECTIVITY, OWN): _own("algebraic_connectivity", explain=False),
    (CONNECTIVITY, BOUNDED): _own("algebraic_connectivity", explain=True),
    (CONNECTIVITY, SCIPY): _eigsh,
    (CONNECTIVITY, NETWORKX): _networkx,
}


def measure(case: Case, library: str) -> dict[str, Any]:
    """Make the graph, then compute the quantity; the value, seconds and memory of the latter."""
    from prewired import generators

    bound_memory()
    seed = {"seed": 0} if generators.takes_seed(case.family) else {}
    t = generators.make(case.family, n_in=case.n, n_out=case.n, fan_in=case.fan_in, **seed)
    found, figures = measured(lambda: WAYS[case.quantity, library](t))
    return {**found, **figures}


if __name__ == "__main__":
    print(json.dumps(measure(Case(*json.loads(sys.argv[1])), sys.argv[2])))
