"""What the views are made of: everything read from the registry, the server's lock and the disk, in one place.

Reads only. What people are shown of it is decided by the pure modules beside this one.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from appliance.allowlist import Allowlist
from appliance.boot import next_boot
from appliance.boot.next_boot import NextBoot
from appliance.boot.windows import read_outside
from appliance.config import images
from appliance.config.file import Config
from appliance.config.selection import names
from appliance.dhcp import leases
from appliance.diagnosis.fault import NOTHING, Seen
from appliance.errors import NotFoundError
from appliance.exports import kept_list
from appliance.exports.forgotten_work import ForgottenWork
from appliance.firmware import table
from appliance.firmware.knowledge import FirmwareKnowledge
from appliance.heartbeats import census, orders, store
from appliance.heartbeats.records import Order, StoredHeartbeat
from appliance.heartbeats.states import EndOfBoot, Kind
from appliance.images import notes
from appliance.images.notes import UpdateCheck
from appliance.images.release_choice import ReleaseChoice
from appliance.images.rollout import Fallback
from appliance.images.todays_recipe import outdated
from appliance.journal import history
from appliance.journal.timeline import Boot
from appliance.live.host_name import host_name
from appliance.page.address import urls
from appliance.registry import disk, overview, reload_result, rows
from appliance.registry.database import Registry
from appliance.registry.disk import Disk
from appliance.registry.records import BootCounts, BootRow, Client, IgnoredRow
from appliance.registry.reload_result import ReloadResult
from appliance.registry.server_lock import holder
from appliance.schedules.effective import Outside
from appliance.view.canary import RolloutState
from appliance.view.evidence import Evidence, evidence
from appliance.view.image_states import ImageState, gather_image_states
from appliance.view.overdue import gather_overdue
from appliance.view.rooms import RoomView, gather_rooms
from appliance.view.schedules import ScheduleNow, schedule_now, schedules_now
from image import release
from image.release import Release, ReleaseError
from services.dhcp.lease import Lease
from services.ethernet import MacAddress

MOST_BOOTS = 1000
MOST_NEWCOMERS = 100
MOST_FIRMWARES = 100
"""How many of each `status` shows to scripts: enough for a person who looks for a fault, and read in 50 ms."""

MOST_ORDERS = 20
"""Orders of one PC that are shown, those given last."""

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Signs:
    """What shows what a PC does now, beside its latest boot: its latest heartbeat, and the order that ended this
    boot."""

    heartbeat: StoredHeartbeat | None = None
    ended: EndOfBoot | None = None


@dataclass(frozen=True, slots=True)
class PageState:
    """Where the page is, as URLs; `pid`: its process, or None if it does not run. `rejected`: why it keeps an older
    configuration than that of the file."""

    pid: int | None
    addresses: tuple[str, ...]
    rejected: ReloadResult | None = None


@dataclass(frozen=True, slots=True)
class BoxState:
    """The whole box at one moment. `pid` is that of the running server, or None; `server` is what the server wrote
    about itself. `boots` has the latest boots of some of the PCs that `counted` counts: those that need a person first,
    with their `signs`; `states` counts those that have loaded something. `firmware` has the latest of those PCs that
    need another offer. `image_outdated`: why the active image is not of today's recipe, in words; `image_check`: the
    latest look for updates of its packages. `schedules` are those
    of the configuration. `page` is None if it is switched off. `rollout` is read by appliance/view/trials.py."""

    pid: int | None
    server: Mapping[str, Any]
    reload: ReloadResult | None
    image: Release | None
    image_error: str
    image_outdated: str
    image_check: UpdateCheck | None
    disk: Disk
    allowlist: Allowlist
    boots: Sequence[Boot]
    signs: Mapping[MacAddress, Signs]
    states: Mapping[Kind, int]
    counted: BootCounts
    firmware: Mapping[MacAddress, Sequence[FirmwareKnowledge]]
    ignored: Sequence[IgnoredRow]
    next_boots: Sequence[NextBoot]
    leases: Sequence[Lease]
    evidence: Evidence = field(default_factory=Evidence)
    schedules: Sequence[ScheduleNow] = ()
    held: Sequence[RoomView] = ()
    page: PageState | None = None
    images: Sequence[ImageState] = ()
    kept: Sequence[ForgottenWork] = ()
    rollout: RolloutState = field(default_factory=RolloutState)


@dataclass(frozen=True, slots=True)
class KnownClients:
    """PCs that have booted, with their latest boots and signs; `follow` more have higher MAC addresses."""

    clients: Sequence[Client]
    boots: Mapping[MacAddress, Boot]
    allowlist: Allowlist
    follow: int = 0
    evidence: Evidence = field(default_factory=Evidence)
    signs: Mapping[MacAddress, Signs] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClientRecord:
    """One PC: its boots (oldest first), its firmwares, the directory with its work, its signs, its latest orders (the
    last one first), its schedule, whether it went back to an earlier release by itself, and the host name of its next
    boot. `no_image`: why the image of its range has nothing to boot, and what to do."""

    client: Client
    allowlist: Allowlist
    boots: Sequence[Boot]
    firmware: Sequence[FirmwareKnowledge]
    next_boot: NextBoot | None
    state: Path
    evidence: Evidence = field(default_factory=Evidence)
    signs: Signs = Signs()
    orders: Sequence[Order] = ()
    schedule: ScheduleNow | None = None
    outside: Outside | None = None
    gone_back: Fallback | None = None
    no_image: tuple[str, str] | None = None
    host_name: str = ""


@dataclass(frozen=True, slots=True)
class KnownBoots:
    """Boots, each with what was seen of its PC, and the allowlist. `before`: the number before which more follow, or
    None."""

    boots: Sequence[tuple[Boot, Seen]]
    allowlist: Allowlist
    before: int | None = None


def gather(config: Config, registry: Registry, now: float) -> BoxState:
    """Read the state of the whole box at `now`, in seconds since the epoch."""
    try:
        image, image_error = release.current(config.images), ""
    except ReleaseError as error:
        image, image_error = None, str(error)
    found = census.take(registry, now)
    newcomers = overview.newcomers_boots(registry, MOST_NEWCOMERS)
    boots = history.read(registry, [*overview.boots_of(registry, found.urgent(MOST_BOOTS)), *newcomers])
    return BoxState(
        pid=holder(config.registry),
        server=server_facts(registry),
        reload=reload_result.read(registry),
        image=image,
        image_error=image_error,
        image_outdated=outdated(config, image),
        image_check=notes.check_of(config.images, image.id) if image else None,
        images=gather_image_states(config, registry.allowlist(), now),
        disk=disk.look(config.server.data),
        kept=kept_list.read(config),
        allowlist=registry.allowlist(),
        boots=boots,
        signs=_signs(registry, [boot.mac for boot in boots], census.ends_of_boots(registry)),
        states=found.counts,
        counted=overview.count_boots(registry),
        firmware=table.read_special(registry, MOST_FIRMWARES),
        ignored=registry.ignored(),
        next_boots=next_boot.all_of(registry),
        leases=leases.load(registry),
        evidence=gather_evidence(config, registry, now),
        schedules=schedules_now(config, now),
        held=[room for room in gather_rooms(registry, now) if room.held],
        page=_page(config, registry) if config.control.enabled else None,
    )


def _page(config: Config, registry: Registry) -> PageState:
    pid = holder(config.registry, "control")
    latest = reload_result.read(registry, reload_result.PAGE) if pid else None
    return PageState(pid, urls(config), latest if latest and latest.error else None)


def gather_evidence(
    config: Config,
    registry: Registry,
    now: float,
    server: Mapping[str, Any] | None = None,
    known: Allowlist | None = None,
) -> Evidence:
    """Read what a diagnosis may know beside the boots. `server` and `known`: what the server wrote and the allowlist,
    if they have been read already. What a server wrote that has stopped since says nothing."""
    if server is None:
        server = server_facts(registry) if holder(config.registry) else {}
    allowlist = registry.allowlist() if known is None else known
    disk_trouble = disk.look(config.server.data).trouble
    found = evidence(server, registry.ignored(), allowlist, config.menu.timeout, disk_trouble, now)
    return replace(found, overdue=gather_overdue(config, registry, now))


def server_facts(registry: Registry) -> dict[str, Any]:
    """What the server wrote about itself, checked as far as people are shown it."""
    with registry.reading("server"):
        found = registry.server()
        rows.moment(found.get("started", 0.0))
        rows.whole(found.get("addresses", 0))
        for line in found.get("trouble", []):
            rows.text(line)
        for service in found.get("services", []):
            rows.text(service["name"])
            rows.text(service["address"])
            rows.whole(service["port"])
        if exports := found.get("exports"):
            for name in ("error", "backend", "why"):
                rows.text(exports[name])
    return found


def gather_clients(
    config: Config,
    registry: Registry,
    after: MacAddress | None,
    most: int,
    wanted: Set[Kind],
    now: float,
    label: str = "",
) -> Iterator[KnownClients]:
    """Read `most` PCs that have booted, in the order of their MAC addresses, from the one after `after`, in pages; -1:
    all. `wanted`: only those that are in one of these states at `now`, unless it is empty; `label`: only those with
    this label, whatever its capitals."""
    allowlist, ended = registry.allowlist(), census.ends_of_boots(registry)
    seen = gather_evidence(config, registry, now)
    chosen = None
    if wanted or label:
        found = census.take(registry, now).of_kinds(wanted or frozenset(Kind))
        chosen = [mac for mac in found if after is None or mac > after]
    if label and chosen:
        chosen = [mac for mac in chosen if (entry := allowlist.decide(mac)) and names(label, entry.label)]
    while True:
        page = _PAGE if most < 0 else min(_PAGE, most)
        if chosen is None:
            clients, latest, follow = overview.clients_page(registry, after, page)
        else:
            clients, latest = overview.clients_of(registry, chosen[:page])
            chosen = chosen[page:]
            follow = len(chosen)
        boots = {boot.mac: boot for boot in history.read(registry, latest)}
        yield KnownClients(clients, boots, allowlist, follow, seen, _signs(registry, boots, ended))
        most -= page if most > 0 else 0
        if not most or not follow:
            return
        after = clients[-1].mac if clients else after


def gather_some_clients(
    config: Config, registry: Registry, macs: Sequence[MacAddress], now: float
) -> Iterator[KnownClients]:
    """Read these PCs, as far as they have booted, in pages."""
    allowlist, ended = registry.allowlist(), census.ends_of_boots(registry)
    seen = gather_evidence(config, registry, now)
    for at in range(0, len(macs), _PAGE):
        clients, latest = overview.clients_of(registry, macs[at : at + _PAGE])
        boots = {boot.mac: boot for boot in history.read(registry, latest)}
        yield KnownClients(clients, boots, allowlist, 0, seen, _signs(registry, boots, ended))


def _signs(registry: Registry, macs: Collection[MacAddress], ended: Mapping[int, EndOfBoot]) -> dict[MacAddress, Signs]:
    heard = store.latest_of(registry, macs)
    return {mac: Signs(heard.get(mac), ended.get(mac.value)) for mac in macs}


def gather_client(config: Config, registry: Registry, mac: MacAddress, now: float) -> ClientRecord:
    """Read one PC; raises NotFoundError when it has never asked. One that has loaded nothing yet has no password."""
    client, allowlist, boots = registry.client(mac), registry.allowlist(), history.history(registry, mac)
    if client is None and boots:
        client = Client(0, mac, boots[0].started, "")
    if client is None:
        hint = "switch it on" if mac in allowlist else f"allow it first: netboot-appliance allow add {mac}"
        raise NotFoundError(f"{mac} has not booted yet", hint)
    entry = allowlist.decide(mac)
    return ClientRecord(
        client=client,
        allowlist=allowlist,
        boots=boots,
        firmware=table.read_of(registry, mac),
        next_boot=next((each for each in next_boot.all_of(registry) if each.mac == mac), None),
        state=config.state / mac.bare,
        evidence=gather_evidence(config, registry, now),
        signs=_signs(registry, [mac], census.ends_of_boots(registry, mac))[mac],
        orders=orders.latest(registry, mac, MOST_ORDERS),
        schedule=schedule_now(config, entry.settings.schedule, now) if entry else None,
        outside=read_outside(config, registry, allowlist, mac, now),
        gone_back=_gone_back(config, registry, mac),
        no_image=images.nothing_to_boot(config, entry.settings.image) if entry else None,
        host_name=host_name(config, allowlist, mac, registry.known, registry.clients_of),
    )


def _gone_back(config: Config, registry: Registry, mac: MacAddress) -> Fallback | None:
    try:
        found = ReleaseChoice(registry, config.images).gone_back(
            release.active_ids(config.images), registry.allowlist()
        )
    except ReleaseError:
        return None
    return next((each for each in found if each.mac == mac), None)


def gather_boots(
    config: Config,
    registry: Registry,
    before: int | None,
    most: int,
    now: float,
    mac: MacAddress | None = None,
    stage: str = "",
) -> KnownBoots:
    """Read `most` boots, the latest first, of those with a lower number than `before`; of one PC or of all, and only
    those that came to this stage and no further, unless it is empty. It may have fewer, and yet more follow."""
    page = overview.boots_page(registry, before, most, mac, stage)
    return KnownBoots(_seen_boots(config, registry, page.rows, now), registry.allowlist(), page.before)


def gather_boot(config: Config, registry: Registry, number: int, now: float) -> KnownBoots:
    """Read the boot with this number; raises NotFoundError if it is not kept."""
    rows = overview.boots_of(registry, [number])
    if not rows:
        raise NotFoundError(f"there is no boot {number}", "list the boots: netboot-appliance boots list")
    return KnownBoots(_seen_boots(config, registry, rows, now), registry.allowlist())


def _seen_boots(config: Config, registry: Registry, rows: Sequence[BootRow], now: float) -> list[tuple[Boot, Seen]]:
    """What was seen of a PC says something about its latest boot only."""
    boots, latest = history.read(registry, rows), overview.latest_among(registry, [row.id for row in rows])
    signs = _signs(registry, [boot.mac for boot in boots if boot.id in latest], census.ends_of_boots(registry))
    seen = gather_evidence(config, registry, now)
    return [
        (boot, seen.of(boot, found.heartbeat, found.ended, now))
        if boot.id in latest and (found := signs[boot.mac])
        else (boot, NOTHING)
        for boot in boots
    ]
