"""A boot as a value: `fold(boot, event, at)` -> the boot after the event. PURE; times are seconds since the epoch.

One boot is one power-on of one client. A firmware DISCOVER opens it, the DISCOVER of the iPXE it loaded continues it.
Where the site's own server names the boot files, the box may hear no DISCOVER: then the read of the loader opens the
boot, or the request for the boot script.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address

from services.ethernet import MacAddress
from services.events import (
    AddressSeen,
    Discovered,
    EntryStarted,
    Event,
    LeaseChosen,
    Offered,
    Reported,
    ReportedStage,
    ScriptServed,
    SecretsClosed,
    SecretsServed,
    TokenExchanged,
    TransferFailed,
    TransferProgressed,
    TransferServed,
)
from services.values import replace, value

# A client silent for longer is stalled: EDK2 retries DHCP for about a minute, live-boot its mount every few seconds.
STALLED_AFTER = 180.0
# The same xid, or a firmware that retries within its own 4/8/16/32 s schedule, is still the same power-on.
RETRY_WITHIN = 90.0
# From the firmware's offer to iPXE's own DISCOVER, or between two signs of one boot before its kernel runs. Covers the
# loader, the network card's link, a ramdisk over a slow network, and a repeated request for the script.
LOADER_WITHIN = 600.0
# From GRUB's last byte to its first request: less than a second if it asks us.
GRUB_WITHIN = 30.0

MOST_REPORTS = 32
"""Reports kept for one boot that said something new; those that reach a new stage are kept beyond that."""

MOST_ADDRESSES = 16
"""Addresses kept for one boot; a PC has three at most. Behind a relay anybody can make up more: the latest are kept."""

GRUB = "grubx64.efi"
"""The file that shim starts."""

CURES = (
    "name the box as next-server (siaddr) in the site's DHCP server",
    'let the box be the DHCP server: [dhcp] mode = "server"',
)
"""What helps if a diagnosis says "Secure Boot"."""

ELSEWHERE = ("local", "memtest", "rescue", "reboot")
"""Menu entries that do not lead to computing, so silence after them is normal."""

PowerOnSign = Discovered | TransferProgressed | ScriptServed
"""What can be the first sign of a power-on: DHCP, the read of a loader, the request for the script."""


class Stage(StrEnum):
    """How far a boot has come, in order."""

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
    `closed_until` is set if the token opens no secrets: the stage that the client's next boot must begin with."""

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

    @property
    def stage(self) -> Stage | None:
        """The stage reached last, or FAILED; None before the first."""
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
        return self.stage is not Stage.COMPUTING and self.entry not in ELSEWHERE

    def stalled(self, now: float) -> bool:
        """Whether nothing was heard for STALLED_AFTER seconds of a boot that should end in computing."""
        return self.under_way and now - self.last_event > STALLED_AFTER

    def diagnosis(self, now: float) -> str:
        """Why a boot that fell silent went wrong, in words, or "" if that is not known.

        GRUB 2.06 asks the server that the lease names (siaddr), not the one that it was loaded from. With a proxyDHCP
        server that is the site's own, where it tries for half a minute for each of its files. Seen with Debian 12's
        signed GRUB in OVMF.
        """
        grub = any(t.path == GRUB and t.sent == t.size and not t.failed for t in self.transfers)
        silent = now - self.last_event > GRUB_WITHIN
        if not (grub and silent) or self.leased_by_us or self.has_reached(Stage.SCRIPT):
            return ""
        return f"Secure Boot: GRUB asked {self.dhcp_server or 'another server'}"


def continues(boot: Boot | None, sign: PowerOnSign, now: float) -> bool:
    """Whether a sign of a power-on belongs to `boot`; if not, it opens a new one.

    A loader or a script that is requested again before the live system runs may be a mere retry. The boot and its token
    stay, or a PC that waits for a file would open a boot every few seconds. Only DHCP shows that a PC was reset.
    """
    if boot is None:
        return False
    match sign:
        case TransferProgressed() | ScriptServed():
            live = boot.exchanged or _past(boot, Stage.ROOT_MOUNTED)
            return not live and now - boot.last_event < LOADER_WITHIN
        case _ if _past(boot, Stage.SCRIPT):
            return False
        case Discovered(ipxe=True):
            return now - boot.started < LOADER_WITHIN
        case Discovered():
            retried = sign.xid == boot.xid or now - boot.last_event < RETRY_WITHIN
            return not boot.has_reached(Stage.LOADER) and retried


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
            return replace(boot, last_event=now, architecture=event.architecture, xid=event.xid, reached=reached)
        case Discovered():
            return replace(boot, last_event=now, reached=_reached(boot, Stage.DISCOVERED, at))
        case Offered():
            return replace(boot, last_event=now, reached=_reached(boot, Stage.OFFERED, at))
        case ScriptServed():
            reached = _reached(boot, Stage.SCRIPT, at)
            return replace(boot, last_event=now, inherited=(), lost=(), root=event.root, reached=reached)
    boot = replace(boot, last_event=now)
    match event:
        case TransferProgressed():
            return _transfer(boot, Transfer(event.path, event.service, event.sent, event.size))
        case TransferServed():
            served = _transfer(boot, Transfer(event.path, event.service, event.size, event.size))
            stage = _FILES.get(event.path.rsplit("/", 1)[-1], Stage.LOADER)
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
    # Success after a failure: the live system tried again, and it worked.
    recovered = replace(
        boot,
        failure="",
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
