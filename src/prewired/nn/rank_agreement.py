"""Refuse distributed training of one network with different wirings, which the shapes of the parameters do not show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import distributed, nn
from torch.nn.modules.module import register_module_module_registration_hook
from torch.nn.parallel import DistributedDataParallel

from ..topology import Topology

if TYPE_CHECKING:
    from .sparse_module import SparseModule


def compare_digests(digests: dict[str, str], group: Any) -> None:
    """Compare the wirings of all processes of a group; all processes must call this function.

    Args:
        digests: the digest of each sparse layer, by its name.
        group: the process group.

    Raises:
        ValueError: on all ranks, if one rank has other wirings than the first.
    """
    ranks: list[Any] = [None] * distributed.get_world_size(group)
    distributed.all_gather_object(ranks, digests, group=group)
    for rank, other in enumerate(ranks):
        for name in sorted(ranks[0].keys() | other.keys()):
            first, second = (where.get(name, "none")[:12] for where in (ranks[0], other))
            if first != second:
                raise ValueError(
                    f"expected the same wiring on all ranks, got {first} on rank 0 and {second} on rank {rank} in "
                    f"layer {name!r}; build the network from the same topologies, or the same seed, on every rank"
                )


def compare_layer(layer: SparseModule, mesh: Any) -> None:
    """Compare the wiring of one layer over all dimensions of a device mesh.

    Raises:
        ValueError: as `compare_digests`.
    """
    for group in mesh.get_all_groups():
        compare_digests({type(layer).__name__: layer.topology.digest}, group)


def _compare_before_training(wrapper: nn.Module, name: str, net: nn.Module | None) -> None:
    """Compare the wirings of a network that is handed to DistributedDataParallel, before its tensors are broadcast."""
    if isinstance(wrapper, DistributedDataParallel) and net is not None:
        topologies = {name: getattr(module, "topology", None) for name, module in net.named_modules()}
        digests = {name: t.digest for name, t in topologies.items() if isinstance(t, Topology)}
        compare_digests(digests, wrapper.process_group)  # also without sparse layers, which other ranks may have


# DistributedDataParallel offers no hook of its own. It compares numbers and shapes of parameters only.
register_module_module_registration_hook(_compare_before_training)
