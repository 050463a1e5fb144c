"""Plotly figures that depend on choices, and their text inside a page.

A value of {"by": label, "of": {option: value}} anywhere in a figure stands for the value of the chosen option, which
may depend on other choices in turn.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

_DIGITS = 6  # of every number in a page


def pick(label: str, of: Mapping[str, Any]) -> Any:
    """The value that depends on the choice of this label; without a choice where all its values are the same.

    Args:
        label: of the choice.
        of: option -> value.

    Returns:
        The value, or the nest that stands for it.

    Example:
        >>> pick("Data set", {"mnist": 1, "digits": 2})
        {'by': 'Data set', 'of': {'mnist': 1, 'digits': 2}}
        >>> pick("Data set", {"mnist": "accuracy", "digits": "accuracy"}), pick("Data set", {"mnist": 1})
        ('accuracy', 1)
    """
    values = list(of.values())
    if len(values) == 1 or (values and all(isinstance(value, str) and value == values[0] for value in values)):
        return values[0]
    return {"by": label, "of": dict(of)}


def is_pick(value: Any) -> bool:
    """Whether a value is one that `pick` makes."""
    return isinstance(value, Mapping) and set(value) == {"by", "of"}


def resolve(value: Any, chosen: Mapping[str, str]) -> Any:
    """The plain value at these choices, as the page's script computes it; None where there is none.

    Args:
        value: a Plotly figure or a part of it.
        chosen: label -> option.

    Example:
        >>> resolve({"y": pick("Data set", {"mnist": [1], "digits": [2]})}, {"Data set": "digits"})
        {'y': [2]}
    """
    if is_pick(value):
        return resolve(value["of"].get(chosen[value["by"]]), chosen)
    if isinstance(value, Mapping):
        return {name: resolve(item, chosen) for name, item in value.items()}
    return [resolve(item, chosen) for item in value] if isinstance(value, list | tuple) else value


def check(value: Any, options: Mapping[str, tuple[str, ...]]) -> None:
    """Raise ValueError where a figure depends on a choice or an option that is not there."""
    if is_pick(value):
        if value["by"] not in options:
            raise ValueError(f"expected a choice of {list(options)}, got {value['by']!r}; add it to the choices")
        if unknown := set(value["of"]) - set(options[value["by"]]):
            raise ValueError(f"expected options of {value['by']!r}, got {sorted(unknown)}; add them to the choice")
        value = value["of"]
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            if isinstance(item, Mapping | list | tuple):
                check(item, options)


def embed(value: Any) -> str:
    """JSON that is safe inside a script element: numbers in 6 digits, null for those that are not finite.

    Example:
        >>> embed({"y": [1 / 3, float("nan")], "name": "</script>"})
        '{"y":[0.333333,null],"name":"\\\\u003c/script>"}'
    """
    text = json.dumps(_to_plain(value), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _to_plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _to_plain(item) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_to_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    return value
