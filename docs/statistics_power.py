"""Writes the tables of docs/statistics.md: how often each method errs, and what it can find, by simulation.

    python docs/statistics_power.py [TABLE ...]

Every table stands in statistics.md between two comments that name it; the rest of that file is written by hand.
"""

import math
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import statsmodels.api as sm

from prewired.study.statistics.bootstrap_intervals import (
    compute_interval,
    compute_variance_correction,
    draw_replicates,
    estimate_correlation,
)
from prewired.study.statistics.equivalence import compare_means, compare_slope
from prewired.study.statistics.pooling import pool, pool_families
from prewired.study.statistics.rank_correlations import family_spearman, partial_spearman, spearman
from prewired.study.statistics.regression import fit_quadratic
from prewired.study.statistics.reliability import estimate_reliability

PAGE = Path(__file__).with_name("statistics.md")
SIMULATIONS, FEWER = 1000, 500
RESAMPLES = 400
N_CELLS = 6
EQUAL = [8] * 12
UNEQUAL = [1, 1, 1, 1, 5, 5, 5, 5, 5, 5, 5, 20]  # rigid families, random ones and a ladder
ALIKE = (0.0, 0.5, 0.9)

Line = Sequence[object]


def names(sizes: Sequence[int]) -> list[str]:
    return [f"family {number:02d}" for number, size in enumerate(sizes) for _ in range(size)]


def normal(
    rng: np.random.Generator, sizes: Sequence[int], alike: float, shared: np.ndarray | None = None
) -> np.ndarray:
    """A standard normal value per graph, of whose variance families explain the share `alike`."""
    family = rng.normal(size=len(sizes)) if shared is None else shared
    return math.sqrt(alike) * np.repeat(family, sizes) + math.sqrt(1 - alike) * rng.normal(size=sum(sizes))


def pearson(rho: float) -> float:
    """The correlation of normal values whose Spearman correlation is rho."""
    return 2 * math.sin(math.pi * rho / 6)


def mixed(x: np.ndarray, noise: np.ndarray, rho: float) -> np.ndarray:
    """Values whose Spearman correlation with x is rho."""
    r = pearson(rho)
    return r * x + math.sqrt(1 - r**2) * noise


def percent(events: Iterable[bool]) -> str:
    return f"{100 * float(np.mean(list(events))):.1f} %"


def independent() -> Iterable[Line]:
    yield "graphs", "true rho 0 (false alarms)", "true rho 0.3 (power)", "true rho 0.5 (power)"
    rng = np.random.default_rng(1)
    for n in (10, 30, 85):
        found = []
        for rho in (0.0, 0.3, 0.5):
            pairs = [(x, mixed(x, rng.normal(size=n), rho)) for x in rng.normal(size=(SIMULATIONS, n))]
            found.append(percent(spearman(x, y).p_value < 0.05 for x, y in pairs))
        yield n, *found


def clustered() -> Iterable[Line]:
    yield (
        "families",
        "alike",
        "true rho",
        "graphs as independent: p < 0.05",
        "clustered interval: p < 0.05",
        "family means: p < 0.05",
        "clustered interval covers the truth",
    )
    rng = np.random.default_rng(2)
    for layout, sizes in (("12 of 8 graphs", EQUAL), ("1 to 20 graphs", UNEQUAL)):
        families = names(sizes)
        for rho in (0.0, 0.5):
            for alike in ALIKE:
                found = []
                for _ in range(FEWER):
                    x = normal(rng, sizes, alike)
                    y = mixed(x, normal(rng, sizes, alike), rho)
                    drawn = draw_replicates(x, y, families, n_resamples=RESAMPLES)
                    own = compute_interval(*estimate_correlation(x, y, families), drawn)
                    p = [spearman(x, y).p_value, own.p_value, family_spearman(x, y, families).p_value]
                    found.append([*(one < 0.05 for one in p), own.low < rho < own.high])
                yield layout, alike, rho, *map(percent, zip(*found, strict=True))


def pooled() -> Iterable[Line]:
    yield (
        "families",
        "alike",
        "true rho",
        "cells as independent: covers the truth",
        "with their covariance: covers the truth",
        "with their covariance: p < 0.05",
        "a point per family: p < 0.05",
    )
    rng = np.random.default_rng(3)
    for layout, sizes in (("12 of 8 graphs", EQUAL), ("1 to 20 graphs", UNEQUAL)):
        families = names(sizes)
        cells = np.repeat(range(N_CELLS), len(families)).tolist()
        for rho in (0.0, 0.5):
            for alike in ALIKE:
                found = []
                for _ in range(FEWER):
                    of_x, of_noise = rng.normal(size=(2, len(sizes)))
                    xs = [normal(rng, sizes, alike, of_x) for _ in range(N_CELLS)]
                    ys = [mixed(x, normal(rng, sizes, alike, of_noise), rho) for x in xs]
                    pairs = list(zip(xs, ys, strict=True))
                    effects = [estimate_correlation(x, y, families)[0] for x, y in pairs]
                    drawn = np.array([draw_replicates(x, y, families, n_resamples=RESAMPLES) for x, y in pairs])
                    covariance = np.cov(drawn[:, ~np.isnan(drawn).any(axis=0)]) * compute_variance_correction(
                        len(sizes)
                    )
                    alone = pool(effects, np.diagonal(covariance))
                    together = pool(effects, covariance, n_families=len(sizes))
                    means = pool_families(np.concatenate(xs), np.concatenate(ys), families * N_CELLS, cells)
                    covers = [one.low < rho < one.high for one in (alone, together)]
                    found.append([*covers, together.p_value < 0.05, means.p_value < 0.05])
                yield layout, alike, rho, *map(percent, zip(*found, strict=True))


def confounded() -> Iterable[Line]:
    yield (
        "what drives both x and y",
        "effect of x itself",
        "plain rho: p < 0.05",
        "partial rho: p < 0.05",
        "clustered interval of partial rho: p < 0.05",
        "mean partial rho",
    )
    rng = np.random.default_rng(4)
    families = names(EQUAL)
    kinds = (
        ("a control that differs between graphs", 0.0, True),
        ("a control that differs between families (0.9)", 0.9, True),
        ("a family trait that no control sees", 0.9, False),
    )
    for kind, alike, seen in kinds:
        for effect in (0.0, 0.6):
            found = []
            for _ in range(FEWER):
                z, other = normal(rng, EQUAL, alike), normal(rng, EQUAL, 0.0)
                x = z + normal(rng, EQUAL, 0.3)
                y = z + normal(rng, EQUAL, 0.3) + effect * x
                given = [z if seen else other]
                drawn = draw_replicates(x, y, families, given, n_resamples=RESAMPLES)
                partial = partial_spearman(x, y, given)
                p = [spearman(x, y).p_value, partial.p_value]
                p.append(compute_interval(*estimate_correlation(x, y, families, given), drawn).p_value)
                found.append([*(one < 0.05 for one in p), partial.rho])
            *rates, rho = zip(*found, strict=True)
            yield kind, effect, *map(percent, rates), f"{np.mean(rho):.2f}"


def shapes() -> Iterable[Line]:
    yield (
        "families",
        "alike",
        "line: p < 0.05 (false alarms)",
        "the same with the usual CRV1 errors",
        "hill worth 5 % of what the line leaves: p < 0.05 (power)",
        "hill worth 15 %",
    )
    rng = np.random.default_rng(5)
    for layout, sizes in (("12 of 8 graphs", EQUAL), ("1 to 20 graphs", UNEQUAL)):
        families = names(sizes)
        _, codes = np.unique(families, return_inverse=True)
        for alike in ALIKE:
            found = []
            for _ in range(SIMULATIONS):
                x, noise = normal(rng, sizes, alike), normal(rng, sizes, alike)
                line = x + noise
                hills = [line - math.sqrt(share / (1 - share)) * (x**2 - 1) / math.sqrt(2) for share in (0.05, 0.15)]
                u = (x - x.mean()) / x.std()
                design = np.column_stack([np.ones(len(u)), u, u**2])
                usual = sm.OLS(line, design).fit(cov_type="cluster", cov_kwds={"groups": codes}, use_t=True)
                p = [fit_quadratic(x, line, families).p_value, usual.pvalues[2]]
                p += [fit_quadratic(x, hill, families).p_value for hill in hills]
                found.append([one < 0.05 for one in p])
            yield layout, alike, *map(percent, zip(*found, strict=True))


def equivalence_of_slopes() -> Iterable[Line]:
    yield (
        "families",
        "alike",
        "spread of scores / margin",
        "effect as large as the margin: called equivalent (false)",
        "no effect: called equivalent (power)",
        "no effect: called different (false)",
        "no effect: undecided",
    )
    rng = np.random.default_rng(6)
    for layout, sizes in (("12 of 8 graphs", EQUAL), ("1 to 20 graphs", UNEQUAL)):
        families = names(sizes)
        for alike in ALIKE:
            for spread in (0.5, 1.0, 2.0):
                found = []
                for _ in range(FEWER):
                    x, noise = normal(rng, sizes, alike), spread * normal(rng, sizes, alike)
                    span = float(np.subtract(*np.quantile(x, [0.9, 0.1])))
                    at_margin = compare_slope(x, x / span + noise, families, 1.0)
                    verdict = compare_slope(x, noise, families, 1.0).verdict
                    states = [verdict == state for state in ("equivalent", "different", "undecided")]
                    found.append([at_margin.equivalent, *states])
                yield layout, alike, spread, *map(percent, zip(*found, strict=True))


def equivalence_of_means() -> Iterable[Line]:
    yield (
        "graphs of each family",
        "spread of scores / margin",
        "difference as large as the margin: called equivalent (false)",
        "no difference: called equivalent (power)",
    )
    rng = np.random.default_rng(7)
    for n in (3, 5, 10, 20):
        for spread in (0.25, 0.5, 1.0):
            pairs = spread * rng.normal(size=(SIMULATIONS, 2, n))
            wrong = percent(compare_means(a + 1.0, b, 1.0).equivalent for a, b in pairs)
            yield n, spread, wrong, percent(compare_means(a, b, 1.0).equivalent for a, b in pairs)


def reliabilities() -> Iterable[Line]:
    yield "graphs", "trainings of each", "true reliability of the mean", "mean estimate", "interval covers the truth"
    rng = np.random.default_rng(8)
    for n, k in ((30, 3), (30, 5), (85, 5)):
        for single in (0.1, 0.4):
            truth = k * single / (1 + (k - 1) * single)
            graphs = math.sqrt(single) * rng.normal(size=(SIMULATIONS, n, 1))
            found = [
                estimate_reliability(s) for s in graphs + math.sqrt(1 - single) * rng.normal(size=(SIMULATIONS, n, k))
            ]
            mean = np.mean([one.mean for one in found])
            yield n, k, f"{truth:.2f}", f"{mean:.2f}", percent(one.low < truth < one.high for one in found)


TABLES: tuple[Callable[[], Iterable[Line]], ...] = (
    independent,
    clustered,
    pooled,
    confounded,
    shapes,
    equivalence_of_slopes,
    equivalence_of_means,
    reliabilities,
)


def main() -> None:
    """Fill the tables in, all or those named, and say how long each took."""
    asked = sys.argv[1:]
    if unknown := set(asked) - {table.__name__ for table in TABLES}:
        known = ", ".join(table.__name__ for table in TABLES)
        raise ValueError(f"expected tables among {known}, got {', '.join(unknown)}; name none to write all")
    for table in [table for table in TABLES if not asked or table.__name__ in asked]:
        start = time.perf_counter()
        head, *lines = table()
        rows = [head, ["---"] + ["---:"] * (len(head) - 1), *lines]
        text = "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)
        block = f"<!-- {table.__name__} -->\n{text}\n<!-- end -->"
        page, n = re.subn(rf"<!-- {table.__name__} -->\n.*?<!-- end -->", block, PAGE.read_text(), flags=re.DOTALL)
        if n != 1:
            raise ValueError(f"expected one place for the table {table.__name__} in {PAGE.name}, got {n}; add it")
        PAGE.write_text(page)
        print(f"{table.__name__}: {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
