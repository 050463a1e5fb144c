"""Plan: a wiring made ready for the kernels, checked once and shared by all layers that have it."""

from typing import Any
from weakref import WeakValueDictionary, finalize

import numpy as np
import torch
from torch.utils._python_dispatch import _disable_current_modes

from ..topology import Topology
from . import kernels
from .plan_arrays import FORWARD_ARRAYS, compute_arrays


class Plan:
    """The wiring of a layer, as the kernels read it.

    The compiled kernels know the wiring by its number: they hold checked copies of all index arrays in memory that
    Python cannot reach. The number depends on the wiring alone. The other kernels read the two tensors of `edges_on`.
    `get_plan` returns the plan of a topology. Copies and pickles of a plan stand for the same plan.

    Args:
        topology: the wiring.
        backward: whether to prepare gradients and dense matrices too.
    """

    def __init__(self, topology: Topology, backward: bool = True) -> None:
        self.topology, self.backward = topology, backward
        self.n_in, self.n_out, self.n_edges = topology.n_in, topology.n_out, topology.n_edges
        self.is_complete = self.n_edges == self.n_in * self.n_out
        self.number = self._array_bytes = 0
        if kernels.NATIVE:
            arrays = compute_arrays(topology)[: None if backward else FORWARD_ARRAYS]
            self.number = kernels.store_plan(self.n_in, [_create_tensor(array, "cpu") for array in arrays])
            self._array_bytes = sum(array.nbytes for array in arrays)
            finalize(self, kernels.release_plan, self.number).atexit = False
        self._edges: dict[torch.device, tuple[torch.Tensor, torch.Tensor]] = {}
        self._wiring: list[torch.Tensor] = []

    def edges_on(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """The output and the input of each edge, (n_edges,) int64 each, on a device."""
        edges = self._edges.get(device)
        if edges is None and torch.compiler.is_compiling() and kernels.NATIVE:
            outputs, inputs = kernels.list_edges(self.number).to(device)  # compilers trace operators, not NumPy
            return outputs, inputs
        if edges is None:
            t = self.topology
            outputs, inputs = np.repeat(np.arange(t.n_out), t.fan_in), t.indices.astype(np.int64)
            edges = self._edges[device] = _create_tensor(outputs, device), _create_tensor(inputs, device)
        return edges

    @property
    def wiring(self) -> list[torch.Tensor]:
        """The first arrays of `PlanArrays`, up to the mask, as tensors; exported programs contain them."""
        return [_load_array(self, k) for k in range(FORWARD_ARRAYS + 1)]

    @property
    def n_bytes(self) -> int:
        """Bytes of the index arrays in all forms that are in use."""
        tensors = [tensor for edges in self._edges.values() for tensor in edges]
        return self._array_bytes + sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def __copy__(self) -> "Plan":
        return self

    def __deepcopy__(self, memo: object) -> "Plan":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return get_plan, (self.topology, self.backward)


_plans: WeakValueDictionary[tuple[str, bool], Plan] = WeakValueDictionary()


def get_plan(topology: Topology, backward: bool = True) -> Plan:
    """Return the plan of a topology; layers with the same wiring share one.

    Raises:
        ValueError: for 2**31 edges or more.

    Example:
        >>> from prewired import generators
        >>> plan = get_plan(generators.rotating(8, 4, fan_in=2))
        >>> get_plan(generators.rotating(8, 4, fan_in=2)) is plan
        True
    """
    key = topology.digest, backward
    plan = _plans.get(key)
    if plan is None:
        plan = _plans[key] = Plan(topology, backward)
    return plan


# torch.export takes what this function returns for a constant, and does not trace the function.
@torch.compiler.assume_constant_result
def _load_array(plan: Plan, k: int) -> torch.Tensor:
    if not plan._wiring:
        plan._wiring = [_create_tensor(array, "cpu") for array in compute_arrays(plan.topology)[: FORWARD_ARRAYS + 1]]
    return plan._wiring[k]


def _create_tensor(array: np.ndarray, device: Any) -> torch.Tensor:
    """A tensor with values, also while torch traces, counts or infers."""
    with _disable_current_modes(), torch.inference_mode(False):
        return torch.tensor(array, device=device)
