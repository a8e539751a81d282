"""The log of what happened to PCs, as people and scripts see it: `events` and its --json. PURE."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import get_args

from appliance.allowlist import Allowlist
from appliance.journal.event_pages import LoggedEvent
from appliance.journal.timeline import AddressLost
from appliance.view.boots import BootView, boot_views
from appliance.view.facts import KnownBoots
from services.ethernet import MacAddress
from services.events import (
    AddressSeen,
    CanaryEnded,
    Discovered,
    EntryStarted,
    Event,
    GaveUp,
    Ignored,
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

KINDS = tuple(kind.__name__ for kind in (*get_args(Event), AddressLost) if kind is not Ignored)
"""What an event can be. Refusals are counted, and are no events of a boot."""

_SECRET = {"spent", "mac"}
"""Fields that are not shown: what recognises a token, and what stands beside it anyway."""


@dataclass(frozen=True, slots=True)
class EventView:
    """An event of the boot with the number `boot`. `at` is in seconds since the epoch; `label` is that of the PC, empty
    if it is not allowed (any more). `kind` is one of KINDS, or a word of another version; `words` says what happened,
    `details` has the fields of the event."""

    id: int
    at: float
    mac: str
    label: str
    boot: int
    kind: str
    words: str
    details: Mapping[str, str | int | float | bool | Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class BootDetails:
    """A boot with its events, oldest first."""

    boot: BootView
    events: tuple[EventView, ...]


def boot_details(known: KnownBoots, events: Iterable[LoggedEvent], now: float) -> BootDetails:
    """One boot; `now` is in seconds since the epoch."""
    (boot,) = boot_views(known, now)
    return BootDetails(boot, tuple(event_views(events, known.allowlist)))


def event_views(found: Iterable[LoggedEvent], allowlist: Allowlist) -> list[EventView]:
    """The events in the order given."""
    return [
        EventView(
            each.number,
            each.at,
            str(each.mac),
            entry.label if (entry := allowlist.decide(each.mac)) else "",
            each.boot,
            each.kind,
            in_words(each.event) if each.event else each.kind,
            _details(each.event) if each.event else {},
        )
        for each in found
    ]


def in_words(event: Event | AddressLost) -> str:
    """What happened to the PC."""
    match event:
        case Discovered():
            return "iPXE asks for its boot" if event.ipxe else "asks for its boot"
        case Offered():
            return f"was offered {event.boot_file}"
        case AddressSeen():
            return f"uses {event.address}"
        case AddressLost():
            return f"no longer has {event.address}"
        case LeaseChosen():
            return f"took its address from {'the box' if event.ours else event.server}"
        case TransferProgressed():
            return f"is loading {event.path} ({event.service}): {event.sent:,} of {event.size:,} bytes"
        case TransferServed():
            return f"has loaded {event.path} ({event.service}): {event.size:,} bytes in {event.seconds:.1f} s"
        case TransferFailed():
            return f"did not load {event.path} ({event.service}): {event.why}, after {event.sent:,} bytes"
        case ScriptServed():
            return "fetched its boot script"
        case EntryStarted():
            return f"started {event.entry} of its menu"
        case Reported():
            more = ", ".join(f"{name}={word}" for name, word in event.details.items())
            said = "that it is up" if event.stage == ReportedStage.REPORTED else event.stage
            return f"reported {said}" + (f" ({more})" if more else "")
        case TokenExchanged():
            return "exchanged its token"
        case SecretsServed():
            return "fetched its BOINC files"
        case SecretsClosed():
            return "a script or loader without a power-on: the token of this boot opens no secrets"
        case Returned():
            return (
                f"was switched on again: {event.times} boots in a row did not come up, the last ended in {event.stage}"
            )
        case GaveUp():
            return f"the live system did not come up in {event.times} boots: this one starts the PC's own disk"
        case WentBack():
            return f"goes back to image {event.release}: its last boots failed with {event.failed} ({event.why})"
        case CanaryEnded():
            return f"decided the canary image {event.release}: {event.verdict}, {event.reason}"
        case Ignored():
            return f"got no answer: {event.reason}"


def _details(event: Event | AddressLost) -> dict[str, str | int | float | bool | Mapping[str, str]]:
    values = {name: getattr(event, name) for name in event.__dataclass_fields__ if name not in _SECRET}
    return {
        name: str(value) if isinstance(value, MacAddress | IPv4Address) else value for name, value in values.items()
    }
