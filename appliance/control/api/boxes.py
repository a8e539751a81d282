"""`/api/v1/boxes`: the other boxes of this organisation."""

from dataclasses import dataclass

from fastapi import APIRouter, Request

from appliance.control.api.answers import LOOKS, problems
from appliance.control.api.quick_route import QuickRoute
from appliance.control.boxes.others import OtherBox, OtherBoxes

router = APIRouter(tags=["fleet"], dependencies=LOOKS, route_class=QuickRoute)


@dataclass(frozen=True, slots=True)
class OtherBoxList:
    """The other boxes, in the order of the configuration."""

    boxes: list[OtherBox]


@router.get("/boxes", responses=problems())
async def list_boxes(request: Request) -> OtherBoxList:
    """The other boxes that the configuration names, and how their PCs are, as this one heard last."""
    others: OtherBoxes = request.app.state.boxes
    return OtherBoxList(others.all())
