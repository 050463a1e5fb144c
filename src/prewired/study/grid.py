"""The jobs of a study: which nets are trained, in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from .. import generators
from ..nn import fan_ins
from ..nn.edge_budgets import layer_shapes
from .config import StudyConfig, parse_families
from .statistics import DENSE, DENSE_NARROW, percent

TUNING_SEED = 1_000_000  # of the graph and of the training by which a learning rate is chosen; no study counts so far


@dataclass(frozen=True)
class Net:
    """What is wired alike but for the graph seed; the fields mean what they mean in a Row."""

    data: str
    family: str
    control: str
    init: str
    density: float | None
    sizes: tuple[int, ...]

    def __str__(self) -> str:
        parts = (self.data, self.family, self.control, "" if self.init == "fan_in" else f"init {self.init}")
        density = "" if self.density is None else f", {percent(self.density)}"
        return ", ".join(part for part in parts if part) + density


@dataclass(frozen=True)
class Job:
    """One training."""

    net: Net
    graph_seed: int | None
    train_seed: int
    learning_rate: float
    tuning: bool = False

    def __str__(self) -> str:
        graph = "" if self.graph_seed is None or self.tuning else f", graph {self.graph_seed}"
        seed = f", learning rate {self.learning_rate:g}" if self.tuning else f", seed {self.train_seed}"
        return f"{self.net}{graph}{seed}"


def room(sizes: Sequence[int]) -> int:
    """The number of edges that all sparse layers would have if they were dense.

    Example:
        >>> room([64, 32, 32, 10])
        3072
    """
    return sum(a * b for a, b in pairwise(sizes[:-1]))


def shares(config: StudyConfig, sizes: Sequence[int]) -> tuple[float, ...]:
    """The density of every cell: those asked for, or what the numbers of edges are of the room in the layers.

    Example:
        >>> shares(StudyConfig("digits", ["biregular"], edges=[512]), (64, 32, 32, 10))
        (0.16666666666666666,)
    """
    return tuple(n / room(sizes) for n in config.edges) if config.edges else config.densities


def layer_fan_ins(density: float, sizes: Sequence[int], budget: str | None = None) -> list[int]:
    """Inputs per output of each sparse layer.

    Example:
        >>> layer_fan_ins(0.1, (784, 1000, 500, 10))
        [78, 100]
    """
    return fan_ins(layer_shapes(sizes[:-1]), density, budget)


def check_densities(config: StudyConfig, sizes: Sequence[int]) -> None:
    """No two densities may round to the same graphs.

    Raises:
        ValueError: if two do.
    """
    seen: dict[tuple[int, ...], float] = {}
    for density in () if config.edges else config.densities:
        counts = tuple(layer_fan_ins(density, sizes, config.budget))
        if counts in seen:
            raise ValueError(
                f"expected densities that differ in some layer, got {seen[counts]:g} and {density:g}, both with "
                f"{', '.join(map(str, counts))} inputs per output; leave one out"
            )
        seen[counts] = density


def nets(
    config: StudyConfig, sizes: dict[str, tuple[int, ...]], narrow: dict[str, dict[float, tuple[int, ...]]]
) -> list[Net]:
    """The nets of a study: per data set the dense references, then each family at each density, in all its variants.

    Args:
        config: the study.
        sizes: data set -> units per layer.
        narrow: data set -> density -> units per layer of the dense net with at most as many parameters.
    """
    variants = [(control, "fan_in") for control in ("", *config.controls)] + [("", init) for init in config.inits]
    made = []
    for data in config.data:
        made.append(Net(data, DENSE, "", "fan_in", None, sizes[data]))
        for density in shares(config, sizes[data]):
            made.append(Net(data, DENSE_NARROW, "", "fan_in", density, narrow[data][density]))
        for density in shares(config, sizes[data]):
            for control, init in variants:
                made += [Net(data, family, control, init, density, sizes[data]) for family in config.families]
    return made


def graph_seeds(net: Net, config: StudyConfig) -> list[int | None]:
    """The graph seeds of a net: one None where nothing in it is random."""
    if is_reference(net):
        return [None]
    random = net.control or any(generators.takes_seed(name) for name, _ in parse_families(net.family))
    return list(range(config.graph_seeds)) if random else [None]


def is_reference(net: Net) -> bool:
    """Whether it is one of the two dense references."""
    return net.family in (DENSE, DENSE_NARROW)


def tuning_jobs(config: StudyConfig, nets: Sequence[Net]) -> list[Job]:
    """For each net as many trainings per learning rate, with graphs and seeds of their own: the same budget for all."""
    return [
        Job(net, None if graph_seeds(net, config) == [None] else seed, seed, rate, tuning=True)
        for seed in range(TUNING_SEED, TUNING_SEED + config.tune_seeds)
        for rate in config.learning_rates
        for net in nets
    ]


def training_jobs(config: StudyConfig, nets: Sequence[Net], rates: dict[Net, float]) -> list[Job]:
    """All runs to be reported: round by round through seeds, graphs and nets, to stay balanced when stopped."""
    of_references = config.reference_seeds or config.train_seeds
    jobs = []
    for train_seed in range(max(config.train_seeds, of_references)):
        for k in range(config.graph_seeds):
            for net in nets:
                seeds = graph_seeds(net, config)
                if k < len(seeds) and train_seed < (of_references if is_reference(net) else config.train_seeds):
                    jobs.append(Job(net, seeds[k], train_seed, rates[net]))
    return jobs
