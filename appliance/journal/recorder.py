"""Boot events: timed, folded into the clients' current boots, written to the registry, and published.

Events reach the registry in batches (`flush`), so that a thousand booting PCs cost a few commits a second. A client is
registered when it gets past "offered": before, anybody may have made it up (newcomers.py). The boot of a known client,
with its token, is committed before its offer leaves, and that of a new one before its script does: a server that is
killed and started again still knows it.

While the registry cannot be written (disk full, locked, damaged), everything continues from memory, new boots included,
and is written later. A server that is killed meanwhile forgets the boots of that time: those PCs boot again.
"""

import secrets
from collections.abc import Callable, Set
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Address

from appliance.journal.bounds import FORGEABLE, EventBounds, changes
from appliance.journal.codec import encode, encode_state
from appliance.journal.history import opened, read_one
from appliance.journal.newcomers import MOST_NEWCOMERS, Newcomers
from appliance.journal.numbers import ExportNumbers
from appliance.journal.refusals import Refusals
from appliance.journal.timeline import (
    MOST_ADDRESSES,
    STALLED_AFTER,
    AddressLost,
    Boot,
    PowerOnSign,
    Stage,
    continues,
    fold,
    returned,
)
from appliance.registry import forgetting
from appliance.registry.database import Registry
from appliance.registry.records import BootRow, BootState, Client
from appliance.registry.sql_errors import SqlError
from services.decision import Reason
from services.ethernet import MacAddress
from services.events import AddressSeen, Event, Ignored, Reported, Returned, ScriptServed, TokenExchanged

MOST_BOOTS = 10_000
"""Clients whose latest boot is in memory, some 4 kB each: those heard from last, as many as may have exports. Of others
it is read when they are heard again."""

# Events waiting while the registry cannot be written: those of an hour in which 1000 PCs boot. Later ones are kept in
# memory only.
_EVENTS_HELD = 20_000
_BOOTS_HELD = 5_000
# New clients between two looks at whether there are too many.
_FORGET_EVERY = 1000


class Journal:
    """The current boots and the way to the registry.

    `publish(event, boot)` is called with each event and the boot after it. A refusal is published with None instead of
    a boot, once an hour for each client, service and reason, and only as many as a log can bear (refusals.py). It must
    not raise. `mac_of` gives the MAC address of a neighbour, or "".
    """

    def __init__(
        self,
        registry: Registry,
        clock: Callable[[], float],
        publish: Callable[[Event, Boot | None], None],
        mac_of: Callable[[str], str] = lambda _: "",
    ) -> None:
        self.forgot: Callable[[MacAddress, bool], None] = lambda *_: None
        """Called with each client that leaves the memory, and whether it is a newcomer: then it is forgotten."""
        self._registry = registry
        self._clock = clock
        self._publish = publish
        salt = secrets.token_bytes(16)
        self._newcomers = Newcomers(salt, self._forget_newcomer)
        self._refusals = Refusals(registry.ignored(), salt, mac_of)
        self._known = registry.known()
        self._numbers = ExportNumbers(registry)
        self._last_boot = registry.highest()[1]
        self._boots: dict[MacAddress, Boot] = {}
        self._holders: dict[IPv4Address, MacAddress] = {}
        self._clients: dict[MacAddress, Client] = {}
        self._changed_clients: dict[MacAddress, None] = {}
        self._opened: list[BootRow] = []
        self._pending: list[tuple[int, float, str, str]] = []
        # Clients whose boot has changed since its state was written, and such boots that another one has followed.
        self._stale: dict[MacAddress, None] = {}
        self._followed: list[Boot] = []
        self._bounds = EventBounds()
        self._tokens: dict[int, str] = {}  # those got in exchange, by boot
        self._new_clients = _FORGET_EVERY  # look once at the start
        self._said_forgotten: dict[str, object] = {}
        self._failing = False
        self._load()

    def now(self) -> float:
        """The time of the journal's clock, in seconds since the epoch."""
        return self._clock()

    def knows_number(self, value: int) -> bool:
        """Whether the client with this MAC address, as a number, has loaded something at least once."""
        return value in self._known

    def known(self) -> Set[int]:
        """The MAC addresses, as numbers, of all clients that have loaded something at least once."""
        return self._known

    def client(self, mac: MacAddress) -> Client | None:
        """A client that has loaded something at least once, or None."""
        self.boot(mac)
        return self._clients.get(mac)

    def clients(self) -> list[Client]:
        """The clients among `boots` that have loaded something at least once."""
        return list(self._clients.values())

    def boot(self, mac: MacAddress) -> Boot | None:
        """The client's latest boot."""
        found = self._boots.get(mac)
        if found is None and mac.value in self._known:
            found = self._recall(mac)
        return found

    def boots(self) -> list[Boot]:
        """The latest boots of the MOST_BOOTS clients heard from last, and of the newcomers."""
        return list(self._boots.values())

    def open_or_continue(self, sign: PowerOnSign, release: str, *, commit: bool = True) -> Boot:
        """The boot that a sign of a power-on belongs to. A new power-on opens a new boot, with a new token.

        Without `commit` the caller calls `commit` for several boots at once.
        """
        now = self._clock()
        boot = self.boot(sign.mac)
        if boot is None or not continues(boot, sign, now):
            inherited = boot.known_addresses[:MOST_ADDRESSES] if boot else ()
            lost = boot.lost if boot else ()
            vain = returned(boot, sign, now) if boot else None
            if boot and sign.mac in self._stale:
                self._followed = [*self._followed[1 - _BOOTS_HELD :], boot]
            self._boots[sign.mac] = opened(self._open(sign.mac, now, release, " ".join(map(str, inherited))))
            for address in lost:
                self.lose_address(sign.mac, address)
            boot = self._boots[sign.mac]
            if vain is not None:
                boot = self._append(boot, vain, now)
            self._bounds.forget(sign.mac)
        after = self._append(boot, sign, now)
        if commit:
            self.commit()
        return after

    def record(self, event: Event) -> None:
        """Record any other event; events of a client without a boot are dropped."""
        if isinstance(event, Ignored):
            published = self._refusals.add(event, self._clock())
            if published is not None:
                self._publish(published, None)
            return
        if self.boot(event.mac) is None:
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

    def holder(self, address: IPv4Address) -> MacAddress | None:
        """The client that has this address, if any."""
        return self._holders.get(address)

    def lose_address(self, mac: MacAddress, address: IPv4Address) -> None:
        """Note that the client does not have this address, though it did or asks for it."""
        if self._holders.get(address) == mac:
            del self._holders[address]
        self._append(self._boots[mac], AddressLost(mac, address), self._clock())

    def take_address_from_others(self, address: IPv4Address, mac: MacAddress) -> bool:
        """Note that the kernel has seen `mac` at `address`. Returns True if another client loses the address."""
        holder = self._holders.get(address)
        if holder is None or holder == mac:
            return False
        if address not in self._boots[holder].known_addresses:
            # It has booted at another address since.
            del self._holders[address]
            return False
        self.lose_address(holder, address)
        return True

    def commit(self) -> None:
        """Write the boots that were opened."""
        if self._failing or not self._opened:
            return
        try:
            with self._registry.transaction():
                self._write_opened()
            self._opened_written()
        except SqlError:
            # The next `flush` tries again, and raises if that fails.
            self._failing = True

    def flush(self) -> None:
        """Write what is pending, in one commit. After an error (disk full) the next call tries again."""
        newcomers = self._newcomers.unwritten()
        refused, accepted = self._refusals.changes()
        forgotten = {**self._newcomers.forgotten, "refusals": self._refusals.forgotten}
        changed = self._opened or self._changed_clients or self._stale or newcomers or self._newcomers.dropped
        if not (changed or self._tokens or refused or accepted or forgotten != self._said_forgotten):
            return
        self._failing = True
        events = [_row(each.row.id, event, at) for each in newcomers for at, event in each.events]
        latest = (self._boots[mac] for mac in (*self._stale, *(each.row.mac for each in newcomers)))
        with self._registry.transaction():
            self._registry.drop_boots(self._newcomers.dropped)
            self._registry.open_boot(*(each.row for each in newcomers if not each.written))
            self._write_opened()
            self._registry.renew_tokens(self._tokens)
            self._registry.append_events([*events, *self._pending])
            self._registry.save_states(map(_state, (*self._followed, *latest)))
            self._registry.record_ignored(refused, accepted)
            self._registry.set_server("forgotten", forgotten)
        self._failing = False
        self._newcomers.written(newcomers)
        self._refusals.written()
        self._said_forgotten = forgotten
        self._pending, self._stale, self._followed, self._tokens = [], {}, [], {}
        self._opened_written()
        self._forget_clients()
        self._make_room()

    def _load(self) -> None:
        for client in self._registry.clients_heard_last(MOST_BOOTS + MOST_NEWCOMERS):
            self._clients[client.mac] = client
        found = [
            (*read_one(self._registry, row), row) for row in self._registry.latest_boots(MOST_BOOTS + MOST_NEWCOMERS)
        ]
        for boot, folded, row in sorted(found, key=lambda each: each[0].last_event):
            self._boots[boot.mac] = boot
            self._holders.update(dict.fromkeys(boot.known_addresses, boot.mac))
            if folded:
                self._stale[boot.mac] = None
            if boot.known_addresses and boot.has_reached(Stage.SCRIPT):
                self._give_number(boot.mac)
            if boot.mac.value not in self._known:
                self._newcomers.restore(row, boot.last_event)

    def _recall(self, mac: MacAddress) -> Boot | None:
        """The latest boot of a client that has not been heard for long."""
        try:
            client, row = self._registry.client(mac), self._registry.latest_boot(mac)
            boot = read_one(self._registry, row)[0] if row else None
        except SqlError:
            return None
        if client is not None:
            self._clients.setdefault(mac, self._numbers.checked(client))
        if boot is None:
            return None
        self._boots[mac] = boot
        for address in boot.known_addresses:
            if self._holders.setdefault(address, mac) != mac:
                boot = self._append(boot, AddressLost(mac, address), self._clock())
        return boot

    def _forget_clients(self) -> None:
        """Now and then, when many were registered: nothing of them is pending."""
        if self._new_clients < _FORGET_EVERY:
            return
        self._new_clients = 0
        gone = forgetting.forget_clients(self._registry)
        self._known -= gone
        for mac in map(MacAddress, gone):
            if mac in self._boots:
                self._forget(mac)

    def forget_asked(self) -> None:
        """Forget what a person wants forgotten; nothing is pending. A client that is heard meanwhile stays."""
        if asked := forgetting.asked(self._registry):
            since = self._clock() - STALLED_AFTER
            heard = {mac.value for mac, boot in self._boots.items() if boot.last_event > since}
            gone = (asked & self._known) - heard
            forgetting.forget(self._registry, gone)
            self._known -= gone
            for mac in map(MacAddress, gone):
                if mac in self._boots:
                    self._forget(mac)
                self.forgot(mac, True)

    def _make_room(self) -> None:
        """Forget boots that can be recalled: nothing of them is pending."""
        many = len(self._boots) - len(self._newcomers) - MOST_BOOTS
        if many < MOST_BOOTS // 8:
            return
        known = (boot for boot in self._boots.values() if boot.mac not in self._newcomers)
        for boot in sorted(known, key=lambda boot: boot.last_event)[:many]:
            self._forget(boot.mac)
            self.forgot(boot.mac, False)

    def _forget(self, mac: MacAddress) -> None:
        boot = self._boots.pop(mac)
        for address in boot.known_addresses:
            if self._holders.get(address) == mac:
                del self._holders[address]
        self._clients.pop(mac, None)
        self._bounds.forget(mac)

    def _forget_newcomer(self, mac: MacAddress) -> None:
        self._forget(mac)
        self.forgot(mac, True)

    def _open(self, mac: MacAddress, now: float, release: str, inherited: str) -> BootRow:
        self._last_boot += 1
        row = BootRow(self._last_boot, mac, now, secrets.token_urlsafe(18), release, inherited)
        if mac.value in self._known:
            self._opened.append(row)
            del self._opened[:-_BOOTS_HELD]
            return row
        return self._newcomers.open(row)

    def _register(self, mac: MacAddress) -> None:
        """The client has loaded something."""
        newcomer = self._newcomers.leave(mac)
        self._known.add(mac.value)
        self._new_clients += 1
        self._clients[mac] = Client(0, mac, newcomer.row.started, secrets.token_urlsafe(18))
        self._changed_clients[mac] = None
        if not newcomer.written:
            self._opened.append(newcomer.row)
            del self._opened[:-_BOOTS_HELD]
        self._pending += [_row(newcomer.row.id, event, at) for at, event in newcomer.events]

    def _give_number(self, mac: MacAddress) -> None:
        """Its exports need one."""
        client = self._clients.get(mac)
        if client is not None and not client.number:
            self._clients[mac] = replace(client, number=self._numbers.give(self._boots))
            self._changed_clients[mac] = None

    def _write_opened(self) -> None:
        self._numbers.write_taken()
        self._registry.register(*(self._clients[mac] for mac in self._changed_clients))
        self._registry.open_boot(*self._opened)

    def _opened_written(self) -> None:
        self._numbers.written()
        self._opened, self._changed_clients = [], {}

    def _append(self, boot: Boot, event: Event | AddressLost, now: float) -> Boot:
        after = fold(boot, event, now)
        mac = boot.mac
        self._boots[mac] = after
        if after.addresses is not boot.addresses:
            for address in set(boot.addresses).difference(after.addresses):
                if self._holders.get(address) == mac and address not in after.inherited:
                    del self._holders[address]
        # It said nothing new: a repetition, or that the PC is alive.
        again = isinstance(event, Reported) and after.reports == boot.reports
        if again or (isinstance(event, ScriptServed) and self._bounds.is_fetched_again(boot, after, now)):
            return after
        if self._bounds.is_too_much(event, boot, after):
            self.record(Ignored("journal", str(mac), Reason.TOO_MANY_EVENTS))
            return after
        published = self._keep(event, boot, after, now)
        if published and not (isinstance(event, AddressLost | Returned) or self._bounds.repeats_itself(event, now)):
            self._publish(event, after)
        return after

    def _keep(self, event: Event | AddressLost, before: Boot, after: Boot, now: float) -> bool:
        """Have the event written, if it is worth a row. Returns whether it may be published."""
        mac = after.mac
        if mac in self._newcomers:
            if isinstance(event, FORGEABLE):
                return self._newcomers.note(mac, event, now, worth_a_row=changes(before, after))
            self._register(mac)
        if isinstance(event, ScriptServed):
            self._give_number(mac)
        worth = self._bounds.is_worth_a_row(event, before, after)
        if worth and len(self._pending) < _EVENTS_HELD:
            self._pending.append(_row(after.id, event, now))
        if worth or not isinstance(event, FORGEABLE):
            self._stale[mac] = None
        return True


def _row(boot: int, event: Event | AddressLost, now: float) -> tuple[int, float, str, str]:
    return boot, now, type(event).__name__, encode(event)


def _state(boot: Boot) -> BootState:
    return BootState(boot.id, boot.last_event, str(boot.stage or ""), boot.under_way, encode_state(boot))
