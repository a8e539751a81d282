"""The order that cures a fault, for all PCs that have it now: a button beside the fault in the room."""

from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from appliance.control.context import Context
from appliance.control.fleet.remedies import cures
from appliance.control.web.forms import Administrator, Box, said, word
from appliance.control.web.templating import page
from appliance.errors import OvertakenError, UserError
from appliance.heartbeats import orders
from appliance.heartbeats.states import Kind
from services.ethernet import MacAddress
from services.http.heartbeats import OrderVerb

router = APIRouter(prefix="/faults", include_in_schema=False)


@dataclass(frozen=True, slots=True)
class OrderGoing:
    """How an order goes on. `waits`: it waits until the PC is heard."""

    waits: bool = False


@router.post("/orders")
async def give(request: Request, box: Box, who: Administrator) -> Response:
    """Give the order to every PC that the room shows with this fault."""
    form = await request.form()
    error: UserError | None = None
    try:
        verb, macs = _wanted(box, word(form, "cause"), word(form, "verb", 20))
        await box.with_registry(lambda registry: orders.give(registry, macs, verb, box.clock()))
        said("order given", who, pcs=len(macs), order=str(verb))
    except UserError as raised:
        error = raised
    return page(request, "pc_ordered.html", error=error, shown=OrderGoing())


def _wanted(box: Context, cause: str, verb: str) -> tuple[OrderVerb, list[MacAddress]]:
    room = box.fleet.room
    for fault in room.needs.faults:
        if fault.cause == cause and cures(fault.cure) == verb:
            macs = [mac for mac, _ in fault.pcs if room.pcs[mac].facts.kind is not Kind.OFF]
            return OrderVerb(verb), [MacAddress.parse(mac) for mac in macs]
    raise OvertakenError("no PC has this fault any more; nothing was changed", "look at the room again")
