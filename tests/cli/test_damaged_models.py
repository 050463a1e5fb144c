"""Models and topologies that are damaged, or hold more than tensors: one clear line, or the layers in them."""

import random

import pytest
import safetensors.numpy
import safetensors.torch
import torch

import prewired as pw
from prewired import generators
from prewired.cli.app import main
from prewired.cli.network_files import load_networks
from prewired.io import topology_file
from prewired.nn import mlp

TOPOLOGY = generators.biregular(16, 12, fan_in=4, seed=0)


@pytest.fixture
def net():
    return mlp([16, 12, 4], family="biregular", fan_in=4, seed=0)


def write_files(net, folder):
    state = net.state_dict()
    torch.save(state, folder / "a.pt")
    torch.save(state, folder / "b.pth", _use_new_zipfile_serialization=False)
    pw.save(net, folder / "c.safetensors")
    safetensors.torch.save_file({name: value.contiguous() for name, value in state.items()}, folder / "d.safetensors")
    topology_file.save_topology(TOPOLOGY, folder / "e.topology")
    return sorted(folder.iterdir())


def mutate(content, rng):
    content = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 8])):
        place, kind = rng.randrange(len(content)), rng.random()
        if kind < 0.6:
            content[place] = rng.randrange(256)
        elif kind < 0.75:
            del content[place : place + rng.randrange(1, 40)]
        elif kind < 0.9:
            content[place:place] = rng.randbytes(rng.randrange(1, 20))
        else:
            del content[place:]
        content = content or bytearray(b"x")
    return bytes(content)


def fuzz(net, folder, n):
    rng = random.Random(0)
    for file in write_files(net, folder):
        content = file.read_bytes()
        damaged = folder / f"damaged{file.suffix}"
        for _ in range(n):
            damaged.write_bytes(mutate(content, rng))
            try:
                load_networks([damaged])
            except (ValueError, FileNotFoundError) as error:
                assert "\n" not in str(error)  # noqa: PT017
                assert str(damaged) in str(error)  # noqa: PT017


def test_damaged_files_are_one_line(net, tmp_path):
    fuzz(net, tmp_path, 60)


@pytest.mark.slow
def test_many_damaged_files_are_one_line(net, tmp_path):
    fuzz(net, tmp_path, 2000)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {**state, "_extra_state": None},
        lambda state: {**state, "0._extra_state": {"a": 1}, "epoch": 3, "best": None},
        lambda state: {"epoch": 3, "model_state_dict": state, "optimizer": {"state": {}, "lr": None}},
        lambda state: {"epoch": 3, "net": state},
        lambda state: {"checkpoint": {"model": {"encoder": None, "weights": state}}},
        lambda state: {"epoch": torch.tensor(3), "ema": {"x": torch.ones(1)}, "student": state}["student"],
        lambda state: {"ema": {"x": torch.ones(1)}, "student": state},
    ],
)
def test_a_checkpoint_may_hold_more_than_tensors(net, tmp_path, wrap):
    torch.save(wrap(net.state_dict()), tmp_path / "a.pt")
    (wiring,) = load_networks([tmp_path / "a.pt"])
    assert [*wiring.layers.values()] == [net[0].topology]


@pytest.mark.parametrize(
    "value", [None, 3, [], {}, {"epoch": 3}, {"a": {"b": {}}}, {"weight": None}, {"0.weight": None, "0.bias": 3.0}]
)
def test_a_file_without_tensors_says_what_is_expected(capsys, tmp_path, value):
    torch.save(value, tmp_path / "a.pt")
    assert main(["measure", str(tmp_path / "a.pt")]) == 2
    _, err = capsys.readouterr()
    assert "expected a state_dict of tensors in" in err
    assert "torch.save(net.state_dict(), path)" in err
    assert err.count("\n") == 1


class Attack:
    def __reduce__(self):
        return exec, ("open('attacked', 'w')",)


def test_nothing_runs_from_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for value in (Attack(), {"weight": Attack()}, {"state_dict": {"0.weight": torch.ones(2, 2), "x": Attack()}}):
        torch.save(value, "a.pt")
        with pytest.raises(ValueError, match="expected a saved state_dict"):
            load_networks(["a.pt"])
    assert {path.name for path in tmp_path.iterdir()} == {"a.pt"}


@pytest.mark.parametrize("field", ["names", "recipe"])
@pytest.mark.parametrize("text", ["[" * 100_000, '{"family":' * 50_000, "null", "3", "[]", '{"family": 3}'])
def test_deep_and_odd_descriptions_of_topologies_are_one_line(tmp_path, field, text):
    path = tmp_path / "a.topology"
    about = {"format": "prewired topology 1", "n_in": "16", "n_out": "12", "digest": TOPOLOGY.digest, field: text}
    about["seal"] = topology_file._seal(about)
    safetensors.numpy.save_file({"indptr": TOPOLOGY.indptr, "indices": TOPOLOGY.indices}, path, about)
    with pytest.raises(ValueError, match=r"is not a sound topology file: .*; build the topology again") as raised:
        topology_file.load_topology(path)
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize("n_in", [2**31 - 1, 10**15, -1, 0])
def test_a_topology_file_claims_no_memory(tmp_path, n_in):
    path = tmp_path / "a.topology"
    about = {"format": "prewired topology 1", "n_in": str(n_in), "n_out": "12", "digest": TOPOLOGY.digest}
    about["seal"] = topology_file._seal(about)
    safetensors.numpy.save_file({"indptr": TOPOLOGY.indptr, "indices": TOPOLOGY.indices}, path, about)
    with pytest.raises(ValueError, match="is not a sound topology file"):
        topology_file.load_topology(path)


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "{a=" * 50_000, "hidden = " + "[" * 900 + "]" * 900])
def test_deep_toml_is_one_line(capsys, tmp_path, text):
    (tmp_path / "a.toml").write_text(text)
    assert main(["study", str(tmp_path / "a.toml"), "-o", str(tmp_path / "study")]) == 2
    _, err = capsys.readouterr()
    assert str(tmp_path / "a.toml") in err
    assert err.count("\n") == 1
    assert len(err) < 3000
