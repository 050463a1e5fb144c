"""How long training steps take, timed with nothing else of the study running; its runs share the machine."""

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
from ..config import StudyConfig, parse_families
from ..grid import Net, graph_seeds, is_reference
from ..statistics import DENSE
from ..wiring import wire_net
from . import database
from .tasks import machine

TURN_SECONDS = 0.06
"""Seconds of a turn, where that does not take more steps than were asked for."""
_NO_MS = (math.nan, math.nan, math.nan)
TIMING_VERSION = 1  # goes up when timings are taken in another way
USUAL = "biregular"  # the family whose graph the comparators carry, where the study has it


@dataclass(frozen=True)
class Timing:
    """The training steps of one net, in milliseconds.

    Args:
        data, density: where nets are compared; the dense net is timed beside the others at each density.
        what: the family, "dense" (equal width), "dense narrow" (equal parameters), or a name in COMPARATORS.
        ms: lower quartile, median and upper quartile over the rounds of the mean time of a step; NaN if left out.
        threads: of torch.
        n_parameters: weights and biases that the optimiser changes.
        machine: the processor and the threads, in words.
        kernel: of its sparse layers, "sparse" or "dense", or both if they differ; "" where there are none.
        steps_per_epoch: batches in the training rows.
        problem: why it was left out, "" where it was not.
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


def keep(
    connection: database.Connection,
    config: StudyConfig,
    nets: Sequence[Net],
    load: Callable[[str], data.Data],
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Timing, ...]:
    """The timings of a study, taken and stored where there are none of these nets, this machine and these versions.

    Args:
        connection: to the study's store.
        config, nets, load, progress: as of `time_steps`.
    """
    stored = database.noted(connection, "timings") or {}
    if stored.get("key") != key(config, nets) or stored.get("where") != _where():
        timings = [asdict(timing) for timing in time_steps(config, nets, load, progress=progress)]
        database.note(connection, "timings", {"key": key(config, nets), "where": _where(), "timings": timings})
    return kept(connection, config, nets)


def kept(connection: database.Connection, config: StudyConfig, nets: Sequence[Net]) -> tuple[Timing, ...]:
    """The stored timings of these nets, whatever machine they were taken on; none where there are none."""
    stored = database.noted(connection, "timings") or {}
    if stored.get("key") != key(config, nets):
        return ()
    return tuple(from_dict(values) for values in stored["timings"])


def from_dict(values: Mapping[str, Any]) -> Timing:
    """A Timing from its fields, also after a passage through JSON."""
    low, middle, high = (math.nan if value is None else value for value in values["ms"])
    return Timing(**{**values, "ms": (low, middle, high)})


def key(config: StudyConfig, nets: Sequence[Net]) -> str:
    """What timings depend on, besides the machine: a study of more seeds or epochs does not time again."""
    timed = [asdict(net) for net in nets if _is_timed(net)]
    how = {name: getattr(config, name) for name in ("batch_size", "optimizer", "train_rows", "edges", "budget")}
    return database.canonical_json({"version": TIMING_VERSION, "nets": timed, **how})


def time_steps(
    config: StudyConfig,
    nets: Sequence[Net],
    load: Callable[[str], data.Data],
    *,
    rounds: int = 5,
    steps: int = 20,
    progress: Callable[[int, int], None] | None = None,
) -> list[Timing]:
    """Time whole training steps of the nets of a study and of what one could run instead, on the data's own rows.

    A step is that of `training.train`: rows drawn, forward, loss, backward, the study's optimiser at its batch size.
    The nets of one data set and density take turns, so that a busy moment of the machine meets them all; torch keeps
    the threads it has.

    Args:
        config: the study.
        nets: of its grid; those with a control or other initial weights compute the same and are not timed.
        load: gives a data set by its name in the config.
        rounds: turns of each.
        steps: of a turn, at most; fewer where they take long, see `time_in_turns`.
        progress: called after each turn of all with (turns done, turns in all).

    Returns:
        For each data set and density: the dense net, the narrow one, every family, every comparator.

    Example:
        >>> from prewired.study import nets
        >>> config = StudyConfig("digits", ["biregular"], [0.1], hidden=[16])
        >>> made = nets(config, {"digits": (64, 16, 10)}, {"digits": {0.1: (64, 3, 10)}})
        >>> [timing.what for timing in time_steps(config, made, data.load, rounds=1, steps=1)]
        ['dense', 'dense narrow', 'biregular', 'masked dense', 'torch CSR', 'gather']
    """
    found = []
    cells = list(dict.fromkeys((net.data, net.density) for net in nets if net.density is not None))
    for k, (name, density) in enumerate(cells):
        loaded = load(name)
        dense = [net for net in nets if net.data == name and net.family == DENSE]
        inside = [net for net in nets if net.data == name and net.density == density and _is_timed(net)]
        modules, problems = _contestants(config, [*dense, *inside], loaded)
        calls = {what: _step(module, config, loaded) for what, module in modules.items()}

        def after(done: int, before: int = k * rounds, total: int = len(cells) * rounds) -> None:
            if progress is not None:
                progress(before + done, total)

        timings = time_in_turns(calls, rounds=rounds, turn_seconds=TURN_SECONDS, most_calls=steps, after_round=after)
        found += [
            _timing(name, density, what, module, timings[what], config, loaded) for what, module in modules.items()
        ]
        found += [
            Timing(name, density, what, _NO_MS, torch.get_num_threads(), 0, machine(), "", 0, problem)
            for what, problem in problems.items()
        ]
    return found


def carrier(families: Sequence[str]) -> str:
    """The family whose graph the comparators carry: random biregular, else the first random one, else the first.

    Args:
        families: at least one, as the study names them.

    Example:
        >>> carrier(["rotating", "erdos_renyi", "biregular"]), carrier(["rotating", "erdos_renyi"])
        ('biregular', 'erdos_renyi')
    """
    if USUAL in families:
        return USUAL
    random = [text for text in families if any(generators.takes_seed(name) for name, _ in parse_families(text))]
    return [*random, *families][0]


def _contestants(
    config: StudyConfig, nets: Sequence[Net], loaded: data.Data
) -> tuple[dict[str, nn.Sequential], dict[str, str]]:
    """What is timed, by name, and what is the matter with each comparator that is not."""
    modules: dict[str, nn.Sequential] = {net.family: _module(config, net) for net in nets}
    problems: dict[str, str] = {}
    families = [net.family for net in nets if not is_reference(net)]
    for name in COMPARATORS if families else ():
        try:
            made = replace_layers(name, modules[carrier(families)], config.batch_size)
            _step(made, config, loaded)()
            modules[name] = made
        except (ValueError, RuntimeError) as error:  # PyTorch lacks its sparse products on some platforms
            problems[name] = str(error).partition("\n")[0]
    return modules, problems


def _module(config: StudyConfig, net: Net) -> nn.Sequential:
    if is_reference(net):
        return mlp(list(net.sizes), family="dense", init_seed=0)
    topologies = wire_net(config, net, graph_seeds(net, config)[0])
    return mlp(list(net.sizes), topologies=topologies, init_seed=0)


def _step(module: nn.Module, config: StudyConfig, loaded: data.Data) -> Callable[[], None]:
    """One training step after the other, on rows that come in random order."""
    module.train()
    optimizer = optimizer_of(module, config.training(0, min(config.learning_rates or (config.learning_rate,))))
    loss_between = loss_of(loaded.task)
    rows = torch.from_numpy(RandomBits(0, "timing order").permutation(len(loaded.x_train)))
    batches = [batch for batch in rows.split(config.batch_size) if len(batch) == config.batch_size] or [rows]
    turn = itertools.cycle(batches)

    def step() -> None:
        batch = next(turn)
        optimizer.zero_grad()
        loss = loss_between(module(loaded.x_train[batch]), loaded.y_train[batch])
        loss.backward()
        optimizer.step()

    return step


def _timing(
    name: str,
    density: float,
    what: str,
    module: nn.Module,
    seconds: ops_timing.Timing,
    config: StudyConfig,
    loaded: data.Data,
) -> Timing:
    sparse = [layer for layer in module.modules() if isinstance(layer, SparseLinear)]
    kernels = dict.fromkeys(layer.kernel_for(config.batch_size, training=True) for layer in sparse)
    low, middle, high = (1e3 * value for value in seconds[:3])
    return Timing(
        data=name,
        density=density,
        what=what,
        ms=(low, middle, high),
        threads=torch.get_num_threads(),
        n_parameters=count_parameters(module),
        machine=machine(),
        kernel=", ".join(kernels),
        steps_per_epoch=math.ceil(len(loaded.x_train) / config.batch_size),
    )


def _is_timed(net: Net) -> bool:
    return not net.control and net.init == "fan_in"


def _where() -> dict[str, Any]:
    return {"machine": machine(), "versions": database.versions()}
