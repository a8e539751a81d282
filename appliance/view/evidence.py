"""What a diagnosis may know beside a PC's boot: refusals, claims, the menu, and the box's own troubles. PURE."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from appliance.allowlist import Allowlist, Entry
from appliance.diagnosis.fault import BoxTrouble, DueOff, Seen
from appliance.heartbeats.records import StoredHeartbeat
from appliance.heartbeats.states import EndOfBoot, Kind, kind, seen
from appliance.journal.timeline import Boot
from appliance.registry.records import IgnoredRow
from appliance.schedules.hold import Holds
from appliance.view.address_claims import AddressClaimView, address_claim_views
from services.ethernet import MacAddress


@dataclass(frozen=True, slots=True)
class LastWindow:
    """A window that has ended, at `end` in seconds since the epoch, and how long its PCs may take after that."""

    end: float
    slack: float


@dataclass(frozen=True, slots=True)
class Overdue:
    """Which PCs should be gone; times are in seconds since the epoch. `windows`: the last ones, by the names of
    schedules that are closed. `holds`: what people said of rooms. `told`: by when PCs should have gone, which an order
    told to go. `resumed`: when somebody let a PC go on."""

    windows: Mapping[str, LastWindow] = field(default_factory=dict)
    holds: Holds = field(default_factory=Holds)
    told: Mapping[MacAddress, float] = field(default_factory=dict)
    resumed: Mapping[MacAddress, float] = field(default_factory=dict)

    def of(self, boot: Boot, entry: Entry, now: float) -> DueOff | None:
        """By when the PC with this boot should have gone, if it should. One that was started after its window is left
        alone until the end of the next one."""
        told = self.told.get(boot.mac)
        if told is not None:
            return DueOff(told, by_order=True)
        hold, window = self.holds.of(entry.label, now), self.windows.get(entry.settings.schedule)
        if window is None or (hold and hold.on):
            return None
        if boot.started < window.end and self.resumed.get(boot.mac, 0.0) < window.end:
            return DueOff(window.end + window.slack, by_order=False)
        return None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of all PCs, by MAC address. `menu` is the timeout of the menu where a PC's range has none of its own."""

    refused: Mapping[str, Sequence[IgnoredRow]] = field(default_factory=dict)
    claims: Mapping[str, Sequence[AddressClaimView]] = field(default_factory=dict)
    allowlist: Allowlist = field(default_factory=lambda: Allowlist.of([]))
    menu: int = 0
    box: BoxTrouble = field(default_factory=BoxTrouble)
    overdue: Overdue = field(default_factory=Overdue)

    def of(self, boot: Boot, heartbeat: StoredHeartbeat | None, ended: EndOfBoot | None, now: float) -> Seen:
        """What was seen of one PC. `boot` is its latest one, `ended` the order that ended it, if one did."""
        name, entry = str(boot.mac), self.allowlist.decide(boot.mac)
        own = entry.settings.timeout if entry else None
        return Seen(
            refused=tuple(self.refused.get(name, ())),
            claims=tuple(f"{each.claimant} claims {each.address}" for each in self.claims.get(name, ())),
            menu=self.menu if own is None else own,
            heartbeat=heartbeat,
            off=kind(seen(boot, heartbeat, ended), now) is Kind.OFF,
            box=self.box,
            image=entry.settings.image if entry else "",
            due_off=self.overdue.of(boot, entry, now) if entry else None,
        )


def evidence(
    server: Mapping[str, Any],
    ignored: Sequence[IgnoredRow],
    allowlist: Allowlist,
    menu: int,
    disk: str,
    now: float,
) -> Evidence:
    """`server` is what the running server wrote about itself, `disk` why nothing can be saved, or empty; `now` is in
    seconds since the epoch."""
    refused: dict[str, list[IgnoredRow]] = {}
    for row in ignored:
        if row.client:
            refused.setdefault(row.client, []).append(row)
    claims: dict[str, list[AddressClaimView]] = {}
    for claim in address_claim_views(server.get("claims", ()), allowlist, now):
        claims.setdefault(claim.holder, []).append(claim)
    exports = server.get("exports") or {}
    box = BoxTrouble(exports.get("error", ""), disk)
    return Evidence(refused, claims, allowlist, menu, box)
