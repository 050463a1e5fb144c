"""Whatever runs a store holds, its report says what can and what cannot be said; a damaged row is named.

A random store has the tables, keys and payloads of a real study, but nobody trained: scores, metrics, seconds, and
which runs are finished, are drawn.
"""

import csv
import json
import math
import re
import sqlite3
from dataclasses import asdict
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from prewired import generators
from prewired.cli.app import main
from prewired.nn.reference_layers import COMPARATORS
from prewired.study import Study, StudyConfig, StudyPlan, load, reporting
from prewired.study.nets import is_reference
from prewired.study.running import database, step_timing
from prewired.study.running.perform import LAYER_METRICS, RECORDED_NETWORK_METRICS
from prewired.study.running.task_table import TaskTable
from prewired.study.statistics import DENSE
from prewired.study.study_status import describe_status, status
from prewired.study.tasks import Facts
from prewired.training import Run

FAMILIES = (
    *("biregular", "rotating", "erdos_renyi", "banded", "window2d", "barabasi_albert"),
    *("swap_ladder:swaps=0", "swap_ladder:swaps=0.5", "biregular+rotating", "rotating+erdos_renyi"),
)
DRAWS = {  # how numbers are drawn: (random generator, place) -> a number; None is what a store has for NaN
    "spread": lambda random, _: float(random.uniform(0, 1)),
    "constant": lambda *_: 0.1,
    "rounding": lambda random, _: 0.1 + float(random.choice([0, 1.4e-17, 2.8e-17])),
    "by place": lambda _, place: 0.1 * (place % 3),
    "two values": lambda random, _: float(random.choice([0.25, 0.5])),
    "whole": lambda random, _: int(random.integers(0, 4)),
    "zero": lambda *_: 0.0,
    "none": lambda *_: None,
    "some none": lambda random, _: None if random.random() < 0.4 else float(random.uniform(0, 1)),
    "tiny": lambda random, _: float(random.choice([1e-300, 5e-324, 2e-300, 0.0])),
    "huge": lambda random, _: float(random.choice([1.7e308, -1.7e308, 1e300, 1.0])),
    "negative": lambda random, _: -float(random.exponential(100)),
}


def draw_config(random, large):
    """A config of a small study, with a task for its data sets."""
    n_data, n_families = int(random.choice([1, 1, 2])), int(random.choice([1, 1, 2, 3, *((4, 7) if large else (3,))]))
    more = {}
    if random.random() < 0.3:
        more["controls"] = ("permuted", "shuffled")[: random.integers(1, 3)]
    if random.random() < 0.2:
        more["inits"] = ("n_in",)
    if random.random() < 0.3:
        more |= {"learning_rates": (0.001, 0.01), "tune_seeds": int(random.integers(1, 3))}
    if random.random() < 0.3:
        more["patience"] = 1
    if random.random() < 0.2:
        more["reference_seeds"] = int(random.integers(1, 4))
    sizes = {"edges": (20, 40)[: random.integers(1, 3)]} if random.random() < 0.2 else {}
    return StudyConfig(
        ("=mine", "yours")[:n_data],
        tuple(random.choice(FAMILIES, n_families, replace=False).tolist()),
        () if sizes else (0.25, 0.5, 0.75)[: random.integers(1, 4 if large else 3)],
        graph_seeds=int(random.integers(1, 4 if large else 3)),
        train_seeds=int(random.integers(1, 4)),
        hidden=tuple(random.integers(8, 12, random.integers(1, 4)).tolist()),
        epochs=int(random.integers(1, 5)),
        skip_impossible=bool(random.random() < 0.3),
        timing=bool(random.random() < 0.5),
        **sizes,
        **more,
    ), str(random.choice(["classification", "regression"]))


def draw_graphs(random, task, config, draws, same):
    """The stored result of a graph task."""
    if config.skip_impossible and random.random() < 0.1:
        return {"impossible": f"{task.net.family}: no such graph"}
    shapes = list(zip(task.net.sizes, task.net.sizes[1:-1], strict=False))
    name = "the same" if same else f"{task.net.family} {task.net.control} {task.graph_seed}"
    topology = generators.make("rotating", n_in=8, n_out=4, density=0.5)
    recipe = topology.recipe.to_json() if random.random() < 0.5 else None
    layers = [
        {
            "digest": f"{name} {task.net.density} {k}",
            "recipe": recipe,
            "n_edges": 10,
            "metrics": {metric: draws[metric](random, k) for metric in LAYER_METRICS},
        }
        for k in range(len(shapes))
    ]
    for layer in layers:
        layer["metrics"] |= {"dead_inputs": 0, "dead_outputs": 1}
    return {"layers": layers, "network": {m: draws[m](random, 0) for m in RECORDED_NETWORK_METRICS}}


def draw_run(random, place, task, config, kind, draws, graphs):
    """The stored result of a training."""
    net = task.net
    digests = [{name: layer[name] for name in ("digest", "recipe", "n_edges")} for layer in graphs.get("layers", ())]
    n = len(net.sizes) - 1
    payload = {
        "layers": digests,
        "n_parameters": 100,
        "bytes": 400,
        "machine": str(random.choice(["a CPU", "another CPU"])),
        "start": {} if task.tuning else {name: [draws["start"](random, k) for k in range(n)] for name in SIGNALS},
    }
    if draws["failed"] and random.random() < 0.3:
        return {**payload, "failed": "the loss is not finite"}
    training = config.training(task.train_seed, task.learning_rate, tuning=task.tuning)
    epochs = int(random.integers(1, training.epochs + 1)) if config.patience else training.epochs
    curves = {name: tuple(draws[name](random, place) for _ in range(epochs)) for name in CURVES}
    curves["val_score"] = tuple(bound_score(score, kind) for score in curves["val_score"])
    score = bound_score(draws["score"](random, place), kind)
    ends = {"test_loss": score, "test_score": score, "chosen_epoch": int(random.integers(1, epochs + 1))}
    run = Run(training, "accuracy" if kind == "classification" else "r2", 100, **curves, **ends)
    return {**payload, "run": run.to_dict()}


def bound_score(score, kind):
    """The nearest possible score."""
    return None if score is None else min(max(score, 0.0) if kind == "classification" else score, 1.0)


SIGNALS = ("activation_rms", "gradient_norm")
CURVES = ("train_loss", "val_loss", "val_score", "seconds")


def draw_timings(random, plan, draws):
    """The note of timed training steps."""
    timings = []
    for name, density in dict.fromkeys((net.data, net.density) for net in plan.nets if net.density is not None):
        nets = [net.family for net in plan.nets if net.data == name and net.density == density and not net.control]
        for what in dict.fromkeys([DENSE, *nets, *COMPARATORS]):
            problem = "not on this machine" if random.random() < 0.1 and what != DENSE else ""
            ms = (math.nan,) * 3 if problem else tuple(sorted((abs(draws["ms"](random, 0) or 0.0)) for _ in range(3)))
            timings.append(step_timing.StepTiming(name, density, what, ms, 1, 10, "a CPU", "sparse", 3, problem))
    timings = [asdict(timing) for timing in timings]
    return {"key": step_timing.build_timing_key(plan), "where": "here", "timings": timings}


def write_store(folder, seed, large=True):
    """Write a random store into the folder, and return how its scores were drawn."""
    random = np.random.default_rng(seed)
    config, kind = draw_config(random, large)
    names = list(DRAWS)
    facts = {
        name: Facts(name, "a note" if random.random() < 0.5 else "", int(random.integers(6, 12)), 2, {"task": kind})
        for name in config.data
    }
    draws = {name: DRAWS[str(random.choice(names))] for name in (*LAYER_METRICS, *RECORDED_NETWORK_METRICS)}
    draws |= {name: DRAWS[str(random.choice(names))] for name in (*CURVES, "start")}
    score = str(random.choice(names))
    draws |= {"score": DRAWS[score], "failed": random.random() < 0.3}
    draws["seconds"] = DRAWS[str(random.choice(["spread", "constant", "zero", "whole"]))]
    draws["ms"] = DRAWS[str(random.choice(["spread", "constant", "zero", "whole", "some none"]))]
    share, tuned = float(random.choice([0.05, 0.3, 0.8, 1, 1])), random.random() < 0.9
    left_out = str(random.choice(["", "", "", "sparse", "dense", "plain", "data"]))
    connection = database.open_store(folder)
    connection.execute("BEGIN")
    table = TaskTable(StudyPlan.build(config, facts), connection)
    table.store_request()
    same = random.random() < 0.1
    for task in table.plan.graph_tasks:
        if random.random() < 0.95:
            table.add(task, stamp(draw_graphs(random, task, config, draws, same)))
    table.apply_graphs()
    measured = database.read_results(connection, "graphs")

    def train(tasks, wanted):
        for place, task in enumerate(tasks):
            plan = table.plan
            graphs = {}
            if not is_reference(task.net) and not task.tuning:
                graphs = measured.get(plan.find_graph_key(task.net, task.graph_seed))
            if graphs is not None and random.random() < wanted and not leave_out(task.net):
                table.add(task, stamp(draw_run(random, place, task, config, kind, draws, graphs)))

    def leave_out(net):
        return {
            "sparse": not is_reference(net),
            "dense": is_reference(net),
            "plain": not is_reference(net) and not net.control,
            "data": net.data == config.data[-1],
        }.get(left_out, False)

    train(table.plan.tuning_tasks, 1.0 if tuned else 0.5)
    try:
        table.choose_rates()
    except RuntimeError:
        pass
    else:
        train(table.plan.runs if table.plan.rates_are_chosen else (), share)
    if random.random() < 0.5:
        database.write_note(connection, "timings", draw_timings(random, table.plan, draws))
    connection.execute("COMMIT")
    connection.close()
    return score


def stamp(payload):
    times = {"started": "2026-01-01T00:00:00.000+00:00", "finished": "2026-01-01T00:00:01.000+00:00"}
    return {**payload, "versions": {"prewired": "1", "torch": "2"}, **times}


# The report

NOT_A_NUMBER = re.compile(r"(?<![\w/])[-+]?((?i:nan|inf|infinity)|None)\b")
NO_REPORT = re.compile("expected finished runs, got none yet|with every learning rate the loss stopped")
WITHOUT_SPREAD = ("constant", "rounding", "zero")


def refuse_constant(name):
    raise ValueError(f"{name} is no JSON")


def check_outputs(report, folder, pictures):
    """Write every output, and check that none of them shows a NaN."""
    console = Console(file=StringIO(), width=120)
    reporting.print_report(report, console)
    paths = {path.name: path for path in reporting.write_tables(report, folder)}
    page = reporting.write_page(report, folder).read_text(encoding="utf-8")
    html = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    for text in (console.file.getvalue(), paths["table.md"].read_text(encoding="utf-8"), re.sub("<[^>]*>", " ", html)):
        shown = NOT_A_NUMBER.search(text)
        assert shown is None, text[max(0, shown.start() - 200) : shown.end() + 50]
    json.loads(paths["summary.json"].read_text(encoding="utf-8"), parse_constant=refuse_constant)
    for part in re.findall(r'<script type="application/json">(.*?)</script>', page, flags=re.DOTALL):
        json.loads(part, parse_constant=refuse_constant)
    with paths["results.csv"].open(newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(report.study.rows)
    if pictures:
        assert all(path.stat().st_size for path in reporting.draw_pictures(report, folder))


def check_claims(report, score):
    """Check that scores without spread allow no claim, and that every p-value and share is one."""
    analysis = report.analysis
    equivalences = [finding.slope for finding in analysis.cells] + [one.equivalence for one in analysis.contrasts]
    if score in WITHOUT_SPREAD:
        assert {equivalence.verdict for equivalence in equivalences} <= {"undecided"}
        assert all(math.isnan(finding.correlation.rho) for finding in analysis.cells)
        assert all(math.isnan(finding.quadratic.p_value) for finding in analysis.cells)
        assert all(math.isnan(finding.overall.mean) for finding in analysis.reliability)
    p_values = [p for one in equivalences for p in (one.p_value, one.p_zero)]
    p_values += [p for one in analysis.cells for p in (one.correlation.p_value, one.interval.p_value, one.holm_p)]
    p_values += [p for one in analysis.pooled for p in (one.rho.p_value, one.by_family.p_value, one.holm_p)]
    assert all(math.isnan(p) or 0 <= p <= 1 for p in p_values)


def check_report(folder, seed, *, large, pictures):
    score = write_store(folder, seed, large)
    assert describe_status(status(folder))
    try:
        report = reporting.analyse_study(load(folder))
    except (RuntimeError, ValueError) as error:
        if NO_REPORT.search(str(error)):
            return False
        raise
    check_claims(report, score)
    check_outputs(report, folder, pictures)
    return True


@pytest.mark.parametrize("seed", [*range(10), *(pytest.param(n, marks=pytest.mark.slow) for n in range(10, 25))])
def test_any_runs_have_a_report(seed, tmp_path):
    check_report(tmp_path, seed, large=False, pictures=seed in (9, 16, 22))


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [range(start, start + 20) for start in range(1000, 1320, 20)], ids=lambda s: s.start)
def test_any_of_many_runs_have_a_report(seeds, tmp_path):
    """320 stores, of which most have finished runs."""
    reported = [check_report(tmp_path / str(seed), seed, large=True, pictures=seed % 4 == 0) for seed in seeds]
    assert sum(reported) > len(seeds) / 3


# The command line, and damage

SEED_OF_FULL_STORE = 9  # with timings and without tuning


def run_verb(capsys, *words):
    """Run a verb that must either work or say in one line what is wrong, and return that line."""
    code = main([str(word) for word in words])
    shown = capsys.readouterr()
    if code == 0:
        assert shown.err == ""
        return ""
    assert (code, shown.err.count("\n")) == (2, 1), shown.err
    assert shown.err.startswith("prewired: error: ")
    assert ";" in shown.err  # the remedy
    return shown.err


@pytest.mark.parametrize("seed", range(100, 106))
def test_any_store_at_the_command_line(seed, tmp_path, capsys):
    write_store(tmp_path, seed, large=False)
    assert run_verb(capsys, "status", tmp_path) == ""
    error = run_verb(capsys, "report", tmp_path, "--no-pictures")
    assert not error or NO_REPORT.search(error)


def list_places(value, place=()):
    """The places of all values in nested dicts and lists."""
    yield place
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from list_places(item, (*place, name))


def damage(value, random):
    """Change one value in nested dicts and lists: removed, renamed or replaced."""
    places = [place for place in list_places(value) if place]
    *way, last = places[random.integers(len(places))]
    parent = value
    for name in way:
        parent = parent[name]
    how = int(random.integers(9))
    if how == 0:
        del parent[last]
    elif how == 1 and isinstance(parent, dict):
        parent[str(last)[::-1] + "x"] = parent.pop(last)
    else:
        parent[last] = [None, "x", -1, math.inf, [], {}, True, 0.5, 10**30][how]


def damage_store(folder, random):
    """Damage a row of the store's tables or one of its notes."""
    with sqlite3.connect(folder / database.DATABASE_NAME) as connection:
        table, column = [("runs", "payload"), ("graphs", "payload"), ("notes", "value")][random.integers(3)]
        rows = connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall()
        if rows:
            row, text = rows[random.integers(len(rows))]
            value = json.loads(text)
            damage(value, random)
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (json.dumps(value), row))
    connection.close()


def check_damage(folder, seed, capsys):
    random = np.random.default_rng(seed)
    write_store(folder, 7000 + seed % 50, large=False)
    before = run_verb(capsys, "report", folder, "--no-pictures")
    damage_store(folder, random)
    for verb in (["status", folder], ["report", folder, "--no-pictures"]):
        error = run_verb(capsys, *verb)
        assert not error or str(folder) in error or error == before or NO_REPORT.search(error)


@pytest.mark.parametrize("seed", [*range(8), *(pytest.param(n, marks=pytest.mark.slow) for n in range(8, 20))])
def test_a_damaged_store_is_named(seed, tmp_path, capsys):
    check_damage(tmp_path, seed, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [range(start, start + 50) for start in range(100, 1100, 50)], ids=lambda s: s.start)
def test_any_damaged_store_is_named(seeds, tmp_path, capsys):
    for seed in seeds:
        check_damage(tmp_path / str(seed), seed, capsys)


def test_a_study_whose_runs_all_failed_says_so(tmp_path):
    plan = StudyPlan.build(StudyConfig("mine", ["rotating"], [0.5], hidden=[8]), {"mine": Facts("m", "", 8, 2, {})})
    study = Study(plan.config, plan.facts, (), 3, ("mine, dense, seed 0: the loss is not finite",))
    with pytest.raises(ValueError, match=r"none yet, and 1 failed, such as mine, dense, seed 0: .*; lower its"):
        reporting.analyse_study(study)


@pytest.mark.parametrize(
    ("table", "place", "name"),
    [
        ("runs", ("finished",), "finish"),
        ("graphs", ("layers", 0, "metrics", "dead_inputs"), "dead_input"),
        ("notes", ("timings", 0, "steps_per_epoch"), "steps"),
        ("notes", ("facts", "=mine", "n_features"), "n_feature"),
        ("runs", ("run", "val_score"), "val_scores"),
        ("runs", ("machine",), "machines"),
    ],
)
def test_a_renamed_field_is_named_with_the_folder(table, place, name, tmp_path, capsys):
    """What a fuzzer of stored rows met: KeyErrors and a TypeError without file or remedy."""
    write_store(tmp_path, SEED_OF_FULL_STORE, large=False)
    column = "value" if table == "notes" else "payload"
    n_renamed = 0
    with sqlite3.connect(tmp_path / database.DATABASE_NAME) as connection:
        for row, text in connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall():
            parent = value = json.loads(text)
            try:
                for step in place[:-1]:
                    parent = parent[step]
                parent[name] = parent.pop(place[-1])
            except (KeyError, IndexError, TypeError):
                continue
            n_renamed += 1
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (json.dumps(value), row))
    connection.close()
    assert n_renamed
    verb = ["status", tmp_path] if place == ("finished",) else ["report", tmp_path, "--no-pictures"]
    assert str(tmp_path) in run_verb(capsys, *verb)
