"""Layers and networks inside what torch has around modules: compile, export, and long runs."""

import os
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from prewired import SparseLinear, generators
from prewired.nn import linear, mlp
from prewired.ops.plan import get_plan

pytestmark = pytest.mark.filterwarnings(  # torch.compile instantiates autograd functions itself
    "ignore:<class 'torch.autograd.function.Function'> should not be instantiated:DeprecationWarning"
)
MODULES = {f"a {kernel} layer": lambda kernel=kernel: layer(kernel) for kernel in linear.KERNEL_CHOICES} | {
    "a full layer": lambda: SparseLinear(generators.dense(24, 10), kernel="dense"),
    "an auto mlp": lambda: small_mlp("auto"),
    "a sparse mlp": lambda: small_mlp("sparse"),
    "a dense mlp": lambda: small_mlp("dense"),
}
TYPICAL = ("a sparse layer", "a dense layer", "an auto mlp")
# Dynamo itself instantiates torch.autograd.Function when it traces one.
pytestmark = pytest.mark.filterwarnings("ignore:.*Function'> should not be instantiated:DeprecationWarning")
STATM = Path("/proc/self/statm")
SLOW = pytest.mark.slow
each_module = pytest.mark.parametrize("name", MODULES)
typical_modules = pytest.mark.parametrize(
    "name", [name if name in TYPICAL else pytest.param(name, marks=SLOW) for name in MODULES]
)
each_network = pytest.mark.parametrize("name", ["a full layer", "an auto mlp", "a sparse mlp", "a dense mlp"])


def layer(kernel):
    return SparseLinear(generators.biregular(24, 10, fan_in=5, seed=0), kernel=kernel)


def small_mlp(kernel):
    net = mlp([24, 32, 40, 10], family="biregular", fan_in=4, seed=0)
    for module in net:
        if isinstance(module, SparseLinear):
            module.kernel = kernel
    return net


@pytest.fixture(autouse=True)
def afresh():
    """Nothing compiled in a test before."""
    torch._dynamo.reset()


def results(call, module, x):
    """The value and all gradients."""
    x = x.detach().clone().requires_grad_()
    y = call(x)
    return y.detach(), *torch.autograd.grad(y.square().sum(), [x, *module.parameters()])


@typical_modules
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=SLOW)])
def test_compiled_whole_modules_compute_the_same(name, backend):
    module = MODULES[name]()
    compiled = torch.compile(module, backend=backend, fullgraph=True)
    for batch in (6, 1, 33, 7):
        x = torch.randn(batch, 24)
        torch.testing.assert_close(results(compiled, module, x), results(module, module, x))
    with torch.no_grad():
        x = torch.randn(2, 5, 24)
        torch.testing.assert_close(compiled(x), module(x))


@each_network
def test_a_training_step_can_be_compiled_whole(name):
    x, target = torch.randn(6, 24), torch.randn(6, 10)
    steps = []
    for fullgraph in (False, True):
        module = MODULES[name]()
        module.load_state_dict(steps[0][0] if steps else module.state_dict())
        before = {key: value.clone() for key, value in module.state_dict().items()}
        optimiser = torch.optim.SGD(module.parameters(), 0.1, momentum=0.9)

        def loss(x, target, module=module):
            return nn.functional.mse_loss(module(x), target)

        call = torch.compile(loss, backend="aot_eager", fullgraph=True) if fullgraph else loss
        for _ in range(3):
            optimiser.zero_grad()
            call(x, target).backward()
            optimiser.step()
        steps.append((before, module.state_dict()))
    torch.testing.assert_close(steps[1][1], steps[0][1])


@typical_modules
@pytest.mark.parametrize(("strict", "used"), [(False, False), (True, True)])
def test_exported_modules_take_any_batch_and_leave_the_module_as_it_was(name, strict, used):
    module = MODULES[name]()
    x = torch.randn(6, 24)
    if used:
        module(x)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*assigned during export")
        exported = torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},), strict=strict)
    for batch in (0, 1, 2, 6, 7, 33, 131):
        x = torch.randn(batch, 24)
        torch.testing.assert_close(exported.module()(x), module(x))
    layers = [layer for layer in module.modules() if isinstance(layer, SparseLinear)]
    index_tensors = [tensor for layer in layers for tensor in get_plan(layer.topology).wiring]
    assert all(any(torch.equal(c, tensor) for tensor in index_tensors) for c in exported.constants.values())


@each_module
def test_exported_modules_can_be_saved_and_loaded(name, tmp_path):
    module = MODULES[name]()
    exported = torch.export.export(module, (torch.randn(6, 24),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    torch.export.save(exported, tmp_path / "module.pt2")
    x = torch.randn(7, 24)
    torch.testing.assert_close(torch.export.load(tmp_path / "module.pt2").module()(x), module(x))


def resident():
    """Bytes of this process in memory."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not STATM.exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("name", [pytest.param("a dense layer", marks=SLOW), "a sparse mlp"])
def test_memory_does_not_grow_over_ten_thousand_steps(name):
    module = MODULES[name]()
    x, g = torch.randn(32, 24), torch.randn(32, 10)

    def steps(n):
        for _ in range(n):
            module(x).backward(g)
            with torch.inference_mode():
                module(x)

    steps(1000)
    before = resident()
    steps(9000)
    grown = resident() - before
    assert grown < 2 * 2**20, "expected less than 250 bytes a step, which is no tensor"
