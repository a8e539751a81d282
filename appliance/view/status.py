"""The state of the box as people and scripts see it: `status` and `status --json`. PURE."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from appliance.boot.next_boot import NextBoot
from appliance.dhcp.leases import in_force
from appliance.firmware.knowledge import notable
from appliance.registry.records import BootCounts, IgnoredRow
from appliance.registry.reload_result import ReloadResult
from appliance.view.address_claims import AddressClaimView, address_claim_views
from appliance.view.boots import BootView, boot_view
from appliance.view.facts import BoxState
from appliance.view.firmware import FirmwareView, firmware_view


@dataclass(frozen=True, slots=True)
class ServerView:
    """The running server's process id and start, in seconds since the epoch; both None when it is not running."""

    pid: int | None
    started: float | None


@dataclass(frozen=True, slots=True)
class PoolView:
    """How many addresses the box may lease, and how many are leased now."""

    leased: int
    addresses: int


@dataclass(frozen=True, slots=True)
class ImageView:
    """The active release and when it was built, in seconds since the epoch."""

    id: str
    created: float


@dataclass(frozen=True, slots=True)
class NextBootView:
    """The menu entry that a PC starts at its next boot. `taken`: a boot with it is under way."""

    mac: str
    entry: str
    taken: bool


@dataclass(frozen=True, slots=True)
class AllowedView:
    """How many entries the allowlist has, and how many MAC addresses they hold."""

    entries: int
    addresses: int


@dataclass(frozen=True, slots=True)
class StatusView:
    """The state of the box. `services`, `trouble` and `exports` are what the running server wrote about itself.

    `boots` has the PCs that need a person first, and only so many: `counted` counts all. `forgotten` is what the server
    has seen too much of to keep (appliance/journal/newcomers.py). `labels` has the label of each PC in `boots`, by MAC
    address; scripts do not get it.
    """

    server: ServerView
    reload_rejected: ReloadResult | None
    services: Sequence[Mapping[str, Any]]
    trouble: Sequence[str]
    disk: tuple[str, ...]
    leases: PoolView | None
    exports: Mapping[str, Any] | None
    claims: tuple[AddressClaimView, ...]
    image: ImageView | None
    image_error: str
    next_boots: tuple[NextBootView, ...]
    allowed: AllowedView
    boots: tuple[BootView, ...]
    counted: BootCounts
    forgotten: Mapping[str, Any]
    firmware: tuple[FirmwareView, ...]
    ignored: Sequence[IgnoredRow]
    labels: Mapping[str, str]


def status_view(box: BoxState, now: float) -> StatusView:
    """The state at `now`, in seconds since the epoch. What a server wrote that has stopped since is left out."""
    server = box.server if box.pid else {}
    addresses = server.get("addresses", 0)
    decided = ((boot.mac, box.allowlist.decide(boot.mac)) for boot in box.boots)
    return StatusView(
        server=ServerView(box.pid, server.get("started")),
        reload_rejected=box.reload if box.pid and box.reload and box.reload.error else None,
        services=server.get("services", []),
        trouble=server.get("trouble", []),
        disk=(box.disk.trouble,) if box.disk.trouble else (),
        leases=PoolView(len(in_force(box.leases, now)), addresses) if addresses else None,
        exports=server.get("exports"),
        claims=address_claim_views(server.get("claims", ()), box.allowlist, now),
        image=ImageView(box.image.id, box.image.created.timestamp()) if box.image else None,
        image_error=box.image_error,
        next_boots=tuple(map(next_boot_view, box.next_boots)),
        allowed=AllowedView(len(box.allowlist), box.allowlist.addresses),
        boots=tuple(boot_view(boot, now, box.evidence.of(boot.mac)) for boot in box.boots),
        counted=box.counted,
        forgotten=server.get("forgotten", {}),
        firmware=tuple(firmware_view(mac, k) for mac, known in box.firmware.items() for k in notable(known)),
        ignored=box.ignored,
        labels={str(mac): entry.label if entry else "" for mac, entry in decided},
    )


def next_boot_view(asked: NextBoot) -> NextBootView:
    """What was asked for with `boot next`."""
    return NextBootView(str(asked.mac), asked.entry, asked.taken)


def as_json(status: StatusView) -> dict[str, Any]:
    """The state as scripts read it."""
    plain = asdict(status)
    del plain["labels"]
    return plain
