"""Names: what the inputs and outputs of a topology are called."""

from typing import Any, NamedTuple


class Names(NamedTuple):
    """The names of all inputs and of all outputs of a topology, in order; distinct within a side."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def check_names(n_in: int, n_out: int, names: Any) -> Names:
    """Return the names as tuples; raises ValueError unless every unit of a side has a different, nonempty text."""
    inputs, outputs = names
    for side, texts, n in (("input", inputs, n_in), ("output", outputs, n_out)):
        if len(texts) != n:
            raise ValueError(f"expected {n} {side} names, one for each, got {len(texts)}")
        earlier_names = set()
        for name in texts:
            if not isinstance(name, str) or not name or name in earlier_names:
                wrong = f"{name!r} twice" if name in earlier_names else repr(name)
                raise ValueError(f"expected {side} names to be distinct texts, got {wrong}; rename or merge them")
            earlier_names.add(name)
    return Names(tuple(inputs), tuple(outputs))
