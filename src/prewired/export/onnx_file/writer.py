"""A network as an ONNX file, each layer in the form that onnxruntime runs fastest, or that is smallest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from ...io import atomic_write
from ...ops.plan import DENSE_LIMIT
from ...ops.timing import TURN_SECONDS, time_in_turns
from ..layers import Layer, layers
from ..verification import ROWS, check_batch, check_chain, inputs
from .forms import FORMS, ONE_ONCE_LOADED, InapplicableError, activate
from .graph import Graph

OPSET, IR = 21, 10
AS_FAST = 1.1
"""Times the seconds of the fastest form up to which a form counts as fast as it, and the smallest file decides."""


class Form(NamedTuple):
    """The form that a layer took in an ONNX file, and what was found out about the others.

    Attributes:
        layer: name of the module.
        form: a name in FORMS.
        seconds: of a call of this layer alone, by form, where forms were compared by time; of dense, sparse and packed,
            which are one product once loaded, only the smallest was timed.
        bytes: of this layer alone in a file, by form.
        reasons: why the other forms do not apply.
    """

    layer: str
    form: str
    seconds: dict[str, float]
    bytes: dict[str, int]
    reasons: dict[str, str]


class OnnxFile(NamedTuple):
    """An ONNX file that was written: where, how many bytes, and the form of every layer; its text is a table."""

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
                    time = f", once loaded the same as {next(k for k in layer.seconds if k in ONE_ONCE_LOADED)}"
                lines.append(f"  {form}: {n:,} bytes{time}")
            lines += [f"  {form}: does not apply, {reason}" for form, reason in layer.reasons.items()]
        return "\n".join(lines)


def onnx(net: nn.Module, path: str | Path, *, form: str = "auto", batch: int = 1) -> OnnxFile:
    """Write a network as an ONNX file that agrees with it in onnxruntime, which is tried before the file is in place.

    The model maps "x", (batch, n_in) float32, to "y", (batch, n_out), for any batch. Needs onnx and onnxruntime. A
    sparse layer takes one of six forms; of quantised layers the file has the integers, and onnxruntime makes float32
    weights of them when it loads it.

        dense         a matrix product, with all zeros in the file
        sparse        the same from a sparse initializer: 12 bytes an edge in the file, dense in memory
        packed        the same from the gaps between edges: 5 or 6 bytes an edge in the file, dense in memory
        gather        inputs gathered by output, times the weights, added up: 5 or 6 bytes an edge, no dense matrix
        gather_batch  the same in the other order, for larger batches
        blocks        a batched product over groups of outputs with the same inputs: little more than the weights

    Args:
        net: a chain of linear layers and activations, as `layers` takes.
        path: of the file; one that is there is replaced once the new one has been verified.
        form: of all sparse layers; or "auto", for each layer the fastest in onnxruntime on one thread of this machine
            (of forms that differ by less than a tenth, the smallest); or "smallest" on disk. Dense layers are dense.
        batch: rows of x that "auto" measures with, >= 1.

    Raises:
        TypeError: for anything but a module.
        ValueError: if the network cannot be exported, a form is unknown or a layer cannot take it, or the file would
            exceed 2 GB.
        FileNotFoundError, IsADirectoryError: if there can be no such file.
        ImportError: if onnx or onnxruntime is not installed.
        RuntimeError: if onnxruntime does not give what the network does, see `export.agreement`; nothing is written.

    Example:
        >>> import tempfile
        >>> from prewired.nn import mlp
        >>> net = mlp([64, 64, 10], family="grouped", fan_in=8)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     [layer.form for layer in onnx(net, f"{folder}/net.onnx", form="smallest").layers]
        ['blocks', 'dense']
    """
    path = Path(path)
    atomic_write.check(path)
    for package in ("onnx", "onnxruntime"):
        if find_spec(package) is None:
            raise ImportError(f"expected the package {package}, got none; pip install 'prewired[export]'")
    if form not in ("auto", "smallest", *FORMS):
        raise ValueError(f"expected form to be one of auto, smallest, {', '.join(FORMS)}, got {form!r}")
    batch = check_batch(batch)
    found = layers(net)
    chosen = tuple(_chosen(layer, form, batch) for layer in found)
    graph, x = Graph(), "x"
    for layer, taken in zip(found, chosen, strict=True):
        x = activate(graph, layer, FORMS[taken.form](graph, layer, x))
    model = _model(graph, found, {layer.name: taken.form for layer, taken in zip(found, chosen, strict=True)})
    with atomic_write.replacing(path) as part:
        part.write_bytes(model)
        _verify(part, net, found)
    return OnnxFile(path, len(model), chosen)


def _chosen(layer: Layer, wanted: str, batch: int) -> Form:
    """The form of a layer: the one wanted, or the best of those that apply."""
    if layer.topology is None:
        wanted = "dense"
    sizes, reasons = {}, {}
    for name in FORMS if wanted in ("auto", "smallest") else (wanted,):
        try:
            _check_batch(layer, name, batch if wanted == "auto" else 1)
            sizes[name] = len(_alone(layer, name))
        except InapplicableError as reason:
            reasons[name] = str(reason)
    if not sizes:
        why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        sparse = wanted in FORMS and layer.topology is not None
        remedy = "form='auto'" if sparse else "prewired.export.c or prewired.export.program"
        raise ValueError(f"expected a form that layer {layer.name} can take, got {wanted} ({why}); take {remedy}")
    seconds = _seconds(layer, _unlike(sizes), batch) if wanted == "auto" else {}
    limit = AS_FAST * min(seconds.values(), default=0)
    best = min((name for name in seconds or sizes if seconds.get(name, 0) <= limit), key=lambda name: sizes[name])
    return Form(layer.name, best, seconds, sizes, reasons)


def _unlike(sizes: dict[str, int]) -> list[str]:
    """The forms, but of those that are one once loaded the smallest alone."""
    alike = sorted((name for name in sizes if name in ONE_ONCE_LOADED), key=lambda name: sizes[name])
    return [name for name in sizes if name not in alike[1:]]


def _check_batch(layer: Layer, form: str, batch: int) -> None:
    if form == "gather" and batch * len(layer.weight) > DENSE_LIMIT:
        raise InapplicableError(f"a batch of {batch} would take {8 * batch * len(layer.weight) / 1e9:.1f} GB")


def _alone(layer: Layer, form: str) -> bytes:
    """A model of one layer without its activation."""
    graph = Graph()
    FORMS[form](graph, layer, "x")
    return _model(graph, [layer], {layer.name: form})


def _seconds(layer: Layer, forms: Sequence[str], batch: int) -> dict[str, float]:
    """Median seconds of a call of this layer alone in each form, taken in turn."""
    x = inputs(batch, layer.n_in).numpy()
    sessions = {form: session(_alone(layer, form)) for form in forms}
    calls = {form: partial(one.run, None, {"x": x}) for form, one in sessions.items()}
    timings = time_in_turns(calls, rounds=9, turn_seconds=TURN_SECONDS)
    return {form: timing.median for form, timing in timings.items()}


def session(model: bytes | str) -> Any:
    """An onnxruntime session on one thread, of a model or the path of one."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _model(graph: Graph, found: Sequence[Layer], forms: dict[str, str]) -> bytes:
    """The graph, whose last node gives the output, as the bytes of a file."""
    from onnx import TensorProto, helper

    from ..._version import __version__

    graph.nodes[-1].output[0] = "y"
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", n])
        for name, n in (("x", found[0].n_in), ("y", found[-1].n_out))
    )
    made = helper.make_graph(graph.nodes, "prewired", [x], [y], graph.constants, sparse_initializer=graph.sparse)
    model = helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR,
        producer_name="prewired",
        producer_version=__version__,
    )
    helper.set_model_props(model, {f"layer {layer.name}": _about(layer, forms[layer.name]) for layer in found})
    return model.SerializeToString()


def _about(layer: Layer, form: str) -> str:
    """What the file says of a layer, as JSON."""
    about = {"form": form, "kind": layer.kind}
    if layer.topology is not None:
        about["digest"] = layer.topology.digest
        if layer.topology.recipe is not None:
            about["recipe"] = layer.topology.recipe.to_json()
    return json.dumps(about)


def _verify(path: Path, net: nn.Module, found: Sequence[Layer]) -> None:
    """Raise a RuntimeError unless onnxruntime gives for random inputs what the network does."""
    one = session(str(path))
    most = max(len(layer.weight) for layer in found)
    rows = [n for n in ROWS if n == 1 or n * most <= DENSE_LIMIT]

    def run(x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(one.run(None, {"x": x.numpy()})[0])

    check_chain(run, net, found, rows=rows, what="onnxruntime", remedy="take another form=")
