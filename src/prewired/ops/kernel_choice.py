"""Break-even: the density from which on a dense matrix is faster than loops over the edges, measured once a machine.

The table is a small JSON file: one density for each number of threads, forward alone or with backward, batch and width.
`prewired bench` measures it and puts it in the user's cache; until then the one that comes with the package serves.
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

_SHIPPED = Path(__file__).with_name("break_even.json")
_POSITIVE = ("threads", "batch", "width", "density")


def break_even(n_in: int, n_out: int, batch: int, threads: int, *, training: bool) -> float:
    """The density from which on a layer of such a shape is run as a dense one; above 1 means never.

    Between the measured widths and batches it is interpolated on logarithmic scales, outside them the nearest counts;
    the width of a layer that is not square is the geometric mean of its sides.

    Example:
        >>> 0 < break_even(1024, 1024, 128, 2, training=True) < 1
        True
    """
    return _interpolated(max(batch, 1), _by_batch(n_in, n_out, threads, training))


@lru_cache(maxsize=4096)
def _by_batch(n_in: int, n_out: int, threads: int, training: bool) -> dict[int, float]:
    """The break-even densities of such a layer at the measured batches."""
    measured = sorted({cell["threads"] for cell in table()["cells"]})
    nearest = min(measured, key=lambda n: abs(math.log(n / threads)))
    cells = [c for c in table()["cells"] if c["threads"] == nearest and c["training"] == training]
    width = math.sqrt(n_in * n_out)
    return {
        batch: _interpolated(width, {c["width"]: c["density"] for c in cells if c["batch"] == batch})
        for batch in sorted({cell["batch"] for cell in cells})
    }


@cache
def table() -> dict[str, Any]:
    """The machine's own table, or the one that comes with the package; ValueError where it is damaged."""
    own = cache_file()
    path = own if own.exists() else _SHIPPED
    try:
        found = json.loads(path.read_text())
        passes = {cell["training"] for cell in found["cells"] if min(map(cell.get, _POSITIVE)) > 0}
        if passes != {False, True}:
            raise ValueError("no cells of either pass")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"expected break-even densities in JSON in {path}, got {error!r}; delete the file and run `prewired bench`"
        ) from None
    return found


def source() -> str:
    """Where the table comes from, in words."""
    if cache_file().exists():
        return f"measured on this machine, {table()['date']}"
    return f"measured on another machine ({table()['processor']}); run `prewired bench` to measure this one"


def save(cells: Iterable[dict[str, Any]]) -> Path:
    """Keep a measured table for this machine, and use it for layers and batches not yet met."""
    path = cache_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {"processor": processor(), "instruction_set": instruction_set(), "date": time.strftime("%Y-%m-%d")}
    unfinished = path.with_suffix(f".{os.getpid()}")
    rows = ",\n".join(json.dumps(cell) for cell in cells)
    unfinished.write_text(f'{json.dumps(whole)[:-1]}, "cells": [\n{rows}\n]}}\n')
    unfinished.replace(path)
    table.cache_clear()
    _by_batch.cache_clear()
    return path


def cache_file() -> Path:
    """The file of this machine's table: PREWIRED_CACHE, or prewired in the user's cache, and the processor's name."""
    home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    folder = Path(os.environ.get("PREWIRED_CACHE") or Path(home) / "prewired")
    name = re.sub(r"\W+", "-", f"{processor()} {os.cpu_count()} {instruction_set()}").lower()
    return folder / f"crossover-{name}.json"


def _interpolated(at: float, values: dict[int, float]) -> float:
    """The value at a point, linear between logarithms."""
    known = sorted(values)
    return float(np.exp(np.interp(np.log(at), np.log(known), np.log([values[k] for k in known]))))
