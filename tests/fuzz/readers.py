"""Every reader of files, with small good files to mutate."""

import contextlib
import gzip
import io
import json
import shutil
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.numpy
import safetensors.torch
import scipy.io
import scipy.sparse
import torch

import prewired as pw
from prewired import generators
from prewired import io as readers
from prewired.cli.app import main
from prewired.io import topology_file
from prewired.nn import mlp, quantization
from prewired.study import read_toml
from prewired.study.running.database import DATABASE_NAME

CLEAN = (ValueError, FileNotFoundError)
"""What a reader may raise."""


class Reader(NamedTuple):
    """A reader of files and good files of its kind.

    Attributes:
        name: of the kind of files.
        read: the reader; raises one of CLEAN, with one line, for a file that is not as it should be.
        write: writes good files into a folder, each of a few kilobytes at most.
    """

    name: str
    read: Callable[[Path], object]
    write: Callable[[Path], None]


def run_command(*words: object) -> None:
    """Run a command of the command line; raise ValueError with its one line if it refuses."""
    errors = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        code = main([str(word) for word in words])
    if code == 2:
        lines = [line for line in errors.getvalue().splitlines() if line.startswith("prewired: error:")]
        if len(lines) != 1 or errors.getvalue().splitlines()[-1] != lines[0]:
            raise AssertionError(f"expected one line of error, got {errors.getvalue()!r}")
        raise ValueError(lines[0])
    if code:
        raise AssertionError(f"expected exit code 0 or 2, got {code}: {errors.getvalue()!r}")


def _net() -> torch.nn.Module:
    return mlp([8, 6, 4, 2], family="biregular", fan_in=2, seed=0)


def _write_networks(folder: Path) -> None:
    pw.save(_net(), folder / "net.safetensors")
    pw.save(quantization.quantize(_net(), "int4"), folder / "int4.safetensors")
    own = pw.Topology.from_mask(np.tri(4, 6, dtype=bool))
    named = readers.attach_names(own, list("abcdef"), list("wxyz"))
    pw.save(mlp([6, 4, 2], topologies=[named]), folder / "own.safetensors")


def _write_topologies(folder: Path) -> None:
    readers.save_topology(generators.rotating(6, 4, fan_in=2), folder / "recipe.topology")
    own = pw.Topology.from_mask(np.tri(4, 6, dtype=bool))
    readers.save_topology(readers.attach_names(own, list("abcdef"), list("wxyz")), folder / "names.topology")


def _write_descriptions(folder: Path) -> None:
    for path in (folder / "recipe.topology", folder / "names.topology"):
        _write_topologies(folder)
        with safetensors.safe_open(path, "numpy") as file:
            about = file.metadata()
            content = {**about, "arrays": {name: file.get_tensor(name).tolist() for name in ("indptr", "indices")}}
        path.with_suffix(".json").write_text(json.dumps(content))
    for path in folder.glob("*.topology"):
        path.unlink()


def _read_resealed_topology(path: Path) -> object:
    """Read a topology file with the description and the arrays in a JSON file, under a seal that is right."""
    try:
        about = json.loads(path.read_bytes())
        arrays = {name: np.array(values, np.int32) for name, values in about.pop("arrays").items()}
        about = {name: value for name, value in about.items() if isinstance(value, str) and name != "seal"}
        content = safetensors.numpy.save(arrays, {**about, "seal": topology_file._seal(about)})
    except (ValueError, TypeError, AttributeError, KeyError, OverflowError, RecursionError):
        return None
    path = path.with_suffix(".topology")
    path.write_bytes(content)
    return readers.load_topology(path)


def _write_states(folder: Path) -> None:
    state = dict(_net().state_dict())
    torch.save(state, folder / "net.pt")
    torch.save({"epoch": 3, "none": None, "_extra_state": b"x", "model_state_dict": state}, folder / "training.pt")
    torch.save(state, folder / "old.pt", _use_new_zipfile_serialization=False)
    torch.save(
        {"0.weight": torch.eye(3).to_sparse_coo(), "1.weight": torch.eye(3, dtype=torch.bfloat16)}, folder / "a.pt"
    )


def _write_plain_tensors(folder: Path) -> None:
    state = {name: value.contiguous() for name, value in _net().state_dict().items()}
    safetensors.torch.save_file(state, folder / "net.safetensors")


def _write_arrays(folder: Path) -> None:
    x, y = np.random.default_rng(0).random((30, 3)), np.arange(30) % 3
    np.savez(folder / "numbers.npz", x=x, y=y)
    np.savez_compressed(folder / "words.npz", x=x.astype("f4"), y=y.astype(str), x_test=x, y_test=y.astype(str))


def _read_resealed_arrays(path: Path) -> object:
    """Read a mutated .npy file as the x of an archive whose checksums are right."""
    archive_path = path.with_suffix(".npz")
    y = io.BytesIO()
    np.save(y, np.arange(30) % 3)
    with zipfile.ZipFile(archive_path, "w") as archive:
        archive.write(path, "x.npy")
        archive.writestr("y.npy", y.getvalue())
    return pw.data.load(archive_path)


def _write_array(folder: Path) -> None:
    x = np.random.default_rng(0).random((30, 3))
    np.save(folder / "x.npy", x)
    np.save(folder / "images.npy", (x * 255).astype(np.uint8).reshape(30, 1, 3))


def _write_matrices(folder: Path) -> None:
    scipy.io.mmwrite(folder / "sparse.mtx", scipy.sparse.eye_array(3, 4))
    scipy.io.mmwrite(folder / "dense.mtx", np.tri(3))
    (folder / "pattern.mtx").write_text("%%MatrixMarket matrix coordinate pattern symmetric\n% c\n3 3 2\n1 1\n3 2 ")


def _write_edge_lists(folder: Path) -> None:
    (folder / "edges.edges").write_text("# input output\n0 1\n2,0\n1\t1  # note\n")
    (folder / "packed.edges").write_bytes(gzip.compress(b"0 1\n2 0\n"))
    (folder / "wide.edges").write_bytes("0 1\n2 0\n".encode("utf-16"))


def _write_sets(folder: Path) -> None:
    (folder / "sets.gmt").write_text("growth\thttp://x\tMYC\tTP53\nrepair\tna\tTP53\t\n")


def _write_edge_tables(folder: Path) -> None:
    (folder / "tabs.pairs").write_text('gene\tpathway\nMYC\t"open\nTP53\tgrowth\n')
    (folder / "commas.pairs").write_text('# c\ngene,pathway\nMYC,"a, b"\nTP53,growth\n')


def _write_data_tables(folder: Path) -> None:
    rows = "".join(f"{k},{k / 7:.3f},{'red' if k % 2 else 'blue'},{k % 3}\n" for k in range(12))
    (folder / "commas.csv").write_text("n,size,colour,y\n" + rows)
    (folder / "tabs.csv").write_text(("n,size,colour,y\n" + rows).replace(",", "\t"))
    (folder / "packed.csv.gz").write_bytes(gzip.compress(("n,size,colour,y\n" + rows).encode()))


def _write_studies(folder: Path) -> None:
    (folder / "study.toml").write_text(
        'data = ["digits"]\nfamilies = ["biregular", "grouped"]\ndensities = [0.1, 0.2]\nhidden = [64, 64]\nepochs = 3'
    )


def _write_stores(folder: Path) -> None:
    config = pw.study.StudyConfig(
        data=("digits",),
        families=("biregular",),
        densities=(0.2, 0.4),
        hidden=(8,),
        graph_seeds=2,
        epochs=1,
        train_rows=60,
    )
    pw.study.run(config, folder / "made", engine=pw.study.inline)
    shutil.copy(folder / "made" / DATABASE_NAME, folder / "whole.sqlite")
    with contextlib.closing(sqlite3.connect(folder / "made" / DATABASE_NAME)) as connection:
        names = ("application_id", "user_version")
        settings = [f"PRAGMA {name} = {connection.execute(f'PRAGMA {name}').fetchone()[0]};" for name in names]
        script = "\n".join((*settings, *connection.iterdump()))
    (folder / "script.sql").write_text(script)
    shutil.rmtree(folder / "made")


def _read_store(path: Path) -> None:
    """Ask for status and report of a study whose database is the file, or is made by the SQL in the file."""
    folder = path.with_suffix(".study")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if path.suffix == ".sql":
        try:
            connection = sqlite3.connect(folder / DATABASE_NAME)
            connection.executescript(path.read_text(errors="replace"))
        except (sqlite3.Error, ValueError):
            return
        finally:
            connection.close()
    else:
        shutil.copy(path, folder / DATABASE_NAME)
    problems = []
    for words in (("status", folder), ("report", folder)):
        try:
            run_command(*words)
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError(problems[0])


def _write_names(folder: Path) -> None:
    (folder / "names.json").write_text(json.dumps([["a", "b", "c"], ["x", "y"]]))


def _read_names(path: Path) -> object:
    """Attach whatever the JSON holds as names."""
    try:
        inputs, outputs = json.loads(path.read_bytes())
    except (ValueError, TypeError, RecursionError):
        return None
    try:
        return readers.attach_names(generators.rotating(3, 2, fan_in=2), inputs, outputs)
    except TypeError as error:
        raise ValueError(str(error)) from None


READERS = {
    reader.name: reader
    for reader in (
        Reader("network", pw.load, _write_networks),
        Reader("topology", readers.load_topology, _write_topologies),
        Reader("description", _read_resealed_topology, _write_descriptions),
        Reader("state_dict", lambda path: run_command("measure", path, "--metric", "fan_in_max"), _write_states),
        Reader("tensors", lambda path: run_command("measure", path, "--metric", "fan_in_max"), _write_plain_tensors),
        Reader("npz", pw.data.load, _write_arrays),
        Reader("npy", _read_resealed_arrays, _write_array),
        Reader("mtx", readers.from_matrix_market, _write_matrices),
        Reader("edge list", readers.from_edge_list, _write_edge_lists),
        Reader("gmt", readers.from_gmt, _write_sets),
        Reader("edge table", readers.from_table, _write_edge_tables),
        Reader("data table", lambda path: pw.data.load(path, target="y", task="classification"), _write_data_tables),
        Reader("toml", read_toml, _write_studies),
        Reader("store", _read_store, _write_stores),
        Reader("names", _read_names, _write_names),
    )
}
