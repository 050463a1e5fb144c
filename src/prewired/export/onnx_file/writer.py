"""Write a network as an ONNX file, each layer in the form that onnxruntime runs fastest, or in the smallest form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from ..._version import __version__
from ...io import atomic_write
from ...ops.plan_arrays import MOST_DENSE_ELEMENTS
from ...ops.timing import TURN_SECONDS, time_in_turns
from ..layer_chain import Layer, list_layers
from ..verification import ROWS, check_batch, compare_chain, random_inputs
from .forms import FORMS, SAME_WHEN_LOADED, InapplicableError, activate
from .graph import OnnxGraph

OPSET, IR = 21, 10
AS_FAST = 1.1
"""Forms that take at most this many times the seconds of the fastest count as equally fast; the smallest is taken."""


class Form(NamedTuple):
    """The form of a layer in an ONNX file, and the comparison with the other forms.

    Attributes:
        layer: name of the module.
        form: a name in FORMS.
        seconds: by form, of a call of this layer alone; empty if times were not compared. Of dense, sparse and packed,
            which are the same product once loaded, only the smallest is timed.
        bytes: by form, of a file with this layer alone.
        reasons: by form, why it does not apply.
    """

    layer: str
    form: str
    seconds: dict[str, float]
    bytes: dict[str, int]
    reasons: dict[str, str]


class OnnxFile(NamedTuple):
    """An ONNX file that `onnx` wrote: path, bytes, and the form of every layer; prints as a table."""

    path: Path
    bytes: int
    layers: tuple[Form, ...]

    def __str__(self) -> str:
        lines = [f"{self.path}: {self.bytes:,} bytes"]
        for layer in self.layers:
            lines.append(f"layer {layer.layer}: {layer.form}")
            for form, n in layer.bytes.items():
                time = f", {1e6 * layer.seconds[form]:.3g} us" if form in layer.seconds else ""
                if layer.seconds and not time:
                    time = f", once loaded the same as {next(k for k in layer.seconds if k in SAME_WHEN_LOADED)}"
                lines.append(f"  {form}: {n:,} bytes{time}")
            lines += [f"  {form}: does not apply, {reason}" for form, reason in layer.reasons.items()]
        return "\n".join(lines)


def onnx(net: nn.Module, path: str | Path, *, form: str = "auto", batch: int = 1) -> OnnxFile:
    """Write a network as an ONNX file, and compare its outputs in onnxruntime with the network.

    The model maps "x", (batch, n_in) float32, to "y", (batch, n_out), for any batch. Needs onnx and onnxruntime. A
    sparse layer takes one of six forms. The file stores quantised layers as integers, from which onnxruntime computes
    float32 weights when it loads the file.

        dense         a matrix product, with all zeros in the file
        sparse        the same from a sparse initializer: 12 bytes per edge in the file, dense in memory
        packed        the same from the gaps between edges: 5 or 6 bytes per edge in the file, dense in memory
        gather        gathers the inputs of each output, multiplies, sums: 5 or 6 bytes per edge, no dense matrix
        gather_batch  the same in the other order, for larger batches
        blocks        a batched product over groups of outputs with the same inputs: little more than the weights

    Args:
        net: a chain of linear layers and activations, see `list_layers`.
        path: of the file; an existing file is replaced only when the new one is verified.
        form: a form for all sparse layers; or "auto", for each layer the fastest form in onnxruntime on one thread of
            this machine (among forms that differ by less than 10 %, the smallest); or "smallest" on disk. Dense layers
            are always dense.
        batch: rows of x with which "auto" measures, >= 1.

    Raises:
        TypeError: if net is not a module.
        ValueError: if the network cannot be exported, the form is unknown, a layer cannot take the form, or the file
            would exceed 2 GB.
        FileNotFoundError, IsADirectoryError: if the file cannot be written.
        ImportError: if onnx or onnxruntime is not installed.
        RuntimeError: if the outputs in onnxruntime differ, see `export.verification`; then no file is written.

    Example:
        >>> import tempfile
        >>> from prewired.nn import mlp
        >>> net = mlp([64, 64, 10], family="grouped", fan_in=8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [layer.form for layer in onnx(net, f"{folder}/net.onnx", form="smallest").layers]
        ['blocks', 'dense']
    """
    path = Path(path)
    atomic_write.check_destination(path)
    for package in ("onnx", "onnxruntime"):
        if find_spec(package) is None:
            raise ImportError(f"expected the package {package}, got none; pip install 'prewired[export]'")
    if form not in ("auto", "smallest", *FORMS):
        raise ValueError(f"expected form to be one of auto, smallest, {', '.join(FORMS)}, got {form!r}")
    batch = check_batch(batch)
    layers = list_layers(net)
    forms = tuple(_choose_form(layer, form, batch) for layer in layers)
    graph, x = OnnxGraph(), "x"
    for layer, choice in zip(layers, forms, strict=True):
        x = activate(graph, layer, FORMS[choice.form](graph, layer, x))
    model = _model(graph, layers, {layer.name: choice.form for layer, choice in zip(layers, forms, strict=True)})
    with atomic_write.replacing(path) as part:
        part.write_bytes(model)
        _verify(part, net, layers)
    return OnnxFile(path, len(model), forms)


def _choose_form(layer: Layer, request: str, batch: int) -> Form:
    """Choose the form of a layer: the requested form, or the best form that applies."""
    if layer.topology is None:
        request = "dense"
    sizes, reasons = {}, {}
    for name in FORMS if request in ("auto", "smallest") else (request,):
        try:
            _check_batch(layer, name, batch if request == "auto" else 1)
            sizes[name] = len(_model_of_layer(layer, name))
        except InapplicableError as reason:
            reasons[name] = str(reason)
    if not sizes:
        why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        sparse = request in FORMS and layer.topology is not None
        remedy = "form='auto'" if sparse else "prewired.export.c or prewired.export.program"
        raise ValueError(f"expected a form that layer {layer.name} can take, got {request} ({why}); take {remedy}")
    seconds = _time_forms(layer, _forms_to_time(sizes), batch) if request == "auto" else {}
    limit = AS_FAST * min(seconds.values(), default=0)
    best = min((name for name in seconds or sizes if seconds.get(name, 0) <= limit), key=lambda name: sizes[name])
    return Form(layer.name, best, seconds, sizes, reasons)


def _forms_to_time(sizes: dict[str, int]) -> list[str]:
    """The forms to time: of the forms that are the same product once loaded, only the smallest."""
    alike = sorted((name for name in sizes if name in SAME_WHEN_LOADED), key=lambda name: sizes[name])
    return [name for name in sizes if name not in alike[1:]]


def _check_batch(layer: Layer, form: str, batch: int) -> None:
    if form == "gather" and batch * len(layer.weight) > MOST_DENSE_ELEMENTS:
        raise InapplicableError(f"a batch of {batch} would take {8 * batch * len(layer.weight) / 1e9:.1f} GB")


def _model_of_layer(layer: Layer, form: str) -> bytes:
    """A model of one layer without its activation."""
    graph = OnnxGraph()
    FORMS[form](graph, layer, "x")
    return _model(graph, [layer], {layer.name: form})


def _time_forms(layer: Layer, forms: Sequence[str], batch: int) -> dict[str, float]:
    """Measure the median seconds of a call of this layer alone in each form."""
    x = random_inputs(batch, layer.n_in).numpy()
    sessions = {form: session(_model_of_layer(layer, form)) for form in forms}
    calls = {form: partial(each.run, None, {"x": x}) for form, each in sessions.items()}
    timings = time_in_turns(calls, rounds=9, turn_seconds=TURN_SECONDS)
    return {form: timing.median for form, timing in timings.items()}


def session(model: bytes | str) -> Any:
    """Open an onnxruntime session on one thread, from the bytes of a model or from its path."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _model(graph: OnnxGraph, layers: Sequence[Layer], forms: dict[str, str]) -> bytes:
    """The bytes of a file with the graph; the output is that of the last node."""
    from onnx import TensorProto, helper

    graph.nodes[-1].output[0] = "y"
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", n])
        for name, n in (("x", layers[0].n_in), ("y", layers[-1].n_out))
    )
    graph_proto = helper.make_graph(graph.nodes, "prewired", [x], [y], graph.constants, sparse_initializer=graph.sparse)
    model = helper.make_model(
        graph_proto,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR,
        producer_name="prewired",
        producer_version=__version__,
    )
    descriptions = {f"layer {layer.name}": _describe_layer(layer, forms[layer.name]) for layer in layers}
    helper.set_model_props(model, descriptions)
    return model.SerializeToString()


def _describe_layer(layer: Layer, form: str) -> str:
    """Describe a layer in JSON, for the metadata of the file."""
    metadata = {"form": form, "kind": layer.kind}
    if layer.topology is not None:
        metadata["digest"] = layer.topology.digest
        if layer.topology.recipe is not None:
            metadata["recipe"] = layer.topology.recipe.to_json()
    return json.dumps(metadata)


def _verify(path: Path, net: nn.Module, layers: Sequence[Layer]) -> None:
    """Raise a RuntimeError if onnxruntime and the network give different outputs for random inputs."""
    session_of_file = session(str(path))
    most = max(len(layer.weight) for layer in layers)
    rows = [n for n in ROWS if n == 1 or n * most <= MOST_DENSE_ELEMENTS]

    def run(x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(session_of_file.run(None, {"x": x.numpy()})[0])

    compare_chain(run, net, layers, rows=rows, name="onnxruntime", remedy="take another form=")
