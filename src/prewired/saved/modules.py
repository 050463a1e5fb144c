"""Networks as descriptions: nested dicts that say which modules they are made of, as files of whole networks do."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ..compression import QuantizedLinear
from ..layers import SparseLinear
from ..networks import Sequential
from ..topology import Topology

CONTAINERS: dict[str, type[nn.Sequential]] = {"Sequential": Sequential, "nn.Sequential": nn.Sequential}
PLAIN: dict[str, tuple[type[nn.Module], tuple[str, ...]]] = {
    "BatchNorm1d": (nn.BatchNorm1d, ("num_features", "eps", "momentum", "affine", "track_running_stats")),
    "Dropout": (nn.Dropout, ("p",)),
    "ELU": (nn.ELU, ("alpha",)),
    "Flatten": (nn.Flatten, ("start_dim", "end_dim")),
    "GELU": (nn.GELU, ("approximate",)),
    "Identity": (nn.Identity, ()),
    "LayerNorm": (nn.LayerNorm, ("normalized_shape", "eps", "elementwise_affine")),
    "LeakyReLU": (nn.LeakyReLU, ("negative_slope",)),
    "LogSoftmax": (nn.LogSoftmax, ("dim",)),
    "ReLU": (nn.ReLU, ()),
    "SiLU": (nn.SiLU, ()),
    "Sigmoid": (nn.Sigmoid, ()),
    "Softmax": (nn.Softmax, ("dim",)),
    "Softplus": (nn.Softplus, ("beta", "threshold")),
    "Tanh": (nn.Tanh, ()),
}
"""Name -> class, and the attributes of a module that are the arguments of its class."""


def describe(module: nn.Module) -> dict[str, Any] | None:
    """What `build` needs to make a module again, apart from its tensors; None where a part of it is of another kind.

    Example:
        >>> describe(nn.Sequential(nn.Linear(2, 2), nn.LeakyReLU(0.1)))["modules"]["1"]
        {'type': 'LeakyReLU', 'negative_slope': 0.1}
    """
    kind = type(module)
    if isinstance(module, SparseLinear) and kind is SparseLinear:
        return {"type": "SparseLinear", "kernel": module.kernel}
    if isinstance(module, QuantizedLinear) and kind is QuantizedLinear:
        sides = {"n_in": module.in_features, "n_out": module.out_features} if module.topology is None else {}
        return {"type": "QuantizedLinear", "kind": module.kind, **sides}
    if kind is nn.Linear:
        return {"type": "Linear"}
    for name, container in CONTAINERS.items():
        if kind is container:
            children = {child_name: describe(child) for child_name, child in module._modules.items() if child}
            return None if None in children.values() else {"type": name, "modules": children}
    for name, (plain, attributes) in PLAIN.items():
        if kind is plain:
            return {"type": name, **{attribute: getattr(module, attribute) for attribute in attributes}}
    return None


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
    quantized = any(isinstance(one, QuantizedLinear) for one in module.modules())
    return module.requires_grad_(False) if quantized else module


def _built(
    description: Mapping[str, Any], state: Mapping[str, torch.Tensor], wirings: Mapping[str, Topology], prefix: str
) -> nn.Module:
    own = {name: value for name, value in description.items() if name != "type"}
    kind, layer = description["type"], prefix.removesuffix(".")
    if kind in CONTAINERS:
        container = CONTAINERS[kind]()
        for name, child in own["modules"].items():
            container.add_module(name, _built(child, state, wirings, f"{prefix}{name}."))
        return container
    if kind in PLAIN:
        return PLAIN[kind][0](**own)
    bias = state.get(f"{prefix}bias")
    if kind == "SparseLinear":
        dtype = state[f"{prefix}weight"].dtype
        return SparseLinear(wirings[layer], bias is not None, device="cpu", dtype=dtype, kernel=own["kernel"])
    if kind == "QuantizedLinear":
        wiring = wirings[layer] if layer in wirings else (int(own["n_in"]), int(own["n_out"]))
        scale = state.get(f"{prefix}scale")
        return QuantizedLinear(own["kind"], state[f"{prefix}values"], scale, bias, wiring)
    if kind == "Linear":
        n_out, n_in = state[f"{prefix}weight"].shape
        return nn.Linear(n_in, n_out, bias is not None)
    raise ValueError(f"expected a module among Linear, SparseLinear, ..., got {kind!r}")
