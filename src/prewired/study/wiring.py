"""The graphs of a study: the sparse layers of a net, with its control."""

from __future__ import annotations

from typing import Any

from .. import generators
from ..generators.null_models import permute_inputs, shuffle_within_layer
from ..nn import wire
from ..nn.edge_budgets import layer_shapes
from ..random_bits import derive_seed
from ..topology import Topology
from .config import StudyConfig, parse_families
from .grid import Net, layer_fan_ins, room


def wire_net(config: StudyConfig, net: Net, graph_seed: int | None) -> list[Topology]:
    """The sparse layers of one net; an impossible request names the net.

    Raises:
        ValueError, RuntimeError: as the generator does.
    """
    seed = graph_seed or 0
    families = parse_families(net.family)
    try:
        made = _one_family(config, net, seed) if len(families) == 1 else _family_per_layer(config, net, seed)
    except (ValueError, RuntimeError) as error:
        raise type(error)(f"{net.family} at density {net.density:g}: {error}") from error
    if net.control == "permuted":
        made[0] = permute_inputs(made[0], seed=derive_seed(seed, "control"))
    elif net.control == "shuffled":
        made = [
            shuffle_within_layer(t, seed=derive_seed(seed, f"control {k} of {net.family}")) for k, t in enumerate(made)
        ]
    return made


def _one_family(config: StudyConfig, net: Net, seed: int) -> list[Topology]:
    asked: dict[str, Any] = {"density": net.density}
    if config.edges:
        asked = {"n_edges": round((net.density or 0) * room(net.sizes))}
        asked["whole_fan_ins"] = whole_fan_ins(config)
    if config.budget is not None:
        asked["budget"] = config.budget
    (name, parameters), *_ = parse_families(net.family)
    return wire(list(net.sizes), family=name, seed=seed, **asked, **parameters)


def _family_per_layer(config: StudyConfig, net: Net, seed: int) -> list[Topology]:
    if config.edges:
        raise ValueError("expected densities for a family per layer, got edges; give densities")
    families = parse_families(net.family)
    made = []
    shapes = layer_shapes(net.sizes[:-1])
    if len(families) > len(shapes):
        raise ValueError(f"expected at most {len(shapes)} families, one for each sparse layer, got {len(families)}")
    for k, ((a, b), fan_in) in enumerate(
        zip(shapes, layer_fan_ins(net.density or 0, net.sizes, config.budget), strict=True)
    ):
        name, parameters = families[min(k, len(families) - 1)]
        seeded = {"seed": derive_seed(seed, f"layer {k}")} if generators.takes_seed(name) else {}
        made.append(generators.make(name, n_in=a, n_out=b, fan_in=fan_in, **parameters, **seeded))
    return made


def whole_fan_ins(config: StudyConfig) -> bool:
    """Whether edges are divided into whole fan-ins because some family of the study needs that."""
    return not all(map(_takes_any_edges, config.families))


def _takes_any_edges(family: str) -> bool:
    return all("n_edges" in generators.parameters(name) for name, _ in parse_families(family))
