import copy
import io
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from prewired import SparseLinear, Topology, generators, init, kernels
from prewired.layers import _Linear

GRAPH = generators.biregular(24, 16, fan_in=5, seed=0)


def dense_twin(layer):
    """An nn.Linear with the same weights, zero where there is no edge."""
    twin = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, dtype=layer.weight.dtype)
    with torch.no_grad():
        twin.weight.copy_(layer.to_dense())
        if layer.bias is not None:
            twin.bias.copy_(layer.bias)
    return twin


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("lead", [(), (1,), (7,), (2, 3), (4, 1, 5), (0,), (3, 0)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_are_those_of_the_dense_twin(dtype, lead, bias):
    layer = SparseLinear(GRAPH, bias=bias, dtype=dtype)
    twin = dense_twin(layer)
    x = torch.randn(*lead, 24, dtype=dtype, requires_grad=True)
    x_twin = x.detach().clone().requires_grad_()
    y, y_twin = layer(x), twin(x_twin)
    torch.testing.assert_close(y, y_twin)
    g = torch.randn_like(y_twin)
    y.backward(g)
    y_twin.backward(g)
    torch.testing.assert_close(x.grad, x_twin.grad)
    torch.testing.assert_close(layer.weight.grad, twin.weight.grad[layer.to_dense() != 0])
    if bias:
        torch.testing.assert_close(layer.bias.grad, twin.bias.grad)


@pytest.mark.parametrize("graph", [GRAPH, Topology.from_edges(6, 5, [(0, 1), (0, 3), (5, 3)]), generators.dense(4, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_gradcheck(graph, bias):
    layer = SparseLinear(graph, bias=bias, dtype=torch.float64)
    x = torch.randn(3, graph.n_in, dtype=torch.float64, requires_grad=True)
    parameters = [p for p in (layer.weight, layer.bias) if p is not None]
    edges = layer.plan

    def function(x, weight, bias=None):
        return _Linear.apply(x, weight, bias, *edges)

    assert torch.autograd.gradcheck(function, (x, *parameters))


def test_only_the_gradients_that_are_needed_are_made(monkeypatch):
    calls = []
    native = kernels.KERNELS["native"]
    spy = native._replace(
        spmm=lambda *a: calls.append("spmm") or native.spmm(*a),
        sddmm=lambda *a: calls.append("sddmm") or native.sddmm(*a),
    )
    monkeypatch.setitem(kernels.KERNELS, "native", spy)
    layer = SparseLinear(GRAPH)
    layer(torch.randn(3, 24)).sum().backward()
    assert calls == ["spmm", "sddmm"]
    calls.clear()
    layer = SparseLinear(GRAPH)
    layer.weight.requires_grad_(False)
    x = torch.randn(3, 24, requires_grad=True)
    layer(x).sum().backward()
    assert calls == ["spmm", "spmm"]
    assert layer.weight.grad is None
    assert x.grad is not None
    assert layer.bias.grad is not None


def test_outputs_may_be_changed_in_place():
    layer = SparseLinear(GRAPH)
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


def test_autocast_runs_the_layer_in_its_own_precision():
    net = nn.Sequential(nn.Linear(24, 24), SparseLinear(GRAPH))
    with torch.autocast("cpu", torch.bfloat16):
        y = net(torch.randn(4, 24))
    assert y.dtype == torch.float32
    y.sum().backward()
    assert net[0].weight.grad is not None


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


def test_second_derivatives_are_a_clear_error():
    x = torch.randn(3, 24, requires_grad=True)
    (grad,) = torch.autograd.grad(SparseLinear(GRAPH)(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        grad.sum().backward()


def test_feature_major_activations_are_carried_by_strides(monkeypatch):
    turned = []
    native = kernels.KERNELS["native"]
    spy = native._replace(transposed=lambda x: turned.append(tuple(x.shape)) or native.transposed(x))
    monkeypatch.setitem(kernels.KERNELS, "native", spy)
    net = nn.Sequential(
        SparseLinear(GRAPH), nn.ReLU(), nn.Dropout(0.1), SparseLinear(GRAPH.transpose()), nn.GELU(), nn.Linear(24, 3)
    )
    hidden = net[0](torch.randn(10, 24))
    assert hidden.shape == (10, 16)
    assert hidden.stride() == (1, 10)
    assert turned == [(10, 24)]
    turned.clear()
    net(torch.randn(10, 24)).sum().backward()
    assert turned == [(10, 24)], "only the network's input is transposed, forward and backward"


def test_strided_and_expanded_inputs_are_read_right():
    layer = SparseLinear(GRAPH)
    twin = dense_twin(layer)
    base = torch.randn(20, 48)
    for x in (base[::2, ::2], base[:, 24:], torch.randn(24, 9).t(), torch.randn(1, 24).expand(5, 24)):
        torch.testing.assert_close(layer(x), twin(x))


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
    other = SparseLinear(layer.topology)
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
def test_round_trips_give_the_same_layer_which_still_learns(way):
    layer = SparseLinear(GRAPH)
    same = round_trips(layer)[way]
    x = torch.randn(5, 24)
    torch.testing.assert_close(same(x), layer(x), rtol=0, atol=0)
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
    assert set(state) == {"weight", "bias", "indptr", "indices"}


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
    state = {name: value.double() for name, value in layer.state_dict().items()}
    layer.load_state_dict(state, assign=True)
    assert layer.indices.dtype == torch.int32
    layer(torch.randn(2, 24).double())
    with pytest.raises(RuntimeError, match="expected the wiring"):
        layer.load_state_dict({**state, "indices": "none"})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_other_dtypes_run_on_the_reference_and_say_so(dtype):
    layer = SparseLinear(GRAPH).to(dtype)
    assert "kernel reference" in repr(layer)
    assert "kernel reference" in layer.explain()
    x = torch.randn(4, 24)
    expected = dense_twin(layer)(x.to(dtype)).float()
    torch.testing.assert_close(layer(x.to(dtype)).float(), expected, rtol=0.05, atol=0.05)


def test_the_native_kernel_says_on_what():
    for dtype in (torch.float32, torch.float64):
        assert SparseLinear(GRAPH, dtype=dtype).explain().startswith(f"kernel native ({kernels.instruction_set()})")
    assert "reference" not in repr(SparseLinear(GRAPH))


def test_inference_mode_and_compile():
    net = nn.Sequential(SparseLinear(GRAPH), nn.ReLU(), SparseLinear(GRAPH.transpose()))
    x = torch.randn(6, 24)
    expected = net(x)
    with torch.inference_mode():
        torch.testing.assert_close(net(x), expected)
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    y = compiled(x.requires_grad_())
    torch.testing.assert_close(y, expected)
    y.sum().backward()
    assert x.grad is not None


def test_a_wide_layer_takes_memory_of_its_edges():
    wide = SparseLinear(generators.rotating(200_000, 200_000, fan_in=4))  # dense: 160 GB
    y = wide(torch.randn(2, 200_000))
    y.sum().backward()
    assert wide.weight.grad.shape == (800_000,)
