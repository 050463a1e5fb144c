"""Networks made of sparse layers: one seed wires every layer, differently."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import _has_any_global_hook

from . import generators, init
from .generators import budgets
from .generators._internal.sizes import constant_fan_in, edge_count
from .layers import SparseLinear
from .ops import reference
from .ops.autograd import Link, run
from .ops.plan import plan
from .random_bits import derive_seed
from .topology import Topology

SCALES = ("fan_in", "n_in")
THIN = 64
"""Outputs up to which a dense layer behind sparse ones runs as one of them: no matrix product for so few is fast."""


class Sequential(nn.Sequential):
    """nn.Sequential in which neighbouring sparse layers with a ReLU between them run as one operator.

    The same numbers, in fewer and bigger calls, forward and backward: at low density a call costs more than the work it
    starts. Layers with hooks, with another activation between them, or that run as dense ones are called one by one.

    Example:
        >>> net = mlp([8, 8, 8, 2], family="biregular", fan_in=2, seed=0)
        >>> x = torch.randn(3, 8)
        >>> torch.testing.assert_close(net(x), nn.Sequential(*net)(x))
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        modules = list(self)
        at = 0
        while at < len(modules):
            links, relu, end = _chain(modules, at, x) if x.ndim == 2 else ([], False, at)
            x = run(links, x, relu=relu) if len(links) > 1 else modules[at](x)
            at = end if len(links) > 1 else at + 1
        return x


def _chain(modules: Sequence[nn.Module], at: int, x: torch.Tensor) -> tuple[list[Link], bool, int]:
    """The layers from `at` on that can run as one, whether a ReLU follows the last, and where they end."""
    links: list[Link] = []
    width, relu = x.shape[-1], True
    while relu and at < len(modules):
        layer = modules[at]
        if not isinstance(layer, SparseLinear | nn.Linear) or layer.in_features != width or not _is_plain(layer):
            break
        if isinstance(layer, SparseLinear):
            if layer.kernel_for(x.shape[0], training=torch.is_grad_enabled()) != "sparse":
                break
            links.append(layer.link())
        elif links and layer.out_features <= THIN and not torch.compiler.is_compiling():
            links.append(Link(layer.weight.reshape(-1), layer.bias, *_complete(width, layer.out_features)))
        else:
            break
        width = layer.out_features
        relu = at + 1 < len(modules) and isinstance(modules[at + 1], nn.ReLU) and _is_plain(modules[at + 1])
        at += 1 + relu
    return links, relu, at


@lru_cache(maxsize=64)
def _complete(n_in: int, n_out: int) -> tuple[reference.Tensors, reference.Tensors]:
    """The wiring of a dense layer, in ordinary tensors wherever it is first asked for."""
    with torch.device("cpu"), torch.inference_mode(False):
        p = plan(generators.dense(n_in, n_out))
    return list(p[: reference.PER_LAYER]), list(p[reference.PER_LAYER : 2 * reference.PER_LAYER])


def _is_plain(module: nn.Module) -> bool:
    """Whether calling the module is no more than its known forward: of just that type, without hooks."""
    hooks = module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    return type(module) in (SparseLinear, nn.Linear, nn.ReLU) and not hooks and not _has_any_global_hook()


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
    """The topologies of a network's sparse layers.

    A layer of n_in inputs gets fan_in, or density * n_in rounded, inputs per output: so every family has exactly
    n_out * fan_in edges in it, and families can be compared at one density. With a budget the edges of that density
    are divided among the layers, in whole fan-ins too; n_edges asks for exactly so many over all sparse layers. Every
    layer draws with a seed of its own, derived from `seed`.

    Args:
        sizes: units per layer, inputs first and outputs last, at least two.
        family: a name in GENERATORS, or in STAGES, where a family is of several layers.
        density, fan_in, n_edges: one of the three; a family whose edges follow from its own parameters, such as "dense"
            or "toeplitz", takes none.
        budget: how to divide the edges: a name in BUDGETS ("uniform" for n_edges unless given), or a density per layer.
        seed: integer >= 0.
        dense_output: leave out the last layer, which mlp() then makes an nn.Linear.
        whole_fan_ins: divide n_edges into whole fan-ins also for a family that could do without, so that layers of all
            families have equally many edges.
        **parameters: more of the family's own, such as fit="nearest".

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
    _check_sizes(sizes)
    generators.known(family)
    layers = budgets.layer_shapes(sizes)[: -1 if dense_output else None]
    requests = _requests(family, layers, density, fan_in, n_edges, budget, whole_fan_ins)
    if family in generators.STAGES:
        fan_ins = [request["fan_in"] for request in requests if request] or None
        return generators.STAGES[family](sizes[: len(layers) + 1], fan_in=fan_ins, **parameters)
    if generators.takes_seed(family):
        requests = [{**request, "seed": derive_seed(seed, f"layer {k}")} for k, request in enumerate(requests)]
    made = [
        generators.make(family, n_in=a, n_out=b, **{**parameters, **request})
        for (a, b), request in zip(layers, requests, strict=True)
    ]
    if n_edges is not None and (total := sum(t.n_edges for t in made)) != n_edges:
        raise ValueError(
            f"expected a family that can have exactly n_edges={n_edges}, got {family} with {total}; "
            "take one whose number of edges is not random, such as erdos_renyi"
        )
    return made


def mlp(
    sizes: Sequence[int],
    *,
    family: str | None = None,
    density: float | None = None,
    fan_in: int | None = None,
    n_edges: int | None = None,
    budget: str | Sequence[float] | None = None,
    seed: int = 0,
    topologies: Sequence[Topology] | None = None,
    init_seed: int | None = None,
    dense_output: bool = True,
    activation: Callable[[], nn.Module] = nn.ReLU,
    scale: str = "fan_in",
    **parameters: Any,
) -> Sequential:
    """A multilayer perceptron with sparse layers, an activation between them, and a dense output layer.

    Hidden weights are drawn from N(0, 2 / fan_in) by each output's true fan-in, the output layer's from
    N(0, 1 / fan_in); biases start at zero. The dense reference, family="dense", is plain nn.Linear, initialised by the
    same rule.

    Args:
        sizes: units per layer, inputs first and outputs last.
        family, density, fan_in, n_edges, budget, seed: how to wire the layers, see `wire`.
        topologies: the layers' wirings instead, one for each layer that is not the dense output.
        init_seed: seed of the initial weights; `seed` if not given. torch's global generator is left as it was.
        dense_output: whether the last layer is an nn.Linear rather than a sparse layer.
        activation: called once for each hidden layer.
        scale: "fan_in", or "n_in" to draw the weights of sparse layers from N(0, 2 / n_in), as if they were dense: too
            small, but what masking a dense network gives, so that a study can tell what that costs.
        **parameters: more of the family's own, such as fit="nearest".

    Returns:
        A Sequential, which is an nn.Sequential, that maps (..., sizes[0]) to (..., sizes[-1]).

    Raises:
        ValueError: if the wiring is impossible or does not fit the sizes.

    Example:
        >>> mlp([64, 32, 10], family="biregular", density=0.25, seed=0)(torch.randn(5, 64)).shape
        torch.Size([5, 10])
    """
    if (family is None) == (topologies is None):
        raise ValueError("expected family= or topologies=, exactly one of the two")
    _check_sizes(sizes)
    if scale not in SCALES:
        raise ValueError(f"expected scale to be one of {', '.join(SCALES)}, got {scale!r}")
    request = {"density": density, "fan_in": fan_in, "n_edges": n_edges, "budget": budget, **parameters}
    asked = [name for name, value in request.items() if value is not None]
    if (family == "dense" or topologies is not None) and asked:
        other = "family=dense" if family else "topologies="
        raise ValueError(f"expected no density= or fan_in= with {other}, got {asked[0]}=; drop it")
    n_sparse = len(sizes) - 1 - dense_output
    if family == "dense":
        wirings: list[Topology | None] = [None] * n_sparse
    elif topologies is None:
        wirings = [*wire(sizes, family=str(family), seed=seed, dense_output=dense_output, **request)]
    else:
        wirings = [*topologies]
    _check_fit(sizes, wirings, n_sparse)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed if init_seed is None else init_seed, "weights"))
        return _build(sizes, wirings, activation, scale)


def fan_ins(
    layers: Sequence[tuple[int, ...]], density: float | None, budget: str | Sequence[float] | None = None
) -> list[int]:
    """Inputs per output of every layer at a density: density * n_in rounded, or as a budget divides the edges.

    Example:
        >>> fan_ins([(784, 1000), (1000, 500)], 0.1), fan_ins([(784, 1000), (1000, 500)], 0.1, "erdos_renyi")
        ([78, 100], [70, 117])
    """
    if budget is None:
        return [constant_fan_in(n_in, None, density) for n_in, _ in layers]
    total = None if density is None else edge_count(sum(a * b for a, b in layers), 1, None, density)
    edges = budgets.budget(layers, budget, total, steps=[n_out for _, n_out in layers])
    return [n // n_out for n, (_, n_out) in zip(edges, layers, strict=True)]


def narrow_sizes(sizes: Sequence[int], n_parameters: int) -> list[int]:
    """The sizes with all hidden widths scaled down alike, so that the dense network has at most n_parameters.

    The widest such network is taken; where not even one unit per hidden layer fits, that is what is returned.

    Example:
        >>> narrow_sizes([784, 1000, 1000, 10], 190_010)
        [784, 192, 192, 10]
    """

    def scaled(scale: float) -> list[int]:
        return [sizes[0], *(max(1, round(width * scale)) for width in sizes[1:-1]), sizes[-1]]

    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if sum((a + 1) * b for a, b in pairwise(scaled(middle))) <= n_parameters:
            low = middle
        else:
            high = middle
    return scaled(low)


def count_parameters(net: nn.Module) -> int:
    """Number of parameters, weights and biases.

    Example:
        >>> count_parameters(nn.Linear(3, 2))
        8
    """
    return sum(p.numel() for p in net.parameters())


def _requests(
    family: str,
    layers: Sequence[tuple[int, ...]],
    density: float | None,
    fan_in: int | None,
    n_edges: int | None,
    budget: str | Sequence[float] | None,
    whole_fan_ins: bool,
) -> list[dict[str, int]]:
    """The edges of every layer as a generator takes them: fan_in= or, where exactly n_edges are asked for, n_edges=."""
    if family == "dense" or not layers or (density is None and fan_in is None and n_edges is None and budget is None):
        return [{} for _ in layers]
    own = generators.parameters(family).keys()
    if "fan_in" not in own:
        alone = ", ".join(f"{name}=" for name in own if name != "seed")
        raise ValueError(
            f"expected a family that takes density=, fan_in=, n_edges= or budget=, got {family}, whose edges follow "
            f"from {alone} alone; leave density and the others out, or take a family with a fan-in, such as circulant"
        )
    if budget is None and n_edges is None:
        return [{"fan_in": constant_fan_in(n_in, fan_in, density)} for n_in, _ in layers]
    if fan_in is not None or (density is not None and n_edges is not None):
        raise ValueError(
            f"expected n_edges= alone, or density= or n_edges= with a budget; got density={density}, fan_in={fan_in}, "
            f"n_edges={n_edges}, budget={budget!r}"
        )
    if n_edges is None:
        return [{"fan_in": n} for n in fan_ins(layers, density, budget)]
    exactly = "n_edges" in generators.parameters(family)
    steps = None if exactly and not whole_fan_ins else [n_out for _, n_out in layers]
    edges = budgets.budget(layers, "uniform" if budget is None else budget, n_edges, steps=steps)
    if sum(edges) != n_edges:
        raise ValueError(
            f"expected n_edges that {family} can have, whose outputs in a layer all read equally many inputs, got "
            f"n_edges={n_edges}; take {sum(edges)}, or a family of any number of edges such as biregular"
        )
    if exactly:
        return [{"n_edges": n} for n in edges]
    return [{"fan_in": n // n_out} for n, (_, n_out) in zip(edges, layers, strict=True)]


def _check_sizes(sizes: Sequence[int]) -> None:
    if len(sizes) < 2 or not all(isinstance(size, int) and size >= 1 for size in sizes):
        raise ValueError(f"expected at least two integer sizes >= 1, inputs first and outputs last, got {list(sizes)}")


def _check_fit(sizes: Sequence[int], wirings: Sequence[Topology | None], n_sparse: int) -> None:
    if len(wirings) != n_sparse:
        raise ValueError(f"expected {n_sparse} topologies for sizes {list(sizes)}, got {len(wirings)}")
    for k, (t, a, b) in enumerate(zip(wirings, sizes, sizes[1:], strict=False)):
        if t is not None and (t.n_in, t.n_out) != (a, b):
            raise ValueError(f"expected topology {k} to be {a} -> {b}, got {t.n_in} -> {t.n_out}")


def _build(
    sizes: Sequence[int], wirings: Sequence[Topology | None], activation: Callable[[], nn.Module], scale: str
) -> Sequential:
    layers: list[nn.Module] = []
    n_layers = len(sizes) - 1
    for k, (a, b) in enumerate(pairwise(sizes)):
        wiring = wirings[k] if k < len(wirings) else None
        layer = nn.Linear(a, b) if wiring is None else SparseLinear(wiring)
        last = k == n_layers - 1
        if isinstance(layer, SparseLinear):
            gain = 1.0 if last else 2**0.5
            if scale == "fan_in":
                init.kaiming_normal_(layer.weight, layer.topology, gain=gain)
            else:
                nn.init.normal_(layer.weight, std=gain * a**-0.5)
        else:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear" if last else "relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
        layers.append(layer)
        if not last:
            layers.append(activation())
    return Sequential(*layers)
