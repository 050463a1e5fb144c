"""The configuration of a study: a frozen dataclass, also from a TOML file whose keys are its fields."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..generators._internal.sizes import check_density
from ..nn.edge_budgets import BUDGETS
from ..nn.mlp import SCALES
from ..training.config import TrainConfig
from .family_names import canonical_family, parse_families
from .statistics import DENSE

CONTROLS = ("permuted", "shuffled")
_LISTS = ("data", "families", "densities", "edges", "hidden", "controls", "inits", "learning_rates")
_COUNTS = ("graph_seeds", "train_seeds", "reference_seeds", "tune_seeds", "tune_epochs", "train_rows")
MOST_SEEDS = 100_000  # far fewer than the first seed of the trainings that choose learning rates
_OPTIONAL = ("target", "task", "root", "budget", "train_rows", "tune_epochs", "reference_seeds")
_KINDS = {
    "as text": (str, ("data", "families", "controls", "inits", "optimizer", "target", "task", "root", "budget")),
    "as a number": ((int, float), ("learning_rate", "learning_rates", "momentum", "weight_decay")),
    "as true or false": (bool, ("skip_impossible", "timing")),
}


@dataclass(frozen=True)
class StudyConfig:
    """What a study compares. Graph seeds are 0..graph_seeds-1, training seeds 0..train_seeds-1.

    Args:
        data: data sets: digits, mnist, fashion_mnist, cifar10, adult, or paths of .npz or .csv files. A single name
            need not be in a list.
        families: families of graphs, as `prewired families` lists them; "dense" always runs as the reference. A
            family's own parameters follow its name: "butterfly:fit=nearest" or "swap_ladder:swaps=0.1". A family for
            each sparse layer is "window2d+biregular"; the last family counts for all further layers. With fit=level,
            families that exist for some sizes only can be used at any size, see `generators.share_changed`.
        densities: densities of the sparse layers, each in (0, 1].
        edges: numbers of edges to compare instead of densities, each an integer >= 1; a network of the study has
            exactly that many edges in all its sparse layers together.
        budget: rule that divides the edges of a network among its sparse layers: "uniform" gives all the same density,
            "erdos_renyi" and "erk" give smaller layers a higher one. Default: the same density.
        graph_seeds: number of random graphs for each family and density, at least 1; a family without randomness has
            one graph.
        train_seeds: number of trainings of each graph, at least 1. The seed of a training gives the initial weights and
            the order of the batches.
        reference_seeds: number of trainings of each dense reference; by default as many as train_seeds. A dense network
            has no graphs to average over, so more trainings make the comparison sharper.
        hidden: widths of the hidden layers in units, each at least 1; these layers are sparse, the output layer is
            dense.
        controls: variants of each family: "permuted" puts its inputs in random order, "shuffled" puts the edges of each
            layer anywhere in the layer. "permuted" keeps the spectrum, but neighbouring inputs are no longer read
            together. "shuffled" keeps only the density.
        inits: variants of the initial weights: "n_in" scales those of sparse layers as if the layers were dense.
        train_rows: number of training rows to use, at least 1, drawn once at random; all by default.
        learning_rate: step size of the optimizer in every training, above 0, unless learning_rates are given.
        learning_rates: two step sizes or more, from which each network (family, density, control and initial weights,
            or dense network) takes the one with the best validation score. The choice is made in trainings of their
            own, whose seeds and random graphs are used nowhere else.
        tune_seeds: number of trainings of each of the learning_rates, at least 1; their mean score counts. A single
            training is cheap and noisy: a family that gets a better rate by luck then looks like a better family.
        tune_epochs: number of epochs of the trainings that choose a learning rate, at least 1; by default as many as
            epochs.
        epochs, batch_size, optimizer, momentum, weight_decay, patience: as in TrainConfig.
        skip_impossible: leave out networks whose graphs do not exist, and name them in the report, instead of stopping.
        timing: time training steps after the runs, with nothing else of the study running.
        target: the column to predict, for .csv files.
        task: "classification" or "regression", where the data leave it open.
        root: the folder that holds the named data sets.

    Raises:
        ValueError: for an empty or impossible choice.

    Example:
        >>> StudyConfig("digits", families=["biregular"], densities=[0.1]).hidden
        (1000, 1000)
    """

    data: tuple[str, ...]
    families: tuple[str, ...]
    densities: tuple[float, ...] = ()
    graph_seeds: int = 3
    train_seeds: int = 1
    hidden: tuple[int, ...] = (1000, 1000)
    epochs: int = 10
    batch_size: int = 128
    learning_rate: float = 1e-3
    optimizer: str = "adam"
    momentum: float = 0.9
    weight_decay: float = 0.0
    target: str | None = None
    task: str | None = None
    root: str | None = None
    edges: tuple[int, ...] = ()
    budget: str | None = None
    controls: tuple[str, ...] = ()
    inits: tuple[str, ...] = ()
    train_rows: int | None = None
    learning_rates: tuple[float, ...] = ()
    tune_epochs: int | None = None
    tune_seeds: int = 1
    patience: int | None = None
    reference_seeds: int | None = None
    skip_impossible: bool = False
    timing: bool = True

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            value = _as_tuple(field.name, value) if field.name in _LISTS else _plain(value)
            object.__setattr__(self, field.name, value)
        for description, (kind, names) in _KINDS.items():
            for name in names:
                value = getattr(self, name)
                is_absent = value is None and name in _OPTIONAL
                for item in value if isinstance(value, tuple) else () if is_absent else (value,):
                    if not isinstance(item, kind) or (kind is not bool and isinstance(item, bool)):
                        raise ValueError(f"expected {name} {description}, got {item!r}; write it as that")
        if self.densities and self.edges:
            raise ValueError("expected densities or edges, got both; leave one out")
        for name in ("data", "families", "edges" if self.edges else "densities", "hidden"):
            if not getattr(self, name):
                raise ValueError(f"expected at least one of {name}, got none")
        object.__setattr__(self, "families", tuple(dict.fromkeys(map(canonical_family, self.families))))
        for family in self.families:
            for part in parse_families(family):
                if part[0] == DENSE:
                    raise ValueError('expected sparse families, got "dense"; the dense references always run')
        object.__setattr__(self, "densities", tuple(map(check_density, self.densities)))
        for n in self.edges:
            if isinstance(n, bool) or not isinstance(n, int) or n < 1:
                raise ValueError(f"expected edges as integers >= 1, got {n!r}; a share of the edges goes in densities")
        if self.budget is not None and self.budget not in BUDGETS:
            raise ValueError(f"expected a budget among {', '.join(BUDGETS)}, got {self.budget!r}")
        for name, choices in (("controls", CONTROLS), ("inits", [scale for scale in SCALES if scale != "fan_in"])):
            if unknown := set(getattr(self, name)) - set(choices):
                raise ValueError(f"expected {name} among {', '.join(choices)}, got {', '.join(sorted(unknown))}")
        counts = {name: getattr(self, name) for name in _COUNTS}
        counts |= {f"hidden[{k}]": width for k, width in enumerate(self.hidden)}
        for name, value in counts.items():
            if value is None and name in _OPTIONAL:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"expected {name} as an integer of at least 1, got {value!r}")
            if name.endswith("_seeds") and value > MOST_SEEDS:
                raise ValueError(f"expected {name} of at most {MOST_SEEDS:,}, got {value:,}; lower it")
        if len(self.learning_rates) == 1:
            raise ValueError("expected at least two learning_rates, got one; a single one is learning_rate")
        if self.tune_epochs is not None and not self.learning_rates:
            raise ValueError("expected learning_rates with tune_epochs, got none; give some, or leave tune_epochs out")
        for rate in self.learning_rates or (self.learning_rate,):
            self.training(0, rate)

    def training(self, train_seed: int, learning_rate: float, *, tuning: bool = False) -> TrainConfig:
        """The TrainConfig of a training with this seed and learning rate, to report or to choose the learning rate."""
        return TrainConfig(
            epochs=self.tune_epochs or self.epochs if tuning else self.epochs,
            batch_size=self.batch_size,
            learning_rate=learning_rate,
            optimizer=self.optimizer,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            seed=train_seed,
            patience=self.patience,
        )

    def to_dict(self) -> dict[str, Any]:
        """The fields that differ from their defaults, lists for tuples: what a TOML or JSON file holds.

        Example:
            >>> StudyConfig("digits", ["biregular"], [0.1]).to_dict()
            {'data': ['digits'], 'families': ['biregular'], 'densities': [0.1]}
        """
        default = {field.name: field.default for field in fields(self)}
        changed = {name: value for name, value in asdict(self).items() if value != default[name]}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in changed.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "a study") -> StudyConfig:
        """The config with these fields.

        Args:
            values: field -> value, as `to_dict` returns them or `read_toml` reads them.
            where: what error messages name as the origin of the values.

        Raises:
            ValueError: for an unknown or missing field, with the nearest name there is, or for an impossible value.

        Example:
            >>> StudyConfig.from_dict({"data": "digits", "families": ["biregular"], "densities": [0.1]}).data
            ('digits',)
        """
        names = [field.name for field in fields(cls)]
        for name in values:
            if name not in names:
                near = difflib.get_close_matches(name, names, 1)
                raise ValueError(
                    f"{where}: expected fields among {', '.join(names)}; got {name!r}"
                    + (f"; did you mean {near[0]!r}?" if near else "")
                )
        if missing := [name for name in ("data", "families") if name not in values]:
            raise ValueError(f"{where}: expected the field {missing[0]!r}, got none; add it")
        return cls(**values)


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read the fields of a study from a TOML file.

    Raises:
        ValueError: if the file is not TOML, or has a table where a value is expected.
        OSError: if it cannot be read.
    """
    text = Path(path).read_bytes()
    try:
        values = tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"expected a study as TOML in {path}, got {error}; correct that place") from error
    if tables := [name for name, value in values.items() if isinstance(value, dict)]:
        raise ValueError(f"expected plain keys in {path}, got the table [{tables[0]}]; move its keys to the top")
    return values


def _as_tuple(name: str, value: Any) -> tuple[Any, ...]:
    if name == "data" and isinstance(value, str | Path):
        value = (value,)
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError(f"expected {name} as a list, got {value!r}; put it in brackets")
    values = tuple(map(_plain, value))
    return values if name == "hidden" else tuple(dict.fromkeys(values))


def _plain(value: Any) -> Any:
    """A number of NumPy as a number of Python, a path as text."""
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if isinstance(value, Path) else value
