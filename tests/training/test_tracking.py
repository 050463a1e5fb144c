"""Metrics that follow training: in the Run, in its picture, on the command line."""

import json
import re
import time

import numpy as np
import pytest
import torch
from torch import nn

from prewired import SparseLinear, TrainConfig, generators, plots, train
from prewired.cli.app import main
from prewired.metrics import WEIGHTED_METRICS, weighted
from prewired.nn import mlp
from prewired.study.running import database
from prewired.training import Run, data, loop

CONFIG = TrainConfig(epochs=2, learning_rate=1e-2)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def small_net(family="biregular"):
    return mlp([64, 48, 32, 10], family=family, density=None if family == "dense" else 0.2, seed=0)


def matrices(net):
    """The layers' matrices of weights, inputs first."""
    return [
        (layer.to_dense() if isinstance(layer, SparseLinear) else layer.weight).detach().double().numpy()
        for layer in net
        if isinstance(layer, SparseLinear | nn.Linear)
    ]


def stable_ranks(net):
    return [np.linalg.norm(w) ** 2 / np.linalg.norm(w, 2) ** 2 for w in matrices(net)]


def gaps(net):
    values = [np.linalg.svd(abs(w), compute_uv=False) for w in matrices(net)]
    return [v[0] - v[1] for v in values]


def test_the_registry_has_every_metric_of_weighted_edges():
    assert {name: getattr(weighted, name) for name in WEIGHTED_METRICS} == WEIGHTED_METRICS
    assert set(WEIGHTED_METRICS) == {
        "weighted_spectral_gap", "relative_weighted_spectral_gap", "effective_rank", "stable_rank"
    }  # fmt: skip


def test_tracked_values_are_those_of_the_weights_at_each_epoch(digits):
    net = small_net()
    expected = [(stable_ranks(net), gaps(net))]
    track = ["stable_rank", "weighted_spectral_gap"]
    run = train(net, digits, CONFIG, track=track, progress=lambda *_: expected.append((stable_ranks(net), gaps(net))))
    assert list(run.tracked) == track
    assert len(expected) == 3
    for name, wanted in zip(track, zip(*expected, strict=True), strict=True):
        assert np.shape(run.tracked[name]) == (3, 3)
        np.testing.assert_allclose(run.tracked[name], wanted, rtol=1e-9)
        assert not np.allclose(run.tracked[name][0], run.tracked[name][2], rtol=1e-3)


def test_a_dense_network_is_followed_as_complete_graphs(digits):
    net = mlp([64, 20, 10], family="dense", seed=0)
    before = gaps(net)
    run = train(net, digits, CONFIG, track=WEIGHTED_METRICS)
    np.testing.assert_allclose(run.tracked["weighted_spectral_gap"][0], before)
    np.testing.assert_allclose(run.tracked["weighted_spectral_gap"][-1], gaps(net))
    np.testing.assert_allclose(run.tracked["stable_rank"][-1], stable_ranks(net))


def test_layers_inside_of_other_modules_are_followed_in_order(digits):
    graph = generators.biregular(64, 30, fan_in=8, seed=0)
    net = nn.Sequential(nn.Sequential(SparseLinear(graph), nn.Tanh()), nn.Sequential(nn.Linear(30, 10)))
    run = train(net, digits, TrainConfig(epochs=1), track=["effective_rank"])
    assert np.shape(run.tracked["effective_rank"]) == (2, 2)
    assert run.tracked["effective_rank"][0][0] > 10 >= run.tracked["effective_rank"][0][1]


@pytest.mark.parametrize("family", ["biregular", "dense"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_tracking_changes_not_a_bit_of_the_training(digits, family, optimizer):
    config = TrainConfig(epochs=2, learning_rate=1e-2, optimizer=optimizer)
    runs, nets, states = [], [], []
    for track in ((), WEIGHTED_METRICS):
        torch.manual_seed(7)
        net = small_net(family)
        net.insert(2, nn.Dropout(0.2))
        runs.append(train(net, digits, config, track=track))
        nets.append(net)
        states.append(torch.random.get_rng_state())
    for name in ("train_loss", "val_loss", "val_score", "test_loss", "test_score", "n_parameters"):
        assert getattr(runs[0], name) == getattr(runs[1], name)
    assert runs[0].tracked == {}
    assert torch.equal(*states)
    for (name, a), (_, b) in zip(nets[0].state_dict().items(), nets[1].state_dict().items(), strict=True):
        assert torch.equal(a, b), name


def test_seconds_are_those_of_training_alone(digits, monkeypatch):
    def slow(t, weights):
        time.sleep(0.5)
        return 1.0

    monkeypatch.setitem(WEIGHTED_METRICS, "stable_rank", slow)
    run = train(nn.Linear(64, 10), digits, CONFIG, track=["stable_rank"])
    assert run.tracked == {"stable_rank": ((1.0,),) * 3}
    assert min(run.seconds) < 0.5


def test_a_metric_that_does_not_settle_ends_no_training(digits, monkeypatch):
    def unsettled(t, weights):
        raise RuntimeError("did not settle")

    monkeypatch.setitem(WEIGHTED_METRICS, "stable_rank", unsettled)
    run = train(nn.Linear(64, 10), digits, CONFIG, track=["stable_rank", "effective_rank"])
    assert np.isnan(run.tracked["stable_rank"]).all()
    assert np.isfinite(run.tracked["effective_rank"]).all()


def test_wrong_requests_are_refused_before_training(digits):
    net = small_net()
    before = [p.detach().clone() for p in net.parameters()]
    names = "weighted_spectral_gap, relative_weighted_spectral_gap, effective_rank, stable_rank"
    with pytest.raises(ValueError, match=f"expected metrics to track among {names}, got 'spectral_gap'"):
        train(net, digits, CONFIG, track=["stable_rank", "spectral_gap"])
    for p, q in zip(net.parameters(), before, strict=True):
        assert torch.equal(p, q)

    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(64, 10))

        def forward(self, x):
            return x @ self.weight

    with pytest.raises(ValueError, match="to track, got Bare without one; leave track= out"):
        train(Bare(), digits, CONFIG, track=["stable_rank"])


# The Run, stored


def test_runs_with_tracked_metrics_go_through_json_and_the_store(digits, tmp_path):
    run = train(small_net(), digits, CONFIG, track=["stable_rank", "effective_rank"])
    assert Run.from_dict(run.to_dict()) == run
    assert Run.from_dict(json.loads(json.dumps(run.to_dict()))) == run
    connection = database.open_store(tmp_path)
    database.add_result(connection, database.to_canonical_json({"a": 1}), {"run": run.to_dict(), "finished": "now"})
    (payload,) = database.read_results(connection).values()
    connection.close()
    assert Run.from_dict(payload["run"]) == run
    assert isinstance(hash(run), int)
    assert run != Run.from_dict({**run.to_dict(), "tracked": {}})


def test_runs_stored_before_there_was_tracking_load_and_look_as_they_did(digits):
    run = train(small_net(), digits, TrainConfig(epochs=1))
    fields = ["config", "score_name", "n_parameters", "train_loss", "val_loss", "val_score", "seconds", "test_loss"]
    assert list(run.to_dict()) == [*fields, "test_score", "chosen_epoch"]
    assert Run.from_dict(json.loads(json.dumps(run.to_dict()))) == run
    assert run.tracked == {}


# The picture


def made_run(n_layers, n_metrics, n_epochs):
    rng = np.random.default_rng(0)
    tracked = {
        name: tuple(tuple(rng.random(n_layers).tolist()) for _ in range(n_epochs + 1))
        for name in list(WEIGHTED_METRICS)[:n_metrics]
    }
    curves = dict.fromkeys(("train_loss", "val_loss", "val_score", "seconds"), (0.5,) * n_epochs)
    ends = {"test_loss": 0, "test_score": 1, "chosen_epoch": n_epochs}
    return Run(TrainConfig(epochs=n_epochs), "accuracy", 1, **curves, **ends, tracked=tracked)


@pytest.mark.parametrize(("n_layers", "n_metrics", "n_epochs"), [(1, 1, 1), (6, 4, 30), (10, 2, 3)])
def test_the_picture_has_a_panel_per_metric_and_a_line_per_layer(tmp_path, n_layers, n_metrics, n_epochs):
    run = made_run(n_layers, n_metrics, n_epochs)
    figure = plots.tracked.__wrapped__(run)
    assert [axis.get_title() for axis in figure.axes] == [name.replace("_", " ") for name in run.tracked]
    for axis, values in zip(figure.axes, run.tracked.values(), strict=True):
        assert [line.get_label() for line in axis.lines] == [f"layer {k}" for k in range(1, n_layers + 1)]
        for k, line in enumerate(axis.lines):
            np.testing.assert_array_equal(line.get_xydata(), [(e, layers[k]) for e, layers in enumerate(values)])
        assert len({(line.get_color(), line.get_marker()) for line in axis.lines}) == n_layers
        assert all(float(tick).is_integer() for tick in axis.get_xticks())
    for kind in ("png", "svg", "pdf"):
        assert plots.tracked(run, path=tmp_path / f"a.{kind}").stat().st_size > 3000


def test_a_picture_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected a run with tracked metrics, got none; train with track="):
        plots.tracked(made_run(1, 0, 1), path=tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"ending in .png, .svg, .pdf"):
        plots.tracked(made_run(1, 1, 1), path=tmp_path / "a.gif")


# The command line

SMALL = ["train", "--data", "digits", "--hidden", "16", "--density", "0.2", "--epochs", "2", "--seed", "1"]


def test_the_command_line_prints_a_table_per_metric_and_draws_them(capsys, tmp_path, digits):
    picture = tmp_path / "a.png"
    assert main([*SMALL, "--track", "stable_rank", "effective_rank", "--picture", str(picture)]) == 0
    out = capsys.readouterr().out
    net = mlp([64, 16, 10], family="biregular", density=0.2, seed=1)
    run = loop.train(net, digits, TrainConfig(epochs=2, seed=1), track=["stable_rank", "effective_rank"])
    for name, values in run.tracked.items():
        rows = [f"{epoch:>5}" + "".join(f"{value:>12.5g}" for value in layers) for epoch, layers in enumerate(values)]
        assert "\n".join(["", name, "epoch     layer 1     layer 2", *rows]) in out
    assert out.endswith(f"{picture}\n")
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_without_tracking_the_command_line_prints_what_it_did(capsys):
    assert main(SMALL) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert re.fullmatch(r"test accuracy 0\.\d{4}", lines[-1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--track", "fan_in"], "effective_rank, stable_rank for --track, got 'fan_in'"),
        (["--picture", "a.png"], "expected --track with --picture, got none; add --track and one of weighted_spec"),
        (["--track", "stable_rank", "--picture", "a.gif"], "expected --picture to end in .png, .svg, .pdf"),
        (["--track", "stable_rank", "--picture", "no-such-folder/a.png"], "a folder that is there, got no-such-folder"),
    ],
)
def test_requests_that_would_fail_after_training_fail_before_it(capsys, monkeypatch, options, message):
    monkeypatch.setattr("prewired.training.train", lambda *_, **__: pytest.fail("trained"))
    assert main([*SMALL, *options]) == 2
    assert message in capsys.readouterr().err
