"""Whatever runs a store holds, its report says what can and what cannot be said; a damaged row is named.

A random store has the tables, keys and payloads of a real study, but nobody trained: scores, metrics, seconds, and
which runs are finished, are drawn.
"""

import csv
import json
import math
import re
import warnings
from dataclasses import asdict

import numpy as np
import pytest
from rich.console import Console

from prewired import generators
from prewired.cli.app import main
from prewired.nn.reference_layers import COMPARATORS
from prewired.study import StudyConfig, StudyPlan, load, reporting
from prewired.study.nets import is_reference
from prewired.study.running import database, step_timing
from prewired.study.running.perform import LAYER_METRICS, RECORDED_NETWORK_METRICS
from prewired.study.running.task_table import TaskTable
from prewired.study.statistics import DENSE
from prewired.study.study_status import describe_status, status
from prewired.study.tasks import Facts, GraphTask
from prewired.training import Run

FAMILIES = (
    *("biregular", "rotating", "erdos_renyi", "banded", "window2d", "barabasi_albert"),
    *("swap_ladder:swaps=0", "swap_ladder:swaps=0.5", "biregular+rotating", "rotating+erdos_renyi"),
)
DRAWS = {  # how numbers are drawn: (random generator, place) -> a number; None is what a store has for NaN
    "spread": lambda random, _: float(random.uniform(0, 1)),
    "constant": lambda *_: 0.1,
    "rounding": lambda random, _: 0.1 + float(random.choice([0, 1.4e-17, 2.8e-17])),
    "by place": lambda _, place: 0.1 * (place % 3),
    "two values": lambda random, _: float(random.choice([0.25, 0.5])),
    "whole": lambda random, _: int(random.integers(0, 4)),
    "zero": lambda *_: 0.0,
    "none": lambda *_: None,
    "some none": lambda random, _: None if random.random() < 0.4 else float(random.uniform(0, 1)),
    "tiny": lambda random, _: float(random.choice([1e-300, 5e-324, 2e-300, 0.0])),
    "huge": lambda random, _: float(random.choice([1.7e308, -1.7e308, 1e300, 1.0])),
    "negative": lambda random, _: -float(random.exponential(100)),
}


def draw_config(random):
    """A config of a small study, with a task for its data sets."""
    n_data, n_families = int(random.choice([1, 1, 2])), int(random.choice([1, 1, 2, 3, 4, 7]))
    more = {}
    if random.random() < 0.3:
        more["controls"] = ("permuted", "shuffled")[: random.integers(1, 3)]
    if random.random() < 0.2:
        more["inits"] = ("n_in",)
    if random.random() < 0.3:
        more |= {"learning_rates": (0.001, 0.01), "tune_seeds": int(random.integers(1, 3))}
    if random.random() < 0.3:
        more["patience"] = 1
    if random.random() < 0.2:
        more["reference_seeds"] = int(random.integers(1, 4))
    sizes = {"edges": (20, 40)[: random.integers(1, 3)]} if random.random() < 0.2 else {}
    return StudyConfig(
        ("=mine", "yours")[:n_data],
        tuple(random.choice(FAMILIES, n_families, replace=False).tolist()),
        () if sizes else (0.25, 0.5, 0.75)[: random.integers(1, 4)],
        graph_seeds=int(random.integers(1, 4)),
        train_seeds=int(random.integers(1, 4)),
        hidden=tuple(random.integers(8, 12, random.integers(1, 4)).tolist()),
        epochs=int(random.integers(1, 5)),
        skip_impossible=bool(random.random() < 0.3),
        timing=bool(random.random() < 0.5),
        **sizes,
        **more,
    ), str(random.choice(["classification", "regression"]))


def draw_graphs(random, task, config, draws, same):
    """The stored result of a graph task."""
    if config.skip_impossible and random.random() < 0.1:
        return {"impossible": f"{task.net.family}: no such graph"}
    shapes = list(zip(task.net.sizes, task.net.sizes[1:-1], strict=False))
    name = "the same" if same else f"{task.net.family} {task.net.control} {task.graph_seed}"
    recipe = generators.make("rotating", n_in=8, n_out=4, density=0.5).recipe.to_json() if random.random() < 0.5 else None
    layers = [
        {
            "digest": f"{name} {task.net.density} {k}",
            "recipe": recipe,
            "n_edges": 10,
            "metrics": {metric: draws[metric](random, k) for metric in LAYER_METRICS},
        }
        for k in range(len(shapes))
    ]
    for layer in layers:
        layer["metrics"] |= {"dead_inputs": 0, "dead_outputs": 1}
    return {"layers": layers, "network": {m: draws[m](random, 0) for m in RECORDED_NETWORK_METRICS}}


def draw_run(random, place, task, config, kind, draws, graphs):
    """The stored result of a training."""
    net = task.net
    digests = [{name: layer[name] for name in ("digest", "recipe", "n_edges")} for layer in graphs.get("layers", ())]
    n = len(net.sizes) - 1
    payload = {
        "layers": digests,
        "n_parameters": 100,
        "bytes": 400,
        "machine": str(random.choice(["a CPU", "another CPU"])),
        "start": {} if task.tuning else {name: [draws["start"](random, k) for k in range(n)] for name in SIGNALS},
    }
    if draws["failed"] and random.random() < 0.3:
        return {**payload, "failed": "the loss is not finite"}
    training = config.training(task.train_seed, task.learning_rate, tuning=task.tuning)
    epochs = int(random.integers(1, training.epochs + 1)) if config.patience else training.epochs
    curves = {name: tuple(draws[name](random, place) for _ in range(epochs)) for name in CURVES}
    score = draws["score"](random, place)
    ends = {"test_loss": score, "test_score": score, "chosen_epoch": int(random.integers(1, epochs + 1))}
    run = Run(training, "accuracy" if kind == "classification" else "r2", 100, **curves, **ends)
    return {**payload, "run": run.to_dict()}


SIGNALS = ("activation_rms", "gradient_norm")
CURVES = ("train_loss", "val_loss", "val_score", "seconds")


def draw_timings(random, plan, draws):
    """The note of timed training steps."""
    timings = []
    for name, density in dict.fromkeys((net.data, net.density) for net in plan.nets if net.density is not None):
        nets = [net.family for net in plan.nets if net.data == name and net.density == density and not net.control]
        for what in dict.fromkeys([DENSE, *nets, *COMPARATORS]):
            problem = "not on this machine" if random.random() < 0.1 and what != DENSE else ""
            ms = (math.nan,) * 3 if problem else tuple(sorted((abs(draws["ms"](random, 0) or 0.0)) for _ in range(3)))
            timings.append(step_timing.StepTiming(name, density, what, ms, 1, 10, "a CPU", "sparse", 3, problem))
    timings = [asdict(timing) for timing in timings]
    return {"key": step_timing.build_timing_key(plan), "where": "here", "timings": timings}


def write_store(folder, seed):
    """Write a random store into the folder, and return how its scores were drawn."""
    random = np.random.default_rng(seed)
    config, kind = draw_config(random)
    names = list(DRAWS)
    facts = {
        name: Facts(name, "a note" if random.random() < 0.5 else "", int(random.integers(6, 12)), 2, {"task": kind})
        for name in config.data
    }
    draws = {name: DRAWS[str(random.choice(names))] for name in (*LAYER_METRICS, *RECORDED_NETWORK_METRICS)}
    draws |= {name: DRAWS[str(random.choice(names))] for name in (*CURVES, "start")}
    score = str(random.choice(names))
    draws |= {"score": DRAWS[score], "failed": random.random() < 0.3}
    draws["seconds"] = DRAWS[str(random.choice(["spread", "constant", "zero", "whole"]))]
    draws["ms"] = DRAWS[str(random.choice(["spread", "constant", "zero", "whole", "some none"]))]
    share, tuned = float(random.choice([0.05, 0.3, 0.8, 1, 1])), random.random() < 0.9
    left_out = str(random.choice(["", "", "", "sparse", "dense", "plain", "data"]))
    connection = database.open_store(folder)
    connection.execute("BEGIN")
    table = TaskTable(StudyPlan.build(config, facts), connection)
    table.store_request()
    same = random.random() < 0.1
    for task in table.plan.graph_tasks:
        if random.random() < 0.95:
            table.add(task, stamp(draw_graphs(random, task, config, draws, same)))
    table.apply_graphs()

    def train(tasks, wanted):
        for place, task in enumerate(tasks):
            plan = table.plan
            graphs = {} if is_reference(task.net) or task.tuning else table._graphs.get(plan.find_graph_key(task.net, task.graph_seed))
            if graphs is not None and random.random() < wanted and not leave_out(task.net):
                table.add(task, stamp(draw_run(random, place, task, config, kind, draws, graphs)))

    def leave_out(net):
        return {
            "sparse": not is_reference(net),
            "dense": is_reference(net),
            "plain": not is_reference(net) and not net.control,
            "data": net.data == config.data[-1],
        }.get(left_out, False)

    train(table.plan.tuning_tasks, 1.0 if tuned else 0.5)
    try:
        table.choose_rates()
    except RuntimeError:
        pass
    else:
        train(table.plan.runs if table.plan.rates_are_chosen else (), share)
    if random.random() < 0.5:
        database.write_note(connection, "timings", draw_timings(random, table.plan, draws))
    connection.execute("COMMIT")
    connection.close()
    return score


def stamp(payload):
    times = {"started": "2026-01-01T00:00:00.000+00:00", "finished": "2026-01-01T00:00:01.000+00:00"}
    return {**payload, "versions": {"prewired": "1", "torch": "2"}, **times}
