"""`/api/v1/pcs`: each PC, what it does, and what it starts at its next boot."""

import asyncio
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from appliance.boot import next_boot, next_choice
from appliance.config.selection import names
from appliance.control import forgotten_pc
from appliance.control.access.guard import administrator
from appliance.control.api.answers import LOOKS, AfterMac, InContext, Limit, MacInPath, problems
from appliance.control.api.quick_route import QuickRoute
from appliance.control.fleet.pcs import PcFacts
from appliance.control.fleet.rooms import Room
from appliance.control.forgotten_pc import ForgottenPc
from appliance.firmware import table
from appliance.heartbeats import orders
from appliance.heartbeats.states import STUCK, Kind
from appliance.schedules.effective import Outside
from appliance.view.clients import ClientDetails, ClientView, OrderView, details, order_view
from appliance.view.facts import gather_client
from appliance.view.firmware import FirmwareView
from appliance.view.schedules import ScheduleNow
from appliance.view.status import NextBootView
from services.boinc.condition import Condition
from services.ethernet import MacAddress

router = APIRouter(prefix="/pcs", tags=["PCs"], dependencies=LOOKS, route_class=QuickRoute)
_CHANGES = [Depends(administrator)]


@dataclass(frozen=True, slots=True)
class PcList:
    """PCs by MAC address. `next`: the value of `after` for the next page, or null."""

    pcs: list[ClientView]
    next: str | None


@dataclass(frozen=True, slots=True)
class PcDetails:
    """All about one PC but its passwords: `clients show --json` without them. `boots` and `orders` have routes of their
    own."""

    pc: ClientView
    host_name: str
    allowed_by: str
    next_boot: NextBootView | None
    schedule: ScheduleNow | None
    outside: Outside | None
    firmware: tuple[FirmwareView, ...]
    heard: float | None
    facts: Mapping[str, str]
    boinc: Condition


@dataclass(frozen=True, slots=True)
class PcOrders:
    """The orders of a PC, the last one first."""

    orders: list[OrderView]


@dataclass(frozen=True, slots=True)
class ForgottenFirmware:
    """Of how many firmwares it was forgotten which offer they accept."""

    forgotten: int


class ChosenEntry(BaseModel):
    """What a PC is to start."""

    model_config = ConfigDict(extra="forbid")
    entry: Annotated[
        str,
        Field(
            max_length=100, description="An entry of a menu: boinc, previous, local, rescue, memtest, image:RELEASE."
        ),
    ]


@router.get("", responses=problems(), response_model=PcList)
async def list_pcs(
    context: InContext,
    state: Annotated[list[Kind] | None, Query(description="Only PCs in one of these states.", max_length=20)] = None,
    stuck: Annotated[bool, Query(description="Only PCs whose boot failed or stands still.")] = False,
    label: Annotated[str, Query(description="Only PCs with this label.", max_length=200)] = "",
    after: AfterMac = None,
    limit: Limit = 100,
) -> Response:
    """The PCs that have loaded something at least once, and what each did when it was looked at last: seconds ago."""
    wanted = frozenset(state or ()) | (STUCK if stuck else frozenset())
    begin = str(MacAddress.parse(after)) if after else ""
    room = await context.room(with_edits=True)
    return Response(await asyncio.to_thread(_page, room, wanted, label, begin, limit), media_type="application/json")


@router.get("/{mac}", responses=problems(404))
async def show_pc(context: InContext, mac: MacInPath) -> PcDetails:
    """A PC: what it does, what BOINC says, what it boots next."""
    config, now = context.config, context.clock()
    record = await context.with_registry(lambda registry: gather_client(config, registry, MacAddress.parse(mac), now))
    return _public(details(record, now))


@router.get("/{mac}/orders", responses=problems())
async def list_orders_of_pc(context: InContext, mac: MacInPath, limit: Limit = 20) -> PcOrders:
    """The orders that a PC was given, the last one first."""
    found = await context.with_registry(lambda registry: orders.latest(registry, MacAddress.parse(mac), limit))
    return PcOrders([order_view(each) for each in found])


@router.put("/{mac}/next-boot", responses=problems(400), dependencies=_CHANGES)
async def choose_next_boot(context: InContext, mac: MacInPath, chosen: ChosenEntry) -> NextBootView:
    """Have the next boot of a PC start an entry, at once and without a password. The boot after that is normal."""
    config, address = context.config, MacAddress.parse(mac)
    await context.with_registry(lambda registry: next_choice.choose(config, registry, address, chosen.entry))
    return NextBootView(str(address), chosen.entry, taken=False)


@router.delete("/{mac}/next-boot", status_code=204, responses=problems(), dependencies=_CHANGES)
async def clear_next_boot(context: InContext, mac: MacInPath) -> None:
    """Have the next boot of a PC be a normal one."""
    await context.with_registry(lambda registry: next_boot.clear(registry, MacAddress.parse(mac)))


@router.delete("/{mac}", responses=problems(404, 409), dependencies=_CHANGES)
async def forget_pc(
    context: InContext,
    mac: MacInPath,
    work: Annotated[
        bool, Query(description="Have root set its work aside, too: kept for a week, then deleted.")
    ] = False,
) -> ForgottenPc:
    """Forget a PC that is off: its boots and orders, and what it said. Its place in the allowlist stays, and so does
    its work, unless that is to be set aside. `netboot-appliance clients restore` gives work back."""
    return await forgotten_pc.forget(context, MacAddress.parse(mac), work=work)


@router.delete("/{mac}/firmware", responses=problems(), dependencies=_CHANGES)
async def forget_firmware(context: InContext, mac: MacInPath) -> ForgottenFirmware:
    """Forget which kind of offer a PC's firmware accepts. Its work, history and place in the allowlist stay."""
    count = await context.with_registry(lambda registry: table.forget(registry, [MacAddress.parse(mac)]))
    return ForgottenFirmware(count)


def _public(pc: ClientDetails) -> PcDetails:
    return PcDetails(
        pc=pc.client,
        host_name=pc.host_name,
        allowed_by=pc.allowed_by,
        next_boot=pc.next_boot,
        schedule=pc.schedule,
        outside=pc.outside,
        firmware=pc.firmware,
        heard=pc.heard,
        facts=pc.facts,
        boinc=pc.boinc,
    )


def _page(room: Room, wanted: Set[Kind], label: str, after: str, most: int) -> bytes:
    """A PcList of what is kept in JSON of each PC."""

    def is_wanted(pc: PcFacts) -> bool:
        if not pc.loaded or pc.mac <= after:
            return False
        if not (wanted or label):
            return True
        return (pc.kind in wanted if wanted else pc.kind is not None) and (not label or names(label, pc.label))

    found = sorted(pc.facts.mac for pc in room.pcs.values() if is_wanted(pc.facts))
    page = found[:most]
    follow = b'"%s"' % page[-1].encode() if len(found) > most else b"null"
    return b'{"pcs":[%s],"next":%s}' % (b",".join(room.pcs[mac].listed for mac in page), follow)
