"""The choice between loops over the edges and a dense matrix, by a table of break-even densities.

The break-even density is the density from which a dense matrix is faster. The table is a small JSON file with one
density for each number of threads, pass (forward alone, or with backward), batch and width. `prewired bench` measures
the table of this machine and stores it in the user's cache. Without such a table the package's own table is used.
"""

import json
import math
import os
import re
import time
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from .kernels import instruction_set
from .machine import processor

_PACKAGE_TABLE = Path(__file__).with_name("break_even.json")
_POSITIVE = ("threads", "batch", "width", "density")
"""Fields of a table entry that must be positive."""


def break_even(n_in: int, n_out: int, batch: int, threads: int, *, training: bool) -> float:
    """Estimate the density from which a layer of this shape runs faster as a dense layer; above 1 means never.

    Between measured widths and batches the density is interpolated on logarithmic scales. Outside them the nearest
    measurement is used. The width of a layer that is not square is the geometric mean of n_in and n_out.

    Example:
        >>> 0 < break_even(1024, 1024, 128, 2, training=True) < 1
        True
    """
    return _interpolate(max(batch, 1), _densities_by_batch(n_in, n_out, threads, training))


@lru_cache(maxsize=4096)
def _densities_by_batch(n_in: int, n_out: int, threads: int, training: bool) -> dict[int, float]:
    """The break-even density of a layer of this shape, for each batch in the table."""
    entries = load_table()["cells"]
    nearest = min(sorted({e["threads"] for e in entries}), key=lambda n: abs(math.log(n / threads)))
    entries = [e for e in entries if e["threads"] == nearest and e["training"] == training]
    width = math.sqrt(n_in * n_out)
    return {
        batch: _interpolate(width, {e["width"]: e["density"] for e in entries if e["batch"] == batch})
        for batch in sorted({e["batch"] for e in entries})
    }


@cache
def load_table() -> dict[str, Any]:
    """Read this machine's table or, if there is none, the package's table.

    Raises:
        ValueError: if the file is damaged.
    """
    path = cache_file() if cache_file().exists() else _PACKAGE_TABLE
    try:
        content = json.loads(path.read_text())
        passes = {entry["training"] for entry in content["cells"] if min(map(entry.get, _POSITIVE)) > 0}
        if passes != {False, True}:
            raise ValueError("no cells of either pass")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"expected break-even densities in JSON in {path}, got {error!r}; delete the file and run `prewired bench`"
        ) from None
    return content


def describe_source() -> str:
    """Say in words where the table comes from."""
    if cache_file().exists():
        return f"measured on this machine, {load_table()['date']}"
    return f"measured on another machine ({load_table()['processor']}); run `prewired bench` to measure this one"


def save_table(entries: Iterable[dict[str, Any]]) -> Path:
    """Write a measured table to this machine's cache; layers use it for batch sizes not yet in their cache."""
    path = cache_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    head = {"processor": processor(), "instruction_set": instruction_set(), "date": time.strftime("%Y-%m-%d")}
    rows = ",\n".join(json.dumps(entry) for entry in entries)
    part = path.with_suffix(f".{os.getpid()}")
    part.write_text(f'{json.dumps(head)[:-1]}, "cells": [\n{rows}\n]}}\n')
    part.replace(path)
    load_table.cache_clear()
    _densities_by_batch.cache_clear()
    return path


def cache_file() -> Path:
    """The path of this machine's table, named after the processor, in PREWIRED_CACHE or the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    folder = Path(os.environ.get("PREWIRED_CACHE") or Path(home) / "prewired")
    name = re.sub(r"\W+", "-", f"{processor()} {os.cpu_count()} {instruction_set()}").lower()
    return folder / f"crossover-{name}.json"


def _interpolate(x: float, values: dict[int, float]) -> float:
    """Interpolate values at x, linearly in the logarithms of both."""
    points = sorted(values)
    return float(np.exp(np.interp(np.log(x), np.log(points), np.log([values[k] for k in points]))))
