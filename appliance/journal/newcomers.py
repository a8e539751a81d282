"""Clients that have been offered something and have loaded nothing: a few are kept, with their boots.

Anybody can make up MAC addresses of a wide allowed range. So such a client gets no row among the clients, no password
and no number: only a boot, which is forgotten when others need its place. Those who come back, as firmware does that
got no further, are forgotten last (visitors.py). A batch writes only so many boots of those who asked once: a flood
forgets them before anybody could read them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from appliance.journal.timeline import AddressLost
from appliance.journal.visitors import Visitors
from appliance.registry.records import BootRow
from services.ethernet import MacAddress
from services.events import Discovered, Event
from services.rate_limit import RateLimit

MOST_NEWCOMERS = 2000
"""Of some 2 kB each: two large rooms that are switched on for the first time."""

_WRITTEN_AT_ONCE = 50
_BACK_WRITTEN_AT_ONCE = 200
_EVENTS = 10
_LINES_A_SECOND = 20.0


@dataclass(slots=True)
class Newcomer:
    """Its boot, and the events of it that are not written yet. `published`: its events may be."""

    row: BootRow
    published: bool = True
    written: bool = False
    events: list[tuple[float, Event | AddressLost]] = field(default_factory=list)
    rows: int = 0


class Newcomers:
    """By MAC address. `dropped` has the numbers of boots that are to be deleted from the registry."""

    def __init__(self, salt: object, forget: Callable[[MacAddress], None]) -> None:
        """`forget` is called with each one that makes room for another."""
        self.dropped: list[int] = []
        self._forget = forget
        self._visitors = Visitors[MacAddress](MOST_NEWCOMERS, salt, self._forgotten)
        self._newcomers: dict[MacAddress, Newcomer] = {}
        self._unwritten: dict[MacAddress, None] = {}
        self._lines = RateLimit[None](MOST_NEWCOMERS, _LINES_A_SECOND, 1)
        self._count = 0
        self._lowest = self._highest = MacAddress(0)
        self._last_at = 0.0

    def __contains__(self, mac: MacAddress) -> bool:
        return mac in self._newcomers

    def __len__(self) -> int:
        return len(self._newcomers)

    def open(self, row: BootRow) -> BootRow:
        """A boot begins: the first of this client, or another one. Returns it with its real start, if it had been
        forgotten meanwhile."""
        before = self._newcomers.get(row.mac)
        first = self._visitors.visit(row.mac, row.started)
        if before is None and first != row.started:
            row = replace(row, started=first)
        if before is not None and before.written:
            self.dropped.append(before.row.id)
        self._newcomers[row.mac] = Newcomer(row, before.published if before else self._lines.take(None, row.started))
        self._unwritten[row.mac] = None
        return row

    def restore(self, row: BootRow, at: float) -> None:
        """Take one from the registry; call this with those heard last at the end."""
        self._newcomers[row.mac] = Newcomer(row, written=True)
        self._visitors.add(row.mac, at)

    def note(self, mac: MacAddress, event: Event | AddressLost, at: float, *, worth_a_row: bool) -> bool:
        """Take an event; returns whether it may be published."""
        newcomer = self._newcomers[mac]
        if isinstance(event, Discovered):
            self._visitors.visit(mac, at)
            if self._visitors.came_back(mac):
                self._unwritten[mac] = None
        if worth_a_row and newcomer.rows < _EVENTS:
            newcomer.rows += 1
            newcomer.events.append((at, event))
            self._unwritten[mac] = None
        return newcomer.published

    def leave(self, mac: MacAddress) -> Newcomer:
        """It has loaded something, and is a client like others."""
        self._visitors.leave(mac)
        self._unwritten.pop(mac, None)
        return self._newcomers.pop(mac)

    def unwritten(self) -> list[Newcomer]:
        """What the next batch should write: who came back, and the latest of the others."""
        again = [mac for mac in self._unwritten if self._visitors.came_back(mac)][:_BACK_WRITTEN_AT_ONCE]
        latest = islice(reversed(self._unwritten), len(again) + _WRITTEN_AT_ONCE)
        once = [mac for mac in latest if not self._visitors.came_back(mac)][:_WRITTEN_AT_ONCE]
        return [self._newcomers[mac] for mac in (*again, *once)]

    def written(self, newcomers: Sequence[Newcomer]) -> None:
        """These are in the registry, and what was `dropped` is not."""
        self.dropped = []
        for each in newcomers:
            each.events, each.written = [], True
            del self._unwritten[each.row.mac]

    @property
    def forgotten(self) -> dict[str, Any]:
        """How many were forgotten since the server started, and which, as a fact for `status`."""
        if not self._count:
            return {"newcomers": 0}
        span = {"lowest": str(self._lowest), "highest": str(self._highest), "last_at": self._last_at}
        return {"newcomers": self._count, **span}

    def _forgotten(self, mac: MacAddress) -> None:
        newcomer = self._newcomers.pop(mac)
        self._unwritten.pop(mac, None)
        if newcomer.written:
            self.dropped.append(newcomer.row.id)
        self._lowest = min(self._lowest, mac) if self._count else mac
        self._highest = max(self._highest, mac)
        self._last_at = newcomer.row.started
        self._count += 1
        self._forget(mac)
