"""The verb that measures how fast sparse and dense layers are on this machine."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ..nn import kernel_benchmark
from ..ops import kernel_choice, kernels, machine
from .options import Flag, Integer
from .progress import loop_progress
from .train import set_threads


def bench(
    *,
    threads: Annotated[Integer | None, Parameter(show_default="all")] = None,
    no_save: Flag = False,
) -> None:
    """Measure the densities at which dense layers become faster here, for kernel='auto'.

    The break-even densities are saved for kernel='auto'; then the speedups of sparse layers are
    printed.

    For example:
      prewired bench
      prewired bench --no-save --threads 4

    Args:
        threads: Threads of torch, measured beside one thread.
        no_save: Print the speedups only, and leave the saved break-even densities as they are.
    """
    if threads is not None:
        set_threads(threads)
    if not no_save:
        places = kernel_benchmark.table_settings()
        cells = []
        with loop_progress("break-even densities") as show:
            for place in places:
                cells.append(kernel_benchmark.measure_break_even(*place))
                show(len(cells), len(places))
        print(f"break-even densities kept in {kernel_choice.save_table(cells)}")
    print(f"{machine.processor()}, {kernels.instruction_set()}")
    print("nn.Linear's time / SparseLinear's, 128 x 1024 x 1024, float32 (above 1: sparse is faster)")
    print(f"{'threads':>7}  {'density':>7}  {'forward':>7}  {'forward+backward':>16}  kernel")
    for row in kernel_benchmark.measure_speedups():
        numbers = f"{row['threads']:>7}  {row['density']:>7.1%}  {row['forward']:>7.2f}"
        print(f"{numbers}  {row['forward and backward']:>16.2f}  {row['kernel']}", flush=True)
