"""Networks on disk: one safetensors file with the weights and, of every sparse layer, recipe and digest.

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

from ..io.atomic_write import check, replacing
from ..nn.sparse_module import WIRING, SparseModule
from ..topology import Topology
from . import module_descriptions
from .recipe_cost import Budget
from .wirings import described, n_edges_of, rebuilt

FORMAT = "prewired model 1"
_LARGEST_TEXT = 90_000_000
"""Bytes of descriptions and names; safetensors reads a hundred million."""
_UNSOUND = (
    *(safetensors.SafetensorError, TypeError, ValueError, AttributeError, LookupError, ArithmeticError),
    *(RuntimeError, MemoryError),
)
"""What reading a file that is none may raise."""


class Contents(NamedTuple):
    """What a file of a network holds.

    Attributes:
        about: what it says of itself, name -> text; JSON but for "format".
        state: the state_dict, with the wiring of every sparse layer.
        topologies: the wirings by the names of their layers, with recipes and the names of units.
    """

    about: dict[str, str]
    state: dict[str, torch.Tensor]
    topologies: dict[str, Topology]


def save(net: nn.Module, path: str | Path, *, indices: bool = False) -> None:
    """Write a network to one safetensors file: weights, and how each sparse layer is wired.

    A wiring whose recipe rebuilds it takes a line of text. Others, and with `indices` all, are stored as a code of
    about six bits an edge (at 5 % density). Names of units are kept. A network of known modules (`modules.PLAIN`,
    linear layers, sequences of them, no hooks, no tied weights) is kept whole; of another, tensors and wirings.

    Args:
        net: any module whose state_dict holds tensors; the wiring of every SparseLinear and QuantizedLinear in it is
            kept.
        path: the file to write; what was there stays until the new file is complete.
        indices: store edges rather than recipes, for readers that cannot make them.

    Raises:
        ValueError: if the state_dict holds something else, or does not hold the weights of a sparse layer under their
            names; if a wiring is too wide for its edges, or names take too much room.

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
    check(path)
    topologies = {
        name: layer.topology
        for name, layer in _all_modules(net)
        if isinstance(layer, SparseModule) and layer.topology is not None
    }
    state = net.state_dict()
    implied = {_dotted(layer, one) for layer in topologies for one in WIRING}
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided or tensor.is_meta:
            kind = tensor.device if isinstance(tensor, torch.Tensor) else type(tensor).__name__
            raise ValueError(f"expected dense tensors with values in the state_dict, got {name}, {kind}")
        if name not in implied:
            tensors[name] = tensor.detach().cpu().contiguous().clone()
    named = all(_values(name, tensors) is not None and _dotted(name, "gaps") not in tensors for name in topologies)
    if not named or not implied <= state.keys():
        raise ValueError(f"expected weights and wiring of sparse layers under their own names, got {', '.join(state)}")
    layers: dict[str, dict[str, Any]] = {}
    budget = Budget(sum(t.n_edges for t in topologies.values()))
    for name, t in topologies.items():
        layers[name], code = described(t, indices, budget)
        if code is not None:
            tensors[_dotted(name, "gaps")] = torch.from_numpy(code)
    about = {"format": FORMAT, "state": json.dumps([*state]), "layers": json.dumps(layers)}
    if (network := module_descriptions.describe(net)) is not None:
        evaluating = [name for name, module in _all_modules(net) if not module.training]
        frozen = [name for name, parameter in net.named_parameters() if not parameter.requires_grad]
        kept = {"network": network, "evaluating": evaluating, "frozen": frozen}
        about |= {key: json.dumps(value) for key, value in kept.items()}
    if (size := sum(map(len, about.values()))) > _LARGEST_TEXT:
        raise ValueError(f"expected names and recipes of at most {_LARGEST_TEXT:,} bytes, got {size:,}; drop the names")
    about["seal"] = _seal(about, tensors)
    with replacing(path) as part:
        part.write_bytes(safetensors.torch.save(tensors, about))


def load(path: str | Path, into: nn.Module | None = None) -> nn.Module:
    """The network in a file that `save` wrote, bit for bit, with every wiring checked against its digest.

    Args:
        path: the file.
        into: a module to load the tensors into instead of making one, as `load_state_dict` does; it is left as it is
            if anything does not fit. Needed where `save` did not know the modules.

    Returns:
        The network, on the CPU; `into` if that was given.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is something else, damaged, of a later version, or does not fit `into`; if a wiring is not the
            one it was saved with; if it needs `into`.
    """
    about, state, topologies = read(path)
    if into is not None:
        _check_fit(path, into, state, topologies)
        into.load_state_dict(state)
        return into
    if "network" not in about:
        raise ValueError(
            f"expected a network of known modules, without hooks or tied weights, in {str(path)!r}, got the tensors of "
            "another; make the network and load them into it: load(path, into=net)"
        )
    try:
        net = module_descriptions.build(json.loads(about["network"]), state, topologies)
        evaluating, frozen = (frozenset(json.loads(about[key])) for key in ("evaluating", "frozen"))
    except _UNSOUND as error:
        raise _unsound(path, error) from None
    for name, module in net.named_modules():
        module.training = name not in evaluating
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name not in frozen)
    return net


def read(path: str | Path) -> Contents:
    """What is in a file that `save` wrote, checked as `load` does.

    Raises:
        FileNotFoundError, ValueError: as `load`.
    """
    if not Path(path).is_file():
        state = "is a folder" if Path(path).is_dir() else "does not exist"
        raise FileNotFoundError(f"expected a file with a network, got {str(path)!r}, which {state}")
    try:
        with safetensors.safe_open(path, "pt") as file:
            about = dict(file.metadata() or {})
            if about.get("format") != FORMAT:
                raise ValueError(f"its format is {about.get('format')!r}, expected {FORMAT!r}")
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118, it is no dict
        if about.pop("seal", None) != _seal(about, tensors):
            raise ValueError("its content is not what was written")
        layers, topologies = json.loads(about["layers"]), {}
        counts = [n_edges_of(name, layer, _values(name, tensors)) for name, layer in layers.items()]
        budget = Budget(sum(counts))
        for name, layer in layers.items():
            t = topologies[name] = rebuilt(name, layer, tensors.pop(_dotted(name, "gaps"), None), budget)
            tensors |= {_dotted(name, one): torch.tensor(getattr(t, one), device="cpu") for one in WIRING}
        state = {name: tensors.pop(name) for name in json.loads(about["state"])}
        if tensors:
            raise ValueError(f"it has tensors that it does not name: {', '.join(tensors)}")
    except _UNSOUND as error:
        raise _unsound(path, error) from None
    return Contents(about, state, topologies)


def _check_fit(path: str | Path, net: nn.Module, state: Mapping[str, Any], topologies: Mapping[str, Topology]) -> None:
    """Raise a ValueError that names the first difference between a module and a file."""
    own = net.state_dict()
    for name in sorted(own.keys() ^ state.keys()):
        where = "has no such tensor" if name in own else "has it, the network has not"
        raise ValueError(f"expected the tensors of the network in {str(path)!r}, got another set: {name}: it {where}")
    for name, layer in net.named_modules():
        t = layer.topology if isinstance(layer, SparseModule) else None
        if t is not None and t != topologies.get(name):
            raise ValueError(
                f"expected the wiring {t.digest[:12]} in layer {name} of {str(path)!r}, got "
                f"{topologies[name].digest[:12] if name in topologies else 'none'}; build the layer from the topology "
                "it was trained on, prewired.checkpoint.read(path).topologies"
            )
    for name, tensor in own.items():
        wanted, got = ((one.dtype, tuple(one.shape)) for one in (tensor, state[name]))
        if wanted != got or tensor.is_meta:
            remedy = "give it memory with to_empty()" if tensor.is_meta else "make it like the one that was saved"
            raise ValueError(f"expected {name} as {wanted} in {str(path)!r}, got {got}, for {tensor.device}; {remedy}")


def _all_modules(net: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules by all their names."""
    return net.named_modules(remove_duplicate=False)


def _values(layer: str, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor | None:
    """The tensor with a value for each edge."""
    return tensors.get(_dotted(layer, "weight"), tensors.get(_dotted(layer, "values")))


def _dotted(layer: str, name: str) -> str:
    return f"{layer}.{name}" if layer else name


def _seal(about: Mapping[str, str], tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over what a file says and, in the order of their names, its tensors."""
    sha = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for part in _bytes(tensors):
        sha.update(part)
    return sha.hexdigest()


def _bytes(tensors: Mapping[str, torch.Tensor]) -> Iterator[Any]:
    for name, tensor in sorted(tensors.items()):
        yield json.dumps([name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape)]).encode()
        yield tensor.reshape(-1).view(torch.uint8).numpy().data


def _unsound(path: str | Path, error: Exception) -> ValueError:
    plain = isinstance(error, ValueError | RuntimeError | MemoryError | safetensors.SafetensorError)
    reason = " ".join(str(error).split()) if plain else f"its description makes no sense ({error!r})"
    return ValueError(f"{str(path)!r} is not a sound prewired network: {reason}; save it again with prewired.save")
