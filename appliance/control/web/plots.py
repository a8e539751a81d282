"""Figures of ninety days as bars: where each stands, and the words beside it. Drawn by templates/plots.html. PURE."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

DAYS = 90
WIDTH, HEIGHT = 360, 96
_PITCH = WIDTH / DAYS
_EPOCH = date(1970, 1, 1)


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


def plot(title: str, unit: str, figures: Mapping[int, float], today: int) -> Plot:
    """The figures of the days up to `today`, which are counted in UTC since the epoch. A day without one counts 0."""
    days = range(today - DAYS + 1, today + 1)
    values = [max(0.0, figures.get(day, 0.0)) for day in days]
    top = round_up(max(values))
    bars = tuple(
        Bar(
            x=round(place * _PITCH, 2),
            y=round(HEIGHT - HEIGHT * value / top, 2),
            width=round(_PITCH - 1, 2),
            height=round(HEIGHT * value / top, 2),
            words=f"{_day(day)}: {figure(value)} {unit}",
        )
        for place, (day, value) in enumerate(zip(days, values, strict=True))
        if value
    )
    first, last = _day(days[0]), _day(days[-1])
    summary = f"{title}, {first} to {last}: {figure(sum(values))} {unit} in all, at most {figure(max(values))} a day"
    return Plot(title, unit, bars, figure(top), figure(sum(values)), first, last, summary)


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


def _day(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).isoformat()


def rows(days: Mapping[int, tuple[float, ...]]) -> list[tuple[str, ...]]:
    """The table beside the plots, the latest day first: the day, and its figures."""
    return [(_day(day), *map(figure, days[day])) for day in sorted(days, reverse=True)]
