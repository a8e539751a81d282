"""When PCs may compute: which window is open at a moment, when it ends, and when the next one begins. PURE.

Windows that overlap, or of which one begins when another ends, are one window. A holiday is a day with a window that is
the whole day; the windows that begin on it are there as well.

What a schedule says is about clocks on the wall. A time that clocks show twice, when they are put back, counts the
first time. One that they never show, when they are put forward, is the moment of the change. So a window is shorter or
longer by that hour, and never falls into two.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cached_property

from appliance.schedules.weekly import DAY, WeeklyWindow

_WEEK = 7 * DAY
_LOOK_BACK = 8
"""Days. Where a window that has been open for longer began, nobody needs to know."""


@dataclass(frozen=True, slots=True)
class Window:
    """A time to compute, in seconds since the epoch. `begin` may be too late by any time if it is more than a week ago.
    `end` is None if it never ends."""

    begin: float
    end: float | None

    def __contains__(self, moment: float) -> bool:
        return self.begin <= moment and (self.end is None or moment < self.end)


@dataclass(frozen=True)
class Schedule:
    """At least one weekly window, whose times are those of `zone`."""

    windows: tuple[WeeklyWindow, ...]
    zone: tzinfo
    holidays: frozenset[date] = frozenset()

    def window(self, now: float) -> Window:
        """The window that is open at `now`, in seconds since the epoch, or else the next one."""
        return next(self.upcoming(now))

    def upcoming(self, now: float) -> Iterator[Window]:
        """The window that is open at `now`, and all that begin later, without an end."""
        today = datetime.fromtimestamp(now, self.zone).date()
        if self._always:
            yield Window(self._moment(today - timedelta(_LOOK_BACK), 0), None)
            return
        for begin, end in self._joined(today - timedelta(_LOOK_BACK)):
            if end > now:
                yield Window(begin, end)

    @cached_property
    def _always(self) -> bool:
        """Whether the weekly windows leave no gap."""
        # Those of the week before, too: the last of them may end in this one.
        starts = ((day * DAY - before, each) for each in self.windows for day in each.days for before in (0, _WEEK))
        covered = 0
        for start, end in sorted((at + each.start, at + each.end) for at, each in starts):
            if start > covered:
                return False
            covered = max(covered, end)
        return covered >= _WEEK

    def _joined(self, day: date) -> Iterator[tuple[float, float]]:
        """The windows that begin on this day or later."""
        begin = end = float("-inf")
        while True:
            for start, stop in self._on(day):
                if start > end:
                    if begin < end:
                        yield begin, end
                    begin, end = start, stop
                else:
                    end = max(end, stop)
            day += timedelta(1)

    def _on(self, day: date) -> list[tuple[float, float]]:
        """The windows that begin on this day, in order; some may overlap."""
        found = [(each.start, each.end) for each in self.windows if day.weekday() in each.days]
        if day in self.holidays:
            found.append((0, DAY))
        return [(self._moment(day, start), self._moment(day, end)) for start, end in sorted(found)]

    def _moment(self, day: date, minutes: int) -> float:
        """The first moment at which clocks show this time of the day, or a later one."""
        wanted = datetime.combine(day, time()) + timedelta(minutes=minutes)
        moment = wanted.replace(tzinfo=self.zone).timestamp()
        if self._shown(moment) == wanted:
            return moment
        # Clocks are put forward over it: somewhere between what it would be before the change, and after it.
        earlier = wanted.replace(tzinfo=self.zone, fold=1).timestamp()
        while moment - earlier > 1:
            middle = (moment + earlier) // 2
            if self._shown(middle) < wanted:
                earlier = middle
            else:
                moment = middle
        return moment

    def _shown(self, moment: float) -> datetime:
        """What clocks show then."""
        return datetime.fromtimestamp(moment, UTC).astimezone(self.zone).replace(tzinfo=None)
