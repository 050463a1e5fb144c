"""The verbs for trained networks in files: train -o, sizes, quantize, export."""

import json

import numpy as np
import pytest
import torch

import prewired as pw
from prewired import export
from prewired.cli.app import main
from prewired.nn import mlp


def run(capsys, *words):
    code = main(list(map(str, words)))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def npz(tmp_path):
    rng = np.random.default_rng(0)
    y = np.arange(160) % 4
    path = tmp_path / "mine.npz"
    np.savez(path, x=(rng.normal(size=(160, 16)) + 2 * np.eye(4, 16)[y]).astype(np.float32), y=y)
    return path


@pytest.fixture
def net():
    return mlp([16, 12, 4], family="rotating", fan_in=4, seed=0)


@pytest.fixture
def file(net, tmp_path):
    pw.save(net, tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


def test_a_trained_network_is_saved_made_smaller_and_shipped(capsys, npz, tmp_path):
    file, small = tmp_path / "net.safetensors", tmp_path / "small.safetensors"
    words = ["--data", npz, "--density", 0.5, "--hidden", 12, "--epochs", 20, "--learning-rate", 0.02, "-o", file]
    code, out, err = run(capsys, "train", *words)
    assert (code, err) == (0, "")
    *_, score, written = out.splitlines()
    assert written == f"{file}: {file.stat().st_size:,} bytes"
    code, out, err = run(capsys, "quantize", file, "int8", "-o", small, "--data", npz)
    before, after = out.splitlines()
    assert (code, err) == (0, "")
    assert before == f"{file}: {file.stat().st_size:,} bytes, {score}"
    assert after.startswith(f"{small}: {small.stat().st_size:,} bytes, test accuracy ")
    assert abs(float(after.split()[-1]) - float(score.split()[-1])) < 0.1
    loaded = pw.data.load(npz)
    net = pw.load(small)
    assert pw.training.evaluate(net, loaded, loaded.x_test, loaded.y_test)[1] == pytest.approx(
        float(after.split()[-1]), abs=1e-4
    )


def test_a_double_network_is_quantised_and_stays_in_its_mode(capsys, npz, file, net, tmp_path):
    pw.save(net.double(), file)
    size, small = file.stat().st_size, tmp_path / "small.safetensors"
    code, out, _ = run(capsys, "quantize", file, "int4", "-o", small, "--data", npz)
    before, after = out.splitlines()
    assert code == 0
    assert before.startswith(f"{file}: {size:,} bytes, test accuracy ")
    assert after.startswith(f"{small}: {small.stat().st_size:,} bytes, test accuracy ")
    assert pw.load(small).training


def test_sizes(capsys, file, net):
    code, out, err = run(capsys, "sizes", file, "--batch", 8, "--optimizer", "sgd")
    assert (code, err) == (0, "")
    assert out == f"{file}: {file.stat().st_size:,} bytes\n\n{pw.sizes(net, batch=8, optimizer='sgd')}\n"
    code, out, _ = run(capsys, "sizes", file, "--json")
    assert json.loads(out) == json.loads(pw.sizes(net).to_json())


@pytest.mark.parametrize(
    ("out", "options", "says"),
    [
        ("net.c", ["--indices", "table", "--name", "small"], "bytes of C"),
        ("net.onnx", ["--form", "packed"], "layer 0: packed"),
        ("net.onnx", ["--batch", 4], "layer 0: "),
        ("net.pt2", [], "bytes"),
    ],
)
def test_export(capsys, file, net, tmp_path, out, options, says):
    path = tmp_path / out
    if path.suffix == ".onnx":
        pytest.importorskip("onnxruntime")
    code, printed, err = run(capsys, "export", file, path, *options)
    assert (code, err) == (0, "")
    assert says in printed
    assert f"{path}: {path.stat().st_size:,} bytes" in printed
    if path.suffix == ".pt2":
        x = torch.randn(3, 16)
        torch.testing.assert_close(torch.export.load(path).module()(x), net(x))
    if path.suffix == ".c":
        assert "void small(const float *x, float *y)" in path.read_text()


def test_compile_is_a_package(file, tmp_path, monkeypatch):
    asked = []

    def package(net, path):
        asked.append((type(net).__name__, path))
        path.write_bytes(b"12")
        return path

    monkeypatch.setattr(export, "package", package)
    assert main(["export", str(file), str(tmp_path / "net.pt2"), "--compile"]) == 0
    assert asked == [("Sequential", tmp_path / "net.pt2")]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["sizes", "FILE", "--batch", "0"], "expected an integer batch >= 1"),
        (["sizes", "FILE", "--optimizer", "x"], "expected an optimizer among adam, sgd"),
        (["sizes", "none"], "expected a file with a network, got 'none', which does not exist"),
        (["sizes", "NPZ"], "is not a sound prewired network"),
        (["quantize", "FILE", "int5", "-o", "OUT.s"], "expected a kind among float16, bfloat16, int8, int4"),
        (["quantize", "FILE", "int8"], "expected a value for --output, got none"),
        (["quantize", "missing", "int8", "-o", "none/x"], "expected a folder to write to, got 'none'"),
        (
            ["quantize", "FILE", "int8", "-o", "/"],
            "expected a file to write, got '/', which is a folder; check the path",
        ),
        (["quantize", "FILE", "int8", "-o", "OUT", "--data", "NPZ9"], "expected a network from 16 inputs to 9 outputs"),
        (["quantize", "FILE", "int8", "-o", "OUT", "--task", "regression"], "expected --data with --task"),
        (["quantize", "FILE", "int8", "-o", "/dev/null"], "expected an ordinary file, got '/dev/null'"),
        (["export", "FILE", "OUT.xyz"], "expected a file to write that ends in .onnx, .c, .pt2"),
        (["export", "FILE", "OUT.c", "--form", "auto"], "expected --form with a .onnx file"),
        (["export", "FILE", "OUT.onnx", "--form", "odd"], "expected form to be one of auto, smallest"),
        (["export", "FILE", "OUT.c", "--indices", "odd"], "expected indices to be one of auto"),
        (["export", "FILE", "OUT.c", "--name", "for"], "got 'for'"),
        (["export", "FILE", "OUT.c", "--name", ""], "expected a name of letters, digits and underscores"),
        (["export", "FILE", "OUT.c", "--batch", "0"], "expected --batch with a .onnx file"),
        (["export", "FILE", "OUT.onnx", "--batch", "0"], "expected an integer batch >= 1, got 0"),
        (["export", "FILE", "OUT.onnx", "--form", ""], "expected form to be one of auto, smallest"),
        (["export", "FILE", "OUT.onnx", "--compile"], "expected --compile with a .pt2 file"),
        (["export", "NORM", "OUT.c"], "prewired.export.program, which takes any module"),
        (["train", "--data", "NPZ", "-o", "none/x"], "expected a folder to write to, got 'none'"),
    ],
)
def test_errors_are_one_line(capsys, file, npz, tmp_path, words, error):
    pw.save(torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.LayerNorm(3)), tmp_path / "norm")
    np.savez(tmp_path / "nine.npz", x=np.zeros((90, 16), np.float32), y=np.arange(90) % 9)
    at = {"NPZ9": tmp_path / "nine.npz", "FILE": file, "NPZ": npz, "NORM": tmp_path / "norm", "OUT": tmp_path / "out"}
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    given = [str(at.get(word, word)).replace("OUT", str(at["OUT"])) for word in words]
    code, out, err = run(capsys, *given)
    assert (code, out) == (2, "")
    assert err.startswith("prewired: error: ")
    assert err.count("\n") == 1
    assert error in err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_measure_reads_saved_networks(capsys, file, tmp_path):
    code, out, err = run(capsys, "measure", file, "--metric", "density", "effective_rank", "--json")
    assert code == 0
    assert "is dense and left out" in err
    values = json.loads(out)
    assert values["density"] == 4 / 16
    assert 1 < values["effective_rank"] <= 12
    pw.save(pw.quantize(pw.load(file), "int4"), tmp_path / "q")
    code, out, _ = run(capsys, "measure", tmp_path / "q", "--metric", "density")
    assert code == 0
    assert "rotating(n_in=16, n_out=12, fan_in=4)" in out
    damaged = bytearray(file.read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    code, out, err = run(capsys, "measure", tmp_path / "damaged")
    assert (code, out) == (2, "")
    assert "its content is not what was written" in err
