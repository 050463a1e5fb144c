"""The wiring of a layer: nothing changes it, and only weights of the same wiring are loaded."""

import copy
import io
import pickle

import pytest
import safetensors.torch
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, skip_init
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import prewired as pw
from prewired import SparseLinear, generators
from prewired.nn import mlp
from prewired.nn.quantization import QUANTIZED_KINDS, quantize
from prewired.nn.sparse_module import WIRING

GRAPH = generators.biregular(24, 16, fan_in=5, seed=0)
OTHER = generators.biregular(24, 16, fan_in=5, seed=1)
X = torch.linspace(-1, 1, 72).view(3, 24)


def network():
    return mlp([24, 16, 16, 3], family="biregular", fan_in=5, seed=0)


def expected_output(net, x=X):
    """The output by dense matrices from the topologies, without any index tensor of a layer."""
    for module in net:
        if isinstance(module, SparseLinear):
            dense = torch.zeros(module.out_features, module.in_features, dtype=module.weight.dtype)
            cells = module.topology.biadjacency().nonzero()
            dense[torch.tensor(cells[0]).long(), torch.tensor(cells[1]).long()] = module.weight.detach()
            x = nn.functional.linear(x, dense, module.bias)
        else:
            x = module(x)
    return x


def average(net):
    averaged = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9999), use_buffers=True)
    for _ in range(3):
        averaged.update_parameters(net)
    return averaged.module


def fill_buffers(net):
    for tensor in net.buffers():
        tensor.fill_(3)


def write_to_state_dict(net):
    for name, tensor in net.state_dict().items():
        if name.endswith(WIRING):
            tensor.zero_()


def write_to_attributes(net):
    for name in WIRING:
        getattr(net[0], name).fill_(1)


def load_after_to_empty(net):
    state = copy.deepcopy(net.state_dict())
    net.to_empty(device="cpu").load_state_dict(state)


def load_from_meta(net):
    state = copy.deepcopy(net.state_dict())
    with torch.device("meta"):
        other = network()
    other.to_empty(device="cpu").load_state_dict(state)
    return other


def assign(net):
    with torch.device("meta"):
        other = network()
    other.load_state_dict(net.state_dict(), assign=True)
    return other


def through_vector(net):
    vector = nn.utils.parameters_to_vector(net.parameters())
    nn.utils.vector_to_parameters(vector * 2, net.parameters())


def convert(**flags):
    def change(net):
        for name in flags:
            getattr(torch.__future__, f"set_{name}")(True)
        try:
            net.double().half().float()
        finally:
            for name in flags:
                getattr(torch.__future__, f"set_{name}")(False)

    return change


def apply_zeros(net):
    net._apply(lambda tensor: tensor.clone().fill_(2))


def call_with_hostile_tensors(net):
    y = net(X)
    with pytest.raises(AttributeError, match="expected the wiring"):
        torch.func.functional_call(net, {"0.indices": torch.zeros_like(net[0].indices)}, (X,))
    assert torch.equal(torch.func.functional_call(net, net.state_dict(), (X,)), y)


def through_file(net):
    file = io.BytesIO()
    torch.save(net, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


def through_safetensors(net):
    net.load_state_dict(safetensors.torch.load(safetensors.torch.save(net.state_dict())))


TRICKS = {
    "an average of weights and buffers": average,
    "filled buffers": fill_buffers,
    "a state_dict written to": write_to_state_dict,
    "attributes written to": write_to_attributes,
    "to_empty and a load": load_after_to_empty,
    "meta, to_empty and a load": load_from_meta,
    "an assigned state_dict": assign,
    "one vector of all parameters": through_vector,
    "casts": convert(),
    "swapped tensors": convert(swap_module_params_on_conversion=1),
    "overwritten parameters": convert(overwrite_module_params_on_conversion=1),
    "any function of tensors": apply_zeros,
    "functional_call": call_with_hostile_tensors,
    "torch.save": through_file,
    "safetensors": through_safetensors,
    "pickle": lambda net: pickle.loads(pickle.dumps(net)),
    "deepcopy": copy.deepcopy,
    "shared memory": lambda net: net.share_memory(),
    "module.apply": lambda net: net.apply(lambda module: [b.zero_() for b in module.buffers(recurse=False)] and None),
}


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("trick", TRICKS)
def test_nothing_changes_the_wiring_and_what_ran_is_saved(trick, used, tmp_path):
    """1.3, 1.7"""
    net = network()
    digests = [net[k].topology.digest for k in (0, 2)]
    if used:
        net(X)
    net = TRICKS[trick](net) or net
    y = net(X)
    assert [net[k].topology.digest for k in (0, 2)] == digests
    torch.testing.assert_close(y, expected_output(net))
    y.sum().backward()
    pw.save(net, tmp_path / "net")
    assert torch.equal(pw.load(tmp_path / "net")(X), y)


def test_buffers_list_no_wiring_and_copies_share_the_plan():
    """1.3"""
    layer = SparseLinear(GRAPH)
    assert [*layer.buffers()] == []
    assert [*layer.state_dict()] == ["weight", "bias", *WIRING]
    assert copy.deepcopy(layer)._plan is layer._plan


@pytest.mark.parametrize("name", [*WIRING, "topology"])
def test_attributes_of_the_wiring_are_read_only(name):
    """1.3"""
    layer, other = SparseLinear(GRAPH), SparseLinear(OTHER)
    y = layer(X)
    with pytest.raises(AttributeError, match=r"expected the (wiring|topology)"):
        setattr(layer, name, OTHER if name == "topology" else getattr(other, name) + 1)
    for register in (layer.register_buffer, layer.register_parameter):
        with pytest.raises(KeyError, match="already exists"):
            register(name, None)
    assert torch.equal(layer(X), y)


def test_skip_init_gives_a_layer_with_its_wiring():
    """1.4"""
    layer = skip_init(SparseLinear, GRAPH)
    layer.reset_parameters()
    torch.testing.assert_close(layer(X), expected_output([layer]))


PARAMETRISED = {
    "prune": lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
    "parametrize": lambda layer: parametrize.register_parametrization(layer, "weight", nn.Tanh()),
    "weight_norm": lambda layer: parametrizations.weight_norm(layer),
}


@pytest.mark.parametrize("name", PARAMETRISED)
def test_parametrised_layers_run_and_load_only_their_own_wiring(name):
    """1.3, 1.4"""
    layer, same, other = SparseLinear(GRAPH), SparseLinear(GRAPH), SparseLinear(OTHER)
    for each in (layer, same, other):
        PARAMETRISED[name](each)
    same.load_state_dict(layer.state_dict())
    torch.testing.assert_close(same(X), layer(X))
    weights = {key: tensor for key, tensor in layer.state_dict().items() if key not in WIRING}
    for state in (layer.state_dict(), weights):
        with pytest.raises(RuntimeError, match="expected the wiring"):
            other.load_state_dict(state, strict=False)


def without(*names):
    return lambda state: {name: tensor for name, tensor in state.items() if name not in names}


def replaced(name, change):
    return lambda state: {**state, name: change(state[name])}


STRANGE = {
    "weights alone": without(*WIRING),
    "no indices": without("indices"),
    "no indptr": without("indptr"),
    "indptr alone": without("weight", "bias", "n_in", "indices"),
    "n_in alone": without("weight", "bias", "indptr", "indices"),
    "n_in 64.7": replaced("n_in", lambda n: n + 0.7),
    "n_in as a float": replaced("n_in", lambda n: n.double()),
    "n_in + 1": replaced("n_in", lambda n: n + 1),
    "n_in of another shape": replaced("n_in", lambda n: n.view(1)),
    "indices + 0.4": replaced("indices", lambda i: i + 0.4),
    "indices + 2**32": replaced("indices", lambda i: i.long() + 2**32),
    "indices as bytes that wrap": replaced("indices", lambda i: (i - 256).long()),
    "indices as bool": replaced("indices", lambda i: i.bool()),
    "indices NaN": replaced("indices", lambda i: i * float("nan")),
    "indices of another shape": replaced("indices", lambda i: i.view(2, -1)),
    "complex indices": replaced("indices", lambda i: i.to(torch.complex64)),
    "indices as text": replaced("indices", lambda i: "none"),
    "indices None": replaced("indices", lambda i: None),
    "indices without values": replaced("indices", lambda i: i.to("meta")),
    "indptr of another length": replaced("indptr", lambda i: i[:-1]),
    "another graph": lambda state: SparseLinear(OTHER).state_dict(),
    "weights of another length": replaced("weight", lambda w: w[:-1]),
    "a bias of another length": replaced("bias", lambda b: b[:-1]),
    "integers as weights": replaced("weight", lambda w: w.to(torch.int8)),
    "a weight without values": replaced("weight", lambda w: w.to("meta")),
}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("assign", [True, False])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("strange", STRANGE)
def test_what_is_not_of_this_wiring_is_refused_and_changes_nothing(strange, prefix, assign, strict):
    """1.4"""
    layer = SparseLinear(GRAPH)
    net = nn.ModuleDict({"module": layer}) if prefix else layer
    before = copy.deepcopy(layer.state_dict())
    state = STRANGE[strange]({**SparseLinear(GRAPH).state_dict()})
    with pytest.raises(RuntimeError, match=rf"{prefix}\w+: expected .*, got .*; "):
        net.load_state_dict({prefix + name: tensor for name, tensor in state.items()}, strict=strict, assign=assign)
    assert all(torch.equal(before[name], tensor) for name, tensor in layer.state_dict().items())


def test_what_may_be_loaded():
    """1.4"""
    layer, state = SparseLinear(GRAPH), SparseLinear(GRAPH).state_dict()
    assert layer.load_state_dict({}, strict=False).missing_keys == [*state]
    assert layer.load_state_dict({"bias": state["bias"]}, strict=False).missing_keys == ["weight", *WIRING]
    assert layer.load_state_dict({"0.weight": state["weight"]}, strict=False).unexpected_keys == ["0.weight"]
    layer.load_state_dict(without("n_in")(state))
    layer.load_state_dict({**state, "indices": state["indices"].to(torch.uint8)})
    compiled = torch.compile(nn.Sequential(SparseLinear(GRAPH)), backend="aot_eager")
    compiled.load_state_dict({f"_orig_mod.0.{name}": tensor for name, tensor in state.items()})
    nn.DataParallel(layer).load_state_dict({f"module.{name}": tensor for name, tensor in state.items()})
    averaged = AveragedModel(SparseLinear(GRAPH))
    averaged.load_state_dict(AveragedModel(layer).state_dict())
    torch.testing.assert_close(averaged(X), layer(X))


@pytest.mark.parametrize("loaded", QUANTIZED_KINDS)
@pytest.mark.parametrize("own", QUANTIZED_KINDS)
@pytest.mark.parametrize("dense", [False, True])
def test_quantised_layers_load_only_their_own_types(own, loaded, dense):
    """1.4"""
    first, second = (quantize(nn.Linear(24, 16) if dense else SparseLinear(GRAPH), kind) for kind in (own, loaded))
    state, before = second.state_dict(), copy.deepcopy(first.state_dict())
    if own == loaded:
        first.load_state_dict(state)
        assert torch.equal(first(X), second(X))
        return
    with pytest.raises(RuntimeError, match=r"expected .*, got"):
        first.load_state_dict(state, strict=False)
    assert all(torch.equal(before[name], tensor) for name, tensor in first.state_dict().items())


@pytest.mark.parametrize("name", ["values", "scale"])
def test_integers_and_scales_are_loaded_together(name):
    """1.4"""
    layer = quantize(SparseLinear(GRAPH), "int8")
    with pytest.raises(RuntimeError, match=r"expected values and scale of int8, got (values|scale) alone"):
        layer.load_state_dict(without(name)(layer.state_dict()), strict=False)
    with pytest.raises(RuntimeError, match=f"{name}: expected torch"):
        layer.load_state_dict({**layer.state_dict(), name: layer.state_dict()[name].float()})
