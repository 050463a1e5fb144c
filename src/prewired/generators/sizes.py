"""How many edges a request means: every family takes fan_in= or density=, and reads them here."""

import numpy as np


def edge_count(n_in: int, n_out: int, fan_in: int | None, density: float | None) -> int:
    """n_out * fan_in, or density * n_in * n_out rounded to the nearest integer (half to even).

    Raises ValueError unless exactly one of the two is given and it leaves between 1 and n_in * n_out edges.
    """
    if density is None:
        return n_out * constant_fan_in(n_in, fan_in, None)
    _check_density(fan_in, density)
    edges = round(density * n_in * n_out)
    if edges == 0:
        raise ValueError(
            f"expected at least one edge, got density={density} of {n_in} x {n_out}; "
            f"use density >= {1 / (n_in * n_out):.3g}"
        )
    return edges


def constant_fan_in(n_in: int, fan_in: int | None, density: float | None) -> int:
    """fan_in, or density * n_in rounded to the nearest integer (half to even): the fan-in of every output.

    Raises ValueError unless exactly one of the two is given and 0 < fan_in <= n_in.
    """
    if density is not None:
        _check_density(fan_in, density)
        if round(density * n_in) == 0:
            raise ValueError(
                f"expected at least one input per output, got density={density} of n_in={n_in}; "
                f"use density >= {1 / n_in:.3g}"
            )
        return round(density * n_in)
    if fan_in is None:
        raise ValueError("expected fan_in= or density=, got neither; for example density=0.1")
    if isinstance(fan_in, bool) or not isinstance(fan_in, int | np.integer):
        raise ValueError(f"expected an integer fan_in, got fan_in={fan_in!r}; use density= for a share")
    if not 0 < fan_in <= n_in:
        raise ValueError(
            f"expected 0 < fan_in <= n_in, got fan_in={fan_in} with n_in={n_in}; lower fan_in or widen the input"
        )
    return int(fan_in)


def _check_density(fan_in: int | None, density: float) -> None:
    if fan_in is not None:
        raise ValueError(f"expected fan_in= or density=, got both (fan_in={fan_in}, density={density}); drop one")
    if isinstance(density, bool) or not isinstance(density, int | float | np.number) or not 0 < density <= 1:
        raise ValueError(f"expected 0 < density <= 1, got density={density!r}; density is the share of edges present")
