"""Work that must not be lost: files that are read, trainings that are stopped, disks that are full."""

import errno
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

import prewired as pw
from prewired import checkpoint
from prewired.cli import train
from prewired.cli.app import main
from prewired.nn import mlp

SIGNALS = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}
WORDS = ["--density", "0.5", "--hidden", "12", "--epochs"]


def run(capsys, *words):
    code = main(list(map(str, words)))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def npz(tmp_path):
    rng = np.random.default_rng(0)
    y = np.arange(160) % 4
    np.savez(tmp_path / "mine.npz", x=rng.normal(size=(160, 16)).astype(np.float32), y=y)
    return tmp_path / "mine.npz"


@pytest.fixture
def file(tmp_path):
    pw.save(mlp([16, 12, 4], family="rotating", fan_in=4, seed=0), tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


@pytest.mark.parametrize("verb", ["quantize", "train", "draw", "export"])
@pytest.mark.parametrize("link", ["same", "hard", "soft"])
def test_no_verb_writes_over_the_file_that_it_reads(capsys, file, npz, tmp_path, verb, link):
    """Fault 1.17."""
    source = npz if verb == "train" else file
    if verb == "export":
        source = file.rename(tmp_path / "net.onnx")
    suffix = ".safetensors" if verb in ("quantize", "train") else source.suffix
    target = source if link == "same" and verb != "train" else tmp_path / f"other{suffix}"
    if target != source:
        os.link(source, target) if link == "hard" else target.symlink_to(source)
    before = source.read_bytes()
    words = {
        "quantize": ["quantize", source, "int4", "-o", target],
        "train": ["train", "--data", source, *WORDS, 1, "-o", target],
        "draw": ["draw", source, "-o", target],
        "export": ["export", source, target],
    }[verb]
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert "which would be lost; write to a new file" in err
    assert source.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--data", "digits", "-o", "net.pt"], "expected a file that ends in .safetensors"),
        (["train", "--data", "digits", "-o", "net.ONNX"], "write to 'net.safetensors'"),
        (["quantize", "net.safetensors", "int8", "-o", "q.pth"], "write to 'q.safetensors'"),
        (["generate", "rotating", "n_in=4", "n_out=4", "fan_in=2", "-o", "a.csv"], "write to 'a.topology'"),
        (["train", "--data", "digits", "-o", "mine.npz/x"], "'mine.npz' is a file; choose another folder"),
        (["quantize", "net.safetensors", "int8", "-o", "mine.npz/x"], "'mine.npz' is a file; choose another folder"),
    ],
)
def test_destinations_are_looked_at_first(capsys, file, npz, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    files = {*tmp_path.iterdir()}
    code, out, err = run(capsys, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert {*tmp_path.iterdir()} == files


def start(folder, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "prewired", "train", "--data", "mine.npz", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job's children ignore it
    )


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", pytest.param("SIGHUP", marks=pytest.mark.slow)])
def test_a_stopped_training_is_saved(npz, tmp_path, name):
    """Fault 1.17."""
    process = start(tmp_path, *WORDS, "100000", "-o", "net.safetensors")
    assert process.stdout.readline().startswith("epoch 1/")
    process.send_signal(getattr(signal, name))
    _, err = process.communicate(timeout=60)
    assert process.returncode == SIGNALS[name]
    assert err.startswith("interrupted: the network after epoch ")
    assert err.endswith(" of 100000 is in net.safetensors\n")
    assert err.count("\n") == 1
    assert pw.load(tmp_path / "net.safetensors")[0].topology.density == 0.5


def test_a_training_whose_reader_goes_is_saved(npz, tmp_path):
    process = start(tmp_path, *WORDS, "100000", "-o", "net.safetensors")
    assert process.stdout.readline().startswith("epoch 1/")
    process.stdout.close()
    assert "is in net.safetensors" in process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 141
    pw.load(tmp_path / "net.safetensors")


def test_a_training_stopped_before_its_first_epoch_leaves_the_old_file(capsys, npz, file, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    before = file.read_bytes()
    monkeypatch.setattr("prewired.training.loop.train", stop)
    code, _, err = run(capsys, "train", "--data", npz, *WORDS, 3, "-o", file)
    assert (code, err) == (130, f"interrupted: no epoch was done, {file} is as before\n")
    assert file.read_bytes() == before


def test_the_best_state_is_what_an_interrupted_training_keeps():
    digits = pw.data.load("digits")
    config = pw.TrainConfig(epochs=50, learning_rate=0.5, patience=50)
    net, losses = mlp([64, 16, 10], family="dense", seed=0), []

    def stop(epoch, _):
        losses.append(pw.training.evaluate(net, digits, digits.x_val, digits.y_val)[0])
        if losses[-1] > min(losses) and epoch > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pw.train(net, digits, config, progress=stop)
    assert pw.training.evaluate(net, digits, digits.x_val, digits.y_val)[0] == pytest.approx(min(losses))


def test_a_full_disk_at_the_end_loses_nothing(capsys, npz, tmp_path, monkeypatch):
    """Fault 1.17: the network goes to another folder, which a line names."""
    (tmp_path / "full").mkdir()
    (tmp_path / "spare").mkdir()
    save = checkpoint.save

    def fail(net, path):
        if path.parent == tmp_path / "full":
            raise OSError(errno.ENOSPC, "No space left on device")
        save(net, path)

    monkeypatch.setattr(checkpoint, "save", fail)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "spare"))
    code, out, err = run(capsys, "train", "--data", npz, *WORDS, 1, "-o", tmp_path / "full" / "net.safetensors")
    (rescued,) = (tmp_path / "spare").iterdir()
    assert code == 2
    assert f"the network is in {rescued} instead" in err
    assert f"{rescued}: {rescued.stat().st_size:,} bytes" in out
    assert pw.load(rescued)[0].in_features == 16


def test_a_folder_that_has_gone_and_no_place_at_all(tmp_path, monkeypatch):
    net = mlp([8, 4, 2], family="dense")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    assert train.save_or_rescue(net, tmp_path / "gone" / "a.safetensors").parent == tmp_path
    monkeypatch.setattr(checkpoint, "save", lambda net, path: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))
    with pytest.raises(OSError, match="broken"):
        train.save_or_rescue(net, tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--data", "digits", "--density", "0.1", "--hidden", "1000000000"],
        ["train", "--data", "digits", "--family", "dense", "--hidden", "1000000", "1000000"],
        ["generate", "biregular", "n_in=1000000000", "n_out=1000000000", "density=0.1", "seed=0"],
        ["generate", "rotating", "n_in=1000000000000", "n_out=5", "fan_in=2"],
        ["measure", "dense", "n_in=1000000", "n_out=1000000"],
    ],
)
def test_memory_is_estimated_first(capsys, words):
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert "GiB of this machine, got at least" in err


def test_a_quantised_network_is_not_quantised_again(capsys, file, tmp_path):
    small = tmp_path / "q.safetensors"
    assert run(capsys, "quantize", file, "int8", "-o", small)[0] == 0
    code, _, err = run(capsys, "quantize", small, "int4", "-o", tmp_path / "r.safetensors")
    assert code == 2
    assert "is quantised to int8; quantise the network that it was made from" in err


@pytest.mark.parametrize("value", [{}, {"weight": torch.ones(2)}, None, "net"])
def test_only_a_module_is_saved(tmp_path, value):
    with pytest.raises(TypeError, match=r"expected an nn.Module, got .*; save the network itself"):
        pw.save(value, tmp_path / "a.safetensors")


def test_pw_save_refuses_another_ending(tmp_path):
    with pytest.raises(ValueError, match=r"write to 'a.safetensors'"):
        pw.save(mlp([8, 4, 2], family="dense"), tmp_path / "a.pt")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("address", ["10.255.255.1", "localhost", "host:", ":6379"])
def test_an_address_that_is_none_is_one_line_at_once(address):
    from prewired.study.running import ray_engine

    with pytest.raises(OSError, match=r"expected a Ray cluster at the address .*; start one with"):
        ray_engine._connect(None, address)
