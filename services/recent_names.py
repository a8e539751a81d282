"""When a name was first heard, of the latest hundred thousand or so: a table of fixed size. PURE; times are in seconds.

Anybody can make up names (MAC addresses, senders) and use each once. Whoever really wants something asks again. To
notice that, also in a flood of other names, the table has 16 bytes for each name.
"""

from array import array
from collections.abc import Hashable
from typing import Generic, TypeVar

_SLOTS = 1 << 16
_WAYS = 4
"""With 3,000 new names a second, 99 of 100 are still in the table after four seconds. A name has four places there, and
takes the one that was taken longest ago."""

_Name = TypeVar("_Name", bound=Hashable)


class RecentNames(Generic[_Name]):
    """Names are forgotten after `within` seconds, or when others need their places. `salt` is a secret, so that nobody
    can aim at the place of a name in the table."""

    def __init__(self, within: float, salt: object) -> None:
        self._within = within
        self._salt = salt
        self._marks = array("q", bytes(8 * _SLOTS))
        self._first = array("d", bytes(8 * _SLOTS))

    def first(self, name: _Name, now: float) -> float:
        """When this name was heard first, as far as that is known. If it is not, that is `now`."""
        mark = hash((self._salt, name))
        place = mark & (_SLOTS - _WAYS)
        marks = self._marks[place : place + _WAYS]
        if mark in marks:
            slot = place + marks.index(mark)
            if now - self._first[slot] <= self._within:
                return self._first[slot]
        else:
            times = self._first[place : place + _WAYS]
            slot = place + times.index(min(times))
        self._marks[slot], self._first[slot] = mark, now
        return now
