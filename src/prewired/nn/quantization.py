"""Quantization of trained weights: float16, bfloat16, or int8 and int4 with a scale for each output."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ..ops.autograd import LayerArguments, apply_layers, check_call, refuse_scripting
from ..topology import Topology
from .integer_weights import cast_to, dequantize, pack_int4, round_weights, unpack_int4
from .linear import SparseLinear
from .sparse_module import SparseModule

FLOATS = {"float16": torch.float16, "bfloat16": torch.bfloat16}
LARGEST = {"int8": 127, "int4": 7}
"""The largest integer of a kind; the smallest integer is its negative."""
QUANTIZED_KINDS = (*FLOATS, *LARGEST)
_LINEAR = (SparseLinear, nn.Linear)


class QuantizedLinear(SparseModule):
    """A linear layer, sparse or dense, that stores its weights in few bits and computes in float32; for inference.

    The weight of edge k at output j is values[k] * scale[j], or values[k] itself for the floating-point kinds. Every
    call converts the values to float32, so between calls the layer's memory is that of the values and the wiring.
    Casts to another type do not change the layer.

    Args:
        kind: one of QUANTIZED_KINDS.
        values: (n_edges,) in edge order, or n_out * n_in row by row for a dense layer; int8, or the type of the kind.
            For "int4" (ceil(n_edges / 2),) uint8, see `pack_int4`.
        scale: (n_out,) bfloat16 for "int8" and "int4", else None.
        bias: (n_out,) or None.
        wiring: the topology, or (n_in, n_out) of a dense layer.

    Raises:
        ValueError: if the kind is unknown or a tensor has another type or shape.

    Example:
        >>> from prewired import generators
        >>> layer = quantize(SparseLinear(generators.rotating(8, 4, fan_in=2)), "int4")
        >>> layer, layer.values.shape
        (QuantizedLinear(int4, 8 -> 4, 8 edges), torch.Size([4]))
    """

    values: torch.Tensor
    scale: torch.Tensor | None
    bias: torch.Tensor | None
    _needs_backward = False
    _device_tensor = "values"

    def __init__(
        self,
        kind: str,
        values: torch.Tensor,
        scale: torch.Tensor | None,
        bias: torch.Tensor | None,
        wiring: Topology | tuple[int, int],
    ) -> None:
        super().__init__()
        check_kind(kind)
        self.kind = kind
        sides = (wiring.n_in, wiring.n_out) if isinstance(wiring, Topology) else wiring
        if not all(isinstance(side, int) and side > 0 for side in sides):
            raise ValueError(f"expected n_in and n_out of a dense layer, integers >= 1, got {sides}")
        self.in_features, self.out_features = sides
        self.n_edges = wiring.n_edges if isinstance(wiring, Topology) else self.in_features * self.out_features
        for name, tensor in (("values", values), ("scale", scale), ("bias", bias)):
            self._check_tensor(name, tensor)
            self.register_buffer(name, tensor)
        self._set_wiring(wiring if isinstance(wiring, Topology) else None)

    def _check_tensor(self, name: str, tensor: torch.Tensor | None) -> None:
        n = -(-self.n_edges // 2) if self.kind == "int4" else self.n_edges
        expected = {
            "values": ({"int8": torch.int8, "int4": torch.uint8, **FLOATS}[self.kind], n),
            "scale": (torch.bfloat16, self.out_features) if self.kind in LARGEST else None,
            "bias": None if tensor is None else (tensor.dtype, self.out_features),
        }[name]
        actual = None if tensor is None else (tensor.dtype, *tensor.shape)
        if actual != expected:
            raise ValueError(f"{self.kind} layer: expected {name} as {expected}, got {actual}; use prewired.quantize")

    @property
    def integers(self) -> torch.Tensor:
        """The integers, (n_edges,) int8, of an "int8" or "int4" layer.

        Raises:
            TypeError: for a floating-point kind.
        """
        if self.kind not in LARGEST:
            raise TypeError(f"expected a layer of {' or '.join(LARGEST)}, got {self.kind}")
        return unpack_int4(self.values, self.n_edges) if self.kind == "int4" else self.values

    @property
    def weight(self) -> torch.Tensor:
        """The weights in float32: (n_edges,) in edge order, or (n_out, n_in) of a dense layer."""
        if self.topology is None:
            fan_in = self.values.new_full((self.out_features,), self.in_features, dtype=torch.int64)
            return dequantize(self.values, self.scale, fan_in, self.n_edges).view(self.out_features, self.in_features)
        return dequantize(self.values, self.scale, self.indptr.diff(), self.n_edges)

    def _find_load_error(self, entries: Mapping[str, Any]) -> str | None:
        own = ["values"] if self.scale is None else ["values", "scale"]
        loaded = [name for name in ("values", "scale") if name in entries]
        if loaded and loaded != own:
            return f"{loaded[0]}: expected {' and '.join(own)} of {self.kind}, got {' and '.join(loaded)} alone"
        return super()._find_load_error(entries)

    def _has_fitting_type(self, loaded: torch.Tensor, own: torch.Tensor) -> bool:
        return loaded.dtype == own.dtype

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        def convert(tensor: torch.Tensor) -> torch.Tensor:
            result = fn(tensor)
            return result if result.dtype == tensor.dtype else tensor.to(result.device)

        return super()._apply(convert, recurse)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the layer to x, (..., n_in) float32; returns (..., n_out).

        Raises:
            ValueError: if the last dimension is not n_in.
            TypeError: if x is not a float32 tensor.
            RuntimeError: if x requires gradients and gradients are enabled.
        """
        check_call(x)
        shape = x.shape
        if len(shape) == 0 or shape[-1] != self.in_features:
            raise ValueError(f"expected x of shape (..., {self.in_features}), got {tuple(shape)}")
        if x.dtype != torch.float32:
            raise TypeError(
                f"expected x in torch.float32, which a quantised layer computes in, got {x.dtype}; use x.float()"
            )
        if torch.is_grad_enabled() and x.requires_grad:
            raise RuntimeError("expected no gradients through a quantised layer; call it under torch.no_grad()")
        x = x.reshape(-1, self.in_features)
        values = (self.values if self.scale is None else self.integers).float()
        if self.topology is None:
            y = functional.linear(x, values.view(self.out_features, self.in_features))
        else:
            y = apply_layers([LayerArguments(values, None, self._plan)], x, relu=False)
        if self.scale is not None:
            y = y * self.scale
        return (y if self.bias is None else y + self.bias).reshape(*shape[:-1], self.out_features)

    def __prepare_scriptable__(self) -> Any:
        """Answer torch.jit.script."""
        refuse_scripting(self)

    def extra_repr(self) -> str:
        """Return what `repr` shows between the brackets."""
        return f"{self.kind}, {self.in_features} -> {self.out_features}, {self.n_edges:,} edges"


def quantize(net: nn.Module, kind: str) -> nn.Module:
    """Copy a network for inference, with the weights of its linear layers in fewer bits.

    "float16" and "bfloat16" round every weight and bias. "int8" and "int4" store round(weight / scale) and one scale
    for each output: of 27 candidate scales, the scale with the least squared error. Scales and biases are bfloat16, so
    with fewer than four edges per output "int8" takes more memory than "bfloat16". All other modules stay in float32;
    so do layers of classes derived from SparseLinear and nn.Linear. No parameter of the copy requires gradients.

    Args:
        net: a SparseLinear, an nn.Linear, or a module that contains some.
        kind: one of QUANTIZED_KINDS.

    Raises:
        ValueError: if the kind is unknown, there is no linear layer, weights are not finite or do not fit the kind, a
            layer has hooks, or the network cannot be copied (for example, during pruning).

    Example:
        >>> from prewired.nn import mlp
        >>> net = mlp([8, 8, 2], family="biregular", fan_in=4, seed=0)
        >>> quantize(net, "int8")
        Sequential(
          (0): QuantizedLinear(int8, 8 -> 8, 32 edges)
          (1): ReLU()
          (2): QuantizedLinear(int8, 8 -> 2, 16 edges)
        )
    """
    check_kind(kind)
    if not any(type(module) in _LINEAR for module in net.modules()):
        raise ValueError(f"expected a network with SparseLinear or nn.Linear layers, got {type(net).__name__}")
    try:
        net_copy = copy.deepcopy(net)
    except RuntimeError as error:
        raise ValueError(
            f"expected a network that can be copied, got {error}; make pruning or a parametrisation permanent, with "
            "torch.nn.utils.prune.remove or torch.nn.utils.parametrize.remove_parametrizations"
        ) from None
    return replace_modules(net_copy, _LINEAR, lambda layer: _quantize_layer(layer, kind)).float().requires_grad_(False)


def replace_modules(
    net: nn.Module, kinds: tuple[type[nn.Module], ...], create: Callable[[Any], nn.Module]
) -> nn.Module:
    """Replace some modules of a network in place; a module that appears twice gets one replacement.

    A replacement is in training mode if the module was.

    Args:
        net: a module of one of these kinds, or a module that contains some.
        kinds: the classes to replace; modules of derived classes stay.
        create: returns the replacement of a module.
    """
    replacements: dict[int, nn.Module] = {}

    def replace(module: nn.Module) -> nn.Module:
        if id(module) not in replacements:
            replacements[id(module)] = create(module).train(module.training) if type(module) in kinds else module
            if replacements[id(module)] is module:
                for name, child in module._modules.items():
                    module._modules[name] = None if child is None else replace(child)
        return replacements[id(module)]

    return replace(net)


def check_kind(kind: str) -> None:
    """Raise a ValueError that lists the kinds, unless `kind` is one of them."""
    if kind not in QUANTIZED_KINDS:
        raise ValueError(f"expected a kind among {', '.join(QUANTIZED_KINDS)}, got {kind!r}")


def _quantize_layer(layer: SparseLinear | nn.Linear, kind: str) -> QuantizedLinear:
    if layer._forward_hooks or layer._forward_pre_hooks:
        raise ValueError(f"expected layers without hooks, got one at {layer}; remove it, and add it to the new layer")
    weight = layer.weight.detach().reshape(-1)
    bias = None if layer.bias is None else layer.bias.detach()
    if weight.is_meta:
        raise ValueError("expected weights with values, got some on the meta device; load them first")
    if not all(bool(torch.isfinite(p).all()) for p in (weight, bias) if p is not None):
        raise ValueError("expected finite weights, got NaN or infinity; the training went astray")
    wiring = layer.topology if isinstance(layer, SparseLinear) else (layer.in_features, layer.out_features)
    dtype = FLOATS.get(kind, torch.bfloat16)
    bias = None if bias is None else cast_to(bias, dtype, "biases")
    if kind in FLOATS:
        return QuantizedLinear(kind, cast_to(weight, dtype, "weights"), None, bias, wiring)
    fan_in = torch.tensor(wiring.fan_in) if isinstance(wiring, Topology) else torch.full((wiring[1],), wiring[0])
    scale, integers = round_weights(weight, fan_in.to(weight.device), LARGEST[kind])
    return QuantizedLinear(kind, pack_int4(integers) if kind == "int4" else integers, scale, bias, wiring)
