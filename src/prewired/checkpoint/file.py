"""Save and load networks: one safetensors file with the weights, and the recipe and digest of every sparse layer.

docs/file-format.md specifies the file.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
import torch
from torch import nn

from ..io.atomic_write import check_destination, check_suffix, replacing
from ..nn.sparse_module import WIRING, SparseModule
from ..topology import Topology
from . import module_descriptions
from .recipe_cost import Budget
from .wiring_descriptions import build_wiring, count_edges, describe_wiring

FORMAT = "prewired model 1"
_LARGEST_METADATA = 90_000_000
"""Largest number of bytes of metadata; safetensors reads at most a hundred million."""
_READ_ERRORS = (
    *(safetensors.SafetensorError, TypeError, ValueError, AttributeError, LookupError, ArithmeticError),
    *(RuntimeError, MemoryError),
)
"""The errors that reading a damaged file may raise."""


class Contents(NamedTuple):
    """The content of a file with a network.

    Attributes:
        metadata: of the safetensors file, name -> text; all but "format" is JSON.
        state: the state_dict, with the wiring of every sparse layer.
        topologies: the wirings by the names of their layers, with recipes and the names of units.
    """

    metadata: dict[str, str]
    state: dict[str, torch.Tensor]
    topologies: dict[str, Topology]


def save(net: nn.Module, path: str | Path, *, indices: bool = False) -> None:
    """Write a network to one safetensors file: its weights, and how each sparse layer is wired.

    A wiring is stored as its recipe, one line of text, if the recipe gives the same wiring. Any other wiring is stored
    as a code of its edges, about six bits an edge at 5 % density. Names of units are stored. If the network consists of
    linear layers, the modules in `module_descriptions.TORCH_MODULES` and sequences of them, without hooks and tied
    weights, its modules are stored too. Of any other network, only tensors and wirings are stored.

    Args:
        net: any module whose state_dict holds tensors only.
        path: the file to write; an existing file is replaced only when the new one is complete.
        indices: whether to store edges instead of recipes, for readers that cannot run recipes.

    Raises:
        TypeError: if net is not a module.
        ValueError: if the path ends like a file of another format; if the state_dict holds anything but tensors, or
            lacks the weights of a sparse layer under
            their names; if a wiring has too many units for its edges, or names take too much space.

    Example:
        >>> import tempfile
        >>> from prewired.nn import mlp
        >>> net = mlp([64, 32, 10], family="biregular", density=0.25, seed=0)
        >>> x = torch.randn(5, 64)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save(net, f"{folder}/net.safetensors")
        ...     torch.equal(load(f"{folder}/net.safetensors")(x), net(x))
        True
    """
    if not isinstance(net, nn.Module):
        raise TypeError(f"expected an nn.Module, got {type(net).__name__}; save the network itself, not its state_dict")
    check_suffix(path, ".safetensors")
    check_destination(path)
    topologies = {
        name: layer.topology
        for name, layer in _named_modules(net)
        if isinstance(layer, SparseModule) and layer.topology is not None
    }
    state = net.state_dict()
    wiring_names = {_tensor_name(layer, buffer) for layer in topologies for buffer in WIRING}
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided or tensor.is_meta:
            kind = tensor.device if isinstance(tensor, torch.Tensor) else type(tensor).__name__
            raise ValueError(f"expected dense tensors with values in the state_dict, got {name}, {kind}")
        if name not in wiring_names:
            tensors[name] = tensor.detach().cpu().contiguous().clone()
    has_weights = all(_edge_values(name, tensors) is not None for name in topologies)
    is_name_free = all(_tensor_name(name, "gaps") not in tensors for name in topologies)
    if not has_weights or not is_name_free or not wiring_names <= state.keys():
        raise ValueError(f"expected weights and wiring of sparse layers under their own names, got {', '.join(state)}")
    layers: dict[str, dict[str, Any]] = {}
    budget = Budget(sum(t.n_edges for t in topologies.values()))
    for name, t in topologies.items():
        layers[name], code = describe_wiring(t, indices, budget)
        if code is not None:
            tensors[_tensor_name(name, "gaps")] = torch.from_numpy(code)
    metadata = {"format": FORMAT, "state": json.dumps([*state]), "layers": json.dumps(layers)}
    if (network := module_descriptions.describe_module(net)) is not None:
        eval_modules = [name for name, module in _named_modules(net) if not module.training]
        frozen_parameters = [name for name, parameter in net.named_parameters() if not parameter.requires_grad]
        module_metadata = {"network": network, "evaluating": eval_modules, "frozen": frozen_parameters}
        metadata |= {key: json.dumps(value) for key, value in module_metadata.items()}
    if (size := sum(map(len, metadata.values()))) > _LARGEST_METADATA:
        limit = f"{_LARGEST_METADATA:,} bytes"
        raise ValueError(f"expected names and recipes of at most {limit}, got {size:,}; drop the names")
    metadata["seal"] = _checksum(metadata, tensors)
    with replacing(path) as part:
        part.write_bytes(safetensors.torch.save(tensors, metadata))


def load(path: str | Path, into: nn.Module | None = None) -> nn.Module:
    """Load the network from a file that `save` wrote, bit for bit; every wiring is compared with its digest.

    Args:
        path: the file.
        into: a module to load the tensors into, as `load_state_dict` does; required if `save` could not store the
            modules. If anything does not fit, `into` is not changed.

    Returns:
        A new network on the CPU, or `into`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not a saved network, is damaged or of a later version, needs `into` or does not fit
            `into`; if a wiring differs from its digest.
    """
    metadata, state, topologies = read(path)
    if into is not None:
        _check_fits(path, into, state, topologies)
        into.load_state_dict(state)
        return into
    if "network" not in metadata:
        raise ValueError(
            f"expected a network of known modules, without hooks or tied weights, in {str(path)!r}, got the tensors of "
            "another; make the network and load the tensors into it: load(path, into=net)"
        )
    try:
        net = module_descriptions.build_module(json.loads(metadata["network"]), state, topologies)
        eval_modules, frozen_parameters = (frozenset(json.loads(metadata[key])) for key in ("evaluating", "frozen"))
    except _READ_ERRORS as error:
        raise _damaged_file(path, error) from None
    for name, module in net.named_modules():
        module.training = name not in eval_modules
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name not in frozen_parameters)
    return net


def read(path: str | Path) -> Contents:
    """Read the content of a file that `save` wrote, with the same checks as `load`.

    Raises:
        FileNotFoundError, ValueError: as `load`.
    """
    if not Path(path).is_file():
        state = "is a folder" if Path(path).is_dir() else "does not exist"
        raise FileNotFoundError(f"expected a file with a network, got {str(path)!r}, which {state}")
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = dict(file.metadata() or {})
            if metadata.get("format") != FORMAT:
                raise ValueError(f"its format is {metadata.get('format')!r}, expected {FORMAT!r}")
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118, it is no dict
        if metadata.pop("seal", None) != _checksum(metadata, tensors):
            raise ValueError("its content is not what was written")
        layers, topologies = json.loads(metadata["layers"]), {}
        counts = [count_edges(name, layer, _edge_values(name, tensors)) for name, layer in layers.items()]
        budget = Budget(sum(counts))
        for name, layer in layers.items():
            t = topologies[name] = build_wiring(name, layer, tensors.pop(_tensor_name(name, "gaps"), None), budget)
            tensors |= {_tensor_name(name, buffer): torch.tensor(getattr(t, buffer), device="cpu") for buffer in WIRING}
        state = {name: tensors.pop(name) for name in json.loads(metadata["state"])}
        if tensors:
            raise ValueError(f"it has tensors that it does not name: {', '.join(tensors)}")
    except _READ_ERRORS as error:
        raise _damaged_file(path, error) from None
    return Contents(metadata, state, topologies)


def _check_fits(path: str | Path, net: nn.Module, state: Mapping[str, Any], topologies: Mapping[str, Topology]) -> None:
    """Raise a ValueError that names the first difference between a module and a file, if there is one."""
    own_state = net.state_dict()
    for name in sorted(own_state.keys() ^ state.keys()):
        where = "has no such tensor" if name in own_state else "has it, the network has not"
        raise ValueError(f"expected the tensors of the network in {str(path)!r}, got another set: {name}: it {where}")
    for name, layer in net.named_modules():
        t = layer.topology if isinstance(layer, SparseModule) else None
        if t is not None and t != topologies.get(name):
            raise ValueError(
                f"expected the wiring {t.digest[:12]} in layer {name} of {str(path)!r}, got "
                f"{topologies[name].digest[:12] if name in topologies else 'none'}; build the layer from the topology "
                "it was trained on, prewired.checkpoint.read(path).topologies"
            )
    for name, tensor in own_state.items():
        expected, actual = ((t.dtype, tuple(t.shape)) for t in (tensor, state[name]))
        if expected != actual or tensor.is_meta:
            remedy = "give it memory with to_empty()" if tensor.is_meta else "give it the type and shape in the file"
            raise ValueError(
                f"expected {name} as {expected} in {str(path)!r}, got {actual}, for {tensor.device}; {remedy}"
            )


def _named_modules(net: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """All names of all modules; a module that appears twice has two names."""
    return net.named_modules(remove_duplicate=False)


def _edge_values(layer: str, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor | None:
    """The tensor with one value per edge; None if there is none."""
    return tensors.get(_tensor_name(layer, "weight"), tensors.get(_tensor_name(layer, "values")))


def _tensor_name(layer: str, name: str) -> str:
    return f"{layer}.{name}" if layer else name


def _checksum(metadata: Mapping[str, str], tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of the metadata and of the tensors in the order of their names."""
    sha = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for part in _checksum_parts(tensors):
        sha.update(part)
    return sha.hexdigest()


def _checksum_parts(tensors: Mapping[str, torch.Tensor]) -> Iterator[Any]:
    for name, tensor in sorted(tensors.items()):
        yield json.dumps([name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape)]).encode()
        yield tensor.reshape(-1).view(torch.uint8).numpy().data


def _damaged_file(path: str | Path, error: Exception) -> ValueError:
    plain = isinstance(error, ValueError | RuntimeError | MemoryError | safetensors.SafetensorError)
    reason = " ".join(str(error).split()) if plain else f"its description makes no sense ({error!r})"
    return ValueError(f"{str(path)!r} is not a sound prewired network: {reason}; save it again with prewired.save")
