import copy
import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from prewired import SparseLinear, generators
from prewired.nn import count_parameters, mlp, narrow_sizes, wire
from prewired.nn.sequential import CHAIN_OUTPUT_LIMIT, Sequential
from prewired.ops import kernel_choice, kernels

OWN_SIZES = {"lift", "permutations", "ramanujan", "degree_sequence", "radix", "toeplitz", *generators.AVAILABLE_SIZES}
WIRED = sorted(set(generators.GENERATORS) - {"dense", "erdos_renyi_p"} - OWN_SIZES)


@pytest.fixture
def calls(monkeypatch):
    """Lets every sparse layer run as one; the calls of the sparse kernel, as (verb, number of layers)."""
    made = []
    native = kernels.KERNELS["sparse"]

    def forward(x, plans, *rest):
        made.append(("forward", len(plans)))
        return native.forward(x, plans, *rest)

    def backward(g, y, kept, *rest):
        made.append(("backward", len(kept)))
        return native.backward(g, y, kept, *rest)

    monkeypatch.setattr(kernel_choice, "break_even", lambda *_, **__: 2.0)
    monkeypatch.setitem(kernels.KERNELS, "sparse", kernels.Kernel(forward, backward, native.keep_input))
    return made


@pytest.mark.parametrize("family", WIRED)
def test_every_family_has_the_same_edges_per_layer(family):
    layers = wire([784, 100, 60, 10], family=family, density=0.05, seed=0)
    assert [t.n_edges for t in layers] == [100 * 39, 60 * 5]


@pytest.mark.parametrize("family", sorted(OWN_SIZES))
def test_families_of_some_sizes_refuse_others(family):
    with pytest.raises(ValueError, match=r"expected|missing"):
        wire([784, 100, 60, 10], family=family, density=0.05, seed=0)


def test_parameters_of_the_family_reach_every_layer():
    layers = wire([70, 60, 60, 10], family="flat_butterfly", fit="nearest")
    assert [dict(t.recipe.parameters) for t in layers] == [
        {"n_in": a, "n_out": b, "fit": "nearest"} for a, b in [(70, 60), (60, 60)]
    ]
    with pytest.raises(ValueError, match="unexpected keyword argument 'radx'; it takes n_in, n_out, fan_in, density"):
        mlp([64, 64, 10], family="rotating", density=0.1, radx=3)


def test_layers_draw_different_graphs_from_one_seed():
    a, b, c = wire([64, 64, 64, 64, 10], family="biregular", fan_in=8, seed=0)
    assert len({a, b, c}) == 3
    assert [a, b, c] == wire([64, 64, 64, 64, 10], family="biregular", fan_in=8, seed=0)
    assert wire([64, 64, 10], family="biregular", fan_in=8, seed=1)[0] != a


def test_a_density_that_leaves_no_input_is_refused():
    with pytest.raises(ValueError, match=r"at least one input per output, got density=0\.01 of n_in=10"):
        wire([10, 20, 5], family="erdos_renyi", density=0.01, seed=0)


def test_mlp_is_sparse_but_for_its_output():
    net = mlp([30, 20, 20, 4], family="biregular", density=0.2, seed=0)
    assert [type(m) for m in net] == [SparseLinear, nn.ReLU, SparseLinear, nn.ReLU, nn.Linear]
    assert count_parameters(net) == 20 * 6 + 20 + 20 * 4 + 20 + 20 * 4 + 4
    assert net(torch.randn(3, 30)).shape == (3, 4)
    wired = mlp([30, 20, 4], family="rotating", fan_in=5, dense_output=False, activation=nn.Tanh)
    assert [type(m) for m in wired] == [SparseLinear, nn.Tanh, SparseLinear]


def test_seeds_decide_wiring_and_weights_and_nothing_else_does():
    def weights(**seeds):
        net = mlp([30, 20, 4], family="biregular", fan_in=6, **seeds)
        return net[0].topology.digest, net[0].weight.detach()

    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = weights(seed=0, init_seed=7)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    again, other_init, other_graph = weights(seed=0, init_seed=7), weights(seed=0, init_seed=8), weights(seed=1)
    assert again[0] == first[0]
    torch.testing.assert_close(again[1], first[1], rtol=0, atol=0)
    assert other_init[0] == first[0]
    assert not torch.equal(other_init[1], first[1])
    assert other_graph[0] != first[0]


@pytest.mark.parametrize("family", ["dense", "biregular", "erdos_renyi"])
def test_the_variance_passes_through_relu_layers(family):
    density = None if family == "dense" else 0.1
    net = mlp([400] * 6 + [10], family=family, density=density, seed=0)
    hidden = net[:-2](torch.randn(500, 400))
    np.testing.assert_allclose(float(hidden.detach().var()), 2.0, rtol=0.3)
    assert all((m.bias == 0).all() for m in net if hasattr(m, "bias"))


def test_a_sparse_output_layer_starts_without_the_gain_of_a_relu():
    net = mlp([400, 400, 400], family="biregular", density=0.2, seed=0, dense_output=False)
    np.testing.assert_allclose(float(net[0].weight.detach().var()) * 80, 2.0, rtol=0.05)
    np.testing.assert_allclose(float(net[2].weight.detach().var()) * 80, 1.0, rtol=0.05)


def test_weights_as_if_dense_are_the_same_ones_at_the_scale_of_a_dense_layer():
    """Fan-ins 20 of 400 and 50 of 100: the weights of a mask over a dense layer are sqrt(20 / 400) times as large."""
    graphs = [generators.biregular(400, 100, fan_in=20, seed=0), generators.erdos_renyi(100, 300, fan_in=50, seed=0)]
    sizes = [400, 100, 300, 10]
    right, blind = (mlp(sizes, topologies=graphs, init_seed=3, scale=scale) for scale in ("fan_in", "n_in"))
    np.testing.assert_allclose(float(blind[0].weight.detach().var()) * 400, 2.0, rtol=0.1)
    np.testing.assert_allclose(float(blind[2].weight.detach().var()) * 100, 2.0, rtol=0.1)
    torch.testing.assert_close(blind[0].weight, right[0].weight * (20 / 400) ** 0.5)
    assert torch.equal(blind[4].weight, right[4].weight)
    sparse_end = mlp([400, 400], family="rotating", fan_in=40, dense_output=False, scale="n_in")
    np.testing.assert_allclose(float(sparse_end[0].weight.detach().var()) * 400, 1.0, rtol=0.1)
    with pytest.raises(ValueError, match="expected scale to be one of fan_in, n_in, got 'n_out'"):
        mlp(sizes, topologies=graphs, scale="n_out")


def test_any_integer_is_a_seed():
    assert mlp([8, 4, 2], family="biregular", fan_in=2, seed=2**70)(torch.randn(1, 8)).shape == (1, 2)


def test_own_topologies():
    graphs = wire([30, 20, 4], family="fibonacci", fan_in=5)
    net = mlp([30, 20, 4], topologies=graphs)
    assert net[0].topology is graphs[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mlp([3, 2, 1]), "exactly one of the two"),
        (lambda: mlp([3, 2, 1], family="dense", topologies=[]), "exactly one of the two"),
        (lambda: mlp([3, 2, 1], topologies=[]), "expected 1 topologies"),
        (lambda: mlp([3, 2, 1], topologies=[generators.dense(2, 3)]), "topology 0 to be 3 -> 2, got 2 -> 3"),
        (lambda: mlp([3, 2, 1], family="bireg", density=0.5), "expected a family among"),
        (lambda: mlp([3, 2, 1], family="rotating"), "got neither"),
        (lambda: mlp([3, 2, 1], family="rotating", density=0), "0 < density <= 1"),
        (lambda: mlp([3, 2, 1], family="rotating", density=0.5, fan_in=1), "got both"),
        (lambda: mlp([3, 2, 1], family="rotating", fan_in=4), "got fan_in=4 with n_in=3"),
        (lambda: mlp([3], family="rotating", fan_in=4), "at least two integer sizes"),
        (lambda: mlp([3, 2.5, 1], family="dense"), "at least two integer sizes"),
        (lambda: mlp([3, 2, 1], family="dense", density=0.5), "no density= or fan_in= with family=dense"),
        (lambda: mlp([3, 2, 1], topologies=[generators.dense(3, 2)], fan_in=2), "with topologies="),
        (lambda: mlp([3, 2, 1], family="rotating", density="0.5"), "0 < density <= 1"),
        (lambda: mlp([3, 1], family="nonsense", density=0.5), "expected a family among"),
        (lambda: mlp([3, 0, 1], family="dense"), "at least two integer sizes >= 1"),
        (lambda: mlp([3, 2, 1], family="dense", init_seed=-1), "seed >= 0"),
    ],
)
def test_impossible_networks_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("budget", [1, 5_000, 100_000, 1_796_009, 1_796_010, 10**9])
def test_narrow_sizes_are_the_widest_within_the_budget(budget):
    sizes = [784, 1000, 1000, 10]

    def parameters(width):
        return sum((a + 1) * b for a, b in pairwise([784, width, width, 10]))

    width = narrow_sizes(sizes, budget)[1]
    assert narrow_sizes(sizes, budget) == [784, width, width, 10]
    assert parameters(width) <= budget or width == 1
    assert parameters(width + 1) > budget or width == 1000


def small_mlp(*sizes, **options):
    return mlp(sizes, family="biregular", fan_in=4, seed=0, **options)


def sparse(n_in, n_out):
    return SparseLinear(generators.biregular(n_in, n_out, fan_in=4, seed=n_in))


def with_hook(net, k):
    net[k].register_forward_hook(lambda module, inputs, output: None)
    return net


class Own(SparseLinear):
    """A layer whose forward may be anything."""


TWICE = sparse(24, 24)
NETS = {
    "an mlp": (lambda: small_mlp(24, 32, 40, 10), [3]),
    "a sparse output": (lambda: small_mlp(24, 32, 40, 10, dense_output=False), [3]),
    "the widest output that is thin": (lambda: small_mlp(24, 32, CHAIN_OUTPUT_LIMIT), [2]),
    "a wide output": (lambda: small_mlp(24, 32, 40, CHAIN_OUTPUT_LIMIT + 1), [2]),
    "one sparse layer, a wide output": (lambda: small_mlp(24, 32, CHAIN_OUTPUT_LIMIT + 1), [1]),
    "no bias": (lambda: Sequential(SparseLinear(sparse(24, 32).topology, bias=False), nn.ReLU(), sparse(32, 8)), [2]),
    "a ReLU at the end": (lambda: Sequential(sparse(24, 32), nn.ReLU(), sparse(32, 40), nn.ReLU()), [2]),
    "a ReLU in place": (lambda: small_mlp(24, 32, 40, 10, activation=lambda: nn.ReLU(inplace=True)), [3]),
    "Tanh": (lambda: small_mlp(24, 32, 40, 10, activation=nn.Tanh), [1, 1]),
    "no activation": (lambda: Sequential(sparse(24, 32), sparse(32, 40)), [1, 1]),
    "dropout": (lambda: Sequential(*small_mlp(24, 32, 40)[:2], nn.Dropout(), *small_mlp(32, 40, 10)), [1, 2]),
    "a dense layer first": (lambda: Sequential(nn.Linear(24, 32), nn.ReLU(), *small_mlp(32, 40, 10)), [2]),
    "a wide dense layer between": (
        lambda: Sequential(sparse(24, 32), nn.ReLU(), nn.Linear(32, 80), nn.ReLU(), *small_mlp(80, 40, 10)),
        [1, 2],
    ),
    "a hook on a layer": (lambda: with_hook(small_mlp(24, 32, 40, 10), 0), [1, 2]),
    "a hook on a ReLU": (lambda: with_hook(small_mlp(24, 32, 40, 10), 1), [1, 2]),
    "a hook on the output layer": (lambda: with_hook(small_mlp(24, 32, 40, 10), 4), [2]),
    "a layer of another class": (lambda: Sequential(Own(TWICE.topology), nn.ReLU(), *small_mlp(24, 40, 10)), [1, 2]),
    "one layer twice": (lambda: Sequential(TWICE, nn.ReLU(), TWICE, nn.ReLU(), sparse(24, 5)), [3]),
    "a network within": (lambda: Sequential(small_mlp(24, 32, 40), nn.ReLU(), small_mlp(40, 24, 10)), [2, 2]),
    "a dense network": (lambda: mlp([24, 32, 10], family="dense"), []),
}


def assert_like_plain_sequential(net, x, **tolerance):
    """Value and all gradients are those of an nn.Sequential of the same layers."""
    results = []
    for module in (net, nn.Sequential(*net)):
        torch.manual_seed(0)
        own = x.detach().clone().requires_grad_()
        y = module(own)
        module.zero_grad()
        y.backward(torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape))
        results.append([y.detach(), own.grad, *(p.grad for p in module.parameters())])
    torch.testing.assert_close(*results, **tolerance)


@pytest.mark.parametrize("lead", [(0,), (1,), (7,), (33,), (2, 3), ()], ids=str)
@pytest.mark.parametrize("name", NETS)
def test_a_sequential_computes_what_its_layers_do_one_by_one(name, lead, calls):
    assert_like_plain_sequential(NETS[name][0](), torch.randn(*lead, 24))


@pytest.mark.parametrize("name", NETS)
def test_layers_run_in_as_few_calls_as_they_can(name, calls):
    make, together = NETS[name]
    net = make()
    y = net(torch.randn(7, 24))
    assert calls == [("forward", n) for n in together]
    y.sum().backward()
    assert calls == [*(("forward", n) for n in together), *(("backward", n) for n in reversed(together))]
    calls.clear()
    with torch.no_grad():
        torch.testing.assert_close(net.eval()(torch.ones(7, 24)), nn.Sequential(*net)(torch.ones(7, 24)))
    assert calls[: len(together)] == [("forward", n) for n in together]


def test_hooks_see_what_they_saw(calls):
    for k in range(5):
        seen, expected = [], []
        net = small_mlp(24, 32, 40, 10)
        x = torch.randn(3, 24)
        handle = net[k].register_forward_hook(lambda module, inputs, output, seen=seen: seen.append((*inputs, output)))
        net(x)
        handle.remove()
        net[k].register_forward_hook(lambda module, inputs, output, to=expected: to.append((*inputs, output)))
        nn.Sequential(*net)(x)
        torch.testing.assert_close(seen, expected)
    with nn.modules.module.register_module_forward_hook(lambda *_: calls.append("hook")):
        calls.clear()
        small_mlp(24, 32, 40, 10)(x)
    assert [call for call in calls if call != "hook"] == [("forward", 1)] * 2
    assert calls.count("hook") == 6


def test_a_layer_that_runs_as_a_dense_one_stands_alone(calls, monkeypatch):
    monkeypatch.setattr(kernel_choice, "break_even", lambda n_in, *_, **__: 0.0 if n_in == 32 else 2.0)
    net = small_mlp(24, 32, 40, 20, 10)
    assert_like_plain_sequential(net, torch.randn(7, 24))
    assert calls[:2] == [("forward", 1), ("forward", 2)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_networks_of_other_dtypes(dtype, calls):
    rough = {} if dtype == torch.float64 else {"rtol": 0.02, "atol": 0.02}
    assert_like_plain_sequential(small_mlp(24, 32, 40, 10).to(dtype), torch.randn(7, 24, dtype=dtype), **rough)
    assert calls[:2] == ([] if dtype == torch.float16 else [("forward", 3), ("backward", 3)])


def test_networks_under_autocast(calls):
    net = small_mlp(24, 32, 40, 10)
    with torch.autocast("cpu", torch.bfloat16):
        assert net(torch.randn(7, 24)).dtype == torch.bfloat16
        assert_like_plain_sequential(net, torch.randn(7, 24), rtol=0.02, atol=0.02)
    assert calls[0] == ("forward", 3)
    assert {p.grad.dtype for p in net.parameters()} == {torch.float32}


def test_frozen_parameters_get_no_gradient_and_change_no_other(calls):
    net = small_mlp(24, 32, 40, 10)
    x = torch.randn(7, 24)
    net(x).square().sum().backward()
    wanted = {name: p.grad for name, p in net.named_parameters()}
    for frozen in wanted:
        net.zero_grad()
        net.requires_grad_(True).get_parameter(frozen).requires_grad_(False)
        net(x).square().sum().backward()
        for name, p in net.named_parameters():
            if name == frozen:
                assert p.grad is None
            else:
                torch.testing.assert_close(p.grad, wanted[name])


def test_outputs_of_networks_may_be_changed_in_place_and_hidden_values_may_not(calls):
    x = torch.randn(7, 24)
    net = small_mlp(24, 32, 40, 10)
    net(x).add_(1).sum().backward()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        Sequential(*net[:4])(x).add_(1).sum().backward()


@pytest.mark.parametrize("batch", [1, 7])
def test_nan_is_not_hidden_by_a_relu(batch, calls):
    net = small_mlp(24, 32, 40, 10)
    with torch.no_grad():
        net[2].weight.fill_(torch.nan)
        assert net(torch.randn(batch, 24)).isnan().all()
    y = net(torch.randn(batch, 24))
    assert y.isnan().all()


def test_copies_and_parts_of_a_network_are_networks(calls):
    net = small_mlp(24, 32, 40, 10)
    x = torch.randn(3, 24)
    expected = net(x)
    other = small_mlp(24, 32, 40, 10, init_seed=1)
    other.load_state_dict(nn.Sequential(*net).state_dict())
    for same in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), other, copy.deepcopy(net).double().float()):
        calls.clear()
        torch.testing.assert_close(same(x), expected)
        assert calls == [("forward", 3)]
    part = net[:4]
    assert type(part) is Sequential
    torch.testing.assert_close(net[4](part(x)), expected)


@pytest.mark.parametrize("first", ["inference mode", "the meta device"])
def test_a_first_call_in_an_odd_place_leaves_nothing_behind(first, calls):
    """The wiring of a dense output is made at its first call, whatever that is, and kept."""
    sizes = {"inference mode": (24, 29), "the meta device": (24, 31)}[first]
    net = small_mlp(*sizes, 3)
    with torch.inference_mode() if first == "inference mode" else torch.device("meta"):
        net(torch.randn(2, 24, device="cpu"))
    assert_like_plain_sequential(net, torch.randn(7, 24))
