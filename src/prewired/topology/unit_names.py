"""Names: what the inputs and outputs of a topology are called."""

from typing import Any, NamedTuple


class Names(NamedTuple):
    """What the units of a topology are called: one name for each input and each output, distinct within a side."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def checked_names(n_in: int, n_out: int, names: Any) -> Names:
    """The names as tuples; raises ValueError unless each side has one distinct text for each of its units."""
    inputs, outputs = names
    for side, given, n in (("input", inputs, n_in), ("output", outputs, n_out)):
        if len(given) != n:
            raise ValueError(f"expected {n} {side} names, one for each, got {len(given)}")
        seen = set()
        for name in given:
            if not isinstance(name, str) or not name or name in seen:
                wrong = f"{name!r} twice" if name in seen else repr(name)
                raise ValueError(f"expected {side} names to be distinct texts, got {wrong}; rename or merge them")
            seen.add(name)
    return Names(tuple(inputs), tuple(outputs))
