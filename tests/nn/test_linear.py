import copy
import io
import pickle
import re
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from prewired import SparseLinear, Topology, generators
from prewired.nn import init, linear
from prewired.ops import kernel_choice, kernels

GRAPH = generators.biregular(24, 16, fan_in=5, seed=0)
FULL = generators.dense(24, 16)
each_kernel = pytest.mark.parametrize("kernel", linear.KERNEL_CHOICES)


def dense_twin(layer):
    """An nn.Linear with the same weights, zero where there is no edge."""
    twin = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, dtype=layer.weight.dtype)
    with torch.no_grad():
        twin.weight.copy_(layer.to_dense())
        if layer.bias is not None:
            twin.bias.copy_(layer.bias)
    return twin


def assert_like_the_twin(layer, x, **tolerance):
    """Value and all gradients are those of the dense twin."""
    twin = dense_twin(layer)
    x_twin = x.detach().clone().requires_grad_()
    x.requires_grad_()
    y, y_twin = layer(x), twin(x_twin)
    torch.testing.assert_close(y, y_twin, **tolerance)
    g = torch.randn_like(y_twin)
    wanted = torch.autograd.grad(y_twin, [x_twin, *twin.parameters()], g)
    found = torch.autograd.grad(y, [x, *layer.parameters()], g)
    edges = layer.to_dense() != 0
    for grad, want in zip(found, (wanted[0], wanted[1][edges], *wanted[2:]), strict=True):
        torch.testing.assert_close(grad, want, **tolerance)


@each_kernel
@pytest.mark.parametrize("graph", [GRAPH, FULL], ids=["sparse", "full"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("lead", [(), (1,), (7,), (2, 3), (4, 1, 5), (0,), (3, 0)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_are_those_of_the_dense_twin(dtype, lead, bias, graph, kernel):
    assert_like_the_twin(
        SparseLinear(graph, bias=bias, dtype=dtype, kernel=kernel), torch.randn(*lead, 24, dtype=dtype)
    )


VIEWS = {
    "every other feature": lambda: torch.randn(20, 48)[:, ::2],
    "every other sample": lambda: torch.randn(20, 24)[::2],
    "a slice of features": lambda: torch.randn(20, 48)[:, 24:],
    "feature-major": lambda: torch.randn(24, 9).t(),
    "a slice of feature-major samples": lambda: torch.randn(24, 18).t()[3:12],
    "expanded": lambda: torch.randn(1, 24).expand(5, 24),
    "one number for all features": lambda: torch.randn(5, 1).expand(5, 24),
    "one strided sample": lambda: torch.randn(1, 48)[:, ::2],
    "one sample of one number": lambda: torch.randn(1, 1).expand(1, 24),
    "three dimensions, the first two swapped": lambda: torch.randn(4, 5, 24).transpose(0, 1),
}


@each_kernel
@pytest.mark.parametrize("view", VIEWS)
def test_views_are_read_right(view, kernel):
    layer = SparseLinear(GRAPH, kernel=kernel)
    x = VIEWS[view]()
    with torch.no_grad():
        torch.testing.assert_close(layer(x), dense_twin(layer)(x))
    assert_like_the_twin(layer, x)


@pytest.mark.parametrize("graph", [GRAPH, Topology.from_edges(6, 5, [(0, 1), (0, 3), (5, 3)]), generators.dense(4, 3)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kernel", ["sparse", "dense"])
def test_gradcheck(graph, bias, kernel):
    layer = SparseLinear(graph, bias=bias, dtype=torch.float64, kernel=kernel)
    x = torch.randn(3, graph.n_in, dtype=torch.float64, requires_grad=True)
    names, parameters = zip(*layer.named_parameters(), strict=True)

    def function(x, *parameters):
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x,))

    assert torch.autograd.gradcheck(function, (x, *parameters))


@pytest.fixture
def calls(monkeypatch):
    """The calls of the sparse kernel, as (verb, flags)."""
    made = []
    native = kernels.KERNELS["sparse"]

    def forward(x, plans, parameters, relu, keep):
        made.append(("forward", {"keep": keep}))
        return native.forward(x, plans, parameters, relu, keep)

    def backward(*arguments):
        made.append(("backward", {"x": arguments[-2], "weights": arguments[-1]}))
        return native.backward(*arguments)

    monkeypatch.setitem(kernels.KERNELS, "sparse", kernels.Kernel(forward, backward, native.keep_input))
    return made


def test_only_the_gradients_that_are_needed_are_made(calls):
    layer = SparseLinear(GRAPH, kernel="sparse")
    layer(torch.randn(3, 24)).sum().backward()
    assert calls == [("forward", {"keep": True}), ("backward", {"x": False, "weights": True})]
    calls.clear()
    layer = SparseLinear(GRAPH, kernel="sparse")
    layer.weight.requires_grad_(False)
    x = torch.randn(3, 24, requires_grad=True)
    layer(x).sum().backward()
    assert calls[1] == ("backward", {"x": True, "weights": False})
    assert layer.weight.grad is None
    torch.testing.assert_close(x.grad, layer.to_dense().sum(0).expand(3, 24))
    torch.testing.assert_close(layer.bias.grad, torch.full((16,), 3.0))
    calls.clear()
    layer.bias.requires_grad_(False)
    layer(torch.randn(3, 24))
    with torch.no_grad():
        layer(x)
    with torch.inference_mode():
        layer(x)
    assert calls == [("forward", {"keep": False})] * 3


def test_no_copy_of_a_full_matrix_is_made_and_one_of_a_sparse_one(monkeypatch):
    made = []
    scatter_weights = kernels.scatter_weights
    monkeypatch.setattr(kernels, "scatter_weights", lambda *arguments: made.append(1) or scatter_weights(*arguments))
    for graph in (FULL, GRAPH):
        layer = SparseLinear(graph, kernel="dense")
        layer(torch.randn(3, 24)).sum().backward()
        assert made == ([] if graph is FULL else [1])
        assert layer.weight.grad.shape == (graph.n_edges,)


@torch.enable_grad()
def by_optimiser(layer):
    layer(torch.randn(3, 24)).sum().backward()
    torch.optim.SGD(layer.parameters(), 1.0).step()


def assigned(layer):
    state = layer.state_dict()
    layer.load_state_dict({**state, **{key: state[key] + 1 for key in ("weight", "bias")}}, assign=True)


def replaced(layer):
    layer.weight = nn.Parameter(layer.weight.detach() + 1)


CHANGES = {
    "in place": lambda layer: layer.weight.add_(1),
    "by an optimiser": by_optimiser,
    "from a state_dict": lambda layer: layer.load_state_dict(SparseLinear(GRAPH).state_dict()),
    "assigned from a state_dict": assigned,
    "by another parameter": replaced,
    "by way of .data": lambda layer: layer.weight.data.add_(1),
    "by way of NumPy": lambda layer: layer.weight.detach().numpy().__iadd__(1),
    "by turning the sign": lambda layer: layer.weight.neg_(),
    "by reset_parameters": lambda layer: layer.reset_parameters(),
}


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("change", CHANGES)
@torch.no_grad()
def test_a_matrix_that_is_kept_is_never_stale(change, autocast):
    layer = SparseLinear(GRAPH, kernel="dense").eval()
    x = torch.randn(5, 24)
    for _ in range(4):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            y = layer(x)
            torch.testing.assert_close(y, dense_twin(layer)(x))
        del y
        CHANGES[change](layer)


@torch.no_grad()
def test_a_matrix_is_made_of_the_weights_of_the_moment():
    layer = SparseLinear(GRAPH, kernel="dense", bias=False).eval()
    x = torch.randn(5, 24)
    y = layer(x)
    for factor in range(5):
        scaled = torch.func.functional_call(layer, {"weight": layer.weight * factor}, (x,))
        torch.testing.assert_close(scaled, y * factor)


def test_a_kept_matrix_serves_frozen_layers_and_stays_out_of_pickles():
    layer = SparseLinear(GRAPH, kernel="dense").eval().requires_grad_(False)
    size = len(pickle.dumps(layer))
    with torch.inference_mode():
        layer(torch.randn(5, 24))
    assert len(pickle.dumps(layer)) < size + 200
    x = torch.randn(5, 24, requires_grad=True)
    layer(x).sum().backward()
    torch.testing.assert_close(x.grad, layer.to_dense().sum(0).expand(5, 24))


def test_auto_takes_dense_from_the_break_even_density_on(monkeypatch):
    asked = []

    def break_even(n_in, n_out, batch, threads, *, training):
        asked.append((n_in, n_out, batch, threads, training))
        return 0.1 if training else 0.5

    monkeypatch.setattr(kernel_choice, "break_even", break_even)
    layer = SparseLinear(GRAPH)
    asked.clear()
    threads = torch.get_num_threads()
    assert [layer.kernel_for(7), layer.kernel_for(7, training=False)] == ["dense", "sparse"]
    assert asked == [(24, 16, 7, threads, True), (24, 16, 7, threads, False)]
    assert SparseLinear(FULL).kernel_for(7, training=False) == "dense"
    assert [SparseLinear(GRAPH, kernel=k).kernel_for(7) for k in ("sparse", "dense")] == ["sparse", "dense"]
    monkeypatch.setattr(linear, "MOST_DENSE_ELEMENTS", 24 * 16 - 1)
    assert SparseLinear(FULL).kernel_for(7) == "sparse"


def test_auto_runs_what_it_has_chosen(monkeypatch, calls):
    layer = SparseLinear(GRAPH)
    for limit, verbs in ((0.0, []), (2.0, ["forward", "backward"])):
        monkeypatch.setattr(kernel_choice, "break_even", lambda *_, limit=limit, **__: limit)
        layer = SparseLinear(GRAPH)
        layer(torch.randn(3, 24)).sum().backward()
        assert [verb for verb, _ in calls] == verbs


@pytest.mark.parametrize("before", [torch.float32, torch.float16])
@pytest.mark.parametrize("after", [torch.float64, torch.bfloat16, torch.float16])
def test_a_choice_is_made_anew_for_another_dtype(before, after, monkeypatch):
    monkeypatch.setattr(kernel_choice, "break_even", lambda *_, **__: 0.0)
    layer = SparseLinear(GRAPH, dtype=before)
    layer(torch.randn(3, 24, dtype=before))
    layer = layer.to(after)
    assert layer.kernel_for(3) == ("reference" if after == torch.float16 else "dense")
    assert_like_the_twin(layer, torch.randn(3, 24, dtype=after), rtol=0.02, atol=0.02)


def test_the_kernel_may_be_changed_later(calls):
    layer = SparseLinear(GRAPH, kernel="dense")
    x = torch.randn(3, 24)
    y = layer(x)
    layer.kernel = "sparse"
    torch.testing.assert_close(layer(x), y)
    assert len(calls) == 1
    assert layer.kernel_for(3) == "sparse"


@each_kernel
def test_another_number_of_threads_gives_the_same(kernel):
    layer, threads = SparseLinear(GRAPH, kernel=kernel, dtype=torch.float64), torch.get_num_threads()
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            assert_like_the_twin(layer, torch.randn(200, 24, dtype=torch.float64))
    finally:
        torch.set_num_threads(threads)


def test_an_unknown_kernel_is_refused():
    with pytest.raises(ValueError, match=r"expected kernel to be one of auto, sparse, dense, got 'native'"):
        SparseLinear(GRAPH, kernel="native")


def test_hooks_run_once_whatever_the_shape_of_the_input():
    layer, shapes = SparseLinear(GRAPH), []
    layer.register_forward_hook(lambda module, inputs, output: shapes.append((inputs[0].shape, output.shape)))
    for lead in ((), (3,), (2, 3)):
        layer(torch.randn(*lead, 24))
    assert shapes == [((24,), (16,)), ((3, 24), (3, 16)), ((2, 3, 24), (2, 3, 16))]


@each_kernel
def test_outputs_may_be_changed_in_place(kernel):
    layer = SparseLinear(GRAPH, kernel=kernel)
    x, r = torch.randn(6, 24), torch.randn(6, 16)
    expected = torch.relu(layer(x) + r)
    expected.square().sum().backward()
    gradient = layer.weight.grad.clone()
    layer.zero_grad()
    y = layer(x)
    y += r
    y = nn.ReLU(inplace=True)(y)
    y.square().sum().backward()
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(layer.weight.grad, gradient)


@each_kernel
def test_a_second_backward_and_a_weight_changed_between_are_torchs_errors(kernel):
    layer = SparseLinear(GRAPH, kernel=kernel)
    loss = layer(torch.randn(6, 24)).sum()
    loss.backward()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()
    loss = layer(torch.randn(6, 24, requires_grad=True)).sum()
    with torch.no_grad():
        layer.weight.mul_(2)
    if kernel == "sparse":
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


@each_kernel
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_autocast_does_what_it_does_to_a_dense_layer(dtype, kernel):
    layer = SparseLinear(GRAPH, dtype=dtype, kernel=kernel)
    twin = dense_twin(layer)
    x = torch.randn(4, 24, dtype=dtype, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y, expected = layer(x), twin(x)
    assert y.dtype == expected.dtype
    torch.testing.assert_close(y, expected, rtol=2**-7, atol=2**-7)
    y.sum().backward()
    assert {p.grad.dtype for p in (x, *layer.parameters())} == {dtype}
    torch.testing.assert_close(layer.bias.grad, torch.full((16,), 4.0, dtype=dtype))


@each_kernel
def test_training_under_autocast(kernel):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(24, 24), nn.ReLU(), SparseLinear(GRAPH, kernel=kernel))
    assert falls(net, torch.float32, torch.autocast("cpu", torch.bfloat16))


@each_kernel
def test_bfloat16_layers_train(kernel):
    torch.manual_seed(0)
    layer = SparseLinear(GRAPH, dtype=torch.bfloat16, kernel=kernel)
    assert "reference" not in repr(layer)
    assert falls(layer, torch.bfloat16, nullcontext())
    assert layer.weight.dtype == torch.bfloat16


def falls(net, dtype, context):
    """Whether Adam halves the loss of a linear target within a hundred steps."""
    x = torch.randn(64, 24, dtype=dtype)
    target = x @ torch.randn(24, 16, dtype=dtype) / 5
    optimiser = torch.optim.Adam(net.parameters(), 0.05)
    losses = []
    for _ in range(100):
        optimiser.zero_grad()
        with context:
            loss = nn.functional.mse_loss(net(x).float(), target.float())
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses[-1] < losses[0] / 2 and all(p.grad.isfinite().all() for p in net.parameters())


def test_a_layer_on_the_meta_device_takes_the_tensors_of_a_checkpoint():
    trained = SparseLinear(generators.biregular(16, 16, density=0.5, seed=0))
    with torch.device("meta"):
        layer = SparseLinear(trained.topology)
    layer.load_state_dict(trained.state_dict(), assign=True)
    x = torch.randn(3, 16)
    torch.testing.assert_close(layer(x), trained(x))


def test_a_copy_decides_anew_what_is_fast():
    layer = SparseLinear(generators.biregular(16, 16, density=0.5, seed=0))
    layer(torch.randn(3, 16))
    layer._kernel_cache[7, True, 1] = "from another machine"
    copy = pickle.loads(pickle.dumps(layer))
    assert copy._kernel_cache == {}
    x = torch.randn(3, 16)
    torch.testing.assert_close(copy(x), layer(x))


def test_no_more_choices_are_remembered_than_a_thousand():
    layer = SparseLinear(generators.biregular(16, 16, density=0.5, seed=0))
    for batch in range(1, 1500):
        layer.kernel_for(batch)
    assert len(layer._kernel_cache) <= 1024


def test_layers_can_be_made_on_the_meta_device():
    with torch.device("meta"):
        layer = SparseLinear(GRAPH)
    assert layer.weight.is_meta
    layer = layer.to_empty(device="cpu")
    layer.reset_parameters()
    x = torch.randn(4, 24)
    torch.testing.assert_close(layer(x), dense_twin(layer)(x))


def test_half_precision_weights_start_alive_at_any_fan_in():
    assert (SparseLinear(generators.dense(70_000, 1), dtype=torch.float16).weight != 0).any()


def test_feature_major_activations_are_carried_by_strides():
    net = nn.Sequential(SparseLinear(GRAPH, kernel="sparse"), nn.ReLU(), nn.Dropout(0.1), nn.GELU())
    x = torch.randn(10, 24)
    for n in range(1, len(net) + 1):
        assert net[:n](x).stride() == (1, 10)
    assert SparseLinear(GRAPH, kernel="sparse")(x.t().contiguous().t()).stride() == (1, 10)


def test_wrong_inputs_are_refused():
    layer = SparseLinear(GRAPH)
    with pytest.raises(ValueError, match=r"expected x of shape \(..., 24\), got \(3, 23\)"):
        layer(torch.randn(3, 23))
    with pytest.raises(ValueError, match=r"got \(\)"):
        layer(torch.tensor(1.0))
    with pytest.raises(TypeError, match=r"expected x in torch.float32, the weights' dtype, got torch.float64"):
        layer(torch.randn(3, 24).double())
    with pytest.raises(TypeError, match="expected a Topology, got ndarray"):
        SparseLinear(np.eye(3))


def test_weights_start_within_the_bound_of_each_outputs_own_fan_in():
    t = Topology.from_mask(np.tril(np.ones((40, 40))))
    layer = SparseLinear(t)
    bound = t.fan_in**-0.5
    weights = layer.to_dense().detach().abs().numpy()
    assert (weights <= bound[:, None] + 1e-7).all()
    assert (layer.bias.detach().abs().numpy() <= bound + 1e-7).all()
    assert (weights.max(axis=1)[10:] > 0.5 * bound[10:]).all()
    normal = torch.empty(t.n_edges)
    init.kaiming_normal_(normal, t)
    scaled = normal * torch.tensor(np.repeat(t.fan_in, t.fan_in)).sqrt()
    np.testing.assert_allclose(float(scaled.std()), 2**0.5, rtol=0.1)


def test_a_full_layer_starts_like_nn_linear():
    layer = SparseLinear(generators.dense(300, 200))
    np.testing.assert_allclose(
        float(layer.weight.detach().std()), float(nn.Linear(300, 200).weight.detach().std()), rtol=0.02
    )


def test_dead_outputs_give_their_bias_and_dead_inputs_no_gradient():
    layer = SparseLinear(Topology.from_edges(3, 3, [(0, 0), (0, 1)]))
    x = torch.randn(4, 3, requires_grad=True)
    y = layer(x)
    torch.testing.assert_close(y[:, 2], layer.bias[2].expand(4))
    y.sum().backward()
    assert (x.grad[:, 1:] == 0).all()


OPTIMISERS = {
    "SGD": lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, nesterov=True),
    "Adam": lambda p: torch.optim.Adam(p, 0.01, fused=True),
    "AdamW": lambda p: torch.optim.AdamW(p, 0.01),
    "NAdam": lambda p: torch.optim.NAdam(p, 0.01),
    "RAdam": lambda p: torch.optim.RAdam(p, 0.01),
    "Adamax": lambda p: torch.optim.Adamax(p, 0.01),
    "RMSprop": lambda p: torch.optim.RMSprop(p, 0.01),
    "Adagrad": lambda p: torch.optim.Adagrad(p, 0.05),
    "Adadelta": lambda p: torch.optim.Adadelta(p, 1.0),
    "ASGD": lambda p: torch.optim.ASGD(p, 0.05),
    "Rprop": lambda p: torch.optim.Rprop(p, 0.01),
    "LBFGS": lambda p: torch.optim.LBFGS(p, 0.1),
}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_stock_optimiser_walks_the_dense_twins_path(name):
    """The same optimiser on the dense twin, with the gradient off the edges masked, moves the edges alike."""
    torch.manual_seed(0)
    layer = SparseLinear(GRAPH, dtype=torch.float64)
    twin = dense_twin(layer)
    mask = layer.to_dense().detach() != 0
    twin.weight.register_hook(lambda g: g * mask)
    x, target = torch.randn(32, 24, dtype=torch.float64), torch.randn(32, 16, dtype=torch.float64)
    losses = []
    for model in (layer, twin):
        optimiser = OPTIMISERS[name](model.parameters())

        def closure(model=model, optimiser=optimiser):
            optimiser.zero_grad()
            loss = (model(x) - target).square().mean()
            loss.backward()
            return loss

        steps = [float(optimiser.step(closure).detach()) for _ in range(5)]
        losses.append(steps)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-9)
    assert losses[0][-1] < losses[0][0]
    torch.testing.assert_close(layer.weight.detach(), twin.weight.detach()[mask])


def test_optimiser_state_has_the_size_of_the_edges():
    layer = SparseLinear(GRAPH)
    optimiser = torch.optim.Adam(layer.parameters())
    layer(torch.randn(2, 24)).sum().backward()
    optimiser.step()
    assert optimiser.state[layer.weight]["exp_avg"].shape == (GRAPH.n_edges,)


def round_trips(layer):
    x = io.BytesIO()
    torch.save(layer, x)
    x.seek(0)
    other = SparseLinear(layer.topology, kernel="dense" if layer.kernel == "sparse" else "sparse")
    other.load_state_dict(layer.state_dict())
    assigned = SparseLinear(layer.topology)
    assigned.load_state_dict(copy.deepcopy(layer.state_dict()), assign=True)
    return {
        "state_dict": other,
        "assign": assigned,
        "deepcopy": copy.deepcopy(layer),
        "pickle": pickle.loads(pickle.dumps(layer)),
        "torch.save": torch.load(x, weights_only=False),
        "to and back": copy.deepcopy(layer).to(torch.float64).to(torch.float32),
    }


@pytest.mark.parametrize("way", round_trips(SparseLinear(GRAPH)))
@pytest.mark.parametrize("used", [False, True])
@each_kernel
def test_round_trips_give_the_same_layer_which_still_learns(way, kernel, used):
    layer = SparseLinear(GRAPH, kernel=kernel)
    x = torch.randn(5, 24)
    if used:
        layer(x)
    same = round_trips(layer)[way]
    assert same.kernel == kernel or way in ("state_dict", "assign")
    torch.testing.assert_close(same(x), layer(x))
    assert same.topology == layer.topology
    before = same.weight.detach().clone()
    optimiser = torch.optim.SGD(same.parameters(), 0.1)
    same(x).square().sum().backward()
    optimiser.step()
    assert (same.weight != before).any()
    torch.testing.assert_close(layer(x), dense_twin(layer)(x))


def test_state_dicts_travel_without_pickled_code(tmp_path):
    layer = SparseLinear(GRAPH)
    torch.save(layer.state_dict(), tmp_path / "layer.pt")
    state = torch.load(tmp_path / "layer.pt", weights_only=True)
    assert set(state) == {"weight", "bias", "n_in", "indptr", "indices"}


def rewired(state):
    """The topology that a state_dict says by itself."""
    return Topology(int(state["n_in"]), len(state["indptr"]) - 1, state["indptr"].numpy(), state["indices"].numpy())


UNREAD = Topology.from_edges(5, 2, [(0, 0), (1, 1), (2, 1)])  # nothing in the edges says that there are five inputs


@pytest.mark.parametrize("way", round_trips(SparseLinear(UNREAD)))
@pytest.mark.parametrize("graph", [UNREAD, GRAPH, Topology(3, 2, [0, 0, 0], [])], ids=["unread", "full", "empty"])
def test_a_state_dict_says_the_whole_wiring(graph, way):
    same = round_trips(SparseLinear(graph))[way]
    assert rewired(same.state_dict()) == graph
    assert same.n_in.dtype == torch.int64
    assert same.n_in.shape == ()


def test_the_number_of_inputs_stays_an_integer_and_leaves_the_meta_device():
    assert rewired(SparseLinear(UNREAD).half().state_dict()) == UNREAD
    with torch.device("meta"):
        layer = SparseLinear(UNREAD)
    assert layer.weight.is_meta
    assert rewired(layer.to_empty(device="cpu").state_dict()) == UNREAD
    with torch.device("meta"):
        layer = SparseLinear(UNREAD)
    layer.load_state_dict(SparseLinear(UNREAD).state_dict(), assign=True)
    assert rewired(layer.state_dict()) == UNREAD


def test_the_same_edges_among_more_inputs_are_another_wiring():
    state = SparseLinear(UNREAD).state_dict()
    layer = SparseLinear(Topology(6, 2, UNREAD.indptr, UNREAD.indices))
    before = layer.weight.detach().clone()
    with pytest.raises(RuntimeError, match=r"n_in: expected the wiring [0-9a-f]{12} of this layer, got another one"):
        layer.load_state_dict(state)
    torch.testing.assert_close(layer.weight.detach(), before, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["indptr", "indices"])
@pytest.mark.parametrize("strict", [True, False])
def test_a_state_dict_that_leaves_a_part_of_the_wiring_open_is_refused(name, strict):
    state = SparseLinear(GRAPH).state_dict()
    del state[name]
    with pytest.raises(RuntimeError, match=f"{name}: expected the wiring .* beside its weights, got weights without"):
        SparseLinear(GRAPH).load_state_dict(state, strict=strict)


def test_another_wiring_is_refused_even_where_the_shapes_agree():
    net = nn.Sequential(SparseLinear(generators.biregular(24, 16, fan_in=5, seed=1)))
    with pytest.raises(RuntimeError, match=r"0.indices: expected the wiring [0-9a-f]{12} of this layer"):
        net.load_state_dict(nn.Sequential(SparseLinear(GRAPH)).state_dict())


def test_the_same_indices_split_otherwise_are_another_wiring():
    state = SparseLinear(Topology(3, 2, [0, 1, 2], [0, 1])).state_dict()
    with pytest.raises(RuntimeError, match="indptr: expected the wiring"):
        SparseLinear(Topology(3, 2, [0, 2, 2], [0, 1])).load_state_dict(state)


def test_loaded_index_tensors_only_prove_the_wiring():
    layer = SparseLinear(GRAPH)
    state = layer.state_dict()
    state = {name: value.double() if value.is_floating_point() else value.long() for name, value in state.items()}
    layer.load_state_dict(state, assign=True)
    assert layer.indices.dtype == torch.int32
    layer(torch.randn(2, 24).double())
    with pytest.raises(RuntimeError, match="expected the wiring"):
        layer.load_state_dict({**state, "indices": "none"})


@each_kernel
def test_other_dtypes_run_on_the_reference_and_say_so(kernel):
    layer = SparseLinear(GRAPH, kernel=kernel).half()
    assert layer.kernel_for(4) == "reference"
    assert "kernel reference: plain PyTorch, slow, no compiled operators for torch.float16 on cpu" in repr(layer)
    assert layer.explain().startswith("kernel reference")
    assert_like_the_twin(layer, torch.randn(4, 24).half(), rtol=0.01, atol=0.01)


@each_kernel
def test_layers_explain_what_they_run_and_why(kernel):
    layer = SparseLinear(GRAPH, kernel=kernel)
    text = layer.explain(batch=8)
    head, forward, backward, source = text.splitlines()
    for part in (str(GRAPH), "batch 8", "torch.float32 on cpu", kernels.instruction_set()):
        assert part in head
    times = r"sparse [\d.e-]+ ms, dense [\d.e-]+ ms, nn.Linear [\d.e-]+ ms"
    for line, training, name in ((forward, False, "forward"), (backward, True, "forward and backward")):
        why = r"dense is faster from a density of [\d.]+%" if kernel == "auto" else f"requested with kernel='{kernel}'"
        assert re.fullmatch(f"{name}: kernel {layer.kernel_for(8, training=training)} \\({why}\\); {times}", line)
    assert "measured on" in source


def test_repr_names_the_kernel_only_where_it_was_asked_for():
    assert "kernel" not in repr(SparseLinear(GRAPH))
    assert "kernel='dense'" in repr(SparseLinear(GRAPH, kernel="dense"))


@each_kernel
def test_inference_mode(kernel):
    layer = SparseLinear(GRAPH, kernel=kernel)
    with torch.inference_mode():
        x = torch.randn(6, 24)
        torch.testing.assert_close(layer(x), dense_twin(layer)(x))
    assert_like_the_twin(layer, torch.randn(6, 24))


def test_a_wide_layer_takes_memory_of_its_edges():
    wide = SparseLinear(generators.rotating(200_000, 200_000, fan_in=4))  # dense: 160 GB
    y = wide(torch.randn(2, 200_000))
    y.sum().backward()
    assert wide.weight.grad.shape == (800_000,)


def test_a_state_dict_without_n_in_is_loaded():
    t = generators.biregular(8, 4, fan_in=2, seed=0)
    old = SparseLinear(t).state_dict()
    del old["n_in"]
    layer = SparseLinear(t)
    layer.load_state_dict(old)
    torch.testing.assert_close(layer.weight, old["weight"])
    assert "n_in" in layer.state_dict()
