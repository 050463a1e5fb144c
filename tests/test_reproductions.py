"""The scripts that repeat published results: their own parts on small data, the published figures where data is."""

import csv
import doctest
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

FOLDER = Path(__file__).parents[1] / "examples" / "reproductions"
needs_data = pytest.mark.usefixtures("published_data")
slow = pytest.mark.slow


def script(name):
    sys.path.insert(0, str(FOLDER))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(FOLDER))


ledger, set_tutorial, dey = script("ledger"), script("set_tutorial"), script("dey_mnist")


@pytest.fixture
def published_data(real_data, monkeypatch):
    """The scripts read the two data sets of the published results."""
    monkeypatch.setenv("PREWIRED_DATA", str(real_data("mnist", "fashion-mnist")))


def fake(n_train=200, n_test=100, dtype=torch.float64):
    """Ten classes, each with a bright band of pixels of its own."""
    draw = np.random.default_rng(0)
    y = draw.integers(10, size=n_train + n_test)
    x = 0.3 * draw.random((len(y), 784)) + (np.arange(784) // 79 == y[:, None]) * 0.7
    x, y = torch.tensor(x, dtype=dtype), torch.tensor(y)
    return ledger.Images(x[:n_train], y[:n_train], x[n_train:], y[n_train:])


@pytest.fixture
def few(monkeypatch):
    """Random images, and hidden layers of some tens of units instead of a thousand."""
    monkeypatch.setattr(set_tutorial, "SIZES", (784, 30, 20, 25, 10))
    return fake()


@pytest.mark.parametrize(("module", "dtype"), [(set_tutorial, torch.float64), (dey, torch.float32)])
def test_two_epochs_then_nothing_left_to_do_then_one_run_more(module, dtype, few, tmp_path, capsys):
    out = tmp_path / "results.csv"

    def main(runs):
        module.main(["--epochs", "2", "--runs", str(runs), "--out", str(out)], load=lambda: fake(dtype=dtype))
        return out.read_text(), capsys.readouterr().out

    first, report = main(1)
    results = ledger.read(out)
    assert [(result.net, result.run) for result in results] == [(net, 0) for net in module.NETS]
    assert all(len(result.curve.split()) == 2 for result in results)
    assert all(result.final_test == float(result.curve.split()[-1]) for result in results)
    assert "published" in report
    assert "was there already" not in report
    again, report = main(1)
    assert again == first
    assert report.count("was there already") == 2
    more, _ = main(2)
    assert more.startswith(first)
    assert [result.run for result in ledger.read(out)] == [0, 0, 1, 1]
    assert len({result.digest for result in ledger.read(out)}) == 4


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_a_run_that_breaks_off_leaves_the_finished_ones(stop_after, tmp_path):
    def break_off():
        raise KeyboardInterrupt

    out = tmp_path / "results.csv"
    jobs = [ledger.Job(k, "dense", k, 7, f"digest {k}", lambda k=k: [10.0 * k, 20.0 + k]) for k in range(4)]
    broken = [job if job.run < stop_after else job._replace(train=break_off) for job in jobs]
    with pytest.raises(KeyboardInterrupt):
        ledger.work_off(broken, out)
    assert [result.run for result in ledger.read(out)] == list(range(stop_after))
    done = [job._replace(train=break_off) if job.run < stop_after else job for job in jobs]
    assert [result.final_test for result in ledger.work_off(done, out)] == [20.0, 21.0, 22.0, 23.0]


def test_a_result_is_summed_up_from_its_curve(tmp_path):
    curve = [50.0, 90.0, *range(60, 72)]
    job = ledger.Job(3, "sparse", 5, 41, "d", lambda: [float(accuracy) for accuracy in curve])
    (result,) = ledger.work_off([job], tmp_path / "results.csv")
    assert (result.final_test, result.last10_mean, result.best_test) == (71.0, 66.5, 90.0)
    assert ledger.read(tmp_path / "results.csv") == [result]
    assert "torch" in result.versions


def test_a_file_with_other_columns_is_refused_and_kept(tmp_path):
    out = tmp_path / "other.csv"
    out.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="give another --out"):
        ledger.work_off([], out)
    assert out.read_text() == "a,b\n1,2\n"


def test_intervals_are_those_of_scipy_and_of_the_formula():
    values = [80.1, 80.9, 80.3, 81.2, 80.5]
    mean, half_width = ledger.t_interval(values)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (mean - half_width, mean + half_width) == (pytest.approx(low), pytest.approx(high))
    assert ledger.t_interval(values, of_next=5).half_width == pytest.approx(half_width * 2**0.5)
    assert ledger.t_interval(values, of_next=1).half_width == pytest.approx(half_width * 6**0.5)
    assert ledger.t_interval([80.1]).holds(80.1) == "-"


def test_the_table_answers_for_each_published_figure():
    shared = {"seed": 0, "seconds": 1.0, "edges": 1, "versions": "", "digest": "", "curve": ""}
    results = [
        ledger.Result(run, "dense", final_test=score, last10_mean=score - 1, best_test=score, **shared)
        for run, score in enumerate((81.0, 82.0, 83.0))
    ]
    wide = stats.t.ppf(0.975, 2) / 3**0.5  # 2.48
    published = [
        ledger.Published("dense", "final_test", 82 + 0.99 * wide, 3),
        ledger.Published("dense", "last10_mean", 81 + 1.01 * wide, 3),
        ledger.Published("dense", "final_test", 82 - 1.42 * wide, 3),
        ledger.Published("sparse", "final_test", 80.0, 3),
    ]
    lines = ledger.table(results, published).splitlines()[1:-1]
    assert [line.split()[-2:] for line in lines] == [["yes", "yes"], ["no", "yes"], ["no", "no"]]
    assert "82.00  1.00  [79.52, 84.48]" in lines[0]


def test_the_digest_of_a_run_is_stable_and_tells_runs_apart():
    sha256sum = "c14656efbdfd8d1981f36ac9ad68388e49d4d98b2d453fdc6e7a15abc1bb86c2"  # of {"a":[2,0.5],"b":1}
    assert ledger.digest_of({"b": 1, "a": [2, 0.5]}) == sha256sum
    for module in (set_tutorial, dey):
        config = module.Config("sparse", 3)
        others = [module.Config("dense", 3), module.Config("sparse", 4), module.Config("sparse", 3, epochs=2)]
        digests = [c.digest("data", ["wiring"]) for c in (config, *others)]
        digests += [config.digest("other", ["wiring"]), config.digest("data", ["other"])]
        assert len(set(digests)) == 6
        assert digests[0] == module.Config("sparse", 3).digest("data", ["wiring"])
    assert fake().digest() == fake().digest() != fake(199, 101).digest()


def test_wirings_come_from_the_seed_and_are_as_published():
    edges = [layer.weight.numel() for layer in set_tutorial.layers_of("sparse", set_tutorial.legacy(1))]
    assert edges == [22879, 25677, 25673, 7335]
    first = dey.wiring(dey.NETS["sparse"], 0)
    assert set(first.fan_in) == {400}
    assert set(first.fan_out) == {50}
    assert first.digest != dey.wiring(dey.NETS["sparse"], 1).digest
    assert dey.wiring(dey.NETS["dense"], 0) is None


def published_way(layers, stream, data, net, epochs):
    """The tutorial's training in plain NumPy on dense matrices: written out from the rules, no autograd."""
    dense = [layer.to_dense() if net == "sparse" else layer.weight for layer in layers]
    weights = [matrix.detach().numpy().T.copy() for matrix in dense]
    biases, edges = [np.zeros(w.shape[1]) for w in weights], [w != 0 for w in weights]
    moving, moving_b = [np.zeros_like(w) for w in weights], [np.zeros_like(b) for b in biases]
    x, wanted = data.x.numpy(), np.eye(10)[data.y.numpy()]

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    for _ in range(epochs):
        order = np.arange(len(x))
        stream.shuffle(order)
        for batch in order.reshape(-1, 40):
            seen, unmasked = [x[batch]], []
            for k in range(4):
                z = seen[-1] @ weights[k] + biases[k]
                unmasked.append(np.maximum(z, 0) if k < 3 else sigmoid(z))
                kept = stream.rand(*z.shape) >= 0.2 if k < 3 else True
                seen.append(unmasked[-1] * kept)
            y = seen[-1]
            delta = (y - wanted[batch]) * sigmoid(y) * (1 - sigmoid(y))
            deltas = {3: delta}
            for k in (3, 2, 1):
                deltas[k - 1] = deltas[k] @ weights[k].T * (unmasked[k - 1] > 0)
            for k in range(4):
                total = seen[k].T @ deltas[k]
                step = 0.001 * total if net == "dense" else 0.05 * total / 40 * edges[k]
                moving[k] = 0.9 * moving[k] - step
                moving_b[k] = 0.9 * moving_b[k] - (0.001 if net == "dense" else 0.05) * deltas[k].mean(0)
                weights[k] += moving[k] - 0.0002 * weights[k]
                biases[k] += moving_b[k] - 0.0002 * biases[k]
    a = data.x_test.numpy()
    for k in range(4):
        z = (a @ weights[k] + biases[k]) * (0.8 if k else 1)
        a = np.maximum(z, 0) if k < 3 else sigmoid(z)
    return weights, np.mean((a - np.eye(10)[data.y_test.numpy()]) ** 2)


@pytest.mark.parametrize("net", set_tutorial.NETS)
def test_the_tutorials_rules_give_the_same_numbers_in_plain_numpy(net, few):
    layers, same = ([*set_tutorial.layers_of(net, stream), stream] for stream in map(set_tutorial.legacy, (5, 5)))
    weights, error = published_way(same[:4], same[4], few, net, 3)
    *_, (found, _) = set_tutorial.train(set_tutorial.Config(net, 5, 3), few, layers[:4], layers[4])
    assert found == pytest.approx(error, rel=1e-12)
    for layer, matrix in zip(layers[:4], weights, strict=True):
        ours = layer.to_dense() if net == "sparse" else layer.weight
        np.testing.assert_allclose(ours.detach().numpy(), matrix.T, rtol=1e-9, atol=1e-12)


def test_deys_sparse_training_is_that_of_a_masked_dense_matrix(monkeypatch):
    """Deleted weights stay deleted when their gradients are masked in stock Adam, with the penalty in the loss."""
    monkeypatch.setattr(dey, "RATE_DECAY", 0.5)  # to be seen within four steps
    data, config = fake(300, 50, torch.float32), dey.Config("sparse", 0, epochs=2)
    source = torch.Generator().manual_seed(0)
    layers = dey.layers_of(dey.NETS["sparse"], dey.wiring(dey.NETS["sparse"], 0), source)
    mask = layers[0].to_dense() != 0
    hidden, output = nn.Linear(800, 100), nn.Linear(100, 10)
    with torch.no_grad():
        for ours, theirs in ((layers[0].to_dense(), hidden), (layers[1].weight, output)):
            theirs.weight.copy_(ours)
            theirs.bias.fill_(0.1)
    order = torch.Generator()
    order.set_state(source.get_state())
    accuracies = list(dey.train(config, data, layers, source))
    x, parameters = nn.functional.pad(data.x, (0, 16)), [*hidden.parameters(), *output.parameters()]
    adam, step = torch.optim.Adam(parameters, 1e-3, eps=1e-7), 0
    for _ in range(2):
        for rows in torch.randperm(300, generator=order).split(256):
            adam.param_groups[0]["lr"] = 1e-3 / (1 + 0.5 * step)
            adam.zero_grad()
            guess = output((hidden(x[rows])).relu())
            penalty = 8e-5 * (hidden.weight.square().sum() + output.weight.square().sum())
            (nn.functional.cross_entropy(guess, data.y[rows]) + penalty).backward()
            hidden.weight.grad *= mask
            adam.step()
            step += 1
    torch.testing.assert_close(layers[0].to_dense(), hidden.weight * mask, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(layers[1].bias, output.bias, rtol=1e-4, atol=1e-6)
    x_test = nn.functional.pad(data.x_test, (0, 16))
    right = output(hidden(x_test).relu()).argmax(1) == data.y_test
    assert accuracies[-1] == pytest.approx(100 * float(right.double().mean()), abs=2.1)


def test_deys_weights_have_hes_scale_of_the_complete_layer():
    layers = dey.layers_of(dey.NETS["sparse"], dey.wiring(dey.NETS["sparse"], 0), torch.Generator().manual_seed(0))
    weights = layers[0].weight.detach()
    assert float(weights.std()) == pytest.approx((2 / 800) ** 0.5, rel=0.02)  # 40,000 draws: a standard error of 0.0035
    assert float(weights.abs().max()) <= 2 * (2 / 800) ** 0.5 / 0.8796
    torch.testing.assert_close(layers[0].bias.detach(), torch.full((100,), 0.1))


@needs_data
@pytest.mark.parametrize(
    ("net", "seed"),
    [run if run == ("sparse", 1) else pytest.param(*run, marks=slow) for run in set_tutorial.FIRST_EPOCH],
)
def test_the_first_epoch_is_the_published_one_to_twelve_digits(net, seed):
    stream, published = set_tutorial.legacy(seed), set_tutorial.FIRST_EPOCH[net, seed]
    layers = set_tutorial.layers_of(net, stream)
    error, accuracy = next(set_tutorial.train(set_tutorial.Config(net, seed), set_tutorial.subset(), layers, stream))
    assert error == pytest.approx(published[0], rel=1e-12)
    assert accuracy == pytest.approx(published[1], abs=1e-9)


@needs_data
def test_a_few_images_of_mnist_are_learned(tmp_path):
    def load():
        data = dey.mnist()
        return ledger.Images(data.x[:200], data.y[:200], data.x_test[:200], data.y_test[:200])

    assert (load().x.dtype, float(load().x.max())) == (torch.float32, 1.0)
    dey.main(["--epochs", "20", "--runs", "1", "--batch", "20", "--out", str(tmp_path / "r.csv")], load=load)
    results = ledger.read(tmp_path / "r.csv")
    assert [result.net for result in results] == ["dense/20", "sparse/20"]
    assert all(result.final_test > 60 for result in results)


LAST_TEN = {
    ("sparse", 1): [80.5, 79.1, 81.3, 81.2, 80.9, 79.7, 80.2, 80.9, 79.9, 80.9],
    ("sparse", 4): [80.6, 79.9, 80.1, 79.0, 80.4, 79.9, 79.8, 80.2, 79.4, 80.1],
}
"""Published test accuracies of epochs 391 to 400, by net and run."""
DENSE_RUN_2 = "69.8 74.3 77.3 75.1 76.5 77 78.4 77.9 79.9 81.2 81.9 79.9 80.3 80.1 80.4 80.9 80.9 80"
"""Published test accuracies of its first epochs; rounding parts the runs after 138."""


def test_the_kept_runs_are_the_published_ones():
    kept = {(result.net, result.run): result for result in ledger.read(FOLDER / "set_tutorial.csv")}
    for key, accuracies in LAST_TEN.items():
        assert [float(accuracy) for accuracy in kept[key].curve.split()[-10:]] == accuracies
    assert kept["dense", 2].curve.startswith(DENSE_RUN_2)
    five = [kept["sparse", run] for run in range(5)]
    for figure in set_tutorial.PUBLISHED:
        if figure.net == "sparse":
            assert round(float(np.mean([getattr(result, figure.field) for result in five])), 2) == figure.value


@pytest.mark.parametrize("name", ["set_tutorial", "dey_mnist"])
def test_the_kept_results_are_whole(name):
    path = FOLDER / f"{name}.csv"
    results = ledger.read(path)
    assert len(results) == {"set_tutorial": 8, "dey_mnist": 10}[name]
    assert len({result.digest for result in results}) == len(results)
    with path.open(newline="") as file:
        assert {len(line) for line in csv.reader(file)} == {11}
    for result in results:
        curve = [float(accuracy) for accuracy in result.curve.split()]
        assert len(curve) == {"set_tutorial": 400, "dey_mnist": 50}[name]
        summed = curve[-1], np.mean(curve[-10:]), max(curve)
        assert (result.final_test, result.last10_mean, result.best_test) == pytest.approx(summed, abs=1e-3)


@needs_data
@pytest.mark.parametrize("module", [pytest.param(set_tutorial, marks=slow), dey])
def test_the_kept_results_belong_to_this_code_and_these_data(module):
    data = {set_tutorial: set_tutorial.subset, dey: dey.mnist}[module]()
    kept = {(result.net, result.run): result.digest for result in ledger.read(FOLDER / f"{module.__name__}.csv")}
    for net in module.NETS:
        for run in (0, max(run for kind, run in kept if kind == net)):
            assert kept[net, run] == module.job(module.Config(net, run), data).digest


def test_the_examples_in_the_docstrings_hold():
    found = doctest.testmod(ledger)
    assert (found.failed, found.attempted > 2) == (0, True)
