"""The events of all PCs as one log, in pages: what `events`, the page's log and the API read.

Each event has a number; later events have higher ones. A page is found by these numbers alone, so it costs the same
whether the registry holds a day or a year. What was refused is not in it: that is counted, in the table `ignored`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.journal.codec import decoded
from appliance.journal.timeline import AddressLost
from appliance.registry.database import Registry
from appliance.registry.rows import mac as mac_of
from appliance.registry.rows import moment, text, whole
from services.ethernet import MacAddress
from services.events import Event

MOST = 1000
"""Events of a page."""

_SPAN = 50_000
"""Events that one page looks through at most, if it wants only some of them."""


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event of the boot with this number, with its own number. `at` is in seconds since the epoch. `event`: None if
    another version wrote it, and this one does not know it."""

    number: int
    boot: int
    mac: MacAddress
    at: float
    kind: str
    event: Event | AddressLost | None


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events, oldest first, and the number behind which the next page begins. `more`: there are more already."""

    events: tuple[LoggedEvent, ...]
    last: int
    more: bool


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events: of this PC, of these kinds, not before `since` (seconds since the epoch). Empty and None: all."""

    mac: MacAddress | None = None
    kinds: frozenset[str] = frozenset()
    since: float = 0.0


ALL = EventFilter()


def newest(registry: Registry) -> int:
    """The number of the latest event; 0 if there is none."""
    found: int = registry.sql.execute("SELECT ifnull(max(id), 0) FROM events").fetchone()[0]
    return found


def read_after(registry: Registry, after: int, most: int, wanted: EventFilter = ALL) -> EventPage:
    """The `most` first events behind the number `after`. It may have fewer, and yet there are more."""
    end = newest(registry)
    # A boot that is forgotten takes its events with it: the numbers of the latest ones are then given again.
    after = min(after, end)
    if wanted.since and wanted.mac is None:
        after = max(after, _last_before(registry, wanted.since, end))
    until = end if wanted.mac else min(end, after + max(_SPAN, most))
    found = _select(registry, "e.id > ? AND e.id <= ?", (after, until), "ASC", most + 1, wanted)
    more = len(found) > most
    last = found[most - 1].number if more else until
    return EventPage(tuple(found[:most]), last, more or until < end)


def read_last(registry: Registry, most: int, wanted: EventFilter = ALL) -> EventPage:
    """The `most` latest events, of the latest ones if only some are wanted."""
    end = newest(registry)
    begin = 0 if wanted.mac else max(0, end - max(_SPAN, most))
    found = _select(registry, "e.id > ? AND e.id <= ?", (begin, end), "DESC", most, wanted)
    return EventPage(tuple(reversed(found)), end, more=False)


def read_before(registry: Registry, before: int | None, most: int, wanted: EventFilter = ALL) -> EventPage:
    """The `most` latest events before the number `before`, or of all; `last` is the number before which the next page
    begins. It may have fewer, and yet there are more."""
    end = newest(registry) if before is None else min(newest(registry), before - 1)
    begin = 0 if wanted.mac else max(0, end - max(_SPAN, most))
    found = _select(registry, "e.id > ? AND e.id <= ?", (begin, end), "DESC", most + 1, wanted)
    full = len(found) > most
    shown = tuple(reversed(found[:most]))
    last = shown[0].number if full else begin + 1
    # Events are written in the order of their times, but for those that waited a moment.
    older = bool(wanted.since) and _last_before(registry, wanted.since, end) >= begin
    return EventPage(shown, last, full or (begin > 0 and not older))


def read_boot(registry: Registry, boot: int) -> tuple[LoggedEvent, ...]:
    """All events of one boot, oldest first."""
    return tuple(_select(registry, "e.boot = ?", (boot,), "ASC", -1, ALL))


def _select(
    registry: Registry, where: str, values: Sequence[object], order: str, most: int, wanted: EventFilter
) -> list[LoggedEvent]:
    values = list(values)
    if wanted.mac:
        # Not by a join: SQLite would look through all events, and not through those of the PC's boots.
        where += " AND e.boot IN (SELECT id FROM boots WHERE mac = ?)"
        values.append(wanted.mac.value)
    if wanted.kinds:
        where += f" AND e.kind IN ({', '.join('?' * len(wanted.kinds))})"
        values += sorted(wanted.kinds)
    if wanted.since:
        where += " AND e.at >= ?"
        values.append(wanted.since)
    rows = registry.sql.execute(
        "SELECT e.id, e.boot, b.mac, e.at, e.kind, e.details FROM events AS e CROSS JOIN boots AS b ON b.id = e.boot"  # noqa: S608
        f" WHERE {where} ORDER BY e.id {order} LIMIT ?",
        (*values, most),
    )
    with registry.reading("events"):
        return [_logged(*row) for row in rows]


def _logged(number: object, boot: object, mac: object, at: object, kind: object, details: object) -> LoggedEvent:
    name, when = text(kind), moment(at)
    event = next((event for _, event in decoded([(when, name, text(details))])), None)
    return LoggedEvent(whole(number), whole(boot), mac_of(mac), when, name, event)


def _last_before(registry: Registry, since: float, end: int) -> int:
    """The number of the last event before `since`, or one somewhat lower: events are written in the order of their
    times, but for those that waited a moment."""
    low, high = 0, end
    while low < high:
        middle = (low + high) // 2
        row = registry.sql.execute("SELECT id, at FROM events WHERE id > ? ORDER BY id LIMIT 1", (middle,)).fetchone()
        if row is None or row[1] >= since - _WAITED:
            high = middle
        else:
            low = row[0]
    return low


_WAITED = 60.0
"""Seconds that an event may have waited until the registry could be written."""
