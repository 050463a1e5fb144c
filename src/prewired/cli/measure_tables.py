"""Measurements as text and as JSON: what `prewired measure` prints."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..study.running.database import replace_non_finite
from ..study.statistics import percent

if TYPE_CHECKING:
    from .network_files import NetworkWiring


def to_json(networks: Sequence[NetworkWiring], entries: Sequence[dict[str, Any]]) -> str:
    """Write measurements as JSON: a list of networks for a study, one network, or the metrics of a single layer."""
    if networks[0].about:
        content: dict[str, Any] = {"nets": entries}
    elif len(networks[0].layers) > 1:
        content = entries[0]
    else:
        (layer,) = entries[0]["layers"]
        units = {"names": layer["names"]} if "names" in layer else {}
        content = {**layer["metrics"], **entries[0]["network"], **units}
    return json.dumps(replace_non_finite(content), indent=1)


def format_blocks(network: NetworkWiring, entry: Mapping[str, Any]) -> str:
    """Write the layers one below the other, then the network, with a line per metric: value, bounds, certificate."""
    parts = []
    for t, layer in zip(network.layers.values(), entry["layers"], strict=True):
        title = f"{t}" if len(network.layers) == 1 else f"{layer['title']}: {t}"
        parts.append((title, {**layer["metrics"], **layer.get("names", {})}))
    if entry["network"]:
        parts.append(("network", entry["network"]))
    return "\n\n".join("\n".join([title, *_rows(values)]) for title, values in parts)


def _rows(values: Mapping[str, Any]) -> list[str]:
    width = max(map(len, values), default=0)
    if not any(isinstance(value, Mapping) for value in values.values()):
        return [
            f"{name:<{width}}  {value if isinstance(value, str) else _text(value)}" for name, value in values.items()
        ]
    cells = [(name, *_explained(value)) for name, value in values.items()]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in cells]


def _explained(value: Any) -> tuple[str, str, str]:
    """A Measurement as text: the value, its bounds, and its certificate."""
    if not isinstance(value, Mapping):
        return str(value), "", ""
    low, high, confidence = value["low"], value["high"], value["confidence"]
    if math.isnan(value["value"]):
        return "-", "", "undefined, see prewired metrics"
    bounds = f"[{low:.6g}, {high:.6g}]"
    if f"{low:.6g}" == f"{high:.6g}":
        bounds = "" if low == high else f"+- {max(high - value['value'], value['value'] - low):.1g}"
    doubt = "" if confidence == 1 else f", confidence 1 - {1 - confidence:.1g}"
    return _text(value["value"]), bounds, f"{value['method']}; {value['certificate']}{doubt}"


def format_columns(network: NetworkWiring, entry: Mapping[str, Any]) -> str:
    """Write a table with a column per layer, then the metrics of the network."""
    layers = entry["layers"]
    heads = [f"{layer['title']}: {t}" for layer, t in zip(layers, network.layers.values(), strict=True)]
    names = list(dict.fromkeys(name for layer in layers for name in layer["metrics"]))
    rows = [[name, *(_text(layer["metrics"].get(name)) for layer in layers)] for name in names]
    table = _table([["", *(layer["title"] for layer in layers)], *rows])
    totals = ["network", *_rows(entry["network"])] if entry["network"] else []
    return "\n\n".join("\n".join(block) for block in (heads, table if rows else [], totals) if block)


def study_table(entries: Sequence[Mapping[str, Any]]) -> str:
    """Write a line per family and density: metrics of layers are means over layers, all are means over graphs."""
    by_label: dict[str, list[Mapping[str, Any]]] = {}
    for entry in entries:
        by_label.setdefault(label_of(entry), []).append(entry)
    names = list(dict.fromkeys(name for entry in entries for name in _means(entry)))
    rows = [
        [label, str(len(graphs)), *(_text(_mean([_means(graph).get(name) for graph in graphs])) for name in names)]
        for label, graphs in by_label.items()
    ]
    heads = [textwrap.wrap(name.replace("_", " "), 12) for name in ("", "graphs", *names)]
    height = max(map(len, heads))
    above = [[*[""] * (height - len(head)), *head] for head in heads]
    lines = _table([*map(list, zip(*above, strict=True)), *rows])
    return "\n".join(
        [*lines, "", "means over the layers of a network and over the graphs of a family; --json has each"]
    )


def _means(entry: Mapping[str, Any]) -> dict[str, float]:
    """Each metric of a network as one number; a metric of layers is the mean over the layers."""
    layers = [layer["metrics"] for layer in entry["layers"]]
    means = {name: _mean([layer.get(name) for layer in layers]) for name in layers[0]}
    values = {**means, **entry["network"]}
    return {name: value for name, value in values.items() if value is not None}


def _mean(values: Sequence[Any]) -> float | None:
    """The mean of numbers or Measurements; None if a value is missing."""
    numbers = [value["value"] if isinstance(value, Mapping) else value for value in values]
    return None if None in numbers else sum(numbers) / len(numbers)


def label_of(about: Mapping[str, Any]) -> str:
    """The settings that graphs of a study share, as text: family, density or number of edges, budget, sizes."""
    exactly = f"{about['n_edges']:,} edges" if "n_edges" in about else percent(about["density"])
    budget = [about["budget"]] if "budget" in about else []
    return " ".join([about["family"], exactly, *budget, "-".join(map(str, about["sizes"]))])


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            f"{cell:{'>' if k else '<'}{w}}" for k, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _text(value: float | None) -> str:
    """A number in six digits, an integer in full, or a dash if the value is missing or undefined."""
    if value is None or math.isnan(value):
        return "-"
    if math.isfinite(value) and value == round(value) and abs(value) < 1e15:
        return str(round(value))
    return f"{value:.6g}"
