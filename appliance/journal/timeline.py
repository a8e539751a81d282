"""A boot as a value: `fold(boot, event, at)` -> the boot after the event. PURE; times are seconds since the epoch.

One boot is one power-on of one client. A firmware DISCOVER opens it, the DISCOVER of the iPXE it loaded continues it.
Where the site's own server names the boot files, the box may hear no DISCOVER: then the read of the loader opens the
boot, or the request for the boot script.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address

from services.dhcp.message import BOOT_SERVER_PORT
from services.ethernet import MacAddress
from services.events import (
    AddressSeen,
    CanaryEnded,
    Discovered,
    EntryStarted,
    Event,
    GaveUp,
    LeaseChosen,
    Offered,
    Reported,
    ReportedStage,
    Returned,
    ScriptServed,
    SecretsClosed,
    SecretsServed,
    TokenExchanged,
    TransferFailed,
    TransferProgressed,
    TransferServed,
    WentBack,
)
from services.values import replace, value

# A client silent for longer is stalled: EDK2 retries DHCP for about a minute, live-boot its mount every few seconds.
STALLED_AFTER = 180.0
# The same xid, or a firmware that retries within its own 4/8/16/32 s schedule, is still the same power-on.
RETRY_WITHIN = 90.0
# From the firmware's offer to iPXE's own DISCOVER, or between two signs of one boot before its kernel runs. Covers the
# loader, the network card's link, a ramdisk over a slow network, and a repeated request for the script.
LOADER_WITHIN = 600.0
# A power-on that comes later than this after a boot that failed says nothing about a loop.
RETURNS_WITHIN = 3600.0

MOST_REPORTS = 32
"""Reports kept for one boot that said something new; those that reach a new stage are kept beyond that."""

MOST_ADDRESSES = 16
"""Addresses kept for one boot; a PC has three at most. Behind a relay anybody can make up more: the latest are kept."""

DISK = "local"
ELSEWHERE = (DISK, "memtest", "rescue", "reboot")
"""Menu entries that do not lead to computing, so silence after them is normal."""

PowerOnSign = Discovered | TransferProgressed | ScriptServed
"""What can be the first sign of a power-on: DHCP, the read of a loader, the request for the script."""


class Stage(StrEnum):
    """How far a boot has come, in order. OFF: somebody switched the PC off, and its live system said so."""

    DISCOVERED = "discovered"
    OFFERED = "offered"
    LOADER = "loader"
    SCRIPT = "script"
    KERNEL = "kernel"
    INITRD = "initrd"
    ROOT_MOUNTED = ReportedStage.ROOT_MOUNTED.replace("-", " ")
    REPORTED = ReportedStage.REPORTED
    ATTACHED = ReportedStage.ATTACHED
    COMPUTING = ReportedStage.COMPUTING
    FAILED = ReportedStage.FAILED
    OFF = ReportedStage.OFF


ORDER = tuple(Stage)
_FROM = {stage: frozenset(ORDER[number:]) for number, stage in enumerate(ORDER)}
# The ramdisk fetches the live system of an HTTP root; the next stage, "root mounted", is reported by the PC.
_FILES = {
    "vmlinuz": Stage.KERNEL,
    "initrd.img": Stage.INITRD,
    "filesystem.squashfs": Stage.INITRD,
    "grub.cfg": Stage.SCRIPT,
    "pxelinux.cfg": Stage.SCRIPT,
}
_REPORTS: dict[str, Stage] = {reported: Stage[reported.name] for reported in ReportedStage}


@value
class Reached:
    """A stage, and when it was first reached."""

    stage: Stage
    at: float


@dataclass(frozen=True, slots=True)
class Transfer:
    """One file on its way to the client; sizes in bytes. `failed` says why it ended early."""

    path: str
    service: str
    sent: int
    size: int
    failed: str = ""


@dataclass(frozen=True, slots=True)
class AddressLost:
    """The client does not have this address now: another one has it, or it has moved to another address. The box
    itself emits this, not a service."""

    mac: MacAddress
    address: IPv4Address


@value
class Boot:
    """One power-on. `addresses` were seen during it, `inherited` during the one before. The latter are kept until the
    script is served, so that a forged DISCOVER cannot take a running PC's exports away. `lost` are addresses that
    others had when the PC was silent, or keep although it uses them too: it may get them back. `root` is how the live
    system gets to the PC, "nfs" or "http"; empty before the script. `entry` is the menu entry that it starts, if known.
    `exchanged` is when the live system exchanged its token, 0 if it has not; `spent_token` recognises the old one until
    the new one is used (appliance/boot/policy.py). `reports` counts the reports that said something new.
    `closed_until` is set if the token opens no secrets: the stage that the client's next boot must begin with.
    `ipxe_asked` and `ramdisk_spoke` are when iPXE asked for an address and when the live system's ramdisk reported
    first, 0 if they have not. `chose_us`: it asked port 4011 for its loader. `remark` is what the ramdisk
    found strange. `returned` is about the boots before."""

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
    lost: tuple[IPv4Address, ...] = ()
    root: str = ""
    entry: str = "boinc"
    host_id: str = ""
    failure: str = ""
    dhcp_server: IPv4Address | None = None
    leased_by_us: bool = False
    exchanged: float = 0.0
    spent_token: str = ""
    reports: int = 0
    closed_until: str = ""
    ipxe_asked: float = 0.0
    ramdisk_spoke: float = 0.0
    chose_us: bool = False
    remark: str = ""
    returned: Returned | None = None

    @property
    def stage(self) -> Stage | None:
        """The stage reached last, or FAILED or OFF; None before the first."""
        return self.reached[-1].stage if self.reached else None

    def has_reached(self, stage: Stage) -> bool:
        """Whether the boot reached `stage` at any time."""
        return stage in [reached.stage for reached in self.reached]

    @property
    def secrets_spent(self) -> bool:
        """Whether userspace has reported. It has its secrets by then, and the token no longer opens them."""
        return self.has_reached(Stage.REPORTED)

    @property
    def next_begins_with(self) -> Stage | None:
        """What the client's next boot must begin with, at the latest, if its token is to open secrets; None: anything.

        Programs of the PC run once userspace has reported, or soon after it exchanged its token. They can ask for a
        script again, too. But if this PC's boots begin with a DISCOVER that we hear, then a script without one does not
        come from a power-on.
        """
        if self.closed_until:
            return Stage(self.closed_until)
        return self.reached[0].stage if self.secrets_spent or self.exchanged else None

    @property
    def known_addresses(self) -> tuple[IPv4Address, ...]:
        """Where the client may be: the addresses that its exports name."""
        return tuple(dict.fromkeys((*self.addresses, *self.inherited))) if self.inherited else self.addresses

    @property
    def under_way(self) -> bool:
        """Whether the boot should end in computing, and has not yet."""
        return self.stage not in (Stage.COMPUTING, Stage.OFF) and self.entry not in ELSEWHERE

    def stalled(self, now: float) -> bool:
        """Whether nothing was heard for STALLED_AFTER seconds of a boot that should end in computing."""
        return self.under_way and now - self.last_event > STALLED_AFTER


def continues(boot: Boot | None, sign: PowerOnSign, now: float) -> bool:
    """Whether a sign of a power-on belongs to `boot`; if not, it opens a new one.

    A loader or a script that is requested again before the live system runs may be a mere retry. The boot and its token
    stay, or a PC that waits for a file would open a boot every few seconds. Only DHCP shows that a PC was reset.
    """
    if boot is None:
        return False
    match sign:
        case TransferProgressed() | ScriptServed():
            live = boot.exchanged or (_past(boot, Stage.ROOT_MOUNTED) and boot.entry != DISK)
            return not live and now - boot.last_event < LOADER_WITHIN
        case _ if _past(boot, Stage.SCRIPT):
            return False
        case Discovered(ipxe=True):
            return now - boot.started < LOADER_WITHIN
        case Discovered():
            retried = sign.xid == boot.xid or now - boot.last_event < RETRY_WITHIN
            return not boot.has_reached(Stage.LOADER) and retried


def returned(before: Boot, sign: PowerOnSign, now: float) -> Returned | None:
    """What to keep of the boot before, when a new one begins; None if that one was well, or was long ago."""
    if before.secrets_spent or not before.under_way or not 0 <= now - before.last_event < RETURNS_WITHIN:
        return None
    times, since = (before.returned.times, before.returned.since) if before.returned else (0, before.started)
    file = before.transfers[-1].path if before.transfers else ""
    return Returned(sign.mac, times + 1, since, str(before.stage or ""), file, round(now - before.last_event, 3))


def is_late(sign: PowerOnSign, begins_with: Stage | None) -> bool:
    """Whether a boot that begins with this sign should have begun with an earlier stage."""
    match sign:
        case Discovered():
            return False
        case TransferProgressed():
            return begins_with is Stage.DISCOVERED
        case ScriptServed():
            return begins_with in (Stage.DISCOVERED, Stage.LOADER)


def fold(boot: Boot, event: Event | AddressLost, at: float) -> Boot:
    """The boot after `event`, which happened at `at`."""
    # A room that is switched on brings a thousand of the first cases at once: they copy the boot only once.
    now = max(at, boot.last_event)
    match event:
        case Discovered() if boot.xid == -1:
            reached = _reached(boot, Stage.DISCOVERED, at)
            asked = at if event.ipxe else 0.0
            known = {"architecture": event.architecture, "xid": event.xid, "ipxe_asked": asked}
            return replace(boot, last_event=now, reached=reached, **known)
        case Discovered():
            reached, asked = _reached(boot, Stage.DISCOVERED, at), boot.ipxe_asked or (at if event.ipxe else 0.0)
            return replace(boot, last_event=now, ipxe_asked=asked, reached=reached)
        case Offered():
            chose = boot.chose_us or event.port == BOOT_SERVER_PORT
            return replace(boot, last_event=now, chose_us=chose, reached=_reached(boot, Stage.OFFERED, at))
        case ScriptServed():
            reached = _reached(boot, Stage.SCRIPT, at)
            return replace(boot, last_event=now, inherited=(), lost=(), root=event.root, reached=reached)
        case CanaryEnded():
            return boot  # no sign of the PC itself
    boot = replace(boot, last_event=now)
    match event:
        case TransferProgressed():
            return _transfer(boot, Transfer(event.path, event.service, event.sent, event.size))
        case TransferServed():
            served = _transfer(boot, Transfer(event.path, event.service, event.size, event.size))
            stage = stage_of_file(event.path)
            # Any other file after the script is a program that it starts.
            after_script = stage is Stage.LOADER and served.has_reached(Stage.SCRIPT)
            return served if after_script else _reach(served, stage, at)
        case TransferFailed():
            size = next((t.size for t in boot.transfers if t.path == event.path), event.sent)
            return _transfer(boot, Transfer(event.path, event.service, event.sent, size, event.why))
        case EntryStarted():
            return replace(boot, entry=event.entry)
        case AddressSeen():
            if event.address in boot.addresses:
                return boot
            return replace(
                boot,
                addresses=(*boot.addresses, event.address)[-MOST_ADDRESSES:],
                lost=tuple(a for a in boot.lost if a != event.address),
            )
        case LeaseChosen():
            return replace(boot, dhcp_server=event.server, leased_by_us=event.ours)
        case AddressLost():
            return replace(
                boot,
                addresses=tuple(a for a in boot.addresses if a != event.address),
                inherited=tuple(a for a in boot.inherited if a != event.address),
                lost=(*(a for a in boot.lost if a != event.address), event.address)[-MOST_ADDRESSES:],
            )
        case TokenExchanged():
            return replace(boot, exchanged=at, spent_token=event.spent)
        case SecretsClosed():
            return replace(boot, closed_until=event.until)
        case Returned():
            return replace(boot, returned=event)
        case GaveUp():
            why = f"the live system did not come up in {event.times} boots in a row: this one starts the PC's own disk"
            return _reach(replace(boot, entry=DISK, failure=why), Stage.FAILED, at)
        case WentBack():
            return replace(boot, release=event.release)
        case SecretsServed():
            return replace(boot, spent_token="")
        case Reported():
            return _report(replace(boot, spent_token=""), event, at)
        case _:
            return boot


def replay(boot: Boot, events: Iterable[tuple[float, Event | AddressLost]]) -> Boot:
    """The boot after all of the events, given as (at, event)."""
    for at, event in events:
        boot = fold(boot, event, at)
    return boot


def stage_of_file(path: str) -> Stage:
    """The stage that a boot comes to with this file."""
    return _FILES.get(path.rsplit("/", 1)[-1], Stage.LOADER)


def reaches_new_stage(boot: Boot, report: Reported) -> bool:
    """Whether the report says that the boot has come to a stage, or to a failure, that it has not reached yet."""
    stage = _REPORTS.get(report.stage)
    return stage is not None and not boot.has_reached(stage)


def _past(boot: Boot, stage: Stage) -> bool:
    return any(reached.stage in _FROM[stage] for reached in boot.reached)


def _report(boot: Boot, event: Reported, at: float) -> Boot:
    stage = _REPORTS.get(event.stage)
    if stage is None:
        return boot
    if stage is Stage.FAILED:
        failed = _reach(replace(boot, failure=event.details.get("reason", "no reason given")), stage, at)
        return _counted(boot, failed)
    if stage is Stage.OFF:
        return _counted(boot, _reach(boot, stage, at))
    # Success after a failure: the live system tried again, and it worked.
    spoke = at if stage is Stage.INITRD else 0.0
    recovered = replace(
        boot,
        failure="",
        ramdisk_spoke=boot.ramdisk_spoke or spoke,
        remark=event.details.get("reason", boot.remark),
        reached=tuple(r for r in boot.reached if r.stage is not Stage.FAILED),
        host_id=event.details.get("hostid", boot.host_id),
    )
    return _counted(boot, _reach(recovered, stage, at))


def _counted(before: Boot, after: Boot) -> Boot:
    return before if after == before else replace(after, reports=before.reports + 1)


def _reach(boot: Boot, stage: Stage, at: float) -> Boot:
    reached = _reached(boot, stage, at)
    return boot if reached is boot.reached else replace(boot, reached=reached)


def _reached(boot: Boot, stage: Stage, at: float) -> tuple[Reached, ...]:
    return boot.reached if boot.has_reached(stage) else (*boot.reached, Reached(stage, at))


def _transfer(boot: Boot, transfer: Transfer) -> Boot:
    others = tuple(t for t in boot.transfers if t.path != transfer.path)
    return replace(boot, transfers=(*others, transfer))
