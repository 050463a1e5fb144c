"""Measure the memory, the file size and the arithmetic of a network and of its dense twin."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..nn.linear import SparseLinear
from ..nn.quantization import QuantizedLinear, replace_modules
from ..nn.sparse_module import SparseModule
from ..ops.kernels import NATIVE, runs_natively
from ..topology import Topology
from .file import save

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=1e-3, momentum=0.9),
}


class Sizes(NamedTuple):
    """The sizes of one network: bytes, and floating-point operations of one batch (multiply and add count as 2).

    Attributes:
        weights: bytes of parameters, and of buffers other than the wiring, such as the integers of a quantised layer.
        indices: bytes of the wiring in memory: the topology and all index tensors.
        gradients: bytes of the gradients. This field and the next three are None if there is nothing to train.
        optimizer: bytes of the optimiser's state after a step.
        activations: bytes that a forward pass in training mode saves for the backward pass, including the input.
        training_flops: operations of a forward and a backward pass.
        forward_flops: operations of a forward pass; None if this build of the package has no compiled operators.
        file: bytes of the file that `prewired.save` writes; None for a dense twin, whose file is its weights.
        file_with_edges: bytes of the file with edges instead of recipes.
    """

    weights: int
    indices: int
    gradients: int | None
    optimizer: int | None
    activations: int | None
    training_flops: int | None
    forward_flops: int | None
    file: int | None
    file_with_edges: int | None


class SizeReport(NamedTuple):
    """The sizes of a network, of its dense twin and of each linear layer; prints as tables.

    Attributes:
        batch: rows of a batch.
        optimizer: the optimiser's name.
        net: sizes of the network.
        dense: sizes of the same network with an nn.Linear in the place of every sparse or quantised layer (float32 for
            a quantised layer).
        layers: name -> (n_in, n_out, edges, bytes of weights, bytes of indices) of each linear layer.
    """

    batch: int
    optimizer: str
    net: Sizes
    dense: Sizes
    layers: dict[str, tuple[int, int, int, int, int]]

    def __str__(self) -> str:
        return "\n".join([*_table(self), "", *_layer_table(self.layers)])

    def to_json(self) -> str:
        """The figures as JSON."""
        return json.dumps({**self._asdict(), "net": self.net._asdict(), "dense": self.dense._asdict()})


def sizes(
    net: nn.Module, *, batch: int = 128, optimizer: str = "adam", example: torch.Tensor | None = None
) -> SizeReport:
    """Measure the sizes of a network: weights, indices, gradients, optimiser state, activations, operations, file.

    The function trains a copy of the network for one step, and counts the tensors that exist afterwards, the tensors
    that autograd saved, and the operations that ran. The dense twin has an nn.Linear in the place of each sparse layer.
    It is measured in the same way on the meta device, so the twin may be larger than the memory. The "dense" kernel
    caches a dense matrix between calls without gradients; this matrix is not counted.

    Args:
        net: any module with linear layers; the network is not changed.
        batch: rows of a batch.
        optimizer: "adam", or "sgd" with momentum.
        example: an input of one batch; default (batch, n_in of the first linear layer).

    Raises:
        ValueError: if batch or optimizer is invalid, if the network does not take the input or returns no tensor, or
            if the network cannot be copied or saved.

    Example:
        >>> from prewired.nn import mlp
        >>> report = sizes(mlp([64, 32, 10], family="biregular", density=0.25, seed=0))
        >>> report.net.weights, report.dense.weights, report.net.optimizer
        (3496, 9640, 7008)
    """
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        raise ValueError(f"expected an integer batch >= 1, got batch={batch!r}")
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"expected an optimizer among {', '.join(OPTIMIZERS)}, got {optimizer!r}")
    layers = {name: _layer_sizes(module) for name, module in net.named_modules() if _is_linear(module)}
    with tempfile.TemporaryDirectory() as folder:
        files = [_file_size(net, Path(folder) / "net", indices) for indices in (False, True)]
    try:
        own = copy.deepcopy(net)
        x = _example_input(own, batch) if example is None else example.detach()
        with torch.random.fork_rng(devices=[]):
            sizes_of_net = _measure(own, x, optimizer, *files)
            twin = replace_modules(own, (SparseLinear, QuantizedLinear), _dense_twin).to("meta")
            dense = _measure(twin.requires_grad_() if _is_quantized(net) else twin, x.to("meta"), optimizer)
    except (RuntimeError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(
            f"expected a network that gives a tensor for a batch of inputs, got {type(error).__name__}: {error}; pass "
            "such a batch as example="
        ) from error
    return SizeReport(len(x), optimizer, sizes_of_net, dense, layers)


def _measure(
    net: nn.Module, x: torch.Tensor, optimizer: str, file: int | None = None, file_with_edges: int | None = None
) -> Sizes:
    weights = sum(map(_nbytes, (*net.parameters(), *net.buffers())))
    topologies = {id(t): t for module in net.modules() if (t := _topology_of(module)) is not None}
    wiring = sum(map(_index_bytes, net.modules())) + sum(map(_array_bytes, topologies.values()))
    gradients = state = activations = operations = None
    parameters = [p for p in net.parameters() if p.requires_grad]
    forward = _operations(net, x, training=False)
    if parameters and not _is_quantized(net):
        operations = _operations(net, x, training=True)
        gradients, state, activations = _measure_training(net, x, parameters, optimizer)
    return Sizes(weights, wiring, gradients, state, activations, operations, forward, file, file_with_edges)


def _operations(net: nn.Module, x: torch.Tensor, *, training: bool) -> int | None:
    """Count the operations of a pass; in float32 if the sparse layers of another type would run in plain PyTorch."""
    sparse = [module for module in net.modules() if isinstance(module, SparseLinear)]
    if (sparse or _is_quantized(net)) and not NATIVE:
        return None
    if not all(runs_natively(layer.weight) for layer in sparse):
        net, x = copy.deepcopy(net).float(), x.float() if x.is_floating_point() else x
    with torch.set_grad_enabled(training), FlopCounterMode(display=False) as counter:
        y = net.train(training)(x)
        if training:
            y.backward(torch.ones_like(y))
    net.zero_grad()
    return counter.get_total_flops()


def _measure_training(net: nn.Module, x: torch.Tensor, parameters: list[nn.Parameter], optimizer: str) -> list[int]:
    """Bytes of the gradients, of the optimiser's state and of the tensors saved for backward."""
    storage_bytes: dict[int, int] = {}
    permanent = {t.untyped_storage()._cdata for t in (*net.parameters(), *net.buffers())}
    alive = []  # keeps the storages alive, so that no address is used twice while they are counted

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in permanent:
            storage_bytes[storage._cdata] = storage.nbytes()
            alive.append(storage)
        return tensor

    steps = OPTIMIZERS[optimizer](parameters)
    with torch.enable_grad():
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            y = net.train()(x)
        y.backward(torch.ones_like(y))
    steps.step()
    states = [t for state in steps.state.values() for t in state.values() if isinstance(t, torch.Tensor)]
    gradients = sum(_nbytes(p.grad) for p in parameters if p.grad is not None)
    return [gradients, sum(map(_nbytes, states)), sum(storage_bytes.values())]


def _example_input(net: nn.Module, batch: int) -> torch.Tensor:
    first = next((module for module in net.modules() if _is_linear(module)), None)
    if first is None:
        raise ValueError("expected a network with a linear layer, got none; pass example=, the input of a batch")
    first_parameter = next((p for p in net.parameters()), torch.empty(0))
    n_in: Any = first.in_features
    return torch.ones(batch, n_in, dtype=first_parameter.dtype, device=first_parameter.device)


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, SparseLinear | QuantizedLinear | nn.Linear)


def _is_quantized(net: nn.Module) -> bool:
    return any(isinstance(module, QuantizedLinear) for module in net.modules())


def _index_bytes(module: nn.Module) -> int:
    return module.index_bytes if isinstance(module, SparseModule) else 0


def _topology_of(module: nn.Module) -> Topology | None:
    return module.topology if isinstance(module, SparseModule) else None


def _array_bytes(t: Topology) -> int:
    return t.indptr.nbytes + t.indices.nbytes


def _dense_twin(layer: SparseLinear | QuantizedLinear) -> nn.Linear:
    """An nn.Linear of the same shape, on the meta device."""
    dtype = layer.weight.dtype
    dense = nn.Linear(layer.in_features, layer.out_features, layer.bias is not None, device="meta", dtype=dtype)
    dense.weight.requires_grad_(layer.weight.requires_grad)
    if layer.bias is not None:
        dense.bias.requires_grad_(layer.bias.requires_grad)
    return dense


def _layer_sizes(module: Any) -> tuple[int, int, int, int, int]:
    t = _topology_of(module)
    weights = sum(map(_nbytes, (*module.parameters(recurse=False), *module.buffers(recurse=False))))
    indices = _index_bytes(module) + (0 if t is None else _array_bytes(t))
    n_edges = module.in_features * module.out_features if t is None else t.n_edges
    return module.in_features, module.out_features, n_edges, weights, indices


def _file_size(net: nn.Module, path: Path, indices: bool) -> int:
    save(net, path, indices=indices)
    return path.stat().st_size


def _nbytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _table(report: SizeReport) -> Iterator[str]:
    per_batch = f"batch of {report.batch}"
    rows = {
        "weights": "weights",
        "indices": "wiring, in memory",
        "gradients": "gradients",
        "optimizer": f"state of {report.optimizer}",
        "activations": f"kept for backward, {per_batch}",
        "file": "file, recipes",
        "file_with_edges": "file, edges",
        "forward_flops": f"operations forward, {per_batch}",
        "training_flops": f"operations of a step, {per_batch}",
    }
    yield f"{'':<36}{'this':>16}{'dense':>16}{'share':>9}"
    for name, title in rows.items():
        size, dense = getattr(report.net, name), getattr(report.dense, name)
        if size is not None:
            share = f"{size / dense:>9.1%}" if dense else ""
            yield f"{title:<36}{size:>16,}{'' if dense is None else f'{dense:,}':>16}{share}".rstrip()


def _layer_table(layers: Mapping[str, tuple[int, int, int, int, int]]) -> Iterator[str]:
    width = max(5, *map(len, layers))
    yield f"{'layer':<{width}}{'inputs':>11}{'outputs':>11}{'edges':>14}{'density':>9}{'weights':>14}{'wiring':>14}"
    for name, (n_in, n_out, edges, weights, indices) in layers.items():
        sides = f"{name:<{width}}{n_in:>11,}{n_out:>11,}{edges:>14,}{edges / (n_in * n_out):>9.2%}"
        yield f"{sides}{weights:>14,}{indices:>14,}"
