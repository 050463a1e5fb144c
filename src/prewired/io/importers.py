"""Topologies from other sources: edge lists, networkx graphs, trained or pruned models.

For dense arrays, torch masks and SciPy matrices use `Topology.from_mask` and `Topology.from_biadjacency`.
For tables of names use `from_table`, for gene sets `from_gmt`, for Matrix Market files `from_matrix_market`.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..topology import Topology
from ..topology.masks import to_real_array
from .claimed_sizes import check_claimed_sizes
from .named_units import attach_names
from .text_file import read_text, split_lines


def from_edge_list(path: str | Path, *, n_in: int | None = None, n_out: int | None = None) -> Topology:
    """Read a topology from a text file with one edge per line: the number of its input and of its output, from 0.

    Numbers are separated by spaces, a tab or a comma; empty lines and what follows a # are skipped.

    Args:
        path: the file, in UTF-8, or in UTF-16 with a byte order mark; may be compressed with gzip.
        n_in, n_out: number of inputs and outputs; if not given, as many as the largest numbers need.

    Returns:
        A Topology without a recipe.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a line that is not two numbers, an edge that is repeated or out of range, or no edge.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(f"{folder}/edges.txt").write_text("# input output\\n0 1\\n2 0\\n")
        ...     from_edge_list(f"{folder}/edges.txt", n_in=4)
        Topology(4 -> 2, 2 edges, density 25%)
    """
    pairs = []
    for number, line in enumerate(split_lines(read_text(path)), 1):
        words = line.partition("#")[0].replace(",", " ").split()
        if not words:
            continue
        if len(words) != 2 or not all(word.isascii() and word.isdigit() and len(word) < 19 for word in words):
            raise ValueError(
                f"{path}, line {number}: expected two numbers >= 0, of an input and of an output, got "
                f"{line.strip()!r}; for names use prewired.io.from_table"
            )
        pairs.append([int(word) for word in words])
    if not pairs:
        raise ValueError(f"{path}: expected at least one edge, got none")
    sides = [1 + max(side) for side in zip(*pairs, strict=True)]
    claimed = [size if fixed is None else 0 for size, fixed in zip(sides, (n_in, n_out), strict=True)]
    remedy = "correct the largest number, or pass n_in= and n_out="
    check_claimed_sizes(str(path), claimed[0], claimed[1], len(pairs), remedy)
    return Topology.from_edges(sides[0] if n_in is None else n_in, sides[1] if n_out is None else n_out, pairs)


def from_networkx(graph: Any, *, inputs: Sequence[Hashable] | None = None) -> Topology:
    """Build a topology from a bipartite networkx graph; the nodes' labels become names.

    Args:
        graph: a Graph, or a DiGraph whose edges run from inputs to outputs.
        inputs: the nodes that are inputs, in their order; default the nodes whose attribute `bipartite` is 0. All
            other nodes are outputs, in the graph's order.

    Returns:
        A Topology with names.

    Raises:
        ValueError: if a node is on no side, or an edge runs within a side, runs the wrong way, or is repeated.

    Example:
        >>> import networkx as nx
        >>> from_networkx(nx.complete_bipartite_graph(3, 2)).names
        Names(inputs=('0', '1', '2'), outputs=('3', '4'))
    """
    if inputs is None:
        side = {node: data.get("bipartite") for node, data in graph.nodes(data=True)}
        if odd := [node for node in side if side[node] not in (0, 1)]:
            raise ValueError(
                f"expected every node with bipartite=0 (input) or 1 (output), got {odd[0]!r} without; "
                "set it or give inputs="
            )
        inputs = [node for node in side if side[node] == 0]
    elif strange := [node for node in inputs if node not in graph]:
        raise ValueError(f"expected inputs to be nodes of the graph, got {strange[0]!r}, which is none")
    source = {node: k for k, node in enumerate(inputs)}
    target = {node: k for k, node in enumerate(node for node in graph.nodes if node not in source)}
    pairs = []
    for a, b in graph.edges():
        if not graph.is_directed() and b in source:
            a, b = b, a
        if a not in source or b not in target:
            raise ValueError(
                f"expected edges from an input to an output, got ({a!r}, {b!r}); choose inputs= accordingly"
            )
        pairs.append((source[a], target[b]))
    t = Topology.from_edges(len(source), len(target), pairs)
    return attach_names(t, [str(node) for node in inputs], [str(node) for node in target])


def from_model(model: Any, *, threshold: float = 0.0) -> dict[str, Topology]:
    """Return the topologies of the linear layers of a trained or pruned model: nonzero weights are edges.

    Weights are those of a forward call: masks of `torch.nn.utils.prune`, parametrisations and weight norms are applied
    first. A SparseLinear gives its own topology. To train the wiring from new weights, as a lottery ticket, pass the
    topologies to `mlp(sizes, topologies=...)`.

    Args:
        model: a module; every layer with in_features and a weight (out_features, in_features) gives a topology.
        threshold: weights of at most this magnitude are no edges.

    Returns:
        A Topology for each linear layer, by its name in the model.

    Raises:
        ValueError: if there is no linear layer, the threshold is negative or not finite, or weights are NaN.

    Example:
        >>> from torch import nn
        >>> from_model(nn.Sequential(nn.Linear(4, 3), nn.ReLU()))
        {'0': Topology(4 -> 3, 12 edges, density 100%)}
    """
    if not 0 <= threshold < math.inf:
        raise ValueError(f"expected a finite threshold >= 0, got threshold={threshold!r}")
    topologies: dict[str, Topology] = {}
    for name, module in model.named_modules():
        weight, own = effective_weight(module), getattr(module, "topology", None)
        if isinstance(own, Topology):
            topologies[name] = own
        elif weight is not None and hasattr(module, "in_features") and weight.ndim == 2:
            topologies[name] = _from_nonzeros(name, weight, threshold)
    return _check_nonempty(topologies, "a model with a linear layer")


def effective_weight(module: Any) -> Any:
    """The weight that a forward call of a module would read; None if the module has no weight.

    Pruning and `torch.nn.utils.weight_norm` set the attribute `weight` only when the module is called. After an
    optimiser step or `load_state_dict`, it is out of date.

    Example:
        >>> from torch import nn
        >>> effective_weight(nn.Linear(3, 2)).shape
        torch.Size([2, 3])
    """
    weight = getattr(module, "weight", None)
    for hook in getattr(module, "_forward_pre_hooks", {}).values():
        if getattr(hook, "_tensor_name", None) == "weight":  # of torch.nn.utils.prune
            weight = module.weight_orig * module.weight_mask
        elif getattr(hook, "name", None) == "weight" and hasattr(module, "weight_g"):  # of weight_norm
            weight = hook.compute_weight(module)
    return weight


def from_weights(weights: Mapping[str, Any], *, threshold: float = 0.0) -> dict[str, Topology]:
    """Return the topology of each matrix (n_out, n_in) of a state_dict, or of any arrays: nonzero entries are edges.

    If `torch.nn.utils.prune` has split a weight into `weight_orig` and `weight_mask`, their product is used.

    Args:
        weights: arrays or tensors by name; arrays that are not matrices are ignored.
        threshold: entries of at most this magnitude are no edges.

    Returns:
        A Topology for each matrix, by its name.

    Raises:
        ValueError: if there is no matrix, the threshold is negative or not finite, or weights are NaN.

    Example:
        >>> from_weights({"0.weight": np.array([[0.5, 0.0]]), "0.bias": np.zeros(1)})
        {'0.weight': Topology(2 -> 1, 1 edges, density 50%)}
    """
    if not 0 <= threshold < math.inf:
        raise ValueError(f"expected a finite threshold >= 0, got threshold={threshold!r}")
    topologies: dict[str, Topology] = {}
    for name, weight in weights.items():
        masked = name.removesuffix("_orig")
        mask = weights.get(f"{masked}_mask")
        of_another = name.endswith("_mask") and f"{name.removesuffix('_mask')}_orig" in weights
        if of_another or weight.ndim != 2:
            continue
        effective = weight if mask is None else weight * mask
        topologies[masked if mask is not None else name] = _from_nonzeros(name, effective, threshold)
    return _check_nonempty(topologies, "weights with a matrix")


def _from_nonzeros(name: str, weight: Any, threshold: float) -> Topology:
    try:
        magnitudes = np.abs(to_real_array(weight).astype(np.float64))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return Topology.from_mask(magnitudes > threshold)


def _check_nonempty(topologies: dict[str, Topology], source: str) -> dict[str, Topology]:
    if not topologies:
        raise ValueError(f"expected {source}, got none")
    return topologies
