"""What the metrics are made of, read from the registry at one moment. Reads only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.config.file import Config
from appliance.control.fleet.pcs import PcFacts
from appliance.control.fleet.rooms import Room
from appliance.control.notify import outbox
from appliance.dhcp import leases
from appliance.heartbeats.states import Kind
from appliance.heartbeats.work import WorkOfAll
from appliance.registry import disk
from appliance.registry.database import Registry
from appliance.registry.server_lock import holder
from appliance.view.facts import server_facts
from image import release
from image.release import Release, ReleaseError
from services.decision import Reason


@dataclass(frozen=True, slots=True)
class BoxFigures:
    """The box in numbers. `server` is what the running server wrote, empty if none runs; `stages`: how many PCs' latest
    boots came to each stage; `projects` are the URLs of the configuration, for which `work` is told one by one. Sizes
    are in bytes. `pcs`: for series of each PC, empty unless they are wanted."""

    serving: bool
    server: Mapping[str, Any]
    states: Mapping[Kind, int]
    stages: Mapping[str, int]
    work: WorkOfAll
    projects: Sequence[str]
    image: Release | None
    disk_free: int
    registry_size: int
    allowed: int
    refused: int
    leased: int
    open_orders: int
    pending_notices: int
    pcs: Sequence[PcFacts] = ()


def read(config: Config, registry: Registry, now: float, room: Room) -> BoxFigures:
    """Read them at `now`, in seconds since the epoch; what there is to say of PCs is in `room`."""
    serving = holder(config.registry) is not None
    try:
        image = release.current(config.images)
    except ReleaseError:
        image = None
    return BoxFigures(
        serving=serving,
        server=server_facts(registry) if serving else {},
        states=room.counts.states,
        stages=_stages(registry),
        work=room.work,
        projects=[each.url for each in config.all_projects],
        image=image,
        disk_free=disk.look(config.server.data).free,
        registry_size=config.registry.stat().st_size,
        allowed=room.allowed,
        refused=sum(row.reason == Reason.NOT_ALLOWED for row in registry.ignored()),
        leased=len(leases.in_force(leases.load(registry), now)),
        open_orders=_count(registry, "orders WHERE ended IS NULL"),
        pending_notices=outbox.pending(registry),
        pcs=[pc.facts for pc in room.pcs.values()] if config.control.metrics_per_pc else (),
    )


def _stages(registry: Registry) -> dict[str, int]:
    with registry.reading("boots"):
        return dict(registry.sql.execute("SELECT stage, count(*) FROM boots WHERE latest GROUP BY stage"))


def _count(registry: Registry, what: str) -> int:
    count: int = registry.sql.execute(f"SELECT count(*) FROM {what}").fetchone()[0]  # noqa: S608 - words of ours
    return count
