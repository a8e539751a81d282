"""What happened to the PCs, the newest first: of one PC, of one kind, since a time; and what happens now."""

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from appliance.control.context import Context
from appliance.control.web.forms import Box, Viewer
from appliance.control.web.templating import page
from appliance.errors import UserError
from appliance.journal.event_pages import EventFilter, newest, read_after, read_before
from appliance.registry.database import Registry
from appliance.view.events import KINDS, EventView, event_views
from services.ethernet import MacAddress

router = APIRouter(prefix="/log", include_in_schema=False)

PAGE = 100
MOST_FOLLOWED = 2000
"""Events that a page which follows may hold; then it is loaded again."""

EventNumber = Annotated[int, Query(ge=0, lt=1 << 62)]

SINCE = {"hour": 3600.0, "day": 86400.0, "week": 7 * 86400.0, "month": 30 * 86400.0}
_SINCE_WORDS = {"hour": "the last hour", "day": "the last day", "week": "the last week", "month": "the last 30 days"}
_KIND_WORDS = {
    "Discovered": "asked for a boot",
    "Offered": "was offered one",
    "AddressSeen": "uses an address",
    "AddressLost": "lost an address",
    "LeaseChosen": "took an address by DHCP",
    "TransferProgressed": "is loading a file",
    "TransferServed": "has loaded a file",
    "TransferFailed": "did not load a file",
    "ScriptServed": "fetched its boot script",
    "EntryStarted": "started an entry of its menu",
    "Reported": "reported",
    "TokenExchanged": "exchanged its token",
    "SecretsServed": "fetched its BOINC files",
    "SecretsClosed": "lost its right to secrets",
    "Returned": "was switched on again",
    "GaveUp": "was given to its own disk",
    "WentBack": "went back to an earlier image",
    "CanaryEnded": "decided a canary image",
}


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What somebody wants to see, as typed: a PC, a kind of event, a time of `SINCE`. Empty: all."""

    pc: str = ""
    kind: str = ""
    since: str = ""

    @property
    def text(self) -> str:
        """For an address."""
        return urlencode({name: value for name in ("pc", "kind", "since") if (value := getattr(self, name))})

    def filter(self, now: float) -> EventFilter:
        """Which events these are; raises UserError."""
        try:
            mac = MacAddress.parse(self.pc) if self.pc.strip() else None
        except ValueError as error:
            raise UserError(str(error), "name a PC by its MAC address") from None
        if self.kind not in ("", *KINDS) or self.since not in ("", *SINCE):
            raise UserError("there is no such kind of event, or no such time", "choose one of the list")
        since = now - SINCE[self.since] if self.since else 0.0
        return EventFilter(mac, frozenset({self.kind} - {""}), since)


@dataclass(frozen=True, slots=True)
class LogPage:
    """Events, the newest first. `before`: where the next page begins, or None; `newest`: the number of the latest event
    of all."""

    events: list[EventView]
    before: int | None
    newest: int


@router.get("")
async def show(
    request: Request,
    box: Box,
    _: Viewer,
    pc: str = "",
    kind: str = "",
    since: str = "",
    before: EventNumber | None = None,
    follow: bool = False,
) -> Response:
    """A page of the log."""
    query = LogQuery(pc[:60], kind[:60], since[:20])
    error, found = None, LogPage([], None, 0)
    try:
        found = await box.with_registry(lambda registry: _read(box, registry, query, before))
    except UserError as raised:
        error = raised
    values = _values(query, follow) | {"found": found, "error": error, "shown": len(found.events)}
    return page(request, "log.html", 422 if error else 200, **values)


@router.get("/new")
async def follow(
    request: Request,
    box: Box,
    _: Viewer,
    after: EventNumber,
    shown: int = 0,
    pc: str = "",
    kind: str = "",
    since: str = "",
) -> Response:
    """What has happened since the event with the number `after`, for a page that follows."""
    query = LogQuery(pc[:60], kind[:60], since[:20])
    found = await box.with_registry(lambda registry: _read_new(box, registry, query, after))
    held = shown + len(found.events)
    if held > MOST_FOLLOWED:
        return Response(headers={"HX-Refresh": "true"})
    return page(request, "log_new.html", **_values(query, follow=True), found=found, shown=held)


def _read(box: Context, registry: Registry, query: LogQuery, before: int | None) -> LogPage:
    wanted = query.filter(box.clock())
    last = newest(registry)
    found = read_before(registry, before, PAGE, wanted)
    views = event_views(reversed(found.events), registry.allowlist())
    return LogPage(views, found.last if found.more else None, last)


def _read_new(box: Context, registry: Registry, query: LogQuery, after: int) -> LogPage:
    found = read_after(registry, after, PAGE, query.filter(box.clock()))
    return LogPage(event_views(reversed(found.events), registry.allowlist()), None, found.last)


def _values(query: LogQuery, follow: bool) -> dict[str, Any]:
    return {
        "query": query,
        "kinds": {kind: _KIND_WORDS.get(kind, kind) for kind in KINDS},
        "times": _SINCE_WORDS,
        "follow": follow,
        "here": "/log",
    }
