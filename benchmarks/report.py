"""The page docs/benchmarks.md, from what docs/benchmarks.json holds: measured values beside the goals."""

from typing import Any

from . import shipped, spectra
from .generation import LIBRARIES, OWN
from .goals import (
    GENERATION_GOALS,
    LAYER_GOALS,
    NETWORK_GOALS,
    PEER_DENSITIES,
    PEER_GOALS,
    SPECTRA_GOALS,
    WIDE_GOALS,
)
from .layer import FORWARD, STEP
from .network import DROP_INS
from .peers import DENSE, FEATURE_MAJOR, NAMES, PRODUCTS, ROW_MAJOR
from .tables import MISSING, at_least, at_most, number, percent, table

Record = dict[str, Any]
Cell = tuple[int, float]  # threads, density
Found = dict[tuple[Cell, str, str], Record]  # cell, contender, and pass or optimiser

HEAD = f"""Written by `make bench` from [benchmarks.json](benchmarks.json); do not edit. A figure without a unit is
time of `{DENSE}` / time of the contender: above 1 is faster than dense. The contenders take turns in one run, a time
is the median of the rounds, and before anything is timed its results are compared with the dense layer's."""
LAYER = """{batch} x {width} x {width}, float32, near-biregular random graphs, autograd included. Row-major in and out;
`feature-major` is what a layer finds between other sparse layers: x and the gradient of the output with strides
(1, batch). SciPy and MKL know no gradients: they get feature-major matrices on both sides and add no bias. SciPy runs
on one thread; MKL has analysed the matrix beforehand and runs its `{mkl}` code on this processor (`def` is its
plainest)."""
NETWORK = """The loop a user writes, on an MLP {sizes} at batch {batch}: zero_grad, forward, cross entropy, backward,
step, with `fused=True` for all. The output layer is dense everywhere. Measured and wanted."""
WIDE = """A full Adam step (forward, gradients of weights, bias and input, fused update), each row in a process of its
own. There is no dense time: at 65,536 the weights of a dense layer, their gradients and Adam's two moments take 64 GiB,
at 1,000,000 they take 16 TB. Peaks are of the resident memory, and hold what importing the package takes. Measured and
wanted."""
SWEEP = """Row-major, forward and forward+backward, densities {low} to {high}. {below} of {all} cells are below
{floor:g}; a cell found below is measured again, in {again} times the rounds, and that figure counts. The worst ratio
over densities and passes:"""

GENERATION = """Seconds, and the peak of the memory above what was resident before, of making a graph in the library's
own data structure: n inputs, n outputs, n times the fan-in edges; medians of up to three processes, one graph in each.
Not all keep the same promise. Where it says biregular, {own} draws a simple graph with the same degree on all vertices
of a side, networkx one with parallel edges (the configuration model), and igraph makes one greedily, without drawing.
The Margulis graph of networkx has n vertices and half the edges, ours twice n as a layer has. A process is stopped
after {limit} s; -: the library has no such generator. {own}, measured and wanted."""
SPECTRA = """Seconds, and the peak of the memory above what was resident before, of computing one number of a graph
of n inputs and n outputs that is there already; each in a process of its own, medians of up to three. sigma2 is
measured as the Ramanujan ratio, sigma2 / (sqrt(fan_in - 1) + sqrt(fan_out - 1)). {bounded} also proves bounds: their
largest relative distance from the value is given with what they rest on; SciPy (`svds`, `eigsh` of the shifted
Laplacian) and networkx (`algebraic_connectivity`, lobpcg) say nothing of the kind. A process is stopped after
{limit} s, and larger graphs are not tried then (-). Measured and wanted."""


def markdown(parts: dict[str, Any]) -> str:
    """The whole page; parts that were not measured are left out."""
    sections = {
        "layer": _layer,
        "network": _network,
        "wide": _wide,
        "sweep": _sweep,
        "generation": _generation,
        "spectra": _spectra,
        "files": shipped.files,
        "runtimes": shipped.runtimes,
    }
    blocks = ["# Benchmarks", HEAD, *_machine(parts)]
    for name, section in sections.items():
        blocks += section(parts[name]) if name in parts else []
    return "\n\n".join(blocks) + "\n"


def _machine(parts: dict[str, Any]) -> list[str]:
    about = {name: part["machine"] | {"rounds": str(part["rounds"])} for name, part in parts.items()}
    rows = []
    for key in next(iter(about.values()), {}):
        measured: dict[str, list[str]] = {}
        for name, machine in about.items():
            measured.setdefault(machine[key], []).append(name)
        agreed = len(measured) == 1
        rows.append((key, "; ".join(text if agreed else f"{', '.join(of)}: {text}" for text, of in measured.items())))
    quick = [name for name, part in parts.items() if part["quick"]]
    warning = [f"**A quick run, not a measurement: {', '.join(quick)}.**"] if quick else []
    return [*warning, table(("", ""), rows, align="---")]


def _layer(part: dict[str, Any]) -> list[str]:
    found = _found(part["records"], "pass")
    cells = sorted({cell for cell, _, _ in found})
    text = LAYER.format_map(part | {"mkl": part["mkl"] or "?"})
    blocks = ["## One layer", text, "![Speedup over density](benchmarks.png)"]
    for what in (FORWARD, STEP):
        names = [name for name in NAMES[1:] if what == FORWARD or name not in PRODUCTS]
        rows = []
        for cell in cells:
            ratios = (_problem(part, cell, name) or number(_ratio(found, cell, name, what)) for name in names)
            rows.append((*_start(cell), _milliseconds(found[cell, DENSE, what]), *ratios))
        blocks += [f"### {what.capitalize()}", table(("threads", "density", f"{DENSE} [ms]", *names), rows)]
    return [*blocks, *_problems(part), *_layer_goals(found, cells), *_peer_goals(found, cells)]


def _layer_goals(found: Found, cells: list[Cell]) -> list[str]:
    columns = [(name, what) for name in (ROW_MAJOR, FEATURE_MAJOR) for what in (FORWARD, STEP)]
    rows = []
    for cell in cells:
        if goals := LAYER_GOALS.get(cell[1]):
            pairs = zip(columns, goals, strict=True)
            rows.append((*_start(cell), *(at_least(_ratio(found, cell, *column), goal) for column, goal in pairs)))
    heads = [f"{'feature' if name == FEATURE_MAJOR else 'row'}-major {what}" for name, what in columns]
    return ["### Measured and wanted", table(("threads", "density", *heads), rows)]


def _peer_goals(found: Found, cells: list[Cell]) -> list[str]:
    def times_as_fast(cell: Cell, peer: str) -> str:
        own, what, goal = PEER_GOALS[peer]
        ratios = _ratio(found, cell, own, what), _ratio(found, cell, peer, what)
        return at_least(ratios[0] / ratios[1], goal) if all(ratios) else MISSING

    low, high = PEER_DENSITIES
    chosen = [cell for cell in cells if low <= cell[1] <= high]
    rows = [(*_start(cell), *(times_as_fast(cell, peer) for peer in PEER_GOALS)) for cell in chosen]
    heads = [f"{peer}, {what}" for peer, (_, what, _) in PEER_GOALS.items()]
    text = "Time of the peer / time of this package, measured and wanted; feature-major beside MKL, else row-major."
    return ["### Beside the peers", text, table(("threads", "density", *heads), rows)]


def _network(part: dict[str, Any]) -> list[str]:
    found = _found(part["records"], "optimiser")
    names = ROW_MAJOR, *DROP_INS
    rows = []
    for optimiser in dict.fromkeys(key[2] for key in found):
        for cell in sorted({cell for cell, _, _ in found}):
            wanted = {ROW_MAJOR: NETWORK_GOALS.get(cell[1])}
            ratios = (
                _problem(part, cell, name) or at_least(_ratio(found, cell, name, optimiser), wanted.get(name))
                for name in names
            )
            rows.append((optimiser, *_start(cell), _milliseconds(found[cell, DENSE, optimiser]), *ratios))
    text = NETWORK.format(sizes="-".join(str(size) for size in part["sizes"]), batch=part["batch"])
    heads = "optimiser", "threads", "density", f"{DENSE} [ms]", *names
    return ["## A training step", text, table(heads, rows), *_problems(part)]


def _wide(part: dict[str, Any]) -> list[str]:
    rows = []
    for record in part["records"]:
        goals = WIDE_GOALS.get(record["name"].partition(", feature")[0], {})
        seconds = [number(record["seconds"][name]) for name in ("generator", "layer")]
        steps = [at_most(1e3 * value, goals.get("ms")) for name, value in record["seconds"].items() if "step" in name]
        megabytes = {name: value and value / 1e6 for name, value in record["bytes"].items()}
        memory = number(megabytes["import"]), number(megabytes["build"]), at_most(megabytes["step"], goals.get("MB"))
        rows.append((record["name"], f"{record['fan_in']}", f"{record['batch']}", *seconds, *steps, *memory))
    steps = [f"{name} [ms]" for name in part["records"][0]["seconds"] if "step" in name]
    peaks = "imported [MB]", "peak of building [MB]", "peak of training [MB]"
    heads = "layer", "fan-in", "batch", "generator [s]", "layer [s]", *steps, *peaks
    return ["## Wide layers", WIDE, table(heads, rows)]


def _sweep(part: dict[str, Any]) -> list[str]:
    records, floor = part["records"], part["floor"]
    below = sorted((record for record in records if record["ratio"] < floor), key=lambda record: record["ratio"])
    densities = sorted({record["density"] for record in records})
    worst: dict[tuple[int, int], dict[int, float]] = {}
    for record in records:
        line = worst.setdefault((record["threads"], record["width"]), {})
        line[record["batch"]] = min(record["ratio"], line.get(record["batch"], record["ratio"]))
    batches = sorted({record["batch"] for record in records})
    rows = [(*map(str, line), *(number(worst[line].get(batch)) for batch in batches)) for line in sorted(worst)]
    counts = {"below": len(below), "all": len(records), "floor": floor, "again": part["again"]}
    text = SWEEP.format(low=percent(densities[0]), high=percent(densities[-1]), **counts)
    blocks = ["## Never slower than dense?", text, table(("threads", "width", *(f"B={b}" for b in batches)), rows)]
    if below:
        lines = []
        for record in below:
            where = (str(record[name]) for name in ("threads", "width", "batch", "pass"))
            ratios = number(record["first ratio"]), number(record["ratio"])
            lines.append((*where, percent(record["density"]), *ratios))
        heads = "threads", "width", "batch", "pass", "density", "at first", "ratio"
        blocks += [f"Every cell below {floor:g}:", table(heads, lines)]
    return blocks


def _generation(part: dict[str, Any]) -> list[str]:
    found = {((r["graph"], r["n"], r["fan_in"]), r["library"]): r for r in part["records"]}
    rows = []
    for case in dict.fromkeys(case for case, _ in found):
        goals = GENERATION_GOALS.get(case, {})
        made = [found.get((case, library), {}) for library in LIBRARIES]
        seconds = [one.get("problem") or _digits(one.get("seconds")) for one in made]
        memory = [_digits(one["bytes"] / 1e6 if one.get("bytes") else None) for one in made]
        if goals and "seconds" in made[0]:
            seconds[0] = at_most(made[0]["seconds"], goals["s"])
            memory[0] = at_most(made[0]["bytes"] / 1e6, goals["MB"])
        rows.append((case[0], f"{case[1]:,}", str(case[2]), *seconds, *memory))
    heads = [f"{library} [{unit}]" for unit in ("s", "MB") for library in LIBRARIES]
    text = GENERATION.format(own=OWN, limit=part["limit"])
    return ["## Making graphs", text, table(("graph", "n", "fan-in", *heads), rows)]


def _spectra(part: dict[str, Any]) -> list[str]:
    found = {((r["quantity"], r["family"], r["n"], r["fan_in"]), r["library"]): r for r in part["records"]}
    rows = []
    for case in dict.fromkeys(case for case, _ in found):
        goals = SPECTRA_GOALS.get(case[1:], {})
        made = {library: found.get((case, library), {}) for library in spectra.LIBRARIES}
        seconds = {library: one.get("problem") or _digits(one.get("seconds")) for library, one in made.items()}
        memory = [_digits(one["bytes"] / 1e6 if one.get("bytes") else None) for one in made.values()]
        for place, (library, one) in enumerate(made.items()):
            if goals and library in (spectra.OWN, spectra.BOUNDED) and "seconds" in one:
                seconds[library] = at_most(one["seconds"], goals["s"])
                memory[place] = at_most(one["bytes"] / 1e6, goals["MB"])
        bounded = made[spectra.BOUNDED]
        rests = f"{bounded['relative error']:.0e}, {bounded['basis']}" if "basis" in bounded else MISSING
        rows.append((case[0], case[1], f"{case[2]:,}", str(case[3]), *seconds.values(), *memory, rests))
    heads = [f"{library} [{unit}]" for unit in ("s", "MB") for library in spectra.LIBRARIES]
    text = SPECTRA.format(bounded=spectra.BOUNDED, limit=part["limit"])
    head = ("quantity", "graph", "n", "fan-in", *heads, "error bound, and its basis")
    return ["## Spectra", text, table(head, rows)]


def _digits(value: float | None) -> str:
    return MISSING if value is None else f"{value:.2g}" if value < 100 else number(value)


def _problem(part: dict[str, Any], cell: Cell, name: str) -> str:
    """Such as "not installed" or "wrong output"; "" where the contender was timed."""
    met = (r["problem"] for r in part["problems"] if (r["threads"], r["density"], r["contender"]) == (*cell, name))
    return next(met, "").partition(":")[0]


def _problems(part: dict[str, Any]) -> list[str]:
    """A line per contender and complaint, with the number of cells it is missing from."""
    missing: dict[str, int] = {}
    for record in part["problems"]:
        text = f"{record['contender']}: {record['problem']}"
        missing[text] = missing.get(text, 0) + 1
    lines = [f"- {text} (in {count} cells)" for text, count in missing.items()]
    return ["Not timed:", "\n".join(lines)] if lines else []


def _found(records: list[Record], kind: str) -> Found:
    return {((r["threads"], r["density"]), r["contender"], r[kind]): r for r in records}


def _ratio(found: Found, cell: Cell, name: str, what: str) -> float | None:
    record = found.get((cell, name, what))
    return record and record["ratio"]


def _start(cell: Cell) -> tuple[str, str]:
    return str(cell[0]), percent(cell[1])


def _milliseconds(record: Record) -> str:
    return number(1e3 * record["seconds"])
