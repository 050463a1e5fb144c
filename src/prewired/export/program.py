"""A network as a program of torch's: exported, or compiled ahead of time, with the compiled operators of prewired."""

import copy
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export.graph_signature import InputKind

from ..compression import QuantizedLinear
from ..files import replacing
from ..layers import SparseLinear

_STORED = (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR)


def program(net: nn.Module, path: str | Path, *, batch: int | None = None, example: torch.Tensor | None = None) -> Path:
    """Write a network, in evaluation mode, as a program of torch.export, load it, and compare it with the network.

    What the program does not read (the wiring by input, for gradients) is left out. `torch.export.load(path).module()`
    runs it, after `import prewired`, which registers the operators.

    Args:
        net: any module that takes a tensor (batch, ...) and that torch.export takes.
        path: of the file, ending in ".pt2"; one that is there is replaced only when the new one is verified.
        batch: rows of every call; any number of them if not given.
        example: an input of the network; else (batch, n_in) random numbers, n_in those of its first linear layer.

    Returns:
        The path.

    Raises:
        ValueError: for a network that torch.export does not take, with its reason, or a path that does not end in .pt2.
        RuntimeError: if the program does not compute what the network does.

    Example:
        >>> import tempfile
        >>> from prewired import networks
        >>> net = networks.mlp([8, 6, 2], family="biregular", fan_in=3)
        >>> x = torch.randn(5, 8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     y = torch.export.load(program(net, f"{folder}/net.pt2")).module()(x)
        >>> torch.testing.assert_close(y, net(x))
    """
    path, net, rows = _checked(path), _in_evaluation(net), _example(net, batch, example)
    exported = _exported(net, rows, batch)
    exported.example_inputs = None  # or they would be in the file
    with replacing(path) as part, tempfile.TemporaryDirectory() as folder:
        file = Path(folder, path.name)  # its name is in the file too
        torch.export.save(exported, file)
        _verify(torch.export.load(file).module(), net, rows, batch)
        shutil.copyfile(file, part)
    return path


def package(net: nn.Module, path: str | Path, *, batch: int | None = None, example: torch.Tensor | None = None) -> Path:
    """Compile a network ahead of time (AOTInductor), for processors like this one; load it and compare it.

    `torch._inductor.aoti_load_package(path)` runs it from Python after `import prewired`, and a C++ program after
    loading prewired's library of operators. Takes about half a minute and a C++ compiler; running it takes none.

    Args:
        net, path, batch, example: as in `program`.

    Returns:
        The path.

    Raises:
        ValueError: as in `program`.
        RuntimeError: if it cannot be compiled, or does not compute what the network does.
    """
    path, net, rows = _checked(path), _in_evaluation(net), _example(net, batch, example)
    exported = _exported(net, rows, batch)
    with replacing(path) as part, tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/{path.name}"
        try:
            torch._inductor.aoti_compile_and_package(exported, package_path=file)
        except Exception as error:
            raise RuntimeError(
                f"expected a network and a C++ compiler that AOTInductor can work with, got {_line(error)}; "
                "prewired.export.program needs no compiler"
            ) from error
        _verify(torch._inductor.aoti_load_package(file), net, rows, batch)
        shutil.copyfile(file, part)
    return path


def _checked(path: str | Path) -> Path:
    if Path(path).suffix != ".pt2":
        raise ValueError(f"expected a path that ends in .pt2, as torch wants it, got {str(path)!r}; add the ending")
    return Path(path)


def _in_evaluation(net: nn.Module) -> nn.Module:
    return copy.deepcopy(net).eval()


def _example(net: nn.Module, batch: int | None, example: torch.Tensor | None) -> torch.Tensor:
    """An input of `batch` rows, or of a few: torch.export would take a single row for the only number possible."""
    if batch is not None and batch < 1:
        raise ValueError(f"expected batch of at least 1, got {batch}; leave it out for batches of any size")
    if example is None:
        layer = next((m for m in net.modules() if isinstance(m, SparseLinear | nn.Linear | QuantizedLinear)), None)
        if layer is None:
            raise ValueError("expected example=, an input of the network, got a network without a linear layer")
        like: Any = {
            "device": next(layer.buffers() if isinstance(layer, QuantizedLinear) else layer.parameters()).device
        }
        like["dtype"] = torch.float32 if isinstance(layer, QuantizedLinear) else layer.weight.dtype
        example = torch.randn(4, layer.in_features, **like)
    if example.ndim == 0 or not len(example):
        raise ValueError(f"expected example of shape (batch, ...), at least one row, got {tuple(example.shape)}")
    return _of_size(example, batch or max(2, len(example)))


def _of_size(rows: torch.Tensor, n: int) -> torch.Tensor:
    """The first n rows, from the beginning again where there are fewer."""
    return rows[torch.arange(n, device=rows.device) % len(rows)]


def _exported(net: nn.Module, rows: torch.Tensor, batch: int | None) -> torch.export.ExportedProgram:
    shapes = None if batch else ({0: torch.export.Dim.DYNAMIC},)
    try:
        with torch.no_grad():
            exported = torch.export.export(net, (rows,), dynamic_shapes=shapes)
    except Exception as error:
        raise ValueError(
            f"expected a network that torch.export takes, got {_line(error)}; give an input of it as example=, and "
            "a size as batch= if it computes something that depends on the size of the batch"
        ) from error
    return _pruned(exported)


def _pruned(exported: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """The program without the tensors that it does not read."""
    specs = exported.graph_signature.input_specs
    for node in exported.graph.find_nodes(op="placeholder"):
        spec = next(one for one in specs if one.arg.name == node.name)
        if not node.users and spec.kind in _STORED:
            exported.graph.erase_node(node)
            specs.remove(spec)
            for tensors in (exported.state_dict, exported.constants):
                tensors.pop(str(spec.target), None)
    exported.graph_module.recompile()
    return exported


def _verify(loaded: Any, net: nn.Module, rows: torch.Tensor, batch: int | None) -> None:
    """Compare with the network, on batches of two sizes where any will do."""
    for n in [batch] if batch else [len(rows), 2 * len(rows) + 1]:
        x = _of_size(rows, n)
        with torch.no_grad():
            got, expected = loaded(x), net(x)
        if isinstance(expected, torch.Tensor) and expected.is_floating_point() and expected.numel():
            size = expected.abs().max().clamp(min=1)
            got, expected = got / size, expected / size
        try:
            torch.testing.assert_close(got, expected)
        except AssertionError as error:
            raise RuntimeError(
                f"expected what the network computes, got another result at batch {n}: {_line(error)}; no file was "
                "written; please report it"
            ) from error


def _line(error: Exception) -> str:
    """The kind of an error and the first line of what it says."""
    return f"{type(error).__name__}: {(str(error).strip() or 'no reason').splitlines()[0][:300]}"
