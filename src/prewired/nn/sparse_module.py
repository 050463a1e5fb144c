"""SparseModule: a module with a wiring that nothing changes, and that loading a state_dict compares."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ..ops.plan import get_plan
from ..topology import Topology
from .rank_agreement import compare_layer

WIRING = ("n_in", "indptr", "indices")
"""The entries of the state_dict that describe the whole wiring."""


def _wiring_property(name: str) -> property:
    """A property that returns a copy of a part of the wiring; setting it to equal integers changes nothing."""

    def get(self: "SparseModule") -> torch.Tensor:
        return self._wiring_tensor(name)

    def set_equal(self: "SparseModule", value: Any) -> None:
        if difference := find_difference(value, self._wiring_tensor(name)):
            raise AttributeError(_another_wiring(name, self.topology, difference))

    return property(get, set_equal, doc=f"A copy of `topology.{name}` as a tensor.")


class SparseModule(nn.Module):
    """A module with the wiring of a topology, which is the same as long as the module exists.

    The kernels read the plan of the topology. It has neither buffers nor parameters, so no optimiser, average,
    broadcast or state_dict writes to it. The state_dict contains copies of `n_in`, `indptr` and `indices`; loading
    compares them with the topology of the module. A module without a topology (a dense layer) has no plan.
    """

    in_features: int
    out_features: int
    _topology: Topology | None = None
    _plan: Any = None
    _needs_backward: bool = True
    """Whether the module computes gradients or dense matrices."""
    _device_tensor: str = "weight"
    """The name of the tensor whose device is the device of the module."""
    _compared_mesh: Any = None

    n_in = _wiring_property("n_in")
    indptr = _wiring_property("indptr")
    indices = _wiring_property("indices")

    def _set_wiring(self, topology: Topology | None) -> None:
        """Compute the plan; call it once, when the module is built."""
        if topology is not None:
            self._topology = topology
            self._plan = get_plan(topology, self._needs_backward)

    @property
    def topology(self) -> Any:
        """The Topology of the module; None for a dense layer."""
        return self._topology

    @topology.setter
    def topology(self, value: Any) -> None:
        raise AttributeError("expected the topology that the layer was built with; build a new layer for a new wiring")

    @property
    def index_bytes(self) -> int:
        """Bytes of the index arrays that the kernels read."""
        return 0 if self._plan is None else self._plan.n_bytes

    def _wiring_tensor(self, name: str) -> torch.Tensor:
        """A copy of a part of the wiring, on the device of the weights, or on the CPU for the meta device."""
        if self._topology is None:
            raise AttributeError(f"expected a sparse layer, got a dense {type(self).__name__}, which has no {name}")
        device = getattr(self, self._device_tensor).device
        return torch.tensor(getattr(self._topology, name), device="cpu" if device.type == "meta" else device)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        # FSDP sets the sharded parameters in this way. A process would not notice that other processes are wired
        # differently, because the parameters have the same shapes.
        mesh = getattr(value, "device_mesh", None) if isinstance(value, nn.Parameter) else None
        if mesh is not None and self._compared_mesh is not mesh and self.topology is not None:
            self._compared_mesh = mesh
            compare_layer(self, mesh)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_compared_mesh"}

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name in self._wiring_names():
            destination[prefix + name] = self._wiring_tensor(name)

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ):
        """Load all tensors of this module, or none if they are of another wiring, type or shape."""
        entries = {key[len(prefix) :]: value for key, value in state_dict.items() if key.startswith(prefix)}
        if error := self._find_load_error(entries):
            error_msgs.append(f"{prefix}{error}")
            return
        wiring = {name: state_dict.pop(prefix + name, None) for name in self._wiring_names()}
        arguments = state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        super()._load_from_state_dict(*arguments)
        if wiring.get("indptr") is None:  # early checkpoints have no n_in
            missing_keys.extend(prefix + name for name in wiring)

    def _wiring_names(self) -> tuple[str, ...]:
        return () if self.topology is None else WIRING

    def _find_load_error(self, entries: Mapping[str, Any]) -> str | None:
        """The first reason, beginning with the name of an entry, why this module cannot load these entries."""
        if any(_holds_weights(name) for name in entries):
            for name in self._wiring_names():
                if name not in entries and name != "n_in":
                    return (
                        f"{name}: expected the wiring {self.topology.digest[:12]} of this layer beside its weights, "
                        "got weights without a wiring; load the whole state_dict, or, if the weights are of this "
                        "wiring, load {**net.state_dict(), **weights}"
                    )
                if name in entries and (difference := find_difference(entries[name], self._wiring_tensor(name))):
                    return _another_wiring(name, self.topology, difference)
        for name, own in {**self._parameters, **self._buffers}.items():
            if own is not None and name in entries and (difference := self._find_misfit(entries[name], own)):
                return f"{name}: expected {own.dtype} of shape {tuple(own.shape)}, got {difference}"
        return None

    def _find_misfit(self, loaded: Any, own: torch.Tensor) -> str | None:
        """What a loaded tensor is, if it does not fit the module's own tensor."""
        if not isinstance(loaded, torch.Tensor):
            return f"{type(loaded).__name__}; load tensors"
        if loaded.is_meta and not own.is_meta:
            return "a tensor on the meta device, without values; load the values first"
        if loaded.shape != own.shape:
            return f"a size mismatch, {tuple(loaded.shape)}; build the layer as the trained layer was built"
        return None if self._has_fitting_type(loaded, own) else f"{loaded.dtype}; build a layer of this type"

    def _has_fitting_type(self, loaded: torch.Tensor, own: torch.Tensor) -> bool:
        """Whether a loaded tensor has a type that this module converts."""
        return loaded.is_floating_point() == own.is_floating_point()


def find_difference(value: Any, own: torch.Tensor) -> str | None:
    """Say how a value differs from a tensor of integers; None if it is a tensor of the same integers, in any type.

    Example:
        >>> find_difference(torch.tensor([1, 5]), torch.tensor([1, 2]))
        '5 at position 1, expected 2'
    """
    if not isinstance(value, torch.Tensor):
        return f"{type(value).__name__}, expected a tensor"
    is_integer = not (value.is_floating_point() or value.is_complex() or value.is_quantized)
    if not is_integer or value.dtype == torch.bool or value.shape != own.shape or value.layout != torch.strided:
        return f"{value.dtype} of shape {tuple(value.shape)}, expected integers of shape {tuple(own.shape)}"
    if value.is_meta:
        return "a tensor on the meta device, without values"
    numbers, own_numbers = (tensor.detach().cpu().to(torch.int64).reshape(-1) for tensor in (value, own))
    if torch.equal(numbers, own_numbers):
        return None
    at = int((numbers != own_numbers).nonzero()[0])
    return f"{int(numbers[at])} at position {at}, expected {int(own_numbers[at])}"


def _holds_weights(name: str) -> bool:
    """Whether an entry of a module's state_dict depends on the wiring, whatever pruning or a norm calls the weights."""
    name = name.removeprefix("parametrizations.")
    return not name.startswith("bias") and ("." not in name or name.startswith(("weight.", "values.")))


def _another_wiring(name: str, t: Topology, difference: str) -> str:
    return (
        f"{name}: expected the wiring {t.digest[:12]} of this layer, got another one ({difference}); build the layer "
        "from the topology that the weights were trained on"
    )
