"""The decorator of families of several layers, which selects the network that meets a request.

A family of GENERATORS builds one graph. A family of NETWORK_FAMILIES builds a list of graphs, whose product has a
property that no single layer has. Each layer is built by a family of GENERATORS, so each layer has a recipe of its own,
and its cost is that of its family.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import wraps
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

from ...topology import Topology
from ..cutting import MAX_CHANGE, check_fit_mode, cut
from .available_sizes import ratio
from .registry import NETWORK_FAMILIES, make, to_python
from .sizes import resolve_fan_in

HINTS = 3


class Network(NamedTuple):
    """One network of a family: its widths, and for each layer the fan-in, the family and the parameters."""

    sizes: tuple[int, ...]
    fan_ins: tuple[int, ...]
    layers: tuple[tuple[str, dict[str, Any]], ...]

    def __str__(self) -> str:
        fan_ins = self.fan_ins[:1] if len(set(self.fan_ins)) == 1 else self.fan_ins
        return f"{'-'.join(map(str, self.sizes))} with fan_in {', '.join(map(str, fan_ins))}"

    def make(self) -> list[Topology]:
        """Build the topologies of all layers."""
        return [
            make(family, n_in=a, n_out=b, **parameters)
            for (a, b), (family, parameters) in zip(pairwise(self.sizes), self.layers, strict=True)
        ]


def network_family(near: Callable[..., Iterable[Network]]) -> Callable[..., list[Topology]]:
    """Turn a function that yields the networks of a family near given widths into a registered family.

    The registered family takes (sizes, *, fan_in= | density=, ..., fit=) and returns one Topology per layer. `sizes`
    are the widths, inputs first; `fan_in` is one number or one for each layer. If neither fan_in nor density is given,
    the sparsest network of these widths is built.

    If no network has these widths and fan-ins, fit="nearest" builds a larger one and cuts it to size: of the networks
    that cover all widths, the closest in size and mean fan-in, where those whose mean fan-ins can be levelled come
    first. Units are selected at even spaces, and each layer is levelled to exactly the requested fan-in, as
    `available_sizes.py` describes. With fit="level" any share of the edges may change.

    Args:
        near: the function (sizes, *, own keywords) that yields networks. The first paragraph of its docstring is the
            rule which error messages quote.
    """
    name = near.__name__
    own = [p for p in inspect.signature(near).parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY]

    @wraps(near)
    def network(
        sizes: Sequence[int],
        *,
        fan_in: int | Sequence[int] | None = None,
        density: float | None = None,
        fit: str | None = None,
        **parameters: Any,
    ) -> list[Topology]:
        widths = _widths(sizes)
        if unknown := sorted(set(parameters) - {p.name for p in own}):
            choices = ", ".join(["fan_in", "density", "fit", *(p.name for p in own)])
            raise ValueError(f"{name}: expected parameters among {choices}; got {', '.join(unknown)}")
        check_fit_mode(fit)
        if len(widths) < 2:
            return []
        fan_ins = _fan_ins(widths, fan_in, density)
        candidates = list(near(widths, **parameters))
        exact = [n for n in candidates if n.sizes == widths and fan_ins in (None, n.fan_ins)]
        if exact:
            return min(exact, key=_count_edges).make()
        covering = [n for n in candidates if all(a >= b for a, b in zip(n.sizes, widths, strict=True))]
        if fit is None or not covering:
            raise ValueError(_refusal(name, inspect.getdoc(near) or "", widths, fan_ins, candidates))
        best = min(covering, key=lambda network: _distance(network, widths, fan_ins))
        try:
            return [
                cut(t, a, b, fan_in=None if fan_ins is None else fan_ins[k], fit=fit)
                for k, (t, (a, b)) in enumerate(zip(best.make(), pairwise(widths), strict=True))
            ]
        except ValueError as error:
            raise ValueError(f"{name}, cut from {best}: {error}") from None

    common = [
        p for p in inspect.signature(network, follow_wrapped=False).parameters.values() if p.kind is not p.VAR_KEYWORD
    ]
    network.__signature__ = inspect.Signature([*common, *own], return_annotation=list[Topology])  # pyright: ignore[reportAttributeAccessIssue]
    NETWORK_FAMILIES[name] = network
    return network


def make_network(name: str, **values: Any) -> list[Topology]:
    """Call a family of several layers by name, as the command line does; raises ValueError if sizes= is missing.

    Example:
        >>> len(make_network("benes", sizes=[4, 4, 4, 4]))
        3
    """
    if "sizes" not in values:
        raise ValueError(f"{name}: expected the widths of its layers, got none; for example sizes=[64,64,64]")
    if name not in NETWORK_FAMILIES:
        raise ValueError(
            f"expected a family of several layers among {', '.join(sorted(NETWORK_FAMILIES))}; got {name!r}"
        )
    return NETWORK_FAMILIES[name](**values)


def _widths(sizes: Sequence[int]) -> tuple[int, ...]:
    sizes = to_python(sizes)
    good = isinstance(sizes, Sequence) and len(sizes) > 0
    if not good or not all(isinstance(size, int) and not isinstance(size, bool) and size >= 1 for size in sizes):
        raise ValueError(f"expected integer sizes >= 1, inputs first, got sizes={sizes!r}")
    return tuple(sizes)


def _fan_ins(sizes: tuple[int, ...], fan_in: Any, density: float | None) -> tuple[int, ...] | None:
    """Return the requested fan-in of each layer, or None if none is requested."""
    if fan_in is None and density is None:
        return None
    values = list(fan_in) if isinstance(fan_in, Sequence) else [fan_in] * (len(sizes) - 1)
    if len(values) != len(sizes) - 1:
        raise ValueError(f"expected one fan_in or one for each of {len(sizes) - 1} layers, got {len(values)}")
    return tuple(resolve_fan_in(n_in, value, density) for n_in, value in zip(sizes, values, strict=False))


def _count_edges(network: Network) -> int:
    return sum(b * fan_in for b, fan_in in zip(network.sizes[1:], network.fan_ins, strict=True))


def _distance(network: Network, widths: tuple[int, ...], request: tuple[int, ...] | None) -> tuple[bool, Fraction]:
    """Return whether a network's mean fan-ins are too far from a request to be levelled; then the distance.

    The distance is the product of the ratios of widths and mean fan-ins. Fractions are exact. In floats, ties could
    fall differently on different machines.
    """
    sizes = [ratio(n, width) for n, width in zip(network.sizes, widths, strict=True)]
    means = [
        f * min(Fraction(1), Fraction(a, n)) for f, a, n in zip(network.fan_ins, widths, network.sizes, strict=False)
    ]
    fan_ins = [ratio(mean, fan_in) for mean, fan_in in zip(means, request or means, strict=True)]
    return max(fan_ins) > 1 + MAX_CHANGE, prod([*sizes, *fan_ins], start=Fraction(1))


def _refusal(
    name: str, doc: str, widths: tuple[int, ...], request: tuple[int, ...] | None, networks: Iterable[Network]
) -> str:
    """The message for a request that no network meets: the family's rule and the nearest networks."""
    fan_ins = "" if request is None else f" with fan_in {', '.join(map(str, request))}"
    near = sorted(networks, key=lambda network: _distance(network, widths, request)[1])
    nearest = "; ".join(dict.fromkeys(map(str, near[:HINTS])))
    remedy = (
        f'nearest: {nearest}; or ask for fit="nearest"' if nearest else "change the number of layers, or widen them"
    )
    rule = " ".join(doc.partition("\n\n")[0].split()).rstrip(".")
    return f"{name}: {rule}; got {'-'.join(map(str, widths))}{fan_ins}; {remedy}"
