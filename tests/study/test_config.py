"""What a study may ask: every refusal with its remedy, and the same from Python, TOML and a dict."""

import json
import tomllib
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prewired.study import StudyConfig, read_toml
from prewired.study.family_names import parse_families, parse_family
from prewired.study.reporting.html_page import _format_toml

CONFIG = StudyConfig("digits", ("biregular", "rotating"), (0.1, 0.3), graph_seeds=2, hidden=(24, 20), epochs=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": ()}, "at least one of data, got none"),
        ({"families": ()}, "at least one of families"),
        ({"hidden": ()}, "at least one of hidden"),
        ({"densities": ()}, "at least one of densities"),
        ({"families": ("biregular", "moon")}, "moon"),
        ({"families": ("dense",)}, 'expected sparse families, got "dense"; the dense references always run'),
        ({"families": ("biregular+dense",)}, 'got "dense"'),
        ({"families": ("biregular+butterfly",)}, "single layers in 'biregular.butterfly', got butterfly, which is of"),
        ({"families": ("biregular+moon",)}, "moon"),
        ({"families": ("biregular+",)}, "expected"),
        ({"densities": (0.1, 5.0)}, "0 < density <= 1, got density=5.0"),
        ({"densities": (0,)}, "got density=0"),
        ({"densities": (float("nan"),)}, "got density=nan"),
        ({"densities": ("half",)}, "0 < density <= 1, got density='half'"),
        ({"densities": 0.1}, "densities as a list, got 0.1; put it in brackets"),
        ({"densities": (), "edges": 100}, "edges as a list, got 100"),
        ({"families": "biregular"}, "families as a list, got 'biregular'; put it in brackets"),
        ({"controls": "permuted"}, "controls as a list, got 'permuted'"),
        ({"learning_rates": 0.1}, "learning_rates as a list, got 0.1"),
        ({"hidden": 24}, "hidden as a list, got 24"),
        ({"data": 3}, "data as a list, got 3"),
        ({"edges": (100,)}, "densities or edges, got both; leave one out"),
        ({"densities": (), "edges": (100, 0)}, "edges as integers >= 1, got 0"),
        ({"densities": (), "edges": (True,)}, "edges as integers >= 1, got True"),
        ({"densities": (), "edges": (0.1,)}, "got 0.1; a share of the edges goes in densities"),
        ({"densities": (), "edges": ("many",)}, "edges as integers >= 1, got 'many'"),
        ({"budget": "half"}, "a budget among uniform, erdos_renyi, erk, got 'half'"),
        ({"controls": ("permuted", "moon")}, "controls among permuted, shuffled, got moon"),
        ({"inits": ("fan_in",)}, "inits among n_in, got fan_in"),
        ({"inits": ("n_out",)}, "inits among n_in, got n_out"),
        ({"graph_seeds": 0}, "graph_seeds as an integer of at least 1, got 0"),
        ({"train_seeds": 1.5}, "train_seeds as an integer of at least 1, got 1.5"),
        ({"graph_seeds": True}, "graph_seeds as an integer of at least 1, got True"),
        ({"graph_seeds": "two"}, "graph_seeds as an integer of at least 1, got 'two'"),
        ({"train_rows": 0}, "train_rows as an integer of at least 1, got 0"),
        ({"hidden": (10, 0)}, r"hidden\[1\] as an integer of at least 1, got 0"),
        ({"hidden": (10.0,)}, r"hidden\[0\] as an integer of at least 1, got 10.0"),
        ({"epochs": 0}, "epochs >= 1, got epochs=0"),
        ({"patience": 0}, "patience >= 1, got patience=0"),
        ({"optimizer": "moon"}, 'optimizer "adam" or "sgd", got optimizer=\'moon\''),
        ({"learning_rate": -1.0}, "learning_rate > 0, got learning_rate=-1.0"),
        ({"learning_rates": (0.1,)}, "at least two learning_rates, got one; a single one is learning_rate"),
        ({"learning_rates": (0.1, 0.1)}, "at least two learning_rates, got one"),
        ({"learning_rates": (0.1, 0.0)}, "learning_rate > 0, got learning_rate=0.0"),
        ({"tune_epochs": 2}, "learning_rates with tune_epochs, got none; give some, or leave tune_epochs out"),
        ({"learning_rate": "0.1"}, "expected learning_rate as a number, got '0.1'"),
        ({"learning_rates": (0.1, "x")}, "expected learning_rates as a number, got 'x'"),
        ({"momentum": "x"}, "expected momentum as a number, got 'x'"),
        ({"weight_decay": True}, "expected weight_decay as a number, got True"),
        ({"skip_impossible": "false"}, "expected skip_impossible as true or false, got 'false'"),
        ({"timing": 1}, "expected timing as true or false, got 1"),
        ({"data": (3,)}, "expected data as text, got 3"),
        ({"families": (3,)}, "expected families as text, got 3"),
        ({"root": 3}, "expected root as text, got 3"),
        ({"data": (None,)}, "expected data as text, got None"),
        ({"families": (None,)}, "expected families as text, got None"),
        ({"timing": None}, "expected timing as true or false, got None"),
        ({"graph_seeds": None}, "graph_seeds as an integer of at least 1, got None"),
        ({"tune_seeds": 10**6}, "expected tune_seeds of at most 100,000, got 1,000,000; lower it"),
        ({"families": ("radix_net:radices=" + "[" * 9000,)}, "radices"),
        ({"tune_epochs": 0, "learning_rates": (0.1, 0.2)}, "tune_epochs as an integer of at least 1, got 0"),
    ],
)
def test_impossible_configurations(change, message):
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **change)


def test_lists_become_tuples_without_repeats_but_for_widths():
    config = StudyConfig(["digits", "digits"], ["rotating"] * 2, [0.1, 0.1], hidden=[24, 24], controls=["permuted"] * 2)
    assert (config.data, config.families, config.densities) == (("digits",), ("rotating",), (0.1,))
    assert (config.hidden, config.controls) == ((24, 24), ("permuted",))
    assert config == replace(CONFIG, families=("rotating",), densities=(0.1,), hidden=(24, 24), controls=("permuted",),
                             graph_seeds=3, epochs=10)  # fmt: skip
    for data in ("a.csv", Path("a.csv"), ["a.csv"], [Path("a.csv")]):
        assert StudyConfig(data, ["rotating"], [0.1], root=Path("here")).to_dict()["data"] == ["a.csv"]


def test_numbers_of_numpy_are_those_of_python():
    config = replace(CONFIG, densities=(np.float32(0.25),), hidden=(np.int64(24), np.int64(20)))
    assert json.dumps(config.to_dict()) == json.dumps(replace(CONFIG, densities=(0.25,), hidden=(24, 20)).to_dict())
    config = replace(CONFIG, graph_seeds=np.int64(2), learning_rate=np.float32(0.5), learning_rates=())
    assert json.dumps(config.to_dict()) == json.dumps(replace(CONFIG, learning_rate=0.5).to_dict())
    edges = replace(CONFIG, densities=(), edges=tuple(np.array([100, 200])))
    assert edges == replace(CONFIG, densities=(), edges=(100, 200))


def test_how_it_is_trained():
    config = replace(
        CONFIG, learning_rates=(0.1, 0.2), tune_epochs=7, batch_size=9, patience=3, optimizer="sgd", momentum=0.5,
        weight_decay=0.01,
    )  # fmt: skip
    run, tuning = config.training(4, 0.1), config.training(4, 0.2, tuning=True)
    assert (run.epochs, run.learning_rate, run.seed) == (1, 0.1, 4)
    assert (tuning.epochs, tuning.learning_rate) == (7, 0.2)
    for one in (run, tuning):
        assert (one.batch_size, one.patience, one.optimizer, one.momentum, one.weight_decay) == (9, 3, "sgd", 0.5, 0.01)
    assert replace(config, tune_epochs=None).training(0, 0.1, tuning=True).epochs == 1


# The family of each layer


def test_a_family_per_layer():
    assert parse_families("biregular") == [("biregular", {})]
    assert parse_families("butterfly:fit=nearest") == [("butterfly", {"fit": "nearest"})]
    assert parse_families("window2d:height=8:width=8+swap_ladder:swaps=0.5") == [
        ("window2d", {"height": 8, "width": 8}),
        ("swap_ladder", {"swaps": 0.5}),
    ]


@pytest.mark.parametrize("name", ["seed", "density", "n_in", "fan_in", "budget"])
def test_what_the_study_sets_is_no_parameter_of_a_family(name):
    with pytest.raises(ValueError, match=f"each once, got '{name}=1'.* are set elsewhere"):
        parse_family(f"biregular:{name}=1")


# TOML and dicts


def test_a_file_and_its_fields(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(
        """# a comment
data = "digits"
families = ["biregular", "rotating"]
densities = [0.1, 0.3]
graph_seeds = 2
hidden = [24, 20]
epochs = 1
"""
    )
    values = read_toml(path)
    assert list(values) == ["data", "families", "densities", "graph_seeds", "hidden", "epochs"]
    assert StudyConfig.from_dict(values, str(path)) == CONFIG


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            b'data = "digits',
            r"expected a study as TOML in .*study\.toml, got Unterminated string.*; correct that place",
        ),
        (b"data = 1\ndata = 2", r"TOML in .*study\.toml, got Cannot overwrite a value"),
        (b"\xff\xfe", r"TOML in .*study\.toml, got 'utf-8' codec can't decode byte 0xff"),
        (b"[study]\ndata = 1", r"plain keys in .*study\.toml, got the table \[study\]; move its keys to the top"),
        (b'data = {name = "digits"}', r"got the table \[data\]"),
    ],
)
def test_files_that_are_no_study(tmp_path, text, message):
    path = tmp_path / "study.toml"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=message):
        read_toml(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_toml(tmp_path / "moon.toml")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"familes": ["biregular"]}, r"^x\.toml: expected fields among data, .*'familes'; did you mean 'families'\?"),
        ({"zzzz": 1}, r"^x\.toml: expected fields among data, .*skip_impossible.*; got 'zzzz'$"),
        ({"families": ["biregular"], "densities": [0.1]}, r"^x\.toml: expected the field 'data', got none; add it"),
        ({"data": "digits", "densities": [0.1]}, r"expected the field 'families', got none; add it"),
        ({"data": "digits", "families": "biregular", "densities": [0.1]}, "families as a list, got 'biregular'"),
    ],
)  # fmt: skip
def test_fields_that_are_no_study(values, message):
    with pytest.raises(ValueError, match=message):
        StudyConfig.from_dict(values, "x.toml")


rates = st.floats(1e-6, 10)
words = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8)
FAMILIES = ["biregular", "swap_ladder:swaps=0.1", "window2d+rotating", "toeplitz:offsets=[0,1]"]
OWN = {
    "data": st.lists(words, min_size=1, max_size=3),
    "families": st.lists(st.sampled_from(FAMILIES), min_size=1),
    "graph_seeds": st.integers(1, 99),
    "train_seeds": st.integers(1, 99),
    "hidden": st.lists(st.integers(1, 9), min_size=1),
    "epochs": st.integers(1, 99),
    "batch_size": st.integers(1, 99),
    "learning_rate": rates,
    "optimizer": st.sampled_from(["adam", "sgd"]),
    "momentum": st.floats(0, 0.99),
    "weight_decay": st.floats(0, 1),
    "target": words,
    "task": st.sampled_from(["classification", "regression"]),
    "root": words,
    "budget": st.sampled_from(["uniform", "erk"]),
    "controls": st.lists(st.sampled_from(["permuted", "shuffled"])),
    "inits": st.lists(st.just("n_in")),
    "train_rows": st.integers(1, 99),
    "learning_rates": st.lists(rates, min_size=2, unique=True),
    "patience": st.integers(1, 9),
    "skip_impossible": st.booleans(),
    "timing": st.booleans(),
}  # fmt: skip
CELLS = st.one_of(
    st.fixed_dictionaries({"densities": st.lists(st.floats(0.001, 1), min_size=1)}),
    st.fixed_dictionaries({"edges": st.lists(st.integers(1, 10**6), min_size=1)}),
)
NEEDED = {name: OWN.pop(name) for name in ("data", "families")}


@given(CELLS, st.fixed_dictionaries(NEEDED, optional=OWN))
def test_configurations_go_through_dicts_json_and_toml(cells, given):
    config = StudyConfig.from_dict({**cells, **given})
    values = config.to_dict()
    assert set(values) <= {field.name for field in fields(config)}
    assert StudyConfig.from_dict(values) == config
    assert StudyConfig.from_dict(json.loads(json.dumps(values))) == config
    text = "\n".join(f"{name} = {_format_toml(value)}" for name, value in values.items())
    assert StudyConfig.from_dict(tomllib.loads(text)) == config
    for name, value in values.items():
        assert name in NEEDED or value != next(field.default for field in fields(config) if field.name == name)
