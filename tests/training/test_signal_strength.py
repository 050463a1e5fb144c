"""How strong signals are before training, against a network written out by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from prewired import SparseLinear, generators
from prewired.nn import mlp
from prewired.training import data
from prewired.training.signal_strength import measure_signals


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def by_hand(net, x, y, task):
    """Forward and backward in NumPy through sparse and dense layers with ReLU between them."""
    layers = [m for m in net if isinstance(m, SparseLinear | nn.Linear)]
    weights = [(m.to_dense() if isinstance(m, SparseLinear) else m.weight).detach().double().numpy() for m in layers]
    inputs, outputs, h = [], [], x.double().numpy()
    for m, w in zip(layers, weights, strict=True):
        inputs.append(h)
        outputs.append(h @ w.T + (0 if m.bias is None else m.bias.detach().double().numpy()))
        h = np.maximum(outputs[-1], 0)
    out = outputs[-1]
    if task == "classification":
        p = np.exp(out - out.max(1, keepdims=True))
        g = (p / p.sum(1, keepdims=True) - np.eye(out.shape[1])[y.numpy()]) / len(out)
    else:
        g = 2 * (out - y.double().numpy()) / out.size
    norms = []
    for k in reversed(range(len(layers))):
        full = g.T @ inputs[k]
        kept = full[layers[k].topology.biadjacency().toarray() > 0] if isinstance(layers[k], SparseLinear) else full
        norms.insert(0, float(np.sqrt((kept**2).sum())))
        g = (g @ weights[k]) * (outputs[k - 1] > 0) if k else g
    return [float(np.sqrt((one**2).mean())) for one in outputs], norms


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("family", ["biregular", "dense"])
def test_signals_are_those_of_a_network_written_out(digits, family, task):
    density = None if family == "dense" else 0.2
    net = mlp([64, 40, 30, 10], family=family, density=density, seed=0)
    loaded = digits
    if task == "regression":
        loaded = replace(digits, task=task, y_train=torch.randn(len(digits.x_train), 10))
    found = measure_signals(net, loaded)
    rms, norms = by_hand(net, loaded.x_train[:512], loaded.y_train[:512], task)
    np.testing.assert_allclose(found["activation_rms"], rms, rtol=1e-4)
    np.testing.assert_allclose(found["gradient_norm"], norms, rtol=1e-4)


def test_the_network_is_left_as_it_was(digits):
    net = nn.Sequential(mlp([64, 16, 10], family="rotating", density=0.25), nn.BatchNorm1d(10), nn.Dropout())
    net.train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found = measure_signals(net, digits)
    assert found == measure_signals(net, digits), "without dropout"
    assert net.training
    assert all(module._forward_hooks == {} for module in net.modules())
    assert all(p.grad is None for p in net.parameters())
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not net.eval().training
    measure_signals(net, digits)
    assert not net.training


def test_hooks_go_also_when_the_network_fails(digits):
    net = nn.Sequential(nn.Linear(64, 10), nn.Linear(9, 10))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        measure_signals(net, digits)
    assert all(module._forward_hooks == {} for module in net.modules())


def test_a_start_as_if_dense_is_too_weak_by_the_root_of_the_density(digits):
    """Each layer of fan-in f of n loses sqrt(f / n) = 1/2; with zeros as targets errors are outputs, so exactly so."""
    loaded = replace(digits, task="regression", y_train=torch.zeros(len(digits.x_train), 10))
    graphs = [generators.biregular(a, b, density=0.25, seed=0) for a, b in ((64, 400), (400, 400))]
    right, blind = (
        measure_signals(mlp([64, 400, 400, 10], topologies=graphs, init_seed=0, scale=scale), loaded)
        for scale in ("fan_in", "n_in")
    )
    for name, expected in ("activation_rms", [1 / 2, 1 / 4, 1 / 4]), ("gradient_norm", [1 / 8, 1 / 8, 1 / 16]):
        np.testing.assert_allclose(np.divide(blind[name], right[name]), expected, rtol=1e-4)


class Unusual(nn.Module):
    """Calls its layers in another order than it lists them, one twice and one never; one is frozen."""

    def __init__(self):
        super().__init__()
        self.last, self.unused, self.first = nn.Linear(64, 10), nn.Linear(3, 3), nn.Linear(64, 64)
        self.frozen = nn.Linear(64, 64).requires_grad_(False)

    def forward(self, x):
        return self.last(self.frozen(self.first(self.first(x)).relu_()))


def test_each_signal_belongs_to_its_layer(digits):
    net = Unusual()
    sum(p.sum() for p in net.parameters() if p.requires_grad).backward()  # gradients of before must not count
    signals = measure_signals(net, digits)
    x = digits.x_train[:512]
    h = net.first(x)
    outputs = {"last": net(x), "first": torch.cat([h, net.first(h)]), "frozen": net.frozen(net.first(h).relu())}
    nn.functional.cross_entropy(outputs["last"], digits.y_train[:512]).backward()
    rms = [float(outputs[name].detach().square().mean().sqrt()) if name in outputs else np.nan for name in net._modules]
    norms = [np.nan if layer.weight.grad is None else float(layer.weight.grad.norm()) for layer in net.children()]
    np.testing.assert_allclose(signals["activation_rms"], rms, rtol=1e-5)
    np.testing.assert_allclose(signals["gradient_norm"], norms, rtol=1e-5)
