"""What a report says of speed, against figures worked out by hand."""

import math
from dataclasses import replace
from types import SimpleNamespace

from prewired.study.reporting.speed_sentences import describe_speed
from prewired.study.reporting.speed_tables import build_speed_table, build_time_to_target_table
from prewired.study.running.step_timing import StepTiming
from prewired.study.statistics import Summary


# By hand: dense 4 ms. At 10 % biregular 1 ms (4x), rotating 2 ms (2x), grouped 4.1 ms (0.98x, quartiles overlap).
# An epoch has 10 steps. Dense reaches the target after 5 epochs: 0.2 s. Biregular 8 epochs: 0.08 s, 0.4 of that, 2.5
# times as fast; rotating 12 epochs in half of its runs; grouped 4 epochs: 0.164 s, 0.82 of that.
def made(what, ms, density=0.1, kernel="", problem="", spread=0.1):
    quartiles = (ms * (1 - spread), ms, ms * (1 + spread))
    return StepTiming("mine", density, what, quartiles, 2, 100, "a CPU, 2 threads", kernel, 10, problem)


TIMINGS = (
    made("dense", 4.0),
    made("dense narrow", 0.5),
    made("biregular", 1.0, kernel="sparse"),
    made("rotating", 2.0, kernel="sparse"),
    made("grouped", 4.1, kernel="dense"),
    made("masked dense", 5.0),
    made("torch CSR", 2.5),
    made("gather", math.nan, problem="too large"),
)


def summary(label, epochs, n_reached=2, ratio=math.nan, density=0.1, as_fast=False):
    numbers = {"score": 0.9, "score_sd": 0.1, "seed_sd": 0.1, "n_parameters": 9, "n_bytes": 9, "area": 0.5}
    return Summary(
        data="mine",
        is_variant=False,
        label=label,
        density=None if label == "dense" else density,
        n_graphs=1,
        n_runs=2,
        epochs_to_target=epochs,
        n_reached=n_reached,
        learning_rate=1e-3,
        seconds=(1.0, 1.0, 1.0),
        ratio=ratio,
        as_fast=as_fast,
        metrics={},
        **numbers,
    )


SUMMARIES = (
    summary("dense", 5.0),
    summary("dense narrow", math.nan, 0),
    summary("biregular", 8.0),
    summary("biregular, permuted", 1.0),
    summary("rotating", 12.0, 1),
    summary("grouped", 4.0),
)


def a_report(timings=TIMINGS, summaries=SUMMARIES, data=("mine",)):
    config = SimpleNamespace(data=data, families=("biregular", "rotating", "grouped"), optimizer="adam", batch_size=128)
    return SimpleNamespace(
        study=SimpleNamespace(config=config, timings=timings), summaries=summaries, score_name="accuracy"
    )


def test_the_table_of_steps():
    table = build_speed_table(a_report())
    assert [name.replace("\n", " ") for name in table.header] == [
        *("cell", "dense [ms]", "slowest family", "median family", "fastest family", "biregular", "dense narrow"),
        *("masked dense", "torch CSR", "gather"),
    ]
    assert table.lines == (
        (
            *("mine, 10 %", "4", "4.1 (0.98x)", "2 (2.00x)", "1 (4.00x)", "1 (4.00x)", "0.5 (8.00x)"),
            *("5 (0.80x)", "2.5 (1.60x)", "-"),
        ),
    )
    how, carried, left_out = table.notes
    assert "fused adam; batch 128" in how
    assert "a CPU, 2 threads" in how
    assert "is 20 % of the median" in how
    assert carried == "masked dense, torch CSR, gather: the graph of biregular, run without this package."
    assert left_out == "Not timed: gather (too large) at mine, 10 %."


def test_the_table_of_times_to_the_target():
    table = build_time_to_target_table(a_report())
    assert table.lines == (
        ("dense", "mine, 10 %", "-", "5.0", "10", "4", "0.2", "1.00x"),
        ("dense narrow", "mine, 10 %", "-", "-", "10", "0.5", "-", "-"),
        ("biregular", "mine, 10 %", "sparse", "8.0", "10", "1", "0.08", "2.50x"),
        ("rotating", "mine, 10 %", "sparse", "12.0 (1/2)", "10", "2", "0.24", "-"),
        ("grouped", "mine, 10 %", "dense", "4.0", "10", "4.1", "0.164", "1.22x"),
    )
    assert table.breaks == ()
    denser = tuple(replace(one, density=0.5) for one in TIMINGS[:3])
    more = (*SUMMARIES, summary("biregular", 8.0, density=0.5))
    two = build_time_to_target_table(a_report((*TIMINGS, *denser), more))
    assert (len(two.lines), two.breaks) == (7, (4,))
    assert two.lines[-1][1] == "mine, 50 %"
    unsure = (summary("dense", 5.0, 1), *SUMMARIES[1:])
    assert {line[-1] for line in build_time_to_target_table(a_report(summaries=unsure)).lines} == {"-"}


def test_the_sentence():
    assert describe_speed(a_report()) == (
        "Timed by itself, a training step is, against one of the dense net of equal width, at 10 % 0.98x to 4.00x as "
        "fast, not told apart: grouped (dense narrow 8.00x, masked dense 0.80x, torch CSR 1.60x). To 95 % of the dense "
        "net's validation accuracy, counting epochs at the speed of these steps, less time than by the dense net is "
        "taken by 2 of 3 families at 10 % (biregular 0.40x of its time)."
    )
    alike = tuple(replace(one, ms=TIMINGS[0].ms) for one in TIMINGS[:5])
    assert "at 10 % on mine about as fast (dense narrow 1.00x)." in describe_speed(a_report(alike, (), ("mine", "b")))


def test_without_timings_the_runs_speak():
    assert build_speed_table(a_report(())).lines == ()
    assert build_time_to_target_table(a_report(())) == replace(
        build_time_to_target_table(a_report(())), lines=(), notes=()
    )
    told = describe_speed(a_report((), (summary("biregular", 1.0, ratio=0.5), summary("rotating", 1.0, ratio=0.75))))
    assert told == "An epoch takes 0.50x to 0.75x of the dense net's time at 10 %."
    assert "not timed on the machine" in describe_speed(a_report(()))
