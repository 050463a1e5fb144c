"""Recipe: what is needed to build a topology again."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

_NO_RECIPE = 'expected a recipe such as {{"family": "dense", "n_in": 2, "n_out": 2}}, got {!r}'


@dataclass(frozen=True)
class Recipe:
    """The family, parameters and seed of a topology: enough to build the same topology again, bit for bit.

    A parameter may be a recipe itself, if the topology was built from other topologies.

    Example:
        >>> Recipe.make("rotating", n_in=8, n_out=4, fan_in=2)
        rotating(n_in=8, n_out=4, fan_in=2)
    """

    family: str
    parameters: tuple[tuple[str, Any], ...]

    @classmethod
    def make(cls, family: str, /, **parameters: Any) -> Self:
        """Build a recipe from keyword arguments: None is left out, lists become tuples, mappings become recipes."""
        return cls(
            family, tuple((name, _make_hashable(value)) for name, value in parameters.items() if value is not None)
        )

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(self, default=lambda recipe: {"family": recipe.family, **dict(recipe.parameters)})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a recipe from the text of `to_json`; raises ValueError on any other text."""
        values = json.loads(text)
        if not isinstance(values, Mapping):
            raise ValueError(_NO_RECIPE.format(text[:80]))
        return _make_hashable(values)

    def __repr__(self) -> str:
        return f"{self.family}({', '.join(f'{name}={value!r}' for name, value in self.parameters)})"


def _make_hashable(value: Any) -> Any:
    """Return a parameter as a recipe holds it: hashable."""
    if isinstance(value, Mapping):
        if not isinstance(value.get("family"), str):
            raise ValueError(_NO_RECIPE.format(str(value)[:80]))
        return Recipe.make(value["family"], **{k: v for k, v in value.items() if k != "family"})
    return tuple(map(_make_hashable, value)) if isinstance(value, list | tuple) else value
