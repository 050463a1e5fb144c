"""The verbs that list families and metrics and print their pages."""

from __future__ import annotations

import inspect

from .. import generators
from .. import metrics as measures
from ..generators import catalogue
from .options import Family, MetricName, nearest


def families(family: Family | None = None, /) -> None:
    """List the families of graphs: their names, the sizes they exist for, what they are.

    For example:
      prewired families
      prewired families biregular

    Args:
        family: Print the parameters and the page of this family.
    """
    if family:
        page = inspect.getdoc(generators.lookup(family))
        print(f"{catalogue.format_signature(family)}\n\n{page}")
        return
    rows = catalogue.list_entries()
    width = max(len(row.name) for row in rows)
    for row in rows:
        prefix = "several layers; " if row.layers == "several" else ""
        print(f"{row.name:<{width}}  {'random' if row.random else '      '}  {prefix}exists for {row.sizes}")
        print(f"    {row.summary}")


def metrics(metric: MetricName | None = None, /) -> None:
    """List the metrics, or print the page of one: formula, range, cost and source.

    For example:
      prewired metrics
      prewired metrics spectral_gap

    Args:
        metric: Print the page of this metric.
    """
    if metric:
        check_metric(metric)
        print(f"{metric}\n\n{inspect.getdoc(_all_metrics()[metric])}")
        return
    width = max(map(len, _all_metrics()))
    for title, registry in _REGISTRIES.items():
        print(f"{title}:")
        for name, function in registry.items():
            print(f"  {name:<{width}}  {(inspect.getdoc(function) or '').partition(chr(10))[0]}")


def check_metric(name: str) -> None:
    """Raise ValueError for a name that no metric has."""
    if name not in _all_metrics():
        raise ValueError(
            f"expected the name of a metric, got {name!r}{nearest(name, _all_metrics())} (see prewired metrics)"
        )


_REGISTRIES = {
    "Of a topology": measures.METRICS,
    "Of a topology and the weights of its edges": measures.WEIGHTED_METRICS,
    "Of a network": measures.NETWORK_METRICS,
}


def _all_metrics() -> dict[str, object]:
    return {name: metric for registry in _REGISTRIES.values() for name, metric in registry.items()}
