import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from prewired import Topology, generators
from prewired.io import load_topology, save_topology
from prewired.io.topology_file import _seal

GRAPH = generators.biregular(30, 20, fan_in=4, seed=0)


@pytest.mark.parametrize("t", [GRAPH, Topology.from_edges(3, 2, [(0, 1)]), Topology.from_edges(3, 2, [])])
def test_round_trip(t, tmp_path):
    save_topology(t, tmp_path / "t.topology")
    again = load_topology(tmp_path / "t.topology")
    assert again == t
    assert again.recipe == t.recipe


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_topology(tmp_path / "none.topology")
    with pytest.raises(FileNotFoundError, match="is a folder"):
        load_topology(tmp_path)


def test_files_of_others(tmp_path):
    path = tmp_path / "other.topology"
    for content in (b"", b"hello", safetensors.numpy.save({"a": np.ones(3)})):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="not a sound topology file"):
            load_topology(path)


def test_another_graph_under_the_same_digest(tmp_path):
    path = tmp_path / "t.topology"
    about = {"format": "prewired topology 1", "n_in": "30", "n_out": "20", "digest": GRAPH.digest}
    other = generators.biregular(30, 20, fan_in=4, seed=1)
    sealed = {**about, "seal": _seal(about)}
    path.write_bytes(safetensors.numpy.save({"indptr": other.indptr, "indices": other.indices}, sealed))
    with pytest.raises(ValueError, match="its edges have digest"):
        load_topology(path)


def test_another_recipe_over_the_same_graph(tmp_path):
    path = tmp_path / "t.topology"
    save_topology(GRAPH, path)
    content = path.read_bytes()
    assert content.count(b'\\"seed\\": 0') == 1
    path.write_bytes(content.replace(b'\\"seed\\": 0', b'\\"seed\\": 7'))
    with pytest.raises(ValueError, match="its description is not the one that was written"):
        load_topology(path)


@given(at=st.integers(0, 10**6), value=st.integers(0, 255))
@settings(max_examples=300, deadline=None)
def test_damage_never_passes(at, value, tmp_path_factory):
    path = tmp_path_factory.mktemp("damage") / "t.topology"
    save_topology(GRAPH, path)
    content = bytearray(path.read_bytes())
    at %= len(content)
    changed = content[at] != value
    content[at] = value
    path.write_bytes(content)
    try:
        t = load_topology(path)
    except ValueError as error:
        assert changed
        assert "not a sound topology file" in str(error)  # noqa: PT017
    else:
        assert t == GRAPH
        assert t.recipe == GRAPH.recipe
