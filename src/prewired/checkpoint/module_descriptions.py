"""Describe a network as nested dicts that name its modules, and build a network from such a description."""

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
TORCH_MODULES: dict[str, tuple[type[nn.Module], tuple[str, ...]]] = {
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
"""Name -> class, and the names of its arguments, which are attributes too; `bias` is stored as whether there is one."""


def describe_module(net: nn.Module) -> dict[str, Any] | None:
    """Describe a network so that `build_module` can build it from the description and its tensors.

    Returns None for a network that cannot be described: a module of an unknown class, hooks, arguments that JSON
    cannot hold, tensors that the class does not have (such as a weight split by pruning), or tied weights.

    Example:
        >>> describe_module(nn.Sequential(nn.Linear(2, 2), nn.LeakyReLU(0.1)))["modules"]["1"]
        {'type': 'LeakyReLU', 'negative_slope': 0.1}
    """
    tensors = [tensor for walk in (net.named_parameters, net.named_buffers) for _, tensor in walk("", True, False)]
    has_tied_tensors = len({id(tensor) for tensor in tensors}) < len(tensors)
    has_hooks = any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    return None if has_tied_tensors or has_hooks else _describe(net)


def _describe(module: nn.Module) -> dict[str, Any] | None:
    for name, container in CONTAINERS.items():
        if type(module) is container:
            children = {key: _describe(child) for key, child in module._modules.items() if child is not None}
            own = module._parameters or module._buffers
            return None if own or None in children.values() else {"type": name, "modules": children}
    description = _describe_leaf(module)
    return description if description is None or _tensor_names(module) == _expected_names(module, description) else None


def _describe_leaf(module: nn.Module) -> dict[str, Any] | None:
    """Describe a module that contains no other modules."""
    kind = type(module)
    if isinstance(module, SparseLinear) and kind is SparseLinear:
        return {"type": "SparseLinear", "kernel": module.kernel}
    if isinstance(module, QuantizedLinear) and kind is QuantizedLinear:
        sides = {"n_in": module.in_features, "n_out": module.out_features} if module.topology is None else {}
        return {"type": "QuantizedLinear", "kind": module.kind, **sides}
    if kind is nn.Linear:
        return {"type": "Linear"}
    for name, (torch_kind, attributes) in TORCH_MODULES.items():
        if kind is torch_kind:
            values = {key: getattr(module, key) for key in attributes}
            json_values = {k: v is not None if k == "bias" else _json_value(v) for k, v in values.items()}
            kinds = all(isinstance(v, bool | int | float | str | list | None) for v in json_values.values())
            return {"type": name, **json_values} if kinds else None
    return None


def _json_value(value: Any) -> Any:
    """Convert an argument for JSON: numbers of NumPy and torch to Python's, tuples to lists."""
    if isinstance(value, tuple | list):
        return [_json_value(item) for item in value]
    return value.item() if isinstance(value, np.generic | torch.Tensor) else value


def _tensor_names(module: nn.Module) -> set[str]:
    return {*module.state_dict()}


def _expected_names(module: nn.Module, description: Mapping[str, Any]) -> set[str]:
    """The names of the tensors that a module of this description has."""
    if description["type"] in TORCH_MODULES:
        with torch.device("meta"):
            return _tensor_names(_build_torch_module(description))
    names = {"bias"} if getattr(module, "bias", None) is not None else set()
    if isinstance(module, QuantizedLinear):
        names |= {"values"} if module.scale is None else {"values", "scale"}
    else:
        names |= {"weight"}
    return names | {*WIRING} if isinstance(module, SparseModule) and module.topology is not None else names


def build_module(
    description: Mapping[str, Any], state: Mapping[str, torch.Tensor], wirings: Mapping[str, Topology]
) -> nn.Module:
    """Build the module of a description with the tensors of a state_dict as its parameters and buffers.

    Only tensors of the state_dict take memory. torch's random generator is not changed.

    Args:
        description: from `describe_module`.
        state: the tensors by name.
        wirings: the topology of each sparse layer, by the name of the layer.

    Raises:
        KeyError, TypeError, ValueError, RuntimeError, AttributeError: if the description does not fit these tensors.
    """
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        module = _build(description, state, wirings, "")
    module.load_state_dict(state, assign=True)
    return module


def _build(
    description: Mapping[str, Any], state: Mapping[str, torch.Tensor], wirings: Mapping[str, Topology], prefix: str
) -> nn.Module:
    kind, layer = description["type"], prefix.removesuffix(".")
    if kind in CONTAINERS:
        container = CONTAINERS[kind]()
        for name, child in description["modules"].items():
            container.add_module(name, _build(child, state, wirings, f"{prefix}{name}."))
        return container
    if kind in TORCH_MODULES:
        return _build_torch_module(description)
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
    kinds = ", ".join(sorted({*CONTAINERS, *TORCH_MODULES, "Linear", "SparseLinear", "QuantizedLinear"}))
    raise ValueError(f"expected a module among {kinds}, got {kind!r}")


def _build_torch_module(description: Mapping[str, Any]) -> nn.Module:
    """Build a module of torch.nn with exactly the arguments of the table; others, such as a device, could do harm."""
    kind, attributes = TORCH_MODULES[description["type"]]
    arguments = {name: value for name, value in description.items() if name != "type"}
    if arguments.keys() != {*attributes}:
        raise ValueError(f"expected {', '.join(attributes) or 'no argument'} of {kind.__name__}, got {[*arguments]}")
    return kind(**arguments)
