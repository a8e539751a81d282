"""Figures of days as bars: where each bar stands, and the words beside it. Drawn by templates/plots.html. PURE."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 360, 96
"""Of a drawing, in its own units."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A day's bar, in the units of the drawing, from its upper left corner; `words` is its day and its figure."""

    x: float
    y: float
    width: float
    height: float
    words: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Bars with their title. `top` is the figure at the upper edge, `total` the sum of all days, `first` and `last` the
    days at the ends, all in words. `summary` says it all without the picture."""

    title: str
    unit: str
    bars: tuple[Bar, ...]
    top: str
    total: str
    first: str
    last: str
    summary: str


def plot(title: str, unit: str, days: Sequence[tuple[str, float]]) -> Plot:
    """The figures of these days, at least one, the earliest first."""
    values = [max(0.0, value) for _, value in days]
    top = round_up(max(values))
    pitch = WIDTH / len(days)
    bars = tuple(
        Bar(
            x=round(place * pitch, 2),
            y=round(HEIGHT - HEIGHT * value / top, 2),
            width=round(pitch * 0.8, 2),
            height=round(HEIGHT * value / top, 2),
            words=f"{day}: {figure(value)} {unit}",
        )
        for place, ((day, _), value) in enumerate(zip(days, values, strict=True))
        if value
    )
    first, last, total = days[0][0], days[-1][0], figure(sum(values))
    summary = f"{title}, {first} to {last}: {total} {unit} in all, at most {figure(max(values))} a day"
    return Plot(title, unit, bars, figure(top), total, first, last, summary)


def round_up(value: float) -> float:
    """The next figure of 1, 2 or 5 times a power of ten; 1 for 0."""
    if value <= 0:
        return 1.0
    size = 1.0
    while size > value:
        size /= 10
    while size * 10 <= value:
        size *= 10
    return next(size * step for step in (1, 2, 5, 10) if size * step >= value)


def figure(value: float) -> str:
    """A figure in words: `0`, `3.4`, `12,300`."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
