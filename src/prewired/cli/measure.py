"""The verb that measures topologies, networks, saved models and studies."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from cyclopts import Parameter

from .. import metrics, plots
from ..io import atomic_write, named_units
from ..metrics.weighted import MOST_CELLS
from ..topology import Topology
from . import measure_tables, progress
from .catalogue import check_metric
from .graphs import generate_layers, is_family
from .network_files import NetworkWiring, load_networks
from .options import Flag, Metrics, Output, need_packages

TABLE_OF_STUDY = (
    "fan_out_cv",
    "relative_spectral_gap",
    "normalized_spectral_gap",
    "algebraic_connectivity",
    "log_paths",
    "path_cv",
    "reachable_share",
)
"""Metrics in the table of a study, unless --metric names others; the table has a line per family and density."""
WHAT = (
    "Topology files, inputs first; a family with NAME=VALUE words, as for `prewired generate`; a saved model "
    "(.pt, .pth, .safetensors); or the folder of a study."
)
FAILURES = (ValueError, RuntimeError, MemoryError)


class Task(NamedTuple):
    """One metric of one layer or network, and the dict that receives the value."""

    title: str
    name: str
    measure: Callable[..., Any]
    subject: Any
    values: dict[str, Any]


def measure(
    *what: Annotated[str, Parameter(required=True, help=WHAT)],
    metric: Metrics = (),
    explain: Flag = False,
    json: Flag = False,
    output: Output | None = None,
) -> None:
    """Measure topologies, the layers of a network, a family, a saved model or a study.

    An interrupted measurement prints the values that are done; a metric that fails leaves the others.

    For example:
      prewired measure hidden.topology --metric spectral_gap girth
      prewired measure biregular n_in=784 n_out=1024 density=0.05 seed=0 --explain
      prewired measure net.safetensors -o pictures

    Args:
        metric: Metrics to measure.
        explain: Add bounds, methods and certificates.
        json: Print JSON.
        output: Folder for pictures and measurements.json.
    """
    networks = _networks(what)
    layer_metrics, network_metrics = _metric_names(networks, metric, explain=explain, complete=bool(json or output))
    if output:
        need_packages("matplotlib")
        output.mkdir(parents=True, exist_ok=True)
    _print_notes(networks)
    entries = [_entry(network) for network in networks]
    tasks = [
        task
        for network, entry in zip(networks, entries, strict=True)
        for task in _tasks(network, entry, layer_metrics, network_metrics)
    ]
    failures, n_done = _run(tasks, explain)
    complete = n_done + len(failures) == len(tasks)
    files: list[str] = []
    try:
        if output and n_done:  # before anything is printed: the reader of a pipe may go
            text = measure_tables.to_json(networks, entries)
            with atomic_write.replacing(output / "measurements.json") as part:
                part.write_text(f"{text}\n", encoding="utf-8")
            pictures = _draw(networks, output) if complete else ()
            files = ["measurements.json", *dict.fromkeys(path.relative_to(output).parts[0] for path in pictures)]
    finally:
        if n_done:
            print(measure_tables.to_json(networks, entries) if json else _text(networks, entries, explain))
    if not complete:
        remark = f"; {output}/measurements.json has them" if files else ""
        raise KeyboardInterrupt(f"{n_done} of {len(tasks)} measurements were done{remark}")
    if files:
        print(f"Written to {output}/: {', '.join(files)}", file=sys.stderr if json else sys.stdout)
    if failures:
        raise RuntimeError("; ".join(failures))


def _networks(words: Sequence[str]) -> list[NetworkWiring]:
    """The networks in files, or of a family with its NAME=VALUE words."""
    first, *words_after = words
    if not is_family(first) and (Path(first).exists() or not any("=" in word for word in words_after)):
        return load_networks(words)
    topologies = generate_layers(first, words_after)
    titles = [f"layer {k}" for k in range(1, len(topologies) + 1)] if len(topologies) > 1 else [first]
    return [NetworkWiring(dict(zip(titles, topologies, strict=True)), {})]


def _metric_names(
    networks: Sequence[NetworkWiring], names: Sequence[str], *, explain: bool, complete: bool
) -> tuple[list[str], list[str]]:
    """The metrics of layers and the metrics of networks to measure.

    Args:
        networks: of one file, family or study.
        names: from the command line; none for the default, which depends on what is measured.
        explain: whether bounds are to be printed.
        complete: whether JSON or a folder receives every measurement; otherwise a table of means is printed.
    """
    first = networks[0]
    is_study = bool(first.about)
    if is_study and explain and not complete:
        raise ValueError("expected --json or -o with --explain for a study, whose table has means alone; add one")
    for name in names:
        if name in metrics.WEIGHTED_METRICS and not first.weights:
            raise ValueError(f"expected a saved model for {name}, a metric of weights, got wirings alone")
        check_metric(name)
    if is_study and not complete:
        names = names or TABLE_OF_STUDY
    if names:
        names = list(dict.fromkeys(names))
        of_network = [name for name in names if name in metrics.NETWORK_METRICS]
        return [name for name in names if name not in of_network], of_network
    weighted = list(metrics.WEIGHTED_METRICS) if first.weights else []
    if any(t.n_in * t.n_out > MOST_CELLS for t in first.layers.values()):
        weighted = [name for name in weighted if name != "effective_rank"]  # needs a dense matrix
    has_paths = is_study or (len(first.layers) > 1 and first.chains())
    return [*metrics.METRICS, *weighted], list(metrics.NETWORK_METRICS) if has_paths else []


def _print_notes(networks: Sequence[NetworkWiring]) -> None:
    notes = [note for network in networks for note in network.notes]
    if len(networks) == 1 and not networks[0].chains():
        notes.append("its layers do not follow each other, so nothing is said of the network")
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


def _entry(network: NetworkWiring) -> dict[str, Any]:
    """The JSON of a network, with empty dicts for the measurements."""
    layers = []
    for title, t in network.layers.items():
        about = {"title": title, "n_in": t.n_in, "n_out": t.n_out, "n_edges": t.n_edges, "digest": t.digest}
        if t.names:
            about["names"] = named_units.describe(t)
        layers.append({**about, "metrics": {}})
    return {**network.about, "layers": layers, "network": {}}


def _tasks(
    network: NetworkWiring, entry: dict[str, Any], layer_metrics: Sequence[str], network_metrics: Sequence[str]
) -> Iterator[Task]:
    label = f"{measure_tables.label_of(network.about)}, " if network.about else ""
    for layer, (title, topology) in zip(entry["layers"], network.layers.items(), strict=True):
        for name in layer_metrics:
            if name in metrics.METRICS:
                yield Task(label + title, name, metrics.measure, topology, layer["metrics"])
            elif title in network.weights:
                measure_weights = partial(_measure_weights, weights=network.weights[title])
                yield Task(label + title, name, measure_weights, topology, layer["metrics"])
    layers = list(network.layers.values())
    for name in network_metrics:
        yield Task(f"{label}network", name, metrics.measure_network, layers, entry["network"])


def _measure_weights(
    topology: Topology, names: Sequence[str], *, weights: np.ndarray, explain: bool, **_: Any
) -> dict[str, Any]:
    """Measure weights, shape (n_edges,), with the signature of `metrics.measure`."""
    return {name: metrics.WEIGHTED_METRICS[name](topology, weights, explain=explain) for name in names}


def _run(tasks: Sequence[Task], explain: bool) -> tuple[list[str], int]:
    """Do the tasks until all are done or the user interrupts; return the failures as text and the number done."""
    failures: list[str] = []
    n_done = 0
    try:
        with progress.measure_progress(len(tasks)) as show:
            for place, task in enumerate(tasks):
                try:
                    show_steps = partial(show, place, task.title)
                    values = task.measure(task.subject, [task.name], explain=explain, progress=show_steps)
                    value = values[task.name]
                    task.values[task.name] = value._asdict() if explain else value
                    n_done += 1
                except FAILURES as error:
                    failures.append(f"{task.name} of {task.title}: {error}")
    except KeyboardInterrupt:
        pass
    return failures, n_done


def _text(networks: Sequence[NetworkWiring], entries: Sequence[dict[str, Any]], explain: bool) -> str:
    if networks[0].about:
        return measure_tables.study_table(entries)
    if explain or len(networks[0].layers) == 1:
        return measure_tables.format_blocks(networks[0], entries[0])
    return measure_tables.format_columns(networks[0], entries[0])


def _draw(networks: Sequence[NetworkWiring], folder: Path) -> Iterator[Path]:
    """Draw a network, or the first graph of each family and density of a study in a folder of its own."""
    first: dict[str, NetworkWiring] = {}
    for network in networks:
        first.setdefault(measure_tables.label_of(network.about) if network.about else "", network)
    for label, network in first.items():
        place = folder / re.sub(r"[^\w.,=%-]+", "-", label.replace(" %", "%"))
        place.mkdir(exist_ok=True)
        yield plots.singular_values(network.layers, path=place / "singular_values.png")
        yield plots.degrees(network.layers, path=place / "degrees.png")
        yield plots.biadjacency(network.layers, label or "biadjacency", path=place / "biadjacency.png")
        if network.chains():
            yield plots.path_counts(list(network.layers.values()), path=place / "path_counts.png")
