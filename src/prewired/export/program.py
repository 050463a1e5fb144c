"""A network as a program of torch's: exported, or compiled ahead of time, with the compiled operators of prewired."""

import copy
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export.graph_signature import InputKind

from ..io import atomic_write
from ..nn.quantization import QuantizedLinear
from .layers import LINEAR, check_module
from .verification import ROWS, Call, check, check_batch, inputs

_STORED = (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR)


def program(net: nn.Module, path: str | Path, *, batch: int | None = None, example: torch.Tensor | None = None) -> Path:
    """Write a network, in evaluation mode, as a program of torch.export, load it, and compare it with the network.

    What the program does not read (the wiring by input, for gradients) is left out, and so is where the source of the
    network lies. `torch.export.load(path).module()` runs it, after `import prewired.export`, which registers the
    operators. It is for inference: its parameters ask for no gradients, and its sparse layers pass none on, of which
    torch warns.

    Args:
        net: any module that takes a tensor (batch, ...) and that torch.export takes.
        path: of the file, ending in ".pt2"; one that is there is replaced only when the new one is verified.
        batch: rows of every call, >= 1; any number of them if not given.
        example: an input of the network; else (batch, n_in) random numbers, n_in those of its first linear layer.

    Returns:
        The path.

    Raises:
        TypeError: for anything but a module.
        ValueError: for a network that torch.export does not take, with its reason, or a path that does not end in .pt2.
        FileNotFoundError, IsADirectoryError: if there can be no such file.
        RuntimeError: if the program does not compute what the network does, up to 1e-5 of its largest output (float32).

    Example:
        >>> import tempfile
        >>> from prewired.nn import mlp
        >>> net = mlp([8, 6, 2], family="biregular", fan_in=3)
        >>> x = torch.randn(5, 8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     y = torch.export.load(program(net, f"{folder}/net.pt2")).module()(x)
        >>> torch.testing.assert_close(y, net(x))
    """
    path = _checked(path)
    net, x, rows = _prepared(net, batch, example)
    exported = _exported(net, x, batch)
    exported.example_inputs = None  # or they would be in the file
    with atomic_write.replacing(path) as part, tempfile.TemporaryDirectory() as folder:
        file = Path(folder, path.name)  # its name is in the file too
        torch.export.save(exported, file)
        _verify(torch.export.load(file).module(), net, x, rows)
        shutil.copyfile(file, part)
    return path


def package(net: nn.Module, path: str | Path, *, batch: int | None = None, example: torch.Tensor | None = None) -> Path:
    """Compile a network ahead of time (AOTInductor), for processors like this one; load it and compare it.

    `torch._inductor.aoti_load_package(path)` runs it from Python after `import prewired.export`, and a C++ program
    after loading prewired's library of operators. Takes about half a minute and a C++ compiler; running it takes
    none. The file has the generated C++, with paths of this machine.

    Args:
        net, path, batch, example: as in `program`.

    Returns:
        The path.

    Raises:
        TypeError, ValueError, FileNotFoundError, IsADirectoryError: as in `program`.
        RuntimeError: if it cannot be compiled, or does not compute what the network does.
    """
    path = _checked(path)
    net, x, rows = _prepared(net, batch, example)
    exported = _exported(net, x, batch)
    with atomic_write.replacing(path) as part, tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/{path.name}"
        try:
            torch._inductor.aoti_compile_and_package(exported, package_path=file)
        except Exception as error:
            raise RuntimeError(
                f"expected a network and a C++ compiler that AOTInductor can work with, got {_line(error)}; "
                "prewired.export.program needs no compiler"
            ) from error
        _verify(torch._inductor.aoti_load_package(file), net, x, rows)
        shutil.copyfile(file, part)
    return path


def _checked(path: str | Path) -> Path:
    if Path(path).suffix != ".pt2":
        raise ValueError(f"expected a path that ends in .pt2, as torch wants it, got {str(path)!r}; add the ending")
    atomic_write.check(path)
    return Path(path)


def _prepared(
    net: nn.Module, batch: int | None, example: torch.Tensor | None
) -> tuple[nn.Module, torch.Tensor, tuple[int, ...]]:
    """A copy for inference, an input of it, and the batches to try, the largest of which the input has rows for."""
    check_module(net)
    rows = ROWS if batch is None else (check_batch(batch),)
    net = copy.deepcopy(net).eval().requires_grad_(False)
    x = (_example(net) if example is None else example).detach()
    if x.ndim == 0 or not len(x):
        raise ValueError(f"expected example of shape (batch, ...), at least one row, got {tuple(x.shape)}; give more")
    return net, x[torch.arange(rows[0], device=x.device) % len(x)], rows


def _example(net: nn.Module) -> torch.Tensor:
    layer: Any = next((module for module in net.modules() if isinstance(module, LINEAR)), None)
    if layer is None:
        raise ValueError("expected example=, an input of the network, got a network without a linear layer")
    x = inputs(ROWS[0], layer.in_features)
    return x.to(layer.values.device) if isinstance(layer, QuantizedLinear) else x.to(layer.weight)


def _exported(net: nn.Module, x: torch.Tensor, batch: int | None) -> torch.export.ExportedProgram:
    shapes = None if batch else ({0: torch.export.Dim.DYNAMIC},)
    try:
        with torch.no_grad():
            exported = torch.export.export(net, (x,), dynamic_shapes=shapes)
    except Exception as error:
        raise ValueError(
            f"expected a network that torch.export takes, got {_line(error)}; give an input of it as example=, and "
            "a size as batch= if it computes something that depends on the size of the batch"
        ) from error
    return _pruned(exported)


def _pruned(exported: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """The program without the tensors that it does not read, and without the lines of source that it came from."""
    graphs = [one.graph for one in exported.graph_module.modules() if isinstance(one, torch.fx.GraphModule)]
    for graph in graphs:
        for node in graph.nodes:
            node.meta.pop("stack_trace", None)
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


def _verify(loaded: Call, net: nn.Module, x: torch.Tensor, rows: tuple[int, ...]) -> None:
    check(_told(loaded), _told(net), x, rows=rows, what="the program", remedy="try another example=")


def _told(call: Call) -> Call:
    """The same call, whose errors say for which batch."""

    def run(x: torch.Tensor) -> Any:
        try:
            return call(x)
        except Exception as error:
            raise ValueError(
                f"expected a network that takes a batch of {len(x)}, got {_line(error)}; give the size as batch="
            ) from error

    return run


def _line(error: Exception) -> str:
    """The kind of an error and the first line of what it says."""
    return f"{type(error).__name__}: {(str(error).strip() or 'no reason').splitlines()[0][:300]}"
