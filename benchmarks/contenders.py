"""One layer to run, the interface of everything that runs it, and the check that comes before any timing."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from prewired import Topology, generators

TOLERANCE = 1e-4  # of the largest expected value: float32 sums in another order pass, bfloat16 does not


class Case(NamedTuple):
    """A layer with its weights, its input (batch, n_in) and the gradient of its output (batch, n_out)."""

    topology: Topology
    linear: nn.Linear  # zero where there is no edge
    x: torch.Tensor
    g: torch.Tensor


class Contender(NamedTuple):
    """One way to run the layer of a case."""

    forward: Callable[[], torch.Tensor]  # the output, (batch, n_out), without autograd
    step: Callable[[], None] | None = None  # forward and backward; None if it cannot
    gradients: Callable[[], dict[str, torch.Tensor]] | None = None  # what the last step has left
    adds_bias: bool = True


def make_case(width: int, batch: int, density: float, seed: int = 0) -> Case:
    """A square layer on a random biregular graph."""
    topology = generators.biregular(width, width, density=density, seed=seed)
    torch.manual_seed(seed)
    return Case(topology, sparse_linear(topology), torch.randn(batch, width), torch.randn(batch, width))


def sparse_linear(topology: Topology) -> nn.Linear:
    """An nn.Linear whose weights are zero where there is no edge, and nowhere else."""
    linear = nn.Linear(topology.n_in, topology.n_out)
    values = torch.empty(topology.n_edges).uniform_(0.5, 1.5) * torch.randint(0, 2, (topology.n_edges,)).mul(2).sub(1)
    with torch.no_grad():
        linear.weight.zero_()
        linear.weight[edges(topology)] = values * (topology.n_edges / topology.n_out) ** -0.5
    return linear


def edges(topology: Topology) -> tuple[torch.Tensor, torch.Tensor]:
    """The output and the input of each edge."""
    outputs = torch.repeat_interleave(torch.arange(topology.n_out), torch.tensor(topology.fan_in))
    return outputs, torch.tensor(topology.indices).long()


def feature_major(x: torch.Tensor) -> torch.Tensor:
    """The same matrix with strides (1, batch)."""
    return x.t().contiguous().t()


def run_module(module: nn.Module, edge_gradient: Callable[[], torch.Tensor], case: Case) -> Contender:
    """A module that stands where nn.Linear stood; edge_gradient gives the gradient of its weights, in edge order."""
    x = case.x.clone().requires_grad_()

    def forward() -> torch.Tensor:
        with torch.no_grad():
            return module(x)

    def step() -> None:
        x.grad = None
        module.zero_grad(set_to_none=True)
        module(x).backward(case.g)

    def gradients() -> dict[str, torch.Tensor]:
        return {"input": _grad(x), "weights": edge_gradient(), "bias": _grad(module.get_parameter("bias"))}

    return Contender(forward, step, gradients)


def results(contender: Contender) -> dict[str, torch.Tensor]:
    """The output, and the gradients where there are any."""
    output = contender.forward().clone()
    if contender.step is None or contender.gradients is None:
        return {"output": output}
    contender.step()
    return {"output": output, **{f"gradient of the {name}": value for name, value in contender.gradients().items()}}


def complaint(contender: Contender, case: Case, expected: dict[str, torch.Tensor]) -> str:
    """What is wrong with a contender's results, "" if nothing is; `expected` are those of the dense layer."""
    for name, found in results(contender).items():
        bias_missing = name == "output" and not contender.adds_bias
        target = expected[name] - case.linear.bias.detach() if bias_missing else expected[name]
        if problem := difference(found, target):
            return f"wrong {name}: {problem}"
    return ""


def difference(found: torch.Tensor, expected: torch.Tensor, tolerance: float = TOLERANCE) -> str:
    """How a result differs from the expected one, "" if it does not."""
    if found.shape != expected.shape:
        return f"shape {tuple(found.shape)}, expected {tuple(expected.shape)}"
    error = float((found - expected).abs().max() / expected.abs().max())
    return "" if error < tolerance else f"off by {error:.1e} of the largest value"


def _grad(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.grad is None:
        raise RuntimeError("expected a gradient after the step, got None")
    return tensor.grad
