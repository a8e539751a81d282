"""The state of the box as people and scripts see it: `status` and `status --json`. PURE."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from appliance.boot.next_boot import NextBoot
from appliance.dhcp.leases import in_force
from appliance.firmware.knowledge import notable
from appliance.heartbeats.states import ON, Kind, PcState, state
from appliance.journal.timeline import Boot
from appliance.registry.records import BootCounts, IgnoredRow
from appliance.registry.reload_result import ReloadResult
from appliance.view.address_claims import AddressClaimView, address_claim_views
from appliance.view.boots import BootView, boot_view
from appliance.view.canary import RolloutState
from appliance.view.evidence import Evidence
from appliance.view.facts import BoxState, PageState, Signs
from appliance.view.firmware import FirmwareView, firmware_view
from appliance.view.image_checks import UpdateCheckView, check_view
from appliance.view.image_states import ImageState
from appliance.view.kept_work import KeptWorkView, kept_work_view
from appliance.view.rooms import RoomView
from appliance.view.schedules import ScheduleNow


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
class PcCounts:
    """How many PCs have loaded something at least once, how many of them are on, and how many are in each state."""

    known: int
    on: int
    states: Mapping[Kind, int]

    @property
    def words(self) -> str:
        """One line: `28 of 30 on, 27 compute; 1 idle, 1 silent`."""
        return "; ".join(filter(None, (self.first_words, ", ".join(words for _, words in self.others))))

    @property
    def first_words(self) -> str:
        """What comes first: `28 of 30 on, 27 compute`."""
        many = self.states.get(Kind.COMPUTING, 0)
        return f"{self.on:,} of {self.known:,} on, {many:,} {'computes' if many == 1 else 'compute'}"

    @property
    def others(self) -> list[tuple[Kind, str]]:
        """The states of PCs that do not compute, each with its count in words, such as `1 idle`."""
        states = self.states
        return [(each, f"{states[each]:,} {_COUNTED[each]}") for each in _COUNTED if states.get(each)]


_COUNTED = {each: str(each) for each in Kind if each is not Kind.COMPUTING} | {
    Kind.UNHEARD: "without heartbeats",
    Kind.ELSEWHERE: "started something else",
}


@dataclass(frozen=True, slots=True)
class StatusView:
    """The state of the box. `services`, `trouble` and `exports` are what the running server wrote about itself.

    `boots` has the PCs that need a person first, and only so many: `pcs` and `counted` count all. `states` has what
    each of the PCs in `boots` does now. `forgotten` is what the server has seen too much of to keep
    (appliance/journal/newcomers.py). `image_outdated`: why the active image is not of today's recipe; `image_check`:
    the latest look for updates of its packages. `kept_work`: of PCs that were forgotten. `images` are those beside the
    default one. `labels` has the label of each PC in `boots`, by MAC address; scripts do not get it.
    """

    server: ServerView
    page: PageState | None
    reload_rejected: ReloadResult | None
    services: Sequence[Mapping[str, Any]]
    trouble: Sequence[str]
    disk: tuple[str, ...]
    kept_work: KeptWorkView | None
    leases: PoolView | None
    exports: Mapping[str, Any] | None
    claims: tuple[AddressClaimView, ...]
    image: ImageView | None
    image_error: str
    image_outdated: str
    image_check: UpdateCheckView | None
    images: tuple[ImageState, ...]
    rollout: RolloutState
    next_boots: tuple[NextBootView, ...]
    schedules: tuple[ScheduleNow, ...]
    held: tuple[RoomView, ...]
    allowed: AllowedView
    pcs: PcCounts
    boots: tuple[BootView, ...]
    states: tuple[PcState, ...]
    counted: BootCounts
    forgotten: Mapping[str, Any]
    firmware: tuple[FirmwareView, ...]
    ignored: Sequence[IgnoredRow]
    labels: Mapping[str, str]


def _lost(heartbeats: int) -> list[str]:
    """What is said of heartbeats that found no room until they could be written."""
    return [f"heartbeats lost, while the registry could not be written: {heartbeats:,}"] if heartbeats else []


def status_view(box: BoxState, now: float) -> StatusView:
    """The state at `now`, in seconds since the epoch. What a server wrote that has stopped since is left out."""
    server = box.server if box.pid else {}
    addresses = server.get("addresses", 0)
    decided = ((boot.mac, box.allowlist.decide(boot.mac)) for boot in box.boots)
    return StatusView(
        server=ServerView(box.pid, server.get("started")),
        page=box.page,
        reload_rejected=box.reload if box.pid and box.reload and box.reload.error else None,
        services=server.get("services", []),
        trouble=[*server.get("trouble", []), *_lost(server.get("heartbeats_lost", 0))],
        disk=(box.disk.trouble,) if box.disk.trouble else (),
        kept_work=kept_work_view(box.kept, now),
        leases=PoolView(len(in_force(box.leases, now)), addresses) if addresses else None,
        exports=server.get("exports"),
        claims=address_claim_views(server.get("claims", ()), box.allowlist, now),
        image=ImageView(box.image.id, box.image.created.timestamp()) if box.image else None,
        image_error=box.image_error,
        image_outdated=box.image_outdated,
        image_check=check_view(box.image.id, box.image_check, now) if box.image and box.image_check else None,
        images=tuple(box.images),
        rollout=box.rollout,
        next_boots=tuple(map(next_boot_view, box.next_boots)),
        allowed=AllowedView(len(box.allowlist), box.allowlist.addresses),
        pcs=pc_counts(box.states),
        boots=tuple(_boot(boot, box.signs.get(boot.mac, Signs()), box.evidence, now) for boot in box.boots),
        states=tuple(_state(boot, box.signs.get(boot.mac, Signs()), now) for boot in box.boots),
        counted=box.counted,
        forgotten=server.get("forgotten", {}),
        firmware=tuple(firmware_view(mac, k) for mac, known in box.firmware.items() for k in notable(known)),
        ignored=box.ignored,
        schedules=tuple(box.schedules),
        held=tuple(box.held),
        labels={str(mac): entry.label if entry else "" for mac, entry in decided},
    )


def pc_counts(states: Mapping[Kind, int]) -> PcCounts:
    """The counts with their sums."""
    return PcCounts(sum(states.values()), sum(states.get(each, 0) for each in ON), states)


def _boot(boot: Boot, signs: Signs, evidence: Evidence, now: float) -> BootView:
    return boot_view(boot, now, evidence.of(boot, signs.heartbeat, signs.ended, now))


def _state(boot: Boot, signs: Signs, now: float) -> PcState:
    return state(boot, signs.heartbeat, signs.ended, now)


def next_boot_view(asked: NextBoot) -> NextBootView:
    """What was asked for with `boot next`."""
    return NextBootView(str(asked.mac), asked.entry, asked.taken)


def as_json(status: StatusView) -> dict[str, Any]:
    """The state as scripts read it."""
    plain = asdict(status)
    del plain["labels"]
    for boot, now in zip(plain["boots"], plain.pop("states"), strict=True):
        boot["now"] = now
    return plain
