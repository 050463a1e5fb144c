"""The command line: every verb once, and every error one line and exit code 2."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from prewired import generators
from prewired.cli.app import main


def run(capsys, *words):
    code = main(list(map(str, words)))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def npz(tmp_path):
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    path = tmp_path / "mine.npz"
    np.savez(path, x=(rng.normal(size=(120, 12)) + y[:, None]).astype(np.float32), y=y)
    return path


def test_generate_and_measure(capsys, tmp_path):
    file = tmp_path / "hidden.topology"
    words = ["biregular", "n_in=28", "n_out=32", "density=0.25", "seed=3", "-o", file]
    code, out, err = run(capsys, "generate", *words)
    expected = generators.biregular(28, 32, density=0.25, seed=3)
    assert (code, out, err) == (0, f"{expected}\n", "")
    code, out, _ = run(capsys, "measure", file)
    assert code == 0
    assert "spectral_gap" in out
    code, out, _ = run(capsys, "measure", file, "--json")
    values = json.loads(out, parse_constant=pytest.fail)
    assert (code, values["fan_in_min"], values["density"]) == (0, 7, 0.25)


def test_generate_takes_the_output_option_anywhere(capsys, tmp_path):
    file = tmp_path / "a.topology"
    assert run(capsys, "generate", "-o", file, "rotating", "n_in=4", "n_out=4", "fan_in=2")[0] == 0
    assert file.stat().st_size > 0


@pytest.mark.parametrize("choice", [["--family", "dense"], ["--family", "rotating", "--density", "0.5"]])
def test_train(capsys, npz, choice):
    code, out, err = run(capsys, "train", "--data", npz, *choice, "--hidden", 16, 16, "--epochs", 2, "--seed", 1)
    assert (code, err) == (0, "")
    *epochs, last = out.splitlines()
    assert [line.split()[:2] for line in epochs] == [["epoch", "1/2"], ["epoch", "2/2"]]
    assert last.startswith("test accuracy ")
    assert 0 <= float(last.split()[-1].rstrip("%")) <= 100


def test_version_and_help(capsys):
    assert run(capsys, "--version")[1].startswith("prewired ")
    code, out, _ = run(capsys, "study", "--help")
    assert code == 0
    assert "--graph-seeds" in out


GENERATE = ["generate", "biregular"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "VERB"),
        (["moon"], "moon"),
        (["generate", "moon", "n_in=4", "n_out=4"], "biregular"),
        ([*GENERATE, "n_in=4", "n_out=4", "weight=2", "seed=0"], "n_in, n_out, fan_in, density, n_edges, seed"),
        ([*GENERATE, "n_in=4", "n_out=4", "fan_in=x", "seed=0"], "expected a number for fan_in, got 'x'"),
        ([*GENERATE, "n_in"], "NAME=VALUE"),
        ([*GENERATE, "n_in=4", "n_out=4", "fan_in=9", "seed=0"], "fan_in"),
        ([*GENERATE, "n_in=4", "fan_in=2", "seed=0"], "n_out"),
        ([*GENERATE, "n_in=4", "n_in=5"], "twice"),
        (["generate", "rotating", "n_in=4", "n_out=4", "fan_in=2", "-o", "/no/such/file"], "check the path"),
        (["measure", "no-such-file"], "no-such-file"),
        (["measure", __file__], ""),
        (["train", "--data", "no-such-data"], "no-such-data"),
        (["train", "--data", "digits", "--threads", "0"], "--threads from 1 to"),
        (["train", "--data", "digits", "--threads", "99999"], f"--threads from 1 to {os.cpu_count()}"),
        (["train", "--data", "digits", "--data", "mnist"], "expected --data once, got it several times"),
        (["train", "--data", "digits", "--task", "moon"], "--task"),
        ([*GENERATE, "n_in=40", "n_out=40", "fan_in=1_0", "seed=0"], "expected a number for fan_in, got '1_0'"),
    ],
)
def test_errors_are_one_line_and_exit_code_2(capsys, words, message):
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith("prewired: error: ")
    assert err.count("\n") == 1
    assert message in err


def test_a_closed_standard_output_is_one_line():
    words = f"exec '{sys.executable}' -m prewired families >&-"
    process = subprocess.run(["sh", "-c", words], stderr=subprocess.PIPE, text=True, check=False)
    assert process.returncode == 2
    assert process.stderr.startswith("prewired: error: expected an open standard output")
    assert process.stderr.count("\n") == 1


def test_a_closed_pipe_is_quiet():
    process = subprocess.Popen(
        [sys.executable, "-m", "prewired", "families"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mesure"], "got 'mesure'; did you mean 'measure'? (see prewired --help)"),
        (["generate", "biregulr", "n_in=4"], "got 'biregulr'; did you mean 'biregular'?"),
        (["draw", "biregulr", "n_in=4", "-o", "x.png"], "got 'biregulr'; did you mean 'biregular'?"),
        (["families", "butterfy"], "got 'butterfy'; did you mean 'butterfly'?"),
        (["metrics", "grith"], "got 'grith'; did you mean 'girth'?"),
        (["measure", "dense", "n_in=4", "n_out=4", "--metric", "grith"], "got 'grith'; did you mean 'girth'?"),
        (["train", "--data", "mnits"], "got 'mnits'; did you mean 'mnist'?"),
        (["train", "--data", "digits", "--epoch", "3"], "did you mean '--epochs'? (see prewired train --help)"),
        (["train", "--data", "digits", "--optimizer", "adm"], "did you mean 'adam'?"),
        (["train", "--data", "digits", "--epochs", "1.5"], "--epochs: expected an integer, got '1.5'"),
        (["train", "--data", "digits", "--hidden", "1.5"], "--hidden"),
        (["train", "--data", "digits", "--hidden"], "expected a value for --hidden, got none"),
    ],
)
def test_errors_name_the_nearest(capsys, words, message):
    code, out, err = run(capsys, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


@pytest.mark.parametrize("text", ["sizes=8,8,8,8", "sizes=[8,8,8,8]", "sizes=[8, 8, 8, 8]"])
def test_sizes_with_and_without_brackets(capsys, text):
    code, out, _ = run(capsys, "generate", "butterfly", text)
    assert (code, out) == (0, "".join(f"{t}\n" for t in generators.butterfly([8, 8, 8, 8])))


def test_a_repeated_option_has_its_last_value(capsys, npz):
    words = ["train", "--data", npz, "--density", "0.5", "--hidden", 16, "--epochs", 2, "--epochs", 1]
    assert "epoch 1/1" in run(capsys, *words)[1]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed(capsys, monkeypatch, tmp_path, shell):
    monkeypatch.setenv("HOME", str(tmp_path))
    code, out, err = run(capsys, "--install-completion", "--shell", shell, "-o", tmp_path / "script")
    assert (code, err) == (0, "")
    assert str(tmp_path / "script") in out
    script = (tmp_path / "script").read_text()
    assert all(word in script for word in ("generate", "study", "--density", "--metric"))


def test_words_are_completed(capsys):
    code, out, _ = run(capsys, "__complete", "generate", "bireg")
    assert (code, "biregular" in out) == (0, True)
    assert "girth" in run(capsys, "__complete", "measure", "x", "--metric", "gi")[1]
