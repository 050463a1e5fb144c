"""A dense and a pre-defined sparse net on MNIST, as in the public code of Dey et al.

S. Dey, K.-W. Huang, P. A. Beerel and K. M. Chugg, "Pre-defined sparse neural networks with hardware acceleration",
IEEE JETCAS 2019. Their repository has the results of a dense net 784-112-10 and of a net 800-100-10 whose inputs
(16 of them always 0) have 50 edges each, its hidden units 400: 0.46 of the other's weights. Both are single runs.

    python examples/reproductions/dey_mnist.py --runs 10

Followed are that code and Keras 2.2.4, which it names; README.md beside this file says in which points.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from ledger import Images, Job, Published, arguments, digest_of, images, table, work_off
from torch import nn

from prewired import SparseLinear, Topology, generators

Layer = nn.Linear | SparseLinear
BATCH = 256
RATE, RATE_DECAY, ADAM_EPSILON = 1e-3, 1e-5, 1e-7
BIAS = 0.1
TRUNCATED = 0.87962566103423978
"""The standard deviation of N(0, 1) cut off at 2 on either side, by which Keras divides."""


@dataclass(frozen=True)
class Net:
    """Sizes, fan-in of the hidden units (None: all), factor of the sum of the squared weights, published accuracy."""

    sizes: tuple[int, int, int]
    fan_in: int | None
    penalty: float
    published: float


NETS = {
    "dense": Net((784, 112, 10), None, 1.1e-4, 98.09),
    "sparse": Net((800, 100, 10), 400, 8e-5, 97.97),
}


@dataclass(frozen=True)
class Config:
    """What decides a run, beside the constants above."""

    net: str
    seed: int
    epochs: int = 50
    batch: int = BATCH

    @property
    def name(self) -> str:
        return self.net if self.batch == BATCH else f"{self.net}/{self.batch}"

    def digest(self, data: str, wirings: Sequence[str]) -> str:
        constants = [asdict(NETS[self.net]), RATE, RATE_DECAY, ADAM_EPSILON, BIAS]
        return digest_of({**asdict(self), "constants": constants, "data": data, "wirings": list(wirings)})


def mnist() -> Images:
    """All 60,000 training images, with those that the code keeps for validation, and all 10,000 for testing."""
    return images("mnist").scaled(torch.float32)


def padded(x: torch.Tensor, n: int) -> torch.Tensor:
    """Zeros appended to every row, up to n numbers."""
    return nn.functional.pad(x, (0, n - x.shape[1]))


def wiring(net: Net, seed: int) -> Topology | None:
    """The first junction's graph, both degrees constant; None where it is complete."""
    return generators.biregular(*net.sizes[:2], fan_in=net.fan_in, seed=seed) if net.fan_in else None


def layers_of(net: Net, topology: Topology | None, source: torch.Generator) -> tuple[Layer, Layer]:
    """Both layers with He's normal weights, cut off at two standard deviations, and biases 0.1.

    The code draws complete matrices and then deletes, so that weights have the scale of a complete layer's.
    """
    n_in, n_hidden, n_out = net.sizes
    first = SparseLinear(topology) if topology else nn.Linear(n_in, n_hidden)
    layers = first, nn.Linear(n_hidden, n_out)
    for layer in layers:
        scale = math.sqrt(2 / layer.in_features) / TRUNCATED
        nn.init.trunc_normal_(layer.weight, std=scale, a=-2 * scale, b=2 * scale, generator=source)
        assert layer.bias is not None
        nn.init.constant_(layer.bias, BIAS)
    return layers


def train(config: Config, data: Images, layers: tuple[Layer, Layer], source: torch.Generator) -> Iterator[float]:
    """Train in place; the accuracy in per cent on the test images after each epoch."""
    net = nn.Sequential(layers[0], nn.ReLU(), layers[1])
    x, x_test = (padded(part, layers[0].in_features) for part in (data.x, data.x_test))
    groups = [
        {"params": [layer.weight for layer in layers], "weight_decay": 2 * NETS[config.net].penalty},
        {"params": [layer.bias for layer in layers], "weight_decay": 0.0},
    ]
    adam = torch.optim.Adam(groups, RATE, eps=ADAM_EPSILON, fused=True)
    slower = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: 1 / (1 + RATE_DECAY * step))
    for _ in range(config.epochs):
        for rows in torch.randperm(len(x), generator=source).split(config.batch):
            adam.zero_grad()
            nn.functional.cross_entropy(net(x[rows]), data.y[rows]).backward()
            adam.step()
            slower.step()
        with torch.no_grad():
            yield 100 * float((net(x_test).argmax(1) == data.y_test).double().mean())


def job(config: Config, data: Images) -> Job:
    """A run, ready to be done."""
    net, source = NETS[config.net], torch.Generator().manual_seed(config.seed)
    topology = wiring(net, config.seed)
    layers = layers_of(net, topology, source)
    edges = sum(layer.weight.numel() for layer in layers)
    digest = config.digest(data.digest(), [topology.digest] if topology else [])
    return Job(config.seed, config.name, config.seed, edges, digest, lambda: list(train(config, data, layers, source)))


def main(argv: Sequence[str] | None = None, load: Callable[[], Images] = mnist) -> None:
    """Do the runs that are missing and print the table."""
    title, out = str(__doc__).split("\n")[0], Path(__file__).with_name("dey_mnist.csv")
    parser = arguments(title, runs=5, epochs=50, out=out)
    parser.add_argument("--batch", type=int, default=BATCH, help="images per step")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    data = load()
    configs = [Config(net, seed, options.epochs, options.batch) for net in NETS for seed in range(options.runs)]
    published = [
        Published(Config(name, 0, batch=options.batch).name, "final_test", net.published, 1)
        for name, net in NETS.items()
    ]
    print(table(work_off((job(config, data) for config in configs), options.out), published))


if __name__ == "__main__":
    main()
