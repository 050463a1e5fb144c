"""Wirings made elsewhere: files, networkx graphs, trained and pruned models."""

import networkx as nx
import numpy as np
import pytest
import scipy.io
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from prewired import Topology, generators
from prewired.io import importers, matrix_market
from prewired.nn import mlp

MASK = np.array([[1, 0, 1, 0], [0, 0, 1, 1], [0, 0, 0, 0]])
GRAPH = Topology.from_mask(MASK)


def written(tmp_path, text):
    path = tmp_path / "edges.txt"
    path.write_text(text)
    return path


@pytest.mark.parametrize("separator", [" ", "\t", ",", ", "])
def test_edge_lists(separator, tmp_path):
    outputs, inputs = np.nonzero(MASK)
    lines = [f"{i}{separator}{o}  # note" for i, o in zip(inputs, outputs, strict=True)]
    path = written(tmp_path, "# input output\n\n" + "\n".join(reversed(lines)))
    assert importers.from_edge_list(path, n_out=3) == GRAPH
    assert importers.from_edge_list(path).n_out == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1\n1\n", "line 2: expected two numbers"),
        ("0 1\n1 x\n", "line 2: expected two numbers"),
        ("0 1\n-1 2\n", "line 2: expected two numbers"),
        ("0 1\n1.5 2\n", "line 2: expected two numbers"),
        ("0 1\n0 1\n", "each edge once"),
        ("# nothing\n", "at least one edge"),
        ("5 0\n", "0 <= input < 4"),
    ],
)
def test_wrong_edge_lists_are_refused(text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        importers.from_edge_list(written(tmp_path, text), n_in=4)


@pytest.mark.parametrize(
    "matrix", [scipy.sparse.coo_array(MASK), scipy.sparse.coo_array(MASK * 0.5), MASK.astype(float)]
)
@pytest.mark.parametrize("field", [None, "pattern"])
def test_matrix_market(matrix, field, tmp_path):
    if field and not scipy.sparse.issparse(matrix):
        pytest.skip("patterns are sparse")
    scipy.io.mmwrite(tmp_path / "mask.mtx", matrix, field=field)
    assert matrix_market.from_matrix_market(tmp_path / "mask.mtx") == GRAPH


@pytest.mark.parametrize("text", ["", "hello", "%%MatrixMarket matrix coordinate real general\n2 2 5\n1 1 1\n"])
def test_files_that_are_not_matrix_market(text, tmp_path):
    with pytest.raises(ValueError, match="expected a Matrix Market file"):
        matrix_market.from_matrix_market(written(tmp_path, text))


@pytest.mark.parametrize("read", [importers.from_edge_list, matrix_market.from_matrix_market])
def test_missing_files(read, tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a file"):
        read(tmp_path / "none")


@pytest.mark.parametrize("directed", [False, True])
def test_networkx_graphs(directed):
    graph = nx.bipartite.gnmk_random_graph(20, 30, 100, seed=3, directed=directed)
    graph.remove_edges_from([(a, b) for a, b in graph.edges if a >= 20])
    matrix = nx.bipartite.biadjacency_matrix(graph, range(20)).T
    t = importers.from_networkx(graph)
    assert t == Topology.from_biadjacency(matrix)
    assert importers.from_networkx(graph, inputs=range(20)) == t
    assert t.names.outputs[0] == "20"


def test_edges_of_undirected_graphs_may_be_stored_either_way():
    graph = nx.Graph([("x", "a"), ("b", "y"), ("y", "a")])
    t = importers.from_networkx(graph, inputs=["b", "a"])
    assert t.names == (("b", "a"), ("x", "y"))
    assert t.biadjacency().toarray().tolist() == [[0, 1], [1, 1]]


@pytest.mark.parametrize(
    ("graph", "inputs", "message"),
    [
        (nx.path_graph(3), None, "got 0 without"),
        (nx.path_graph(3), [0, 7], "got 7, which is none"),
        (nx.path_graph(3), [0], r"from an input to an output, got \(1, 2\)"),
        (nx.path_graph(3), [0, 1], r"from an input to an output, got \(1, 0\)|\(0, 1\)"),
        (nx.DiGraph([(0, 1), (1, 0)]), [0], r"got \(1, 0\)"),
        (nx.MultiGraph([(0, 1), (0, 1)]), [0], "each edge once"),
        (nx.Graph([(1, 2), ("1", 2)]), [1, "1"], "got '1' twice"),
    ],
)
def test_graphs_without_two_sides_are_refused(graph, inputs, message):
    with pytest.raises(ValueError, match=message):
        importers.from_networkx(graph, inputs=inputs)


def test_the_wiring_of_a_pruned_model():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 5), nn.Embedding(4, 4))
    prune.l1_unstructured(net[1], "weight", amount=0.75)
    found = importers.from_model(net)
    assert list(found) == ["1", "3"]
    assert found["1"] == Topology.from_mask(net[1].weight_mask)
    assert found["1"].n_edges == 150
    assert found["3"] == generators.dense(20, 5)
    again = mlp([30, 20, 5], topologies=[found["1"]])
    assert again[0].topology == found["1"]
    assert importers.from_weights(net.state_dict())["1.weight"] == found["1"]
    prune.remove(net[1], "weight")
    assert importers.from_model(net) == found
    state = {name: tensor for name, tensor in net.state_dict().items() if not name.startswith("4")}
    assert importers.from_weights(state) == {"1.weight": found["1"], "3.weight": found["3"]}


def test_sparse_layers_give_their_own_topology():
    net = mlp([30, 20, 5], family="biregular", fan_in=6, seed=0)
    assert importers.from_model(net)["0"] is net[0].topology


def test_weights_below_the_threshold_are_no_edges():
    layer = nn.Linear(2, 1, dtype=torch.bfloat16)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.5, -2.0]]))
    assert importers.from_model(layer, threshold=1)[""].indices.tolist() == [1]
    assert importers.from_weights({"w": np.array([[0.5, -2.0]])}, threshold=0.5)["w"].indices.tolist() == [1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: importers.from_model(nn.ReLU()), "a model with a linear layer, got none"),
        (lambda: importers.from_weights({"b": np.zeros(3)}), "weights with a matrix, got none"),
        (lambda: importers.from_weights({"w": np.full((2, 2), np.nan)}), "got NaN"),
        (lambda: importers.from_model(nn.Linear(2, 2), threshold=-1), "threshold >= 0"),
        (lambda: importers.from_weights({}, threshold=float("nan")), "threshold >= 0"),
    ],
)
def test_models_without_wirings_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def prune_both(a, b):
    prune.random_unstructured(a, "weight", 0.5)
    prune.identity(b, "weight")


def prune_twice(a, b):
    for layer in (a, b):
        prune.random_unstructured(layer, "weight", 0.25)
        prune.random_unstructured(layer, "weight", 0.25)


def mask_by_parametrization(a, b):
    class Mask(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mask", (torch.rand(6, 8) < 0.5).float())

        def forward(self, weight):
            return weight * self.mask

    for layer in (a, b):
        parametrize.register_parametrization(layer, "weight", Mask())


def norm_by_parametrization(a, b):
    for layer in (a, b):
        zero_some(layer)
        parametrizations.weight_norm(layer)


def norm_by_hook(a, b):
    for layer in (a, b):
        zero_some(layer)
        nn.utils.weight_norm(layer)


@torch.no_grad()
def zero_some(layer):
    layer.weight.mul_(torch.rand(6, 8) < 0.5)


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
@pytest.mark.parametrize(
    "change", [prune_both, prune_twice, mask_by_parametrization, norm_by_parametrization, norm_by_hook]
)
def test_the_wiring_is_that_of_the_weights_that_a_call_reads(change):
    """1.12"""
    a, b = nn.Linear(8, 6), nn.Linear(8, 6)
    change(a, b)
    b.load_state_dict(a.state_dict())
    topology = importers.from_model(b)[""]
    b(torch.ones(1, 8))
    assert topology == Topology.from_mask(b.weight != 0)
    assert topology == importers.from_model(a)[""]
    assert 0 < topology.n_edges < 48
