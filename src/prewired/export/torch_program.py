"""Write a network as a program of torch: exported, or compiled ahead of time, with the operators of prewired.

Importing prewired.export registers these operators (see `ops.kernels`), which a program needs when it is loaded.
"""

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
from .layer_chain import LINEAR, check_finite, check_module
from .verification import ROWS, Call, check_batch, compare_outputs, random_inputs

_STORED = (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR)


def program(net: nn.Module, path: str | Path, *, batch: int | None = None, example: torch.Tensor | None = None) -> Path:
    """Write a network, in evaluation mode, as a program of torch.export, and compare the program with the network.

    `load_program(path)` loads the program. So does `torch.export.load(path).module()` after `import prewired.export`,
    which registers the operators. The file contains neither index tensors that only gradients need, nor paths of
    source files. The program is for inference: its parameters require no gradients, and sparse layers pass no
    gradients on, of which torch warns.

    Args:
        net: any module that takes a tensor (batch, ...) and that torch.export takes.
        path: of the file, ending in ".pt2"; an existing file is replaced only when the new one is verified.
        batch: rows of every call, >= 1; None for any number of rows.
        example: an input of the network; default random numbers (batch, n_in of the first linear layer).

    Returns:
        The path.

    Raises:
        TypeError: if net is not a module.
        ValueError: if torch.export does not take the network, with its reason, a weight is not finite, or the path does
            not end in .pt2.
        FileNotFoundError, IsADirectoryError: if the file cannot be written.
        RuntimeError: if an output of the program differs by more than 1e-5 of the largest output (float32).

    Example:
        >>> import tempfile
        >>> from prewired.nn import mlp
        >>> net = mlp([8, 6, 2], family="biregular", fan_in=3)
        >>> x = torch.randn(5, 8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     y = load_program(program(net, f"{folder}/net.pt2"))(x)
        >>> torch.testing.assert_close(y, net(x))
    """
    path = _check_path(path)
    net, x, rows = _prepare(net, batch, example)
    exported = _export(net, x, batch)
    exported.example_inputs = None  # so that they are not written to the file
    with atomic_write.replacing(path) as part, tempfile.TemporaryDirectory() as folder:
        file = Path(folder, path.name)  # torch writes the name into the file, so it is not a temporary one
        torch.export.save(exported, file)
        _verify(torch.export.load(file).module(), net, x, rows)
        shutil.copyfile(file, part)
    return path


def package(net: nn.Module, path: str | Path, *, batch: int | None = None, example: torch.Tensor | None = None) -> Path:
    """Compile a network ahead of time (AOTInductor), for processors like this one, and compare it with the network.

    `torch._inductor.aoti_load_package(path)` loads the package in Python after `import prewired.export`; a C++ program
    must load prewired's library of operators first. Compiling takes about half a minute and a C++ compiler, running
    takes no compiler. The file contains the generated C++, with paths of this machine.

    Args:
        net, path, batch, example: as in `program`.

    Returns:
        The path.

    Raises:
        TypeError, ValueError, FileNotFoundError, IsADirectoryError: as in `program`.
        RuntimeError: if the network cannot be compiled, or the outputs of the package differ.
    """
    path = _check_path(path)
    net, x, rows = _prepare(net, batch, example)
    exported = _export(net, x, batch)
    with atomic_write.replacing(path) as part, tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/{path.name}"
        try:
            torch._inductor.aoti_compile_and_package(exported, package_path=file)
        except Exception as error:
            raise RuntimeError(
                f"expected a network and a C++ compiler that AOTInductor can work with, got {_first_line(error)}; "
                "prewired.export.program needs no compiler"
            ) from error
        _verify(torch._inductor.aoti_load_package(file), net, x, rows)
        shutil.copyfile(file, part)
    return path


def load_program(path: str | Path) -> nn.Module:
    """Load a program that `program` wrote, as a module for inference.

    Args:
        path: the file, ending in ".pt2"; load only files that you trust, as with every file of torch.export.

    Returns:
        A module that takes what the network took.

    Raises:
        FileNotFoundError: if there is no such file.

    Example:
        >>> import tempfile
        >>> from prewired.nn import mlp
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = program(mlp([8, 6, 2], family="biregular", fan_in=3), f"{folder}/net.pt2")
        ...     load_program(path)(torch.ones(5, 8)).shape
        torch.Size([5, 2])
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"expected a program in a file, got {str(path)!r}, where there is no file; correct it")
    return torch.export.load(path).module()


def _check_path(path: str | Path) -> Path:
    if Path(path).suffix != ".pt2":
        raise ValueError(f"expected a path that ends in .pt2, as torch wants it, got {str(path)!r}; add the ending")
    atomic_write.check_destination(path)
    return Path(path)


def _prepare(
    net: nn.Module, batch: int | None, example: torch.Tensor | None
) -> tuple[nn.Module, torch.Tensor, tuple[int, ...]]:
    """Return a copy of the network for inference, the batches to try, largest first, and an input of the largest."""
    check_module(net)
    check_finite(net)
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
    x = random_inputs(ROWS[0], layer.in_features)
    return x.to(layer.values.device) if isinstance(layer, QuantizedLinear) else x.to(layer.weight)


def _export(net: nn.Module, x: torch.Tensor, batch: int | None) -> torch.export.ExportedProgram:
    shapes = None if batch else ({0: torch.export.Dim.DYNAMIC},)
    try:
        with torch.no_grad():
            exported = torch.export.export(net, (x,), dynamic_shapes=shapes)
    except Exception as error:
        raise ValueError(
            f"expected a network that torch.export takes, got {_first_line(error)}; give an input of it as "
            "example=, and a size as batch= if it computes something that depends on the size of the batch"
        ) from error
    return _prune(exported)


def _prune(exported: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """Remove from a program the tensors that it does not read, and the source lines that it came from."""
    for module in exported.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)
    specs = exported.graph_signature.input_specs
    for node in exported.graph.find_nodes(op="placeholder"):
        spec = next(spec for spec in specs if spec.arg.name == node.name)
        if not node.users and spec.kind in _STORED:
            exported.graph.erase_node(node)
            specs.remove(spec)
            for tensors in (exported.state_dict, exported.constants):
                tensors.pop(str(spec.target), None)
    exported.graph_module.recompile()
    return exported


def _verify(loaded: Call, net: nn.Module, x: torch.Tensor, rows: tuple[int, ...]) -> None:
    calls = _name_batch_in_errors(loaded), _name_batch_in_errors(net)
    compare_outputs(*calls, x, rows=rows, name="the program", remedy="try another example=")


def _name_batch_in_errors(call: Call) -> Call:
    """Wrap a call so that its errors name the batch."""

    def run_file(x: torch.Tensor) -> Any:
        try:
            return call(x)
        except Exception as error:
            raise ValueError(
                f"expected a network that takes a batch of {len(x)}, got {_first_line(error)}; give the size as batch="
            ) from error

    return run_file


def _first_line(error: Exception) -> str:
    """The class of an error and the first line of its message."""
    return f"{type(error).__name__}: {(str(error).strip() or 'no reason').splitlines()[0][:300]}"
