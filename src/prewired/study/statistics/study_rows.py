"""The input of the statistics: the runs of a study, and its graphs, which are the unit of the statistics."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from .magnitude import keep_finite, scale_values

if TYPE_CHECKING:
    from ...training.run import Run

Item = TypeVar("Item")
Key = TypeVar("Key", bound=Hashable)
DENSE = "dense"
DENSE_NARROW = "dense narrow"
REFERENCES = (DENSE, DENSE_NARROW)


@dataclass(frozen=True)
class Row:
    """One finished run of a study."""

    data: str
    family: str  # as the study names it, "dense" (equal width) or "dense narrow" (equal number of parameters)
    control: str  # "" for a family as it is, "permuted", "shuffled"
    init: str  # "fan_in": initial weights by true fan-in; "n_in": as if dense
    density: float | None  # None for "dense"; for "dense narrow" the density whose parameter count it matches
    graph_seed: int | None  # None if nothing in the graph is random
    train_seed: int
    run: Run
    n_bytes: int
    machine: str
    metrics: Mapping[str, float] = field(default_factory=dict)  # mean over layers, and of the network; empty for dense
    sizes: tuple[int, ...] = ()
    digests: tuple[str, ...] = ()  # of the sparse layers
    versions: str = ""
    layers: tuple[Mapping[str, float], ...] = ()  # the metrics of each sparse layer
    start: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # signals before training: `measure_signals`
    learning_rate: float = math.nan

    @property
    def label(self) -> str:
        """The family, with its control and with its initial weights if these are not by true fan-in."""
        return format_label(self.family, self.control, self.init)


@dataclass(frozen=True)
class Cell:
    """A group of graphs that are compared: same data, same number of edges, same control, same initial weights."""

    data: str
    density: float
    control: str = ""
    init: str = "fan_in"

    def __str__(self) -> str:
        return format_label(f"{self.data}, {percent(self.density)}", self.control, self.init)


@dataclass(frozen=True)
class Graph:
    """The runs of one net's graphs, averaged over their training seeds."""

    cell: Cell
    family: str  # of the first run; another family may generate the same graph
    score: float  # mean test score
    scores: tuple[float, ...]  # of every training seed
    metrics: Mapping[str, float]
    digests: tuple[str, ...]


def format_label(family: str, control: str, init: str) -> str:
    """Format a family with its control and initial weights.

    Example:
        >>> format_label("rotating", "permuted", "fan_in"), format_label("rotating", "", "n_in")
        ('rotating, permuted', 'rotating, init n_in')
    """
    return ", ".join(part for part in (family, control, "" if init == "fan_in" else f"init {init}") if part)


def base_family(text: str) -> str:
    """Return a family without its parameters, layer by layer.

    Example:
        >>> base_family("window2d:channels=3+swap_ladder:swaps=0.1")
        'window2d+swap_ladder'
    """
    return "+".join(part.partition(":")[0] for part in text.split("+"))


def collect_graphs(rows: Iterable[Row]) -> list[Graph]:
    """Collect the sparse graphs of each cell, in the order of the rows.

    A graph that several families generate is collected once. Trainings with the same seed and learning rate are the
    same training, and count once.
    """
    result = []
    for group in group_by((row for row in rows if row.digests), lambda row: (find_cell(row), row.digests)).values():
        trainings = {(row.train_seed, row.learning_rate): row for row in reversed(group)}
        scores = tuple(row.run.test_score for row in reversed(trainings.values()))
        first_row = group[0]
        mean = mean_and_sd(scores)[0]
        result.append(Graph(find_cell(first_row), first_row.family, mean, scores, first_row.metrics, first_row.digests))
    return result


def find_cell(row: Row) -> Cell:
    """Find the cell of a sparse run."""
    return Cell(row.data, math.nan if row.density is None else row.density, row.control, row.init)


def group_by(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """Group items with equal keys, in the order in which the keys first occur.

    Example:
        >>> group_by(["ab", "c", "de"], len)
        {2: ['ab', 'de'], 1: ['c']}
    """
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def mean_and_sd(values: Iterable[float]) -> tuple[float, float]:
    """Compute the mean and the sample standard deviation (n - 1); the deviation is NaN for a single value.

    Both are NaN without values, or if a value is not finite.

    Example:
        >>> mean_and_sd([1.0, 2.0, 3.0])
        (2.0, 1.0)
    """
    array = np.asarray(list(values), dtype=float)
    if array.size == 0 or not np.isfinite(array).all():
        return math.nan, math.nan
    array, scale = scale_values(array)
    sd = scale * float(array.std(ddof=1)) if array.size > 1 else math.nan
    return keep_finite(scale * float(array.mean())), keep_finite(sd)


def mean_test_score(rows: Iterable[Row]) -> float:
    """Return the mean test score of the runs, NaN for none."""
    return mean_and_sd(row.run.test_score for row in rows)[0]


def percent(share: float) -> str:
    """Format a share as a percentage with up to 3 digits, a hyphen for NaN.

    Example:
        >>> percent(0.05), percent(0.005), percent(float("nan"))
        ('5 %', '0.5 %', '-')
    """
    return "-" if math.isnan(share) else f"{100 * share:.3g} %"
