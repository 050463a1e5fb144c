"""The plan of a study: built once, each key once, and its keys are those of the store."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from prewired.study import StudyConfig, StudyPlan, load, plan, run, status
from prewired.study.nets import is_reference
from prewired.study.running.perform import gather_facts
from prewired.study.tasks import GRAPHS, PHASES, RATES, RUNS, Facts

FACTS = {"digits": Facts("digits", "", 64, 10, {"task": "classification"})}
CONFIG = StudyConfig("digits", ("biregular", "rotating"), (0.1, 0.3), graph_seeds=2, hidden=(24, 20), timing=False)
TUNED = replace(CONFIG, learning_rates=(1e-2, 1e-3))


@pytest.fixture
def calls(monkeypatch):
    """Function of the plan -> how often it was called."""
    counts = Counter()

    def count(name, function):
        def counted(*arguments):
            counts[name] += 1
            return function(*arguments)

        monkeypatch.setattr(plan, name, counted)

    for name in ("list_nets", "build_graph_key", "build_run_key"):
        count(name, getattr(plan, name))
    return counts


def test_a_study_builds_its_nets_once_and_each_key_once(calls, tmp_path):
    config = replace(CONFIG, families=("rotating",), epochs=1)
    assert len(run(config, tmp_path).rows) == 5
    expected = {"list_nets": 1, "build_graph_key": 2, "build_run_key": 5}
    for read in (load, status):
        assert calls == expected
        calls.clear()
        read(tmp_path)
    assert calls == expected


def test_learning_rates_change_the_keys_of_the_runs_of_their_nets_only(calls):
    before = StudyPlan.build(TUNED, FACTS)
    assert not before.rates_are_chosen
    assert {task.learning_rate for task in before.runs} == {1e-2}
    assert [len(before.list_tasks(phase)) for phase in PHASES] == [2 * (2 + 1) + 2, 2 * 7, 9]
    calls.clear()
    after = before.with_rates({net: 1e-3 if net.family == "rotating" else 1e-2 for net in before.nets})
    assert after.rates_are_chosen
    changes = [(a.net.family, before.keys[a] != after.keys[b]) for a, b in zip(before.runs, after.runs, strict=True)]
    assert dict(changes) == {"dense": False, "dense narrow": False, "rotating": True, "biregular": False}
    assert calls == {"build_run_key": 2}
    assert after.with_rates(after.rates) is after
    assert before.list_tasks(RATES) == after.list_tasks(RATES)


def test_measured_graphs_set_the_narrow_nets_and_name_the_impossible():
    before = StudyPlan.build(replace(CONFIG, skip_impossible=True), FACTS)
    assert before.with_graphs({}) is before
    layers = [{"n_edges": 400}, {"n_edges": 100}]
    results = {key: {"layers": layers} for key, task in before.list_tasks(GRAPHS).items() if task.net.density == 0.3}
    impossible = {
        key: {"impossible": "no such graph"} for key, task in before.list_tasks(GRAPHS).items() if key not in results
    }
    after = before.with_graphs({**results, **impossible})
    assert set(after.impossible) == {net for net in before.nets if net.density == 0.1 and not is_reference(net)}
    assert len(after.nets) == len(before.nets) - 2
    assert len(after.runs) == 9 - 3
    narrow = [[net.sizes for net in nets if net.family == "dense narrow"] for nets in (before.nets, after.nets)]
    assert narrow[0][0] == narrow[1][0]
    assert narrow[0][1] != narrow[1][1]
    assert set(after.list_tasks(RUNS)) - set(before.list_tasks(RUNS)) == {
        after.keys[task] for task in after.runs if task.net.sizes == narrow[1][1]
    }


def test_data_sets_of_two_tasks_and_equal_densities_are_refused():
    other = replace(FACTS["digits"], source={"task": "regression"})
    with pytest.raises(ValueError, match="one task in a study, got digits: classification, other: regression"):
        StudyPlan.build(replace(CONFIG, data=("digits", "other")), {**FACTS, "other": other})
    with pytest.raises(ValueError, match=r"got 0\.1 and 0\.101, both with 6, 2 inputs per output"):
        StudyPlan.build(replace(CONFIG, densities=(0.1, 0.101)), FACTS)


def test_the_same_rows_under_two_names_are_refused(tmp_path):
    """Two cells of the same data would count as two witnesses."""
    x = np.random.default_rng(0).normal(size=(40, 3))
    for name in ("a.npz", "b.npz"):
        np.savez(tmp_path / name, x=x, y=np.arange(40) % 2)
    config = replace(CONFIG, data=(str(tmp_path / "a.npz"), str(tmp_path / "b.npz")))
    with pytest.raises(
        ValueError, match=r"expected different data sets, got the same rows in .*a\.npz and .*b\.npz; leave"
    ):
        gather_facts(config)
