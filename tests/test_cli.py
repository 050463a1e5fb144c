"""The command line: every verb once, and every error one line and exit code 2."""

import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console

from prewired import cli, data, generators
from prewired.cli import main
from prewired.study import Job, Step


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


def test_study_of_a_csv_file_with_target_and_task(capsys, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("a,b,y\n" + "".join(f"{i % 7},{i % 11},{i % 30}\n" for i in range(120)))
    words = ["study", "--data", path, "--family", "rotating", "--density", 0.5, "--hidden", 8, 8, "--epochs", 1]
    words += ["--graph-seeds", 1, "-o", tmp_path / "out"]
    code, _, err = run(capsys, *words)
    assert (code, "target= one of the columns 'a', 'b', 'y'" in err) == (2, True)
    code, _, err = run(capsys, *words, "--target", "y")
    assert (code, "30 different integers" in err, "--task" in err) == (2, True, True)
    assert not (tmp_path / "out").exists()
    code, out, _ = run(capsys, *words, "--target", "y", "--task", "regression")
    assert (code, "R2" in out) == (0, True)
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["sizes"] == [2, 8, 8, 1]
    loaded = data.load(path, target="y", task="regression")
    assert (loaded.n_features, loaded.n_outputs) == (2, 1)


def step(label, epochs_done, run=None):
    return Step(Job(label, None, None, 0, ()), epochs_done, 10, 0, 5, run)


def test_the_estimate(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(cli.time, "monotonic", lambda: now[0])
    left = cli._estimate()
    texts = []
    for seconds, at in [
        (50, step("dense", 0)),  # making graphs and warming up does not count
        (54, step("dense", 1)),
        (58, step("dense", 2)),
        (58, step("dense", 2, object())),
        (60, step("rotating", 3)),
        (62, step("rotating", 4)),
        (80, step("rotating", 10)),
    ]:
        now[0] = seconds
        texts.append(left(at))
    assert texts == [
        "",
        "less than 36 s left",
        "less than 32 s left",
        "less than 32 s left",
        "about 14 s left",
        "about 12 s left",
        "",
    ]
    assert [cli._duration(seconds) for seconds in (1.2, 99, 600, 7200)] == ["2 s", "99 s", "10 min", "2.0 h"]


def test_a_narrow_terminal_keeps_the_count_and_the_estimate(monkeypatch):
    monkeypatch.setattr(cli, "_estimate", lambda: lambda step: "about 100 min left")
    screen = io.StringIO()
    monkeypatch.setattr("rich.console.Console", lambda **_: Console(file=screen, width=50, force_terminal=True))
    with cli._progress() as progress:
        progress(step("a family with a long name", 7))
    text = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue())
    assert re.search(r"run 1 .*… .* 7/10 epochs about 100 min left", text)


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
        (["train", "--data", "digits", "--data", "mnist"], "--data once"),
        (["train", "--data", "digits", "--task", "moon"], "--task"),
        ([*GENERATE, "n_in=40", "n_out=40", "fan_in=1_0", "seed=0"], "expected a number for fan_in, got '1_0'"),
        ([*STUDY, "--family", "biregular", "--density", "many"], "--density"),
        ([*STUDY, "--family", "moon", "--density", "0.1"], "moon"),
        ([*STUDY, "--family", "biregular", "--density", "1.5"], "0 < density <= 1"),
        ([*STUDY, "--family", "biregular"], "--density"),
        ([*STUDY, "--family", "biregular", "--density", "0.1", "--nonsense"], "--nonsense"),
        (
            [*STUDY, "--family", "biregular", "--density", "0.1", "-o", __file__],
            "choose a folder that can be written to",
        ),
        (
            [*STUDY, "--family", "biregular", "--density", "0.1", "-o", "/proc/x"],
            "choose a folder that can be written to",
        ),
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


@pytest.mark.parametrize("verb", ["families", "study"])
def test_a_closed_pipe_is_quiet(tmp_path, verb):
    options = f"--data digits --hidden 8 8 --epochs 1 --family rotating --density 0.5 -o {tmp_path / 'out'}".split()
    if verb == "study":
        assert main(["study", *options]) == 0  # then the second time prints nothing to stderr
    words = [sys.executable, "-m", "prewired", verb, *(options if verb == "study" else [])]
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
