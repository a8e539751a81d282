"""The thread that reads what BOINC said in heartbeats, and writes them: once a second, over a connection of its own.

A registry that cannot be written stops nothing: the batch at hand is tried again, and behind it only the latest
heartbeat of each PC waits. A server that is killed loses the heartbeats of the last second. This thread also ends the
orders that nobody fetched, has PCs start their disks that say that they are on their way there, gives those a respite
that their owners took back, and deletes what is too old (appliance/registry/retention.py).
"""

import contextlib
import threading
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import structlog

from appliance.boot import next_boot
from appliance.config.history import HistorySettings
from appliance.errors import UserError
from appliance.heartbeats import days, orders, store
from appliance.heartbeats.days import Counted
from appliance.heartbeats.records import StoredHeartbeat
from appliance.journal.timeline import DISK
from appliance.registry.database import Registry
from appliance.registry.retention import Retention
from appliance.registry.sql_errors import SqlError, explain, is_locked
from appliance.schedules import respites
from appliance.server.pending_heartbeats import Pending, PendingHeartbeats, TimedHeartbeat
from services.boinc.condition import Condition, to_json

EVERY = 1.0
"""Seconds between two batches."""

LAST_WAIT = 10.0
"""How long the last batch waits for the registry, in seconds."""

_LOCK_WAIT = 0.5
_BUSY_FOR = 5.0
"""Seconds after which a lock is reported."""

_AT_ONCE = 64
"""Heartbeats in one commit: while it lasts, the event loop cannot write."""

_BREATH = 0.001
"""Seconds between the readings of two heartbeats: without them the event loop would wait for Python's lock for 5 ms,
again and again (sys.getswitchinterval)."""

_EXPIRE_EVERY = 60.0
_CHECKPOINT_PAGES = 500
"""Half of what SQLite does: so it is this thread that waits for the disk, and not the event loop."""

_UNREAD = "{}"

log = structlog.get_logger("heartbeats")


class HeartbeatWriter:
    """`read_boinc` reads BOINC's answers, with the JSON of what it read before in the same boot (or `{}`), and with
    their moment. `history` gives the settings that are in force. `trouble` says why heartbeats are not written, or
    is empty."""

    def __init__(
        self,
        path: Path,
        pending: PendingHeartbeats,
        read_boinc: Callable[[bytes, str, float], Condition],
        now: Callable[[], float] = time.time,
        history: Callable[[], HistorySettings] = HistorySettings,
    ) -> None:
        self.trouble = ""
        self._path = path
        self._pending = pending
        self._read_boinc = read_boinc
        self._now = now
        self._retention = Retention(history)
        self._registry: Registry | None = None
        self._batch = Pending()  # the one at hand
        self._expire_at = 0.0
        self._failing_since: float | None = None
        self._unread = 0  # heartbeats whose answers could not be read
        self._stop = threading.Event()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeats", daemon=True)

    def start(self) -> None:
        """Write from now on. Returns once the registry is open, so that the server has all its files by then."""
        self._thread.start()
        self._begun.wait(LAST_WAIT)

    def close(self) -> None:
        """Write what is pending, and end. Waits for that."""
        self._stop.set()
        self._thread.join(3 * LAST_WAIT)

    def turn(self, wait: float = _LOCK_WAIT) -> None:
        """Write what is pending; `wait` is how many seconds to wait for a lock. Raises nothing."""
        now = time.monotonic()
        try:
            registry = self._opened()
            registry.wait_for_locks(wait)
            self._write(registry)
            self._batch = self._pending.take()
            self._write(registry)
            if now >= self._expire_at:
                orders.expire(registry, self._now())
                self._expire_at = now + _EXPIRE_EVERY
            self._retention.turn(registry)
        except Exception as error:
            self._failed(error, now)
        else:
            self._failing_since = None
            self._report("")

    def release(self) -> None:
        """Close the registry, if it is open: for the thread of the turns. The next turn opens it again."""
        if self._registry is not None:
            self._registry.close()
            self._registry = None

    def _run(self) -> None:
        # `turn` tries again, and reports it.
        with contextlib.suppress(Exception):
            self._opened()
        self._begun.set()
        while not self._stop.wait(EVERY):
            self.turn()
        self.turn(LAST_WAIT)
        self.release()

    def _opened(self) -> Registry:
        if self._registry is None:
            self._registry = Registry(self._path, durable=False)
            self._registry.sql.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        return self._registry

    def _write(self, registry: Registry) -> None:
        """Write the batch at hand; what is written is no longer in it, whatever fails behind it."""
        batch = self._batch
        if batch.sent or batch.ended:
            orders.record(registry, batch.sent, batch.ended)
            batch.sent.clear()
            batch.ended.clear()
        if batch.to_disk:
            # The event loop reads an edit, so it knows of them before they are back.
            with registry.edit():
                for mac in batch.to_disk:
                    next_boot.write(registry, mac, DISK)
                for mac, (now, until) in batch.respites.items():
                    respites.write(registry, mac, now, until)
            batch.to_disk.clear()
            batch.respites.clear()
        while some := list(islice(batch.heartbeats.values(), _AT_ONCE)):
            read = [self._row(registry, timed) for timed in some]
            with registry.transaction():
                store.write(registry, [row for row, _ in read])
                days.write(registry, [counted for _, counted in read])
            for timed in some:
                del batch.heartbeats[timed.heartbeat.mac.value]

    def _row(self, registry: Registry, timed: TimedHeartbeat) -> tuple[StoredHeartbeat, Counted]:
        heartbeat = timed.heartbeat
        try:
            last = store.latest(registry, heartbeat.mac)
        except UserError:
            last = None  # a damaged row: this heartbeat takes its place
        found = self._read(timed, last.boinc if last and last.boot == timed.boot else _UNREAD)
        said = _UNREAD if found is None else to_json(found)
        row = StoredHeartbeat(heartbeat.mac, timed.boot, timed.at, heartbeat.facts, said)
        return row, days.count(registry, last, row, timed.first, found or Condition())

    def _read(self, timed: TimedHeartbeat, before: str) -> Condition | None:
        """What the PC sends may find a fault of ours: it ends the reading of this heartbeat, and is reported once."""
        time.sleep(_BREATH)
        try:
            return self._read_boinc(timed.heartbeat.boinc, before, timed.at)
        except Exception:
            self._unread += 1
            if self._unread == 1:
                log.exception("what BOINC says cannot be read; the heartbeat is kept", mac=str(timed.heartbeat.mac))
            return None

    def _failed(self, error: Exception, now: float) -> None:
        if self._failing_since is None:
            self._failing_since = now
        if not (self._batch or self._pending.waiting):
            return  # nothing is lost: `RegistrySync` says what is wrong with the registry
        if is_locked(error) and now - self._failing_since < _BUSY_FOR:
            return
        if isinstance(error, SqlError):
            error = explain(self._path, error)
        self._report(error.message if isinstance(error, UserError) else repr(error))

    def _report(self, why: str) -> None:
        if why == self.trouble:
            return
        self.trouble = why
        if why:
            log.error("heartbeats cannot be written; trying again", why=why)
        else:
            log.info("heartbeats can be written again")
