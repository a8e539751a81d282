"""The API, version 1: `/api/v1`, described by `/api/v1/openapi.json`.

Reads need a viewer; whatever changes something needs an administrator. Answers are the values that the verbs print
with --json (appliance/view). Nothing here is a secret of the PCs: no passwords of their BOINC clients, no tokens of
boots, no account keys.
"""

import asyncio
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import JSONResponse, Response

from appliance.control.access.guard import viewer
from appliance.control.access.pace import paced
from appliance.control.api import allowlist, boots, boxes, events, fleet, images, orders, pcs, rooms, wakes
from appliance.control.api.quick_route import QuickRoute

PREFIX = "/api/v1"
_ROOMS = (fleet, pcs, boots, events, orders, wakes, rooms, allowlist, images, boxes)
_DESCRIPTION = """\
What the box knows of its PCs, and what it may be told.

Every request needs a token: `Authorization: Bearer TOKEN`, made by `netboot-appliance control token add NAME`; with
`--read-only` it may look and change nothing. Times are in seconds since the epoch, sizes in bytes. A list comes in
pages: `next` of one is the cursor of the next one, null after the last.

An answer to GET has an `ETag`: ask with it in `If-None-Match`, and while nothing has changed the answer is 304, without
a body. A token may ask 10 times a second, and 100 times at once; then the answer is 429, with `Retry-After`.
"""

router = APIRouter(prefix=PREFIX, generate_unique_id_function=lambda route: route.name, route_class=QuickRoute)
for _room in _ROOMS:
    router.include_router(_room.router)


@router.get("/openapi.json", include_in_schema=False, dependencies=[Depends(paced), Depends(viewer)])
async def describe(request: Request) -> Response:
    """The description of the API."""
    return JSONResponse(await asyncio.to_thread(description, request))


def description(request: Request) -> dict[str, Any]:
    """The API as OpenAPI describes it. Made once."""
    state = request.app.state
    if not hasattr(state, "api_description"):
        found = get_openapi(
            title="netboot-appliance",
            version=version("netboot-appliance"),
            description=_DESCRIPTION,
            routes=request.app.routes,
        )
        found["paths"] = {path: found["paths"][path] for path in found["paths"] if path.startswith(PREFIX)}
        found.setdefault("components", {})["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"token": []}]
        state.api_description = found
    described: dict[str, Any] = state.api_description
    return described
