"""Read a network as a chain of linear layers, each followed by at most one activation, in NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from ..io.importers import effective_weight
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
IDENTITY_MODULES = (nn.Identity, nn.Dropout, nn.AlphaDropout)
"""Modules that do nothing in evaluation mode."""


class Layer(NamedTuple):
    """One linear layer of an exported network, y = activation(W x + b), in NumPy arrays.

    Attributes:
        name: of the module, such as "0".
        n_in, n_out: numbers of inputs and outputs.
        topology: the wiring; None for a dense layer.
        weight: (n_edges,) float32 in edge order; for a dense layer (n_out * n_in,), row by row.
        bias: (n_out,) float32, or None.
        integers: (n_edges,) int8 for an "int8" or "int4" layer, else None; the weight is integers * scale of the row.
        scale: (n_out,) float32 with integers, else None.
        kind: type of the stored weights: "float32", or a kind of `prewired.quantize`.
        activation: "" or a value of ACTIVATIONS.
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


def list_layers(net: nn.Module) -> list[Layer]:
    """List the layers of a network that is a chain of linear layers and activations, in evaluation mode.

    Weights of other types are converted to float32.

    Args:
        net: a SparseLinear, nn.Linear or QuantizedLinear, or an nn.Sequential, nested or not, of these layers, the
            modules in ACTIVATIONS, nn.BatchNorm1d behind a linear layer (its factors are multiplied into the weights),
            and modules that do nothing in evaluation mode. A module may appear several times.

    Raises:
        TypeError: if net is not a module.
        ValueError: for any other module, for layers whose widths do not match, numbers that are not finite, or a
            network on the meta device.

    Example:
        >>> from prewired.nn import mlp
        >>> [(layer.n_out, layer.activation) for layer in list_layers(mlp([8, 4, 2], family="dense"))]
        [(4, 'relu'), (2, '')]
    """
    check_module(net)
    layers: list[Layer] = []
    for name, module in flatten(net):
        if type(module) in IDENTITY_MODULES:
            continue
        if isinstance(module, LINEAR):
            layers.append(_layer_of(name, module))
            _check_width(layers)
        elif not layers or type(module) not in (*ACTIVATIONS, *NORMS) or layers[-1].activation:
            where = "in front of the first layer" if not layers else f"behind layer {layers[-1].name}"
            raise ValueError(
                f"expected linear layers, each followed by at most one of "
                f"{', '.join(kind.__name__ for kind in ACTIVATIONS)}, got {module} {where}; export it with "
                "prewired.export.program, which takes any module"
            )
        elif isinstance(module, NORMS):
            layers[-1] = _fold_norm(layers[-1], module)
        else:
            activation, parameter = ACTIVATIONS[type(module)], _activation_parameter(module)
            layers[-1] = layers[-1]._replace(activation=activation, parameter=parameter)
    if not layers:
        raise ValueError(
            "expected a network with at least one linear layer, got none; prewired.export.program takes any"
        )
    for layer in layers:
        if not all(
            np.isfinite(p).all() for p in (layer.weight, layer.bias, layer.scale, layer.parameter) if p is not None
        ):
            raise ValueError(
                f"expected finite numbers in layer {layer.name}, got NaN, infinity or beyond float32; train it again"
            )
    return layers


def check_module(net: Any) -> None:
    """Raise a TypeError unless `net` is a module, and a ValueError if a tensor is on the meta device."""
    if not isinstance(net, nn.Module):
        raise TypeError(
            f"expected an nn.Module, got {type(net).__name__}; prewired.load reads a file, load_state_dict a state_dict"
        )
    if any(tensor.is_meta for tensor in (*net.parameters(), *net.buffers())):
        raise ValueError("expected a network with weights, got one on the meta device; load its weights first")


def check_finite(net: nn.Module) -> None:
    """Raise ValueError if a weight of a module is NaN or infinite; masks and other constants may be infinite."""
    for name, module in net.named_modules():
        own_buffers = [*module.named_buffers(recurse=False)] if isinstance(module, (*LINEAR, *NORMS)) else []
        for tensor_name, tensor in (*module.named_parameters(recurse=False), *own_buffers):
            if not torch.isfinite(tensor).all():
                raise ValueError(
                    f"expected finite numbers in {name or 'the network'}.{tensor_name}, got NaN or infinity; train it "
                    "again"
                )


def flatten(net: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield (name, module) for all modules in nested nn.Sequentials, in order, repeated modules too."""
    if isinstance(net, nn.Sequential):
        for child_name, child in net._modules.items():
            if child is not None:
                yield from flatten(child, f"{name}.{child_name}" if name else child_name)
    else:
        yield name or "layer", net


def _layer_of(name: str, module: SparseLinear | nn.Linear | QuantizedLinear) -> Layer:
    topology = None if isinstance(module, nn.Linear) else module.topology
    weight, bias = (
        _to_numpy(effective_weight(module)).reshape(-1),
        None if module.bias is None else _to_numpy(module.bias),
    )
    integers, scale, kind = None, None, "float32"
    if isinstance(module, QuantizedLinear):
        kind = module.kind
        if kind in LARGEST:
            integers, scale = module.integers.cpu().numpy(), _to_numpy(module.scale)
    return Layer(name, module.in_features, module.out_features, topology, weight, bias, integers, scale, kind)


def _fold_norm(layer: Layer, norm: nn.BatchNorm1d | nn.SyncBatchNorm) -> Layer:
    """Fold a batch normalisation, by its running statistics, into the weights and the bias of the layer before it."""
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
    fields = {"weight": weight.astype(np.float32), "bias": bias.astype(np.float32), "scale": scale, "kind": kind}
    return layer._replace(**fields)


def _activation_parameter(module: nn.Module) -> float:
    if isinstance(module, nn.GELU):
        return float(module.approximate == "tanh")
    return float(getattr(module, {nn.LeakyReLU: "negative_slope", nn.ELU: "alpha"}.get(type(module), ""), 0.0))


def _to_numpy(tensor: Any) -> np.ndarray:
    return tensor.detach().cpu().to(torch.float32).numpy()


def _check_width(layers: list[Layer]) -> None:
    if len(layers) > 1 and layers[-2].n_out != layers[-1].n_in:
        a, b = layers[-2:]
        raise ValueError(
            f"expected layer {b.name} to read {a.n_out} features, got n_in={b.n_in}; make it as wide as layer {a.name}"
        )
