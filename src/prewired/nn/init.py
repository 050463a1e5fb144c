"""Initial weights, scaled by each output's own fan-in, so that density does not change the scale of the activations."""

import torch

from ..topology import Topology


@torch.no_grad()
def uniform_(weight: torch.Tensor, topology: Topology) -> torch.Tensor:
    """Fill `weight` with U(-1/sqrt(fan_in), 1/sqrt(fan_in)), as nn.Linear does, with the fan-in of each output.

    Args:
        weight: (n_edges,), in edge order; filled in place from torch's global generator.
        topology: gives the fan-in of each output.

    Example:
        >>> from prewired import generators
        >>> bool(uniform_(torch.empty(8), generators.rotating(4, 4, fan_in=2)).abs().max() <= 2**-0.5)
        True
    """
    return weight.uniform_(-1, 1).mul_(_fan_in_per_edge(weight, topology) ** -0.5)


@torch.no_grad()
def kaiming_normal_(weight: torch.Tensor, topology: Topology, *, gain: float = 2**0.5) -> torch.Tensor:
    """Fill `weight` with N(0, gain^2 / fan_in), fan_in of each output; the variance stays the same through ReLU layers.

    He, Zhang, Ren and Sun, "Delving deep into rectifiers", ICCV 2015, with the fan-in of each output in the topology.

    Args:
        weight: (n_edges,), in edge order; filled in place from torch's global generator.
        topology: gives the fan-in of each output.
        gain: sqrt(2) if a ReLU follows, 1 if no activation follows.

    Example:
        >>> from prewired import generators
        >>> t = generators.dense(200, 200)
        >>> round(float(kaiming_normal_(torch.empty(t.n_edges), t).std()), 2)
        0.1
    """
    return weight.normal_().mul_(gain * _fan_in_per_edge(weight, topology) ** -0.5)


def _fan_in_per_edge(weight: torch.Tensor, topology: Topology) -> torch.Tensor:
    """The fan-in of each edge's output, float32: it may not fit in the dtype of the weights."""
    fan_in = torch.tensor(topology.fan_in, device=weight.device)
    return torch.repeat_interleave(fan_in.float(), fan_in, output_size=topology.n_edges)
