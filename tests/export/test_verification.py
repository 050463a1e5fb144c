"""What is accepted as agreeing with a network, and what is not."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from prewired.export.layer_chain import list_layers
from prewired.export.verification import LARGEST_DIFFERENCE, ROWS, check_batch, compare_chain, compare_outputs
from prewired.nn import mlp
from prewired.nn.quantization import QUANTIZED_KINDS, quantize

WORDS = {"name": "it", "remedy": "take another"}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def chain(net, run=None):
    return compare_chain(run or net.eval(), net, list_layers(net), **WORDS)


def relu_at_the_end():
    return nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 1), nn.ReLU())


@pytest.mark.parametrize(
    ("make", "n"),
    [
        (lambda: nn.Linear(784, 1), 300),
        (lambda: mlp([64, 64, 1], family="biregular", fan_in=8, seed=0), 50),
        (relu_at_the_end, 100),
        (lambda: nn.Sequential(nn.Linear(30, 100), nn.ReLU(), nn.Linear(100, 1), nn.Sigmoid()), 50),
        (lambda: nn.Sequential(*[m for _ in range(30) for m in (nn.Linear(50, 50), nn.Tanh())], nn.Linear(50, 1)), 5),
    ],
)
def test_what_float32_rounds_is_accepted(make, n):
    for seed in range(n):
        torch.manual_seed(seed)
        assert chain(make()) < LARGEST_DIFFERENCE / 10


@pytest.mark.parametrize("kind", QUANTIZED_KINDS)
def test_quantised_networks_are_compared_with_their_own_weights(kind):
    net = mlp([40, 30, 5], family="biregular", fan_in=7, seed=0)
    assert 0 < chain(quantize(net, kind)) < 1e-6
    with pytest.raises(RuntimeError, match="expected it to give what the network does"):
        chain(quantize(net, kind), net)


@pytest.mark.parametrize("by", [1, 1e-7, 1e7])
def test_a_wrong_last_layer_is_refused_whatever_its_size(by):
    net = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 3))
    with torch.no_grad():
        for p in net[2].parameters():
            p.mul_(by)
    assert chain(net) < 1e-6
    with pytest.raises(RuntimeError, match=r"up to 1e-05 of the scale .*, got a difference of .*; nothing was written"):
        chain(net, lambda x: net(x) * 1.001)


def test_a_small_output_has_a_scale_of_its_own():
    net = nn.Linear(20, 2)
    with torch.no_grad():
        net.weight[1] *= 1e-6
        net.bias[1] *= 1e-6
    with pytest.raises(RuntimeError):
        chain(net, lambda x: net(x) * torch.tensor([1, 1.001]))


@pytest.mark.parametrize("n", ROWS)
def test_every_batch_is_tried(n):
    net = nn.Linear(4, 2)
    with pytest.raises(RuntimeError, match=f"in a batch of {n}; nothing was written; report it .*, or take another"):
        chain(net, lambda x: net(x) + (len(x) == n))
    assert sorted(ROWS) == [1, 5, 64]


def test_the_whole_network_counts_not_what_was_read_of_it():
    class Twice(nn.Sequential):
        def forward(self, x):
            return 2 * super().forward(x)

    net = Twice(nn.Linear(4, 2))
    with pytest.raises(RuntimeError, match="expected it to give"):
        chain(net, net[0])


def compared(got, expected, rows=(3, 1)):
    return compare_outputs(lambda x: got, lambda x: expected, torch.ones(3, 2), rows=rows, **WORDS)


def test_the_scale_of_any_output_is_its_largest_number():
    y = torch.tensor([1e-9, -4e-9, 0])
    assert compared(y, y) == 0
    assert compared(y * (1 + 1e-6), y) == pytest.approx(1e-6, rel=0.1)
    with pytest.raises(RuntimeError):
        compared(y + 1e-12, y)
    assert compared(torch.full((3,), 1e-9), torch.zeros(3)) == pytest.approx(1e-9)


@pytest.mark.parametrize(
    ("dtype", "within"), [(torch.float64, 1e-11), (torch.float32, 5e-6), (torch.float16, 1e-3), (torch.bfloat16, 1e-2)]
)
def test_the_tolerance_is_that_of_the_type(dtype, within):
    y = torch.tensor([1, 0.25], dtype=dtype)
    assert 0 < compared(torch.tensor([1, 0.25 - within], dtype=dtype), y) < 2 * within
    with pytest.raises(RuntimeError):
        compared(torch.tensor([1, 0.25 - 20 * within], dtype=dtype), y)


def test_nests_and_other_values_are_compared_exactly():
    y = {"a": (torch.ones(2), 3), "b": [torch.tensor([1, 2])]}
    assert compared(y, {"a": (torch.ones(2), 3), "b": [torch.tensor([1, 2])]}) == 0
    for wrong in (
        {"a": (torch.ones(2), 4), "b": [torch.tensor([1, 2])]},
        {"a": (torch.ones(2), 3), "b": [torch.tensor([1, 3])]},
        {"a": (torch.ones(2, 1), 3), "b": [torch.tensor([1, 2])]},
        {"a": (1, 3), "b": [torch.tensor([1, 2])]},
    ):
        with pytest.raises(RuntimeError, match="expected it to give"):
            compared(wrong, y)


def test_infinity_agrees_with_itself_and_no_number_with_nan():
    y = torch.tensor([math.inf, -math.inf, 2])
    assert compared(y, y) == 0
    for wrong in (torch.tensor([math.inf, math.inf, 2]), torch.tensor([math.inf, -math.inf, 2.1])):
        with pytest.raises(RuntimeError):
            compared(wrong, y)
    with pytest.raises(RuntimeError, match="difference of nan"):
        compared(torch.tensor([math.nan]), torch.tensor([math.nan]))


def test_no_call_sees_what_another_did_to_its_input():
    x = torch.ones(3, 2)
    compare_outputs(lambda x: x.mul_(2), lambda x: x.mul_(2), x, rows=(3, 1), **WORDS)
    assert (x == 1).all()


@pytest.mark.parametrize("batch", [0, -1, 2.0, True, "3", None])
def test_a_batch_is_a_number_of_rows(batch):
    with pytest.raises(ValueError, match=r"expected an integer batch >= 1, got .*; leave it out"):
        check_batch(batch)
    assert type(check_batch(np.int64(3))) is int


@pytest.mark.parametrize("nothing", [torch.empty(0), torch.empty(3, 0), (), [], {}, (torch.ones(3), torch.empty(0))])
def test_nothing_to_compare_is_no_agreement(nothing):
    """Fault 1.19."""
    with pytest.raises(RuntimeError, match=r"expected outputs to compare it with the network, got none"):
        compared(nothing, nothing)


def test_an_empty_sample_is_no_agreement():
    with pytest.raises(RuntimeError, match="at least one row"):
        compare_outputs(torch.exp, torch.exp, torch.ones(0, 2), rows=(3, 1), **WORDS)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_the_tolerance_is_that_of_the_network_not_of_the_file(dtype):
    """Fault 1.19."""
    y = torch.tensor([1, 0.25])
    for actual in (y.to(dtype), y.to(dtype) * 1.005):
        with pytest.raises(RuntimeError, match="difference of inf"):
            compared(actual, y)
    net = nn.Linear(4, 2)
    with pytest.raises(RuntimeError, match="up to 1e-05"):
        chain(net, lambda x: net(x).to(torch.bfloat16))


@pytest.mark.parametrize("large", [1e8, 1e5, 1e3])
def test_a_large_output_hides_no_error_of_a_small_one(large):
    """Fault 1.19."""
    y = torch.tensor([[large, 1.0], [-large, 0.5], [large / 2, 0.2]])
    assert compared(y, y) == 0
    with pytest.raises(RuntimeError, match="expected it to give"):
        compared(y + torch.tensor([0, 0.01]), y)


def test_fewer_and_more_outputs_differ():
    for actual in ((), (torch.ones(3),) * 3):
        with pytest.raises(RuntimeError, match="expected it to give"):
            compared(actual, (torch.ones(3),) * 2)
