"""Networks as descriptions: nested dicts that say which modules they are made of, as files of whole networks do."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from ..nn.linear import SparseLinear
from ..nn.quantization import QuantizedLinear
from ..nn.sequential import Sequential
from ..nn.sparse_module import WIRING, SparseModule
from ..topology import Topology

CONTAINERS: dict[str, type[nn.Sequential]] = {"Sequential": Sequential, "nn.Sequential": nn.Sequential}
PLAIN: dict[str, tuple[type[nn.Module], tuple[str, ...]]] = {
    "BatchNorm1d": (nn.BatchNorm1d, ("num_features", "eps", "momentum", "affine", "track_running_stats")),
    "Dropout": (nn.Dropout, ("p",)),
    "ELU": (nn.ELU, ("alpha",)),
    "Flatten": (nn.Flatten, ("start_dim", "end_dim")),
    "GELU": (nn.GELU, ("approximate",)),
    "Identity": (nn.Identity, ()),
    "LayerNorm": (nn.LayerNorm, ("normalized_shape", "eps", "elementwise_affine", "bias")),
    "LeakyReLU": (nn.LeakyReLU, ("negative_slope",)),
    "LogSoftmax": (nn.LogSoftmax, ("dim",)),
    "ReLU": (nn.ReLU, ()),
    "SiLU": (nn.SiLU, ()),
    "Sigmoid": (nn.Sigmoid, ()),
    "Softmax": (nn.Softmax, ("dim",)),
    "Softplus": (nn.Softplus, ("beta", "threshold")),
    "Tanh": (nn.Tanh, ()),
}
"""Name -> class, and the attributes of a module that are the arguments of its class; of a bias whether there is one."""


def describe(net: nn.Module) -> dict[str, Any] | None:
    """What `build` needs to make a network again, apart from its tensors.

    None where it could not: a module of another kind, hooks, arguments that JSON does not know, tensors that are not
    its kind's own (a weight that was split by pruning, say), or that appear twice, since tied weights would come back
    as two.

    Example:
        >>> describe(nn.Sequential(nn.Linear(2, 2), nn.LeakyReLU(0.1)))["modules"]["1"]
        {'type': 'LeakyReLU', 'negative_slope': 0.1}
    """
    tensors = [tensor for walk in (net.named_parameters, net.named_buffers) for _, tensor in walk("", True, False)]
    tied = len({id(tensor) for tensor in tensors}) < len(tensors)
    hooked = any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    return None if tied or hooked else _described(net)


def _described(module: nn.Module) -> dict[str, Any] | None:
    for name, container in CONTAINERS.items():
        if type(module) is container:
            children = {key: _described(child) for key, child in module._modules.items() if child is not None}
            own = module._parameters or module._buffers
            return None if own or None in children.values() else {"type": name, "modules": children}
    description = _of_one(module)
    return description if description is None or _tensors(module) == _expected(module, description) else None


def _of_one(module: nn.Module) -> dict[str, Any] | None:
    """The description of a module without others in it."""
    kind = type(module)
    if isinstance(module, SparseLinear) and kind is SparseLinear:
        return {"type": "SparseLinear", "kernel": module.kernel}
    if isinstance(module, QuantizedLinear) and kind is QuantizedLinear:
        sides = {"n_in": module.in_features, "n_out": module.out_features} if module.topology is None else {}
        return {"type": "QuantizedLinear", "kind": module.kind, **sides}
    if kind is nn.Linear:
        return {"type": "Linear"}
    for name, (plain, attributes) in PLAIN.items():
        if kind is plain:
            values = {key: getattr(module, key) for key in attributes}
            plain_values = {k: v is not None if k == "bias" else _plain_value(v) for k, v in values.items()}
            known = all(isinstance(v, bool | int | float | str | list | None) for v in plain_values.values())
            return {"type": name, **plain_values} if known else None
    return None


def _plain_value(value: Any) -> Any:
    """An argument as JSON has it: NumPy's and torch's numbers as Python's, tuples as lists."""
    if isinstance(value, tuple | list):
        return [_plain_value(one) for one in value]
    return value.item() if isinstance(value, np.generic | torch.Tensor) else value


def _tensors(module: nn.Module) -> set[str]:
    return {*module.state_dict()}


def _expected(module: nn.Module, description: Mapping[str, Any]) -> set[str]:
    """The tensors that a module of such a description has."""
    if description["type"] in PLAIN:
        with torch.device("meta"):
            return _tensors(_plain(description))
    biased = {"bias"} if getattr(module, "bias", None) is not None else set()
    if isinstance(module, QuantizedLinear):
        biased |= {"values"} if module.scale is None else {"values", "scale"}
    else:
        biased |= {"weight"}
    return biased | {*WIRING} if isinstance(module, SparseModule) and module.topology is not None else biased


def build(
    description: Mapping[str, Any], state: Mapping[str, torch.Tensor], wirings: Mapping[str, Topology]
) -> nn.Module:
    """The module of a description, around the tensors of a state_dict, which it keeps.

    Nothing is allocated that the tensors do not vouch for. torch's random generator is left as it was.

    Args:
        description: what `describe` gave.
        state: the tensors by name.
        wirings: the topology of each sparse layer, by the name of the layer.

    Raises:
        KeyError, TypeError, ValueError, RuntimeError, AttributeError: if it is no description of these tensors.
    """
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        module = _built(description, state, wirings, "")
    module.load_state_dict(state, assign=True)
    return module


def _built(
    description: Mapping[str, Any], state: Mapping[str, torch.Tensor], wirings: Mapping[str, Topology], prefix: str
) -> nn.Module:
    kind, layer = description["type"], prefix.removesuffix(".")
    if kind in CONTAINERS:
        container = CONTAINERS[kind]()
        for name, child in description["modules"].items():
            container.add_module(name, _built(child, state, wirings, f"{prefix}{name}."))
        return container
    if kind in PLAIN:
        return _plain(description)
    bias = state.get(f"{prefix}bias")
    if kind == "SparseLinear":
        dtype = state[f"{prefix}weight"].dtype
        return SparseLinear(wirings[layer], bias is not None, device="cpu", dtype=dtype, kernel=description["kernel"])
    if kind == "QuantizedLinear":
        wiring = wirings[layer] if layer in wirings else (description["n_in"], description["n_out"])
        scale = state.get(f"{prefix}scale")
        return QuantizedLinear(description["kind"], state[f"{prefix}values"], scale, bias, wiring)
    if kind == "Linear":
        n_out, n_in = state[f"{prefix}weight"].shape
        return nn.Linear(n_in, n_out, bias is not None)
    known = ", ".join(sorted({*CONTAINERS, *PLAIN, "Linear", "SparseLinear", "QuantizedLinear"}))
    raise ValueError(f"expected a module among {known}, got {kind!r}")


def _plain(description: Mapping[str, Any]) -> nn.Module:
    """A module of torch.nn with just the arguments of the table: another, such as a device, would not be harmless."""
    kind, attributes = PLAIN[description["type"]]
    given = {name: value for name, value in description.items() if name != "type"}
    if given.keys() != {*attributes}:
        raise ValueError(f"expected {', '.join(attributes) or 'no argument'} of {kind.__name__}, got {[*given]}")
    return kind(**given)
