"""Dense and static Erdos-Renyi nets on 2,000 images of Fashion-MNIST, as in a public tutorial, number by number.

D. C. Mocanu et al., "Scalable training of artificial neural networks with adaptive sparse connectivity inspired by
network science", Nature Communications 2018; the tutorial at IJCAI 2019, "Scalable Deep Learning: from theory to
practice", has scripts for a dense and for a static sparse net, and files with the accuracies that they reached.

Each run draws everything from one seeded stream of NumPy's legacy generator, in the order in which those scripts
do: subset of the images, wiring, weights, order of the images, dropout. So a run here is the published run of the same
seed, up to rounding, and the first epoch agrees to 12 digits (`--check`). Here the sparse layers are SparseLinear.

    python examples/reproductions/set_tutorial.py --runs 5

What the scripts do that is unusual is written at the line that does it; README.md beside this file sums it up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from ledger import Images, Job, Published, arguments, digest_of, images, table, work_off
from torch import nn

from prewired import SparseLinear, Topology

Layer = nn.Linear | SparseLinear
NETS = ("sparse", "dense")
SIZES = (784, 1000, 1000, 1000, 10)
EPSILON = 13
SCALE = 0.1
DROPPED = 0.2
BATCH = 40
MOMENTUM = 0.9
DECAY = 2e-4
RATES = {"sparse": (0.05, 0.05), "dense": (0.001 * BATCH, 0.001)}
"""Of weights and of biases, for gradients averaged over a batch. The dense script sums those of the weights."""

PUBLISHED = (
    Published("dense", "final_test", 81.98, 5),
    Published("sparse", "final_test", 80.60, 5),
    Published("dense", "last10_mean", 81.90, 5),
    Published("sparse", "last10_mean", 80.42, 5),
)
FIRST_EPOCH = {
    ("dense", 2): (5.681134315964811e-02, 69.8),
    ("dense", 3): (5.735076216552767e-02, 66.4),
    ("sparse", 1): (9.025723493175088e-02, 26.8),
    ("sparse", 4): (9.035005288834040e-02, 23.7),
}
"""By net and seed: mean squared error and accuracy in per cent on the test images, in the published files."""


@dataclass(frozen=True)
class Config:
    """What decides a run, beside the constants above."""

    net: str
    seed: int
    epochs: int = 400

    def digest(self, data: str, wirings: Sequence[str]) -> str:
        constants = [SIZES, EPSILON, SCALE, DROPPED, BATCH, MOMENTUM, DECAY, RATES[self.net]]
        return digest_of({**asdict(self), "constants": constants, "data": data, "wirings": list(wirings)})


def legacy(seed: int) -> np.random.RandomState:
    """The generator of the published runs; NumPy has frozen its stream."""
    return np.random.RandomState(seed)


def subset(n_train: int = 2000, n_test: int = 1000) -> Images:
    """The images of all published runs: the first ones of a shuffle with seed 0, training rows before test rows."""
    everything, stream = images("fashion_mnist"), legacy(0)
    rows, test_rows = (np.arange(len(labels)) for labels in (everything.y, everything.y_test))
    stream.shuffle(rows)
    stream.shuffle(test_rows)
    few, few_test = torch.from_numpy(rows[:n_train]), torch.from_numpy(test_rows[:n_test])
    parts = everything.x[few], everything.y[few], everything.x_test[few_test], everything.y_test[few_test]
    return Images(*parts).scaled(torch.float64)


def layers_of(net: str, stream: np.random.RandomState) -> list[Layer]:
    """The four layers with weights N(0, 0.1^2) and biases 0; the sparse net's output layer is sparse, too."""
    make = {"dense": dense_layer, "sparse": sparse_layer}[net]
    return [make(*sides, stream) for sides in pairwise(SIZES)]


@torch.no_grad()
def dense_layer(n_in: int, n_out: int, stream: np.random.RandomState) -> Layer:
    """A complete layer."""
    layer = nn.Linear(n_in, n_out, dtype=torch.float64)
    layer.weight.copy_(torch.from_numpy(SCALE * stream.randn(n_in, n_out)).T)
    layer.bias.zero_()
    return layer


@torch.no_grad()
def sparse_layer(n_in: int, n_out: int, stream: np.random.RandomState) -> Layer:
    """epsilon (n_in + n_out) cells drawn one by one, the same ones more than once as well: the last weight counts."""
    weights = {}
    for _ in range(EPSILON * (n_in + n_out)):
        weight = stream.randn() * SCALE
        source, target = stream.randint(n_in), stream.randint(n_out)
        weights[target, source] = weight
    edges = sorted(weights)
    layer = SparseLinear(
        Topology.from_edges(n_in, n_out, [(source, target) for target, source in edges]), dtype=torch.float64
    )
    layer.weight.copy_(torch.tensor([weights[edge] for edge in edges], dtype=torch.float64))
    assert layer.bias is not None
    layer.bias.zero_()
    return layer


def forward(layers: Sequence[Layer], x: torch.Tensor, stream: np.random.RandomState | None = None) -> torch.Tensor:
    """The outputs before the sigmoid, (rows, 10); with dropout from the stream where one is given."""
    for depth, layer in enumerate(layers):
        z = layer(x)
        if stream is None and depth > 0:
            z = z * (1 - DROPPED)  # scales the biases, too
        if depth == len(layers) - 1:
            return z
        x = z.relu()
        if stream is not None:
            kept = torch.from_numpy(stream.rand(*x.shape) >= DROPPED)
            x = x + (x * kept - x).detach()  # errors flow back through dropped units as if they had been kept
    raise ValueError("expected at least one layer, got none")


def train(
    config: Config, data: Images, layers: Sequence[Layer], stream: np.random.RandomState
) -> Iterator[tuple[float, float]]:
    """Train in place; after each epoch, the mean squared error and the accuracy in per cent on the test images."""
    steps = [
        (parameter, rate, torch.zeros_like(parameter))
        for layer in layers
        for parameter, rate in zip(layer.parameters(), RATES[config.net], strict=True)
    ]
    wanted = nn.functional.one_hot(data.y, SIZES[-1])
    for _ in range(config.epochs):
        order = np.arange(len(data.y))
        stream.shuffle(order)
        for start in range(0, len(order) - BATCH + 1, BATCH):
            rows = torch.from_numpy(order[start : start + BATCH])
            z = forward(layers, data.x[rows], stream)
            z.backward(output_error(z.detach(), wanted[rows]) / BATCH)
            update(steps)
        yield evaluate(layers, data)


def output_error(z: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """The error sent back from the outputs: the sigmoid's slope is taken at its value, not at its argument."""
    value = z.sigmoid()
    return (value - wanted) * value.sigmoid() * (1 - value.sigmoid())


@torch.no_grad()
def update(steps: Sequence[tuple[torch.Tensor, float, torch.Tensor]]) -> None:
    """Momentum, and a decay of weights and biases that no learning rate scales."""
    for parameter, rate, velocity in steps:
        assert parameter.grad is not None
        velocity.mul_(MOMENTUM).sub_(parameter.grad, alpha=rate)
        parameter.mul_(1 - DECAY).add_(velocity)
        parameter.grad = None


@torch.no_grad()
def evaluate(layers: Sequence[Layer], data: Images) -> tuple[float, float]:
    """Mean squared error and accuracy in per cent on the test images."""
    outputs = forward(layers, data.x_test).sigmoid()
    error = (outputs - nn.functional.one_hot(data.y_test, SIZES[-1])).square().mean()
    return float(error), 100 * float((outputs.argmax(1) == data.y_test).double().mean())


def job(config: Config, data: Images) -> Job:
    """A run, ready to be done."""
    stream = legacy(config.seed)
    layers = layers_of(config.net, stream)
    wirings = [layer.topology.digest for layer in layers if isinstance(layer, SparseLinear)]
    edges = sum(layer.weight.numel() for layer in layers)

    def curve() -> list[float]:
        return [accuracy for _, accuracy in train(config, data, layers, stream)]

    return Job(config.seed, config.net, config.seed, edges, config.digest(data.digest(), wirings), curve)


def check(data: Images) -> None:
    """Print the first epoch of the published runs that can be read, beside ours."""
    for (net, seed), published in FIRST_EPOCH.items():
        stream = legacy(seed)
        error, accuracy = next(train(Config(net, seed), data, layers_of(net, stream), stream))
        ours = f"{error:.13f} {accuracy:.1f} %"
        print(f"{net:<8} run {seed}: error and accuracy {ours}, published {published[0]:.13f} {published[1]:.1f} %")


def main(argv: Sequence[str] | None = None, load: Callable[[], Images] = subset) -> None:
    """Do the runs that are missing and print the table."""
    parser = arguments(
        str(__doc__).split("\n")[0], runs=5, epochs=400, out=Path(__file__).with_name("set_tutorial.csv")
    )
    parser.add_argument(
        "--check", action="store_true", help="compare the first epochs with the published ones, no more"
    )
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    data = load()
    if options.check:
        check(data)
        return
    configs = [Config(net, seed, options.epochs) for net in NETS for seed in range(options.runs)]
    print(table(work_off((job(config, data) for config in configs), options.out), PUBLISHED))


if __name__ == "__main__":
    main()
