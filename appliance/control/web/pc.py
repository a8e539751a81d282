"""The page of one PC: how its boot goes, what it computes, what is wrong, and its orders."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any

import anyio
import anyio.to_thread
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from appliance.boot import next_boot, next_choice
from appliance.config.menu import KINDS
from appliance.control import forgotten_pc
from appliance.control.context import Context
from appliance.control.web.forms import Administrator, Box, Viewer, answer, by_htmx, said, word
from appliance.control.web.templating import page
from appliance.errors import NotFoundError, UserError
from appliance.exports import work_desk
from appliance.exports.forgotten_work import DAYS
from appliance.heartbeats import orders
from appliance.registry.database import Registry
from appliance.view.boots import boot_views
from appliance.view.facts import KnownBoots, gather_boots, gather_client
from appliance.view.orders import gather_targets
from appliance.view.pc_page import PcPage, pc_page
from appliance.view.state_size import StateSize, measure
from image import release
from services.ethernet import MacAddress
from services.http.heartbeats import OrderVerb

router = APIRouter(prefix="/pcs", include_in_schema=False)

BOOTS_AT_ONCE = 100
"""Of the list of boots; the page of a PC itself has the latest 20."""

_NOTHING = "nothing was changed"
_MEASURE_WITHIN = 0.8
"""Seconds that a page waits for the size of a state directory: a disk that hangs costs no more than that."""

_measuring = anyio.CapacityLimiter(2)


@dataclass(frozen=True, slots=True)
class StartChoice:
    """What a PC may start at its next boot."""

    entry: str
    words: str


_STARTS = {
    "boinc": "BOINC, as usual",
    "local": "its own disk",
    "previous": "the previous image",
    "memtest": "a memory test",
    "rescue": "a rescue shell",
    "reboot": "a restart",
}


@router.get("/{mac}")
async def show(request: Request, mac: str, box: Box, _: Viewer) -> Response:
    """The whole page."""
    address = _mac(mac)
    shown, size, choices = await asyncio.gather(_read(box, address), _size(box, address), _choices(box))
    return page(request, "pc.html", error=None, **_values(box, shown, size, choices))


@router.get("/{mac}/now")
async def now(request: Request, mac: str, box: Box, _: Viewer) -> Response:
    """The parts that follow the PC by themselves."""
    return page(request, "pc_now.html", shown=await _read(box, _mac(mac)))


@router.get("/{mac}/orders")
async def list_orders(request: Request, mac: str, box: Box, _: Viewer) -> Response:
    """The orders and their results."""
    return page(request, "pc_orders.html", shown=await _read(box, _mac(mac)), error=None)


@router.get("/{mac}/boots")
async def list_boots(
    request: Request, mac: str, box: Box, _: Viewer, before: Annotated[int | None, Query(ge=0, lt=1 << 62)] = None
) -> Response:
    """The boots that are kept, the latest first, or those before the boot with this number."""
    address, now = _mac(mac), box.clock()

    def read(registry: Registry) -> tuple[KnownBoots, int]:
        known = gather_boots(box.config, registry, before, BOOTS_AT_ONCE, now, address)
        return known, registry.count_boots(address)

    known, total = await box.with_registry(read)
    entry = known.allowlist.decide(address)
    values: dict[str, Any] = {
        "mac": str(address),
        "label": entry.label if entry else "",
        "asked": before is not None,
        "total": total,
    }
    return page(request, "pc_boots.html", boots=boot_views(known, now), before=known.before, **values)


@router.post("/{mac}/orders")
async def give(request: Request, mac: str, box: Box, who: Administrator) -> Response:
    """Give an order. The answer to a `brief` form is a few words in place of its button."""
    address, form = _mac(mac), await request.form()
    error: UserError | None = None
    try:
        verb = OrderVerb(word(form, "verb"))
        await box.with_registry(lambda registry: _give(box, registry, address, verb))
        said("order given", who, mac=str(address), order=str(verb))
    except ValueError:
        error = UserError("there is no such order", _NOTHING)
    except UserError as raised:
        error = raised
    if by_htmx(request) and "brief" in form:
        return page(request, "pc_ordered.html", shown=await _read(box, address), error=error)
    return await _answer(request, box, address, error)


@router.post("/{mac}/orders/{number}/cancel")
async def cancel(request: Request, mac: str, number: int, box: Box, who: Administrator) -> Response:
    """Cancel an order that has not ended."""
    address = _mac(mac)
    error: UserError | None = None
    try:
        await box.with_registry(lambda registry: _cancel(registry, address, number, box.clock()))
        said("order cancelled", who, mac=str(address), order=number)
    except UserError as raised:
        error = raised
    return await _answer(request, box, address, error)


@router.post("/{mac}/next")
async def choose_next(request: Request, mac: str, box: Box, who: Administrator) -> Response:
    """Choose what the PC starts at its next boot; an empty entry: as usual."""
    address, form = _mac(mac), await request.form()
    error: UserError | None = None
    try:
        entry = word(form, "entry")
        await box.with_registry(lambda registry: _choose(box, registry, address, entry))
        said("next boot chosen", who, mac=str(address), entry=entry)
    except UserError as raised:
        error = raised
    return await _answer(request, box, address, error)


@router.post("/{mac}/forget")
async def forget(request: Request, mac: str, box: Box, who: Administrator) -> Response:
    """Forget a PC that is off; with the field `work`, set its work aside."""
    address, form = _mac(mac), await request.form()
    work = word(form, "work") == "yes"
    try:
        gone = await forgotten_pc.forget(box, address, work=work)
    except NotFoundError:
        raise
    except UserError as error:
        values = _values(box, *await asyncio.gather(_read(box, address), _size(box, address), _choices(box)))
        return page(request, "pc.html", 409, error=error, **values)
    said("PC forgotten", who, mac=str(address), work=gone.work or gone.trouble)
    if not work:
        return RedirectResponse("/", 303)
    return page(request, "pc_forgotten.html", mac=str(address), gone=gone, days=DAYS, here="/")


def _give(box: Context, registry: Registry, mac: MacAddress, verb: OrderVerb) -> None:
    now = box.clock()
    gather_targets(box.config, registry, str(mac), verb, now)
    orders.give(registry, [mac], verb, now)


def _cancel(registry: Registry, mac: MacAddress, number: int, now: float) -> None:
    order = orders.find(registry, number)
    if order is None or order.mac != mac or order.ended is not None:
        raise UserError(f"order {number} has ended, or there is none for this PC", _NOTHING)
    orders.cancel(registry, [order], now)


def _choose(box: Context, registry: Registry, mac: MacAddress, entry: str) -> None:
    if entry:
        next_choice.choose(box.config, registry, mac, entry)
    else:
        next_boot.clear(registry, mac)


async def _answer(request: Request, box: Context, mac: MacAddress, error: UserError | None) -> Response:
    """The orders for htmx; the page with an error; or back to the page."""
    shown = await _read(box, mac)
    values: dict[str, Any] = {"shown": shown}
    if error is not None and not by_htmx(request):
        values = _values(box, shown, *await asyncio.gather(_size(box, mac), _choices(box)))
    return answer(request, "pc_orders.html", "pc.html", f"/pcs/{mac}#orders", error, **values)


async def _read(box: Context, mac: MacAddress) -> PcPage:
    def read(registry: Registry) -> PcPage:
        now = box.clock()
        return pc_page(gather_client(box.config, registry, mac, now), now)

    return await box.with_registry(read)


async def _size(box: Context, mac: MacAddress) -> StateSize:
    with anyio.move_on_after(_MEASURE_WITHIN):
        return await anyio.to_thread.run_sync(measure, box.config, mac, abandon_on_cancel=True, limiter=_measuring)
    return StateSize(None)


async def _choices(box: Context) -> list[StartChoice]:
    """The entries that a PC can be told to start: those of every menu, and each release."""
    found = await asyncio.to_thread(release.releases, box.config.images)
    known = [StartChoice(kind, _STARTS[kind]) for kind in KINDS if kind not in box.config.menu.locked]
    return known + [StartChoice(f"image:{each.id}", f"image {each.id}") for each in found.releases[:20]]


def _values(box: Context, shown: PcPage, size: StateSize, choices: list[StartChoice]) -> dict[str, Any]:
    since = box.fleet.ident(box.fleet.room)
    asks = work_desk.available(box.path)
    values: dict[str, Any] = {"shown": shown, "size": size, "choices": choices, "since": since, "here": "/"}
    return values | {"asks": asks, "days": DAYS}


def _mac(text: str) -> MacAddress:
    try:
        return MacAddress.parse(text)
    except ValueError as error:
        raise NotFoundError(str(error), "see the PCs in the room") from None
