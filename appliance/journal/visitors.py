"""Which of many strangers to remember when there is room for few: those who come back. PURE; times are in seconds.

Anybody can make up a hundred thousand names (MAC addresses, senders) and use each once. Firmware that got no further
asks again, a few seconds later. So those who came back are forgotten last, also when a flood has pushed them out
meanwhile (services/recent_names.py).
"""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from services.recent_names import RecentNames

BACK_AFTER = 0.9
"""Seconds after which a visit is another one. iPXE waits a second before it asks again, PXE ROMs wait four."""

BACK_WITHIN = 120.0
"""Seconds within which somebody has to come back. The longest pause in a series of DISCOVERs is 32 s."""

_Name = TypeVar("_Name", bound=Hashable)


class Visitors(Generic[_Name]):
    """At most `most` names. `salt` is a secret, so that nobody can aim at the place of a name in the table."""

    def __init__(self, most: int, salt: object, forget: Callable[[_Name], None]) -> None:
        """`forget` is called with each name that makes room for another one."""
        self._most = most
        self._forget = forget
        self._once: dict[_Name, float] = {}
        self._again: dict[_Name, None] = {}
        self._heard = RecentNames[_Name](BACK_WITHIN, salt)

    def __contains__(self, name: _Name) -> bool:
        return name in self._once or name in self._again

    def __len__(self) -> int:
        return len(self._once) + len(self._again)

    def came_back(self, name: _Name) -> bool:
        """Whether the name is remembered because it came back."""
        return name in self._again

    def visit(self, name: _Name, now: float) -> float:
        """Note a visit; a new name may push out the one that was here longest ago. Returns when this name came first,
        as far as that is known, or `now`."""
        if name in self._again:
            del self._again[name]
            self._again[name] = None
            return now
        first = self._once.get(name)
        if first is None:
            return self._enter(name, now)
        if now - first >= BACK_AFTER:
            del self._once[name]
            self._again[name] = None
        return first

    def add(self, name: _Name, now: float) -> None:
        """Remember a name as one that came back: it is known from before."""
        self._again[name] = None
        self._make_room()

    def leave(self, name: _Name) -> None:
        """No longer count this name as a visitor."""
        self._once.pop(name, None)
        self._again.pop(name, None)

    def _enter(self, name: _Name, now: float) -> float:
        first = self._heard.first(name, now)
        if now - first >= BACK_AFTER:
            self._again[name] = None
        else:
            self._once[name] = first
        self._make_room()
        return first

    def _make_room(self) -> None:
        if len(self) <= self._most:
            return
        # A quarter is for newcomers, whatever came back before them.
        oldest: _Name = next(iter(self._once if len(self._once) > self._most // 4 or not self._again else self._again))
        self.leave(oldest)
        self._forget(oldest)
