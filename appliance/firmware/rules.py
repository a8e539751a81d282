"""The adaptive responder: which reply profile a client gets next, given how it reacted to earlier offers. PURE.

`observe(client, event, at, context)` -> the client after the event; times are seconds since the epoch. Each firmware of
a client is judged by itself. services/dhcp/ decides what a profile changes on the wire; policy.py decides who may boot.
The signals, and why there are no others: docs/adr/0007-adaptive-responder.md.
"""

from collections.abc import Callable

from appliance.config.loaders import dialect
from appliance.firmware.knowledge import AttemptStage, ClientFirmware, FirmwareAttempt, FirmwareKnowledge, Why
from services.dhcp.machines import MACHINES, Machine
from services.dhcp.message import BOOT_SERVER_PORT
from services.dhcp.plan import Profile
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
from services.menus.menu import Dialect
from services.values import replace, value

GIVE_UP_AFTER = 2
"""Ignored offers, or whole boots that failed, before another profile is tried."""
# Two relays, or a relay and the broadcast itself, deliver one DISCOVER twice within milliseconds.
DUPLICATE_WITHIN = 2.0
# Firmware waits 4, 8, 16 and 32 s between the DISCOVERs of one series (EDK2, and most ROMs).
RETRY_WITHIN = 90.0
# A copy of a DISCOVER that comes this soon after the loader was fetched is a late copy, not a new boot.
LATE_WITHIN = 5.0
# A PC with a BIOS and a UEFI boot entry has two. A forger who makes up more pushes out the made-up ones.
FIRMWARES = 4

_UEFI = (Profile.STANDARD, Profile.VENDOR_OPTIONS, Profile.DELAYED)
ORDERS: dict[Machine, tuple[Profile, ...]] = {
    Machine.BIOS: (Profile.STANDARD, Profile.PLAIN, Profile.DELAYED),
    Machine.UEFI_IA32: _UEFI,
    Machine.UEFI_X64: _UEFI,
    Machine.UEFI_ARM64: _UEFI,
}
"""What is tried where offers are ignored: in this order, then from the beginning. SHIM is not in it: it exists for UEFI
x64 only, and does not help against ignored offers."""
_STANDARD_ONLY = (Profile.STANDARD,)
_LOADERS = (".efi", ".kpxe", ".pxe", ".0")


@value
class DecisionContext:
    """What a decision needs to know besides the client. `shim`: a signed loader can be offered; `start`: the profile to
    begin with for a fingerprint; `served`: when a boot loader of ours last ran, on any PC."""

    shim: bool
    start: Callable[[str], Profile]
    served: float


def observe(client: ClientFirmware, event: Event, at: float, context: DecisionContext) -> ClientFirmware:
    """The client after one of its own events, which happened at `at`; the same object when nothing changed."""
    if isinstance(event, Discovered) and not event.ipxe:
        return _discovered(client, event, at, context)
    attempt = client.attempt
    if attempt is None:
        return client
    match event:
        case Offered():
            return _offered(client, attempt, event, at)
        case AddressSeen() if attempt.offers and not attempt.leased:
            return replace(client, attempt=replace(attempt, leased=True))
        case TransferProgressed() | TransferFailed() if _is_loader(event.path):
            return _reached(client, replace(attempt, stage=max(attempt.stage, AttemptStage.LOADING)), at)
        case TransferServed() if _is_loader(event.path) and attempt.stage < AttemptStage.STARTED:
            name = event.path.rsplit("/", 1)[-1]
            return _reached(client, replace(attempt, stage=AttemptStage.LOADED, loader=name, loaded=at), at)
        # Firmware fetches only loaders, so a boot loader made this request.
        case Discovered() | ScriptServed() | Reported() | TransferProgressed() | TransferServed():
            return _started(client, attempt, at)
        case _:
            return client


def _discovered(client: ClientFirmware, event: Discovered, at: float, context: DecisionContext) -> ClientFirmware:
    attempt = client.attempt
    if attempt and _is_copy(attempt, event, at):
        return client
    machine = MACHINES.get(event.architecture)
    if attempt and _continues(attempt, event, at):
        attempt = replace(attempt, secs=event.secs, at=at, pending=True)
    else:
        if attempt and (known := client.of(attempt.fingerprint)):
            client = _remember(client, _after_attempt(known, attempt, context), at)
        attempt = FirmwareAttempt(event.fingerprint, machine, event.http, event.xid, event.secs, began=at, at=at)
    known = _recall(client, attempt, context)
    if known.ignored_offers >= GIVE_UP_AFTER and not known.worked:
        known = _next_profile(known, attempt)
    return ClientFirmware(attempt, _remember(client, known, at).firmwares)


def _is_copy(attempt: FirmwareAttempt, event: Discovered, at: float) -> bool:
    if (attempt.fingerprint, attempt.xid) != (event.fingerprint, event.xid):
        return False
    if attempt.stage >= AttemptStage.LOADED:
        return at - attempt.loaded < LATE_WITHIN
    return event.secs == attempt.secs and at - attempt.at < DUPLICATE_WITHIN


def _continues(attempt: FirmwareAttempt, event: Discovered, at: float) -> bool:
    """Whether this is the next DISCOVER of a series. Some ROMs never change their xid: then `secs` starts again."""
    same = (attempt.fingerprint, attempt.xid) == (event.fingerprint, event.xid)
    return same and attempt.stage is AttemptStage.NONE and event.secs >= attempt.secs and at - attempt.at < RETRY_WITHIN


def _recall(client: ClientFirmware, attempt: FirmwareAttempt, context: DecisionContext) -> FirmwareKnowledge:
    known = client.of(attempt.fingerprint)
    if known is None:
        start = context.start(attempt.fingerprint)
        usual = start is Profile.STANDARD or (start is Profile.SHIM and not context.shim)
        return (
            FirmwareKnowledge(attempt.fingerprint)
            if usual
            else FirmwareKnowledge(attempt.fingerprint, start, why=Why.SAME_FIRMWARE)
        )
    if known.profile is Profile.SHIM and not context.shim:
        return _try_profile(known, Profile.STANDARD, Why.REFUSED)
    if known.why is Why.REFUSED and known.profile is not Profile.SHIM and _may_use_shim(attempt, context):
        return _try_profile(known, Profile.SHIM, Why.REFUSED)
    return known


def _may_use_shim(attempt: FirmwareAttempt, context: DecisionContext) -> bool:
    # Debian's signed GRUB reads its files by TFTP only, which a machine that boots from a URL has not set up.
    return context.shim and attempt.machine is Machine.UEFI_X64 and not attempt.http


def _after_attempt(known: FirmwareKnowledge, attempt: FirmwareAttempt, context: DecisionContext) -> FirmwareKnowledge:
    """What is known after an attempt has ended: the firmware starts again."""
    match attempt.stage:
        case AttemptStage.LOADED:
            return _refused(known, attempt, context)
        case AttemptStage.ASKED:
            return _failed(known, attempt)
        case AttemptStage.NONE if known.worked:
            # A quick reset is not a whole boot. And where no PC boots at all, the site's DHCP server is down, which
            # says nothing against this profile.
            whole_boot = attempt.offers >= GIVE_UP_AFTER or (attempt.offers and attempt.leased)
            dhcp_alive = attempt.leased or context.served > attempt.began
            return _failed(known, attempt) if whole_boot and dhcp_alive else known
        case _:
            return known


def _failed(known: FirmwareKnowledge, attempt: FirmwareAttempt) -> FirmwareKnowledge:
    known = replace(known, failed_boots=known.failed_boots + 1)
    return _next_profile(known, attempt) if known.failed_boots >= GIVE_UP_AFTER else known


def _refused(known: FirmwareKnowledge, attempt: FirmwareAttempt, context: DecisionContext) -> FirmwareKnowledge:
    """It fetched the whole loader, and asks for one again."""
    failures = known.failed_boots + 1
    if dialect(attempt.loader) is not Dialect.IPXE:
        # The signed chain. If that is the configured loader there is nothing else to try.
        if known.profile is not Profile.SHIM or failures < GIVE_UP_AFTER:
            return replace(known, failed_boots=failures)
        return _try_profile(known, Profile.STANDARD, Why.NEITHER)
    if attempt.machine in (None, Machine.BIOS):
        return known
    if known.worked and failures < GIVE_UP_AFTER:
        return replace(known, failed_boots=failures)
    if _may_use_shim(attempt, context):
        return _try_profile(known, Profile.SHIM, Why.REFUSED)
    return replace(known, why=Why.REFUSED, failed_boots=failures)


def _next_profile(known: FirmwareKnowledge, attempt: FirmwareAttempt) -> FirmwareKnowledge:
    """The next profile of the order; the first, if the present one does not come from the order."""
    order = _STANDARD_ONLY if attempt.http or attempt.machine is None else ORDERS.get(attempt.machine, _STANDARD_ONLY)
    at = order.index(known.profile) if known.profile in order and known.why is not Why.SAME_FIRMWARE else -1
    profile = order[(at + 1) % len(order)]
    all_tried = known.why is Why.IGNORED_ALL or at + 1 == len(order)
    return _try_profile(known, profile, Why.IGNORED_ALL if all_tried else Why.IGNORED)


def _try_profile(known: FirmwareKnowledge, profile: Profile, why: Why) -> FirmwareKnowledge:
    return replace(known, profile=profile, worked=False, why=why, ignored_offers=0, failed_boots=0)


def _offered(client: ClientFirmware, attempt: FirmwareAttempt, event: Offered, at: float) -> ClientFirmware:
    if attempt.pending:
        # Where port 67 belongs to another server, this answers the question on 4011 itself.
        known = client.of(attempt.fingerprint)
        if known and attempt.stage is AttemptStage.NONE and not known.worked:
            client = _remember(client, replace(known, ignored_offers=known.ignored_offers + 1), at)
        return ClientFirmware(replace(attempt, pending=False, offers=attempt.offers + 1), client.firmwares)
    if event.port == BOOT_SERVER_PORT and attempt.offers and attempt.stage is AttemptStage.NONE:
        return _reached(client, replace(attempt, stage=AttemptStage.ASKED), at)
    return client


def _reached(client: ClientFirmware, attempt: FirmwareAttempt, at: float) -> ClientFirmware:
    """It accepted the offer, whatever happens next."""
    if attempt == client.attempt:
        return client
    known = client.of(attempt.fingerprint)
    if known and known.ignored_offers:
        client = _remember(client, replace(known, ignored_offers=0), at)
    return replace(client, attempt=attempt)


def _started(client: ClientFirmware, attempt: FirmwareAttempt, at: float) -> ClientFirmware:
    """A boot loader runs. If it was not fetched from us, it is the PC's own and says nothing about our offers."""
    if attempt.stage is AttemptStage.STARTED:
        return client
    known = client.of(attempt.fingerprint)
    if known and attempt.stage >= AttemptStage.LOADING:
        known = replace(known, worked=True, why=_why_now(known), failed_boots=0)
    if known:
        client = _remember(client, replace(known, ignored_offers=0), at)
    return replace(client, attempt=replace(attempt, stage=AttemptStage.STARTED))


def _why_now(known: FirmwareKnowledge) -> Why:
    """The reason, once the profile has worked."""
    if known.profile is Profile.STANDARD:
        return Why.USUAL
    return Why.IGNORED if known.why is Why.IGNORED_ALL else known.why


def _remember(client: ClientFirmware, known: FirmwareKnowledge, at: float) -> ClientFirmware:
    """The client with `known` as its firmware heard last."""
    if client.firmwares and client.firmwares[-1] is known:
        return client
    before = client.of(known.fingerprint)
    if before is None or before.lasting != known.lasting:
        known = replace(known, at=at)
    others = tuple(other for other in client.firmwares if other.fingerprint != known.fingerprint)
    return ClientFirmware(client.attempt, (*others, known)[-FIRMWARES:])


def _is_loader(path: str) -> bool:
    """Whether this is a file that firmware fetches. shim fetches .efi files too."""
    return path.endswith(_LOADERS) and not path.startswith("image/")
