"""Run: what happened in one training."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self

from .config import TrainConfig


@dataclass(frozen=True)
class Run:
    """What happened in one training.

    `val_score` and `test_score` are the accuracy in [0, 1] (classification) or R^2 (regression), as `score_name` says.
    All tuples have one entry per epoch; `seconds` is training time only, without evaluation. `chosen_epoch` is the one,
    counted from 1, whose weights the network has in the end: the last, or the best one where it was stopped early. The
    test data is looked at once, with these weights, or not at all (NaN). `tracked` has, for each metric that was
    followed, its values before training and after every epoch, each time one per layer.
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
        """The validation score of the weights that the network has in the end."""
        return self.val_score[self.chosen_epoch - 1]

    @property
    def area(self) -> float:
        """Area under the curve of the validation score: its mean over all epochs of the config.

        After an early stop the score counts as that of the chosen epoch.
        """
        held = self.config.epochs - len(self.val_score)
        return (sum(self.val_score) + held * self.chosen_score) / self.config.epochs

    def epochs_to(self, score: float) -> int | None:
        """Epochs until the validation score first reached `score`; None if it never did."""
        return next((k for k, reached in enumerate(self.val_score, 1) if reached >= score), None)

    def seconds_to(self, score: float) -> float | None:
        """Seconds of training until the validation score first reached `score`; None if it never did."""
        epochs = self.epochs_to(score)
        return None if epochs is None else sum(self.seconds[:epochs])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON can hold them; without `tracked` where nothing was."""
        values = asdict(self)
        return values if self.tracked else {name: value for name, value in values.items() if name != "tracked"}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of `to_dict`, also after a passage through JSON."""
        plain = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        tracked = {name: tuple(map(tuple, epochs)) for name, epochs in values.get("tracked", {}).items()}
        return cls(**{**plain, "config": TrainConfig(**values["config"]), "tracked": tracked})
