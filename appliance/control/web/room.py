"""The first page: which PCs are on, what each does, what needs a person. And the streams that keep pages current."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from starlette.responses import Response

from appliance.control.access.guard import viewer
from appliance.control.context import context_of
from appliance.control.fleet.pcs import EVERYBODY, Wanted
from appliance.control.web.open_page import stream
from appliance.control.web.templating import long_page
from appliance.heartbeats.states import Kind
from services.ethernet import MacAddress

router = APIRouter(dependencies=[Depends(viewer)])

Text = Annotated[str, Query(max_length=100)]
State = Annotated[str, Query(max_length=20)]


@router.get("/")
async def show_room(request: Request, state: State = "", text: Text = "") -> Response:
    """The room, or the PCs of it in this state and with these words."""
    fleet = context_of(request).fleet
    room = await fleet.current()
    wanted = Wanted.of(state, text)
    if wanted:
        chosen = ((group, [pc for pc in group.pcs if pc in wanted]) for group in room.groups)
        shown = [(group, pcs) for group, pcs in chosen if pcs]
    else:
        shown = [(group, list(group.pcs)) for group in room.groups]
    asked = {"state": state, "text": text}
    query = urlencode({name: value for name, value in asked.items() if value})
    return long_page(
        request,
        "room.html",
        here="/",
        room=room,
        shown=shown,
        found=sum(len(pcs) for _, pcs in shown),
        filtered=bool(wanted),
        states=[str(kind) for kind in Kind],
        address=f"/?{query}",
        boxes=bool(context_of(request).config.control.boxes),
        stream=f"/live?{query}&since={fleet.ident(room)}",
        **asked,
    )


@router.get("/live")
async def stream_room(request: Request, state: State = "", text: Text = "", since: Text = "") -> Response:
    """What changes in the room, for a page that shows it."""
    return _stream(request, Wanted.of(state, text), "", since)


@router.get("/live/pcs/{mac}")
async def stream_pc(request: Request, mac: str, since: Text = "") -> Response:
    """When a PC changes: the event `pc`, for a page that shows it."""
    try:
        address = str(MacAddress.parse(mac))
    except ValueError as error:
        raise HTTPException(404, str(error)) from None
    return _stream(request, EVERYBODY, address, since)


def _stream(request: Request, wanted: Wanted, mac: str, since: str) -> Response:
    fleet = context_of(request).fleet
    return stream(
        request,
        since,
        lambda host, _: fleet.listen(host, wanted, mac),
        lambda: fleet.ident(fleet.room),
        lambda seen: fleet.missed(seen, wanted, mac),
    )
