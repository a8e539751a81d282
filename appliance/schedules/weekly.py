"""A part of every week, as people write it: `Mon-Fri 19:00-06:30`. PURE."""

import re
from typing import Self

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAY = 24 * 60
"""Minutes."""

_TIME = r"([01]?[0-9]|2[0-4]):([0-5][0-9])"
_TIMES = re.compile(f"{_TIME}-{_TIME}")


class WeeklyWindow(str):
    """Days, times, or both: `Sat-Sun` is two whole days, `19:00-06:30` means every day. Raises ValueError.

    It begins on each of `days` (0: Monday), `start` minutes after midnight, and ends `end` minutes after midnight of
    that day: that is more than DAY if it ends on the next day.
    """

    __slots__ = ("days", "end", "start")
    days: frozenset[int]
    start: int
    end: int

    def __new__(cls, text: str) -> Self:
        """Read the text."""
        new = super().__new__(cls, text)
        *days, last = text.split() or [""]
        if len(days) > 1:
            raise _wrong(text)
        if (times := _TIMES.fullmatch(last)) is None:
            days, new.start, new.end = [*days, last], 0, DAY
        else:
            hours = [60 * int(times[group]) + int(times[group + 1]) for group in (1, 3)]
            new.start, new.end = hours
            if new.start >= DAY or new.end > DAY:
                raise ValueError(f"{text!r}: a day ends at 24:00")
            if new.start == new.end:
                raise ValueError(f"{text!r} ends when it begins; leave the times out if you mean whole days")
            if new.end < new.start:
                new.end += DAY
        if len(days) > 1:
            raise _wrong(text)
        new.days = _days(days[0], text) if days else frozenset(range(7))
        return new


def _days(words: str, text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in words.split(","):
        first, dash, last = part.partition("-")
        begin = _day(first, text)
        found |= {day % 7 for day in range(begin, begin + (_day(last, text) - begin) % 7 + 1)} if dash else {begin}
    return frozenset(found)


def _day(word: str, text: str) -> int:
    try:
        return DAYS.index(word.capitalize())
    except ValueError:
        raise _wrong(text) from None


def _wrong(text: str) -> ValueError:
    return ValueError(f'{text!r}: write "Mon-Fri 19:00-06:30", "Sat-Sun" or "Mon,Wed 12:00-14:00"')
