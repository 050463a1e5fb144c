"""`prewired measure`: whatever has a wiring, as a table, as JSON and as pictures; errors of one line."""

import io
import json
import re

import numpy as np
import pytest
import safetensors.torch
import torch
from rich.console import Console
from torch import nn

from prewired import Topology, generators, metrics, plots
from prewired.cli import network_files, progress
from prewired.cli.app import main
from prewired.io import named_units, topology_file
from prewired.nn import mlp, wire
from prewired.study import StudyConfig
from prewired.study import run as run_study
from prewired.study.running import database

ONE = ["rotating", "n_in=40", "n_out=30", "fan_in=5"]
STAGES = ["butterfly", "sizes=[16,16,16]"]


def run(capsys, *words):
    code = main(["measure", *map(str, words)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def run_json(capsys, *words):
    code, out, err = run(capsys, *words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out, parse_constant=pytest.fail)


def cells(out):
    """The words of each line of a table, a dict from the first to the others."""
    return {line.split()[0]: line.split()[1:] for line in out.splitlines() if line}


def save(folder, **topologies):
    for name, t in topologies.items():
        topology_file.save_topology(t, folder / f"{name}.topology")
    return [folder / f"{name}.topology" for name in topologies]


@pytest.fixture(scope="module")
def net():
    return mlp([24, 16, 12, 3], family="biregular", fan_in=4, seed=1)


@pytest.fixture(scope="module")
def studied(tmp_path_factory):
    """A study's folder, of two families, one random, at two densities."""
    folder = tmp_path_factory.mktemp("study")
    y = np.arange(120) % 3
    np.savez(folder / "mine.npz", x=np.random.RandomState(0).normal(size=(120, 12)).astype(np.float32), y=y)
    small = {"graph_seeds": 2, "hidden": (16, 16), "epochs": 1, "timing": False}
    config = StudyConfig(str(folder / "mine.npz"), ("biregular", "rotating"), (0.25, 0.5), **small)
    run_study(config, folder / "out")
    return folder / "out"


def test_one_topology(capsys, tmp_path):
    t = generators.rotating(40, 30, fan_in=5)
    (file,) = save(tmp_path, band=t)
    code, out, err = run(capsys, file)
    first, *lines = out.splitlines()
    assert (code, err, first) == (0, "", str(t))
    assert [line.split()[0] for line in lines] == list(metrics.METRICS)
    for line, (name, value) in zip(lines, metrics.measure(t).items(), strict=True):
        assert float(line.split()[1]) == pytest.approx(value, rel=1e-5, abs=1e-9), name
    assert run_json(capsys, file) == database.replace_non_finite(metrics.measure(t))
    assert run(capsys, *ONE) == (code, out, err)


def test_names_are_told(capsys, tmp_path):
    t = named_units.from_named_edges([("TP53", "apoptosis"), ("TP53", "growth")], inputs=["MYC", "TP53"])
    (file,) = save(tmp_path, named=t)
    _, out, _ = run(capsys, file, "--metric", "density")
    assert out.splitlines()[1:] == [
        "density           0.5",
        "most read inputs  TP53 (2)",
        "widest outputs    apoptosis (1), growth (1)",
        "unread inputs     MYC",
    ]
    assert run_json(capsys, file, "--metric", "density")["names"] == named_units.describe(t)
    assert "most read inputs" in run(capsys, file, "--metric", "density", "--explain")[1]


def test_only_the_metrics_that_are_asked_for(capsys):
    chosen = ["fan_out_max", "density", "log_paths", "density"]
    assert run_json(capsys, *ONE, "--metric", *chosen) == {
        "fan_out_max": 4,
        "density": 0.125,
        "log_paths": pytest.approx(np.log10(150)),
    }
    assert list(cells(run(capsys, *ONE, "--metric", "density", "--metric", "fan_in_min")[1])) == [
        "Topology(40",
        "density",
        "fan_in_min",
    ]


def test_several_topologies_are_the_layers_of_a_network(capsys, tmp_path):
    a, b = generators.biregular(24, 16, fan_in=3, seed=0), generators.rotating(16, 8, fan_in=4)
    files = save(tmp_path, a=a, b=b)
    code, out, err = run(capsys, *files, "--metric", "density", "fan_in_min", "path_cv")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"a: {a}",
        f"b: {b}",
        "",
        "                a     b",
        "density     0.125  0.25",
        "fan_in_min      3     4",
        "",
        "network",
        f"path_cv  {metrics.measure_network([a, b], ['path_cv'])['path_cv']:.6g}",
    ]
    found = run_json(capsys, *files)
    assert [layer["digest"] for layer in found["layers"]] == [a.digest, b.digest]
    assert [layer["metrics"] for layer in found["layers"]] == [
        database.replace_non_finite(metrics.measure(t)) for t in (a, b)
    ]
    assert found["network"] == database.replace_non_finite(metrics.measure_network([a, b]))
    twice = run_json(capsys, files[1], save(tmp_path / ".", c=generators.dense(8, 2))[0], "--metric", "density")
    assert [layer["title"] for layer in twice["layers"]] == ["b", "c"]


def test_files_of_one_name_are_numbered(capsys, tmp_path):
    (tmp_path / "x").mkdir()
    files = [*save(tmp_path, a=generators.dense(4, 4)), *save(tmp_path / "x", a=generators.dense(4, 3))]
    found = run_json(capsys, *files, "--metric", "density")
    assert [layer["title"] for layer in found["layers"]] == ["layer 1", "layer 2"]


def test_a_family_of_several_layers(capsys):
    code, out, _ = run(capsys, *STAGES)
    assert code == 0
    rows = cells(out)
    assert rows["connected_components"] == ["4", "4"]
    assert rows["path_cv"] == ["0"]
    assert set(rows) >= {*metrics.METRICS, *metrics.NETWORK_METRICS}


def test_explain_adds_bounds_and_what_they_rest_on(capsys):
    found = run_json(capsys, *STAGES, "--explain", "--metric", "density", "path_cv")
    assert found["layers"][0]["metrics"]["density"] == {
        "value": 0.25,
        "low": 0.25,
        "high": 0.25,
        "method": "counting",
        "certificate": "exact count",
        "confidence": 1.0,
    }
    assert set(found["network"]["path_cv"]) == set(metrics.Measurement._fields)
    code, out, _ = run(capsys, *STAGES, "--explain", "--metric", "density", "path_cv")
    assert code == 0
    assert re.search(r"^layer 2: .*\ndensity +0.25 +counting; exact count$", out, re.MULTILINE)
    assert re.search(r"^network\npath_cv +0 ", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("bounds", "text"), [((0.25, 2 / 3), "[0.25, 0.666667]"), ((0.5 - 1e-9, 0.5 + 2e-9), "+- 2e-09")]
)
def test_explained_bounds_as_text(capsys, monkeypatch, bounds, text):
    found = metrics.Measurement(0.5, *bounds, "guessing", "a coin", 0.999)
    monkeypatch.setitem(metrics.METRICS, "density", lambda t, *, explain, progress: found)
    _, out, _ = run(capsys, *ONE, "--explain", "--metric", "density")
    assert out.splitlines()[1] == f"density  0.5  {text}  guessing; a coin, confidence 1 - 0.001"


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
def test_a_saved_model(capsys, tmp_path, net, suffix):
    path = tmp_path / f"net{suffix}"
    state = net.state_dict()
    if suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state if suffix == ".pt" else {"epoch": 3, "state_dict": state}, path)
    code, out, err = run(capsys, path, "--json")
    found = json.loads(out)
    assert (code, err) == (0, "note: layer 4 (12 -> 3) is dense and left out\n")
    assert [layer["title"] for layer in found["layers"]] == ["0", "2"]
    assert [layer["digest"] for layer in found["layers"]] == [net[0].topology.digest, net[2].topology.digest]
    assert found["network"] == database.replace_non_finite(metrics.measure_network([net[0].topology, net[2].topology]))


def test_an_older_model_has_its_inputs_from_the_layer_before(net):
    state = {name: value for name, value in net.state_dict().items() if name != "2.n_in"}
    assert list(network_files.from_state_dict(state).layers.values()) == [net[0].topology, net[2].topology]
    del state["0.n_in"]
    with pytest.raises(ValueError, match=r"expected 0\.n_in, .*got none; load the state_dict into its network"):
        network_files.from_state_dict(state)


def test_weights_with_zeros_are_a_wiring(net):
    weight = torch.tensor([[0.5, 0, 0, 1], [0, 0, 2, 0]])
    dense = torch.ones(3, 2)
    mask = torch.tensor([[1, 0], [1, 1], [0, 0]])
    state = {
        "a.weight": weight,
        "a.bias": torch.zeros(2),
        "b.weight_orig": dense,
        "b.weight_mask": mask,
        "c.weight": torch.ones(2, 3),
        "d.weight": torch.ones(5, 2),
    }
    found = network_files.from_state_dict(state)
    assert found.layers == {"a": Topology.from_mask(weight), "b": Topology.from_mask(mask)}
    assert found.notes == ("layer c (3 -> 2) is dense and left out", "layer d (2 -> 5) is dense and left out")
    inside = network_files.from_state_dict({"a.weight": weight, "b.weight": dense, "c.weight": torch.eye(3)})
    assert list(inside.layers) == ["a", "b", "c"]  # paths go through a dense layer between sparse ones
    assert not inside.notes
    alone = network_files.from_state_dict(nn.ModuleList([net[0]])[0].state_dict())
    assert alone.layers == {"layer": net[0].topology}


def test_layers_of_a_model_that_do_not_follow_each_other(capsys, tmp_path):
    torch.save({"a.weight": torch.eye(3), "b.weight": torch.eye(4)}, tmp_path / "two.pt")
    code, out, err = run(capsys, tmp_path / "two.pt")
    assert (code, "network" in out) == (0, False)
    assert err == "note: its layers do not follow each other, so nothing is said of the network\n"
    code, out, err = run(capsys, tmp_path / "two.pt", "--metric", "density", "path_cv")
    assert code == 2
    assert cells(out)["density"] == ["0.333333", "0.25"]
    assert err.splitlines()[1].startswith("prewired: error: path_cv of network: expected ")


def test_a_study(capsys, studied):
    code, out, err = run(capsys, studied)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [line.split()[:5] for line in lines if "%" in line] == [
        ["biregular", "25", "%", "12-16-16-3", "2"],
        ["rotating", "25", "%", "12-16-16-3", "1"],
        ["biregular", "50", "%", "12-16-16-3", "2"],
        ["rotating", "50", "%", "12-16-16-3", "1"],
    ]
    wanted = ["relative_spectral_gap", "path_cv"]
    _, out, _ = run(capsys, studied, "--metric", *wanted)
    found = run_json(capsys, studied, "--metric", *wanted)["nets"]
    asked = [(net["family"], net["density"], net["graph_seed"]) for net in found]
    assert asked == [
        ("biregular", 0.25, 0),
        ("rotating", 0.25, None),
        ("biregular", 0.5, 0),
        ("rotating", 0.5, None),
        ("biregular", 0.25, 1),
        ("biregular", 0.5, 1),
    ]
    graphs = [wire([12, 16, 16, 3], family="biregular", density=0.25, seed=seed) for seed in (0, 1)]
    for net, layers in zip((found[0], found[4]), graphs, strict=True):
        assert [layer["digest"] for layer in net["layers"]] == [t.digest for t in layers]
        assert net["network"] == metrics.measure_network(layers, ["path_cv"])
    gap = np.mean([metrics.relative_spectral_gap(t) for layers in graphs for t in layers])
    cv = np.mean([metrics.measure_network(layers, ["path_cv"])["path_cv"] for layers in graphs])
    row = next(line for line in out.splitlines() if line.startswith("biregular 25 %"))
    assert row.split()[4:] == ["2", f"{gap:.6g}", f"{cv:.6g}"]


def test_a_study_with_json_has_every_metric(capsys, studied):
    (first, *_) = run_json(capsys, studied)["nets"]
    assert list(first["layers"][0]["metrics"]) == list(metrics.METRICS)
    assert list(first["network"]) == list(metrics.NETWORK_METRICS)
    assert first["layers"][1]["title"] == "layer 2"


def test_pictures_and_measurements_go_to_a_folder(capsys, tmp_path):
    folder = tmp_path / "new" / "out"
    code, out, _ = run(capsys, *STAGES, "--metric", "density", "-o", folder)
    files = ["measurements.json", "singular_values.png", "degrees.png", "biadjacency.png", "path_counts.png"]
    assert (code, out.splitlines()[-1]) == (0, f"Written to {folder}/: {', '.join(files)}")
    assert {path.name for path in folder.iterdir()} == set(files)
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in files[1:])
    assert json.loads((folder / files[0]).read_text())["layers"][0]["metrics"] == {"density": 0.25}


def test_each_family_and_density_of_a_study_has_its_pictures(capsys, monkeypatch, tmp_path, studied):
    drawn = []
    for name in ("singular_values", "degrees", "biadjacency", "path_counts"):
        monkeypatch.setattr(plots, name, lambda *what, path: drawn.append((path.parent.name, path.name)) or path)
    code, out, err = run(capsys, studied, "--metric", "density", "--json", "-o", tmp_path)
    assert code == 0
    assert json.loads(out) == json.loads((tmp_path / "measurements.json").read_text())
    cells = [f"{family}-{share}%-12-16-16-3" for share in (25, 50) for family in ("biregular", "rotating")]
    assert err == f"Written to {tmp_path}/: measurements.json, {', '.join(cells)}\n"
    pictures = ["singular_values.png", "degrees.png", "biadjacency.png", "path_counts.png"]
    assert drawn == [(cell, picture) for cell in cells for picture in pictures]


def failing(error):
    def metric(t):
        raise error

    return metric


def test_a_metric_that_fails_leaves_the_others(capsys, monkeypatch):
    monkeypatch.setitem(metrics.METRICS, "dead_inputs", failing(RuntimeError("it did\nnot settle")))
    code, out, err = run(capsys, *STAGES, "--metric", "density", "dead_inputs", "fan_in_min")
    assert code == 2
    rows = cells(out)
    assert (rows["density"], rows["fan_in_min"]) == (["0.25"] * 2, ["4"] * 2)
    assert "dead_inputs" not in rows
    assert err == (
        "prewired: error: dead_inputs of layer 1: it did not settle; dead_inputs of layer 2: it did not settle\n"
    )


def test_an_interruption_keeps_what_is_done(capsys, monkeypatch, tmp_path, studied):
    monkeypatch.setitem(metrics.METRICS, "dead_inputs", failing(KeyboardInterrupt()))
    wanted = ["--metric", "density", "dead_inputs", "fan_in_min"]
    code, out, err = run(capsys, *STAGES, *wanted, "-o", tmp_path / "out")
    kept = tmp_path / "out" / "measurements.json"
    assert (code, err) == (130, f"interrupted: 1 of 6 measurements were done; {kept} has them\n")
    assert cells(out)["density"] == ["0.25", "-"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["measurements.json"]
    code, out, _ = run(capsys, *ONE, *wanted, "--json")
    assert (code, json.loads(out)) == (130, {"density": 0.125})
    assert run(capsys, *ONE, "--metric", "dead_inputs") == (130, "", "interrupted: 0 of 1 measurements were done\n")
    assert run(capsys, studied, *wanted)[0] == 130


def test_a_bar_on_a_terminal(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(
        "prewired.cli.progress.Console", lambda **_: Console(file=screen, width=70, force_terminal=True)
    )
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with progress.measure_progress(12) as show:
        show(3, "layer [2]", "spectral_gap", 1200, 5000)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    assert re.search(r"layer \[2\]: spectral_gap, step 1,200 .*3/12", text)
    seen = []
    monkeypatch.setattr(progress, "measure_progress", lambda n: FakeBar(seen))
    assert main(["measure", *ONE, "--metric", "density", "fan_in_min"]) == 0
    assert [call[:3] for call in seen] == [(0, "rotating", "density"), (1, "rotating", "fan_in_min")]


class FakeBar:
    """A context that keeps what it is called with."""

    def __init__(self, seen):
        self.seen = seen

    def __enter__(self):
        return lambda *call: self.seen.append(call)

    def __exit__(self, *_):
        return None


def damaged(folder):
    """Files that are not what they seem: name -> path."""
    (t,) = save(folder, a=generators.dense(4, 4))
    paths = {
        name: folder / name for name in ("bad.topology", "bad.pt", "bad.safetensors", "list.pt", "full.pt", "x.md")
    }
    paths["bad.topology"].write_bytes(t.read_bytes()[:-8])
    paths["bad.pt"].write_bytes(b"no pickle")
    paths["bad.safetensors"].write_bytes(b"nothing at all")
    torch.save([1, 2], paths["list.pt"])
    torch.save({"a.weight": torch.ones(3, 3)}, paths["full.pt"])
    paths["x.md"].write_text("# words")
    paths["module.pt"] = folder / "module.pt"
    torch.save(nn.Linear(2, 2), paths["module.pt"])
    paths["wiring.pt"] = folder / "wiring.pt"
    wiring = {"n_in": torch.tensor(3), "indptr": torch.tensor([0, 2]), "indices": torch.tensor([2, 1])}
    torch.save(wiring, paths["wiring.pt"])
    paths["nan.pt"] = folder / "nan.pt"
    torch.save({"a.weight": torch.full((2, 2), torch.nan)}, paths["nan.pt"])
    return {**paths, "a": t}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "WHAT"),
        (["no-such-file"], "which does not exist; see prewired families"),
        (["no-such-family", "n_in=4"], "biregular"),
        (["rotating", "n_in=4", "n_out=4", "fan_in=9"], "fan_in"),
        (["rotating"], "n_in"),
        ([*ONE, "--metric", "moon"], "expected the name of a metric, got 'moon' (see prewired metrics)"),
        (["a", "--metric"], "--metric"),
        (["a", "b"], "'b', which does not exist"),
        (["a", "full.pt"], "full.pt' among 2; measure it alone"),
        (["full.pt", "full.pt"], "full.pt' among 2; measure it alone"),
        (["a", "."], "among 2; measure it alone"),
        (["a", "wide"], "with 4 outputs and then"),
        (["bad.topology"], "not a sound topology file"),
        (["bad.pt"], "torch.load(weights_only=True) cannot read it; save it with torch.save(net.state_dict(), path)"),
        (
            ["module.pt"],
            "torch.load(weights_only=True) cannot read it; save it with torch.save(net.state_dict(), path)",
        ),
        (["bad.safetensors"], "expected a saved state_dict"),
        (["list.pt"], "got list; save it with"),
        (["full.pt"], "layer a (3 -> 3) is dense and left out; prune the model"),
        (["wiring.pt"], "strictly increasing"),
        (["nan.pt"], "NaN"),
        (["x.md"], "expected a topology file, a saved model (.pt, .pth, .safetensors) or a study's folder"),
        (["."], "without runs.sqlite"),
        ([*ONE, "-o", "a"], "check the path"),
    ],
)
def test_errors_are_one_line_and_exit_code_2(capsys, tmp_path, words, message):
    paths = {**damaged(tmp_path), "wide": save(tmp_path, wide=generators.dense(6, 4))[0], ".": tmp_path}
    code, out, err = run(capsys, *(paths.get(word, word) for word in words))
    assert (code, out) == (2, "")
    assert err.startswith("prewired: error: ")
    assert err.count("\n") == 1
    assert message in err
    assert "\x1b" not in err


def change(folder, target, payload):
    """A copy of a study's store with every payload changed."""
    source = database.open_store(folder)
    copy = database.open_store(target)
    for key, value in database.read_results(source).items():
        database.add_result(copy, key, payload(value))
    source.close()
    copy.close()
    return target


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"digest": "0" * 64}, "to give the graph 000000000000, got"),
        ({"recipe": None}, "expected a recipe for the graph"),
        ({"recipe": '{"family": "moon"}'}, "moon"),
        ({"recipe": 3}, "another row"),
        (None, "got another row"),
    ],
)
def test_a_study_that_is_no_longer_sound(capsys, tmp_path, studied, changes, message):
    def payload(value):
        if changes is None:
            return {"finished": ""}
        return {**value, "layers": [{**layer, **changes} for layer in value["layers"]]}

    code, out, err = run(capsys, change(studied, tmp_path / "copy", payload), "--metric", "density")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_a_folder_with_several_studies(capsys, tmp_path):
    connection = database.open_store(tmp_path)
    band = generators.rotating(8, 8, fan_in=2)
    layer = {"digest": band.digest, "recipe": band.recipe and band.recipe.to_json()}
    shared = {"density": 0.25, "graph_seed": None}
    for k, (more, layers) in enumerate(
        [
            ({"family": "rotating", "sizes": [8, 8, 2]}, [layer]),
            ({"family": "rotating:fit=nearest", "sizes": [8, 8, 2]}, [layer]),
            ({"family": "rotating", "sizes": [8, 8, 8, 2]}, [layer, layer]),
            ({"family": "rotating", "sizes": [8, 8, 2], "n_edges": 1600, "budget": "uniform"}, [layer]),
            ({"family": "dense", "sizes": [8, 8, 2], "density": None}, []),
            ({"family": "rotating", "sizes": [8, 8, 2], "train_seed": 1}, [layer]),
        ]
    ):
        database.add_result(
            connection, database.to_canonical_json({**shared, **more, "run": k}), {"layers": layers, "finished": ""}
        )
    connection.close()
    _, out, _ = run(capsys, tmp_path, "--metric", "fan_in_min", "log_paths")
    assert [line.rsplit(maxsplit=3) for line in out.splitlines() if "8-8" in line] == [
        ["rotating 25 % 8-8-2", "1", "2", "1.20412"],
        ["rotating:fit=nearest 25 % 8-8-2", "1", "2", "1.20412"],
        ["rotating 25 % 8-8-8-2", "1", "2", "1.50515"],
        ["rotating 1,600 edges uniform 8-8-2", "1", "2", "1.20412"],
    ]


def test_a_study_without_sparse_networks(capsys, tmp_path, studied):
    folder = change(studied, tmp_path / "copy", lambda value: {**value, "layers": []})
    assert "expected a study with sparse networks" in run(capsys, folder)[2]
    code, _, err = run(capsys, studied, "--explain")
    assert (code, "expected --json or -o with --explain for a study" in err) == (2, True)


def test_pictures_need_matplotlib(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("prewired.cli.options.find_spec", lambda name: None)
    code, out, err = run(capsys, *ONE, "-o", tmp_path / "out")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "pip install 'prewired[study]'" in err
    assert not (tmp_path / "out").exists()


def test_the_weights_of_a_saved_model_are_measured(capsys, tmp_path, net):
    torch.save(net.state_dict(), tmp_path / "net.pt")
    code, out, _ = run(capsys, tmp_path / "net.pt", "--json", "--metric", *metrics.WEIGHTED_METRICS, "density")
    found = json.loads(out)
    assert code == 0
    for layer, module in zip(found["layers"], [m for m in net if hasattr(m, "topology")], strict=True):
        weights = module.weight.detach().double().numpy()
        for name, metric in metrics.WEIGHTED_METRICS.items():
            assert layer["metrics"][name] == metric(module.topology, weights)
    pruned = nn.Linear(12, 9)
    with torch.no_grad():
        pruned.weight[torch.rand(9, 12, generator=torch.Generator().manual_seed(0)) < 0.5] = 0
    torch.save(pruned.state_dict(), tmp_path / "pruned.pt")
    found = run_json(capsys, tmp_path / "pruned.pt", "--metric", "stable_rank")
    dense = np.linalg.svd(pruned.weight.detach().double().numpy(), compute_uv=False)
    np.testing.assert_allclose(found["stable_rank"], (dense**2).sum() / dense[0] ** 2)
    code, _, err = run(capsys, *ONE, "--metric", "stable_rank")
    assert code == 2
    assert "expected a saved model for stable_rank" in err


def test_the_list_of_metrics_and_their_pages(capsys):
    assert main(["metrics"]) == 0
    out = capsys.readouterr().out
    for name in (*metrics.METRICS, *metrics.WEIGHTED_METRICS, *metrics.NETWORK_METRICS):
        assert f"  {name} " in out
    assert main(["metrics", "girth"]) == 0
    assert "Length of the shortest cycle" in capsys.readouterr().out
    assert main(["metrics", "gap"]) == 2
    assert "got 'gap' (see" in capsys.readouterr().err


def test_what_is_undefined_is_a_dash_and_what_is_small_is_not_zero(capsys, tmp_path):
    (matching,) = save(tmp_path, matching=generators.rotating(5, 5, fan_in=1))
    assert cells(run(capsys, matching, "--metric", "rbgp_gap")[1])["rbgp_gap"] == ["-"]
    out = run(capsys, matching, "--metric", "rbgp_gap", "--explain")[1]
    assert cells(out)["rbgp_gap"][:2] == ["-", "undefined,"]
    ring = ["rotating", "n_in=200000", "n_out=200000", "fan_in=2"]
    assert float(cells(run(capsys, *ring, "--metric", "algebraic_connectivity")[1])["algebraic_connectivity"][0]) > 0


def test_nothing_is_lost_when_a_picture_cannot_be_written(capsys, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr(plots, "degrees", fail)
    code, out, err = run(capsys, *ONE, "--metric", "girth", "-o", tmp_path)
    assert code == 2
    assert "girth" in out
    assert "no space left" in err
    assert json.loads((tmp_path / "measurements.json").read_text()) == {"girth": 4.0}


@pytest.mark.parametrize(
    "change",
    [
        {"0.n_in": 24},
        {"0.indptr": torch.tensor(3)},
        {"0.indices": torch.zeros(2, 2, dtype=torch.int32)},
        {"0.n_in": torch.tensor([1, 2])},
    ],
    ids=str,
)
def test_damaged_state_dicts_are_one_line(capsys, tmp_path, net, change):
    torch.save({**net.state_dict(), **change}, tmp_path / "net.pt")
    code, _, err = run(capsys, tmp_path / "net.pt", "--metric", "density")
    assert code == 2
    assert err.startswith("prewired: error:")
    assert "net.pt" in err


def test_layers_without_weights_of_their_own_and_keys_that_are_no_names(capsys, tmp_path, net):
    state = net.state_dict()
    state["0.weight"] = torch.zeros(3)
    torch.save({**state, 7: torch.zeros(1)}, tmp_path / "net.pt")
    code, out, _ = run(capsys, tmp_path / "net.pt", "--metric", "stable_rank", "density")
    assert code == 0
    assert cells(out)["stable_rank"][0] == "-"


def test_an_unknown_metric_names_the_nearest(capsys):
    code, _, err = run(capsys, *ONE, "--metric", "grith")
    assert code == 2
    assert "got 'grith'; did you mean 'girth'?" in err
