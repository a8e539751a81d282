"""Deletes what is too old, in small steps: events of boots, boots, daily figures (`[history]` of the configuration).

The boot path adds, and deletes nothing. A thread of the server takes a turn once a second: first the PCs that have
booted since, then the next ones of a slow round through all of them, which finds what an earlier server left. Nothing
is remembered, so a turn that is killed is taken again. A turn holds the registry for a few milliseconds at most.

Age is counted in days that have figures, and never by the clock: a clock that was wrong for an hour deletes nothing.
"""

import time
from collections.abc import Callable, Iterator

from appliance.config.history import HistorySettings
from appliance.registry.database import Registry

BUDGET = 0.004
"""Seconds after which a turn begins nothing more."""

ROUND_EVERY = 3600.0
"""Seconds between the begins of two rounds."""

_AT_ONCE = 200
"""Rows that are deleted in one commit."""

_LATEST_AT_ONCE = 500
_OLDEST = 20
_DAY = 86400


class Retention:
    """`kept` gives the settings that are in force."""

    def __init__(self, kept: Callable[[], HistorySettings], clock: Callable[[], float] = time.monotonic) -> None:
        self._kept = kept
        self._clock = clock
        self._last_boot: int | None = None  # those up to it have been looked at
        self._after: int | None = None  # the PC that the round has come to; None: it has ended
        self._round_at = 0.0

    def turn(self, registry: Registry) -> None:
        """Delete a little of what is too old. Raises an error of SQLite."""
        until = self._clock() + BUDGET
        kept = self._kept()
        begins = _first_day(registry, kept.days)
        while (day := _day_before(registry, begins)) is not None and self._clock() < until:
            _delete_of_day(registry, day)
        for mac, seen in self._due(registry):
            while _trim(registry, mac, kept, begins * _DAY):
                if self._clock() >= until:
                    return
            seen()
            if self._clock() >= until:
                return

    def _due(self, registry: Registry) -> Iterator[tuple[int, Callable[[], None]]]:
        """PCs, each with what to call once it has nothing left to delete."""
        if self._last_boot is None:
            self._last_boot = registry.highest()[1]
        rows = registry.sql.execute(
            "SELECT id, mac FROM boots WHERE id > ? ORDER BY id LIMIT ?", (self._last_boot, _LATEST_AT_ONCE)
        ).fetchall()
        for boot, mac in rows:
            yield mac, lambda boot=boot: setattr(self, "_last_boot", boot)  # type: ignore[misc]
        now = self._clock()
        if self._after is None and now >= self._round_at:
            self._after, self._round_at = -1, now + ROUND_EVERY
        while self._after is not None:
            (mac,) = registry.sql.execute("SELECT min(mac) FROM boots WHERE mac > ?", (self._after,)).fetchone()
            if mac is None:
                self._after = None
                return
            yield mac, lambda mac=mac: setattr(self, "_after", mac)  # type: ignore[misc]


def _first_day(registry: Registry, days: int) -> int:
    """The first of the days that are kept; 0 if there are not more."""
    row = registry.sql.execute("SELECT day FROM day_totals ORDER BY day DESC LIMIT 1 OFFSET ?", (days - 1,)).fetchone()
    return row[0] if row else 0


def _day_before(registry: Registry, begins: int) -> int | None:
    found: int | None = registry.sql.execute("SELECT min(day) FROM day_totals WHERE day < ?", (begins,)).fetchone()[0]
    return found


def _delete_of_day(registry: Registry, day: int) -> None:
    with registry.transaction():
        done = registry.sql.execute(
            "DELETE FROM days WHERE day = ?1 AND mac IN (SELECT mac FROM days WHERE day = ?1 LIMIT ?2)", (day, _AT_ONCE)
        )
        if done.rowcount < _AT_ONCE:
            registry.sql.execute("DELETE FROM day_totals WHERE day = ?", (day,))


def _trim(registry: Registry, mac: int, kept: HistorySettings, began: float) -> bool:
    """Delete some of what a PC has too much of; False if that was all. What happened in a boot goes before the boot,
    and the oldest goes first: so those with events are always the latest."""
    sql = registry.sql
    older = [
        boot
        for (boot,) in sql.execute(
            "SELECT id FROM boots WHERE mac = ? ORDER BY id DESC LIMIT -1 OFFSET ?", (mac, kept.events)
        )
    ]
    full: list[int] = []
    for boot in older:
        if sql.execute("SELECT 1 FROM events WHERE boot = ? LIMIT 1", (boot,)).fetchone() is None:
            break
        full.append(boot)
    if full:
        left = _AT_ONCE
        with registry.transaction():
            while full and left > 0:
                done = sql.execute(
                    "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE boot = ? LIMIT ?)", (full[-1], left)
                )
                left -= done.rowcount
                if left > 0:
                    full.pop()
        return True
    gone = older[kept.boots - kept.events :][-_AT_ONCE:]
    if not gone and older and began:
        oldest = sql.execute("SELECT id, started FROM boots WHERE mac = ? ORDER BY id LIMIT ?", (mac, _OLDEST))
        gone = [boot for boot, started in oldest if started < began and boot <= older[0]]
    if not gone:
        return False
    with registry.transaction():
        sql.executemany("DELETE FROM boots WHERE id = ?", [(boot,) for boot in gone])
    return True
