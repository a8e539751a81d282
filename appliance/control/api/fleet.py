"""`/api/v1/fleet`: the box and its PCs in numbers."""

from fastapi import APIRouter

from appliance.control.api.answers import LOOKS, InContext, problems
from appliance.control.api.quick_route import QuickRoute
from appliance.view.summary import FleetSummary, gather_summary

router = APIRouter(tags=["fleet"], dependencies=LOOKS, route_class=QuickRoute)


@router.get("/fleet", responses=problems())
async def show_fleet(context: InContext) -> FleetSummary:
    """How many PCs are in each state, in all and for each label, and how the box is."""
    config, now = context.config, context.clock()
    return await context.with_registry(lambda registry: gather_summary(config, registry, now))
