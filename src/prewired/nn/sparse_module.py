"""SparseModule: a module whose buffers hold a wiring, which loading a state_dict compares."""

from typing import Any

import torch
from torch import nn

from ..ops.plan import Plan, plan

WIRING = ("n_in", "indptr", "indices")
"""The buffers that describe the whole wiring; the state_dict contains them."""


class SparseModule(nn.Module):
    """A module with the wiring of a topology in its buffers: `n_in`, `indptr`, and tensors of its Plan.

    The state_dict contains `n_in`, `indptr` and `indices`; loading compares them with the module's own. All index
    tensors are a function of the topology, so a module that leaves the meta device computes them again. A module
    without a topology (a dense layer) has no index tensors.
    """

    topology: Any  # a Topology, or None
    n_in: torch.Tensor
    indptr: torch.Tensor
    indices: torch.Tensor
    starts: torch.Tensor
    _plan_fields: tuple[str, ...] = Plan._fields
    """The fields of the Plan that the module reads."""
    _device_tensor: str = "weight"
    """The name of the tensor whose device is the device of the module."""

    def _register_wiring(self, device: Any) -> None:
        """Compute the index tensors from the topology and register them as buffers."""
        if self.topology is None:
            return
        device = torch.get_default_device() if device is None else device
        for name in ("n_in", "indptr"):
            self.register_buffer(name, torch.tensor(getattr(self.topology, name), device=device))
        with torch.device("cpu"):
            plan_tensors = plan(self.topology)
        for name in self._plan_fields:
            self.register_buffer(name, getattr(plan_tensors, name).to(device), persistent=name == "indices")

    def index_tensors(self) -> list[torch.Tensor]:
        """The buffers that describe the wiring; none without a topology."""
        names = () if self.topology is None else dict.fromkeys((*WIRING, *self._plan_fields))
        return [self.get_buffer(name) for name in names]

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """Move or cast as nn.Module does; a module that leaves the meta device gets its index tensors back."""
        was_on_meta = getattr(self, self._device_tensor).is_meta
        super()._apply(fn, recurse)
        self._restore_wiring(was_on_meta)
        return self

    def _restore_wiring(self, was_on_meta: bool) -> None:
        device = getattr(self, self._device_tensor).device
        if was_on_meta and device.type != "meta":
            self._register_wiring(device)

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ):
        """Refuse weights of another wiring, even if the shapes agree."""
        was_on_meta = getattr(self, self._device_tensor).is_meta
        if self.topology is not None and not self._has_same_wiring(state_dict, prefix, error_msgs):
            return
        arguments = state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        super()._load_from_state_dict(*arguments)
        self._restore_wiring(was_on_meta)

    def _has_same_wiring(self, state_dict: dict[str, Any], prefix: str, error_msgs: list[str]) -> bool:
        """Compare the wiring in a state_dict with the module's own, and put the module's own tensors in its place."""
        if prefix + "indptr" in state_dict:  # early checkpoints have no n_in
            state_dict.setdefault(prefix + "n_in", self.n_in)
        for name in WIRING:
            loaded, own = state_dict.get(prefix + name), torch.tensor(getattr(self.topology, name), device="cpu")
            if loaded is None:
                continue
            if not torch.is_tensor(loaded) or not torch.equal(loaded.to(own), own):
                error_msgs.append(
                    f"{prefix}{name}: expected the wiring {self.topology.digest[:12]} of this layer, got another one; "
                    "build the layer from the topology that the weights were trained on"
                )
                return False
            state_dict[prefix + name] = getattr(self, name)
        return True
