"""Heartbeats and news of orders on their way to the registry: the event loop adds them, the writer's thread takes them.

Bounded: of each PC only the latest heartbeat waits, and all together have MOST_BYTES. What finds no room pushes out the
heartbeats that have waited longest, and these are counted.
"""

import threading
from dataclasses import dataclass, field, replace

from appliance.heartbeats.states import SILENT_AFTER
from services.ethernet import MacAddress
from services.http.heartbeats import Heartbeat

MOST_BYTES = 32 << 20
"""Those of 4,500 PCs, of 7 kB each: the latest of all of them, for as long as the registry cannot be written."""

_OVERHEAD = 1000
"""Bytes that a heartbeat takes beside those of BOINC."""


@dataclass(frozen=True, slots=True)
class TimedHeartbeat:
    """A heartbeat of the boot with this number, which came at `at`, in seconds since the epoch. `since`: when the first
    of those came that it took the place of, each of which came soon after the one before; None if it took none's."""

    boot: int
    at: float
    heartbeat: Heartbeat
    since: float | None = None

    @property
    def first(self) -> float:
        """Since when the PC was heard without a pause, as far as this heartbeat knows."""
        return self.at if self.since is None else self.since

    @property
    def size(self) -> int:
        """Bytes of memory, roughly."""
        return len(self.heartbeat.boinc) + _OVERHEAD


@dataclass(slots=True)
class Pending:
    """What is to be written: heartbeats by MAC address, when orders were first sent, when and how others ended, which
    PCs start their disks at their next boot, and which of them their owners took back: when, and until when."""

    heartbeats: dict[int, TimedHeartbeat] = field(default_factory=dict)
    sent: dict[int, float] = field(default_factory=dict)
    ended: dict[int, tuple[float, str]] = field(default_factory=dict)
    to_disk: set[MacAddress] = field(default_factory=set)
    respites: dict[MacAddress, tuple[float, float]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.heartbeats or self.sent or self.ended or self.to_disk)


class PendingHeartbeats:
    """May be used by several threads. `lost` counts the heartbeats that were pushed out."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.lost = 0
        self._most = most_bytes
        self._lock = threading.Lock()
        self._pending = Pending()
        self._bytes = 0

    def add(self, timed: TimedHeartbeat) -> None:
        """Have a heartbeat written, in the place of an earlier one of the same PC."""
        with self._lock:
            waiting = self._pending.heartbeats
            if (earlier := waiting.pop(timed.heartbeat.mac.value, None)) is not None:
                self._bytes -= earlier.size
                if earlier.boot == timed.boot and 0 <= timed.at - earlier.at <= SILENT_AFTER:
                    timed = replace(timed, since=earlier.first)
            waiting[timed.heartbeat.mac.value] = timed
            self._bytes += timed.size
            while self._bytes > self._most:
                self._bytes -= waiting.pop(next(iter(waiting))).size
                self.lost += 1

    def sent(self, order: int, at: float) -> None:
        """Have it written that an order was sent."""
        with self._lock:
            self._pending.sent[order] = at

    def ended(self, order: int, at: float, result: str) -> None:
        """Have it written how an order ended."""
        with self._lock:
            self._pending.ended[order] = at, result

    def to_disk(self, mac: MacAddress) -> None:
        """Have it written that this PC starts its disk at its next boot."""
        with self._lock:
            self._pending.to_disk.add(mac)

    def taken_back(self, mac: MacAddress, now: float, until: float) -> None:
        """Have it written that this PC starts its disk at its next boot, and is left alone until then."""
        with self._lock:
            self._pending.to_disk.add(mac)
            self._pending.respites[mac] = now, until

    @property
    def waiting(self) -> bool:
        """Whether anything is pending."""
        return bool(self._pending)

    def take(self) -> Pending:
        """All that is pending; from now on nothing is."""
        with self._lock:
            taken, self._pending, self._bytes = self._pending, Pending(), 0
        return taken
