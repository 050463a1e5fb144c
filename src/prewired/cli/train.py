"""The verb that trains one network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import torch
from cyclopts import Parameter

from .. import checkpoint, plots
from ..io import atomic_write
from ..metrics import WEIGHTED_METRICS
from ..nn import mlp
from ..nn.edge_budgets import BUDGETS
from ..study.config import parse_family
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
)

Names = Annotated[tuple[str, ...], SEVERAL, Parameter(choices=tuple(WEIGHTED_METRICS), show_default=False)]


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
    if output:
        atomic_write.check_destination(output)
    config = TrainConfig(seed=seed, **options)
    loaded = data.load(data_name, root=root, target=target, task=task, decimal=decimal, categorical=categorical)
    name, parameters = parse_family(family)
    net = mlp(
        [loaded.n_features, *hidden, loaded.n_outputs],
        family=name,
        seed=seed,
        density=density,
        n_edges=edges,
        budget=budget,
        **parameters,
    )
    score_name = "accuracy" if loaded.task == "classification" else "R2"

    def print_epoch(epoch: int, n_epochs: int) -> None:
        loss, score = loop.evaluate(net, loaded, loaded.x_val, loaded.y_val)
        print(f"epoch {epoch}/{n_epochs}  validation loss {loss:.4f}  {score_name} {score:.4f}", flush=True)

    run = loop.train(net, loaded, config, progress=print_epoch, track=track)
    print(f"test {score_name} {run.test_score:.4f}")
    if output:
        checkpoint.save(net, output)
        print(f"{output}: {output.stat().st_size:,} bytes")
    for table in _tracked_tables(run):
        print(table)
    if picture:
        print(plots.tracked(run, path=picture))


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
