"""What the reproductions share: one line of CSV per finished run, and our figures beside the published ones."""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy import stats

from prewired.study.running import database
from prewired.training.data import DATASETS

N_LAST = 10


@dataclass(frozen=True)
class Result:
    """One finished run: test accuracies in per cent, the curve with one for every epoch."""

    run: int
    net: str
    seed: int
    final_test: float
    last10_mean: float
    best_test: float
    seconds: float
    edges: int
    versions: str
    digest: str
    curve: str


@dataclass(frozen=True)
class Published:
    """A published figure in per cent: `field` of Result says of what, `n` how many runs it is the mean of."""

    net: str
    field: str
    value: float
    n: int


class Images(NamedTuple):
    """Pixels, (rows, pixels), in [0, 1] if they are no longer bytes, and labels."""

    x: torch.Tensor
    y: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor

    def scaled(self, dtype: torch.dtype) -> Images:
        """Bytes made into numbers in [0, 1]."""
        return self._replace(x=self.x.to(dtype).div_(255), x_test=self.x_test.to(dtype).div_(255))

    def digest(self) -> str:
        """SHA-256 of the shapes, the types and the numbers."""
        sha = hashlib.sha256()
        for part in self:
            array = part.numpy()
            sha.update(f"{array.shape} {array.dtype.str}".encode())
            sha.update(np.ascontiguousarray(array).tobytes())
        return sha.hexdigest()


class Job(NamedTuple):
    """A run to do: `train` returns the test accuracy in per cent after each epoch."""

    run: int
    net: str
    seed: int
    edges: int
    digest: str
    train: Callable[[], list[float]]


class Interval(NamedTuple):
    """A mean, and how far the ends of an interval around it are away."""

    mean: float
    half_width: float

    def holds(self, value: float) -> str:
        """Whether it does, as a word; a dash for an interval that nothing is known of."""
        return "-" if math.isnan(self.half_width) else "yes" if abs(value - self.mean) <= self.half_width else "no"


def digest_of(config: Mapping[str, object]) -> str:
    """SHA-256 of a configuration's canonical text (JSON, keys sorted, no spaces): the same for the same run only.

    Example:
        >>> digest_of({"seed": 1, "net": "dense"}) == digest_of({"net": "dense", "seed": 1})
        True
    """
    return hashlib.sha256(json.dumps(config, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def images(name: str) -> Images:
    """A published set, whole and in its own order, pixels as bytes."""
    raw = DATASETS[name](None)
    assert isinstance(raw.x, np.ndarray)
    x, y = torch.from_numpy(raw.x), torch.from_numpy(raw.y.astype(np.int64))
    n_train = len(y) - raw.n_test
    return Images(x[:n_train], y[:n_train], x[n_train:], y[n_train:])


def read(path: Path) -> list[Result]:
    """The results in a CSV file; none if there is no file.

    Raises:
        ValueError: if its columns are others; give another --out.
    """
    if not path.exists():
        return []
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        columns = [field.name for field in fields(Result)]
        if reader.fieldnames != columns:
            raise ValueError(f"{path}: expected columns {columns}, got {reader.fieldnames}; give another --out")
        return [_typed(line) for line in reader]


def _typed(line: Mapping[str, str]) -> Result:
    kinds: dict[str, type] = {"run": int, "seed": int, "edges": int}
    kinds |= dict.fromkeys(("final_test", "last10_mean", "best_test", "seconds"), float)
    return Result(**{name: kinds.get(name, str)(text) for name, text in line.items()})


def append(path: Path, result: Result) -> None:
    """Add a line to a CSV file, which is complete on disk when this returns."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(asdict(result))
        writer.writerow(asdict(result).values())


def work_off(jobs: Iterable[Job], path: Path) -> list[Result]:
    """Do what is not yet in the file, with a line of progress for each; returns all the jobs' results."""
    done = {result.digest: result for result in read(path)}
    results = []
    for job in jobs:
        result = done.get(job.digest)
        if result is None:
            result = _result(job)
            append(path, result)
        results.append(result)
        how = f"in {result.seconds:,.0f} s" if job.digest not in done else "was there already"
        print(f"{job.net:<8} run {job.run}: final test accuracy {result.final_test:.2f} % {how}", flush=True)
    return results


def _result(job: Job) -> Result:
    start = time.perf_counter()
    curve = job.train()
    seconds = round(time.perf_counter() - start, 1)
    last = round(float(np.mean(curve[-N_LAST:])), 4)
    versions = ", ".join(f"{name} {version}" for name, version in database.read_versions().items())
    text = " ".join(f"{accuracy:g}" for accuracy in curve)
    score = (round(curve[-1], 4), last, round(max(curve), 4))
    return Result(job.run, job.net, job.seed, *score, seconds, job.edges, versions, job.digest, text)


def t_interval(values: Sequence[float], *, of_next: int = 0) -> Interval:
    """The 95 % t-interval of a mean; with `of_next`, that in which the mean of so many further runs is expected.

    Example:
        >>> mean, half_width = t_interval([1.0, 2.0, 3.0])
        >>> round(mean, 3), round(half_width, 3)
        (2.0, 2.484)
    """
    n = len(values)
    if n < 2:
        return Interval(float(np.mean(values)), math.nan)
    spread = stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1)
    return Interval(float(np.mean(values)), float(spread * math.sqrt(1 / n + (1 / of_next if of_next else 0))))


def table(results: Sequence[Result], published: Sequence[Published]) -> str:
    """Our mean and its interval beside each published figure, and whether that lies inside."""
    lines = [
        f"{'net':<8}{'figure':<13}{'runs':>5}{'mean':>8}{'sd':>6}  {'95 %':<16}{'published':>10}  inside  expected"
    ]
    for figure in published:
        values = [getattr(result, figure.field) for result in results if result.net == figure.net]
        if not values:
            continue
        mean, further = t_interval(values), t_interval(values, of_next=figure.n)
        sd = np.std(values, ddof=1) if len(values) > 1 else math.nan
        ends = f"[{mean.mean - mean.half_width:.2f}, {mean.mean + mean.half_width:.2f}]"
        answers = [interval.holds(figure.value) for interval in (mean, further)]
        start = f"{figure.net:<8}{figure.field:<13}{len(values):>5}{mean.mean:>8.2f}{sd:>6.2f}"
        lines.append(f"{start}  {ends:<16}{figure.value:>10.2f}  {answers[0]:<6}  {answers[1]}")
    lines.append("inside: published in the interval of our mean; expected: in that for the mean of as many new runs.")
    return "\n".join(lines)


def arguments(text: str, *, runs: int, epochs: int, out: Path) -> argparse.ArgumentParser:
    """The options that both scripts have."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--runs", type=int, default=runs, help="runs of each net")
    parser.add_argument("--epochs", type=int, default=epochs, help="passes over the training images")
    parser.add_argument("--out", type=Path, default=out, help="CSV file, added to; runs that it has are not repeated")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    return parser
