"""`prewired study` and `prewired report`: files, options, what is printed, and every error one line."""

import io
import json
import math
import re
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from prewired.cli import progress
from prewired.cli.app import create_app, main
from prewired.cli.progress import duration, loop_progress, study_progress, time_left
from prewired.study import StudyConfig, inline, load, processes
from prewired.study import run as run_study
from prewired.study.nets import Net
from prewired.study.running import database
from prewired.study.running.eta import Step
from prewired.study.tasks import GRAPHS, RATES, RUNS, GraphTask, TrainingTask
from prewired.training import data

WRITTEN = {
    "runs.sqlite",
    "table.md",
    "results.csv",
    "results.parquet",
    "summary.json",
    "report.html",
    "score_by_density.png",
    "score_by_normalized_spectral_gap.png",
    "score_by_algebraic_connectivity.png",
    "training_curves.png",
    "biadjacency.png",
}


def run(capsys, *words):
    code = main(list(map(str, words)))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def make_npz(path):
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    np.savez(path, x=(rng.normal(size=(120, 12)) + y[:, None]).astype(np.float32), y=y)
    return path


@pytest.fixture
def npz(tmp_path):
    return make_npz(tmp_path / "mine.npz")


@pytest.fixture(scope="module")
def first_output(tmp_path_factory):
    """(words, folder, stdout, stderr) of a study that the command line has run."""
    folder = tmp_path_factory.mktemp("studied")
    words = [
        "study",
        "--data",
        make_npz(folder / "mine.npz"),
        "--family",
        "biregular",
        "--family",
        "rotating",
        "fibonacci",
    ]
    words += ["--density", 0.25, "--density", 0.5, "--hidden", 16, 16, "--epochs", 1, "--graph-seeds", 2]
    words += ["--workers", 1, "-o", folder / "out"]
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        assert main(list(map(str, words))) == 0
    return words, folder / "out", out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def studied(first_output):
    """(words, folder) of a study that is finished."""
    return first_output[:2]


# Running and reporting


def test_study(first_output):
    _, folder, out, err = first_output
    assert "graphs [8/8]" in err
    assert "runs [11/11]" in err
    assert "Results on mine.npz" in out
    assert re.search(r"^- Families as they are", out, re.MULTILINE)
    assert f"Written to {folder}/: report.html" in out
    assert {path.name for path in folder.iterdir()} == WRITTEN


def test_a_finished_study_prints_the_same_and_runs_nothing(capsys, first_output):
    words, folder, out, _ = first_output
    assert run(capsys, *words) == (0, out, "")
    assert {path.name for path in folder.iterdir()} == WRITTEN


def test_report(capsys, studied, tmp_path):
    _, folder = studied
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    code, out, err = run(capsys, "report", folder, "-o", tmp_path / "a" / "b", "--no-pictures")
    assert (code, err) == (0, "")
    assert {path.name for path in (tmp_path / "a" / "b").iterdir()} == {
        name for name in WRITTEN if not name.endswith((".png", ".sqlite"))
    }
    lines = out.splitlines()
    assert all(line.startswith("- ") for line in lines[:-1])
    assert len(lines) > 4
    assert lines[-1].startswith(f"Written to {tmp_path / 'a' / 'b'}/: report.html, table.md, results.csv, summary.json")
    assert (tmp_path / "a" / "b" / "table.md").read_bytes() == before["table.md"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.slow
def test_report_with_pictures(capsys, studied):
    _, folder = studied
    code, out, err = run(capsys, "report", folder)
    assert (code, err, "biadjacency.png" in out) == (0, "", True)
    assert {path.name for path in folder.iterdir()} == WRITTEN


def test_study_of_a_csv_file_with_target_and_task(capsys, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("a,b,y\n" + "".join(f"{i % 7},{i % 11},{i % 30}\n" for i in range(120)))
    words = ["study", "--data", path, "--family", "rotating", "--density", 0.5, "--hidden", 8, 8, "--epochs", 1]
    words += ["--graph-seeds", 1, "--workers", 1, "--no-timing", "-o", tmp_path / "out"]
    code, _, err = run(capsys, *words)
    assert (code, "target= one of the columns 'a', 'b', 'y'" in err) == (2, True)
    code, _, err = run(capsys, *words, "--target", "y")
    assert (code, "30 different integers" in err, "--task" in err) == (2, True, True)
    assert not (tmp_path / "out").exists()
    code, out, _ = run(capsys, *words, "--target", "y", "--task", "regression")
    assert (code, "R2" in out) == (0, True)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert [summary["facts"][str(path)][name] for name in ("n_features", "n_outputs")] == [2, 1]
    assert summary["score"] == "r2"
    loaded = data.load(path, target="y", task="regression")
    assert (loaded.n_features, loaded.n_outputs) == (2, 1)


@pytest.mark.slow
def test_two_workers_give_what_one_gives(capsys, npz, tmp_path):
    words = ["--data", npz, "--family", "biregular", "--density", 0.25, "--hidden", 16, "--epochs", 1, "--workers", 2]
    code, _, err = run(capsys, "study", *words, "--no-timing", "-o", tmp_path / "out")
    assert code == 0, err
    config = StudyConfig(npz, ["biregular"], [0.25], hidden=[16], epochs=1, timing=False)
    assert load(tmp_path / "out").digest == run_study(config, tmp_path / "one").digest


@pytest.mark.parametrize("verb", [pytest.param("study", marks=pytest.mark.slow), "report"])
def test_a_closed_pipe_is_quiet(studied, verb):
    words, folder = studied
    words = words if verb == "study" else ["report", folder, "--no-pictures"]
    process = subprocess.Popen(
        [sys.executable, "-m", "prewired", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141


# The file and the options

FILE = """
data = "digits"
families = ["biregular", "rotating"]
densities = [0.1, 0.3]
hidden = [24, 20]
controls = ["permuted"]
epochs = 4
skip_impossible = true
"""


@pytest.fixture
def asked(monkeypatch):
    """What a study is asked instead of being run: (config, folder, engine)."""
    calls = []

    def record(config, folder, *, engine, progress):
        calls.append((config, str(folder), engine))
        raise ValueError("asked")

    monkeypatch.setattr("prewired.study.run", record)
    return calls


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(FILE)
    return "mine.toml"


CONFIG = StudyConfig(
    "digits", ["biregular", "rotating"], [0.1, 0.3], hidden=[24, 20], controls=["permuted"], epochs=4,
    skip_impossible=True,
)  # fmt: skip


def test_a_file_says_it_all_and_names_the_folder(capsys, asked, file):
    run(capsys, "study", file)
    ((config, folder, _),) = asked
    assert (config, folder) == (CONFIG, "mine")


@pytest.mark.parametrize(
    ("words", "change"),
    [
        (["--data", "mnist", "adult"], {"data": ("mnist", "adult")}),
        (["--family", "fibonacci"], {"families": ("fibonacci",)}),
        (["--family", "fibonacci", "--family", "grouped"], {"families": ("fibonacci", "grouped")}),
        (["--density", "0.2"], {"densities": (0.2,)}),
        (["--edges", "500", "600"], {"densities": (), "edges": (500, 600)}),
        (["--budget", "erk"], {"budget": "erk"}),
        (["--control", "shuffled"], {"controls": ("shuffled",)}),
        (["--init", "n_in"], {"inits": ("n_in",)}),
        (["--graph-seeds", "7"], {"graph_seeds": 7}),
        (["--train-seeds", "7"], {"train_seeds": 7}),
        (["--hidden", "9", "9"], {"hidden": (9, 9)}),
        (["--no-skip-impossible"], {"skip_impossible": False}),
        (["--train-rows", "100"], {"train_rows": 100}),
        (["--epochs", "5"], {"epochs": 5}),
        (["--patience", "5"], {"patience": 5}),
        (["--batch-size", "5"], {"batch_size": 5}),
        (["--learning-rate", "0.5"], {"learning_rate": 0.5}),
        (["--learning-rates", "0.5", "0.25"], {"learning_rates": (0.5, 0.25)}),
        (["--learning-rates", "0.5", "0.25", "--tune-epochs", "2"], {"learning_rates": (0.5, 0.25), "tune_epochs": 2}),
        (["--optimizer", "sgd", "--momentum", "0.5"], {"optimizer": "sgd", "momentum": 0.5}),
        (["--weight-decay", "0.5"], {"weight_decay": 0.5}),
        (["--target", "y", "--task", "regression"], {"target": "y", "task": "regression"}),
        (["--root", "here"], {"root": "here"}),
        (["--no-timing"], {"timing": False}),
    ],
)
def test_options_win_over_the_file(capsys, asked, file, words, change):
    run(capsys, "study", file, *words)
    ((config, _, _),) = asked
    assert config == replace(CONFIG, **change)


def test_densities_win_over_the_files_edges(capsys, asked, file, tmp_path):
    (tmp_path / file).write_text(FILE.replace("densities = [0.1, 0.3]", "edges = [500]"))
    run(capsys, "study", file)
    run(capsys, "study", file, "--density", "0.1")
    assert [(config.densities, config.edges) for config, *_ in asked] == [((), (500,)), ((0.1,), ())]


def test_options_without_a_file(capsys, asked, file):
    words = ["--data", "digits", "--family", "biregular", "rotating", "--density", "0.1", "0.3", "--hidden", "24", "20"]
    words += ["--control", "permuted", "--epochs", "4", "--skip-impossible"]
    run(capsys, "study", *words)
    run(capsys, "study", *words, "-o", "there")
    assert [(config, folder) for config, folder, _ in asked] == [(CONFIG, "study"), (CONFIG, "there")]


def test_every_field_of_a_study_has_an_option():
    arguments = create_app("study")["study"].assemble_argument_collection()
    fields = {argument.keys[0] for argument in arguments if argument.keys}
    assert fields == set(StudyConfig.__dataclass_fields__)


def test_where_it_runs(capsys, asked, file, monkeypatch):
    monkeypatch.setattr("prewired.study.running.engines.count_processors", lambda: 6)
    for words in ([], ["--workers", "1"], ["--workers", "3"], ["--worker-threads", "2"], ["--worker-threads", "6"]):
        run(capsys, "study", file, *words)
    assert asked[1][2] is inline
    assert [(e.func, e.keywords) for *_, e in (asked[0], *asked[2:])] == [
        (processes, {"workers": 6, "threads": 1}),
        (processes, {"workers": 3, "threads": 1}),
        (processes, {"workers": 3, "threads": 2}),
        (processes, {"workers": 1, "threads": 6}),
    ]


# Errors

GOOD = ["--data", "digits", "--epochs", "1", "--family", "biregular", "--density", "0.1", "--workers", "1"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["study"], "expected the field 'data', got none; add it"),
        (["study", "--data", "digits"], "expected the field 'families', got none"),
        (["study", *GOOD, "--density", "many"], "--density"),
        (["study", *GOOD, "--family", "moon"], "moon"),
        (["study", *GOOD, "--density", "1.5"], "0 < density <= 1"),
        (["study", "--data", "digits", "--family", "biregular"], "at least one of densities"),
        (["study", *GOOD, "--nonsense"], "--nonsense"),
        (["study", *GOOD, "--edges", "100"], "densities or edges, got both"),
        (["study", *GOOD, "--control", "moon"], "expected one of permuted, shuffled for --control, got 'moon'"),
        (["study", *GOOD, "--patience", "0"], "patience >= 1"),
        (["study", *GOOD, "--train-rows", "99999"], "train_rows of at most 1079"),
        (["study", *GOOD, "--address", "auto"], "--engine ray with --address"),
        (["study", *GOOD, "--workers", "0"], "--workers and --worker-threads >= 1"),
        (["study", *GOOD, "--worker-threads", "0"], "--workers and --worker-threads >= 1"),
        (["study", "no-such-file.toml"], "no-such-file.toml"),
        (["study", __file__], "expected a study as TOML in"),
        (["study", *GOOD, "-o", __file__], "choose a folder that can be written to"),
        (["study", *GOOD, "-o", "/proc/x"], "choose a folder that can be written to"),
        (["report"], "STUDY"),
        (["report", "no-such-folder"], "no-such-folder"),
        (["report", __file__], "test_study.py"),
    ],
)
def test_errors_are_one_line_and_exit_code_2(capsys, words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith("prewired: error: ")
    assert err.count("\n") == 1
    assert message in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FILE.replace("families", "familes"), "mine.toml: expected fields among data, families"),
        (FILE.replace("families", "familes"), "got 'familes'; did you mean 'families'?"),
        (FILE.replace('"biregular"', '"biregulr"'), "biregulr"),
        (FILE + "[more]\nx = 1", "got the table [more]; move its keys to the top"),
        (FILE.replace("epochs = 4", "epochs = 'four'"), "epochs"),
        (FILE.replace("epochs = 4", "learning_rate = 'slow'"), "learning_rate as a number"),
        (FILE + "oops", "expected a study as TOML in mine.toml"),
    ],
)
def test_errors_of_a_file_are_one_line(capsys, file, tmp_path, text, message):
    (tmp_path / file).write_text(text)
    code, out, err = run(capsys, "study", file)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
    assert not (tmp_path / "mine").exists()


def test_a_report_of_a_store_that_is_none_or_older_or_empty(capsys, tmp_path):
    database.open_store(tmp_path).close()
    code, out, err = run(capsys, "report", tmp_path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "expected a study of this version" in err
    (tmp_path / database.DATABASE_NAME).write_text("a diary")
    assert "expected a study store" in run(capsys, "report", tmp_path)[2]


@pytest.mark.parametrize("missing", ["matplotlib", "plotly", "statsmodels", "sklearn"])
def test_a_missing_extra_is_found_before_any_training(capsys, monkeypatch, tmp_path, missing):
    def lacking(name):
        return None if name == missing else "there"

    monkeypatch.setattr("prewired.cli.options.find_spec", lacking)
    for words in (["study", *GOOD, "-o", tmp_path / "out"], ["report", tmp_path]):
        code, _, err = run(capsys, *words)
        assert (code, err.count("\n")) == (2, 1)
        assert f"expected the package {missing}, got none; pip install 'prewired[study]'" in err
    assert not (tmp_path / "out").exists()


# Progress

NET = Net("digits", "rotating", "", "fan_in", 0.1, (64, 8, 10))
JOB = TrainingTask(NET, None, 0, 1e-3)


def step(phase=RUNS, *, done=1, total=9, left=600.0, task=JOB, **run):
    payload = {"run": {"score_name": "accuracy", "test_score": 0.5, **run}} if run is not None else None
    return Step(phase, task, 1, done, total, left, payload)


def plain_lines(capsys, monkeypatch, steps):
    """What steps print where there is no terminal; each comes with the second at which it is told."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with study_progress() as show:
        for now[0], one in steps:
            show(one)
    return capsys.readouterr().err.splitlines()


def test_lines_of_a_study(capsys, monkeypatch):
    of_graphs = Step(GRAPHS, GraphTask(NET, 3), 1, 1, 2, None, {"layers": []})
    tuning = step(RATES, task=replace(JOB, tuning=True), test_score=math.nan, left=90)
    lines = plain_lines(capsys, monkeypatch, [(0, of_graphs), (1, tuning), (2, step(test_score=0.91234))])
    assert lines == [
        "graphs [1/2] graphs of digits, rotating, 10 %, graph 3",
        "learning rates [1/9] digits, rotating, 10 %, learning rate 0.001, about 90 s left",
        "runs [1/9] digits, rotating, 10 %, seed 0: accuracy 0.9123, about 10 min left",
    ]


def test_a_run_that_failed_is_told_without_a_score(capsys, monkeypatch):
    failed = replace(step(done=9), payload={"failed": "the loss stopped being finite"}, seconds_left=0.0)
    assert plain_lines(capsys, monkeypatch, [(0, failed)]) == ["runs [9/9] digits, rotating, 10 %, seed 0"]


def test_lines_come_first_last_and_now_and_then(capsys, monkeypatch):
    steps = [(3 * k, step(done=k, total=30)) for k in range(1, 31)]
    epochs = [(seconds + 0.5, replace(one, payload=None)) for seconds, one in steps]
    both = sorted([*steps, *epochs], key=lambda at: at[0])
    lines = plain_lines(capsys, monkeypatch, both)
    assert [int(re.search(r"\[(\d+)/30\]", line)[1]) for line in lines] == [1, 8, 15, 22, 29, 30]


def shown(monkeypatch, width, progress_of, *steps):
    """What a terminal of a width shows in the end, without colours."""
    screen = io.StringIO()
    monkeypatch.setattr(
        "prewired.cli.progress.Console", lambda **_: Console(file=screen, width=width, force_terminal=True)
    )
    with progress_of as progress:
        for one in steps:
            progress(*one)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())


def test_a_narrow_terminal_keeps_the_count_and_the_estimate(monkeypatch):
    long = replace(JOB, net=replace(NET, family="a family with a long name"))
    text = shown(monkeypatch, 50, study_progress(), (step(task=long, done=7, total=10, left=6000.0),))
    assert re.search(r"runs: .*… .* 7/10 about 1\.7 h left", text)


def test_timing_is_shown_without_a_task(monkeypatch):
    text = shown(monkeypatch, 80, study_progress(), (Step("timing", None, 0, 2, 5, None),))
    assert re.search(r"timing .* 2/5", text)
    assert "None" not in text


def test_a_wide_terminal_shows_the_task(monkeypatch):
    text = shown(monkeypatch, 140, study_progress(), (step(done=7, total=10, left=None),))
    assert re.search(r"runs: digits, rotating, 10 %, seed 0 .* 7/10", text)
    assert "left" not in text


def test_a_loop_that_is_counted(monkeypatch, capsys):
    assert "3/4" not in shown(monkeypatch, 80, loop_progress("drawing"), (3, 4))  # transient: a bar, with a percentage
    monkeypatch.undo()
    with loop_progress("drawing") as progress:
        progress(1, 2)
    assert capsys.readouterr() == ("", "")


def test_the_estimate_in_words():
    assert [time_left(left) for left in (None, 0.0, 0.2, 100, 36_000)] == [
        "", "", "about 1 s left", "about 2 min left", "about 10.0 h left"
    ]  # fmt: skip
    assert [duration(seconds) for seconds in (1.2, 99, 600, 7200)] == ["2 s", "99 s", "10 min", "2.0 h"]


def test_the_config_of_a_report_is_that_of_the_study(studied):
    words, folder = studied
    summary = json.loads((folder / "summary.json").read_text())
    assert StudyConfig.from_dict(summary["config"]) == load(folder).config
    assert load(folder).config.families == ("biregular", "rotating", "fibonacci")
    assert str(words[2]) in load(folder).config.data
