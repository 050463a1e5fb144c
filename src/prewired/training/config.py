"""TrainConfig: how to train."""

from dataclasses import dataclass


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
        patience = self.patience
        checks = {
            "epochs": ("an integer epochs >= 1", isinstance(self.epochs, int) and self.epochs >= 1),
            "batch_size": ("an integer batch_size >= 1", isinstance(self.batch_size, int) and self.batch_size >= 1),
            "seed": ("an integer seed >= 0", isinstance(self.seed, int) and self.seed >= 0),
            "learning_rate": ("learning_rate > 0", self.learning_rate > 0),
            "optimizer": ('optimizer "adam" or "sgd"', self.optimizer in ("adam", "sgd")),
            "momentum": ("0 <= momentum < 1", 0 <= self.momentum < 1),
            "weight_decay": ("weight_decay >= 0", self.weight_decay >= 0),
            "patience": ("an integer patience >= 1", patience is None or (isinstance(patience, int) and patience >= 1)),
        }
        for name, (expected, is_valid) in checks.items():
            if not is_valid:
                raise ValueError(f"expected {expected}, got {name}={getattr(self, name)!r}")
