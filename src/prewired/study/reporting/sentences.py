"""What was found, in plain words, with what cannot be said."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..statistics import DENSE, DENSE_NARROW, REFERENCES, Primary, Summary, base_family, percent
from ..statistics.magnitude import TINY
from .control_effects import describe_controls
from .correlation_tables import is_test
from .number_format import (
    describe_setting,
    format_count,
    format_difference,
    format_p,
    format_pooled,
    format_score,
    spell_metric,
)
from .report_data import LEVEL, PRIMARY_METRIC, Report, list_densities_of_data
from .speed_sentences import describe_speed

WIDE = 0.6  # an interval of rho that reaches so far on either side says nothing


def describe_findings(report: Report) -> list[str]:
    """The whole report in sentences: the answer first, then scores, speed, and what the figures rest on."""
    result = [describe_answer(report, primary) for primary in report.analysis.primary]
    result += describe_controls(report)
    result += [line for control, init in report.settings if (line := _describe_others(report, control, init))]
    result += [_describe_best(report, data) for data in report.study.config.data]
    return [*result, describe_speed(report), _describe_reliability(report), _describe_caveat(report)]


def describe_answer(report: Report, primary: Primary) -> str:
    """Describe the result of the metric chosen beforehand in one setting."""
    where = f"Families {describe_setting(primary.control, primary.init)}"
    tests = [finding for finding in primary.cells if is_test(finding)]
    if not tests:
        return f"{where}: no correlation can be computed: fewer than 3 graphs in each cell, or nothing varies."
    name, rho = report.score_name, primary.pooled.rho
    single = tests[0]
    if math.isnan(rho.effect):
        return (
            f"{where}: there are too few families to say whether {name} goes with the {spell_metric(primary.metric)}, "
            f"the metric chosen beforehand. Over the {format_count(single.correlation.n, 'graph')} of {single.cell} "
            f"Spearman's rho is {single.correlation.rho:+.2f} (p {format_p(single.correlation.p_value)} if they were "
            "independent)."
        )
    metric = spell_metric(primary.metric)
    n_families = max(finding.interval.n_families for finding in tests)
    claim = (
        _describe_unclear(f"{name} and the {metric}", rho.low, rho.high, n_families)
        if math.isnan(rho.p_value) or rho.p_value >= LEVEL
        else f"{name} {'rises' if rho.effect > 0 else 'falls'} with the {metric}"
    )
    text = (
        f"{where}: {claim} (it is the metric chosen beforehand; Spearman's rho over graphs {format_pooled(rho)}, "
        f"pooled over {format_count(rho.n, 'cell')}, p {format_p(rho.p_value)}). {_describe_effect(report, primary)}"
    )
    partial = primary.pooled.partial
    if math.isnan(partial.effect):
        return text
    controls = ", ".join(map(spell_metric, report.analysis.controls_for))
    return f"{text} With {controls} held fixed rho is {format_pooled(partial)} (p {format_p(partial.p_value)})."


def _describe_unclear(both: str, low: float, high: float, n_families: int) -> str:
    """Describe an interval that contains zero: a wide interval does not show that there is no effect."""
    if not (low > -WIDE and high < WIDE):
        return f"whether {both} go together cannot be told from {format_count(n_families, 'kind')} of graphs"
    return f"{both} show no clear relation"


def _describe_effect(report: Report, primary: Primary) -> str:
    """Describe the change of the score from graphs with a low to graphs with a high value of the metric."""
    slopes = [finding.slope for finding in primary.cells if not math.isnan(finding.slope.difference)]
    changes, verdicts = sorted(slope.difference for slope in slopes), [slope.verdict for slope in slopes]
    unit = " points" if report.is_accuracy else ""
    low, high = (format_difference(value, report.is_accuracy) for value in (changes[0], changes[-1]))
    spread = f"{low} to {high}" if low != high else low
    margin = format_difference(report.analysis.margin, report.is_accuracy).lstrip("+")
    return (
        f"From its 10th to its 90th percentile {report.score_name} changes by {spread}{unit}: "
        f"by less than {margin}{unit}, as tests of equivalence say, in {verdicts.count('equivalent')} of "
        f"{format_count(len(changes), 'cell')}, by more than nothing in {verdicts.count('different')}; not decided in "
        f"{verdicts.count('undecided')}."
    )


def _describe_others(report: Report, control: str, init: str) -> str:
    """The other metrics that pass Holm's adjustment, in one setting."""
    tests = [
        finding
        for finding in report.analysis.pooled
        if (finding.control, finding.init) == (control, init) and not math.isnan(finding.holm_p)
    ]
    claims = [finding for finding in tests if finding.holm_p < LEVEL and finding.metric != PRIMARY_METRIC]
    if not tests:
        return ""
    where = f"families {describe_setting(control, init)}"
    if not claims:
        return f"Of the other {format_count(len(tests) - 1, 'metric')}, {where}, none passes Holm's adjustment."
    metrics = [
        f"{spell_metric(claim.metric)} ({format_pooled(claim.rho)}, p {format_p(claim.holm_p)})"
        for claim in sorted(claims, key=lambda claim: claim.holm_p)
    ]
    n_metrics = format_count(len(tests), "metric")
    return f"After Holm's adjustment for {n_metrics} {report.score_name}, {where}, goes with {', '.join(metrics)}."


def _describe_best(report: Report, data: str) -> str:
    accuracy = report.is_accuracy
    summaries = [summary for summary in report.summaries if summary.data == data]
    dense = [summary for summary in summaries if summary.label == DENSE]
    parts = []
    for density in list_densities_of_data(report.study)[data]:
        cell = [summary for summary in summaries if summary.density == density]
        narrow = [summary for summary in cell if summary.label == DENSE_NARROW]
        sparse = [s for s in cell if s.label not in REFERENCES and not s.is_variant and not math.isnan(s.score)]
        sparse.sort(key=lambda summary: -summary.score)
        if sparse:
            behind = f", dense narrow {format_score(narrow[0].score, accuracy)}" if narrow else ""
            parts.append(f"at {percent(density)} {_describe_ranking(sparse, accuracy)}{behind}")
    if dense:
        parts.insert(0, f"dense {format_score(dense[0].score, accuracy)}")
    where = f"Test {report.score_name} on {report.study.facts[data].name}"
    return f"{where}: {'; '.join(parts)}." if parts else f"{where}: no run of a network as it is has a score yet."


def _describe_ranking(sparse: Sequence[Summary], accuracy: bool) -> str:
    """The families of a density, best first, in words that the spread of their scores allows."""

    def describe(summary: Summary) -> str:
        sd, graphs = format_score(summary.score_sd, accuracy, unit=False), format_count(summary.n_graphs, "graph")
        spread = "" if math.isnan(summary.score_sd) else f"sd {sd}, "
        return f"{format_score(summary.score, accuracy)} ({spread}{graphs})"

    first, second, last = sparse[0], sparse[min(1, len(sparse) - 1)], sparse[-1]
    if first is last:
        return f"{first.label} has {describe(first)}"
    known = [sd for s in (first, second) for sd in (s.score_sd, s.seed_sd) if not math.isnan(sd)]
    if not known or first.score - second.score <= max(*known, TINY * abs(first.score)):
        return f"the best are not separated: {first.label} {describe(first)}, {second.label} {describe(second)}"
    return f"{first.label} has the highest mean, {describe(first)}, {last.label} the lowest, {describe(last)}"


def _describe_reliability(report: Report) -> str:
    known = [finding for finding in report.analysis.reliability if not math.isnan(finding.overall.mean)]
    if not known and report.study.config.train_seeds > 1:
        return (
            "How much of the differences between graphs is the noise of training cannot be told: too few graphs have "
            "several finished trainings, or their scores do not vary."
        )
    if not known:
        return "With one training seed per graph, differences between graphs include the noise of training."
    overall = sorted(finding.overall.mean for finding in known)
    within = sorted(finding.within_families.mean for finding in known if not math.isnan(finding.within_families.mean))
    text = f"The graph accounts for {_format_range(overall)} of the variance of graphs' mean scores, "
    text += "the noise of training for the rest"
    return f"{text}; among graphs of one family for {_format_range(within)}." if within else f"{text}."


def _format_range(shares: Sequence[float]) -> str:
    low, high = (percent(max(0.0, share)) for share in (shares[0], shares[-1]))
    return low if low == high else f"{low} to {high}"


def _describe_caveat(report: Report) -> str:
    n = len(set(map(base_family, report.study.config.families)))
    kinds = f"{n} families" if n > 1 else "one family"
    text = f"The graphs come from {kinds}; those of one family resemble each other and count for less than their number"
    return f"{text}; a correlation is not a cause."
