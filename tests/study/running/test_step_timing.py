"""Training steps timed by themselves: what is timed computes the same, in turns, and is told as it was taken."""

import json
import math
from dataclasses import asdict, replace

import pytest
import torch
from torch import nn

from prewired.nn import mlp
from prewired.nn.reference_layers import COMPARATORS, GATHER_LIMIT, Gather, gather_bytes, replace_layers
from prewired.study import StudyConfig, StudyPlan
from prewired.study.running import database, step_timing
from prewired.study.running.step_timing import StepTiming, choose_carrier, read_timings, time_steps, update_timings
from prewired.study.tasks import Facts
from prewired.training import data

CONFIG = StudyConfig("digits", ["rotating", "biregular"], [0.1, 0.5], hidden=[32, 32], controls=["permuted"])
FACTS = {"digits": Facts("digits", "", 64, 10, {})}
PLAN = StudyPlan.build(CONFIG, FACTS)
EVERYONE = ["dense", "dense narrow", "rotating", "biregular", "masked dense", "torch CSR", "gather"]


def made(what, ms, density=0.1, kernel="", problem="", spread=0.1):
    quartiles = (ms * (1 - spread), ms, ms * (1 + spread))
    return StepTiming("mine", density, what, quartiles, 2, 100, "a CPU, 2 threads", kernel, 10, problem)


def sparse_net(*, bias=True):
    net = mlp([12, 20, 20, 5], family="biregular", fan_in=3, seed=1).double()
    for layer in net:
        if not bias and hasattr(layer, "bias"):
            layer.bias = None
    return net


def edge_gradient(name, layer, like):
    if name != "masked dense":
        return layer.weight.grad
    outputs = torch.repeat_interleave(torch.arange(like.out_features), like.indptr.diff())
    return layer.weight.grad[outputs, like.indices.long()]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", COMPARATORS)
def test_comparators_compute_what_sparse_layers_do(name, bias):
    net = sparse_net(bias=bias)
    other = replace_layers(name, net, 7)
    x, y = torch.randn(7, 12, dtype=torch.float64, requires_grad=True), torch.randint(0, 5, (7,))
    mine, theirs = net(x), other(x)
    torch.testing.assert_close(theirs, mine)
    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(net(x), y), [x])
    (other_gradient,) = torch.autograd.grad(nn.functional.cross_entropy(other(x), y), [x])
    torch.testing.assert_close(other_gradient, gradient)
    nn.functional.cross_entropy(mine, y).backward()
    nn.functional.cross_entropy(theirs, y).backward()
    for a, b in zip(net[::2], other[::2], strict=True):
        dense = isinstance(a, nn.Linear)
        torch.testing.assert_close(b.weight.grad if dense else edge_gradient(name, b, a), a.weight.grad)
        if bias:
            torch.testing.assert_close(b.bias.grad, a.bias.grad)
        assert (b.bias is None) == (not bias)
        assert a.weight.data_ptr() != b.weight.data_ptr()


@pytest.mark.parametrize("name", COMPARATORS)
def test_adam_moves_a_comparator_as_it_moves_sparse_layers(name):
    net = sparse_net()
    other = replace_layers(name, net, 7)
    x, y = torch.randn(7, 12, dtype=torch.float64), torch.randint(0, 5, (7,))
    before = net(x).detach()
    for module in (net, other):
        optimizer = torch.optim.AdamW(module.parameters(), 1e-2, fused=True)
        for _ in range(3):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(x), y).backward()
            optimizer.step()
    torch.testing.assert_close(other(x), net(x))
    assert (net(x) - before).abs().max() > 1e-2


def test_gathering_needs_a_constant_fan_in_and_memory():
    uneven = mlp([12, 20, 5], family="biregular", n_edges=61, seed=0)
    with pytest.raises(ValueError, match="expected the same fan-in at every output, got 3 to 4"):
        replace_layers("gather", uneven, 7)
    net = mlp([12, 20, 20, 5], family="biregular", fan_in=3, seed=1)
    layers = [net[0], net[2]]
    assert gather_bytes(layers, 10) == 4 * (60 + 60 + 60 + 60) * 10
    largest = GATHER_LIMIT // gather_bytes(layers, 1)
    assert isinstance(replace_layers("gather", net, largest)[0], Gather)
    with pytest.raises(ValueError, match="expected at most 256 MB to gather, got 256 MB"):
        replace_layers("gather", net, largest + 1)


def test_a_step_of_everyone_at_every_density():
    told = []
    found = time_steps(PLAN, data.load, rounds=2, steps=2, progress=lambda *step: told.append(step))
    assert [one.what for one in found if one.density == 0.1] == EVERYONE
    assert [one.what for one in found if one.density == 0.5] == EVERYONE
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    rows = len(data.load("digits").x_train)
    for one in found:
        low, middle, high = one.ms
        assert 0 < low <= middle <= high < 1e3
        assert one.steps_per_epoch == math.ceil(rows / 128)
        assert one.threads == torch.get_num_threads()
        assert one.machine.endswith("thread" + "s" * (one.threads > 1))
        assert (one.data, one.problem) == ("digits", "")
    by_name = {one.what: one for one in found if one.density == 0.1}
    assert by_name["dense"].n_parameters == by_name["masked dense"].n_parameters == 65 * 32 + 33 * 32 + 33 * 10
    assert {by_name[name].n_parameters for name in ("rotating", "biregular", "torch CSR", "gather")} == {
        6 * 32 + 3 * 32 + 2 * 32 + 33 * 10
    }
    assert {name for name, one in by_name.items() if one.kernel} == {"rotating", "biregular"}
    assert set(", ".join(one.kernel for one in by_name.values() if one.kernel).split(", ")) <= {"sparse", "dense"}


def test_what_cannot_be_timed_is_left_out_with_the_reason(monkeypatch):
    monkeypatch.setattr("prewired.nn.reference_layers.GATHER_LIMIT", 700_000)
    monkeypatch.setitem(COMPARATORS, "torch CSR", lambda layer: nn.Linear(1, 1))
    found = {(one.what, one.density): one for one in time_steps(PLAN, data.load, rounds=1, steps=1)}
    assert found["gather", 0.1].problem == ""
    assert "at most 0.7 MB to gather, got 2 MB" in found["gather", 0.5].problem
    assert all(map(math.isnan, found["gather", 0.5].ms))
    assert "cannot be multiplied" in found["torch CSR", 0.1].problem


def test_a_training_step_is_that_of_training():
    loaded = data.load("digits")
    few = replace(loaded, x_train=loaded.x_train[:100], y_train=loaded.y_train[:100])
    config = replace(CONFIG, batch_size=100, learning_rates=(1e-2, 1e-3))
    net, twin = (mlp([64, 16, 10], family="dense", init_seed=0) for _ in range(2))
    step = step_timing._make_step(net, config, few)
    optimizer = torch.optim.AdamW(twin.parameters(), 1e-3, weight_decay=0.0)
    for _ in range(3):
        step()
        optimizer.zero_grad()
        nn.functional.cross_entropy(twin(few.x_train), few.y_train).backward()
        optimizer.step()
    for a, b in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    assert not torch.equal(next(twin.parameters()), next(mlp([64, 16, 10], family="dense").parameters()))


@pytest.mark.parametrize(("n_rows", "seen"), [(300, [128] * 5), (100, [100] * 5)])
def test_steps_have_whole_batches_of_rows_in_random_order(n_rows, seen):
    loaded = data.load("digits")
    few = replace(loaded, x_train=loaded.x_train[:n_rows], y_train=loaded.y_train[:n_rows])
    net, batches = mlp([64, 16, 10], family="dense"), []
    net.register_forward_pre_hook(lambda _, given: batches.append(given[0]))
    step = step_timing._make_step(net, CONFIG, few)
    for _ in seen:
        step()
    assert list(map(len, batches)) == seen
    assert not torch.equal(batches[0], few.x_train[: seen[0]])
    assert torch.equal(batches[0], batches[n_rows // 128 or 1])


def test_comparators_carry_the_random_biregular_graph(monkeypatch):
    nets_carried = []

    def carried(name, net, batch):
        nets_carried.append(net)
        return replace_layers(name, net, batch)

    monkeypatch.setattr(step_timing, "replace_layers", carried)
    time_steps(PLAN, data.load, rounds=1, steps=1)
    assert {net[0].topology.recipe.family for net in nets_carried} == {"biregular"}
    assert len(nets_carried) == 2 * len(COMPARATORS)


def test_the_comparators_graph():
    assert choose_carrier(["rotating", "grouped", "biregular"]) == "biregular"
    assert choose_carrier(["rotating", "window2d+erdos_renyi"]) == "window2d+erdos_renyi"
    assert choose_carrier(["rotating", "grouped"]) == "rotating"


def test_timings_are_kept_and_taken_again_only_where_something_changed(tmp_path, monkeypatch):
    calls = []

    def time_nothing(plan, load, *, progress=None):
        calls.append(plan)
        return [made("dense", 2.0), made("gather", math.nan, problem="too large")]

    monkeypatch.setattr(step_timing, "time_steps", time_nothing)
    connection = database.open_store(tmp_path)
    try:
        assert read_timings(connection, PLAN) == ()
        found = update_timings(connection, PLAN, data.load)
        assert [one.what for one in found] == ["dense", "gather"]
        assert found[0] == made("dense", 2.0)
        assert all(map(math.isnan, found[1].ms))
        more_seeds = StudyPlan.build(replace(CONFIG, graph_seeds=9, epochs=99), FACTS)
        assert update_timings(connection, more_seeds, data.load)[0] == found[0]
        assert len(calls) == 1
        update_timings(connection, StudyPlan.build(replace(CONFIG, batch_size=64), FACTS), data.load)
        assert len(calls) == 2
        assert read_timings(connection, PLAN) == ()  # of another study by now
        update_timings(
            connection, replace(PLAN, all_nets=PLAN.all_nets[:-1]), data.load
        )  # without one net with a control
        update_timings(connection, PLAN, data.load)
        assert len(calls) == 3
        monkeypatch.setattr(step_timing, "describe_machine", lambda: "another")
        assert len(read_timings(connection, PLAN)) == 2
        update_timings(connection, PLAN, data.load)
        assert len(calls) == 4
    finally:
        connection.close()


def test_a_timing_survives_json():
    one = made("biregular", 0.3, kernel="sparse, dense")
    assert StepTiming.from_dict(json.loads(json.dumps(asdict(one)))) == one
