"""The study: families x densities x graph seeds x training seeds, beside two dense references.

Every finished run is stored at once, so a study can be stopped at any moment and goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from . import data, generators, metrics, networks, store
from .generators.budgets import BUDGETS, layer_shapes
from .generators.sizes import check_density
from .statistics import DENSE, DENSE_NARROW, REFERENCES, Row, mean_and_sd, percent
from .topology import Topology
from .training import Run, TrainConfig, train

RUN_VERSION = 1  # goes up when the same key would give other figures, so that old runs are not taken for new ones
WARM_UP_BATCHES = 20
MEASURED = (  # of every layer; each more is one more test of significance per density
    "density",
    "fan_in_min",
    "fan_in_max",
    "fan_in_cv",
    "fan_out_min",
    "fan_out_max",
    "fan_out_cv",
    "dead_inputs",
    "dead_outputs",
    "connected_components",
    "spectral_gap",
    "relative_spectral_gap",
    "normalized_spectral_gap",
    "ramanujan_ratio",
    "algebraic_connectivity",
    "normalized_algebraic_connectivity",
)
RESERVED = ("n_in", "n_out", "sizes", "density", "fan_in", "n_edges", "budget", "seed", "dense_output", "family")


@dataclass(frozen=True)
class StudyConfig:
    """What a study compares. Graph seeds are 0..graph_seeds-1, training seeds 0..train_seeds-1.

    Args:
        data: a name that `data.load` knows, or the path of a .npz or .csv file.
        families: names from GENERATORS or STAGES other than "dense", which is always there as the reference; with a
            family's own parameters behind it, such as "butterfly:fit=nearest"; with fit=level those of one layer that
            exist for some sizes only join at any size, see `generators.share_changed`.
        densities: shares of the edges, each in (0, 1].
        edges: instead of densities, numbers of edges over all sparse layers, which every cell has exactly.
        budget: how the edges are divided among the layers, a name in BUDGETS; without one every layer has the density.
        graph_seeds: graphs per family and density; a family without randomness has one.
        train_seeds: trainings per graph: initial weights and order of the batches.
        hidden: widths of the sparse layers; the output layer is dense.
        target: the column to predict, for .csv files.
        task: "classification" or "regression", where the data leave it open.
        root: the folder that holds the named data sets.

    Raises:
        ValueError: for an empty or impossible choice.

    Example:
        >>> StudyConfig("digits", families=["biregular"], densities=[0.1]).hidden
        (1000, 1000)
    """

    data: str
    families: tuple[str, ...]
    densities: tuple[float, ...] = ()
    graph_seeds: int = 3
    train_seeds: int = 1
    hidden: tuple[int, ...] = (1000, 1000)
    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 1e-3
    optimizer: str = "adam"
    momentum: float = 0.9
    weight_decay: float = 0.0
    target: str | None = None
    task: str | None = None
    root: str | None = None
    edges: tuple[int, ...] = ()
    budget: str | None = None

    def __post_init__(self) -> None:
        if self.densities and self.edges:
            raise ValueError("expected densities or edges, got both; leave one out")
        cells = "edges" if self.edges else "densities"
        for name in ("families", cells, "hidden"):
            given = getattr(self, name)
            if isinstance(given, str) or not isinstance(given, Iterable):
                raise ValueError(f"expected {name} as a list, got {given!r}; put it in brackets")
            values = tuple(int(one) if isinstance(one, np.integer) else one for one in given)
            if not values:
                raise ValueError(f"expected at least one of {name}, got none")
            object.__setattr__(self, name, values if name == "hidden" else tuple(dict.fromkeys(values)))
        for family in self.families:
            parse_family(family)
        if DENSE in self.families:
            raise ValueError('expected sparse families, got "dense"; leave it out, the dense references always run')
        object.__setattr__(self, "densities", tuple(map(check_density, self.densities)))
        for n in self.edges:
            if isinstance(n, bool) or not isinstance(n, int) or n < 1:
                raise ValueError(f"expected edges as integers >= 1, got {n!r}; a share of the edges goes in densities")
        if self.budget is not None and self.budget not in BUDGETS:
            raise ValueError(f"expected a budget among {', '.join(BUDGETS)}, got {self.budget!r}")
        for name in ("graph_seeds", "train_seeds", *(["hidden"] * len(self.hidden))):
            value = getattr(self, name)
            if min(value if name == "hidden" else (value,)) < 1:
                raise ValueError(f"expected {name} of at least 1, got {value}")
        self.training(0)

    def shares(self, sizes: Sequence[int]) -> tuple[float, ...]:
        """The density of every cell: those asked for, or what the numbers of edges are of the room in the layers.

        Example:
            >>> StudyConfig("digits", ["biregular"], edges=[512]).shares((64, 32, 32, 10))
            (0.16666666666666666,)
        """
        return tuple(n / room(sizes) for n in self.edges) if self.edges else self.densities

    def training(self, train_seed: int) -> TrainConfig:
        """How each net is trained with this seed."""
        return TrainConfig(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            optimizer=self.optimizer,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            seed=train_seed,
        )


@dataclass(frozen=True)
class Job:
    """One run of the grid; the fields mean what they mean in a Row."""

    label: str
    density: float | None
    graph_seed: int | None
    train_seed: int
    sizes: tuple[int, ...]

    def __str__(self) -> str:
        density = "" if self.density is None else f" {percent(self.density)}"
        graph = "" if self.graph_seed is None else f", graph {self.graph_seed}"
        return f"{self.label}{density}{graph}, seed {self.train_seed}"


@dataclass(frozen=True)
class Step:
    """Where a study stands: at the start of a run, after each epoch, and (with `run`) when it is stored."""

    job: Job
    epochs_done: int  # of all runs of this call
    n_epochs: int
    runs_stored: int  # of the whole grid
    n_runs: int
    run: Run | None = None


@dataclass(frozen=True)
class Study:
    """A finished study: what was asked, and one row per run."""

    config: StudyConfig
    data_name: str
    note: str
    sizes: tuple[int, ...]
    rows: tuple[Row, ...]


def study(config: StudyConfig, folder: str | Path, *, progress: Callable[[Step], None] | None = None) -> Study:
    """Train what is missing of the asked grid, storing each run as it finishes; all of it comes back.

    Every graph is made and checked before the first training, so an impossible cell stops the study at once. A short
    training that is thrown away comes first, so that no run is timed cold. Running again with the same folder goes on
    where the last call was stopped; runs of other grids in it are left alone, a report is of the last grid asked for.

    Args:
        config: the grid.
        folder: where runs.sqlite is, or will be.
        progress: called at the start of each run, after each epoch and when the run is stored.

    Returns:
        The runs of this grid, in its order.

    Raises:
        ValueError: for a cell that cannot be made; it names the family and the density. For a folder of another kind.
        KeyboardInterrupt: with a line that says how many runs are stored.
    """
    loaded = data.load(config.data, root=config.root, target=config.target, task=config.task)
    source = _source(loaded)
    sizes = (loaded.n_features, *config.hidden, loaded.n_outputs)
    _check_densities(config, sizes)
    jobs = grid(config, sizes)
    keys = [store.canonical_json(_key(job, config, source)) for job in jobs]
    asked = dict(zip(keys, jobs, strict=True))  # two jobs are one run where their narrow dense nets are the same
    connection = store.open_store(folder)
    try:
        finished = _load(connection, folder)
        missing = {key: job for key, job in asked.items() if key not in finished}
        _check_wiring(
            config, missing.values(), {job: finished[key]["layers"] for key, job in asked.items() if key in finished}
        )
        known = {layer["digest"]: layer["metrics"] for payload in finished.values() for layer in payload["layers"]}
        if missing:
            _warm_up(config, loaded, sizes)
        for place, (key, job) in enumerate(missing.items()):
            step = _stepper(progress, job, place, len(missing), config.epochs, len(asked))
            step(0, None)
            run, payload = _run(job, config, loaded, known, step)
            store.add(connection, _key(job, config, source), payload)
            finished[key] = payload
            step(config.epochs, run)
    except KeyboardInterrupt:
        done = len(asked.keys() & store.load(connection).keys())
        raise KeyboardInterrupt(
            f"{done} of {len(asked)} runs are stored; run the same command again to go on"
        ) from None
    finally:
        connection.close()
    rows = tuple(_row(job, finished[key]) for job, key in zip(jobs, keys, strict=True))
    return Study(config, loaded.name, loaded.note, sizes, rows)


def grid(config: StudyConfig, sizes: tuple[int, ...]) -> list[Job]:
    """All runs: the dense references first, then round by round through densities and families, to stay balanced."""
    jobs = [Job(DENSE, None, None, seed, sizes) for seed in range(config.train_seeds)]
    densities = config.shares(sizes)
    narrow = {density: _narrow(config, density, sizes) for density in densities}
    for train_seed in range(config.train_seeds):
        jobs += [Job(DENSE_NARROW, density, None, train_seed, narrow[density]) for density in densities]
        for graph_seed in range(config.graph_seeds):
            for density in densities:
                for family in config.families:
                    if generators.takes_seed(parse_family(family)[0]):
                        jobs.append(Job(family, density, graph_seed, train_seed, sizes))
                    elif graph_seed == 0:
                        jobs.append(Job(family, density, None, train_seed, sizes))
    return jobs


def parse_family(text: str) -> tuple[str, dict[str, Any]]:
    """The name of a family and its own parameters, from "name" or "name:parameter=value:...", values in JSON or words.

    Raises:
        ValueError: if the family is unknown, a part is not parameter=value, or it is set twice or by the study itself.

    Example:
        >>> parse_family("butterfly:fit=nearest")
        ('butterfly', {'fit': 'nearest'})
    """
    name, *parts = text.split(":")
    generators.known(name)
    parameters: dict[str, Any] = {}
    for part in parts:
        parameter, equals, value = part.partition("=")
        if not equals or parameter in parameters or parameter in RESERVED:
            raise ValueError(
                f"expected {name}:parameter=value with one of its own parameters, each once, got {part!r} in {text!r}; "
                f"{', '.join(RESERVED)} are set elsewhere"
            )
        try:
            parameters[parameter] = json.loads(value)
        except json.JSONDecodeError:
            parameters[parameter] = value
    if unknown := sorted(set(parameters) - generators.parameters(name).keys()):
        own = sorted(generators.parameters(name).keys() - set(RESERVED))
        known = f"among {', '.join(own)}" if own else "of its own: it has none"
        raise ValueError(f"expected parameters of {name} {known}; got {', '.join(unknown)}")
    return name, parameters


def room(sizes: Sequence[int]) -> int:
    """The number of edges that all sparse layers would have if they were dense."""
    return sum(a * b for a, b in pairwise(sizes[:-1]))


def fan_ins(density: float, sizes: tuple[int, ...], budget: str | None = None) -> list[int]:
    """Inputs per output of each sparse layer."""
    return networks.fan_ins(layer_shapes(sizes[:-1]), density, budget)


def wire(
    config: StudyConfig, family: str, density: float, sizes: tuple[int, ...], graph_seed: int | None
) -> list[Topology]:
    """The sparse layers of one net; an impossible request names the family and the density.

    Raises:
        ValueError, RuntimeError: as the generator does.
    """
    asked: dict[str, Any] = {"n_edges": round(density * room(sizes))} if config.edges else {"density": density}
    if config.budget is not None:
        asked["budget"] = config.budget
    if config.edges:
        asked["whole_fan_ins"] = not all(map(_takes_any_edges, config.families))
    name, parameters = parse_family(family)
    try:
        return networks.wire(list(sizes), family=name, seed=graph_seed or 0, **asked, **parameters)
    except (ValueError, RuntimeError) as error:
        raise type(error)(f"{family} at density {density:g}: {error}") from error


def _takes_any_edges(family: str) -> bool:
    return "n_edges" in generators.parameters(parse_family(family)[0])


def module_bytes(module: torch.nn.Module) -> int:
    """Bytes that a module holds: weights, biases and the index arrays in its buffers."""
    held = [*module.parameters(), *module.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in held)


def machine() -> str:
    """The processor and the number of threads torch uses, in one line."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    threads = torch.get_num_threads()
    return f"{model}, {threads} thread{'s' if threads > 1 else ''}"


def _check_densities(config: StudyConfig, sizes: tuple[int, ...]) -> None:
    """No two densities may round to the same graphs."""
    seen: dict[tuple[int, ...], float] = {}
    for density in () if config.edges else config.densities:
        counts = tuple(fan_ins(density, sizes, config.budget))
        if counts in seen:
            raise ValueError(
                f"expected densities that differ in some layer, got {seen[counts]:g} and {density:g}, both with "
                f"{', '.join(map(str, counts))} inputs per output; leave one out"
            )
        seen[counts] = density


def _load(connection: store.Connection, folder: str | Path) -> dict[str, dict[str, Any]]:
    """The finished runs, each of which can be read as a Row."""
    finished = store.load(connection)
    for payload in finished.values():
        try:
            _row(Job(DENSE, None, None, 0, ()), payload)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"expected runs of a study in {Path(folder) / store.FILE_NAME}, got another row ({error!r}); "
                "choose another folder, or move that file away and run again"
            ) from error
    return finished


def _warm_up(config: StudyConfig, loaded: data.Data, sizes: tuple[int, ...]) -> None:
    """Train a dense net for a moment and throw it away: caches, clocks and threads are awake for the first run."""
    rows = slice(config.batch_size * WARM_UP_BATCHES)
    part = replace(loaded, x_train=loaded.x_train[rows], y_train=loaded.y_train[rows])
    train(networks.mlp(list(sizes), family=DENSE), part, TrainConfig(batch_size=config.batch_size, epochs=1))


def _narrow(config: StudyConfig, density: float, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """The sizes of the narrow dense net; any family tells, since `_check_wiring` refuses those with other edges."""
    topologies = wire(config, config.families[0], density, sizes, 0)
    n_parameters = networks.count_parameters(networks.mlp(list(sizes), topologies=topologies))
    return tuple(networks.narrow_sizes(list(sizes), n_parameters))


def _check_wiring(config: StudyConfig, jobs: Iterable[Job], finished: Mapping[Job, list[dict[str, Any]]]) -> None:
    """Make every graph once; within a density all must have the same number of edges in each layer."""
    expected = {
        job.density: (job.label, [layer["n_edges"] for layer in layers]) for job, layers in finished.items() if layers
    }
    for label, density, graph_seed, sizes in dict.fromkeys((j.label, j.density, j.graph_seed, j.sizes) for j in jobs):
        if label in REFERENCES or density is None:
            continue
        edges = [topology.n_edges for topology in wire(config, label, density, sizes, graph_seed)]
        first, same = expected.setdefault(density, (label, edges))
        if edges != same:
            raise ValueError(
                f"{label} at density {density:g}: expected {same} edges per layer as {first} has, got {edges}; "
                "leave one of them out"
            )


def _run(
    job: Job, config: StudyConfig, loaded: data.Data, known: dict[str, Any], step: Callable[[int, Run | None], None]
) -> tuple[Run, dict[str, Any]]:
    """Build, measure and train one net; the payload is what the store keeps of it."""
    started = datetime.now(UTC)
    topologies: list[Topology] = []
    if job.label in REFERENCES or job.density is None:
        net = networks.mlp(list(job.sizes), family=DENSE, init_seed=job.train_seed)
    else:
        topologies = wire(config, job.label, job.density, job.sizes, job.graph_seed)
        net = networks.mlp(list(job.sizes), topologies=topologies, init_seed=job.train_seed)
    layers = [_layer(topology, known) for topology in topologies]
    try:
        run = train(net, loaded, config.training(job.train_seed), progress=lambda epoch, _: step(epoch, None))
    except RuntimeError as error:
        raise RuntimeError(f"{job}: {error}") from error
    return run, {
        "run": run.to_dict(),
        "layers": layers,
        "n_parameters": run.n_parameters,
        "bytes": module_bytes(net),
        "versions": store.versions(),
        "machine": machine(),
        "started": started.isoformat(timespec="milliseconds"),
        "finished": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }


def _layer(topology: Topology, known: dict[str, Any]) -> dict[str, Any]:
    if topology.digest not in known:
        known[topology.digest] = metrics.measure(topology, MEASURED)
    return {
        "digest": topology.digest,
        "recipe": topology.recipe.to_json() if topology.recipe else None,
        "n_edges": topology.n_edges,
        "metrics": known[topology.digest],
    }


def _stepper(
    progress: Callable[[Step], None] | None, job: Job, place: int, n_missing: int, epochs: int, n_runs: int
) -> Callable[[int, Run | None], None]:
    def step(epoch: int, run: Run | None) -> None:
        if progress:
            stored = n_runs - n_missing + place + (run is not None)
            progress(Step(job, place * epochs + epoch, n_missing * epochs, stored, n_runs, run))

    return step


def _key(job: Job, config: StudyConfig, source: Mapping[str, Any]) -> dict[str, Any]:
    """What determines a run. A narrow dense net is a dense net of its sizes, whatever density it was made for."""
    dense = job.label in REFERENCES
    training = asdict(config.training(job.train_seed))
    if config.optimizer != "sgd":
        del training["momentum"]
    exactly = {"n_edges": round(job.density * room(job.sizes))} if config.edges and job.density and not dense else {}
    divided = {"budget": config.budget} if config.budget and not dense else {}
    return {
        **exactly,
        **divided,
        "version": RUN_VERSION,
        "data": source,
        "sizes": job.sizes,
        "family": DENSE if dense else job.label,
        "density": None if dense else job.density,
        "graph_seed": job.graph_seed,
        "train_seed": job.train_seed,
        "training": training,
    }


def _source(loaded: data.Data) -> dict[str, str]:
    """What identifies the data: the task, and one hash over everything a run sees of them."""
    digest = hashlib.sha256()
    for part in ("train", "val", "test"):
        for tensor in (getattr(loaded, f"x_{part}"), getattr(loaded, f"y_{part}")):
            digest.update(f"{tensor.dtype} {tuple(tensor.shape)} ".encode())
            digest.update(tensor.contiguous().numpy())
    return {"sha256": digest.hexdigest(), "task": loaded.task}


def _row(job: Job, payload: Mapping[str, Any]) -> Row:
    layers = _with_nan(payload["layers"])
    names = layers[0]["metrics"] if layers else ()
    return Row(
        job.label,
        job.density,
        job.graph_seed,
        job.train_seed,
        Run.from_dict(_with_nan(payload["run"])),
        payload["bytes"],
        payload["machine"],
        {name: mean_and_sd(layer["metrics"][name] for layer in layers)[0] for name in names},
        job.sizes,
        tuple(layer["digest"] for layer in layers),
        ", ".join(f"{name} {payload['versions'][name]}" for name in ("prewired", "torch")),
    )


def _with_nan(value: Any) -> Any:
    """The nest of dicts and lists as it was before it was stored: None where a number was not finite."""
    if isinstance(value, dict):
        return {name: _with_nan(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_nan(item) for item in value]
    return math.nan if value is None else value
