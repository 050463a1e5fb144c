"""The command line: every verb once, and every error one line and exit code 2."""

import json
import subprocess
import sys

import numpy as np
import pytest

from prewired import generators
from prewired.cli import main


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


def test_families_lists_all_with_their_parameters(capsys):
    code, out, _ = run(capsys, "families")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[::2]] == list(generators.GENERATORS)
    assert all(line.startswith("    ") and len(line) > 20 for line in out.splitlines()[1::2])
    assert "biregular  n_in n_out [fan_in] [density] seed" in out


@pytest.mark.parametrize("choice", [["--family", "dense"], ["--family", "rotating", "--density", "0.5"]])
def test_train(capsys, npz, choice):
    code, out, err = run(capsys, "train", "--data", npz, *choice, "--hidden", 16, 16, "--epochs", 2, "--seed", 1)
    assert (code, err) == (0, "")
    *epochs, last = out.splitlines()
    assert [line.split()[:2] for line in epochs] == [["epoch", "1/2"], ["epoch", "2/2"]]
    assert last.startswith("test accuracy ")
    assert 0 <= float(last.split()[-1].rstrip("%")) <= 100


def test_study(capsys, npz, tmp_path):
    words = [
        "--data",
        npz,
        "--family",
        "biregular",
        "--family",
        "rotating",
        "fibonacci",
        "--density",
        0.25,
        "--density",
        0.5,
    ]
    words += ["--hidden", 16, 16, "--epochs", 1, "--graph-seeds", 2, "-o", tmp_path / "out"]
    code, out, err = run(capsys, "study", *words)
    assert code == 0
    assert "[11/11]" in err
    assert "Spearman" in out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "runs.sqlite",
        "table.md",
        "results.csv",
        "summary.json",
        "score_by_density.png",
        "score_by_normalized_spectral_gap.png",
        "score_by_algebraic_connectivity.png",
        "training_curves.png",
        "biadjacency.png",
    }
    again = run(capsys, "study", *words)
    assert again == (0, out, "")


def test_version_and_help(capsys):
    assert run(capsys, "--version")[1].startswith("prewired ")
    code, out, _ = run(capsys, "study", "--help")
    assert code == 0
    assert "--graph-seeds" in out


STUDY = ["study", "--data", "digits", "--epochs", "1"]
GENERATE = ["generate", "biregular"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "VERB"),
        (["moon"], "moon"),
        (["generate", "moon", "n_in=4", "n_out=4"], "biregular"),
        ([*GENERATE, "n_in=4", "n_out=4", "weight=2", "seed=0"], "n_in, n_out, fan_in, density, seed"),
        ([*GENERATE, "n_in=4", "n_out=4", "fan_in=x", "seed=0"], "expected a number for fan_in, got 'x'"),
        ([*GENERATE, "n_in"], "NAME=VALUE"),
        ([*GENERATE, "n_in=4", "n_out=4", "fan_in=9", "seed=0"], "fan_in"),
        ([*GENERATE, "n_in=4", "fan_in=2", "seed=0"], "n_out"),
        ([*GENERATE, "n_in=4", "n_in=5"], "twice"),
        (["measure", "no-such-file"], "no-such-file"),
        (["measure", __file__], ""),
        (["train", "--data", "no-such-data"], "no-such-data"),
        (["train", "--data", "digits", "--threads", "0"], "--threads"),
        ([*STUDY, "--family", "biregular", "--density", "many"], "--density"),
        ([*STUDY, "--family", "moon", "--density", "0.1"], "moon"),
        ([*STUDY, "--family", "biregular", "--density", "1.5"], "0 < density <= 1"),
        ([*STUDY, "--family", "biregular"], "--density"),
        ([*STUDY, "--family", "biregular", "--density", "0.1", "--nonsense"], "--nonsense"),
        ([*STUDY, "--family", "biregular", "--density", "0.1", "-o", __file__], "test_cli.py"),
    ],
)
def test_errors_are_one_line_and_exit_code_2(capsys, words, message):
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith("prewired: error: ")
    assert err.count("\n") == 1
    assert message in err


def test_a_closed_pipe_is_quiet():
    words = [sys.executable, "-m", "prewired", "families"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 141


def test_a_missing_extra_is_found_before_any_training(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("prewired.cli.find_spec", lambda name: None)
    code, _, err = run(capsys, *STUDY, "--family", "biregular", "--density", "0.1", "-o", tmp_path / "out")
    assert (code, err.count("\n")) == (2, 1)
    assert "pip install 'prewired[study]'" in err
    assert not (tmp_path / "out").exists()
