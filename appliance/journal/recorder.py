"""Boot events: timed, folded into the clients' current boots, written to the registry, and published.

Events reach the registry in batches (`flush`), so that a thousand booting PCs cost a few commits a second. A boot
itself, with its token, is committed before its offer leaves: a server that is killed and started again still knows it.

While the registry cannot be written (disk full, locked, damaged), everything continues from memory, new boots included,
and is written later. A server that is killed meanwhile forgets the boots of that time: those PCs boot again.
"""

import json
import secrets
import types
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import fields, replace
from ipaddress import IPv4Address
from operator import attrgetter
from typing import Any, get_args, get_type_hints

from appliance.journal.timeline import MOST_ADDRESSES, AddressLost, Boot, PowerOnSign, continues, fold, replay
from appliance.registry.database import BootRow, Client, IgnoredRow, Registry
from appliance.registry.sql_errors import SqlError
from services.decision import Reason
from services.ethernet import MacAddress
from services.events import (
    AddressSeen,
    Discovered,
    EntryStarted,
    Event,
    Ignored,
    LeaseChosen,
    Offered,
    Reported,
    ScriptServed,
    TokenExchanged,
    TransferFailed,
    TransferProgressed,
    TransferServed,
)

_KINDS: dict[str, type] = {kind.__name__: kind for kind in (*get_args(Event), AddressLost)}
_HINTS = {name: get_type_hints(kind) for name, kind in _KINDS.items()}
# A forger can cause these in the name of a PC as often as it likes. They are written only if they change something, and
# only so many for one boot; a real boot has about ten.
_FORGEABLE = (Discovered, Offered, AddressSeen, LeaseChosen)
_MOST_FORGEABLE = 200
# A PC that was taken over can cause these as often as it likes. Of one boot so many are written and published, and then
# only those that reach a new stage. A slow download has one a second.
_REPEATABLE = (TransferProgressed, TransferServed, TransferFailed, ScriptServed, EntryStarted)
_MOST_REPEATABLE = 2000
# Refusals waiting for the next flush. A flood of strangers can fill this, and nothing else.
_REFUSALS_HELD = 1000
# Events waiting while the registry cannot be written: those of an hour in which 1000 PCs boot. Later ones are kept in
# memory only.
_EVENTS_HELD = 20_000
_BOOTS_HELD = 5_000
# Firmware waits at least a second between DISCOVERs, and counts `secs`. Faster repetitions are published only this
# often (seconds).
_REPEATED_DISCOVER_AFTER = 2.0
# The same for a script that is fetched again: a loader waits ten seconds before it does so.
_REPEATED_SCRIPT_AFTER = 2.0
# A refusal is published once, not for each packet; again if the machine still asks after an hour.
_REPEATED_REFUSAL_AFTER = 3600.0
_JSON_TYPES = (str, int, float, bool, dict)
_content = attrgetter(*(field.name for field in fields(Boot) if field.name != "last_event"))


class Journal:
    """The current boots and the way to the registry.

    `publish(event, boot)` is called with each event and the boot after it. A refusal is published with None instead of
    a boot, once an hour for each client, service and reason. It must not raise.
    """

    def __init__(
        self,
        registry: Registry,
        clock: Callable[[], float],
        publish: Callable[[Event, Boot | None], None],
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._publish = publish
        self._boots = {boot.mac: boot for boot in latest(registry)}
        self._holders = {a: boot.mac for boot in self._boots.values() for a in boot.known_addresses}
        self._clients = {client.mac: client for client in registry.clients()}
        self._last_client, self._last_boot = registry.highest()
        self._registered: list[Client] = []
        self._opened: list[BootRow] = []
        self._pending: list[tuple[int, float, str, str]] = []
        # Progress is for watching: between two flushes only the latest of each file matters.
        self._progress: dict[tuple[int, str], tuple[int, float, str, str]] = {}
        self._forgeable_rows: dict[MacAddress, int] = {}
        self._repeatable_rows: dict[MacAddress, int] = {}
        self._last_discover: dict[MacAddress, tuple[tuple[str, bool, int], float]] = {}
        self._last_script: dict[MacAddress, float] = {}
        self._refused: dict[tuple[str, str, str], IgnoredRow] = {}
        self._refusals_published: dict[tuple[str, str, str], float] = {}
        self._tokens: dict[int, str] = {}  # those got in exchange, by boot
        self._failing = False

    def now(self) -> float:
        """The time of the journal's clock, in seconds since the epoch."""
        return self._clock()

    def client(self, mac: MacAddress) -> Client | None:
        """A client that has booted at least once, or None."""
        return self._clients.get(mac)

    def clients(self) -> list[Client]:
        """All clients that have booted at least once."""
        return list(self._clients.values())

    def boot(self, mac: MacAddress) -> Boot | None:
        """The client's latest boot."""
        return self._boots.get(mac)

    def boots(self) -> list[Boot]:
        """Every client's latest boot."""
        return list(self._boots.values())

    def open_or_continue(self, sign: PowerOnSign, release: str, *, commit: bool = True) -> Boot:
        """The boot that a sign of a power-on belongs to. A new power-on opens a new boot, with a new token.

        Without `commit` the caller calls `commit` for several boots at once.
        """
        now = self._clock()
        boot = self._boots.get(sign.mac)
        if boot is None or not continues(boot, sign, now):
            inherited = boot.known_addresses[:MOST_ADDRESSES] if boot else ()
            self._boots[sign.mac] = _opened(self._open(sign.mac, now, release, " ".join(map(str, inherited))))
            self._forgeable_rows.pop(sign.mac, None)
            self._repeatable_rows.pop(sign.mac, None)
            self._last_discover.pop(sign.mac, None)
            if commit:
                self.commit()
        return self._append(self._boots[sign.mac], sign, now)

    def record(self, event: Event) -> None:
        """Record any other event; events of a client without a boot are dropped."""
        if isinstance(event, Ignored):
            self._refuse(event)
            return
        boot = self._boots.get(event.mac)
        if boot is None:
            return
        if isinstance(event, AddressSeen):
            self.take_address_from_others(event.address, event.mac)
            self._holders[event.address] = event.mac
        self._append(self._boots[event.mac], event, self._clock())

    def exchange_token(self, boot: Boot, event: TokenExchanged) -> Boot:
        """Give the client's boot a new token. The registry has it when this returns, unless it cannot be written."""
        self._tokens[boot.id] = secrets.token_urlsafe(18)
        after = self._append(replace(boot, token=self._tokens[boot.id]), event, self._clock())
        if not self._failing:
            with suppress(SqlError):
                self.flush()
        return after

    def take_address_from_others(self, address: IPv4Address, mac: MacAddress) -> bool:
        """Note that the kernel has seen `mac` at `address`. Returns True if another client loses the address."""
        holder = self._holders.get(address)
        if holder is None or holder == mac:
            return False
        del self._holders[address]
        self._append(self._boots[holder], AddressLost(holder, address), self._clock())
        return True

    def commit(self) -> None:
        """Write the boots that were opened."""
        if self._failing or not self._opened:
            return
        try:
            with self._registry.transaction():
                self._write_opened()
            self._registered, self._opened = [], []
        except SqlError:
            # The next `flush` tries again, and raises if that fails.
            self._failing = True

    def flush(self) -> None:
        """Write what is pending, in one commit. After an error (disk full) the next call tries again."""
        if not (self._opened or self._pending or self._progress or self._refused):
            return
        self._failing = True
        with self._registry.transaction():
            self._write_opened()
            self._registry.renew_tokens(self._tokens)
            self._registry.append_events([*self._progress.values(), *self._pending])
            self._registry.record_ignored(self._refused.values())
        self._failing = False
        self._registered, self._opened, self._pending, self._progress, self._refused = [], [], [], {}, {}
        self._tokens = {}

    def _open(self, mac: MacAddress, now: float, release: str, inherited: str) -> BootRow:
        if mac not in self._clients:
            self._last_client += 1
            self._clients[mac] = Client(self._last_client, mac, now, secrets.token_urlsafe(18))
            self._registered.append(self._clients[mac])
        self._last_boot += 1
        row = BootRow(self._last_boot, mac, now, secrets.token_urlsafe(18), release, inherited)
        self._opened.append(row)
        del self._opened[:-_BOOTS_HELD]
        return row

    def _write_opened(self) -> None:
        self._registry.register(*self._registered)
        self._registry.open_boot(*self._opened)

    def _append(self, boot: Boot, event: Event | AddressLost, now: float) -> Boot:
        after = fold(boot, event, now)
        self._boots[boot.mac] = after
        if after.addresses is not boot.addresses:
            for address in set(boot.addresses).difference(after.addresses):
                if self._holders.get(address) == boot.mac and address not in after.inherited:
                    del self._holders[address]
        if isinstance(event, _FORGEABLE):
            if self._changes_something(boot, after):
                self._keep(boot, event, now)
        elif isinstance(event, Reported) and after.reports == boot.reports:
            return after  # It said nothing new: a repetition, or that the PC is alive.
        elif isinstance(event, ScriptServed) and self._is_fetched_again(boot, after, now):
            return after
        elif isinstance(event, _REPEATABLE) and self._is_too_much(boot, after):
            self._refuse(Ignored("journal", str(boot.mac), Reason.TOO_MANY_EVENTS))
            return after
        else:
            self._keep(boot, event, now)
        if not (isinstance(event, AddressLost) or (isinstance(event, Discovered) and self._repeats_itself(event, now))):
            self._publish(event, after)
        return after

    def _keep(self, boot: Boot, event: Event | AddressLost, now: float) -> None:
        """Write the event with the next flush."""
        if isinstance(event, TransferProgressed):
            self._progress[boot.id, event.path] = _row(boot, event, now)
        elif len(self._pending) < _EVENTS_HELD:
            self._pending.append(_row(boot, event, now))

    def _is_fetched_again(self, before: Boot, after: Boot, now: float) -> bool:
        """Whether the same script was recorded a moment ago."""
        last = self._last_script.get(before.mac, now - _REPEATED_SCRIPT_AFTER)
        if 0 <= now - last < _REPEATED_SCRIPT_AFTER and _content(after) == _content(before):
            return True
        self._last_script[before.mac] = now
        return False

    def _is_too_much(self, before: Boot, after: Boot) -> bool:
        """Whether a boot has had its share of such events, and this one reaches no new stage."""
        count = self._repeatable_rows[before.mac] = self._repeatable_rows.get(before.mac, 0) + 1
        return count > _MOST_REPEATABLE and after.stage is before.stage

    def _changes_something(self, before: Boot, after: Boot) -> bool:
        """Whether an event that anybody may have forged is worth a row."""
        count = self._forgeable_rows.get(before.mac, 0)
        if count >= _MOST_FORGEABLE or _content(after) == _content(before):
            return False
        self._forgeable_rows[before.mac] = count + 1
        return True

    def _repeats_itself(self, event: Discovered, now: float) -> bool:
        """Whether the same DISCOVER of this client was published a moment ago."""
        before, last = self._last_discover.get(event.mac, (None, now))
        content = (event.fingerprint, event.ipxe, event.secs)
        if content == before and 0 <= now - last < _REPEATED_DISCOVER_AFTER:
            return True
        self._last_discover[event.mac] = (content, now)
        return False

    def _refuse(self, event: Ignored) -> None:
        now = self._clock()
        key = (event.client, event.service, event.reason.value)
        before = self._refused.get(key)
        if before is not None:
            self._refused[key] = IgnoredRow(*key, before.first_at, now, before.count + 1)
        elif len(self._refused) < _REFUSALS_HELD:
            self._refused[key] = IgnoredRow(*key, now, now, 1)
        if now - self._refusals_published.get(key, -_REPEATED_REFUSAL_AFTER) >= _REPEATED_REFUSAL_AFTER:
            self._refusals_published.pop(key, None)
            self._refusals_published[key] = now
            if len(self._refusals_published) > _REFUSALS_HELD:
                del self._refusals_published[next(iter(self._refusals_published))]
            self._publish(event, None)


def latest(registry: Registry) -> list[Boot]:
    """Every client's latest boot, folded from the registry."""
    return [_read(registry, row) for row in registry.latest_boots()]


def history(registry: Registry, mac: MacAddress) -> list[Boot]:
    """The client's known boots, oldest first."""
    return [_read(registry, row) for row in registry.boots(mac)]


def _read(registry: Registry, row: BootRow) -> Boot:
    return replay(_opened(row), decoded(registry.events(row.id)))


def _opened(row: BootRow) -> Boot:
    inherited = tuple(IPv4Address(address) for address in row.inherited.split())
    return Boot(row.id, row.mac, row.started, row.token, row.release, last_event=row.started, inherited=inherited)


def _row(boot: Boot, event: Event | AddressLost, now: float) -> tuple[int, float, str, str]:
    return boot.id, now, type(event).__name__, encode(event)


def encode(event: Event | AddressLost) -> str:
    """The event's fields as JSON."""
    values = {name: getattr(event, name) for name in event.__dataclass_fields__}
    return json.dumps({k: v if isinstance(v, _JSON_TYPES) else str(v) for k, v in values.items()})


def decoded(rows: Iterable[tuple[float, str, str]]) -> Iterable[tuple[float, Event | AddressLost]]:
    """Rows of the registry as (at, event); skips kinds that this version does not know."""
    for at, kind, details in rows:
        if kind in _KINDS:
            hints = _HINTS[kind]
            yield at, _KINDS[kind](**{name: _revive(hints[name], v) for name, v in json.loads(details).items()})


def _revive(hint: Any, value: Any) -> Any:
    if hint is MacAddress:
        return MacAddress.parse(value)
    if isinstance(hint, types.GenericAlias) or hint in (str, int, float, bool):
        return value
    return hint(value)
