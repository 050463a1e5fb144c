"""Topologies on disk: safetensors files with the edges, their digest, the recipe, the names, and a checksum."""

import hashlib
import json
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from ..topology import Names, Recipe, Topology
from .atomic_write import replacing
from .claimed_sizes import check_claimed_sizes

_FORMAT = "prewired topology 1"
_READ_ERRORS = (safetensors.SafetensorError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError)
"""The errors that reading a damaged file may raise."""


def save_topology(t: Topology, path: str | Path) -> None:
    """Write a topology to a safetensors file, with its recipe and names.

    Example:
        >>> import tempfile
        >>> from prewired import generators
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_topology(generators.rotating(4, 4, fan_in=2), f"{folder}/band.topology")
        ...     load_topology(f"{folder}/band.topology")
        Topology(4 -> 4, 8 edges, density 50%, rotating(n_in=4, n_out=4, fan_in=2))
    """
    about = {"format": _FORMAT, "n_in": str(t.n_in), "n_out": str(t.n_out), "digest": t.digest}
    if t.recipe is not None:
        about["recipe"] = t.recipe.to_json()
    if t.names is not None:
        about["names"] = json.dumps(t.names)
    about["seal"] = _seal(about)
    with replacing(path) as part:
        part.write_bytes(safetensors.numpy.save({"indptr": t.indptr, "indices": t.indices}, about))


def load_topology(path: str | Path) -> Topology:
    """Read a topology from a file that `save_topology` wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is no topology file, or its edges or metadata were damaged.
    """
    if not Path(path).is_file():
        state = "is a folder" if Path(path).is_dir() else "does not exist"
        raise FileNotFoundError(f"expected a topology file, got {str(path)!r}, which {state}")
    try:
        with safetensors.safe_open(path, "numpy") as file:
            about = file.metadata() or {}
            if about.get("format") != _FORMAT:
                raise ValueError(f"its format is {about.get('format')!r}, expected {_FORMAT!r}")
            if about.pop("seal") != _seal(about):
                raise ValueError("its description is not the one that was written")
            arrays: dict[str, np.ndarray] = {name: file.get_tensor(name) for name in ("indptr", "indices")}
        recipe = Recipe.from_json(about["recipe"]) if "recipe" in about else None
        names = Names(*json.loads(about["names"])) if "names" in about else None
        n_in, n_out = int(about["n_in"]), int(about["n_out"])
        check_claimed_sizes(repr(str(path)), n_in, n_out, arrays["indices"].size, "build the topology again")
        t = Topology(n_in, n_out, arrays["indptr"], arrays["indices"], recipe, names)
        if t.digest != about["digest"]:
            raise ValueError(f"its edges have digest {t.digest[:12]}, expected {about['digest'][:12]}")
    except _READ_ERRORS as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{str(path)!r} is not a sound topology file: {reason:.300}; build the topology again with "
            "prewired generate"
        ) from None
    return t


def _seal(about: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
