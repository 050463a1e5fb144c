"""A network as what an exporter writes: linear layers one after the other, each with an activation behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from ..nn.linear import SparseLinear
from ..nn.quantization import LARGEST, QuantizedLinear
from ..topology import Topology

ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.LeakyReLU: "leaky_relu",
    nn.ELU: "elu",
    nn.GELU: "gelu",
    nn.SiLU: "silu",
    nn.Sigmoid: "sigmoid",
    nn.Tanh: "tanh",
}
LINEAR = (SparseLinear, nn.Linear, QuantizedLinear)
NORMS = (nn.BatchNorm1d, nn.SyncBatchNorm)
WITHOUT_EFFECT = (nn.Identity, nn.Dropout, nn.AlphaDropout)
"""Modules that do nothing once training is over."""


class Layer(NamedTuple):
    """One linear layer of an exported network, y = activation(W x + b), in NumPy arrays.

    Attributes:
        name: of the module, such as "0".
        n_in, n_out: numbers of inputs and outputs.
        topology: the wiring, or None of a dense layer.
        weight: float32, (n_edges,) in edge order; of a dense layer (n_out * n_in,), row by row.
        bias: (n_out,) float32, or None.
        integers: (n_edges,) int8 of a layer quantised to integers, else None; weight is integers * scale of the row.
        scale: (n_out,) float32 with integers, else None.
        kind: how its weights are kept: "float32" or a kind of `compression`.
        activation: what follows: "" or a value of ACTIVATIONS; several one after the other are not exported.
        parameter: of the activation: the negative slope of leaky_relu, alpha of elu, 1.0 for gelu by tanh; else 0.
    """

    name: str
    n_in: int
    n_out: int
    topology: Topology | None
    weight: np.ndarray
    bias: np.ndarray | None
    integers: np.ndarray | None
    scale: np.ndarray | None
    kind: str
    activation: str = ""
    parameter: float = 0.0


def layers(net: nn.Module) -> list[Layer]:
    """The layers of a network that is a chain of linear layers and activations, in evaluation mode.

    Weights of other types become float32.

    Args:
        net: a SparseLinear, nn.Linear or QuantizedLinear, or an nn.Sequential, nested or not, of these, of the
            modules in ACTIVATIONS, nn.BatchNorm1d behind a linear layer (which goes into its weights), and modules
            without effect after training. A module may appear several times.

    Raises:
        TypeError: for anything but a module.
        ValueError: for any other module, widths that do not follow each other, numbers that are not finite, or a
            network on the meta device.

    Example:
        >>> from prewired.nn import mlp
        >>> [(layer.n_out, layer.activation) for layer in layers(mlp([8, 4, 2], family="dense"))]
        [(4, 'relu'), (2, '')]
    """
    check_module(net)
    found: list[Layer] = []
    for name, module in flat(net):
        if type(module) in WITHOUT_EFFECT:
            continue
        if isinstance(module, LINEAR):
            found.append(_linear(name, module))
            _check_width(found)
        elif not found or type(module) not in (*ACTIVATIONS, *NORMS) or found[-1].activation:
            where = "in front of the first layer" if not found else f"behind layer {found[-1].name}"
            raise ValueError(
                f"expected linear layers, each followed by at most one of "
                f"{', '.join(kind.__name__ for kind in ACTIVATIONS)}, got {module} {where}; export it with "
                "prewired.export.program, which takes any module"
            )
        elif isinstance(module, NORMS):
            found[-1] = _normalized(found[-1], module)
        else:
            found[-1] = found[-1]._replace(activation=ACTIVATIONS[type(module)], parameter=_parameter(module))
    if not found:
        raise ValueError(
            "expected a network with at least one linear layer, got none; prewired.export.program takes any"
        )
    for layer in found:
        if not all(
            np.isfinite(p).all() for p in (layer.weight, layer.bias, layer.scale, layer.parameter) if p is not None
        ):
            raise ValueError(
                f"expected finite numbers in layer {layer.name}, got NaN, infinity or beyond float32; train it again"
            )
    return found


def check_module(net: Any) -> None:
    """Raise a TypeError unless it is a module, and a ValueError unless its tensors hold numbers."""
    if not isinstance(net, nn.Module):
        raise TypeError(
            f"expected an nn.Module, got {type(net).__name__}; prewired.load reads a file, load_state_dict a state_dict"
        )
    if any(tensor.is_meta for tensor in (*net.parameters(), *net.buffers())):
        raise ValueError("expected a network with weights, got one on the meta device; load its weights first")


def flat(net: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """(name, module) of everything in nested nn.Sequentials, in order, as often as it is there."""
    if isinstance(net, nn.Sequential):
        for child_name, child in net._modules.items():
            if child is not None:
                yield from flat(child, f"{name}.{child_name}" if name else child_name)
    else:
        yield name or "layer", net


def _linear(name: str, module: SparseLinear | nn.Linear | QuantizedLinear) -> Layer:
    topology = None if isinstance(module, nn.Linear) else module.topology
    weight, bias = _array(module.weight).reshape(-1), None if module.bias is None else _array(module.bias)
    integers, scale, kind = None, None, "float32"
    if isinstance(module, QuantizedLinear):
        kind = module.kind
        if kind in LARGEST:
            integers, scale = module.integers.cpu().numpy(), _array(module.scale)
    return Layer(name, module.in_features, module.out_features, topology, weight, bias, integers, scale, kind)


def _normalized(layer: Layer, norm: nn.BatchNorm1d | nn.SyncBatchNorm) -> Layer:
    """The layer with a batch normalisation by running statistics behind it made part of it."""
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError(
            f"expected running statistics behind layer {layer.name}, got {norm}; train it with track_running_stats=True"
        )
    if norm.num_features != layer.n_out:
        raise ValueError(
            f"expected {layer.n_out} features behind layer {layer.name}, got {norm}; give it the width of the layer"
        )
    factor = (norm.running_var.double() + norm.eps).rsqrt()
    shift = -norm.running_mean.double() * factor
    if norm.affine:
        factor, shift = factor * norm.weight.double(), shift * norm.weight.double() + norm.bias.double()
    gain = factor.detach().cpu().numpy()
    bias = shift.detach().cpu().numpy() + (0 if layer.bias is None else layer.bias * gain)
    fan_in = np.full(layer.n_out, layer.n_in) if layer.topology is None else layer.topology.fan_in
    if layer.scale is None or layer.integers is None:
        weight, scale, kind = layer.weight * np.repeat(gain, fan_in), None, "float32"
    else:
        scale, kind = (layer.scale * gain).astype(np.float32), layer.kind
        weight = layer.integers * np.repeat(scale, fan_in)
    changed = {"weight": weight.astype(np.float32), "bias": bias.astype(np.float32), "scale": scale, "kind": kind}
    return layer._replace(**changed)


def _parameter(module: nn.Module) -> float:
    if isinstance(module, nn.GELU):
        return float(module.approximate == "tanh")
    return float(getattr(module, {nn.LeakyReLU: "negative_slope", nn.ELU: "alpha"}.get(type(module), ""), 0.0))


def _array(tensor: Any) -> np.ndarray:
    return tensor.detach().cpu().to(torch.float32).numpy()


def _check_width(found: list[Layer]) -> None:
    if len(found) > 1 and found[-2].n_out != found[-1].n_in:
        a, b = found[-2:]
        raise ValueError(
            f"expected layer {b.name} to read {a.n_out} features, got n_in={b.n_in}; make it as wide as layer {a.name}"
        )
