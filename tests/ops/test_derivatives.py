"""Derivatives of every order and mode, and transforms of torch, against dense twins in plain torch."""

import copy
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, stack_module_state, vjp, vmap
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from prewired import SparseLinear, Topology, generators
from prewired.nn import Sequential, mlp, quantize
from prewired.ops import kernels

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.* is deprecated:DeprecationWarning")  # torch's own

WIDE = generators.biregular(6, 4, fan_in=3, seed=0)
GRAPHS = {
    "biregular": WIDE,
    "empty rows and columns": Topology.from_edges(6, 4, [(0, 1), (5, 1), (2, 3)]),
    "full": generators.dense(6, 4),
    "no edge": Topology.from_edges(6, 4, []),
}
each_kernel = pytest.mark.parametrize("kernel", ["sparse", "dense", "reference"])
sparse_and_slowly_each_kernel = pytest.mark.parametrize(
    "kernel", ["sparse", *(pytest.param(kernel, marks=pytest.mark.slow) for kernel in ("dense", "reference"))]
)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def linear(graph, kernel, bias=True, dtype=torch.float64):
    return SparseLinear(graph, bias, kernel="sparse" if kernel == "reference" else kernel, dtype=dtype)


def without_operators(kernel, monkeypatch):
    if kernel == "reference":
        monkeypatch.setattr(kernels, "NATIVE", False)


def network(kernel, sizes=(6, 5, 4, 3), dtype=torch.float64, last_relu=False):
    """A chain of sparse layers with ReLUs, away from the kinks for these seeds."""
    layers = [linear(generators.biregular(a, b, fan_in=3, seed=0), kernel, dtype=dtype) for a, b in pairwise(sizes)]
    modules = [module for layer in layers for module in (layer, nn.ReLU())]
    return Sequential(*(modules if last_relu else modules[:-1]))


def dense_twin(net):
    """The same function in plain torch; parameters of the weights are matrices."""
    modules = []
    for module in net if isinstance(net, nn.Sequential) else [net]:
        if isinstance(module, SparseLinear):
            layer = nn.Linear(
                module.in_features, module.out_features, module.bias is not None, dtype=module.weight.dtype
            )
            layer.weight.data = module.to_dense().detach()
            if module.bias is not None:
                layer.bias.data = module.bias.detach().clone()
            modules.append(layer)
        else:
            modules.append(copy.deepcopy(module))
    return nn.Sequential(*modules)


def at_edges(net, twin_values):
    """Values of a twin's parameters, matrices read at the edges, in the order of the net's parameters."""
    layers = [m for m in net.modules() if isinstance(m, SparseLinear)]
    values = iter(twin_values)
    result = []
    for layer in layers:
        rows = torch.arange(layer.out_features).repeat_interleave(torch.tensor(layer.topology.fan_in))
        result.append(next(values)[..., rows, torch.tensor(layer.topology.indices).long()])
        if layer.bias is not None:
            result.append(next(values))
    return result


def as_function(net):
    names = [name for name, _ in net.named_parameters()]
    return lambda x, *parameters: functional_call(net, dict(zip(names, parameters, strict=True)), (x,))


@each_kernel
@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_a_layer_passes_gradcheck_in_both_modes_and_twice(kernel, graph, monkeypatch):
    """Row 1.2."""
    without_operators(kernel, monkeypatch)
    layer = linear(graph, kernel)
    call = as_function(layer), (torch.randn(3, 6, dtype=torch.float64, requires_grad=True), *layer.parameters())
    assert torch.autograd.gradcheck(*call, check_forward_ad=True, check_batched_grad=kernel != "reference")
    assert torch.autograd.gradgradcheck(*call, check_fwd_over_rev=True, check_batched_grad=kernel == "sparse")


@sparse_and_slowly_each_kernel
@pytest.mark.parametrize("last_relu", [False, True])
def test_a_chain_passes_gradcheck_in_both_modes_and_twice(kernel, last_relu, monkeypatch):
    """Row 1.2."""
    without_operators(kernel, monkeypatch)
    net = network(kernel, last_relu=last_relu)
    call = as_function(net), (torch.randn(2, 6, dtype=torch.float64, requires_grad=True), *net.parameters())
    assert torch.autograd.gradcheck(*call, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(*call, check_fwd_over_rev=True)


@each_kernel
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("frozen", [[], ["0.weight"], ["2.weight", "2.bias"]], ids=str)
def test_a_penalty_on_gradients_reaches_every_weight(kernel, dtype, frozen, monkeypatch):
    """Row 1.2: the gradient penalty of WGAN."""
    without_operators(kernel, monkeypatch)
    net = network(kernel, dtype=dtype)
    twin = dense_twin(net)
    for module in (net, twin):
        for name in frozen:
            module.get_parameter(name).requires_grad_(False)
    x = torch.randn(5, 6, dtype=dtype)

    def penalise(module):
        own = x.clone().requires_grad_()
        y = module(own)
        (g,) = torch.autograd.grad(y.sum(), own, create_graph=True)
        (y.mean() + 10 * (g.norm(dim=1) - 1).square().mean()).backward()
        return [own.grad, *(torch.zeros_like(p) if p.grad is None else p.grad for p in module.parameters())]

    (x_grad, *grads), (expected_x, *expected) = penalise(net), penalise(twin)
    torch.testing.assert_close([x_grad, *grads], [expected_x, *at_edges(net, expected)])
    assert all(p.grad is None for name, p in net.named_parameters() if name in frozen)


def test_the_penalty_of_a_network_of_pixels():
    """Row 1.2, as it was reported."""
    net = mlp([784, 300, 1], family="erdos_renyi", density=0.1, seed=0)
    twin = dense_twin(net[:2]).append(copy.deepcopy(net[2]))
    x = torch.randn(4, 784, requires_grad=True)
    for module in (net, twin):
        (g,) = torch.autograd.grad(module(x).sum(), x, create_graph=True)
        (10 * (g.norm(dim=1) - 1).square().mean()).backward()
    assert net[0].weight.grad.abs().max() > 0
    torch.testing.assert_close(net[0].weight.grad, at_edges(net, [twin[0].weight.grad, None])[0])
    torch.testing.assert_close(net[2].weight.grad, twin[2].weight.grad)


@each_kernel
def test_third_derivatives(kernel, monkeypatch):
    without_operators(kernel, monkeypatch)
    net = network(kernel)
    twin = dense_twin(net)
    x = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)

    def third(module):
        value = module(x).pow(4).sum()
        for _ in range(2):
            (g,) = torch.autograd.grad(value, x, create_graph=True)
            value = g.pow(2).sum()
        return torch.autograd.grad(value, [x, *module.parameters()], allow_unused=True, materialize_grads=True)

    (x_grad, *grads), (expected_x, *expected) = third(net), third(twin)
    torch.testing.assert_close([x_grad, *grads], [expected_x, *at_edges(net, expected)])


@each_kernel
def test_the_functionals_of_autograd(kernel, monkeypatch):
    without_operators(kernel, monkeypatch)
    net = network(kernel)
    twin = dense_twin(net)
    x, v = torch.randn(2, 2, 6, dtype=torch.float64)
    module = torch.autograd.functional
    for name in ("hessian", "hvp", "vhp"):
        call = getattr(module, name)
        arguments = () if name == "hessian" else (v,)
        results = [call(lambda x, f=f: f(x).pow(3).sum(), x, *arguments) for f in (net, twin)]
        torch.testing.assert_close(*results, msg=name)
    for options in ({}, {"vectorize": True}, {"vectorize": True, "strategy": "forward-mode"}):
        if kernel != "reference" or not options:
            torch.testing.assert_close(*(module.jacobian(f, x, **options) for f in (net, twin)))
    torch.testing.assert_close(*(module.jvp(f, x, v) for f in (net, twin)))
    torch.testing.assert_close(*(module.vjp(f, x, f(x).detach()) for f in (net, twin)))


TRANSFORMS = {
    "grad": lambda f, x: grad(lambda x: f(x).pow(3).sum())(x),
    "vmap": lambda f, x: vmap(f)(x),
    "vmap of batches": lambda f, x: vmap(f, in_dims=1, out_dims=1)(x[:, None].expand(-1, 3, -1)),
    "vmap of vmap": lambda f, x: vmap(vmap(f), in_dims=2)(
        x[..., None].expand(-1, -1, 2).transpose(1, 2).transpose(1, 2)
    ),
    "vmap of no rows": lambda f, x: vmap(f)(x[:, None][:, :0]),
    "jacrev": lambda f, x: jacrev(f)(x),
    "jacfwd": lambda f, x: jacfwd(f)(x),
    "jvp": lambda f, x: jvp(f, (x,), (x.cos(),)),
    "vjp": lambda f, x: vjp(f, x)[1](f(x)),
    "hessian": lambda f, x: hessian(lambda x: f(x).pow(3).sum())(x),
    "grad of grad": lambda f, x: grad(lambda x: grad(lambda x: f(x).pow(3).sum())(x).pow(2).sum())(x),
    "vmap of grad": lambda f, x: vmap(grad(lambda x: f(x).pow(3).sum()))(x),
    "vmap of hessian": lambda f, x: vmap(hessian(lambda x: f(x).pow(3).sum()))(x),
    "jvp of grad": lambda f, x: jvp(grad(lambda x: f(x).pow(3).sum()), (x,), (x.cos(),)),
    "jacfwd of jacfwd": lambda f, x: jacfwd(jacfwd(lambda x: f(x).pow(3).sum()))(x),
    "grad of jvp": lambda f, x: grad(lambda x: jvp(lambda x: f(x).pow(3), (x,), (x.cos(),))[1].sum())(x),
    "jacfwd of hessian": lambda f, x: jacfwd(hessian(lambda x: f(x).pow(3).sum()))(x),
    "jvp of jvp of a finished vjp": lambda f, x: (
        lambda pull, y: jvp(lambda g: jvp(lambda g: pull(g.pow(3))[0], (g,), (y.cos(),))[1], (y,), (y.sin(),))
    )(vjp(f, x)[1], f(x)),
    "jvp of jvp": lambda f, x: jvp(lambda x: jvp(lambda x: f(x).pow(3), (x,), (x.cos(),))[1], (x,), (x.sin(),)),
}


@each_kernel
@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("no_grad", [False, True])
def test_transforms_of_the_input(kernel, name, no_grad, monkeypatch):
    without_operators(kernel, monkeypatch)
    net = network(kernel)
    x = torch.randn(4, 6, dtype=torch.float64)
    with torch.set_grad_enabled(not no_grad):
        torch.testing.assert_close(TRANSFORMS[name](net, x), TRANSFORMS[name](dense_twin(net), x))


@each_kernel
@pytest.mark.parametrize("rows", [1, 3])
def test_gradients_of_each_sample(kernel, rows, monkeypatch):
    """vmap over the input, with shared weights and gradients of all parameters."""
    without_operators(kernel, monkeypatch)
    net = network(kernel)
    twin = dense_twin(net)
    x = torch.randn(5, rows, 6, dtype=torch.float64)

    def of_each_sample(module):
        loss = grad(lambda parameters, x: functional_call(module, parameters, (x,)).pow(3).sum())
        return list(vmap(loss, in_dims=(None, 0))(dict(module.named_parameters()), x).values())

    torch.testing.assert_close(of_each_sample(net), at_edges(net, of_each_sample(twin)))


@each_kernel
@pytest.mark.parametrize("x_dim", [None, 0, 1])
def test_ensembles(kernel, x_dim, monkeypatch):
    """stack_module_state: vmap over the weights, and over both; also the gradients."""
    without_operators(kernel, monkeypatch)
    nets = [network(kernel) for _ in range(3)]
    x = torch.randn((2, 6) if x_dim is None else (3, 2, 6), dtype=torch.float64)
    x = x.movedim(0, x_dim) if x_dim else x
    parameters, _ = stack_module_state(nets)

    def value(parameters, x):
        return functional_call(nets[0], parameters, (x,))

    y = vmap(value, in_dims=(0, x_dim))(parameters, x)
    rows = [x] * 3 if x_dim is None else x.unbind(x_dim)
    torch.testing.assert_close(y, torch.stack([dense_twin(net)(row) for net, row in zip(nets, rows, strict=True)]))
    y.pow(2).sum().backward()
    grads = vmap(grad(lambda p, x: value(p, x).pow(2).sum()), in_dims=(0, x_dim))(parameters, x)
    torch.testing.assert_close(grads, {name: p.grad for name, p in parameters.items()})


@pytest.mark.parametrize("randomness", ["different", "same"])
def test_random_layers_between_sparse_layers(randomness):
    net = Sequential(*network("sparse")[:2], nn.Dropout(), *network("sparse", (5, 4)))
    y = vmap(net, randomness=randomness)(torch.ones(64, 6, dtype=torch.float64))
    assert (len(y.unique(dim=0)) == 1) == (randomness == "same")


@each_kernel
def test_dual_numbers_outside_of_torch_func(kernel, monkeypatch):
    without_operators(kernel, monkeypatch)
    layer = linear(WIDE, kernel).requires_grad_(False)
    x, v = torch.randn(2, 3, 6, dtype=torch.float64)
    ad = torch.autograd.forward_ad
    with ad.dual_level():
        tangents = [ad.unpack_dual(f(ad.make_dual(x, v))).tangent for f in (layer, dense_twin(layer))]
    torch.testing.assert_close(*tangents)


@sparse_and_slowly_each_kernel
def test_compiled_transforms(kernel):
    layer = linear(WIDE, kernel)
    x = torch.randn(3, 6, dtype=torch.float64)
    for call in (TRANSFORMS["grad"], TRANSFORMS["vmap of batches"]):
        compiled = torch.compile(lambda x, call=call: call(layer.forward, x), backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled(x), call(layer, x))


@each_kernel
def test_compiled_training_steps(kernel):
    net = network(kernel)
    twin = dense_twin(net)
    x = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    loss = torch.compile(lambda x: net(x).pow(2).sum(), backend="aot_eager", fullgraph=True)(x)
    results = torch.autograd.grad(loss, [x, *net.parameters()])
    expected_x, *expected = torch.autograd.grad(twin(x).pow(2).sum(), [x, *twin.parameters()])
    torch.testing.assert_close(list(results), [expected_x, *at_edges(net, expected)])


@pytest.mark.parametrize("use_reentrant", [False, True])
@each_kernel
def test_checkpointing(kernel, use_reentrant):
    net = network(kernel)
    x = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    expected = torch.autograd.grad(net(x).pow(2).sum(), [x, *net.parameters()])
    checkpoint(net, x, use_reentrant=use_reentrant).pow(2).sum().backward()
    torch.testing.assert_close([x.grad, *(p.grad for p in net.parameters())], list(expected))


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
@each_kernel
def test_graphs_are_kept_gradients_add_up_and_may_be_unused(kernel):
    net = network(kernel)
    x = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    seen = []
    net[2].weight.register_hook(lambda g: seen.append(g.clone()))
    with torch.autograd.detect_anomaly(check_nan=True):
        loss = net(x).pow(2).sum()
        loss.backward(retain_graph=True)
        first = net[0].weight.grad.clone()
        loss.backward()
    torch.testing.assert_close(net[0].weight.grad, 2 * first)
    torch.testing.assert_close(seen[0], seen[1])
    other = torch.ones(2, requires_grad=True)
    assert torch.autograd.grad(net(x).sum(), [x, other], allow_unused=True)[1] is None


@pytest.mark.parametrize("kernel", ["sparse", "dense"])
def test_inputs_and_weights_changed_before_a_second_derivative_are_errors(kernel):
    layer = linear(WIDE, kernel)
    x = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    base = x * 1
    (g,) = torch.autograd.grad(layer(base).pow(2).sum(), base, create_graph=True)
    with torch.no_grad():
        base.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        layer.weight.grad = torch.autograd.grad(g.sum(), layer.weight)[0] + torch.autograd.grad(layer(base).sum(), x)[0]


def test_shapes_on_the_meta_device():
    net = network("sparse", dtype=torch.float32).to("meta")
    x = torch.empty(7, 6, device="meta", requires_grad=True)
    y = net(x)
    assert (y.shape, y.device.type) == ((7, 3), "meta")
    y.sum().backward()
    assert [p.grad.shape for p in net.parameters()] == [p.shape for p in net.parameters()]
    assert x.grad.shape == (7, 6)
    with torch.no_grad():
        assert net(torch.empty(2, 3, 6, device="meta")).shape == (2, 3, 3)


@each_kernel
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("batch", [1, 2, 4, 16, 33])
@pytest.mark.parametrize("density", [0.25, 0.5, 1.0])
def test_autocast_at_every_batch(kernel, half, batch, density):
    layer = SparseLinear(
        generators.biregular(24, 16, density=density, seed=0), kernel={"reference": "auto"}.get(kernel, kernel)
    )
    twin = dense_twin(layer)
    x = torch.randn(batch, 24)
    with torch.autocast("cpu", half):
        y, expected = layer(x), twin(x)
        with torch.no_grad():
            torch.testing.assert_close(layer(x), expected, rtol=0.02, atol=0.02)
        with torch.autocast("cpu", enabled=False):
            torch.testing.assert_close(layer(x), twin(x))
    assert y.dtype == half
    torch.testing.assert_close(y, expected, rtol=0.02, atol=0.02)
    for value in (y, expected):
        value.float().pow(2).sum().backward()
    assert layer.weight.grad.dtype == torch.float32
    torch.testing.assert_close(
        [p.grad for p in layer.parameters()], at_edges(layer, [p.grad for p in twin.parameters()]), rtol=0.05, atol=0.1
    )


@each_kernel
def test_half_precision_weights_compute(kernel):
    layer = linear(generators.biregular(24, 16, density=0.5, seed=0), kernel, dtype=torch.float16)
    for batch in (1, 4, 33):
        x = torch.randn(batch, 24, dtype=torch.float16)
        torch.testing.assert_close(layer(x), dense_twin(layer)(x), rtol=0.01, atol=0.01)
        with torch.no_grad():
            torch.testing.assert_close(layer(x), dense_twin(layer)(x), rtol=0.01, atol=0.01)


def count_flops(call):
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def test_flops():
    """2 * n_edges * batch for each product: one forward, two backward, but one in a layer whose input is data."""
    net = network("sparse")
    x = torch.randn(7, 6, dtype=torch.float64)
    first, *others = (2 * 7 * layer.topology.n_edges for layer in net if isinstance(layer, SparseLinear))
    forward = first + sum(others)
    assert count_flops(lambda: net(x)) == forward
    assert count_flops(lambda: net[0](x)) == first
    assert count_flops(lambda: net(x).sum().backward()) == 2 * first + 3 * sum(others)
    x.requires_grad_()
    assert count_flops(lambda: net(x).sum().backward()) == 3 * forward
    full = generators.dense(6, 4)
    layer = linear(full, "sparse")
    assert count_flops(lambda: layer(x).sum().backward()) == count_flops(lambda: dense_twin(layer)(x).sum().backward())


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "int8", "int4"])
def test_flops_and_transforms_of_quantised_layers(kind):
    net = quantize(network("sparse", dtype=torch.float32), kind)
    edges = sum(layer.n_edges for layer in net if not isinstance(layer, nn.ReLU))
    x = torch.randn(7, 6)
    assert count_flops(lambda: net(x)) == 2 * 7 * edges
    torch.testing.assert_close(vmap(net)(x), net(x))
    y, tangent = jvp(net, (x,), (torch.zeros_like(x),))
    torch.testing.assert_close(y, net(x))
    assert not tangent.any()
    torch.testing.assert_close(jacfwd(net)(x[:1])[0, :, 0], jacfwd(net)(x[0]))
    with pytest.raises(RuntimeError, match="no gradients through a quantised layer"):
        grad(lambda x: net(x).sum())(x)
    assert net.to("meta")(x.to("meta")).shape == (7, 3)


REFUSED = {
    "torch.jit.trace": (lambda net, x: torch.jit.trace(net, x), "outside torch.jit.trace"),
    "torch.jit.trace of one layer": (lambda net, x: torch.jit.trace(net[0], x), "outside torch.jit.trace"),
    "torch.jit.script": (lambda net, x: torch.jit.script(net), "torch.jit.script can compile, got a SparseLinear"),
    "torch.fx": (lambda net, x: torch.fx.symbolic_trace(net), "to be a tensor, got a Proxy; use torch.export"),
    "torch.fx of one layer": (lambda net, x: torch.fx.symbolic_trace(net[0]), "got a Proxy; use torch.export"),
    "an array": (lambda net, x: net(x.numpy()), r"got a ndarray; use torch.as_tensor\(x\)"),
    "complex numbers": (lambda net, x: net.to(torch.complex128)(x.to(torch.complex128)), "expected real numbers, got"),
    "complex weights": (lambda net, x: SparseLinear(WIDE, dtype=torch.complex64), "real floating-point type, got"),
    "tracing a quantised network": (
        lambda net, x: torch.jit.trace(quantize(net.float(), "int8"), x.float()),
        "outside torch.jit.trace",
    ),
    "scripting a quantised network": (
        lambda net, x: torch.jit.script(quantize(net, "int8")),
        "torch.jit.script can compile, got a QuantizedLinear",
    ),
}


@pytest.mark.filterwarnings("ignore:Complex modules are a new feature", "ignore:.*NumPy array is not writable")
@pytest.mark.parametrize("kernel", ["sparse", "dense"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_stays_out_is_refused_in_one_sentence(name, kernel):
    call, message = REFUSED[name]
    with pytest.raises((TypeError, RuntimeError), match=message) as error:
        call(network(kernel), torch.randn(3, 6, dtype=torch.float64))
    assert len(str(error.value).splitlines()) == 1
