"""When the PCs of a range may compute: its schedule, and what a person said of its room. PURE.

The hold of a room wins over its schedule. One that is on is a window until its end, joined with those of the schedule
that it touches; one that is off closes every window until its end. Moments are in seconds since the epoch.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from appliance.schedules.hold import Hold
from appliance.schedules.schedule import Schedule, Window
from appliance.schedules.weekly import DAYS

EARLY = 900.0
"""Seconds before a window in which a PC that starts gets the live system: it was woken for the window, perhaps by a
clock or a person, and has to come up before it computes."""

ALWAYS = Window(0.0, None)

_LONGEST = 366 * 86400.0
_SECONDS = {"m": 60, "min": 60, "h": 3600, "d": 86400}
_SPAN = re.compile(r"([1-9][0-9]{0,4}) ?(min|m|h|d)")
_CLOCK = re.compile(r"(?:(mon|tue|wed|thu|fri|sat|sun)[a-z]*[ ,]+)?([01]?[0-9]|2[0-3]):([0-5][0-9])", re.IGNORECASE)
_FORMS = '{!r}: write "Mon 07:00", "07:00", "2026-12-24 07:00" or "8h"'


@dataclass(frozen=True, slots=True)
class Outside:
    """Why a PC gets its own disk now: `why` in words; `until` is when that ends, or None if nobody knows."""

    why: str
    until: float | None


def effective_window(schedule: Schedule | None, hold: Hold | None, now: float) -> Window | None:
    """The window that is open at `now`, or else the next one; None if there is none to come. Without a schedule PCs
    compute at any time. A hold that is over counts for nothing."""
    if hold is None or hold.over(now):
        return ALWAYS if schedule is None else schedule.window(now)
    if hold.on:
        return _held_on(schedule, hold, now)
    if hold.until is None:
        return None
    after = ALWAYS if schedule is None else schedule.window(hold.until)
    return Window(max(after.begin, hold.until), after.end)


def _held_on(schedule: Schedule | None, hold: Hold, now: float) -> Window:
    if schedule is None:
        return ALWAYS
    began = min(hold.began, now)
    before = schedule.window(began)
    begin = before.begin if began in before else began
    if hold.until is None:
        return Window(begin, None)
    end: float | None = hold.until
    while end is not None and end in (following := schedule.window(end)):
        end = following.end
    return Window(begin, end)


def outside(schedule: Schedule | None, hold: Hold | None, respite: float | None, now: float) -> Outside | None:
    """Why a PC that starts at `now` gets its own disk; None if it gets the live system. `respite`: until when its owner
    has it, or None."""
    if respite is not None and now < respite:
        return Outside("its owner took it back", respite)
    window = effective_window(schedule, hold, now)
    held_off = hold is not None and not hold.on and not hold.over(now)
    early = 0.0 if held_off else EARLY
    if window is not None and (now in window or window.begin - early <= now < window.begin):
        return None
    return Outside("its room is held off" if held_off else "it is outside its window", window.begin if window else None)


def ended_window(schedule: Schedule | None, hold: Hold | None, booted: float, now: float) -> float | None:
    """When the window ended in which a PC was switched on at `booted`, or was held on, if no other one has begun since;
    None if it was not in one. None may be open at `now`. `hold` is the last one of its room, and may be over."""
    if schedule is None:
        return None
    ends = []
    window = schedule.window(booted)
    if booted in window and window.end is not None and schedule.window(window.end).begin > now:
        ends.append(window.end)
    if hold and hold.on and hold.until is not None and booted < hold.until <= now:
        ends.append(hold.until)
    return max(ends, default=None)


def moment(text: str, now: float, zone: tzinfo) -> float:
    """What a person means by `Mon 07:00`, `07:00`, `2026-12-24 07:00`, `2026-12-24` or `8h`, `30min`, `2d`: the next
    such moment by the clocks of `zone`, or so long from `now` on. Raises ValueError."""
    words = text.strip()
    if found := _SPAN.fullmatch(words):
        at = now + int(found[1]) * _SECONDS[found[2]]
    elif found := _CLOCK.fullmatch(words):
        at = _next(found[1], int(found[2]), int(found[3]), now, zone)
    else:
        try:
            written = datetime.fromisoformat(words)
        except ValueError:
            raise ValueError(_FORMS.format(words)) from None
        if written.tzinfo is not None:
            raise ValueError(_FORMS.format(words))
        at = written.replace(tzinfo=zone).timestamp()
    if not now < at < now + _LONGEST:
        raise ValueError(f"{words!r} is {'past' if at <= now else 'more than a year away'}")
    return at


def _next(day: str | None, hour: int, minute: int, now: float, zone: tzinfo) -> float:
    today = datetime.fromtimestamp(now, zone)
    for ahead in range(9):
        at = (today + timedelta(days=ahead)).replace(hour=hour, minute=minute, second=0, microsecond=0, fold=0)
        named = day is None or DAYS[at.weekday()] == day[:3].capitalize()
        if named and at.timestamp() > now:
            return at.timestamp()
    raise AssertionError("a week has each day")
