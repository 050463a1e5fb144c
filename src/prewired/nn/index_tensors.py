"""IndexTensors: the index tensors of a topology on one device, which no module lists as its buffers."""

from typing import Any

import torch

from ..ops.plan import BACKWARD, FORWARD, plan
from ..topology import Topology


class IndexTensors:
    """The index tensors of a topology on one device, computed from the topology alone; the kernels read them.

    Deep copies share the tensors, since nothing writes to them. A pickle holds only the topology, and computes the
    tensors again.

    Args:
        topology: the wiring.
        device: of the tensors.
        backward: whether to store the tensors that only gradients and the dense kernel read.

    Example:
        >>> from prewired import generators
        >>> IndexTensors(generators.rotating(3, 3, fan_in=2), "cpu").forward[1]
        tensor([0, 1, 1, 2, 0, 2], dtype=torch.int32)
    """

    def __init__(self, topology: Topology, device: Any, backward: bool = True) -> None:
        # Tensors that inference mode creates could not be used for gradients later.
        with torch.device("cpu"), torch.inference_mode(False):
            tensors = {name: tensor.to(device) for name, tensor in plan(topology)._asdict().items()}
        self.topology = topology
        self.forward = tuple(tensors[name] for name in FORWARD)
        self.backward = tuple(tensors[name] for name in BACKWARD) if backward else ()
        self.mask = tensors["mask"] if backward else None
        self.device = self.forward[0].device

    def to(self, device: torch.device) -> "IndexTensors":
        """The index tensors of the same topology on another device."""
        return IndexTensors(self.topology, device, bool(self.backward))

    @property
    def n_bytes(self) -> int:
        """Bytes of the tensors."""
        tensors = (*self.forward, *self.backward, *(() if self.mask is None else (self.mask,)))
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def __copy__(self) -> "IndexTensors":
        return self

    def __deepcopy__(self, memo: object) -> "IndexTensors":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return IndexTensors, (self.topology, "cpu", bool(self.backward))
