"""Tables in Markdown, and how their cells are written."""

from collections.abc import Iterable, Sequence

MISSING = "-"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], align: str = "---:") -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, [align] * len(head), *rows))


def number(value: float | None) -> str:
    """Three digits or so, such as 0.95, 4.20 or 15.3."""
    if value is None:
        return MISSING
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def at_least(value: float | None, goal: float | None) -> str:
    """Such as 9.80 < 10, or 5.20 ≥ 5; the value alone without a goal."""
    compared = value is not None and goal is not None
    return f"{number(value)} {'≥' if value >= goal else '<'} {goal:g}" if compared else number(value)


def at_most(value: float | None, goal: float | None) -> str:
    """Such as 170 ≤ 180; the value alone without a goal."""
    compared = value is not None and goal is not None
    return f"{number(value)} {'≤' if value <= goal else '>'} {goal:g}" if compared else number(value)


def percent(density: float) -> str:
    """Such as 0.5 %."""
    return f"{100 * density:g} %"
