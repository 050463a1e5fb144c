"""A few bytes of a file can claim billions of units: how many units a file may have for its edges."""

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
