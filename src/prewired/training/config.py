"""TrainConfig: how to train."""

import sys
from dataclasses import dataclass, fields
from typing import Any

import numpy as np


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained.

    Args:
        epochs: passes over the training data, at least 1.
        batch_size: rows per step, at least 1; the last, smaller batch of an epoch is used too.
        learning_rate: step size of the optimizer, > 0, the same in all epochs.
        optimizer: "adam" or "sgd". With weight_decay, "adam" is AdamW.
        momentum: momentum of "sgd", in [0, 1).
        weight_decay: each step takes learning_rate * weight_decay of a weight away, >= 0.
        seed: seed of the order of the training rows, an integer >= 0. The network has its own initial weights.
        patience: stop after this many epochs, at least 1, in a row without a lower validation loss, and restore the
            weights of the epoch with the lowest. None: train all epochs and keep the last weights.

    Raises:
        ValueError: if a value is out of range.

    Example:
        >>> TrainConfig(epochs=3).optimizer
        'adam'
    """

    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 1e-3
    optimizer: str = "adam"
    momentum: float = 0.9
    weight_decay: float = 0.0
    seed: int = 0
    patience: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            if isinstance(value := getattr(self, field.name), np.generic):
                object.__setattr__(self, field.name, value.item())
        checks = {
            "epochs": ("an integer epochs >= 1", _is_count(self.epochs)),
            "batch_size": ("an integer batch_size >= 1", _is_count(self.batch_size)),
            "seed": ("an integer seed >= 0", _is_number(self.seed, int) and self.seed >= 0),
            "learning_rate": ("a finite learning_rate > 0", _is_finite(self.learning_rate) and self.learning_rate > 0),
            "optimizer": ('optimizer "adam" or "sgd"', self.optimizer in ("adam", "sgd")),
            "momentum": ("0 <= momentum < 1", _is_finite(self.momentum) and 0 <= self.momentum < 1),
            "weight_decay": ("a finite weight_decay >= 0", _is_finite(self.weight_decay) and self.weight_decay >= 0),
            "patience": ("an integer patience >= 1", self.patience is None or _is_count(self.patience)),
        }
        for name, (expected, is_valid) in checks.items():
            if not is_valid:
                raise ValueError(f"expected {expected}, got {name}={getattr(self, name)!r}")


def _is_number(value: Any, kind: type) -> bool:
    """Whether a value is of a kind of numbers; True and False are none."""
    return isinstance(value, kind) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    """Whether a value is an integer >= 1 that 64 bits can hold, as torch wants it."""
    return _is_number(value, int) and 1 <= value < 2**63


def _is_finite(value: Any) -> bool:
    return (_is_number(value, int) or _is_number(value, float)) and abs(value) <= sys.float_info.max
