"""The adaptive responder's memory: the clients whose firmware is watched, and which part of that is stored in the
registry.

Nothing is written while a packet is handled: `flush` later writes all rows of each client that has changed. Another
process may read and delete rows meanwhile (`appliance.firmware.table`); `refresh` notices.
"""

from itertools import chain

import structlog

from appliance.firmware.knowledge import ClientFirmware, FirmwareKnowledge, Why, most_successful_profile
from appliance.firmware.rules import DecisionContext, observe
from appliance.firmware.table import Rows, read, stored, write
from appliance.registry.database import Registry
from services.dhcp.plan import Profile
from services.ethernet import MacAddress
from services.events import Discovered, Event, Ignored
from services.rate_limit import RateLimit

_MOST_CACHED = 256
"""Fingerprints whose first profile is cached, until something new is learned: a room has a few."""

_LINES_AT_ONCE, _LINES_A_SECOND = 2000, 1.0
"""Log lines about what changes: two rooms that are switched on at once. Made-up clients can cause more."""

log = structlog.get_logger("firmware")


class FirmwareMemory:
    """The clients whose firmware is watched. `shim`: a signed boot loader can be offered."""

    def __init__(self, registry: Registry, shim: bool) -> None:
        self._registry = registry
        self._shim = shim
        self._clients = {mac: ClientFirmware(firmwares=rows) for mac, rows in read(registry).items()}
        self._written = {mac: _rows(client) for mac, client in self._clients.items()}
        self._dirty: set[MacAddress] = set()
        self._gone: set[MacAddress] = set()
        self._lines = RateLimit[None](_LINES_AT_ONCE, _LINES_A_SECOND, 1)
        self._served = float("-inf")
        self._first_profiles: dict[str, Profile] = {}

    def profile(self, mac: MacAddress) -> Profile:
        """How to offer this client's firmware its loader, once its DISCOVER has been observed."""
        client = self._clients.get(mac)
        return client.profile if client else Profile.STANDARD

    def observe(self, event: Event, at: float) -> None:
        """Learn from what a service saw; `at` is in seconds since the epoch. Costs microseconds."""
        if isinstance(event, Ignored):
            return
        before = self._clients.get(event.mac)
        if before is None and not (isinstance(event, Discovered) and not event.ipxe):
            return
        context = DecisionContext(self._shim, self._start, self._served)
        after = observe(before or ClientFirmware(), event, at, context)
        if after is before:
            return
        self._clients[event.mac] = after
        if after.started and not (before and before.started):
            self._served = at
        if (before and before.firmwares is after.firmwares) or _relevant(before) == _relevant(after):
            return
        if _worked(before) != _worked(after):
            self._first_profiles.clear()
        if _rows(after) != self._written.get(event.mac, ()):
            self._dirty.add(event.mac)
            if self._lines.take(None, at):
                _log_changes(event.mac, _rows(before) if before else (), _rows(after))

    def forget(self, mac: MacAddress) -> None:
        """Forget a client that has never loaded anything, because others need its place."""
        self._clients.pop(mac, None)
        self._dirty.discard(mac)
        if self._written.pop(mac, ()):
            self._gone.add(mac)

    def flush(self) -> None:
        """Write what has changed, in one commit. After an error (disk full) the next call tries again."""
        if not (self._dirty or self._gone):
            return
        with self._registry.transaction():
            for mac in self._gone:
                write(self._registry, mac, ())
            forgotten = [mac for mac in self._dirty if self._written.get(mac) and not stored(self._registry, mac)]
            for mac in self._dirty.difference(forgotten):
                write(self._registry, mac, _rows(self._clients[mac]))
        for mac in self._dirty:
            self._written[mac] = _rows(self._clients[mac])
        self._dirty.clear()
        self._gone.clear()
        for mac in forgotten:
            self._drop(mac)

    def refresh(self) -> None:
        """Forget the clients that another process has deleted from the registry."""
        known = read(self._registry)
        for mac in [mac for mac, rows in self._written.items() if rows and mac not in known]:
            self._drop(mac)

    def _drop(self, mac: MacAddress) -> None:
        log.info("forgot what its firmware accepts", mac=str(mac))
        self._first_profiles.clear()
        del self._clients[mac], self._written[mac]
        self._dirty.discard(mac)

    def _start(self, fingerprint: str) -> Profile:
        found = self._first_profiles.get(fingerprint)
        if found is None:
            everything = chain.from_iterable(client.firmwares for client in self._clients.values())
            if len(self._first_profiles) >= _MOST_CACHED:
                self._first_profiles.clear()
            found = self._first_profiles[fingerprint] = most_successful_profile(everything, fingerprint)
        return found


def _log_changes(mac: MacAddress, before: Rows, after: Rows) -> None:
    for now in set(after).difference(before):
        words = {"mac": str(mac), "profile": now.profile.value, "why": now.why.value, "firmware": now.fingerprint}
        if now.profile is Profile.STANDARD and now.why is Why.REFUSED:
            log.warning("its firmware refuses the boot loader", **words, do="netboot-appliance doctor")
        elif now.worked:
            log.info("its firmware accepts this offer", **words)
        else:
            log.info("its firmware gets another offer", **words)


def _relevant(client: ClientFirmware | None) -> list[tuple[str, Profile, bool, Why]]:
    """The part of a client that decides what is stored."""
    known = client.firmwares if client else ()
    return sorted((k.fingerprint, k.profile, k.worked, k.why) for k in known if k.worked or k.special)


def _worked(client: ClientFirmware | None) -> list[tuple[str, Profile]]:
    """The part of a client that decides what others begin with."""
    return sorted((k.fingerprint, k.profile) for k in (client.firmwares if client else ()) if k.worked)


def _rows(client: ClientFirmware) -> Rows:
    """The client's rows in the registry; its counters are not stored."""
    rows = (FirmwareKnowledge(k.fingerprint, *k.lasting, k.at) for k in client.firmwares if k.worked or k.special)
    return tuple(sorted(rows, key=lambda row: row.fingerprint))
