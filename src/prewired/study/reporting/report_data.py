"""A study and what it says in numbers, computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..nets import list_densities
from ..results import Study
from ..statistics import CONTROLS_FOR, PRIMARY_METRIC, Analysis, Row, Summary, collect_graphs, summarise, target_score
from ..statistics import analyse as analyse_graphs

LEVEL = 0.05  # of adjusted p-values
TESTED = (  # the primary, and what the literature puts beside it; each more is one more test
    PRIMARY_METRIC,
    "normalized_product_spectral_gap",
    "algebraic_connectivity",
    "ramanujan_ratio",
    "path_cv",
    "reachable_share",
    "effective_receptive_field",
    "four_cycle_ratio",
    "fan_in_cv",
    "fan_out_cv",
    "dead_share",
    "scatter",
)
MARGINS = {"accuracy": 0.002, "r2": 0.01}  # the largest difference of scores that does not matter


@dataclass(frozen=True)
class Report:
    """A study and what it says in numbers."""

    study: Study
    targets: dict[str, float]  # by data set: 95 % of the validation score of the dense net
    summaries: tuple[Summary, ...]
    analysis: Analysis

    @property
    def is_accuracy(self) -> bool:
        """Whether scores are accuracies, which are told in percent, or R2."""
        return self.study.rows[0].run.score_name == "accuracy"

    @property
    def score_name(self) -> str:
        """The name of the scores as people know it."""
        return "accuracy" if self.is_accuracy else "R2"

    @property
    def settings(self) -> list[tuple[str, str]]:
        """(control, init) of the families as they are and of their variants."""
        config = self.study.config
        return [(control, "fan_in") for control in ("", *config.controls)] + [("", init) for init in config.inits]


def analyse_study(study: Study) -> Report:
    """Compute the numbers of a report.

    Raises:
        ValueError: if no run is finished.
    """
    if not study.rows:
        failed = f", and {len(study.failed)} failed, such as {study.failed[0]}" if study.failed else ""
        remedy = "lower its learning rate" if study.failed else "wait for the study, or run it"
        raise ValueError(f"expected finished runs, got none yet{failed}; {remedy}")
    targets = {name: target_score([row for row in study.rows if row.data == name]) for name in study.config.data}
    margin = MARGINS[study.rows[0].run.score_name]
    summaries = sorted(summarise(study.rows), key=_find_place(study))
    analysis = analyse_graphs(
        collect_graphs(study.rows),
        TESTED,
        primary=PRIMARY_METRIC,
        margin=margin,
        controls_for=(*CONTROLS_FOR, "learning_rate"),
    )
    return Report(study, targets, tuple(summaries), analysis)


def list_densities_of_data(study: Study) -> dict[str, list[float]]:
    """The densities of each data set, ascending."""
    return {name: sorted(list_densities(study.config, list_widths(study, name))) for name in study.config.data}


def list_widths(study: Study, data: str) -> tuple[int, ...]:
    """Units per layer, inputs first, of the sparse nets of a data set."""
    facts = study.facts[data]
    return (facts.n_features, *study.config.hidden, facts.n_outputs)


def list_machines(rows: Sequence[Row]) -> list[str]:
    """The machines that the runs were made on."""
    return list(dict.fromkeys(row.machine for row in rows))


def list_versions(rows: Sequence[Row]) -> list[str]:
    """The versions that the runs were made with."""
    return list(dict.fromkeys(row.versions for row in rows))


def _find_place(study: Study):
    order = {name: place for place, name in enumerate(study.config.data)}
    return lambda summary: (order[summary.data], summary.density or 0.0)
