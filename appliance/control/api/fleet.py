"""`/api/v1/fleet`: the box and its PCs in numbers."""

from fastapi import APIRouter

from appliance.control.api.answers import LOOKS, InContext, problems
from appliance.control.api.quick_route import QuickRoute
from appliance.view.summary import FleetSummary, gather_summary

router = APIRouter(tags=["fleet"], dependencies=LOOKS, route_class=QuickRoute)


@router.get("/fleet", responses=problems())
async def show_fleet(context: InContext) -> FleetSummary:
    """How many PCs are in each state, in all and for each label, and how the box is."""
    room = await context.room(with_edits=True)
    pcs = [(pc.facts.kind, pc.facts.label) for pc in room.pcs.values() if pc.facts.kind and pc.facts.loaded]
    return await context.with_registry(lambda registry: gather_summary(context.config, registry, room.read, pcs))
