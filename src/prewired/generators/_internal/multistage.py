"""The decorator that makes a family of several layers: finds the network asked for, or says which there are.

A family of GENERATORS is one graph. A family of NETWORK_FAMILIES is a list of graphs: their product has a property that
no layer has.
Each layer is made by a family of GENERATORS, so that its recipe rebuilds it alone.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import wraps
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

from ...topology import Topology
from ..cutting import CHANGED, check_fit, cut
from .available_sizes import ratio
from .registry import NETWORK_FAMILIES, make, plain
from .sizes import constant_fan_in

HINTS = 3


class Network(NamedTuple):
    """One admissible network: its widths, and for each layer the fan-in and the family and parameters that make it."""

    sizes: tuple[int, ...]
    fan_ins: tuple[int, ...]
    layers: tuple[tuple[str, dict[str, Any]], ...]

    def __str__(self) -> str:
        fan_ins = self.fan_ins[:1] if len(set(self.fan_ins)) == 1 else self.fan_ins
        return f"{'-'.join(map(str, self.sizes))} with fan_in {', '.join(map(str, fan_ins))}"

    def make(self) -> list[Topology]:
        """The topologies."""
        return [
            make(family, n_in=a, n_out=b, **parameters)
            for (a, b), (family, parameters) in zip(pairwise(self.sizes), self.layers, strict=True)
        ]


def network_family(near: Callable[..., Iterable[Network]]) -> Callable[..., list[Topology]]:
    """Turn a function that yields the networks of a family near given widths into a registered one that makes one.

    The first paragraph of the docstring is the rule that messages quote. The result takes (sizes, *, fan_in= |
    density=, ..., fit=): the widths from the inputs on, and one fan-in, one for each layer, or a density. Where neither
    is given the sparsest network of these widths is made. With fit="nearest" and widths or fan-ins for which there is
    none, the network is made that covers all widths and comes closest in size and mean fan-in, of those whose mean
    fan-ins can be levelled if there are any; it is cut to evenly spaced units and each layer levelled to exactly the
    fan-in asked for, as `shapes` describes; with fit="level" whatever share of the edges changes.
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
            known = ", ".join(["fan_in", "density", "fit", *(p.name for p in own)])
            raise ValueError(f"{name}: expected parameters among {known}; got {', '.join(unknown)}")
        check_fit(fit)
        if len(widths) < 2:
            return []
        wanted = _fan_ins(widths, fan_in, density)
        known_networks = list(near(widths, **parameters))
        exact = [n for n in known_networks if n.sizes == widths and wanted in (None, n.fan_ins)]
        if exact:
            return min(exact, key=_edges).make()
        covering = [n for n in known_networks if all(a >= b for a, b in zip(n.sizes, widths, strict=True))]
        if fit is None or not covering:
            raise ValueError(_refusal(name, inspect.getdoc(near) or "", widths, wanted, known_networks))
        best = min(covering, key=lambda network: _distance(network, widths, wanted))
        try:
            return [
                cut(t, a, b, fan_in=None if wanted is None else wanted[k], fit=fit)
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
    """Call a family of several layers by name, as the command line does; raises ValueError where sizes= is missing.

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
    sizes = plain(sizes)
    good = isinstance(sizes, Sequence) and len(sizes) > 0
    if not good or not all(isinstance(size, int) and not isinstance(size, bool) and size >= 1 for size in sizes):
        raise ValueError(f"expected integer sizes >= 1, inputs first, got sizes={sizes!r}")
    return tuple(sizes)


def _fan_ins(sizes: tuple[int, ...], fan_in: Any, density: float | None) -> tuple[int, ...] | None:
    """The fan-in asked for in each layer; None where nothing is asked for."""
    if fan_in is None and density is None:
        return None
    given = list(fan_in) if isinstance(fan_in, Sequence) else [fan_in] * (len(sizes) - 1)
    if len(given) != len(sizes) - 1:
        raise ValueError(f"expected one fan_in or one for each of {len(sizes) - 1} layers, got {len(given)}")
    return tuple(constant_fan_in(n_in, one, density) for n_in, one in zip(sizes, given, strict=False))


def _edges(network: Network) -> int:
    return sum(b * fan_in for b, fan_in in zip(network.sizes[1:], network.fan_ins, strict=True))


def _distance(network: Network, widths: tuple[int, ...], wanted: tuple[int, ...] | None) -> tuple[bool, Fraction]:
    """How far a network is from a request: whether by more than levelling can mend; then in size and in mean fan-in.

    In exact fractions, as ties occur and must fall alike on every machine.
    """
    sizes = [ratio(n, width) for n, width in zip(network.sizes, widths, strict=True)]
    means = [
        f * min(Fraction(1), Fraction(a, n)) for f, a, n in zip(network.fan_ins, widths, network.sizes, strict=False)
    ]
    fan_ins = [ratio(mean, want) for mean, want in zip(means, wanted or means, strict=True)]
    return max(fan_ins) > 1 + CHANGED, prod([*sizes, *fan_ins], start=Fraction(1))


def _refusal(
    name: str, doc: str, widths: tuple[int, ...], wanted: tuple[int, ...] | None, networks: Iterable[Network]
) -> str:
    asked = "" if wanted is None else f" with fan_in {', '.join(map(str, wanted))}"
    near = sorted(networks, key=lambda network: _distance(network, widths, wanted)[1])
    nearest = "; ".join(dict.fromkeys(map(str, near[:HINTS])))
    remedy = (
        f'nearest: {nearest}; or ask for fit="nearest"' if nearest else "change the number of layers, or widen them"
    )
    rule = " ".join(doc.partition("\n\n")[0].split()).rstrip(".")
    return f"{name}: {rule}; got {'-'.join(map(str, widths))}{asked}; {remedy}"
