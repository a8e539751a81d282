"""`/api/v1/events` and `/api/v1/refused`: what happened to PCs, and which machines got no answer."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from appliance.control.api.answers import (
    HIGHEST_NUMBER,
    LATEST_MOMENT,
    LOOKS,
    InContext,
    Limit,
    MacInQuery,
    problems,
)
from appliance.control.api.quick_route import QuickRoute
from appliance.journal.event_pages import EventFilter, read_after, read_last
from appliance.registry.database import Registry
from appliance.view.events import KINDS, EventView, event_views
from appliance.view.refused import RefusedView
from appliance.view.strangers import gather_refused
from services.ethernet import MacAddress

router = APIRouter(tags=["events"], dependencies=LOOKS, route_class=QuickRoute)
Kind = Literal[KINDS]  # type: ignore[valid-type]


@dataclass(frozen=True, slots=True)
class EventList:
    """Events, oldest first. `next` is the value of `after` for what comes later: ask again with it at any time. `more`:
    there is more already."""

    events: list[EventView]
    next: int
    more: bool


@dataclass(frozen=True, slots=True)
class RefusedPage:
    """Machines that asked to boot and are not allowed, those that asked last first. `total` counts all that are
    known."""

    refused: list[RefusedView]
    total: int


@router.get("/events", responses=problems())
async def list_events(
    context: InContext,
    mac: MacInQuery = None,
    kind: Annotated[list[Kind] | None, Query(description="Only events of these kinds.", max_length=40)] = None,
    since: Annotated[
        float | None, Query(ge=0, le=LATEST_MOMENT, description="Not before: seconds since the epoch.")
    ] = None,
    after: Annotated[int | None, Query(ge=0, le=HIGHEST_NUMBER, description="The `next` of the page before.")] = None,
    limit: Limit = 100,
) -> EventList:
    """What happened to the PCs that may boot. Without `since` and `after`: the latest.

    With `mac` or `kind` a page may have fewer than `limit`, and yet there is more.
    """
    wanted = EventFilter(MacAddress.parse(mac) if mac else None, frozenset(kind or ()), since or 0.0)

    def read(registry: Registry) -> EventList:
        if after is None and since is None:
            page = read_last(registry, limit, wanted)
        else:
            page = read_after(registry, after or 0, limit, wanted)
        return EventList(event_views(page.events, registry.allowlist()), page.last, page.more)

    return await context.with_registry(read)


@router.get("/refused", responses=problems())
async def list_refused(context: InContext, limit: Limit = 100) -> RefusedPage:
    """The machines that asked to boot and are not allowed, with their makers, and how often they asked."""
    found = await context.with_registry(gather_refused)
    return RefusedPage(found[:limit], len(found))
