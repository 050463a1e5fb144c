"""What a metric says beyond its value: an interval that holds the true one, and what that rests on."""

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, Literal, NamedTuple, Protocol, cast, overload

Progress = Callable[[int, int | None], None]
"""Called with the steps done and, once that can be estimated, the steps in all."""


class Measurement(NamedTuple):
    """A value with certain bounds.

    Attributes:
        value: the metric.
        low, high: low <= the true value <= high.
        method: how it was computed, such as "closed form: circulant" or "Lanczos, 412 steps".
        certificate: what the bounds rest on, such as "exact count" or "inertia by sparse factorisation".
        confidence: the probability with which the bounds hold: 1 unless they rest on a random start or sample.

    Example:
        >>> Measurement(2.0, 1.75, 2.5, "Lanczos, 30 steps", "random start", 0.999999).error
        0.5
    """

    value: float
    low: float
    high: float
    method: str
    certificate: str
    confidence: float = 1.0

    @property
    def error(self) -> float:
        """The largest distance of the true value from `value` that the bounds leave open."""
        return 0.0 if self.low == self.high else max(self.high - self.value, self.value - self.low)

    def mapped(self, function: Callable[[float], float]) -> "Measurement":
        """Of a monotone function of what was measured.

        Example:
            >>> Measurement(2.0, 1.0, 4.0, "m", "b").mapped(lambda x: -x)[:3]
            (-2.0, -4.0, -1.0)
        """
        value, *ends = map(function, self[:3])
        return self._replace(value=value, low=min(ends), high=max(ends))

    @classmethod
    def counted(cls, value: float) -> "Measurement":
        """Of a value that was counted, exact up to the rounding of its last operations."""
        return cls(value, value, value, "counting", "exact count")


class Explained(Protocol):
    """A metric that says, with explain=True, what its value rests on."""

    __name__: str

    @overload
    def __call__(
        self, *subject: Any, explain: Literal[False] = ..., progress: Progress | None = ..., **options: Any
    ) -> float: ...
    @overload
    def __call__(
        self, *subject: Any, explain: Literal[True], progress: Progress | None = ..., **options: Any
    ) -> Measurement: ...


def explained(function: Callable[..., Measurement]) -> Explained:
    """Make a metric of a function (..., *, certify, progress, ...) -> Measurement: a float unless explain=True.

    The function may leave bounds at the value where certify is false, if finding them takes longer than the value.
    """

    @wraps(function)
    def metric(
        *subject: Any, explain: bool = False, progress: Progress | None = None, **options: Any
    ) -> float | Measurement:
        found = function(*subject, certify=explain, progress=progress, **options)
        return found if explain else found.value

    own = signature(function)
    parameters = [
        p.replace(name="explain", default=False)
        if p.name == "certify"
        else p.replace(default=None)
        if p.name == "progress"
        else p
        for p in own.parameters.values()
    ]
    metric.__signature__ = own.replace(parameters=parameters, return_annotation="float | Measurement")  # pyright: ignore
    return cast("Explained", metric)
