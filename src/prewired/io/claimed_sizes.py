"""A few bytes can ask for any size: what a file or a request may claim, refused with the figure before it is made."""

import os
from pathlib import Path

MAX_UNITS = 2**25
"""A side may have this many units (256 MiB of `indptr`) whatever the number of edges."""

MAX_UNITS_PER_EDGE = 64


def check_claimed_sizes(where: str, n_in: int, n_out: int, n_edges: int, remedy: str) -> None:
    """Raise ValueError if a file claims so many units that nearly all of them would have no edge.

    Arrays over all units cost 8 bytes a unit and more. They are refused before they are made.

    Args:
        where: the file, for the message.
        n_in, n_out, n_edges: as the file says.
        remedy: what the user can do.
    """
    limit = max(MAX_UNITS, MAX_UNITS_PER_EDGE * n_edges)
    for side, n_units in (("inputs", n_in), ("outputs", n_out)):
        if n_units > limit:
            raise ValueError(
                f"{where}: expected at most {limit:,} {side} for {n_edges:,} edges, got {n_units:,}, which would take "
                f"{8 * n_units / 2**30:,.1f} GiB and more; {remedy}"
            )


def check_memory(what: str, n_bytes: float) -> None:
    """Raise ValueError if something would take more memory than this machine, or its container, has.

    Args:
        what: for the message, such as "a network of these sizes".
        n_bytes: a lower estimate.
    """
    if n_bytes > (limit := memory_of_machine()):
        raise ValueError(
            f"expected {what} to fit into the {limit / 2**30:,.1f} GiB of this machine, got at least "
            f"{n_bytes / 2**30:,.1f} GiB; make it smaller"
        )


def memory_of_machine() -> int:
    """Return the memory of the machine in bytes, or the limit of its container if that is lower."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            limits.append(int(Path(path).read_text()))
        except (OSError, ValueError):  # no such container, or its limit is "max"
            continue
    return min(limits)
