"""Modules that hold a wiring: in their buffers, in their state_dict, and compared when one is loaded."""

from typing import Any

import torch
from torch import nn

from ..ops.plan import Plan, plan

WIRING = ("n_in", "indptr", "indices")
"""The buffers that say the whole wiring, and so are in the state_dict."""


class SparseModule(nn.Module):
    """A module with the wiring of a topology in its buffers: `n_in`, `indptr`, and tensors of its Plan.

    `n_in`, `indptr` and `indices` travel in the state_dict and are compared when one is loaded. All are a function of
    the topology, so a module that leaves the meta device makes them again. Without a topology, as a dense layer may be,
    there is nothing of this.
    """

    topology: Any  # a Topology, or None
    n_in: torch.Tensor
    indptr: torch.Tensor
    indices: torch.Tensor
    starts: torch.Tensor
    _planned: tuple[str, ...] = Plan._fields
    """Which tensors of the Plan the module reads."""
    _values: str = "weight"
    """The tensor whose device is the module's."""

    def _wire(self, device: Any) -> None:
        """Register the index tensors; the topology alone decides what they are."""
        if self.topology is None:
            return
        device = torch.get_default_device() if device is None else device
        for name in ("n_in", "indptr"):
            self.register_buffer(name, torch.tensor(getattr(self.topology, name), device=device))
        with torch.device("cpu"):
            planned = plan(self.topology)
        for name in self._planned:
            self.register_buffer(name, getattr(planned, name).to(device), persistent=name == "indices")

    def wiring(self) -> list[torch.Tensor]:
        """The index tensors."""
        return (
            []
            if self.topology is None
            else [self.get_buffer(name) for name in dict.fromkeys((*WIRING, *self._planned))]
        )

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """As every module, but layers that leave the meta device get their index tensors again, not empty ones."""
        was_meta = getattr(self, self._values).is_meta
        super()._apply(fn, recurse)
        self._wire_again(was_meta)
        return self

    def _wire_again(self, was_meta: bool) -> None:
        device = getattr(self, self._values).device
        if was_meta and device.type != "meta":
            self._wire(device)

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ):
        """Refuse weights that belong to another wiring, even where the shapes agree; old ones may have no n_in."""
        was_meta = getattr(self, self._values).is_meta
        if self.topology is not None and not self._same_wiring(state_dict, prefix, error_msgs):
            return
        arguments = state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        super()._load_from_state_dict(*arguments)
        self._wire_again(was_meta)

    def _same_wiring(self, state_dict: dict[str, Any], prefix: str, error_msgs: list[str]) -> bool:
        """Compare the wiring in a state_dict with the module's own, which takes its place there."""
        if prefix + "indptr" in state_dict:
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
