"""The time of training steps. Runs of a study share the machine, so steps are timed when no run is left."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from ... import generators
from ...nn import count_parameters, mlp
from ...nn.linear import SparseLinear
from ...nn.reference_layers import COMPARATORS, replace_layers
from ...ops import timing as ops_timing
from ...ops.timing import time_in_turns
from ...random_bits import RandomBits
from ...training import data
from ...training.evaluation import loss_of
from ...training.loop import optimizer_of
from ..config import StudyConfig
from ..family_names import parse_families
from ..nets import Net, is_reference, list_graph_seeds
from ..plan import StudyPlan
from ..statistics import DENSE
from ..stored_values import COUNT, NUMBER, TEXT, check_fields
from ..wiring import wire_net
from . import database
from .perform import describe_machine

STEP_TURN_SECONDS = 0.06
"""Seconds of a turn, unless `steps` steps take less."""
_NO_MS = (math.nan, math.nan, math.nan)
_KINDS = {
    **dict.fromkeys(("data", "what", "machine", "kernel", "problem"), TEXT),
    **dict.fromkeys(("threads", "n_parameters", "steps_per_epoch"), COUNT),
    "density": NUMBER,
}
TIMING_VERSION = 1  # increased when the method of timing changes
USUAL = "biregular"  # if the study has this family, the comparators carry its graph


@dataclass(frozen=True)
class StepTiming:
    """The training steps of one net, in milliseconds.

    Args:
        data, density: nets with the same data set and density are compared; the dense net is timed at each density.
        what: the family, "dense" (equal width), "dense narrow" (equal parameters), or a name in COMPARATORS.
        ms: mean time of a step: lower quartile, median and upper quartile over the rounds; NaN if left out.
        threads: number of torch's threads.
        n_parameters: weights and biases that the optimiser changes.
        machine: the processor and the number of threads.
        kernel: kernel of the sparse layers, "sparse" or "dense", or both if layers differ; "" without sparse layers.
        steps_per_epoch: number of batches in the training rows.
        problem: the reason why the net was left out, "" if it was timed.
    """

    data: str
    density: float
    what: str
    ms: tuple[float, float, float]
    threads: int
    n_parameters: int
    machine: str
    kernel: str
    steps_per_epoch: int
    problem: str = ""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StepTiming:
        """Build a StepTiming from its fields; times that are not positive count as a net that was left out."""
        check_fields({"problem": "", **values}, _KINDS)
        low, middle, high = (math.nan if value is None else float(value) for value in values["ms"])
        if not values.get("problem") and not 0 < low <= middle <= high < math.inf:
            return cls(**{**values, "ms": _NO_MS, "problem": "no time above 0 was measured"})
        return cls(**{**values, "ms": (low, middle, high)})


def update_timings(
    connection: database.Connection,
    plan: StudyPlan,
    load: Callable[[str], data.Data],
    progress: Callable[[int, int], None] | None = None,
) -> tuple[StepTiming, ...]:
    """Time the nets of a study and store the timings, unless they are stored for this machine and these versions.

    Args:
        connection: to the store of the study.
        plan, load, progress: as in `time_steps`.
    """
    note = database.read_note(connection, "timings") or {}
    if note.get("key") != build_timing_key(plan) or note.get("where") != _describe_place():
        timings = [asdict(timing) for timing in time_steps(plan, load, progress=progress)]
        database.write_note(
            connection, "timings", {"key": build_timing_key(plan), "where": _describe_place(), "timings": timings}
        )
    return read_timings(connection, plan)


def read_timings(connection: database.Connection, plan: StudyPlan) -> tuple[StepTiming, ...]:
    """Read the stored timings of the nets of a study, from any machine; () if there are none."""
    note = database.read_note(connection, "timings") or {}
    if note.get("key") != build_timing_key(plan):
        return ()
    return tuple(StepTiming.from_dict(values) for values in note["timings"])


def build_timing_key(plan: StudyPlan) -> str:
    """Build the key of timings: all that timings depend on, except the machine.

    Seeds and epochs are not in the key, so a study with more seeds or epochs is not timed again.
    """
    nets = [asdict(net) for net in plan.nets if _is_timed(net)]
    fields = {name: getattr(plan.config, name) for name in ("batch_size", "optimizer", "train_rows", "edges", "budget")}
    return database.to_canonical_json({"version": TIMING_VERSION, "nets": nets, **fields})


def time_steps(
    plan: StudyPlan,
    load: Callable[[str], data.Data],
    *,
    rounds: int = 5,
    steps: int = 20,
    progress: Callable[[int, int], None] | None = None,
) -> list[StepTiming]:
    """Time whole training steps of the nets of a study and of their comparators, on the training rows of the study.

    A step does what `training.train` does: rows, forward, loss, backward, optimiser, with the batch size of the study.
    The nets of a data set and a density take turns, so that a busy moment of the machine affects all of them. Nets
    with a control or other initial weights do the same computations and are not timed. The number of torch's threads
    is not changed.

    Args:
        plan: the study.
        load: loads a data set by its name in the config.
        rounds: number of turns of each net.
        steps: most steps in a turn; fewer if steps take long, see `time_in_turns`.
        progress: called after each round with (finished rounds, all rounds).

    Returns:
        For each data set and density: the dense net, the narrow dense net, every family, every comparator.

    Example:
        >>> from prewired.study.tasks import Facts
        >>> config = StudyConfig("digits", ["biregular"], [0.1], hidden=[16])
        >>> plan = StudyPlan.build(config, {"digits": Facts("digits", "", 64, 10, {})})
        >>> [timing.what for timing in time_steps(plan, data.load, rounds=1, steps=1)]
        ['dense', 'dense narrow', 'biregular', 'masked dense', 'torch CSR', 'gather']
    """
    timings, config, nets = [], plan.config, plan.nets
    groups = list(dict.fromkeys((net.data, net.density) for net in nets if net.density is not None))
    for k, (name, density) in enumerate(groups):
        data_set = load(name)
        dense = [net for net in nets if net.data == name and net.family == DENSE]
        peers = [net for net in nets if net.data == name and net.density == density and _is_timed(net)]
        modules, problems = _build_modules(config, [*dense, *peers], data_set)
        steppers = {what: _make_step(module, config, data_set) for what, module in modules.items()}

        def report_round(round_done: int, first_round: int = k * rounds, total: int = len(groups) * rounds) -> None:
            if progress is not None:
                progress(first_round + round_done, total)

        seconds = time_in_turns(
            steppers, rounds=rounds, turn_seconds=STEP_TURN_SECONDS, most_calls=steps, after_round=report_round
        )
        timings += [
            _make_timing(name, density, what, module, seconds[what], config, data_set)
            for what, module in modules.items()
        ]
        timings += [
            StepTiming(name, density, what, _NO_MS, torch.get_num_threads(), 0, describe_machine(), "", 0, problem)
            for what, problem in problems.items()
        ]
    return timings


def choose_carrier(families: Sequence[str]) -> str:
    """Choose the family whose graph the comparators get: biregular, or else the first random family, or the first.

    Args:
        families: at least one family, as the study names it.

    Example:
        >>> choose_carrier(["rotating", "erdos_renyi", "biregular"]), choose_carrier(["rotating", "erdos_renyi"])
        ('biregular', 'erdos_renyi')
    """
    if USUAL in families:
        return USUAL
    random = [text for text in families if any(generators.takes_seed(name) for name, _ in parse_families(text))]
    return [*random, *families][0]


def _build_modules(
    config: StudyConfig, nets: Sequence[Net], data_set: data.Data
) -> tuple[dict[str, nn.Sequential], dict[str, str]]:
    """Build the networks to time, by name; also return the problem of each comparator that cannot be timed."""
    modules: dict[str, nn.Sequential] = {net.family: _build_module(config, net) for net in nets}
    problems: dict[str, str] = {}
    families = [net.family for net in nets if not is_reference(net)]
    for name in COMPARATORS if families else ():
        try:
            module = replace_layers(name, modules[choose_carrier(families)], config.batch_size)
            _make_step(module, config, data_set)()
            modules[name] = module
        except (ValueError, RuntimeError) as error:  # PyTorch lacks its sparse products on some platforms
            problems[name] = str(error).partition("\n")[0]
    return modules, problems


def _build_module(config: StudyConfig, net: Net) -> nn.Sequential:
    if is_reference(net):
        return mlp(list(net.sizes), family="dense", init_seed=0)
    topologies = wire_net(config, net, list_graph_seeds(net, config)[0])
    return mlp(list(net.sizes), topologies=topologies, init_seed=0)


def _make_step(module: nn.Module, config: StudyConfig, data_set: data.Data) -> Callable[[], None]:
    """Make a function that does the next training step; the rows come in random order."""
    module.train()
    optimizer = optimizer_of(module, config.training(0, min(config.learning_rates or (config.learning_rate,))))
    loss_between = loss_of(data_set.task)
    rows = torch.from_numpy(RandomBits(0, "timing order").permutation(len(data_set.x_train)))
    batches = [batch for batch in rows.split(config.batch_size) if len(batch) == config.batch_size] or [rows]
    batch_cycle = itertools.cycle(batches)

    def step() -> None:
        batch = next(batch_cycle)
        optimizer.zero_grad()
        loss = loss_between(module(data_set.x_train[batch]), data_set.y_train[batch])
        loss.backward()
        optimizer.step()

    return step


def _make_timing(
    name: str,
    density: float,
    what: str,
    module: nn.Module,
    seconds: ops_timing.Timing,
    config: StudyConfig,
    data_set: data.Data,
) -> StepTiming:
    sparse = [layer for layer in module.modules() if isinstance(layer, SparseLinear)]
    kernels = dict.fromkeys(layer.kernel_for(config.batch_size, training=True) for layer in sparse)
    low, middle, high = (1e3 * value for value in seconds[:3])
    return StepTiming(
        data=name,
        density=density,
        what=what,
        ms=(low, middle, high),
        threads=torch.get_num_threads(),
        n_parameters=count_parameters(module),
        machine=describe_machine(),
        kernel=", ".join(kernels),
        steps_per_epoch=math.ceil(len(data_set.x_train) / config.batch_size),
    )


def _is_timed(net: Net) -> bool:
    return not net.control and net.init == "fan_in"


def _describe_place() -> dict[str, Any]:
    return {"machine": describe_machine(), "versions": database.read_versions()}
