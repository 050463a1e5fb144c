"""Wire a network: one topology per sparse layer, each from its own seed."""

from collections.abc import Sequence
from typing import Any

from .. import generators
from ..generators._internal.sizes import edge_count, resolve_fan_in
from ..random_bits import derive_seed
from ..topology import Topology
from . import edge_budgets


def wire(
    sizes: Sequence[int],
    *,
    family: str,
    density: float | None = None,
    fan_in: int | None = None,
    n_edges: int | None = None,
    budget: str | Sequence[float] | None = None,
    seed: int = 0,
    dense_output: bool = True,
    whole_fan_ins: bool = False,
    **parameters: Any,
) -> list[Topology]:
    """Generate the topologies of a network's sparse layers.

    Each output reads fan_in inputs, or density * n_in rounded to an integer. So a layer has exactly n_out * fan_in
    edges for every family, and families can be compared at equal density. A budget divides the edges that the density
    gives among the layers; all outputs of a layer still have the same fan-in. n_edges sets the exact number of edges of
    all sparse layers together. The seed of each layer is derived from `seed`.

    Args:
        sizes: units per layer, inputs first and outputs last, at least two.
        family: a name in GENERATORS, or in NETWORK_FAMILIES for families that wire several layers at once.
        density, fan_in, n_edges: exactly one of them; none for a family whose own parameters determine the edges, such
            as "dense" or "toeplitz".
        budget: how to divide the edges: a name in BUDGETS (default for n_edges: "uniform"), or a density per layer.
        seed: integer >= 0.
        dense_output: whether the last layer is dense, an nn.Linear in `mlp`, and so has no topology.
        whole_fan_ins: divide n_edges into whole fan-ins for every family, so that all families have equally many edges
            in each layer.
        **parameters: further parameters of the family, such as fit="nearest".

    Returns:
        One Topology per sparse layer, inputs first.

    Raises:
        ValueError: if a size, the family or the request is impossible.

    Example:
        >>> [t.n_edges for t in wire([64, 32, 32, 10], family="biregular", density=0.25, seed=0)]
        [512, 256]
        >>> [t.n_edges for t in wire([64, 32, 32, 10], family="biregular", n_edges=700, budget="erdos_renyi", seed=0)]
        [420, 280]
    """
    check_sizes(sizes)
    generators.lookup(family)
    layers = edge_budgets.layer_shapes(sizes)[: -1 if dense_output else None]
    requests = _requests(family, layers, density, fan_in, n_edges, budget, whole_fan_ins)
    if family in generators.NETWORK_FAMILIES:
        fan_ins = [request["fan_in"] for request in requests if request] or None
        return generators.NETWORK_FAMILIES[family](sizes[: len(layers) + 1], fan_in=fan_ins, **parameters)
    if generators.takes_seed(family):
        requests = [{**request, "seed": derive_seed(seed, f"layer {k}")} for k, request in enumerate(requests)]
    topologies = [
        generators.make(family, n_in=a, n_out=b, **{**parameters, **request})
        for (a, b), request in zip(layers, requests, strict=True)
    ]
    if n_edges is not None and (total := sum(t.n_edges for t in topologies)) != n_edges:
        raise ValueError(
            f"expected a family that can have exactly n_edges={n_edges}, got {family} with {total}; "
            "take one whose number of edges is not random, such as erdos_renyi"
        )
    return topologies


def fan_ins(
    layers: Sequence[tuple[int, ...]], density: float | None, budget: str | Sequence[float] | None = None
) -> list[int]:
    """The fan-in of each layer at a density: density * n_in rounded, or what a budget gives the layer.

    Example:
        >>> fan_ins([(784, 1000), (1000, 500)], 0.1), fan_ins([(784, 1000), (1000, 500)], 0.1, "erdos_renyi")
        ([78, 100], [70, 117])
    """
    if budget is None:
        return [resolve_fan_in(n_in, None, density) for n_in, _ in layers]
    total = None if density is None else edge_count(sum(a * b for a, b in layers), 1, None, density)
    edges = edge_budgets.divide_edges(layers, budget, total, steps=[n_out for _, n_out in layers])
    return [n // n_out for n, (_, n_out) in zip(edges, layers, strict=True)]


def _requests(
    family: str,
    layers: Sequence[tuple[int, ...]],
    density: float | None,
    fan_in: int | None,
    n_edges: int | None,
    budget: str | Sequence[float] | None,
    whole_fan_ins: bool,
) -> list[dict[str, int]]:
    """The arguments of each layer's generator: fan_in=, or n_edges= if n_edges is given and the family takes it."""
    if family == "dense" or not layers or (density is None and fan_in is None and n_edges is None and budget is None):
        return [{} for _ in layers]
    own_parameters = generators.parameters(family).keys()
    if "fan_in" not in own_parameters:
        other_names = ", ".join(f"{name}=" for name in own_parameters if name != "seed")
        raise ValueError(
            f"expected a family that takes density=, fan_in=, n_edges= or budget=, got {family}, whose edges follow "
            f"from {other_names} alone; leave density and the others out, or take a family with a fan-in, such as "
            "circulant"
        )
    if budget is None and n_edges is None:
        return [{"fan_in": resolve_fan_in(n_in, fan_in, density)} for n_in, _ in layers]
    if fan_in is not None or (density is not None and n_edges is not None):
        raise ValueError(
            f"expected n_edges= alone, or density= or n_edges= with a budget; got density={density}, fan_in={fan_in}, "
            f"n_edges={n_edges}, budget={budget!r}"
        )
    if n_edges is None:
        return [{"fan_in": n} for n in fan_ins(layers, density, budget)]
    takes_n_edges = "n_edges" in generators.parameters(family)
    steps = None if takes_n_edges and not whole_fan_ins else [n_out for _, n_out in layers]
    edges = edge_budgets.divide_edges(layers, "uniform" if budget is None else budget, n_edges, steps=steps)
    if sum(edges) != n_edges:
        raise ValueError(
            f"expected n_edges that {family} can have, whose outputs in a layer all read equally many inputs, got "
            f"n_edges={n_edges}; take {sum(edges)}, or a family of any number of edges such as biregular"
        )
    if takes_n_edges:
        return [{"n_edges": n} for n in edges]
    return [{"fan_in": n // n_out} for n, (_, n_out) in zip(edges, layers, strict=True)]


def check_sizes(sizes: Sequence[int]) -> None:
    """Raise a ValueError unless there are at least two sizes, all integers >= 1."""
    if len(sizes) < 2 or not all(isinstance(size, int) and size >= 1 for size in sizes):
        raise ValueError(f"expected at least two integer sizes >= 1, inputs first and outputs last, got {list(sizes)}")
