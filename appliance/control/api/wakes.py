"""`/api/v1/wakes`: switch PCs on over the network."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from appliance.control.access.guard import administrator
from appliance.control.api.answers import HIGHEST_NUMBER, LOOKS, InContext, Limit, problems
from appliance.control.api.quick_route import QuickRoute
from appliance.errors import NotFoundError, OvertakenError
from appliance.registry.database import Registry
from appliance.view.wakes import WakeView, wake_views
from appliance.wake import requests
from appliance.wake.request import WakeResult
from appliance.wake.targets import resolve

router = APIRouter(prefix="/wakes", tags=["wakes"], dependencies=LOOKS, route_class=QuickRoute)
_CHANGES = [Depends(administrator)]


@dataclass(frozen=True, slots=True)
class WakePage:
    """Requests, the last one first. `next`: the value of `before` for the next page, or null."""

    wakes: list[WakeView]
    next: int | None


@dataclass(frozen=True, slots=True)
class AskedWakes:
    """One request for each PC that is woken."""

    wakes: list[WakeView]


class WantedWake(BaseModel):
    """Whom to wake."""

    model_config = ConfigDict(extra="forbid")
    target: Annotated[
        str,
        Field(
            min_length=1,
            max_length=200,
            description="A MAC address, a range as in the allowlist, a label of it, or `schedule:NAME`.",
            examples=["room 12"],
        ),
    ]


@router.get("", responses=problems())
async def list_wakes(
    context: InContext,
    open: Annotated[bool, Query(description="Without those that have ended.")] = False,
    before: Annotated[int | None, Query(ge=0, le=HIGHEST_NUMBER, description="The `next` of the page before.")] = None,
    limit: Limit = 100,
) -> WakePage:
    """The requests that are kept (30 days), the last one first."""
    now = context.clock()

    def read(registry: Registry) -> WakePage:
        found = requests.recent(registry, limit + 1, only_open=open, before=before)
        shown = wake_views(found[:limit], registry.allowlist(), now)
        return WakePage(shown, shown[-1].id if len(found) > limit else None)

    return await context.with_registry(read)


@router.post("", status_code=201, responses=problems(400, 404, 409), dependencies=_CHANGES)
async def wake(context: InContext, wanted: WantedWake) -> AskedWakes:
    """Wake each allowed PC that `target` names: it gets magic packets until it is seen, or has had all of them."""
    config, now = context.config, context.clock()

    def ask(registry: Registry) -> AskedWakes:
        allowlist = registry.allowlist()
        macs = resolve(wanted.target, allowlist, registry.known(), config.schedules)
        return AskedWakes(wake_views(requests.ask(registry, macs, "hand", now), allowlist, now))

    return await context.with_registry(ask)


@router.delete("/{number}", responses=problems(404, 409), dependencies=_CHANGES)
async def cancel_wake(
    context: InContext, number: Annotated[int, Path(ge=0, le=HIGHEST_NUMBER, description="The `id` of a request.")]
) -> WakeView:
    """Cancel a request that has not ended. A PC that has had its packet may still come."""
    now = context.clock()

    def cancel(registry: Registry) -> WakeView:
        if not requests.numbered(registry, [number]):
            raise NotFoundError(f"there is no request {number}", "list them: netboot-appliance wake list --open")
        done = requests.end(registry, {number: WakeResult.CANCELLED}, now)
        (view,) = wake_views(requests.numbered(registry, [number]), registry.allowlist(), now)
        if not done:
            raise OvertakenError(f"request {number} has ended: {view.result}")
        return view

    return await context.with_registry(cancel)
