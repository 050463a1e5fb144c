"""Read the wirings of whole networks from topology files, saved models and the folders of studies."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.torch
import torch

from .. import checkpoint, generators
from ..io import importers, topology_file
from ..nn import quantization
from ..study.running import database
from ..topology import Recipe, Topology

MODELS = (".pt", ".pth", ".safetensors")
NESTED = ("state_dict", "model_state_dict", "model", "net", "network", "module")
"""Usual names of the state_dict in a checkpoint."""
SETTINGS = ("family", "density", "n_edges", "budget", "sizes", "graph_seed")
FILES_TO_MEASURE = f"a topology file, a saved model ({', '.join(MODELS)}) or a study's folder"


class NetworkWiring(NamedTuple):
    """The wiring of one network.

    Attributes:
        layers: title -> topology, inputs first.
        about: settings of a network in a study, with the keys in SETTINGS; otherwise empty.
        notes: layers that are left out, with the reason, as sentences.
        weights: title -> weights of a saved model, shape (n_edges,), in edge order.
    """

    layers: dict[str, Topology]
    about: dict[str, Any]
    notes: tuple[str, ...] = ()
    weights: Mapping[str, np.ndarray] = MappingProxyType({})

    def chains(self) -> bool:
        """Whether each layer has as many inputs as the layer before it has outputs."""
        return all(a.n_out == b.n_in for a, b in pairwise(self.layers.values()))


def load_networks(paths: Sequence[str | Path]) -> list[NetworkWiring]:
    """Read the networks in a saved model, a study's folder, or topology files, which are the layers of one network.

    Raises:
        FileNotFoundError: if a path does not exist.
        ValueError: if a file is of another kind or damaged, kinds are mixed, or the layers do not follow each other.
    """
    kinds = [_kind(Path(path)) for path in paths]
    if len(paths) > 1 and (misfits := [path for path, kind in zip(paths, kinds, strict=True) if kind != "topology"]):
        raise ValueError(
            f"expected one or several topology files, or one saved model or study alone, got {str(misfits[0])!r} among "
            f"{len(paths)}; measure it alone"
        )
    if kinds[0] == "study":
        return load_study(paths[0])
    if kinds[0] == "model":
        return [load_model(paths[0])]
    if kinds[0] == "saved":
        return [load_saved(paths[0])]
    topologies = [topology_file.load_topology(path) for path in paths]
    for k, (a, b) in enumerate(pairwise(topologies)):
        if a.n_out != b.n_in:
            raise ValueError(
                f"expected the layers of one network, inputs first, got {str(paths[k])!r} with {a.n_out} outputs and "
                f"then {str(paths[k + 1])!r} with {b.n_in} inputs; put them in order, or measure them one at a time"
            )
    titles = [Path(path).stem for path in paths]
    if len(set(titles)) < len(titles):
        titles = [f"layer {k}" for k in range(1, len(titles) + 1)]
    return [NetworkWiring(dict(zip(titles, topologies, strict=True)), {})]


def load_saved(path: str | Path) -> NetworkWiring:
    """Read a network saved by prewired.save; each wiring is compared with its digest.

    Raises:
        FileNotFoundError, ValueError: as `prewired.load`, or if no layer in it has a wiring.
    """
    _, state, topologies = checkpoint.read(path)
    net = from_state_dict(state)
    weights = dict(net.weights)
    for name, t in topologies.items():
        dots = f"{name}." if name else ""
        if f"{dots}values" in state:
            parts = state[f"{dots}values"], state.get(f"{dots}scale"), torch.tensor(t.fan_in), t.n_edges
            weights[name or "layer"] = _in_double(quantization.dequantize(*parts))
    by_title = {name or "layer": t for name, t in topologies.items()}
    return net._replace(layers={title: by_title.get(title, t) for title, t in net.layers.items()}, weights=weights)


def load_model(path: str | Path) -> NetworkWiring:
    """Read a model saved as a state_dict, by torch.save or as safetensors; see `from_state_dict`.

    Raises:
        ValueError: if the file holds something else or is damaged, or no layer has a wiring.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of odd pickles, which it then reads or refuses
            if Path(path).suffix == ".safetensors":
                state: Any = safetensors.torch.load_file(path)
            else:
                state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises whatever the unpickler meets: IndexError, AssertionError, ...
        is_plain = isinstance(error, safetensors.SafetensorError | RuntimeError) and str(error)
        reason = str(error).splitlines()[0] if is_plain else "torch.load(weights_only=True) cannot read it"
        raise ValueError(
            f"expected a saved state_dict, got {str(path)!r}: {reason}; save it with "
            "torch.save(net.state_dict(), path) or safetensors"
        ) from None
    tensors = _find_tensors(state)
    if not tensors:
        raise ValueError(
            f"expected a state_dict of tensors in {str(path)!r}, got {type(state).__name__}; save it with "
            "torch.save(net.state_dict(), path)"
        )
    try:
        return from_state_dict({name: _plain(value) for name, value in tensors.items()})
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split()):.500}") from None


def _find_tensors(state: Any, depth: int = 5) -> dict[str, torch.Tensor]:
    """The tensors of a state_dict, or of the nested mapping that has most of them; other values are left out.

    A checkpoint has a state_dict among the epoch, the state of the optimiser and other values.
    """
    if not isinstance(state, Mapping) or not depth:
        return {}
    own = {name: value for name, value in state.items() if isinstance(name, str) and isinstance(value, torch.Tensor)}
    named = [_find_tensors(state[name], depth - 1) for name in NESTED if name in state]
    others = [_find_tensors(value, depth - 1) for value in state.values()]
    return own or next(filter(None, named), None) or max(others, key=len, default={})


def from_state_dict(state: Mapping[str, Any]) -> NetworkWiring:
    """Read the layers of a state_dict in its order.

    A SparseLinear has PREFIX.indptr, PREFIX.indices and PREFIX.n_in. If an older version wrote no n_in, the outputs of
    the layer before are the inputs. A matrix PREFIX.weight has an edge at each entry that is not zero, and that the
    mask of `torch.nn.utils.prune` keeps. Dense layers behind the last sparse layer are left out.

    Raises:
        ValueError: if no layer has a wiring, nothing gives the number of a layer's inputs, or arrays are damaged.

    Example:
        >>> from prewired.nn import mlp
        >>> net = mlp([8, 8, 8, 2], family="biregular", fan_in=2, seed=0)
        >>> {name: t.n_edges for name, t in from_state_dict(net.state_dict()).layers.items()}
        {'0': 16, '2': 16}
    """
    layers: dict[str, Topology] = {}
    weights: dict[str, np.ndarray] = {}
    for name in state:
        prefix, _, last = name.rpartition(".")
        dots, title = f"{prefix}." if prefix else "", prefix or "layer"
        if last == "indptr" and f"{dots}indices" in state:
            layers[title] = _sparse_linear(state, dots, next(reversed(layers.values()), None))
            if getattr(state.get(f"{dots}weight"), "shape", None) == (layers[title].n_edges,):
                weights[title] = _in_double(state[f"{dots}weight"])
        elif last in ("weight", "weight_orig") and getattr(state[name], "ndim", 0) == 2:
            parts = {part: state[part] for part in (name, f"{dots}weight_mask") if part in state}
            (t,) = importers.from_weights(parts).values()
            layers[title] = t
            weights[title] = _in_double(state[name])[np.repeat(np.arange(t.n_out), t.fan_in), t.indices]
    notes: list[str] = []
    for title, topology in reversed(list(layers.items())):
        if topology.n_edges < topology.n_in * topology.n_out:
            break
        del layers[title]
        notes.append(f"layer {title} ({topology.n_in} -> {topology.n_out}) is dense and left out")
    if not layers:
        raise ValueError(
            f"expected a layer with a wiring, a SparseLinear or weights that are zero in part, got "
            f"{', '.join(notes) or 'no linear layer'}; prune the model or wire it with prewired.nn.mlp.mlp"
        )
    return NetworkWiring(layers, {}, tuple(reversed(notes)), weights)


def load_study(folder: str | Path) -> list[NetworkWiring]:
    """Generate every graph of a study again from its recipe, and compare the graph with its digest.

    Raises:
        ValueError: if the folder holds no study or no sparse network, or a recipe gives another graph.
        OSError: if the store cannot be opened.
    """
    if not (Path(folder) / database.DATABASE_NAME).is_file():
        raise ValueError(
            f"expected {FILES_TO_MEASURE}, got the folder {str(folder)!r} without {database.DATABASE_NAME}"
        )
    connection = database.open_to_read(folder)
    try:
        runs = database.read_results(connection)
    finally:
        connection.close()
    topologies: dict[str, Topology] = {}
    networks: dict[str, NetworkWiring] = {}
    for key, run in runs.items():
        try:
            settings = json.loads(key)
            about = {name: settings[name] for name in SETTINGS if name in settings}
            network = json.dumps([about, [layer["digest"] for layer in run["layers"]]])
            if run["layers"] and network not in networks:
                layers = {f"layer {k}": _from_recipe(layer, topologies) for k, layer in enumerate(run["layers"], 1)}
                networks[network] = NetworkWiring(layers, about)
        except (AttributeError, ArithmeticError, LookupError, RecursionError, TypeError) as error:
            raise ValueError(
                f"expected runs of a study in {str(folder)!r}, got another row ({error!r:.99}); choose another folder, "
                f"or move {database.DATABASE_NAME} away and run again"
            ) from None
    if not networks:
        raise ValueError(f"expected a study with sparse networks in {str(folder)!r}, got none; run it first")
    return list(networks.values())


def _kind(path: Path) -> str:
    if path.is_dir():
        return "study"
    if not path.exists():
        raise FileNotFoundError(
            f"expected {FILES_TO_MEASURE}, or a family, got {str(path)!r}, which does not exist; see prewired families"
        )
    if path.suffix == ".topology":
        return "topology"
    try:
        with safetensors.safe_open(path, "numpy") as file:
            file_format = (file.metadata() or {}).get("format", "")
    except safetensors.SafetensorError as error:
        if path.suffix in MODELS:
            return "model"
        raise ValueError(
            f"expected {FILES_TO_MEASURE}, got {str(path)!r}: {error}; make one with prewired generate"
        ) from None
    kinds = {"prewired topology": "topology", "prewired model": "saved"}
    return next((kind for start, kind in kinds.items() if file_format.startswith(start)), "model")


def _plain(value: Any) -> Any:
    """Move a tensor of a sparse layout to a dense tensor on the CPU; return anything else unchanged."""
    return value.to_dense().cpu() if isinstance(value, torch.Tensor) and value.layout != torch.strided else value


def _in_double(values: Any) -> np.ndarray:
    return torch.as_tensor(values).double().numpy()


def _sparse_linear(state: Mapping[str, Any], dots: str, before: Any) -> Topology:
    """The topology of a SparseLinear, `dots` being its prefix with a dot and `before` the layer before."""
    n_in_tensor = state.get(f"{dots}n_in")
    if n_in_tensor is None and before is None:
        raise ValueError(
            f"expected {dots}n_in, the number of inputs of the first layer, got none; load the state_dict into its "
            "network and save it again with this version"
        )
    if n_in_tensor is not None and (not isinstance(n_in_tensor, torch.Tensor) or n_in_tensor.numel() != 1):
        raise ValueError(
            f"expected {dots}n_in as a tensor of one number, got {n_in_tensor!r:.80}; save the model again"
        )
    n_in = int(before.n_out if n_in_tensor is None else n_in_tensor)
    indptr, indices = (np.asarray(state[f"{dots}{name}"]) for name in ("indptr", "indices"))
    try:
        return Topology(n_in, len(indptr) - 1, indptr, indices)
    except ValueError as error:
        raise ValueError(f"layer {dots.rstrip('.')} has no sound wiring: {error}; save the model again") from None


def _from_recipe(layer: Mapping[str, Any], topologies: dict[str, Topology]) -> Topology:
    """The topology of a layer in a study's store; `topologies` collects them by digest, so each is generated once."""
    digest = layer["digest"]
    if digest not in topologies:
        if layer["recipe"] is None:
            raise ValueError(f"expected a recipe for the graph {digest[:12]}, got none; run the study again")
        t = generators.from_recipe(Recipe.from_json(layer["recipe"]))
        if t.digest != digest:
            raise ValueError(
                f"expected {t.recipe} to give the graph {digest[:12]}, got {t.digest[:12]}; run the study again"
            )
        topologies[digest] = t
    return topologies[digest]
