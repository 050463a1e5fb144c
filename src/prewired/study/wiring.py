"""The wiring of a study: the sparse layers of a net, with the control of the net."""

from __future__ import annotations

from typing import Any

from .. import generators
from ..generators.null_models import permute_inputs, shuffle_within_layer
from ..nn import wire
from ..nn.edge_budgets import layer_shapes
from ..random_bits import derive_seed
from ..topology import Topology
from .config import StudyConfig
from .family_names import parse_families
from .nets import Net, compute_fan_ins, count_requested_edges


def wire_net(config: StudyConfig, net: Net, graph_seed: int | None) -> list[Topology]:
    """Generate the sparse layers of a net.

    Raises:
        ValueError, RuntimeError: as the generator does, with the family and the density before the message.
    """
    seed = graph_seed or 0
    families = parse_families(net.family)
    try:
        topologies = _wire_network(config, net, seed) if len(families) == 1 else _wire_each_layer(config, net, seed)
    except (ValueError, RuntimeError) as error:
        raise type(error)(f"{net.family} at density {net.density:g}: {error}") from error
    if net.control == "permuted":
        topologies[0] = permute_inputs(topologies[0], seed=derive_seed(seed, "control"))
    elif net.control == "shuffled":
        topologies = [
            shuffle_within_layer(t, seed=derive_seed(seed, f"control {k} of {net.family}"))
            for k, t in enumerate(topologies)
        ]
    return topologies


def _wire_network(config: StudyConfig, net: Net, seed: int) -> list[Topology]:
    request: dict[str, Any] = {"density": net.density}
    if config.edges:
        n_edges = count_requested_edges(config, net.density or 0, net.sizes)
        request = {"n_edges": n_edges, "whole_fan_ins": needs_whole_fan_ins(config)}
    if config.budget is not None:
        request["budget"] = config.budget
    (name, parameters), *_ = parse_families(net.family)
    return wire(list(net.sizes), family=name, seed=seed, **request, **parameters)


def _wire_each_layer(config: StudyConfig, net: Net, seed: int) -> list[Topology]:
    if config.edges:
        raise ValueError("expected densities for a family per layer, got edges; give densities")
    families = parse_families(net.family)
    topologies = []
    shapes = layer_shapes(net.sizes[:-1])
    if len(families) > len(shapes):
        raise ValueError(f"expected at most {len(shapes)} families, one for each sparse layer, got {len(families)}")
    for k, ((a, b), fan_in) in enumerate(
        zip(shapes, compute_fan_ins(net.density or 0, net.sizes, config.budget), strict=True)
    ):
        name, parameters = families[min(k, len(families) - 1)]
        seeded = {"seed": derive_seed(seed, f"layer {k}")} if generators.takes_seed(name) else {}
        topologies.append(generators.make(name, n_in=a, n_out=b, fan_in=fan_in, **parameters, **seeded))
    return topologies


def needs_whole_fan_ins(config: StudyConfig) -> bool:
    """Return whether edges must be divided into whole fan-ins, because a family of the study accepts nothing else."""
    return not all(map(_takes_any_edges, config.families))


def _takes_any_edges(family: str) -> bool:
    return all("n_edges" in generators.parameters(name) for name, _ in parse_families(family))
