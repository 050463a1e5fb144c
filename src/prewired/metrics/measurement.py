"""Measurements: the value of a metric, an interval that contains the true value, and the proof of the interval."""

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, Literal, NamedTuple, Protocol, cast, overload

Progress = Callable[[int, int | None], None]
"""A function that is called with the steps done and the steps in all, None until they can be estimated."""


class Measurement(NamedTuple):
    """The value of a metric with bounds.

    Attributes:
        value: the metric.
        low, high: low <= the true value <= high.
        method: how the value was computed, such as "closed form: ring of 512" or "Lanczos, 412 steps".
        certificate: what proves the bounds, such as "exact count" or "inertia by sparse factorisation".
        confidence: the probability with which the bounds hold. It is 1 unless they rest on a random start or a sample.

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
        """The largest distance between `value` and the true value that the bounds allow."""
        return 0.0 if self.low == self.high else max(self.high - self.value, self.value - self.low)

    def map(self, function: Callable[[float], float]) -> "Measurement":
        """Apply a monotone function to the value and the bounds; a falling function exchanges the bounds.

        Example:
            >>> Measurement(2.0, 1.0, 4.0, "counting", "exact count").map(lambda x: -x)[:3]
            (-2.0, -4.0, -1.0)
        """
        value, *ends = map(function, self[:3])
        return self._replace(value=value, low=min(ends), high=max(ends))

    @classmethod
    def from_count(cls, value: float) -> "Measurement":
        """A value that was counted: exact up to the rounding of the last operations.

        Example:
            >>> Measurement.from_count(3.0).certificate
            'exact count'
        """
        return cls(value, value, value, "counting", "exact count")


class ExplainableMetric(Protocol):
    """A metric that returns a float, or with explain=True a Measurement."""

    __name__: str

    @overload
    def __call__(
        self, *subject: Any, explain: Literal[False] = ..., progress: Progress | None = ..., **options: Any
    ) -> float: ...
    @overload
    def __call__(
        self, *subject: Any, explain: Literal[True], progress: Progress | None = ..., **options: Any
    ) -> Measurement: ...


def explainable(function: Callable[..., Measurement]) -> ExplainableMetric:
    """Turn a function that returns a Measurement into a metric: a float, or with explain=True the Measurement.

    Args:
        function: takes the keywords `certify` and `progress`. If `certify` is false nobody reads the bounds, so the
            function may set them to the value instead of spending time on them.
    """

    @wraps(function)
    def metric(
        *subject: Any, explain: bool = False, progress: Progress | None = None, **options: Any
    ) -> float | Measurement:
        measurement = function(*subject, certify=explain, progress=progress, **options)
        return measurement if explain else measurement.value

    original = signature(function)
    parameters = [
        p.replace(name="explain", default=False)
        if p.name == "certify"
        else p.replace(default=None)
        if p.name == "progress"
        else p
        for p in original.parameters.values()
    ]
    metric.__signature__ = original.replace(parameters=parameters, return_annotation="float | Measurement")  # pyright: ignore
    return cast("ExplainableMetric", metric)
