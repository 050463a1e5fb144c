"""What a store holds is checked as it is read: a damaged value is an error that names the file and the remedy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..training.run import Run

NUMBER, COUNT, TEXT = (int, float), (int,), (str,)
SCORE_NAMES = ("accuracy", "r2")
CURVES = ("train_loss", "val_loss", "val_score", "seconds")
_FIELDS_OF_RUN = {
    **dict.fromkeys(("test_loss", "test_score"), NUMBER),
    **dict.fromkeys(("n_parameters", "chosen_epoch"), COUNT),
}


def check_fields(values: Mapping[str, Any], kinds: Mapping[str, tuple[type, ...]]) -> None:
    """Check that values has every field, and that each is of its kind.

    Raises:
        KeyError: if a field is missing.
        TypeError: if a field is of another kind.

    Example:
        >>> check_fields({"bytes": "many"}, {"bytes": COUNT})
        Traceback (most recent call last):
        ...
        TypeError: expected bytes of type int, got 'many'
    """
    for name, kind in kinds.items():
        value = values[name]
        is_huge = isinstance(value, int) and abs(value) >= 2**63  # no file of a report takes such an integer
        if not isinstance(value, kind) or isinstance(value, bool) or is_huge:
            raise TypeError(f"expected {name} of type {kind[-1].__name__}, got {value!r:.80}")


def check_curves(values: Mapping[str, Any]) -> None:
    """Check that every value is a list of numbers.

    Raises:
        TypeError: if one is not.
    """
    check_fields(values, dict.fromkeys(values, (list,)))
    for name, items in values.items():
        for item in items:
            check_fields({name: item}, {name: NUMBER})


def read_run(payload: Mapping[str, Any]) -> Run:
    """Read the record of a training from its stored result.

    Raises:
        KeyError, TypeError, ValueError: if the record is damaged.
    """
    values = restore_nan(payload["run"])
    check_fields(values, _FIELDS_OF_RUN)
    curves = {name: values[name] for name in CURVES}
    check_curves(curves)
    n_epochs = {len(curve) for curve in curves.values()}
    if len(n_epochs) > 1 or not 1 <= values["chosen_epoch"] <= min(n_epochs):
        raise ValueError(f"expected curves of one length and a chosen epoch in them, got lengths {sorted(n_epochs)}")
    if values["score_name"] not in SCORE_NAMES:
        raise ValueError(f"expected a score among {', '.join(SCORE_NAMES)}, got {values['score_name']!r}")
    least = 0.0 if values["score_name"] == "accuracy" else -math.inf
    for score in (*values["val_score"], values["test_score"]):
        if not (math.isnan(score) or least <= score <= 1):
            raise ValueError(f"expected {values['score_name']} from {least:g} to 1, got {score}")
    return Run.from_dict(values)


def restore_nan(value: Any) -> Any:
    """Replace each None and each infinity of a stored result by NaN: JSON stores what is not finite as null."""
    if isinstance(value, dict):
        return {name: item if name == "patience" else restore_nan(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [restore_nan(item) for item in value]
    return math.nan if value is None or (isinstance(value, float) and math.isinf(value)) else value
