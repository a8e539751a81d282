"""Schedules as people and scripts see them: which window is open, and those of the coming week. PURE."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile

from appliance.allowlist import Allowlist
from appliance.config.file import Config
from appliance.schedules.schedule import Window

WEEK = 7 * 86400.0
"""Seconds that are looked ahead."""


@dataclass(frozen=True, slots=True)
class WindowView:
    """A time to compute, in seconds since the epoch; `end` is None if it never ends."""

    begin: float
    end: float | None


@dataclass(frozen=True, slots=True)
class ScheduleNow:
    """A schedule and its window: the one that is `open`, or else the next one. `at_end` is what PCs do at its end."""

    name: str
    open: bool
    window: WindowView
    at_end: str


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """All about a schedule. `at_start` is what the box does at the beginning of a window. `grace` is in seconds.
    `ranges` counts the entries of the allowlist that have it; `coming` has the windows of the coming week."""

    now: ScheduleNow
    windows: tuple[str, ...]
    at_start: str
    time_zone: str
    holidays: tuple[str, ...]
    grace: int
    ranges: int
    coming: tuple[WindowView, ...]


def schedule_now(config: Config, name: str, now: float) -> ScheduleNow | None:
    """How a schedule is at `now`, in seconds since the epoch; None if there is none of this name."""
    settings = config.schedule(name)
    if settings is None:
        return None
    window = settings.schedule(config.time_zone).window(now)
    return ScheduleNow(name, now in window, _view(window), settings.at_end)


def schedules_now(config: Config, now: float) -> list[ScheduleNow]:
    """All schedules, in the order of the configuration."""
    return [found for name in config.schedules if (found := schedule_now(config, name, now))]


def schedule_views(config: Config, names: Iterable[str], allowlist: Allowlist, now: float) -> list[ScheduleView]:
    """All about these schedules, which the configuration has."""
    ranges = allowlist.schedules
    views = []
    for name in names:
        settings, shown = config.schedule(name), schedule_now(config, name, now)
        assert settings is not None
        assert shown is not None
        upcoming = settings.schedule(config.time_zone).upcoming(now)
        coming = takewhile(lambda window: window.begin < now + WEEK, upcoming)
        views.append(
            ScheduleView(
                now=shown,
                windows=tuple(map(str, settings.windows)),
                at_start=settings.at_start,
                time_zone=settings.time_zone or config.time_zone or "UTC",
                holidays=tuple(map(str, settings.dates)),
                grace=settings.grace,
                ranges=ranges[name],
                coming=tuple(map(_view, coming)),
            )
        )
    return views


def _view(window: Window) -> WindowView:
    return WindowView(window.begin, window.end)
