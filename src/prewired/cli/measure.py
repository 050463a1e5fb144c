"""The verb of the command line that measures: topologies, networks, saved models and studies."""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from . import measure_tables
from .graphs import made

if TYPE_CHECKING:
    import numpy as np

    from ..topology import Topology
    from .wirings import Net

OF_STUDIES = (
    "fan_out_cv",
    "relative_spectral_gap",
    "normalized_spectral_gap",
    "algebraic_connectivity",
    "log_paths",
    "path_cv",
    "reachable_share",
)
"""What the table of a study shows unless --metric asks for others; it has a line for each family and density."""
FAILURES = (ValueError, RuntimeError, MemoryError)


class Task(NamedTuple):
    """One metric of one layer or network, and the dict that takes the answer."""

    title: str
    name: str
    measure: Callable[..., Any]
    subject: Any
    into: dict[str, Any]


def measure(arguments: argparse.Namespace) -> None:
    """`prewired measure WHAT ...`: what is done is shown, also when it is stopped or a metric fails."""
    nets, folder = _nets(arguments.what), arguments.output
    of_layers, of_network = _names(nets, arguments)
    if folder:
        if find_spec("matplotlib") is None:
            raise ImportError("expected the package matplotlib, got none; pip install 'prewired[study]'")
        folder.mkdir(parents=True, exist_ok=True)
    notes = [note for net in nets for note in net.notes]
    if len(nets) == 1 and not nets[0].chains():
        notes.append("its layers do not follow each other, so nothing is said of the network")
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    entries = [_entry(net) for net in nets]
    tasks = [
        task for net, entry in zip(nets, entries, strict=True) for task in _tasks(net, entry, of_layers, of_network)
    ]
    failed, done = _run(tasks, arguments.explain)
    complete = done + len(failed) == len(tasks)
    written: list[str] = []
    try:
        if folder and done:  # before anything is printed: the reader of a pipe may go
            (folder / "measurements.json").write_text(measure_tables.to_json(nets, entries) + "\n", encoding="utf-8")
            pictures = _draw(nets, folder) if complete else ()
            written = ["measurements.json", *dict.fromkeys(path.relative_to(folder).parts[0] for path in pictures)]
    finally:
        if done:
            _show(nets, entries, arguments)
    if not complete:
        kept = f"; {folder}/measurements.json has them" if written else ""
        raise KeyboardInterrupt(f"{done} of {len(tasks)} measurements were done{kept}")
    if written:
        text = f"Written to {folder}/: {', '.join(written)}"
        print(text, file=sys.stderr if arguments.json else sys.stdout)
    if failed:
        raise RuntimeError("; ".join(failed))


def metrics(arguments: argparse.Namespace) -> None:
    """`prewired metrics [METRIC]`."""
    from .. import metrics

    registries = {
        "Of a topology": metrics.METRICS,
        "Of a topology and the weights of its edges": metrics.WEIGHTED_METRICS,
        "Of a network": metrics.NETWORK_METRICS,
    }
    known = {name: metric for registry in registries.values() for name, metric in registry.items()}
    if arguments.metric:
        _check_name(arguments.metric)
        print(f"{arguments.metric}\n\n{inspect.getdoc(known[arguments.metric])}")
        return
    for title, registry in registries.items():
        print(f"{title}:")
        for name, metric in registry.items():
            print(f"  {name:<{max(map(len, known))}}  {(inspect.getdoc(metric) or '').partition(chr(10))[0]}")


def _check_name(name: str) -> None:
    from .. import metrics

    known = {**metrics.METRICS, **metrics.WEIGHTED_METRICS, **metrics.NETWORK_METRICS}
    if name not in known:
        close = get_close_matches(name, known, n=3, cutoff=0.4)
        nearest = f", nearest {', '.join(close)}" if close else ""
        raise ValueError(f"expected the name of a metric, got {name!r}{nearest}; see prewired metrics")


def _nets(words: Sequence[str]) -> list[Net]:
    """What is to be measured, from files or from a family and its NAME=VALUE words."""
    from .. import generators
    from .wirings import Net, load

    first, *others = words
    is_family = first in (*generators.GENERATORS, *generators.NETWORK_FAMILIES)
    if not is_family and (Path(first).exists() or not any("=" in word for word in others)):
        return load(words)
    topologies = made(first, others)
    titles = [f"layer {k}" for k in range(1, len(topologies) + 1)] if len(topologies) > 1 else [first]
    return [Net(dict(zip(titles, topologies, strict=True)), {})]


def _names(nets: Sequence[Net], arguments: argparse.Namespace) -> tuple[list[str], list[str]]:
    """The metrics of layers and those of networks that are asked for."""
    from .. import metrics
    from ..metrics.weighted import MOST_CELLS

    of_study = bool(nets[0].about)
    chosen = arguments.metric
    if of_study and arguments.explain and not (arguments.json or arguments.output):
        raise ValueError("expected --json or -o with --explain for a study, whose table has means alone; add one")
    weighted = list(metrics.WEIGHTED_METRICS) if nets[0].weights else []
    for name in chosen or ():
        if name in metrics.WEIGHTED_METRICS and not weighted:
            raise ValueError(f"expected a saved model for {name}, a metric of weights, got wirings alone")
        _check_name(name)
    if any(t.n_in * t.n_out > MOST_CELLS for t in nets[0].layers.values()):
        weighted = [name for name in weighted if name != "effective_rank"]  # needs a dense matrix
    if chosen is None and of_study and not (arguments.json or arguments.output):
        chosen = OF_STUDIES
    if chosen is None:
        several = len(nets[0].layers) > 1 and nets[0].chains()
        return [*metrics.METRICS, *weighted], list(metrics.NETWORK_METRICS) if several or of_study else []
    wanted = list(dict.fromkeys(chosen))
    return [n for n in wanted if n not in metrics.NETWORK_METRICS], [n for n in wanted if n in metrics.NETWORK_METRICS]


def _entry(net: Net) -> dict[str, Any]:
    """The place for the measurements of a net, as JSON shows it."""
    from ..io import named_units

    layers = []
    for title, t in net.layers.items():
        about = {"title": title, "n_in": t.n_in, "n_out": t.n_out, "n_edges": t.n_edges, "digest": t.digest}
        if t.names:
            about["names"] = named_units.describe(t)
        layers.append({**about, "metrics": {}})
    return {**net.about, "layers": layers, "network": {}}


def _tasks(net: Net, entry: dict[str, Any], of_layers: Sequence[str], of_network: Sequence[str]) -> Iterator[Task]:
    from .. import metrics

    label = f"{measure_tables.label_of(net.about)}, " if net.about else ""
    for layer, (title, t) in zip(entry["layers"], net.layers.items(), strict=True):
        for name in of_layers:
            if name in metrics.METRICS:
                yield Task(label + title, name, metrics.measure, t, layer["metrics"])
            elif title in net.weights:
                yield Task(label + title, name, _of_weights(net.weights[title]), t, layer["metrics"])
    layers = list(net.layers.values())
    yield from (Task(label + "network", n, metrics.measure_network, layers, entry["network"]) for n in of_network)


def _of_weights(weights: np.ndarray) -> Callable[..., dict[str, Any]]:
    """As `metrics.measure`, of a topology with these weights."""
    from .. import metrics

    def measure(t: Topology, names: Sequence[str], *, explain: bool, **_: Any) -> dict[str, Any]:
        return {name: metrics.WEIGHTED_METRICS[name](t, weights, explain=explain) for name in names}

    return measure


def _run(tasks: Sequence[Task], explain: bool) -> tuple[list[str], int]:
    """Do the tasks, until all are done or the user interrupts; what failed, in sentences, and how many are done."""
    failed: list[str] = []
    done = 0
    try:
        with _bar(len(tasks)) as show:
            for place, task in enumerate(tasks):
                try:
                    shown = partial(show, place, task.title)
                    found = task.measure(task.subject, [task.name], explain=explain, progress=shown)[task.name]
                    task.into[task.name] = found._asdict() if explain else found
                    done += 1
                except FAILURES as error:
                    failed.append(f"{task.name} of {task.title}: {error}")
    except KeyboardInterrupt:
        pass
    return failed, done


@contextmanager
def _bar(n_tasks: int) -> Iterator[Callable[..., None]]:
    """A progress bar on a terminal, called with the place of a task, its title, its metric, its steps and all steps."""
    if not sys.stderr.isatty() or find_spec("rich") is None:
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Column

    description = Column(ratio=3, no_wrap=True, overflow="ellipsis")
    text = TextColumn("{task.description}", markup=False, table_column=description)
    shown = (text, BarColumn(None, table_column=Column(ratio=1)), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*shown, console=Console(stderr=True), expand=True, transient=True) as bar:
        task = bar.add_task("", total=n_tasks)

        def show(place: int, title: str, name: str, steps: int, of: int | None) -> None:
            expected = f" of about {of:,}" if of is not None and steps <= of else ""
            inner = f", step {steps:,}{expected}" if steps else ""
            bar.update(task, completed=place, description=f"{title}: {name}{inner}")

        yield show


def _show(nets: Sequence[Net], entries: Sequence[dict[str, Any]], arguments: argparse.Namespace) -> None:
    if arguments.json:
        print(measure_tables.to_json(nets, entries))
    elif nets[0].about:
        print(measure_tables.study_table(entries))
    elif arguments.explain or len(nets[0].layers) == 1:
        print(measure_tables.blocks(nets[0], entries[0]))
    else:
        print(measure_tables.columns(nets[0], entries[0]))


def _draw(nets: Sequence[Net], folder: Path) -> Iterator[Path]:
    """The pictures of a net, or of the first graph of each family and density in a folder of its own."""
    from .. import plots

    first: dict[str, Net] = {}
    for net in nets:
        first.setdefault(measure_tables.label_of(net.about) if net.about else "", net)
    for label, net in first.items():
        place = folder / re.sub(r"[^\w.,=%-]+", "-", label.replace(" %", "%"))
        place.mkdir(exist_ok=True)
        layers = list(net.layers.values())
        yield plots.singular_values(net.layers, path=place / "singular_values.png")
        yield plots.degrees(net.layers, path=place / "degrees.png")
        yield plots.biadjacency(net.layers, label or "biadjacency", path=place / "biadjacency.png")
        if net.chains():
            yield plots.path_counts(layers, path=place / "path_counts.png")
