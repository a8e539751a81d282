"""Keeps the server and its registry in step: writes what is pending, and reads what the CLI committed.

An unwritable registry stops nothing: everything continues from memory, and is written once that is possible again. The
log and systemd's status line report this once. Nothing here waits: another process may hold the write lock.
"""

import structlog

from appliance.errors import UserError
from appliance.journal.recorder import Journal
from appliance.registry.database import Registry
from appliance.registry.sql_errors import SqlError, explain, is_locked
from appliance.server.box import Box
from services.dhcp.lease_server import LeaseServer

LOCK_WAIT = 0.01
"""How long one turn waits for the write lock, in seconds. No PC gets an answer meanwhile."""

LAST_WAIT = 10.0
"""How long the last turn waits for it, in seconds. PCs get no more answers by then."""

_BUSY_FOR = 2.0
"""Seconds after which a lock is reported: each verb that writes holds it for a moment."""

log = structlog.get_logger("serve")


class RegistrySync:
    """`trouble` says why the registry cannot be written, or is empty."""

    def __init__(self, registry: Registry, box: Box, journal: Journal, leases: LeaseServer | None = None) -> None:
        self.trouble = ""
        self._registry = registry
        self._box = box
        self._journal = journal
        self._leases = leases
        self._failing_since: float | None = None
        self._unread = False  # something has changed, and not all of it could be read
        registry.wait_for_locks(LOCK_WAIT)

    def turn(self, now: float) -> None:
        """Write what is pending and read what has changed; `now` is in monotonic seconds. Raises nothing."""
        try:
            self._write()
            self._read()
        except Exception as error:
            self._failed(error, now)
            return
        self._failing_since = None
        gone = not self._registry.in_place()
        self._report(
            f"the registry {self._registry.path} was deleted or replaced" if gone else "",
            "restore a backup or put the file back, then: systemctl restart netboot-appliance",
        )

    def close(self) -> None:
        """Write for the last time; raises the error that prevents it."""
        self._registry.wait_for_locks(LAST_WAIT)
        self._write()

    def _write(self) -> None:
        if self._leases is not None:
            self._leases.flush()
        self._journal.flush()
        self._box.firmware.flush()
        self._box.heartbeats.flush()
        self._box.counters.flush()
        self._registry.flush_server()

    def _read(self) -> None:
        if self._unread or self._registry.changed():
            self._unread = True
            self._journal.forget_asked()
            self._box.refresh_allowlist()
            self._box.firmware.refresh()
            self._box.heartbeats.refresh()
            self._box.next_boots.refresh()
            self._box.refresh_windows()
            self._unread = False
            log.info("allowlist read", entries=len(self._box.allowlist))

    def _failed(self, error: Exception, now: float) -> None:
        if self._failing_since is None:
            self._failing_since = now
        if is_locked(error) and now - self._failing_since < _BUSY_FOR:
            return
        if isinstance(error, UserError):
            self._report(error.message, error.hint)
        elif isinstance(error, SqlError):
            known = explain(self._registry.path, error)
            self._report(known.message, known.hint)
        else:
            self._report(f"the registry cannot be used: {error!r}", "please report this with the log", error)

    def _report(self, trouble: str, hint: str, error: Exception | None = None) -> None:
        if trouble == self.trouble:
            return
        self.trouble = trouble
        if trouble:
            log.error(
                "cannot write the registry; PCs still boot; trying again",
                why=trouble,
                do=hint,
                exc_info=error,
            )
        else:
            log.info("the registry can be written again")
