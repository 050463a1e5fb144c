"""SparseLinear beside nn.Linear, 128 x 1024 x 1024 in float32: dense time / sparse time, interleaved in one run.

python benchmarks/layer.py [ROUNDS]
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import nn

from prewired import SparseLinear, generators

BATCH, WIDTH = 128, 1024
DENSITIES = (0.01, 0.05, 0.1, 0.2, 0.3)


def pass_through(layer: nn.Module, x: torch.Tensor, g: torch.Tensor, *, backward: bool) -> Callable[[], None]:
    """One forward, or forward and backward, pass."""

    def call() -> None:
        if not backward:
            with torch.no_grad():
                layer(x)
            return
        x.grad = None
        layer.zero_grad(set_to_none=True)
        layer(x).backward(g)

    return call


def medians(calls: dict[str, Callable[[], None]], rounds: int, repeats: int = 10) -> dict[str, float]:
    """Median seconds per call, the calls taken in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(repeats):
                call()
            seconds[name].append((time.perf_counter() - start) / repeats)
    return {name: statistics.median(values) for name, values in seconds.items()}


def measure(density: float, rounds: int) -> list[float]:
    """Dense time / sparse time: forward and forward+backward, row-major, then feature-major."""
    sparse = SparseLinear(generators.biregular(WIDTH, WIDTH, density=density, seed=0))
    dense = nn.Linear(WIDTH, WIDTH)
    with torch.no_grad():
        dense.weight.copy_(sparse.to_dense())
        dense.bias.copy_(sparse.bias)
    x, g = torch.randn(BATCH, WIDTH), torch.randn(BATCH, WIDTH)
    torch.testing.assert_close(sparse(x), dense(x), rtol=1e-4, atol=1e-4)
    layouts = {"row": (x, g), "feature": (x.t().contiguous().t(), g.t().contiguous().t())}
    calls = {}
    for backward in (False, True):
        calls["dense", backward] = pass_through(dense, x.clone().requires_grad_(), g, backward=backward)
        for name, (x_, g_) in layouts.items():
            calls[name, backward] = pass_through(sparse, x_.detach().requires_grad_(), g_, backward=backward)
    medians(calls, 2)
    found = medians(calls, rounds)
    return [found["dense", backward] / found[layout, backward] for layout in layouts for backward in (False, True)]


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    print("| density | threads | row-major fwd | fwd+bwd | feature-major fwd | fwd+bwd |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for density in DENSITIES:
            ratios = " | ".join(f"{ratio:.1f}" for ratio in measure(density, rounds))
            print(f"| {100 * density:g} % | {threads} | {ratios} |", flush=True)


if __name__ == "__main__":
    main()
