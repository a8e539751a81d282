"""`/api/v1/boots`: the boots of all PCs, and the events of each."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Query

from appliance.control.api.answers import HIGHEST_NUMBER, LOOKS, InContext, Limit, MacInQuery, problems
from appliance.control.api.quick_route import QuickRoute
from appliance.journal import event_pages
from appliance.journal.timeline import Stage
from appliance.registry.database import Registry
from appliance.view.boots import BootView, boot_views
from appliance.view.events import BootDetails, boot_details
from appliance.view.facts import gather_boot, gather_boots
from services.ethernet import MacAddress

router = APIRouter(prefix="/boots", tags=["boots"], dependencies=LOOKS, route_class=QuickRoute)


@dataclass(frozen=True, slots=True)
class BootList:
    """Boots, the latest first. `next`: the value of `before` for the next page, or null."""

    boots: list[BootView]
    next: int | None


@router.get("", responses=problems())
async def list_boots(
    context: InContext,
    mac: MacInQuery = None,
    stage: Annotated[Stage | None, Query(description="Only boots that came to this stage, and no further.")] = None,
    before: Annotated[int | None, Query(ge=0, le=HIGHEST_NUMBER, description="The `next` of the page before.")] = None,
    limit: Limit = 100,
) -> BootList:
    """The boots that are kept, the latest first.

    With `stage` a page may have fewer than `limit`, and yet a next one.
    """
    config, now = context.config, context.clock()
    address = MacAddress.parse(mac) if mac else None
    known = await context.with_registry(
        lambda registry: gather_boots(config, registry, before, limit, now, address, stage or "")
    )
    return BootList(boot_views(known, now), known.before)


@router.get("/{number}", responses=problems(404))
async def show_boot(
    context: InContext, number: Annotated[int, Path(ge=0, le=HIGHEST_NUMBER, description="The `id` of a boot.")]
) -> BootDetails:
    """A boot with all its events, oldest first."""
    config, now = context.config, context.clock()

    def read(registry: Registry) -> BootDetails:
        known = gather_boot(config, registry, number, now)
        return boot_details(known, event_pages.read_boot(registry, number), now)

    return await context.with_registry(read)
