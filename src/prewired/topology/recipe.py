"""Recipe: how a topology was made, so that it can be made again."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

_NO_RECIPE = 'expected a recipe such as {{"family": "dense", "n_in": 2, "n_out": 2}}, got {!r}'


@dataclass(frozen=True)
class Recipe:
    """How a topology was made: family, parameters and seed, enough to build it again bit for bit.

    Example:
        >>> Recipe.make("rotating", n_in=8, n_out=4, fan_in=2)
        rotating(n_in=8, n_out=4, fan_in=2)
    """

    family: str
    parameters: tuple[tuple[str, Any], ...]

    @classmethod
    def make(cls, family: str, /, **parameters: Any) -> Self:
        """A recipe from keyword arguments; None is not given; lists become tuples, mappings recipes."""
        return cls(family, tuple((name, _hashable(value)) for name, value in parameters.items() if value is not None))

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self, default=lambda recipe: {"family": recipe.family, **dict(recipe.parameters)})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`; raises ValueError on anything else."""
        values = json.loads(text)
        if not isinstance(values, Mapping):
            raise ValueError(_NO_RECIPE.format(text[:80]))
        return _hashable(values)

    def __repr__(self) -> str:
        return f"{self.family}({', '.join(f'{name}={value!r}' for name, value in self.parameters)})"


def _hashable(value: Any) -> Any:
    """A parameter as the recipe holds it, hashable."""
    if isinstance(value, Mapping):
        if not isinstance(value.get("family"), str):
            raise ValueError(_NO_RECIPE.format(str(value)[:80]))
        return Recipe.make(value["family"], **{k: v for k, v in value.items() if k != "family"})
    return tuple(_hashable(one) for one in value) if isinstance(value, list | tuple) else value
