"""The thread of the control process that switches PCs on: it sends magic packets, and records who came.

appliance/wake/decision.py decides, appliance/wake/requests.py keeps. A try is written down before its packet leaves: a
process that is killed loses a packet, which the next try repeats, and never sends one twice. Whatever fails here is
logged, and tried again.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address

from appliance.allowlist import Allowlist
from appliance.config.file import Config
from appliance.errors import UserError
from appliance.network.interfaces import answered, interfaces
from appliance.registry.database import Registry
from appliance.registry.sql_errors import SqlError
from appliance.schedules import holds, respites
from appliance.wake import presence, requests
from appliance.wake.at_start import to_ask
from appliance.wake.decision import Around, decide, next_due, routed
from appliance.wake.request import WakeRequest, WakeResult
from appliance.wake.windows import WindowsNow
from services.ethernet import MacAddress
from services.linux import broadcasts
from services.linux.interfaces import Interface
from services.rate_limit import RateLimit
from services.wake_on_lan import PORT, magic_packet

LOOK_EVERY = 1.0
"""Seconds between two looks at the requests."""

SHARE = 10.0
"""A look that takes a second of the processor is followed by at least so many seconds without one."""

BEGIN_EVERY = 10.0
"""Seconds between two looks at the windows."""

FORGET_EVERY = 3600.0
COMPLAIN_EVERY = 600.0
STOP_WITHIN = 3.0
_NAMED = 10

log = logging.getLogger("wake")


class Waker:
    """Wakes for one box. `config` returns the configuration in force, `clock` seconds since the epoch; `elapsed` are
    monotonic seconds."""

    def __init__(
        self,
        config: Callable[[], Config],
        clock: Callable[[], float],
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._clock = clock
        self._elapsed = elapsed
        self._pace = _Pace(elapsed)
        self._next_look = self._forget_at = self._begin_at = 0.0
        self._complained: dict[str, float] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, in a thread."""
        self._thread = threading.Thread(target=self._run, name="wake", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End soon. Requests that are open stay."""
        self._stopping.set()
        if self._thread:
            self._thread.join(STOP_WITHIN)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_EVERY):
            try:
                if self._elapsed() >= self._next_look:
                    self.step()
            except (UserError, SqlError, OSError) as error:
                self._complain(f"PCs are not woken now: {error}")
            except Exception:
                log.exception("PCs are not woken now: a fault in netboot-appliance")

    def step(self) -> None:
        """Look once. Raises UserError, SqlError and OSError."""
        config = self._config()
        if not config.registry.exists():
            return
        began = time.thread_time()
        with Registry(config.registry) as registry:
            now = self._clock()
            self._forget_old(registry, now)
            self._begin(config, registry, now)
            if found := requests.open_requests(registry):
                self._work(config, registry, found, now)
        self._next_look = self._elapsed() + SHARE * (time.thread_time() - began)

    def _begin(self, config: Config, registry: Registry, now: float) -> None:
        """Ask for the PCs whose windows have begun."""
        if self._elapsed() < self._begin_at:
            return
        self._begin_at = self._elapsed() + BEGIN_EVERY
        windows = _windows(config, registry, now)
        if not windows.any_begins():
            return
        allowlist = registry.allowlist()
        entries = ((mac, allowlist.decide(mac)) for mac in map(MacAddress, sorted(registry.known())))
        begun = [(mac, windows.beginning(entry) if entry else None) for mac, entry in entries]
        for asked_by, macs in to_ask(begun, requests.asked_last(registry)).items():
            requests.ask(registry, macs, asked_by, now)
            log.info("waking %d PCs, asked by %s", len(macs), asked_by)

    def _work(self, config: Config, registry: Registry, found: Sequence[WakeRequest], now: float) -> None:
        allowlist = registry.allowlist()
        step = decide(found, _around(config, registry, found, allowlist, now), config.wake, now)
        if step.ended:
            _report(found, requests.end(registry, step.ended, now), step.ended, allowlist)
        if step.postponed:
            requests.postpone(registry, step.postponed)
        chosen = self._pace.of(config.wake.per_minute, step.due)
        if not chosen:
            return
        # Without an interface there is nothing to send on, and no try is spent.
        served = interfaces(config)
        requests.note_tries(registry, {each.id: next_due(each, config.wake, now) for each in chosen})
        where = presence.addresses(registry, [each.mac for each in chosen])
        for each in chosen:
            self._send(config, served, allowlist, each.mac, where.get(each.mac, ()))

    def _send(
        self,
        config: Config,
        served: Sequence[Interface],
        allowlist: Allowlist,
        mac: MacAddress,
        addresses: Sequence[IPv4Address],
    ) -> None:
        """To all networks in which the PC may be. One that cannot be reached does not keep the packet from others."""
        entry = allowlist.decide(mac)
        packet = magic_packet(mac, config.wake.password(mac, entry.range, entry.label) if entry else b"")
        for interface in served:
            try:
                broadcasts.send_on(interface, packet, PORT)
            except OSError as error:
                self._complain(f"cannot send magic packets on {interface.name}: {error.strerror}")
        own = [each.address.network for each in served]
        for network in routed(addresses, own, answered(config, served)):
            try:
                broadcasts.send_to(network, packet, PORT)
            except OSError as error:
                self._complain(f"cannot send magic packets to {network}: {error.strerror}")

    def _forget_old(self, registry: Registry, now: float) -> None:
        if self._elapsed() >= self._forget_at:
            self._forget_at = self._elapsed() + FORGET_EVERY
            requests.forget_old(registry, now)

    def _complain(self, words: str) -> None:
        """Once in a while, and not each second."""
        now = self._elapsed()
        if now >= self._complained.get(words, now):
            self._complained = {key: at for key, at in self._complained.items() if at > now}
            self._complained[words] = now + COMPLAIN_EVERY
            log.warning("%s", words)


class _Pace:
    """How many packets may be sent now."""

    def __init__(self, elapsed: Callable[[], float]) -> None:
        self._elapsed = elapsed
        self._sent = elapsed()
        self._per_minute = 0
        self._limit: RateLimit[None] = RateLimit(1, 1, 1)

    def of(self, per_minute: int, due: Sequence[WakeRequest]) -> Sequence[WakeRequest]:
        """The first of these, as far as they may be sent. A process that was just started counts as one that has just
        sent: so however often it starts, it sends no faster."""
        now = self._elapsed()
        if per_minute != self._per_minute:
            rate = per_minute / 60
            burst = max(1.0, rate * LOOK_EVERY)
            self._per_minute, self._limit = per_minute, RateLimit(burst, rate, 1)
            self._limit.take(None, self._sent, burst)
        number = 0
        while number < len(due) and self._limit.take(None, now):
            number, self._sent = number + 1, now
        return due[:number]


def _windows(config: Config, registry: Registry, now: float) -> WindowsNow:
    return WindowsNow(config, list(holds.all_of(registry).values()), now)


def _around(
    config: Config, registry: Registry, found: Sequence[WakeRequest], allowlist: Allowlist, now: float
) -> Around:
    windows = _windows(config, registry, now)
    entries = {each.mac: allowlist.decide(each.mac) for each in found}
    return Around(
        seen=presence.read(registry, now),
        allowed={mac for mac, entry in entries.items() if entry},
        respites=respites.of(registry),
        closed={mac for mac, entry in entries.items() if entry and not windows.open(entry)},
    )


def _report(
    found: Sequence[WakeRequest], ended: Sequence[int], results: dict[int, WakeResult], allowlist: Allowlist
) -> None:
    """Into the log: who came, and by name who did not."""
    by_result: dict[WakeResult, list[str]] = {}
    for each in found:
        if each.id in ended:
            entry = allowlist.decide(each.mac)
            name = f"{entry.label} ({each.mac})" if entry and entry.label else str(each.mac)
            by_result.setdefault(results[each.id], []).append(name)
    for result, names in by_result.items():
        level = logging.WARNING if result is WakeResult.DID_NOT_COME else logging.INFO
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        log.log(level, "woken PCs: %s: %s%s", result, ", ".join(names[:_NAMED]), more)
