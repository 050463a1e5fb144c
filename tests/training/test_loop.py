import json
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch.nn import functional

from prewired import TrainConfig, train
from prewired.nn import count_parameters, mlp
from prewired.random_bits import RandomBits
from prewired.training import Run, data
from prewired.training.loop import evaluate


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def small_net(init_seed=0):
    return mlp([64, 48, 10], family="biregular", density=0.2, seed=0, init_seed=init_seed)


def test_training_learns_and_records(digits):
    net = small_net()
    seen = []
    run = train(net, digits, TrainConfig(epochs=12, learning_rate=5e-3), progress=lambda *at: seen.append(at))
    assert run.test_score > 0.9
    assert run.train_loss[-1] < run.train_loss[0] / 3
    assert seen == [(k, 12) for k in range(1, 13)]
    assert {len(curve) for curve in (run.train_loss, run.val_loss, run.val_score, run.seconds)} == {12}
    assert min(run.seconds) > 0
    assert run.score_name == "accuracy"
    assert run.n_parameters == count_parameters(net)
    with torch.inference_mode():
        expected = (net(digits.x_test).argmax(1) == digits.y_test).double().mean()
    np.testing.assert_allclose(run.test_score, float(expected))


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_same_seed_gives_the_same_run(digits, optimizer):
    config = TrainConfig(epochs=2, optimizer=optimizer, learning_rate=0.01)
    runs = [train(small_net(), digits, config) for _ in range(2)]
    assert runs[0].train_loss == runs[1].train_loss
    assert runs[0].val_score == runs[1].val_score
    assert runs[0].test_loss == runs[1].test_loss
    other = train(small_net(), digits, TrainConfig(epochs=2, optimizer=optimizer, learning_rate=0.01, seed=1))
    assert other.train_loss != runs[0].train_loss


@pytest.mark.parametrize("batch_size", [100, 333])
def test_the_loop_is_the_one_a_user_would_write(digits, batch_size):
    """Plain SGD with momentum and weight decay written out, in the order of RandomBits."""
    config = TrainConfig(
        epochs=2, batch_size=batch_size, learning_rate=0.05, optimizer="sgd", momentum=0.7, weight_decay=1e-3, seed=3
    )
    net, twin = small_net(), small_net()
    run = train(net, digits, config)
    order = RandomBits(3, "training order")
    velocity = [torch.zeros_like(p) for p in twin.parameters()]
    losses = []
    for _ in range(2):
        total = 0.0
        for batch in torch.from_numpy(order.permutation(len(digits.x_train))).split(batch_size):
            loss = functional.cross_entropy(twin(digits.x_train[batch]), digits.y_train[batch])
            gradients = torch.autograd.grad(loss, list(twin.parameters()))
            with torch.no_grad():
                for p, v, g in zip(twin.parameters(), velocity, gradients, strict=True):
                    v.mul_(0.7).add_(g + 1e-3 * p)
                    p.sub_(0.05 * v)
            total += loss.item() * len(batch)
        losses.append(total / len(digits.x_train))
    np.testing.assert_allclose(run.train_loss, losses, rtol=1e-4)
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-3, atol=1e-5)


def test_dropout_is_on_in_training_and_off_in_evaluation(digits):
    class Spy(torch.nn.Module):
        modes: ClassVar[list[tuple[bool, int]]] = []

        def forward(self, x):
            self.modes.append((self.training, len(x)))
            return x

    train(torch.nn.Sequential(Spy(), torch.nn.Linear(64, 10)), digits, TrainConfig(epochs=1, batch_size=500))
    sizes = [len(part) for part in digits.x_train.split(500)]
    evaluated = [(False, len(digits.x_val)), (False, len(digits.x_test))]
    assert Spy.modes == [(False, 2), *((True, n) for n in sizes), *evaluated]


@pytest.fixture
def looks(monkeypatch):
    """Names of the parts of the data that were evaluated, in order."""
    seen = []

    def spied(net, loaded, x, y):
        parts = {id(getattr(loaded, f"x_{part}")): part for part in ("train", "val", "test")}
        seen.append(parts[id(x)])
        return evaluate(net, loaded, x, y)

    monkeypatch.setattr("prewired.training.loop.evaluate", spied)
    return seen


@pytest.mark.parametrize("patience", [None, 2])
def test_the_test_data_is_looked_at_once_at_the_end_or_not_at_all(digits, looks, patience):
    config = TrainConfig(epochs=3, patience=patience)
    assert train(small_net(), digits, config).test_score > 0
    assert looks == ["val"] * 3 + ["test"]
    looks.clear()
    without = replace(digits, x_test=None, y_test=None)
    run = train(small_net(), without, config, test=False)
    assert looks == ["val"] * 3
    assert np.isnan([run.test_score, run.test_loss]).all()


def noisy(digits):
    """Few rows and many wrong labels, so that the validation loss soon rises."""
    y = digits.y_train[:200].clone()
    y[::2] = (y[::2] + 3) % 10
    return replace(digits, x_train=digits.x_train[:200], y_train=y)


def normed_net():
    """With running means and a count of batches, which go back too."""
    return torch.nn.Sequential(torch.nn.BatchNorm1d(64, affine=False), small_net())


@pytest.mark.parametrize("make", [small_net, normed_net])
def test_an_early_stop_goes_back_to_the_best_weights(digits, make):
    data = noisy(digits)
    config = TrainConfig(epochs=60, learning_rate=0.03, patience=4)
    net, twin = make(), make()
    run = train(net, data, config)
    best = int(np.argmin(run.val_loss)) + 1
    assert 1 < best < 50, "a training with a best epoch inside"
    assert run.chosen_epoch == best
    assert len(run.val_loss) == best + 4 == len(run.val_score) == len(run.seconds) == len(run.train_loss)
    assert evaluate(net, data, data.x_val, data.y_val) == (run.val_loss[best - 1], run.val_score[best - 1])
    shorter = train(twin, data, TrainConfig(epochs=best, learning_rate=0.03))
    assert (run.test_loss, run.test_score) == (shorter.test_loss, shorter.test_score)
    for (name, a), (_, b) in zip(net.named_parameters(), twin.named_parameters(), strict=True):
        assert torch.equal(a, b), name
    for (name, a), (_, b) in zip(net.named_buffers(), twin.named_buffers(), strict=True):
        assert not a.is_floating_point() or torch.equal(a, b), name


def test_the_best_weights_count_also_where_the_epochs_end_first(digits):
    data = noisy(digits)
    run = train(small_net(), data, TrainConfig(epochs=30, learning_rate=0.03, patience=29))
    assert len(run.val_loss) == 30
    assert run.chosen_epoch == int(np.argmin(run.val_loss)) + 1 < 30
    last = train(small_net(), data, TrainConfig(epochs=30, learning_rate=0.03))
    assert (last.val_loss, last.chosen_epoch) == (run.val_loss, 30)


def test_a_loss_that_stays_the_same_is_not_lower(digits):
    class Stuck(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x) * 0

    run = train(Stuck(64, 10), digits, TrainConfig(epochs=9, patience=3))
    assert (run.chosen_epoch, len(run.val_loss)) == (1, 4)


def test_validation_and_test_scores_come_from_their_own_rows(digits):
    wrong = replace(digits, y_test=(digits.y_test + 1) % 10)
    run = train(small_net(), wrong, TrainConfig(epochs=8, learning_rate=5e-3))
    assert run.val_score[-1] > 0.8
    assert run.test_score < 0.1


def made_run(val_score, *, chosen_epoch, epochs):
    seconds = (1.0, 2.0, 4.0)
    ends = {"test_loss": 0, "test_score": 0, "chosen_epoch": chosen_epoch}
    return Run(TrainConfig(epochs=epochs), "accuracy", 1, (), (), val_score, seconds, **ends)


def test_thresholds():
    run = made_run((0.5, 0.9, 0.8), chosen_epoch=3, epochs=3)
    assert [run.epochs_to(score) for score in (0.4, 0.9, 0.95)] == [1, 2, None]
    assert [run.seconds_to(score) for score in (0.4, 0.9, 0.95)] == [1.0, 3.0, None]


def test_the_area_holds_the_chosen_score_after_an_early_stop():
    run = made_run((0.5, 0.9, 0.8), chosen_epoch=3, epochs=3)
    assert (run.chosen_score, run.area) == (0.8, pytest.approx(2.2 / 3))
    stopped = made_run((0.5, 0.9, 0.8), chosen_epoch=2, epochs=8)
    assert (stopped.chosen_score, stopped.area) == (0.9, pytest.approx((2.2 + 5 * 0.9) / 8))


@pytest.mark.parametrize("config", [TrainConfig(epochs=1), TrainConfig(epochs=2, patience=1)])
def test_runs_go_through_plain_values(digits, config):
    run = train(small_net(), digits, config)
    assert Run.from_dict(json.loads(json.dumps(run.to_dict()))) == run


def test_the_score_of_a_regression_is_r2(digits):
    y = digits.x_train[:, 20:21] * 2 + digits.x_train[:, 30:31]
    toy = replace(
        digits, task="regression", classes=(), y_train=y, x_val=digits.x_train[:200], y_val=y[:200],
        x_test=digits.x_train[200:400], y_test=y[200:400],
    )  # fmt: skip
    net = mlp([64, 64, 1], family="dense", seed=0)
    run = train(net, toy, TrainConfig(epochs=25, learning_rate=3e-3))
    assert run.score_name == "r2"
    assert run.test_score > 0.8
    predicted = net(toy.x_test).detach()
    expected = 1 - ((predicted - toy.y_test) ** 2).sum() / ((toy.y_test - toy.y_test.mean()) ** 2).sum()
    np.testing.assert_allclose(run.test_score, float(expected), rtol=1e-4)
    constant = torch.nn.Linear(64, 1)
    torch.nn.init.zeros_(constant.weight)
    torch.nn.init.constant_(constant.bias, float(toy.y_test.mean()))
    np.testing.assert_allclose(evaluate(constant, toy, toy.x_test, toy.y_test)[1], 0, atol=1e-4)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"epochs": 0}, "epochs >= 1"),
        ({"epochs": 2.5}, "integer epochs"),
        ({"batch_size": 1.5}, "integer batch_size"),
        ({"seed": -1}, "integer seed"),
        ({"batch_size": 0}, "batch_size >= 1"),
        ({"learning_rate": 0}, "learning_rate > 0"),
        ({"learning_rate": float("nan")}, "learning_rate > 0"),
        ({"optimizer": "adamw"}, 'optimizer "adam" or "sgd"'),
        ({"momentum": 1.0}, "0 <= momentum < 1"),
        ({"weight_decay": -1}, "weight_decay >= 0"),
        ({"patience": 0}, "integer patience >= 1, got patience=0"),
        ({"patience": 1.5}, "integer patience >= 1, got patience=1.5"),
        ({"patience": True}, "integer patience >= 1, got patience=True"),
        ({"epochs": True}, "integer epochs >= 1"),
        ({"batch_size": 2**63}, "integer batch_size >= 1"),
        ({"seed": False}, "integer seed >= 0"),
        ({"learning_rate": "0.1"}, "finite learning_rate > 0, got learning_rate='0.1'"),
        ({"learning_rate": float("inf")}, "finite learning_rate > 0"),
        ({"learning_rate": torch.tensor(0.1)}, "finite learning_rate > 0"),
        ({"learning_rate": np.ones(2)}, "finite learning_rate > 0"),
        ({"learning_rate": 10**400}, "finite learning_rate > 0"),
        ({"momentum": None}, "0 <= momentum < 1, got momentum=None"),
        ({"weight_decay": float("inf")}, "finite weight_decay >= 0"),
    ],
)
def test_bad_settings_are_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**bad)


def test_a_loss_that_explodes_is_an_error_with_a_remedy(digits):
    with pytest.raises(FloatingPointError, match="lower learning_rate=1e"):
        train(small_net(), digits, TrainConfig(epochs=3, optimizer="sgd", learning_rate=1e30))
    with pytest.raises(FloatingPointError, match="stopped being finite in epoch 1"):
        train(small_net(), digits, TrainConfig(epochs=1, batch_size=10**6, optimizer="sgd", learning_rate=1e38))


def test_a_network_that_does_not_fit_the_data_is_refused(digits):
    net = mlp([64, 32, 9], family="rotating", fan_in=4)
    with pytest.raises(ValueError, match=r"to 10 outputs for digits, got \(9,\) outputs; make the last size 10"):
        train(net, digits)


def test_numbers_of_numpy_are_numbers():
    config = TrainConfig(epochs=np.int64(2), seed=np.uint8(3), learning_rate=np.float64(0.1), patience=np.int32(1))
    assert config == TrainConfig(epochs=2, seed=3, learning_rate=0.1, patience=1)
    assert json.dumps(config.__dict__)


def regression(digits, **parts):
    targets = {f"y_{part}": getattr(digits, f"x_{part}")[:, 20:21] for part in ("train", "val", "test")}
    return replace(digits, **{"task": "regression", "classes": (), **targets, **parts})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"y_train": torch.zeros(1079)},
            r"y_train as torch.float32 of shape \(1079, 1\), got torch.float32 of shape \(",
        ),
        ({"y_test": torch.zeros(359)}, r"y_test as torch.float32 of shape \(\d+, 1\)"),
        ({"y_val": torch.full((359, 1), torch.nan)}, "finite targets in y_val, got nan to nan"),
        ({"x_val": torch.full((359, 64), torch.nan)}, "finite floats in x_val, got torch.float32 with NaN"),
        ({"x_test": torch.full((359, 64), torch.inf)}, "finite floats in x_test"),
        ({"x_val": torch.zeros(0, 64)}, r"x_val as a tensor of at least one row, got shape \(0, 64\)"),
        ({"x_val": None}, "x_val as a tensor of at least one row, got NoneType"),
        ({"task": "Regression"}, "a task among classification, regression, got 'Regression'"),
    ],
)
def test_data_that_would_train_wrongly_are_refused(digits, change, message):
    net = mlp([64, 1], family="dense")
    with pytest.raises(ValueError, match=message):
        train(net, regression(digits, **change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: y - 100, "classes from 0 to 9 in y_train, got -100 to -91"),
        (lambda y: y + 1, "classes from 0 to 9 in y_train, got 1 to 10"),
        (lambda y: y[:50], r"torch.int64 of shape \(1079,\), got torch.int64 of shape \(50,\)"),
        (lambda y: y.float(), "y_train as torch.int64"),
    ],
)
def test_classes_that_the_loss_would_skip_are_refused(digits, change, message):
    with pytest.raises(ValueError, match=message):
        train(small_net(), replace(digits, y_train=change(digits.y_train)))


def test_targets_that_are_all_equal_have_no_r2(digits):
    loaded = regression(digits, y_val=torch.ones(359, 1))
    loss, score = evaluate(mlp([64, 1], family="dense"), loaded, loaded.x_val, loaded.y_val)
    assert loss > 0
    assert np.isnan(score)


def test_layers_that_take_their_shape_from_the_data_can_be_trained(digits):
    net = torch.nn.Sequential(torch.nn.LazyLinear(8), torch.nn.ReLU(), torch.nn.LazyLinear(10))
    assert train(net, digits, TrainConfig(epochs=1)).test_score > 0


def test_a_training_set_of_one_row(digits):
    loaded = replace(digits, x_train=digits.x_train[:1], y_train=digits.y_train[:1])
    assert len(train(small_net(), loaded, TrainConfig(epochs=2)).val_loss) == 2


def test_what_cannot_be_trained_is_refused(digits):
    with pytest.raises(ValueError, match="a network with parameters that take them, got none"):
        train(small_net().requires_grad_(False), digits)
    with torch.no_grad(), pytest.raises(ValueError, match="leave torch"):
        train(small_net(), digits)
    with pytest.raises(TypeError, match="expected a TrainConfig, got 5"):
        train(small_net(), digits, 5)
    with pytest.raises(TypeError, match="a network as an nn"):
        train(torch.nn.Linear, digits)
