"""Run: the record of one training."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self

from .config import TrainConfig


@dataclass(frozen=True)
class Run:
    """The record of one training.

    All tuples have one entry per epoch.

    Attributes:
        config: how the network was trained.
        score_name: "accuracy", in [0, 1], or "r2" for regression.
        n_parameters: weights and biases.
        train_loss, val_loss, val_score: of each epoch.
        seconds: of training in each epoch, without evaluation.
        test_loss, test_score: of the final weights; NaN if the test data were not evaluated.
        chosen_epoch: the epoch, counted from 1, of the final weights: the last epoch or, with patience, the epoch of
            the lowest validation loss.
        tracked: for each tracked metric, its values before training and after every epoch, each a tuple of one value
            per layer.
    """

    config: TrainConfig
    score_name: str
    n_parameters: int
    train_loss: tuple[float, ...] = field(repr=False)
    val_loss: tuple[float, ...] = field(repr=False)
    val_score: tuple[float, ...] = field(repr=False)
    seconds: tuple[float, ...] = field(repr=False)
    test_loss: float
    test_score: float
    chosen_epoch: int
    tracked: dict[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict, repr=False, hash=False)

    @property
    def chosen_score(self) -> float:
        """The validation score of the final weights."""
        return self.val_score[self.chosen_epoch - 1]

    @property
    def area(self) -> float:
        """Area under the curve of the validation score: its mean over all epochs of the config.

        Epochs after an early stop count with the score of the chosen epoch.
        """
        epochs_after_stop = self.config.epochs - len(self.val_score)
        return (sum(self.val_score) + epochs_after_stop * self.chosen_score) / self.config.epochs

    def epochs_to(self, score: float) -> int | None:
        """Number of epochs until the validation score first reached `score`; None if it never did."""
        return next((k for k, value in enumerate(self.val_score, 1) if value >= score), None)

    def seconds_to(self, score: float) -> float | None:
        """Seconds of training until the validation score first reached `score`; None if it never did."""
        epochs = self.epochs_to(score)
        return None if epochs is None else sum(self.seconds[:epochs])

    def to_dict(self) -> dict[str, Any]:
        """Convert to values that JSON can hold; `tracked` is left out if nothing was tracked."""
        values = asdict(self)
        return values if self.tracked else {name: value for name, value in values.items() if name != "tracked"}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build a Run from the result of `to_dict`, also after a passage through JSON."""
        plain = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        tracked = {name: tuple(map(tuple, epochs)) for name, epochs in values.get("tracked", {}).items()}
        return cls(**{**plain, "config": TrainConfig(**values["config"]), "tracked": tracked})
