"""The adaptive responder's memory: the clients whose firmware is watched, and which part of that is stored in the
registry.

Nothing is written while a packet is handled: `flush` later writes all rows of each client that has changed. Another
process may read and delete rows meanwhile (`appliance.firmware.table`); `refresh` notices.
"""

import structlog

from appliance.firmware.knowledge import ClientFirmware, FirmwareKnowledge, Why
from appliance.firmware.rules import DecisionContext, observe
from appliance.firmware.table import Rows, is_stored, read_of, stored, successes, write
from appliance.registry.database import Registry
from appliance.registry.sql_errors import SqlError
from services.dhcp.plan import Profile
from services.ethernet import MacAddress
from services.events import Discovered, Event, Ignored
from services.rate_limit import RateLimit

_LINES_AT_ONCE, _LINES_A_SECOND = 2000, 1.0
"""Log lines about what changes: two rooms that are switched on at once. Made-up clients can cause more."""

log = structlog.get_logger("firmware")


class FirmwareMemory:
    """The clients whose firmware is watched. `shim`: a signed boot loader can be offered."""

    def __init__(self, registry: Registry, shim: bool = False) -> None:
        self.shim = shim
        self._registry = registry
        self._stored = stored(registry)
        self._successes = successes(registry)
        # What is stored of other clients is read when they are heard.
        self._clients: dict[MacAddress, ClientFirmware] = {}
        self._written: dict[MacAddress, Rows] = {}
        self._dirty: set[MacAddress] = set()
        self._gone: set[MacAddress] = set()
        self._lines = RateLimit[None](_LINES_AT_ONCE, _LINES_A_SECOND, 1)
        self._served = float("-inf")

    def profile(self, mac: MacAddress) -> Profile:
        """How to offer this client's firmware its loader, once its DISCOVER has been observed."""
        client = self._clients.get(mac)
        return client.profile if client else Profile.STANDARD

    def observe(self, event: Event, at: float) -> None:
        """Learn from what a service saw; `at` is in seconds since the epoch. Costs microseconds."""
        if isinstance(event, Ignored):
            return
        mac = event.mac
        before = self._clients.get(mac)
        if before is None:
            before = self._recall(mac) if mac.value in self._stored else None
            if before is None and not (isinstance(event, Discovered) and not event.ipxe):
                return
        context = DecisionContext(self.shim, self._successes.best, self._served)
        after = observe(before or ClientFirmware(), event, at, context)
        if after is before:
            return
        self._clients[mac] = after
        if after.started and not (before and before.started):
            self._served = at
        if before and before.firmwares is after.firmwares:
            return
        rows_before, rows = _rows(before) if before else (), _rows(after)
        if rows_before == rows:
            return
        self._successes.count(rows_before, -1)
        self._successes.count(rows)
        if rows != self._written.get(mac, ()):
            self._dirty.add(mac)
            if self._lines.take(None, at):
                _log_changes(mac, rows_before, rows)

    def forget(self, mac: MacAddress, newcomer: bool) -> None:
        """Forget a client because others need its place: a newcomer for good, and others until they are heard again."""
        if mac in self._dirty and not newcomer:
            return
        client = self._clients.pop(mac, None)
        self._dirty.discard(mac)
        if newcomer and (self._written.pop(mac, ()) or mac.value in self._stored):
            self._successes.count(_rows(client) if client else (), -1)
            self._gone.add(mac)
        self._written.pop(mac, None)

    def flush(self) -> None:
        """Write what has changed, in one commit. After an error (disk full) the next call tries again."""
        if not (self._dirty or self._gone):
            return
        with self._registry.transaction():
            for mac in self._gone:
                write(self._registry, mac, ())
            forgotten = [mac for mac in self._dirty if self._written.get(mac) and not is_stored(self._registry, mac)]
            for mac in self._dirty.difference(forgotten):
                write(self._registry, mac, _rows(self._clients[mac]))
        self._stored.difference_update(mac.value for mac in self._gone)
        for mac in self._dirty:
            self._written[mac] = _rows(self._clients[mac])
            self._stored.add(mac.value)
        self._dirty.clear()
        self._gone.clear()
        for mac in forgotten:
            self._drop(mac)

    def refresh(self) -> None:
        """Forget the clients that another process has deleted from the registry."""
        known = stored(self._registry)
        gone = {value for value in self._stored if value not in known}
        if not gone:
            return
        for mac in [mac for mac, rows in self._written.items() if rows and mac.value in gone]:
            self._drop(mac)
        self._stored = known
        self._successes = successes(self._registry)

    def _recall(self, mac: MacAddress) -> ClientFirmware | None:
        try:
            rows = read_of(self._registry, mac)
        except SqlError:
            return None
        if not rows:
            return None
        self._clients[mac] = ClientFirmware(firmwares=rows)
        self._written[mac] = _rows(self._clients[mac])
        return self._clients[mac]

    def _drop(self, mac: MacAddress) -> None:
        log.info("forgot what its firmware accepts", mac=str(mac))
        self._successes.count(_rows(self._clients.pop(mac)), -1)
        self._stored.discard(mac.value)
        del self._written[mac]
        self._dirty.discard(mac)


def _log_changes(mac: MacAddress, before: Rows, after: Rows) -> None:
    for now in set(after).difference(before):
        words = {"mac": str(mac), "profile": now.profile.value, "why": now.why.value, "firmware": now.fingerprint}
        if now.profile is Profile.STANDARD and now.why is Why.REFUSED:
            log.warning("its firmware refuses the boot loader", **words, do="netboot-appliance doctor")
        elif now.worked:
            log.info("its firmware accepts this offer", **words)
        else:
            log.info("its firmware gets another offer", **words)


def _rows(client: ClientFirmware) -> Rows:
    """The client's rows in the registry; its counters are not stored."""
    rows = (FirmwareKnowledge(k.fingerprint, *k.lasting, k.at) for k in client.firmwares if k.worked or k.special)
    return tuple(sorted(rows, key=lambda row: row.fingerprint))
