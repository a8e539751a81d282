"""The adaptive responder: which reply profile a client gets next, from what it did with the offers before. PURE.

`observe(client, event, at, room)` -> the client after the event; times are seconds since the epoch. It decides and
remembers, per firmware of a client; what a profile changes on the wire is services/dhcp/, who may boot is policy.py's.
The signals and why they are no others: docs/adr/0007-adaptive-responder.md.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from appliance.config.loaders import dialect
from appliance.firmware.knowledge import ClientFirmware, FirmwareAttempt, FirmwareKnowledge, Reaction, Why
from services.dhcp.firmware import MACHINES, Machine
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

PATIENCE = 2
"""DISCOVERs answered in vain, or whole boots that came to nothing, before another profile is tried."""
# Two relays, or a relay and the broadcast itself, bring one DISCOVER twice within milliseconds.
DUPLICATE_WITHIN = 2.0
# Firmware waits 4, 8, 16 and 32 s between the DISCOVERs of one series (EDK2, and most ROMs).
RETRY_WITHIN = 90.0
# A copy of a DISCOVER that comes this soon after its own loader was fetched is late, not a new boot.
LATE_WITHIN = 5.0
# A PC with a BIOS and a UEFI boot entry has two; what a forger makes up pushes out what the forger made up.
FIRMWARES = 4

_UEFI = (Profile.STANDARD, Profile.VENDOR_OPTIONS, Profile.DELAYED)
ORDERS: dict[Machine, tuple[Profile, ...]] = {
    Machine.BIOS: (Profile.STANDARD, Profile.PLAIN, Profile.DELAYED),
    Machine.UEFI_IA32: _UEFI,
    Machine.UEFI_X64: _UEFI,
    Machine.UEFI_ARM64: _UEFI,
}
"""What is tried, in this order and then again, where offers are ignored. Debian's shim is for UEFI x64 alone, and no
cure for ignored offers."""
_ALONE = (Profile.STANDARD,)
_LOADERS = (".efi", ".kpxe", ".pxe", ".0")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a decision has to know beside the client. `shim`: a signed loader can be offered; `start`: the profile to
    begin with for a fingerprint; `served`: when a boot loader of ours ran last, on any PC."""

    shim: bool
    start: Callable[[str], Profile]
    served: float


def observe(client: ClientFirmware, event: Event, at: float, room: Surroundings) -> ClientFirmware:
    """The client after an event of its own, which happened at `at`; the same object when nothing changed."""
    if isinstance(event, Discovered) and not event.ipxe:
        return _discovered(client, event, at, room)
    attempt = client.attempt
    if attempt is None:
        return client
    match event:
        case Offered():
            return _offered(client, attempt, event, at)
        case AddressSeen() if attempt.offers and not attempt.leased:
            return replace(client, attempt=replace(attempt, leased=True))
        case TransferProgressed() | TransferFailed() if _is_loader(event.path):
            return _reached(client, replace(attempt, sign=max(attempt.sign, Reaction.LOADING)), at)
        case TransferServed() if _is_loader(event.path) and attempt.sign < Reaction.STARTED:
            name = event.path.rsplit("/", 1)[-1]
            return _reached(client, replace(attempt, sign=Reaction.LOADED, loader=name, loaded=at), at)
        # Anything else is fetched by a boot loader, and not by firmware.
        case Discovered() | ScriptServed() | Reported() | TransferProgressed() | TransferServed():
            return _started(client, attempt, at)
        case _:
            return client


def _discovered(client: ClientFirmware, event: Discovered, at: float, room: Surroundings) -> ClientFirmware:
    attempt = client.attempt
    if attempt and _is_copy(attempt, event, at):
        return client
    machine = MACHINES.get(event.architecture)
    if attempt and _goes_on(attempt, event, at):
        attempt = replace(attempt, secs=event.secs, at=at, pending=True)
    else:
        if attempt and (known := client.of(attempt.fingerprint)):
            client = _put(client, _judge(known, attempt, room), at)
        attempt = FirmwareAttempt(event.fingerprint, machine, event.http, event.xid, event.secs, began=at, at=at)
    known = _know(client, attempt, room)
    if known.in_vain >= PATIENCE and not known.worked:
        known = _shift(known, attempt)
    return ClientFirmware(attempt, _put(client, known, at).firmwares)


def _is_copy(attempt: FirmwareAttempt, event: Discovered, at: float) -> bool:
    if (attempt.fingerprint, attempt.xid) != (event.fingerprint, event.xid):
        return False
    if attempt.sign >= Reaction.LOADED:
        return at - attempt.loaded < LATE_WITHIN
    return event.secs == attempt.secs and at - attempt.at < DUPLICATE_WITHIN


def _goes_on(attempt: FirmwareAttempt, event: Discovered, at: float) -> bool:
    """Whether this is the next DISCOVER of a series. Some ROMs have one xid for ever: then `secs` has fallen."""
    same = (attempt.fingerprint, attempt.xid) == (event.fingerprint, event.xid)
    return same and attempt.sign is Reaction.NONE and event.secs >= attempt.secs and at - attempt.at < RETRY_WITHIN


def _know(client: ClientFirmware, attempt: FirmwareAttempt, room: Surroundings) -> FirmwareKnowledge:
    known = client.of(attempt.fingerprint)
    if known is None:
        start = room.start(attempt.fingerprint)
        usual = start is Profile.STANDARD or (start is Profile.SHIM and not room.shim)
        return (
            FirmwareKnowledge(attempt.fingerprint)
            if usual
            else FirmwareKnowledge(attempt.fingerprint, start, why=Why.SAME_FIRMWARE)
        )
    if known.profile is Profile.SHIM and not room.shim:
        return _tried(known, Profile.STANDARD, Why.REFUSED)
    if known.why is Why.REFUSED and known.profile is not Profile.SHIM and _may_use_shim(attempt, room):
        return _tried(known, Profile.SHIM, Why.REFUSED)
    return known


def _may_use_shim(attempt: FirmwareAttempt, room: Surroundings) -> bool:
    # Debian's signed GRUB reads its files by TFTP alone, which a machine that boots from a URL has not set up.
    return room.shim and attempt.machine is Machine.UEFI_X64 and not attempt.http


def _judge(known: FirmwareKnowledge, attempt: FirmwareAttempt, room: Surroundings) -> FirmwareKnowledge:
    """What the end of a try says: the firmware begins anew."""
    match attempt.sign:
        case Reaction.LOADED:
            return _refused(known, attempt, room)
        case Reaction.ASKED:
            return _failed(known, attempt)
        case Reaction.NONE if known.worked:
            # A reset after a moment is no whole boot. And where no PC comes through, it is the site's DHCP server that
            # does not answer: this one's profile is as good as ever.
            whole = attempt.offers >= PATIENCE or (attempt.offers and attempt.leased)
            alive = attempt.leased or room.served > attempt.began
            return _failed(known, attempt) if whole and alive else known
        case _:
            return known


def _failed(known: FirmwareKnowledge, attempt: FirmwareAttempt) -> FirmwareKnowledge:
    known = replace(known, failures=known.failures + 1)
    return _shift(known, attempt) if known.failures >= PATIENCE else known


def _refused(known: FirmwareKnowledge, attempt: FirmwareAttempt, room: Surroundings) -> FirmwareKnowledge:
    """It has the whole loader, and asks for one again."""
    failures = known.failures + 1
    if dialect(attempt.loader) is not Dialect.IPXE:
        # The signed chain. Where it is what is configured there is nothing else to try.
        if known.profile is not Profile.SHIM or failures < PATIENCE:
            return replace(known, failures=failures)
        return _tried(known, Profile.STANDARD, Why.NEITHER)
    if attempt.machine in (None, Machine.BIOS):
        return known
    if known.worked and failures < PATIENCE:
        return replace(known, failures=failures)
    if _may_use_shim(attempt, room):
        return _tried(known, Profile.SHIM, Why.REFUSED)
    return replace(known, why=Why.REFUSED, failures=failures)


def _shift(known: FirmwareKnowledge, attempt: FirmwareAttempt) -> FirmwareKnowledge:
    """The next profile of the order, from its beginning where this one came from elsewhere."""
    order = _ALONE if attempt.http or attempt.machine is None else ORDERS.get(attempt.machine, _ALONE)
    at = order.index(known.profile) if known.profile in order and known.why is not Why.SAME_FIRMWARE else -1
    profile = order[(at + 1) % len(order)]
    tired = known.why is Why.IGNORED_ALL or at + 1 == len(order)
    return _tried(known, profile, Why.IGNORED_ALL if tired else Why.IGNORED)


def _tried(known: FirmwareKnowledge, profile: Profile, why: Why) -> FirmwareKnowledge:
    return replace(known, profile=profile, worked=False, why=why, in_vain=0, failures=0)


def _offered(client: ClientFirmware, attempt: FirmwareAttempt, event: Offered, at: float) -> ClientFirmware:
    if attempt.pending:
        # Where port 67 is another server's, this is the answer to the question on 4011 itself.
        known = client.of(attempt.fingerprint)
        if known and attempt.sign is Reaction.NONE and not known.worked:
            client = _put(client, replace(known, in_vain=known.in_vain + 1), at)
        return ClientFirmware(replace(attempt, pending=False, offers=attempt.offers + 1), client.firmwares)
    if event.port == BOOT_SERVER_PORT and attempt.offers and attempt.sign is Reaction.NONE:
        return _reached(client, replace(attempt, sign=Reaction.ASKED), at)
    return client


def _reached(client: ClientFirmware, attempt: FirmwareAttempt, at: float) -> ClientFirmware:
    """It took the offer, whatever comes of it."""
    if attempt == client.attempt:
        return client
    known = client.of(attempt.fingerprint)
    if known and known.in_vain:
        client = _put(client, replace(known, in_vain=0), at)
    return replace(client, attempt=attempt)


def _started(client: ClientFirmware, attempt: FirmwareAttempt, at: float) -> ClientFirmware:
    """A boot loader runs: ours, if it was fetched; else the PC has one of its own, which says nothing of our offers."""
    if attempt.sign is Reaction.STARTED:
        return client
    known = client.of(attempt.fingerprint)
    if known and attempt.sign >= Reaction.LOADING:
        known = replace(known, worked=True, why=_why_now(known), failures=0)
    if known:
        client = _put(client, replace(known, in_vain=0), at)
    return replace(client, attempt=replace(attempt, sign=Reaction.STARTED))


def _why_now(known: FirmwareKnowledge) -> Why:
    """The reason, once the profile has worked."""
    if known.profile is Profile.STANDARD:
        return Why.USUAL
    return Why.IGNORED if known.why is Why.IGNORED_ALL else known.why


def _put(client: ClientFirmware, known: FirmwareKnowledge, at: float) -> ClientFirmware:
    """The client with this firmware as the one heard last."""
    if client.firmwares and client.firmwares[-1] is known:
        return client
    before = client.of(known.fingerprint)
    if before is None or before.lasting != known.lasting:
        known = replace(known, at=at)
    others = tuple(other for other in client.firmwares if other.fingerprint != known.fingerprint)
    return ClientFirmware(client.attempt, (*others, known)[-FIRMWARES:])


def _is_loader(path: str) -> bool:
    """Whether firmware asks for such a file, and not what it has loaded. shim asks for .efi files too."""
    return path.endswith(_LOADERS) and not path.startswith("image/")
