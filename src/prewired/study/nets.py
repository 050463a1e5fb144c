"""The networks of a study, apart from their seeds, and the sizes of their layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .. import generators
from ..nn import fan_ins, narrow_sizes
from ..nn.edge_budgets import layer_shapes
from .config import StudyConfig
from .family_names import parse_families
from .statistics import DENSE, DENSE_NARROW, percent


@dataclass(frozen=True)
class Net:
    """A network of a study, apart from its seeds; the fields mean the same as in a Row."""

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


def is_reference(net: Net) -> bool:
    """Return whether a net is one of the two dense references."""
    return net.family in (DENSE, DENSE_NARROW)


def list_graph_seeds(net: Net, config: StudyConfig) -> list[int | None]:
    """List the graph seeds of a net; the only seed is None if nothing in the graphs of the net is random."""
    if is_reference(net):
        return [None]
    random = net.control or any(generators.takes_seed(name) for name, _ in parse_families(net.family))
    return list(range(config.graph_seeds)) if random else [None]


def count_dense_edges(sizes: Sequence[int]) -> int:
    """Count the edges that all sparse layers would have if they were dense.

    Example:
        >>> count_dense_edges([64, 32, 32, 10])
        3072
    """
    return sum(a * b for a, b in pairwise(sizes[:-1]))


def list_densities(config: StudyConfig, sizes: Sequence[int]) -> tuple[float, ...]:
    """List the densities that a study compares: config.densities, or config.edges / edges of the dense layers.

    Example:
        >>> list_densities(StudyConfig("digits", ["biregular"], edges=[512]), (64, 32, 32, 10))
        (0.16666666666666666,)
    """
    return tuple(n / count_dense_edges(sizes) for n in config.edges) if config.edges else config.densities


def compute_fan_ins(density: float, sizes: Sequence[int], budget: str | None = None) -> list[int]:
    """Compute the fan-in (inputs per output) of each sparse layer.

    Example:
        >>> compute_fan_ins(0.1, (784, 1000, 500, 10))
        [78, 100]
    """
    return fan_ins(layer_shapes(sizes[:-1]), density, budget)


def check_densities(config: StudyConfig, sizes: Sequence[int]) -> None:
    """Check that no two densities round to the same fan-ins in every layer.

    Raises:
        ValueError: if two densities round to the same fan-ins.
    """
    density_of: dict[tuple[int, ...], float] = {}
    for density in () if config.edges else config.densities:
        counts = tuple(compute_fan_ins(density, sizes, config.budget))
        if counts in density_of:
            raise ValueError(
                f"expected densities that differ in some layer, got {density_of[counts]:g} and {density:g}, both with "
                f"{', '.join(map(str, counts))} inputs per output; leave one out"
            )
        density_of[counts] = density


def list_nets(config: StudyConfig, sizes: Mapping[str, tuple[int, ...]]) -> list[Net]:
    """List the nets of a study: per data set the dense references, then each family at each density in each variant.

    Args:
        config: the study.
        sizes: data set -> units per layer, inputs first.
    """
    variants = [(control, "fan_in") for control in ("", *config.controls)] + [("", init) for init in config.inits]
    nets = []
    for data in config.data:
        densities = list_densities(config, sizes[data])
        nets.append(Net(data, DENSE, "", "fan_in", None, sizes[data]))
        for density in densities:
            narrow = compute_dense_sizes(sizes[data], count_requested_edges(config, density, sizes[data]))
            nets.append(Net(data, DENSE_NARROW, "", "fan_in", density, narrow))
        for density in densities:
            for control, init in variants:
                nets += [Net(data, family, control, init, density, sizes[data]) for family in config.families]
    return nets


def count_requested_edges(config: StudyConfig, density: float, sizes: Sequence[int]) -> int:
    """Count the edges that a study requests for all sparse layers at a density."""
    if config.edges:
        return round(density * count_dense_edges(sizes))
    layer_fan_ins = compute_fan_ins(density, sizes, config.budget)
    return sum(fan_in * n_out for fan_in, n_out in zip(layer_fan_ins, sizes[1:-1], strict=True))


def compute_dense_sizes(sizes: Sequence[int], n_edges: int) -> tuple[int, ...]:
    """Compute the units per layer of a dense net that has at most as many parameters as a sparse net.

    Args:
        sizes: units per layer of the sparse net, inputs first; the output layer of the sparse net is dense.
        n_edges: number of edges of all sparse layers.
    """
    *_, (last, n_outputs) = pairwise(sizes)
    n_parameters = n_edges + sum(sizes[1:-1]) + (last + 1) * n_outputs
    return tuple(narrow_sizes(list(sizes), n_parameters))
