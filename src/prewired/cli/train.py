"""The verb that trains one network."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import torch
from cyclopts import Parameter
from torch import nn

from .. import checkpoint, generators, plots
from ..io import atomic_write
from ..io.claimed_sizes import check_memory
from ..io.stop_signals import delay_stop_signals
from ..metrics import WEIGHTED_METRICS
from ..nn import mlp
from ..nn.edge_budgets import BUDGETS
from ..study.family_names import parse_family
from ..training import TrainConfig, data, loop
from ..training.run import Run
from .options import (
    OPTIMIZER_NAMES,
    SEVERAL,
    Categorical,
    Data,
    Decimal,
    Family,
    Integer,
    Output,
    Root,
    Target,
    Task,
    Threads,
    Widths,
    need_packages,
    options_of,
    printable,
)

Names = Annotated[tuple[str, ...], SEVERAL, Parameter(choices=tuple(WEIGHTED_METRICS), show_default=False)]


BYTES_PER_EDGE = 16
"""A weight, its gradient and the two averages of Adam, in float32."""


@options_of(TrainConfig, "Training", choices={"optimizer": OPTIMIZER_NAMES}, leave_out=["seed"])
def train(
    *,
    data_name: Annotated[Data, Parameter(name="--data")],
    target: Target = None,
    task: Task = None,
    decimal: Decimal = ".",
    categorical: Categorical = (),
    root: Root = None,
    hidden: Annotated[Widths, Parameter(show_default="1000 1000")] = (1000, 1000),
    family: Family = "biregular",
    density: float | None = None,
    budget: Annotated[str | None, Parameter(choices=tuple(BUDGETS), show_default="one density")] = None,
    edges: Integer | None = None,
    seed: Integer = 0,
    track: Names = (),
    picture: Path | None = None,
    output: Output | None = None,
    threads: Threads = None,
    **options: Any,
) -> None:
    """Train one network and print its test score.

    For example:
      prewired train --data mnist --family biregular --density 0.1 -o net.safetensors
      prewired train --data mine.csv --target price --hidden 64 32 --edges 2000
      prewired train --data mnist --density 0.1 --track effective_rank --picture ranks.png

    Args:
        hidden: Widths of the hidden layers.
        family: Family of the graphs, with its parameters as in swap_ladder:swaps=0.1; or dense.
        density: Share of the edges of each sparse layer.
        budget: How the edges are divided among the layers.
        edges: Instead of a density, the number of edges of all sparse layers together.
        seed: Seed of graphs, weights and batches.
        track: Print metrics of each layer's weights before training and after every epoch.
        picture: Draw the tracked metrics, as .png, .svg or .pdf.
        output: Save the trained network, such as net.safetensors.
    """
    if threads is not None:
        set_threads(threads)
    if picture:
        _check_picture(picture, track)
    check_output(output, data_name)
    config = TrainConfig(seed=seed, **options)
    loaded = data.load(data_name, root=root, target=target, task=task, decimal=decimal, categorical=categorical)
    name, parameters = parse_family(family)
    if (
        edges is None
        and density is None
        and {"density"} <= {*_parameters_of(name)} - {*parameters}
        and not ({"fan_in", "n_edges"} & {*parameters})
    ):
        raise ValueError(f"expected --density or --edges with --family {family}, got neither; add --density 0.1")
    widths = [loaded.n_features, *hidden, loaded.n_outputs]
    check_network_memory(widths, name, density, edges)
    net = mlp(
        widths,
        family=name,
        seed=seed,
        density=density,
        n_edges=edges,
        budget=budget,
        **parameters,
    )
    check_output(output, data_name, net)
    score_name = "accuracy" if loaded.task == "classification" else "R2"
    finished_epochs = 0

    def print_epoch(epoch: int, n_epochs: int) -> None:
        nonlocal finished_epochs
        finished_epochs = epoch
        loss, score = loop.evaluate(net, loaded, loaded.x_val, loaded.y_val)
        print(f"epoch {epoch}/{n_epochs}  validation loss {loss:.4f}  {score_name} {score:.4f}", flush=True)

    try:
        run = loop.train(net, loaded, config, progress=print_epoch, track=track)
    except BaseException as stop:  # an interrupt, a closed pipe, too little memory: hours of work are saved first
        if not output or isinstance(stop, FloatingPointError):
            raise
        text = f"the network after epoch {finished_epochs} of {config.epochs} is in"
        saved = (
            f"{text} {save_or_rescue(net, output)}" if finished_epochs else f"no epoch was done, {output} is as before"
        )
        if isinstance(stop, KeyboardInterrupt):
            raise KeyboardInterrupt(saved) from None
        with suppress(OSError):
            print(f"stopped: {saved}", file=sys.stderr)
        raise
    saved = save_or_rescue(net, output) if output else None
    print(f"test {score_name} {run.test_score:.4f}")
    if saved:
        print(f"{saved}: {saved.stat().st_size:,} bytes")
    for table in _tracked_tables(run):
        print(table)
    if picture:
        print(plots.tracked(run, path=picture))
    if saved != output:
        raise OSError(f"expected to write {output}, got an error, which stands above; the network is in {saved}")


def check_output(output: Path | None, data_name: str, net: nn.Module | None = None) -> None:
    """Raise, before hours of training, if the network could not be saved.

    Args:
        output: the file to write, if any.
        data_name: the data set; if it is a file, that is not the file to write.
        net: the network, if it is known, for an estimate of the size of the file.
    """
    if output:
        atomic_write.check_suffix(output, ".safetensors")
        tensors = [] if net is None else [*net.parameters(), *net.buffers()]
        n_bytes = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        atomic_write.check_destination(output, inputs=(data_name,), n_bytes=n_bytes)


def save_or_rescue(net: nn.Module, output: Path) -> Path:
    """Save a network; if that fails, such as for a full disk, save it in another folder. Returns the path.

    Raises:
        OSError: if no folder takes the file.
    """
    with delay_stop_signals():  # a second Ctrl-C must not lose what the first one saves
        try:
            checkpoint.save(net, output)
            return output
        except OSError as error:
            for folder in (Path(tempfile.gettempdir()), Path.home(), Path.cwd()):
                fallback = folder / f"{output.stem}-{secrets.token_hex(4)}.safetensors"
                with suppress(OSError):
                    checkpoint.save(net, fallback)
                    with suppress(OSError):  # the terminal may be closed
                        print(f"{printable(str(error))}; the network is in {fallback} instead", file=sys.stderr)
                    return fallback
            raise


def check_network_memory(widths: Sequence[int], family: str, density: float | None, n_edges: int | None) -> None:
    """Raise ValueError if the layers would take more memory than this machine has, before anything is built.

    Args:
        widths: of the data, the hidden layers and the outputs.
        family: of the graphs, or dense.
        density: share of edges; without it only units are counted, except for dense layers.
        n_edges: of all sparse layers together.
    """
    cells = [a * b for a, b in pairwise(widths)]
    sparse_edges = n_edges or (density or 0) * sum(cells[:-1])
    edges = sum(cells) if family == "dense" else sparse_edges + cells[-1]
    check_memory(f"a network of the sizes {', '.join(map(str, widths))}", BYTES_PER_EDGE * edges + 8 * sum(widths))


def _parameters_of(family: str) -> Sequence[str]:
    return [*generators.parameters(family)] if family in generators.GENERATORS else []


def set_threads(threads: int) -> None:
    """Set the number of torch's threads, from 1 to the processors of this machine."""
    most = os.cpu_count() or 1
    if not 1 <= threads <= most:
        raise ValueError(f"expected --threads from 1 to {most}, the processors of this machine, got {threads}")
    torch.set_num_threads(threads)


def _check_picture(picture: Path, track: tuple[str, ...]) -> None:
    """Raise for a picture that could not be drawn, before hours of training."""
    need_packages("matplotlib")
    if not track:
        raise ValueError(
            f"expected --track with --picture, got none; add --track and one of {', '.join(WEIGHTED_METRICS)}"
        )
    if picture.suffix.lower() not in plots.KINDS or not picture.parent.is_dir():
        kinds = ", ".join(plots.KINDS)
        raise ValueError(f"expected --picture to end in {kinds} and to be in a folder that is there, got {picture}")


def _tracked_tables(run: Run) -> Iterator[str]:
    """A table per tracked metric: a row per epoch, a column per layer."""
    for name, values in run.tracked.items():
        heads = "".join(f"{f'layer {k}':>12}" for k in range(1, len(values[0]) + 1))
        rows = (f"{epoch:>5}" + "".join(f"{v:>12.5g}" for v in layers) for epoch, layers in enumerate(values))
        yield "\n".join(["", name, f"epoch{heads}", *rows])
