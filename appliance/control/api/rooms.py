"""`/api/v1/rooms`: hold all PCs with one label on or off."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from appliance.control.access.guard import administrator
from appliance.control.api.answers import LOOKS, InContext, problems
from appliance.control.api.quick_route import QuickRoute
from appliance.errors import UserError
from appliance.registry.database import Registry
from appliance.schedules import holds
from appliance.schedules.hold import Hold
from appliance.view.rooms import RoomView, find_room, gather_rooms

router = APIRouter(prefix="/rooms", tags=["rooms"], dependencies=LOOKS, route_class=QuickRoute)
_CHANGES = [Depends(administrator)]
LabelInPath = Annotated[str, Path(max_length=200, description="A label of the allowlist.", examples=["room 12"])]
LATEST = 253_402_300_799.0


@dataclass(frozen=True, slots=True)
class Rooms:
    """All labels of the allowlist, sorted."""

    rooms: list[RoomView]


class WantedHold(BaseModel):
    """How to hold the room."""

    model_config = ConfigDict(extra="forbid")
    held: Literal["on", "off"]
    until: Annotated[
        float | None,
        Field(gt=0, lt=LATEST, description="In seconds since the epoch; null: until it is released."),
    ] = None


@router.get("", responses=problems())
async def list_rooms(context: InContext) -> Rooms:
    """The rooms, and how they are held."""
    now = context.clock()
    return Rooms(await context.with_registry(lambda registry: gather_rooms(registry, now)))


@router.put("/{label}/hold", responses=problems(400, 404), dependencies=_CHANGES)
async def hold_room(context: InContext, label: LabelInPath, wanted: WantedHold) -> RoomView:
    """Let the PCs of the room compute outside their windows too, or give them back, whatever their schedule says."""
    now = context.clock()
    if wanted.until is not None and wanted.until <= now:
        raise UserError("`until` is past; nothing was changed")

    def hold(registry: Registry) -> RoomView:
        room = find_room(registry, label, now)
        holds.put(registry, Hold(room.label, wanted.held == "on", now, wanted.until))
        return find_room(registry, label, now)

    return await context.with_registry(hold)


@router.delete("/{label}/hold", responses=problems(404), dependencies=_CHANGES)
async def release_room(context: InContext, label: LabelInPath) -> RoomView:
    """Take the hold back: the schedule counts again. Nothing happens if the room was not held."""
    now = context.clock()

    def release(registry: Registry) -> RoomView:
        holds.release(registry, find_room(registry, label, now).label, now)
        return find_room(registry, label, now)

    return await context.with_registry(release)
