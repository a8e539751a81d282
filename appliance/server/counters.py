"""What the services did since the start, in numbers: for programs that watch the box (appliance/control/metrics).

Counting costs about a microsecond for each event. The numbers are written every few seconds, if they changed.
"""

import time
from collections import Counter
from collections.abc import Callable

from appliance.registry.database import Registry
from services.events import Event, Ignored, TransferFailed, TransferProgressed, TransferServed

FACT = "counters"
"""The name under which the registry has the numbers."""

EVERY = 5.0
"""Seconds between two writes."""


class ServerCounters:
    """`clock` is in seconds. Services and reasons are few, and events are of few kinds: memory is bounded."""

    def __init__(self, registry: Registry, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry
        self._clock = clock
        self._events: Counter[type[Event]] = Counter()
        self._ignored: Counter[tuple[str, str]] = Counter()
        self._bytes: Counter[str] = Counter()
        self._transfers: Counter[tuple[str, str]] = Counter()
        self._heartbeats = 0
        self._changed = True
        self._write_at = 0.0

    def count(self, event: Event) -> None:
        """Count what a service saw or did. A file counts with all its bytes when it has ended, well or not."""
        # A flood brings tens of thousands a second: no `match`, which takes twice as long.
        if isinstance(event, TransferProgressed):
            return
        self._changed = True
        if isinstance(event, Ignored):
            self._ignored[event.service, event.reason] += event.count
            return
        self._events[type(event)] += 1
        if isinstance(event, TransferServed):
            self._bytes[event.service] += event.size
            self._transfers[event.service, "served"] += 1
        elif isinstance(event, TransferFailed):
            self._bytes[event.service] += event.sent
            self._transfers[event.service, "failed"] += 1

    def count_heartbeat(self) -> None:
        """Count one that was taken."""
        self._changed = True
        self._heartbeats += 1

    def flush(self) -> None:
        """Write the numbers, if it is time; raises an error of SQLite."""
        now = self._clock()
        if not self._changed or now < self._write_at:
            return
        self._changed, self._write_at = False, now + EVERY
        self._registry.set_server(
            FACT,
            {
                "events": {kind.__name__: count for kind, count in self._events.items()},
                "ignored": [[*name, count] for name, count in self._ignored.items()],
                "transfers": [[*name, count] for name, count in self._transfers.items()],
                "bytes": dict(self._bytes),
                "heartbeats": self._heartbeats,
            },
        )
