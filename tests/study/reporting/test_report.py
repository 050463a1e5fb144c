"""The report, against figures worked out by hand; its files, its page and its pictures."""

import csv
import json
import math
import re
import subprocess
import tomllib
from dataclasses import fields, replace
from html.parser import HTMLParser

import numpy as np
import pytest
from scipy import stats

from prewired.study import Study, StudyConfig, load, reporting, run
from prewired.study.nets import Net
from prewired.study.reporting import control_effects, correlation_tables, dense_comparison, result_table
from prewired.study.reporting.html_page import format_command
from prewired.study.reporting.report_data import TESTED
from prewired.study.reporting.table_files import NAMES
from prewired.study.results import RateChoice
from prewired.study.running.database import to_canonical_json
from prewired.study.statistics import Row
from prewired.study.tasks import Facts
from prewired.training.loop import Run, TrainConfig

SIZES = (16, 10, 2)


def row(family, graph, score, val_score, seconds, n_parameters, n_bytes, metrics=(), **changes):
    losses = (0.1,) * len(val_score)
    curves = {"train_loss": losses, "val_loss": losses, "val_score": val_score, "seconds": seconds}
    ends = {"test_loss": 0.1, "test_score": score, "chosen_epoch": len(val_score)}
    names = ("normalized_spectral_gap", "algebraic_connectivity")
    made = Row(
        data="mine",
        family=family,
        control="",
        init="fan_in",
        density=None if family == "dense" else 0.1,
        graph_seed=graph,
        train_seed=0,
        run=Run(TrainConfig(epochs=2), "accuracy", n_parameters, **curves, **ends),
        n_bytes=n_bytes,
        machine="a CPU",
        metrics=dict(zip(names, metrics, strict=False)),
        sizes=SIZES,
        versions="prewired 1, torch 2",
        digests=(f"{family} {graph}",) if metrics else (),
        learning_rate=0.001,
    )
    return replace(made, **changes)


ROWS = (
    row("dense", None, 0.95, (0.8, 1.0), (4.0, 4.0), 192, 1_500_000),
    row("dense narrow", None, 0.7, (0.5, 0.6), (1.0, 1.0), 51, 204),
    row("biregular", 0, 0.90, (0.95, 0.97), (1.0, 3.0), 52, 2500, (0.25, 1.0)),
    row("rotating", None, 0.80, (0.5, 0.6), (3.0, 3.0), 52, 2500, (0.125, 5.0)),
    row("biregular", 1, 0.92, (0.5, 0.96), (2.0, 2.0), 52, 2500, (0.5, 2.0)),
    row("biregular", 2, 0.94, (0.5, 0.6), (2.0, 2.0), 52, 2500, (0.75, 3.0)),
)
CONFIG = StudyConfig("mine", ("biregular", "rotating"), (0.1,), hidden=(10,), epochs=2)
FACTS = {"mine": Facts("My data", "", 16, 2, {})}

# Target: 95 % of 1.0; biregular gets there after 1 and 2 epochs, its third graph never. sd of 90, 92, 94 is 2.
# Areas: means of two epochs, 0.9 and 0.55; biregular (0.96 + 0.73 + 0.55) / 3. By validation biregular is first:
# (0.97 + 0.96 + 0.6) / 3 against 0.6. A dense net that is trained once has no spread, so there is no interval.
GOLDEN = {
    "Study on My data": """\
Hidden layers 10, at most 2 epochs, batch 128, adam, learning rate 0.001; graph seeds: 3, training seeds: 1.
Machine: a CPU. Versions: prewired 1, torch 2.
6 of 6 runs. Digest of the results: {digest}.""",
    "Results on My data": """\
| family | density | graphs | accuracy [%] | sd | params | bytes | epochs to 95 % | area | rate | \
s/epoch | vs dense | norm. gap | alg. conn. | product gap |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| dense | - | - | 95.00 | - | 192 | 1.50 MB | 2.0 | 0.900 | 0.001 | 4 | 1.00x | - | - | - |
| dense narrow | 10 % | - | 70.00 | - | 51 | 0.2 kB | >2 | 0.550 | 0.001 | 1 | 0.25x | - | - | - |
| biregular | 10 % | 3 | 92.00 | 2.00 | 52 | 2.5 kB | 1.5 (2/3) | 0.747 | 0.001 | 2 | 0.50x | 0.5 | 2 | - |
| rotating | 10 % | 1 | 80.00 | - | 52 | 2.5 kB | >2 | 0.550 | 0.001 | 3 | 0.75x | 0.125 | 5 | - |

accuracy: on the test data, mean over graphs; sd: over graphs, in percentage points.

epochs to 95 %: until validation accuracy is 95 % of the dense net's, 95.00 %; mean over the runs that get there, with \
their share where some do not. area: mean of the validation accuracy over 2 epochs.

vs dense: median seconds per epoch over those of the dense net of equal width. dense narrow: at most as many \
parameters as the sparse nets of that density.

Densities as realised, in inputs per output: 10 % is 2 of 16 (12.5 %).""",
    "Sparse against dense": """\
| cell | chosen | family | sparse | equal parameters | difference | equal width | difference  |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| mine, 10 % | best by validation | biregular | 92.00 % | 70.00 % | +22.00 [-, -], undecided | 95.00 % | \
-3.00 [-, -], undecided |
| mine, 10 % | biregular | biregular | 92.00 % | 70.00 % | +22.00 [-, -], undecided | 95.00 % | \
-3.00 [-, -], undecided |

Test accuracy, means over graphs or training seeds. Differences with 90 % intervals (Welch) and verdicts against the \
margin. The family is chosen by its mean validation score, so that the test data has no say. An interval of 90 % may \
leave out zero where the verdict, at 5 %, does not. The best by validation is the luckiest, too, and all graphs are \
trained with the same seeds: both make its interval too narrow.""",
}


def analysed(*rows, config=CONFIG, facts=FACTS, **more):
    return reporting.analyse_study(Study(config, facts, rows, more.pop("n_runs", len(rows)), **more))


def said(found, words):
    """The one sentence with these words."""
    (sentence,) = [sentence for sentence in reporting.describe_findings(found) if words in sentence]
    return sentence


def sections(text):
    """Title -> text of each section of a Markdown report, in its order."""
    parts = re.split(r"^##? (.*)\n\n", text, flags=re.MULTILINE)[1:]
    return {title: body.rstrip("\n") for title, body in zip(parts[::2], parts[1::2], strict=True)}


@pytest.fixture(scope="module")
def made():
    return analysed(*ROWS)


def test_the_report_as_text(made):
    found = sections(reporting.format_markdown(made))
    assert list(found)[:4] == ["Study on My data", "Findings", "Results on My data", "Sparse against dense"]
    for title, expected in GOLDEN.items():
        assert found[title] == expected.format(digest=made.study.digest[:16])
    assert found["Findings"] == "\n".join(f"- {sentence}" for sentence in reporting.describe_findings(made))
    assert said(made, "Test accuracy") == (
        "Test accuracy on My data: dense 95.00 %; at 10 % biregular has the highest mean, 92.00 % (sd 2.00, 3 graphs), "
        "rotating the lowest, 80.00 % (1 graph), dense narrow 70.00 %."
    )
    assert said(made, "One training seed".lower()) == (
        "With one training seed per graph, differences between graphs include the noise of training."
    )
    assert "The graphs come from 2 families;" in reporting.describe_findings(made)[-1]


def test_relations_are_those_worked_out_by_hand(made):
    """Scores rank 2, 1, 3, 4 and gaps too: rho 1, with 2 of the 24 pairings as strong. Connectivities rank 1, 4, 2, 3:
    rho is 1 - 6 (1 + 9 + 1 + 1) / 60 = -0.2, and 22 of 24 have |rho| >= 0.2. The line through (12.5, 25, 50, 75 %;
    80, 90, 92, 94) has the slope 4.375 / 0.23047, its percentiles are 16.25 and 67.5 %: a change of 9.73 points."""
    found = sections(reporting.format_markdown(made))
    table = found["Spearman correlation of test accuracy with each metric, families as they are"]
    assert "| normalized_spectral_gap | +1.00, 0.083 |" in table
    assert "| algebraic_connectivity | -0.20, 0.92 |" in table
    assert "| metric | 10 % (4 graphs) |" in table
    left_out = ", ".join(
        metric for metric in TESTED if metric not in ("normalized_spectral_gap", "algebraic_connectivity")
    )
    assert f"Left out, no ranking possible (constant, or fewer than 3 graphs): {left_out}." in table
    (primary,) = made.analysis.primary
    assert 100 * primary.cells[0].slope.difference == pytest.approx(9.729, abs=1e-3)
    assert "9.73" in reporting.format_markdown(made)


def test_a_star_is_for_the_adjusted_p(made):
    first, second = (one for one in made.analysis.cells if one.metric in made.study.rows[2].metrics)
    cells = (
        replace(first, correlation=replace(first.correlation, rho=0.9, n=6), holm_p=0.01, holm_p_clustered=0.06),
        replace(second, correlation=replace(second.correlation, rho=-0.95, n=5), holm_p=0.5, holm_p_clustered=0.04),
    )
    cells = tuple(
        replace(one, interval=replace(one.interval, low=-0.5, high=0.25, p_value=p_value))
        for one, p_value in zip(cells, (0.03, 0.0001), strict=True)
    )
    table = correlation_tables.build_correlation_table(
        replace(made, analysis=replace(made.analysis, cells=cells)), "", "fan_in"
    )
    assert table.lines == (
        ("normalized_spectral_gap", "+0.90 [-0.50, +0.25], 0.03 (0.06)"),
        ("algebraic_connectivity", "-0.95 [-0.50, +0.25], <0.001 (0.04), n = 5 *"),
    )


def test_sparse_and_dense_nets_are_compared_by_graphs_and_trainings(made):
    """Of graphs the means, of a net without graphs or with a single one the trainings."""
    again = [replace(row, train_seed=1, run=replace(row.run, test_score=row.run.test_score + 0.004)) for row in ROWS]
    rows = [*ROWS, *again]
    biregular, rotating, dense = ([row for row in rows if row.family == f] for f in ("biregular", "rotating", "dense"))
    found = dense_comparison.compare_with_dense(biregular, dense, made)
    expected = stats.ttest_ind([0.902, 0.922, 0.942], [0.95, 0.954], equal_var=False)
    assert found.difference == pytest.approx(0.922 - 0.952)
    np.testing.assert_allclose([found.low, found.high], expected.confidence_interval(0.9))
    found = dense_comparison.compare_with_dense(rotating, dense, made)
    expected = stats.ttest_ind([0.8, 0.804], [0.95, 0.954], equal_var=False).confidence_interval(0.9)
    np.testing.assert_allclose([found.low, found.high], expected)
    assert found.verdict == "different"


def test_the_best_family_is_not_chosen_by_the_test_data():
    better = replace(ROWS[3], run=replace(ROWS[3].run, test_score=0.99))
    table = dense_comparison.build_dense_comparison(analysed(*ROWS[:3], better, *ROWS[4:]))
    assert [line[1:4] for line in table.lines] == [
        ("best by validation", "biregular", "92.00 %"),
        ("biregular", "biregular", "92.00 %"),
    ]


def test_families_that_are_not_separated():
    close = row("rotating", None, 0.905, (0.5, 0.6), (3.0, 3.0), 52, 2500, (0.125, 5.0))
    best = said(analysed(*ROWS[:3], close, *ROWS[4:]), "Test accuracy")
    assert "the best are not separated: biregular 92.00 % (sd 2.00, 3 graphs), rotating 90.50 % (1 graph)" in best
    alone = said(analysed(ROWS[0], ROWS[1], ROWS[2], ROWS[3]), "Test accuracy")
    assert "not separated: biregular 90.00 % (1 graph), rotating 80.00 % (1 graph)" in alone


def test_one_family_with_one_graph():
    config = replace(CONFIG, families=("biregular",))
    found = analysed(*ROWS[:3], config=config)
    assert "at 10 % biregular has 90.00 % (1 graph), dense narrow 70.00 %." in said(found, "Test accuracy")
    assert "no correlation can be computed: fewer than 3 graphs in each cell" in reporting.describe_findings(found)[0]
    text = reporting.format_markdown(found)
    assert "| metric |" not in text
    assert "nan" not in text.lower()


@pytest.mark.parametrize(
    ("biregular", "rotating", "words"),
    [
        ((2.0, 2.0), (2.0, 2.0), "An epoch takes 0.50x of the dense net's time at 10 %."),
        ((3.0, 5.0), (3.0, 5.0), "An epoch takes about as long as the dense net's at 10 %."),
        (
            (8.0, 8.0),
            (3.5, 4.5),
            "An epoch takes 2.00x of the dense net's time or about as long as the dense net's (rotating) at 10 %.",
        ),
    ],
)
def test_speed_is_claimed_where_quartiles_are_apart(biregular, rotating, words):
    def with_seconds(one, seconds):
        return replace(one, run=replace(one.run, seconds=seconds))

    rows = *ROWS[:2], with_seconds(ROWS[2], biregular), with_seconds(ROWS[3], rotating)
    assert words in reporting.describe_findings(analysed(*rows))


def test_notes_name_families_that_coincide_and_different_versions():
    same = replace(ROWS[3], digests=ROWS[2].digests, versions="prewired 2, torch 2", machine="another")
    notes = result_table.build_result_table(analysed(*ROWS[:3], same), "mine").notes
    assert "At 10 % biregular and rotating make the same graphs; these count once in correlations." in notes
    assert "Runs come from 2 versions: prewired 1, torch 2; prewired 2, torch 2." in notes
    assert "Seconds come from 2 machines or numbers of threads: a CPU; another." in notes


def test_notes_name_what_is_missing_failed_or_impossible():
    more = {"n_runs": 9, "failed": ("a run: exploded",), "impossible": ("no such graph",)}
    facts = {"mine": replace(FACTS["mine"], note="made up")}
    notes = result_table.build_result_table(analysed(*ROWS, facts=facts, **more), "mine").notes
    for note in (
        "Not finished: 6 of 9 runs are there.",
        "Left out, for there is no such graph: no such graph.",
        "Failed, and in no mean: a run: exploded.",
        "Data: made up.",
    ):
        assert note in notes


def test_epochs_as_text(made):
    summary = replace(made.summaries[0], epochs_to_target=112.5, n_reached=3, n_runs=4)
    assert result_table._format_epochs(summary, 200) == "112.5 (3/4)"
    assert result_table._format_epochs(replace(summary, epochs_to_target=math.nan, n_reached=0), 200) == ">200"


def test_the_table_of_learning_rates():
    tuned = (
        RateChoice(Net("mine", "dense", "", "fan_in", None, SIZES), {0.001: 0.5, 0.01: 0.75, 0.1: math.nan}, 0.01),
        RateChoice(Net("mine", "rotating", "permuted", "fan_in", 0.1, SIZES), {0.001: 0.9, 0.01: 0.8, 0.1: 0.1}, 0.001),
    )
    config = replace(CONFIG, learning_rates=(0.001, 0.01, 0.1), patience=3, train_rows=500)
    found = analysed(*ROWS, rate_choices=tuned, config=config)
    (table,) = [table for table in reporting.build_tables(found) if table.title == "Learning rates"]
    assert table.header == ("net", "chosen", "0.001", "0.01", "0.1")
    assert table.lines == (
        ("mine, dense", "0.01", "50.00", "75.00", "-"),
        ("mine, rotating, permuted, 10 %", "0.001", "90.00", "80.00", "10.00"),
    )
    assert "In 1 of 2 nets the smallest or the largest was the best." in table.notes[0]
    setup = sections(reporting.format_markdown(found))["Study on My data"]
    for words in ("learning rates chosen among 0.001, 0.01, 0.1", "500 rows of training", "after 3 without a lower"):
        assert words in setup


def test_each_setting_and_each_data_set_has_its_tables():
    config = replace(CONFIG, data=("mine", "other"), controls=("permuted",))
    facts = {"mine": FACTS["mine"], "other": Facts("Other", "", 16, 2, {})}
    rows = [*ROWS, *(replace(row, control="permuted") for row in ROWS[2:])]
    rows += [replace(row, data="other") for row in rows]
    found = analysed(*rows, config=config, facts=facts)
    titles = list(sections(reporting.format_markdown(found)))
    assert titles[0] == "Study on My data, Other"
    assert {"Results on My data", "Results on Other"} < set(titles)
    for words in ("families as they are", "families with permuted inputs"):
        assert f"Each metric over all cells, {words}" in titles
        assert f"Spearman correlation of test accuracy with each metric, {words}" in titles
        assert sum(sentence.lower().startswith(words) for sentence in reporting.describe_findings(found)) == 1
    assert len({(one.data, one.label, one.density) for one in found.summaries}) == len(found.summaries) == 2 * 6
    assert [one.cell.data for one in found.analysis.cells if one.metric == TESTED[0]] == ["mine", "other"] * 2


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_study_that_has_only_begun(n):
    found = analysed(*ROWS[:n], n_runs=6)
    text = reporting.format_markdown(found)
    assert f"Not finished: {n} of 6 runs are there." in text
    assert "nan" not in text.lower()
    without_dense = analysed(*ROWS[1 : n + 1], n_runs=6)
    text = reporting.format_markdown(without_dense)
    assert ("speed is not compared" in text) or n == 1
    assert "not defined, the dense net ends without a positive validation accuracy" in text


def test_nothing_to_report():
    with pytest.raises(ValueError, match="expected finished runs, got none yet; wait for the study, or run it"):
        analysed()


# Files


def read_csv(folder):
    with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_results_csv(made, tmp_path):
    written = reporting.write_tables(made, tmp_path)
    assert {path.name for path in written} == set(NAMES) == {path.name for path in tmp_path.iterdir()}
    lines = read_csv(tmp_path)
    assert len(lines) == len(ROWS)
    dense, _, first, *_ = lines
    expected = {
        "data": "mine", "family": "biregular", "control": "", "init": "fan_in", "density": "0.1", "graph_seed": "0",
        "train_seed": "0", "sizes": "16-10-2", "learning_rate": "0.001", "test_accuracy": "0.9", "test_loss": "0.1",
        "val_accuracy": "0.97", "chosen_epoch": "2", "epochs": "2", "area": "0.96", "epochs_to_90": "1",
        "seconds_to_90": "1.0", "epochs_to_95": "1", "seconds_to_95": "1.0", "epochs_to_99": "", "seconds_to_99": "",
        "epochs_to_100": "", "seconds_to_100": "", "parameters": "52", "bytes": "2500",
        "seconds_q1": "1.5", "seconds_per_epoch": "2.0", "seconds_q3": "2.5", "machine": "a CPU",
        "versions": "prewired 1, torch 2", "digests": "biregular 0", "val_curve": "0.95 0.97",
        "metric_normalized_spectral_gap": "0.25", "metric_algebraic_connectivity": "1.0",
    }  # fmt: skip
    assert first == expected
    assert (dense["density"], dense["graph_seed"], dense["metric_algebraic_connectivity"]) == ("", "", "")
    assert [line["epochs_to_95"] for line in lines] == ["2", "", "1", "", "2", ""]


# A study that was really run


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """(folder, report) of a study with a control, an initialisation and several training seeds."""
    folder = tmp_path_factory.mktemp("real") / "my study"
    config = StudyConfig(
        "digits",
        ("biregular", "rotating", "window2d:height=8:width=8+biregular"),
        (0.25, 0.5),
        graph_seeds=2,
        train_seeds=2,
        hidden=(36, 20),
        epochs=2,
        controls=("permuted",),
        inits=("n_in",),
        learning_rates=(1e-2, 1e-3),
        tune_epochs=1,
        train_rows=300,
        timing=False,
    )
    return folder, reporting.analyse_study(run(config, folder))


def test_each_run_is_a_line(real, tmp_path):
    reporting.write_tables(real[1], tmp_path)
    lines = read_csv(tmp_path)
    rows = real[1].study.rows
    assert len(lines) == len(rows) == real[1].study.n_runs
    for line, one in zip(lines, rows, strict=True):
        assert (line["family"], line["control"], line["init"]) == (one.family, one.control, one.init)
        assert float(line["test_accuracy"]) == one.run.test_score
        assert float(line["learning_rate"]) == one.learning_rate
        assert [float(line[f"start_activation_rms_{k}"]) for k in (1, 2, 3)] == list(one.start["activation_rms"])
        for name, value in one.metrics.items():
            np.testing.assert_equal(float(line[f"metric_{name}"]), value)
        for k, layer in enumerate(one.layers, 1):
            np.testing.assert_equal({name: float(line[f"layer{k}_{name}"]) for name in layer}, dict(layer))
        assert len(line["digests"].split()) == len(one.digests)


def test_the_parquet_file_is_the_same(real, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    reporting.write_tables(real[1], tmp_path)
    table = parquet.read_table(tmp_path / "results.parquet").to_pylist()
    lines = read_csv(tmp_path)
    assert [list(line) for line in table] == [list(line) for line in lines]
    for mine, theirs in zip(table, lines, strict=True):
        for name, value in mine.items():
            if isinstance(value, float):
                np.testing.assert_equal(float(theirs[name]), value)
            else:
                assert theirs[name] == ("" if value is None else str(value)), name


def test_without_pyarrow_there_is_no_parquet_file(made, monkeypatch, tmp_path):
    monkeypatch.setattr("prewired.study.reporting.table_files.find_spec", lambda name: None)
    reporting.write_tables(made, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(NAMES) - {"results.parquet"}


def test_the_summary_is_strict_json_and_whole(real, tmp_path):
    reporting.write_tables(real[1], tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text(), parse_constant=pytest.fail)
    result = real[1].study
    assert StudyConfig.from_dict(summary["config"]) == result.config
    assert (summary["digest"], summary["n_runs"]) == (result.digest, result.n_runs)
    assert summary["findings"] == reporting.describe_findings(real[1])
    assert [(line["label"], line["density"]) for line in summary["table"]][:3] == [
        ("dense", None), ("dense narrow", 0.25), ("biregular", 0.25)
    ]  # fmt: skip
    assert len(summary["table"]) == 1 + 2 * (1 + 3 * 3)
    assert {one["metric"] for one in summary["pooled"]} == set(TESTED)
    assert {(one["cell"]["control"], one["cell"]["init"]) for one in summary["cells"]} == {
        ("", "fan_in"), ("permuted", "fan_in"), ("", "n_in")
    }  # fmt: skip
    assert len(summary["learning_rates"]) == len(result.rate_choices) == 1 + 2 * (1 + 3 * 3)
    for one in summary["learning_rates"]:
        assert set(one["scores"]) == {"0.01", "0.001"}


class Page(HTMLParser):
    """What a page shows: its text, and its code apart."""

    def __init__(self, text):
        super().__init__()
        self.code, self.text, self.tags = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag in ("code", "pre"):
            self.code.append("")

    def handle_data(self, data):
        self.text.append(data)
        if self.code and self.tags[-1] in ("code", "pre"):
            self.code[-1] += data


def test_the_page_has_the_answer_the_figures_the_tables_and_how_to_run_it_again(real, tmp_path):
    steps = []
    path = reporting.write_page(real[1], real[0], progress=lambda *at: steps.append(at))
    assert path == real[0] / "report.html"
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    shown = " ".join(" ".join(page.text).split())
    for sentence in reporting.describe_findings(real[1]):
        assert " ".join(sentence.split()) in shown
    for table in reporting.build_tables(real[1]):
        assert table.title in shown
    n = len({digest for row in real[1].study.rows for digest in row.digests})
    assert steps == [(k, n) for k in range(1, n + 1)]
    assert any("prewired study" in code for code in page.code)
    (code,) = [code for code in page.code if "prewired study" in code]
    assert code.strip() == format_command(real[1], str(real[0]))
    assert str(real[0].parent) not in text, "no path of this machine"


def reproduced(text, folder):
    """The config that the lines of a page make in a shell, without running the study."""
    script = 'prewired() { echo "$@"; }\n' + text
    done = subprocess.run(["sh", "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    (file,) = folder.glob("*.toml")
    return StudyConfig.from_dict(tomllib.loads(file.read_text(encoding="utf-8"))), file.stem, done.stdout.splitlines()


def test_the_lines_of_a_page_make_the_same_study(real, tmp_path):
    config, name, calls = reproduced(format_command(real[1], str(real[0])), tmp_path)
    assert config == real[1].study.config
    assert name == "my study"
    assert calls == ["study my study.toml -o my study", "report my study"]


def test_odd_words_survive_the_shell_and_toml(made, tmp_path):
    odd = "$HOME/`a` \"b\" \\ 'c'.csv"
    config = replace(CONFIG, data=(odd,), target="x\ty", momentum=1e-5, patience=2, skip_impossible=True, epochs=9)
    found = replace(made, study=replace(made.study, config=config))
    again, name, _ = reproduced(format_command(found, "a/it's $mine"), tmp_path)
    assert again == config
    assert name == "it's $mine"
    assert to_canonical_json(again.to_dict()) == to_canonical_json(config.to_dict())


def test_a_thousand_graphs_are_not_all_drawn(real, monkeypatch):
    monkeypatch.setattr(reporting.html_page, "MOST_PICTURES", 5)
    drawn = reporting.html_page.draw_thumbnails(real[1])
    wanted = {d for row in real[1].study.rows if row.digests and not row.graph_seed for d in row.digests}
    assert set(drawn) == wanted
    assert len(wanted) < len({d for row in real[1].study.rows for d in row.digests})


def test_pictures_of_each_control(real, tmp_path):
    drawn = reporting.draw_pictures(real[1], tmp_path)
    pictures = [
        "score_by_density",
        "score_by_normalized_spectral_gap",
        "score_by_algebraic_connectivity",
        "training_curves",
    ]
    ends = ["", "_permuted", "_n_in"]
    assert {path.name for path in drawn} == {
        "biadjacency.png", *(f"{picture}{end}.png" for picture in pictures for end in ends)
    }  # fmt: skip
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in drawn)


def test_pictures_of_each_data_set(tmp_path):
    config = replace(CONFIG, data=("a/mine.npz", "other"), controls=("permuted",))
    facts = dict.fromkeys(config.data, FACTS["mine"])
    rows = [replace(row, data=name) for name in config.data for row in ROWS]
    drawn = reporting.draw_pictures(
        analysed(*rows, config=config, facts=facts), tmp_path
    )  # of the control nothing is there yet
    assert {path.name for path in drawn} == {
        f"{picture}_{name}.png"
        for name in ("mine", "other")
        for picture in ("score_by_density", "score_by_normalized_spectral_gap", "score_by_algebraic_connectivity",
                        "training_curves")
    }  # fmt: skip


def test_pictures_of_a_study_that_has_only_begun(tmp_path):
    assert reporting.draw_pictures(analysed(*ROWS[:2]), tmp_path) == []


def test_a_report_on_what_is_there_so_far(tmp_path):
    small = {"graph_seeds": 2, "hidden": (24, 20), "epochs": 1, "timing": False}
    config = StudyConfig("digits", ("biregular", "rotating"), (0.1, 0.3), **small)

    def interrupt(step):
        if step.phase == "runs" and step.payload and step.done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path, progress=interrupt)
    found = reporting.analyse_study(load(tmp_path))
    assert len(found.study.rows) == 6
    reporting.write_tables(found, tmp_path)
    reporting.write_page(found, tmp_path)
    reporting.draw_pictures(found, tmp_path)
    assert "Not finished: 6 of 9 runs are there." in (tmp_path / "table.md").read_text()


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_page_of_dense_runs_alone_says_so(n, tmp_path):
    dense_rows = [*ROWS[:2], *(replace(ROWS[0], train_seed=seed) for seed in (1, 2, 3))]
    found = analysed(*dense_rows[:n], n_runs=9)
    reporting.write_tables(found, tmp_path)
    assert reporting.draw_pictures(found, tmp_path) == []
    page = reporting.write_page(found, tmp_path).read_text()
    assert "No run of a sparse network is finished yet" in page
    assert "nan" not in re.sub("<(style|script).*?</(style|script)>", "", page, flags=re.DOTALL).lower()


def test_every_field_of_a_row_is_in_the_csv_or_said_not_to_be(made, tmp_path):
    """A field that is added to Row is not forgotten."""
    reporting.write_tables(made, tmp_path)
    names = {field.name for field in fields(Row)} - {"run", "n_bytes", "metrics", "layers", "start"}
    assert names <= set(read_csv(tmp_path)[0])


def test_what_a_control_takes_away(made):
    """Each family against its variant: 0.92 on the average as it is, 0.90 with permuted inputs."""
    config = replace(made.study.config, controls=("permuted",))
    plain = [row for row in ROWS if row.family == "biregular"]
    permuted = [
        replace(row, control="permuted", digests=(f"p{k}",), run=replace(row.run, test_score=row.run.test_score - 0.02))
        for k, row in enumerate(plain)
    ]
    both = replace(made, study=replace(made.study, config=config, rows=(*ROWS, *permuted)))
    (line,) = control_effects.build_control_table(both).lines
    assert line[:4] == ("biregular", "mine", "10 %", "permuted inputs")
    assert line[4].startswith("+2.00 [")
    assert control_effects.describe_controls(both) == [
        "With permuted inputs instead of as it is, a family's mean accuracy over all cells changes by -2.00 points on "
        "the average."
    ]
