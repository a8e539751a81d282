"""A boot as a value: `fold(boot, event, at)` -> the boot after the event. PURE; times are seconds since the epoch.

One boot is one power-on of one client. A firmware DISCOVER opens it, the DISCOVER of the iPXE it loaded continues it.
Where the site's own server names the boot files no DISCOVER need be heard: then the read of the loader opens it, or the
request for the boot script.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import IPv4Address

from services.ethernet import MacAddress
from services.events import (
    AddressSeen,
    Discovered,
    Event,
    Offered,
    Reported,
    ScriptServed,
    TransferFailed,
    TransferProgressed,
    TransferServed,
)

# A client silent for longer is stalled: EDK2 retries DHCP for about a minute, live-boot its mount every few seconds.
STALLED_AFTER = 180.0
# The same xid, or a firmware that retries within its own 4/8/16/32 s schedule, is still the same power-on.
RETRY_WITHIN = 90.0
# From the firmware's offer to iPXE's own DISCOVER, or between two signs of one boot before its kernel runs: the loader
# and the network card's link, a ramdisk over a slow network, a script that is asked for again.
LOADER_WITHIN = 600.0

Sign = Discovered | TransferProgressed | ScriptServed
"""What can be the first that is heard of a power-on: DHCP, the read of a loader, the request for the script."""


class Stage(StrEnum):
    """How far a boot has come, in order."""

    DISCOVERED = "discovered"
    OFFERED = "offered"
    LOADER = "loader"
    SCRIPT = "script"
    KERNEL = "kernel"
    INITRD = "initrd"
    ROOT_MOUNTED = "root mounted"
    REPORTED = "reported"
    ATTACHED = "attached"
    COMPUTING = "computing"
    FAILED = "failed"


ORDER = tuple(Stage)
_FILES = {"vmlinuz": Stage.KERNEL, "initrd.img": Stage.INITRD}
_REPORTS = {
    "root-mounted": Stage.ROOT_MOUNTED,
    "reported": Stage.REPORTED,
    "attached": Stage.ATTACHED,
    "computing": Stage.COMPUTING,
    "failed": Stage.FAILED,
}


@dataclass(frozen=True, slots=True)
class Reached:
    """A stage and when it was reached first."""

    stage: Stage
    at: float


@dataclass(frozen=True, slots=True)
class Transfer:
    """One file on its way to the client; bytes. `failed` says why it ended early."""

    path: str
    service: str
    sent: int
    size: int
    failed: str = ""


@dataclass(frozen=True, slots=True)
class AddressLost:
    """Another client uses this address now. An event of the box, not of a service."""

    mac: MacAddress
    address: IPv4Address


@dataclass(frozen=True, slots=True)
class Boot:
    """One power-on. `addresses` were seen during it, `inherited` during the one before (kept until the script is out,
    so that a forged DISCOVER cannot take a running PC's exports away)."""

    id: int
    mac: MacAddress
    started: float
    token: str
    release: str
    last_event: float
    xid: int = -1
    architecture: int = -1
    reached: tuple[Reached, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    addresses: tuple[IPv4Address, ...] = ()
    inherited: tuple[IPv4Address, ...] = ()
    host_id: str = ""
    failure: str = ""

    @property
    def stage(self) -> Stage | None:
        """The stage the boot is in: the latest reached one, or FAILED."""
        return self.reached[-1].stage if self.reached else None

    def has_reached(self, stage: Stage) -> bool:
        """Whether the boot came as far as `stage` at any time."""
        return any(reached.stage is stage for reached in self.reached)

    @property
    def secrets_spent(self) -> bool:
        """Once userspace has reported, it holds its secrets, and the token opens them no more."""
        return self.has_reached(Stage.REPORTED)

    @property
    def known_addresses(self) -> tuple[IPv4Address, ...]:
        """Where the client may be: what it is exported to."""
        return tuple(dict.fromkeys((*self.addresses, *self.inherited)))

    def stalled(self, now: float) -> bool:
        """Whether nothing was heard for STALLED_AFTER seconds on the way to computing."""
        return self.stage is not Stage.COMPUTING and now - self.last_event > STALLED_AFTER


def continues(boot: Boot | None, sign: Sign, now: float) -> bool:
    """Whether a sign of a power-on belongs to `boot`; if not, it opens a new one.

    A loader or a script that is asked for again before the live system runs may be a mere retry: the token holds, or a
    PC that waits for a file would open a boot every few seconds. Only DHCP tells that a PC was reset meanwhile.
    """
    if boot is None:
        return False
    match sign:
        case TransferProgressed() | ScriptServed():
            return not _past(boot, Stage.ROOT_MOUNTED) and now - boot.last_event < LOADER_WITHIN
        case _ if _past(boot, Stage.SCRIPT):
            return False
        case Discovered(ipxe=True):
            return now - boot.started < LOADER_WITHIN
        case Discovered():
            retried = sign.xid == boot.xid or now - boot.last_event < RETRY_WITHIN
            return not boot.has_reached(Stage.LOADER) and retried


def fold(boot: Boot, event: Event | AddressLost, at: float) -> Boot:
    """The boot after `event`, which happened at `at`."""
    boot = replace(boot, last_event=max(at, boot.last_event))
    match event:
        case Discovered():
            first = boot if boot.xid != -1 else replace(boot, architecture=event.architecture, xid=event.xid)
            return _reach(first, Stage.DISCOVERED, at)
        case Offered():
            return _reach(boot, Stage.OFFERED, at)
        case TransferProgressed():
            return _transfer(boot, Transfer(event.path, event.service, event.sent, event.size))
        case TransferServed():
            served = _transfer(boot, Transfer(event.path, event.service, event.size, event.size))
            name = event.path.rsplit("/", 1)[-1]
            return _reach(served, _FILES.get(name, Stage.LOADER), at)
        case TransferFailed():
            size = next((t.size for t in boot.transfers if t.path == event.path), event.sent)
            return _transfer(boot, Transfer(event.path, event.service, event.sent, size, event.why))
        case ScriptServed():
            return _reach(replace(boot, inherited=()), Stage.SCRIPT, at)
        case AddressSeen():
            return replace(boot, addresses=tuple(dict.fromkeys((*boot.addresses, event.address))))
        case AddressLost():
            return replace(
                boot,
                addresses=tuple(a for a in boot.addresses if a != event.address),
                inherited=tuple(a for a in boot.inherited if a != event.address),
            )
        case Reported():
            return _report(boot, event, at)
        case _:
            return boot


def replay(boot: Boot, events: Iterable[tuple[float, Event | AddressLost]]) -> Boot:
    """The boot after all of the events, given as (at, event)."""
    for at, event in events:
        boot = fold(boot, event, at)
    return boot


def _past(boot: Boot, stage: Stage) -> bool:
    return any(boot.has_reached(later) for later in ORDER[ORDER.index(stage) :])


def _report(boot: Boot, event: Reported, at: float) -> Boot:
    stage = _REPORTS.get(event.stage)
    if stage is None:
        return boot
    if stage is Stage.FAILED:
        return _reach(replace(boot, failure=event.details.get("reason", "no reason given")), stage, at)
    # A report of success after a failure: the live system tried again, and it worked.
    recovered = replace(
        boot,
        failure="",
        reached=tuple(r for r in boot.reached if r.stage is not Stage.FAILED),
        host_id=event.details.get("hostid", boot.host_id),
    )
    return _reach(recovered, stage, at)


def _reach(boot: Boot, stage: Stage, at: float) -> Boot:
    if boot.has_reached(stage):
        return boot
    return replace(boot, reached=(*boot.reached, Reached(stage, at)))


def _transfer(boot: Boot, transfer: Transfer) -> Boot:
    others = tuple(t for t in boot.transfers if t.path != transfer.path)
    return replace(boot, transfers=(*others, transfer))
