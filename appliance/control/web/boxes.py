"""The other boxes of this organisation: a part of the room's page, which asks for it again and again."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from appliance.control.boxes.others import OtherBoxes
from appliance.control.web.forms import Viewer
from appliance.control.web.templating import page

router = APIRouter(prefix="/boxes", include_in_schema=False)


@router.get("")
async def show(request: Request, _: Viewer) -> Response:
    """The part."""
    others: OtherBoxes = request.app.state.boxes
    return page(request, "boxes.html", boxes=others.all())
