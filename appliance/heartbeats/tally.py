"""What a PC's heartbeats add to its daily figures: seconds of power, core-seconds of computing, BOINC's credit. PURE.

A PC counts as on between two heartbeats of the same boot, unless they are further apart than a PC that is heard may be
(SILENT_AFTER): what it did meanwhile nobody knows. For that time it counts as computing with as many cores as the later
heartbeat says. A step of the box's clock counts as no time. All of it rests on the PC's own words, so one PC can claim
no more than a day's seconds of a day, and MOST_CREDIT.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from appliance.heartbeats.states import SILENT_AFTER
from services.boinc.condition import Condition, ProjectCondition

DAY = 86400
"""Seconds of a day of UTC."""

MOST_CORES = 1024
MOST_CREDIT = 1e7
"""Of one PC and day. A PC with the fastest graphics cards earns some millions."""

MOST_PROJECTS = 32
"""Of one PC whose credit is remembered: those that it named last."""

_ROUNDING = 2
"""Seconds by which the uptimes of two heartbeats, whole seconds each, may fall behind the box's clock."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one PC and day, or a part of it: seconds on, core-seconds that computed, credit."""

    powered: int = 0
    computed: int = 0
    credit: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.powered or self.computed or self.credit)


@dataclass(frozen=True, slots=True)
class DayTotal:
    """A day, counted since the epoch, and what `pcs` PCs did on it: seconds on, core-seconds computed, credit."""

    day: int
    pcs: int
    powered: int
    computed: int
    credit: float


@dataclass(frozen=True, slots=True)
class Beat:
    """What counts of a heartbeat of the boot with this number. `at` is when it came, `first` when the first of those
    did that came one soon after the other up to it, both in seconds since the epoch; `uptime` in seconds, or None."""

    boot: int
    first: float
    at: float
    uptime: int | None


@dataclass(frozen=True, slots=True)
class Mark:
    """The highest credit that a project gave to a PC under the number that this project knows it by."""

    host: int
    credit: float


Marks = Mapping[str, Mark]
"""By the project's URL."""


def number(facts: Mapping[str, str], key: str) -> int | None:
    """A whole number among the facts of a heartbeat, or None."""
    text = facts.get(key, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def computing(facts: Mapping[str, str], boinc: Condition) -> int:
    """How many cores compute: one for each running task, as far as there are cores."""
    return min(boinc.running, number(facts, "cores") or 1, MOST_CORES)


def seconds_on(before: Beat | None, after: Beat) -> dict[int, int]:
    """For how many seconds the PC was on since the heartbeat before, by the day, counted since the epoch."""
    begin, most = after.first, after.uptime
    if before and before.boot == after.boot and 0 <= after.first - before.at <= SILENT_AFTER:
        begin = before.at
        if most is not None and before.uptime is not None and most >= before.uptime:
            most -= before.uptime
    end = int(after.at)
    begun = int(begin) if most is None else max(int(begin), end - most - _ROUNDING)
    found = {}
    while begun < end:
        day = begun // DAY
        until = min(end, (day + 1) * DAY)
        found[day] = until - begun
        begun = until
    return found


def credit(marks: Marks, projects: Iterable[ProjectCondition]) -> tuple[float, Marks]:
    """What the PC has earned since the marks, and the marks after it. What a project says first of a PC counts as
    earned before, and so does what it says under another number. A credit that drops counts again once it is higher
    than ever."""
    gained, now = 0.0, dict[str, Mark]()
    for project in projects:
        if not project.host_id:
            continue  # it has still to ask its project, which may know it, and its credit
        mark = marks.get(project.url)
        if mark is None or mark.host != project.host_id:
            mark = Mark(project.host_id, project.credit)
        gained += max(project.credit - mark.credit, 0.0)
        now[project.url] = Mark(mark.host, max(mark.credit, project.credit))
    return gained, dict(
        list({**now, **{url: mark for url, mark in marks.items() if url not in now}}.items())[:MOST_PROJECTS]
    )


def added(known: Figures, seconds: int, cores: int, gained: float) -> Figures:
    """What these seconds, and this credit, add to what is known of the day."""
    more = min(seconds, DAY - known.powered)
    return Figures(max(more, 0), max(more, 0) * cores, max(min(gained, MOST_CREDIT - known.credit), 0.0))


def marks_to_json(marks: Marks) -> str:
    """The marks as the registry keeps them."""
    return json.dumps({url: [mark.host, mark.credit] for url, mark in marks.items()}, separators=(",", ":"))


def marks_from_json(text: str) -> Marks:
    """What `marks_to_json` wrote; nothing if it cannot have written that."""
    try:
        found: dict[str, Any] = json.loads(text)
        return {url: _mark(*values) for url, values in found.items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _mark(host: Any, credit: Any) -> Mark:
    if type(host) is not int or type(credit) is not float or not 0 <= credit <= 1e15:
        raise ValueError("a mark has the wrong type")
    return Mark(host, credit)
