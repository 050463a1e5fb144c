"""Performing a task: measure the graphs of a net, or train the net once. Results can be written as JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import torch

from ... import metrics
from ...nn import SparseModule, count_parameters, mlp
from ...ops.machine import processor
from ...random_bits import RandomBits
from ...topology import Topology
from ...training import data
from ...training.loop import train
from ...training.signal_strength import measure_signals
from ..config import StudyConfig
from ..nets import is_reference
from ..tasks import Facts, GraphTask, Task, TrainingTask
from ..wiring import wire_net
from . import database

LAYER_METRICS = (
    "density",
    "fan_in_min",
    "fan_in_max",
    "fan_in_cv",
    "fan_out_min",
    "fan_out_max",
    "fan_out_cv",
    "dead_inputs",
    "dead_outputs",
    "duplicate_inputs",
    "duplicate_outputs",
    "connected_components",
    "spectral_gap",
    "relative_spectral_gap",
    "normalized_spectral_gap",
    "ramanujan_ratio",
    "random_ratio",
    "algebraic_connectivity",
    "normalized_algebraic_connectivity",
    "four_cycle_ratio",
    "robins_alexander_clustering",
    "scatter",
)
RECORDED_NETWORK_METRICS = tuple(metrics.NETWORK_METRICS)


OnTaskEpoch = Callable[[int], None]


def perform(task: Task, config: StudyConfig, load: Callable[[str], data.Data], on_epoch: OnTaskEpoch) -> dict[str, Any]:
    """Do a task and return the result to store.

    Args:
        task: the task.
        config: the study.
        load: loads a data set by its name in the config.
        on_epoch: called with the number of finished epochs, after each epoch of a training.

    Raises:
        ValueError, RuntimeError: if a graph cannot be generated; the message names the net.
    """
    started = datetime.now(UTC)
    if isinstance(task, GraphTask):
        result = _measure_graphs(task, config)
    else:
        result = _train(task, config, load(task.net.data), on_epoch)
    return {
        **result,
        "versions": database.read_versions(),
        "started": started.isoformat(timespec="milliseconds"),
        "finished": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }


def load_data(config: StudyConfig, name: str) -> data.Data:
    """Load a data set of the study, with config.train_rows training rows if the study sets their number.

    Raises:
        ValueError: if the data set has fewer training rows, or as `data.load` does.
    """
    data_set = data.load(name, root=config.root, target=config.target, task=config.task)
    if config.train_rows is None:
        return data_set
    if config.train_rows > len(data_set.x_train):
        raise ValueError(
            f"expected train_rows of at most {len(data_set.x_train)}, the training rows of {name}, got "
            f"{config.train_rows}; lower it or leave it out"
        )
    rows = torch.from_numpy(RandomBits(0, "train rows").permutation(len(data_set.x_train))[: config.train_rows])
    return replace(data_set, x_train=data_set.x_train[rows], y_train=data_set.y_train[rows])


def gather_facts(config: StudyConfig) -> dict[str, Facts]:
    """Load each data set of a study, and return its facts.

    Raises:
        ValueError, OSError: as `load_data` does; also if two data sets have the same rows.
    """
    facts: dict[str, Facts] = {}
    for name in config.data:
        data_set = load_data(config, name)
        source = identify_data(data_set)
        if same := [other for other, values in facts.items() if values.source == source]:
            raise ValueError(f"expected different data sets, got the same rows in {same[0]} and {name}; leave one out")
        facts[name] = Facts(data_set.name, data_set.note, data_set.n_features, data_set.n_outputs, source)
    return facts


def identify_data(data_set: data.Data) -> dict[str, str]:
    """Identify a data set by its task and a hash of everything that a run reads."""
    digest = hashlib.sha256()
    for part in ("train", "val", "test"):
        for tensor in (getattr(data_set, f"x_{part}"), getattr(data_set, f"y_{part}")):
            digest.update(f"{tensor.dtype} {tuple(tensor.shape)} ".encode())
            digest.update(tensor.contiguous().numpy())
    return {"sha256": digest.hexdigest(), "task": data_set.task}


def describe_machine() -> str:
    """Describe the processor and the number of torch's threads in one line."""
    threads = torch.get_num_threads()
    return f"{processor()}, {threads} thread{'s' if threads > 1 else ''}"


def count_bytes(module: torch.nn.Module) -> int:
    """Count the bytes of a module: weights, biases, buffers and index tensors."""
    tensors = [*module.parameters(), *module.buffers()]
    index_bytes = sum(layer.index_bytes for layer in module.modules() if isinstance(layer, SparseModule))
    return index_bytes + sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _measure_graphs(task: GraphTask, config: StudyConfig) -> dict[str, Any]:
    try:
        topologies = wire_net(config, task.net, task.graph_seed)
    except (ValueError, RuntimeError) as error:
        if not config.skip_impossible:
            raise
        return {"impossible": str(error)}
    layers = [{**_describe_layer(t), "metrics": metrics.measure(t, LAYER_METRICS)} for t in topologies]
    return {"layers": layers, "network": metrics.measure_network(topologies, RECORDED_NETWORK_METRICS)}


def _train(task: TrainingTask, config: StudyConfig, data_set: data.Data, on_epoch: OnTaskEpoch) -> dict[str, Any]:
    sizes, seed = list(task.net.sizes), task.train_seed
    topologies: list[Topology] = []
    if is_reference(task.net):
        net = mlp(sizes, family="dense", init_seed=seed)
    else:
        topologies = wire_net(config, task.net, task.graph_seed)
        net = mlp(sizes, topologies=topologies, init_seed=seed, scale=task.net.init)
    signals: Mapping[str, Any] = {} if task.tuning else measure_signals(net, data_set)
    training = config.training(seed, task.learning_rate, tuning=task.tuning)
    description = {
        "layers": [_describe_layer(t) for t in topologies],
        "n_parameters": count_parameters(net),
        "bytes": count_bytes(net),
        "machine": describe_machine(),
        "start": signals,
    }
    try:
        run = train(net, data_set, training, progress=lambda epoch, _: on_epoch(epoch), test=not task.tuning)
    except FloatingPointError as error:
        return {**description, "failed": str(error)}
    return {**description, "run": run.to_dict()}


def _describe_layer(topology: Topology) -> dict[str, Any]:
    return {
        "digest": topology.digest,
        "recipe": topology.recipe.to_json() if topology.recipe else None,
        "n_edges": topology.n_edges,
    }
